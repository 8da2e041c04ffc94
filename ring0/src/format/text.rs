//! Rows of a frame as text: JSON objects, CSV, and plain cells of tables. Every writer appends to
//! a buffer of the caller's and never fails. A DOUBLE has the shortest digits that read back the
//! same.

use std::io::Write as _;

use arrow_schema::DataType;

use crate::column::Column;
use crate::format::decimal::write_decimal;
use crate::format::span::{write_duration, write_span, write_time};
use crate::format::time::{write_date, write_timestamp};
use crate::frame::Frame;
use crate::schema::{Field, Schema};

/// Appends row `row` as a JSON object without newline, keys in the order of the columns. NaN and
/// the infinities, which JSON has not, are strings.
pub fn write_json_row(schema: &Schema, frame: &Frame, row: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (field, column)) in schema.fields.iter().zip(&frame.columns).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_json_string(&field.name, out);
        out.push(b':');
        write_json_value(field, column, row, out);
    }
    out.push(b'}');
}

/// Appends the names of the columns as a line of CSV, which ends with CR and LF.
pub fn write_csv_header(schema: &Schema, out: &mut Vec<u8>) {
    for (i, field) in schema.fields.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_csv_string(&field.name, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends row `row` as a line of CSV: NULL is an empty cell, the empty string is `""`.
pub fn write_csv_row(schema: &Schema, frame: &Frame, row: usize, out: &mut Vec<u8>) {
    for (i, (field, column)) in schema.fields.iter().zip(&frame.columns).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_csv_value(field, column, row, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a value as a cell of CSV.
pub fn write_csv_value(field: &Field, column: &Column, row: usize, out: &mut Vec<u8>) {
    match column {
        _ if !column.is_valid(row) => {}
        Column::Utf8(c) => write_csv_string(c.value(row), out),
        // What is empty without quotes is NULL.
        Column::Binary(c) if c.bytes(row).is_empty() => out.extend_from_slice(b"\"\""),
        Column::List(_) | Column::Struct(_) => {
            let mut text = Vec::new();
            write_json(&field.data_type, texts(field), column, row, &mut text);
            write_csv_string(&String::from_utf8_lossy(&text), out);
        }
        _ => write_plain(&field.data_type, texts(field), column, row, out),
    }
}

/// Appends the value of a column in row `row` as plain text, NULL as `NULL`.
pub fn write_cell(schema: &Schema, frame: &Frame, column: usize, row: usize, out: &mut Vec<u8>) {
    let (field, column) = (&schema.fields[column], &frame.columns[column]);
    if column.is_valid(row) {
        write_plain(&field.data_type, texts(field), column, row, out);
    } else {
        out.extend_from_slice(b"NULL");
    }
}

/// What the texts of a column are, also those within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    /// Strings.
    Plain,
    /// JSON, written as it is.
    Json,
}

fn texts(field: &Field) -> Texts {
    match field.json {
        true => Texts::Json,
        false => Texts::Plain,
    }
}

/// Appends a value as JSON, NULL as `null`.
pub fn write_json_value(field: &Field, column: &Column, row: usize, out: &mut Vec<u8>) {
    write_json(&field.data_type, texts(field), column, row, out);
}

/// A value as JSON: numbers and booleans as they are, lists as arrays, structs as objects, all
/// else as strings.
fn write_json(data_type: &DataType, texts: Texts, column: &Column, row: usize, out: &mut Vec<u8>) {
    if !column.is_valid(row) {
        return out.extend_from_slice(b"null");
    }
    match (data_type, column) {
        (DataType::List(item), Column::List(c)) => {
            out.push(b'[');
            for (i, element) in c.range(row).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_json(item.data_type(), texts, &c.values, element, out);
            }
            out.push(b']');
        }
        (DataType::Struct(fields), Column::Struct(c)) => {
            for (i, (field, member)) in fields.iter().zip(&c.fields).enumerate() {
                out.push(if i == 0 { b'{' } else { b',' });
                write_json_string(field.name(), out);
                out.push(b':');
                write_json(field.data_type(), texts, member, row, out);
            }
            out.push(b'}');
        }
        (_, Column::Utf8(c)) if texts == Texts::Json => {
            // Within a text of JSON a newline is escaped: one that is not stands between values,
            // and would end the line of this object.
            let blank = |byte: &u8| match byte {
                b'\n' | b'\r' => b' ',
                other => *other,
            };
            out.extend(c.bytes(row).iter().map(blank));
        }
        (_, Column::Utf8(c)) => write_json_string(c.value(row), out),
        (_, Column::F32(c)) if !c.values[row].is_finite() => {
            quoted(data_type, texts, column, row, out)
        }
        (_, Column::F64(c)) if !c.values[row].is_finite() => {
            quoted(data_type, texts, column, row, out)
        }
        (t, _) if t.is_numeric() || *t == DataType::Boolean => {
            write_plain(data_type, texts, column, row, out);
        }
        _ => quoted(data_type, texts, column, row, out),
    }
}

/// Text between quotes that has nothing to escape.
fn quoted(data_type: &DataType, texts: Texts, column: &Column, row: usize, out: &mut Vec<u8>) {
    out.push(b'"');
    write_plain(data_type, texts, column, row, out);
    out.push(b'"');
}

/// A value that is not NULL, as plain text; lists and structs as JSON, bytes in hexadecimal.
fn write_plain(data_type: &DataType, texts: Texts, column: &Column, row: usize, out: &mut Vec<u8>) {
    fn integer(value: impl std::fmt::Display, out: &mut Vec<u8>) {
        write!(out, "{value}").expect("memory takes all bytes");
    }
    match (column, data_type) {
        (Column::Bool(c), _) => {
            let text: &[u8] = if c.values.get(row) { b"true" } else { b"false" };
            out.extend_from_slice(text);
        }
        (Column::I32(c), DataType::Date32) => write_date(c.values[row], out),
        (Column::I32(c), DataType::Time32(unit)) => {
            write_time(i64::from(c.values[row]), *unit, out);
        }
        (Column::I64(c), DataType::Time64(unit)) => write_time(c.values[row], *unit, out),
        (Column::I64(c), DataType::Timestamp(unit, _)) => {
            write_timestamp(c.values[row], *unit, out)
        }
        (Column::I64(c), DataType::Duration(unit)) => {
            write_duration(c.values[row], *unit, out);
        }
        (Column::I8(c), _) => integer(c.values[row], out),
        (Column::I16(c), _) => integer(c.values[row], out),
        (Column::I32(c), _) => integer(c.values[row], out),
        (Column::I64(c), _) => {
            serde_json::to_writer(out, &c.values[row]).expect("memory takes all bytes");
        }
        (Column::U8(c), _) => integer(c.values[row], out),
        (Column::U16(c), _) => integer(c.values[row], out),
        (Column::U32(c), _) => integer(c.values[row], out),
        (Column::U64(c), _) => integer(c.values[row], out),
        (Column::F32(c), _) => write_float(c.values[row], out),
        (Column::F64(c), _) => write_double(c.values[row], out),
        (Column::I128(c), DataType::Decimal128(_, scale)) => {
            write_decimal(c.values[row], scale.unsigned_abs(), out);
        }
        (Column::I128(c), _) => integer(c.values[row], out),
        (Column::Interval(c), _) => write_span(c.values[row], out),
        (Column::Utf8(c), _) => out.extend_from_slice(c.bytes(row)),
        (Column::Binary(c), _) => {
            for byte in c.bytes(row) {
                write!(out, "{byte:02x}").expect("memory takes all bytes");
            }
        }
        (Column::List(_) | Column::Struct(_), _) => {
            write_json(data_type, texts, column, row, out);
        }
    }
}

/// As a DOUBLE, with the digits that read back as the same FLOAT.
fn write_float(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        write_number(&value, out);
    } else {
        write_double(f64::from(value), out);
    }
}

fn write_number(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    let start = out.len();
    serde_json::to_writer(&mut *out, value).expect("memory takes all bytes");
    // Some versions of serde_json write 1e+300; the shortest form has no plus.
    if let Some(at) = out[start..].iter().position(|&b| b == b'+') {
        out.remove(start + at);
    }
}

fn write_double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        write_number(&value, out);
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value > 0.0 {
        out.extend_from_slice(b"Infinity");
    } else {
        out.extend_from_slice(b"-Infinity");
    }
}

