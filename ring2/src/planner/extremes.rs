//! Rows of which it is only asked whether a row with an equal key is greater, less or another one:
//! `EXISTS (SELECT 1 FROM c WHERE c.k = a.k AND c.x > a.x)`. There is one where the greatest of the
//! key is, so that each row is compared with one, whatever the number of those that have the key.
//! Over inputs that end: there the greatest are known before they are asked for.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result as PlanResult};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Operator,
    Projection, SubqueryAlias,
};

use crate::lower_expr::unaliased;

/// What the columns are called that this adds.
const NAME: &str = "__trefoil_extreme";

/// Rewrites such joins; all of the plan's inputs end.
pub(super) fn rewrite(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let plan = plan.transform_up(|node| match node {
        LogicalPlan::Join(join) => match compared(&join) {
            Some((left, op, right)) => Ok(Transformed::yes(extreme(&join, left, op, right)?)),
            None => Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        node => Ok(Transformed::no(node)),
    });
    plan.map(|plan| plan.data)
}

/// A column of a side, of a type that has an order.
fn of(expr: &Expr, schema: &DFSchema) -> Option<Column> {
    let Expr::Column(column) = unaliased(expr) else {
        return None;
    };
    let data_type = schema
        .has_column(column)
        .then(|| expr.get_type(schema).ok())??;
    let ordered = data_type.is_numeric() || data_type.is_temporal() || data_type.is_string();
    ordered.then(|| column.clone())
}

/// What is asked besides keys, if it is one comparison of a column of each side.
fn compared(join: &Join) -> Option<(Column, Operator, Column)> {
    use JoinType as J;
    let asks = matches!(join.join_type, J::LeftSemi | J::LeftAnti | J::LeftMark);
    if !asks || join.null_aware || join.on.is_empty() {
        return None;
    }
    // Groups have each key once.
    let keys: HashSet<&Expr> = join.on.iter().map(|(_, right)| right).collect();
    if keys.len() < join.on.len() {
        return None;
    }
    let Expr::BinaryExpr(both) = join.filter.as_ref()? else {
        return None;
    };
    use Operator::{Gt, GtEq, Lt, LtEq, NotEq};
    let (left, right) = (join.left.schema(), join.right.schema());
    let op = match both.op {
        Lt | LtEq | Gt | GtEq | NotEq => both.op,
        _ => return None,
    };
    match (of(&both.left, left), of(&both.right, right)) {
        (Some(l), Some(r)) => Some((l, op, r)),
        _ => {
            let (l, r) = (of(&both.right, left)?, of(&both.left, right)?);
            let op = if op == NotEq { op } else { op.swap()? };
            Some((l, op, r))
        }
    }
}

/// The join with the least and the greatest of each key.
fn extreme(join: &Join, left: Column, op: Operator, compared: Column) -> PlanResult<LogicalPlan> {
    let call = |function: Arc<AggregateUDF>| {
        let args = vec![Expr::Column(compared.clone())];
        let call = AggregateFunction::new_udf(function, args, false, None, Vec::new(), None);
        Expr::AggregateFunction(call)
    };
    let calls = match op {
        Operator::Lt | Operator::LtEq => vec![call(max_udaf())],
        Operator::Gt | Operator::GtEq => vec![call(min_udaf())],
        _ => vec![call(min_udaf()), call(max_udaf())],
    };
    let keys: Vec<Expr> = join.on.iter().map(|(_, r)| r.clone()).collect();
    let count = keys.len();
    let groups = Aggregate::try_new(Arc::clone(&join.right), keys, calls)?;
    let groups = LogicalPlan::Aggregate(groups);
    let name = |at: usize| format!("{NAME}_{at}");
    let named = (0..groups.schema().fields().len()).map(|at| {
        let column = Column::from(groups.schema().qualified_field(at));
        Expr::Column(column).alias(name(at))
    });
    let named = Projection::try_new(named.collect(), Arc::new(groups.clone()))?;
    let all = named.schema.fields().len();
    // A mark is known by the relation that it is of.
    let relation = join.right.schema().qualified_field(0).0.cloned();
    let right = match relation.clone() {
        Some(relation) => {
            let named = Arc::new(LogicalPlan::Projection(named));
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(named, relation)?)
        }
        None => LogicalPlan::Projection(named),
    };
    let column = |at: usize| Expr::Column(Column::new(relation.clone(), name(at)));
    let on = join
        .on
        .iter()
        .map(|(l, _)| l.clone())
        .zip((0..count).map(column));
    let compare = |at: usize| {
        let (l, r) = (Box::new(Expr::Column(left.clone())), Box::new(column(at)));
        Expr::BinaryExpr(datafusion::logical_expr::BinaryExpr::new(l, op, r))
    };
    let more = (count + 1..all).map(compare);
    let condition = more.fold(compare(count), Expr::or);
    let join = Join::try_new(
        Arc::clone(&join.left),
        Arc::new(right),
        on.collect(),
        Some(condition),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        false,
    )?;
    Ok(LogicalPlan::Join(join))
}
