//! Wrong statements and what is said about them. Each file of `wrong` holds statements between
//! lines of dashes; a snapshot beside it holds the error of each.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use trefoil::{Error, SourceFile, plan_script};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong")
}

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: name.into(),
        text: text.into(),
        base: PathBuf::from("/data"),
    }
}

fn files() -> Vec<(String, Vec<String>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "sql"))
        .filter(|p| !p.ends_with("schema.sql"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let cases = text.split("\n---\n").map(|c| c.trim().to_string());
            (name, cases.collect())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_wrong_statement_is_refused_and_says_why() {
    let schema = std::fs::read_to_string(folder().join("schema.sql")).unwrap();
    let schema = file("schema.sql", &schema);
    plan_script(std::slice::from_ref(&schema)).unwrap_or_else(|e| panic!("{e}"));
    let mut count = 0;
    let mut accepted = Vec::new();
    for (name, cases) in files() {
        let mut said = String::new();
        for case in &cases {
            count += 1;
            match plan_script(&[schema.clone(), file("q.sql", case)]) {
                Err(Error::Sql(error)) => {
                    assert!(error.file == "q.sql", "{case}: {error}");
                    writeln!(said, "{error}\n").unwrap();
                }
                Err(error) => panic!("{case}: {error}"),
                Ok(_) => accepted.push(case.clone()),
            }
        }
        insta::with_settings!({
            snapshot_path => folder(), prepend_module_to_snapshot => false, omit_expression => true
        }, { insta::assert_snapshot!(name, said) });
    }
    assert!(
        accepted.is_empty(),
        "accepted:\n{}",
        accepted.join("\n---\n")
    );
    assert!(count >= 150, "only {count} wrong statements");
}
