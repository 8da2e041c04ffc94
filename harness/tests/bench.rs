//! `trefoil bench`: what it lists, writes and refuses. Nothing here looks at how fast anything is.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trefoil"))
        .arg("bench")
        .args(arguments)
        .output()
        .expect("the binary is there")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A run that is over at once; `more` is appended.
fn small(more: &[&str]) -> Output {
    let mut arguments = vec!["keyed", "--quick", "--rows", "20000", "--warmup", "0"];
    arguments.extend(["--runs", "2", "--cores", "2"]);
    arguments.extend(more);
    bench(&arguments)
}

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("trefoil-bench-{}-{name}", std::process::id()))
}

#[test]
fn all_benchmarks_are_listed() {
    let output = bench(&["--list"]);
    let text = stdout(&output);
    assert!(output.status.success());
    for name in [
        "roofline",
        "keyed",
        "files",
        "latency",
        "windows",
        "categories",
        "checkpoint",
        "nexmark",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
    }
}

/// Each query has its figures, or is named with the reason.
#[test]
fn all_queries_of_nexmark_are_told() {
    let small = [
        "--rows", "2000", "--runs", "1", "--warmup", "0", "--cores", "2",
    ];
    let output = bench(&[["nexmark", "--json", "-"].as_slice(), small.as_slice()].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let notes = result["notes"].to_string();
    for number in 0..=22 {
        if notes.contains(&format!("q{number} does not run: ")) {
            continue;
        }
        for name in [format!("engine@q{number}"), format!("engine@q{number},2")] {
            let metric = &result["metrics"][&name];
            assert!(metric["median"].as_f64().unwrap() > 0.0, "{name}");
            assert_eq!(metric["unit"], "records/s");
        }
        let ratio = format!("scaling@q{number},2");
        assert!(result["ratios"][&ratio].as_f64().unwrap() > 0.0, "{ratio}");
    }
    assert!(result["ratios"]["scaling@2"].as_f64().unwrap() > 0.0);
    assert!(notes.contains("q14: letters are counted"), "{notes}");
    let output = bench(&["nexmark", "--rows", "49"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn results_have_their_shape() {
    let output = small(&["--json", "-"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(result["schema_version"], 1);
    assert_eq!(result["name"], "keyed");
    assert!(result["machine"]["cores"].as_u64().unwrap() > 0);
    for fact in ["cpu", "kernel"] {
        assert!(result["machine"][fact].is_string(), "{fact}");
    }
    let command = result["command"].as_str().unwrap();
    assert!(
        command.starts_with("trefoil bench keyed --quick"),
        "{command}"
    );
    assert!(result.get("commit").is_some());
    assert_eq!(result["runs"].as_array().unwrap().len(), 2);
    for keys in ["100", "10k", "1M", "10M"] {
        let ratio = format!("engine/roofline@{keys}");
        assert!(result["ratios"][&ratio].as_f64().unwrap() > 0.0, "{ratio}");
        for name in [format!("engine@{keys}"), format!("roofline@{keys}")] {
            let metric = &result["metrics"][&name];
            let number = |key: &str| metric[key].as_f64().unwrap();
            assert!(number("min") <= number("median") && number("median") <= number("max"));
            assert_eq!(metric["unit"], "records/s");
            assert!(result["runs"][0][&name].as_f64().unwrap() > 0.0);
        }
    }
    assert!(result["ratios"]["scaling@2"].as_f64().unwrap() > 0.0);
    // 20,000 rows have all of 100 keys and next to none of ten million.
    assert_eq!(result["metrics"]["groups@100"]["median"], 100.0);
    assert_eq!(result["valid"], false);
    let why = result["why_invalid"].as_str().unwrap();
    assert!(why.contains("of 10M keys"), "{why}");
    assert!(!why.contains("differ"), "{why}");
}

#[test]
fn checkpoints_are_measured() {
    let output = bench(&[
        "checkpoint",
        "--quick",
        "--rows",
        "3000",
        "--warmup",
        "0",
        "--runs",
        "1",
        "--cores",
        "2",
        "--rate",
        "2000",
        "--json",
        "-",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result: Value = serde_json::from_str(&stdout(&output)).unwrap();
    for ratio in ["p50", "p99", "p99.9", "throughput"] {
        let ratio = format!("checkpoint/none@{ratio}");
        assert!(result["ratios"][&ratio].as_f64().unwrap() > 0.0, "{ratio}");
    }
    for (figure, unit) in [
        ("state", "bytes"),
        ("taken", "ns"),
        ("checkpoint@turn_max", "ns"),
        ("none@throughput", "records/s"),
        ("recovery", "ns"),
    ] {
        let metric = &result["metrics"][figure];
        assert!(metric["median"].as_f64().unwrap() > 0.0, "{figure}");
        assert_eq!(metric["unit"], unit);
    }
    assert!(result["ratios"]["recovery/read"].as_f64().unwrap() > 0.0);
}

#[test]
fn people_get_a_table() {
    let output = small(&["--keys", "100"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(text.contains("engine/roofline@100 "), "{text}");
    assert!(!text.contains("@10k"), "{text}");
}

#[test]
fn several_results_are_an_array() {
    let path = file("several.json");
    let json = path.to_str().unwrap();
    let output = small(&["keyed", "--keys", "100", "--json", json]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    let results: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(results.as_array().unwrap().len(), 2);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_missed_threshold_is_an_exit_code() {
    let output = small(&["--keys", "100", "--threshold", "engine/roofline@100>=1e6"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("engine/roofline@100 is"), "{text}");
    // Whatever it is, it is written.
    assert!(stdout(&output).contains("engine/roofline@100 "));
    // A result that means nothing meets nothing.
    let output = small(&["--keys", "10M", "--threshold", "engine/roofline@10M>=0"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("invalid"), "{text}");
}

#[test]
fn wrong_usage_says_what_is_right() {
    for (arguments, word) in [
        (vec!["keyd"], "did you mean \"keyed\"?"),
        (vec!["nonsense"], "--list"),
        (vec![], "NAME"),
        (
            vec!["keyed", "--threshold", "engine/roofline@100"],
            "RATIO>=X",
        ),
        (
            vec!["keyed", "--threshold", "engine/roofline@7>=1"],
            "engine/roofline@100",
        ),
        (
            vec!["keyed", "--threshold", "engine/roofline@100>=fast"],
            "no number",
        ),
        (
            vec!["roofline", "--threshold", "engine/roofline@100>=1"],
            "no ratio",
        ),
        (vec!["keyed", "--rows", "0"], "1 to"),
        (vec!["keyed", "--keys", "7"], "10k"),
        (vec!["compare", "none.json", "none.json"], "none.json"),
    ] {
        let output = bench(&arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(word), "{arguments:?}: {text}");
    }
}

#[test]
fn results_of_different_machines_are_not_compared() {
    let output = small(&["--keys", "100", "--json", "-"]);
    let mut result: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let (a, b) = (file("a.json"), file("b.json"));
    std::fs::write(&a, result.to_string()).unwrap();
    result["machine"]["cpu"] = "another".into();
    std::fs::write(&b, result.to_string()).unwrap();
    let (a_name, b_name) = (a.to_str().unwrap(), b.to_str().unwrap());

    let same = bench(&["compare", a_name, a_name]);
    assert_eq!(same.status.code(), Some(0), "{}", stderr(&same));
    assert!(stdout(&same).contains("1.000"), "{}", stdout(&same));

    let other = bench(&["compare", a_name, b_name]);
    let text = stderr(&other);
    assert_eq!(other.status.code(), Some(2), "{text}");
    assert!(
        text.contains("different machines") && text.contains("--force"),
        "{text}"
    );

    let forced = bench(&["compare", "--force", a_name, b_name]);
    assert_eq!(forced.status.code(), Some(0), "{}", stderr(&forced));
    assert!(stdout(&forced).contains("engine@100"));
    std::fs::remove_file(a).unwrap();
    std::fs::remove_file(b).unwrap();
}

/// Whatever the machine does meanwhile, each figure is there, and stands beside its control.
#[test]
fn latency_stands_beside_its_control() {
    let mut arguments = vec!["latency", "--quick", "--rate", "1000,20000"];
    arguments.extend(["--duration", "1", "--runs", "1", "--warmup", "0"]);
    arguments.extend(["--cores", "2", "--json", "-"]);
    let output = bench(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(result["name"], "latency");
    for rate in ["1000", "20000"] {
        for p in ["50", "99", "99.9"] {
            let ratio = format!("engine/control_p{p}@{rate}");
            assert!(result["ratios"][&ratio].as_f64().unwrap() > 0.0, "{ratio}");
        }
        for figure in ["engine_whole_max", "control_whole_max", "engine_slip"] {
            let metric = &result["metrics"][format!("{figure}@{rate}")];
            assert_eq!(metric["unit"], "ns", "{figure}");
        }
        // What was late when it was sent was no earlier back.
        let median = |figure: &str| {
            let metric = &result["metrics"][format!("{figure}@{rate}")];
            metric["median"].as_f64().unwrap()
        };
        for side in ["engine", "control"] {
            let (max, slip) = (format!("{side}_whole_max"), format!("{side}_slip"));
            assert!(1.001 * median(&max) >= median(&slip), "{side}");
            assert!(
                median(&max) > 100.0,
                "{side}: nothing is there and back so soon"
            );
        }
    }
}

/// Few records: each figure is there, and results are those expected.
#[test]
fn windows_of_all_kinds_are_measured() {
    let mut arguments = vec!["windows", "--quick", "--rows", "20000", "--runs", "1"];
    arguments.extend(["--warmup", "0", "--cores", "2", "--json", "-"]);
    let output = bench(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(result["name"], "windows");
    for ratio in ["10", "100", "1000"] {
        let flat = result["ratios"][format!("flat@{ratio}")].as_f64().unwrap();
        assert!(flat > 0.0, "{ratio}");
    }
    for figure in [
        "1",
        "1000",
        "tumbling",
        "tumbling,2",
        "session",
        "session,2",
    ] {
        let metric = &result["metrics"][format!("engine@{figure}")];
        assert_eq!(metric["unit"], "records/s", "{figure}");
    }
    let longest = |name: &str| result["metrics"][name]["median"].as_f64().unwrap();
    assert!(longest("turn_whole_max@20000") >= longest("turn_max@20000"));
    let why = result["why_invalid"].as_str().unwrap_or_default();
    assert!(!why.contains("differ") && !why.contains("came"), "{why}");
}

/// Few records: each category gives the same rows on one shard and on two.
#[test]
fn categories_are_measured_on_more_shards() {
    let mut arguments = vec!["categories", "--quick", "--rows", "20000", "--runs", "1"];
    arguments.extend(["--warmup", "0", "--cores", "2", "--json", "-"]);
    let output = bench(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result: Value = serde_json::from_str(&stdout(&output)).unwrap();
    for name in [
        "projection",
        "group_by",
        "tumbling",
        "session",
        "sliding",
        "global",
        "co_partitioned",
        "broadcast",
        "repartition",
    ] {
        for figure in [format!("engine@{name}"), format!("engine@{name},2")] {
            assert_eq!(result["metrics"][&figure]["unit"], "records/s", "{figure}");
        }
        let efficiency = result["ratios"][format!("efficiency@{name},2")].as_f64();
        assert!(efficiency.unwrap() > 0.0, "{name}");
    }
    let why = result["why_invalid"].as_str().unwrap_or_default();
    assert!(!why.contains("differs") && !why.contains("no row"), "{why}");
}
