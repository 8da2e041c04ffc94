//! Bad inputs and what becomes of them. Each table holds files that are no good, or only look so; a
//! snapshot beside it says of each what ends a run with `bad_data = 'fail'`, and which rows, counts
//! and letters are left with `'dlq'`. On all the ledger balances, `'skip'` counts as `'dlq'` does,
//! and shards that share the files say the same as one.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod files;
mod long;
mod run;
mod table;

use std::fmt::Write;
use std::path::Path;

use run::{Folder, Outcome, run, trefoil};
use table::{Case, cases};

/// What a snapshot says of a case.
fn say(case: &Case) -> String {
    let mut said = format!("== {}\n", case.title);
    let fail = run(case, "fail", 1);
    let told = run(case, "dlq", 1);
    match &fail.error {
        Some(error) => writeln!(said, "fail: exit {}: {error}", fail.code).unwrap(),
        None => assert!(told.letters.is_empty(), "{}: told and passed", case.title),
    }
    if let (Some(error), Some(first)) = (&fail.error, told.letters.first()) {
        let named = error.contains(&format!("./in:{}: byte {}: ", first.line, first.offset));
        let same = error.ends_with(&first.reason);
        assert!(named && same, "{}: {error} and {first:?}", case.title);
    }
    match &told.error {
        Some(error) if Some(error) == fail.error.as_ref() => said.push_str("dlq: the same\n"),
        Some(error) => writeln!(said, "dlq: exit {}: {error}", told.code).unwrap(),
        None => {
            told.rows
                .iter()
                .for_each(|row| writeln!(said, "{row}").unwrap());
            writeln!(said, "{}", told.ledger).unwrap();
        }
    }
    for letter in &told.letters {
        writeln!(said, "letter: {letter}").unwrap();
    }
    let skipped = run(case, "skip", 1);
    if told.error == skipped.error {
        let same = (&skipped.rows, &skipped.ledger) == (&told.rows, &told.ledger);
        assert!(same, "{}: {skipped:?} and {told:?}", case.title);
        assert!(skipped.letters.is_empty());
    } else {
        let error = skipped.error.as_deref().unwrap_or("none");
        writeln!(said, "skip: exit {}: {error}", skipped.code).unwrap();
    }
    for (policy, alone) in [("fail", fail), ("dlq", told), ("skip", skipped)] {
        same_by_shards(case, policy, &alone);
    }
    said + "\n"
}

/// Four shards say the same: of one file, and of a folder of copies of which each has its own.
fn same_by_shards(case: &Case, policy: &str, alone: &Outcome) {
    let shared = run(case, policy, 4);
    assert_eq!(
        &shared, alone,
        "{}, {policy}, on one core and on four",
        case.title
    );
    let copies = run::copies(case, policy);
    let Some(copies) = copies else { return };
    let want = match alone.error {
        Some(_) => alone.clone(),
        None => alone.repeated(run::COPIES),
    };
    assert_eq!(copies, want, "{}, {policy}, in a folder", case.title);
}

/// Runs a table, and compares with its snapshot. Cases run on as many threads as there are cores.
fn check(name: &str, format: &'static str) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_inputs");
    let text = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
    let cases = cases(&text, name, format);
    let said: Vec<String> = cases.iter().map(say).collect();
    insta::with_settings!({
        snapshot_path => folder, prepend_module_to_snapshot => false, omit_expression => true
    }, { insta::assert_snapshot!(name, said.concat()) });
    cases.len()
}

#[test]
fn json() {
    assert!(check("json", "json") >= 90);
}

#[test]
fn csv() {
    assert!(check("csv", "csv") >= 80);
}

#[test]
fn rows() {
    assert!(check("rows", "json") >= 30);
}

/// The letters of a run, to the letter: in the order of the files, with text where a record is one.
#[test]
fn dead_letters() {
    let folder = Folder::new("to-the-letter");
    let bytes = b"{\"n\":1}\n\n{\"n\":\"x\"}\r\n{\"n\":\xff}\n{\"n\":0}";
    for name in ["b.json", "a.json"] {
        std::fs::create_dir_all(folder.0.join("in")).unwrap();
        std::fs::write(folder.0.join("in").join(name), bytes).unwrap();
    }
    let script =
        "CREATE SOURCE r (n BIGINT) WITH (connector = 'file', path = 'in', format = 'json',
                  bad_data = 'dlq', dlq_path = 'told.json'); SELECT 6 / n AS q FROM r;";
    std::fs::write(folder.0.join("q.sql"), script).unwrap();
    let of = |file: &str| {
        [
            r#""line":3,"offset":9,"reason":"column n: expected BIGINT, found \"x\"","#,
            r#""raw":"{\"n\":\"x\"}\r","raw_hex":null}"#,
            "\n",
            r#""line":4,"offset":20,"reason":"invalid utf-8 at byte 5","#,
            r#""raw":null,"raw_hex":"7b226e223aff7d"}"#,
            "\n",
            r#""line":5,"offset":28,"reason":"division by zero","raw":"{\"n\":0}","raw_hex":null}"#,
            "\n",
        ]
        .concat()
        .replace(
            "\"line\"",
            &format!(r#"{{"source":"r","file":"./in/{file}","line""#),
        )
    };
    for cores in ["1", "4"] {
        let path = folder.0.join("told.json");
        std::fs::write(&path, "what a run before has told").unwrap();
        let arguments = ["run", "q.sql", "--format", "ndjson", "--cores", cores];
        let output = trefoil(&folder).args(arguments).output().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, b"{\"q\":6}\n{\"q\":6}\n");
        let told = std::fs::read_to_string(path).unwrap();
        assert_eq!(told, of("a.json") + &of("b.json"));
    }
}
