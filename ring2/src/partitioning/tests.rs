//! Verdicts, as a table: what is proven, and what only looks so.

use std::path::PathBuf;

use super::distribution::is_widening;
use super::{QueryAnalysisForPartitioning, StrategyConfig};
use crate::{SourceFile, explain_script};

const SCHEMA: &str = "
CREATE SOURCE t (k BIGINT, i INT, s SMALLINT, d DOUBLE, name VARCHAR, ts TIMESTAMP(3) NOT NULL,
  WATERMARK FOR ts AS ts) WITH (connector = 'file', path = 't', format = 'json');
CREATE SOURCE u (k BIGINT, i INT, s SMALLINT, d DOUBLE, name VARCHAR, ts TIMESTAMP(3) NOT NULL,
  WATERMARK FOR ts AS ts) WITH (connector = 'file', path = 'u', format = 'json');
CREATE TABLE p (k BIGINT, tier VARCHAR, PRIMARY KEY (k))
  WITH (connector = 'file', path = 'no such file', format = 'json');
";

fn verdict(schema: &str, query: &str) -> String {
    let files = [SourceFile {
        name: "q.sql".to_owned(),
        text: format!("{schema}{query}"),
        base: PathBuf::from("/nowhere"),
    }];
    match explain_script(&files).map(|mut all| all.pop()) {
        Ok(Some(Ok(query))) => {
            let v = query.verdict;
            let name = v.strategy.name();
            let keys = v
                .keys
                .map_or(String::new(), |k| format!("{{{}}}", k.join(",")));
            let (from, to) = match &v.strategy {
                super::PartitionStrategy::RepartitionRequired { from_key, to_key } => (
                    format!("{{{}}}", from_key.join(",")),
                    format!("->{{{}}}", to_key.join(",")),
                ),
                _ => Default::default(),
            };
            let then = v
                .then_key
                .map_or(String::new(), |k| format!("->{{{}}}", k.join(",")));
            format!("{} {name}{keys}{from}{to}{then} {}", v.category, v.router)
        }
        Ok(Some(Err(error))) => format!("{} {}", error.code, error.message),
        Ok(None) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn check(schema: &str, cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(query, expected)| (query, expected, verdict(schema, query)))
        .filter(|(_, expected, got)| !got.starts_with(*expected))
        .map(|(query, expected, got)| format!("{query}\n  expected {expected}\n  got      {got}"))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn aligned_is_a_proof() {
    check(
        SCHEMA,
        &[
            // One grouping over a source: nothing is known of it.
            (
                "SELECT k, COUNT(*) FROM t GROUP BY k",
                "2 FullyPartitionable{k} AlwaysHash",
            ),
            (
                "SELECT k, COUNT(*) FROM t GROUP BY k, 'x'",
                "2 FullyPartitionable{k} AlwaysHash",
            ),
            ("SELECT COUNT(*) FROM t GROUP BY 'x'", "2 Passthrough FanIn"),
            ("SELECT COUNT(*) FROM t", "4 TwoPhaseAggregation{} FanIn"),
            (
                "SELECT DISTINCT name FROM t",
                "2 FullyPartitionable{name} AlwaysHash",
            ),
            (
                "SELECT k + 1 AS x, COUNT(*) FROM t GROUP BY k + 1",
                "2 FullyPartitionable{x} AlwaysHash",
            ),
            // The same key, under another name, or with more keys.
            (
                "SELECT k, MAX(n) FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k) AS q GROUP BY k",
                "2 FullyPartitionable{k} SmartRepartition",
            ),
            (
                "SELECT x, MAX(n) FROM (SELECT k AS x, COUNT(*) AS n FROM t GROUP BY k) AS q \
                 GROUP BY x",
                "2 FullyPartitionable{x} SmartRepartition",
            ),
            (
                "SELECT k, n, COUNT(*) FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k) AS q \
                 GROUP BY n, k",
                "2 FullyPartitionable{k} SmartRepartition",
            ),
            (
                "WITH q AS (SELECT k, name, COUNT(*) AS n FROM t GROUP BY k, name HAVING \
                 COUNT(*) > 1) \
                 SELECT name, k, SUM(n) FROM q WHERE n < 5 GROUP BY name, k",
                "2 FullyPartitionable{name,k} SmartRepartition",
            ),
            // Fewer keys, another key, an expression of the key, a key that is no column any more.
            (
                "SELECT k, MAX(n) FROM (SELECT k, name, COUNT(*) AS n FROM t GROUP BY k, name) \
                 AS q GROUP BY k",
                "2 RepartitionRequired{k,name}->{k} AlwaysHash",
            ),
            (
                "SELECT n, COUNT(*) FROM (SELECT COUNT(*) AS n FROM t GROUP BY k) AS q GROUP BY n",
                "2 RepartitionRequired{k}->{n} AlwaysHash",
            ),
            (
                "SELECT x, COUNT(*) FROM (SELECT k + 1 AS x, COUNT(*) AS n FROM t GROUP BY k) \
                 AS q GROUP BY x",
                "2 RepartitionRequired{k}->{x} AlwaysHash",
            ),
            (
                "SELECT k % 2 AS x, COUNT(*) FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k) \
                 AS q GROUP BY k % 2",
                "2 RepartitionRequired{k}->{x} AlwaysHash",
            ),
            (
                "SELECT k, COUNT(*) FROM (SELECT DISTINCT k, name FROM t) AS q GROUP BY k",
                "2 RepartitionRequired{k,name}->{k} AlwaysHash",
            ),
            // Another column under the key's name.
            (
                "SELECT k, COUNT(*) FROM (SELECT n AS k FROM (SELECT k, COUNT(*) AS n FROM t \
                 GROUP BY k) AS a) AS b \
                 GROUP BY k",
                "2 RepartitionRequired{k}->{k} AlwaysHash",
            ),
        ],
    );
}

#[test]
fn casts_keep_the_proof_where_they_widen() {
    check(
        SCHEMA,
        &[
            (
                "SELECT c, COUNT(*) FROM (SELECT CAST(i AS BIGINT) AS c FROM \
                 (SELECT i, COUNT(*) AS n FROM t GROUP BY i) AS a) AS b GROUP BY c",
                "2 FullyPartitionable{c} SmartRepartition",
            ),
            (
                "SELECT c, COUNT(*) FROM (SELECT CAST(k AS INT) AS c FROM \
                 (SELECT k, COUNT(*) AS n FROM t GROUP BY k) AS a) AS b GROUP BY c",
                "2 RepartitionRequired{k}->{c} AlwaysHash",
            ),
            (
                "SELECT c, COUNT(*) FROM (SELECT CAST(k AS DOUBLE) AS c FROM \
                 (SELECT k, COUNT(*) AS n FROM t GROUP BY k) AS a) AS b GROUP BY c",
                "2 RepartitionRequired{k}->{c} AlwaysHash",
            ),
            (
                "SELECT c, COUNT(*) FROM (SELECT TRY_CAST(name AS BIGINT) AS c FROM \
                 (SELECT name, COUNT(*) AS n FROM t GROUP BY name) AS a) AS b GROUP BY c",
                "2 RepartitionRequired{name}->{c} AlwaysHash",
            ),
            // All on one shard already.
            (
                "SELECT n, COUNT(*) FROM (SELECT COUNT(*) AS n FROM t) AS q GROUP BY n",
                "4 TwoPhaseAggregation{n} FanIn",
            ),
        ],
    );
}

#[test]
fn joins_are_together_by_what_is_not_padded() {
    let on = |kind: &str, key: &str| {
        format!("SELECT {key}, COUNT(*) FROM t AS a {kind} JOIN u AS b ON a.k = b.k GROUP BY {key}")
    };
    let smart = "5 FullyPartitionable{k} SmartRepartition";
    let again = "5 RepartitionRequired{k}->{k}->{k} AlwaysHash";
    for (kind, left, right) in [
        ("INNER", smart, smart),
        ("LEFT", smart, again),
        ("RIGHT", again, smart),
        ("FULL", again, again),
    ] {
        check(
            SCHEMA,
            &[(&on(kind, "a.k"), left), (&on(kind, "b.k"), right)],
        );
    }
    check(
        SCHEMA,
        &[
            (
                "SELECT a.d FROM t AS a JOIN u AS b ON a.k = b.k",
                "5 FullyPartitionable{k} AlwaysHash",
            ),
            // A table of unknown size is not replicated.
            (
                "SELECT tier FROM t JOIN p ON t.k = p.k",
                "5 FullyPartitionable{k} AlwaysHash",
            ),
            // INT = BIGINT: the smaller one is widened, and hashed so.
            (
                "SELECT a.i, COUNT(*) FROM t AS a JOIN u AS b ON a.i = b.k GROUP BY a.i",
                "5 FullyPartitionable{i} SmartRepartition",
            ),
            // BIGINT = DOUBLE is compared as DOUBLE, and grouped as BIGINT.
            (
                "SELECT a.k, COUNT(*) FROM t AS a JOIN u AS b ON a.k = b.d GROUP BY a.k",
                "5 RepartitionRequired",
            ),
            // Both sides regrouped by the join's key.
            (
                "SELECT a.n, b.n FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k) AS a \
                 JOIN (SELECT k, COUNT(*) AS n FROM u GROUP BY k) AS b ON a.k = b.k",
                "5 FullyPartitionable{k} SmartRepartition",
            ),
            // One side only.
            (
                "SELECT a.n, b.d FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k) AS a \
                 JOIN u AS b ON a.k = b.k",
                "5 FullyPartitionable{k} AlwaysHash",
            ),
            // No equality.
            (
                "SELECT a.d FROM t AS a JOIN u AS b ON a.k < b.k",
                "5 Passthrough FanIn",
            ),
            (
                "SELECT k, COUNT(*) FROM t WHERE k IN (SELECT k FROM u) GROUP BY k",
                "5 FullyPartitionable{k} SmartRepartition",
            ),
            (
                "SELECT k, COUNT(*) FROM t WHERE d > (SELECT AVG(d) FROM u) GROUP BY k",
                "4 TwoPhaseAggregation{k} FanIn",
            ),
        ],
    );
}

#[test]
fn windows_unions_and_order() {
    check(
        SCHEMA,
        &[
            (
                "SELECT k, COUNT(*) FROM t GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)",
                "3 FullyPartitionable{k} AlwaysHash",
            ),
            (
                "SELECT COUNT(*) FROM t GROUP BY HOP(ts, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE)",
                "3 Passthrough StickyPartition",
            ),
            (
                "SELECT k, MAX(n) FROM (SELECT k, TUMBLE(ts, INTERVAL '1' MINUTE), COUNT(*) AS n \
                 FROM t GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)) AS q GROUP BY k",
                "3 FullyPartitionable{k} SmartRepartition",
            ),
            // The window alone is no key: one shard merges.
            (
                "SELECT window_start, MAX(n) FROM (SELECT k, TUMBLE(ts, INTERVAL '1' MINUTE), \
                 COUNT(*) AS n FROM t GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)) AS q \
                 GROUP BY window_start",
                "3 TwoPhaseAggregation{k} FanIn",
            ),
            (
                "SELECT k, SUM(n) FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k UNION ALL \
                 SELECT k, COUNT(*) AS n FROM u GROUP BY k) AS q GROUP BY k",
                "2 FullyPartitionable{k} SmartRepartition",
            ),
            (
                "SELECT k, SUM(n) FROM (SELECT k, COUNT(*) AS n FROM t GROUP BY k UNION ALL \
                 SELECT i, COUNT(*) AS n FROM u GROUP BY i, name) AS q GROUP BY k",
                "2 ",
            ),
            (
                "SELECT k, ROW_NUMBER() OVER (PARTITION BY name ORDER BY d) FROM t",
                "3 FullyPartitionable{name} AlwaysHash",
            ),
            (
                "SELECT k, ROW_NUMBER() OVER (ORDER BY d) FROM t",
                "3 Passthrough FanIn",
            ),
            (
                "SELECT k, n, RANK() OVER (PARTITION BY k ORDER BY n) FROM \
                 (SELECT k, name, COUNT(*) AS n FROM t GROUP BY k, name) AS q",
                "3 RepartitionRequired{k,name}->{k} AlwaysHash",
            ),
            (
                "SELECT k FROM t ORDER BY d LIMIT 3",
                "4 TwoPhaseAggregation{} FanIn",
            ),
            (
                "SELECT k FROM t EMIT CHANGES",
                "1 Passthrough StickyPartition",
            ),
            ("SELECT COUNT(*) FROM t EMIT CHANGES", "4 Passthrough FanIn"),
            (
                "SET auto_select_strategy = false; SELECT COUNT(*) FROM t",
                "4 Passthrough AlwaysHash",
            ),
            (
                "SET auto_select_strategy = false; SELECT k, MAX(n) FROM \
                 (SELECT k, COUNT(*) AS n FROM t GROUP BY k) AS q GROUP BY k",
                "2 RepartitionRequired{k}->{k} AlwaysHash",
            ),
        ],
    );
}

#[test]
fn what_a_source_asks_for() {
    let schema = |asked: &str| {
        format!(
            "CREATE SOURCE t (k BIGINT, d DOUBLE) WITH (connector = 'file', path = 't', \
             format = 'json', partitioning = '{asked}');\n"
        )
    };
    let (one, keyed) = ("SELECT SUM(d) FROM t", "SELECT k, SUM(d) FROM t GROUP BY k");
    let plain = "SELECT k FROM t";
    for (asked, of_plain, of_one, of_keyed) in [
        (
            "always_hash",
            "1 Passthrough AlwaysHash",
            "4 Passthrough AlwaysHash",
            "2 FullyPartitionable{k} AlwaysHash",
        ),
        ("smart", "1 Passthrough SmartRepartition", "E0501", "E0501"),
        (
            "round_robin",
            "1 Passthrough RoundRobin",
            "4 TwoPhaseAggregation{} RoundRobin",
            "E0501",
        ),
        (
            "sticky",
            "1 Passthrough StickyPartition",
            "4 TwoPhaseAggregation{} StickyPartition",
            "2 FullyPartitionable{k} StickyPartition",
        ),
        (
            "fan_in",
            "1 Passthrough FanIn",
            "4 TwoPhaseAggregation{} FanIn",
            "2 FullyPartitionable{k} FanIn",
        ),
        ("hash", "error[E0104]", "error[E0104]", "error[E0104]"),
    ] {
        check(
            &schema(asked),
            &[(plain, of_plain), (one, of_one), (keyed, of_keyed)],
        );
    }
}

#[test]
fn widening_keeps_the_hash() {
    use datafusion::arrow::datatypes::{DataType as D, TimeUnit as T};
    let time = |unit| D::Timestamp(unit, None);
    for (from, to, widening) in [
        (D::Int32, D::Int64, true),
        (D::Int64, D::Int32, false),
        (D::UInt32, D::Int64, true),
        (D::UInt64, D::Int64, false),
        (D::Int32, D::UInt64, false),
        (D::Int64, D::Float64, false),
        (D::Float32, D::Float64, false),
        (D::Utf8, D::LargeUtf8, true),
        (D::Utf8, D::Int64, false),
        (time(T::Millisecond), time(T::Nanosecond), true),
        (time(T::Nanosecond), time(T::Millisecond), false),
        (D::Date32, time(T::Second), false),
        (D::Decimal128(10, 2), D::Decimal128(12, 4), true),
        (D::Decimal128(10, 2), D::Decimal128(10, 4), false),
        (D::Decimal128(10, 2), D::Decimal128(12, 1), false),
        (D::Int64, D::Decimal128(20, 0), false),
    ] {
        assert_eq!(is_widening(&from, &to), widening, "{from} -> {to}");
    }
}

#[test]
fn strategies_have_names() {
    for strategy in StrategyConfig::ALL {
        assert_eq!(strategy.option().parse(), Ok(strategy));
        assert_eq!(strategy.to_string().parse(), Ok(strategy));
    }
    assert!("hash".parse::<StrategyConfig>().is_err());
}

#[test]
fn the_syntax_tree_alone_suggests_a_router() {
    use datafusion::sql::sqlparser::parser::Parser;
    let read = |text: &str| {
        let parser = Parser::new(&crate::dialect::DIALECT).try_with_sql(text);
        let query = parser.and_then(|mut p| p.parse_query()).expect("it parses");
        QueryAnalysisForPartitioning::from_ast(&query)
    };
    let found =
        read("SELECT k, COUNT(*) FROM t GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE) ORDER BY k");
    assert_eq!(found.group_by_columns, ["k"]);
    assert_eq!(found.order_by_columns, ["k"]);
    assert_eq!(found.window_type.as_deref(), Some("TUMBLE"));
    assert!(found.has_group_by && found.has_order_by && found.has_window);
    for (text, router) in [
        ("SELECT k FROM t", StrategyConfig::RoundRobin),
        ("SELECT COUNT(*) FROM t", StrategyConfig::FanIn),
        ("SELECT k FROM t ORDER BY k", StrategyConfig::FanIn),
        (
            "SELECT k, COUNT(*) FROM t GROUP BY k",
            StrategyConfig::AlwaysHash,
        ),
        (
            "SELECT RANK() OVER (PARTITION BY k ORDER BY d) FROM t",
            StrategyConfig::AlwaysHash,
        ),
        (
            "SELECT COUNT(*) FROM t GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
            StrategyConfig::StickyPartition,
        ),
    ] {
        assert_eq!(read(text).suggest_strategy(), router, "{text}");
    }
}
