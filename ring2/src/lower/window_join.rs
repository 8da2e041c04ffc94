//! Joins of windows that need not end: rows meet whose windows are equal, and are held until these
//! close. To the join it is an interval of no length between the starts of windows, which lag
//! behind watermarks by less than a window's size.
//!
//! Rows whose windows are closed have to be gone before: groups by windows drop them; where a join
//! reads the windows of a table function they go where the windows are made, which one shard does.

use datafusion::common::{DFSchemaRef, JoinType};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr as PlanExpr, Join, LogicalPlan};
use trefoil_ring0::expr::Expr;
use trefoil_ring0::program::{JoinKind, LateRule, OperatorSpec, Reading, Side};
use trefoil_ring0::schema::unit_nanos;

use super::interval::Within;
use super::join::Coming;
use super::union::Part;
use super::{Lowering, Refusal};
use crate::lower_expr::{expression, unaliased};
use crate::window::START;
use crate::window::marker::{CUMULATE, CUMULATE_END, HOP};

/// Whether an expression is the start of windows, or the bound by which they close.
pub(crate) fn is_start(expr: &PlanExpr, input: &LogicalPlan) -> bool {
    match unaliased(expr) {
        PlanExpr::ScalarFunction(f) => [START, HOP, CUMULATE, CUMULATE_END].contains(&f.name()),
        PlanExpr::Column(column) => {
            let at = input.schema().maybe_index_of_column(column);
            at.is_some_and(|at| starts(input, at))
        }
        _ => false,
    }
}

/// Whether a column of a plan may be the start of windows.
pub(crate) fn starts(plan: &LogicalPlan, at: usize) -> bool {
    match plan {
        LogicalPlan::Projection(of) => of.expr.get(at).is_some_and(|e| is_start(e, &of.input)),
        LogicalPlan::Aggregate(of) => match of.group_expr.first() {
            Some(PlanExpr::GroupingSet(_)) => true,
            _ => (of.group_expr.get(at)).is_some_and(|e| is_start(e, &of.input)),
        },
        LogicalPlan::Join(of) => match of.join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                starts(&of.right, at)
            }
            _ => match at.checked_sub(of.left.schema().fields().len()) {
                None => starts(&of.left, at),
                Some(at) => starts(&of.right, at),
            },
        },
        LogicalPlan::Unnest(of) => {
            let from = of.dependency_indices.get(at);
            from.is_some_and(|from| starts(&of.input, *from))
        }
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Union(_) => plan.inputs().into_iter().any(|input| starts(input, at)),
        _ => false,
    }
}

/// Whether a join asks that windows of both sides are equal, as far as the plan says what they are.
pub(crate) fn meets_windows(join: &Join) -> bool {
    let mut pairs = join.on.iter();
    pairs.any(|(l, r)| {
        let is_column = |e| matches!(unaliased(e), PlanExpr::Column(_));
        is_column(l) && is_column(r) && is_start(l, &join.left) && is_start(r, &join.right)
    })
}

/// The windows of both sides, if a join asks that they are equal.
pub(super) fn equal_windows(join: &Join, parts: [&Part; 2]) -> Option<Within> {
    let schemas = [join.left.schema(), join.right.schema()];
    let window = |side: Side, expr: &PlanExpr| {
        let PlanExpr::Column(column) = unaliased(expr) else {
            return None;
        };
        let part = parts[side.port()];
        let column = schemas[side.port()].maybe_index_of_column(column)?;
        let at = part.columns.iter().position(|c| *c == column)?;
        Some((column, part.windows.get(at).copied().flatten()?))
    };
    let equal = |(l, r): &(PlanExpr, PlanExpr)| {
        let (left, left_ns) = window(Side::Left, l)?;
        let (right, right_ns) = window(Side::Right, r)?;
        Some(([left, right], [left_ns - 1, right_ns - 1]))
    };
    let (times, lag_ns) = join.on.iter().find_map(equal)?;
    Some(Within::of_windows(times, lag_ns, join.filter.clone()))
}

