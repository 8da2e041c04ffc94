//! The coordinator: what it does, event by event, and what it never does, whatever happens.

use proptest::prelude::*;
use trefoil_ring1::checkpoint::{Action, Coordinator, Event, Phase, Tally};

use Action::{Abandon, Commit, Trigger};

const SECOND: i64 = 1_000_000_000;

fn tick(seconds: i64) -> Event {
    Event::Tick {
        now_ns: seconds * SECOND,
    }
}

fn done(shard: u32, epoch: u64) -> Event {
    Event::ShardDone { shard, epoch }
}

/// Two shards, an epoch every ten seconds, the first one 5.
fn check(steps: &[(Event, &[Action])]) -> Coordinator {
    let mut coordinator = Coordinator::new(2, 5, Some(10 * SECOND as u64), 0);
    for (number, (event, want)) in steps.iter().enumerate() {
        assert_eq!(coordinator.step(*event), *want, "step {number}: {event:?}");
    }
    coordinator
}

#[test]
fn an_epoch_begins_by_the_interval_and_is_committed_when_all_shards_are_done() {
    let coordinator = check(&[
        (tick(9), &[]),
        (tick(10), &[Trigger(5)]),
        (tick(25), &[]),
        (done(1, 5), &[]),
        (done(0, 5), &[Commit(5)]),
        (tick(26), &[]),
        // Overdue: the interval is from beginning to beginning.
        (Event::Written { epoch: 5 }, &[Trigger(6)]),
        (tick(27), &[]),
    ]);
    assert_eq!(coordinator.phase(), Phase::Collecting(6));
    assert_eq!(coordinator.wakes_at_ns(), None);
}

#[test]
fn requests_behind_a_barrier_share_the_next_one() {
    let coordinator = check(&[
        (Event::Requested, &[Trigger(5)]),
        (Event::Requested, &[]),
        (Event::Requested, &[]),
        (done(0, 5), &[]),
        (done(1, 5), &[Commit(5)]),
        (Event::Requested, &[]),
        (Event::Written { epoch: 5 }, &[Trigger(6)]),
        (done(0, 6), &[]),
        (done(1, 6), &[Commit(6)]),
        (Event::Written { epoch: 6 }, &[]),
    ]);
    let want = Tally {
        triggered: 2,
        committed: 2,
        abandoned: 0,
        coalesced: 2,
    };
    assert_eq!(coordinator.tally(), want);
    assert_eq!(coordinator.next_epoch(), 7);
    assert_eq!(coordinator.wakes_at_ns(), Some(10 * SECOND));
}

#[test]
fn what_failed_is_counted_and_the_next_has_a_new_number() {
    let failed = Event::WriteFailed { epoch: 5 };
    // While shards give pieces: the next barrier follows when this one has passed all of them.
    let coordinator = check(&[
        (Event::Requested, &[Trigger(5)]),
        (done(0, 5), &[]),
        (failed, &[Abandon(5)]),
        (Event::Requested, &[]),
        (failed, &[]),
        (Event::Written { epoch: 5 }, &[]),
        (done(1, 5), &[Trigger(6)]),
    ]);
    assert_eq!(coordinator.tally().abandoned, 1);
    // While the manifest is written.
    check(&[
        (Event::Requested, &[Trigger(5)]),
        (done(0, 5), &[]),
        (done(1, 5), &[Commit(5)]),
        (failed, &[Abandon(5)]),
        (tick(10), &[Trigger(6)]),
        (done(1, 5), &[]),
    ]);
}

#[test]
fn the_end_waits_for_what_is_being_committed_only() {
    let ended = check(&[
        (Event::Requested, &[Trigger(5)]),
        (Event::Requested, &[]),
        (Event::Ended, &[Abandon(5)]),
        (done(0, 5), &[]),
        (Event::Requested, &[]),
        (tick(100), &[]),
    ]);
    assert_eq!(ended.phase(), Phase::Ended);
    let ended = check(&[
        (Event::Requested, &[Trigger(5)]),
        (done(0, 5), &[]),
        (done(1, 5), &[Commit(5)]),
        (Event::Ended, &[]),
        (Event::Written { epoch: 5 }, &[]),
    ]);
    assert_eq!((ended.phase(), ended.tally().committed), (Phase::Ended, 1));
    let ended = check(&[(Event::Ended, &[]), (Event::Requested, &[])]);
    assert_eq!(ended.phase(), Phase::Ended);
}

