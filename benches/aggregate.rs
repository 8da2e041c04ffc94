//! Apply: COUNT, SUM, MIN and MAX by a BIGINT key. `update` changes groups that are there, frame by
//! frame; `insert` makes them, from an empty table on.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trefoil_benches::{FRAME_ROWS, KEY, aggregate, hashes, record_schema, records};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::limits::KEY_GROUPS;
use trefoil_ring0::operator::aggregate::Aggregate;
use trefoil_ring0::table::store::Addresses;

/// Of keys, values and hashes.
const ROW_BYTES: usize = 24;

fn table() -> Aggregate {
    // One that stays and one that is made anew.
    let addresses = Addresses::shared_by(2);
    let made = Aggregate::new(aggregate(None), 0, KEY_GROUPS as u32, addresses);
    made.expect("there is memory for a table")
}

fn update(table: &mut Aggregate, frame: &Frame, hashes: &[u64]) {
    table.update(frame, hashes).expect("there is memory");
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("aggregate");
    for (name, keys) in [("100", 100), ("10k", 10_000), ("1M", 1_000_000)] {
        // Two rows a key, so that most keys are there, and more than caches hold.
        let count = (2 * keys as usize / FRAME_ROWS).max(64);
        let frames = records(count, keys);
        let hashes = hashes(&frames, &record_schema(), &[KEY]);
        let both = || frames.iter().zip(&hashes);

        let mut full = table();
        both().for_each(|(frame, hashes)| update(&mut full, frame, hashes));
        assert!(full.groups() as u64 > keys / 2);
        let throughput = |frames: usize| Throughput::ElementsAndBytes {
            elements: (frames * FRAME_ROWS) as u64,
            bytes: (frames * FRAME_ROWS * ROW_BYTES) as u64,
        };
        group.throughput(throughput(1));
        let mut next = both().cycle();
        group.bench_function(BenchmarkId::new("update", name), |b| {
            b.iter(|| {
                let (frame, hashes) = next.next().expect("it goes round");
                update(&mut full, black_box(frame), hashes);
            });
        });
        assert!(black_box(&full).groups() > 0);

        group.throughput(throughput(count));
        group.bench_function(BenchmarkId::new("insert", name), |b| {
            b.iter_batched_ref(
                table,
                |table| {
                    both().for_each(|(frame, hashes)| update(table, frame, hashes));
                    table.groups()
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = all;
    // Tables of a million keys take long to make.
    config = Criterion::default().sample_size(20);
    targets = benches
}
criterion_main!(all);
