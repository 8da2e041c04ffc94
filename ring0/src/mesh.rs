//! The mesh: one ring per (exchange, sender, receiver), and beside each a ring on which frames go
//! home empty. A lane has so many frames and no more, made as they are first needed: of the lanes
//! between many shards most carry little. Its return ring holds all of them, so that going home
//! never waits.

use std::ops::Range;
use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::changelog::{self, UPDATE_AFTER, UPDATE_BEFORE, is_weighted};
use crate::frame::Frame;
use crate::message::{Mark, Message};
use crate::schema::Schema;
use crate::wake::Bell;

/// Whether something was taken whole, or has to be offered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// All of it.
    Done,
    /// Part of it: offer the same again; what was taken is remembered.
    Full,
}

/// The sender's end of a lane.
#[derive(Debug)]
pub(crate) struct LaneSender {
    ring: Producer<Message>,
    home: Consumer<Box<Frame>>,
    #[expect(clippy::vec_box, reason = "frames travel by pointer")]
    free: Vec<Box<Frame>>,
    /// An empty frame, and how many the lane may still have.
    model: Frame,
    unmade: usize,
    staged: Option<Box<Frame>>,
    bell: Arc<Bell>,
    pushed: bool,
    /// Rows are a changelog's, or look as if they were.
    weighted: bool,
    /// Places of the ring that are kept for its end.
    reserve: usize,
    /// Records that crossed this ring.
    pub(crate) rows: u64,
}

/// The receiver's end of a lane.
#[derive(Debug)]
pub(crate) struct LaneReceiver {
    ring: Consumer<Message>,
    home: Producer<Box<Frame>>,
    bell: Arc<Bell>,
    popped: bool,
}

/// A lane of `ring_messages` messages for frames of `schema`.
///
/// The pool is a sum: what the ring holds, the frame being filled, and the one being read.
pub(crate) fn lane(
    schema: &Schema,
    frame_rows: usize,
    ring_messages: usize,
    sender: Arc<Bell>,
    receiver: Arc<Bell>,
) -> (LaneSender, LaneReceiver) {
    let frames = ring_messages + 2;
    let (ring_in, ring_out) = RingBuffer::new(ring_messages);
    let (home_in, home_out) = RingBuffer::new(frames);
    let tx = LaneSender {
        ring: ring_in,
        home: home_out,
        free: Vec::new(),
        model: Frame::new(schema, frame_rows),
        unmade: frames,
        staged: None,
        bell: receiver,
        pushed: false,
        weighted: is_weighted(schema),
        reserve: 0,
        rows: 0,
    };
    (
        tx,
        LaneReceiver {
            ring: ring_out,
            home: home_in,
            bell: sender,
            popped: false,
        },
    )
}

impl LaneSender {
    /// Copies rows `rows[*next..]` of `frame` into the lane as far as they fit.
    pub(crate) fn send(&mut self, frame: &Frame, rows: &[u32], next: &mut usize) -> Flow {
        let row = |at: usize| rows[at] as usize;
        let append = |staged: &mut Frame, run: Range<usize>| {
            staged.append_rows(frame, &rows[run]);
        };
        self.fill(frame, rows.len(), next, (row, append))
    }

    /// Copies the rows of `frame` from `*next` on into the lane as far as they fit.
    pub(crate) fn send_all(&mut self, frame: &Frame, next: &mut usize) -> Flow {
        let append = |staged: &mut Frame, run: Range<usize>| {
            staged.append_range(frame, run);
        };
        self.fill(frame, frame.rows(), next, (|at| at, append))
    }

    /// Keeps `places` of the ring for what is sent behind [`Self::use_reserve`].
    pub(crate) fn keep_reserve(&mut self, places: usize) {
        self.reserve = places;
    }

    /// Uses from now on what was kept.
    pub(crate) fn use_reserve(&mut self) {
        self.reserve = 0;
    }

    /// As [`Self::send_all`], of each row these columns.
    pub(crate) fn send_columns(
        &mut self,
        frame: &Frame,
        columns: &[usize],
        next: &mut usize,
    ) -> Flow {
        let append = |staged: &mut Frame, run: Range<usize>| {
            staged.append_columns(frame, columns, run);
        };
        self.fill(frame, frame.rows(), next, (|at| at, append))
    }

    /// Sends what is staged and wakes the receiver, whatever the load.
    pub(crate) fn flush(&mut self) -> Flow {
        let flow = self.push_staged();
        if std::mem::take(&mut self.pushed) {
            self.bell.ring();
        }
        flow
    }

