//! `trefoil explain` over the acceptance pack: strategies and keys as expected, refusals at their
//! places, a summary of the folder, exit codes.

#![allow(clippy::unwrap_used)] // These are tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn pack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fr082")
}

fn explain(paths: &[PathBuf], options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trefoil"))
        .arg("explain")
        .args(paths)
        .args(options)
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Fields that an expectation may name.
const FIELDS: [&str; 7] = [
    "category",
    "strategy",
    "keys",
    "from_key",
    "to_key",
    "then_key",
    "replicated_table",
];

#[test]
fn queries_are_partitioned_as_expected() {
    let text = std::fs::read_to_string(pack().join("queries/expectations.json")).unwrap();
    let expected: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut wrong = Vec::new();
    for case in &expected {
        let name = case["query"].as_str().unwrap();
        let paths = [pack().join("schema.sql"), pack().join("queries").join(name)];
        let output = explain(&paths, &["--format", "json"]);
        let got = json(&output);
        assert_eq!(got["schema_version"], 1);
        let queries = got["queries"].as_array().unwrap();
        assert_eq!(queries.len(), 1, "{name}");
        let got = &queries[0];
        if let Some(error) = case.get("error") {
            assert_eq!(output.status.code(), Some(3), "{name}");
            for field in ["line", "column"] {
                assert_eq!(got["error"][field], error[field], "{name} {field}");
            }
            let near = error["near"].as_str().unwrap();
            assert!(
                got["error"]["message"].as_str().unwrap().contains(near),
                "{name}"
            );
            continue;
        }
        assert_eq!(output.status.code(), Some(0), "{name}");
        let also = case.get("also_accepted");
        let other = also.is_some_and(|a| a["strategy"] == got["strategy"]);
        for field in FIELDS {
            let wanted = match (also, field) {
                (Some(also), "strategy" | "replicated_table") if other => also.get(field),
                (Some(_), "keys") if other => None,
                _ => case.get(field),
            };
            if let Some(wanted) = wanted
                && got[field] != *wanted
            {
                wrong.push(format!("{name} {field}: {} and not {wanted}", got[field]));
            }
        }
        assert!(!got["reason"].as_str().unwrap().is_empty(), "{name}");
        assert!(!got["stages"].as_array().unwrap().is_empty(), "{name}");
        assert!(got["runnable"].is_boolean(), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A query that is explained as runnable runs, and no other does.
#[test]
fn runnable_is_what_run_accepts() {
    let output = explain(
        &[pack().join("schema.sql"), pack().join("queries")],
        &["--format", "json"],
    );
    let explained = json(&output);
    for query in explained["queries"].as_array().unwrap() {
        let name = query["file"].as_str().unwrap();
        let ran = Command::new(env!("CARGO_BIN_EXE_trefoil"))
            .args(["run", "--cores", "1", "--format", "csv"])
            .args([pack().join("schema.sql"), pack().join("queries").join(name)])
            .output()
            .unwrap();
        let code = if query["runnable"] == true { 0 } else { 3 };
        assert_eq!(ran.status.code(), Some(code), "{name}");
    }
}

#[test]
fn a_folder_ends_with_a_summary_and_goes_on_behind_refusals() {
    let paths = [pack().join("schema.sql"), pack().join("queries")];
    let output = explain(&paths, &[]);
    assert_eq!(output.status.code(), Some(3), "two queries are refused");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "-- 02_malformed.sql\nrefused     ",
        "02_malformed.sql:1:25: error[E0101]",
        "07_sliding_zscore_invalid.sql:9:6: error[E0203]",
        "-- 14_common_products.sql\nstrategy    RepartitionRequired",
        "19 queries: 17 accepted",
        "2 refused",
        "category 5 join            5",
        "fully partitionable: 8 of 17 (47 %)",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("error[E0203]"), "{errors}");
}

#[test]
fn sql_on_the_command_line_and_drawings() {
    let schema = pack().join("schema.sql");
    let query = "SELECT symbol, COUNT(*) AS n FROM trades GROUP BY symbol";
    for (format, part) in [
        ("text", "router      AlwaysHash"),
        ("mermaid", "flowchart LR\n  subgraph q1"),
        ("dot", "digraph plan {\n  subgraph cluster_q1"),
    ] {
        let output = explain(
            std::slice::from_ref(&schema),
            &["-c", query, "--format", format],
        );
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert_eq!(
        explain(&[], &[]).status.code(),
        Some(2),
        "nothing to explain"
    );
}
