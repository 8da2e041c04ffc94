//! Route, its first half: keys are hashed in bulk. A BIGINT, a VARCHAR, and both together.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trefoil_benches::{DEVICE, FRAME_ROWS, KEY, record_schema, records};
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::hash::hash_keys;
use trefoil_ring0::runtime::HASH_SEED;

const FRAMES: usize = 64;

/// Bytes of the keys themselves.
fn key_bytes(frames: &[Frame], keys: &[usize]) -> u64 {
    let of = |frame: &Frame, key: usize| match &frame.columns[key] {
        Column::Utf8(texts) => texts.data().len(),
        column => 8 * column.len(),
    };
    let frame = |frame: &Frame| keys.iter().map(|&key| of(frame, key)).sum::<usize>();
    frames.iter().map(frame).sum::<usize>() as u64
}

fn benches(criterion: &mut Criterion) {
    let schema = record_schema();
    let frames = records(FRAMES, 1_000_000);
    let mut hashes = Vec::new();
    let mut group = criterion.benchmark_group("hash");
    let cases: [(&str, &[usize]); 3] = [
        ("bigint", &[KEY]),
        ("varchar", &[DEVICE]),
        ("both", &[DEVICE, KEY]),
    ];
    for (name, keys) in cases {
        group.throughput(Throughput::ElementsAndBytes {
            elements: (FRAMES * FRAME_ROWS) as u64,
            bytes: key_bytes(&frames, keys),
        });
        group.bench_function(name, |b| {
            b.iter(|| {
                for frame in &frames {
                    hash_keys(black_box(frame), &schema, keys, HASH_SEED, &mut hashes);
                    black_box(&hashes);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
