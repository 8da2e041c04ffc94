//! Lines of whatever bytes as NDJSON records: the quick way and the parser that decides agree,
//! record by record and by the chunk.

#![no_main]

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use libfuzzer_sys::fuzz_target;
use trefoil_ring0::format::ndjson::{NdjsonParser, is_blank};
use trefoil_ring0::format::record::{Chunk, Stop, Tail};
use trefoil_ring0::format::text::write_json_row;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{Field, Schema};

fn schema() -> Arc<Schema> {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let types = [
        ("b", DataType::Boolean),
        ("d", DataType::Date32),
        ("n", DataType::Int64),
        ("t", time),
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

fuzz_target!(|data: &[u8]| {
    let schema = schema();
    let mut parsers = [0; 3].map(|_| NdjsonParser::new(Arc::clone(&schema)));
    let mut frames = [0; 3].map(|_| Frame::new(&schema, 65_536));
    let [quick, slow, whole] = &mut parsers;
    let [a, b, c] = &mut frames;
    let mut errors = Vec::new();
    for line in data.split(|&b| b == b'\n').filter(|line| !is_blank(line)) {
        if a.is_full() {
            return;
        }
        let (got, want) = (quick.parse_record(line, a), slow.parse_slowly(line, b));
        assert_eq!(got, want);
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
