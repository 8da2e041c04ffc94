//! A shard: its sources, its ends of every exchange, its stages, and the turn that moves them.
//!
//! A turn: poll sources, drain the mesh, flush, report. Completed reads were taken before. What is
//! in hand (a frame or a mark that a stage has not taken whole) is kept per source and per
//! exchange, so that one that is blocked holds up no other; a blocked source is not polled, which
//! is the only back-pressure.

use std::sync::Arc;

mod among;
mod aside;
mod barriers;
mod late;
mod parts;
mod report;

pub(crate) use self::among::Among;
use self::among::Judge;
pub(crate) use self::aside::Aside;
pub(crate) use self::barriers::Aligning;
pub(crate) use self::late::Late;
pub(crate) use self::parts::{ExchangePart, SourcePart};
pub use self::report::ShardReport;

use crate::error::Result;
use crate::exchange::{ExchangeReceiver, Received};
use crate::frame::Frame;
use crate::io::{Completion, Io};
use crate::kernel::RowError;
use crate::mesh::Flow;
use crate::message::Mark;
use crate::snapshot::{Recorder, SourcePosition, Split};
use crate::source::{Polled, Processing, Source, TAGS};
use crate::stage::{Chain, Item};

/// Messages taken from one exchange in one turn.
const MESSAGES_PER_TURN: usize = 8;
/// Rows of results that one item may set free in one turn, or those of an exchange together, with
/// the rows that come over it: what others wait for meanwhile.
const FUEL_PER_ITEM: u32 = 1024;

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something moved, or will without anybody else's doing.
    Busy,
    /// Nothing to do before somebody rings.
    Idle,
    /// All inputs have ended and everything was handed on.
    Finished,
}

/// What a source or exchange has in hand for its stages.
#[derive(Debug)]
enum Hand {
    Empty,
    /// The source's own frame; the next consumer to offer it to; then, maybe, the watermark.
    SourceFrame(usize),
    /// The source's own frame, if there was one, was taken, but for rows on which expressions
    /// failed.
    Failed,
    LaneFrame(usize, Box<Frame>, usize),
    Mark(Mark, usize),
}

/// Who reads a source or an exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Consumer {
    pub(crate) chain: usize,
    pub(crate) port: usize,
}

#[derive(Debug)]
struct SourceSlot {
    source: Source,
    /// Where bad records are told, if anywhere.
    letters: Option<Aside>,
    late: Late,
    processing: Option<Processing>,
    among: Among,
    consumers: Vec<Consumer>,
    hand: Hand,
    /// Rows of the source's frame on which expressions failed.
    failed: Vec<RowError>,
    ended: bool,
    /// It fills the side of a join that is made again, so that no barrier is cut in it.
    is_remade: bool,
    /// The barrier that lies before what it gives next, where it may lie anywhere.
    asked: Option<u64>,
    /// It is to come to a barrier.
    is_asked: bool,
    /// Where it was at the barrier that is under way.
    position: Option<SourcePosition>,
}

#[derive(Debug)]
struct ExchangeSlot {
    receiver: ExchangeReceiver,
    consumers: Vec<Consumer>,
    hand: Hand,
    number: u32,
    /// What was known of splits at the barrier that is under way.
    split: Option<Split>,
    aligning: Aligning,
}

/// One shard.
#[derive(Debug)]
pub(crate) struct Shard {
    /// The number of the first source, in the tags of reads.
    first_source: usize,
    sources: Vec<SourceSlot>,
    /// Whether sources are judged among each other, and who does.
    judges: bool,
    judge: Judge,
    /// Sources are stopped, or drained: nobody waits any more.
    is_ending: bool,
    exchanges: Vec<ExchangeSlot>,
    chains: Vec<Chain>,
    recorder: Recorder,
    pub(crate) sleeps: u64,
    stopped: bool,
    now: fn() -> i64,
    #[expect(dead_code, reason = "as long as it is here, the program runs")]
    runs: Arc<()>,
}

