//! Apply, in windows: `assign` finds the start of each row's tumbling window; `tumbling` changes
//! the groups of its window; `panes` those of its pane, of hopping windows ten times as long as
//! their slide. Two minutes of records of 10,000 keys, into state that is empty at first.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use trefoil_benches::{
    AT, FRAME_ROWS, KEY, WINDOW_KEY, WINDOW_MS, aggregate, bytes, hashes, into_windows,
    record_schema, records, schema, time,
};
use trefoil_ring0::expr::Expr;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::kernel::Projection;
use trefoil_ring0::limits::KEY_GROUPS;
use trefoil_ring0::operator::aggregate::Aggregate;
use trefoil_ring0::operator::aggregate::panes::Panes;
use trefoil_ring0::program::{PanesSpec, WindowShape};
use trefoil_ring0::table::store::Addresses;

/// Two windows, a record a millisecond.
const FRAMES: usize = 2 * WINDOW_MS as usize / FRAME_ROWS;
const KEYS: u64 = 10_000;

fn benches(criterion: &mut Criterion) {
    let input = record_schema();
    let frames = records(FRAMES, KEYS);
    let mut starts = frames.clone();
    into_windows(&mut starts);
    let hashes = hashes(&frames, &input, &[KEY]);
    let mut group = criterion.benchmark_group("windows");
    group.throughput(Throughput::ElementsAndBytes {
        elements: (FRAMES * FRAME_ROWS) as u64,
        bytes: bytes(&frames),
    });

    let start = Expr::TumbleStart {
        time: Box::new(Expr::Column(AT)),
        size: WINDOW_MS,
        offset: 0,
    };
    let mut assign = Projection::new(&[start], &input).expect("the types fit");
    let mut out = Frame::new(&schema(&[("at", time())]), FRAME_ROWS);
    group.bench_function("assign", |b| {
        b.iter(|| {
            for frame in &frames {
                assign.evaluate(frame).expect("times are not NULL");
                out.clear();
                assign.append(frame, 0..frame.rows(), &mut out);
                black_box(&out);
            }
        });
    });

    let spec = aggregate(Some(WINDOW_KEY));
    let groups = KEY_GROUPS as u32;
    let empty = || Aggregate::new(Arc::clone(&spec), 0, groups, Addresses::shared_by(1));
    group.bench_function("tumbling", |b| {
        b.iter_batched_ref(
            || empty().expect("there is memory"),
            |state| {
                for (frame, hashes) in starts.iter().zip(&hashes) {
                    state.update(frame, hashes).expect("there is memory");
                }
                state.groups()
            },
            BatchSize::PerIteration,
        );
    });

    let spec = Arc::new(PanesSpec {
        aggregate: (*spec).clone(),
        bound: None,
        shape: WindowShape::Hopping {
            size: WINDOW_MS,
            slide: WINDOW_MS / 10,
            offset: 0,
        },
    });
    group.bench_function("panes", |b| {
        b.iter_batched_ref(
            || Panes::new(&spec, 0, groups, Addresses::shared_by(1)).expect("there is memory"),
            |state| {
                for (frame, hashes) in frames.iter().zip(&hashes) {
                    state.update(frame, hashes).expect("there is memory");
                }
                state.groups()
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(30);
    targets = benches
}
criterion_main!(all);
