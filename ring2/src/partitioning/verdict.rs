//! From the decisions of the walk to one verdict for the query: its category, strategy, keys,
//! router and reason.

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::analyze::{Route, Walk};
use super::distribution::core;
use super::names::text;
use super::step::{Need, Step};
use super::{PartitionStrategy, RoutingStrategy, StrategyConfig};
use crate::ResultColumn;

/// How a query is partitioned, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// 1 projection, 2 GROUP BY, 3 windows, 4 global, 5 join.
    pub category: u8,
    /// The strategy.
    pub strategy: PartitionStrategy,
    /// Keys of FullyPartitionable, and of the local phase of TwoPhaseAggregation.
    pub keys: Option<Vec<String>>,
    /// Keys of an exchange behind those of RepartitionRequired.
    pub then_key: Option<Vec<String>>,
    /// The router that decides.
    pub router: StrategyConfig,
    /// Why.
    pub reason: String,
}

pub(super) fn verdict(walk: &Walk<'_>, plan: &LogicalPlan, output: &Route) -> Verdict {
    let kinds = &walk.kinds;
    let category = match () {
        () if kinds.window => 3,
        () if kinds.join => 5,
        () if kinds.global => 4,
        () if kinds.group => 2,
        () => 1,
    };
    let names = |keys: &[Expr]| called(walk, plan, keys);
    let all = |steps: &mut dyn Iterator<Item = &Step>| -> String {
        let mut reasons: Vec<&str> = Vec::new();
        for step in steps {
            if !reasons.contains(&step.reason.as_str()) {
                reasons.push(&step.reason);
            }
        }
        reasons.join("; ")
    };
    let keyed = |s: &&Step| matches!(s.need, Need::Group | Need::Join | Need::Over);
    let last_keyed = walk.steps.iter().rev().find(keyed);
    let mut result = Verdict {
        category,
        strategy: PartitionStrategy::Passthrough {
            routing: RoutingStrategy::RoundRobin,
        },
        keys: None,
        then_key: None,
        router: StrategyConfig::RoundRobin,
        reason: all(&mut walk.steps.iter()),
    };
    let find = |wanted: fn(&Need) -> bool| walk.steps.iter().rev().find(|s| wanted(&s.need));
    let again = walk.steps.iter().rposition(|s| s.before.is_some());
    if let Some(at) = again {
        repartition(walk, at, &names, &mut result);
    } else if let Some(step) = find(|n| matches!(n, Need::Merge(..))) {
        let (local_agg, merge_fn) = match &step.need {
            Need::Merge(local, merge) => (local.clone(), merge.clone()),
            _ => (String::new(), String::new()),
        };
        result.strategy = PartitionStrategy::TwoPhaseAggregation {
            local_agg,
            merge_fn,
        };
        result.keys = Some(last_keyed.map_or_else(Vec::new, |s| names(&s.keys)));
        result.router = step.router;
    } else if let Some(step) = find(|n| matches!(n, Need::Single | Need::SplitWindow)) {
        let routing = RoutingStrategy::SinglePartition;
        result.strategy = PartitionStrategy::Passthrough { routing };
        result.router = step.router;
    } else if let Some(step) = find(|n| matches!(n, Need::Broadcast(_)))
        && let Need::Broadcast(table) = &step.need
    {
        result.strategy = PartitionStrategy::BroadcastJoin {
            replicated_table: table.clone(),
        };
        result.router = last_keyed.map_or(step.router, |s| s.router);
    } else if let Some(step) = last_keyed {
        let keys = names(&step.keys);
        result.keys = Some(keys.clone());
        result.router = step.router;
        result.strategy = PartitionStrategy::FullyPartitionable {
            partition_keys: keys,
        };
    } else {
        stateless(walk, output, &mut result);
    }
    result
}

