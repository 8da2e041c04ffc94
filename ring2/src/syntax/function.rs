//! `CREATE FUNCTION` and `CREATE AGGREGATE`: the tree, how it is read, and its one text. What the
//! body says is not looked at: no function that is declared in SQL runs yet.

use std::fmt::{self, Display, Formatter};

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::print::{flag, name, text};
use super::reader::Reader;
use super::types::TypeName;
use crate::error::SqlError;

const FORM: &str = "CREATE FUNCTION f (a BIGINT) RETURNS BIGINT LANGUAGE sql AS 'a + 1'";

/// What a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionForm {
    /// A row: `CREATE FUNCTION`.
    Scalar,
    /// A group of rows: `CREATE AGGREGATE`.
    Aggregate,
}

/// `CREATE FUNCTION|AGGREGATE`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateFunction {
    /// What it takes.
    pub form: FunctionForm,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// Its name.
    pub name: Ident,
    /// Its arguments, with names where they are given.
    pub arguments: Vec<(Option<Ident>, TypeName)>,
    /// `RETURNS type`.
    pub returns: Option<TypeName>,
    /// `LANGUAGE name`.
    pub language: Option<Ident>,
    /// `AS 'text'`.
    pub body: Option<String>,
}

impl Reader<'_> {
    /// What stands behind FUNCTION or AGGREGATE.
    pub(crate) fn create_function(
        &mut self,
        form: FunctionForm,
        or_replace: bool,
    ) -> Result<CreateFunction, SqlError> {
        let mut function = CreateFunction {
            form,
            or_replace,
            name: self.ident()?,
            arguments: Vec::new(),
            returns: None,
            language: None,
            body: None,
        };
        let hinted = |mut error: SqlError| {
            error.hint.get_or_insert_with(|| FORM.into());
            error
        };
        self.punct(&Token::LParen).map_err(hinted)?;
        while self.parser.peek_token().token != Token::RParen {
            function.arguments.push(self.argument()?);
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.punct(&Token::RParen).map_err(hinted)?;
        loop {
            if function.returns.is_none() && self.take("RETURNS") {
                function.returns = Some(self.whole_type()?);
            } else if function.language.is_none() && self.take("LANGUAGE") {
                function.language = Some(self.ident()?);
            } else if function.body.is_none() && self.take("AS") {
                function.body = Some(self.body()?);
            } else if self.parser.peek_token().token == Token::EOF {
                return Ok(function);
            } else {
                return Err(hinted(self.unexpected("RETURNS LANGUAGE AS")));
            }
        }
    }

    fn argument(&mut self) -> Result<(Option<Ident>, TypeName), SqlError> {
        let type_word =
            |word: &str| matches!(word, "PRECISION" | "VARYING" | "UNSIGNED" | "WITHOUT");
        let next = self.peek_word(1);
        let is_named = !next.is_empty() && !type_word(&next);
        let name = match is_named {
            true => Some(self.ident()?),
            false => None,
        };
        Ok((name, self.whole_type()?))
    }

    fn whole_type(&mut self) -> Result<TypeName, SqlError> {
        let at = self.at();
        let data_type = self.data_type()?;
        match self.closers {
            0 => Ok(data_type),
            _ => Err((self.place).error("E0101", at, "there is one \">\" too many")),
        }
    }

    fn body(&mut self) -> Result<String, SqlError> {
        let body = match self.parser.peek_token().token {
            Token::SingleQuotedString(text) => text,
            Token::DollarQuotedString(text) => text.value,
            _ => return Err(self.unexpected("a text: AS 'body'")),
        };
        self.parser.next_token();
        Ok(body)
    }
}

impl Display for CreateFunction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let replace = flag(self.or_replace, "OR REPLACE ");
        let form = match self.form {
            FunctionForm::Scalar => "FUNCTION",
            FunctionForm::Aggregate => "AGGREGATE",
        };
        let argument = |(own, data_type): &(Option<Ident>, TypeName)| match own {
            Some(own) => format!("{} {data_type}", name(&own.value)),
            None => data_type.to_string(),
        };
        let arguments: Vec<_> = self.arguments.iter().map(argument).collect();
        let own = name(&self.name.value);
        write!(f, "CREATE {replace}{form} {own} ({})", arguments.join(", "))?;
        if let Some(returns) = &self.returns {
            write!(f, " RETURNS {returns}")?;
        }
        if let Some(language) = &self.language {
            write!(f, " LANGUAGE {}", name(&language.value))?;
        }
        match &self.body {
            Some(body) => write!(f, " AS {}", text(body)),
            None => Ok(()),
        }
    }
}
