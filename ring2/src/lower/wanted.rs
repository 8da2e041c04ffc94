//! Which columns of a plan's nodes are named further up: others are neither read nor computed.

use std::collections::HashMap;

use datafusion::logical_expr::{Expr as PlanExpr, JoinType, LogicalPlan};

use crate::ordinals;
use crate::window::marker;

/// For each node, whether each of its columns is wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted(HashMap<*const LogicalPlan, Vec<bool>>);

impl Wanted {
    /// Of a plan all of whose columns are.
    pub(super) fn of(plan: &LogicalPlan) -> Self {
        let mut wanted = Self::default();
        wanted.visit(plan, vec![true; plan.schema().fields().len()]);
        wanted
    }

    /// Positions of a node's columns that are wanted; all of a node that is not of the plan.
    pub(super) fn columns(&self, node: &LogicalPlan) -> Vec<usize> {
        let all = 0..node.schema().fields().len();
        match self.0.get(&std::ptr::from_ref(node)) {
            Some(wanted) => all.filter(|&c| wanted[c]).collect(),
            None => all.collect(),
        }
    }

    fn visit(&mut self, node: &LogicalPlan, mut wanted: Vec<bool>) {
        if let LogicalPlan::Projection(projection) = node {
            // They are named by how many rows there are.
            let exprs = projection.expr.iter().zip(&mut wanted);
            exprs.for_each(|(expr, wanted)| *wanted |= marker::has_several(expr));
        }
        let kept = |e: &(usize, &PlanExpr)| wanted[e.0];
        match node {
            LogicalPlan::Projection(projection) => {
                let exprs = projection.expr.iter().enumerate().filter(kept);
                let inner = named(exprs.map(|(_, e)| e), &projection.input);
                self.visit(&projection.input, inner);
            }
            LogicalPlan::Filter(filter) => {
                let own = named([&filter.predicate], &filter.input);
                let inner = wanted.iter().zip(own).map(|(a, b)| *a || b).collect();
                self.visit(&filter.input, inner);
            }
            LogicalPlan::Sort(sort) => {
                let own = named(sort.expr.iter().map(|key| &key.expr), &sort.input);
                let inner = wanted.iter().zip(own).map(|(a, b)| *a || b).collect();
                self.visit(&sort.input, inner);
            }
            LogicalPlan::Limit(limit) => self.visit(&limit.input, wanted.clone()),
            LogicalPlan::SubqueryAlias(alias) => self.visit(&alias.input, wanted.clone()),
            LogicalPlan::Join(join) => {
                let (left, right) = (&join.left, &join.right);
                let (on_left, on_right): (Vec<_>, Vec<_>) =
                    join.on.iter().map(|(l, r)| (l, r)).unzip();
                let mut of_left = named(on_left.into_iter().chain(&join.filter), left);
                let mut of_right = named(on_right.into_iter().chain(&join.filter), right);
                let (at, behind) = match join.join_type {
                    JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                        (&mut of_right, &mut of_left)
                    }
                    _ => (&mut of_left, &mut of_right),
                };
                let mut wanted = wanted.iter();
                at.iter_mut()
                    .chain(behind)
                    .zip(wanted.by_ref())
                    .for_each(|(a, b)| *a |= b);
                self.visit(left, of_left);
                self.visit(right, of_right);
            }
            LogicalPlan::Union(union) => {
                for input in &union.inputs {
                    self.visit(input, wanted.clone());
                }
            }
            LogicalPlan::Unnest(unnest) => {
                let mut inner = vec![false; unnest.input.schema().fields().len()];
                for (&from, &wanted) in unnest.dependency_indices.iter().zip(&wanted) {
                    inner[from] |= wanted;
                }
                // The numbers of elements are counted, not computed.
                let numbers = ordinals::column(unnest);
                if let Some(numbers) = numbers {
                    inner[numbers] = false;
                }
                let lists = unnest.list_type_columns.iter().map(|(list, _)| *list);
                let lists = lists.filter(|list| Some(*list) != numbers);
                for list in lists.chain(unnest.struct_type_columns.iter().copied()) {
                    inner[list] = true;
                }
                self.visit(&unnest.input, inner);
            }
            LogicalPlan::Aggregate(aggregate) => {
                let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
                self.visit(&aggregate.input, named(exprs, &aggregate.input));
            }
            other => {
                for input in other.inputs() {
                    self.visit(input, vec![true; input.schema().fields().len()]);
                }
            }
        }
        self.0.insert(std::ptr::from_ref(node), wanted);
    }
}

/// Which columns of a node expressions name.
fn named<'e>(exprs: impl IntoIterator<Item = &'e PlanExpr>, input: &LogicalPlan) -> Vec<bool> {
    let mut named = vec![false; input.schema().fields().len()];
    for expr in exprs {
        for column in expr.column_refs() {
            if let Some(index) = input.schema().maybe_index_of_column(column) {
                named[index] = true;
            }
        }
    }
    named
}
