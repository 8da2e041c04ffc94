//! `trefoil bench compare`: two files of results side by side. Figures of different machines say
//! nothing about each other, so that such files are refused unless one insists.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;
use crate::say::say;

/// Which files may be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machines {
    /// Of one machine.
    Same,
    /// Of any.
    Any,
}

/// Facts that make a machine another one.
const FACTS: [&str; 3] = ["cpu", "cores", "kernel"];

/// Prints what both files have.
pub(super) fn run(a: &Path, b: &Path, machines: Machines) -> Result<(), Failure> {
    let (before, after) = (read(a)?, read(b)?);
    let mut out = std::io::stdout().lock();
    let mut found = false;
    for old in &before {
        let Some(new) = after.iter().find(|r| r["name"] == old["name"]) else {
            continue;
        };
        found = true;
        same_machine(old, new, machines)?;
        for (result, path) in [(old, a), (new, b)] {
            if result["valid"] != Value::Bool(true) {
                let why = result["why_invalid"].as_str().unwrap_or("no reason given");
                say(&format_args!("note: {} is invalid: {why}", path.display()));
            }
        }
        let name = old["name"].as_str().unwrap_or_default();
        writeln!(out, "{name:<24} {:>14} {:>14} {:>8}", "A", "B", "B/A")?;
        for (metric, figure) in old["metrics"].as_object().into_iter().flatten() {
            let median = |figure: &Value| figure["median"].as_f64();
            let new = &new["metrics"][metric];
            if let (Some(x), Some(y)) = (median(figure), median(new)) {
                writeln!(out, "  {metric:<22} {x:>14.4} {y:>14.4} {:>8.3}", y / x)?;
            }
        }
    }
    match found {
        true => Ok(()),
        false => Err(Failure::Usage(
            "the two files have no benchmark in common".to_owned(),
        )),
    }
}

fn same_machine(a: &Value, b: &Value, machines: Machines) -> Result<(), Failure> {
    let (a, b) = (&a["machine"], &b["machine"]);
    let differ = |fact: &&&str| a[**fact] != b[**fact] || a[**fact].is_null();
    match FACTS.iter().find(differ) {
        Some(fact) if machines == Machines::Same => Err(Failure::Usage(format!(
            "the results are of different machines ({fact}: {} and {}); --force compares them \
             all the same",
            a[*fact], b[*fact]
        ))),
        _ => Ok(()),
    }
}

/// The results of a file: one, or an array.
fn read(path: &Path) -> Result<Vec<Value>, Failure> {
    let refuse = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| refuse(e.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))?;
    let results = match value {
        Value::Array(results) => results,
        one => vec![one],
    };
    match results.iter().all(|r| r["schema_version"] == 1) {
        true => Ok(results),
        false => Err(refuse(
            "this is no result of `trefoil bench`, or of another version".to_owned(),
        )),
    }
}
