//! Windows over the rows of a join whose one side ends, as a table does, and whose other need not.
//! Rows leave such a join in the order in which they came, so that watermarks pass it; which of
//! them are late for the windows above is decided before it, where their source is read.

use std::ptr;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DataFusionError, JoinType};
use datafusion::logical_expr::{Aggregate, Expr as PlanExpr, Join, LogicalPlan, Projection};
use trefoil_ring0::program::{LateRule, Side};

use super::changes::{is_grouped, is_window};
use super::join::Kept;
use super::union::Part;
use super::window_join::is_start;
use super::windows::{self, Windows};
use super::{Lowering, Refusal};
use crate::catalog::SourceDef;
use crate::lower_expr::unaliased;
use crate::partitioning::ends;
use crate::planner::Planned;
use crate::window::marker::{CUMULATE, is_asof};

/// Windows of which a row has several are made below such a join.
const ABOVE: &str = "HOP or CUMULATE over rows that were joined with a table is not supported yet";

/// A join whose rows are grouped by windows.
#[derive(Debug, Clone)]
pub(super) struct Windowed {
    join: *const Join,
    /// The side that need not end.
    side: Side,
    /// The column of that side by the plan which windows are of, or which is one.
    column: usize,
    made: Made,
}

/// Where windows are made.
#[derive(Debug, Clone)]
enum Made {
    /// Above the join: by this key.
    Above(PlanExpr),
    /// Below it: this column of a projection.
    Below(*const Projection, usize),
}

/// The side from which a column of a join comes, and which it is there.
fn side_of(join: &Join, column: usize) -> Option<(Side, usize)> {
    let left = join.left.schema().fields().len();
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => Some((Side::Left, column)),
        JoinType::RightSemi | JoinType::RightAnti => Some((Side::Right, column)),
        JoinType::LeftMark => (column < left).then_some((Side::Left, column)),
        JoinType::RightMark => {
            let right = join.right.schema().fields().len();
            (column < right).then_some((Side::Right, column))
        }
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            Some(match column.checked_sub(left) {
                None => (Side::Left, column),
                Some(column) => (Side::Right, column),
            })
        }
    }
}

/// A window's bound that an expression is, and the column of `input` that is its time; or just a
/// column.
fn window_of<'e>(expr: &'e PlanExpr, input: &LogicalPlan) -> Option<(Option<&'e PlanExpr>, usize)> {
    let at = |expr: &PlanExpr| match unaliased(expr) {
        PlanExpr::Column(column) => input.schema().maybe_index_of_column(column),
        _ => None,
    };
    match unaliased(expr) {
        made @ PlanExpr::ScalarFunction(f) if is_start(made, input) => {
            Some((Some(made), at(f.args.first()?)?))
        }
        expr => Some((None, at(expr)?)),
    }
}

/// The last join on the way from a key down to the source of the event time of its windows.
fn windowed(key: &PlanExpr, mut plan: &LogicalPlan, tables: &[SourceDef]) -> Option<Windowed> {
    let (mut window, mut at) = window_of(key, plan)?;
    let mut below = None;
    let mut found: Option<Windowed> = None;
    loop {
        match plan {
            LogicalPlan::SubqueryAlias(of) => plan = &of.input,
            LogicalPlan::Filter(of) => plan = &of.input,
            LogicalPlan::Projection(of) => {
                let (made, from) = window_of(of.expr.get(at)?, &of.input)?;
                if let Some(made) = made {
                    if window.is_some() || is_open_ended(made) {
                        return None;
                    }
                    if found.is_some() {
                        below = Some(Made::Below(ptr::from_ref(of), at));
                    }
                    window = Some(made);
                }
                (plan, at) = (&of.input, from);
            }
            LogicalPlan::Join(join) => {
                let (side, column) = side_of(join, at)?;
                let inputs = [&join.left, &join.right];
                let ends = |side: Side| ends(inputs[side.port()], tables);
                // What is made between two joins is made of rows that have no source any more.
                if below.is_some() || is_asof(join) || ends(side) || !ends(side.other()) {
                    return None;
                }
                found = Some(Windowed {
                    join: ptr::from_ref(join),
                    side,
                    column,
                    // Replaced where they are made below.
                    made: Made::Above(window.unwrap_or(key).clone()),
                });
                (plan, at) = (inputs[side.port()], column);
            }
            _ => break,
        }
    }
    window?;
    let mut found = found.filter(|_| follows(plan, at, tables))?;
    if let Some(below) = below {
        found.made = below;
    }
    Some(found)
}

/// Whether a watermark says how far a column has come: the event time of a source, or of several;
/// or, where rows are groups, the start of windows.
fn follows(plan: &LogicalPlan, at: usize, tables: &[SourceDef]) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let mut tables = tables.iter();
            let of = tables.find(|table| table.name == scan.table_name.table());
            let time = of.and_then(|table| {
                let time = table.event_time.filter(|_| table.lag_ns.is_some())?;
                Some(table.columns.get(time)?.name.as_str())
            });
            time == Some(scan.projected_schema.field(at).name().as_str())
        }
        LogicalPlan::SubqueryAlias(of) => follows(&of.input, at, tables),
        LogicalPlan::Filter(of) => follows(&of.input, at, tables),
        LogicalPlan::Projection(of) => of
            .expr
            .get(at)
            .and_then(|expr| window_of(expr, &of.input))
            .is_some_and(|(made, from)| made.is_none() && follows(&of.input, from, tables)),
        LogicalPlan::Union(of) => of.inputs.iter().all(|input| follows(input, at, tables)),
        LogicalPlan::Aggregate(of) => {
            let key = of.group_expr.get(at);
            key.is_some_and(|key| is_start(key, &of.input) && !is_open_ended(unaliased(key)))
        }
        _ => false,
    }
}

