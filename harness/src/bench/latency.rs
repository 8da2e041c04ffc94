//! From append to subscription, open loop: records go out by a schedule, whatever becomes of them,
//! and each is timed from when it was *due*. The control is a bare thread on the shard's core that
//! echoes through two rings, by the same schedule, sent and polled by the same thread. Both spin.
//!
//! Engine and control take turns by slices of 100 ms, as the platform stops machines now and then:
//! percentiles are taken for each slice, and the median over slices is what ratios are made of. The
//! whole run's stand beside.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use arrow_schema::DataType;
use hdrhistogram::Histogram;
use rtrb::{Consumer, Producer, RingBuffer};
use trefoil_ring0::appender::{Appender, Channel, Pushed, Value};
use trefoil_ring0::column::Column;
use trefoil_ring0::limits::RING_MESSAGES_DEFAULT;
use trefoil_ring0::preflight::pin_thread;
use trefoil_ring0::program::{OutputSpec, Program, Reading, SourceKind, SourceSpec};
use trefoil_ring0::runtime::{Idle, Next, Running, Runtime};
use trefoil_ring0::schema::{Field, Schema};

use super::Setting;
use super::report::{Run, Unit};
use crate::failure::Failure;
use crate::machine::executor_name;

/// Slices a second, those of engine and control together.
pub(super) const SLICES_PER_SECOND: u64 = 10;
/// A record that was sent this much after it was due was not sent by the schedule.
pub(super) const SLIP_NS_MAX: u64 = 1_000_000;
/// Longer than any gap of a schedule, so that neither side parks within a slice.
pub(super) const SPIN: Duration = Duration::from_millis(20);
/// A minute: what takes longer counts as so much.
const LATENCY_NS_MAX: u64 = 60_000_000_000;
/// The percentiles that are compared.
pub(super) const PERCENTILES: [f64; 3] = [50.0, 99.0, 99.9];

/// The ratios that a run gives.
pub(super) fn ratios(setting: &Setting) -> Vec<String> {
    let of = |rate: &u64| PERCENTILES.map(|p| format!("engine/control_p{p}@{rate}"));
    setting.rates.iter().flat_map(of).collect()
}

/// One run of all rates.
pub(super) fn once(setting: &Setting) -> Result<Run, Failure> {
    let mut run = Run::default();
    let [.., here, there] = setting.config.cores[..] else {
        run.invalid("a generator and a shard need two cores".to_owned());
        return Ok(run);
    };
    // Before the generator is pinned: to a pinned thread other cores are none of its own.
    let (runtime, mut engine) = engine(setting, there, &mut run)?;
    let done = std::thread::scope(|scope| {
        let generator = scope.spawn(|| {
            pin_thread(here)?;
            measure(setting, there, &mut engine, &mut run)
        });
        generator.join()
    });
    drop((engine, runtime));
    match done {
        Ok(result) => result.map(|()| run),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A way there and back.
pub(super) trait Path {
    /// Sends number `number`, where there is room.
    fn send(&mut self, number: i64) -> Result<bool, Failure>;
    /// Lets go what was sent.
    fn flush(&mut self) {}
    /// Takes the numbers that came back.
    fn receive(&mut self, take: &mut dyn FnMut(i64)) -> Result<(), Failure>;
}

struct Engine {
    appender: Appender,
    running: Running,
}

impl Path for Engine {
    fn send(&mut self, number: i64) -> Result<bool, Failure> {
        let pushed = self.appender.try_append_row(&[Value::I64(number)])?;
        Ok(pushed == Pushed::Done)
    }

    fn flush(&mut self) {
        // What does not fit now leaves with a later call.
        let _: Pushed = self.appender.try_flush();
    }

    fn receive(&mut self, take: &mut dyn FnMut(i64)) -> Result<(), Failure> {
        while let Next::Block(block) = self.running.try_next_block()? {
            let Column::I64(numbers) = &block.rows().columns[0] else {
                unreachable!("the program's column is a BIGINT")
            };
            numbers.values.iter().for_each(|number| take(*number));
            self.running.give_back(block);
        }
        Ok(())
    }
}

struct Echo {
    there: Producer<i64>,
    back: Consumer<i64>,
}

impl Path for Echo {
    fn send(&mut self, number: i64) -> Result<bool, Failure> {
        Ok(self.there.push(number).is_ok())
    }

    fn receive(&mut self, take: &mut dyn FnMut(i64)) -> Result<(), Failure> {
        while let Ok(number) = self.back.pop() {
            take(number);
        }
        Ok(())
    }
}

const WAIT: u8 = 0;
const ECHO: u8 = 1;
const END: u8 = 2;

/// Echoes while it is told to, and sleeps meanwhile: the core is the shard's then.
fn echo(mut from: Consumer<i64>, mut to: Producer<i64>, order: &AtomicU8) {
    loop {
        match order.load(Ordering::Acquire) {
            END => return,
            WAIT => std::thread::park(),
            _ => match from.pop() {
                Ok(number) => while to.push(number).is_err() {},
                Err(_) => spin_loop(),
            },
        }
    }
}

/// The engine: rows of one column through one shard, as they are.
fn engine(setting: &Setting, core: usize, run: &mut Run) -> Result<(Runtime, Engine), Failure> {
    let mut config = setting.config(1);
    config.cores = vec![core];
    config.idle = Idle::SpinThenPark(SPIN);
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64)]));
    let mut source = SourceSpec::new("numbers", Arc::clone(&schema), SourceKind::Channel);
    source.reading = Reading::InOrder;
    let output = OutputSpec::free(Arc::clone(&schema));
    let mut runtime = Runtime::open(&config)?;
    run.executor(executor_name(runtime.executor()));
    let mut running = runtime.add(&Program::chain(source, Vec::new(), output))?;
    let mut channel = Channel::new("numbers", schema, None, config.frame_rows);
    channel.attach(&mut running, 0, &[0])?;
    let appender = channel.appender()?;
    Ok((runtime, Engine { appender, running }))
}

