//! What a comparison writes, and that a wrong answer is told. Nothing here looks at how fast
//! anything is.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const COMPARE: &str = env!("CARGO_BIN_EXE_trefoil-compare");
const SHORT: [&str; 8] = [
    "--rows",
    "20000",
    "--queries",
    "100,tumbling",
    "--runs",
    "2",
    "--warmup",
    "0",
];

/// Without any of Python's peers.
fn compare(arguments: &[&str]) -> Output {
    let mut command = Command::new(COMPARE);
    command.env("TREFOIL_BENCH_PYTHON", "/nowhere/python3");
    command.args(SHORT).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn all_agree_and_have_their_figures() {
    let output = compare(&["--json", "-"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["schema_version"], 1);
    assert_eq!(result["runs"].as_array().unwrap().len(), 2);
    for query in ["100", "100,2", "tumbling", "tumbling,2"] {
        for peer in ["timely", "differential"] {
            let rate = &result["metrics"][format!("{peer}@{query}")];
            assert!(rate["median"].as_f64().unwrap() > 0.0, "{peer}@{query}");
            assert_eq!(rate["unit"], "records/s");
            assert!(result["ratios"][format!("engine/{peer}@{query}")].is_number());
        }
        assert!(result["metrics"][format!("engine@{query}")].is_object());
    }
    let notes = result["notes"].as_array().unwrap();
    for missing in ["duckdb", "polars", "datafusion", "flink"] {
        let told = format!("{missing} is left out");
        let is_told = |note: &Value| note.as_str().unwrap().starts_with(&told);
        assert!(notes.iter().any(is_told), "{missing}: {notes:?}");
        assert!(text(&output.stderr).contains(&told));
    }
}

#[test]
fn a_wrong_answer_is_told() {
    for peer in ["engine", "timely", "differential"] {
        let output = compare(&["--json", "-", "--workers", "1", "--spoil", peer]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{peer}: {said}");
        for query in ["100", "tumbling"] {
            let told = format!("error: {peer} is wrong at {query}");
            assert!(said.contains(&told), "{peer}: {said}");
        }
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["valid"], false);
        let why = result["why_invalid"].as_str().unwrap();
        assert!(why.contains(&format!("{peer} is wrong")), "{why}");
    }
}

#[test]
fn who_does_not_run_is_given_nothing_wrong() {
    for peer in ["duckdb", "differential"] {
        let output = compare(&["--peers", "timely,duckdb", "--spoil", peer]);
        assert_eq!(output.status.code(), Some(1), "{peer}");
        let told = format!("error: {peer} is given no data here");
        assert!(text(&output.stderr).contains(&told), "{peer}");
    }
}

#[test]
fn wrong_usage_is_refused() {
    for arguments in [["--peers", "nobody"], ["--workers", "0"], ["--fast", "1"]] {
        assert_eq!(compare(&arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_script_passes_on_what_is_wrong() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compare.sh");
    let script = |arguments: &[&str]| {
        let mut command = Command::new(&script);
        command.env("TREFOIL_COMPARE", COMPARE);
        command.env("TREFOIL_BENCH_PYTHON", "/nowhere/python3");
        command.args(arguments);
        command.output().unwrap().status.code()
    };
    let short = ["--columns", "--json", "-", "--"].into_iter().chain(SHORT);
    let short: Vec<&str> = short
        .chain(["--workers", "1", "--peers", "timely"])
        .collect();
    assert_eq!(script(&short), Some(0));
    let spoiled = [&short[..], &["--spoil", "timely"]].concat();
    assert_eq!(script(&spoiled), Some(1));
    assert_eq!(script(&["--columns", "--bench"]), Some(2));
    assert_eq!(script(&["--slow"]), Some(2));
}
