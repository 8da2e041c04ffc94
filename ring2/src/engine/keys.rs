//! The columns of a view by which its rows are told apart: the keys that it groups by, where the
//! result has all of them.

use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::ResultColumn;
use crate::lower_expr::unaliased;

/// Positions among the results; none where rows are no groups, or do not show all their keys.
pub(crate) fn of(plan: &LogicalPlan, results: &[ResultColumn]) -> Vec<usize> {
    let Some(keys) = columns(plan) else {
        return Vec::new();
    };
    let is_key = |result: &ResultColumn| match result {
        ResultColumn::Plain { index, .. } => keys.contains(index),
        ResultColumn::Window { start, end, .. } => keys.contains(start) && keys.contains(end),
    };
    let numbered = results.iter().enumerate().filter(|(_, r)| is_key(r));
    let found: Vec<usize> = numbered.map(|(number, _)| number).collect();
    match shows(results, &keys) {
        true => found,
        false => Vec::new(),
    }
}

/// Whether all of these of the plan's columns are among the results.
pub(crate) fn shows<'k>(
    results: &[ResultColumn],
    columns: impl IntoIterator<Item = &'k usize>,
) -> bool {
    let shown = |column: &usize| {
        results.iter().any(|result| match result {
            ResultColumn::Plain { index, .. } => index == column,
            ResultColumn::Window { start, end, .. } => start == column || end == column,
        })
    };
    columns.into_iter().all(shown)
}

/// The plan's columns that are keys; `None` where its rows are no groups.
fn columns(plan: &LogicalPlan) -> Option<Vec<usize>> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => Some((0..aggregate.group_expr.len()).collect()),
        LogicalPlan::Filter(filter) => columns(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => columns(&alias.input),
        LogicalPlan::Projection(projection) => {
            let keys = columns(&projection.input)?;
            let input = projection.input.schema();
            let comes_from = |expr: &Expr| match unaliased(expr) {
                Expr::Column(column) => input.maybe_index_of_column(column),
                _ => None,
            };
            let from: Vec<_> = projection.expr.iter().map(comes_from).collect();
            let at = |key: usize| from.iter().position(|f| *f == Some(key));
            keys.into_iter().map(at).collect()
        }
        _ => None,
    }
}
