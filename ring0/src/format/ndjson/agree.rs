//! The quick way and the other parser agree: the same rows, the same refusals in the same words,
//! over streams of records that change under the layouts that were kept.

use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, TimeUnit};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::format::record::too_long;
use crate::format::tests::rows;
use crate::limits::RECORD_BYTES_MAX;
use crate::schema::Field;

/// Names of columns of all types.
const NAMES: [&str; 23] = [
    "b", "day", "n", "t", "x", "s", "must", "i8", "i16", "i32", "u8", "u16", "u32", "u64", "f",
    "time", "clock", "money", "list", "pair", "json", "bin", "when",
];

fn schema() -> Arc<Schema> {
    use DataType::*;
    let pair = [
        ArrowField::new("n", Int8, true),
        ArrowField::new("x", Float32, true),
    ];
    let fields = NAMES.map(|name| match name {
        "b" => Field::new(name, Boolean),
        "day" => Field::new(name, Date32),
        "t" => Field::new(name, Timestamp(TimeUnit::Millisecond, None)),
        "x" => Field::new(name, Float64),
        "s" => Field::new(name, Utf8),
        "i8" => Field::new(name, Int8),
        "i16" => Field::new(name, Int16),
        "i32" => Field::new(name, Int32),
        "u8" => Field::new(name, UInt8),
        "u16" => Field::new(name, UInt16),
        "u32" => Field::new(name, UInt32),
        "u64" => Field::new(name, UInt64),
        "f" => Field::new(name, Float32),
        "time" => Field::new(name, Time32(TimeUnit::Millisecond)),
        "clock" => Field::new(name, Time64(TimeUnit::Nanosecond)),
        "money" => Field::new(name, Decimal128(10, 2)),
        "list" => Field::new(name, DataType::new_list(Float64, true)),
        "pair" => Field::new(name, Struct(pair.to_vec().into())),
        "json" => Field::json(name),
        "bin" => Field::new(name, Binary),
        "when" => Field {
            epoch: Some(TimeUnit::Microsecond),
            ..Field::new(name, Timestamp(TimeUnit::Millisecond, None))
        },
        _ => Field::new(name, Int64),
    });
    let mut schema = Schema::new(fields.into());
    schema.fields[6].nullable = false;
    Arc::new(schema)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        15 => select(&NAMES[..7]).prop_map(str::to_owned),
        15 => select(&NAMES[7..]).prop_map(str::to_owned),
        6 => select(&["", "other", "a name of more than sixteen bytes", "ü", "s "][..])
            .prop_map(str::to_owned),
        // Names with escapes; some are those of columns, some none at all.
        4 => select(&["\\u0073", "\\u006e", "m\\u0075st", "\\/", "\\ud83d", "\\x", "\u{1}"][..])
            .prop_map(str::to_owned),
        1 => "\\PC{0,4}",
        1 => "[a-z]{0,300}",
    ]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (0u8..100).prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        any::<u128>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|x| format!("{x:e}")),
        any::<f64>().prop_map(|x| format!("{x:?}")),
        (any::<i32>(), 0u32..1000).prop_map(|(a, b)| format!("{a}.{b}")),
        "-?[0-9]{0,22}\\.?[0-9]{0,22}([eE][-+]?[0-9]{0,5})?",
        select(
            &[
                "-0",
                "-0.0",
                "0.0",
                "00",
                "-",
                "1.",
                ".5",
                "1e",
                "1e400",
                "-1e400",
                "1e-400",
                "9223372036854775807",
                "9223372036854775808",
                "-9223372036854775808",
                "-9223372036854775809",
                "NaN",
                "+1",
                "0x1",
                "1e99999",
                "1e999999",
            ][..]
        )
        .prop_map(str::to_owned),
    ]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        10 => "[ -!#-\\[\\]-~]{0,20}",
        3 => "\\PC{0,6}".prop_map(|s: String| s.replace(['"', '\\'], "ä")),
        3 => select(&["\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0000",
            "\\u00fC", "\\uD83D\\uDE00", "\\u20aC"][..]).prop_map(str::to_owned),
        // What strings may not have.
        1 => select(&["\\ud83d", "\\ude00", "\\ud83d\\u0041", "\\ud83dx", "\\u12", "\\u+123",
            "\\q", "\t", "\u{0}", "\u{1f}", "\\", "\"", "\u{7f}"][..]).prop_map(str::to_owned),
    ];
    let text = prop_oneof![
        5 => prop::collection::vec(piece, 0..4).prop_map(|p| p.concat()),
        2 => "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]",
        2 => "20[0-9]{2}-0[1-9]-[0-2][0-9][T ][01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z?",
        1 => "[0-2][0-9]:[0-5][0-9](:[0-6][0-9](\\.[0-9]{0,10})?)?",
        1 => "[-+]?[0-9]{0,12}\\.?[0-9]{0,12}([eE][-+]?[0-9]{0,3})?",
        1 => "[0-9a-fA-F]{0,9}",
        1 => select(&["NaN", "Infinity", "-Infinity", "2024-02-29", "2024-02-30",
            "2024\\u002d02-29", "2024-02-29T00:00:00+01:00"][..]).prop_map(str::to_owned),
    ];
    text.prop_map(|text| format!("\"{text}\""))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        5 => number(),
        5 => string(),
        2 => Just("null".to_owned()),
        2 => select(&["true", "false"][..]).prop_map(str::to_owned),
        1 => select(&["nul", "nulll", "True", "", "tru", "falsee", "'x'"][..])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|v| format!("[ {} ]", v.join(" , "))),
            prop::collection::vec((name(), inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(k, v)| format!("\"{k}\": {v}"))
                    .collect();
                format!("{{{}}}", members.join(" ,"))
            }),
        ]
    })
}

