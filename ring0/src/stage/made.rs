//! Operators as they live in a chain, made one behind the other from what a program says.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::changes::ChangesFilter;
use super::changing::Changing;
use super::grouping::AggregateState;
use super::ordered::OrderedState;
use super::routed::{Routed, places};
use super::sets::Sets;
use super::{ChainInput, FRAME_COST, Place};
use crate::changelog::{UPDATE_ROWS, is_weighted};
use crate::check::{check_filter, check_late, check_marked, check_projection, same_types};
use crate::error::{Error, Result, refuse};
use crate::expr::Expr;
use crate::frame::Frame;
use crate::kernel::{Evaluator, Projection};
use crate::lineage::OfInput;
use crate::operator::join::Join;
use crate::operator::join::interval::IntervalJoin;
use crate::operator::join::nearest::NearestJoin;
use crate::operator::join::regular::RegularJoin;
use crate::operator::latest::Latest;
use crate::operator::ordered::Ordered;
use crate::operator::over::Over;
use crate::operator::sort::Sort;
use crate::operator::unnest::Unnest;
use crate::operator::windows::Windows;
use crate::program::{JoinSpec, Keep, LateRule, OperatorSpec, Phase, Side};
use crate::schema::Schema;
use crate::snapshot::{NO_STATE, Owned};

/// An operator's live form.
#[derive(Debug)]
pub(super) enum Operator {
    Filter {
        condition: Box<Evaluator>,
        rows: Vec<u32>,
        of_input: OfInput,
    },
    Project {
        projection: Projection,
        /// The rows of the frame in hand that have results; `None` where all have.
        kept: Option<Vec<u32>>,
        of_input: OfInput,
    },
    DropLate {
        rule: LateRule,
        rows: Vec<u32>,
        of_input: OfInput,
    },
    Unnest {
        unnest: Unnest,
        of_input: OfInput,
    },
    Sets(Sets),
    Windows {
        windows: Windows,
        of_input: OfInput,
    },
    Applied {
        of_input: OfInput,
    },
    Aggregate(Box<AggregateState>),
    Ordered(Box<OrderedState>),
    MarkFirst(Box<AggregateState>),
    FilterChanges(ChangesFilter),
    Join(Box<Join>),
    IntervalJoin(Box<IntervalJoin>),
    NearestJoin(Box<NearestJoin>),
    RegularJoin(Box<RegularJoin>),
    Changing(Box<Changing>),
}

impl Operator {
    /// What so many rows that it made cost of a turn: sessions and ranks are looked up one by one.
    pub(super) fn cost(&self, rows: usize) -> u32 {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let times = match self {
            Self::Aggregate(state) if state.has_sessions() => 4,
            Self::Changing(_) => 4,
            _ => 1,
        };
        rows.saturating_mul(times).max(FRAME_COST)
    }

    /// The next rows of state for a snapshot; `None` behind the last.
    pub(super) fn save(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Self::Aggregate(state) | Self::MarkFirst(state) => state.save(),
            Self::Sets(sets) => Ok(sets.save()),
            Self::Ordered(ordered) => Ok(ordered.save()),
            Self::Filter { .. }
            | Self::FilterChanges(_)
            | Self::Project { .. }
            | Self::DropLate { .. }
            | Self::Unnest { .. }
            | Self::Windows { .. }
            | Self::Applied { .. } => Ok(None),
            // The side that is kept is made again.
            Self::Join(join) => Ok(join.save()),
            Self::IntervalJoin(join) => Ok(join.save()),
            Self::NearestJoin(join) => Ok(join.save()),
            Self::RegularJoin(join) => Ok(join.save()),
            Self::Changing(changing) => Ok(changing.save()),
        }
    }

    /// Rows and groups that it keeps.
    pub(super) fn state_rows(&self) -> usize {
        match self {
            Self::Aggregate(state) | Self::MarkFirst(state) => state.state_rows(),
            Self::Ordered(ordered) => ordered.state_rows(),
            Self::Join(join) => join.state_rows(),
            Self::IntervalJoin(join) => join.state_rows(),
            Self::NearestJoin(join) => join.state_rows(),
            Self::RegularJoin(join) => join.state_rows(),
            Self::Changing(changing) => changing.state_rows(),
            Self::Filter { .. }
            | Self::FilterChanges(_)
            | Self::Project { .. }
            | Self::DropLate { .. }
            | Self::Unnest { .. }
            | Self::Sets(_)
            | Self::Windows { .. }
            | Self::Applied { .. } => 0,
        }
    }

    /// How many rows of both sides a join forgot since this was asked before.
    pub(super) fn take_forgotten(&mut self) -> [u64; 2] {
        match self {
            Self::IntervalJoin(join) => join.take_forgotten(),
            Self::RegularJoin(join) => join.take_forgotten(),
            _ => [0; 2],
        }
    }

    /// Takes rows of state up.
    pub(super) fn load(&mut self, rows: &RecordBatch, same_shard: Option<bool>) -> Result<()> {
        match self {
            Self::Aggregate(state) | Self::MarkFirst(state) => state.load(rows, same_shard),
            Self::Join(join) => join.load(rows),
            Self::IntervalJoin(join) => join.load(rows, same_shard),
            Self::NearestJoin(join) => join.load(rows, same_shard),
            Self::RegularJoin(join) => join.load(rows, same_shard),
            Self::Changing(changing) => changing.load(rows, same_shard),
            Self::Sets(sets) => sets.load(rows),
            Self::Ordered(ordered) => ordered.load(rows, same_shard),
            Self::Filter { .. }
            | Self::FilterChanges(_)
            | Self::Project { .. }
            | Self::DropLate { .. }
            | Self::Unnest { .. }
            | Self::Windows { .. }
            | Self::Applied { .. } => Err(Error::Restore(NO_STATE.to_owned())),
        }
    }

    fn project(
        exprs: &[Expr],
        schema: &Schema,
        output: &Schema,
        of_input: OfInput,
    ) -> Result<Self> {
        let projection = Projection::new(exprs, schema)?;
        check_projection(exprs, schema, output)?;
        Ok(Self::Project {
            projection,
            kept: None,
            of_input,
        })
    }

    fn filter(expr: &Expr, schema: &Schema, of_input: OfInput) -> Result<Self> {
        let condition = Box::new(Evaluator::new(expr, schema)?);
        check_filter(expr, schema)?;
        Ok(Self::Filter {
            condition,
            rows: Vec::new(),
            of_input,
        })
    }

    fn drop_late(rule: &LateRule, schema: &Schema, of_input: OfInput) -> Result<Self> {
        check_late(rule, schema)?;
        Ok(Self::DropLate {
            rule: *rule,
            rows: Vec::new(),
            of_input,
        })
    }
}

