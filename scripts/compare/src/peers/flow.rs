//! What flows of timely and of differential share: a source of columns in memory whose capability
//! is its watermark, workers pinned as shards are, and the way their answers come back.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, Stream};
use timely::worker::Worker;
use trefoil_ring0::preflight::pin_thread;

use super::{Answer, version};
use crate::data::{Data, Digest, LAG_MS, window};
use crate::engine::cores;

/// Records of a container.
const CONTAINER: usize = 1024;
/// Containers that a source gives before others have their turn.
const CONTAINERS: usize = 16;
/// Records of one reader at a stretch where event time matters: readers go on side by side.
const STRETCH: usize = 8 * CONTAINER;

/// A worker's digest.
pub(super) type Digests = Rc<RefCell<Digest>>;

/// Has workers build a dataflow each, and run it to its end; `build` notes the answer in the
/// digest. Timed from before the workers start until the last of them is done.
pub(super) fn run(
    name: &str,
    workers: usize,
    build: impl Fn(&mut Worker, Digests) + Send + Sync + 'static,
) -> Result<Answer, String> {
    let config = match workers {
        1 => timely::Config::thread(),
        _ => timely::Config::process(workers),
    };
    let cores = cores(workers);
    let clock = Instant::now();
    let guards = timely::execute(config, move |worker| {
        let core = cores[worker.index() % cores.len()];
        // Told behind the run: the other workers wait for this one's dataflow.
        let pinned = pin_thread(core);
        let digest = Digests::default();
        build(worker, Rc::clone(&digest));
        while worker.step_or_park(None) {}
        let digest = *digest.borrow();
        pinned.map(|()| digest).map_err(|error| error.to_string())
    })?;
    let mut digest = Digest::default();
    for answer in guards.join() {
        digest.merge(&answer??);
    }
    let seconds = clock.elapsed().as_secs_f64();
    Ok(Answer {
        seconds,
        digest,
        said: version(name),
    })
}

/// The parts of the data that one of so many workers reads. Where event time matters workers take
/// short stretches in turn, else each has a slice of its own.
pub(super) fn parts(data: &Data, worker: usize, workers: usize) -> Vec<Range<usize>> {
    let rows = data.rows();
    match data {
        Data::Keyed { .. } => {
            let slice = rows * worker / workers..rows * (worker + 1) / workers;
            vec![slice]
        }
        Data::Windowed { .. } => (0..rows.div_ceil(STRETCH))
            .filter(|number| number % workers == worker)
            .map(|number| number * STRETCH..rows.min((number + 1) * STRETCH))
            .collect(),
    }
}

/// A stream of the rows in `parts`: `fill` appends the records of a range of rows, all of which
/// have the time `time(row)`. Without event times it is 0; else it is the number of a window
/// counted from the first one, and the source's capability that of its watermark.
pub(super) fn columns<'scope, D: Clone + 'static>(
    scope: Scope<'scope, u64>,
    data: &Data,
    parts: Vec<Range<usize>>,
    fill: impl Fn(Range<usize>, u64, &mut Vec<D>) + 'static,
) -> Stream<'scope, u64, Vec<D>> {
    let times = match data {
        Data::Keyed { .. } => None,
        Data::Windowed { times, .. } => Some(times.values().clone()),
    };
    let first = times
        .as_ref()
        .map_or(0, |t| t.first().map_or(0, |&at| window(at)));
    source(scope, "columns", move |capability, info| {
        let activator = scope.activator_for(info.address);
        let mut capability = Some(capability);
        let mut parts = parts.into_iter();
        let mut part = parts.next().unwrap_or(0..0);
        move |output| {
            let Some(held) = &mut capability else { return };
            for _ in 0..CONTAINERS {
                if part.is_empty() {
                    let Some(next) = parts.next() else {
                        capability = None;
                        return;
                    };
                    part = next;
                }
                let mut end = part.end.min(part.start + CONTAINER);
                let time = match &times {
                    None => 0,
                    Some(times) => {
                        let number = window(times[part.start]);
                        let alike = |at: &i64| window(*at) == number;
                        // Times ascend.
                        if !alike(&times[end - 1]) {
                            let rows = times[part.start..end].iter();
                            end = part.start + rows.take_while(|at| alike(at)).count();
                        }
                        (number - first) as u64
                    }
                };
                let mut records = Vec::with_capacity(CONTAINER);
                fill(part.start..end, time, &mut records);
                output
                    .session(&held.delayed(&time))
                    .give_container(&mut records);
                if let Some(times) = &times {
                    let watermark = (window(times[end - 1] - LAG_MS) - first).max(0) as u64;
                    if watermark > *held.time() {
                        held.downgrade(&watermark);
                    }
                }
                part.start = end;
            }
            activator.activate();
        }
    })
}
