//! Route, its second half: the rows of a frame are divided by the owners of their hashes and copied
//! into a frame for each of them, as an exchange does; frames that are full are taken away at once.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trefoil_benches::{FRAME_ROWS, KEY, bytes, hashes, record_schema, records};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::hash::owner;

const FRAMES: usize = 64;

/// A shard's frames for the others.
struct Lanes {
    rows: Vec<Vec<u32>>,
    frames: Vec<Frame>,
}

impl Lanes {
    fn new(shards: usize) -> Self {
        let frame = || Frame::new(&record_schema(), FRAME_ROWS);
        Self {
            rows: vec![Vec::new(); shards],
            frames: (0..shards).map(|_| frame()).collect(),
        }
    }

    fn send(&mut self, frame: &Frame, hashes: &[u64]) {
        let shards = self.rows.len();
        self.rows.iter_mut().for_each(Vec::clear);
        for (row, &hash) in (0u32..).zip(hashes) {
            self.rows[owner(hash, shards)].push(row);
        }
        for (rows, out) in self.rows.iter().zip(&mut self.frames) {
            let mut rows = &rows[..];
            while !rows.is_empty() {
                let (now, later) = rows.split_at(rows.len().min(out.room()));
                out.append_rows(frame, now);
                rows = later;
                if out.is_full() {
                    black_box(&*out);
                    out.clear();
                }
            }
        }
    }
}

fn benches(criterion: &mut Criterion) {
    let frames = records(FRAMES, 1_000_000);
    let hashes = hashes(&frames, &record_schema(), &[KEY]);
    let mut group = criterion.benchmark_group("scatter");
    group.throughput(Throughput::ElementsAndBytes {
        elements: (FRAMES * FRAME_ROWS) as u64,
        bytes: bytes(&frames),
    });
    for shards in [2, 4, 8] {
        let mut lanes = Lanes::new(shards);
        group.bench_function(BenchmarkId::new("shards", shards), |b| {
            b.iter(|| {
                for (frame, hashes) in frames.iter().zip(&hashes) {
                    lanes.send(frame, hashes);
                }
                black_box(&lanes.frames);
            });
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