/// Rows that were together by one key and have to be together by another. Behind a join of
/// sources, which have no key of their own, rows count as being where the last key's columns come
/// from.
fn repartition(
    walk: &Walk<'_>,
    at: usize,
    names: &dyn Fn(&[Expr]) -> Vec<String>,
    result: &mut Verdict,
) {
    let step = &walk.steps[at];
    let before = step.before.clone().unwrap_or_default();
    let joined = walk.steps[..at]
        .iter()
        .rev()
        .find(|s| s.need == Need::Join && Walk::names(&s.keys) == before);
    let (from_key, to_key, then_key) = match joined {
        Some(_) => {
            let mut home: Vec<String> = Vec::new();
            for key in &step.keys {
                let column = text(key);
                if !home.contains(&column) {
                    home.push(column);
                }
            }
            (home, before, Some(names(&step.keys)))
        }
        None => (before, names(&step.keys), None),
    };
    result.strategy = PartitionStrategy::RepartitionRequired { from_key, to_key };
    result.then_key = then_key;
    result.router = step.router;
}

fn stateless(walk: &Walk<'_>, output: &Route, result: &mut Verdict) {
    let asked = walk.forced.as_ref().map(|(asked, _)| *asked);
    let single = RoutingStrategy::SinglePartition;
    let (routing, router, reason) = match (output, asked) {
        (Route::Hash(_), _) => (
            RoutingStrategy::RoundRobin,
            StrategyConfig::AlwaysHash,
            "no records have to meet; they are hashed, as asked for",
        ),
        (Route::One | Route::TwoPhase, _) => (
            single,
            StrategyConfig::FanIn,
            "no records have to meet; one shard gives all results, as asked for",
        ),
        (Route::Stay, _) if walk.in_order => (
            single,
            StrategyConfig::StickyPartition,
            "no records have to meet; results keep the order of the split",
        ),
        (Route::Stay, Some(StrategyConfig::SmartRepartition)) => (
            RoutingStrategy::RoundRobin,
            StrategyConfig::SmartRepartition,
            "no records have to meet: there is nothing to align",
        ),
        (Route::Stay, _) => (
            RoutingStrategy::RoundRobin,
            StrategyConfig::RoundRobin,
            "no records have to meet: shards take chunks in turn",
        ),
    };
    result.strategy = PartitionStrategy::Passthrough { routing };
    result.router = router;
    result.reason = reason.to_owned();
}

/// What keys are called: as columns; where that does not tell them apart, as the results are.
fn called(walk: &Walk<'_>, plan: &LogicalPlan, keys: &[Expr]) -> Vec<String> {
    let plain: Vec<String> = keys.iter().map(text).collect();
    let twice = |name: &String| plain.iter().filter(|n| *n == name).count() > 1;
    keys.iter()
        .zip(&plain)
        .map(|(key, name)| match key {
            Expr::Column(_) if !twice(name) => name.clone(),
            _ => result_name(walk, plan, key).unwrap_or_else(|| match key {
                Expr::Column(column) => column.flat_name(),
                _ => name.clone(),
            }),
        })
        .collect()
}

fn result_name(walk: &Walk<'_>, plan: &LogicalPlan, key: &Expr) -> Option<String> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let from = projection.input.schema();
            let index = projection.expr.iter().position(|e| {
                let e = core(e, from);
                e == key || matches!(e, Expr::Column(c) if is_column_of(c, key))
            })?;
            let found = walk.facts.results.iter().find_map(|r| match r {
                ResultColumn::Plain { name, index: at } if *at == index => Some(name.clone()),
                ResultColumn::Plain { .. } | ResultColumn::Window { .. } => None,
            });
            Some(found.unwrap_or_else(|| projection.schema.field(index).name().clone()))
        }
        LogicalPlan::Filter(filter) => result_name(walk, &filter.input, key),
        LogicalPlan::Sort(sort) => result_name(walk, &sort.input, key),
        LogicalPlan::Limit(limit) => result_name(walk, &limit.input, key),
        _ => None,
    }
}

/// Whether a column is the one that an aggregate gives for this key.
fn is_column_of(column: &Column, key: &Expr) -> bool {
    column.relation.is_none() && column.name == key.schema_name().to_string()
}
