//! Lines of whatever bytes as NDJSON records: the quick way and the parser that decides agree,
//! record by record and by the chunk, and both with what serde_json makes of the line by itself.

#![no_main]

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use trefoil_ring0::column::Column;
use trefoil_ring0::format::ndjson::{NdjsonParser, is_blank};
use trefoil_ring0::format::record::{Chunk, Stop, Tail};
use trefoil_ring0::format::text::write_json_row;
use trefoil_ring0::format::time::{parse_date, parse_timestamp};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{Field, Schema};

const UNIT: TimeUnit = TimeUnit::Microsecond;
/// Longer inputs are left out: a frame has room for as many rows.
const BYTES_MAX: usize = 4096;

fn schema() -> Arc<Schema> {
    let types = [
        ("b", DataType::Boolean),
        ("d", DataType::Date32),
        ("n", DataType::Int64),
        ("t", DataType::Timestamp(UNIT, None)),
        ("x", DataType::Float64),
        ("s", DataType::Utf8),
    ];
    Arc::new(Schema::new(types.map(|(n, t)| Field::new(n, t)).into()))
}

/// The rows as text, in which NaN equals itself and zeros have signs.
fn rows(schema: &Schema, frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    (0..frame.rows()).for_each(|row| write_json_row(schema, frame, row, &mut out));
    out
}

/// An object's members as they stand there, twice where they are given twice.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }
        json.deserialize_map(All)
    }
}

/// -0.0, which serde_json does not tell from -0; 0.0 is no integer.
fn is_minus_zero(value: &Value) -> bool {
    value
        .as_f64()
        .is_some_and(|x| x == 0.0 && x.is_sign_negative())
}

/// Whether a member's value is one of the column's type and the one in its last row.
fn is_last(column: &Column, name: &str, value: Option<&Value>) -> bool {
    let row = column.len() - 1;
    let text = value.and_then(Value::as_str);
    match (column, value) {
        (column, None | Some(Value::Null)) => !column.is_valid(row),
        (Column::Bool(c), Some(Value::Bool(value))) => c.get(row) == Some(*value),
        (Column::I32(c), _) => c.get(row) == text.and_then(|text| parse_date(text).ok()),
        (Column::I64(c), _) if name == "t" => {
            c.get(row) == text.and_then(|text| parse_timestamp(text, UNIT).ok())
        }
        (Column::I64(c), Some(value @ Value::Number(number))) => {
            let zero = is_minus_zero(value).then_some(0);
            c.get(row) == number.as_i64().or(zero)
        }
        (Column::F64(c), Some(Value::Number(value))) => c.get(row) == value.as_f64(),
        (Column::F64(c), _) => match (text, c.get(row)) {
            (Some("NaN"), Some(x)) => x.is_nan(),
            (Some("Infinity"), x) => x == Some(f64::INFINITY),
            (Some("-Infinity"), x) => x == Some(f64::NEG_INFINITY),
            _ => false,
        },
        (Column::Utf8(c), _) => c.get(row) == text,
        _ => false,
    }
}

/// Whether a value is one that a column of this name takes.
fn is_taken(name: &str, value: &Value) -> bool {
    let text = value.as_str();
    match name {
        _ if value.is_null() => true,
        "b" => value.is_boolean(),
        "d" => text.is_some_and(|text| parse_date(text).is_ok()),
        "t" => text.is_some_and(|text| parse_timestamp(text, UNIT).is_ok()),
        "n" => value.as_i64().is_some() || is_minus_zero(value),
        "x" => value.is_number() || matches!(text, Some("NaN" | "Infinity" | "-Infinity")),
        _ => text.is_some(),
    }
}

/// Checks a line against serde_json: `good` is whether it became the last row of the frame.
fn check(line: &[u8], schema: &Schema, frame: &Frame, good: bool) {
    let members = serde_json::from_slice::<Members>(line).ok();
    // Brackets of all kinds, also of strings: what may be too deep, and is let go.
    let deep = line.iter().filter(|b| matches!(b, b'[' | b'{')).count() > 127;
    let Some(Members(members)) = members.filter(|_| std::str::from_utf8(line).is_ok()) else {
        assert!(!good, "serde_json refuses it");
        return;
    };
    let mut fits = true;
    for (field, column) in schema.fields.iter().zip(&frame.columns) {
        let mut named = members.iter().filter(|(name, _)| *name == field.name);
        let value = named.next().map(|(_, raw)| serde_json::from_str(raw.get()));
        let value: Result<Option<Value>, _> = value.transpose();
        let value = value.ok().filter(|_| named.next().is_none());
        fits &= value.as_ref().is_some_and(|value| {
            let value = value.as_ref();
            value.is_none_or(|value| is_taken(&field.name, value))
        });
        if good {
            let value = value.expect("a value, given once");
            assert!(is_last(column, &field.name, value.as_ref()), "{value:?}");
        }
    }
    assert!(good || deep || !fits, "serde_json takes it");
}

fuzz_target!(|data: &[u8]| {
    if data.len() > BYTES_MAX {
        return;
    }
    let schema = schema();
    let mut parsers = [0; 3].map(|_| NdjsonParser::new(Arc::clone(&schema)));
    let mut frames = [0; 3].map(|_| Frame::new(&schema, BYTES_MAX));
    let [quick, slow, whole] = &mut parsers;
    let [a, b, c] = &mut frames;
    let mut errors = Vec::new();
    for line in data.split(|&b| b == b'\n').filter(|line| !is_blank(line)) {
        let (got, want) = (quick.parse_record(line, a), slow.parse_slowly(line, b));
        assert_eq!(got, want);
        check(line, &schema, b, want.is_ok());
        errors.extend(want.err());
    }
    let chunk = Chunk {
        bytes: data,
        begin_before: data.len(),
        tail: Tail::End,
    };
    let (mut at, mut errors) = (0, errors.into_iter());
    loop {
        let parsed = whole.parse_chunk(&chunk, at, c);
        match parsed.stop {
            Stop::Bad { next, message } => {
                assert!(next > parsed.at);
                assert_eq!(Some(message), errors.next());
                at = next;
            }
            stop => {
                assert_eq!(stop, Stop::ChunkDone);
                break;
            }
        }
    }
    assert_eq!(errors.next(), None);
    assert_eq!(rows(&schema, a), rows(&schema, b));
    assert_eq!(rows(&schema, a), rows(&schema, c));
});
