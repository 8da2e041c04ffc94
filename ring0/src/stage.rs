//! A stage on one shard: a chain of operators that resume, and the sink at its end.
//!
//! An item (a frame or a mark) is offered until the chain says that it took all of it. Each level
//! holds at most one frame of results, which the rest of the chain consumes before the level goes
//! on; so a full ring at the end stops the chain wherever it is, and nothing is lost or doubled.

mod grouping;

use std::sync::Arc;

use self::grouping::AggregateState;
use crate::check::{check_filter, check_late, check_projection};
use crate::error::Result;
use crate::exchange::ExchangeSender;
use crate::frame::Frame;
use crate::kernel::{Evaluator, Projection};
use crate::lineage::{Lineage, OfInput};
use crate::mesh::{Flow, LaneSender};
use crate::message::Mark;
use crate::metrics::QueryCounters;
use crate::operator::unnest::Unnest;
use crate::program::{LateRule, OperatorSpec, Reading, Routing};
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
        of_input: OfInput,
    },
    Project(Projection),
    DropLate {
        rule: LateRule,
        rows: Vec<u32>,
        of_input: OfInput,
    },
    Unnest {
        unnest: Unnest,
        of_input: OfInput,
    },
    Applied {
        of_input: OfInput,
    },
    Aggregate(Box<AggregateState>),
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
    /// Which of what leaves the chain still are the source's rows.
    of_input: OfInput,
    pub(crate) origin: usize,
    pub(crate) counters: QueryCounters,
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
                OperatorSpec::Unnest {
                    list,
                    schema: output,
                } => {
                    let unnest = Unnest::new(*list, &schema, output)?;
                    as_routed = false;
                    Operator::Unnest { unnest, of_input }
                }
                OperatorSpec::Applied => Operator::Applied { of_input },
                OperatorSpec::Aggregate(spec) => {
                    let routed = std::mem::take(&mut as_routed);
                    let mut state = AggregateState::new(spec, &schema, input, routed, place)?;
                    state.applies = of_input;
                    Operator::Aggregate(Box::new(state))
                }
            };
            schema = spec.columns().map_or(schema, Arc::clone);
            of_input = of_input.behind(spec, &schema)?;
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
    of_input: OfInput,
}

impl End<'_> {
    fn offer(&mut self, item: Item<'_>) -> Flow {
        let flow = self.sink.offer(item);
        if let (Flow::Done, Item::Frame(frame), Sink::Output { .. }) = (flow, item, &self.sink) {
            self.counters.rows_applied += self.of_input.of(frame);
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
        match (item, &mut self.operator) {
            (Item::Frame(frame), _) => self.take(frame, counters),
            (Item::Mark(mark), Operator::Aggregate(state)) => state.emit(mark, &mut self.out),
            (
                Item::Mark(_),
                Operator::Filter { .. }
                | Operator::Project(_)
                | Operator::DropLate { .. }
                | Operator::Unnest { .. }
                | Operator::Applied { .. },
            ) => Ok(Flow::Done),
        }
    }

    /// Takes as much of a frame as there is room for its results.
    fn take(&mut self, frame: &Frame, counters: &mut QueryCounters) -> Result<Flow> {
        let begins = self.taken == 0;
        let (out, taken) = (&mut self.out, &mut self.taken);
        match &mut self.operator {
            Operator::Filter {
                condition,
                rows,
                of_input,
            } => {
                if begins {
                    rows.clear();
                    condition.select(frame, rows)?;
                    counters.rows_filtered += of_input.of(frame) - of_input.of_rows(frame, rows);
                }
                Ok(append(out, frame, rows, taken))
            }
            Operator::DropLate {
                rule,
                rows,
                of_input,
            } => {
                if begins {
                    rows.clear();
                    rule.on_time(frame, rows);
                    counters.rows_late += of_input.of(frame) - of_input.of_rows(frame, rows);
                }
                Ok(append(out, frame, rows, taken))
            }
            Operator::Unnest { unnest, of_input } => {
                if begins {
                    let without = unnest.begin(frame);
                    if *of_input == OfInput::All {
                        counters.rows_filtered += without as u64;
                    }
                }
                let end = unnest.len().min(*taken + out.room());
                unnest.append(frame, *taken, end, out);
                Ok(resume(taken, end, unnest.len()))
            }
            Operator::Applied { of_input } => {
                if begins {
                    counters.rows_applied += of_input.of(frame);
                }
                let end = frame.rows().min(*taken + out.room());
                out.append_range(frame, *taken..end);
                Ok(resume(taken, end, frame.rows()))
            }
            Operator::Project(projection) => {
                if begins {
                    projection.evaluate(frame)?;
                }
                let end = frame.rows().min(*taken + out.room());
                projection.append(frame, *taken..end, out);
                Ok(resume(taken, end, frame.rows()))
            }
            Operator::Aggregate(state) => {
                state.update(frame)?;
                counters.rows_applied += state.applies.of(frame);
                Ok(Flow::Done)
            }
        }
    }
}

/// Appends rows `rows[*taken..]` as far as there is room; `taken` is 0 again when all are there.
fn append(out: &mut Frame, frame: &Frame, rows: &[u32], taken: &mut usize) -> Flow {
    let end = rows.len().min(*taken + out.room());
    out.append_rows(frame, &rows[*taken..end]);
    resume(taken, end, rows.len())
}

/// Notes how far an item is taken; `taken` is 0 again where that is all of it.
fn resume(taken: &mut usize, end: usize, all: usize) -> Flow {
    *taken = if end < all { end } else { 0 };
    if *taken > 0 { Flow::Full } else { Flow::Done }
}
