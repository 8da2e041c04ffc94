//! Reads SUBSCRIBE, and the cursors over it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, visit_expressions_mut};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::reader::Reader;
use super::statement::{Statement, Subscribe};
use crate::error::SqlError;

impl Reader<'_> {
    pub(crate) fn subscribe(&mut self) -> Result<Subscribe, SqlError> {
        self.expect("SUBSCRIBE")?;
        self.take("TO");
        let view = self.ident()?;
        let mut selection = self.selection()?;
        // There is no other relation that a column could be of.
        let _: ControlFlow<()> = visit_expressions_mut(&mut selection, |expr| {
            if let Expr::CompoundIdentifier(parts) = expr
                && let [of, column] = &mut parts[..]
                && *of == view
            {
                *expr = Expr::Identifier(column.clone());
            }
            ControlFlow::Continue(())
        });
        Ok(Subscribe { view, selection })
    }

    pub(crate) fn declare(&mut self) -> Result<Statement, SqlError> {
        self.expect("DECLARE")?;
        let cursor = self.ident()?;
        self.expect("CURSOR")?;
        self.expect("FOR")?;
        if matches!(self.peek_word(0).as_str(), "SELECT" | "WITH" | "VALUES") {
            let hint = "DECLARE c CURSOR FOR SUBSCRIBE v WHERE condition";
            return Err((self.place).foreign(self.at(), "a cursor over a query", hint));
        }
        if self.peek_word(0) != "SUBSCRIBE" {
            return Err(self.unexpected("SUBSCRIBE"));
        }
        let subscribe = self.subscribe()?;
        Ok(Statement::Declare { cursor, subscribe })
    }

    pub(crate) fn fetch(&mut self) -> Result<Statement, SqlError> {
        self.expect("FETCH")?;
        let at = self.at();
        let rows = match self.parser.peek_token().token {
            Token::Number(text, _) => text.parse().ok(),
            Token::Word(w) if w.value == "next" => Some(1),
            _ => None,
        };
        let Some(rows) = rows else {
            let word = self.peek_word(0);
            let is_move = matches!(
                word.as_str(),
                "FORWARD"
                    | "BACKWARD"
                    | "ALL"
                    | "PRIOR"
                    | "FIRST"
                    | "LAST"
                    | "ABSOLUTE"
                    | "RELATIVE"
            );
            let hint = "a cursor goes on, so many rows at most: FETCH 100 FROM c";
            return Err(match is_move {
                true => self.place.foreign(at, &format!("FETCH {word}"), hint),
                false => self.unexpected("a number of rows"),
            });
        };
        self.parser.next_token();
        self.expect("FROM")?;
        let cursor = self.ident()?;
        Ok(Statement::Fetch { rows, cursor })
    }
}
