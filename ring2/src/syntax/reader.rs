//! Reads the statements that PostgreSQL's grammar does not know, from tokens, and hands queries
//! and expressions to the parser.

use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Expr, Ident, ObjectName, ObjectNamePart,
};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::canonical::{self, Rows};
use super::statement::{At, Drop, Emit, EmitQuery, Explain, Insert, Kind, Rename, Show, Statement};
use crate::dialect::parser;
use crate::error::{SqlError, nearest};
use crate::explain::Format;
use crate::place::{Chunk, Place, word};

/// A statement being read.
pub(crate) struct Reader<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) chunk: &'a Chunk,
    pub(crate) parser: Parser<'static>,
    /// `>` that a `>>` token still holds.
    pub(crate) closers: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(place: Place<'a>, chunk: &'a Chunk) -> Self {
        let parser = parser(&chunk.tokens);
        Self {
            place,
            chunk,
            parser,
            closers: 0,
        }
    }

    /// All of a relation, as if the query stood where its name stands.
    pub(crate) fn all_of(place: Place<'a>, name: &Ident) -> Result<EmitQuery, SqlError> {
        let token = |token| TokenWithSpan {
            token,
            span: name.span,
        };
        let words = ["SELECT", "FROM"].map(|word| token(Token::make_keyword(word)));
        let [select, from] = words;
        let relation = token(Token::make_word(&name.value, Some('"')));
        let chunk = Chunk {
            tokens: vec![select, token(Token::Mul), from, relation],
            end: name.span.end,
        };
        Reader::new(place, &chunk).emit_query(Rows::Told)
    }

    pub(crate) fn at(&self) -> Location {
        match self.parser.peek_token() {
            TokenWithSpan {
                token: Token::EOF, ..
            } => self.chunk.end,
            token => token.span.start,
        }
    }

    pub(crate) fn peek_word(&self, n: usize) -> String {
        word(&self.parser.peek_nth_token(n)).unwrap_or_default()
    }

    pub(crate) fn take(&mut self, wanted: &str) -> bool {
        let found = word(&self.parser.peek_token()).is_some_and(|w| w == wanted);
        if found {
            self.parser.next_token();
        }
        found
    }

    /// Takes all of these words or none.
    pub(crate) fn take_all(&mut self, wanted: &[&str]) -> bool {
        let all = (wanted.iter().enumerate()).all(|(i, w)| self.peek_word(i) == *w);
        if all {
            wanted.iter().for_each(|_| {
                self.parser.next_token();
            });
        }
        all
    }

    pub(crate) fn expect(&mut self, wanted: &str) -> Result<(), SqlError> {
        match self.take(wanted) {
            true => Ok(()),
            false => Err(self.unexpected(wanted)),
        }
    }

    pub(crate) fn unexpected(&self, wanted: &str) -> SqlError {
        let token = self.parser.peek_token();
        let mut error = self.place.unexpected(&token, self.chunk);
        error.message = format!("{}, expected {wanted}", error.message);
        if let Some(found) = word(&token)
            && wanted.chars().all(|c| c.is_ascii_uppercase() || c == ' ')
            && let Some(n) = nearest(&found, wanted.split(' '))
        {
            error.hint = Some(format!("did you mean \"{n}\"?"));
        }
        error
    }

    pub(crate) fn punct(&mut self, token: &Token) -> Result<(), SqlError> {
        match self.parser.consume_token(token) {
            true => Ok(()),
            false => Err(self.unexpected(&token.to_string())),
        }
    }

    /// A name without a schema.
    pub(crate) fn ident(&mut self) -> Result<Ident, SqlError> {
        let token = self.parser.peek_token();
        let Token::Word(w) = token.token else {
            return Err(self.unexpected("a name"));
        };
        self.parser.next_token();
        let period = self.parser.peek_token();
        if period.token == Token::Period {
            let at = period.span.start;
            return Err(self
                .place
                .foreign(at, "a schema before a name", "there is one catalogue"));
        }
        let mut ident = super::print::ident(w.value);
        ident.span = token.span;
        Ok(ident)
    }

    /// `(a, b, ..)`.
    pub(crate) fn idents(&mut self) -> Result<Vec<Ident>, SqlError> {
        self.punct(&Token::LParen)?;
        let mut idents = vec![self.ident()?];
        while self.parser.consume_token(&Token::Comma) {
            idents.push(self.ident()?);
        }
        self.punct(&Token::RParen)?;
        Ok(idents)
    }

    pub(crate) fn expr(&mut self) -> Result<Expr, SqlError> {
        let parsed = self.parser.parse_expr();
        let mut expr = parsed.map_err(|e| self.place.parse_error(e, self.chunk))?;
        canonical::expr(self.place, &mut expr)?;
        Ok(expr)
    }

    pub(crate) fn finish(&self) -> Result<(), SqlError> {
        let rest = self.parser.peek_token();
        match rest.token {
            Token::EOF => Ok(()),
            _ => Err(self.place.unexpected(&rest, self.chunk)),
        }
    }

    /// A query with its EMIT clause.
    pub(crate) fn emit_query(&mut self, rows: Rows) -> Result<EmitQuery, SqlError> {
        let parsed = self.parser.parse_query();
        let mut query = parsed.map_err(|e| self.place.parse_error(e, self.chunk))?;
        canonical::query(self.place, &mut query, rows)?;
        let emit_at = At(self.at());
        let emit = match self.take("EMIT") {
            false => None,
            true => Some(self.emit()?),
        };
        Ok(EmitQuery {
            query,
            emit,
            emit_at,
        })
    }

    fn emit(&mut self) -> Result<Emit, SqlError> {
        if self.take("CHANGES") {
            return Ok(Emit::Changes);
        }
        if self.take("FINAL") {
            return Ok(Emit::OnWindowClose);
        }
        if self.take("EVERY") {
            let at = self.at();
            return match self.expr()? {
                Expr::Interval(every) => Ok(Emit::Every(every)),
                _ => {
                    let hint = "EMIT EVERY INTERVAL '1' SECOND";
                    Err((self.place).hinted("E0101", at, "EMIT EVERY takes an INTERVAL", hint))
                }
            };
        }
        if !self.take("ON") {
            return Err(self.unexpected("CHANGES, ON WINDOW CLOSE, FINAL or EVERY"));
        }
        if !self.take_all(&["WINDOW", "CLOSE"]) {
            let mut error = self.unexpected("WINDOW CLOSE behind EMIT ON");
            error.message = "expected WINDOW CLOSE behind EMIT ON".into();
            return Err(error);
        }
        Ok(Emit::OnWindowClose)
    }

    pub(crate) fn insert(&mut self) -> Result<Insert, SqlError> {
        self.expect("INSERT")?;
        self.expect("INTO")?;
        let into = self.ident()?;
        let columns = match self.parser.peek_token().token {
            Token::LParen
                if !matches!(self.peek_word(1).as_str(), "SELECT" | "WITH" | "VALUES") =>
            {
                self.idents()?
            }
            _ => Vec::new(),
        };
        if !matches!(self.peek_word(0).as_str(), "SELECT" | "WITH" | "VALUES")
            && self.parser.peek_token().token != Token::LParen
        {
            return Err(self.unexpected("SELECT or VALUES"));
        }
        let query = self.emit_query(Rows::Kept)?;
        let word = self.peek_word(0);
        if matches!(word.as_str(), "ON" | "RETURNING") {
            let hint = "INSERT into a table with a primary key replaces";
            return Err(self
                .place
                .foreign(self.at(), &format!("{word} in INSERT"), hint));
        }
        Ok(Insert {
            into,
            columns,
            query,
        })
    }

    pub(super) fn selection(&mut self) -> Result<Option<Expr>, SqlError> {
        match self.take("WHERE") {
            true => self.expr().map(Some),
            false => Ok(None),
        }
    }

    pub(crate) fn update(&mut self) -> Result<Statement, SqlError> {
        self.expect("UPDATE")?;
        let table = self.ident()?;
        self.expect("SET")?;
        let mut assignments = Vec::new();
        loop {
            let column = self.ident()?;
            self.punct(&Token::Eq)?;
            let value = self.expr()?;
            let name = ObjectName(vec![ObjectNamePart::Identifier(column)]);
            let target = AssignmentTarget::ColumnName(name);
            assignments.push(Assignment { target, value });
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        let selection = self.selection()?;
        Ok(Statement::Update {
            table,
            assignments,
            selection,
        })
    }

    pub(crate) fn delete(&mut self) -> Result<Statement, SqlError> {
        self.expect("DELETE")?;
        self.expect("FROM")?;
        let table = self.ident()?;
        let selection = self.selection()?;
        Ok(Statement::Delete { table, selection })
    }

    fn kind(&mut self) -> Result<Kind, SqlError> {
        let at = self.at();
        let word = self.peek_word(0);
        let kind = match word.as_str() {
            "SOURCE" | "STREAM" => Kind::Source,
            "TABLE" => Kind::Table,
            "SINK" => Kind::Sink,
            "VIEW" => Kind::View,
            "INDEX" => Kind::Index,
            "FUNCTION" => Kind::Function,
            "AGGREGATE" => Kind::Aggregate,
            "MATERIALIZED" => {
                self.parser.next_token();
                if self.peek_word(0) != "VIEW" {
                    return Err(self.unexpected("VIEW"));
                }
                Kind::MaterializedView
            }
            "DATABASE" | "SCHEMA" => {
                return Err(self.place.foreign(at, &word, "there is one catalogue"));
            }
            _ => return Err(self.unexpected("SOURCE TABLE SINK VIEW INDEX MATERIALIZED FUNCTION")),
        };
        self.parser.next_token();
        Ok(kind)
    }

    pub(crate) fn drop(&mut self) -> Result<Drop, SqlError> {
        self.expect("DROP")?;
        let kind = self.kind()?;
        let if_exists = self.take_all(&["IF", "EXISTS"]);
        let mut names = vec![self.ident()?];
        while self.parser.consume_token(&Token::Comma) {
            names.push(self.ident()?);
        }
        if self.parser.peek_token().token == Token::LParen {
            let hint = "a function's name is enough: DROP FUNCTION f";
            return Err((self.place).foreign(self.at(), "types behind a name", hint));
        }
        let cascade = self.take("CASCADE");
        if !cascade {
            self.take("RESTRICT");
        }
        Ok(Drop {
            kind,
            if_exists,
            names,
            cascade,
        })
    }

    pub(crate) fn rename(&mut self) -> Result<Rename, SqlError> {
        self.expect("ALTER")?;
        let kind = self.kind()?;
        let if_exists = self.take_all(&["IF", "EXISTS"]);
        let name = self.ident()?;
        if !self.take("RENAME") {
            let word = self.peek_word(0);
            if matches!(word.as_str(), "ADD" | "DROP" | "ALTER" | "SET" | "OWNER") {
                let hint = "drop it and create it anew; RENAME TO is there";
                return Err(self
                    .place
                    .foreign(self.at(), &format!("ALTER .. {word}"), hint));
            }
            return Err(self.unexpected("RENAME"));
        }
        if self.peek_word(0) == "COLUMN" || self.peek_word(1) == "TO" {
            let hint = "drop it and create it anew, or SELECT column AS name in a view";
            return Err((self.place).foreign(self.at(), "RENAME of a column", hint));
        }
        self.expect("TO")?;
        let to = self.ident()?;
        Ok(Rename {
            kind,
            if_exists,
            name,
            to,
        })
    }

    pub(crate) fn show(&mut self) -> Result<Show, SqlError> {
        self.expect("SHOW")?;
        let word = self.peek_word(0);
        let show = match word.as_str() {
            "SOURCES" | "STREAMS" => Show::Sources,
            "TABLES" => Show::Tables,
            "SINKS" => Show::Sinks,
            "VIEWS" => Show::Views,
            "JOBS" | "QUERIES" => Show::Jobs,
            "ALL" => Show::All,
            "MATERIALIZED" => {
                self.parser.next_token();
                if self.peek_word(0) != "VIEWS" {
                    return Err(self.unexpected("VIEWS"));
                }
                Show::Views
            }
            _ => return Ok(Show::Setting(self.setting()?)),
        };
        self.parser.next_token();
        Ok(show)
    }

    /// A setting's name, with or without `trefoil.` before it.
    fn setting(&mut self) -> Result<Ident, SqlError> {
        if self.peek_word(0) == "TREFOIL" && self.parser.peek_nth_token(1).token == Token::Period {
            self.parser.next_token();
            self.parser.next_token();
        }
        self.ident()
    }

    pub(crate) fn describe(&mut self) -> Result<Ident, SqlError> {
        self.parser.next_token();
        for kind in ["SOURCE", "TABLE", "SINK", "VIEW"] {
            let next = self.parser.peek_nth_token(1).token;
            if self.peek_word(0) == kind && next != Token::EOF {
                self.parser.next_token();
                break;
            }
        }
        self.ident()
    }

    pub(crate) fn set(&mut self) -> Result<Statement, SqlError> {
        self.expect("SET")?;
        for scope in ["SESSION", "LOCAL", "GLOBAL"] {
            if self.peek_word(0) == scope && !self.peek_word(1).is_empty() {
                let hint = "SET name = value";
                return Err(self.place.foreign(self.at(), &format!("SET {scope}"), hint));
            }
        }
        let name = self.setting()?;
        if !self.take("TO") {
            self.punct(&Token::Eq)?;
        }
        let at = At(self.at());
        let value = match self.take("DEFAULT") {
            true => None,
            false => Some(self.value("a setting's value")?),
        };
        Ok(Statement::Set { name, value, at })
    }

    /// A string, number or word, as text.
    pub(crate) fn value(&mut self, what: &str) -> Result<String, SqlError> {
        let minus = match self.parser.consume_token(&Token::Minus) {
            true => "-",
            false => "",
        };
        let text = match self.parser.peek_token().token {
            Token::SingleQuotedString(text) if minus.is_empty() => text,
            Token::Number(text, _) => text,
            Token::Word(w) if minus.is_empty() && w.quote_style.is_none() => w.value,
            _ => return Err(self.unexpected(what)),
        };
        self.parser.next_token();
        Ok(format!("{minus}{text}"))
    }

    pub(crate) fn explain(&mut self) -> Result<Explain, SqlError> {
        self.expect("EXPLAIN")?;
        let mut analyze = self.take("ANALYZE");
        let mut format = Format::default();
        let options = matches!(self.peek_word(1).as_str(), "FORMAT" | "ANALYZE");
        if options && self.parser.consume_token(&Token::LParen) {
            loop {
                if self.take("ANALYZE") {
                    analyze = true;
                } else {
                    self.expect("FORMAT")?;
                    let at = self.at();
                    let name = self.value("text, json, mermaid or dot")?.to_lowercase();
                    format = Format::named(&name).ok_or_else(|| {
                        let hint = "text, json, mermaid or dot";
                        let message = format!("EXPLAIN has no format \"{name}\"");
                        self.place.hinted("E0104", at, message, hint)
                    })?;
                }
                if !self.parser.consume_token(&Token::Comma) {
                    break;
                }
            }
            self.punct(&Token::RParen)?;
        }
        let word = self.peek_word(0);
        if !matches!(word.as_str(), "SELECT" | "WITH" | "VALUES") && !word.is_empty() {
            return Err(self.unexpected("SELECT"));
        }
        let query_at = At(self.at());
        let query = self.emit_query(Rows::Told)?;
        Ok(Explain {
            analyze,
            format,
            query,
            query_at,
        })
    }
}
