//! The canonical text of a statement. What is printed reads as the same tree.

use std::fmt::{self, Display, Formatter};

use datafusion::sql::sqlparser::ast::{Assignment, Expr, Ident};
use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;

use super::printable;
use super::statement::{
    ColumnSpec, CreateIndex, CreateSink, CreateSource, CreateView, Drop, Emit, EmitQuery, Explain,
    Insert, Kind, OptionSpec, Rename, Show, SourceKind, Statement, Subscribe, ViewKind, Watermark,
};
use crate::explain::Format;

fn list<T: Display>(items: &[T]) -> String {
    let texts: Vec<_> = items.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A name, with quotes where it needs them: however it was typed, the tree is the same.
pub(super) fn ident(value: String) -> Ident {
    match is_plain(&value) {
        true => Ident::new(value),
        false => Ident::with_quote('"', value),
    }
}

fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && (value.bytes()).all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !ALL_KEYWORDS.contains(&value.to_uppercase().as_str())
}

pub(super) fn name(value: &str) -> String {
    ident(value.to_string()).to_string()
}

fn names(idents: &[Ident]) -> String {
    let texts: Vec<_> = idents.iter().map(|i| name(&i.value)).collect();
    texts.join(", ")
}

fn filter(selection: Option<&Expr>) -> String {
    selection.map_or(String::new(), |s| format!(" WHERE {}", printable::expr(s)))
}

pub(super) fn flag(set: bool, words: &'static str) -> &'static str {
    match set {
        true => words,
        false => "",
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateSource(s) => s.fmt(f),
            Self::CreateSink(s) => s.fmt(f),
            Self::CreateView(s) => s.fmt(f),
            Self::CreateIndex(s) => s.fmt(f),
            Self::CreateFunction(s) => s.fmt(f),
            Self::Insert(s) => s.fmt(f),
            Self::Update {
                table,
                assignments,
                selection,
            } => {
                let table = name(&table.value);
                let filter = filter(selection.as_ref());
                let set = |a: &Assignment| format!("{} = {}", a.target, printable::expr(&a.value));
                let set: Vec<_> = assignments.iter().map(set).collect();
                write!(f, "UPDATE {table} SET {}{filter}", set.join(", "))
            }
            Self::Delete { table, selection } => {
                let filter = filter(selection.as_ref());
                write!(f, "DELETE FROM {}{filter}", name(&table.value))
            }
            Self::Drop(s) => s.fmt(f),
            Self::Rename(s) => s.fmt(f),
            Self::Show(s) => s.fmt(f),
            Self::Describe(ident) => write!(f, "DESCRIBE {}", name(&ident.value)),
            Self::Set { name: n, value, .. } => match value {
                None => write!(f, "SET {} = DEFAULT", name(&n.value)),
                Some(value) => write!(f, "SET {} = {}", name(&n.value), text(value)),
            },
            Self::Flush => f.write_str("FLUSH"),
            Self::Checkpoint => f.write_str("CHECKPOINT"),
            Self::Subscribe(s) => s.fmt(f),
            Self::Declare { cursor, subscribe } => {
                write!(f, "DECLARE {} CURSOR FOR {subscribe}", name(&cursor.value))
            }
            Self::Fetch { rows, cursor } => {
                write!(f, "FETCH {rows} FROM {}", name(&cursor.value))
            }
            Self::Close(cursor) => write!(f, "CLOSE {}", name(&cursor.value)),
            Self::Explain(s) => s.fmt(f),
            Self::Query(s) => s.fmt(f),
        }
    }
}

impl Display for EmitQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        printable::query(&self.query).fmt(f)?;
        match &self.emit {
            None => Ok(()),
            Some(Emit::Changes) => f.write_str(" EMIT CHANGES"),
            Some(Emit::OnWindowClose) => f.write_str(" EMIT ON WINDOW CLOSE"),
            Some(Emit::Every(every)) => {
                let every = printable::expr(&Expr::Interval(every.clone()));
                write!(f, " EMIT EVERY {every}")
            }
        }
    }
}

impl Display for OptionSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plain = (self.name.bytes()).all(|b| b.is_ascii_lowercase() || b == b'_');
        match plain && !self.name.is_empty() {
            true => write!(f, "{} = {}", self.name, text(&self.value)),
            false => write!(f, "{} = {}", text(&self.name), text(&self.value)),
        }
    }
}

impl Display for ColumnSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", name(&self.name.value), self.data_type)?;
        f.write_str(flag(self.not_null, " NOT NULL"))?;
        match &self.generated {
            None => Ok(()),
            Some(expr) => {
                write!(f, " GENERATED ALWAYS AS ({}) STORED", printable::expr(expr))
            }
        }
    }
}

