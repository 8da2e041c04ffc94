//! A file being read: its tokens, cut into statements, and errors that show its lines. Every token
//! knows its line and column. Words without quotes are written small here, so that a syntax tree
//! and its canonical text do not depend on how a name was typed; errors show what was typed.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{
    Location, Span, Token, TokenWithSpan, Tokenizer, Word,
};

use crate::SourceFile;
use crate::dialect::{DIALECT, parser};
use crate::error::{Code, SqlError};
use crate::guard;
use crate::hints::with_syntax_hint;

/// The tokens of one statement, without its semicolon, and where it ends.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// Tokens, whitespace left out.
    pub(crate) tokens: Vec<TokenWithSpan>,
    /// Where the semicolon or the end of the file is.
    pub(crate) end: Location,
}

impl Chunk {
    /// Where the statement begins.
    pub(crate) fn start(&self) -> Location {
        self.tokens.first().map_or(self.end, |t| t.span.start)
    }
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
        debug_assert!(Code::ALL.iter().any(|c| c.name() == code), "{code}");
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
        let hint = "docs/sql.md says what runs";
        self.hinted("E0301", at, format!("{what} is not supported yet"), hint)
    }

    /// Syntax that is no part of this SQL.
    pub(crate) fn foreign(&self, at: Location, what: &str, hint: &str) -> SqlError {
        let error = self.error("E0303", at, format!("{what} is not part of this SQL"));
        SqlError {
            hint: (!hint.is_empty()).then(|| hint.to_string()),
            ..error
        }
    }

    /// An error of the parser, whose message ends with the place.
    pub(crate) fn parse_error(&self, error: ParserError, chunk: &Chunk) -> SqlError {
        let text = match error {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
            ParserError::RecursionLimitExceeded => {
                let hint = "write parts of it as views";
                let message = "the statement is nested too deeply";
                return self.hinted("E0106", chunk.start(), message, hint);
            }
        };
        let (message, at) = match text.rsplit_once(" at Line: ") {
            Some((message, place)) => {
                let mut numbers = place.split(", Column: ").map(str::parse::<u64>);
                match (numbers.next(), numbers.next()) {
                    (Some(Ok(line)), Some(Ok(column))) if line > 0 => {
                        (message, Location { line, column })
                    }
                    _ => (message, chunk.end),
                }
            }
            None => (text.as_str(), chunk.end),
        };
        if message.starts_with("Expected an expression, found: ") {
            // The parser took FROM for a column, and stands behind it.
            let from = chunk.tokens.iter().rev().find(|t| t.span.start < at);
            let at = from.map_or(at, |t| t.span.start);
            let message = "unexpected \"FROM\", expected an expression";
            return with_syntax_hint(self.error("E0101", at, message), chunk, at);
        }
        if message.starts_with("Expected 'FROM' or ','") {
            let at = find_word(&chunk.tokens, &["EXTRACT"], chunk.start());
            let message = "EXTRACT lacks its FROM";
            return self.hinted("E0101", at, message, "EXTRACT(HOUR FROM ts)");
        }
        if message.starts_with("Expected: joined table")
            && let Some(inner) = self.subquery_error(chunk, at)
        {
            return inner;
        }
        let message = match message.strip_prefix("Expected: ") {
            Some(rest) => match rest.rsplit_once(", found: ") {
                Some((expected, found)) => {
                    let typed = chunk.tokens.iter().find(|t| t.span.start == at);
                    let found = typed.map_or(found.to_string(), |t| self.text(t.span));
                    format!("unexpected {}, expected {expected}", quoted(&found))
                }
                None => format!("expected {rest}"),
            },
            None => message.to_string(),
        };
        with_syntax_hint(self.error("E0101", at, message), chunk, at)
    }

    /// The parser reads a bracket in FROM as a subquery and then as joins, and tells what is wrong
    /// with the joins: what is wrong with the subquery, where it is one.
    fn subquery_error(&self, chunk: &Chunk, at: Location) -> Option<SqlError> {
        let here = chunk.tokens.iter().position(|t| t.span.start >= at)?;
        let begins = |i: &usize| {
            let word = chunk.tokens.get(i + 1).and_then(word).unwrap_or_default();
            chunk.tokens[*i].token == Token::LParen
                && matches!(word.as_str(), "SELECT" | "WITH" | "VALUES")
        };
        let open = (0..here).rev().find(begins)?;
        let mut depth = 0usize;
        let close = (open..chunk.tokens.len()).find(|i| {
            match chunk.tokens[*i].token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        })?;
        let inner = Chunk {
            tokens: chunk.tokens[open + 1..close].to_vec(),
            end: chunk.tokens[close].span.start,
        };
        let mut parser = parser(&inner.tokens);
        match parser.parse_query() {
            Err(error) => Some(self.parse_error(error, &inner)),
            Ok(_) => match parser.peek_token() {
                rest if rest.token == Token::EOF => None,
                rest => Some(self.unexpected(&rest, &inner)),
            },
        }
    }

    /// A token that cannot stand where it stands.
    pub(crate) fn unexpected(&self, token: &TokenWithSpan, chunk: &Chunk) -> SqlError {
        let (at, found) = match token.token {
            Token::EOF => (chunk.end, "EOF".to_string()),
            _ => (token.span.start, self.text(token.span)),
        };
        let error = self.error("E0101", at, format!("unexpected {}", quoted(&found)));
        with_syntax_hint(error, chunk, at)
    }

    /// Splits the file into statements.
    pub(crate) fn chunks(&self) -> Result<Vec<Chunk>, SqlError> {
        guard::file(*self)?;
        let tokens = Tokenizer::new(&DIALECT, &self.file.text)
            .tokenize_with_location()
            .map_err(|e| guard::unreadable(*self, &e))?;
        let mut chunks = Vec::new();
        let mut current = Vec::new();
        let mut end = Location { line: 1, column: 1 };
        for mut token in tokens {
            match &mut token.token {
                Token::Whitespace(_) | Token::EOF => continue,
                Token::SemiColon => {
                    let tokens = std::mem::take(&mut current);
                    let end = token.span.start;
                    chunks.push(Chunk { tokens, end });
                    continue;
                }
                // The parser prints such a name as another one, or as none.
                Token::Word(w)
                    if w.quote_style.is_some() && {
                        w.value.contains("\"\"") || w.value.contains("\\\"")
                    } =>
                {
                    let at = token.span.start;
                    let message = "a name with two quotes, or a quote behind a backslash";
                    return Err(self.hinted("E0102", at, message, "name it otherwise"));
                }
                Token::Word(w) if w.quote_style.is_none() => {
                    w.value = w.value.to_lowercase();
                    // `f(CASE value ..)` would be an argument called "case".
                    if w.keyword == Keyword::VALUE {
                        w.keyword = Keyword::NoKeyword;
                    }
                }
                _ => {}
            }
            end = token.span.end;
            current.push(token);
        }
        let tokens = current;
        chunks.push(Chunk { tokens, end });
        chunks.retain(|c| !c.tokens.is_empty());
        guard::statements(*self, &chunks)?;
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
