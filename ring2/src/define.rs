//! Definitions and changes: what CREATE, DROP, ALTER, INSERT, UPDATE and DELETE mean to the
//! catalogue. Names exist or are free, kinds fit, nothing is dropped that others read.

mod insert;
mod role;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{AssignmentTarget, Ident, Spanned};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use crate::catalog::{Catalog, IndexDef, SinkDef, ViewColumn, ViewDef};
use crate::check::{self, Checked, Purpose};
use crate::error::{SqlError, meant};
use crate::place::{Chunk, Place};
use crate::script::Target;
use crate::syntax::{
    CreateIndex, CreateSink, CreateSource, CreateView, Drop, EmitQuery, Kind, Reader, Rename,
    Statement, ViewKind,
};
use crate::{ddl, options, views};
use role::Role;

/// Where a statement's rows go, and what gives them.
pub(crate) type Written<'s> = Option<(Target, Cow<'s, EmitQuery>)>;

type Columns = Vec<(String, Option<DataType>)>;

/// A statement being applied to the catalogue.
pub(crate) struct Definer<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) chunk: &'a Chunk,
    pub(crate) catalog: &'a mut Catalog,
}

impl Definer<'_> {
    /// Applies a statement that is neither a query nor a question.
    pub(crate) fn statement<'s>(
        &mut self,
        statement: &'s Statement,
    ) -> Result<Written<'s>, SqlError> {
        match statement {
            Statement::CreateSource(create) => self.source(create).map(|()| None),
            Statement::CreateSink(create) => self.sink(create),
            Statement::CreateView(create) => self.view(create),
            Statement::CreateIndex(create) => self.index(create).map(|()| None),
            Statement::CreateFunction(_) => Ok(None),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update {
                table,
                assignments,
                selection,
            } => {
                let columns = self.table(table, "UPDATE")?;
                for assignment in assignments {
                    let AssignmentTarget::ColumnName(name) = &assignment.target else {
                        let at = assignment.target.span().start;
                        return Err(self.place.foreign(at, "a list in SET", "SET a = 1, b = 2"));
                    };
                    let part = name.0.first().and_then(|p| p.as_ident());
                    let column = part.map_or_else(|| name.to_string(), |i| i.value.clone());
                    self.has(&columns, &column, name.span().start)?;
                    self.over(&columns, &assignment.value)?;
                }
                selection.iter().try_for_each(|s| self.over(&columns, s))?;
                Ok(None)
            }
            Statement::Delete { table, selection } => {
                let columns = self.table(table, "DELETE")?;
                selection.iter().try_for_each(|s| self.over(&columns, s))?;
                Ok(None)
            }
            Statement::Drop(drop) => self.drop(drop).map(|()| None),
            Statement::Rename(rename) => self.rename(rename).map(|()| None),
            Statement::Subscribe(subscribe) | Statement::Declare { subscribe, .. } => {
                let columns = self.readable(&subscribe.view, "SUBSCRIBE")?;
                let selection = subscribe.selection.iter();
                selection.clone().try_for_each(|s| self.over(&columns, s))?;
                Ok(None)
            }
            Statement::Flush
            | Statement::Checkpoint
            | Statement::Fetch { .. }
            | Statement::Close(_)
            | Statement::Query(_)
            | Statement::Explain(_)
            | Statement::Show(_)
            | Statement::Describe(_)
            | Statement::Set { .. } => Ok(None),
        }
    }

    /// Why the statement cannot run yet, if so.
    pub(crate) fn not_runnable(&self, statement: &Statement) -> Option<SqlError> {
        let at = self.chunk.start();
        let what = match statement {
            Statement::CreateSource(_)
            | Statement::Drop(_)
            | Statement::Rename(_)
            | Statement::Query(_)
            | Statement::Explain(_)
            | Statement::Show(_)
            | Statement::Describe(_)
            | Statement::Set { .. } => return None,
            Statement::CreateView(view) => match view.kind {
                ViewKind::Plain => return None,
                ViewKind::Materialized => "CREATE MATERIALIZED VIEW",
            },
            Statement::CreateSink(_) => return None,
            Statement::Insert(insert) if self.catalog.sinks.contains_key(&insert.into.value) => {
                return None;
            }
            Statement::CreateIndex(_) => "CREATE INDEX",
            Statement::CreateFunction(_) => "CREATE FUNCTION",
            Statement::Insert(_) => "INSERT into a table",
            Statement::Update { .. } => "UPDATE",
            Statement::Delete { .. } => "DELETE",
            Statement::Flush => "FLUSH",
            Statement::Checkpoint => "CHECKPOINT",
            Statement::Subscribe(_) => "SUBSCRIBE",
            Statement::Declare { .. } => "DECLARE",
            Statement::Fetch { .. } => "FETCH",
            Statement::Close(_) => "CLOSE",
        };
        let hint = match statement {
            Statement::CreateFunction(_) => "user functions come from the embedding API first",
            Statement::CreateView(_) => {
                "CREATE VIEW runs, and queries over it; embedded, an engine keeps such views"
            }
            Statement::CreateIndex(_) => "nothing needs it to run: leave it out",
            Statement::Insert(_) | Statement::Update { .. } | Statement::Delete { .. } => {
                "a table's rows come from its file: WITH (connector = 'file', path = '..', ..)"
            }
            Statement::Flush => "a run ends when its input does, with all of it in the results",
            Statement::Checkpoint => {
                "a run with --state takes them by itself, at the end of each statement, too"
            }
            Statement::Subscribe(_)
            | Statement::Declare { .. }
            | Statement::Fetch { .. }
            | Statement::Close(_) => {
                "SELECT .. EMIT CHANGES prints each change; an engine has subscriptions"
            }
            _ => "this version runs SELECT, and INSERT INTO a sink",
        };
        let message = format!("{what} is not runnable yet");
        Some(self.place.hinted("E0301", at, message, hint))
    }

    fn check(&self, query: &EmitQuery, purpose: Purpose) -> Result<Checked, SqlError> {
        check::query(self.place, self.chunk, self.catalog, query, purpose)
    }

    fn over(
        &self,
        columns: &Columns,
        expr: &datafusion::sql::sqlparser::ast::Expr,
    ) -> Result<(), SqlError> {
        check::over_columns(self.place, self.chunk, self.catalog, columns, expr)
    }

    /// Whether the name is free; `false` where IF NOT EXISTS lets the statement pass.
    fn free(&self, name: &Ident, if_not_exists: bool) -> Result<bool, SqlError> {
        match self.catalog.kind(&name.value) {
            None => Ok(true),
            Some(_) if if_not_exists => Ok(false),
            Some(kind) => {
                let message = format!("relation \"{}\" is defined twice", name.value);
                let hint = format!("it is a {} already: DROP it, or IF NOT EXISTS", kind.word());
                Err(self.place.hinted("E0205", name.span.start, message, hint))
            }
        }
    }

    fn no_function(&self, name: &Ident) -> SqlError {
        let message = format!("function \"{}\" does not exist", name.value);
        let hint = "user functions come from the embedding API first";
        self.place.hinted("E0204", name.span.start, message, hint)
    }

    fn missing(&self, name: &Ident) -> SqlError {
        let message = format!("relation \"{}\" does not exist", name.value);
        let mut error = self.place.error("E0202", name.span.start, message);
        error.hint = meant(&name.value, self.catalog.names());
        error
    }

    fn has(&self, columns: &Columns, name: &str, at: Location) -> Result<(), SqlError> {
        if columns.iter().any(|(n, _)| n == name) {
            return Ok(());
        }
        let message = format!("column \"{name}\" does not exist");
        let mut error = self.place.error("E0201", at, message);
        error.hint = meant(name, columns.iter().map(|(n, _)| n.as_str()));
        Err(error)
    }

    /// Columns of what can be read by name.
    fn columns(&self, name: &str) -> Option<Columns> {
        if let Some(source) = self.catalog.sources.get(name) {
            let typed = |c: &crate::catalog::ColumnDef| (c.name.clone(), Some(c.data_type.clone()));
            return Some(source.declared().into_iter().map(typed).collect());
        }
        let view = self.catalog.views.get(name)?;
        let columns = view.columns.iter();
        Some(
            columns
                .map(|c| (c.name.clone(), c.data_type.clone()))
                .collect(),
        )
    }

    fn readable(&self, name: &Ident, what: &str) -> Result<Columns, SqlError> {
        match self.catalog.kind(&name.value) {
            None => Err(self.missing(name)),
            Some(Kind::MaterializedView | Kind::Table) => {
                self.columns(&name.value).ok_or_else(|| self.missing(name))
            }
            Some(kind) => {
                let message = format!("{what} of a {}", kind.word());
                let hint = "it takes a materialized view or a table";
                Err(self.place.hinted("E0211", name.span.start, message, hint))
            }
        }
    }

    fn table(&self, name: &Ident, what: &str) -> Result<Columns, SqlError> {
        match self.catalog.kind(&name.value) {
            None => Err(self.missing(name)),
            Some(Kind::Table) => self.columns(&name.value).ok_or_else(|| self.missing(name)),
            Some(kind) => {
                let message = format!("{what} of a {}: only tables change", kind.word());
                let hint = "CREATE TABLE";
                Err(self.place.hinted("E0211", name.span.start, message, hint))
            }
        }
    }

    fn source(&mut self, create: &CreateSource) -> Result<(), SqlError> {
        let (create, as_sink) = match role::role(self.place, create)? {
            Role::Sink(sink) => return self.sink(&sink).map(|_| ()),
            Role::Source(create) => (create, None),
            Role::ByUse(sink) => (Cow::Borrowed(create), Some(sink)),
            Role::Kept => (Cow::Borrowed(create), None),
        };
        let create = options::nexmark::with_columns(self.place, create)?;
        let mut def = ddl::define(self.place, &create)?;
        def.as_sink = as_sink.map(Box::new);
        let columns: Columns = (def.columns.iter())
            .map(|c| (c.name.clone(), Some(c.data_type.clone())))
            .collect();
        for column in &create.columns {
            if let Some(expr) = &column.generated {
                self.over(&columns, expr)?;
            }
        }
        if !def.generated.is_empty() {
            let text = self
                .place
                .text(Span::new(self.chunk.start(), self.chunk.end));
            crate::planner::generated::check(self.place, self.chunk, text, &def)?;
        }
        if self.free(&create.name, create.if_not_exists)? {
            self.catalog.sources.insert(def.name.clone(), def);
        }
        Ok(())
    }

    fn sink<'s>(&mut self, create: &'s CreateSink) -> Result<Written<'s>, SqlError> {
        if let Some(column) = create.columns.iter().find(|c| c.generated.is_some()) {
            let message = "a sink has no GENERATED column";
            let hint = "compute it in the query that writes there";
            let at = column.generated_at.0;
            return Err(self.place.hinted("E0105", at, message, hint));
        }
        let columns = match create.columns.is_empty() {
            true => Vec::new(),
            false => ddl::columns(self.place, &create.columns)?,
        };
        let mut sink = SinkDef {
            name: create.name.value.clone(),
            columns,
            connector: String::new(),
            path: PathBuf::new(),
            format: None,
            mode: None,
        };
        options::sink(self.place, &mut sink, create)?;
        let mut uses = BTreeSet::new();
        let mut feed = create.query.as_ref().map(Cow::Borrowed);
        if let Some(from) = &create.from {
            if self.columns(&from.value).is_none() {
                return Err(self.missing(from));
            }
            uses.insert(from.value.clone());
            feed = Some(Cow::Owned(Reader::all_of(self.place, from)?));
        }
        if let Some(query) = &create.query {
            let checked = self.check(query, Purpose::Keep)?;
            let (given, wanted) = (checked.output.columns.len(), sink.columns.len());
            if wanted > 0 && given != wanted {
                let message = format!("the sink has {wanted} columns, the query gives {given}");
                let at = create.name.span.start;
                let hint = "a column of the sink for each column of the query, in order";
                return Err(self.place.hinted("E0209", at, message, hint));
            }
            uses.extend(checked.uses);
        }
        if !self.free(&create.name, create.if_not_exists)? {
            return Ok(None);
        }
        let mut others = self.catalog.sinks.values();
        if let Some(other) = others.find(|s| !s.path.as_os_str().is_empty() && s.path == sink.path)
        {
            let message = format!("sink \"{}\" writes this file already", other.name);
            let at = create.options_at.0;
            return Err(self.place.hinted(
                "E0104",
                at,
                message,
                "name another path, or INSERT there",
            ));
        }
        let name = sink.name.clone();
        self.catalog.note_uses(&name, uses);
        self.catalog.sinks.insert(name.clone(), sink);
        let columns = Vec::new();
        Ok(feed.map(|query| (Target { name, columns }, query)))
    }

    fn view<'s>(&mut self, create: &'s CreateView) -> Result<Written<'s>, SqlError> {
        let kind = match create.kind {
            ViewKind::Plain => Kind::View,
            ViewKind::Materialized => Kind::MaterializedView,
        };
        if create.kind == ViewKind::Plain && create.query.emit.is_some() {
            let hint = "EMIT stands behind the query that reads it";
            let at = create.query.emit_at.0;
            return Err(self.place.foreign(at, "EMIT in a plain view", hint));
        }
        let checked = self.check(&create.query, Purpose::Keep)?;
        let name = &create.name.value;
        let at = create.name.span.start;
        let mut columns = checked.output.columns;
        if !create.columns.is_empty() && create.columns.len() != columns.len() {
            let (given, there) = (create.columns.len(), columns.len());
            let message = format!("{given} names for {there} columns");
            let at = create.columns[0].span.start;
            let hint = "a name for each column, or none at all";
            return Err(self.place.hinted("E0209", at, message, hint));
        }
        let renamed: Vec<String> = create.columns.iter().map(|c| c.value.clone()).collect();
        for (column, new) in columns.iter_mut().zip(&renamed) {
            column.0.clone_from(new);
        }
        let mut seen = BTreeSet::new();
        if let Some((twice, _)) = columns.iter().find(|(n, _)| !seen.insert(n.clone())) {
            let message = format!("the view has two columns \"{twice}\"");
            let hint = "give one another name: expr AS name";
            return Err(self.place.hinted("E0205", at, message, hint));
        }
        let replaces = create.or_replace && self.catalog.kind(name) == Some(Kind::View);
        if replaces {
            self.unused(&create.name)?;
            if checked.uses.contains(name) {
                return Err(self.missing(&create.name));
            }
        } else if !self.free(&create.name, create.if_not_exists)? {
            return Ok(None);
        }
        let typed = views::types(self.place, self.chunk, self.catalog, &create.query);
        let columns = columns
            .into_iter()
            .enumerate()
            .map(|(i, (name, data_type))| ViewColumn {
                name,
                data_type: data_type.or_else(|| Some(typed.get(i)?.data_type.clone())),
                declared: typed.get(i).and_then(|t| t.declared.clone()),
            });
        let view = ViewDef {
            name: name.clone(),
            kind,
            columns: columns.collect(),
            renamed,
            query: create.query.clone(),
            bounded: checked.output.bounded,
            watermark: checked.output.watermark,
            window: checked.output.window,
        };
        views::depth(self.place, self.catalog, &view, at)?;
        self.catalog.note_uses(name, checked.uses);
        self.catalog.views.insert(name.clone(), view);
        let target = Target {
            name: name.clone(),
            columns: Vec::new(),
        };
        Ok((kind == Kind::MaterializedView).then_some((target, Cow::Borrowed(&create.query))))
    }

    fn index(&mut self, create: &CreateIndex) -> Result<(), SqlError> {
        let columns = self.readable(&create.on, "CREATE INDEX")?;
        for column in &create.columns {
            self.has(&columns, &column.value, column.span.start)?;
        }
        if self.free(&create.name, create.if_not_exists)? {
            let name = create.name.value.clone();
            let on = create.on.value.clone();
            self.catalog.note_uses(&name, BTreeSet::from([on.clone()]));
            let columns = create.columns.iter().map(|c| c.value.clone()).collect();
            let index = IndexDef {
                name: name.clone(),
                on,
                columns,
            };
            self.catalog.indexes.insert(name, index);
        }
        Ok(())
    }

    /// Nobody reads it.
    fn unused(&self, name: &Ident) -> Result<(), SqlError> {
        let users = self.catalog.users(&name.value);
        if users.is_empty() {
            return Ok(());
        }
        let message = format!("\"{}\" is read by {}", name.value, users.join(", "));
        let hint = "DROP these first, or CASCADE";
        Err(self.place.hinted("E0210", name.span.start, message, hint))
    }

    fn of_kind(&self, name: &Ident, kind: Kind, what: &str) -> Result<bool, SqlError> {
        match self.catalog.kind(&name.value) {
            None => Ok(false),
            Some(is) if is == kind => Ok(true),
            Some(is) => {
                let message = format!("\"{}\" is a {}, no {}", name.value, is.word(), kind.word());
                let hint = format!("{what} {is} {}", name.value);
                Err(self.place.hinted("E0211", name.span.start, message, hint))
            }
        }
    }

    fn drop(&mut self, drop: &Drop) -> Result<(), SqlError> {
        for name in &drop.names {
            if !self.of_kind(name, drop.kind, "DROP")? {
                match (drop.if_exists, drop.kind) {
                    (true, _) => continue,
                    (false, Kind::Function | Kind::Aggregate) => {
                        return Err(self.no_function(name));
                    }
                    (false, _) => return Err(self.missing(name)),
                }
            }
            if !drop.cascade {
                self.unused(name)?;
            }
            let mut gone = vec![name.value.clone()];
            while let Some(next) = gone.pop() {
                gone.extend(self.catalog.users(&next));
                self.catalog.remove(&next);
            }
        }
        Ok(())
    }

    fn rename(&mut self, rename: &Rename) -> Result<(), SqlError> {
        if !self.of_kind(&rename.name, rename.kind, "ALTER")? {
            return match (rename.if_exists, rename.kind) {
                (true, _) => Ok(()),
                (false, Kind::Function | Kind::Aggregate) => Err(self.no_function(&rename.name)),
                (false, _) => Err(self.missing(&rename.name)),
            };
        }
        self.free(&rename.to, false)?;
        let (from, to) = (&rename.name.value, &rename.to.value);
        // Who reads it goes on to do so: their definitions name it by its new name.
        for user in self.catalog.users(from) {
            let Some(view) = self.catalog.views.get_mut(&user) else {
                continue;
            };
            if !views::rename(&mut view.query.query, from, to) {
                let message = format!("\"{to}\" is a name of WITH in view \"{user}\"");
                let hint = format!("the view reads \"{from}\": give that another name");
                return Err((self.place).hinted("E0205", rename.to.span.start, message, hint));
            }
        }
        self.catalog.rename(from, to);
        Ok(())
    }
}
