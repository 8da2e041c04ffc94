//! The wake protocol under a model checker: [`BellOn`] itself, over modelled atomics, with a
//! stand-in for the eventfd (one that may also wake without reason) and one for a ring. Every
//! order of the threads' steps that the memory model allows is tried; a lost wake-up is a
//! deadlock, which the model reports by panicking.
//!
//! Each piece of the protocol is then left out in turn: the model must find what that loses.

use std::panic::{AssertUnwindSafe, catch_unwind};
// The model's own Arc would panic once more where a found deadlock unwinds.
use std::sync::Arc;

use loom::sync::Notify;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::thread;

use super::{BellOn, Platform};

/// Modelled atomics; the constants leave a fence out.
#[derive(Debug)]
enum Model<const SLEEPER_FENCES: bool, const WAKER_FENCES: bool> {}

impl<const S: bool, const W: bool> Platform for Model<S, W> {
    type Flag = AtomicBool;
    type Alarm = Notify;

    fn store(flag: &AtomicBool, value: bool) {
        flag.store(value, Ordering::Relaxed);
    }

    fn load(flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }

    fn fence_of_sleeper() {
        if S {
            fence(Ordering::SeqCst);
        }
    }

    fn fence_of_waker() {
        if W {
            fence(Ordering::SeqCst);
        }
    }

    fn sound(alarm: &Notify) {
        alarm.notify();
    }

    fn wait(alarm: &Notify, timeout_ms: i32) {
        assert_eq!(timeout_ms, -1, "the model has no clock");
        alarm.wait();
    }
}

impl<const S: bool, const W: bool> BellOn<Model<S, W>> {
    fn modelled() -> Arc<Self> {
        Arc::new(Self {
            parked: AtomicBool::new(false),
            alarm: Notify::new(),
        })
    }
}

/// The two counters of a ring; what a slot holds is of no concern here.
#[derive(Debug, Default)]
struct Ring {
    head: AtomicUsize,
    tail: AtomicUsize,
}

impl Ring {
    /// Pushes, unless `capacity` messages are in the ring. Only the sender writes `tail`.
    fn push(&self, capacity: usize) -> bool {
        let tail = self.tail.load(Ordering::Relaxed);
        if tail - self.head.load(Ordering::Acquire) == capacity {
            return false;
        }
        self.tail.store(tail + 1, Ordering::Release);
        true
    }

    /// Pops, if there is a message. Only the receiver writes `head`.
    fn pop(&self) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        if self.tail.load(Ordering::Acquire) == head {
            return false;
        }
        self.head.store(head + 1, Ordering::Release);
        true
    }

    fn is_empty(&self) -> bool {
        self.tail.load(Ordering::Acquire) == self.head.load(Ordering::Relaxed)
    }
}

/// Whether the sleeper looks again between its announcement and its sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Again,
    Never,
}

/// Turns until `turn` says that all is done, sleeping when a turn moves nothing.
fn turns<P: Platform>(bell: &BellOn<P>, look: Look, mut turn: impl FnMut() -> Turn) {
    loop {
        match turn() {
            Turn::Done => return,
            Turn::Moved => continue,
            Turn::Idle => {}
        }
        bell.announce_sleep();
        match if look == Look::Again {
            turn()
        } else {
            Turn::Idle
        } {
            Turn::Done => return,
            Turn::Moved => {}
            Turn::Idle => bell.sleep(-1),
        }
        bell.awake();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Moved,
    Idle,
    Done,
}

fn turn(moved: bool, done: bool) -> Turn {
    match (done, moved) {
        (true, _) => Turn::Done,
        (false, true) => Turn::Moved,
        (false, false) => Turn::Idle,
    }
}

/// Tries all orders in which no running thread is preempted more often than `preemptions` says;
/// waiting is no preemption. Without a bound, three threads or two messages take too long.
fn check(preemptions: Option<usize>, threads: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(threads);
}

fn loses(threads: impl Fn() + Sync + Send + 'static) {
    let found = catch_unwind(AssertUnwindSafe(|| check(None, threads)));
    let message = found.expect_err("the model found no lost wake-up");
    let message = message
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| message.downcast_ref::<&str>().copied())
        .unwrap_or_default();
    assert!(message.contains("deadlock"), "{message}");
}

/// `senders` senders, each with a ring to one receiver, who takes `each` messages of each ring.
fn gather<const S: bool, const W: bool>(senders: usize, each: usize, look: Look) {
    let bell = BellOn::<Model<S, W>>::modelled();
    let rings: Vec<_> = (0..senders).map(|_| Arc::new(Ring::default())).collect();
    for ring in &rings {
        let (ring, bell) = (Arc::clone(ring), Arc::clone(&bell));
        thread::spawn(move || {
            for _ in 0..each {
                assert!(ring.push(each), "there is room for all");
                bell.ring();
            }
        });
    }
    let mut taken = 0;
    turns(&bell, look, || {
        let before = taken;
        for ring in &rings {
            while ring.pop() {
                taken += 1;
            }
        }
        turn(taken > before, taken == senders * each)
    });
    assert!(rings.iter().all(|ring| ring.is_empty()));
}

