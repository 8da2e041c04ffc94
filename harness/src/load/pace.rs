//! The open loop: records go out when they are due, whatever becomes of those before them. A record
//! that leaves late does so for one of two reasons, and they are told apart. The peer had no room:
//! that is part of the latency, which counts from when the record was due. Or the generator itself
//! was late: that is *slip*, and too much of it makes the run invalid, as the load was not the one
//! that was asked for.

use hdrhistogram::Histogram;

use super::schedule::Schedule;
use crate::failure::Failure;

/// A record that left this much behind its time, by the generator's own fault, was late.
pub(crate) const SLIP_NS_MAX: u64 = 1_000_000;
/// Of so many records one may be late: the platform stops a machine now and then.
const LATE_PART: u64 = 100;
/// A peer that takes nothing for so long has failed.
const PATIENCE_NS: u64 = 30_000_000_000;
/// Records that are sent between two looks at what came back.
const AT_ONCE: usize = 1024;
/// A minute: what takes longer counts as so much.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// The time since the run began.
pub(crate) trait Clock {
    fn now_ns(&self) -> u64;
}

/// Whether a record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what was not taken is to be offered again"]
pub(crate) enum Offered {
    Taken,
    /// There is no room.
    Full,
}

/// Whom records go to.
pub(crate) trait Peer {
    /// Offers a record, and does not wait.
    fn offer(&mut self, number: u64, due_ns: u64) -> Result<Offered, Failure>;

    /// Lets go what was taken, as far as there is room.
    fn flush(&mut self) -> Result<(), Failure>;

    /// Tells the records that were answered since.
    fn answers(&mut self, take: &mut dyn FnMut(u64)) -> Result<(), Failure>;

    /// Nothing is due for so long: the thread may sleep, a little less.
    fn rest(&mut self, ns: u64);

    /// All was offered: waits until all that is to come was answered.
    fn finish(&mut self, take: &mut dyn FnMut(u64)) -> Result<(), Failure>;
}

/// Which records one producer sends: every so many-th.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) first: u64,
    pub(crate) step: u64,
}

/// What was counted of the records that are measured.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) slip_ns_max: u64,
    /// Records that were late by the generator's own fault.
    pub(crate) late: u64,
    pub(crate) latency_ns: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self, Failure> {
        // With bounds: one that grows takes no value that is beyond what it has grown to.
        let latency_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3);
        Ok(Self {
            sent: 0,
            acked: 0,
            slip_ns_max: 0,
            late: 0,
            latency_ns: latency_ns.map_err(|e| Failure::Running(format!("a histogram: {e}")))?,
        })
    }

    /// Adds what another producer counted.
    pub(crate) fn add(&mut self, other: &Self) -> Result<(), Failure> {
        self.sent += other.sent;
        self.acked += other.acked;
        self.late += other.late;
        self.slip_ns_max = self.slip_ns_max.max(other.slip_ns_max);
        let added = self.latency_ns.add(&other.latency_ns);
        added.map_err(|e| Failure::Running(format!("a histogram: {e}")))
    }

    /// Whether the generator kept to its schedule.
    pub(crate) fn kept_up(&self) -> bool {
        self.late <= self.sent / LATE_PART
    }

    fn answered(&mut self, schedule: &Schedule, clock: &impl Clock, number: u64) {
        if schedule.is_measured(number) {
            let took = clock.now_ns().saturating_sub(schedule.due_ns(number));
            self.acked += 1;
            self.latency_ns.saturating_record(took.max(1));
        }
    }

    fn left(&mut self, slip_ns: u64) {
        self.sent += 1;
        self.slip_ns_max = self.slip_ns_max.max(slip_ns);
        self.late += u64::from(slip_ns > SLIP_NS_MAX);
    }
}

/// Sends one producer's records. What was counted up to a failure counts.
pub(crate) fn send(
    schedule: &Schedule,
    share: Share,
    clock: &impl Clock,
    peer: &mut dyn Peer,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut next = share.first;
    // Of the time since a record was last waited for, so much the peer had no room.
    let mut blocked_ns = 0;
    while next < schedule.end() {
        for _ in 0..AT_ONCE {
            if next >= schedule.end() {
                break;
            }
            let (due_ns, mut now_ns) = (schedule.due_ns(next), clock.now_ns());
            if now_ns < due_ns {
                break;
            }
            let slip_ns = (now_ns - due_ns).saturating_sub(blocked_ns);
            let offered_ns = now_ns;
            while peer.offer(next, due_ns)? == Offered::Full {
                peer.flush()?;
                peer.answers(&mut |number| tally.answered(schedule, clock, number))?;
                now_ns = clock.now_ns();
                if now_ns - offered_ns > PATIENCE_NS {
                    let why = "it took nothing for 30 seconds".to_owned();
                    return Err(failed(&why));
                }
            }
            blocked_ns += now_ns - offered_ns;
            if schedule.is_measured(next) {
                tally.left(slip_ns);
            }
            next += share.step;
        }
        peer.flush()?;
        peer.answers(&mut |number| tally.answered(schedule, clock, number))?;
        if next >= schedule.end() {
            break;
        }
        let (due_ns, now_ns) = (schedule.due_ns(next), clock.now_ns());
        if now_ns < due_ns {
            blocked_ns = 0;
            peer.rest(due_ns - now_ns);
        }
    }
    peer.finish(&mut |number| tally.answered(schedule, clock, number))
}