impl Display for Watermark {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "WATERMARK FOR {}", name(&self.column.value))?;
        match &self.expr {
            None => Ok(()),
            Some(Expr::Identifier(same)) if same.value == self.column.value => {
                write!(f, " AS {}", name(&same.value))
            }
            Some(expr) => write!(f, " AS {}", printable::expr(expr)),
        }
    }
}

impl Display for CreateSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (kind, tail) = match self.kind {
            SourceKind::Source => ("SOURCE", ""),
            SourceKind::Table => ("TABLE", ""),
            SourceKind::AppendOnlyTable => ("TABLE", " APPEND ONLY"),
        };
        let exists = flag(self.if_not_exists, "IF NOT EXISTS ");
        let mut elements: Vec<_> = self.columns.iter().map(ToString::to_string).collect();
        if !self.primary_key.is_empty() {
            elements.push(format!("PRIMARY KEY ({})", names(&self.primary_key)));
        }
        elements.extend(self.watermarks.iter().map(ToString::to_string));
        write!(f, "CREATE {kind} {exists}{}", name(&self.name.value))?;
        if !elements.is_empty() {
            write!(f, " ({})", elements.join(", "))?;
        }
        f.write_str(tail)?;
        match self.has_options {
            true => write!(f, " WITH ({})", list(&self.options)),
            false => Ok(()),
        }
    }
}

impl Display for CreateSink {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let exists = flag(self.if_not_exists, "IF NOT EXISTS ");
        write!(f, "CREATE SINK {exists}{}", name(&self.name.value))?;
        if let Some(from) = &self.from {
            write!(f, " FROM {}", name(&from.value))?;
        }
        if !self.columns.is_empty() {
            write!(f, " ({})", list(&self.columns))?;
        }
        write!(f, " WITH ({})", list(&self.options))?;
        match &self.query {
            Some(query) => write!(f, " AS {query}"),
            None => Ok(()),
        }
    }
}

impl Display for CreateView {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let replace = flag(self.or_replace, "OR REPLACE ");
        let kind = match self.kind {
            ViewKind::Plain => "VIEW",
            ViewKind::Materialized => "MATERIALIZED VIEW",
        };
        let exists = flag(self.if_not_exists, "IF NOT EXISTS ");
        write!(
            f,
            "CREATE {replace}{kind} {exists}{}",
            name(&self.name.value)
        )?;
        if !self.columns.is_empty() {
            write!(f, " ({})", names(&self.columns))?;
        }
        write!(f, " AS {}", self.query)
    }
}

impl Display for CreateIndex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let exists = flag(self.if_not_exists, "IF NOT EXISTS ");
        let (own, on) = (name(&self.name.value), name(&self.on.value));
        write!(
            f,
            "CREATE INDEX {exists}{own} ON {on} ({})",
            names(&self.columns)
        )
    }
}

impl Display for Insert {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "INSERT INTO {}", name(&self.into.value))?;
        if !self.columns.is_empty() {
            write!(f, " ({})", names(&self.columns))?;
        }
        write!(f, " {}", self.query)
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "SOURCE",
            Self::Table => "TABLE",
            Self::Sink => "SINK",
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::Index => "INDEX",
            Self::Function => "FUNCTION",
            Self::Aggregate => "AGGREGATE",
        })
    }
}

impl Kind {
    /// Its name in a sentence.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Table => "table",
            Self::Sink => "sink",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Index => "index",
            Self::Function => "function",
            Self::Aggregate => "aggregate",
        }
    }
}

impl Display for Drop {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let exists = flag(self.if_exists, "IF EXISTS ");
        let cascade = flag(self.cascade, " CASCADE");
        write!(
            f,
            "DROP {} {exists}{}{cascade}",
            self.kind,
            names(&self.names)
        )
    }
}

impl Display for Rename {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let exists = flag(self.if_exists, "IF EXISTS ");
        let (from, to) = (name(&self.name.value), name(&self.to.value));
        write!(f, "ALTER {} {exists}{from} RENAME TO {to}", self.kind)
    }
}

impl Display for Show {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sources => f.write_str("SHOW SOURCES"),
            Self::Tables => f.write_str("SHOW TABLES"),
            Self::Sinks => f.write_str("SHOW SINKS"),
            Self::Views => f.write_str("SHOW VIEWS"),
            Self::Jobs => f.write_str("SHOW JOBS"),
            Self::All => f.write_str("SHOW ALL"),
            Self::Setting(ident) => write!(f, "SHOW {}", name(&ident.value)),
        }
    }
}

impl Display for Subscribe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let filter = filter(self.selection.as_ref());
        write!(f, "SUBSCRIBE {}{filter}", name(&self.view.value))
    }
}

impl Display for Explain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let analyze = flag(self.analyze, "ANALYZE ");
        match self.format {
            Format::Text => write!(f, "EXPLAIN {analyze}{}", self.query),
            format => write!(
                f,
                "EXPLAIN {analyze}(FORMAT {}) {}",
                format.name(),
                self.query
            ),
        }
    }
}