#[test]
fn one_sender_wakes() {
    check(None, || gather::<true, true>(1, 1, Look::Again));
    check(Some(3), || gather::<true, true>(1, 2, Look::Again));
}

#[test]
fn two_senders_wake() {
    check(Some(3), || gather::<true, true>(2, 1, Look::Again));
}

/// Whether a receiver wakes its sender when it has taken something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RingBack {
    Always,
    Never,
}

/// A ring of one message: the sender sleeps while it is full, the receiver while it is empty.
fn through_a_full_ring(messages: usize, ring_back: RingBack) {
    let ring = Arc::new(Ring::default());
    let sender = BellOn::<Model<true, true>>::modelled();
    let receiver = BellOn::<Model<true, true>>::modelled();
    let other = {
        let ring = Arc::clone(&ring);
        let (sender, receiver) = (Arc::clone(&sender), Arc::clone(&receiver));
        thread::spawn(move || {
            let mut sent = 0;
            turns(&sender, Look::Again, || {
                let moved = ring.push(1);
                sent += usize::from(moved);
                if moved {
                    receiver.ring();
                }
                turn(moved, sent == messages)
            });
        })
    };
    let mut taken = 0;
    turns(&receiver, Look::Again, || {
        let moved = ring.pop();
        taken += usize::from(moved);
        if moved && ring_back == RingBack::Always {
            sender.ring();
        }
        turn(moved, taken == messages)
    });
    other.join().unwrap();
}

#[test]
fn full_rings_wake_their_senders() {
    check(Some(3), || through_a_full_ring(2, RingBack::Always));
}

/// The host once took watermarks and did not ring for them.
#[test]
fn a_receiver_that_does_not_ring_back_leaves_its_sender_asleep() {
    loses(|| through_a_full_ring(2, RingBack::Never));
}

#[test]
fn without_the_sleepers_fence_a_wake_up_is_lost() {
    loses(|| gather::<false, true>(1, 1, Look::Again));
}

#[test]
fn without_the_wakers_fence_a_wake_up_is_lost() {
    loses(|| gather::<true, false>(1, 1, Look::Again));
}

#[test]
fn without_the_second_look_a_wake_up_is_lost() {
    loses(|| gather::<true, true>(1, 1, Look::Never));
}

/// In which order who stops a shard stores and rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halt {
    StoreThenRing,
    RingThenStore,
}

/// The host stops a shard that has nothing to do, as `Running::halt` does: it stores `stop` and
/// rings whatever the shard does. The shard looks at the flag before each turn and before sleep.
/// A reader thread is told in the same way that its shard is gone.
fn stop(halt: Halt) {
    let bell = BellOn::<Model<true, true>>::modelled();
    let stop = Arc::new(AtomicBool::new(false));
    let shard = {
        let (bell, stop) = (Arc::clone(&bell), Arc::clone(&stop));
        thread::spawn(move || {
            turns(&bell, Look::Again, || {
                turn(false, stop.load(Ordering::Relaxed))
            });
        })
    };
    if halt == Halt::RingThenStore {
        bell.ring_always();
    }
    stop.store(true, Ordering::Release);
    if halt == Halt::StoreThenRing {
        bell.ring_always();
    }
    shard.join().unwrap();
}

#[test]
fn a_stopped_shard_ends() {
    check(None, || stop(Halt::StoreThenRing));
}

#[test]
fn a_shard_that_is_rung_before_the_flag_is_set_sleeps_on() {
    loses(|| stop(Halt::RingThenStore));
}

/// One shard fails while another ends: the host, who waits for results of both, sees the failure,
/// stops the other, and joins both, as `Seat::run`, `next_block` and `failure` do.
#[test]
fn a_failed_shard_ends_all() {
    check(Some(3), || {
        let host = BellOn::<Model<true, true>>::modelled();
        let bell = BellOn::<Model<true, true>>::modelled();
        let failed = Arc::new(AtomicBool::new(false));
        let stop = Arc::new(AtomicBool::new(false));
        let failing = {
            let (host, failed) = (Arc::clone(&host), Arc::clone(&failed));
            thread::spawn(move || {
                failed.store(true, Ordering::Release);
                host.ring_always();
            })
        };
        let waiting = {
            let (bell, stop, host) = (Arc::clone(&bell), Arc::clone(&stop), Arc::clone(&host));
            thread::spawn(move || {
                turns(&bell, Look::Again, || {
                    turn(false, stop.load(Ordering::Relaxed))
                });
                host.ring_always();
            })
        };
        turns(&host, Look::Again, || {
            turn(false, failed.load(Ordering::Acquire))
        });
        stop.store(true, Ordering::Release);
        bell.ring_always();
        failing.join().unwrap();
        waiting.join().unwrap();
    });
}
