//! A stage on one shard: a chain of operators that resume, and the sink at its end.
//!
//! An item (a frame or a mark) is offered until the chain says that it took all of it. Each level
//! holds at most one frame of results, which the rest of the chain consumes before the level goes
//! on; so a full ring at the end stops the chain wherever it is, and nothing is lost or doubled.

use std::sync::Arc;

use crate::check::{check_filter, check_late, check_projection, same_types};
use crate::error::{Result, refuse};
use crate::exchange::ExchangeSender;
use crate::frame::Frame;
use crate::hash::hash_keys;
use crate::kernel::{Evaluator, Projection};
use crate::limits::KEY_GROUPS;
use crate::mesh::{Flow, LaneSender};
use crate::message::Mark;
use crate::metrics::QueryCounters;
use crate::operator::aggregate::{Aggregate, EmitCursor, Progress};
use crate::program::{AggregateSpec, LateRule, OperatorSpec, Reading, Routing};
use crate::schema::Schema;
use crate::table::store::Addresses;

/// What is offered to a chain.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item<'a> {
    /// Records.
    Frame(&'a Frame),
    /// A mark.
    Mark(Mark),
}

/// The end of a chain.
#[derive(Debug)]
pub(crate) enum Sink {
    /// Into the mesh.
    Exchange(ExchangeSender),
    /// To the host.
    Output {
        /// The lane to the host.
        lane: LaneSender,
        /// The host takes chunks in order.
        ordered: bool,
        /// How many rows of the frame in hand were sent.
        next: usize,
    },
}

impl Sink {
    /// Offers an item; after `Full` the same item has to be offered again.
    pub(crate) fn offer(&mut self, item: Item<'_>) -> Flow {
        match (self, item) {
            (Self::Exchange(exchange), Item::Frame(frame)) => exchange.send(frame),
            (Self::Exchange(exchange), Item::Mark(mark)) => exchange.mark(mark),
            (Self::Output { lane, next, .. }, Item::Frame(frame)) => {
                let flow = lane.send_all(frame, next);
                if flow == Flow::Done {
                    *next = 0;
                }
                flow
            }
            (Self::Output { ordered: false, .. }, Item::Mark(Mark::ChunkEnd)) => Flow::Done,
            (Self::Output { lane, .. }, Item::Mark(mark)) => lane.mark(mark),
        }
    }
}

/// An operator's live form.
#[derive(Debug)]
enum Operator {
    Filter {
        condition: Box<Evaluator>,
        rows: Vec<u32>,
        of_input: bool,
    },
    Project(Projection),
    DropLate {
        rule: LateRule,
        rows: Vec<u32>,
        of_input: bool,
    },
    Aggregate(Box<AggregateState>),
}

#[derive(Debug)]
struct AggregateState {
    spec: Arc<AggregateSpec>,
    aggregate: Aggregate,
    /// The columns that are hashed.
    keys: Vec<usize>,
    /// Its rows are the source's: they are applied here.
    applies: bool,
    /// All rows go to another shard: the group without keys exists there and not here.
    elsewhere: bool,
    hashes: Vec<u64>,
    cursor: EmitCursor,
    seed: u64,
}

/// First key group and number of them.
type Groups = (u32, u32);
const ALL_GROUPS: Groups = (0, KEY_GROUPS as u32);

impl AggregateState {
    /// The first operator of a chain that makes other columns: its keys come from this shard's own
    /// groups only if they were routed by just these columns.
    fn behind(spec: &Arc<AggregateSpec>, input: ChainInput<'_>, place: Place) -> Result<Self> {
        let keys = spec.hashed_keys();
        let groups = match input {
            ChainInput::Exchange(Routing::Hash(by)) if *by == keys => {
                (place.first_group, place.groups)
            }
            _ => ALL_GROUPS,
        };
        Self::new(spec, input, place, groups)
    }

    fn new(
        spec: &Arc<AggregateSpec>,
        input: ChainInput<'_>,
        place: Place,
        (first_group, groups): Groups,
    ) -> Result<Self> {
        Ok(Self {
            aggregate: Aggregate::new(Arc::clone(spec), first_group, groups, place.addresses)?,
            spec: Arc::clone(spec),
            keys: spec.hashed_keys(),
            applies: false,
            elsewhere: place.shard > 0 && input.is_single(),
            hashes: Vec::new(),
            cursor: EmitCursor::default(),
            seed: place.seed,
        })
    }

    fn update(&mut self, frame: &Frame) -> Result<()> {
        assert!(!self.elsewhere, "a row came to a shard that is sent none");
        let schema = &self.spec.input;
        hash_keys(frame, schema, &self.keys, self.seed, &mut self.hashes);
        self.aggregate.update(frame, &self.hashes)
    }

