//! What is NULL.

use super::dialect::Dialect;
use crate::format::ndjson::Op;

/// Whether a field is NULL: unquoted and the dialect's text for it, or empty where a value of the
/// type cannot be.
#[inline(always)]
pub(super) fn is(dialect: &Dialect, op: Op, text: &[u8], quoted: bool) -> bool {
    let is_word = || !quoted && text == dialect.null.as_bytes();
    match op {
        Op::Varchar | Op::Text(_) | Op::Binary => is_word(),
        Op::Json => text.is_empty() || is_word() || text.trim_ascii() == b"null",
        _ => text.is_empty() || is_word(),
    }
}
