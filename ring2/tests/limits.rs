//! Statements beyond a limit are refused, and those within run: never an overflow of the stack,
//! never a panic, never seconds of work.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use trefoil::{Error, SourceFile, limits, plan_script};
use trefoil_ring0::runtime::{Config, Executor, start};

const SOURCE: &str = "CREATE SOURCE t (a BIGINT, b BOOLEAN, s VARCHAR) WITH (connector = 'file', \
                      path = 'none.ndjson', format = 'json'); ";

/// `ok` or the code.
fn plan(query: &str) -> String {
    let file = SourceFile {
        name: "q.sql".into(),
        text: format!("{SOURCE}{query}"),
        base: PathBuf::from("/data"),
    };
    let clock = Instant::now();
    let said = match plan_script(&[file]) {
        Ok(_) => "ok".to_string(),
        Err(Error::Sql(error)) => error.code.to_string(),
        Err(error) => panic!("{error}"),
    };
    let head: String = query.chars().take(60).collect();
    assert!(
        clock.elapsed() < Duration::from_secs(20),
        "{head}: {:?}",
        clock.elapsed()
    );
    said
}

fn nested(open: &str, inner: &str, close: &str, depth: usize) -> String {
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn deep_nesting() {
    for (open, inner, close) in [
        ("(", "a", ")"),
        ("NOT ", "b", ""),
        ("- ", "a", ""),
        ("CASE WHEN b THEN ", "a", " END"),
        ("UPPER(", "s", ")"),
        ("CAST(", "a", " AS BIGINT)"),
        ("COALESCE(a, ", "a", ")"),
        ("(SELECT ", "a", " FROM t)"),
        ("ARRAY[", "a", "]"),
        ("a[", "a", "]"),
        ("(", "a", ""),
        ("CASE ", "a", ""),
        ("CAST(", "a", ""),
        ("EXTRACT(YEAR FROM ", "a", ""),
        ("f(a => ", "a", ")"),
        ("INTERVAL ", "'1'", ""),
        ("CAST(a AS ARRAY<", "BIGINT", ">)"),
    ] {
        for depth in [5, 30, 60, 200, 10_000] {
            let expr = nested(open, inner, close, depth);
            let said = plan(&format!("SELECT {expr} FROM t"));
            let most = if close.is_empty() {
                1_000
            } else {
                limits::NESTING_MAX
            };
            assert!(depth < most || said != "ok", "{open} {depth}: {said}");
        }
    }
    let subqueries = |depth| {
        let from = nested("(SELECT a FROM ", "t", ") x", depth);
        plan(&format!("SELECT a FROM {from}"))
    };
    assert_eq!(subqueries(10), "ok");
    assert_eq!(subqueries(10_000), "E0106");
    for open in [
        "((SELECT 1 FROM ",
        "(t JOIN (",
        "(((",
        "(SELECT * FROM ((SELECT 1) x JOIN ",
    ] {
        for depth in [3, 12, 10_000] {
            let said = plan(&format!("SELECT a FROM {}", open.repeat(depth)));
            assert_ne!(said, "ok", "{open}");
        }
    }
}

#[test]
fn long_chains() {
    for (term, between) in [
        ("a = 1", " AND "),
        ("a = 1", " OR "),
        ("a", " + "),
        ("b", " IS NOT NULL = "),
        ("a", "::BIGINT - "),
        ("s", " || "),
        ("a", " NOTNULL = "),
    ] {
        for count in [10, 500, 900, 10_000, 30_000] {
            let chain = vec![term; count].join(between);
            let said = plan(&format!("SELECT {chain} FROM t"));
            assert!(
                count < 1_000 || said == "E0106",
                "{between} {count}: {said}"
            );
        }
    }
    let ands = vec!["a <> 1"; 500].join(" AND ");
    assert_eq!(plan(&format!("SELECT a FROM t WHERE {ands}")), "ok");
    // Read, and too deep to be run.
    let sum = vec!["a"; 400].join(" + ");
    assert_eq!(plan(&format!("SELECT {sum} FROM t")), "E0106");
    assert_eq!(
        plan(&format!("SELECT a{} FROM t", "!".repeat(10_000))),
        "E0106"
    );
    assert_eq!(
        plan(&format!("SELECT a{} FROM t", "::INT".repeat(10_000))),
        "E0106"
    );
    let unions = vec!["SELECT a FROM t"; 10_000].join(" UNION ");
    assert_eq!(plan(&unions), "E0106");
    let joins = " JOIN t AS x ON true".repeat(10_000);
    assert_eq!(plan(&format!("SELECT 1 FROM t{joins}")), "E0106");
    let list = |count: usize| vec!["1"; count].join(", ");
    assert_eq!(
        plan(&format!("SELECT a FROM t WHERE a IN ({})", list(500))),
        "ok"
    );
    assert_eq!(
        plan(&format!("SELECT a FROM t WHERE a IN ({})", list(20_000))),
        "E0106"
    );
}

#[test]
fn long_texts() {
    let megabyte = "x".repeat(1_000_000);
    assert_eq!(plan(&format!("SELECT '{megabyte}' FROM t")), "E0106");
    assert_eq!(plan(&format!("SELECT {megabyte} FROM t")), "E0106");
    assert_eq!(plan(&format!("SELECT a /* {megabyte} */ FROM t")), "ok");
    let columns = vec!["a"; 200_000].join(", ");
    assert_eq!(plan(&format!("SELECT {columns} FROM t")), "E0106");
    assert_eq!(plan(&"SELECT a FROM t;".repeat(20_000)), "E0106");
    assert_eq!(plan(&" ".repeat(17_000_000)), "E0106");
    assert_eq!(
        plan(&format!("SELECT a FROM t; {}", ";".repeat(100_000))),
        "ok"
    );
}

#[test]
fn views_do_not_grow_without_end() {
    let mut script = "CREATE VIEW v0 AS SELECT a FROM t;".to_string();
    for i in 1..40 {
        let before = i - 1;
        script +=
            &format!("CREATE VIEW v{i} AS SELECT x.a FROM v{before} x JOIN v{before} y USING (a);");
    }
    assert_eq!(plan(&script), "E0106");
    let mut script = "CREATE VIEW v0 AS SELECT a FROM t;".to_string();
    for i in 1..100 {
        script += &format!("CREATE VIEW v{i} AS SELECT a FROM v{};", i - 1);
    }
    assert_eq!(plan(&script), "E0106");
}

#[test]
fn the_deepest_expression_runs() {
    let path = std::env::temp_dir().join(format!("trefoil-limits-{}.ndjson", std::process::id()));
    std::fs::write(&path, "{\"a\": 1}\n").unwrap();
    let sum = vec!["a"; 250].join(" + ");
    let ands = vec!["a = 1"; 550].join(" AND ");
    let list: Vec<_> = (0..limits::IN_LIST_MAX).map(|i| i.to_string()).collect();
    for query in [
        format!("SELECT {sum} AS s FROM t"),
        format!("SELECT a FROM t WHERE {ands}"),
        format!("SELECT a FROM t WHERE a IN ({})", list.join(", ")),
    ] {
        let file = SourceFile {
            name: "q.sql".into(),
            text: format!(
                "{}{query}",
                SOURCE.replace("none.ndjson", &path.to_string_lossy())
            ),
            base: PathBuf::new(),
        };
        let planned = plan_script(&[file]).unwrap_or_else(|e| panic!("{e}"));
        let config = Config {
            executor: Executor::Threads,
            ..Config::default()
        };
        let mut running = start(&planned[0].program, &config).unwrap();
        let mut rows = 0;
        while let Some(block) = running.next_block().unwrap() {
            rows += block.rows().rows();
            running.give_back(block);
        }
        running.finish().unwrap();
        assert_eq!(rows, 1);
    }
    std::fs::remove_file(path).unwrap();
}
