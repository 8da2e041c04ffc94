//! Reads CREATE. PostgreSQL's grammar knows neither watermarks nor `STRUCT<..>` nor sinks.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::canonical::Rows;
use super::function::FunctionForm;
use super::print::ident;
use super::reader::Reader;
use super::statement::{
    At, ColumnSpec, CreateIndex, CreateSink, CreateSource, CreateView, OptionSpec, SourceKind,
    Statement, ViewKind, Watermark,
};
use crate::error::{SqlError, nearest};
use crate::options::nexmark;

/// What stands between the brackets of CREATE SOURCE.
const ELEMENT_HINT: &str = "name TYPE [NOT NULL], PRIMARY KEY (..), WATERMARK FOR ts AS \
                                       ts - INTERVAL '5' SECOND";

impl Reader<'_> {
    pub(crate) fn create(&mut self) -> Result<Statement, SqlError> {
        self.expect("CREATE")?;
        let replace_at = self.at();
        let or_replace = self.take_all(&["OR", "REPLACE"]);
        let kind_at = self.at();
        let kind = self.peek_word(0);
        if or_replace && !matches!(kind.as_str(), "VIEW" | "FUNCTION" | "AGGREGATE") {
            let hint = "DROP it first";
            let what = format!("OR REPLACE for {kind}");
            return Err(self.place.foreign(replace_at, &what, hint));
        }
        match kind.as_str() {
            "SOURCE" | "STREAM" | "TABLE" => {
                self.parser.next_token();
                let kind = match kind.as_str() {
                    "TABLE" => SourceKind::Table,
                    _ => SourceKind::Source,
                };
                Ok(Statement::CreateSource(self.create_source(kind)?))
            }
            "SINK" => {
                self.parser.next_token();
                Ok(Statement::CreateSink(self.create_sink()?))
            }
            "VIEW" => {
                self.parser.next_token();
                self.create_view(ViewKind::Plain, or_replace)
            }
            "MATERIALIZED" => {
                self.parser.next_token();
                self.expect("VIEW")?;
                self.create_view(ViewKind::Materialized, false)
            }
            "INDEX" => {
                self.parser.next_token();
                Ok(Statement::CreateIndex(self.create_index()?))
            }
            "FUNCTION" | "AGGREGATE" => {
                self.parser.next_token();
                let form = match kind.as_str() {
                    "FUNCTION" => FunctionForm::Scalar,
                    _ => FunctionForm::Aggregate,
                };
                let function = self.create_function(form, or_replace)?;
                Ok(Statement::CreateFunction(function))
            }
            "TEMP" | "TEMPORARY" | "UNLOGGED" | "GLOBAL" | "EXTERNAL" | "UNIQUE" | "DATABASE"
            | "SCHEMA" | "TYPE" | "SEQUENCE" | "ROLE" | "USER" | "EXTENSION" | "TRIGGER" => {
                let hint = match kind.as_str() {
                    "DATABASE" | "SCHEMA" => "there is one catalogue",
                    "EXTERNAL" => "CREATE SOURCE name (..) WITH (connector = 'file', ..)",
                    "UNIQUE" => "CREATE INDEX; a table's key is its PRIMARY KEY",
                    _ => "",
                };
                Err(self.place.foreign(kind_at, &format!("CREATE {kind}"), hint))
            }
            _ => Err(self
                .unexpected("SOURCE STREAM TABLE SINK VIEW MATERIALIZED INDEX FUNCTION AGGREGATE")),
        }
    }

    fn if_not_exists(&mut self) -> Result<bool, SqlError> {
        let found = self.take("IF");
        if found {
            self.expect("NOT")?;
            self.expect("EXISTS")?;
        }
        Ok(found)
    }

    fn create_source(&mut self, kind: SourceKind) -> Result<CreateSource, SqlError> {
        let mut source = CreateSource {
            kind,
            if_not_exists: self.if_not_exists()?,
            name: self.ident()?,
            columns: Vec::new(),
            primary_key: Vec::new(),
            watermarks: Vec::new(),
            options: Vec::new(),
            options_at: At(self.at()),
            has_options: false,
        };
        if self.peek_word(0) == "AS" {
            let hint = "CREATE MATERIALIZED VIEW name AS SELECT ..";
            return Err((self.place).foreign(self.at(), "CREATE TABLE .. AS SELECT", hint));
        }
        // Whether the connector has columns of its own is said behind them.
        let columns = match self.peek_word(0).as_str() {
            "WITH" => Err(self.unexpected(&Token::LParen.to_string())),
            _ => Ok(self.elements(&mut source)?),
        };
        let at = self.at();
        if self.take_all(&["APPEND", "ONLY"]) {
            if kind == SourceKind::Source {
                let hint = "a source only ever appends";
                return Err(self.place.foreign(at, "APPEND ONLY on a source", hint));
            }
            source.kind = SourceKind::AppendOnlyTable;
        }
        source.options_at = At(self.at());
        if self.take("WITH") {
            source.has_options = true;
            (source.options, source.options_at) = self.options()?;
        } else if self.parser.peek_token().token != Token::EOF {
            return Err(self.unexpected("WITH"));
        }
        match nexmark::is_nexmark(&source) {
            true => Ok(source),
            false => columns.map(|()| source),
        }
    }

    /// What stands in brackets behind the name.
    fn elements(&mut self, source: &mut CreateSource) -> Result<(), SqlError> {
        self.punct(&Token::LParen)?;
        loop {
            self.element(source)?;
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        if self.parser.peek_token().token != Token::RParen {
            let mut error = self.unexpected("\",\" or \")\"");
            error.hint = error.hint.or(Some(ELEMENT_HINT.into()));
            return Err(error);
        }
        self.punct(&Token::RParen)
    }

    fn element(&mut self, source: &mut CreateSource) -> Result<(), SqlError> {
        let next = self.peek_word(1);
        let at = self.at();
        if next == "KEY" && self.take("PRIMARY") {
            self.expect("KEY")?;
            if !source.primary_key.is_empty() {
                let message = "a table has one primary key";
                return Err(self.place.error("E0105", at, message));
            }
            source.primary_key = self.idents()?;
            return Ok(());
        }
        if next == "FOR" && self.take("WATERMARK") {
            self.expect("FOR")?;
            let column = self.ident()?;
            let (mut expr, mut at) = (None, At(self.at()));
            if self.take("AS") {
                at = At(self.at());
                expr = Some(self.expr()?);
            }
            source.watermarks.push(Watermark { column, expr, at });
            return Ok(());
        }
        let word = self.peek_word(0);
        let constraint = matches!(
            (word.as_str(), next.as_str()),
            ("FOREIGN", "KEY") | ("UNIQUE" | "CHECK", "") | ("CONSTRAINT", _)
        );
        if constraint {
            let hint = "constraints are not checked; leave it out, filter with WHERE";
            return Err(self.place.foreign(at, &format!("{word} in a table"), hint));
        }
        let column = self.column(Some(&mut source.primary_key))?;
        source.columns.push(column);
        Ok(())
    }

    fn column(&mut self, key: Option<&mut Vec<Ident>>) -> Result<ColumnSpec, SqlError> {
        let name = self.ident()?;
        let type_at = At(self.at());
        let data_type = self.data_type()?;
        if self.closers > 0 {
            let message = "there is one \">\" too many";
            return Err(self.place.error("E0101", type_at.0, message));
        }
        let mut column = ColumnSpec {
            name,
            data_type,
            type_at,
            not_null: false,
            generated: None,
            generated_at: type_at,
        };
        let mut is_key = false;
        loop {
            let at = self.at();
            if self.take("NOT") {
                self.expect("NULL")?;
                column.not_null = true;
            } else if self.take("PRIMARY") {
                self.expect("KEY")?;
                is_key = true;
            } else if self.take("GENERATED") {
                column.generated_at = At(at);
                self.expect("ALWAYS")?;
                self.expect("AS")?;
                self.punct(&Token::LParen)?;
                column.generated = Some(self.expr()?);
                self.punct(&Token::RParen)?;
                self.expect("STORED")?;
            } else if !self.take("NULL") {
                let word = self.peek_word(0);
                if matches!(
                    word.as_str(),
                    "DEFAULT" | "REFERENCES" | "UNIQUE" | "CHECK" | "COLLATE" | "COMMENT"
                ) {
                    let hint = "a column is: name TYPE [NOT NULL] [PRIMARY KEY]";
                    return Err(self.place.foreign(at, &format!("{word} of a column"), hint));
                }
                break;
            }
        }
        if is_key {
            let at = column.name.span.start;
            match key {
                Some(keys) if keys.is_empty() => keys.push(column.name.clone()),
                Some(_) => {
                    let hint = "PRIMARY KEY (a, b)";
                    let message = "a table has one primary key";
                    return Err(self.place.hinted("E0105", at, message, hint));
                }
                None => return Err(self.place.foreign(at, "PRIMARY KEY of a sink", "")),
            }
        }
        Ok(column)
    }

    /// `(name = value, ..)`, and where it begins.
    fn options(&mut self) -> Result<(Vec<OptionSpec>, At), SqlError> {
        self.punct(&Token::LParen)?;
        let begin = At(self.at());
        let mut options: Vec<OptionSpec> = Vec::new();
        while self.parser.peek_token().token != Token::RParen {
            let at = self.at();
            let mut name = match self.parser.peek_token().token {
                Token::SingleQuotedString(text) => {
                    self.parser.next_token();
                    text
                }
                Token::Word(w) => {
                    self.parser.next_token();
                    w.value
                }
                _ => return Err(self.unexpected("an option's name")),
            };
            while self.parser.consume_token(&Token::Period) {
                name = format!("{name}.{}", self.value("a name")?);
            }
            if options.iter().any(|o| o.name == name) {
                let message = format!("option \"{name}\" is given twice");
                return Err(self.place.error("E0104", at, message));
            }
            self.punct(&Token::Eq)?;
            let value_at = At(self.at());
            let value = match self.parser.peek_token().token {
                Token::Word(w) if !matches!(w.value.as_str(), "true" | "false") => {
                    let message = "an option's value is a string, a number, true or false";
                    let typed = &w.value;
                    let hint = format!("{name} = '{typed}'");
                    return Err(self.place.hinted("E0104", value_at.0, message, hint));
                }
                _ => self.value("an option's value")?,
            };
            options.push(OptionSpec {
                name,
                name_at: At(at),
                value,
                value_at,
            });
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.punct(&Token::RParen)?;
        Ok((options, begin))
    }

    fn create_sink(&mut self) -> Result<CreateSink, SqlError> {
        let mut sink = CreateSink {
            if_not_exists: self.if_not_exists()?,
            name: self.ident()?,
            columns: Vec::new(),
            from: None,
            options: Vec::new(),
            options_at: At(self.at()),
            query: None,
        };
        if self.take("FROM") {
            sink.from = Some(self.ident()?);
        } else if self.parser.consume_token(&Token::LParen) {
            loop {
                let column = self.column(None)?;
                sink.columns.push(column);
                if !self.parser.consume_token(&Token::Comma) {
                    break;
                }
            }
            self.punct(&Token::RParen)?;
        }
        if !self.take("WITH") {
            let mut error = self.unexpected("WITH");
            let hint = "WITH (connector = 'file', path = '..', format = 'json')";
            error.hint = error.hint.or(Some(hint.into()));
            return Err(error);
        }
        (sink.options, sink.options_at) = self.options()?;
        let at = self.at();
        if self.take("AS") {
            if sink.from.is_some() {
                let message = "a sink takes FROM a view or AS a query, not both";
                return Err(self.place.error("E0105", at, message));
            }
            sink.query = Some(self.emit_query(Rows::Kept)?);
        }
        Ok(sink)
    }

    fn create_view(&mut self, kind: ViewKind, or_replace: bool) -> Result<Statement, SqlError> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.ident()?;
        let columns = match self.parser.peek_token().token {
            Token::LParen => self.idents()?,
            _ => Vec::new(),
        };
        if self.peek_word(0) == "WITH" {
            let hint = "a view takes no options; SET trefoil.state_ttl bounds its state";
            return Err(self.place.foreign(self.at(), "WITH on a view", hint));
        }
        self.expect("AS")?;
        let word = self.peek_word(0);
        if !matches!(word.as_str(), "SELECT" | "WITH" | "VALUES")
            && self.parser.peek_token().token != Token::LParen
        {
            return Err(self.unexpected("SELECT"));
        }
        Ok(Statement::CreateView(CreateView {
            kind,
            or_replace,
            if_not_exists,
            name,
            columns,
            query: self.emit_query(Rows::Kept)?,
        }))
    }

    fn create_index(&mut self) -> Result<CreateIndex, SqlError> {
        let if_not_exists = self.if_not_exists()?;
        let named = match self.peek_word(0).as_str() {
            "ON" if self.peek_word(1) != "ON" => None,
            _ => Some(self.ident()?),
        };
        self.expect("ON")?;
        let on = self.ident()?;
        if self.peek_word(0) == "USING" {
            let hint = "there is one kind of index: CREATE INDEX i ON v (column)";
            return Err((self.place).foreign(self.at(), "USING of an index", hint));
        }
        let columns = self.idents()?;
        let index = CreateIndex {
            if_not_exists,
            name: named.unwrap_or_else(|| {
                let columns: Vec<_> = columns.iter().map(|c| c.value.as_str()).collect();
                let mut name = ident(format!("{}_{}_idx", on.value, columns.join("_")));
                name.span = on.span;
                name
            }),
            on,
            columns,
        };
        let word = self.peek_word(0);
        if matches!(word.as_str(), "WHERE" | "USING" | "INCLUDE" | "WITH") {
            let what = format!("{word} of an index");
            return Err(self
                .place
                .foreign(self.at(), &what, "CREATE INDEX i ON v (column)"));
        }
        Ok(index)
    }

    /// The known option nearest to what was written, and all of them.
    pub(crate) fn unknown_option(name: &str, known: &[&str]) -> String {
        let all = format!("known options: {}", known.join(", "));
        nearest(name, known.iter().copied())
            .map_or(all.clone(), |n| format!("did you mean \"{n}\"? {all}"))
    }
}