/// A value that the column of the name most likely takes.
fn fitting(name: &str) -> BoxedStrategy<String> {
    match name {
        "b" => select(&["true", "false"][..])
            .prop_map(str::to_owned)
            .boxed(),
        "day" => "\"20[0-9]{2}-0[1-9]-[0-2][1-9]\"".boxed(),
        "n" | "must" => any::<i32>().prop_map(|n| n.to_string()).boxed(),
        "t" => "\"20[0-9]{2}-0[1-9]-1[0-9]T1[0-9]:00:00(\\.[0-9]{3})?\"".boxed(),
        "x" => "-?[1-9][0-9]{0,8}(\\.[0-9]{1,8})?".boxed(),
        "s" => string().boxed(),
        "i8" | "u8" => (-140i16..270).prop_map(|n| n.to_string()).boxed(),
        "i16" | "u16" => (-40_000i32..70_000).prop_map(|n| n.to_string()).boxed(),
        "i32" | "u32" => prop_oneof![any::<i32>().prop_map(i64::from), -10i64..1 << 33]
            .prop_map(|n| n.to_string())
            .boxed(),
        "u64" => any::<u64>().prop_map(|n| n.to_string()).boxed(),
        "f" => prop_oneof![
            any::<f32>().prop_map(|x| format!("{x:?}")),
            any::<f64>().prop_map(|x| format!("{x:e}")),
            "-?[1-9][0-9]{0,8}(\\.[0-9]{1,8})?",
        ]
        .boxed(),
        "time" | "clock" => "\"[0-2][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,10})?)?\"".boxed(),
        "money" => "\"?-?[1-9][0-9]{0,8}(\\.[0-9]{1,4})?\"?".boxed(),
        "list" => prop::collection::vec(prop_oneof![4 => number(), 1 => value()], 0..4)
            .prop_map(|v| format!("[{}]", v.join(", ")))
            .boxed(),
        "pair" => prop::collection::vec((select(&["n", "x", "z", "\\u006e"][..]), number()), 0..4)
            .prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(k, v)| format!("\"{k}\":{v}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            })
            .boxed(),
        "bin" => "\"([0-9a-fA-F]{2}){0,9}\"".boxed(),
        _ => value().boxed(),
    }
}

fn member() -> impl Strategy<Value = (String, String)> {
    name().prop_flat_map(|name| {
        let value = prop_oneof![9 => fitting(&name), 1 => Just("null".to_owned()), 1 => value()];
        (Just(name), value)
    })
}

/// What stands before the object, behind it, and around its commas and colons.
fn blanks() -> impl Strategy<Value = [&'static str; 4]> {
    prop_oneof![
        6 => Just(["", "", "", ""]),
        2 => Just(["", "", " ", " "]),
        1 => Just([" ", "\r", "", " \t"]),
        1 => Just(["\u{feff}", "", "", ""]),
        1 => Just(["", "", "\n", ""]),
        1 => Just(["", "\u{a0}", "", ""]),
        1 => Just(["", " x", "", ""]),
        1 => Just(["\0", "", "", "                                "]),
    ]
}

/// What is done to a line in the end.
#[derive(Debug, Clone)]
enum Harm {
    None,
    Cut(usize),
    Byte(usize, u8),
    Insert(usize, u8),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        8 => Just(Harm::None),
        1 => any::<usize>().prop_map(Harm::Cut),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(i, b)| Harm::Byte(i, b)),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(i, b)| Harm::Insert(i, b)),
    ]
}