    /// Whether nobody takes anything any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// Appends rows `*next..count` of those that are sent of `frame` as far as they fit. No frame
    /// ends between the two rows of an update.
    #[inline(always)]
    fn fill(
        &mut self,
        frame: &Frame,
        count: usize,
        next: &mut usize,
        (row, append): (impl Fn(usize) -> usize, impl Fn(&mut Frame, Range<usize>)),
    ) -> Flow {
        let ops = match self.weighted {
            true => changelog::given(frame),
            false => &[],
        };
        let op = |at: usize| ops.get(row(at)).copied();
        let parts = |end: usize| {
            end < count && [op(end - 1), op(end)] == [Some(UPDATE_BEFORE), Some(UPDATE_AFTER)]
        };
        // Strings have no fixed size: rows go in runs, and after each the frame is looked at.
        let run_max = match frame.string_bytes() {
            0 => usize::MAX,
            _ => 64,
        };
        while *next < count {
            let Some(mut staged) = self.take_staged() else {
                return Flow::Full;
            };
            while *next < count && !staged.is_full() {
                let mut run = run_max.min(count - *next).min(staged.room());
                if self.weighted && parts(*next + run) {
                    run = match run {
                        1 if staged.room() > 1 => 2,
                        run => run - 1,
                    };
                    if run == 0 {
                        break;
                    }
                }
                append(&mut staged, *next..*next + run);
                *next += run;
            }
            // Rows are left only where the frame has no room for the next.
            let full = staged.is_full() || *next < count;
            self.staged = Some(staged);
            if full && self.push_staged() == Flow::Full {
                return Flow::Full;
            }
        }
        Flow::Done
    }

    fn take_staged(&mut self) -> Option<Box<Frame>> {
        if self.staged.as_ref().is_some_and(|f| f.is_full()) && self.push_staged() == Flow::Full {
            return None;
        }
        if let Some(frame) = self.staged.take() {
            return Some(frame);
        }
        while let Ok(frame) = self.home.pop() {
            debug_assert_eq!(frame.rows(), 0, "frames come home empty");
            self.free.push(frame);
        }
        if self.free.is_empty() && self.unmade > 0 {
            self.unmade -= 1;
            self.free.push(Box::new(self.model.clone()));
        }
        self.free.pop()
    }

    /// Whether what is left of the ring is kept for its end.
    fn is_reserved(&self) -> bool {
        self.reserve > 0 && self.ring.slots() <= self.reserve
    }

    /// Pushes the frame being filled, if it holds a row.
    fn push_staged(&mut self) -> Flow {
        if self.is_reserved() {
            let staged = self.staged.as_ref().is_some_and(|f| f.rows() > 0);
            return if staged { Flow::Full } else { Flow::Done };
        }
        let Some(frame) = self.staged.take_if(|f| f.rows() > 0) else {
            return Flow::Done;
        };
        let rows = frame.rows() as u64;
        match self.ring.push(Message::Frame(frame)) {
            Ok(()) => {
                self.rows += rows;
                self.pushed = true;
                Flow::Done
            }
            Err(rtrb::PushError::Full(Message::Frame(frame))) => {
                self.staged = Some(frame);
                Flow::Full
            }
            Err(rtrb::PushError::Full(Message::Mark(_))) => unreachable!("a frame was pushed"),
        }
    }

    /// Pushes what is staged and then the mark.
    pub(crate) fn mark(&mut self, mark: Mark) -> Flow {
        if self.push_staged() == Flow::Full || self.is_reserved() {
            return Flow::Full;
        }
        if self.ring.push(Message::Mark(mark)).is_err() {
            return Flow::Full;
        }
        self.pushed = true;
        Flow::Done
    }

    /// End of a turn: with little load a frame leaves as it is, with much it waits for company.
    /// Wakes the receiver. Returns whether rows are still waiting here.
    pub(crate) fn end_turn(&mut self) -> bool {
        let idle = self.ring.slots() == self.ring.buffer().capacity();
        if idle {
            self.push_staged();
        }
        if std::mem::take(&mut self.pushed) {
            self.bell.ring();
        }
        self.staged.as_ref().is_some_and(|f| f.rows() > 0)
    }
}

