//! The plan as text: the verdict, then a tree of stages from the result down to the sources.

use std::fmt::Write;

use super::{Explained, Explanation, Summary, measured};
use crate::partitioning::{ExchangeKind, PartitionStrategy, RoutingStrategy, Stage};

const CATEGORIES: [&str; 5] = ["projection", "GROUP BY", "windows", "global", "join"];

/// Renders queries, each below its title or its text.
pub(super) fn all(all: &[(Option<String>, Explained)], summary: Option<&Summary>) -> String {
    let mut out = String::new();
    for (number, (title, one)) in all.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        if let Some(title) = title {
            out.push_str(&format!("-- {title}\n"));
        }
        match one {
            Ok(query) => {
                if title.is_none() {
                    out.push_str(&format!("{}\n\n", query.sql));
                }
                out.push_str(&query.text());
            }
            Err(error) => out.push_str(&format!(
                "refused     {}:{}:{}: error[{}]: {}\n",
                error.file, error.line, error.column, error.code, error.message
            )),
        }
    }
    if let Some(summary) = summary {
        out.push_str(&format!("\n{summary}"));
    }
    out
}

/// Renders it.
pub(super) fn render(query: &Explanation) -> String {
    let mut out = String::new();
    let verdict = &query.verdict;
    let mut line = |name: &str, value: String| {
        // Writing into a String does not fail.
        let _ = writeln!(out, "{name:<11} {value}");
    };
    let name = verdict.strategy.name();
    let strategy = match &verdict.strategy {
        PartitionStrategy::Passthrough { routing } => match routing {
            RoutingStrategy::RoundRobin => format!("{name}, shards in turn"),
            RoutingStrategy::SinglePartition => format!("{name}, one shard"),
        },
        PartitionStrategy::FullyPartitionable { partition_keys } => {
            format!("{name} {{{}}}", partition_keys.join(", "))
        }
        PartitionStrategy::TwoPhaseAggregation {
            local_agg,
            merge_fn,
        } => format!("{name}: {local_agg}; then {merge_fn}"),
        PartitionStrategy::BroadcastJoin { replicated_table } => {
            format!("{name} {{{replicated_table}}}")
        }
        PartitionStrategy::RepartitionRequired { from_key, to_key } => {
            let then = verdict.then_key.as_ref();
            let then = then.map_or(String::new(), |k| format!(", then {{{}}}", k.join(", ")));
            format!(
                "{name} {{{}}} -> {{{}}}{then}",
                from_key.join(", "),
                to_key.join(", ")
            )
        }
    };
    line("strategy", strategy);
    line("router", verdict.router.to_string());
    line("because", verdict.reason.clone());
    let kind = CATEGORIES.get(usize::from(verdict.category.saturating_sub(1)));
    line(
        "category",
        format!("{} {}", verdict.category, kind.unwrap_or(&"")),
    );
    line("results", query.emit.to_owned());
    for time in &query.event_time {
        line("event time", time.clone());
    }
    let runs = match &query.refusal {
        None => "yes".to_owned(),
        Some(refusal) => format!("not yet: {}", refusal.message),
    };
    line("runs", runs);
    for warning in &query.warnings {
        line("warning", warning.clone());
    }
    let last = query.stages.iter().rposition(|s| s.exchange.is_none());
    out.push_str("result\n");
    if let Some(last) = last {
        stage(&query.stages, last, "", &mut out);
    }
    if let Some(measured) = &query.measured {
        measured::render(measured, &mut out);
    }
    out
}

/// A stage, its last operator first, and below it the stages that it reads.
fn stage(stages: &[Stage], at: usize, indent: &str, out: &mut String) {
    let inputs: Vec<usize> = (0..stages.len())
        .filter(|&i| stages[i].exchange.as_ref().is_some_and(|e| e.to == at))
        .collect();
    let operators = &stages[at].operators;
    for (number, operator) in operators.iter().rev().enumerate() {
        let last = number + 1 == operators.len() && inputs.is_empty();
        let (branch, below) = branches(last);
        let kernel = if operator.native {
            ""
        } else {
            "  (generic kernel)"
        };
        let _ = writeln!(out, "{indent}{branch} {}{kernel}", operator.name);
        if let Some(state) = &operator.state {
            let bound = operator.bounded_by.as_deref().unwrap_or("nothing");
            let _ = writeln!(out, "{indent}{below}    keeps {state}, until: {bound}");
        }
    }
    for (number, &input) in inputs.iter().enumerate() {
        let Some(exchange) = &stages[input].exchange else {
            continue;
        };
        let (branch, below) = branches(number + 1 == inputs.len());
        let how = match &exchange.kind {
            ExchangeKind::Hash(keys) => format!("exchange by hash of {}", keys.join(", ")),
            ExchangeKind::Partials => "exchange of partial results to one shard".to_owned(),
            ExchangeKind::All => "exchange of all rows to one shard".to_owned(),
            ExchangeKind::Broadcast => "broadcast to every shard".to_owned(),
            ExchangeKind::Local => "no exchange, the same shard".to_owned(),
        };
        let router = exchange
            .router()
            .map_or(String::new(), |r| format!("  [{r}]"));
        let _ = writeln!(out, "{indent}{branch} {how}{router}");
        stage(stages, input, &format!("{indent}{below}  "), out);
    }
}

fn branches(last: bool) -> (&'static str, &'static str) {
    match last {
        true => ("└─", "  "),
        false => ("├─", "│ "),
    }
}
