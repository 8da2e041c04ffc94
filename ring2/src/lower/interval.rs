//! The interval in a join's conditions: how far apart the event times of both sides may lie. With
//! watermarks on both it says when a row can match no more, and neither side has to end.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr as PlanExpr, ExprSchemable, Join, LogicalPlan, Operator};
use trefoil_ring0::expr::Expr;
use trefoil_ring0::program::{Interval, LateRule, OperatorSpec, Order, Reading, Routing, Side};
use trefoil_ring0::schema::{Schema, unit_nanos};

use super::branch::Branch;
use super::join::Coming;
use super::union::Part;
use super::window_join::equal_windows;
use super::{Lowering, Refusal};
use crate::lower_expr::unaliased;
use crate::window::END;

/// What a join's conditions say of event times.
#[derive(Debug)]
pub(super) struct Within {
    /// The columns of each side by the plan.
    pub(super) times: [usize; 2],
    lower_ns: i64,
    upper_ns: i64,
    /// How far times lag behind watermarks that follow them without their sources: the starts of
    /// windows, and times of rows that were joined before. `None` of event times.
    lag_ns: [Option<i64>; 2],
    /// What else has to be true.
    pub(super) rest: Option<PlanExpr>,
}

/// By which column of the plan the rows of a side are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeldBy {
    /// Event time: rows behind their watermark are dropped on the way.
    Instant(usize),
    /// The start of a window, or the time of joined rows: those behind it are gone.
    Window(usize),
}

impl HeldBy {
    /// The column.
    pub(super) fn column(self) -> usize {
        match self {
            Self::Instant(column) | Self::Window(column) => column,
        }
    }
}

/// An event time, and what is added to it.
struct Time {
    side: Side,
    column: usize,
    added_ns: i64,
    /// Nanoseconds of one unit of its type.
    unit_ns: i64,
}

/// How far the right side's time is behind the left one's, at least and at most.
struct Bounds {
    least: Option<i64>,
    most: Option<i64>,
}

impl Bounds {
    /// Takes a comparison of both times in; `None` where it says nothing of their distance.
    fn take(&mut self, left: &Time, op: Operator, right: &Time) -> Option<()> {
        let (distance, op) = match (left.side, right.side) {
            (Side::Right, Side::Left) => (right.added_ns.checked_sub(left.added_ns)?, op),
            (Side::Left, Side::Right) => (left.added_ns.checked_sub(right.added_ns)?, op.swap()?),
            _ => return None,
        };
        // Of whole nanoseconds, less is at most one less.
        let (least, most) = match op {
            Operator::Eq => (Some(distance), Some(distance)),
            Operator::Lt => (None, Some(distance.checked_sub(1)?)),
            Operator::LtEq => (None, Some(distance)),
            Operator::Gt => (Some(distance.checked_add(1)?), None),
            Operator::GtEq => (Some(distance), None),
            _ => return None,
        };
        self.least = self.least.max(least);
        self.most = [self.most, most].into_iter().flatten().min();
        Some(())
    }
}

/// Nanoseconds of one unit of a TIMESTAMP.
pub(crate) fn unit_of(data_type: &DataType) -> Option<i64> {
    match data_type {
        DataType::Timestamp(unit, None) => Some(unit_nanos(*unit)),
        _ => None,
    }
}

/// The sides of a join, as its conditions name them.
struct Sides<'a> {
    plans: [&'a LogicalPlan; 2],
    /// Whether a column of a side is one of the times that are compared.
    is_time: &'a dyn Fn(Side, usize) -> bool,
}

