//! Emit: a window closes, and its groups leave in frames. `tumbling` has one table, `panes` the ten
//! of a hopping window, which are added up first. What there is to close is made before each time.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trefoil_benches::{
    FRAME_ROWS, KEY, START_MS, WINDOW_KEY, WINDOW_MS, WINDOW_NS, aggregate, hashes, into_windows,
    record_schema, records,
};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::limits::KEY_GROUPS;
use trefoil_ring0::operator::aggregate::panes::Panes;
use trefoil_ring0::operator::aggregate::{Aggregate, EmitCursor, Progress};
use trefoil_ring0::program::{AggregateSpec, PanesSpec, WindowShape};
use trefoil_ring0::table::store::Addresses;

/// Those of one window, a record a millisecond.
const FRAMES: usize = WINDOW_MS as usize / FRAME_ROWS;
const GROUPS: u32 = KEY_GROUPS as u32;
/// Of a result: key, start, count, sum, min, max.
const ROW_BYTES: usize = 48;
/// The end of the window.
const END_NS: i64 = START_MS * 1_000_000 + WINDOW_NS;

fn tumbling(spec: &Arc<AggregateSpec>, frames: &[Frame], hashes: &[Vec<u64>]) -> Aggregate {
    let state = Aggregate::new(Arc::clone(spec), 0, GROUPS, Addresses::shared_by(1));
    let mut state = state.expect("there is memory");
    for (frame, hashes) in frames.iter().zip(hashes) {
        state.update(frame, hashes).expect("there is memory");
    }
    state
}

fn panes(spec: &Arc<PanesSpec>, frames: &[Frame], hashes: &[Vec<u64>]) -> Panes {
    let state = Panes::new(spec, 0, GROUPS, Addresses::shared_by(1));
    let mut state = state.expect("there is memory");
    for (frame, hashes) in frames.iter().zip(hashes) {
        state.update(frame, hashes).expect("there is memory");
    }
    state
}

/// Has all leave through one frame, and gives how many rows there were.
fn drain(out: &mut Frame, mut emit: impl FnMut(&mut Frame) -> Progress) -> usize {
    let mut rows = 0;
    loop {
        out.clear();
        let progress = emit(out);
        rows += black_box(&*out).rows();
        if progress == Progress::Done {
            return rows;
        }
    }
}

fn benches(criterion: &mut Criterion) {
    let spec = aggregate(Some(WINDOW_KEY));
    let hopping = Arc::new(PanesSpec {
        aggregate: (*spec).clone(),
        bound: None,
        shape: WindowShape::Hopping {
            size: WINDOW_MS,
            slide: WINDOW_MS / 10,
            offset: 0,
        },
    });
    let mut out = Frame::new(&spec.output, FRAME_ROWS);
    let mut group = criterion.benchmark_group("close");
    for keys in [1_000, 100_000] {
        let frames = records(FRAMES, keys);
        let mut starts = frames.clone();
        into_windows(&mut starts);
        let hashes = hashes(&frames, &record_schema(), &[KEY]);
        let throughput = |rows: usize| Throughput::ElementsAndBytes {
            elements: rows as u64,
            bytes: (rows * ROW_BYTES) as u64,
        };

        let close = |state: &mut Aggregate, out: &mut Frame| {
            let mut cursor = EmitCursor::default();
            drain(out, |out| {
                let emitted = state.emit(Some(END_NS), &mut cursor, out);
                emitted.expect("results fit their types")
            })
        };
        let rows = close(&mut tumbling(&spec, &starts, &hashes), &mut out);
        assert!(rows > 0, "the window has groups");
        group.throughput(throughput(rows));
        group.bench_function(BenchmarkId::new("tumbling", keys), |b| {
            b.iter_batched_ref(
                || tumbling(&spec, &starts, &hashes),
                |state| close(state, &mut out),
                BatchSize::PerIteration,
            );
        });

        // The ten windows that end in that minute.
        let close = |state: &mut Panes, out: &mut Frame| {
            drain(out, |out| {
                let emitted = state.emit(Some(END_NS), out);
                emitted.expect("results fit their types")
            })
        };
        let rows = close(&mut panes(&hopping, &frames, &hashes), &mut out);
        assert!(rows > 0, "the windows have groups");
        group.throughput(throughput(rows));
        group.bench_function(BenchmarkId::new("panes", keys), |b| {
            b.iter_batched_ref(
                || panes(&hopping, &frames, &hashes),
                |state| close(state, &mut out),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(30);
    targets = benches
}
criterion_main!(all);
