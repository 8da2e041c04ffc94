//! From text to tokens and statements. The dialect is PostgreSQL's; what is not PostgreSQL's
//! (EMIT, sources, watermarks) is cut off or read by hand from the tokens, so that EMIT can never
//! be taken for an alias. Every token knows its line and column in its file.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{
    Location, Span, Token, TokenWithSpan, Tokenizer, Word,
};

use crate::SourceFile;
use crate::error::SqlError;

/// The dialect all text is read in.
pub static DIALECT: PostgreSqlDialect = PostgreSqlDialect {};

/// A parser over these tokens.
pub(crate) fn parser(tokens: &[TokenWithSpan]) -> Parser<'static> {
    Parser::new(&DIALECT)
        .with_recursion_limit(64)
        .with_tokens_with_locations(tokens.to_vec())
}

/// The tokens of one statement, without its semicolon, and where it ends.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// Tokens, whitespace left out.
    pub(crate) tokens: Vec<TokenWithSpan>,
    /// Where the semicolon or the end of the file is.
    pub(crate) end: Location,
}

/// A file being read: makes errors that show its lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The file.
    pub(crate) file: &'a SourceFile,
}

impl Place<'_> {
    /// An error at a location of this file.
    pub(crate) fn error(
        &self,
        code: &'static str,
        at: Location,
        message: impl Into<String>,
    ) -> SqlError {
        let line = at.line.max(1);
        let index = usize::try_from(line - 1).unwrap_or(usize::MAX);
        SqlError {
            code,
            message: message.into(),
            file: self.file.name.clone(),
            line,
            column: at.column.max(1),
            source_line: (self.file.text.lines().nth(index))
                .unwrap_or_default()
                .to_string(),
            hint: None,
        }
    }

    /// As [`Place::error`], with a hint.
    pub(crate) fn hinted(
        &self,
        code: &'static str,
        at: Location,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> SqlError {
        SqlError {
            hint: Some(hint.into()),
            ..self.error(code, at, message)
        }
    }

    /// Syntax that the engine will have and has not.
    pub(crate) fn unsupported(&self, at: Location, what: impl std::fmt::Display) -> SqlError {
        let hint = "this version runs projections, filters, grouped and global aggregates and \
                    tumbling windows over one source";
        self.hinted("E0301", at, format!("{what} is not supported yet"), hint)
    }

    /// An error of the parser, whose message ends with the place.
    pub(crate) fn parse_error(&self, error: ParserError, chunk: &Chunk) -> SqlError {
        let text = match error {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
            ParserError::RecursionLimitExceeded => {
                let at = chunk.tokens.first().map_or(chunk.end, |t| t.span.start);
                return self.error("E0101", at, "the statement is nested too deeply");
            }
        };
        let (message, at) = match text.rsplit_once(" at Line: ") {
            Some((message, place)) => {
                let mut numbers = place.split(", Column: ").map(str::parse::<u64>);
                match (numbers.next(), numbers.next()) {
                    (Some(Ok(line)), Some(Ok(column))) => (message, Location { line, column }),
                    _ => (message, chunk.end),
                }
            }
            None => (text.as_str(), chunk.end),
        };
        let message = match message.strip_prefix("Expected: ") {
            Some(rest) => match rest.rsplit_once(", found: ") {
                Some((expected, found)) => {
                    format!("unexpected {}, expected {expected}", quoted(found))
                }
                None => format!("expected {rest}"),
            },
            None => message.to_string(),
        };
        self.error("E0101", at, message)
    }

    /// A token that cannot stand where it stands.
    pub(crate) fn unexpected(&self, token: &TokenWithSpan, chunk: &Chunk) -> SqlError {
        let at = match token.token {
            Token::EOF => chunk.end,
            _ => token.span.start,
        };
        let found = quoted(&token.token.to_string());
        self.error("E0101", at, format!("unexpected {found}"))
    }

    /// Splits the file into statements.
    pub(crate) fn chunks(&self) -> Result<Vec<Chunk>, SqlError> {
        let tokens = Tokenizer::new(&DIALECT, &self.file.text)
            .tokenize_with_location()
            .map_err(|e| self.error("E0102", e.location, e.message))?;
        let mut chunks = Vec::new();
        let mut current = Vec::new();
        let mut end = Location { line: 1, column: 1 };
        for token in tokens {
            match token.token {
                Token::Whitespace(_) | Token::EOF => {}
                Token::SemiColon => {
                    let tokens = std::mem::take(&mut current);
                    let end = token.span.start;
                    chunks.push(Chunk { tokens, end });
                }
                _ => {
                    end = token.span.end;
                    current.push(token);
                }
            }
        }
        let tokens = current;
        chunks.push(Chunk { tokens, end });
        chunks.retain(|c| !c.tokens.is_empty());
        Ok(chunks)
    }

    /// The text between two locations.
    pub(crate) fn text(&self, span: Span) -> String {
        let mut out = String::new();
        for (number, line) in (1..).zip(self.file.text.lines()) {
            if number < span.start.line || number > span.end.line {
                continue;
            }
            if number > span.start.line {
                out.push('\n');
            }
            out.extend((1u64..).zip(line.chars()).filter_map(|(column, c)| {
                let early = number == span.start.line && column < span.start.column;
                let late = number == span.end.line && column >= span.end.column;
                (!early && !late).then_some(c)
            }));
        }
        out
    }
}

fn quoted(token: &str) -> String {
    match token {
        "EOF" => "end of statement".to_string(),
        _ => format!("\"{token}\""),
    }
}

/// The unquoted word of a token, in upper case.
pub(crate) fn word(token: &TokenWithSpan) -> Option<String> {
    match &token.token {
        Token::Word(Word {
            value,
            quote_style: None,
            ..
        }) => Some(value.to_ascii_uppercase()),
        _ => None,
    }
}

/// Where the first of these words stands at or behind `from`; `from` where there is none.
pub(crate) fn find_word(tokens: &[TokenWithSpan], words: &[&str], from: Location) -> Location {
    tokens
        .iter()
        .filter(|t| t.span.start >= from)
        .find(|t| word(t).is_some_and(|w| words.contains(&w.as_str())))
        .map_or(from, |t| t.span.start)
}