/// Of a column that is the end of windows, that of their start, and their size in nanoseconds.
fn start_of(plan: &LogicalPlan, at: usize) -> Option<(usize, i64)> {
    match plan {
        LogicalPlan::Projection(of) => match unaliased(of.expr.get(at)?) {
            PlanExpr::ScalarFunction(end) if end.name() == END => {
                let [start, size] = &end.args[..] else {
                    return None;
                };
                let PlanExpr::Literal(ScalarValue::Int64(Some(size)), _) = size else {
                    return None;
                };
                let start = of
                    .expr
                    .iter()
                    .position(|e| unaliased(e) == unaliased(start))?;
                Some((start, *size))
            }
            PlanExpr::Column(column) => {
                let input = of.input.schema();
                let (start, size) = start_of(&of.input, input.maybe_index_of_column(column)?)?;
                let is = |e: &PlanExpr| match unaliased(e) {
                    PlanExpr::Column(c) => input.maybe_index_of_column(c) == Some(start),
                    _ => false,
                };
                Some((of.expr.iter().position(is)?, size))
            }
            _ => None,
        },
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_) => start_of(plan.inputs().first()?, at),
        _ => None,
    }
}

impl Sides<'_> {
    /// Reads an event time, with constants added to it.
    fn time(&self, expr: &PlanExpr) -> Option<Time> {
        match unaliased(expr) {
            PlanExpr::Column(column) => [Side::Left, Side::Right].into_iter().find_map(|side| {
                let plan = self.plans[side.port()];
                let schema = plan.schema();
                let column = schema.maybe_index_of_column(column)?;
                let unit_ns = unit_of(schema.field(column).data_type())?;
                let (column, added_ns) = start_of(plan, column).unwrap_or((column, 0));
                (self.is_time)(side, column).then_some(Time {
                    side,
                    column,
                    added_ns,
                    unit_ns,
                })
            }),
            // The same time in a finer unit.
            PlanExpr::Cast(cast) => {
                let time = self.time(&cast.expr)?;
                let schema = self.plans[time.side.port()].schema();
                let unit_ns = unit_of(&expr.get_type(schema.as_ref()).ok()?)?;
                (unit_ns <= time.unit_ns).then_some(Time { unit_ns, ..time })
            }
            PlanExpr::BinaryExpr(binary) => {
                let (time, by) = match (length(&binary.left), length(&binary.right), binary.op) {
                    (None, Some(by), Operator::Plus) => (&binary.left, by),
                    (None, Some(by), Operator::Minus) => (&binary.left, by.checked_neg()?),
                    (Some(by), None, Operator::Plus) => (&binary.right, by),
                    _ => return None,
                };
                let time = self.time(time)?;
                let added_ns = time.added_ns.checked_add(by)?;
                // A time in coarser units is not moved by less than one.
                (by % time.unit_ns == 0).then_some(Time { added_ns, ..time })
            }
            _ => None,
        }
    }

    /// Takes a condition in, if it says nothing but how far the times are apart.
    fn take(&self, expr: &PlanExpr, bounds: &mut Bounds, times: &mut [Option<usize>; 2]) -> bool {
        let pairs: Vec<(&PlanExpr, Operator, &PlanExpr)> = match unaliased(expr) {
            PlanExpr::Between(b) if !b.negated => vec![
                (&b.expr, Operator::GtEq, &b.low),
                (&b.expr, Operator::LtEq, &b.high),
            ],
            PlanExpr::BinaryExpr(b) => vec![(&b.left, b.op, &b.right)],
            _ => return false,
        };
        let mut all = true;
        for (left, op, right) in pairs {
            let (Some(left), Some(right)) = (self.time(left), self.time(right)) else {
                return false;
            };
            all &= self.take_pair((&left, op, &right), bounds, times);
        }
        all
    }

    /// Takes a comparison of two times in, if they are those that were compared before.
    fn take_pair(
        &self,
        (left, op, right): (&Time, Operator, &Time),
        bounds: &mut Bounds,
        times: &mut [Option<usize>; 2],
    ) -> bool {
        let is_same = |time: &Time| times[time.side.port()].is_none_or(|c| c == time.column);
        let taken = is_same(left) && is_same(right) && bounds.take(left, op, right).is_some();
        if taken {
            times[left.side.port()] = Some(left.column);
            times[right.side.port()] = Some(right.column);
        }
        taken
    }

    /// What a join's conditions say of how far two times are apart, if they say it on both sides.
    fn within(&self, join: &Join) -> Option<Within> {
        let mut bounds = Bounds {
            least: None,
            most: None,
        };
        let mut times = [None; 2];
        for (left, right) in &join.on {
            if let (Some(left), Some(right)) = (self.time(left), self.time(right)) {
                self.take_pair((&left, Operator::Eq, &right), &mut bounds, &mut times);
            }
        }
        let filter = join.filter.iter().flat_map(split_conjunction);
        let rest: Vec<PlanExpr> = filter
            .filter(|e| !self.take(e, &mut bounds, &mut times))
            .cloned()
            .collect();
        let lower = bounds.least.and_then(i64::checked_neg);
        let ([Some(left), Some(right)], Some(lower_ns), Some(upper_ns)) =
            (times, lower, bounds.most)
        else {
            return None;
        };
        Some(Within {
            times: [left, right],
            lower_ns,
            upper_ns,
            lag_ns: [None; 2],
            rest: conjunction(rest),
        })
    }
}