/// What is known of the records where the next operator stands.
#[derive(Debug)]
pub(super) struct Making<'a> {
    schema: Arc<Schema>,
    input: ChainInput<'a>,
    place: Place,
    pub(super) of_input: OfInput,
    routed: Routed,
    /// Both rows of an update stay in one frame, whatever its size, to the end of the stage.
    in_changes: bool,
}

impl<'a> Making<'a> {
    pub(super) fn new(
        schema: &Arc<Schema>,
        input: ChainInput<'a>,
        of_input: OfInput,
        routed: Routed,
        place: Place,
    ) -> Self {
        Self {
            schema: Arc::clone(schema),
            input,
            place,
            of_input,
            routed,
            in_changes: is_weighted(schema),
        }
    }

    /// Goes behind an operator.
    pub(super) fn pass(&mut self, spec: &OperatorSpec) -> Result<()> {
        if let Some(schema) = spec.columns() {
            self.schema = Arc::clone(schema);
        }
        self.of_input = self.of_input.behind(spec, &self.schema)?;
        self.routed.pass(spec);
        Ok(())
    }

    /// A frame for what the last operator makes.
    pub(super) fn frame(&self) -> Frame {
        let least = if self.in_changes { UPDATE_ROWS } else { 1 };
        Frame::new(&self.schema, self.place.frame_rows.max(least))
    }

    fn same_columns(&self, wanted: &Schema, what: &str) -> Result<()> {
        match same_types(wanted, &self.schema) {
            true => Ok(()),
            false => refuse(format!("{what} other columns")),
        }
    }