impl Shard {
    /// `sources` and `exchanges` with those that read them.
    pub(crate) fn new(
        first_source: usize,
        sources: Vec<SourcePart>,
        exchanges: Vec<ExchangePart>,
        chains: Vec<Chain>,
        recorder: Recorder,
        (now, runs): (fn() -> i64, Arc<()>),
    ) -> Self {
        let sources = sources
            .into_iter()
            .map(|part| SourceSlot {
                source: part.source,
                letters: part.letters,
                late: part.late,
                processing: part.processing,
                among: part.among,
                consumers: part.consumers,
                hand: Hand::Empty,
                failed: Vec::new(),
                ended: false,
                is_remade: part.is_remade,
                asked: None,
                is_asked: false,
                position: None,
            })
            .collect::<Vec<_>>();
        let exchanges = exchanges
            .into_iter()
            .map(|part| ExchangeSlot {
                receiver: part.receiver,
                consumers: part.consumers,
                hand: Hand::Empty,
                number: part.number,
                split: None,
                aligning: Aligning::default(),
            })
            .collect();
        Self {
            first_source,
            judges: Self::has_judged(&sources),
            judge: Judge::default(),
            is_ending: false,
            sources,
            exchanges,
            chains,
            recorder,
            sleeps: 0,
            stopped: false,
            now,
            runs,
        }
    }

    /// Reads no further record; those that were read go on to their end.
    pub(crate) fn stop(&mut self) {
        self.is_ending = true;
        self.sources.iter_mut().for_each(|slot| slot.source.stop());
    }

    /// Lets input without an end have one, behind what was handed in.
    pub(crate) fn drain(&mut self) {
        self.is_ending = true;
        self.sources.iter_mut().for_each(|slot| slot.source.drain());
    }

    /// Moves what can move.
    pub(crate) fn turn(&mut self, io: &mut Io) -> Result<Turn> {
        let mut moved = self.poll_sources(io)?;
        moved |= self.drain_mesh()?;
        moved |= self.tick()?;
        moved |= self.save_some()?;
        let staged = self.flush();
        self.note_aligning();
        moved |= self.end_barrier();
        Ok(self.verdict(moved, staged))
    }

    /// Takes a read that was carried out, where one of these sources asked for it.
    pub(crate) fn complete(&mut self, completion: Completion) -> Result<Option<Completion>> {
        let source = completion.tag / TAGS;
        let slot = source.checked_sub(self.first_source);
        match slot.and_then(|slot| self.sources.get_mut(slot)) {
            None => Ok(Some(completion)),
            Some(slot) => slot.source.complete(completion).map(|()| None),
        }
    }

    fn poll_sources(&mut self, io: &mut Io) -> Result<bool> {
        let mut moved = false;
        if self.judges {
            self.judge();
        }
        for slot in &mut self.sources {
            let free = slot.send_told(&mut moved);
            // A barrier that was asked for waits for no other source.
            let may_go_on = !slot.ended && (!slot.among.is_ahead || slot.is_asked);
            if free && matches!(slot.hand, Hand::Empty) && may_go_on {
                let source = &slot.source;
                let polled = match slot.asked.take_if(|_| source.has_taken_pushed()) {
                    Some(epoch) => Polled::Barrier(epoch),
                    None if slot.among.is_ahead => slot.source.poll_upto_barrier(io)?,
                    None => slot.source.poll(io)?,
                };
                if self.judges && matches!(polled, Polled::Frame | Polled::Marked) {
                    slot.among.moved_ns = (self.now)();
                }
                match polled {
                    Polled::Frame => {
                        if self.judges {
                            slot.among.raise_bounds(&mut slot.source);
                        }
                        if let Some(clock) = &mut slot.processing {
                            clock.stamp(slot.source.frame_mut());
                        }
                        slot.hand = Hand::SourceFrame(0);
                    }
                    Polled::Marked => slot.hand = Hand::Failed,
                    Polled::Pending => {
                        let passes = slot.processing.as_mut().is_some_and(Processing::passes);
                        if passes || slot.among.lags() {
                            slot.hand = Hand::Failed;
                        }
                    }
                    Polled::ChunkEnd => slot.end_chunk(Mark::ChunkEnd),
                    Polled::SplitEnd => slot.end_chunk(Mark::SplitEnd),
                    Polled::Barrier(epoch) => {
                        let mut position = slot.source.pass_barrier();
                        let clock = slot.processing.as_ref().map(Processing::split);
                        position.split = clock.or(position.split);
                        position.followed = slot.among.followed();
                        slot.position = Some(position);
                        slot.is_asked = false;
                        slot.end_chunk(Mark::Barrier(epoch));
                    }
                    Polled::End => slot.end(Mark::End),
                    Polled::Stopped => {
                        slot.end(Mark::Stop);
                        self.stopped = true;
                    }
                }
                slot.send_told(&mut moved);
            }
            moved |= slot.hand_on(&mut self.chains, &mut self.recorder)?;
            slot.late.send(&mut moved);
        }
        Ok(moved)
    }