/// Whether a join's conditions say on both sides how far times of both sides are apart.
pub(crate) fn is_bounded(join: &Join, is_time: &dyn Fn(Side, usize) -> bool) -> bool {
    let sides = Sides {
        plans: [&join.left, &join.right],
        is_time,
    };
    sides.within(join).is_some()
}

/// A constant length of time.
fn length(expr: &PlanExpr) -> Option<i64> {
    match unaliased(expr) {
        PlanExpr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _) if i.months == 0 => {
            let days = i64::from(i.days).checked_mul(86_400_000_000_000)?;
            days.checked_add(i.nanoseconds)
        }
        _ => None,
    }
}

/// How the refusal of a join begins that nothing tells what to keep.
pub(crate) const ENDLESS_JOIN: &str = "JOIN of two inputs without end";

fn refuse<T>(what: &str) -> Result<T, Refusal> {
    let message = format!("{ENDLESS_JOIN} {what} is not supported yet");
    Err(("E0301", message))
}

impl Within {
    /// Of windows that begin at these columns, and lag so far behind watermarks.
    pub(super) fn of_windows(times: [usize; 2], lag_ns: [i64; 2], rest: Option<PlanExpr>) -> Self {
        Self {
            times,
            lower_ns: 0,
            upper_ns: 0,
            lag_ns: lag_ns.map(Some),
            rest,
        }
    }

    /// By which column of a side its rows are held.
    pub(super) fn held(&self, side: Side) -> HeldBy {
        let column = self.times[side.port()];
        match self.lag_ns[side.port()] {
            None => HeldBy::Instant(column),
            Some(_) => HeldBy::Window(column),
        }
    }

    /// How long after its time, in nanoseconds, no joined row with such a time can come: of windows
    /// that is their size.
    pub(super) fn size_ns(&self) -> i64 {
        let [left, right] = self.lag_ns.map(Option::unwrap_or_default);
        left.max(right) + 1
    }

    /// By which rows are found, where both times come to the join.
    pub(super) fn near(&self, sides: [&Coming; 2]) -> Option<Interval> {
        let come = sides.iter().all(|side| side.time.is_some());
        come.then(|| self.interval(sides))
    }

    /// The interval that Ring 0 runs.
    pub(super) fn interval(&self, sides: [&Coming; 2]) -> Interval {
        let times = sides.map(|side| side.time.expect("event time is produced"));
        let unit_ns = |side: usize| {
            let data_type = &sides[side].schema.fields[times[side]].data_type;
            unit_of(data_type).expect("event time is a TIMESTAMP")
        };
        Interval {
            times,
            unit_ns: [unit_ns(0), unit_ns(1)],
            lower_ns: self.lower_ns,
            upper_ns: self.upper_ns,
            lag_ns: self.lag_ns.map(Option::unwrap_or_default),
        }
    }
}

