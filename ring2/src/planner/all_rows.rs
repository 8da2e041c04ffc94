//! EXCEPT ALL and INTERSECT ALL. DataFusion plans them as joins that ask whether a row is on the
//! other side, too; but of a row that is there n times on the left and m times on the right, n - m
//! stay, or the lesser of n and m. So the rows that are alike are numbered on both sides, and a row
//! is on the other side as the one with its number is.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, NullEquality, Result as PlanResult};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, Join, JoinType, LogicalPlan, Projection, Window,
};

/// What the numbers are called.
const NUMBERS: [&str; 2] = ["__trefoil_left_number", "__trefoil_right_number"];

/// Writes them so, in a plan that is not analyzed yet: of the joins in it only those of sets
/// compare all columns, and take NULL as equal.
pub(super) fn rewrite(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if is_of_all(&join) => Ok(Transformed::yes(numbered(&join)?)),
        node => Ok(Transformed::no(node)),
    });
    rewritten.map(|rewritten| rewritten.data)
}

fn is_of_all(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.on.len() == join.left.schema().fields().len()
        // Each row once needs no numbers.
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_))
}

/// All columns of a plan.
fn columns(plan: &LogicalPlan) -> Vec<Expr> {
    let all = 0..plan.schema().fields().len();
    all.map(|at| Expr::Column(Column::from(plan.schema().qualified_field(at))))
        .collect()
}

/// A side, and behind its columns which of those that are alike a row is.
fn with_numbers(side: &Arc<LogicalPlan>, name: &str) -> PlanResult<LogicalPlan> {
    let mut exprs = columns(side);
    let number = Expr::from(WindowFunction::new(row_number_udwf(), Vec::new()));
    let number = number.partition_by(exprs.clone()).build()?;
    let window = Window::try_new(vec![number], Arc::clone(side))?;
    let at = window.schema.qualified_field(exprs.len());
    exprs.push(Expr::Column(Column::from(at)).alias(name));
    let window = Arc::new(LogicalPlan::Window(window));
    Projection::try_new(exprs, window).map(LogicalPlan::Projection)
}

fn numbered(join: &Join) -> PlanResult<LogicalPlan> {
    let [left, right] = NUMBERS;
    let sides = (
        Arc::new(with_numbers(&join.left, left)?),
        Arc::new(with_numbers(&join.right, right)?),
    );
    let [l, r] = NUMBERS.map(|name| Expr::Column(Column::new_unqualified(name)));
    let mut on = join.on.clone();
    on.push((l, r));
    let joined = Join::try_new(
        sides.0,
        sides.1,
        on,
        None,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        false,
    )?;
    let plan = Projection::try_new(columns(&join.left), Arc::new(LogicalPlan::Join(joined)))?;
    Ok(LogicalPlan::Projection(plan))
}