impl LaneReceiver {
    /// The next message, if there is one.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.ring.pop().ok()?;
        self.popped = true;
        Some(message)
    }

    /// Whether a message is waiting.
    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// How many messages are waiting.
    pub(crate) fn len(&self) -> usize {
        self.ring.slots()
    }

    /// Whether the sender is gone. What it sent before is still there.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// Sends a frame home.
    pub(crate) fn give_back(&mut self, mut frame: Box<Frame>) {
        frame.clear();
        self.popped = true;
        let sent = self.home.push(frame);
        assert!(sent.is_ok(), "a return ring holds the lane's whole pool");
    }

    /// End of a turn: a sender that sleeps because the ring was full is woken.
    pub(crate) fn end_turn(&mut self) {
        if std::mem::take(&mut self.popped) {
            self.bell.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Column;
    use crate::schema::Field;
    use arrow_schema::DataType;

    fn numbers(schema: &Schema, values: std::ops::Range<i64>) -> Frame {
        let mut frame = Frame::new(schema, 1 << 16);
        let count = values.clone().count();
        let Column::I64(c) = &mut frame.columns[0] else {
            panic!("not BIGINT")
        };
        values.for_each(|v| c.push(Some(v)));
        frame.commit_rows(count);
        frame
    }

    /// Every row arrives once and in order, whatever the ring's size and the frames'.
    #[test]
    fn rows_arrive_once_and_in_order() {
        let rows: Vec<u32> = (0..1000).collect();
        check(|tx, input, next| tx.send(input, &rows, next));
        check(LaneSender::send_all);
    }

    /// Both rows of an update are in one frame, wherever the frame would have ended.
    #[test]
    fn updates_arrive_whole() {
        let schema = changelog::weighted(Schema::new(Vec::new()));
        let mut input = Frame::new(&schema, 1000);
        for at in 0..200 {
            let ops: &[i8] = match at * 7 % 5 {
                0 | 3 => &[changelog::INSERT],
                1 => &[UPDATE_BEFORE, UPDATE_AFTER, UPDATE_BEFORE, UPDATE_AFTER],
                _ => &[UPDATE_BEFORE, UPDATE_AFTER],
            };
            for &op in ops {
                changelog::push(&mut input, op);
                input.commit_rows(1);
            }
        }
        let rows: Vec<u32> = (0..input.rows() as u32).collect();
        for frame_rows in [3, 4, 7, 64] {
            let bell = Arc::new(Bell::new().expect("a descriptor"));
            let bells = [Arc::clone(&bell), bell];
            let [a, b] = bells;
            let (mut tx, mut rx) = lane(&schema, frame_rows, 2, a, b);
            let (mut next, mut got) = (0, Vec::new());
            loop {
                let flow = tx.send(&input, &rows, &mut next);
                tx.end_turn();
                while let Some(Message::Frame(frame)) = rx.pop() {
                    let ops = changelog::given(&frame);
                    assert_ne!(ops.first(), Some(&UPDATE_AFTER));
                    assert_ne!(ops.last(), Some(&UPDATE_BEFORE));
                    got.extend_from_slice(ops);
                    rx.give_back(frame);
                }
                if flow == Flow::Done && got.len() == input.rows() {
                    break;
                }
            }
            assert_eq!(got, changelog::given(&input), "frames of {frame_rows}");
        }
    }

    fn check(send: impl Fn(&mut LaneSender, &Frame, &mut usize) -> Flow) {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64)]);
        for (frame_rows, ring) in [(1, 2), (7, 2), (64, 3), (1024, 8)] {
            let bell = Arc::new(Bell::new().expect("a descriptor"));
            let (mut tx, mut rx) = lane(
                &schema,
                frame_rows,
                ring,
                Arc::clone(&bell),
                Arc::clone(&bell),
            );
            let input = numbers(&schema, 0..1000);
            let (mut next, mut marked, mut got) = (0, false, Vec::new());
            loop {
                let sent = send(&mut tx, &input, &mut next) == Flow::Done;
                if sent && !marked {
                    marked = tx.mark(Mark::End) == Flow::Done;
                }
                tx.end_turn();
                let Some(message) = rx.pop() else {
                    panic!("stalled at {}", got.len())
                };
                match message {
                    Message::Frame(f) => {
                        let Column::I64(c) = &f.columns[0] else {
                            panic!("not BIGINT")
                        };
                        got.extend_from_slice(&c.values);
                        rx.give_back(f);
                    }
                    Message::Mark(m) => {
                        assert_eq!(m, Mark::End);
                        break;
                    }
                }
            }
            assert_eq!(got, (0..1000).collect::<Vec<i64>>());
            assert_eq!(tx.rows, 1000);
        }
    }
}
