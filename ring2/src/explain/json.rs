//! `explain --format json`: the shape that programs read. Fields that do not apply are null.

use serde::Serialize;

use super::measured::Measured;
use super::summary::Summary;
use super::{Explained, Explanation};
use crate::error::SqlError;
use crate::partitioning::{ExchangeKind, PartitionStrategy, Stage};

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    queries: Vec<Query<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a Summary>,
}

#[derive(Serialize, Default)]
struct Query<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    sql: Option<&'a str>,
    category: Option<u8>,
    strategy: Option<&'static str>,
    keys: Option<&'a [String]>,
    from_key: Option<&'a [String]>,
    to_key: Option<&'a [String]>,
    then_key: Option<&'a [String]>,
    replicated_table: Option<&'a str>,
    router: Option<String>,
    reason: Option<&'a str>,
    stages: Vec<StageShape<'a>>,
    runnable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<&'a Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Refused<'a>>,
}

#[derive(Serialize)]
struct StageShape<'a> {
    operators: Vec<Operator<'a>>,
    exchange: Option<Exchange<'a>>,
}

#[derive(Serialize)]
struct Operator<'a> {
    name: &'a str,
    kernel: &'static str,
    state: Option<&'a str>,
    bounded_by: Option<&'a str>,
}

#[derive(Serialize)]
struct Exchange<'a> {
    kind: &'static str,
    router: Option<String>,
    keys: Option<&'a [String]>,
    to: usize,
    reason: &'a str,
}

#[derive(Serialize)]
struct Refused<'a> {
    code: &'static str,
    message: &'a str,
    file: &'a str,
    line: u64,
    column: u64,
    hint: Option<&'a str>,
}

/// One document for all queries.
pub(super) fn render(all: &[(Option<String>, Explained)], summary: Option<&Summary>) -> String {
    let queries = all.iter().map(|(title, one)| Query {
        file: title.as_deref(),
        ..match one {
            Ok(query) => accepted(query),
            Err(error) => refused(error),
        }
    });
    let document = Document {
        schema_version: 1,
        queries: queries.collect(),
        summary,
    };
    let text = serde_json::to_string_pretty(&document);
    // Its maps have texts as keys, and numbers, which are written as such.
    text.expect("a document of texts and numbers is JSON") + "\n"
}

fn accepted(query: &Explanation) -> Query<'_> {
    let verdict = &query.verdict;
    let (from_key, to_key) = match &verdict.strategy {
        PartitionStrategy::RepartitionRequired { from_key, to_key } => {
            (Some(from_key.as_slice()), Some(to_key.as_slice()))
        }
        _ => (None, None),
    };
    let replicated_table = match &verdict.strategy {
        PartitionStrategy::BroadcastJoin { replicated_table } => Some(replicated_table.as_str()),
        _ => None,
    };
    Query {
        file: None,
        sql: Some(&query.sql),
        category: Some(verdict.category),
        strategy: Some(verdict.strategy.name()),
        keys: verdict.keys.as_deref(),
        from_key,
        to_key,
        then_key: verdict.then_key.as_deref(),
        replicated_table,
        router: Some(verdict.router.to_string()),
        reason: Some(&verdict.reason),
        stages: query.stages.iter().map(stage).collect(),
        runnable: query.refusal.is_none(),
        measured: query.measured.as_ref(),
        error: None,
    }
}

fn stage(stage: &Stage) -> StageShape<'_> {
    let operators = stage.operators.iter().map(|o| Operator {
        name: &o.name,
        kernel: if o.native { "native" } else { "generic" },
        state: o.state.as_deref(),
        bounded_by: o.bounded_by.as_deref(),
    });
    StageShape {
        operators: operators.collect(),
        exchange: stage.exchange.as_ref().map(|e| Exchange {
            kind: match &e.kind {
                ExchangeKind::Hash(_) => "hash",
                ExchangeKind::Partials => "partials",
                ExchangeKind::All => "all",
                ExchangeKind::Broadcast => "broadcast",
                ExchangeKind::Local => "local",
            },
            router: e.router().map(|r| r.to_string()),
            keys: match &e.kind {
                ExchangeKind::Hash(keys) => Some(keys),
                _ => None,
            },
            to: e.to,
            reason: &e.reason,
        }),
    }
}

fn refused(error: &SqlError) -> Query<'_> {
    Query {
        error: Some(Refused {
            code: error.code,
            message: &error.message,
            file: &error.file,
            line: error.line,
            column: error.column,
            hint: error.hint.as_deref(),
        }),
        ..Query::default()
    }
}
