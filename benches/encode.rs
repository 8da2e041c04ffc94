//! The last step: rows of results become text, NDJSON and CSV.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trefoil_benches::{FRAME_ROWS, record_schema, records};
use trefoil_ring0::format::text::{write_csv_row, write_json_row};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::Schema;

const FRAMES: usize = 16;

type Write = fn(&Schema, &Frame, usize, &mut Vec<u8>);

fn encode(write: Write, schema: &Schema, frames: &[Frame], out: &mut Vec<u8>) {
    out.clear();
    for frame in frames {
        for row in 0..frame.rows() {
            write(schema, frame, row, out);
        }
    }
}

fn benches(criterion: &mut Criterion) {
    let schema = record_schema();
    let frames = records(FRAMES, 100_000);
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("encode");
    let formats: [(&str, Write); 2] = [("ndjson", write_json_row), ("csv", write_csv_row)];
    for (name, write) in formats {
        encode(write, &schema, &frames, &mut out);
        group.throughput(Throughput::ElementsAndBytes {
            elements: (FRAMES * FRAME_ROWS) as u64,
            bytes: out.len() as u64,
        });
        group.bench_function(name, |b| {
            b.iter(|| {
                encode(write, &schema, black_box(&frames), &mut out);
                black_box(&out);
            });
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
