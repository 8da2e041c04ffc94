//! Records of a file of NDJSON, sent when they were: each is due so long behind the first as its
//! time is, at a speed of choice. One whose time is before that of another in front of it goes with
//! that one: the order is the file's.

use std::path::Path;

use arrow_schema::{DataType, TimeUnit};
use serde_json::{Map, Value as Json};
use trefoil::engine::{Appender, Value};
use trefoil_ring0::format::time::{parse_date, parse_timestamp};

use crate::failure::Failure;

/// Bytes of a file that is sent again: all of it is in memory, so that reading is no slip.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A file that is sent again.
#[derive(Debug)]
pub(crate) struct Replay {
    name: String,
    lines: Vec<String>,
    objects: Vec<Map<String, Json>>,
    due_ns: Vec<u64>,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Str(String),
}

impl Cell {
    /// As an appender takes it.
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::I64(value) => Value::I64(*value),
            Self::U64(value) => Value::U64(*value),
            Self::F64(value) => Value::F64(*value),
            Self::Str(value) => Value::Str(value),
        }
    }
}

/// How times are read.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    /// The field of a record that says when it was.
    pub(crate) field: String,
    /// What whole numbers count.
    pub(crate) unit_ns: i64,
    /// How much faster than it was.
    pub(crate) speed: f64,
}

impl Replay {
    /// Reads a file.
    pub(crate) fn open(path: &Path, timing: &Timing) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let unreadable = |error| Failure::Usage(format!("cannot read {name}: {error}"));
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > FILE_BYTES_MAX {
            let why = format!("{name} has {size} bytes; up to {FILE_BYTES_MAX} are sent again");
            return Err(Failure::Usage(why));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::read(&name, &text, timing)
    }

    fn read(name: &str, text: &str, timing: &Timing) -> Result<Self, Failure> {
        let mut replay = Self {
            name: name.to_owned(),
            lines: Vec::new(),
            objects: Vec::new(),
            due_ns: Vec::new(),
        };
        let mut first = None;
        let lines = text.lines().enumerate();
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |why: String| Failure::Usage(format!("{name}:{}: {why}", number + 1));
            let object: Map<String, Json> =
                serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            let field = &timing.field;
            let time_ns = match object.get(field) {
                Some(Json::String(text)) => parse_timestamp(text, TimeUnit::Nanosecond),
                Some(Json::Number(number)) => number
                    .as_i64()
                    .and_then(|n| n.checked_mul(timing.unit_ns))
                    .ok_or_else(|| format!("{number} is no time")),
                _ => Err(format!(
                    "no field \"{field}\" that says when it was (--time-field)"
                )),
            };
            let time_ns = time_ns.map_err(wrong)?;
            let behind_ns = time_ns.saturating_sub(*first.get_or_insert(time_ns)).max(0);
            let due_ns = (behind_ns as f64 / timing.speed) as u64;
            let last = replay.due_ns.last().copied().unwrap_or(0);
            replay.due_ns.push(due_ns.max(last));
            replay.lines.push(line.to_owned());
            replay.objects.push(object);
        }
        match replay.lines.is_empty() {
            true => Err(Failure::Usage(format!("{name} has no record"))),
            false => Ok(replay),
        }
    }

    /// When each record is due.
    pub(crate) fn due_ns(&self) -> &[u64] {
        &self.due_ns
    }

    /// A record as it stands in the file.
    pub(crate) fn line(&self, number: u64) -> &str {
        &self.lines[number as usize]
    }

    /// All records as rows of what an appender appends to.
    pub(crate) fn rows(&self, appender: &Appender) -> Result<Vec<Vec<Cell>>, Failure> {
        let columns: Vec<(&str, &DataType)> = appender.columns().collect();
        let row = |(number, object): (usize, &Map<String, Json>)| {
            let cells = columns.iter().map(|(name, data_type)| {
                let json = object.get(*name).unwrap_or(&Json::Null);
                cell(json, data_type).map_err(|why| {
                    let file = &self.name;
                    Failure::Usage(format!("{file}, record {}: {name}: {why}", number + 1))
                })
            });
            cells.collect()
        };
        self.objects.iter().enumerate().map(row).collect()
    }
}