type Member = (String, String);

fn line(members: &[Member], blanks: [&str; 4], harm: &Harm) -> Vec<u8> {
    let [before, behind, comma, colon] = blanks;
    let members: Vec<_> = members
        .iter()
        .map(|(k, v)| format!("\"{k}\"{colon}:{colon}{v}"))
        .collect();
    let joined = members.join(&format!("{comma},{comma}"));
    let mut line = format!("{before}{{{joined}}}{behind}").into_bytes();
    let length = line.len();
    match *harm {
        Harm::None => {}
        Harm::Cut(i) => line.truncate(i % length),
        Harm::Byte(i, b) => line[i % length] = b,
        Harm::Insert(i, b) => line.insert(i % length, b),
    }
    line
}

/// Records that look alike for the most part: a common list of members, of which some are left
/// out, have other values or come in another order.
fn stream() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let must = || ("must".to_owned(), "1".to_owned());
    let base = prop::collection::vec(member(), 0..7);
    (base, blanks()).prop_flat_map(move |(base, blanks)| {
        let count = base.len();
        let record = (
            any::<u8>(),
            any::<usize>(),
            prop::option::weighted(0.3, (0..count.max(1), member())),
            prop::collection::vec(any::<bool>(), count),
            prop_oneof![4 => Just(blanks), 1 => self::blanks()],
            harm(),
        );
        let record = record.prop_map(move |(kind, turn, change, keep, blanks, harm)| {
            let mut members = base.clone();
            if kind & 3 == 0 {
                members.rotate_left(turn % count.max(1));
            }
            if let Some((at, change)) = change {
                match members.get_mut(at) {
                    Some(member) if kind & 4 == 0 => *member = change,
                    _ => members.push(change),
                }
            }
            if kind & 0x18 == 0 {
                let mut keep = keep.iter().chain(std::iter::repeat(&true));
                members.retain(|_| *keep.next().unwrap());
            }
            if kind & 0xe0 != 0 && members.iter().all(|(name, _)| name != "must") {
                members.push(must());
            }
            line(&members, blanks, &harm)
        });
        prop::collection::vec(record, 1..12)
    })
}

