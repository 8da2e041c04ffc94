//! Groups by the columns of a window's table function are groups by that window: `FROM HOP(t, ..)
//! GROUP BY window_start, window_end` is `FROM t GROUP BY HOP(..)`. So its windows close by the
//! watermark, too, and whoever lowers groups knows one form. An end that follows from the start is
//! computed behind the groups and is no key.

mod trace;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as PlanResult, TableReference};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Aggregate, Expr, Filter, LogicalPlan, Projection};

use crate::lower_expr::unaliased;
use crate::window::END;
use crate::window::marker::{has_session, has_several, is_own};

/// What does not run yet: the window of each row would have to be chosen before the groups make it.
pub(crate) const BEFORE_GROUPS: &str = "a condition on one of the several windows of a row, before \
                                        they are groups, is not supported yet";

/// Rewrites all groups of a plan.
pub(super) fn rewrite(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let rewritten = plan.transform_up(|node| match node {
        LogicalPlan::Aggregate(groups) => {
            let groups = conditions_lifted(groups)?;
            let (groups, conditions) = without_conditions(groups, trace::names_several)?;
            let groups = match over_windows(&groups) {
                Some(projection) => inlined(&groups, &projection)?,
                None => trace::inlined(groups)?,
            };
            let (groups, calls) = without_conditions(groups, |c, _| is_made_by_groups(c))?;
            let plan = without_ends(groups)?;
            let conditions = conditions.into_iter().chain(calls);
            let Some(condition) = conjunction(conditions) else {
                return Ok(plan);
            };
            let filter = Filter::try_new(condition, Arc::new(plan.data))?;
            Ok(Transformed::yes(LogicalPlan::Filter(filter)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

/// The groups, the conditions on windows of which a row has several right below them.
fn conditions_lifted(groups: Aggregate) -> PlanResult<Aggregate> {
    let (input, conditions) = trace::lifted(groups.input.as_ref().clone())?;
    if conditions.is_empty() {
        return Ok(groups);
    }
    let input = Arc::new(trace::filtered(input, conditions)?);
    Aggregate::try_new_with_schema(input, groups.group_expr, groups.aggr_expr, groups.schema)
}

/// The projection under these groups, if it makes windows that they are grouped by.
fn over_windows(groups: &Aggregate) -> Option<Projection> {
    let mut input = groups.input.as_ref();
    while let LogicalPlan::SubqueryAlias(alias) = input {
        input = alias.input.as_ref();
    }
    let LogicalPlan::Projection(projection) = input else {
        return None;
    };
    let by_window = groups.group_expr.iter().any(|key| {
        let mut columns = key.column_refs().into_iter();
        columns.any(|c| {
            let index = groups.input.schema().maybe_index_of_column(c);
            index.is_some_and(|i| has_window(&projection.expr[i]))
        })
    });
    by_window.then(|| projection.clone())
}

fn has_window(expr: &Expr) -> bool {
    let window = |e: &Expr| Ok(matches!(e, Expr::ScalarFunction(f) if is_own(f.name())));
    expr.exists(window).unwrap_or(false)
}

/// The groups over what the projection reads.
fn inlined(groups: &Aggregate, projection: &Projection) -> PlanResult<Aggregate> {
    let schema = groups.input.schema();
    let inline = |expr: &Expr| -> PlanResult<Expr> {
        let inner = expr.clone().transform(|e| {
            let Expr::Column(column) = &e else {
                return Ok(Transformed::no(e));
            };
            let index = schema.index_of_column(column)?;
            Ok(Transformed::yes(unaliased(&projection.expr[index]).clone()))
        })?;
        Ok(inner.data)
    };
    let fields = groups.schema.iter();
    let exprs = groups
        .group_expr
        .iter()
        .chain(&groups.aggr_expr)
        .zip(fields);
    let mut exprs = exprs
        .map(|(expr, (relation, field))| {
            let relation: Option<TableReference> = relation.cloned();
            let inlined = inline(expr)?;
            Ok(unaliased(&inlined)
                .clone()
                .alias_qualified(relation, field.name()))
        })
        .collect::<PlanResult<Vec<Expr>>>()?;
    let aggregates = exprs.split_off(groups.group_expr.len());
    Aggregate::try_new(Arc::clone(&projection.input), exprs, aggregates)
}

/// Whether an expression speaks of windows that no row has before there are groups.
fn is_made_by_groups(expr: &Expr) -> bool {
    has_several(expr) || has_session(expr)
}

/// Takes conditions on keys out from under the groups, where these are windows that groups make:
/// the optimizer put them there, before a row has its windows. Gives them as they are above.
fn without_conditions(
    groups: Aggregate,
    is_of_windows: impl Fn(&Expr, &LogicalPlan) -> bool,
) -> PlanResult<(Aggregate, Vec<Expr>)> {
    let LogicalPlan::Filter(filter) = groups.input.as_ref() else {
        return Ok((groups, Vec::new()));
    };
    let key = |expr: &Expr| {
        groups
            .group_expr
            .iter()
            .position(|key| unaliased(key) == expr)
    };
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for condition in split_conjunction(&filter.predicate) {
        if !is_of_windows(condition, &filter.input) {
            below.push(condition.clone());
            continue;
        }
        // What speaks of something besides keys has to be where the rows are.
        let mut is_of_keys = true;
        let of_groups = condition.clone().transform_down(|expr| match key(&expr) {
            Some(at) => {
                let column = Column::from(groups.schema.qualified_field(at));
                Ok(Transformed::new(
                    Expr::Column(column),
                    true,
                    TreeNodeRecursion::Jump,
                ))
            }
            None => {
                is_of_keys &= !matches!(expr, Expr::Column(_));
                Ok(Transformed::no(expr))
            }
        })?;
        match is_of_keys {
            true => above.push(of_groups.data),
            false => below.push(condition.clone()),
        }
    }
    if above.is_empty() {
        return Ok((groups, above));
    }
    let input = Arc::new(trace::filtered(filter.input.as_ref().clone(), below)?);
    let Aggregate {
        group_expr,
        aggr_expr,
        schema,
        ..
    } = groups;
    let groups = Aggregate::try_new_with_schema(input, group_expr, aggr_expr, schema)?;
    Ok((groups, above))
}

/// The window's start of whose end a key speaks, and that end over an expression for the start.
fn end_of(key: &Expr) -> Option<&Expr> {
    match unaliased(key) {
        Expr::ScalarFunction(f) if f.name() == END => f.args.first().filter(|a| has_window(a)),
        _ => None,
    }
}

/// Ends that follow from a start, behind the groups.
fn without_ends(groups: Aggregate) -> PlanResult<Transformed<LogicalPlan>> {
    if !groups.group_expr.iter().any(|key| end_of(key).is_some()) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(groups)));
    }
    let mut keys: Vec<Expr> = Vec::new();
    for key in groups.group_expr.iter().filter(|key| end_of(key).is_none()) {
        keys.push(key.clone());
    }
    for start in groups.group_expr.iter().filter_map(end_of) {
        if keys.iter().all(|key| unaliased(key) != start) {
            keys.push(start.clone());
        }
    }
    let input = Arc::clone(&groups.input);
    let inner = Aggregate::try_new(input, keys.clone(), groups.aggr_expr.clone())?;
    let column = |index: usize| Expr::Column(Column::from(inner.schema.qualified_field(index)));
    let mut exprs = Vec::new();
    let mut results = keys.len()..;
    for (at, (relation, field)) in groups.schema.iter().enumerate() {
        let key = groups.group_expr.get(at);
        let expr = match key.map(|key| (key, end_of(key))) {
            Some((key, Some(start))) => {
                let position = keys.iter().position(|k| unaliased(k) == start);
                let position = position.expect("a start whose end is asked for is a key");
                let mut end = unaliased(key).clone();
                if let Expr::ScalarFunction(f) = &mut end {
                    f.args[0] = column(position);
                }
                end
            }
            Some((key, None)) => {
                let position = keys.iter().position(|k| k == key);
                column(position.expect("a key stays one"))
            }
            None => column(results.next().expect("numbers do not end")),
        };
        exprs.push(expr.alias_qualified(relation.cloned(), field.name()));
    }
    let plan = Projection::try_new(exprs, Arc::new(LogicalPlan::Aggregate(inner)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(plan)))
}