/// Appends text as a JSON string.
pub fn write_json_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("memory takes all bytes");
}

/// A cell of CSV; one that is empty is quoted, so that it is no NULL.
pub fn write_csv_string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let special = |b: &u8| matches!(b, b',' | b'"' | b'\r' | b'\n');
    if !bytes.is_empty() && !bytes.iter().any(special) {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    for &b in bytes {
        if b == b'"' {
            out.push(b'"');
        }
        out.push(b);
    }
    out.push(b'"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use arrow_schema::TimeUnit;

    fn sample() -> (Schema, Frame) {
        let schema = Schema::new(vec![
            Field::new("b", DataType::Boolean),
            Field::new("a \"day\"", DataType::Date32),
            Field::new("n", DataType::Int64),
            Field::new("t", DataType::Timestamp(TimeUnit::Millisecond, None)),
            Field::new("x,y", DataType::Float64),
            Field::new("s", DataType::Utf8),
        ]);
        let mut frame = Frame::new(&schema, 8);
        let doubles = [1.0, 1e300, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let texts = ["", "plain", "a,\"b\"", "line\nfeed", "ü\u{1}", "cr\r"];
        for row in 0..6 {
            for column in &mut frame.columns {
                match column {
                    Column::Bool(c) => c.push(Some(row == 0)),
                    Column::I32(c) => c.push(Some(19_618)),
                    Column::I64(c) => c.push(Some(1_695_045_600_120 + row as i64)),
                    Column::F64(c) => c.push(Some(doubles[row])),
                    Column::Utf8(c) => c.push(Some(texts[row])),
                    other => panic!("no column of {:?}", other.physical()),
                }
            }
        }
        frame.columns.iter_mut().for_each(Column::push_null);
        frame.commit_rows(7);
        (schema, frame)
    }

    fn lines(write: impl Fn(usize, &mut Vec<u8>)) -> Vec<String> {
        let line = |row| {
            let mut out = Vec::new();
            write(row, &mut out);
            String::from_utf8(out).unwrap()
        };
        (0..7).map(line).collect()
    }

    #[test]
    fn json_rows() {
        let (schema, frame) = sample();
        let got = lines(|row, out| write_json_row(&schema, &frame, row, out));
        let start = |b: &str, n: i64| {
            format!(
                "{{\"b\":{b},\"a \\\"day\\\"\":\"2023-09-18\",\"n\":{},\
                 \"t\":\"2023-09-18T14:00:00.{}\",\"x,y\":",
                1_695_045_600_120 + n,
                120 + n
            )
        };
        assert_eq!(got[0], start("true", 0) + "1.0,\"s\":\"\"}");
        assert_eq!(got[1], start("false", 1) + "1e300,\"s\":\"plain\"}");
        assert_eq!(got[2], start("false", 2) + "-0.0,\"s\":\"a,\\\"b\\\"\"}");
        assert_eq!(got[3], start("false", 3) + "\"NaN\",\"s\":\"line\\nfeed\"}");
        assert_eq!(
            got[4],
            start("false", 4) + "\"Infinity\",\"s\":\"ü\\u0001\"}"
        );
        assert_eq!(got[5], start("false", 5) + "\"-Infinity\",\"s\":\"cr\\r\"}");
        let nulls =
            "{\"b\":null,\"a \\\"day\\\"\":null,\"n\":null,\"t\":null,\"x,y\":null,\"s\":null}";
        assert_eq!(got[6], nulls);
    }

    #[test]
    fn csv_rows() {
        let (schema, frame) = sample();
        let mut header = Vec::new();
        write_csv_header(&schema, &mut header);
        assert_eq!(header, b"b,\"a \"\"day\"\"\",n,t,\"x,y\",s\r\n");
        let got = lines(|row, out| write_csv_row(&schema, &frame, row, out));
        let first = "true,2023-09-18,1695045600120,2023-09-18T14:00:00.120,1.0,\"\"\r\n";
        assert_eq!(got[0], first);
        for (row, end) in [
            (1, ",1e300,plain\r\n"),
            (2, ",-0.0,\"a,\"\"b\"\"\"\r\n"),
            (3, ",NaN,\"line\nfeed\"\r\n"),
            (4, ",Infinity,ü\u{1}\r\n"),
            (5, ",-Infinity,\"cr\r\"\r\n"),
            (6, ",,,,,\r\n"),
        ] {
            assert!(got[row].ends_with(end), "{}", got[row]);
        }
    }

    #[test]
    fn cells() {
        let (schema, frame) = sample();
        for (column, row, want) in [
            (0, 0, "true"),
            (1, 0, "2023-09-18"),
            (2, 0, "1695045600120"),
            (3, 0, "2023-09-18T14:00:00.120"),
            (4, 0, "1.0"),
            (5, 0, ""),
            (5, 2, "a,\"b\""),
            (5, 6, "NULL"),
        ] {
            let mut out = Vec::new();
            write_cell(&schema, &frame, column, row, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}
