//! `trefoil bench scan` and `isolation`, the page of results, and `scripts/bench.sh`: what they
//! write, whatever the machine does meanwhile. Nothing here looks at how fast anything is.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const TREFOIL: &str = env!("CARGO_BIN_EXE_trefoil");

/// A folder of its own, which goes.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let id = std::process::id();
        let path = std::env::temp_dir().join(format!("trefoil-bench-live-{id}-{name}"));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A run that is over soon, as JSON.
fn measured(arguments: &[&str]) -> Value {
    let output = Command::new(TREFOIL)
        .args(["bench", "--quick", "--runs", "1", "--warmup", "0"])
        .args(["--cores", "2", "--json", "-"])
        .args(arguments)
        .output()
        .expect("the binary is there");
    // Wrong answers are exit code 1, on every machine.
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn median(result: &Value, figure: &str, unit: &str) -> f64 {
    let metric = &result["metrics"][figure];
    assert_eq!(metric["unit"], unit, "{figure}");
    metric["median"].as_f64().expect(figure)
}

#[test]
fn scans_of_live_state_are_measured_and_their_answers_compared() {
    let result = measured(&["scan", "--rows", "20000"]);
    assert_eq!(result["name"], "scan");
    for shards in ["", ",2"] {
        for query in ["count", "range", "projection", "full"] {
            for side in ["live", "latest", "table"] {
                let ratio = format!("{side}/memtable@{query}{shards}");
                assert!(result["ratios"][&ratio].as_f64().expect(&ratio) > 0.0);
            }
            let unit = if query == "count" { "ns" } else { "records/s" };
            for side in ["live", "latest", "table", "memtable"] {
                let figure = format!("{side}@{query}{shards}");
                assert!(median(&result, &figure, unit) > 0.0, "{figure}");
            }
        }
        for side in ["get", "live"] {
            for figure in ["point", "point_busy"] {
                let figure = format!("{side}@{figure}{shards}");
                assert!(median(&result, &figure, "ns") > 0.0, "{figure}");
            }
        }
        for ratio in ["live/memtable@point", "aim/get@point"] {
            let ratio = format!("{ratio}{shards}");
            assert!(result["ratios"][&ratio].as_f64().expect(&ratio) > 0.0);
        }
        for figure in ["fed@peak", "fed@busy", "live@full_busy"] {
            let figure = format!("{figure}{shards}");
            assert!(median(&result, &figure, "records/s") > 0.0, "{figure}");
        }
    }
    assert!(result["ratios"]["gain@full,2"].as_f64().expect("a gain") > 0.0);
    let why = result["why_invalid"].as_str().unwrap_or_default();
    assert!(!why.contains("differ") && !why.contains("found"), "{why}");
}

#[test]
fn isolation_stands_beside_nobody_who_asks() {
    let result = measured(&[
        "isolation",
        "--rows",
        "5000",
        "--rate",
        "2000",
        "--duration",
        "2",
    ]);
    assert_eq!(result["name"], "isolation");
    for of in ["", "view_"] {
        for p in ["p50", "p99", "p99.9"] {
            let ratio = format!("isolation/none@{of}{p}");
            assert!(result["ratios"][&ratio].as_f64().expect(&ratio) > 0.0);
        }
        for side in ["none", "isolation"] {
            // What was late when it was sent was no earlier back.
            let of = |figure: &str| median(&result, &format!("{side}@{of}{figure}"), "ns");
            assert!(1.001 * of("whole_max") >= of("slip"), "{side}");
        }
    }
    for side in ["none", "isolation"] {
        let figure = format!("{side}@throughput");
        assert!(median(&result, &figure, "records/s") > 0.0, "{figure}");
    }
    for kind in ["full", "join", "point"] {
        let figure = format!("asked@{kind}");
        assert!(median(&result, &figure, "queries/s") > 0.0, "{figure}");
    }
    // Two cores are told to be too few, whatever they gave.
    let why = result["why_invalid"].as_str().expect("it is not valid");
    assert!(why.contains("needs 3 cores"), "{why}");
    assert!(!why.contains(" found "), "{why}");
}

#[test]
fn one_core_is_too_few_and_says_so() {
    let output = Command::new(TREFOIL)
        .args([
            "bench",
            "isolation",
            "--quick",
            "--runs",
            "1",
            "--warmup",
            "0",
        ])
        .args(["--pin", "0", "--json", "-"])
        .output()
        .expect("the binary is there");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(result["valid"], false);
    let why = result["why_invalid"].as_str().expect("it says why");
    assert!(why.contains("two cores"), "{why}");
}

/// Runs `scripts/bench.sh` with one small benchmark.
fn script(folder: &Folder, targets: &str, profiles: &str, more: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (targets_at, profiles_at) = (folder.path("targets.txt"), folder.path("profiles.md"));
    std::fs::write(&targets_at, targets).expect("a file");
    std::fs::write(&profiles_at, profiles).expect("a file");
    Command::new(root.join("scripts/bench.sh"))
        .env("TREFOIL", TREFOIL)
        .env("TARGETS", targets_at)
        .env("PROFILES", profiles_at)
        .args(["--quick", "--json", &folder.path("out.json")])
        .args(["--report", &folder.path("out.html"), "keyed"])
        .args(more)
        .args(["--", "--rows", "20000", "--keys", "100", "--runs", "1"])
        .args(["--warmup", "0", "--cores", "2"])
        .output()
        .expect("bash is there")
}

#[test]
fn all_benchmarks_go_into_one_page() {
    let folder = Folder::new("page");
    let output = script(&folder, "", "", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = std::fs::read_to_string(folder.path("out.html")).expect("a page");
    for part in [
        "<!doctype html>",
        "<svg",
        "engine/roofline@100",
        "engine@100",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // It is one file, which asks for no other.
    for part in ["http", "<script", "<link", "src=", "url("] {
        assert!(!page.contains(part), "{part}");
    }
    let json = std::fs::read(folder.path("out.json")).expect("a file");
    let result: Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(result["name"], "keyed");
}

#[test]
fn a_target_that_is_missed_needs_a_reason() {
    let folder = Folder::new("check");
    let targets = "# what is asked\nkeyed engine/roofline@100>=1000000\nfiles engine/x@y>=1\n";
    let check = |profiles: &str| {
        let output = script(&folder, targets, profiles, &["--check"]);
        (output.status.code(), stderr(&output))
    };
    let (code, text) = check("# Benchmarks\n`engine/roofline@100` is what it is\n");
    assert_eq!(code, Some(6), "{text}");
    assert!(text.contains("MISSED"), "{text}");
    // Of a benchmark that does not run nothing is asked.
    assert!(!text.contains("engine/x@y"), "{text}");
    let reason = "## Targets that are missed\n- `engine/roofline@100`: why\n\n## What else\n";
    let (code, text) = check(reason);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("missed, with its reason"), "{text}");
    let output = script(&folder, targets, "", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn options_of_the_script_are_its_own() {
    let folder = Folder::new("usage");
    let output = script(&folder, "", "", &["--fast"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("behind --"), "{}", stderr(&output));
}
