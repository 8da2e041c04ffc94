//! `SET state_ttl`: of joins of inputs without end of which nothing says when rows match no more,
//! rows match whose times are no further apart than that. It is written into the join's condition,
//! so that it is an interval join, or its changes are forgotten as those of one are: what matches
//! hangs on times alone, and on nothing that runs.
//!
//! A row's time is the event time of its source; of groups by windows it is where the window
//! starts; of joined rows it is the left side's, or the right one's where the left may be missing.
//! Where a side has none, the join stays as it is, and is refused later on.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Between, Cast, Expr, Filter, Join, JoinType, LogicalPlan, Operator, Projection, SubqueryAlias,
    Union, lit,
};
use trefoil_ring0::program::Side;

use crate::catalog::SourceDef;
use crate::lower::{is_bounded, is_start, meets_windows, starts, unit_of};
use crate::lower_expr::unaliased;
use crate::partitioning::ends;
use crate::window::marker::{AS_OF_TIME, ASOF};

/// What the condition is called that the setting adds, and the columns that it needs.
const NAME: &str = "__trefoil_state_ttl";

/// A side, and the column of it with its rows' time.
struct Timed {
    plan: LogicalPlan,
    column: Column,
}

/// Finds times, and has them be columns of the sides.
struct Walk<'a> {
    tables: &'a [SourceDef],
    /// Columns that were added.
    added: usize,
}

/// Has rows of regular joins match only where their times are no further apart than this.
pub(super) fn rewrite(
    plan: LogicalPlan,
    tables: &[SourceDef],
    ttl_ns: i64,
) -> PlanResult<LogicalPlan> {
    let mut walk = Walk { tables, added: 0 };
    let rewritten = plan.transform_up(|node| match node {
        LogicalPlan::Join(join) => walk.join(join, ttl_ns),
        node => Ok(Transformed::no(node)),
    });
    rewritten.map(|rewritten| rewritten.data)
}

/// A join's condition without what the setting added, and whether it did.
pub(crate) fn parted(filter: &Expr) -> (Option<&Expr>, bool) {
    let is = |e: &Expr| matches!(e, Expr::Alias(alias) if alias.name == NAME);
    match filter {
        e if is(e) => (None, true),
        Expr::BinaryExpr(both) if both.op == Operator::And && is(&both.right) => {
            (Some(both.left.as_ref()), true)
        }
        _ => (Some(filter), false),
    }
}

/// Whether watermarks say when rows of a join of inputs without end match no more.
pub(crate) fn forgets(join: &Join, tables: &[SourceDef]) -> bool {
    let mut walk = Walk { tables, added: 0 };
    let mut time = |plan: &LogicalPlan| {
        let timed = walk.timed(plan).ok().flatten()?;
        plan.schema().maybe_index_of_column(&timed.column)
    };
    let times = [time(&join.left), time(&join.right)];
    let is_time = |side: Side, at: usize| {
        let plan = match side {
            Side::Left => &join.left,
            Side::Right => &join.right,
        };
        times[side.port()] == Some(at) || starts(plan, at)
    };
    meets_windows(join) || is_bounded(join, &is_time)
}

fn column(plan: &LogicalPlan, at: usize) -> Column {
    Column::from(plan.schema().qualified_field(at))
}

/// All columns of a plan as expressions.
fn all(plan: &LogicalPlan) -> Vec<Expr> {
    let columns = 0..plan.schema().fields().len();
    columns.map(|at| Expr::Column(column(plan, at))).collect()
}

