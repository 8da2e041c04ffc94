//! The parser that decides: serde_json, from which values go straight into columns. What
//! [`super::walk`] is in doubt about comes here, and every error is said here.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};

use super::names::Names;
use super::value::{Kind, Value};
use crate::frame::Frame;
use crate::schema::Schema;

/// Objects and arrays inside each other; serde_json's own limit.
pub(super) const DEPTH_MAX: usize = 127;

/// Appends the record `line` to the columns of `frame`, without counting it as a row.
///
/// # Errors
/// Where the line is no record of the schema. Columns may then have a value too many.
pub(super) fn append(
    line: &[u8],
    schema: &Schema,
    kinds: &[Kind],
    names: &Names,
    frame: &mut Frame,
) -> Result<(), String> {
    let text = std::str::from_utf8(line)
        .map_err(|e| format!("invalid utf-8 at byte {}", e.valid_up_to()))?;
    too_deep(line)?;
    let row = frame.rows();
    let mut at = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let record = Record {
        schema,
        kinds,
        names,
        frame,
        row,
        at: &mut at,
    };
    json.deserialize_any(record)
        .and_then(|()| json.end())
        .map_err(|e| message(&e, at.map(|i| schema.fields[i].name.as_str())))?;
    for (field, column) in schema.fields.iter().zip(&mut frame.columns) {
        if column.len() == row {
            if !field.nullable {
                return Err(format!(
                    "column {}: missing, and cannot be null",
                    field.name
                ));
            }
            column.push_null();
        }
    }
    Ok(())
}

/// What serde_json says, with the column it happened in and the byte instead of line and column.
pub(super) fn message(error: &serde_json::Error, column: Option<&str>) -> String {
    let text = error.to_string();
    let text = match text.rfind(" at line ") {
        Some(end) if error.line() > 0 => &text[..end],
        _ => &text,
    };
    let text = match column {
        Some(name) => format!("column {name}: {}", lowercase_start(text)),
        None => lowercase_start(text),
    };
    if error.is_data() {
        text
    } else {
        format!("{text} at byte {}", error.column())
    }
}

/// serde_json begins with `EOF` in places.
fn lowercase_start(text: &str) -> String {
    match text.strip_prefix("EOF") {
        Some(rest) => format!("unexpected end{rest}"),
        None => text.to_owned(),
    }
}

/// Refuses a text whose nesting goes beyond the limit.
pub(super) fn too_deep(text: &[u8]) -> Result<(), String> {
    match is_too_deep(text) {
        true => Err(format!(
            "more than {DEPTH_MAX} levels of objects and arrays"
        )),
        false => Ok(()),
    }
}

/// Whether the nesting of a text goes beyond the limit. serde_json skips a member without any
/// limit, so it is looked at here; few brackets, the rule, are counted and no more.
fn is_too_deep(line: &[u8]) -> bool {
    if line.len() <= 2 * DEPTH_MAX
        || memchr::memchr2_iter(b'[', b'{', line)
            .nth(DEPTH_MAX)
            .is_none()
    {
        return false;
    }
    let (mut depth, mut in_string, mut i) = (0usize, false, 0);
    while let Some(&b) = line.get(i) {
        match b {
            b'\\' if in_string => i += 1,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
        i += 1;
    }
    false
}

/// The object of a record on its way into row `row`.
struct Record<'a> {
    schema: &'a Schema,
    kinds: &'a [Kind],
    names: &'a Names,
    frame: &'a mut Frame,
    row: usize,
    /// The column whose value is being read, for errors of the JSON itself.
    at: &'a mut Option<usize>,
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one json object a line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(wanted) = map.next_key_seed(Key(self.names))? {
            let Some(i) = wanted else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            *self.at = Some(i);
            let column = &mut self.frame.columns[i];
            if column.len() > self.row {
                return Err(A::Error::custom("given twice"));
            }
            map.next_value_seed(Value {
                kind: &self.kinds[i],
                nullable: self.schema.fields[i].nullable,
                column,
            })?;
            *self.at = None;
        }
        Ok(())
    }
}

/// The name of a member on its way to the column that wants it.
struct Key<'a>(&'a Names);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, key: D) -> Result<Option<usize>, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        let known = self.0.find(name.as_bytes());
        Ok(known.and_then(|id| self.0.column(id)))
    }
}
