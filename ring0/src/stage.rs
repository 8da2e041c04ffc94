//! A stage on one shard: a chain of operators that resume, and the sink at its end.
//!
//! An item (a frame or a mark) is offered until the chain says that it took all of it. Each level
//! holds at most one frame of results, which the rest of the chain consumes before the level goes
//! on; so a full ring at the end stops the chain wherever it is, and nothing is lost or doubled.

mod barriers;
mod changes;
mod changing;
mod failing;
mod grouping;
mod late;
mod made;
mod ordered;
mod ports;
mod routed;
mod rows;
mod sets;
mod sink;
mod state;
mod taking;
mod ticks;

use std::sync::Arc;

use self::barriers::Barriers;
use self::failing::{End, OnError};
pub(crate) use self::late::LateRow;
use self::made::{Making, Operator};
use self::ports::{Merged, Ports, meeting, of_ports};
use self::routed::Routed;
pub(crate) use self::routed::{Route, routes};
use self::rows::resume;
pub(crate) use self::sink::Sink;
use self::state::StateBytes;
use self::ticks::Ticks;
use crate::build::Origin;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::lineage::{Lineage, OfInput};
use crate::mesh::Flow;
use crate::message::Mark;
use crate::operator::aggregate::Progress;
use crate::program::{OperatorSpec, Reading, Routing, SourceSpec};
use crate::schema::Schema;
use crate::snapshot::{self, Recorder, Restore};
use crate::table::store::Addresses;
use crate::tally;

/// What a frame of results costs of a turn, however few rows it has, in rows.
const FRAME_COST: u32 = 128;
/// What a step of work without results costs.
const STEP_COST: u32 = 1024;

/// What is offered to a chain.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item<'a> {
    /// Records.
    Frame(&'a Frame),
    /// Groups that were made of records before an exchange.
    Groups(&'a Frame),
    /// A mark.
    Mark(Mark),
    /// It is time to tell of changes that wait in this chain.
    Tick,
}

/// One operator, and the frame it writes into.
#[derive(Debug)]
struct Level {
    operator: Operator,
    on_error: OnError,
    /// Rows that the rest of the chain has not taken yet.
    out: Frame,
    /// Rows of the frame in hand that are in `out` or beyond; 0 where it was not begun.
    taken: usize,
    /// The operator has taken all of the item in hand.
    finished: bool,
    /// The stage of the program and the operator in it.
    origin: (u32, u32),
    /// What it is called.
    name: &'static str,
    /// Rows that were taken and given; both are counted by the frame.
    rows_in: u64,
    rows_out: u64,
    state: StateBytes,
}

/// The operators of a stage and their sink.
#[derive(Debug)]
pub(crate) struct Chain {
    levels: Vec<Level>,
    pub(crate) sink: Sink,
    /// Which of what leaves the chain still are the source's rows.
    of_input: OfInput,
    pub(crate) ports: Ports,
    /// Rows of the source's frame in hand on which an expression failed, and that were left out;
    /// to be taken once the frame is.
    pub(crate) failed: Vec<RowError>,
    /// The same of rows that were late, where the source wants to know.
    pub(crate) late: Option<Vec<LateRow>>,
    ticks: Ticks,
    pub(crate) barriers: Barriers,
}

/// Where a chain's records come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChainInput<'a> {
    /// A source.
    Source(&'a SourceSpec),
    /// The mesh, which routed them so.
    Exchange(&'a Routing),
}

impl ChainInput<'_> {
    /// Whether shard 0 has all of them.
    fn is_single(self) -> bool {
        match self {
            Self::Source(source) => source.reading == Reading::InOrder,
            Self::Exchange(routing) => *routing == Routing::Single,
        }
    }
}

/// What a chain needs to know of its shard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) shard: usize,
    /// When the program began.
    pub(crate) begun_ns: i64,
    pub(crate) frame_rows: usize,
    pub(crate) first_group: u32,
    pub(crate) groups: u32,
    pub(crate) seed: u64,
    /// For the state of each aggregation.
    pub(crate) addresses: Addresses,
}

