//! NOT IN over columns that may be NULL: `x NOT IN (SELECT y ..)` is true where there is no y, or
//! where x and all y are known and differ. A join knows that of a subquery that is the same for all
//! rows. One that names columns from around it has other rows for each of them: it becomes NOT
//! EXISTS of a row that may be equal.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result as PlanResult, not_impl_err};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Distinct, Expr, ExprSchemable, Filter, Join, LogicalPlan, Subquery,
};

/// Rewrites those that no join knows, before subqueries become joins.
pub(super) fn rewrite(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Filter(filter) = node else {
            return Ok(Transformed::no(node));
        };
        let schema = Arc::clone(filter.input.schema());
        let conditions = split_conjunction_owned(filter.predicate).into_iter();
        let conditions = conditions.map(|condition| match condition {
            Expr::InSubquery(found) if found.negated => rewritten(found, &schema),
            Expr::Not(inner) => match *inner {
                Expr::InSubquery(found) if !found.negated => {
                    let negated = true;
                    rewritten(InSubquery { negated, ..found }, &schema)
                }
                other => Ok(Expr::Not(Box::new(other))),
            },
            other => Ok(other),
        });
        let predicate = conjunction(conditions.collect::<PlanResult<Vec<_>>>()?);
        let predicate = predicate.expect("a filter has a condition");
        let filter = Filter::try_new(predicate, filter.input)?;
        Ok(Transformed::yes(LogicalPlan::Filter(filter)))
    })?;
    Ok(plan.data)
}

/// Whether each row of a subquery stands by itself: a condition above it drops rows and changes no
/// other.
pub(super) fn is_plain(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().into_iter().all(is_plain)
        }
        _ => false,
    }
}

/// A NOT IN over columns of this schema.
fn rewritten(found: InSubquery, schema: &DFSchema) -> PlanResult<Expr> {
    let is_correlated = !found.subquery.outer_ref_columns.is_empty();
    let mut rows = &found.subquery.subquery;
    // Whether there is a row does not depend on how often it is there.
    while let (true, LogicalPlan::Distinct(Distinct::All(input))) = (is_correlated, &**rows) {
        rows = input;
    }
    let (of_rows, field) = rows.schema().qualified_field(0);
    let columns = found.expr.column_refs();
    let nullable = [found.expr.nullable(schema)?, field.is_nullable()];
    // A join is told of NULL where a column may be NULL, whatever is computed of it.
    let may_be = |column: &&Column| {
        let found = schema.qualified_field_from_column(column);
        found.is_ok_and(|(_, field)| field.is_nullable())
    };
    let is_told = nullable[1] || columns.iter().any(may_be);
    let is_one = !is_correlated && columns.iter().any(|c| schema.has_column(c));
    if !is_correlated && nullable == [false; 2] || is_one && is_told {
        return Ok(Expr::InSubquery(found));
    }
    if is_correlated && !is_plain(rows) {
        return match nullable {
            [false, false] if !columns.is_empty() => Ok(Expr::InSubquery(found)),
            _ => not_impl_err!(
                "NOT IN of a subquery that names columns from around it, over groups or the like"
            ),
        };
    }
    let mut around = found.subquery.outer_ref_columns.clone();
    let outer = found.expr.transform(|e| match e {
        Expr::Column(column) => {
            let field = schema.qualified_field_from_column(&column)?.1;
            let outer = Expr::OuterReferenceColumn(Arc::clone(field), column);
            around.push(outer.clone());
            Ok(Transformed::yes(outer))
        }
        other => Ok(Transformed::no(other)),
    })?;
    let (outer, row) = (outer.data, Expr::Column(Column::from((of_rows, field))));
    let mut may_be = outer.clone().eq(row.clone());
    for (side, _) in [outer, row].into_iter().zip(nullable).filter(|(_, n)| *n) {
        may_be = may_be.or(side.is_null());
    }
    let rows = Filter::try_new(may_be, Arc::clone(rows))?;
    let subquery = Subquery {
        subquery: Arc::new(LogicalPlan::Filter(rows)),
        outer_ref_columns: around,
        spans: found.subquery.spans,
    };
    let negated = true;
    Ok(Expr::Exists(Exists { subquery, negated }))
}

/// Has joins that need not know of NULL, since there is none, be as others are.
pub(super) fn known(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let may_be = |e: &Expr, schema: &DFSchema| e.nullable(schema).unwrap_or(true);
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if join.null_aware => {
            let (left, right) = (join.left.schema(), join.right.schema());
            let mut pairs = join.on.iter();
            let null_aware =
                join.on.is_empty() || pairs.any(|(l, r)| may_be(l, left) || may_be(r, right));
            Ok(Transformed::yes(LogicalPlan::Join(Join {
                null_aware,
                ..join
            })))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}
