//! timely: as one would write the two queries with its operators and a fast hash table. Workers
//! exchange records by key; groups by key alone leave at the end, those of a window when the
//! frontier is behind it.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::{Capability, Inspect, Operator};

use super::flow::{columns, parts, run as run_flow};
use super::{Answer, flow};
use crate::data::{Data, Totals, WINDOW_MS, window};

/// Groups that leave before others have their turn.
const GROUPS: usize = 16 * 1024;

type Groups<T> = HashMap<i64, T, FixedState>;

/// Other bits than the table takes of its hash.
fn route(key: i64) -> u64 {
    (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

pub(super) fn run(data: &Data, workers: usize) -> Result<Answer, String> {
    let shared = data.clone();
    match data {
        Data::Keyed { .. } => run_flow("timely", workers, move |worker, digest| {
            keyed(worker, &shared, digest);
        }),
        Data::Windowed { .. } => run_flow("timely", workers, move |worker, digest| {
            tumbling(worker, &shared, digest);
        }),
    }
}

fn keyed(worker: &mut timely::worker::Worker, data: &Data, digest: flow::Digests) {
    let Data::Keyed { keys, values } = data else {
        panic!("a keyed aggregation is over keys and values")
    };
    let parts = parts(data, worker.index(), worker.peers());
    let (keys, values) = (keys.values().clone(), values.values().clone());
    worker.dataflow::<u64, _, _>(|scope| {
        let fill = move |rows: std::ops::Range<usize>, _, records: &mut Vec<(i64, f64)>| {
            let pairs = keys[rows.clone()].iter().zip(&values[rows]);
            records.extend(pairs.map(|(&key, &value)| (key, value)));
        };
        let pact = Exchange::new(|&(key, _): &(i64, f64)| route(key));
        columns(scope, data, parts, fill)
            .unary_frontier(pact, "aggregate", |capability, info| {
                let activator = scope.activator_for(info.address);
                let mut capability = Some(capability);
                let mut groups: Groups<Totals> = HashMap::default();
                let mut leaving = None;
                move |(input, frontier), output| {
                    input.for_each(|_, records: &mut Vec<(i64, f64)>| {
                        for (key, value) in records.drain(..) {
                            groups.entry(key).or_insert(Totals::NONE).add(value);
                        }
                    });
                    let Some(held) = capability.as_ref().filter(|_| frontier.is_empty()) else {
                        return;
                    };
                    let leaving =
                        leaving.get_or_insert_with(|| std::mem::take(&mut groups).into_iter());
                    output.session(held).give_iterator(
                        leaving
                            .by_ref()
                            .take(GROUPS)
                            .map(|(key, t)| (key, t.count, t.sum, t.min, t.max)),
                    );
                    match leaving.len() {
                        0 => capability = None,
                        _ => activator.activate(),
                    }
                }
            })
            .container::<Vec<_>>()
            .inspect(move |&(key, count, sum, min, max)| {
                let totals = Totals {
                    count,
                    sum,
                    min,
                    max,
                };
                digest.borrow_mut().keyed(key, &totals);
            });
    });
}

/// The groups of a window, and what allows them to leave.
type Window = (Capability<u64>, Groups<(i64, i64)>);

fn tumbling(worker: &mut timely::worker::Worker, data: &Data, digest: flow::Digests) {
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
        let fill = move |rows: std::ops::Range<usize>, _, records: &mut Vec<(i64, i64)>| {
            let pairs = keys[rows.clone()].iter().zip(&values[rows]);
            records.extend(pairs.map(|(&key, &value)| (key, value)));
        };
        let pact = Exchange::new(|&(key, _): &(i64, i64)| route(key));
        columns(scope, data, parts, fill)
            .unary_frontier(pact, "windows", |_, _| {
                let mut windows: BTreeMap<u64, Window> = BTreeMap::new();
                move |(input, frontier), output| {
                    input.for_each_stamp(|stamp, containers| {
                        let held = stamp.retain_least(output.output_index());
                        let held = held.expect("records have a time");
                        let number = *held.time();
                        let open = || (held, HashMap::default());
                        let (_, groups) = windows.entry(number).or_insert_with(open);
                        let records = containers.flat_map(|c: &mut Vec<(i64, i64)>| c.drain(..));
                        for (key, value) in records {
                            let (count, sum) = groups.entry(key).or_default();
                            (*count, *sum) = (*count + 1, *sum + value);
                        }
                    });
                    while let Some(window) = windows.first_entry() {
                        if frontier.less_equal(window.key()) {
                            break;
                        }
                        let (number, (held, groups)) = window.remove_entry();
                        let start = (first + number as i64) * WINDOW_MS;
                        let groups = groups.into_iter();
                        output.session(&held).give_iterator(
                            groups.map(|(key, (count, sum))| (key, start, count, sum)),
                        );
                    }
                }
            })
            .container::<Vec<_>>()
            .inspect(move |&(key, start, count, sum)| {
                digest.borrow_mut().windowed(key, start, count, sum);
            });
    });
}
