//! Two paths, one answer: the same SQL over the same records, once through the shards and once in
//! batch by DataFusion, at 1, 2 and 4 shards, with frames of 1, 7 and 1,024 rows, on plain
//! threads.

#![allow(clippy::unwrap_used)] // These are tests.

mod asked;
mod asof;
mod changelog;
mod compare;
mod crash;
mod data;
mod endless;
mod expressions;
mod forgotten;
mod generate;
mod joins;
mod late;
mod lookups;
mod near;
mod nexmark;
mod pairs;
mod queries;
mod sequence;
mod splits;
mod tape;
mod windows;

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use trefoil_ring0::runtime::Executor;

use compare::{Case, Changes, Lenient, Order, Verdict, compare};
use data::{COLUMNS, lines};
use tape::Tape;

/// Compares a query over lines of [`COLUMNS`]; none of these is refused.
fn check(name: &str, lines: &str, query: &str, executors: &[Executor]) -> Result<(), String> {
    let case = Case {
        name,
        columns: COLUMNS,
        lines,
        query,
        batch: query,
        lenient: Lenient::default(),
        changes: Changes::Any,
        keyless: false,
        order: Order::Any,
    };
    run_all(&case, executors)
}

/// As [`check`], of a query that DataFusion has in other words; its rows are in an order.
fn check_pair(name: &str, lines: &str, pair: &(&str, &str), order: Order) -> Result<(), String> {
    let case = Case {
        name,
        columns: COLUMNS,
        lines,
        query: pair.0,
        batch: pair.1,
        lenient: Lenient::default(),
        changes: Changes::Any,
        keyless: false,
        order,
    };
    run_all(&case, &[Executor::Threads])
}

fn run_all(case: &Case<'_>, executors: &[Executor]) -> Result<(), String> {
    match compare(case, executors)? {
        Verdict::Refused => Err(format!("{}\nis refused", case.query)),
        _ => Ok(()),
    }
}

#[test]
fn hand_written_queries() {
    let both = [Executor::Threads, Executor::Uring];
    let all = lines(700, 42);
    for (number, query) in queries::HAND_WRITTEN.iter().enumerate() {
        for (name, lines) in [("hand", all.as_str()), ("none", "")] {
            check(&format!("{name}-{number}"), lines, query, &both).unwrap();
        }
    }
}

