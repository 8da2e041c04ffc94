//! What reads a clock, over input that ends: NOW() and the like are one instant, which the whole
//! run has. It takes the place of the calls between planning and lowering, so that plans that are
//! explained name the calls, and DataFusion folds nothing by a clock of its own.
//!
//! Input without an end has no one instant: its plans are left as they are, and lowering refuses
//! the calls.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};

use crate::functions::CLOCKS;
use crate::planner::Planned;

/// The plan at this instant, if all that it reads ends.
///
/// # Errors
/// DataFusion's, as it walks the plan.
pub(crate) fn stopped(planned: Planned, now: SystemTime) -> Result<Planned, DataFusionError> {
    if planned.tables.iter().any(|table| !table.bounded) {
        return Ok(planned);
    }
    let now = DateTime::<Utc>::from(now);
    let context = SimplifyContext::builder()
        .with_query_execution_start_time(Some(now))
        .build();
    // Names stay, by which the calls' results are known above.
    let plan = planned.plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| constant(expr, &context))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    })?;
    let plan = plan.data;
    Ok(Planned { plan, ..planned })
}

fn constant(expr: Expr, context: &SimplifyContext) -> PlanResult<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = &expr else {
        return Ok(Transformed::no(expr));
    };
    if !CLOCKS.contains(&call.func.name()) {
        return Ok(Transformed::no(expr));
    }
    Ok(match call.func.simplify(vec![], context)? {
        ExprSimplifyResult::Simplified(value) => Transformed::yes(value),
        // PROCTIME() is the time of ingestion, and no constant.
        ExprSimplifyResult::Original(_) => Transformed::no(expr),
    })
}