    /// The operator that stands here.
    pub(super) fn operator(&mut self, spec: &OperatorSpec) -> Result<Operator> {
        let (schema, of_input) = (&self.schema, self.of_input);
        Ok(match spec {
            OperatorSpec::Filter(expr) => Operator::filter(expr, schema, of_input)?,
            OperatorSpec::Project {
                exprs,
                schema: output,
            } => Operator::project(exprs, schema, output, of_input)?,
            OperatorSpec::DropLate(rule) => Operator::drop_late(rule, schema, of_input)?,
            OperatorSpec::Unnest {
                list,
                numbered,
                schema: output,
            } => {
                let unnest = match numbered {
                    true => Unnest::numbered(*list, schema, output)?,
                    false => Unnest::new(*list, schema, output)?,
                };
                Operator::Unnest { unnest, of_input }
            }
            OperatorSpec::Repeat(_) | OperatorSpec::Standing(_) => {
                Operator::Sets(Sets::new(spec, schema, self.place)?)
            }
            OperatorSpec::Windows(spec) => {
                let windows = Windows::new(spec, schema, of_input)?;
                Operator::Windows { windows, of_input }
            }
            OperatorSpec::Applied => Operator::Applied { of_input },
            OperatorSpec::Aggregate(_) | OperatorSpec::Sessions(_) | OperatorSpec::Panes(_) => {
                Operator::Aggregate(Box::new(self.groups(spec)?))
            }
            OperatorSpec::Over(_) | OperatorSpec::Latest(_) | OperatorSpec::Sort(_) => {
                let all: Vec<usize> = (0..schema.fields.len()).collect();
                let owned = (self.place).owned(self.input.is_single(), self.routed.among(&all));
                let (ordered, seed) = (self.ordered(spec)?, self.place.seed);
                let state = OrderedState::new(ordered, of_input, owned, seed);
                Operator::Ordered(Box::new(state))
            }
            OperatorSpec::MarkFirst {
                groups,
                schema: output,
            } => {
                check_marked(groups, schema, output)?;
                let (input, place) = (self.input, self.place);
                let state = AggregateState::new(groups, schema, input, &self.routed, place)?;
                Operator::MarkFirst(Box::new(state))
            }
            OperatorSpec::Join(spec) => self.join(spec)?,
            OperatorSpec::Changing(spec) => {
                let (input, place) = (self.input, self.place);
                self.in_changes |= is_weighted(spec.columns().unwrap_or(schema));
                let of = (input.is_single(), &self.routed);
                let changing = Changing::new(spec, schema, of_input, of, place)?;
                Operator::Changing(Box::new(changing))
            }
            OperatorSpec::FilterChanges(expr) => {
                Operator::FilterChanges(ChangesFilter::new(expr, schema, self.in_changes)?)
            }
        })
    }

    /// The join that stands here.
    fn join(&mut self, spec: &Arc<JoinSpec>) -> Result<Operator> {
        self.same_columns(&spec.inputs[0], "a join of")?;
        let seed = self.place.seed;
        let single = self.input.is_single();
        let owned = || {
            let side = |side| self.place.owned(single, self.routed.side(side));
            [Side::Left, Side::Right].map(side)
        };
        Ok(match spec.keep {
            Keep::Side(side) => {
                let join = Join::new(spec, side, seed)?;
                Operator::Join(Box::new(join.owning(self.kept(spec, side))))
            }
            Keep::Interval(interval) => {
                let join = IntervalJoin::new(spec, interval, seed)?;
                Operator::IntervalJoin(Box::new(join.owning(owned())))
            }
            Keep::Nearest(nearest) => {
                let join = NearestJoin::new(spec, nearest, seed)?;
                Operator::NearestJoin(Box::new(join.owning(owned())))
            }
            Keep::Changes => {
                let join = RegularJoin::new(spec, seed)?.owning(owned());
                self.in_changes = true;
                Operator::RegularJoin(Box::new(join))
            }
        })
    }

    /// Which rows there can be of the side that a join keeps, by their keys. Rows of a key meet on
    /// one shard: where nothing says which, what is known of them holds on all.
    fn kept(&self, spec: &JoinSpec, side: Side) -> Owned {
        let by = self.routed.side(side);
        let by = by.and_then(|by| places(&by, &spec.keys[side.port()]));
        let owned = self.place.owned(self.input.is_single(), by);
        owned.unwrap_or(Owned::All)
    }

    /// What stands here and waits for all rows.
    fn ordered(&self, spec: &OperatorSpec) -> Result<Ordered> {
        match spec {
            OperatorSpec::Over(spec) => {
                self.same_columns(&spec.input, "OVER")?;
                Ok(Ordered::Over(Over::new(spec)?))
            }
            OperatorSpec::Latest(spec) => {
                self.same_columns(&spec.schema, "rows by a key over")?;
                Ok(Ordered::Latest(Latest::new(spec)?))
            }
            OperatorSpec::Sort(spec) => {
                self.same_columns(&spec.schema, "ORDER BY over")?;
                Ok(Ordered::Sort(Sort::new(spec)?))
            }
            other => unreachable!("{other:?} waits for nothing"),
        }
    }

    /// The groups that stand here.
    fn groups(&mut self, spec: &OperatorSpec) -> Result<AggregateState> {
        let (schema, input, place) = (&self.schema, self.input, self.place);
        let routed = &self.routed;
        let (mut state, phase) = match spec {
            OperatorSpec::Aggregate(spec) => {
                let state = AggregateState::new(spec, schema, input, routed, place)?;
                (state, spec.phase)
            }
            OperatorSpec::Sessions(spec) => {
                let state = AggregateState::of_sessions(spec, schema, input, routed, place)?;
                (state, spec.aggregate.phase)
            }
            OperatorSpec::Panes(spec) => {
                let state = AggregateState::of_panes(spec, schema, input, routed, place)?;
                (state, spec.aggregate.phase)
            }
            other => unreachable!("{other:?} has no groups"),
        };
        state.applies = self.of_input;
        self.in_changes = phase == Phase::Changes;
        Ok(state)
    }
}
