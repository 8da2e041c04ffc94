//! What the machine does without the engine: a hop through two rings and back, messages and frames
//! through one, memory copied, and the hand-written keyed aggregation.

use std::hint::{black_box, spin_loop};
use std::time::Instant;

use arrow_schema::DataType;
use rtrb::{Consumer, Producer, RingBuffer};
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::limits::{FRAME_ROWS_DEFAULT, RING_MESSAGES_DEFAULT};
use trefoil_ring0::preflight::pin_thread;
use trefoil_ring0::schema::{Field, Schema};

use super::Setting;
use super::data::Data;
use super::keyed;
use super::report::{Run, Unit};
use crate::failure::Failure;

/// Round trips of a slice; the median over slices leaves out the platform's pauses.
const TRIPS: usize = 1000;
/// Bytes that are copied at a time: many times what caches hold.
const COPY_BYTES: usize = 256 << 20;

/// One run.
pub(super) fn once(setting: &Setting) -> Result<Run, Failure> {
    let mut run = Run::default();
    let scale = if setting.quick { 1 } else { 8 };
    match setting.config.cores[..] {
        [.., here, there] => {
            let pair = Pair { here, there };
            let trip = pair.measure(trips(50 * scale), echo)?;
            run.add("ring_round_trip", Unit::Nanoseconds, trip);
            let count = 2_000_000 * scale;
            let messages = pair.measure(send_numbers(count), take_numbers)?;
            run.add("ring_throughput", Unit::MessagesPerSecond, messages);
            let frames = pair.measure_frames(2_000 * scale)?;
            run.add("frame_throughput", Unit::RowsPerSecond, frames);
        }
        _ => run.invalid("a ring's two ends need two cores".to_owned()),
    }
    run.add("memory_copy", Unit::BytesPerSecond, copy(setting.quick));
    for &size in &setting.sizes {
        let data = Data::new(size);
        let (seconds, digest) = keyed::roofline(&data, setting)?;
        black_box(digest);
        let rate = size.total() as f64 / seconds;
        run.add(
            format!("keyed@{}", size.keys.name()),
            Unit::RowsPerSecond,
            rate,
        );
    }
    Ok(run)
}

/// Two cores.
#[derive(Debug, Clone, Copy)]
struct Pair {
    here: usize,
    there: usize,
}

impl Pair {
    /// Runs both on a pinned thread of its own, joined by a ring each way; gives what the first
    /// one measured.
    fn measure<T: Send>(
        self,
        first: impl FnOnce(&mut Producer<T>, &mut Consumer<T>) -> Option<f64> + Send,
        second: impl FnOnce(&mut Consumer<T>, &mut Producer<T>) + Send,
    ) -> Result<f64, Failure> {
        let (mut there, mut from_here) = RingBuffer::new(RING_MESSAGES_DEFAULT);
        // It is to hold every frame that can be on its way, as a lane's return ring is.
        let (mut here, mut from_there) = RingBuffer::new(2 * RING_MESSAGES_DEFAULT);
        let Pair {
            here: core,
            there: other,
        } = self;
        let result = std::thread::scope(|scope| {
            scope.spawn(move || {
                if pin_thread(other).is_ok() {
                    second(&mut from_here, &mut here);
                }
            });
            let first = scope.spawn(move || {
                pin_thread(core).ok()?;
                first(&mut there, &mut from_there)
            });
            first.join().ok().flatten()
        });
        let lost = || Failure::Running("a thread at one end of a ring was lost".to_owned());
        result.ok_or_else(lost)
    }

    /// Rows a second in frames: filled at one end, summed at the other, sent home.
    fn measure_frames(self, count: usize) -> Result<f64, Failure> {
        let schema = Schema::new(vec![
            Field::new("k", DataType::Int64),
            Field::new("v", DataType::Float64),
        ]);
        let keys: Vec<i64> = (0..FRAME_ROWS_DEFAULT as i64).collect();
        let values: Vec<f64> = keys.iter().map(|&k| k as f64).collect();
        self.measure(
            move |to, home| {
                let frame = || Box::new(Frame::new(&schema, FRAME_ROWS_DEFAULT));
                let mut free: Vec<Box<Frame>> =
                    (0..RING_MESSAGES_DEFAULT).map(|_| frame()).collect();
                let clock = Instant::now();
                for _ in 0..count {
                    let mut frame = match free.pop() {
                        Some(frame) => frame,
                        None => pop(home)?,
                    };
                    fill(&mut frame, &keys, &values);
                    push(to, frame)?;
                }
                for _ in free.len()..RING_MESSAGES_DEFAULT {
                    free.push(pop(home)?);
                }
                let rows = (count * FRAME_ROWS_DEFAULT) as f64;
                Some(rows / clock.elapsed().as_secs_f64())
            },
            |from: &mut Consumer<Box<Frame>>, home| {
                while let Some(mut frame) = pop(from) {
                    black_box(sum(&frame));
                    frame.clear();
                    if push(home, frame).is_none() {
                        return;
                    }
                }
            },
        )
    }
}