/// What the parser that decides makes of each line.
fn decided(lines: &[Vec<u8>]) -> (Frame, Vec<Result<(), String>>) {
    let schema = schema();
    let mut parser = NdjsonParser::new(Arc::clone(&schema));
    let mut frame = Frame::new(&schema, 1000);
    let results = lines.iter().map(|l| parser.parse_slowly(l, &mut frame));
    let results = results.collect();
    (frame, results)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn record_by_record(lines in stream()) {
        let schema = schema();
        let mut parser = NdjsonParser::new(Arc::clone(&schema));
        let mut frame = Frame::new(&schema, 1000);
        let (want, results) = decided(&lines);
        for (line, want) in lines.iter().zip(&results) {
            let got = parser.parse_record(line, &mut frame);
            prop_assert_eq!(&got, want, "{}", String::from_utf8_lossy(line));
        }
        prop_assert_eq!(rows(&frame), rows(&want));
    }

    #[test]
    fn by_chunks(lines in stream(), rows_max in 1usize..8, cut in 0usize..3000, end in 0usize..3) {
        let schema = schema();
        let mut parser = NdjsonParser::new(Arc::clone(&schema));
        let mut all = lines.join(&b'\n');
        all.extend_from_slice([&b""[..], b"\n", b"\n \r\n"][end]);
        // By then a line is what is between newlines.
        let lines: Vec<_> = all.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        let filled: Vec<_> = lines.iter().filter(|l| !is_blank(l)).cloned().collect();
        let (want, results) = decided(&filled);
        let mut errors = results.iter().filter_map(|r| r.as_ref().err());
        let starts: Vec<_> = all.split_inclusive(|&b| b == b'\n').scan(0, |at, line| {
            *at += line.len();
            Some(*at - line.len())
        }).collect();

        let mut frame = Frame::new(&schema, 1000);
        let cut = cut.min(all.len());
        let (mut at, mut whole) = (0, false);
        loop {
            let chunk = if whole {
                Chunk { bytes: &all, begin_before: all.len(), tail: Tail::End }
            } else {
                Chunk { bytes: &all[..cut], begin_before: cut, tail: Tail::Cut }
            };
            let mut part = Frame::new(&schema, rows_max);
            let parsed = parser.parse_chunk(&chunk, at, &mut part);
            prop_assert_eq!(parsed.rows, part.rows());
            prop_assert_eq!(parser.starts().len(), part.rows());
            prop_assert!(parser.starts().iter().all(|start| starts.contains(start)));
            frame.append_rows(&part, &(0..part.rows() as u32).collect::<Vec<_>>());
            prop_assert!(parsed.at >= at && parsed.at <= chunk.bytes.len());
            at = parsed.at;
            match parsed.stop {
                Stop::FrameFull => prop_assert_eq!(part.rows(), rows_max),
                Stop::ChunkDone if whole => break,
                Stop::ChunkDone | Stop::NeedsMore => whole = true,
                Stop::Bad { next, message } => {
                    prop_assert_eq!(Some(&message), errors.next());
                    prop_assert!(starts.contains(&at) && next > at);
                    at = next;
                }
            }
        }
        prop_assert_eq!(errors.next(), None);
        prop_assert_eq!(at, all.len());
        prop_assert_eq!(rows(&frame), rows(&want));
    }
}

/// The quick way takes what it is for: else all would agree and nothing be quick.
#[test]
fn plain_streams_take_the_quick_way() {
    let lines = [
        r#"{"s":"x","n":7,"must":1,"other":0,"t":"2023-09-18T14:00:00","x":1.5,"b":true}"#,
        r#"{"s":"y","n":8,"must":1,"other":"z","t":"2023-09-18 14:00:00","x":-2,"b":null}"#,
        r#"{"must":1,"n":null,"s":"\u00fc\ud83d\ude00","day":"2024-02-29"}"#,
        r#"{ "must" : 1 , "other" : [ 1 , { "a" : [ ] } , { } , "\ud83d" ] , "s" : "" }  "#,
        r#"{"m\u0075st":123456789012345678,"x":1.7976931348623157e308,"s":"ein Wörtchen"}"#,
        "{\"must\":1}\r",
        r#"{"must":-9223372036854775808,"x":123456789012345678901234567890,"other":1e400}"#,
        r#"{"must":1,"i8":-128,"i16":32767,"i32":-2147483648,"u8":255,"u16":65535}"#,
        r#"{"must":1,"u32":4294967295,"u64":9223372036854775807,"f":-0.1,"money":-12.345}"#,
        r#"{"must":1,"time":"14:00:00.12","clock":"23:59","i8":null}"#,
    ];
    let schema = schema();
    let mut parser = NdjsonParser::new(Arc::clone(&schema));
    let mut frame = Frame::new(&schema, 100);
    for (row, line) in lines.iter().cycle().take(3 * lines.len()).enumerate() {
        let (names, bytes) = (&mut parser.names, line.as_bytes());
        let end = parser
            .walker
            .walk(names, bytes, 0, Tail::End, &mut frame, row);
        assert_eq!(end, Some(line.len()), "{line}");
        frame.commit_rows(1);
    }
}