/// The condition that times of both sides are so near.
fn near(sides: [&Timed; 2], ttl_ns: i64) -> Option<Expr> {
    let types = sides.map(|side| {
        let schema = side.plan.schema();
        let at = schema.maybe_index_of_column(&side.column)?;
        Some(schema.field(at).data_type().clone())
    });
    let [Some(left), Some(right)] = types else {
        return None;
    };
    let (left_ns, right_ns) = (unit_of(&left)?, unit_of(&right)?);
    let finer = if left_ns < right_ns { &left } else { &right };
    let of = |side: &Timed, is: &DataType| {
        let column = Expr::Column(side.column.clone());
        match is == finer {
            true => column,
            false => Expr::Cast(Cast::new(Box::new(column), finer.clone())),
        }
    };
    // Times in coarser units are not moved by less than one.
    let unit_ns = left_ns.max(right_ns);
    let ttl_ns = ttl_ns.checked_add(unit_ns - 1)? / unit_ns * unit_ns;
    let length = lit(ScalarValue::new_interval_mdn(0, 0, ttl_ns));
    let (l, r) = (of(sides[0], &left), of(sides[1], &right));
    let low = Box::new(l.clone() - length.clone());
    let high = Box::new(l + length);
    Some(Expr::Between(Between::new(Box::new(r), false, low, high)))
}