#[test]
fn without_an_interval_time_does_nothing() {
    let mut coordinator = Coordinator::new(1, 1, None, 0);
    assert_eq!(coordinator.step(tick(1_000_000)), []);
    assert_eq!(coordinator.wakes_at_ns(), None);
    assert_eq!(coordinator.step(Event::Requested), [Trigger(1)]);
}

/// What the world may do next, as far as the machine's own actions make it possible.
#[derive(Debug, Clone, Copy)]
enum Move {
    Wait(i64),
    Request,
    /// One of the shards that the barrier has not passed.
    Done(usize),
    Written,
    Failed,
    /// Something about an epoch that is gone.
    Stale,
    End,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (0..2 * SECOND).prop_map(Move::Wait),
        2 => Just(Move::Request),
        8 => (0..8_usize).prop_map(Move::Done),
        4 => Just(Move::Written),
        1 => Just(Move::Failed),
        1 => Just(Move::Stale),
        1 => Just(Move::End),
    ]
}

/// The world beside the machine: what of its actions is known from outside.
#[derive(Debug, Default)]
struct Model {
    /// Shards that the barrier in flight has not passed.
    waiting: Vec<u32>,
    open: Option<u64>,
    is_committing: bool,
    last: u64,
    triggered: u64,
    /// Somebody asked, and no barrier followed yet.
    is_owed: bool,
    has_ended: bool,
}

impl Model {
    fn take(&mut self, action: Action, shards: u32) {
        match action {
            Trigger(epoch) => {
                assert!(!self.has_ended, "nothing begins behind the end");
                assert!(
                    self.open.is_none() && self.waiting.is_empty(),
                    "one is in flight"
                );
                assert!(epoch > self.last, "numbers are new");
                (self.open, self.last, self.is_owed) = (Some(epoch), epoch, false);
                self.triggered += 1;
                self.waiting = (0..shards).collect();
            }
            Commit(epoch) => {
                assert_eq!(self.open, Some(epoch));
                assert!(self.waiting.is_empty() && !self.is_committing);
                self.is_committing = true;
            }
            Abandon(epoch) => {
                assert_eq!(self.open.take(), Some(epoch));
                self.is_committing = false;
            }
        }
    }

    /// The event that a move is now; `None` where it cannot happen.
    fn event(&mut self, next: Move, now_ns: &mut i64) -> Option<Event> {
        Some(match next {
            Move::Wait(ns) => {
                *now_ns += ns;
                Event::Tick { now_ns: *now_ns }
            }
            Move::Request => {
                self.is_owed = true;
                Event::Requested
            }
            Move::Done(at) if !self.waiting.is_empty() && !self.has_ended => {
                let shard = self.waiting.remove(at % self.waiting.len());
                done(shard, self.last)
            }
            Move::Written if self.is_committing => {
                self.is_committing = false;
                let epoch = self.open.take()?;
                Event::Written { epoch }
            }
            Move::Failed => Event::WriteFailed { epoch: self.open? },
            Move::Stale => Event::Written {
                epoch: self.last.checked_sub(1)?,
            },
            Move::End => {
                self.has_ended = true;
                self.waiting.clear();
                Event::Ended
            }
            Move::Done(_) | Move::Written => return None,
        })
    }
}

proptest! {
    #[test]
    fn invariants_hold_whatever_happens(
        shards in 1..4_u32,
        interval in prop_oneof![Just(None), (1..3 * SECOND as u64).prop_map(Some)],
        moves in proptest::collection::vec(moves(), 0..200),
    ) {
        let mut coordinator = Coordinator::new(shards, 1, interval, 0);
        let (mut model, mut now_ns) = (Model::default(), 0);
        for next in moves {
            let Some(event) = model.event(next, &mut now_ns) else { continue };
            for action in coordinator.step(event) {
                model.take(action, shards);
            }
            let tally = coordinator.tally();
            let in_flight = u64::from(model.open.is_some());
            prop_assert_eq!(tally.triggered, model.triggered);
            prop_assert_eq!(tally.triggered, tally.committed + tally.abandoned + in_flight);
            // Nobody who asked is forgotten: where nothing is in flight, nothing is owed.
            let is_idle = coordinator.phase() == Phase::Idle;
            prop_assert!(!is_idle || !model.is_owed, "{:?}", coordinator);
            let is_free = in_flight == 0 && model.waiting.is_empty() && !model.has_ended;
            prop_assert_eq!(is_idle, is_free);
            if model.has_ended && !model.is_committing {
                prop_assert_eq!(coordinator.phase(), Phase::Ended);
            }
        }
    }
}
