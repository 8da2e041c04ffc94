//! EXPLAIN of the acceptance pack and of one query for every strategy and router, as snapshots.

use std::path::{Path, PathBuf};

use trefoil::{Error, Explanation, SourceFile, SqlError, explain_script};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../harness/tests/fr082")
}

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: name.into(),
        text: text.into(),
        base: folder(),
    }
}

fn explain(text: &str) -> Result<Explanation, SqlError> {
    let schema = std::fs::read_to_string(folder().join("schema.sql")).unwrap();
    let files = [file("schema.sql", &schema), file("q.sql", text)];
    match explain_script(&files) {
        Ok(mut all) => all.pop().expect("one query"),
        Err(Error::Sql(error)) => Err(*error),
        Err(error) => panic!("{error}"),
    }
}

fn shown(text: &str) -> String {
    let got = explain(text);
    got.map_or_else(|e| e.to_string(), |e| format!("{text}\n\n{}", e.text()))
}

#[test]
fn queries_of_the_analysis() {
    let mut paths: Vec<_> = std::fs::read_dir(folder().join("queries"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "sql"))
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        insta::assert_snapshot!(format!("fr082_{name}"), shown(&text));
    }
}
