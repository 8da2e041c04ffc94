//! The plan as a drawing: Mermaid and Graphviz. A node is a stage, an edge an exchange. Of a plan
//! that ran the stages are those that did, with their rows.

use std::fmt::Write;

use super::{Explanation, measured};
use crate::partitioning::{Exchange, ExchangeKind};

fn label(exchange: &Exchange) -> String {
    match &exchange.kind {
        ExchangeKind::Hash(keys) => format!("hash {}", keys.join(", ")),
        ExchangeKind::Partials => "partial results".to_owned(),
        ExchangeKind::All => "all rows".to_owned(),
        ExchangeKind::Broadcast => "broadcast".to_owned(),
        ExchangeKind::Local => "same shard".to_owned(),
    }
}

/// What is drawn.
struct Drawing {
    /// Of each stage its operators.
    stages: Vec<Vec<String>>,
    /// From a stage to another one, and how; without one: to the result.
    edges: Vec<(usize, Option<(usize, String)>)>,
}

impl Drawing {
    fn of(query: &Explanation) -> Self {
        match &query.measured {
            Some(measured) => Self {
                stages: measured.stages.iter().map(measured::labels).collect(),
                edges: measured::edges(measured),
            },
            None => {
                let stages = query.stages.iter();
                let edges = stages.clone().enumerate().map(|(number, stage)| {
                    let to = stage.exchange.as_ref().map(|e| (e.to, label(e)));
                    (number, to)
                });
                let names = |s: &crate::partitioning::Stage| -> Vec<String> {
                    s.operators.iter().map(|o| o.name.clone()).collect()
                };
                Self {
                    edges: edges.collect(),
                    stages: stages.map(names).collect(),
                }
            }
        }
    }

    fn node(&self, number: usize, separator: &str, escape: fn(&str) -> String) -> String {
        let names: Vec<String> = self.stages[number].iter().map(|n| escape(n)).collect();
        names.join(separator)
    }
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
    let drawing = Drawing::of(query);
    let mut out = String::new();
    let title = for_mermaid(&title(query));
    // Writing into a String does not fail.
    let _ = writeln!(out, "  subgraph {prefix}[\"{title}\"]");
    for number in 0..drawing.stages.len() {
        let text = drawing.node(number, "<br/>", for_mermaid);
        let _ = writeln!(out, "    {prefix}_{number}[\"{text}\"]");
    }
    for (from, to) in &drawing.edges {
        match to {
            Some((to, text)) => {
                let text = for_mermaid(text);
                let _ = writeln!(out, "    {prefix}_{from} -->|\"{text}\"| {prefix}_{to}");
            }
            None => {
                let _ = writeln!(out, "    {prefix}_{from} --> {prefix}_out((result))");
            }
        }
    }
    out.push_str("  end\n");
    out
}

/// A cluster of a digraph.
pub(super) fn dot(query: &Explanation, prefix: &str) -> String {
    let drawing = Drawing::of(query);
    let mut out = String::new();
    let title = for_dot(&title(query));
    let _ = writeln!(
        out,
        "  subgraph cluster_{prefix} {{\n    label=\"{title}\";"
    );
    for number in 0..drawing.stages.len() {
        let text = drawing.node(number, "\\l", for_dot);
        let _ = writeln!(
            out,
            "    {prefix}_{number} [shape=box, label=\"{text}\\l\"];"
        );
    }
    let _ = writeln!(out, "    {prefix}_out [shape=oval, label=\"result\"];");
    for (from, to) in &drawing.edges {
        match to {
            Some((to, text)) => {
                let text = for_dot(text);
                let _ = writeln!(
                    out,
                    "    {prefix}_{from} -> {prefix}_{to} [label=\"{text}\"];"
                );
            }
            None => {
                let _ = writeln!(out, "    {prefix}_{from} -> {prefix}_out;");
            }
        }
    }
    out.push_str("  }\n");
    out
}
