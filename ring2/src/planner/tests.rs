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