/// A peer that did not do what it should.
pub(crate) fn failed(why: &str) -> Failure {
    Failure::Running(format!("the peer failed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::super::schedule::{Extent, Shape};
    use super::*;
    use std::cell::Cell;
    use std::collections::VecDeque;

    /// A clock that goes on where something takes time.
    #[derive(Debug, Default)]
    struct Hands(Cell<u64>);

    impl Hands {
        fn pass(&self, ns: u64) {
            self.0.set(self.0.get() + ns);
        }
    }

    impl Clock for Hands {
        fn now_ns(&self) -> u64 {
            self.0.get()
        }
    }

    /// A peer that answers each record so long after it began to, one behind the other, and has
    /// room for so many. What the generator does for a record takes its time, too.
    struct Modelled<'a> {
        hands: &'a Hands,
        generator_ns: u64,
        service_ns: u64,
        room: usize,
        /// What a look takes that finds no room.
        look_ns: u64,
        waiting: VecDeque<(u64, u64)>,
        free_ns: u64,
        /// Once it stands still until then.
        stands: Option<(u64, u64)>,
    }

    impl Modelled<'_> {
        fn answered(&mut self, take: &mut dyn FnMut(u64)) {
            while let Some((number, at)) = self.waiting.front().copied()
                && at <= self.hands.0.get()
            {
                self.waiting.pop_front();
                take(number);
            }
        }
    }

    impl Peer for Modelled<'_> {
        fn offer(&mut self, number: u64, _due_ns: u64) -> Result<Offered, Failure> {
            if self.waiting.len() >= self.room {
                self.hands.pass(self.look_ns);
                return Ok(Offered::Full);
            }
            self.hands.pass(self.generator_ns);
            if let Some((_, until)) = self.stands.take_if(|(at, _)| number >= *at) {
                self.free_ns = until;
            }
            self.free_ns = self.free_ns.max(self.hands.0.get()) + self.service_ns;
            self.waiting.push_back((number, self.free_ns));
            Ok(Offered::Taken)
        }

        fn flush(&mut self) -> Result<(), Failure> {
            Ok(())
        }

        fn answers(&mut self, take: &mut dyn FnMut(u64)) -> Result<(), Failure> {
            self.answered(take);
            Ok(())
        }

        fn rest(&mut self, ns: u64) {
            self.hands.pass(ns);
        }

        fn finish(&mut self, take: &mut dyn FnMut(u64)) -> Result<(), Failure> {
            while !self.waiting.is_empty() {
                self.hands.pass(100);
                self.answered(take);
            }
            Ok(())
        }
    }

    /// 100,000 records a second for a second.
    fn run(generator_ns: u64, service_ns: u64, room: usize, stands: Option<(u64, u64)>) -> Tally {
        let hands = Hands::default();
        let extent = Extent::Time(1_000_000_000);
        let schedule = Schedule::new(Shape::Steady, 100_000, extent, 10_000_000);
        let mut peer = Modelled {
            hands: &hands,
            generator_ns,
            service_ns,
            room,
            look_ns: 100,
            waiting: VecDeque::new(),
            free_ns: 0,
            stands,
        };
        let mut tally = Tally::new().unwrap();
        let share = Share { first: 0, step: 1 };
        send(&schedule, share, &hands, &mut peer, &mut tally).unwrap();
        assert_eq!((tally.sent, tally.acked), (100_000, 100_000));
        tally
    }

    #[test]
    fn who_keeps_up_is_measured_from_the_intended_time() {
        let tally = run(100, 2_000, 1000, None);
        assert!(
            tally.kept_up() && tally.slip_ns_max == 0,
            "{}",
            tally.slip_ns_max
        );
        // Each is answered when the next one is due, at the latest.
        assert!((2_000..12_000).contains(&tally.latency_ns.value_at_quantile(0.99)));
    }

    /// Half of what is sent finds no room in the end: each waits longer than the one before, and
    /// that is the engine's doing.
    #[test]
    fn a_slowed_engine_shows_in_the_latency_and_not_as_slip() {
        let tally = run(100, 20_000, 1000, None);
        assert!(tally.kept_up(), "{} were late", tally.late);
        let p50 = tally.latency_ns.value_at_quantile(0.5);
        assert!((450_000_000..550_000_000).contains(&p50), "{p50}");
        assert!(tally.latency_ns.max() > 950_000_000);
    }

    /// A pause of half a second is in half of all latencies, though few records were under way.
    #[test]
    fn a_pause_of_the_engine_is_not_omitted() {
        let tally = run(100, 2_000, 10, Some((30_000, 800_000_000)));
        assert!(tally.kept_up(), "{} were late", tally.late);
        let paused = 1.0 - tally.latency_ns.quantile_below(50_000_000);
        assert!((0.40..0.60).contains(&paused), "{paused}");
        assert!(tally.latency_ns.max() > 450_000_000);
    }

    #[test]
    fn an_overloaded_generator_is_recognised() {
        let tally = run(15_000, 10, 1000, None);
        assert!(!tally.kept_up() && tally.slip_ns_max > 400_000_000);
        // Also where the peer had no room now and then.
        let tally = run(15_000, 2_000, 1000, Some((30_000, 800_000_000)));
        assert!(!tally.kept_up() && tally.slip_ns_max > 400_000_000);
    }

    #[test]
    fn a_peer_that_takes_nothing_has_failed() {
        let hands = Hands::default();
        let schedule = Schedule::new(Shape::Steady, 10, Extent::Rows(1), 0);
        let mut peer = Modelled {
            hands: &hands,
            generator_ns: 1,
            service_ns: 1,
            room: 0,
            look_ns: 1_000_000_000,
            waiting: VecDeque::new(),
            free_ns: 0,
            stands: None,
        };
        let mut tally = Tally::new().unwrap();
        let share = Share { first: 0, step: 1 };
        let ended = send(&schedule, share, &hands, &mut peer, &mut tally);
        assert!(matches!(ended, Err(Failure::Running(why)) if why.contains("took nothing")));
    }
}
