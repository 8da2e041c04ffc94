//! Nodes with one input, and unions: aggregates, ORDER BY and LIMIT.

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Union};

use super::StrategyConfig;
use super::analyze::{Edge, Route, Unfit, Walk, is_native};
use super::decide::{Decision, head};
use super::distribution::{Spread, core};
use super::graph::ExchangeKind;
use super::names::{self, text};
use super::sequence::Together;
use super::step::{Need, Step};
use crate::lower::changes::is_by_clock;
use crate::lower::is_mergeable;

/// Keys of an operator by what they are for.
pub(super) struct Keys {
    /// Those that choose the shard.
    pub(super) routing: Vec<Expr>,
    /// Which of the expressions they are.
    pub(super) by: Vec<usize>,
    /// What the window is, where there is one.
    pub(super) window: Option<String>,
}

/// The time part of a window and constants never choose a shard.
pub(super) fn keys(exprs: &[Expr], is_bound: impl Fn(&Expr) -> bool) -> Keys {
    let mut found = Keys {
        routing: Vec::new(),
        by: Vec::new(),
        window: None,
    };
    let sets = match exprs {
        [Expr::GroupingSet(sets)] => Some(sets.distinct_expr()),
        _ => None,
    };
    let id = sets.as_ref().map(Vec::len);
    let exprs: Vec<&Expr> = sets.unwrap_or_else(|| exprs.iter().collect());
    for (index, expr) in exprs.into_iter().enumerate() {
        let inner = match expr {
            Expr::Alias(alias) => alias.expr.as_ref(),
            other => other,
        };
        match inner {
            Expr::ScalarFunction(f) if names::window(f.name(), &f.args).is_some() => {
                let window = names::window(f.name(), &f.args);
                found.window = found.window.or(window);
            }
            e if is_bound(e) => {
                found.window.get_or_insert_with(|| text(e));
            }
            e if e.column_refs().is_empty() => {}
            e if found.routing.contains(e) => {}
            e => {
                found.routing.push(e.clone());
                found.by.push(index);
            }
        }
    }
    // The id of a set is a key behind all others, and is no expression.
    found.by.extend(id);
    found
}

/// Takes out keys that follow from others: DataFusion adds such columns to a grouping, and rows
/// that agree in some of the keys are on one shard if those alone choose it.
pub(super) fn without_dependent(mut keys: Keys, schema: &DFSchema) -> Keys {
    let index = |e: &Expr| match e {
        Expr::Column(c) => schema.maybe_index_of_column(c),
        _ => None,
    };
    for dependence in schema.functional_dependencies().iter() {
        let columns: Vec<Option<usize>> = keys.routing.iter().map(index).collect();
        let given = |s: &usize| columns.contains(&Some(*s));
        if dependence.source_indices.is_empty() || !dependence.source_indices.iter().all(given) {
            continue;
        }
        let stays: Vec<bool> = columns
            .iter()
            .map(|c| {
                c.is_none_or(|c| {
                    dependence.source_indices.contains(&c)
                        || !dependence.target_indices.contains(&c)
                })
            })
            .collect();
        let mut kept = stays.iter();
        keys.routing.retain(|_| *kept.next().unwrap_or(&true));
        let mut kept = stays.iter();
        keys.by.retain(|_| *kept.next().unwrap_or(&true));
    }
    keys
}