/// Over every record and over none, on threads.
fn check_all(name: &str, queries: &[&str], order: Order) {
    let some = lines(120, 13);
    let alike = |(number, query): (usize, &&str)| {
        let name = format!("{name}-{number}");
        [some.as_str(), ""].map(|lines| check_pair(&name, lines, &(query, query), order))
    };
    let compared = queries.iter().enumerate().flat_map(alike);
    let differences: Vec<_> = compared.filter_map(Result::err).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn unions() {
    check_all("unions", joins::UNIONS, Order::Any);
    check_all("ordered-unions", joins::ORDERED_UNIONS, Order::Said);
}

#[test]
fn joins_of_all_kinds() {
    check_all("joins", joins::JOINS, Order::Any);
}

#[test]
fn joins_of_changes() {
    check_all("changed", joins::CHANGED, Order::Any);
}

#[test]
fn subqueries() {
    check_all("subqueries", joins::SUBQUERIES, Order::Any);
}

#[test]
fn types_and_functions() {
    let all = lines(300, 7);
    let compared = queries::TYPES.iter().enumerate().map(|(number, query)| {
        check(
            &format!("types-{number}"),
            &all,
            query,
            &[Executor::Threads],
        )
    });
    let differences: Vec<_> = compared.filter_map(Result::err).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn pairs_of_queries() {
    let some = lines(300, 11);
    let alike = |(number, query): (usize, &(&str, &str))| {
        let name = format!("pairs-{number}");
        [some.as_str(), ""].map(|lines| check_pair(&name, lines, query, Order::Any))
    };
    let compared = pairs::PAIRS.iter().enumerate().flat_map(alike);
    let differences: Vec<_> = compared.filter_map(Result::err).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn queries_in_an_order() {
    let some = lines(300, 12);
    let alike = |(number, query): (usize, &&str)| {
        let name = format!("ordered-{number}");
        [some.as_str(), ""].map(|lines| check_pair(&name, lines, &(query, query), Order::Said))
    };
    let compared = pairs::ORDERED.iter().enumerate().flat_map(alike);
    let differences: Vec<_> = compared.filter_map(Result::err).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn grouping_sets() {
    check_all("sets", queries::SETS, Order::Any);
}

/// A changelog is right after each record, and whatever is computed from results that change.
#[test]
fn changelogs_are_right_after_each_record() {
    let all = lines(24, 5);
    let all_queries = queries::CHANGING
        .iter()
        .chain(queries::SETS)
        .chain(joins::CHANGED)
        // Where no row came yet, the group of all comes at the end of a prefix.
        .filter(|query| !query.contains("UNNEST"))
        .enumerate();
    let compared = all_queries.map(|(number, query)| {
        let case = Case {
            name: &format!("prefix-{number}"),
            columns: COLUMNS,
            lines: &all,
            query,
            batch: query,
            lenient: Lenient::default(),
            changes: Changes::Any,
            keyless: false,
            order: Order::Any,
        };
        changelog::compare_prefixes(&case)
    });
    let differences: Vec<_> = compared.filter_map(Result::err).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn what_is_computed_from_changes() {
    let some = lines(300, 13);
    let alike = |(number, query): (usize, &&str)| {
        let name = format!("changing-{number}");
        [some.as_str(), ""].map(|lines| check(&name, lines, query, &[Executor::Threads]))
    };
    let compared = queries::CHANGING.iter().enumerate().flat_map(alike);
    let differences: Vec<_> = compared.filter_map(Result::err).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Any keys, any aggregates, any filter, any data.
    #[test]
    fn generated_aggregations(
        seed in any::<u64>(),
        count in prop_oneof![Just(0u64), Just(1), 2..40u64, 40..1500u64],
        keys in prop::sample::subsequence(vec!["k", "s", "b", "d", "t", "y", "i % 7"], 0..4),
        calls in prop::sample::subsequence(vec![
            "COUNT(*)", "COUNT(s)", "SUM(i)", "SUM(x)", "AVG(i)", "AVG(x)", "MIN(k)", "MAX(s)",
            "MIN(x)", "MAX(x)", "MIN(s)", "MAX(d)", "MIN(t)", "MAX(b)", "STDDEV(i)",
            "SUM(i * 2 + k)", "COUNT(DISTINCT s)", "SUM(DISTINCT k)", "MEDIAN(i)",
            "COUNT(DISTINCT i) FILTER (WHERE k > 1)", "FIRST_VALUE(i ORDER BY i)",
            "LAST_VALUE(s ORDER BY i, s)",
            "BOOL_OR(b)", "BIT_XOR(i)", "STRING_AGG(s, '+' ORDER BY s)",
            "ARRAY_AGG(k ORDER BY i DESC, k)",
            "ARRAY_AGG(DISTINCT s ORDER BY s)", "AVG(DISTINCT i)",
        ], 1..6),
        filter in prop::sample::select(vec![
            "", " WHERE i > 0", " WHERE x < 1.0 OR b", " WHERE s IS NOT NULL AND k <> 1",
            " WHERE NOT (k = 2 AND b)", " WHERE UPPER(s) = 'A'", " WHERE y > 0.0",
        ]),
        having in prop::sample::select(vec!["", " HAVING COUNT(*) > 2", " HAVING MAX(i) > 0"]),
        window in prop::sample::select(vec!["", "TUMBLE(ts, INTERVAL '3' MINUTE)"]),
    ) {
        let mut groups: Vec<&str> = keys;
        let mut list: Vec<String> =
            groups.iter().enumerate().map(|(n, k)| format!("{k} AS g{n}")).collect();
        if !window.is_empty() {
            groups.push(window);
            list.push("window_start".to_owned());
        }
        list.extend(calls.iter().enumerate().map(|(n, c)| format!("{c} AS a{n}")));
        let by = if groups.is_empty() {
            String::new()
        } else {
            format!(" GROUP BY {}", groups.join(", "))
        };
        let query = format!("SELECT {} FROM r{filter}{by}{having}", list.join(", "));
        check(&format!("gen-{seed}"), &lines(count, seed), &query, &[Executor::Auto]).unwrap();
    }
}

/// The number that an environment variable holds.
fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// How many joins of each kind are generated: `TREFOIL_JOIN_CASES`, else so many.
fn join_cases(otherwise: u32) -> ProptestConfig {
    ProptestConfig {
        cases: setting("TREFOIL_JOIN_CASES", otherwise.into()) as u32,
        ..ProptestConfig::default()
    }
}

/// Any query over any records. `TREFOIL_ORACLE_CASES` says how many, `TREFOIL_ORACLE_SEED` where to
/// begin: case n of a seed is the first one of seed + n.
#[test]
fn generated_queries() {
    let seed = setting("TREFOIL_ORACLE_SEED", 1);
    let cases = setting("TREFOIL_ORACLE_CASES", 200);
    let told = |difference: &String| eprintln!("{difference}\n");
    let compared = (seed..seed + cases).map(generated);
    let compared: Vec<_> = compared
        .inspect(|c| _ = c.as_ref().inspect_err(|d| told(d)))
        .collect();
    let of = |verdict| compared.iter().filter(|v| **v == Ok(verdict)).count();
    let [same, failed, wide, lenient, refused] = [
        Verdict::Same,
        Verdict::Failed,
        Verdict::OutOfRange,
        Verdict::Lenient,
        Verdict::Refused,
    ]
    .map(of);
    let differences: Vec<_> = compared.into_iter().filter_map(Result::err).collect();
    eprintln!(
        "{cases} cases from seed {seed}: {same} same, {failed} failed on both, {wide} out of \
         range, {lenient} failed on one that may, {refused} refused, {} differ",
        differences.len()
    );
    assert!(differences.is_empty(), "{} differ", differences.len());
    assert!(refused as u64 * 10 <= cases, "most run");
    assert!(
        same as u64 * 2 >= cases || cases < 20,
        "most have an answer"
    );
}

/// Compares one generated query; tells of a difference what is left of it when it is made small.
fn generated(seed: u64) -> Result<Verdict, String> {
    let parts = (
        prop::collection::vec(any::<u32>(), 10..40),
        prop::collection::vec(any::<u32>(), 20..240),
        prop_oneof![Just(0u64), 1..4u64, 4..60u64],
        any::<u64>(),
    );
    let mut key = [7; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let config = ProptestConfig {
        max_shrink_iters: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let tree = parts.new_tree(&mut runner).unwrap();
    let verdict = Cell::new(Verdict::Refused);
    let outcome = runner.run_one(tree, |(table, query, count, data)| {
        let (columns, declared) = data::columns(&mut Tape::new(table));
        let query = generate::query(&columns, &mut Tape::new(query));
        let case = Case {
            name: &format!("any-{seed}"),
            columns: &declared,
            lines: &data::records(&columns, count, data),
            query: &query.engine,
            batch: &query.batch,
            lenient: query.lenient,
            changes: query.changes,
            keyless: query.keyless,
            order: query.order,
        };
        let told = |d| TestCaseError::fail(format!("{d}\n{declared}\n{}", case.lines));
        verdict.set(compare(&case, &[Executor::Threads]).map_err(told)?);
        Ok(())
    });
    match outcome {
        Err(TestError::Fail(reason, _)) => Err(format!(
            "TREFOIL_ORACLE_SEED={seed} TREFOIL_ORACLE_CASES=1\n{reason}"
        )),
        other => other.map(|_| verdict.get()).map_err(|e| e.to_string()),
    }
}
