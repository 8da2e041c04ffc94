//! What the documentation says is so: its examples run or are refused, its codes are all there.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use trefoil::error::Code;
use trefoil::{Error, SourceFile, check_script, plan_script};

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Blocks of SQL: the line they begin in, what is said behind `sql`, their text.
fn blocks(text: &str) -> Vec<(usize, String, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(mark) = line.strip_prefix("```sql") else {
            continue;
        };
        let body: Vec<_> = lines
            .by_ref()
            .map(|(_, l)| l)
            .take_while(|l| *l != "```")
            .collect();
        blocks.push((number + 1, mark.trim().to_string(), body.join("\n")));
    }
    blocks
}

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: name.into(),
        text: text.into(),
        base: PathBuf::from("/data"),
    }
}

#[test]
fn examples_of_the_sql_page_do_what_it_says() {
    let text = page("sql.md");
    let blocks = blocks(&text);
    let (_, _, declarations) = &blocks[0];
    let declared = file("sql.md", declarations);
    let mut count = 0;
    for (line, mark, text) in &blocks[1..] {
        let files = [
            declared.clone(),
            file(&format!("sql.md after line {line}"), text),
        ];
        let run = plan_script(&files).map(|_| ());
        let checked = check_script(&files).map(|_| ());
        count += 1;
        match (mark.as_str(), run, checked) {
            ("", Ok(()), Ok(())) => {}
            ("planned", Err(Error::Sql(e)), Ok(())) if e.code == "E0301" => {}
            ("refused", Err(Error::Sql(run)), Err(Error::Sql(checked))) => {
                assert_eq!(run, checked);
                assert!(!run.code.starts_with("E0301"), "{run}");
            }
            (mark, run, checked) => {
                let text =
                    |r: Result<(), Error>| r.map_or_else(|e| e.to_string(), |()| "ok".into());
                panic!("line {line}, \"{mark}\":\n{}\n{}", text(run), text(checked));
            }
        }
    }
    assert!(count >= 30, "only {count} examples");
}

#[test]
fn the_page_of_errors_lists_every_code() {
    let text = page("errors.md");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| E")?.split(" | ");
        Some((format!("E{}", cells.next()?), cells.next()?.to_string()))
    });
    let listed: Vec<_> = rows.collect();
    let known: Vec<_> = Code::ALL
        .iter()
        .map(|c| (c.name().to_string(), c.title().to_string()))
        .collect();
    assert_eq!(listed, known);
}

/// A code that no test reaches is one that nobody meets, or that nobody has tried.
#[test]
fn every_code_is_met_by_a_wrong_statement() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong");
    let mut met = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "snap") {
            met += &std::fs::read_to_string(path).unwrap();
        }
    }
    // Limits and partitioning have tests of their own.
    let missing: Vec<_> = Code::ALL
        .iter()
        .filter(|c| {
            !matches!(c, Code::E0106 | Code::E0501) && !met.contains(&format!("error[{c}]"))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
