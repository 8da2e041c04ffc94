//! The longest turn of a shard while windows with many groups close one behind the other. The host
//! of a virtual machine stops it now and then, so that the longest turn is taken of each slice of
//! 100 ms, and the median of these is the figure; the longest of all stands beside it.

use std::time::{Duration, Instant};

use trefoil_ring0::column::Column;
use trefoil_ring0::runtime::{Next, Runtime};

use super::data::{Data, Groups, Kind};
use super::{CLOSING, Setting};
use crate::bench::report::{Run, Unit};
use crate::failure::Failure;

const SLICE: Duration = Duration::from_millis(100);
/// Windows that close.
const WINDOWS: i64 = 20;
const QUICK_WINDOWS: i64 = 3;

/// The longest turn of each slice.
#[derive(Debug)]
struct Slices {
    begin: Instant,
    longest: Vec<Duration>,
}

impl Slices {
    fn new() -> Self {
        Self {
            begin: Instant::now(),
            longest: Vec::new(),
        }
    }

    fn take(&mut self, turn: Duration) {
        let slice = (self.begin.elapsed().as_nanos() / SLICE.as_nanos()) as usize;
        if self.longest.len() <= slice {
            self.longest.resize(slice + 1, Duration::ZERO);
        }
        self.longest[slice] = self.longest[slice].max(turn);
    }

    /// The median, and the longest of all, in nanoseconds.
    fn figures(mut self) -> (f64, f64) {
        self.longest.sort();
        let at = |number: usize| {
            self.longest
                .get(number)
                .map_or(0.0, |d| d.as_nanos() as f64)
        };
        let all = self.longest.len();
        (at(all / 2), at(all.saturating_sub(1)))
    }
}

/// Closes windows of groups, each at once.
pub(super) fn measure(setting: &Setting, run: &mut Run) -> Result<(), Failure> {
    let windows = if setting.quick {
        QUICK_WINDOWS
    } else {
        WINDOWS
    };
    let groups = match setting.rows {
        Some(rows) => CLOSING.min(rows as u64),
        None => CLOSING,
    };
    let data = Data::closing(windows, groups);
    let program = data.program(Kind::Tumbling)?;
    let mut runtime = Runtime::open_here(&setting.config(1))?;
    let mut running = runtime.add(&program)?;
    let mut got = Groups::default();
    let mut slices = Slices::new();
    loop {
        let clock = Instant::now();
        runtime.step();
        slices.take(clock.elapsed());
        match running.try_next_block()? {
            Next::Block(block) => {
                let Column::I64(counts) = &block.rows().columns[2] else {
                    panic!("the third column is a count")
                };
                got.take(&counts.values);
                running.give_back(block);
            }
            Next::Nothing | Next::Barrier(..) => {}
            Next::End => break,
        }
    }
    let wanted = data.groups(Kind::Tumbling);
    if got != wanted {
        run.wrong(format!(
            "of windows that close came {got:?}, not {wanted:?}"
        ));
    }
    let (median, longest) = slices.figures();
    run.add(format!("turn_max@{groups}"), Unit::Nanoseconds, median);
    run.add(
        format!("turn_whole_max@{groups}"),
        Unit::Nanoseconds,
        longest,
    );
    Ok(())
}
