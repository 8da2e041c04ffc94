//! A script: several files of statements, read in order into a catalog and queries. What is read
//! is either run or refused with its place; nothing is ignored.

use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use crate::SourceFile;
use crate::catalog::Catalog;
use crate::ddl;
use crate::dialect::{Chunk, Place, parser, word};
use crate::error::SqlError;
use crate::partitioning::{Settings, settings};

/// When results appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Emit {
    /// Not said.
    Default,
    /// `EMIT FINAL` and `EMIT ON WINDOW CLOSE`, and where.
    Final(Location),
    /// `EMIT CHANGES` or `EMIT EVERY`, and where.
    Unsupported(Location),
}

/// A bare SELECT.
#[derive(Debug, Clone)]
pub(crate) struct Select<'a> {
    /// Where it stands.
    pub(crate) place: Place<'a>,
    /// Its tokens, EMIT left out.
    pub(crate) chunk: Chunk,
    /// Its text.
    pub(crate) sql: String,
    /// The syntax tree.
    pub(crate) query: Query,
    /// When its results appear.
    pub(crate) emit: Emit,
    /// What is declared before it.
    pub(crate) catalog: Catalog,
    /// What is set before it.
    pub(crate) settings: Settings,
}

/// Reads the files.
pub(crate) fn read(files: &[SourceFile]) -> Result<Vec<Select<'_>>, SqlError> {
    let mut catalog = Catalog::default();
    let mut settings = Settings::default();
    let mut queries = Vec::new();
    for file in files {
        let place = Place { file };
        for chunk in place.chunks()? {
            let Some(first) = chunk.tokens.first() else {
                continue;
            };
            let at = first.span.start;
            match (word(first).as_deref(), &first.token) {
                (Some("CREATE"), _) => {
                    let create = ddl::create(place, &chunk)?;
                    let name = create.def.name.clone();
                    if let Some(before) = catalog.sources.get(&name) {
                        if create.if_not_exists {
                            continue;
                        }
                        let message = format!("relation \"{}\" is defined twice", before.name);
                        return Err(place.error("E0205", create.name_at, message));
                    }
                    catalog.sources.insert(name, create.def);
                }
                (Some("SELECT" | "WITH" | "VALUES"), _) | (None, Token::LParen) => {
                    queries.push(select(place, chunk, &catalog, &settings)?);
                }
                (Some("SET"), _) if settings::known(&chunk) => {
                    settings::set(place, &chunk, &mut settings)?;
                }
                (
                    Some(
                        w @ ("INSERT" | "UPDATE" | "DELETE" | "DROP" | "ALTER" | "SHOW"
                        | "DESCRIBE" | "SET" | "FLUSH" | "SUBSCRIBE" | "DECLARE" | "FETCH"
                        | "CHECKPOINT" | "EXPLAIN" | "COPY" | "BEGIN" | "COMMIT"),
                    ),
                    _,
                ) => return Err(place.unsupported(at, w)),
                _ => {
                    let mut error = place.unexpected(first, &chunk);
                    error.message.push_str(", expected a statement");
                    return Err(error);
                }
            }
        }
    }
    Ok(queries)
}

fn select<'a>(
    place: Place<'a>,
    chunk: Chunk,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Select<'a>, SqlError> {
    let start = chunk.tokens.first().map_or(chunk.end, |t| t.span.start);
    let end = chunk.tokens.last().map_or(chunk.end, |t| t.span.end);
    let sql = place.text(Span::new(start, end));
    let (chunk, emit) = cut_emit(place, chunk)?;
    let mut parser = parser(&chunk.tokens);
    let query = *(parser.parse_query()).map_err(|e| place.parse_error(e, &chunk))?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        return Err(place.unexpected(&rest, &chunk));
    }
    Ok(Select {
        place,
        chunk,
        sql,
        query,
        emit,
        catalog: catalog.clone(),
        settings: settings.clone(),
    })
}

/// Cuts the EMIT clause off the end.
fn cut_emit(place: Place<'_>, mut chunk: Chunk) -> Result<(Chunk, Emit), SqlError> {
    let is = |t: Option<&TokenWithSpan>, w: &[&str]| {
        t.and_then(word).is_some_and(|x| w.contains(&x.as_str()))
    };
    let clause = ["FINAL", "ON", "CHANGES", "EVERY"];
    let found = (0..chunk.tokens.len())
        .rev()
        .find(|&i| is(chunk.tokens.get(i), &["EMIT"]) && is(chunk.tokens.get(i + 1), &clause));
    let Some(index) = found else {
        return Ok((chunk, Emit::Default));
    };
    let clause = chunk.tokens.split_off(index);
    let at = clause[0].span.start;
    let words: Vec<_> = clause.iter().filter_map(word).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let (emit, length) = match words.as_slice() {
        ["EMIT", "FINAL", ..] => (Emit::Final(at), 2),
        ["EMIT", "ON", "WINDOW", "CLOSE", ..] => (Emit::Final(at), 4),
        ["EMIT", "ON", ..] => (Emit::Final(at), 2),
        ["EMIT", "CHANGES", ..] => (Emit::Unsupported(at), 2),
        _ => (Emit::Unsupported(at), clause.len()),
    };
    let whole = words.get(1) != Some(&"ON") || length == 4;
    if let Some(extra) = clause.get(length) {
        return Err(place.unexpected(extra, &chunk));
    }
    if !whole {
        return Err(place.error("E0101", chunk.end, "expected WINDOW CLOSE behind EMIT ON"));
    }
    chunk.end = at;
    Ok((chunk, emit))
}
