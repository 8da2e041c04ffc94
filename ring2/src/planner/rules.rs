//! The optimizer rules that run, one by one, each with the reason why it holds for streams. A rule
//! holds when it keeps the plan's meaning over weighted rows that come and go, reads no clock,
//! computes no constant, and drops no column.
//!
//! Left out, of those that DataFusion runs:
//! - `SimplifyExpressions` computes constants: `now()` would be the time of planning, and integers
//!   would wrap where Ring 0 says that they overflow. `CommonSubexprEliminate` and
//!   `ExtractLeafExpressions` only serve batches; Ring 0 shares what it computes itself.
//! - `OptimizeProjections` may drop event time; lowering reads only the columns that are named.
//! - `SingleDistinctToGroupBy` trades memory for a second pass, and there is no second pass.
//! - `PushDownLimit` changes which rows are the first N once their order is by event time.
//! - `PropagateEmptyRelation`, `EliminateFilter`, `EliminateLimit`, `EliminateJoin` remove inputs:
//!   their sources would not be read, and the ledger would not say why.
//! - `EliminateGroupByConstant` may leave no keys, and a group without keys exists over no rows.
//! - `FilterNullJoinKeys` counts rows as filtered that a join drops.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{NullEquality, Result as PlanResult};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::eliminate_outer_join::EliminateOuterJoin;
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::optimize_unions::OptimizeUnions;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use datafusion::optimizer::rewrite_set_comparison::RewriteSetComparison;
use datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use datafusion::optimizer::{
    ApplyOrder, Optimizer, OptimizerConfig, OptimizerContext, OptimizerRule,
};

use crate::window::marker;

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// A rule, but for plans of which it would change the meaning.
#[derive(Debug)]
struct Careful<R>(R, fn(&LogicalPlan) -> bool);

impl<R: OptimizerRule> OptimizerRule for Careful<R> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> PlanResult<Transformed<LogicalPlan>> {
        match (self.1)(&plan) {
            true => Ok(Transformed::no(plan)),
            false => self.0.rewrite(plan, config),
        }
    }
}

/// Whether a join takes NULL as equal: `EliminateCrossJoin` puts the keys of several joins together
/// and compares all of them as the last one did.
fn mixes_nulls(plan: &LogicalPlan) -> bool {
    let is = |node: &LogicalPlan| match node {
        LogicalPlan::Join(join) => join.null_equality == NullEquality::NullEqualsNull,
        _ => false,
    };
    plan.exists(|node| Ok(is(node))).unwrap_or(true)
}

/// Whether a join has keys of which NULL equals NULL: an equality among its conditions, of which
/// it does not, would become one of them.
fn takes_nulls(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(join) => {
            join.null_equality == NullEquality::NullEqualsNull && !join.on.is_empty()
        }
        _ => false,
    }
}

/// Whether a plan has an ASOF join: as an inner one, which `EliminateOuterJoin` makes of it,
/// filters of its right side would be pushed below it, where they choose another nearest row.
fn is_asof(plan: &LogicalPlan) -> bool {
    let is = |node: &LogicalPlan| matches!(node, LogicalPlan::Join(join) if marker::is_asof(join));
    plan.exists(|node| Ok(is(node))).unwrap_or(true)
}

/// Whether a filter has a condition without columns above the one row of all rows:
/// `PushDownFilter` takes it below, where the row is there whatever is dropped.
fn passes_one_row(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Filter(filter) = plan else {
        return false;
    };
    let of_none = |e: &&Expr| e.column_refs().is_empty();
    let is_one = |node: &LogicalPlan| match node {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        _ => false,
    };
    let has_one = || filter.input.exists(|node| Ok(is_one(node))).unwrap_or(true);
    split_conjunction(&filter.predicate).iter().any(of_none) && has_one()
}

fn chosen() -> Vec<Rule> {
    vec![
        // `x > ALL (...)` as EXISTS: the same condition, in other words.
        Arc::new(RewriteSetComparison::new()),
        // Weights add up in whatever order unions are nested.
        Arc::new(OptimizeUnions::new()),
        // A distinct row is a group without aggregates: it goes when its weight does.
        Arc::new(ReplaceDistinctWithAggregate::new()),
        // IN and EXISTS as semi-joins, which retract on both sides.
        Arc::new(DecorrelatePredicateSubquery::new()),
        // A scalar subquery as a join: its result is a row that changes, and not a constant.
        Arc::new(ScalarSubqueryToJoin::new()),
        // `ON a = b AND c` has the key a = b: routing needs it. Row by row the same.
        Arc::new(Careful(ExtractEquijoinPredicate::new(), takes_nulls)),
        // `FROM a, b WHERE a.x = b.x` is a join by x.
        Arc::new(Careful(EliminateCrossJoin::new(), mixes_nulls)),
        // Padding that a filter would drop is never made. A filter is linear: it drops the
        // retraction of a padded row with the row.
        Arc::new(Careful(EliminateOuterJoin::new(), is_asof)),
        // Filters are linear, so they pass whatever keeps rows apart by the columns they read;
        // fewer bytes travel. DataFusion moves none that is volatile.
        Arc::new(Careful(PushDownFilter::new(), passes_one_row)),
    ]
}

/// Rewrites an analyzed plan.
pub(super) fn rewrite(plan: LogicalPlan, options: &Arc<ConfigOptions>) -> PlanResult<LogicalPlan> {
    // Without a time of execution there is nothing that a clock function could be folded to.
    let context = OptimizerContext::new_with_config_options(Arc::clone(options))
        .without_query_execution_start_time();
    Optimizer::with_rules(chosen()).optimize(plan, &context, |_, _| {})
}
