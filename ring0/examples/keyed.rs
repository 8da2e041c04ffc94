//! Keyed aggregation from frames in memory on one core: COUNT, SUM, MIN and MAX of a DOUBLE by a
//! BIGINT key, hashing included. `cargo run --release -p trefoil-ring0 --example keyed`.

#![expect(clippy::disallowed_methods, reason = "it measures, from outside")]

use std::sync::Arc;
use std::time::Instant;

use arrow_schema::DataType;
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::hash::hash_keys;
use trefoil_ring0::limits::KEY_GROUPS;
use trefoil_ring0::operator::aggregate::{Aggregate, EmitCursor, Progress};
use trefoil_ring0::program::{AggregateCall, AggregateFunction, AggregateSpec, Phase};
use trefoil_ring0::schema::{Field, Schema};

const FRAME_ROWS: usize = 1024;
const FRAMES: usize = 4096;

fn main() -> Result<(), trefoil_ring0::error::Error> {
    for keys in [1, 100, 10_000, 1_000_000] {
        let input = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64),
            Field::new("v", DataType::Float64),
        ]));
        let call = |function, argument| AggregateCall { function, argument };
        let output = Schema::new(vec![
            Field::new("k", DataType::Int64),
            Field::new("count", DataType::Int64),
            Field::new("sum", DataType::Float64),
            Field::new("min", DataType::Float64),
            Field::new("max", DataType::Float64),
        ]);
        let spec = Arc::new(AggregateSpec {
            input: Arc::clone(&input),
            keys: vec![0],
            calls: vec![
                call(AggregateFunction::Count, None),
                call(AggregateFunction::Sum, Some(1)),
                call(AggregateFunction::Min, Some(1)),
                call(AggregateFunction::Max, Some(1)),
            ],
            phase: Phase::Complete,
            window: None,
            output: Arc::new(output.clone()),
        });
        let mut state = 1u64;
        let frames: Vec<Frame> = (0..FRAMES)
            .map(|_| {
                let mut frame = Frame::new(&input, FRAME_ROWS);
                if let [Column::I64(k), Column::F64(v)] = &mut frame.columns[..] {
                    for _ in 0..FRAME_ROWS {
                        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                        k.push(Some(((state >> 33) % keys) as i64));
                        v.push(Some((state >> 40) as f64));
                    }
                }
                frame.commit_rows(FRAME_ROWS);
                frame
            })
            .collect();
        let mut aggregate = Aggregate::new(spec, 0, KEY_GROUPS as u32)?;
        let mut hashes = Vec::new();
        for pass in 0..4 {
            let start = Instant::now();
            let mut hashing = 0.0;
            for frame in &frames {
                let before = Instant::now();
                hash_keys(frame, &input, &[0], 42, &mut hashes);
                hashing += before.elapsed().as_secs_f64();
                aggregate.update(frame, &hashes)?;
            }
            let elapsed = start.elapsed().as_secs_f64();
            let rows = (FRAMES * FRAME_ROWS) as f64;
            println!(
                "{keys:>8} keys, pass {pass}: {:6.1} M rows/s, hashing {:.2} ns a row",
                rows / elapsed / 1e6,
                hashing / rows * 1e9
            );
        }
        let start = Instant::now();
        let (mut cursor, mut out, mut groups) =
            (EmitCursor::default(), Frame::new(&output, 1024), 0);
        loop {
            let progress = aggregate.emit(None, &mut cursor, &mut out)?;
            groups += out.rows();
            out.clear();
            if progress == Progress::Done {
                break;
            }
        }
        println!("{groups:>8} groups emitted in {:?}", start.elapsed());
    }
    Ok(())
}
