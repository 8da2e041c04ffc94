//! `CREATE TABLE .. WITH (connector = ..)` without a primary key is a source or a sink: as `type`
//! says, as its connector can only be, or else as it is used first.

use std::borrow::Cow;

use crate::error::SqlError;
use crate::place::Place;
use crate::syntax::{CreateSink, CreateSource, SourceKind};

/// What a definition of columns is.
pub(super) enum Role<'c> {
    /// What it says: a source, or a table of its own.
    Kept,
    /// A source, without its `type`.
    Source(Cow<'c, CreateSource>),
    /// A sink.
    Sink(CreateSink),
    /// A source, until something is written to it: then this sink.
    ByUse(CreateSink),
}

pub(super) fn role<'c>(place: Place<'_>, create: &'c CreateSource) -> Result<Role<'c>, SqlError> {
    if create.kind == SourceKind::Source || !create.has_options {
        return Ok(Role::Kept);
    }
    let option = |name: &str| create.options.iter().find(|o| o.name == name);
    let Some(role) = option("type") else {
        let connector = option("connector").map(|o| o.value.as_str());
        let is_sink = matches!(connector, Some("stdout" | "blackhole" | "print"));
        let computes = create.columns.iter().any(|c| c.generated.is_some());
        let is_read = computes || !create.watermarks.is_empty();
        let has_use = create.primary_key.is_empty() && !is_read;
        return Ok(match (is_sink, has_use) {
            (true, true) => Role::Sink(sink(create)),
            (false, true) => Role::ByUse(sink(create)),
            (_, false) => Role::Kept,
        });
    };
    if let [key, ..] = create.primary_key.as_slice() {
        let message = "a table with a primary key is no source and no sink";
        let hint = "leave PRIMARY KEY or type out";
        return Err(place.hinted("E0105", key.span.start, message, hint));
    }
    match (role.value.as_str(), create.watermarks.first()) {
        ("source", _) => {
            let mut source = create.clone();
            source.kind = SourceKind::Source;
            source.options.retain(|o| o.name != "type");
            Ok(Role::Source(Cow::Owned(source)))
        }
        ("sink", None) => Ok(Role::Sink(sink(create))),
        ("sink", Some(watermark)) => {
            let message = "a sink has no watermark";
            let at = watermark.column.span.start;
            Err(place.hinted("E0105", at, message, "leave WATERMARK FOR out"))
        }
        (other, _) => {
            let message = format!("'{other}' is no type of a table");
            let hint = "known: source, sink";
            Err(place.hinted("E0104", role.value_at.0, message, hint))
        }
    }
}

/// The same as CREATE SINK.
fn sink(create: &CreateSource) -> CreateSink {
    CreateSink {
        if_not_exists: create.if_not_exists,
        name: create.name.clone(),
        columns: create.columns.clone(),
        from: None,
        options: (create.options.iter())
            .filter(|o| o.name != "type")
            .cloned()
            .collect(),
        options_at: create.options_at,
        query: None,
    }
}