/// Whether windows that begin at a time have no one end.
fn is_open_ended(made: &PlanExpr) -> bool {
    matches!(made, PlanExpr::ScalarFunction(f) if f.name() == CUMULATE)
}

/// Whether a query groups by windows.
pub(super) fn is_windowed(planned: &Planned) -> bool {
    let by_joined = |node: &LogicalPlan| match node {
        LogicalPlan::Aggregate(of) => {
            let mut keys = of.group_expr.iter();
            Ok(keys.any(|key| windowed(key, &of.input, &planned.tables).is_some()))
        }
        _ => Ok(false),
    };
    is_grouped(&planned.plan, is_window) || planned.plan.exists(by_joined).unwrap_or(false)
}

impl Lowering<'_> {
    /// Notes which joins below these groups have rows that the groups' windows are of.
    pub(super) fn look_for_lookups(&mut self, aggregate: &Aggregate) {
        if !self.changes {
            let tables = &self.query.tables;
            let keys = aggregate.group_expr.iter();
            let found = keys.filter_map(|key| windowed(key, &aggregate.input, tables));
            self.windowed.extend(found);
        }
    }

    /// What was noted of a join.
    fn windowed_join(&self, join: &Join) -> Option<Windowed> {
        let mut noted = self.windowed.iter().rev();
        noted.find(|noted| ptr::eq(noted.join, join)).cloned()
    }

    /// Which of a projection's columns is a window by which rows are grouped above a join.
    pub(super) fn made_for_lookup(&self, projection: &Projection) -> Option<usize> {
        self.windowed
            .iter()
            .rev()
            .find_map(|noted| match noted.made {
                Made::Below(of, column) if ptr::eq(of, projection) => Some(column),
                Made::Below(..) | Made::Above(_) => None,
            })
    }

    /// Has the rows of a join's side go that are late for windows which are made above it.
    pub(super) fn on_time_above(
        &mut self,
        join: &Join,
        kept: &Kept,
        [left, right]: [Part; 2],
    ) -> Result<[Part; 2], Refusal> {
        match (kept, self.windowed_join(join)) {
            (Kept::Side(..), Some(noted)) if noted.side == Side::Left => {
                Ok([self.drop_late_for(left, &join.left, &noted)?, right])
            }
            (Kept::Side(..), Some(noted)) => {
                Ok([left, self.drop_late_for(right, &join.right, &noted)?])
            }
            _ => Ok([left, right]),
        }
    }

    /// Of which columns of a side without an end, beside one with, watermarks close windows.
    pub(super) fn windows_before(&self, join: &Join, parts: [&Part; 2]) -> [Vec<Option<i64>>; 2] {
        let ends = self.sides_end(join);
        [Side::Left, Side::Right].map(|side| {
            match !self.changes && !ends[side.port()] && ends[side.other().port()] {
                true => parts[side.port()].windows.clone(),
                false => Vec::new(),
            }
        })
    }

    /// Has the rows of a side go that are late for the windows above.
    fn drop_late_for(
        &mut self,
        part: Part,
        plan: &LogicalPlan,
        windowed: &Windowed,
    ) -> Result<Part, Refusal> {
        let time = part.columns.iter().position(|c| *c == windowed.column);
        let time = time.filter(|&time| self.is_timed(&part.branches, time));
        let (Some(time), Made::Above(key)) = (time, &windowed.made) else {
            return Ok(part);
        };
        let columns = part.columns.clone();
        (self.branches, self.schema) = (part.branches, part.schema);
        (self.columns, self.windows) = (Some(columns.clone()), part.windows);
        let wrong = |e: DataFusionError| ("E0302", e.strip_backtrace());
        let named = Column::from(plan.schema().qualified_field(windowed.column));
        let of_side = key.clone().transform(|e| match e {
            PlanExpr::Column(_) => Ok(Transformed::yes(PlanExpr::Column(named.clone()))),
            e => Ok(Transformed::no(e)),
        });
        let key = windows::read(&of_side.map_err(wrong)?.data, &self.scope(plan))?;
        let windows = windows::of_keys(&[key])?;
        if windows.as_ref().is_some_and(Windows::multiply) {
            // Of such a row only some windows may be closed, which only its own watermark tells.
            return Err(("E0301", ABOVE.to_owned()));
        }
        if let Some(windows) = windows
            && let Some(bound) = self.bound_in_order(time)?
            && let Some(rule) = windows.late(bound)
        {
            self.drop_late(LateRule { time, ..rule });
            // What is above closes as if nothing were joined.
            self.windows[time] = Some(0);
        }
        self.columns = None;
        Ok(Part {
            branches: std::mem::take(&mut self.branches),
            schema: std::mem::take(&mut self.schema),
            windows: std::mem::take(&mut self.windows),
            columns,
            ..part
        })
    }
}
