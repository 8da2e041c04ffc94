//! The plan as a drawing: Mermaid and Graphviz. A node is a stage, an edge an exchange.

use std::fmt::Write;

use super::Explanation;
use crate::partitioning::{Exchange, ExchangeKind, Stage};

fn label(exchange: &Exchange) -> String {
    match &exchange.kind {
        ExchangeKind::Hash(keys) => format!("hash {}", keys.join(", ")),
        ExchangeKind::Partials => "partial results".to_owned(),
        ExchangeKind::All => "all rows".to_owned(),
        ExchangeKind::Broadcast => "broadcast".to_owned(),
        ExchangeKind::Local => "same shard".to_owned(),
    }
}

fn operators(stage: &Stage, separator: &str, escape: fn(&str) -> String) -> String {
    let names: Vec<String> = stage.operators.iter().map(|o| escape(&o.name)).collect();
    names.join(separator)
}

fn title(query: &Explanation) -> String {
    let verdict = &query.verdict;
    format!("{}, {}", verdict.strategy.name(), verdict.router)
}

/// Quotes and angles would end a label.
fn for_mermaid(text: &str) -> String {
    text.replace('"', "#quot;")
        .replace('<', "#lt;")
        .replace('>', "#gt;")
}

fn for_dot(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A subgraph of a flowchart.
pub(super) fn mermaid(query: &Explanation, prefix: &str) -> String {
    let mut out = String::new();
    let title = for_mermaid(&title(query));
    // Writing into a String does not fail.
    let _ = writeln!(out, "  subgraph {prefix}[\"{title}\"]");
    for (number, stage) in query.stages.iter().enumerate() {
        let text = operators(stage, "<br/>", for_mermaid);
        let _ = writeln!(out, "    {prefix}_{number}[\"{text}\"]");
    }
    for (number, stage) in query.stages.iter().enumerate() {
        match &stage.exchange {
            Some(exchange) => {
                let (to, text) = (exchange.to, for_mermaid(&label(exchange)));
                let _ = writeln!(out, "    {prefix}_{number} -->|\"{text}\"| {prefix}_{to}");
            }
            None => {
                let _ = writeln!(out, "    {prefix}_{number} --> {prefix}_out((result))");
            }
        }
    }
    out.push_str("  end\n");
    out
}

/// A cluster of a digraph.
pub(super) fn dot(query: &Explanation, prefix: &str) -> String {
    let mut out = String::new();
    let title = for_dot(&title(query));
    let _ = writeln!(
        out,
        "  subgraph cluster_{prefix} {{\n    label=\"{title}\";"
    );
    for (number, stage) in query.stages.iter().enumerate() {
        let text = operators(stage, "\\l", for_dot);
        let _ = writeln!(
            out,
            "    {prefix}_{number} [shape=box, label=\"{text}\\l\"];"
        );
    }
    let _ = writeln!(out, "    {prefix}_out [shape=oval, label=\"result\"];");
    for (number, stage) in query.stages.iter().enumerate() {
        match &stage.exchange {
            Some(exchange) => {
                let (to, text) = (exchange.to, for_dot(&label(exchange)));
                let _ = writeln!(
                    out,
                    "    {prefix}_{number} -> {prefix}_{to} [label=\"{text}\"];"
                );
            }
            None => {
                let _ = writeln!(out, "    {prefix}_{number} -> {prefix}_out;");
            }
        }
    }
    out.push_str("  }\n");
    out
}
