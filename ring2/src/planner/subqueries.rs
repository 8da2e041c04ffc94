//! Subqueries in expressions that as a join would mean something else: they are refused. A join
//! tells whether there is a match, and not that a comparison with NULL left it open.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as PlanResult, not_impl_err};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, Operator, Projection, Subquery, SubqueryAlias,
};

/// Refuses such subqueries, and a value that may be several: as a join it would multiply rows. Of
/// one that names columns from around it the analyzer knows.
pub(super) fn check(plan: &LogicalPlan) -> PlanResult<()> {
    let node = |node: &LogicalPlan| {
        let inputs = node.inputs();
        let schema = match inputs.as_slice() {
            [input] => input.schema(),
            _ => node.schema(),
        };
        node.apply_expressions(|expr| {
            expr.apply(|e| alone(e).map(|()| TreeNodeRecursion::Continue))?;
            match node {
                LogicalPlan::Filter(_) | LogicalPlan::Join(_) => condition(expr, schema, true)?,
                _ => value(expr, schema)?,
            }
            Ok(TreeNodeRecursion::Continue)
        })
    };
    plan.apply_with_subqueries(node).map(|_| ())
}

/// Gives the column of IN a relation, where it has none, as that of a UNION: DataFusion would find
/// it twice beside OR.
pub(super) fn named(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform_up(|e| match e {
                Expr::InSubquery(mut found) if is_nameless(&found) => {
                    let rows = Arc::clone(&found.subquery.subquery);
                    let rows = SubqueryAlias::try_new(rows, "__trefoil_in")?;
                    found.subquery = Subquery {
                        subquery: Arc::new(LogicalPlan::SubqueryAlias(rows)),
                        ..found.subquery
                    };
                    Ok(Transformed::yes(Expr::InSubquery(found)))
                }
                Expr::InSubquery(mut found) => {
                    let named = under_a_name(&found.subquery.subquery)?;
                    Ok(match named {
                        Some(rows) => {
                            found.subquery.subquery = Arc::new(rows);
                            Transformed::yes(Expr::InSubquery(found))
                        }
                        None => Transformed::no(Expr::InSubquery(found)),
                    })
                }
                e => Ok(Transformed::no(e)),
            })
        })
    });
    plan.map(|plan| plan.data)
}

/// The rows of IN, what they are compared by under a name of its own, if it is computed: a cast is
/// called as its column, which stands beside it where columns from around are compared with that.
fn under_a_name(rows: &LogicalPlan) -> PlanResult<Option<LogicalPlan>> {
    let LogicalPlan::Projection(Projection { expr, input, .. }) = rows else {
        return Ok(None);
    };
    let [value @ Expr::Cast(_)] = expr.as_slice() else {
        return Ok(None);
    };
    let value = value.clone().alias("__trefoil_in");
    let named = Projection::try_new(vec![value], Arc::clone(input))?;
    Ok(Some(LogicalPlan::Projection(named)))
}

fn is_nameless(found: &InSubquery) -> bool {
    let (relation, _) = found.subquery.subquery.schema().qualified_field(0);
    relation.is_none() && found.subquery.outer_ref_columns.is_empty()
}

/// What is wrong wherever it stands.
fn alone(expr: &Expr) -> PlanResult<()> {
    match expr {
        Expr::ScalarSubquery(s)
            if s.outer_ref_columns.is_empty() && s.subquery.max_rows() != Some(1) =>
        {
            not_impl_err!(
                "a subquery that may give several rows in the place of a value is not supported yet"
            )
        }
        Expr::Exists(exists) if is_global(&exists.subquery.subquery) => not_impl_err!(
            "EXISTS of a subquery that has a row whatever there is, is not supported yet"
        ),
        Expr::Exists(Exists { subquery, .. }) | Expr::InSubquery(InSubquery { subquery, .. })
            if takes_all_rows(subquery) =>
        {
            not_impl_err!(
                "EXISTS and IN of an aggregate of all rows that columns from around the subquery \
                 choose are not supported yet"
            )
        }
        _ => Ok(()),
    }
}

/// Whether an aggregate of all those rows lies in a subquery that columns from around it choose:
/// one has a row also for an outer row that has none of these, which a join does not know.
pub(super) fn takes_all_rows(subquery: &Subquery) -> bool {
    let is_chosen = |node: &LogicalPlan| {
        let is_global =
            matches!(node, LogicalPlan::Aggregate(groups) if groups.group_expr.is_empty());
        Ok(is_global && !node.all_out_ref_exprs().is_empty())
    };
    subquery.subquery.exists(is_chosen).unwrap_or(true)
}

/// Whether a plan gives the one row of all rows.
pub(super) fn is_global(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Sort(_) => {
            plan.inputs().into_iter().all(is_global)
        }
        _ => false,
    }
}

/// Of a condition it only matters whether it is true; `whole`: rows for which this part is not true
/// are dropped.
fn condition(expr: &Expr, schema: &DFSchema, whole: bool) -> PlanResult<()> {
    match expr {
        Expr::BinaryExpr(both) if matches!(both.op, Operator::And | Operator::Or) => {
            let whole = whole && both.op == Operator::And;
            condition(&both.left, schema, whole)?;
            condition(&both.right, schema, whole)
        }
        Expr::InSubquery(found) if !found.negated || whole => Ok(()),
        Expr::Not(not) if whole && matches!(*not.as_ref(), Expr::InSubquery(_)) => Ok(()),
        other => value(other, schema),
    }
}

/// Of any other expression it matters whether it is NULL.
fn value(expr: &Expr, schema: &DFSchema) -> PlanResult<()> {
    let open = |e: &Expr| match e {
        Expr::InSubquery(found) => Ok(leaves_open(found, schema)),
        _ => Ok(false),
    };
    match expr.exists(open)? {
        true => not_impl_err!(
            "IN over columns that may be NULL, but for a condition of its own, is not supported \
             yet: EXISTS is, and says what NULL means"
        ),
        false => Ok(()),
    }
}

/// Whether IN may be NULL.
pub(super) fn leaves_open(found: &InSubquery, schema: &DFSchema) -> bool {
    let fields = found.subquery.subquery.schema().fields();
    let of_rows = fields.iter().any(|f| f.is_nullable());
    of_rows || found.expr.nullable(schema).unwrap_or(true)
}
