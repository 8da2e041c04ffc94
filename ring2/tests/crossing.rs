//! What is explained is what happens: exchanges of the program are those of EXPLAIN, and the
//! counters of the mesh say who got how many rows. The answer is the same however rows are routed.

#![allow(clippy::unwrap_used)] // These are tests.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::util::display::array_value_to_string;
use trefoil::partitioning::{ExchangeKind, StrategyConfig};
use trefoil::{Explanation, SourceFile, convert, explain_script, plan_script};
use trefoil_ring0::metrics::{Crossing, crossings};
use trefoil_ring0::program::{Program, Routing};
use trefoil_ring0::runtime::{Config, Executor, start};

const SHARDS: usize = 4;
/// Six chunks of a file and more, so that every shard reads.
const ROWS: u64 = 60_000;
const KEYS: u64 = 1_000;

struct Ran {
    explained: Explanation,
    program: Program,
    crossed: Vec<Crossing>,
    rows: Vec<String>,
}

impl Ran {
    /// Rows over an exchange; of them those that changed shards.
    fn rows_over(&self, exchange: usize) -> (u64, u64) {
        let here = self
            .crossed
            .iter()
            .filter(|c| c.exchange.index() == exchange);
        let moved = here.clone().filter(|c| c.sender != c.receiver);
        (here.map(|c| c.rows).sum(), moved.map(|c| c.rows).sum())
    }
}

fn data() -> PathBuf {
    let path = std::env::temp_dir().join(format!("trefoil-crossing-{}.ndjson", std::process::id()));
    let line = |n: u64| {
        let key = n.wrapping_mul(2_654_435_761) % KEYS;
        format!(
            "{{\"k\":{key},\"v\":{n},\"pad\":\"{:064}\",\
             \"ts\":\"2025-11-06T{:02}:{:02}:{:02}\"}}\n",
            n,
            n / 3600 % 24,
            n / 60 % 60,
            n % 60
        )
    };
    std::fs::write(&path, (0..ROWS).map(line).collect::<String>()).unwrap();
    let name = |k: u64| format!("{{\"k\":{k},\"name\":\"n{}\"}}\n", k % 7);
    std::fs::write(names(&path), (0..KEYS).map(name).collect::<String>()).unwrap();
    path
}

/// The file of a table beside that of the source.
fn names(path: &std::path::Path) -> PathBuf {
    path.with_extension("names")
}

fn run(path: &std::path::Path, option: &str, query: &str, shards: usize) -> Ran {
    let text = format!(
        "CREATE SOURCE r (k BIGINT, v BIGINT, ts TIMESTAMP(3) NOT NULL, \
         WATERMARK FOR ts AS ts - INTERVAL '1000' DAY) \
         WITH (connector = 'file', path = '{}', format = 'json'{option});\n\
         CREATE TABLE names (k BIGINT, name VARCHAR, PRIMARY KEY (k)) \
         WITH (connector = 'file', path = '{}', format = 'json');\n{query}",
        path.display(),
        names(path).display()
    );
    let files = [SourceFile {
        name: "q.sql".to_owned(),
        text,
        base: PathBuf::new(),
    }];
    let explained = explain_script(&files).unwrap().remove(0).unwrap();
    assert_eq!(explained.refusal, None, "{query}");
    let planned = plan_script(&files).unwrap().remove(0);
    let config = Config {
        shards,
        executor: Executor::Threads,
        // Combined before they cross they would be fewer.
        combine_groups: 0,
        ..Config::default()
    };
    let mut running = start(&planned.program, &config).unwrap();
    let schema = Arc::clone(&planned.program.outputs[0].schema);
    let mut rows = Vec::new();
    while let Some(block) = running.next_block().unwrap() {
        let batch = convert::record_batch(&schema, block.rows()).unwrap();
        for row in 0..batch.num_rows() {
            let cell = |c: &Arc<dyn Array>| array_value_to_string(c, row).unwrap();
            let cells: Vec<String> = batch.columns().iter().map(cell).collect();
            rows.push(cells.join("|"));
        }
        running.give_back(block);
    }
    rows.sort();
    let reports = running.finish().unwrap();
    Ran {
        crossed: crossings(&planned.program, &reports),
        explained,
        program: planned.program,
        rows,
    }
}