impl Walk<'_> {
    pub(super) fn aggregate(
        &mut self,
        aggregate: &Aggregate,
        together: &Together,
    ) -> Result<Edge, Unfit> {
        let from = aggregate.input.schema();
        let below = together.of_groups(aggregate);
        self.together = below.clone();
        let edge = self.node(&aggregate.input)?;
        let found = keys(&aggregate.group_expr, |e| edge.bounds.contains(e));
        let Keys {
            routing,
            by,
            window,
        } = without_dependent(found, from);
        self.kinds.window |= window.is_some();
        self.kinds.group |= !aggregate.group_expr.is_empty();
        let calls: Vec<String> = aggregate.aggr_expr.iter().map(text).collect();
        let what = match calls.is_empty() {
            true => "DISTINCT".to_owned(),
            false if aggregate.group_expr.is_empty() => format!("aggregate {}", calls.join(", ")),
            false => "GROUP BY".to_owned(),
        };
        let decided = self.grouping(aggregate, &edge, &routing, &what, window.is_some())?;
        self.in_order |= decided.0.router == StrategyConfig::StickyPartition;
        let native =
            aggregate.group_expr.iter().all(is_native) && aggregate.aggr_expr.iter().all(is_native);
        let shown = Self::names(&routing);
        let all: Vec<String> = shown.iter().cloned().chain(window.clone()).collect();
        let all = match all.is_empty() {
            true => String::new(),
            false => format!(" by {}", all.join(", ")),
        };
        let name = match calls.is_empty() {
            true => format!("distinct{all}"),
            false => format!("aggregate {}{all}", calls.join(", ")),
        };
        let state = Some(self.groups(&shown, &aggregate.group_expr, window.is_some()));
        let (mut decision, need) = decided;
        let kept = self.narrowed(&head(&what, &shown), &mut decision, &routing, &below);
        let kept = kept.filter(|_| matches!(decision.route, Route::Hash(_)));
        let (routing, by) = match kept {
            None => (routing, by),
            Some(kept) => kept.iter().map(|&i| (routing[i].clone(), by[i])).unzip(),
        };
        let stage = self.group_stage(&edge, &decision, &routing, &calls, native);
        let name = match decision.route {
            Route::TwoPhase => format!("merge {}", calls.join(", ")),
            Route::Stay | Route::Hash(_) | Route::One => name,
        };
        self.operator(stage, name, native, state);
        self.routes.push(match &decision.route {
            Route::Hash(_) => Route::Hash(by.clone()),
            other => other.clone(),
        });
        let before = decision.before(&edge);
        let home = match &decision.route {
            Route::Hash(_) => Some(Self::names(&routing)),
            Route::Stay => edge.home.clone(),
            Route::One | Route::TwoPhase => None,
        };
        let (spread, bounds) = grouped(aggregate, &edge, &decision, (&routing, &by));
        self.steps.push(Step {
            need,
            keys: routing,
            router: decision.router,
            reason: decision.reason,
            before,
        });
        Ok(Edge {
            stage,
            spread,
            bounds,
            scalar: aggregate.group_expr.is_empty(),
            home,
        })
    }

    /// Where the groups are, and what is in front of them.
    fn group_stage(
        &mut self,
        edge: &Edge,
        decision: &Decision,
        routing: &[Expr],
        calls: &[String],
        native: bool,
    ) -> usize {
        let reason = decision.reason.clone();
        match decision.route {
            Route::Stay => edge.stage,
            Route::Hash(_) => {
                let kind = ExchangeKind::Hash(Self::names(routing));
                self.exchange(edge.stage, kind, reason)
            }
            Route::One => self.exchange(edge.stage, ExchangeKind::All, reason),
            Route::TwoPhase => {
                let partial = ("one row per shard".to_owned(), "one row".to_owned());
                let name = format!("partial {}", calls.join(", "));
                self.operator(edge.stage, name, native, Some(partial));
                self.exchange(edge.stage, ExchangeKind::Partials, reason)
            }
        }
    }

    /// What a grouping keeps, and until when.
    fn groups(&self, shown: &[String], keys: &[Expr], windowed: bool) -> (String, String) {
        let rows = match (shown.is_empty(), windowed) {
            (true, false) => "one row".to_owned(),
            (true, true) => "one row per window".to_owned(),
            (false, false) => format!("one row per ({})", shown.join(", ")),
            (false, true) => format!("one row per ({}) and window", shown.join(", ")),
        };
        let bound = match windowed {
            true if keys.iter().any(is_by_clock) => "the clock".to_owned(),
            true => self.watermark(),
            false => "end of input".to_owned(),
        };
        (rows, bound)
    }

    /// The decision for a grouping.
    fn grouping(
        &mut self,
        aggregate: &Aggregate,
        edge: &Edge,
        routing: &[Expr],
        what: &str,
        windowed: bool,
    ) -> Result<(Decision, Need), Unfit> {
        let calls = || aggregate.aggr_expr.iter().map(text).collect::<Vec<_>>();
        let decided = if !routing.is_empty() {
            // A set without one of the keys has rows of all its values.
            let sets = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
            let aligned = edge.spread.aligned(routing, aggregate.input.schema());
            let aligned = aligned.filter(|_| !sets);
            let decision = self.keyed(what, routing, edge, aligned.as_deref())?;
            (decision, Need::Group)
        } else if windowed {
            let decision = self.windows(what, edge)?;
            let need = match decision.router {
                StrategyConfig::StickyPartition => Need::SplitWindow,
                _ => Need::Merge("rows of the window".into(), "one shard per window".into()),
            };
            (decision, need)
        } else if aggregate.group_expr.is_empty() {
            self.kinds.global = true;
            let mut decision = self.global(what, edge)?;
            let whole = |call: &&Expr| !is_mergeable(call, aggregate.input.schema());
            if decision.route == Route::TwoPhase
                && let Some(call) = aggregate.aggr_expr.iter().find(whole)
            {
                let call = text(call);
                decision = Decision {
                    route: Route::One,
                    router: StrategyConfig::FanIn,
                    reason: format!("{call}: parts of it cannot be merged; one shard has all rows"),
                };
            }
            let need = match decision.route {
                Route::TwoPhase => {
                    let merged = format!("merge of {}", calls().join(", "));
                    Need::Merge(calls().join(", "), merged)
                }
                Route::Stay | Route::Hash(_) | Route::One => Need::Single,
            };
            (decision, need)
        } else {
            let reason = format!("{what} by constants: one group, on one shard");
            let decision = Decision {
                route: Route::One,
                router: StrategyConfig::FanIn,
                reason,
            };
            (decision, Need::Single)
        };
        Ok(decided)
    }

    /// ORDER BY and LIMIT: per shard, then merged by one.
    pub(super) fn ordered(&mut self, input: &LogicalPlan, what: &str) -> Result<Edge, Unfit> {
        let edge = self.node(input)?;
        let state = |rows: &str| Some((rows.to_owned(), "end of input".to_owned()));
        if edge.spread == Spread::One {
            self.operator(edge.stage, what.to_owned(), true, state("all rows"));
            return Ok(edge);
        }
        self.kinds.global = true;
        self.operator(
            edge.stage,
            what.to_owned(),
            true,
            state("the rows of the shard"),
        );
        let reason = format!("{what}: every shard orders its rows, one shard merges them");
        let stage = self.exchange(edge.stage, ExchangeKind::Partials, reason.clone());
        let merge = format!("merge, {what}, then by event time, split and offset");
        self.operator(stage, merge.clone(), true, state("one row per shard"));
        self.steps.push(Step {
            need: Need::Merge(what.to_owned(), merge),
            keys: Vec::new(),
            router: StrategyConfig::FanIn,
            reason,
            before: None,
        });
        Ok(Edge {
            stage,
            spread: Spread::One,
            home: None,
            ..edge
        })
    }

    /// Rows of several inputs: together by what all of them are together by.
    pub(super) fn union(&mut self, edges: &[Edge], union: &Union) -> Edge {
        let stage = self.stage();
        for edge in edges {
            let reason = "UNION ALL: rows stay where they are".to_owned();
            self.link(edge.stage, stage, ExchangeKind::Local, reason);
        }
        self.operator(stage, "union all".to_owned(), true, None);
        let columns: Vec<Expr> = (0..union.schema.fields().len())
            .map(|i| Expr::Column(Column::from(union.schema.qualified_field(i))))
            .collect();
        let mut spreads = edges.iter().zip(&union.inputs).map(|(edge, input)| {
            edge.spread.renamed(|e| match e {
                Expr::Column(c) => (input.schema().maybe_index_of_column(c))
                    .map(|i| columns[i].clone())
                    .into_iter()
                    .collect(),
                _ => Vec::new(),
            })
        });
        let homes = edges.iter().map(|e| &e.home);
        let home = edges.first().and_then(|e| e.home.clone());
        let home = home.filter(|h| homes.clone().all(|o| o.as_ref() == Some(h)));
        let first = spreads.next().unwrap_or(Spread::Splits);
        let spread = match spreads.all(|s| s == first) {
            true => first,
            false => Spread::Splits,
        };
        Edge {
            stage,
            spread,
            bounds: Vec::new(),
            scalar: false,
            home,
        }
    }
}