/// Of which columns of both sides windows close once a watermark has passed their end, and the size
/// of these: a side's that is never missing. Event times are as the starts of windows of one
/// nanosecond.
pub(super) fn windows_of(
    kind: JoinKind,
    sides: [&Coming; 2],
    within: &Within,
) -> [Vec<Option<i64>>; 2] {
    let is_there = |side: Side| match kind.asked() {
        None => !kind.tells(side.other()),
        Some(asked) => asked == side,
    };
    [Side::Left, Side::Right].map(|side| {
        let coming = sides[side.port()];
        let mut windows = vec![None; coming.schema.fields.len()];
        if let (true, Some(time)) = (is_there(side), coming.time) {
            windows[time] = Some(within.size_ns());
        }
        windows
    })
}

/// The same of joined rows.
pub(super) fn windows_behind(
    kind: JoinKind,
    sides: [&Coming; 2],
    of: [Vec<Option<i64>>; 2],
) -> Vec<Option<i64>> {
    let mut windows = Vec::new();
    for (side, mut of) in [Side::Left, Side::Right].into_iter().zip(of) {
        if kind.asked().is_none_or(|asked| asked == side) {
            // Columns that were computed for the join stand behind.
            of.resize(sides[side.port()].schema.fields.len(), None);
            windows.append(&mut of);
        }
    }
    if let JoinKind::Mark(_) = kind {
        windows.push(None);
    }
    windows
}

impl Lowering<'_> {
    /// Has rows go that are late for the tumbling windows which these expressions make of them,
    /// where a join holds rows until windows close; only for that one of them which is `made` for a
    /// join with a table, if one is. Gives which of them are starts of such windows,
    /// and the size of these in nanoseconds.
    pub(super) fn closing_tumbles(
        &mut self,
        exprs: &[PlanExpr],
        input: &DFSchemaRef,
        made: Option<usize>,
    ) -> Result<Vec<(usize, i64)>, Refusal> {
        if !self.held_by_window && made.is_none() {
            return Ok(Vec::new());
        }
        let mut rule: Option<(usize, i64, i64)> = None;
        let mut closing = Vec::new();
        let all = exprs.iter().enumerate();
        for (number, expr) in all.filter(|(number, _)| made.is_none_or(|made| made == *number)) {
            let PlanExpr::ScalarFunction(call) = unaliased(expr) else {
                continue;
            };
            if call.name() != START {
                continue;
            }
            let Expr::TumbleStart { time, size, offset } = expression(expr, &self.scope_of(input))?
            else {
                continue;
            };
            if let Expr::Column(time) = *time
                && self.is_timed(&self.branches, time)
                && *rule.get_or_insert((time, size, offset)) == (time, size, offset)
            {
                let unit_ns = self.unit_ns(time);
                closing.extend(size.checked_mul(unit_ns).map(|size_ns| (number, size_ns)));
            }
        }
        let Some((time, size, offset)) = rule else {
            return Ok(closing);
        };
        let Some(bound) = self.bound_in_order(time)? else {
            return Ok(Vec::new());
        };
        let unit_ns = self.unit_ns(time);
        self.push(OperatorSpec::DropLate(LateRule {
            time,
            unit_ns,
            bound,
            size,
            slide: size,
            offset,
        }));
        Ok(closing)
    }

    /// The column with each row's watermark, known where rows are read: by one shard, in order.
    pub(super) fn bound_in_order(&mut self, time: usize) -> Result<Option<usize>, Refusal> {
        for branch in &mut self.branches {
            if let Some(source) = branch.source() {
                self.program.sources[source].reading = Reading::InOrder;
                branch.single = true;
            }
        }
        self.event_time(Some(time))
    }

    /// Nanoseconds of one unit of a TIMESTAMP's column.
    pub(super) fn unit_ns(&self, column: usize) -> i64 {
        match &self.schema.fields[column].data_type {
            datafusion::arrow::datatypes::DataType::Timestamp(unit, None) => unit_nanos(*unit),
            _ => unreachable!("event time is a TIMESTAMP"),
        }
    }

    /// Whether a join's conditions ask for a version of one of its sides.
    pub(super) fn asks_for_version(join: &Join) -> bool {
        let version = |e: &PlanExpr| {
            matches!(e, PlanExpr::ScalarFunction(f)
                if f.name() == crate::window::marker::AS_OF_TIME)
        };
        let mut conditions = join.filter.iter().flat_map(split_conjunction);
        conditions.any(version)
    }
}
