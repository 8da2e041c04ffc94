//! What a session may set: `SET auto_select_strategy = false`, `SET broadcast_max_bytes = 1000`.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::{Chunk, Place};
use crate::error::SqlError;

/// Above this size a table is not replicated to every shard, unless a setting says so.
const BROADCAST_BYTES_MAX: u64 = 10 * 1024 * 1024;

const AUTO: &str = "auto_select_strategy";
const BROADCAST: &str = "broadcast_max_bytes";

/// What the analysis may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether the strategy is chosen by the plan. `false`: always by hash.
    pub auto_select_strategy: bool,
    /// Up to this size a table is replicated to every shard.
    pub broadcast_max_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auto_select_strategy: true,
            broadcast_max_bytes: BROADCAST_BYTES_MAX,
        }
    }
}

fn name(chunk: &Chunk) -> Option<String> {
    match &chunk.tokens.get(1)?.token {
        Token::Word(word) => Some(word.value.to_lowercase()),
        _ => None,
    }
}

/// Whether a SET is one of these.
pub(crate) fn known(chunk: &Chunk) -> bool {
    name(chunk).is_some_and(|n| n == AUTO || n == BROADCAST)
}

/// Reads `SET name = value`.
pub(crate) fn set(
    place: Place<'_>,
    chunk: &Chunk,
    settings: &mut Settings,
) -> Result<(), SqlError> {
    let at = |i: usize| chunk.tokens.get(i).map_or(chunk.end, |t| t.span.start);
    let equal = chunk
        .tokens
        .get(2)
        .map(|t| t.token.to_string().to_uppercase());
    if !matches!(equal.as_deref(), Some("=" | "TO")) {
        return Err(place.error("E0101", at(2), "expected SET name = value"));
    }
    if let Some(extra) = chunk.tokens.get(4) {
        return Err(place.unexpected(extra, chunk));
    }
    let value = chunk.tokens.get(3).map(|t| t.token.to_string());
    let value = value.unwrap_or_default();
    let value = value.trim_matches('\'').to_lowercase();
    let wrong = |needed: &str| place.error("E0104", at(3), format!("{needed} is needed"));
    match name(chunk).as_deref() {
        Some(AUTO) => {
            settings.auto_select_strategy = match value.as_str() {
                "true" | "on" => true,
                "false" | "off" => false,
                _ => return Err(wrong("true or false")),
            };
        }
        _ => {
            settings.broadcast_max_bytes = value.parse().map_err(|_| wrong("a number of bytes"))?;
        }
    }
    Ok(())
}
