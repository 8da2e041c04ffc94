//! Values of all rows that meet the outer query's columns by more than equalities: `(SELECT
//! COUNT(*) FROM b WHERE b.k = a.k AND b.at <= a.at)`. A join of the outer rows with them would
//! multiply these. So it is computed once for each combination of the outer columns that it names:
//! those are joined with the rows of the subquery and grouped by, and each outer row takes the
//! group of its own. Of -0.0 and 0.0, which are one key, a key beside says which it is where
//! something is computed of them.

mod zeros;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, NullEquality, Result as PlanResult};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Filter, Join, JoinConstraint, JoinType, LogicalPlan, Operator,
    Projection, Subquery, lit,
};

use self::zeros::Keys;

/// How the columns begin that this adds.
const NAME: &str = "__trefoil_outer";

/// Rewrites them in an analyzed plan; what DataFusion makes joins of stays.
pub(super) fn rewrite(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let mut taken = 0;
    let plan = plan.transform_up_with_subqueries(|node| match &node {
        LogicalPlan::Filter(_) | LogicalPlan::Projection(_) => hosted(node, &mut taken),
        _ => Ok(Transformed::no(node)),
    });
    plan.map(|plan| plan.data)
}

/// All columns of a plan.
fn columns(plan: &LogicalPlan) -> Vec<Expr> {
    let all = 0..plan.schema().fields().len();
    all.map(|at| Expr::Column(Column::from(plan.schema().qualified_field(at))))
        .collect()
}

fn project(exprs: Vec<Expr>, input: LogicalPlan) -> PlanResult<LogicalPlan> {
    Projection::try_new(exprs, Arc::new(input)).map(LogicalPlan::Projection)
}

/// The subqueries of one node: its input is joined with their values.
fn hosted(node: LogicalPlan, taken: &mut usize) -> PlanResult<Transformed<LogicalPlan>> {
    let before = node.inputs()[0].clone();
    let mut input = before.clone();
    let names = NamePreserver::new(&node);
    let mut exprs = Vec::new();
    let mut found = false;
    for expr in node.expressions() {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|e| {
            let Expr::ScalarSubquery(subquery) = &e else {
                return Ok(Transformed::no(e));
            };
            match value(subquery, &before, &input, taken)? {
                None => Ok(Transformed::no(e)),
                Some((joined, value)) => {
                    input = joined;
                    Ok(Transformed::yes(value))
                }
            }
        })?;
        found |= rewritten.transformed;
        exprs.push(name.restore(rewritten.data));
    }
    if !found {
        return Ok(Transformed::no(node));
    }
    let plan = match node {
        LogicalPlan::Projection(_) => project(exprs, input)?,
        _ => {
            let condition = exprs.pop().expect("a filter has a condition");
            let filter = Filter::try_new(condition, Arc::new(input))?;
            project(columns(&before), LogicalPlan::Filter(filter))?
        }
    };
    Ok(Transformed::yes(plan))
}

/// A subquery that is taken apart: what is made of the aggregates, these, and the rows below.
struct Parts<'a> {
    of_groups: Option<&'a [Expr]>,
    groups: &'a Aggregate,
    rows: &'a Filter,
}

