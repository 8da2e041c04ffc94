//! What a join keeps, as far as the plan says it: by its conditions, and by whether rows of its
//! sides come and go.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Join, LogicalPlan};

use super::ends;
use crate::catalog::SourceDef;
use crate::lower_expr::unaliased;
use crate::partitioning::analyze::Walk;
use crate::partitioning::distribution::core;
use crate::partitioning::names::duration;
use crate::planner::state_ttl;
use crate::window::marker::{AS_OF_TIME, ASOF, is_own};

/// Shapes of joins, by what they keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Asof,
    Temporal,
    /// Over the bounds of a window on one side.
    Window,
    Interval,
    Regular,
}

impl Shape {
    /// Of a join whose sides have these bounds of windows, besides those that table functions made
    /// right below it.
    pub(super) fn of(join: &Join, bounds: &[Expr]) -> Self {
        let made = made_bounds(&join.left).chain(made_bounds(&join.right));
        shape(
            join,
            &bounds.iter().cloned().chain(made).collect::<Vec<_>>(),
        )
    }
}

fn shape(join: &Join, bounds: &[Expr]) -> Shape {
    let windows = |e: &Expr| bounds.contains(core(e, &join.schema));
    let mut shape = match join.on.iter().any(|(l, r)| windows(l) && windows(r)) {
        true => Shape::Window,
        false => Shape::Regular,
    };
    let Some(filter) = &join.filter else {
        return shape;
    };
    for condition in split_conjunction(filter) {
        match condition {
            Expr::ScalarFunction(f) if f.name() == ASOF => return Shape::Asof,
            Expr::ScalarFunction(f) if f.name() == AS_OF_TIME => return Shape::Temporal,
            other => {
                let columns = other.column_refs();
                let names_time = |of: &LogicalPlan| {
                    columns.iter().any(|c| {
                        let field = of.schema().maybe_index_of_column(c);
                        let field = field.map(|i| of.schema().field(i).data_type());
                        matches!(field, Some(DataType::Timestamp(..)))
                    })
                };
                let (left, right) = (names_time(&join.left), names_time(&join.right));
                let bound = columns
                    .iter()
                    .any(|c| bounds.contains(&Expr::Column((*c).clone())));
                if left && right && bound {
                    return Shape::Window;
                }
                if left && right && shape == Shape::Regular {
                    shape = Shape::Interval;
                }
            }
        }
    }
    shape
}

/// The columns of a plan that a table function made the bounds of windows.
fn made_windows(plan: &LogicalPlan) -> Vec<usize> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => made_windows(&alias.input),
        LogicalPlan::Filter(filter) => made_windows(&filter.input),
        LogicalPlan::Projection(projection) => {
            let before = made_windows(&projection.input);
            let input = projection.input.schema();
            let is_bound = |e: &Expr| match unaliased(e) {
                Expr::ScalarFunction(f) => is_own(f.name()),
                Expr::Column(c) => {
                    let at = input.maybe_index_of_column(c);
                    at.is_some_and(|at| before.contains(&at))
                }
                _ => false,
            };
            let exprs = projection.expr.iter().enumerate();
            exprs
                .filter(|(_, e)| is_bound(e))
                .map(|(at, _)| at)
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The same as expressions.
fn made_bounds(plan: &LogicalPlan) -> impl Iterator<Item = Expr> + '_ {
    let column = |at| Expr::Column(Column::from(plan.schema().qualified_field(at)));
    made_windows(plan).into_iter().map(column)
}

/// Whether rows of a plan are taken back because a join keeps all that stands of both of its sides,
/// neither of which ends.
pub(crate) fn takes_back(plan: &LogicalPlan, tables: &[SourceDef]) -> bool {
    let takes = |node: &LogicalPlan| match node {
        LogicalPlan::Join(join) => {
            use JoinType as J;
            let only_comes = matches!(join.join_type, J::Inner | J::LeftSemi | J::RightSemi);
            Ok(!only_comes && is_regular(join, tables))
        }
        _ => Ok(false),
    };
    plan.exists(takes).unwrap_or(false)
}

/// Whether neither side of a join ends, and nothing says when rows match no more.
fn is_regular(join: &Join, tables: &[SourceDef]) -> bool {
    let endless = !ends(&join.left, tables) && !ends(&join.right, tables);
    let is_time = |e: &Expr, of: &LogicalPlan| {
        let data_type = e.get_type(of.schema());
        data_type.is_ok_and(|t| matches!(t, DataType::Timestamp(..)))
    };
    let mut pairs = join.on.iter();
    let at_once = pairs.any(|(l, r)| is_time(l, &join.left) && is_time(r, &join.right));
    endless && !at_once && Shape::of(join, &[]) == Shape::Regular
}

/// Whether rows of a plan come and go, where results are changes.
pub(crate) fn changes_come(plan: &LogicalPlan, tables: &[SourceDef]) -> bool {
    match plan {
        LogicalPlan::Aggregate(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_) => true,
        LogicalPlan::TableScan(scan) => {
            let name = scan.table_name.table();
            let mut tables = tables.iter();
            tables.any(|t| t.name == name && t.has_changes())
        }
        LogicalPlan::Join(join) if is_regular(join, tables) => true,
        other => (other.inputs().into_iter()).any(|input| changes_come(input, tables)),
    }
}

impl Walk<'_> {
    /// Whether rows of a plan come and go.
    pub(super) fn changes_come(&self, plan: &LogicalPlan) -> bool {
        self.facts.changes && changes_come(plan, self.facts.tables)
    }

    /// What says how far apart times are of rows that match.
    pub(super) fn distance(&self, join: &Join) -> String {
        let added = join.filter.as_ref().is_some_and(|f| state_ttl::parted(f).1);
        match self.facts.settings.state_ttl_ns.filter(|_| added) {
            Some(ttl_ns) => format!("state_ttl, {}", duration(ttl_ns)),
            None if Shape::of(join, &[]) == Shape::Interval => "the interval".to_owned(),
            None => "the windows".to_owned(),
        }
    }
}
