//! What the benches share: records of the size that devices send, as text and in frames, the same
//! each time. All of it is made outside of what is timed.

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::column::Column;
use trefoil_ring0::format::time::write_timestamp;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::hash::hash_keys;
use trefoil_ring0::limits::FRAME_ROWS_DEFAULT;
use trefoil_ring0::program::{AggregateCall, AggregateFunction, AggregateSpec, Phase, WindowKey};
use trefoil_ring0::runtime::HASH_SEED;
use trefoil_ring0::schema::{Field, Schema};

/// Rows of a frame.
pub const FRAME_ROWS: usize = FRAME_ROWS_DEFAULT;
/// Columns of a [`records`] frame: when, device, key, value.
pub const AT: usize = 0;
/// A VARCHAR of 8 bytes, of which there are a thousand.
pub const DEVICE: usize = 1;
/// A BIGINT.
pub const KEY: usize = 2;
/// A DOUBLE with two decimals.
pub const VALUE: usize = 3;
/// Milliseconds of a window.
pub const WINDOW_MS: i64 = 60_000;
/// Nanoseconds of one.
pub const WINDOW_NS: i64 = WINDOW_MS * 1_000_000;
/// The time of the first record, in milliseconds since 1970: the start of a window.
pub const START_MS: i64 = 1_704_067_200_000;

/// The `n`-th number that looks random: splitmix64 (public domain).
pub fn random(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// The same, evenly below `end`.
pub fn below(n: u64, end: u64) -> u64 {
    ((u128::from(random(n)) * u128::from(end)) >> 64) as u64
}

/// A schema of fields.
pub fn schema(fields: &[(&str, DataType)]) -> Arc<Schema> {
    let fields = fields.iter().map(|(name, t)| Field::new(*name, t.clone()));
    Arc::new(Schema::new(fields.collect()))
}

/// TIMESTAMP(3).
pub fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}

/// The columns of records.
pub fn record_schema() -> Arc<Schema> {
    schema(&[
        ("at", time()),
        ("device", DataType::Utf8),
        ("key", DataType::Int64),
        ("value", DataType::Float64),
    ])
}

/// The fields of record `n` of so many keys, as text.
fn texts(n: u64, keys: u64) -> [String; 4] {
    let mut at = Vec::new();
    write_timestamp(START_MS + n as i64, TimeUnit::Millisecond, &mut at);
    let value = random(n);
    [
        String::from_utf8_lossy(&at).into_owned(),
        format!("dev-{:04}", below(n, 1000)),
        below(n, keys).to_string(),
        format!("{}.{:02}", value % 977, value % 89),
    ]
}

/// Records as NDJSON, each with its members in the same order.
pub fn ndjson(records: usize, keys: u64) -> Vec<u8> {
    let line = |n| {
        let [at, device, key, value] = texts(n, keys);
        format!("{{\"at\":\"{at}\",\"device\":\"{device}\",\"key\":{key},\"value\":{value}}}\n")
    };
    (0..records as u64)
        .flat_map(|n| line(n).into_bytes())
        .collect()
}

/// Records as CSV, without a header.
pub fn csv(records: usize, keys: u64) -> Vec<u8> {
    let line = |n| texts(n, keys).join(",") + "\n";
    (0..records as u64)
        .flat_map(|n| line(n).into_bytes())
        .collect()
}

/// Full frames of records, one a millisecond, of so many keys.
pub fn records(frames: usize, keys: u64) -> Vec<Frame> {
    let schema = record_schema();
    let frame = |number: usize| {
        let first = (number * FRAME_ROWS) as u64;
        let mut frame = Frame::new(&schema, FRAME_ROWS);
        let [
            Column::I64(at),
            Column::Utf8(device),
            Column::I64(key),
            Column::F64(value),
        ] = &mut frame.columns[..]
        else {
            panic!("these are the schema's columns")
        };
        for n in first..first + FRAME_ROWS as u64 {
            at.push(Some(START_MS + n as i64));
            device.push(Some(&format!("dev-{:04}", below(n, 1000))));
            key.push(Some(below(n, keys) as i64));
            value.push(Some((random(n) % 97_700) as f64 / 100.0));
        }
        frame.commit_rows(FRAME_ROWS);
        frame
    };
    (0..frames).map(frame).collect()
}

/// The hashes of these keys of each frame.
pub fn hashes(frames: &[Frame], schema: &Schema, keys: &[usize]) -> Vec<Vec<u64>> {
    let of = |frame: &Frame| {
        let mut hashes = Vec::new();
        hash_keys(frame, schema, keys, HASH_SEED, &mut hashes);
        hashes
    };
    frames.iter().map(of).collect()
}

/// Bytes of the columns of frames.
pub fn bytes(frames: &[Frame]) -> u64 {
    let column = |column: &Column| match column {
        Column::Utf8(texts) => texts.data().len() + 4 * texts.offsets().len(),
        Column::I64(numbers) => 8 * numbers.values.len(),
        Column::F64(numbers) => 8 * numbers.values.len(),
        other => panic!("{other:?} is not among the records' columns"),
    };
    let frame = |frame: &Frame| frame.columns.iter().map(column).sum::<usize>() as u64;
    frames.iter().map(frame).sum()
}

/// COUNT, SUM, MIN and MAX of the value by the key, and where it is wanted by a tumbling window,
/// for which `at` has to be its start.
pub fn aggregate(window: Option<WindowKey>) -> Arc<AggregateSpec> {
    let mut output = vec![("key", DataType::Int64)];
    let mut keys = vec![KEY];
    if window.is_some() {
        output.push(("at", time()));
        keys.push(AT);
    }
    output.push(("n", DataType::Int64));
    output.extend(["sum", "min", "max"].map(|name| (name, DataType::Float64)));
    let call = |function, argument| AggregateCall { function, argument };
    Arc::new(AggregateSpec {
        input: record_schema(),
        keys,
        calls: vec![
            call(AggregateFunction::Count, None),
            call(AggregateFunction::Sum, Some(VALUE)),
            call(AggregateFunction::Min, Some(VALUE)),
            call(AggregateFunction::Max, Some(VALUE)),
        ],
        phase: Phase::Complete,
        window,
        output: schema(&output),
    })
}

/// The key of windows in [`aggregate`].
pub const WINDOW_KEY: WindowKey = WindowKey {
    key: 1,
    size_ns: WINDOW_NS,
};

/// Sets the time of each record to the start of its window.
pub fn into_windows(frames: &mut [Frame]) {
    for frame in frames {
        let Column::I64(at) = &mut frame.columns[AT] else {
            panic!("the first column is a time")
        };
        at.values.iter_mut().for_each(|at| *at -= *at % WINDOW_MS);
    }
}