impl Lowering<'_> {
    /// Reads the interval of a join of two inputs without end, or their windows; `None` where it
    /// has neither.
    pub(super) fn within(&self, join: &Join, parts: [&Part; 2]) -> Result<Option<Within>, Refusal> {
        if Self::asks_for_version(join) {
            return refuse("at a version of one");
        }
        if let Some(windows) = equal_windows(join, parts) {
            return Ok(Some(windows));
        }
        let known = |side: Side, column| self.follows(parts[side.port()], column);
        let sides = Sides {
            plans: [&join.left, &join.right],
            is_time: &|side, column| known(side, column).is_some(),
        };
        Ok(sides.within(join).map(|within| {
            let lag = |side: Side| known(side, within.times[side.port()]).flatten();
            let lag_ns = [Side::Left, Side::Right].map(lag);
            Within { lag_ns, ..within }
        }))
    }

    /// How far times of both sides are apart, of any TIMESTAMP columns, where a side is kept wholly
    /// and its rows are found by it.
    pub(super) fn near(join: &Join) -> Option<Within> {
        let sides = Sides {
            plans: [&join.left, &join.right],
            is_time: &|_, _| true,
        };
        // Equal times are among the keys: they tell all.
        sides
            .within(join)
            .filter(|near| near.lower_ns.checked_add(near.upper_ns) != Some(0))
    }

    /// Whether watermarks follow a column of these rows: `Some(None)` where it is their sources'
    /// event time, else by how much it lags behind at the most.
    fn follows(&self, part: &Part, column: usize) -> Option<Option<i64>> {
        let at = part.columns.iter().position(|c| *c == column)?;
        if self.is_timed(&part.branches, at) {
            return Some(None);
        }
        let size_ns = part.windows.get(at).copied().flatten()?;
        Some(Some(size_ns - 1))
    }

    /// Whether one of the columns of rows is their sources' event time, and has a watermark.
    pub(super) fn is_timed(&self, branches: &[Branch], at: usize) -> bool {
        !branches.is_empty()
            && branches.iter().all(|branch| {
                let Some(source) = branch.source().filter(|_| branch.is_whole()) else {
                    return false;
                };
                let declared = self.declared(source).filter(|d| d.lag_ns.is_some());
                let origin = branch.origins.get(at).copied().flatten();
                let time = declared.and_then(|d| d.event_time);
                time.is_some() && origin.map(|o| branch.read[o]) == time
            })
    }

    /// Has late rows of a side go: those whose event time, in the column `time`, is behind their
    /// split's watermark. Where chunks of a split are read by several shards it is known only
    /// behind the exchange. Gives how rows get to where they are wanted from here.
    pub(super) fn on_time(
        &mut self,
        time: usize,
        to: Option<Routing>,
    ) -> Result<Option<Routing>, Refusal> {
        let sources: Vec<usize> = self.branches.iter().filter_map(|b| b.source()).collect();
        let Some(bound) = self.event_time(Some(time))? else {
            return refuse("of which one has no watermark");
        };
        let in_order = |s: &usize| self.program.sources[*s].reading == Reading::InOrder;
        let to = match (sources.iter().all(in_order), to) {
            (true, to) => to,
            (false, None) => return refuse("of which one stays where it is read"),
            (false, Some(routing)) => {
                let order = Order::Chunks { bound: Some(bound) };
                self.exchange(Arc::clone(&self.schema), routing, order);
                None
            }
        };
        let Some(unit_ns) = unit_of(&self.schema.fields[time].data_type) else {
            unreachable!("event time is a TIMESTAMP")
        };
        self.drop_late(LateRule {
            time,
            unit_ns,
            bound,
            size: 0,
            slide: 0,
            offset: 0,
        });
        Ok(to)
    }

    /// Has rows go that are late, and the column with their watermark.
    pub(super) fn drop_late(&mut self, rule: LateRule) {
        self.push(OperatorSpec::DropLate(rule));
        let columns = 0..self.schema.fields.len();
        let kept: Vec<usize> = columns.filter(|at| *at != rule.bound).collect();
        let fields = kept.iter().map(|&at| self.schema.fields[at].clone());
        let schema = Schema::new(fields.collect());
        self.project(kept.into_iter().map(Expr::Column).collect(), schema);
    }
}
