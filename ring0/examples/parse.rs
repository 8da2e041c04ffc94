//! How fast records are parsed into frames, beside bare serde_json and the csv crate:
//! `cargo run --release -p trefoil-ring0 --example parse [ROUNDS]`. Gigabytes a second on one core,
//! the median of rounds in which the parsers take turns, with the least and the greatest.

#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::borrow::Cow;
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_schema::{DataType, TimeUnit};
use serde::Deserialize;
use trefoil_ring0::format::csv::{CsvParser, Dialect};
use trefoil_ring0::format::ndjson::NdjsonParser;
use trefoil_ring0::format::parser::RecordParser;
use trefoil_ring0::format::record::{Chunk, Stop, Tail};
use trefoil_ring0::format::time::parse_timestamp;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{Field, Schema};

/// Few enough that other programs seldom interrupt a round.
const RECORDS: u64 = 2_500;
const FRAME_ROWS: usize = 1024;

/// Spreads numbers: the steps of SplitMix64.
fn spread(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn members(row: u64, name: &str) -> Vec<String> {
    let r = spread(row);
    let time = format!(
        "2023-09-18T{:02}:{:02}:{:02}.{:03}",
        row / 3600 % 24,
        row / 60 % 60,
        row % 60,
        r % 1000
    );
    vec![
        format!("\"ts\":\"{time}\""),
        format!("\"key\":{}", r % 100_000),
        format!("\"name\":\"{name}{}\"", r % 1000),
        format!("\"value\":{}.{:02}", r % 977, r % 89),
    ]
}

fn lines(line: impl Fn(u64) -> Vec<String>) -> Vec<u8> {
    let line = |row| format!("{{{}}}\n", line(row).join(",")).into_bytes();
    (0..RECORDS).flat_map(line).collect()
}

fn in_order(row: u64) -> Vec<String> {
    members(row, "device-")
}

fn shuffled(row: u64) -> Vec<String> {
    let mut members = members(row, "device-");
    for i in (1..members.len()).rev() {
        members.swap(i, (spread(row * 5 + i as u64) % (i as u64 + 1)) as usize);
    }
    members
}

fn some_missing(row: u64) -> Vec<String> {
    let r = spread(row + 7);
    let members = in_order(row).into_iter().enumerate();
    let kept = members.filter(|(i, _)| r >> (8 * i) & 3 != 0);
    kept.map(|(_, member)| member).collect()
}

fn escaped(row: u64) -> Vec<String> {
    members(row, "dev\\\"ice\\u00fc-")
}

fn spaced(row: u64) -> Vec<String> {
    let members = in_order(row).into_iter();
    members.map(|m| m.replacen(':', ": ", 1)).collect()
}

fn not_ascii(row: u64) -> Vec<String> {
    members(row, "gerät-名前-")
}

#[derive(Deserialize)]
struct Two {
    key: Option<i64>,
    value: Option<f64>,
}

#[derive(Deserialize)]
struct All<'a> {
    #[serde(borrow)]
    ts: Option<Cow<'a, str>>,
    key: Option<i64>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    value: Option<f64>,
}

fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&b| b == b'\n')
}

fn bare_two(bytes: &[u8]) {
    for line in split(bytes) {
        let two: Two = serde_json::from_slice(line).expect("a record");
        black_box((two.key, two.value));
    }
}

fn bare_all(bytes: &[u8]) {
    for line in split(bytes) {
        let all: All<'_> = serde_json::from_slice(line).expect("a record");
        let ts = all.ts.map(|t| parse_timestamp(&t, TimeUnit::Millisecond));
        black_box((ts, all.key, all.name.as_deref(), all.value));
    }
}

fn quick(parser: &mut RecordParser, bytes: &[u8], frame: &mut Frame) {
    let chunk = Chunk {
        bytes,
        begin_before: bytes.len(),
        tail: Tail::End,
    };
    let mut at = 0;
    loop {
        frame.clear();
        let parsed = parser.parse_chunk(&chunk, at, frame);
        black_box(&mut *frame);
        at = parsed.at;
        match parsed.stop {
            Stop::FrameFull => {}
            Stop::ChunkDone => return,
            stop => panic!("{stop:?}"),
        }
    }
}

/// Parses line by line.
fn slow(parse: impl Fn(&[u8], &mut Frame), bytes: &[u8], frame: &mut Frame) {
    frame.clear();
    for line in bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        if frame.is_full() {
            black_box(&mut *frame);
            frame.clear();
        }
        parse(line, frame);
    }
}

/// Parses all of some bytes.
type Parse<'a> = &'a mut dyn FnMut(&[u8]);

