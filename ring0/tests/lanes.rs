//! Lanes that a producer with a name has left, beside the one that it came back with: what it
//! pushed since is taken, whatever became of the lane before.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::align::{SplitFacts, SplitPolicy, Standing};
use trefoil_ring0::appender::{Appender, Channel, Value};
use trefoil_ring0::column::Column;
use trefoil_ring0::program::{EventTime, OutputSpec, Program, Reading, SourceKind, SourceSpec};
use trefoil_ring0::runtime::{Config, Executor, Next, Running, Runtime};
use trefoil_ring0::schema::{Field, Schema};

/// A split is not read on where it is more than a second ahead of another one.
#[derive(Debug)]
struct OneSecond;

impl SplitPolicy for OneSecond {
    fn judge(&self, _: i64, splits: &[SplitFacts], standings: &mut Vec<Standing>) {
        let least = splits.iter().filter_map(|split| split.watermark_ns).min();
        let far = least.map_or(i64::MAX, |least| least + 1_000_000_000);
        let is_ahead = |split: &SplitFacts| split.watermark_ns.is_some_and(|time| time > far);
        standings.clear();
        standings.extend(splits.iter().map(|split| match is_ahead(split) {
            true => Standing::Ahead,
            false => Standing::Active,
        }));
    }

    fn looks_every_ns(&self) -> Option<i64> {
        None
    }
}

fn send(to: &mut Appender, times_ms: &[i64]) {
    for time in times_ms {
        to.append_row(&[Value::I64(*time)]).unwrap();
    }
    to.flush().unwrap();
}

/// The times that come before the barrier of this number, which comes.
fn upto_barrier(runtime: &mut Runtime, running: &mut Running, barrier: u64) -> Vec<i64> {
    let mut times = Vec::new();
    for _ in 0..1_000 {
        runtime.step();
        match running.try_next_block().unwrap() {
            Next::Barrier(_, epoch) => {
                assert_eq!(epoch, barrier);
                return times;
            }
            Next::Block(block) => {
                let Column::I64(column) = &block.rows().columns[0] else {
                    panic!("not a time")
                };
                times.extend(&column.values);
                running.give_back(block);
            }
            Next::Nothing => {}
            Next::End => panic!("the input goes on"),
        }
    }
    panic!("barrier {barrier} does not come behind {times:?}");
}

/// A lane of a producer that is too far ahead was not looked at, also where nothing was in it and
/// its appender had gone: the producer's next lane waited for it, and a barrier behind what that
/// one had pushed for both.
#[test]
fn what_is_left_empty_holds_nothing_up() {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let schema = Arc::new(Schema::new(vec![Field::new("time", time)]));
    let mut source = SourceSpec::new("times", Arc::clone(&schema), SourceKind::Channel);
    source.reading = Reading::InOrder;
    source.event_time = Some(EventTime {
        column: 0,
        lag_ns: Some(0),
        bound: None,
    });
    source.policy = Some(Arc::new(OneSecond));
    let output = OutputSpec::free(Arc::clone(&schema));
    let program = Program::chain(source, Vec::new(), output);
    let config = Config {
        executor: Executor::Threads,
        ..Config::default()
    };
    let mut runtime = Runtime::open_here(&config).unwrap();
    let mut channel = Channel::new("times", schema, Some(0), config.frame_rows);
    let mut running = runtime.add(&program).unwrap();
    channel.attach(&mut running, 0, &[0]).unwrap();

    let mut slow = channel.producer("slow", None).unwrap();
    let mut ahead = channel.producer("ahead", None).unwrap();
    send(&mut slow, &[0]);
    send(&mut ahead, &[100_000]);
    running.ask_flushing(1);
    let taken = upto_barrier(&mut runtime, &mut running, 1);
    assert_eq!(taken.len(), 2, "the first row of a split is of any time");
    ahead.abandon();
    let mut ahead = channel.producer("ahead", None).unwrap();
    assert_eq!(ahead.held(), 1);
    send(&mut ahead, &[100_001]);
    running.ask_flushing(2);
    let taken = upto_barrier(&mut runtime, &mut running, 2);
    assert_eq!(taken, [100_001]);
    // One that is closed ends behind what it sent.
    ahead.close();
    send(&mut slow, &[1]);
    running.ask_flushing(3);
    assert_eq!(upto_barrier(&mut runtime, &mut running, 3), [1]);
}