    /// Writes the groups that a mark sets free into `out`, as far as there is room.
    fn emit(&mut self, mark: Mark, out: &mut Frame) -> Result<Flow> {
        let upto = match mark {
            _ if self.elsewhere => return Ok(Flow::Done),
            Mark::End => None,
            Mark::Watermark(t) if self.spec.window.is_some() => Some(t),
            Mark::Watermark(_) | Mark::ChunkEnd | Mark::Barrier(_) => return Ok(Flow::Done),
        };
        Ok(match self.aggregate.emit(upto, &mut self.cursor, out)? {
            Progress::Done => {
                self.cursor = EmitCursor::default();
                Flow::Done
            }
            Progress::Full => Flow::Full,
        })
    }
}

/// One operator, and the frame it writes into.
#[derive(Debug)]
struct Level {
    operator: Operator,
    /// Rows that the rest of the chain has not taken yet.
    out: Frame,
    /// Rows of the frame in hand that are in `out` or beyond; 0 where it was not begun.
    taken: usize,
    /// The operator has taken all of the item in hand.
    finished: bool,
}

/// The operators of a stage and their sink.
#[derive(Debug)]
pub(crate) struct Chain {
    levels: Vec<Level>,
    pub(crate) sink: Sink,
    /// What leaves the chain still are the source's rows.
    of_input: bool,
    pub(crate) origin: usize,
    pub(crate) counters: QueryCounters,
}

/// What a chain's records were before they came to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lineage {
    /// The stage that reads their source.
    pub(crate) origin: usize,
    /// They still are that source's rows, and no groups: the ledger counts what becomes of them.
    /// Where several stages read an exchange, it follows the first, so that a row counts once.
    pub(crate) of_input: bool,
}

/// Where a chain's records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChainInput<'a> {
    /// A source, read so.
    Source(Reading),
    /// The mesh, which routed them so.
    Exchange(&'a Routing),
}

impl ChainInput<'_> {
    /// Whether shard 0 has all of them.
    fn is_single(self) -> bool {
        matches!(
            self,
            Self::Source(Reading::InOrder) | Self::Exchange(Routing::Single)
        )
    }
}

/// What a chain needs to know of its shard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) shard: usize,
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
        input: ChainInput<'_>,
        lineage: Lineage,
        place: Place,
    ) -> Result<Self> {
        // Rows that HAVING drops are groups, and no rows of the input's ledger.
        let mut of_input = lineage.of_input;
        // Columns still are where the exchange has them.
        let mut as_routed = true;
        let mut schema = Arc::clone(schema);
        let mut levels = Vec::with_capacity(operators.len());
        for spec in operators {
            let operator = match spec {
                OperatorSpec::Filter(expr) => {
                    let condition = Box::new(Evaluator::new(expr, &schema)?);
                    check_filter(expr, &schema)?;
                    Operator::Filter {
                        condition,
                        rows: Vec::new(),
                        of_input,
                    }
                }
                OperatorSpec::Project {
                    exprs,
                    schema: output,
                } => {
                    let projection = Projection::new(exprs, &schema)?;
                    check_projection(exprs, &schema, output)?;
                    as_routed = false;
                    schema = Arc::clone(output);
                    Operator::Project(projection)
                }
                OperatorSpec::DropLate(rule) => {
                    check_late(rule, &schema)?;
                    Operator::DropLate {
                        rule: *rule,
                        rows: Vec::new(),
                        of_input,
                    }
                }
                OperatorSpec::Aggregate(spec) => {
                    if !same_types(&spec.input, &schema) {
                        return refuse("an aggregation of other columns".to_owned());
                    }
                    schema = Arc::clone(&spec.output);
                    let mut state = if std::mem::take(&mut as_routed) {
                        AggregateState::behind(spec, input, place)?
                    } else {
                        AggregateState::new(spec, input, place, ALL_GROUPS)?
                    };
                    state.applies = std::mem::take(&mut of_input);
                    Operator::Aggregate(Box::new(state))
                }
            };
            let out = Frame::new(&schema, place.frame_rows);
            levels.push(Level {
                operator,
                out,
                taken: 0,
                finished: false,
            });
        }
        Ok(Self {
            levels,
            sink,
            of_input,
            origin: lineage.origin,
            counters: QueryCounters::default(),
        })
    }

    /// Offers an item; after `Full` the same item has to be offered again. `fuel` bounds how many
    /// frames of results leave in one turn.
    pub(crate) fn offer(&mut self, item: Item<'_>, fuel: &mut u32) -> Result<Flow> {
        let mut end = End {
            sink: &mut self.sink,
            counters: &mut self.counters,
            of_input: self.of_input,
        };
        drive(&mut self.levels, &mut end, item, fuel)
    }

    /// End of a turn. Returns whether rows are still staged here.
    pub(crate) fn end_turn(&mut self) -> bool {
        match &mut self.sink {
            Sink::Exchange(exchange) => exchange.end_turn(),
            Sink::Output { lane, .. } => lane.end_turn(),
        }
    }
}