/// Whether a plan names columns from around it.
fn is_open(plan: &LogicalPlan) -> bool {
    plan.exists(|node| {
        let mut open = false;
        node.apply_expressions(|e| {
            open |= e.contains_outer();
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(open)
    })
    .unwrap_or(true)
}

/// Whether a plan's rows are others each time.
fn is_volatile(plan: &LogicalPlan) -> bool {
    plan.exists(|node| {
        let mut volatile = false;
        node.apply_expressions(|e| {
            volatile |= e.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(volatile)
    })
    .unwrap_or(true)
}

/// Whether DataFusion makes the key of a join of it: a column is equal to what is outer.
fn is_equality(condition: &Expr) -> bool {
    let is_column = |e: &Expr| match e {
        Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::Column(_)),
        e => matches!(e, Expr::Column(_)),
    };
    match condition {
        Expr::BinaryExpr(both) if both.op == Operator::Eq => {
            is_column(&both.left) && !both.right.any_column_refs()
                || is_column(&both.right) && !both.left.any_column_refs()
        }
        _ => false,
    }
}

impl<'a> Parts<'a> {
    /// `None` of one that DataFusion makes a join of, or that is another one.
    fn of(subquery: &'a Subquery) -> Option<Self> {
        let (of_groups, groups) = match subquery.subquery.as_ref() {
            LogicalPlan::Projection(of) => match of.input.as_ref() {
                LogicalPlan::Aggregate(groups) => (Some(of.expr.as_slice()), groups),
                _ => return None,
            },
            LogicalPlan::Aggregate(groups) => (None, groups),
            _ => return None,
        };
        let LogicalPlan::Filter(rows) = groups.input.as_ref() else {
            return None;
        };
        let conditions = split_conjunction(&rows.predicate);
        let mut open = conditions.into_iter().filter(|e| e.contains_outer());
        let plain = groups.group_expr.is_empty()
            && groups
                .aggr_expr
                .iter()
                .all(|e| matches!(e, Expr::AggregateFunction(_)))
            && !groups.aggr_expr.iter().any(Expr::contains_outer)
            && !of_groups.unwrap_or(&[]).iter().any(Expr::contains_outer)
            && !is_open(&rows.input)
            && !open.all(is_equality);
        plain.then_some(Self {
            of_groups,
            groups,
            rows,
        })
    }
}

/// The outer rows with the subquery's value, and that value; `None` where it is left as it is.
/// `before` is these rows without the values of other subqueries.
fn value(
    subquery: &Subquery,
    before: &LogicalPlan,
    outer: &LogicalPlan,
    taken: &mut usize,
) -> PlanResult<Option<(LogicalPlan, Expr)>> {
    let Some(parts) = Parts::of(subquery) else {
        return Ok(None);
    };
    // They are computed twice, and would not be the same rows.
    if is_volatile(before) {
        return Ok(None);
    }
    let mut named: Vec<Column> = Vec::new();
    for column in &subquery.outer_ref_columns {
        match column {
            Expr::OuterReferenceColumn(_, column) if before.schema().has_column(column) => {
                if !named.contains(column) {
                    named.push(column.clone());
                }
            }
            _ => return Ok(None),
        }
    }
    *taken += 1;
    // Each combination of the outer columns once.
    let name = format!("{NAME}_{taken}");
    let keys = Keys::new(&name, named, &parts.rows.predicate, before)?;
    let each = project(keys.named(), before.clone())?;
    let each = LogicalPlan::Distinct(Distinct::All(Arc::new(each)));
    // Its rows, and a mark by which they are told from none.
    let mark = format!("{NAME}_{taken}_row");
    let mut rows = columns(&parts.rows.input);
    rows.push(lit(true).alias(&mark));
    let rows = project(rows, parts.rows.input.as_ref().clone())?;
    let condition = keys.condition(parts.rows.predicate.clone())?;
    let met = joined(each, rows, Vec::new(), Some(condition), false)?;
    // Grouped by them, and called as the aggregates are.
    let mark = Expr::Column(Column::new_unqualified(mark));
    let calls = parts.groups.aggr_expr.iter().cloned().map(|call| {
        let Expr::AggregateFunction(mut call) = call else {
            unreachable!("it was looked at before")
        };
        let filter = call.params.filter.take();
        call.params.filter = Some(Box::new(match filter {
            Some(filter) => filter.and(mark.clone()),
            None => mark.clone(),
        }));
        Expr::AggregateFunction(call)
    });
    let groups = Aggregate::try_new(Arc::new(met), keys.all(), calls.collect())?;
    let groups = LogicalPlan::Aggregate(groups);
    let called = columns(&groups).into_iter().skip(keys.all().len());
    let called = called.zip(parts.groups.schema.fields().iter());
    let called = called.map(|(column, field)| column.alias(field.name()));
    let groups = project(keys.all().into_iter().chain(called).collect(), groups)?;
    let of_groups = match parts.of_groups {
        Some(exprs) => exprs[0].clone().unalias(),
        None => columns(&groups)[keys.all().len()].clone(),
    };
    let value = format!("{NAME}_{taken}_value");
    let values = keys.all().into_iter().chain([of_groups.alias(&value)]);
    let values = project(values.collect(), groups)?;
    let on = keys.of_outer().into_iter().zip(keys.all());
    let plan = joined(outer.clone(), values, on.collect(), None, true)?;
    Ok(Some((plan, Expr::Column(Column::new_unqualified(value)))))
}

/// A left join; where `nulls` is true NULL equals NULL.
fn joined(
    left: LogicalPlan,
    right: LogicalPlan,
    on: Vec<(Expr, Expr)>,
    condition: Option<Expr>,
    nulls: bool,
) -> PlanResult<LogicalPlan> {
    let null_equality = match nulls {
        true => NullEquality::NullEqualsNull,
        false => NullEquality::NullEqualsNothing,
    };
    let join = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        condition,
        JoinType::Left,
        JoinConstraint::On,
        null_equality,
        false,
    )?;
    Ok(LogicalPlan::Join(join))
}