fn fill(frame: &mut Frame, keys: &[i64], values: &[f64]) {
    if let [Column::I64(k), Column::F64(v)] = &mut frame.columns[..] {
        k.values.extend_from_slice(keys);
        k.validity.push_valid(keys.len());
        v.values.extend_from_slice(values);
        v.validity.push_valid(values.len());
    }
    frame.commit_rows(keys.len());
}

fn sum(frame: &Frame) -> (i64, f64) {
    match &frame.columns[..] {
        [Column::I64(k), Column::F64(v)] => (k.values.iter().sum(), v.values.iter().sum()),
        _ => (0, 0.0),
    }
}

/// Waits for a message; `None` when the other end is gone.
fn pop<T>(ring: &mut Consumer<T>) -> Option<T> {
    loop {
        if let Ok(message) = ring.pop() {
            return Some(message);
        }
        if ring.is_abandoned() {
            // What was sent before it went is still there.
            return ring.pop().ok();
        }
        spin_loop();
    }
}

/// Waits for room; `None` when the other end is gone.
fn push<T>(ring: &mut Producer<T>, mut message: T) -> Option<()> {
    loop {
        match ring.push(message) {
            Ok(()) => return Some(()),
            Err(rtrb::PushError::Full(_)) if ring.is_abandoned() => return None,
            Err(rtrb::PushError::Full(back)) => message = back,
        }
        spin_loop();
    }
}

/// The median, over slices, of a round trip in nanoseconds.
fn trips(slices: usize) -> impl FnOnce(&mut Producer<u64>, &mut Consumer<u64>) -> Option<f64> {
    move |to, from| {
        let mut all = Vec::with_capacity(slices);
        for _ in 0..slices {
            let clock = Instant::now();
            for trip in 0..TRIPS {
                push(to, trip as u64)?;
                if pop(from)? != trip as u64 {
                    return None;
                }
            }
            all.push(clock.elapsed().as_secs_f64() * 1e9 / TRIPS as f64);
        }
        all.sort_by(f64::total_cmp);
        Some(all[slices / 2])
    }
}

fn echo(from: &mut Consumer<u64>, to: &mut Producer<u64>) {
    while let Some(message) = pop(from) {
        if push(to, message).is_none() {
            return;
        }
    }
}

/// Messages a second, from the first to the answer to the last.
fn send_numbers(
    count: usize,
) -> impl FnOnce(&mut Producer<u64>, &mut Consumer<u64>) -> Option<f64> {
    move |to, from| {
        let clock = Instant::now();
        (0..=count as u64)
            .rev()
            .try_for_each(|number| push(to, number))?;
        let wanted = (0..=count as u64).fold(0, u64::wrapping_add);
        let got = pop(from)?;
        let rate = count as f64 / clock.elapsed().as_secs_f64();
        (got == wanted).then_some(rate)
    }
}

/// Numbers down to 0, answered by their sum.
fn take_numbers(from: &mut Consumer<u64>, to: &mut Producer<u64>) {
    let mut sum = 0u64;
    while let Some(number) = pop(from) {
        sum = sum.wrapping_add(number);
        if number == 0 {
            push(to, sum);
        }
    }
}

/// Bytes copied a second, each read and written once.
fn copy(quick: bool) -> f64 {
    let bytes = if quick { COPY_BYTES / 4 } else { COPY_BYTES };
    let from = vec![1u8; bytes];
    let mut to = vec![0u8; bytes];
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let clock = Instant::now();
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
        best = best.min(clock.elapsed().as_secs_f64());
    }
    bytes as f64 / best
}