impl Chain {
    /// A chain over records of `schema`.
    pub(crate) fn new(
        operators: &[OperatorSpec],
        schema: &Arc<Schema>,
        sink: Sink,
        (input, routes): (ChainInput<'_>, &[Route]),
        lineages: &[Lineage],
        (origin, is_remade): (&Origin, bool),
        place: Place,
    ) -> Result<Self> {
        let meeting = meeting(operators);
        let of_input = of_ports(lineages, meeting);
        let mut making = Making::new(
            schema,
            input,
            of_input,
            Routed::of(routes, operators),
            place,
        );
        let mut on_error = OnError::of(input);
        let mut levels = Vec::with_capacity(operators.len());
        for (spec, &origin) in operators.iter().zip(&origin.operators) {
            let before = tally::held();
            let operator = making.operator(spec)?;
            let mut state = StateBytes::default();
            state.add_since(before);
            making.pass(spec)?;
            levels.push(Level {
                operator,
                on_error,
                out: making.frame(),
                taken: 0,
                finished: false,
                origin,
                name: spec.name(),
                rows_in: 0,
                rows_out: 0,
                state,
            });
            // What an operator is given is not what it gives.
            on_error = on_error.behind(spec, input);
        }
        Ok(Self {
            levels,
            sink,
            // Rows that HAVING drops are groups, and no rows of the input's ledger.
            of_input: making.of_input,
            ports: Ports::new(lineages, meeting, of_input),
            failed: Vec::new(),
            late: match input {
                ChainInput::Source(source) => source.wants_late().then(Vec::new),
                ChainInput::Exchange(_) => None,
            },
            barriers: Barriers {
                stages: origin.stages.clone(),
                is_remade,
                is_over: false,
                passed: 0,
                ended: false,
                is_saving: false,
                aligning: Default::default(),
            },
            ticks: Ticks::of(operators),
        })
    }

    /// Goes on from snapshots; `shard` is this one's number of so many.
    pub(crate) fn go_on(&mut self, from: &Restore, (shard, shards): (usize, usize)) -> Result<()> {
        if self.barriers.is_remade {
            return Ok(());
        }
        // What of several stages had ended is what is before the others.
        self.barriers.is_over = !self.barriers.stages.iter().any(|&s| from.passed(s));
        for level in &mut self.levels {
            let (stage, operator) = level.origin;
            for (of, bytes) in from.of(snapshot::Place::Operator(stage, operator)) {
                let same_shard = (from.shards() == shards).then_some(of == shard);
                let rows = snapshot::decode(bytes)?;
                let before = tally::held();
                level.operator.load(&rows, same_shard)?;
                level.state.add_since(before);
            }
        }
        Ok(())
    }

    /// Offers an item of a port; after `Full` the same item has to be offered again. `fuel` bounds
    /// how many rows of results leave in one turn.
    pub(crate) fn offer(
        &mut self,
        port: usize,
        item: Item<'_>,
        fuel: &mut u32,
        recorder: &mut Recorder,
    ) -> Result<Flow> {
        if self.ticks.is_ticking || self.waits_for_saved() {
            return Ok(Flow::Full);
        }
        let merged = match self.ports.begin(port, item) {
            Merged::Declined => return Ok(Flow::Full),
            Merged::Absorbed => return Ok(Flow::Done),
            Merged::Item(item) => item,
        };
        match self.levels.first_mut().map(|level| &mut level.operator) {
            Some(Operator::Join(join)) => join.take_from(port),
            Some(Operator::IntervalJoin(join)) => join.take_from(port, self.ports.reached()),
            Some(Operator::NearestJoin(join)) => join.take_from(port, self.ports.reached()),
            Some(Operator::RegularJoin(join)) => join.take_from(port, self.ports.reached()),
            Some(_) | None => {}
        }
        let mut end = End {
            applies: matches!(self.sink, Sink::Output { .. }) || self.ports.len() > 1,
            sink: &mut self.sink,
            counters: &mut self.ports[port].counters,
            of_input: self.of_input,
            failed: &mut self.failed,
            late: self.late.as_mut(),
            recorder,
        };
        let levels = match (self.barriers.is_over, merged) {
            (false, _) => &mut self.levels[..],
            (true, Item::Mark(_) | Item::Tick) => &mut [],
            // It is made again for nothing.
            (true, Item::Frame(_)) if self.ports.kept() == Some(port) => {
                self.ports.end(port, item, Flow::Done);
                return Ok(Flow::Done);
            }
            (true, Item::Frame(_) | Item::Groups(_)) => {
                let message = "there are rows for a stage that had ended";
                return Err(Error::Restore(message.to_owned()));
            }
        };
        let flow = drive(levels, &mut end, merged, fuel)?;
        if let Sink::Exchange(exchange) = &mut self.sink
            && let Some(error) = exchange.take_failed()
        {
            return Err(error);
        }
        if let Some(level) = self.levels.first_mut() {
            self.ports.forgot(level.operator.take_forgotten());
        }
        self.ports.end(port, item, flow);
        self.ticks.is_amid = flow == Flow::Full;
        if flow == Flow::Done {
            match merged {
                Item::Mark(Mark::Barrier(epoch)) => {
                    self.barriers.passed = epoch;
                    self.note_saving();
                }
                Item::Mark(Mark::End | Mark::Stop) => self.barriers.ended = true,
                Item::Mark(_) | Item::Frame(_) | Item::Groups(_) | Item::Tick => {}
            }
        }
        Ok(flow)
    }

    /// End of a turn. Returns whether rows are still staged here.
    pub(crate) fn end_turn(&mut self) -> bool {
        match &mut self.sink {
            Sink::Exchange(exchange) => exchange.end_turn(),
            Sink::Output { lane, .. } => lane.end_turn(),
        }
    }
}

fn drive(levels: &mut [Level], end: &mut End<'_>, item: Item<'_>, fuel: &mut u32) -> Result<Flow> {
    let Some((level, rest)) = levels.split_first_mut() else {
        return Ok(end.offer(item));
    };
    loop {
        if level.out.rows() > 0 {
            let noted = end.noted();
            let flow = drive(rest, end, Item::Frame(&level.out), fuel)?;
            if end.noted() != noted {
                level.trace(item, end, noted);
            }
            if flow == Flow::Full {
                return Ok(Flow::Full);
            }
            let rows = level.out.rows();
            level.rows_out += rows as u64;
            level.out.clear();
            // A frame's results are bounded by the frame; what a mark sets free is not.
            *fuel = fuel.saturating_sub(level.operator.cost(rows));
            if *fuel == 0 && !level.finished {
                return Ok(Flow::Full);
            }
        }
        if level.finished {
            if let Item::Mark(mark) = item
                && let Some(mark) = level.forwarded(mark)
                && drive(rest, end, Item::Mark(mark), fuel)? == Flow::Full
            {
                return Ok(Flow::Full);
            }
            level.finished = false;
            if let Item::Frame(frame) | Item::Groups(frame) = item {
                level.rows_in += frame.rows() as u64;
            }
            return Ok(Flow::Done);
        }
        let before = tally::held();
        let stepped = level.step(item, end);
        level.state.add_since(before);
        level.finished = stepped? == Flow::Done;
        if !level.finished && matches!(item, Item::Mark(Mark::Barrier(_))) {
            // A slice of a snapshot a turn.
            *fuel = 0;
            if level.out.rows() == 0 {
                return Ok(Flow::Full);
            }
        }
        if !level.finished && level.out.rows() == 0 {
            // Work without results is work, too.
            *fuel = fuel.saturating_sub(STEP_COST);
            if *fuel == 0 {
                return Ok(Flow::Full);
            }
        }
    }
}

impl Level {
    /// Chunks speak of the input, which an aggregate's output has no more. Watermarks say which
    /// windows are closed, behind an aggregation by windows, too.
    fn forwarded(&self, mark: Mark) -> Option<Mark> {
        let forwards = match (&self.operator, mark) {
            // Joined rows lie further behind than their inputs.
            (Operator::IntervalJoin(join), Mark::Watermark(_)) => {
                return join.watermark().map(Mark::Watermark);
            }
            (Operator::NearestJoin(join), Mark::Watermark(told)) => {
                return join.watermark(told).map(Mark::Watermark);
            }
            (Operator::Aggregate(state), Mark::Watermark(_)) => state.has_windows(),
            // A row of any time may match one that comes.
            (Operator::RegularJoin(_), Mark::Watermark(_)) => false,
            (Operator::Aggregate(_), Mark::ChunkEnd | Mark::SplitEnd)
            | (Operator::Ordered(_), Mark::Watermark(_) | Mark::ChunkEnd | Mark::SplitEnd) => false,
            (Operator::Changing(changing), mark) => changing.forwards(mark),
            _ => true,
        };
        forwards.then_some(mark)
    }