/// Gigabytes a second of each parser in each round.
fn measure(rounds: usize, bytes: &[u8], parsers: &mut [Parse<'_>]) -> Vec<Vec<f64>> {
    let mut speeds = vec![Vec::new(); parsers.len()];
    for round in 0..=rounds {
        for (parse, speeds) in parsers.iter_mut().zip(&mut speeds) {
            let start = Instant::now();
            parse(bytes);
            let seconds = start.elapsed().as_secs_f64();
            // The first round is to warm up.
            if round > 0 {
                speeds.push(bytes.len() as f64 / seconds / 1e9);
            }
        }
    }
    speeds
}

fn show(speeds: &mut [f64]) -> String {
    speeds.sort_by(f64::total_cmp);
    let (least, greatest) = (speeds[0], speeds[speeds.len() - 1]);
    format!(
        "{:5.2} ({least:.2} to {greatest:.2})",
        speeds[speeds.len() / 2]
    )
}

/// One line of the table.
fn report(name: &str, bytes: &[u8], rounds: usize, parsers: &mut [Parse<'_>]) {
    let mut speeds = measure(rounds, bytes, parsers);
    let shown: Vec<_> = speeds.iter_mut().map(|s| show(s)).collect();
    println!(
        "{name:<30} {:>6} {:>22} {:>22} {:>22}",
        bytes.len() as u64 / RECORDS,
        shown[0],
        shown[1],
        shown[2]
    );
}

fn ndjson(name: &str, bytes: &[u8], rounds: usize, schema: &Arc<Schema>, bare: fn(&[u8])) {
    let mut first = RecordParser::from(NdjsonParser::new(Arc::clone(schema)));
    let second = RefCell::new(NdjsonParser::new(Arc::clone(schema)));
    let mut frames = [0; 2].map(|_| Frame::new(schema, FRAME_ROWS));
    let [a, b] = &mut frames;
    let line = |line: &[u8], frame: &mut Frame| {
        let mut parser = second.borrow_mut();
        parser.parse_slowly(line, frame).expect("a record");
    };
    report(
        name,
        bytes,
        rounds,
        &mut [
            &mut |bytes| quick(&mut first, bytes, a),
            &mut |bytes| slow(line, bytes, b),
            &mut |bytes| bare(bytes),
        ],
    );
}

fn csv(name: &str, bytes: &[u8], rounds: usize, schema: &Arc<Schema>, bare: fn(&[u8])) {
    let names = ["ts", "key", "name", "value"];
    let open = || CsvParser::new(Arc::clone(schema), Dialect::default(), &names).expect("a header");
    let mut first = RecordParser::from(open());
    let second = RefCell::new(open());
    let mut frames = [0; 2].map(|_| Frame::new(schema, FRAME_ROWS));
    let [a, b] = &mut frames;
    let line = |line: &[u8], frame: &mut Frame| {
        let mut parser = second.borrow_mut();
        parser.parse_slowly(line, frame).expect("a record");
    };
    report(
        name,
        bytes,
        rounds,
        &mut [
            &mut |bytes| quick(&mut first, bytes, a),
            &mut |bytes| slow(line, bytes, b),
            &mut |bytes| bare(bytes),
        ],
    );
}

/// A record of CSV, its text in quotes or not.
fn fields(row: u64, quote: &str) -> String {
    let members = in_order(row).into_iter();
    let mut values: Vec<_> = members
        .map(|m| m.split_once(':').expect("a member").1.replace('"', ""))
        .collect();
    values[2] = format!("{quote}{}{quote}", values[2]);
    values.join(",") + "\n"
}

fn text(field: &[u8]) -> &str {
    std::str::from_utf8(field).expect("utf-8")
}

fn bare_csv(bytes: &[u8], columns: &[usize]) {
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(bytes);
    let mut record = ::csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).expect("a record") {
        for &i in columns {
            match i {
                0 => _ = black_box(parse_timestamp(text(&record[0]), TimeUnit::Millisecond)),
                1 => _ = black_box(text(&record[1]).parse::<i64>()),
                2 => _ = black_box(text(&record[2]).len()),
                _ => _ = black_box(text(&record[3]).parse::<f64>()),
            }
        }
    }
}

fn main() {
    let rounds = std::env::args().nth(1);
    let rounds = rounds.map_or(401, |n| n.parse().expect("a number of rounds"));
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let all = Arc::new(Schema::new(vec![
        Field::new("ts", time),
        Field::new("key", DataType::Int64),
        Field::new("name", DataType::Utf8),
        Field::new("value", DataType::Float64),
    ]));
    let two = [1, 3].map(|i| all.fields[i].clone());
    let two = Arc::new(Schema::new(two.into()));
    println!(
        "{:<30} {:>6} {:>22} {:>22} {:>22}",
        "GB/s: median (least to most)", "bytes", "quick", "fallback", "bare library"
    );
    type Shape = (&'static str, fn(u64) -> Vec<String>);
    let shapes: [Shape; 6] = [
        ("in order", in_order),
        ("blanks behind colons", spaced),
        ("shuffled", shuffled),
        ("some missing", some_missing),
        ("a text with escapes", escaped),
        ("a text beyond ASCII", not_ascii),
    ];
    for (name, line) in shapes {
        let bytes = lines(line);
        ndjson(&format!("{name}, 2 of 4"), &bytes, rounds, &two, bare_two);
        ndjson(&format!("{name}, 4 of 4"), &bytes, rounds, &all, bare_all);
    }
    for (name, quote) in [("csv", ""), ("csv, a text in quotes", "\"")] {
        let lines = (0..RECORDS).flat_map(|row| fields(row, quote).into_bytes());
        let bytes: Vec<u8> = lines.collect();
        csv(&format!("{name}, 2 of 4"), &bytes, rounds, &two, |b| {
            bare_csv(b, &[1, 3]);
        });
        csv(&format!("{name}, 4 of 4"), &bytes, rounds, &all, |b| {
            bare_csv(b, &[0, 1, 2, 3]);
        });
    }
}
