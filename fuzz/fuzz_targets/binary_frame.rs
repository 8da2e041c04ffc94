//! Whatever bytes as a frame of a socket's client: it is refused, or all of its records are rows or
//! bad ones, by frames of any size.

#![no_main]

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use libfuzzer_sys::fuzz_target;
use trefoil_ring0::format::binary::{BinaryParser, ENVELOPE_BYTES, RECORDS, check_frame};
use trefoil_ring0::format::record::{Chunk, Stop, Tail};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{Field, Schema};

fn fields() -> Arc<[Field]> {
    let types = [
        DataType::Boolean,
        DataType::Int64,
        DataType::Utf8,
        DataType::Time32(TimeUnit::Second),
        DataType::Decimal128(5, 2),
        DataType::Binary,
    ];
    let fields = types.into_iter().enumerate();
    fields.map(|(at, t)| Field::new(format!("c{at}"), t)).collect()
}

fuzz_target!(|data: &[u8]| {
    let Some((&rows_max, body)) = data.split_first() else {
        return;
    };
    // Of what is looked at first most inputs would be wrong.
    let mut bytes = vec![0; ENVELOPE_BYTES];
    bytes[8..].copy_from_slice(&(body.len() as u32 + 4).to_le_bytes());
    bytes.extend([RECORDS, 0, 0, 0]);
    bytes.extend(body);
    let fields = fields();
    let Ok(head) = check_frame(&fields, &bytes) else {
        return;
    };
    // As who reads the socket has it.
    if head.first == 0 || head.first.checked_add(head.rows as u64).is_none() {
        return;
    }
    let schema = Schema::new(fields.to_vec());
    let mut frame = Frame::new(&schema, usize::from(rows_max) + 1);
    let mut parser = BinaryParser::new(&schema, fields).expect("types that go so");
    let (mut at, mut rows) = (0, 0);
    loop {
        let chunk = Chunk {
            bytes: &bytes,
            begin_before: bytes.len(),
            tail: Tail::End,
        };
        let parsed = parser.parse_chunk(&chunk, at, &mut frame);
        rows += parsed.rows;
        frame.clear();
        at = match parsed.stop {
            Stop::ChunkDone => break,
            Stop::FrameFull => parsed.at,
            Stop::Bad { next, .. } => {
                rows += 1;
                next
            }
            Stop::NeedsMore => panic!("all is there"),
        };
    }
    assert_eq!(rows, head.rows, "a record was lost");
});
