//! Exchange: frames move by pointer through a ring and come home through another. `turn` does both
//! ends in one thread, which is what pushing and popping cost by themselves: its throughput is that
//! of what the pointers lead to, which nobody touches. `cores` has the other end on another core,
//! where the frames' values are added up.

use std::hint::{black_box, spin_loop};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use trefoil_benches::{FRAME_ROWS, VALUE, bytes, records};
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::limits::RING_MESSAGES_DEFAULT;
use trefoil_ring0::preflight::{allowed_cores, pin_thread};

/// As many as a ring holds.
const FRAMES: usize = RING_MESSAGES_DEFAULT;

type Message = Box<Frame>;

fn push(ring: &mut Producer<Message>, mut frame: Message) {
    while let Err(PushError::Full(back)) = ring.push(frame) {
        assert!(!ring.is_abandoned(), "the other end is there");
        frame = back;
        spin_loop();
    }
}

/// The next one; `None` once the other end is gone.
fn pop(ring: &mut Consumer<Message>) -> Option<Message> {
    loop {
        if let Ok(frame) = ring.pop() {
            return Some(frame);
        }
        if ring.is_abandoned() {
            return ring.pop().ok();
        }
        spin_loop();
    }
}

fn sum(frame: &Frame) -> f64 {
    match &frame.columns[VALUE] {
        Column::F64(values) => values.values.iter().sum(),
        _ => panic!("values are DOUBLEs"),
    }
}

/// Sends all frames there and waits until they are home, so many times.
fn send_all(
    there: &mut Producer<Message>,
    home: &mut Consumer<Message>,
    frames: &mut Vec<Message>,
    times: u64,
) -> Duration {
    let clock = Instant::now();
    for _ in 0..times {
        for frame in frames.drain(..) {
            push(there, frame);
        }
        for _ in 0..FRAMES {
            frames.push(pop(home).expect("the other end is there"));
        }
    }
    clock.elapsed()
}

fn benches(criterion: &mut Criterion) {
    let frames = records(FRAMES, 1_000);
    let bytes = bytes(&frames);
    let mut frames: Vec<Message> = frames.into_iter().map(Box::new).collect();
    let mut group = criterion.benchmark_group("ring");
    group.throughput(Throughput::ElementsAndBytes {
        elements: (FRAMES * FRAME_ROWS) as u64,
        bytes,
    });

    let (mut there, mut here) = RingBuffer::new(FRAMES);
    group.bench_function("turn", |b| {
        b.iter(|| {
            for frame in frames.drain(..) {
                push(&mut there, frame);
            }
            for _ in 0..FRAMES {
                frames.push(black_box(here.pop().expect("it was pushed")));
            }
        });
    });

    let cores = allowed_cores();
    let [.., first, second] = cores[..] else {
        eprintln!("ring/cores is left out: a ring's two ends need two cores");
        return;
    };
    let (mut there, mut from) = RingBuffer::new(FRAMES);
    let (mut back, mut home) = RingBuffer::new(FRAMES);
    let other = std::thread::spawn(move || {
        pin_thread(second).expect("the core is allowed");
        while let Some(frame) = pop(&mut from) {
            black_box(sum(&frame));
            push(&mut back, frame);
        }
    });
    pin_thread(first).expect("the core is allowed");
    group.bench_function("cores", |b| {
        b.iter_custom(|times| send_all(&mut there, &mut home, &mut frames, times));
    });
    drop(there);
    other.join().expect("the other end does not panic");
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
