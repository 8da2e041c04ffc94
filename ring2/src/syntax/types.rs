//! Types as they are written in definitions, each spelling of a type as one name.

use std::fmt;

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::reader::Reader;
use crate::error::SqlError;
use crate::limits::NESTING_MAX;

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeName {
    /// A name in capitals, and numbers in brackets.
    Named(String, Vec<u64>),
    /// `STRUCT<name TYPE, ..>`.
    Struct(Vec<(Ident, TypeName)>),
    /// `TYPE[]`.
    List(Box<TypeName>),
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name, numbers) if numbers.is_empty() => f.write_str(name),
            Self::Named(name, numbers) => {
                let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
                write!(f, "{name}({})", numbers.join(", "))
            }
            Self::Struct(fields) => {
                let fields: Vec<_> = fields.iter().map(|(n, t)| format!("{n} {t}")).collect();
                write!(f, "STRUCT<{}>", fields.join(", "))
            }
            Self::List(item) => write!(f, "{item}[]"),
        }
    }
}

/// The one name of a type that has several.
fn canonical(name: String) -> String {
    match name.as_str() {
        "TEXT" | "STRING" | "CHARACTER VARYING" => "VARCHAR".into(),
        "INT8" => "BIGINT".into(),
        "INTEGER" | "INT4" => "INT".into(),
        "INT2" => "SMALLINT".into(),
        "FLOAT8" | "DOUBLE PRECISION" => "DOUBLE".into(),
        "FLOAT" | "FLOAT4" => "REAL".into(),
        "BOOL" => "BOOLEAN".into(),
        "NUMERIC" | "DEC" => "DECIMAL".into(),
        "JSONB" => "JSON".into(),
        "TIMESTAMP WITHOUT TIME ZONE" => "TIMESTAMP".into(),
        "TIME WITHOUT TIME ZONE" => "TIME".into(),
        _ => match name.strip_suffix(" UNSIGNED") {
            Some(signed) => format!("{} UNSIGNED", canonical(signed.to_owned())),
            None => name,
        },
    }
}

impl Reader<'_> {
    /// A type, with what `>>` leaves behind in `closers`.
    pub(crate) fn data_type(&mut self) -> Result<TypeName, SqlError> {
        self.nested_type(0)
    }

    fn nested_type(&mut self, depth: usize) -> Result<TypeName, SqlError> {
        let at = self.at();
        if depth > NESTING_MAX {
            let message = format!("more than {NESTING_MAX} types inside one another");
            return Err(self.place.error("E0106", at, message));
        }
        let mut name = self.peek_word(0);
        if name.is_empty() {
            return Err(self.unexpected("a type"));
        }
        self.parser.next_token();
        for (first, rest) in [("DOUBLE", "PRECISION"), ("CHARACTER", "VARYING")] {
            if name == first && self.take(rest) {
                name = format!("{first} {rest}");
            }
        }
        let mut data_type = match name.as_str() {
            "STRUCT" => self.fields(depth)?,
            _ => {
                let numbers = self.numbers()?;
                if self.take("UNSIGNED") {
                    name.push_str(" UNSIGNED");
                } else if self.take_all(&["WITHOUT", "TIME", "ZONE"]) {
                    name.push_str(" WITHOUT TIME ZONE");
                } else if self.take_all(&["WITH", "TIME", "ZONE"]) {
                    name.push_str(" WITH TIME ZONE");
                }
                TypeName::Named(canonical(name), numbers)
            }
        };
        let mut lists = 0;
        while self.closers == 0 && self.parser.consume_token(&Token::LBracket) {
            self.punct(&Token::RBracket)?;
            data_type = TypeName::List(Box::new(data_type));
            lists += 1;
            if depth + lists > NESTING_MAX {
                let message = format!("more than {NESTING_MAX} types inside one another");
                return Err(self.place.error("E0106", at, message));
            }
        }
        Ok(data_type)
    }

    fn fields(&mut self, depth: usize) -> Result<TypeName, SqlError> {
        self.punct(&Token::Lt)?;
        let mut fields: Vec<(Ident, TypeName)> = Vec::new();
        loop {
            let field = self.ident()?;
            if fields.iter().any(|(f, _)| f.value == field.value) {
                let message = format!("field \"{}\" is defined twice", field.value);
                return Err(self.place.error("E0205", field.span.start, message));
            }
            fields.push((field, self.nested_type(depth + 1)?));
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
        Ok(TypeName::Struct(fields))
    }

    fn numbers(&mut self) -> Result<Vec<u64>, SqlError> {
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
