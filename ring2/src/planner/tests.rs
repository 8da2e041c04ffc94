//! What plans look like.

use std::path::{Path, PathBuf};

use super::plan_select;
use crate::{SourceFile, script};

fn pack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../harness/tests/fr082")
}

fn file(name: &str, text: String) -> SourceFile {
    SourceFile {
        name: name.to_owned(),
        text,
        base: pack(),
    }
}

fn planned(text: &str) -> Result<String, String> {
    let schema = std::fs::read_to_string(pack().join("schema.sql")).unwrap();
    let files = [file("schema.sql", schema), file("q.sql", text.to_owned())];
    let selects = script::read(&files).map_err(|e| e.to_string())?;
    let planned = plan_select(&selects[0]).map_err(|e| e.to_string())?;
    Ok(planned.plan.display_indent().to_string())
}

#[test]
fn every_accepted_query_of_the_analysis_is_planned() {
    let mut paths: Vec<_> = std::fs::read_dir(pack().join("queries"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "sql"))
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let got = planned(&std::fs::read_to_string(&path).unwrap());
        let refused = name.starts_with("02_") || name.starts_with("07_");
        assert_eq!(got.is_err(), refused, "{name}: {got:?}");
        println!("== {name}\n{}", got.unwrap_or_else(|e| e));
    }
}

#[test]
fn the_clock_is_never_a_constant() {
    for text in [
        "SELECT id FROM test_stream WHERE event_time > NOW()",
        "SELECT order_id FROM orders WHERE order_date >= CURRENT_DATE - INTERVAL '30' DAY",
        "SELECT o.order_id FROM orders o JOIN customers c ON o.customer_id = c.customer_id \
         WHERE o.event_time > NOW() - INTERVAL '1' HOUR",
    ] {
        let plan = planned(text).unwrap().to_lowercase();
        assert!(
            plan.contains("now()") || plan.contains("current_date()"),
            "{plan}"
        );
    }
}

/// What SQL has and the engine does not run yet is planned all the same, or refused by place.
#[test]
fn more_is_planned_than_runs() {
    let cases = [
        (
            "SELECT symbol, window_end, COUNT(*) FROM trades \
             GROUP BY symbol, CUMULATE(event_time, INTERVAL '1' MINUTE, INTERVAL '1' HOUR)",
            "trefoil_cumulate_end",
        ),
        (
            "SELECT symbol, COUNT(*) FROM trades GROUP BY symbol, \
             HOP(event_time, INTERVAL '2' MINUTE, INTERVAL '1' MINUTE)",
            "the slide is longer than the size",
        ),
        (
            "SELECT window_start, COUNT(*) FROM HOP(trades, event_time, INTERVAL '1' MINUTE, \
             INTERVAL '5' MINUTE) GROUP BY window_start, window_end",
            "trefoil_hop_start",
        ),
        (
            "SELECT COUNT(*) FROM trades GROUP BY TUMBLE(INTERVAL '1' MINUTE)",
            "trefoil_tumble_start(trades.event_time",
        ),
        (
            "SELECT w.start, COUNT(*) AS n, TUMBLE(event_time, INTERVAL '1' MINUTE) AS w FROM \
             trades \
             GROUP BY w ORDER BY n DESC, w LIMIT 3",
            "Sort: n DESC",
        ),
        (
            "SELECT symbol, price, ROW_NUMBER() OVER (PARTITION BY symbol ORDER BY price) AS r \
             FROM trades QUALIFY r <= 3",
            "row_number()",
        ),
        (
            "SELECT t.trade_id, q.bid_price FROM trades t ASOF JOIN quotes q \
             MATCH_CONDITION (t.event_time >= q.event_time) ON t.symbol = q.symbol",
            "trefoil_asof",
        ),
        (
            "SELECT trade_id FROM trades t WHERE EXISTS \
             (SELECT 1 FROM quotes q WHERE q.symbol = t.symbol)",
            "LeftSemi Join",
        ),
        (
            "SELECT trade_id FROM trades WHERE symbol NOT IN (SELECT symbol FROM quotes)",
            "LeftAnti Join",
        ),
        (
            "SELECT symbol FROM trades UNION SELECT symbol FROM quotes",
            "Aggregate: groupBy",
        ),
        (
            "SELECT p.post_id, tag FROM posts AS p CROSS JOIN UNNEST(p.hashtags) AS t(tag)",
            "Unnest: lists",
        ),
        (
            "SELECT a.trade_id, b.trade_id FROM trades a, trades b WHERE a.symbol = b.symbol",
            "Inner Join: a.symbol = b.symbol",
        ),
        (
            "SELECT COUNT(*), COUNT(symbol) FROM trades WHERE volume > 1 LIMIT 1",
            "Limit",
        ),
    ];
    contained(&cases);
}

/// What is wrong is refused on this level, too.
#[test]
fn what_is_wrong_is_refused_by_place() {
    let cases = [
        (
            "SELECT * FROM trades t JOIN quotes q ON t.symbol = q.symbl",
            "error[E0201]: column \"q.symbl\" does not exist\n --> q.sql:1:54",
        ),
        (
            "SELECT t.symbol, price, COUNT(*) FROM trades t JOIN quotes q ON t.symbol = q.symbol \
             GROUP BY t.symbol",
            "error[E0203]",
        ),
        (
            "SELECT symbol FROM trades t JOIN quotes q ON t.symbol = q.symbol",
            "error[E0208]: column \"symbol\" is ambiguous",
        ),
        (
            "SELECT FOO(t.price) FROM trades t JOIN quotes q ON t.symbol = q.symbol",
            "error[E0204]: function \"foo\" does not exist\n --> q.sql:1:8",
        ),
        (
            "SELECT 1 FROM trades t JOIN quots q ON t.symbol = q.symbol",
            "error[E0202]: relation \"quots\" does not exist\n --> q.sql:1:29",
        ),
        (
            "SELECT TUMBLE(t.event_time, INTERVAL '1' MINUTE) FROM trades t JOIN quotes q \
             ON t.symbol = q.symbol",
            "error[E0401]: TUMBLE is not a window of GROUP BY\n --> q.sql:1:8",
        ),
    ];
    contained(&cases);
}

/// Plans, or refusals, hold these texts.
fn contained(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (text, part) in cases {
        let got = planned(text).unwrap_or_else(|e| e);
        if !got.contains(part) {
            wrong.push(format!("{text}\n  lacks {part}\n  {got}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