    fn drain_mesh(&mut self) -> Result<bool> {
        let mut moved = false;
        for slot in &mut self.exchanges {
            let mut fuel = FUEL_PER_ITEM;
            for _ in 0..MESSAGES_PER_TURN {
                if fuel == 0 {
                    break;
                }
                if matches!(slot.hand, Hand::Empty) {
                    match slot.receiver.poll() {
                        None => break,
                        Some(Received::Frame(lane, frame)) => {
                            slot.hand = Hand::LaneFrame(lane, frame, 0);
                        }
                        Some(Received::Mark(mark)) => {
                            if let Mark::Barrier(_) = mark {
                                slot.split = slot.receiver.split();
                            }
                            slot.hand = Hand::Mark(mark, 0);
                        }
                        Some(Received::Absorbed) => {
                            moved = true;
                            continue;
                        }
                    }
                    moved = true;
                }
                let recorder = &mut self.recorder;
                if !slot.hand_on(&mut self.chains, &mut fuel, recorder, &mut moved)? {
                    break;
                }
            }
        }
        Ok(moved)
    }

    /// Tells the time where changes wait for it.
    fn tick(&mut self) -> Result<bool> {
        let mut moved = false;
        for chain in self.chains.iter_mut().filter(|chain| chain.waits()) {
            moved |= chain.tick((self.now)(), &mut { FUEL_PER_ITEM }, &mut self.recorder)?;
        }
        Ok(moved)
    }

    fn flush(&mut self) -> bool {
        self.exchanges
            .iter_mut()
            .for_each(|slot| slot.receiver.end_turn());
        let letters = self.sources.iter_mut().fold(false, |staged, slot| {
            slot.source.end_turn();
            let letters = slot.letters.as_mut().is_some_and(Aside::end_turn);
            letters | slot.late.end_turn() | staged
        });
        self.chains
            .iter_mut()
            .fold(letters, |staged, chain| chain.end_turn() | staged)
    }

    fn verdict(&self, moved: bool, staged: bool) -> Turn {
        let empty = |hand: &Hand| matches!(hand, Hand::Empty);
        let finished = !staged
            && !self.recorder.waits_for_room()
            && !self.chains.iter().any(|chain| chain.barriers.is_saving)
            && self.sources.iter().all(|s| s.ended && empty(&s.hand))
            && self
                .exchanges
                .iter()
                .all(|e| e.receiver.is_ended() && empty(&e.hand));
        match (finished, moved) {
            (true, _) => Turn::Finished,
            (false, true) => Turn::Busy,
            (false, false) => Turn::Idle,
        }
    }
}

impl SourceSlot {
    /// Nothing comes behind this mark.
    fn end(&mut self, mark: Mark) {
        self.ended = true;
        self.end_chunk(mark);
    }

    fn end_chunk(&mut self, mark: Mark) {
        self.hand = Hand::Mark(mark, 0);
        if let Some(letters) = &mut self.letters {
            letters.end_chunk(mark);
        }
        self.late.end_chunk(mark);
    }

    /// Sends what is told besides of its rows. Returns whether all of it was taken.
    fn send_told(&mut self, moved: &mut bool) -> bool {
        let letters = self.letters.as_mut();
        letters.is_none_or(|to| to.send(self.source.letters(), moved)) & self.late.send(moved)
    }