/// The exchanges that are explained are built, in their order.
fn same_exchanges(ran: &Ran) {
    let explained: Vec<bool> = (ran.explained.stages.iter())
        .filter_map(|s| s.exchange.as_ref())
        .filter_map(|e| match e.kind {
            ExchangeKind::Hash(_) => Some(true),
            ExchangeKind::Partials | ExchangeKind::All => Some(false),
            ExchangeKind::Broadcast | ExchangeKind::Local => None,
        })
        .collect();
    let built = ran.program.exchanges.iter();
    let built: Vec<bool> = built
        .filter(|e| !matches!(e.routing, Routing::Broadcast | Routing::Local))
        .map(|e| matches!(e.routing, Routing::Hash(_)))
        .collect();
    assert_eq!(explained, built, "{}", ran.explained.text());
}

const GROUPED: &str = "SELECT k, COUNT(*) AS n, SUM(v) AS v FROM r GROUP BY k";
const ALIGNED: &str = "SELECT k, n, MAX(v) AS v FROM \
    (SELECT k, COUNT(*) AS n, SUM(v) AS v FROM r GROUP BY k) AS q GROUP BY k, n";
const AGAIN: &str = "SELECT n, COUNT(*) AS keys FROM \
    (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS q GROUP BY n";
const LOOKUP: &str = "SELECT v, name FROM r JOIN names ON r.k = names.k";
const WINDOWS: &str = "SELECT TUMBLE(ts, INTERVAL '10' MINUTE) AS w, COUNT(*) AS n, SUM(v) AS v \
    FROM r GROUP BY TUMBLE(ts, INTERVAL '10' MINUTE)";

#[test]
fn rows_cross_as_explained() {
    let path = data();
    let check = |query: &str, option: &str, router: StrategyConfig, over: &[(u64, u64, u64)]| {
        let ran = run(&path, option, query, SHARDS);
        assert_eq!(ran.explained.verdict.router, router, "{query} {option}");
        same_exchanges(&ran);
        assert_eq!(ran.program.exchanges.len(), over.len(), "{query} {option}");
        for (exchange, &(rows, least, most)) in over.iter().enumerate() {
            let (all, moved) = ran.rows_over(exchange);
            assert_eq!(all, rows, "{query} {option}: exchange {exchange}");
            assert!(
                (least..=most).contains(&moved),
                "{query} {option}: {moved} moved"
            );
        }
        let alone = run(&path, "", query, 1);
        assert_eq!(ran.rows, alone.rows, "{query} {option}");
    };
    use StrategyConfig as S;
    let (rows, keys, shards) = (ROWS, KEYS, SHARDS as u64);
    // Three of four shards are others, and some keys are dearer than others.
    let hashed = |rows: u64| (rows, rows * 60 / 100, rows * 90 / 100);
    let none: &[(u64, u64, u64)] = &[];
    check(
        "SELECT k, v FROM r WHERE v % 7 = 0",
        "",
        S::RoundRobin,
        none,
    );
    check(GROUPED, "", S::AlwaysHash, &[hashed(rows)]);
    check(ALIGNED, "", S::SmartRepartition, &[hashed(rows)]);
    let hash = ", partitioning = 'always_hash'";
    // Hashed again by the same key: rows go through a ring, to the shard that they are on.
    check(ALIGNED, hash, S::AlwaysHash, &[hashed(rows), (keys, 0, 0)]);
    check(AGAIN, "", S::AlwaysHash, &[hashed(rows), (keys, 0, keys)]);
    let partials = (shards, shards - 1, shards - 1);
    check(
        "SELECT COUNT(*) AS n, SUM(v) AS v FROM r",
        "",
        S::FanIn,
        &[partials],
    );
    check(WINDOWS, "", S::StickyPartition, none);
    check(
        GROUPED,
        ", partitioning = 'sticky'",
        S::StickyPartition,
        none,
    );
    let fan_in = ", partitioning = 'fan_in'";
    let spread = (rows, rows / 2, rows);
    check(GROUPED, fan_in, S::FanIn, &[spread]);
    check(
        "SELECT k, v FROM r WHERE v % 7 = 0",
        fan_in,
        S::FanIn,
        &[(rows.div_ceil(7), 1, rows)],
    );
    check("SELECT k, v FROM r", hash, S::AlwaysHash, &[hashed(rows)]);
    // The table goes to every shard, and no row of the stream leaves its own.
    let table = (keys * shards, keys * (shards - 1), keys * (shards - 1));
    check(LOOKUP, "", S::RoundRobin, &[(rows, 0, 0), table]);
    std::fs::remove_file(names(&path)).unwrap();
    std::fs::remove_file(path).unwrap();
}
