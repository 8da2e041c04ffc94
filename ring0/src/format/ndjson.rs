//! One JSON object a line: the parser of NDJSON records.
//!
//! Members are matched to columns by name. Values go straight into the frame's columns; a record
//! that fails is taken back, so that a frame only ever holds whole records. The text is checked
//! as a whole: UTF-8, JSON down to members that no column wants, nothing behind the object.
//!
//! -0 counts as the BIGINT 0, and so does -0.0, which serde_json does not tell apart.

mod names;
mod value;

use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};

use self::names::{Names, Wanted};
use self::value::{Kind, Value};
use crate::frame::Frame;
use crate::schema::Schema;

/// Objects and arrays inside each other; serde_json's own limit.
const DEPTH_MAX: usize = 127;

/// Whether the line holds only JSON white space.
pub fn is_blank(line: &[u8]) -> bool {
    line.iter()
        .all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

/// Parses the records of one source into frames of its schema.
#[derive(Debug)]
pub struct NdjsonParser {
    schema: Arc<Schema>,
    kinds: Vec<Kind>,
    names: Names,
}

impl NdjsonParser {
    /// A parser of records of this schema.
    ///
    /// # Panics
    /// Where a field has a type that [`crate::schema::physical`] does not know.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self {
            kinds: schema.fields.iter().map(Kind::of).collect(),
            names: Names::new(&schema),
            schema,
        }
    }

    /// Appends one record, given without its newline, to `frame`, which is of the parser's schema
    /// and has room for a row.
    ///
    /// # Errors
    /// Where the line is no JSON object, or a member is no value of its column's type; the text
    /// names the column. Nothing of the record stays in the frame.
    pub fn parse_record(&mut self, line: &[u8], frame: &mut Frame) -> Result<(), String> {
        let result = self.append(line, frame);
        match result {
            Ok(()) => frame.commit_rows(1),
            Err(_) => frame.roll_back(),
        }
        result
    }

    fn append(&mut self, line: &[u8], frame: &mut Frame) -> Result<(), String> {
        let text = std::str::from_utf8(line)
            .map_err(|e| format!("invalid utf-8 at byte {}", e.valid_up_to()))?;
        if is_too_deep(line) {
            return Err(format!(
                "more than {DEPTH_MAX} levels of objects and arrays"
            ));
        }
        let row = frame.rows();
        let mut at = None;
        let mut json = serde_json::Deserializer::from_str(text);
        self.names.rewind();
        let record = Record {
            schema: &self.schema,
            kinds: &self.kinds,
            names: &mut self.names,
            frame,
            row,
            at: &mut at,
        };
        json.deserialize_any(record)
            .and_then(|()| json.end())
            .map_err(|e| message(&e, at.map(|i| self.schema.fields[i].name.as_str())))?;
        for (field, column) in self.schema.fields.iter().zip(&mut frame.columns) {
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
}

/// What serde_json says, with the column it happened in and the byte instead of line and column.
fn message(error: &serde_json::Error, column: Option<&str>) -> String {
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
    names: &'a mut Names,
    frame: &'a mut Frame,
    row: usize,
    /// The column whose value is being read, for errors of the JSON itself.
    at: &'a mut Option<usize>,
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a json object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(wanted) = map.next_key_seed(&mut *self.names)? {
            let Wanted(Some(i)) = wanted else {
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

impl<'de> DeserializeSeed<'de> for &mut Names {
    type Value = Wanted;

    fn deserialize<D: serde::Deserializer<'de>>(self, key: D) -> Result<Wanted, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for &mut Names {
    type Value = Wanted;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Wanted, E> {
        Ok(self.find(name))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