    fn step(&mut self, item: Item<'_>, end: &mut End<'_>) -> Result<Flow> {
        match (item, &mut self.operator) {
            (Item::Frame(frame), _) => self.take(frame, end),
            (Item::Groups(groups), Operator::Aggregate(state)) => {
                state.combine(groups)?;
                Ok(Flow::Done)
            }
            (Item::Groups(_), _) => unreachable!("an aggregation comes first"),
            (Item::Mark(Mark::Barrier(barrier)), _) => self.save(barrier, end),
            (Item::Tick, operator) => operator.tick(&mut self.out),
            (Item::Mark(mark), Operator::Aggregate(state)) => state.emit(mark, &mut self.out),
            // What was stopped is not complete, and nothing stands in order.
            (Item::Mark(Mark::End), Operator::Ordered(ordered)) => {
                Ok(match ordered.emit(&mut self.out)? {
                    Progress::Done => Flow::Done,
                    Progress::Full => Flow::Full,
                })
            }
            (Item::Mark(mark), Operator::Sets(sets)) => Ok(sets.emit(mark, &mut self.out)),
            (Item::Mark(Mark::End), Operator::Join(join)) => Ok(join.finish(&mut self.out)),
            (Item::Mark(Mark::Watermark(_) | Mark::End), Operator::IntervalJoin(join)) => {
                Ok(join.forget_all(&mut self.out))
            }
            (Item::Mark(Mark::Watermark(_) | Mark::End), Operator::NearestJoin(join)) => {
                Ok(join.settle(&mut self.out))
            }
            (Item::Mark(Mark::Watermark(_)), Operator::RegularJoin(join)) => Ok(join.forget()),
            (Item::Mark(mark), Operator::Changing(changing)) => changing.emit(mark, &mut self.out),
            (Item::Mark(mark), Operator::MarkFirst(state)) => Ok(state.forget(mark)),
            (
                Item::Mark(_),
                Operator::Filter { .. }
                | Operator::FilterChanges { .. }
                | Operator::Project { .. }
                | Operator::DropLate { .. }
                | Operator::Unnest { .. }
                | Operator::Windows { .. }
                | Operator::Ordered(_)
                | Operator::Join(_)
                | Operator::IntervalJoin(_)
                | Operator::NearestJoin(_)
                | Operator::RegularJoin(_)
                | Operator::Applied { .. },
            ) => Ok(Flow::Done),
        }
    }

    /// Hands the next slice of state on to the snapshot, or gives what is not kept.
    fn save(&mut self, barrier: u64, end: &mut End<'_>) -> Result<Flow> {
        if let Operator::Aggregate(state) = &mut self.operator
            && state.is_partial()
        {
            return state.emit(Mark::Barrier(0), &mut self.out);
        }
        if !snapshot::is_kept(barrier) {
            return Ok(Flow::Done);
        }
        if !end.recorder.has_room() {
            return Ok(Flow::Full);
        }
        // What it kept at a barrier before is handed on first.
        if self.frozen().is_some() {
            return Ok(Flow::Full);
        }
        if let Operator::Aggregate(state) = &mut self.operator
            && state.freeze()?
        {
            return Ok(Flow::Done);
        }
        Ok(match self.operator.save()? {
            None => Flow::Done,
            Some(rows) => {
                let (stage, operator) = self.origin;
                let place = snapshot::Place::Operator(stage, operator);
                end.recorder.record(place, snapshot::encode(&rows));
                Flow::Full
            }
        })
    }
}
