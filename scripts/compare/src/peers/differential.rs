//! differential-dataflow: groups as differences. What a group comes to is the sum, in a semigroup,
//! of what its records come to each, so that one `consolidate` answers both queries; it sorts and
//! merges, and leaves what is behind the frontier.

use std::ops::Range;

use differential_dataflow::AsCollection;
use differential_dataflow::difference::{IsZero, Semigroup};
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::Inspect;

use super::Answer;
use super::flow::{Digests, columns, parts, run as run_flow};
use crate::data::{Data, Totals, WINDOW_MS, window};

/// Values are whole numbers; a difference has an order, which a DOUBLE has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Whole {
    count: i64,
    sum: i64,
    min: i64,
    max: i64,
}

impl IsZero for Whole {
    fn is_zero(&self) -> bool {
        self.count == 0
    }
}

impl Semigroup for Whole {
    fn plus_equals(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// COUNT and SUM alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct CountSum(i64, i64);

impl IsZero for CountSum {
    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl Semigroup for CountSum {
    fn plus_equals(&mut self, other: &Self) {
        self.0 += other.0;
        self.1 += other.1;
    }
}

pub(super) fn run(data: &Data, workers: usize) -> Result<Answer, String> {
    let shared = data.clone();
    let name = "differential-dataflow";
    match data {
        Data::Keyed { .. } => run_flow(name, workers, move |worker, digest| {
            keyed(worker, &shared, digest);
        }),
        Data::Windowed { .. } => run_flow(name, workers, move |worker, digest| {
            tumbling(worker, &shared, digest);
        }),
    }
}

fn keyed(worker: &mut timely::worker::Worker, data: &Data, digest: Digests) {
    let Data::Keyed { keys, values } = data else {
        panic!("a keyed aggregation is over keys and values")
    };
    let parts = parts(data, worker.index(), worker.peers());
    let (keys, values) = (keys.values().clone(), values.values().clone());
    worker.dataflow::<u64, _, _>(|scope| {
        let fill = move |rows: Range<usize>, time, records: &mut Vec<(i64, u64, Whole)>| {
            let pairs = keys[rows.clone()].iter().zip(&values[rows]);
            records.extend(pairs.map(|(&key, &value)| {
                let value = value as i64;
                let whole = Whole {
                    count: 1,
                    sum: value,
                    min: value,
                    max: value,
                };
                (key, time, whole)
            }));
        };
        columns(scope, data, parts, fill)
            .as_collection()
            .consolidate()
            .inner
            .inspect(move |(key, _, whole)| {
                let totals = Totals {
                    count: whole.count,
                    sum: whole.sum as f64,
                    min: whole.min as f64,
                    max: whole.max as f64,
                };
                digest.borrow_mut().keyed(*key, &totals);
            });
    });
}

fn tumbling(worker: &mut timely::worker::Worker, data: &Data, digest: Digests) {
    let Data::Windowed {
        keys,
        values,
        times,
    } = data
    else {
        panic!("windows are over records with times")
    };
    let parts = parts(data, worker.index(), worker.peers());
    let first = times.values().first().map_or(0, |&at| window(at));
    let (keys, values) = (keys.values().clone(), values.values().clone());
    worker.dataflow::<u64, _, _>(|scope| {
        // The window is of the record: sums of several times of one record would come as well.
        let fill =
            move |rows: Range<usize>, time, records: &mut Vec<((i64, u64), u64, CountSum)>| {
                let pairs = keys[rows.clone()].iter().zip(&values[rows]);
                records.extend(pairs.map(|(&key, &value)| ((key, time), time, CountSum(1, value))));
            };
        columns(scope, data, parts, fill)
            .as_collection()
            .consolidate()
            .inner
            .inspect(move |((key, number), _, CountSum(count, sum))| {
                let start = (first + *number as i64) * WINDOW_MS;
                digest.borrow_mut().windowed(*key, start, *count, *sum);
            });
    });
}
