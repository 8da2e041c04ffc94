//! Windows that are not made right below the groups: between are filters, lists that are taken
//! apart, or projections that hand columns on. A key that is such a window's bound is written as
//! its call over the time, which comes along.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as PlanResult, not_impl_err};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Aggregate, Expr, Filter, LogicalPlan, Projection, SubqueryAlias};

use super::{BEFORE_GROUPS, has_window};
use crate::lower_expr::unaliased;
use crate::window::marker;

/// A column by where its values are first.
type Origin<'p> = (&'p LogicalPlan, usize);

/// Where the values of a plan's column come from, through all that hands rows on.
fn origin(plan: &LogicalPlan, column: usize) -> Origin<'_> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => origin(&alias.input, column),
        LogicalPlan::Filter(filter) => origin(&filter.input, column),
        LogicalPlan::Projection(projection) => match unaliased(&projection.expr[column]) {
            Expr::Column(handed) => match projection.input.schema().maybe_index_of_column(handed) {
                Some(index) => origin(&projection.input, index),
                None => (plan, column),
            },
            _ => (plan, column),
        },
        LogicalPlan::Unnest(unnest) => match unnest.dependency_indices.get(column) {
            Some(&index)
                if unnest
                    .list_type_columns
                    .iter()
                    .all(|(list, _)| *list != index) =>
            {
                origin(&unnest.input, index)
            }
            _ => (plan, column),
        },
        _ => (plan, column),
    }
}

fn same(a: Origin<'_>, b: Origin<'_>) -> bool {
    std::ptr::eq(a.0, b.0) && a.1 == b.1
}

/// The window's bound that a column of `input` is, over columns of `input`.
fn window(input: &LogicalPlan, column: usize) -> Option<Expr> {
    let (LogicalPlan::Projection(made), index) = origin(input, column) else {
        return None;
    };
    let call = unaliased(&made.expr[index]);
    if !matches!(call, Expr::ScalarFunction(f) if marker::is_own(f.name())) {
        return None;
    }
    let schema = input.schema();
    let mut is_known = true;
    let above = call.clone().transform(|e| {
        let Expr::Column(time) = &e else {
            return Ok(Transformed::no(e));
        };
        let inner = made.input.schema().maybe_index_of_column(time);
        let from = inner.map(|inner| origin(&made.input, inner));
        let mut all = 0..schema.fields().len();
        let handed = from.and_then(|from| all.find(|&c| same(origin(input, c), from)));
        is_known &= handed.is_some();
        Ok(match handed {
            Some(at) => Transformed::yes(Expr::Column(Column::from(schema.qualified_field(at)))),
            None => Transformed::no(e),
        })
    });
    above.ok().filter(|_| is_known).map(|above| above.data)
}

/// Whether an expression over `input` reads a window of which a row has several.
pub(super) fn names_several(expr: &Expr, input: &LogicalPlan) -> bool {
    expr.column_refs().into_iter().any(|c| {
        let index = input.schema().maybe_index_of_column(c);
        let made = index.map(|index| origin(input, index));
        matches!(made, Some((LogicalPlan::Projection(p), i)) if marker::has_several(&p.expr[i]))
    })
}

/// A plan without the conditions in it on windows of which a row has several, and these over its
/// columns: those that only filters, names and columns handed on stand above of.
pub(super) fn lifted(plan: LogicalPlan) -> PlanResult<(LogicalPlan, Vec<Expr>)> {
    match plan {
        LogicalPlan::Filter(filter) => {
            let (input, mut conditions) = lifted(Arc::unwrap_or_clone(filter.input))?;
            let mut rest = Vec::new();
            for condition in split_conjunction_owned(filter.predicate) {
                match names_several(&condition, &input) {
                    true => conditions.push(condition),
                    false => rest.push(condition),
                }
            }
            Ok((filtered(input, rest)?, conditions))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, conditions) = lifted(Arc::unwrap_or_clone(alias.input))?;
            let inner = Arc::clone(input.schema());
            let plan = SubqueryAlias::try_new(Arc::new(input), alias.alias)?;
            let outer = |column: &Column| {
                let index = inner.maybe_index_of_column(column)?;
                Some(Column::from(plan.schema.qualified_field(index)))
            };
            let renamed = conditions.into_iter().map(|c| over(c, outer));
            let (known, unknown) = apart(renamed);
            debug_assert!(unknown.is_empty(), "an alias has all columns");
            Ok((LogicalPlan::SubqueryAlias(plan), known))
        }
        LogicalPlan::Projection(projection) => {
            let (input, conditions) = lifted(Arc::unwrap_or_clone(projection.input))?;
            let exprs = &projection.expr;
            let outer = |column: &Column| {
                let is = |e: &Expr| matches!(unaliased(e), Expr::Column(c) if c == column);
                let index = exprs.iter().position(is)?;
                Some(Column::from(projection.schema.qualified_field(index)))
            };
            let (known, unknown) = apart(conditions.into_iter().map(|c| over(c, outer)));
            let input = Arc::new(filtered(input, unknown)?);
            let plan = Projection::try_new(projection.expr, input)?;
            Ok((LogicalPlan::Projection(plan), known))
        }
        other => Ok((other, Vec::new())),
    }
}