fn is_bound(expr: &Expr, edge: &Edge) -> bool {
    match expr {
        Expr::Alias(alias) => is_bound(&alias.expr, edge),
        Expr::ScalarFunction(f) => names::window(f.name(), &f.args).is_some(),
        other => edge.bounds.contains(other),
    }
}

/// Where the rows of a grouping are, and which of its columns are bounds of a window.
fn grouped(
    aggregate: &Aggregate,
    edge: &Edge,
    decision: &Decision,
    (routing, by): (&[Expr], &[usize]),
) -> (Spread, Vec<Expr>) {
    let from = aggregate.input.schema();
    let column = |i: usize| Expr::Column(Column::from(aggregate.schema.qualified_field(i)));
    let renamed = |e: &Expr| -> Vec<Expr> {
        let groups = aggregate.group_expr.iter().enumerate();
        let same = groups.filter(|(_, g)| core(g, from) == e);
        same.map(|(i, _)| column(i)).collect()
    };
    let spread = match decision.route {
        // The one split that is read is on one shard.
        Route::Stay if decision.router == StrategyConfig::StickyPartition => Spread::One,
        Route::Stay => edge.spread.clone(),
        Route::Hash(_) => Spread::by(routing, from),
        Route::TwoPhase | Route::One => Spread::One,
    };
    let grouping_sets = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
    let spread = match &decision.route {
        Route::Hash(_) if grouping_sets => {
            let keys: Vec<Expr> = by.iter().map(|&i| column(i)).collect();
            Spread::by(&keys, &aggregate.schema)
        }
        _ if grouping_sets => spread,
        _ => spread.renamed(renamed),
    };
    let sets = match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(sets)] => Some(sets.distinct_expr()),
        _ => None,
    };
    let group_expr = sets.unwrap_or_else(|| aggregate.group_expr.iter().collect());
    let bounds = (group_expr.into_iter().enumerate())
        .filter(|(_, g)| is_bound(g, edge))
        .map(|(i, _)| column(i))
        .collect();
    (spread, bounds)
}
