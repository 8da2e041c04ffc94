//! Queries over inputs without an end, for which files stand: what they keep and what is late is
//! that of streams, and they end all the same.

use std::path::Path;

use trefoil::PlannedQuery;
use trefoil_ring0::program::SourceKind;
use trefoil_ring0::runtime::Config;

use crate::compare::{self, Order, agree, plan_native, rows, script};
use crate::data::{COLUMNS, lines};

/// A query over the sources `p`, `q` and `r`, all of them this file, whose watermarks are so many
/// seconds behind; `more`: their options.
fn planned(path: &Path, columns: &str, lag: &str, more: &str, query: &str) -> PlannedQuery {
    let source = |name: &str| {
        format!(
            "CREATE SOURCE {name} ({columns}, WATERMARK FOR ts AS ts - INTERVAL '{lag}' SECOND) \
             WITH (connector = 'file', path = '{}', format = 'json'{more});\n",
            path.display()
        )
    };
    let mut files = script(path, columns, query);
    let sources = ["p", "q", "r"].map(source).concat();
    files[0].text = format!("{sources}{query};");
    let mut planned = plan_native(&files).unwrap_or_else(|e| panic!("{e}"));
    planned.remove(0)
}

/// Plans it over sources that end.
pub(super) fn bounded(path: &Path, columns: &str, lag: &str, query: &str) -> PlannedQuery {
    planned(path, columns, lag, "", query)
}

/// Plans it over streams; other sources of the query are left as they are.
pub(super) fn endless(path: &Path, columns: &str, lag: &str, query: &str) -> PlannedQuery {
    let mut planned = planned(path, columns, lag, ", follow = 'true'", query);
    for source in &mut planned.program.sources {
        if !["p", "q", "r"].contains(&source.name.as_str()) {
            continue;
        }
        let SourceKind::Stream { format, .. } = &source.kind else {
            panic!("{source:?} is no stream")
        };
        source.kind = SourceKind::Files {
            paths: vec![path.to_owned()],
            format: format.clone(),
        };
    }
    planned
}

/// Windows that nothing is joined by close nothing: rows that are late for them meet all others.
#[test]
fn windows_beside_a_regular_join() {
    let path = std::env::temp_dir().join(format!("trefoil-{}-beside.ndjson", std::process::id()));
    std::fs::write(&path, lines(300, 5)).unwrap();
    let tumble = "TUMBLE(q, ts, INTERVAL '10' SECOND)";
    let hop = "HOP(r, ts, INTERVAL '10' SECOND, INTERVAL '20' SECOND)";
    for query in [
        format!("SELECT a.window_start, a.i, c.i AS j FROM {tumble} AS a JOIN r AS c ON a.k = c.k"),
        format!(
            "SELECT a.window_end, a.i FROM {tumble} AS a LEFT SEMI JOIN r AS c \
             ON a.k = c.k AND a.i < c.i"
        ),
        format!(
            "SELECT a.i, c.window_start, c.i AS j FROM q AS a JOIN {hop} AS c \
             ON a.k = c.k AND a.s < c.s"
        ),
        format!(
            "SELECT a.i, a.window_start, c.window_start AS w, c.i AS j FROM {tumble} AS a \
             JOIN {hop} AS c ON a.k = c.k AND a.i < c.i AND a.window_start <= c.window_start"
        ),
        // Equal windows, of rows of which nothing says when they close.
        format!(
            "SELECT a.i, c.i AS j FROM (SELECT window_start, k, i FROM {tumble} AS x UNION ALL \
             SELECT window_start, k, i FROM {p} AS y) AS a JOIN {r} AS c \
             ON a.k = c.k AND a.window_start = c.window_start",
            p = tumble.replace('q', "p"),
            r = tumble.replace('q', "r"),
        ),
    ] {
        let config = Config {
            shards: 2,
            frame_rows: 7,
            chunk_bytes: 1024,
            ..Config::default()
        };
        let wanted = compare::run(&bounded(&path, COLUMNS, "1", &query), &config).unwrap();
        let got = compare::run(&endless(&path, COLUMNS, "1", &query), &config).unwrap();
        let [got, wanted] = [got, wanted].map(|(batches, _)| rows(&batches, Order::Any));
        assert!(!wanted.is_empty(), "{query}");
        assert!(
            agree(&got, &wanted, Order::Any),
            "{query}: {} of {}",
            got.len(),
            wanted.len()
        );
    }
    std::fs::remove_file(path).unwrap();
}
