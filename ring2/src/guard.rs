//! What is checked on tokens, before anything recurses over a statement: its size, how deep its
//! brackets go, how long its chains of operators are. Hints for errors
//! of syntax are in [`crate::hints`].

use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, TokenizerError};

use crate::error::SqlError;
use crate::limits::{
    NESTING_MAX, RUN_TOKENS_MAX, SCRIPT_BYTES_MAX, SET_OPERATIONS_MAX, STATEMENT_BYTES_MAX,
    STATEMENT_TOKENS_MAX, STATEMENTS_MAX,
};
use crate::place::{Chunk, Place, word};

/// The size of the file.
pub(crate) fn file(place: Place<'_>) -> Result<(), SqlError> {
    if place.file.text.len() <= SCRIPT_BYTES_MAX {
        return Ok(());
    }
    let at = Location { line: 1, column: 1 };
    let message = format!("the file is longer than {SCRIPT_BYTES_MAX} bytes");
    let mut error = place.error("E0106", at, message);
    error.source_line.truncate(0);
    Err(error)
}

/// Text that is not even tokens.
pub(crate) fn unreadable(place: Place<'_>, error: &TokenizerError) -> SqlError {
    let mut refused = place.error("E0102", error.location, &error.message);
    if error.message.contains("nterminated string") {
        refused.message = "this string has no end".into();
        refused.hint = Some("a quote in a string is written twice: 'it''s'".into());
    } else if error.message.contains("close delimiter") {
        refused.message = "this quoted name has no end".into();
        refused.hint = Some("strings stand in single quotes: 'text'".into());
    } else if error.message.contains("comment") {
        refused.message = "this comment has no end".into();
        refused.hint = Some("close it with */".into());
    }
    refused
}

/// All statements of a file.
pub(crate) fn statements(place: Place<'_>, chunks: &[Chunk]) -> Result<(), SqlError> {
    if let Some(chunk) = chunks.get(STATEMENTS_MAX) {
        let message = format!("a file holds at most {STATEMENTS_MAX} statements");
        return Err(place.error("E0106", chunk.start(), message));
    }
    chunks.iter().try_for_each(|chunk| statement(place, chunk))
}

/// A bracket that is open: its token's place and what closes it.
struct Open {
    at: Location,
    closer: Closer,
    /// Tokens since the last comma in it.
    run: usize,
}

#[derive(PartialEq)]
enum Closer {
    Token(Token),
    End,
    Statement,
}

fn statement(place: Place<'_>, chunk: &Chunk) -> Result<(), SqlError> {
    let tokens = &chunk.tokens;
    let limit = |at, message: String, hint: &str| Err(place.hinted("E0106", at, message, hint));
    if tokens.len() > STATEMENT_TOKENS_MAX {
        let at = tokens[STATEMENT_TOKENS_MAX].span.start;
        let message = format!("the statement has more than {STATEMENT_TOKENS_MAX} words and signs");
        return limit(at, message, "split it");
    }
    let mut bytes = 0;
    let mut set_operations = 0;
    let mut angles = 0;
    let mut open = vec![Open {
        at: chunk.start(),
        closer: Closer::Statement,
        run: 0,
    }];
    for (index, token) in tokens.iter().enumerate() {
        let at = token.span.start;
        bytes += token.token.to_string().len() + 1;
        if bytes > STATEMENT_BYTES_MAX {
            let message = format!("the statement is longer than {STATEMENT_BYTES_MAX} bytes");
            return limit(chunk.start(), message, "split it");
        }
        let next = tokens.get(index + 1).and_then(word).unwrap_or_default();
        if open.len() > 1
            && word(token).as_deref() == Some("EMIT")
            && (matches!(next.as_str(), "CHANGES" | "FINAL" | "EVERY")
                || next == "ON"
                    && tokens.get(index + 2).and_then(word).as_deref() == Some("WINDOW"))
        {
            let hint = "results appear when the whole statement says";
            let message = "EMIT stands at the end of a statement, not inside brackets";
            return Err(place.hinted("E0101", at, message, hint));
        }
        if token.token == Token::DoubleEq {
            return Err(place.hinted("E0101", at, "unexpected \"==\"", "equality is written ="));
        }
        let closer = match &token.token {
            Token::LParen => Some(Closer::Token(Token::RParen)),
            Token::LBracket => Some(Closer::Token(Token::RBracket)),
            Token::LBrace => Some(Closer::Token(Token::RBrace)),
            _ => match word(token).as_deref() {
                Some("CASE") => Some(Closer::End),
                _ => None,
            },
        };
        if let Some(closer) = closer {
            let run = 0;
            open.push(Open { at, closer, run });
        } else if let Token::RParen | Token::RBracket | Token::RBrace = &token.token {
            close(place, &mut open, token)?;
        } else if word(token).as_deref() == Some("END")
            && open.last().is_some_and(|o| o.closer == Closer::End)
        {
            open.pop();
        }
        if open.len() > NESTING_MAX + 1 {
            let message = format!("more than {NESTING_MAX} brackets or CASEs inside one another");
            return limit(at, message, "write parts of it as views");
        }
        let run = open.last_mut().map(|o| {
            o.run = match token.token {
                Token::Comma => 0,
                _ => o.run + 1,
            };
            o.run
        });
        if run > Some(RUN_TOKENS_MAX) {
            let message = format!("a chain of more than {RUN_TOKENS_MAX} words and signs");
            return limit(at, message, "write many alternatives as x IN (...)");
        }
        match word(token).as_deref() {
            Some("UNION" | "EXCEPT" | "INTERSECT" | "MINUS") => set_operations += 1,
            Some("ARRAY" | "STRUCT" | "MAP") => {
                let next = tokens.get(index + 1).map(|t| &t.token);
                angles += usize::from(next == Some(&Token::Lt));
            }
            _ => {}
        }
        if set_operations > SET_OPERATIONS_MAX || angles > NESTING_MAX {
            let message = match angles > NESTING_MAX {
                true => format!("more than {NESTING_MAX} nested types"),
                false => format!("more than {SET_OPERATIONS_MAX} set operations"),
            };
            return limit(at, message, "split it into views");
        }
    }
    match open.pop() {
        Some(Open {
            at,
            closer: Closer::Token(closer),
            ..
        }) => {
            let message = format!("this bracket is never closed: \"{closer}\" is missing");
            Err(place.error("E0101", at, message))
        }
        _ => Ok(()),
    }
}

fn close(place: Place<'_>, open: &mut Vec<Open>, token: &TokenWithSpan) -> Result<(), SqlError> {
    // A CASE that lacks its END is found by the parser, which says more.
    while open.last().is_some_and(|o| o.closer == Closer::End) {
        open.pop();
    }
    match open.last() {
        Some(o) if o.closer == Closer::Token(token.token.clone()) => {
            open.pop();
            Ok(())
        }
        Some(Open {
            at,
            closer: Closer::Token(closer),
            ..
        }) => {
            let message = format!(
                "\"{}\" cannot close the bracket of line {}, column {}: expected \"{closer}\"",
                token.token, at.line, at.column
            );
            Err(place.error("E0101", token.span.start, message))
        }
        _ => {
            let message = format!("\"{}\" closes no bracket", token.token);
            Err(place.error("E0101", token.span.start, message))
        }
    }
}