    /// Offers what is in hand. Returns whether something moved.
    fn hand_on(&mut self, chains: &mut [Chain], recorder: &mut Recorder) -> Result<bool> {
        let mut moved = false;
        loop {
            match &mut self.hand {
                Hand::Empty => return Ok(moved),
                Hand::SourceFrame(next) => {
                    let frame = self.source.frame();
                    let first = *next;
                    let item = Item::Frame(frame);
                    let to = (&self.consumers[..], &mut *next);
                    let fuel = &mut { FUEL_PER_ITEM };
                    let flow = offer(chains, to, item, fuel, recorder, &mut moved)?;
                    for to in &self.consumers[first..*next] {
                        let counters = &mut chains[to.chain].ports[to.port].counters;
                        counters.rows_in += frame.rows() as u64;
                    }
                    if flow == Flow::Full {
                        return Ok(moved);
                    }
                    for to in &self.consumers {
                        self.failed.append(&mut chains[to.chain].failed);
                    }
                    self.failed.sort_by_key(|error| error.row);
                    let own = match self.source.own_bounds() {
                        [] => self.among.own_bounds(),
                        own => own,
                    };
                    self.late.take((&self.source, own), chains, &self.consumers);
                    self.hand = Hand::Failed;
                }
                Hand::Failed => {
                    let failed = self.failed.len();
                    if failed > 0 {
                        self.source.take_failed(&mut self.failed)?;
                        moved |= self.failed.len() < failed;
                    }
                    if !self.failed.is_empty() {
                        return Ok(moved);
                    }
                    let watermark = match &mut self.processing {
                        Some(clock) => clock.watermark(),
                        None => self.among.watermark(self.source.watermark()),
                    };
                    self.hand = match watermark {
                        Some(time) => Hand::Mark(Mark::Watermark(time), 0),
                        None => Hand::Empty,
                    };
                }
                Hand::Mark(mark, next) => {
                    let mark = Item::Mark(*mark);
                    let to = (&self.consumers[..], next);
                    let fuel = &mut { FUEL_PER_ITEM };
                    let flow = offer(chains, to, mark, fuel, recorder, &mut moved)?;
                    if flow == Flow::Full {
                        return Ok(moved);
                    }
                    self.hand = Hand::Empty;
                }
                Hand::LaneFrame(..) => unreachable!("a source has no lane"),
            }
            moved = true;
        }
    }
}

impl ExchangeSlot {
    /// Offers what is in hand. Returns whether all of it was taken.
    fn hand_on(
        &mut self,
        chains: &mut [Chain],
        fuel: &mut u32,
        recorder: &mut Recorder,
        moved: &mut bool,
    ) -> Result<bool> {
        let (item, next) = match &mut self.hand {
            Hand::Empty => return Ok(false),
            Hand::LaneFrame(lane, frame, next) => (self.receiver.item(*lane, frame), next),
            Hand::Mark(mark, next) => (Item::Mark(*mark), next),
            Hand::SourceFrame(_) | Hand::Failed => unreachable!("an exchange has no source"),
        };
        let to = (&self.consumers[..], next);
        let flow = offer(chains, to, item, fuel, recorder, moved)?;
        if flow == Flow::Full {
            return Ok(false);
        }
        if let Hand::LaneFrame(lane, frame, _) = std::mem::replace(&mut self.hand, Hand::Empty) {
            // Rows that are only taken are work, too.
            *fuel = fuel.saturating_sub(u32::try_from(frame.rows()).unwrap_or(u32::MAX));
            self.receiver.give_back(lane, frame);
        }
        Ok(true)
    }
}

/// Offers an item to the consumers from `next` on, as long as there is fuel.
fn offer(
    chains: &mut [Chain],
    (consumers, next): (&[Consumer], &mut usize),
    item: Item<'_>,
    fuel: &mut u32,
    recorder: &mut Recorder,
    moved: &mut bool,
) -> Result<Flow> {
    while *next < consumers.len() {
        if *fuel == 0 {
            // It goes on in the next turn, as others wait for theirs.
            *moved = true;
            return Ok(Flow::Full);
        }
        let given = *fuel;
        let Consumer { chain, port } = consumers[*next];
        let flow = chains[chain].offer(port, item, fuel, recorder)?;
        // A chain that only stopped to let others have their turn goes on by itself.
        *moved |= *fuel < given || flow == Flow::Done;
        if flow == Flow::Full {
            return Ok(Flow::Full);
        }
        *next += 1;
    }
    Ok(Flow::Done)
}