/// A condition over other columns, or as it was where one of its columns is not among them.
fn over(condition: Expr, outer: impl Fn(&Column) -> Option<Column>) -> Result<Expr, Expr> {
    let mut is_known = true;
    let renamed = condition.clone().transform(|e| {
        let Expr::Column(column) = &e else {
            return Ok(Transformed::no(e));
        };
        let renamed = outer(column);
        is_known &= renamed.is_some();
        Ok(renamed.map_or(Transformed::no(e), |c| Transformed::yes(Expr::Column(c))))
    });
    match renamed {
        Ok(renamed) if is_known => Ok(renamed.data),
        _ => Err(condition),
    }
}

fn apart(conditions: impl Iterator<Item = Result<Expr, Expr>>) -> (Vec<Expr>, Vec<Expr>) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for condition in conditions {
        match condition {
            Ok(condition) => known.push(condition),
            Err(condition) => unknown.push(condition),
        }
    }
    (known, unknown)
}

/// The rows of a plan for which all conditions hold.
pub(super) fn filtered(plan: LogicalPlan, conditions: Vec<Expr>) -> PlanResult<LogicalPlan> {
    Ok(match conjunction(conditions) {
        Some(condition) => LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?),
        None => plan,
    })
}

/// Whether a condition or a computed column between the groups and such windows does.
fn reads_several(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => reads_several(&alias.input),
        LogicalPlan::Filter(filter) => {
            names_several(&filter.predicate, &filter.input) || reads_several(&filter.input)
        }
        LogicalPlan::Projection(projection) => {
            let computed = |e: &Expr| !matches!(unaliased(e), Expr::Column(_));
            let mut exprs = projection.expr.iter();
            exprs.any(|e| computed(e) && names_several(e, &projection.input))
                || reads_several(&projection.input)
        }
        LogicalPlan::Unnest(unnest) => reads_several(&unnest.input),
        _ => false,
    }
}

/// What makes several rows of one is made by the groups now: the time stands in its place.
fn without_several(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let without = plan.transform_down(|node| {
        let LogicalPlan::Projection(mut projection) = node else {
            let is_passed = matches!(
                node,
                LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_) | LogicalPlan::Unnest(_)
            );
            let go_on = match is_passed {
                true => TreeNodeRecursion::Continue,
                false => TreeNodeRecursion::Jump,
            };
            return Ok(Transformed::new(node, false, go_on));
        };
        let fields = projection.schema.iter();
        for (expr, (relation, field)) in projection.expr.iter_mut().zip(fields) {
            let time = expr.column_refs().into_iter().next().cloned();
            if let Some(time) = time.filter(|_| marker::has_several(expr)) {
                *expr = Expr::Column(time).alias_qualified(relation.cloned(), field.name());
            }
        }
        let projection = Projection::try_new(projection.expr, projection.input)?;
        Ok(Transformed::yes(LogicalPlan::Projection(projection)))
    })?;
    Ok(without.data)
}

/// The groups, keys that are a window's bound written as its call.
pub(super) fn inlined(groups: Aggregate) -> PlanResult<Aggregate> {
    let input = groups.input.as_ref();
    let call = |expr: &Expr| match unaliased(expr) {
        Expr::Column(c) => window(input, input.schema().maybe_index_of_column(c)?),
        _ => None,
    };
    let keys: Vec<Expr> = groups.group_expr.iter().filter_map(call).collect();
    if keys.is_empty() {
        return Ok(groups);
    }
    let several = keys.iter().any(marker::has_several);
    if several && reads_several(input) {
        return not_impl_err!("{BEFORE_GROUPS}");
    }
    let fields = groups.schema.iter();
    let exprs = groups.group_expr.iter().chain(&groups.aggr_expr);
    let mut written = Vec::new();
    for (expr, (relation, field)) in exprs.zip(fields) {
        let inner = expr.clone().transform(|e| {
            Ok(match call(&e) {
                Some(call) => Transformed::yes(call),
                None => Transformed::no(e),
            })
        })?;
        written.push(match inner.transformed {
            true => {
                (unaliased(&inner.data).clone()).alias_qualified(relation.cloned(), field.name())
            }
            false => inner.data,
        });
    }
    debug_assert!(
        written.iter().any(has_window),
        "a bound was written as its call"
    );
    let aggregates = written.split_off(groups.group_expr.len());
    let input = match several {
        true => Arc::new(without_several(Arc::unwrap_or_clone(groups.input))?),
        false => groups.input,
    };
    Aggregate::try_new(input, written, aggregates)
}