/// A value of a column of this type.
fn cell(json: &Json, data_type: &DataType) -> Result<Cell, String> {
    Ok(match (json, data_type) {
        (Json::Null, _) => Cell::Null,
        (Json::Bool(value), _) => Cell::Bool(*value),
        (Json::String(text), DataType::Timestamp(unit, _)) => {
            Cell::I64(parse_timestamp(text, *unit)?)
        }
        (Json::String(text), DataType::Date32) => Cell::I64(parse_date(text)?.into()),
        (Json::String(text), _) => Cell::Str(text.clone()),
        (Json::Number(number), DataType::Float32 | DataType::Float64) => {
            Cell::F64(number.as_f64().ok_or("it is no DOUBLE")?)
        }
        (Json::Number(number), DataType::Decimal128(..)) => {
            return Err(format!("{number}: DECIMAL is not sent from files yet"));
        }
        (Json::Number(number), _) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Cell::I64(value),
            (None, Some(value)) => Cell::U64(value),
            (None, None) => Cell::F64(number.as_f64().ok_or("it is no number")?),
        },
        (Json::Array(_) | Json::Object(_), _) => {
            return Err("lists and structs are not sent from files yet".to_owned());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, speed: f64) -> Result<Replay, Failure> {
        let field = "at".to_owned();
        let unit_ns = 1_000_000;
        Replay::read(
            "f",
            text,
            &Timing {
                field,
                unit_ns,
                speed,
            },
        )
    }

    #[test]
    fn records_are_due_as_they_were() {
        let text = "{\"at\":\"2024-01-01T00:00:01Z\"}\n\n{\"at\":\"2024-01-01T00:00:03Z\"}\n\
                    {\"at\":\"2024-01-01T00:00:02Z\"}\n{\"at\":\"2024-01-01T00:00:00Z\"}\n\
                    {\"at\":\"2024-01-01T00:00:04.5Z\"}";
        let seconds = [
            0,
            2_000_000_000,
            2_000_000_000,
            2_000_000_000,
            3_500_000_000,
        ];
        assert_eq!(read(text, 1.0).unwrap().due_ns(), seconds);
        assert_eq!(read(text, 4.0).unwrap().due_ns(), seconds.map(|t| t / 4));
        let numbers = "{\"at\":5,\"x\":1}\n{\"at\":7}\n";
        let replay = read(numbers, 1.0).unwrap();
        assert_eq!(replay.due_ns(), [0, 2_000_000]);
        assert_eq!(replay.line(0), "{\"at\":5,\"x\":1}");
    }

    #[test]
    fn what_cannot_be_sent_again_is_told_with_its_line() {
        for (text, said) in [
            ("", "f has no record"),
            ("{\"at\":1}\n{\"a\":1}", "f:2: no field \"at\""),
            ("{\"at\":1}\n\n{", "f:3: "),
            ("{\"at\":\"x\"}", "f:1: "),
            ("{\"at\":1e300}", "f:1: "),
        ] {
            let told = read(text, 1.0).unwrap_err().text().unwrap();
            assert!(told.contains(said), "{text}: {told}");
        }
    }

    #[test]
    fn values_become_those_of_columns() {
        let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        let of = |text, data_type| cell(&json(text), &data_type).ok();
        let ms = DataType::Timestamp(TimeUnit::Millisecond, None);
        assert_eq!(of("\"1970-01-01T00:00:01Z\"", ms), Some(Cell::I64(1000)));
        assert_eq!(of("\"1970-01-02\"", DataType::Date32), Some(Cell::I64(1)));
        assert_eq!(of("3", DataType::Float64), Some(Cell::F64(3.0)));
        assert_eq!(of("3", DataType::Int32), Some(Cell::I64(3)));
        assert_eq!(of("null", DataType::Int32), Some(Cell::Null));
        assert_eq!(of("\"x\"", DataType::Utf8), Some(Cell::Str("x".into())));
        assert_eq!(of("[1]", DataType::Utf8), None);
        assert_eq!(of("1", DataType::Decimal128(4, 1)), None);
    }
}