impl Walk<'_> {
    /// Adds the condition to a join that needs it.
    fn join(&mut self, join: Join, ttl_ns: i64) -> PlanResult<Transformed<LogicalPlan>> {
        const MARKS: [&str; 2] = [ASOF, AS_OF_TIME];
        let marked = |e: &&Expr| matches!(e, Expr::ScalarFunction(f) if MARKS.contains(&f.name()));
        let mut conditions = join.filter.iter().flat_map(split_conjunction);
        let other = conditions.any(|e| marked(&e)) || join.null_aware;
        let endless = !ends(&join.left, self.tables) && !ends(&join.right, self.tables);
        if other || !endless || forgets(&join, self.tables) {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let sides = (self.timed(&join.left)?, self.timed(&join.right)?);
        let (Some(left), Some(right)) = sides else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        let Some(near) = near([&left, &right], ttl_ns) else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        let near = near.alias(NAME);
        let filter = match join.filter.clone() {
            Some(filter) => filter.and(near),
            None => near,
        };
        let before = LogicalPlan::Join(join);
        let LogicalPlan::Join(join) = &before else {
            unreachable!("it was one")
        };
        let (left, right) = (Arc::new(left.plan), Arc::new(right.plan));
        let bounded = with_sides(join, left, right, Some(filter))?;
        let plan = Projection::try_new(all(&before), Arc::new(bounded))?;
        Ok(Transformed::yes(LogicalPlan::Projection(plan)))
    }

    /// Has the time of a plan's rows be one of its columns, if they have one.
    fn timed(&mut self, plan: &LogicalPlan) -> PlanResult<Option<Timed>> {
        Ok(match plan {
            LogicalPlan::TableScan(scan) => {
                let name = scan.table_name.table();
                let source = self.tables.iter().find(|t| t.name == name);
                let source = source.filter(|s| !s.has_changes() && s.primary_key.is_empty());
                let time = source.filter(|s| s.lag_ns.is_some());
                let time = time.and_then(|s| Some(&s.columns[s.event_time?].name));
                let at = time.and_then(|name| {
                    let fields = plan.schema().fields();
                    fields.iter().position(|field| field.name() == name)
                });
                at.map(|at| Timed {
                    plan: plan.clone(),
                    column: column(plan, at),
                })
            }
            LogicalPlan::SubqueryAlias(alias) => match self.timed(&alias.input)? {
                None => None,
                Some(timed) => {
                    let at = timed.plan.schema().index_of_column(&timed.column)?;
                    let input = Arc::new(timed.plan);
                    let alias = SubqueryAlias::try_new(input, alias.alias.clone())?;
                    let plan = LogicalPlan::SubqueryAlias(alias);
                    let column = column(&plan, at);
                    Some(Timed { plan, column })
                }
            },
            LogicalPlan::Filter(filter) => match self.timed(&filter.input)? {
                None => None,
                Some(Timed { plan, column }) => {
                    let filter = Filter::try_new(filter.predicate.clone(), Arc::new(plan))?;
                    let plan = LogicalPlan::Filter(filter);
                    Some(Timed { plan, column })
                }
            },
            LogicalPlan::Projection(of) => match self.timed(&of.input)? {
                None => None,
                Some(timed) => Some(self.projected(of.expr.clone(), timed)?),
            },
            LogicalPlan::Aggregate(of) => {
                let mut keys = of.group_expr.iter();
                let is_set = matches!(of.group_expr.first(), Some(Expr::GroupingSet(_)));
                let start = keys.position(|key| is_start(key, &of.input));
                start.filter(|_| !is_set).map(|at| Timed {
                    plan: plan.clone(),
                    column: column(plan, at),
                })
            }
            LogicalPlan::Join(join) => self.joined(join)?,
            LogicalPlan::Union(union) => self.united(union)?,
            _ => None,
        })
    }

    /// These expressions, and the time.
    fn projected(&mut self, mut exprs: Vec<Expr>, timed: Timed) -> PlanResult<Timed> {
        let is = |e: &Expr| matches!(unaliased(e), Expr::Column(c) if *c == timed.column);
        let at = match exprs.iter().position(is) {
            Some(at) => at,
            None => {
                self.added += 1;
                let name = format!("{NAME}_{}", self.added);
                exprs.push(Expr::Column(timed.column).alias(name));
                exprs.len() - 1
            }
        };
        let projection = Projection::try_new(exprs, Arc::new(timed.plan))?;
        let plan = LogicalPlan::Projection(projection);
        let column = column(&plan, at);
        Ok(Timed { plan, column })
    }

    /// Of joined rows that watermarks follow.
    fn joined(&mut self, join: &Join) -> PlanResult<Option<Timed>> {
        use JoinType as J;
        let endless = !ends(&join.left, self.tables) && !ends(&join.right, self.tables);
        if !endless || !forgets(join, self.tables) {
            return Ok(None);
        }
        let on_left = match join.join_type {
            J::Inner | J::Left | J::LeftSemi | J::LeftAnti | J::LeftMark => true,
            J::Right | J::RightSemi | J::RightAnti | J::RightMark => false,
            J::Full => return Ok(None),
        };
        let side = if on_left { &join.left } else { &join.right };
        let Some(Timed { plan, column }) = self.timed(side)? else {
            return Ok(None);
        };
        let (left, right) = match on_left {
            true => (Arc::new(plan), Arc::clone(&join.right)),
            false => (Arc::clone(&join.left), Arc::new(plan)),
        };
        let plan = with_sides(join, left, right, join.filter.clone())?;
        Ok(Some(Timed { plan, column }))
    }

    /// Of rows of several inputs, all of which have a time of one type.
    fn united(&mut self, union: &Union) -> PlanResult<Option<Timed>> {
        let mut inputs = Vec::new();
        for input in &union.inputs {
            let Some(timed) = self.timed(input)? else {
                return Ok(None);
            };
            let mut exprs = all(input);
            self.added += 1;
            let name = format!("{NAME}_{}", self.added);
            exprs.push(Expr::Column(timed.column).alias(name));
            let plan = Projection::try_new(exprs, Arc::new(timed.plan))?;
            inputs.push(Arc::new(LogicalPlan::Projection(plan)));
        }
        let at = union.schema.fields().len();
        let types = || inputs.iter().map(|i| i.schema().field(at).data_type());
        if types().any(|t| Some(t) != types().next()) {
            return Ok(None);
        }
        let plan = LogicalPlan::Union(Union::try_new(inputs)?);
        let column = column(&plan, at);
        Ok(Some(Timed { plan, column }))
    }
}

/// A join of other sides, in whose columns are those that it had.
fn with_sides(
    join: &Join,
    left: Arc<LogicalPlan>,
    right: Arc<LogicalPlan>,
    filter: Option<Expr>,
) -> PlanResult<LogicalPlan> {
    let join = Join::try_new(
        left,
        right,
        join.on.clone(),
        filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    Ok(LogicalPlan::Join(join))
}
