//! Changes of groups that other groups are made of. Across an exchange order holds per sender
//! only: what several shards change overtakes each other on its way, and a group above shows
//! results that its rows never came to, more or fewer of them from run to run. So rows go by those
//! of their keys alone by which a node above brings together what is made of them, where it has
//! such: its input is then on its shard already, in the order of its rows.
//!
//! Only where a key stays a column up to there: what a checkpoint has of the node above finds its
//! shard by that column.

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use super::analyze::{Route, Walk};
use super::decide::Decision;
use super::names::{self, text};
use super::nodes::{Keys, keys, without_dependent};
use crate::lower_expr::unaliased;

/// Columns of a node by which a node above brings its rows together; none where none does.
#[derive(Debug, Clone, Default)]
pub(super) struct Together(Vec<Expr>);

/// A node's column as an expression.
pub(super) fn column(schema: &DFSchema, index: usize) -> Expr {
    Expr::Column(Column::from(schema.qualified_field(index)))
}

fn index(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    }
}

/// Whether this is a bound of a window, by which no rows are brought together.
fn is_bound(expr: &Expr, plan: &LogicalPlan) -> bool {
    match unaliased(expr) {
        Expr::ScalarFunction(call) => names::window(call.name(), &call.args).is_some(),
        of @ Expr::Column(_) => {
            let at = index(of, plan.schema());
            at.is_some_and(|at| is_bound_at(at, plan))
        }
        _ => false,
    }
}

fn is_bound_at(at: usize, plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(p) => is_bound(&p.expr[at], &p.input),
        LogicalPlan::SubqueryAlias(alias) => is_bound_at(at, &alias.input),
        LogicalPlan::Filter(filter) => is_bound_at(at, &filter.input),
        LogicalPlan::Window(window) if at < window.input.schema().fields().len() => {
            is_bound_at(at, &window.input)
        }
        LogicalPlan::Aggregate(a) => {
            (a.group_expr.get(at)).is_some_and(|key| is_bound(key, &a.input))
        }
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match at.checked_sub(left) {
                None => is_bound_at(at, &join.left),
                Some(at) if at < join.right.schema().fields().len() => is_bound_at(at, &join.right),
                Some(_) => false,
            }
        }
        LogicalPlan::Union(union) => union.inputs.iter().any(|input| is_bound_at(at, input)),
        _ => false,
    }
}

impl Together {
    /// The same for a node's input: what a column of the node is made of.
    pub(super) fn below(&self, schema: &DFSchema, made: impl Fn(usize) -> Expr) -> Self {
        let made = self.0.iter().filter_map(|e| index(e, schema)).map(made);
        Self(made.filter(|e| matches!(e, Expr::Column(_))).collect())
    }

    /// For the input of a grouping: those of its keys that are wanted above it, else all by which
    /// rows go. Rows of grouping sets come apart anew.
    pub(super) fn of_groups(&self, aggregate: &Aggregate) -> Self {
        let input = &aggregate.input;
        let exprs = &aggregate.group_expr;
        if matches!(exprs.as_slice(), [Expr::GroupingSet(_)]) {
            return Self::default();
        }
        let found = keys(exprs, |e| is_bound(e, input));
        let Keys { routing, by, .. } = without_dependent(found, input.schema());
        let named = by.iter().map(|&i| column(&aggregate.schema, i));
        let both = routing.iter().zip(named);
        let wanted = both.filter(|(_, name)| self.0.contains(name));
        let wanted: Vec<Expr> = wanted.map(|(key, _)| key.clone()).collect();
        match wanted.is_empty() {
            true => Self(routing),
            false => Self(wanted),
        }
    }

    /// By which of these PARTITION BY rows of OVER are wanted above, and the same for its input:
    /// all by which they may go, where none is.
    pub(super) fn of_partitions(&self, by: &[Expr], input: &LogicalPlan) -> (Self, Self) {
        let columns = by.iter().filter(|e| matches!(e, Expr::Column(_)));
        let found = keys(&columns.cloned().collect::<Vec<_>>(), |e| {
            is_bound(e, input)
        });
        let all = without_dependent(found, input.schema()).routing;
        let wanted = all.iter().filter(|key| self.0.contains(key));
        let wanted = Self(wanted.cloned().collect());
        let below = match wanted.0.is_empty() {
            true => Self(all),
            false => wanted.clone(),
        };
        (wanted, below)
    }
}

impl Walk<'_> {
    /// Which of its keys the rows of a node go by, with the reason, where these are not all: under
    /// EMIT CHANGES those that are wanted above, and nothing where none is.
    pub(super) fn narrowed(
        &self,
        head: &str,
        decision: &mut Decision,
        keys: &[Expr],
        wanted: &Together,
    ) -> Option<Vec<usize>> {
        // Where a source asks for a router, rows go as it says.
        if !self.facts.in_sequence || !self.facts.changes || self.forced.is_some() {
            return None;
        }
        let kept: Vec<usize> = (0..keys.len())
            .filter(|&i| wanted.0.contains(&keys[i]))
            .collect();
        if kept.is_empty() || kept.len() == keys.len() {
            return None;
        }
        if matches!(decision.route, Route::Hash(_)) {
            let names: Vec<String> = kept.iter().map(|&i| text(&keys[i])).collect();
            decision.reason = format!(
                "{head}: by {} alone, so that its changes come to what is above in the order of \
                 their rows",
                names.join(", ")
            );
        }
        Some(kept)
    }
}