fn measure(
    setting: &Setting,
    core: usize,
    engine: &mut Engine,
    run: &mut Run,
) -> Result<(), Failure> {
    let (there, from) = RingBuffer::new(RING_MESSAGES_DEFAULT);
    let (to, back) = RingBuffer::new(RING_MESSAGES_DEFAULT);
    let order = AtomicU8::new(WAIT);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // Where it cannot be pinned it echoes all the same; the run says so.
            let pinned = pin_thread(core);
            echo(from, to, &order);
            pinned
        });
        let tell = |what| {
            order.store(what, Ordering::Release);
            thread.thread().unpark();
        };
        let mut control = Echo { there, back };
        let mut by_rate = || -> Result<(), Failure> {
            for &rate in &setting.rates {
                let mut sides = [Side::new("engine")?, Side::new("control")?];
                for _ in 0..(setting.seconds * SLICES_PER_SECOND).div_ceil(2) {
                    sides[0].slice(engine, rate)?;
                    // The core is the echo's alone once the shard is parked.
                    std::thread::sleep(2 * SPIN);
                    tell(ECHO);
                    let sliced = sides[1].slice(&mut control, rate);
                    tell(WAIT);
                    sliced?;
                }
                report(&sides, rate, run);
            }
            Ok(())
        };
        let measured = by_rate();
        tell(END);
        match thread.join() {
            Ok(pinned) => {
                pinned?;
                measured
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// What one side came to.
pub(super) struct Side {
    pub(super) name: &'static str,
    /// For each slice its percentiles.
    slices: Vec<[u64; PERCENTILES.len()]>,
    slips_ns: Vec<u64>,
    pub(super) whole: Histogram<u64>,
}

fn histogram() -> Result<Histogram<u64>, Failure> {
    // With bounds: one that grows takes no value that is beyond what it has grown to.
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)
        .map_err(|e| Failure::Running(format!("a histogram: {e}")))
}

impl Side {
    pub(super) fn new(name: &'static str) -> Result<Self, Failure> {
        Ok(Self {
            name,
            slices: Vec::new(),
            slips_ns: Vec::new(),
            whole: histogram()?,
        })
    }

    /// Sends what is due in a slice, and waits until all of it came back.
    pub(super) fn slice(&mut self, path: &mut dyn Path, rate: u64) -> Result<(), Failure> {
        warm(path)?;
        let mut latencies = histogram()?;
        let count = (rate / SLICES_PER_SECOND).max(1) as i64;
        let due = |number: i64| number as u64 * 1_000_000_000 / rate;
        let (mut sent, mut came, mut slip) = (0, 0, 0);
        let begun = Instant::now();
        let now = || u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        while came < count {
            let at = now();
            while sent < count && due(sent) <= at && path.send(sent)? {
                slip = slip.max(at - due(sent));
                sent += 1;
            }
            path.flush();
            path.receive(&mut |number| {
                latencies.saturating_record(now().saturating_sub(due(number)).max(1));
                came += 1;
            })?;
        }
        let percentiles = PERCENTILES.map(|p| latencies.value_at_percentile(p));
        self.slices.push(percentiles);
        self.slips_ns.push(slip);
        let added = self.whole.add(&latencies);
        added.map_err(|e| Failure::Running(format!("a histogram: {e}")))
    }

    /// The median over slices of each percentile.
    pub(super) fn medians(&self) -> [f64; PERCENTILES.len()] {
        std::array::from_fn(|number| median(self.slices.iter().map(|slice| slice[number])) as f64)
    }

    /// The median over slices of how late a record was sent.
    pub(super) fn slip_ns(&self) -> u64 {
        median(self.slips_ns.iter().copied())
    }
}

/// One there and back, so that both threads are awake.
fn warm(path: &mut dyn Path) -> Result<(), Failure> {
    while !path.send(-1)? {}
    let mut came = false;
    while !came {
        path.flush();
        path.receive(&mut |_| came = true)?;
    }
    Ok(())
}

fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn report(sides: &[Side; 2], rate: u64, run: &mut Run) {
    let [engine, control] = [sides[0].medians(), sides[1].medians()];
    for (p, (engine, control)) in PERCENTILES.into_iter().zip(engine.into_iter().zip(control)) {
        run.add(format!("engine_p{p}@{rate}"), Unit::Nanoseconds, engine);
        run.add(format!("control_p{p}@{rate}"), Unit::Nanoseconds, control);
        let ratio = format!("engine/control_p{p}@{rate}");
        run.add(ratio, Unit::Ratio, engine / control.max(1.0));
    }
    for side in sides {
        let name = side.name;
        for p in [50.0, 90.0, 99.0, 99.9, 99.99] {
            let value = side.whole.value_at_percentile(p) as f64;
            run.add(
                format!("{name}_whole_p{p}@{rate}"),
                Unit::Nanoseconds,
                value,
            );
        }
        let max = side.whole.max() as f64;
        run.add(format!("{name}_whole_max@{rate}"), Unit::Nanoseconds, max);
        let slip = side.slip_ns();
        run.add(
            format!("{name}_slip@{rate}"),
            Unit::Nanoseconds,
            slip as f64,
        );
        if slip > SLIP_NS_MAX {
            let us = slip / 1000;
            run.invalid(format!(
                "the generator fell behind by {us} us at {rate} records/s ({name})"
            ));
        }
    }
}
