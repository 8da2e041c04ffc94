//! Reads `CREATE SOURCE|STREAM|TABLE` from tokens: PostgreSQL's grammar knows neither watermarks
//! nor `STRUCT<..>`. Options are checked by name; none is ignored.

use std::path::Path;

use datafusion::arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use datafusion::sql::sqlparser::ast::{Expr, Interval};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::catalog::{ColumnDef, SourceDef};
use crate::dialect::{Chunk, Place, parser, word};
use crate::error::{SqlError, nearest};
use crate::interval::nanos;
use crate::partitioning::UnknownStrategy;

const OPTIONS: [&str; 7] = [
    "connector",
    "path",
    "format",
    "event_time_field",
    "watermark_field",
    "allowed_lateness",
    "partitioning",
];

/// A read definition.
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) def: SourceDef,
    pub(crate) name_at: Location,
    pub(crate) if_not_exists: bool,
}

struct Ddl<'a> {
    place: Place<'a>,
    chunk: &'a Chunk,
    parser: Parser<'static>,
    /// `>` that a `>>` token still holds.
    closers: usize,
}

/// Reads a definition; the chunk begins with CREATE.
pub(crate) fn create(place: Place<'_>, chunk: &Chunk) -> Result<Create, SqlError> {
    let parser = parser(&chunk.tokens);
    let mut ddl = Ddl {
        place,
        chunk,
        parser,
        closers: 0,
    };
    ddl.create()
}

