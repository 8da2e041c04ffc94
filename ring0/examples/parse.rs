//! How fast records are parsed into frames, beside bare serde_json: `cargo run --release -p
//! trefoil-ring0 --example parse [ROUNDS]`. Gigabytes a second on one core, the median of rounds
//! in which the parsers take turns, with the least and the greatest.

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_schema::{DataType, TimeUnit};
use serde::Deserialize;
use trefoil_ring0::format::ndjson::NdjsonParser;
use trefoil_ring0::format::record::{Chunk, Stop, Tail};
use trefoil_ring0::format::time::parse_timestamp;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{Field, Schema};

/// Few enough that other programs seldom interrupt a round.
const RECORDS: u64 = 10_000;
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

fn quick(parser: &mut NdjsonParser, bytes: &[u8], frame: &mut Frame) {
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

fn slow(parser: &mut NdjsonParser, bytes: &[u8], frame: &mut Frame) {
    frame.clear();
    for line in bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        if frame.is_full() {
            black_box(&mut *frame);
            frame.clear();
        }
        parser.parse_slowly(line, frame).expect("a record");
    }
}

/// Gigabytes a second of each parser in each round.
fn measure(rounds: usize, bytes: &[u8], parsers: &mut [&mut dyn FnMut(&[u8])]) -> Vec<Vec<f64>> {
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

fn main() {
    let rounds = std::env::args().nth(1);
    let rounds = rounds.map_or(101, |n| n.parse().expect("a number of rounds"));
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let all = Arc::new(Schema::new(vec![
        Field::new("ts", time),
        Field::new("key", DataType::Int64),
        Field::new("name", DataType::Utf8),
        Field::new("value", DataType::Float64),
    ]));
    let two = Arc::new(Schema::new(vec![
        all.fields[1].clone(),
        all.fields[3].clone(),
    ]));
    println!(
        "{:<30} {:>6} {:>22} {:>22} {:>22}",
        "GB/s: median (least to most)", "bytes", "quick", "fallback", "bare serde_json"
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
        for (schema, bare) in [(&two, bare_two as fn(&[u8])), (&all, bare_all as fn(&[u8]))] {
            let mut parsers = [0; 2].map(|_| NdjsonParser::new(Arc::clone(schema)));
            let [first, second] = &mut parsers;
            let mut frames = [0; 2].map(|_| Frame::new(schema, FRAME_ROWS));
            let [a, b] = &mut frames;
            let mut speeds = measure(
                rounds,
                &bytes,
                &mut [
                    &mut |bytes| quick(first, bytes, a),
                    &mut |bytes| slow(second, bytes, b),
                    &mut |bytes| bare(bytes),
                ],
            );
            let of = format!("{name}, {} of 4", schema.fields.len());
            let shown: Vec<_> = speeds.iter_mut().map(|s| show(s)).collect();
            println!(
                "{of:<30} {:>6} {:>22} {:>22} {:>22}",
                bytes.len() as u64 / RECORDS,
                shown[0],
                shown[1],
                shown[2]
            );
        }
    }
}