/// What is of no use to guess: the other parser reads it.
#[test]
fn types_of_many_forms_are_in_doubt() {
    let schema = schema();
    let mut parser = NdjsonParser::new(Arc::clone(&schema));
    let mut frame = Frame::new(&schema, 100);
    for line in [
        r#"{"must":1,"list":[1]}"#,
        r#"{"must":1,"pair":{"n":1}}"#,
        r#"{"must":1,"json":1}"#,
        r#"{"must":1,"bin":"00"}"#,
        r#"{"must":1,"money":"1"}"#,
        r#"{"must":1,"u64":18446744073709551615}"#,
    ] {
        let row = frame.rows();
        let (names, bytes) = (&mut parser.names, line.as_bytes());
        let quick = parser
            .walker
            .walk(names, bytes, 0, Tail::End, &mut frame, row);
        assert_eq!(quick, None, "{line}");
        frame.roll_back();
        parser.parse_record(bytes, &mut frame).unwrap();
    }
}

#[test]
fn minus_zero_is_a_time() {
    let line = br#"{"must":1,"when":-0}"#.to_vec();
    let mut frame = Frame::new(&schema(), 1);
    let quick = NdjsonParser::new(schema()).parse_record(&line, &mut frame);
    assert_eq!((rows(&frame), quick), (rows(&decided(&[line]).0), Ok(())));
}

/// Sixteen NULs look like an edge that is not there.
#[test]
fn nothing_is_foreseen_where_nothing_was_seen() {
    let schema = Arc::new(Schema::default());
    let mut parser = NdjsonParser::new(Arc::clone(&schema));
    let mut frame = Frame::new(&schema, 4);
    parser.parse_record(&[0; 40], &mut frame).unwrap_err();
    parser.parse_record(b"{\"a\":1}", &mut frame).unwrap();
    parser.parse_record(b"{\"a\":1}", &mut frame).unwrap();
    assert_eq!(frame.rows(), 2);
}

#[test]
fn a_frame_is_full_by_its_strings_at_the_same_record() {
    let schema = schema();
    let mut parser = NdjsonParser::new(Arc::clone(&schema));
    let text: Vec<u8> = (0..400)
        .flat_map(|n| format!("{{\"must\":{n},\"s\":\"{}\"}}\n", "ä\\n".repeat(500)).into_bytes())
        .collect();
    let mut one = Frame::new(&schema, 1000);
    let mut lines = text.split(|&b| b == b'\n');
    while !one.is_full() {
        parser
            .parse_record(lines.next().unwrap(), &mut one)
            .unwrap();
    }
    let mut all = Frame::new(&schema, 1000);
    let chunk = Chunk {
        bytes: &text,
        begin_before: text.len(),
        tail: Tail::End,
    };
    let parsed = parser.parse_chunk(&chunk, 0, &mut all);
    assert_eq!(parsed.stop, Stop::FrameFull);
    assert_eq!(all, one);
}

#[test]
fn a_record_that_is_too_long_is_refused() {
    let schema = schema();
    let mut parser = NdjsonParser::new(Arc::clone(&schema));
    let mut frame = Frame::new(&schema, 4);
    let record = |length: usize| {
        let pad = length - "{\"must\":1,\"s\":\"\"}".len();
        format!("{{\"must\":1,\"s\":\"{}\"}}\n", "x".repeat(pad))
    };
    let text = record(RECORD_BYTES_MAX) + &record(RECORD_BYTES_MAX + 1) + "{\"must\":2}";
    let chunk = Chunk {
        bytes: text.as_bytes(),
        begin_before: text.len(),
        tail: Tail::End,
    };
    let parsed = parser.parse_chunk(&chunk, 0, &mut frame);
    assert_eq!((parsed.rows, &parsed.stop), (1, &Stop::FrameFull));
    frame.clear();
    let parsed = parser.parse_chunk(&chunk, parsed.at, &mut frame);
    let next = 2 * RECORD_BYTES_MAX + 3;
    let message = too_long();
    assert_eq!((parsed.rows, parsed.stop), (0, Stop::Bad { next, message }));
    let parsed = parser.parse_chunk(&chunk, next, &mut frame);
    assert_eq!((parsed.rows, parsed.stop), (1, Stop::ChunkDone));
}