impl Ddl<'_> {
    fn at(&self) -> Location {
        match self.parser.peek_token() {
            TokenWithSpan {
                token: Token::EOF, ..
            } => self.chunk.end,
            token => token.span.start,
        }
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = word(&self.parser.peek_token()).is_some_and(|w| w == wanted);
        if found {
            self.parser.next_token();
        }
        found
    }

    fn expect(&mut self, wanted: &str) -> Result<(), SqlError> {
        match self.take(wanted) {
            true => Ok(()),
            false => Err(self.unexpected(wanted)),
        }
    }

    fn unexpected(&self, wanted: &str) -> SqlError {
        let mut error = self.place.unexpected(&self.parser.peek_token(), self.chunk);
        error.message = format!("{}, expected {wanted}", error.message);
        error
    }

    fn punct(&mut self, token: &Token) -> Result<(), SqlError> {
        match self.parser.consume_token(token) {
            true => Ok(()),
            false => Err(self.unexpected(&token.to_string())),
        }
    }

    fn name(&mut self) -> Result<String, SqlError> {
        let Token::Word(w) = self.parser.peek_token().token else {
            return Err(self.unexpected("a name"));
        };
        self.parser.next_token();
        Ok(match w.quote_style {
            None => w.value.to_lowercase(),
            Some(_) => w.value,
        })
    }

    fn create(&mut self) -> Result<Create, SqlError> {
        self.expect("CREATE")?;
        let kind_at = self.at();
        if !(self.take("SOURCE") || self.take("STREAM") || self.take("TABLE")) {
            let what = self.parser.peek_token().token.to_string().to_uppercase();
            return Err(self.place.unsupported(kind_at, format!("CREATE {what}")));
        }
        let if_not_exists = self.take("IF");
        if if_not_exists {
            self.expect("NOT")?;
            self.expect("EXISTS")?;
        }
        let name_at = self.at();
        let mut def = SourceDef {
            name: self.name()?,
            ..SourceDef::default()
        };
        self.punct(&Token::LParen)?;
        let mut late = Vec::new();
        loop {
            self.element(&mut def, &mut late)?;
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.punct(&Token::RParen)?;
        for (column, at, lag) in late {
            let index = self.column(&def, &column, at)?;
            match lag {
                None => def.primary_key.push(index),
                Some(lag) => self.set_watermark(&mut def, index, lag, at)?,
            }
        }
        if !self.take("WITH") {
            let hint = "WITH (connector = 'file', path = '...', format = 'json')";
            let what = "a source or table without WITH";
            let mut error = self.place.unsupported(self.at(), what);
            if self.parser.peek_token().token != Token::EOF {
                error = self.unexpected("WITH");
            }
            error.hint = Some(hint.into());
            return Err(error);
        }
        self.options(&mut def)?;
        if self.parser.peek_token().token != Token::EOF {
            return Err(self.unexpected("end of statement"));
        }
        Ok(Create {
            def,
            name_at,
            if_not_exists,
        })
    }

    fn element(
        &mut self,
        def: &mut SourceDef,
        late: &mut Vec<(String, Location, Option<i64>)>,
    ) -> Result<(), SqlError> {
        let next = word(&self.parser.peek_nth_token(1));
        if next.as_deref() == Some("KEY") && self.take("PRIMARY") {
            self.expect("KEY")?;
            self.punct(&Token::LParen)?;
            loop {
                let at = self.at();
                late.push((self.name()?, at, None));
                if !self.parser.consume_token(&Token::Comma) {
                    break;
                }
            }
            return self.punct(&Token::RParen);
        }
        if next.as_deref() == Some("FOR") && self.take("WATERMARK") {
            self.expect("FOR")?;
            let at = self.at();
            let column = self.name()?;
            let lag = self.watermark(&column)?;
            late.push((column, at, Some(lag)));
            return Ok(());
        }
        let at = self.at();
        let name = self.name()?;
        if def.index_of(&name).is_some() {
            let message = format!("column \"{name}\" is defined twice");
            return Err(self.place.error("E0205", at, message));
        }
        let type_at = self.at();
        let (data_type, declared) = self.data_type()?;
        if self.closers > 0 {
            return Err(self.place.error("E0101", type_at, "unbalanced \">\""));
        }
        let mut nullable = true;
        loop {
            let at = self.at();
            if self.take("NOT") {
                self.expect("NULL")?;
                nullable = false;
            } else if self.take("PRIMARY") {
                self.expect("KEY")?;
                def.primary_key.push(def.columns.len());
            } else if self.take("GENERATED") {
                return Err(self.place.unsupported(at, "a GENERATED column"));
            } else if !self.take("NULL") {
                break;
            }
        }
        def.columns.push(ColumnDef {
            name,
            data_type,
            declared,
            nullable,
        });
        Ok(())
    }

    /// Behind `WATERMARK FOR c`: the lag.
    fn watermark(&mut self, column: &str) -> Result<i64, SqlError> {
        if !self.take("AS") {
            return Ok(0);
        }
        let at = self.at();
        if self.name()? != column {
            let hint = format!("AS {column} - INTERVAL '5' SECOND");
            let message = "a watermark is its column, or its column minus an interval";
            return Err(self.place.hinted("E0105", at, message, hint));
        }
        if !self.parser.consume_token(&Token::Minus) {
            return Ok(0);
        }
        let at = self.at();
        let interval =
            (self.parser.parse_expr()).map_err(|e| self.place.parse_error(e, self.chunk))?;
        match interval {
            Expr::Interval(i) => self.interval(&i, at),
            _ => Err((self.place).error("E0105", at, "a watermark's lag is an INTERVAL")),
        }
    }

    fn interval(&self, interval: &Interval, at: Location) -> Result<i64, SqlError> {
        match nanos(interval) {
            Some(ns) if ns >= 0 => Ok(ns),
            _ => {
                let message = "this interval has no fixed length from 0 up";
                Err(self.place.error("E0105", at, message))
            }
        }
    }

    fn column(&self, def: &SourceDef, name: &str, at: Location) -> Result<usize, SqlError> {
        def.index_of(name).ok_or_else(|| {
            let message = format!("column \"{name}\" does not exist");
            let mut error = self.place.error("E0201", at, message);
            error.hint = nearest(name, def.columns.iter().map(|c| c.name.as_str()))
                .map(|n| format!("did you mean \"{n}\"?"));
            error
        })
    }

    fn set_event_time(
        &self,
        def: &mut SourceDef,
        index: usize,
        at: Location,
    ) -> Result<(), SqlError> {
        let column = &def.columns[index];
        if !matches!(column.data_type, DataType::Timestamp(_, None)) {
            let message = format!("event time is a TIMESTAMP, not {}", column.declared);
            return Err(self.place.error("E0105", at, message));
        }
        if def.event_time.is_some_and(|e| e != index) {
            let message = "a source has one event time";
            return Err(self.place.error("E0105", at, message));
        }
        def.event_time = Some(index);
        Ok(())
    }

    fn set_watermark(
        &self,
        def: &mut SourceDef,
        index: usize,
        lag: i64,
        at: Location,
    ) -> Result<(), SqlError> {
        if def.lag_ns.is_some() {
            let message = "a source has one watermark";
            return Err(self.place.error("E0105", at, message));
        }
        self.set_event_time(def, index, at)?;
        def.lag_ns = Some(lag);
        Ok(())
    }

    fn options(&mut self, def: &mut SourceDef) -> Result<(), SqlError> {
        self.punct(&Token::LParen)?;
        let end = self.at();
        let mut seen: Vec<(String, String, Location)> = Vec::new();
        while self.parser.peek_token().token != Token::RParen {
            let at = self.at();
            let name = match self.parser.peek_token().token {
                Token::SingleQuotedString(text) => {
                    self.parser.next_token();
                    text
                }
                _ => self.name()?,
            };
            if !OPTIONS.contains(&name.as_str()) {
                let known = format!("known options: {}", OPTIONS.join(", "));
                let hint = nearest(&name, OPTIONS.into_iter())
                    .map_or(known.clone(), |n| format!("did you mean \"{n}\"? {known}"));
                let message = format!("unknown option \"{name}\"");
                return Err(self.place.hinted("E0103", at, message, hint));
            }
            if seen.iter().any(|(n, ..)| *n == name) {
                let message = format!("option \"{name}\" is given twice");
                return Err(self.place.error("E0104", at, message));
            }
            self.punct(&Token::Eq)?;
            let at = self.at();
            let Token::SingleQuotedString(value) = self.parser.next_token().token else {
                return Err(self
                    .place
                    .error("E0104", at, "an option's value is a string"));
            };
            seen.push((name, value, at));
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.punct(&Token::RParen)?;
        for needed in ["connector", "path", "format"] {
            if !seen.iter().any(|(n, ..)| n == needed) {
                let message = format!("option \"{needed}\" is missing");
                return Err(self.place.error("E0104", end, message));
            }
        }
        // The watermark stands before what widens it.
        seen.sort_by_key(|(n, ..)| OPTIONS.iter().position(|o| o == n));
        for (name, value, at) in seen {
            self.option(def, &name, &value, at)?;
        }
        Ok(())
    }

    fn option(
        &self,
        def: &mut SourceDef,
        name: &str,
        value: &str,
        at: Location,
    ) -> Result<(), SqlError> {
        let base: &Path = &self.place.file.base;
        match (name, value) {
            ("connector", "file" | "single_file") | ("format", "json") => {}
            ("connector", _) => {
                let what = format!("connector '{value}'");
                return Err(self.place.unsupported(at, what));
            }
            ("format", _) => {
                let what = format!("format '{value}'");
                return Err(self.place.unsupported(at, what));
            }
            ("path", _) => def.path = base.join(value),
            ("partitioning", _) => {
                let wrong = |e: UnknownStrategy| self.place.error("E0104", at, e.to_string());
                def.partitioning = Some(value.parse().map_err(wrong)?);
            }
            ("event_time_field", _) => {
                let index = self.column(def, value, at)?;
                self.set_event_time(def, index, at)?;
            }
            ("watermark_field", _) => {
                let index = self.column(def, value, at)?;
                self.set_watermark(def, index, 0, at)?;
            }
            _ => {
                let lateness = crate::interval::text_nanos(value).filter(|ns| *ns >= 0);
                let (Some(lag), Some(more)) = (def.lag_ns, lateness) else {
                    let message = match lateness {
                        None => format!("'{value}' is no interval such as '5 seconds'"),
                        Some(_) => "allowed_lateness needs a watermark".into(),
                    };
                    return Err(self.place.error("E0104", at, message));
                };
                def.lag_ns = Some(lag.saturating_add(more));
            }
        }
        Ok(())
    }

    fn data_type(&mut self) -> Result<(DataType, String), SqlError> {
        let at = self.at();
        let Some(mut name) = word(&self.parser.peek_token()) else {
            return Err(self.unexpected("a type"));
        };
        self.parser.next_token();
        if name == "DOUBLE" && self.take("PRECISION") {
            name = "DOUBLE PRECISION".into();
        }
        let mut declared = name.clone();
        let mut data_type = match name.as_str() {
            "STRUCT" => {
                self.punct(&Token::Lt)?;
                let mut fields = Vec::new();
                let mut texts = Vec::new();
                loop {
                    let field = self.name()?;
                    let (t, text) = self.data_type()?;
                    texts.push(format!("{field} {text}"));
                    fields.push(Field::new(field, t, true));
                    if self.closers > 0 || !self.parser.consume_token(&Token::Comma) {
                        break;
                    }
                }
                if self.closers > 0 {
                    self.closers -= 1;
                } else if self.parser.consume_token(&Token::ShiftRight) {
                    self.closers = 1;
                } else {
                    self.punct(&Token::Gt)?;
                }
                declared = format!("STRUCT<{}>", texts.join(", "));
                DataType::Struct(Fields::from(fields))
            }
            _ => {
                let numbers = self.numbers()?;
                if let Some(first) = numbers.first() {
                    declared = match numbers.get(1) {
                        Some(second) => format!("{name}({first}, {second})"),
                        None => format!("{name}({first})"),
                    };
                }
                named_type(&name, &numbers).ok_or_else(|| {
                    let hint = "BIGINT, DOUBLE, VARCHAR, BOOLEAN, DATE, TIMESTAMP(3)";
                    let message = format!("type {declared} does not exist");
                    self.place.hinted("E0302", at, message, hint)
                })?
            }
        };
        while self.closers == 0 && self.parser.consume_token(&Token::LBracket) {
            self.punct(&Token::RBracket)?;
            declared.push_str("[]");
            data_type = DataType::new_list(data_type, true);
        }
        Ok((data_type, declared))
    }

    fn numbers(&mut self) -> Result<Vec<i64>, SqlError> {
        let mut numbers = Vec::new();
        if !self.parser.consume_token(&Token::LParen) {
            return Ok(numbers);
        }
        loop {
            let Token::Number(text, _) = self.parser.peek_token().token else {
                return Err(self.unexpected("a number"));
            };
            let number = text.parse().map_err(|_| self.unexpected("a number"))?;
            self.parser.next_token();
            numbers.push(number);
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.punct(&Token::RParen)?;
        Ok(numbers)
    }
}

fn named_type(name: &str, numbers: &[i64]) -> Option<DataType> {
    Some(match (name, numbers) {
        ("VARCHAR" | "TEXT" | "STRING", []) => DataType::Utf8,
        ("BIGINT" | "INT8", []) => DataType::Int64,
        ("INT" | "INTEGER" | "INT4", []) => DataType::Int32,
        ("SMALLINT" | "INT2", []) => DataType::Int16,
        ("TINYINT", []) => DataType::Int8,
        ("DOUBLE" | "DOUBLE PRECISION" | "FLOAT8", []) => DataType::Float64,
        ("FLOAT" | "REAL" | "FLOAT4", []) => DataType::Float32,
        ("BOOLEAN" | "BOOL", []) => DataType::Boolean,
        ("DATE", []) => DataType::Date32,
        ("TIMESTAMP", [0]) => DataType::Timestamp(TimeUnit::Second, None),
        ("TIMESTAMP", [1..=3]) => DataType::Timestamp(TimeUnit::Millisecond, None),
        ("TIMESTAMP", [] | [4..=6]) => DataType::Timestamp(TimeUnit::Microsecond, None),
        ("TIMESTAMP", [7..=9]) => DataType::Timestamp(TimeUnit::Nanosecond, None),
        ("DECIMAL" | "NUMERIC", [p @ 1..=38, rest @ ..]) if rest.len() < 2 => {
            let scale = i8::try_from(rest.first().copied().unwrap_or(0)).ok()?;
            DataType::Decimal128(u8::try_from(*p).ok()?, scale)
        }
        ("BYTEA", []) => DataType::Binary,
        // No query can name a JSON column yet, and a VARCHAR is not one: told apart by its size.
        ("JSON" | "JSONB", []) => DataType::LargeUtf8,
        // A length would have to be checked on every record.
        ("VARCHAR" | "CHAR", [_]) => DataType::Utf8View,
        _ => return None,
    })
}
