//! What is accepted, what is refused with which words, and that both agree with serde_json.

mod types;

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;

use super::*;
use crate::column::Column;
use crate::format::text::write_json_row;
use crate::schema::Field;

const MILLIS: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

fn schema() -> Arc<Schema> {
    let mut fields = vec![
        Field::new("b", DataType::Boolean),
        Field::new("day", DataType::Date32),
        Field::new("n", DataType::Int64),
        Field::new("t", MILLIS),
        Field::new("x", DataType::Float64),
        Field::new("s", DataType::Utf8),
        Field::new("must", DataType::Int64),
    ];
    fields[6].nullable = false;
    Arc::new(Schema::new(fields))
}

/// The row that the line becomes, written again.
fn check(line: impl AsRef<[u8]>) -> Result<String, String> {
    let schema = schema();
    let mut parser = NdjsonParser::new(Arc::clone(&schema));
    let mut frame = Frame::new(&schema, 4);
    let first = br#"{"s":"first","n":7,"must":1,"other":0}"#;
    parser.parse_record(first, &mut frame)?;
    let before = frame.clone();
    let result = parser.parse_record(line.as_ref(), &mut frame);
    if let Err(message) = result {
        assert_eq!(frame, before, "a refused record left something behind");
        return Err(message);
    }
    assert_eq!(frame.rows(), 2);
    let mut out = Vec::new();
    write_json_row(&schema, &frame, 1, &mut out);
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn values_of_every_type() {
    for (member, want) in [
        (r#""b":true"#, r#""b":true"#),
        (r#""b":null"#, r#""b":null"#),
        (r#""day":"2024-02-29""#, r#""day":"2024-02-29""#),
        (r#""n":-9223372036854775808"#, r#""n":-9223372036854775808"#),
        (r#""n":9223372036854775807"#, r#""n":9223372036854775807"#),
        (r#""n":-0"#, r#""n":0"#),
        (
            r#""t":"2023-09-18 14:00:00.12""#,
            r#""t":"2023-09-18T14:00:00.120""#,
        ),
        (r#""x":1"#, r#""x":1.0"#),
        (r#""x":-1"#, r#""x":-1.0"#),
        (r#""x":-0"#, r#""x":-0.0"#),
        (r#""x":1E+2"#, r#""x":100.0"#),
        (r#""x":1e-400"#, r#""x":0.0"#),
        (r#""x":0.1"#, r#""x":0.1"#),
        (
            r#""x":18446744073709551616"#,
            r#""x":1.8446744073709552e19"#,
        ),
        (r#""x":5e-324"#, r#""x":5e-324"#),
        (
            r#""x":1.7976931348623157e308"#,
            r#""x":1.7976931348623157e308"#,
        ),
        (r#""x":"NaN""#, r#""x":"NaN""#),
        (r#""x":"Infinity""#, r#""x":"Infinity""#),
        (r#""x":"-Infinity""#, r#""x":"-Infinity""#),
        (r#""s":"""#, r#""s":"""#),
        (
            r#""s":"a\"b\\\/\n\u00fc\ud83d\ude00""#,
            "\"s\":\"a\\\"b\\\\/\\nü😀\"",
        ),
        (r#""s":"\u0000""#, r#""s":"\u0000""#),
        (r#""\u0073":"escaped name""#, r#""s":"escaped name""#),
        (r#""S":"another name""#, r#""s":null"#),
        (r#""":1,"s":"empty name""#, r#""s":"empty name""#),
        (r#""other":{"s":["x",{}],"n":1.5e3},"s":"y""#, r#""s":"y""#),
        (r#""other":1e400,"other":1"#, r#""s":null"#),
    ] {
        for line in [
            format!("{{{member},\"must\":1}}"),
            format!(" {{ \"must\" : 1 , {member} }} \r"),
        ] {
            let got = check(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert!(got.contains(want), "{line}: {got}");
        }
    }
}

#[test]
fn bad_values_name_their_column() {
    for (member, want) in [
        (r#""n":1.0"#, "column n: expected BIGINT, found 1.0"),
        (r#""n":1e2"#, "column n: expected BIGINT, found 100.0"),
        (r#""n":"1""#, "column n: expected BIGINT, found \"1\""),
        (
            r#""n":9223372036854775808"#,
            "column n: 9223372036854775808 is out of range for BIGINT",
        ),
        (r#""n":-9223372036854775809"#, "is out of range for BIGINT"),
        (r#""n":true"#, "column n: expected BIGINT, found true"),
        (r#""n":[1]"#, "column n: expected BIGINT, found an array"),
        (r#""n":{}"#, "column n: expected BIGINT, found an object"),
        (r#""x":1e400"#, "column x: number out of range"),
        (r#""x":"1.0""#, "column x: expected DOUBLE, found \"1.0\""),
        (r#""x":"nan""#, "column x: expected DOUBLE, found \"nan\""),
        (r#""x":01"#, "column x: "),
        (r#""x":.5"#, "column x: "),
        (r#""x":NaN"#, "column x: "),
        (r#""s":1"#, "column s: expected VARCHAR, found 1"),
        (r#""s":false"#, "column s: expected VARCHAR, found false"),
        (
            r#""s":{"a":1}"#,
            "column s: expected VARCHAR, found an object",
        ),
        (r#""s":"\ud83d""#, "column s: "),
        (r#""s":"\ude00x""#, "column s: "),
        (r#""s":"\x""#, "column s: invalid escape"),
        ("\"s\":\"a\tb\"", "column s: control character"),
        (r#""b":1"#, "column b: expected BOOLEAN, found 1"),
        (
            r#""b":"true""#,
            "column b: expected BOOLEAN, found \"true\"",
        ),
        (
            r#""day":"2023-02-29""#,
            "column day: invalid date \"2023-02-29\"",
        ),
        (r#""day":19000"#, "column day: expected DATE, found 19000"),
        (
            r#""t":"yesterday""#,
            "column t: invalid timestamp \"yesterday\"",
        ),
        (
            r#""t":1695045600"#,
            "column t: expected TIMESTAMP, found 1695045600",
        ),
        (r#""s":"a","s":"b""#, "column s: given twice"),
        (r#""s":null,"s":null"#, "column s: given twice"),
        (r#""must":null"#, "column must: null where null cannot be"),
    ] {
        let tail = if member.contains("must") {
            ""
        } else {
            ",\"must\":1"
        };
        let line = format!("{{{member}{tail}}}");
        let message = check(&line).expect_err(&line);
        assert!(message.contains(want), "{line}: {message}");
        assert!(!message.contains(" line "), "{message}");
    }
}

#[test]
fn dirty_lines_are_refused() {
    let good = r#"{"must":1,"s":"x","other":[1,{"a":"b"}]}"#;
    assert!(check(good).is_ok());
    for end in 0..good.len() {
        let message = check(&good[..end]).expect_err(&good[..end]);
        assert!(!message.contains("EOF"), "{message}");
    }
    for line in [
        "null",
        "1",
        "[]",
        "\"s\"",
        "{}",
        "{\"s\":\"must is missing\"}",
        "{must:1}",
        "{\"must\":1,}",
        "{\"must\":1}}",
        "{\"must\":1} x",
        "{\"must\":1}{\"must\":1}",
        "{\"must\" 1}",
        "{\"must\":1 \"s\":\"\"}",
        "{\"must\":1,\"other\":[1,]}",
        "{\"must\":1,\"other\":tru}",
        "{\"must\":1,\"other\":\"\\q\"}",
        "{'must':1}",
        "\u{feff}{\"must\":1}",
        "{\"must\":1,\"other\":01}",
        "{1:1,\"must\":1}",
    ] {
        check(line).expect_err(line);
    }
    let bytes: [&[u8]; 5] = [
        b"{\"must\":1,\"other\":\"\xff\"}",
        b"{\"must\":1,\"s\":\"\xc3\"}",
        b"{\"must\":1,\"s\":\"\xed\xa0\x80\"}",
        b"{\"must\":1,\"\xf8\":1}",
        b"{\"must\":1}\x80",
    ];
    for line in bytes {
        let message = check(line).unwrap_err();
        assert!(message.starts_with("invalid utf-8 at byte "), "{message}");
    }
}

#[test]
fn depth_is_limited_as_by_serde_json() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [1, 100, 125, 126, 127, 128, 1000, 100_000] {
            let value = open.repeat(depth) + "1" + &close.repeat(depth);
            let line = format!("{{\"must\":1,\"other\":{value}}}");
            let want = serde_json::from_str::<serde_json::Value>(&line).is_ok();
            assert_eq!(check(&line).is_ok(), want, "{depth} {open}");
        }
    }
    let brackets = "[\\\"".repeat(1000);
    assert!(check(format!("{{\"must\":1,\"s\":\"{brackets}\"}}")).is_ok());
}

#[test]
fn blank_lines() {
    for (line, want) in [("", true), (" \t\r", true), ("x", false), ("\u{a0}", false)] {
        assert_eq!(is_blank(line.as_bytes()), want, "{line:?}");
    }
}

#[test]
fn order_of_members_does_not_matter() {
    let schema = Arc::new(Schema::new(
        ["a", "b", "c", "d"]
            .map(|n| Field::new(n, DataType::Int64))
            .into(),
    ));
    let mut parser = NdjsonParser::new(Arc::clone(&schema));
    let mut frame = Frame::new(&schema, 4096);
    let names = ["d", "u0", "b", "a", "u1", "c", "u2"];
    // Every subset of the names, each in some rotation.
    for i in 0..4096usize {
        let members: Vec<_> = (0..names.len())
            .map(|k| (k + i / 128) % names.len())
            .filter(|k| i >> k & 1 == 1)
            .map(|k| format!("\"{}\":{}", names[k], i * 10 + k))
            .collect();
        let line = format!("{{{}}}", members.join(","));
        parser.parse_record(line.as_bytes(), &mut frame).unwrap();
        for (field, column) in schema.fields.iter().zip(&frame.columns) {
            let Column::I64(c) = column else {
                panic!("BIGINT")
            };
            let k = names.iter().position(|n| *n == field.name).unwrap();
            let want = (i >> k & 1 == 1).then_some((i * 10 + k) as i64);
            assert_eq!(c.get(i), want, "{line}");
        }
    }
}

#[test]
fn unknown_names_do_not_pile_up() {
    let schema = schema();
    let mut parser = NdjsonParser::new(Arc::clone(&schema));
    let mut frame = Frame::new(&schema, 2000);
    for i in 0..2000 {
        let line = format!("{{\"must\":{i},\"u{i}\":1,\"s\":\"{i}\"}}");
        parser.parse_record(line.as_bytes(), &mut frame).unwrap();
    }
    assert!(parser.names.len() < 300);
    let Column::Utf8(c) = &frame.columns[5] else {
        panic!("VARCHAR")
    };
    assert_eq!(c.get(1999), Some("1999"));
}

fn parse_file(name: &str, fields: Vec<Field>) -> Vec<usize> {
    let path = format!(
        "{}/../harness/tests/fr082/data/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read(path).unwrap();
    let schema = Arc::new(Schema::new(fields));
    let mut parser = NdjsonParser::new(Arc::clone(&schema));
    let mut frame = Frame::new(&schema, 5000);
    for line in text.split(|&b| b == b'\n').filter(|line| !is_blank(line)) {
        parser.parse_record(line, &mut frame).unwrap();
    }
    assert_eq!(frame.rows(), 5000);
    frame.columns.iter().map(|c| c.validity().nulls()).collect()
}

#[test]
fn files_of_fr082() {
    let nulls = parse_file(
        "orders.ndjson",
        vec![
            Field::new("order_id", DataType::Int64),
            Field::new("customer_id", DataType::Utf8),
            Field::new("product_id", DataType::Utf8),
            Field::new("order_amount", DataType::Float64),
            Field::new("order_date", DataType::Date32),
            Field::new("event_time", MILLIS),
        ],
    );
    assert_eq!(nulls, [0, 96, 40, 104, 31, 0]);
    let nulls = parse_file(
        "sensor_readings.ndjson",
        vec![
            Field::new("reading_id", DataType::Int64),
            Field::new("device_id", DataType::Utf8),
            Field::new("sensor_type", DataType::Utf8),
            Field::new("value", DataType::Float64),
            Field::new("event_time", MILLIS),
        ],
    );
    assert_eq!(nulls, [0, 0, 0, 79, 0]);
}

prop_compose! {
    fn any_double()(bits in any::<u64>(), plain in any::<i32>(), kind in 0..4) -> f64 {
        match kind {
            0 => f64::from(plain),
            1 => f64::from(plain) / 100.0,
            2 => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0][bits as usize % 4],
            _ => f64::from_bits(bits),
        }
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any_double().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<i32>().prop_map(|d| {
            let mut out = Vec::new();
            crate::format::time::write_date(d % 1_000_000, &mut out);
            Value::from(String::from_utf8(out).unwrap())
        }),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// Whether a column of this type takes the value, and as what it is written again.
fn want(data_type: &DataType, value: &serde_json::Value) -> Option<serde_json::Value> {
    use crate::format::time::{parse_date, parse_timestamp};
    let taken = match data_type {
        _ if value.is_null() => true,
        DataType::Boolean => value.is_boolean(),
        DataType::Date32 => value.as_str().is_some_and(|t| parse_date(t).is_ok()),
        DataType::Int64 if value.as_f64().is_some_and(|x| x == 0.0) && value.is_f64() => {
            return value.as_f64()?.is_sign_negative().then(|| 0.into());
        }
        DataType::Int64 => value.is_i64(),
        DataType::Timestamp(unit, _) => value
            .as_str()
            .is_some_and(|t| parse_timestamp(t, *unit).is_ok()),
        DataType::Float64 if value.is_number() => return value.as_f64().map(Into::into),
        DataType::Float64 => matches!(value.as_str(), Some("NaN" | "Infinity" | "-Infinity")),
        _ => value.is_string(),
    };
    taken.then(|| value.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn rows_read_back(
        rows in prop::collection::vec((
            prop::option::of(any::<bool>()), prop::option::of(any::<i32>()),
            prop::option::of(any::<i64>()), prop::option::of(any::<i64>()),
            prop::option::of(any_double()), prop::option::of(any::<String>()), any::<i64>(),
        ), 1..8),
    ) {
        let schema = schema();
        let mut frame = Frame::new(&schema, 8);
        for (b, day, n, t, x, s, must) in &rows {
            let mut integers = [*n, *t, Some(*must)].into_iter();
            for column in &mut frame.columns {
                match column {
                    Column::Bool(c) => c.push(*b),
                    Column::I32(c) => c.push(*day),
                    Column::I64(c) => c.push(integers.next().unwrap()),
                    // One NaN stands for all.
                    Column::F64(c) => c.push(x.map(|x| if x.is_nan() { f64::NAN } else { x })),
                    Column::Utf8(c) => c.push(s.as_deref()),
                    other => panic!("no column of {:?}", other.physical()),
                }
            }
            frame.commit_rows(1);
        }
        let mut parser = NdjsonParser::new(Arc::clone(&schema));
        let mut got = Frame::new(&schema, 8);
        for row in 0..rows.len() {
            let mut out = Vec::new();
            write_json_row(&schema, &frame, row, &mut out);
            prop_assert_eq!(parser.parse_record(&out, &mut got), Ok(()));
        }
        for (got, want) in got.columns.iter().zip(&frame.columns) {
            if let (Column::F64(got), Column::F64(want)) = (got, want) {
                let bits = |c: &crate::column::Fixed<f64>| -> Vec<_> {
                    c.values.iter().map(|x| x.to_bits()).collect()
                };
                prop_assert_eq!(bits(got), bits(want));
                prop_assert_eq!(&got.validity, &want.validity);
            } else {
                prop_assert_eq!(got, want);
            }
        }
    }

    #[test]
    fn objects_are_taken_as_serde_json_takes_them(
        members in prop::collection::btree_map("[a-f]|other|\\PC{0,4}", any_json(), 0..8),
    ) {
        let types = [
            DataType::Boolean, DataType::Date32, DataType::Int64, MILLIS, DataType::Float64,
            DataType::Utf8,
        ];
        let names = ["a", "b", "c", "d", "e", "f"];
        let fields = names.iter().zip(types).map(|(n, t)| Field::new(*n, t)).collect();
        let schema = Arc::new(Schema::new(fields));
        let mut frame = Frame::new(&schema, 1);
        let line = serde_json::to_string(&members).unwrap();
        let result = NdjsonParser::new(Arc::clone(&schema))
            .parse_record(line.as_bytes(), &mut frame);
        let wanted: Vec<_> = schema.fields.iter()
            .map(|f| want(&f.data_type, members.get(&f.name).unwrap_or(&serde_json::Value::Null)))
            .collect();
        let fits = wanted.iter().all(Option::is_some);
        prop_assert_eq!(result.is_ok(), fits, "{} {:?}", line, result);
        if result.is_ok() {
            let mut out = Vec::new();
            write_json_row(&schema, &frame, 0, &mut out);
            let got: serde_json::Value = serde_json::from_slice(&out).unwrap();
            for (field, want) in schema.fields.iter().zip(wanted) {
                if !matches!(field.data_type, DataType::Timestamp(..)) {
                    prop_assert_eq!(Some(&got[&field.name]), want.as_ref());
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_taken_whole(
        noise in prop::collection::vec(any::<u8>(), 0..6), at in 0usize..60, cut in 0usize..3,
    ) {
        let mut line = br#"{"must":1,"s":"x\u00e4","x":1.5,"other":[true,{"a":null}]}"#.to_vec();
        let at = at.min(line.len());
        let end = (at + cut).min(line.len());
        line.splice(at..end, noise);
        if check(&line).is_ok() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
        }
    }
}