/// What lies behind a chain's operators.
struct End<'a> {
    sink: &'a mut Sink,
    counters: &'a mut QueryCounters,
    of_input: bool,
}

impl End<'_> {
    fn offer(&mut self, item: Item<'_>) -> Flow {
        let flow = self.sink.offer(item);
        if let (Flow::Done, Item::Frame(frame), Sink::Output { .. }) = (flow, item, &self.sink)
            && self.of_input
        {
            self.counters.rows_applied += frame.rows() as u64;
        }
        flow
    }
}

fn drive(levels: &mut [Level], end: &mut End<'_>, item: Item<'_>, fuel: &mut u32) -> Result<Flow> {
    let Some((level, rest)) = levels.split_first_mut() else {
        return Ok(end.offer(item));
    };
    loop {
        if level.out.rows() > 0 {
            if drive(rest, end, Item::Frame(&level.out), fuel)? == Flow::Full {
                return Ok(Flow::Full);
            }
            level.out.clear();
            // A frame's results are bounded by the frame; what a mark sets free is not.
            *fuel = fuel.saturating_sub(1);
            if *fuel == 0 && !level.finished {
                return Ok(Flow::Full);
            }
        }
        if level.finished {
            if let Item::Mark(mark) = item
                && level.forwards(mark)
                && drive(rest, end, item, fuel)? == Flow::Full
            {
                return Ok(Flow::Full);
            }
            level.finished = false;
            return Ok(Flow::Done);
        }
        level.finished = level.step(item, end.counters)? == Flow::Done;
    }
}

impl Level {
    /// Watermarks and chunks speak of the input, which an aggregate's output has no more.
    fn forwards(&self, mark: Mark) -> bool {
        !matches!(
            (&self.operator, mark),
            (Operator::Aggregate(_), Mark::Watermark(_) | Mark::ChunkEnd)
        )
    }

    fn step(&mut self, item: Item<'_>, counters: &mut QueryCounters) -> Result<Flow> {
        match (&mut self.operator, item) {
            (
                Operator::Filter {
                    condition,
                    rows,
                    of_input,
                },
                Item::Frame(frame),
            ) => {
                if self.taken == 0 {
                    rows.clear();
                    condition.select(frame, rows)?;
                    if *of_input {
                        counters.rows_filtered += (frame.rows() - rows.len()) as u64;
                    }
                }
                Ok(append(&mut self.out, frame, rows, &mut self.taken))
            }
            (
                Operator::DropLate {
                    rule,
                    rows,
                    of_input,
                },
                Item::Frame(frame),
            ) => {
                if self.taken == 0 {
                    rows.clear();
                    rule.on_time(frame, rows);
                    if *of_input {
                        counters.rows_late += (frame.rows() - rows.len()) as u64;
                    }
                }
                Ok(append(&mut self.out, frame, rows, &mut self.taken))
            }
            (Operator::Project(projection), Item::Frame(frame)) => {
                if self.taken == 0 {
                    projection.evaluate(frame)?;
                }
                let end = frame.rows().min(self.taken + self.out.room());
                projection.append(frame, self.taken..end, &mut self.out);
                self.taken = if end < frame.rows() { end } else { 0 };
                Ok(if self.taken > 0 {
                    Flow::Full
                } else {
                    Flow::Done
                })
            }
            (Operator::Aggregate(state), Item::Frame(frame)) => {
                state.update(frame)?;
                if state.applies {
                    counters.rows_applied += frame.rows() as u64;
                }
                Ok(Flow::Done)
            }
            (Operator::Aggregate(state), Item::Mark(mark)) => state.emit(mark, &mut self.out),
            (
                Operator::Filter { .. } | Operator::Project(_) | Operator::DropLate { .. },
                Item::Mark(_),
            ) => Ok(Flow::Done),
        }
    }
}

/// Appends rows `rows[*taken..]` as far as there is room; `taken` is 0 again when all are there.
fn append(out: &mut Frame, frame: &Frame, rows: &[u32], taken: &mut usize) -> Flow {
    let end = rows.len().min(*taken + out.room());
    out.append_rows(frame, &rows[*taken..end]);
    *taken = if end < rows.len() { end } else { 0 };
    if *taken > 0 { Flow::Full } else { Flow::Done }
}
