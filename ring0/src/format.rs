//! Text formats: how a record's bytes become a row of a frame, and a result row bytes again.
//! They stand at both ends of a record's journey. Nothing here knows files, splits or windows,
//! and nothing allocates per record except for strings with escapes.

pub mod time;

pub mod decimal;
pub mod ndjson;
pub mod span;
pub mod text;
