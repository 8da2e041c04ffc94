//! Changes of groups that other groups are made of. Across an exchange order holds per sender
//! only: what several shards change overtakes each other on its way, and a group above shows
//! results that its rows never came to, more or fewer of them from run to run. So rows go by those
//! of their keys alone by which a node above brings together what is made of them, where it has
//! such: its input is then on its shard already, in the order of its rows.

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Aggregate, Expr};

use super::analyze::{Route, Walk};
use super::decide::Decision;
use super::distribution::core;
use super::names::text;

/// Columns of a node by which a node above brings its rows together; none where none does.
#[derive(Debug, Clone, Default)]
pub(super) struct Together(Vec<Expr>);

/// A node's column as an expression.
pub(super) fn column(schema: &DFSchema, index: usize) -> Expr {
    Expr::Column(Column::from(schema.qualified_field(index)))
}

impl Together {
    /// The same for a node's input: what a column of the node is made of.
    pub(super) fn below(&self, schema: &DFSchema, made: impl Fn(usize) -> Expr) -> Self {
        let index = |e: &Expr| match e {
            Expr::Column(c) => schema.maybe_index_of_column(c),
            _ => None,
        };
        Self(self.0.iter().filter_map(index).map(made).collect())
    }

    /// The same for the input of a node that brings rows together by these keys itself, which above
    /// it have these names: those that are wanted above, else all.
    fn of_input<'e>(&self, keys: impl Iterator<Item = (&'e Expr, Expr)>, input: &DFSchema) -> Self {
        let all: Vec<(Expr, Expr)> = keys
            .map(|(k, name)| (core(k, input).clone(), name))
            .collect();
        let wanted = all.iter().filter(|(_, name)| self.0.contains(name));
        let wanted: Vec<Expr> = wanted.map(|(key, _)| key.clone()).collect();
        match wanted.is_empty() {
            true => Self(all.into_iter().map(|(key, _)| key).collect()),
            false => Self(wanted),
        }
    }

    /// For the input of a grouping. Rows of grouping sets come apart anew.
    pub(super) fn of_groups(&self, aggregate: &Aggregate) -> Self {
        if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
            return Self::default();
        }
        let keys = aggregate.group_expr.iter().enumerate();
        let named = keys.map(|(i, key)| (key, column(&aggregate.schema, i)));
        self.of_input(named, aggregate.input.schema())
    }

    /// For the input of OVER with this PARTITION BY.
    pub(super) fn of_partitions(&self, by: &[Expr], input: &DFSchema) -> Self {
        self.of_input(by.iter().map(|key| (key, key.clone())), input)
    }
}

impl Walk<'_> {
    /// Which of its keys the rows of a node go by, of which the input was to be together so, with
    /// the reason if these are not all: under EMIT CHANGES those that are wanted above.
    pub(super) fn narrowed(
        &self,
        head: &str,
        decision: &mut Decision,
        keys: &[Expr],
        below: &Together,
        input: &DFSchema,
    ) -> Vec<usize> {
        let all = Vec::from_iter(0..keys.len());
        // Where a source asks for a router, rows go as it says.
        if !self.facts.changes || self.forced.is_some() {
            return all;
        }
        let is = |i: &usize| below.0.contains(core(&keys[*i], input));
        let kept: Vec<usize> = all.iter().copied().filter(is).collect();
        if kept.is_empty() || kept.len() == all.len() {
            return all;
        }
        if matches!(decision.route, Route::Hash(_)) {
            let names: Vec<String> = kept.iter().map(|&i| text(&keys[i])).collect();
            decision.reason = format!(
                "{head}: by {} alone, so that its changes come to what is above in the order of \
                 their rows",
                names.join(", ")
            );
        }
        kept
    }
}
