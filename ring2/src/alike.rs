//! A plan as DataFusion is to run it, where it would say something else than Ring 0: zeros of both
//! signs are equal wherever values are compared, so are all NaNs, and integers do not wrap
//! ([`checked`]). What the plan's columns are called, and their types, stay.

pub(crate) mod checked;
mod nans;

pub(crate) use self::nans::one_nan;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, lit};

/// Rewrites each expression of a plan, knowing the columns it is over.
pub(crate) fn rewritten(
    plan: LogicalPlan,
    rewrite: &dyn Fn(Expr, &DFSchema) -> PlanResult<Transformed<Expr>>,
) -> PlanResult<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        let named = |expr: Expr| {
            let name = names.save(&expr);
            let rewritten = rewrite(expr, &schema)?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        };
        node.map_expressions(|expr| match expr {
            // Its keys have names, and it has none.
            sets @ Expr::GroupingSet(_) => sets.map_children(named),
            expr => named(expr),
        })
    })?;
    Ok(plan.data)
}

/// NULLIF and IN over floating point, in comparisons: those find zeros of both signs equal. CASE x
/// WHEN, too; and so WHEN is computed for all rows, also where x is NULL.
///
/// Whatever computes a NaN gives the one that sources give.
pub(crate) fn floats_alike(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let plan = rewritten(plan, &|expr, schema| {
        expr.transform_up(|expr| Ok(compared(expr, schema)))
    })?;
    nans::alike(plan)
}

/// A value that is ordered by, with one zero: what orders rows within an aggregate tells those of
/// both signs apart.
pub(crate) fn one_zero(expr: Expr, schema: &DFSchema) -> Expr {
    match expr.get_type(schema) {
        Ok(DataType::Float32) => expr + lit(0.0_f32),
        Ok(DataType::Float64) => expr + lit(0.0_f64),
        _ => expr,
    }
}

fn compared(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_float = |e: &Expr| {
        let of = e.get_type(schema);
        of.is_ok_and(|t| matches!(t, DataType::Float32 | DataType::Float64))
    };
    match expr {
        // With DISTINCT what it orders by is what it aggregates.
        Expr::AggregateFunction(mut f) if !f.params.distinct && !f.params.order_by.is_empty() => {
            for sort in &mut f.params.order_by {
                sort.expr = one_zero(sort.expr.clone(), schema);
            }
            Transformed::yes(Expr::AggregateFunction(f))
        }
        Expr::ScalarFunction(f) if f.name() == "nullif" && f.args.iter().all(is_float) => {
            let (a, b) = (f.args[0].clone(), f.args[1].clone());
            let when = Box::new(a.clone().eq(b));
            let of = a.get_type(schema).expect("it was floating point before");
            let null = Box::new(Expr::Cast(Cast::new(Box::new(lit(ScalarValue::Null)), of)));
            let when_then_expr = vec![(when, null)];
            Transformed::yes(Expr::Case(Case::new(
                None,
                when_then_expr,
                Some(Box::new(a)),
            )))
        }
        Expr::InList(list) if is_float(&list.expr) => {
            let one_of = list
                .list
                .iter()
                .map(|item| (*list.expr).clone().eq(item.clone()));
            let found = one_of.reduce(Expr::or).unwrap_or_else(|| lit(false));
            Transformed::yes(match list.negated {
                true => Expr::Not(Box::new(found)),
                false => found,
            })
        }
        Expr::Case(Case {
            expr: Some(base),
            when_then_expr,
            else_expr,
        }) => {
            let conditions = when_then_expr.into_iter();
            let conditions = conditions.map(|(w, then)| (Box::new((*base).clone().eq(*w)), then));
            Transformed::yes(Expr::Case(Case::new(None, conditions.collect(), else_expr)))
        }
        other => Transformed::no(other),
    }
}
