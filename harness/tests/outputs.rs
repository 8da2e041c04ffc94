//! Files that a run writes: none that it reads or writes otherwise.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

use common::{Folder, text, trefoil};

const RECORDS: &str = "{\"n\":1}\n{\"n\":\"x\"}\n{\"n\":2}\n";

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("in/a.json", RECORDS);
    folder.write("old", "old");
    symlink("in/a.json", folder.0.join("link")).unwrap();
    symlink("in", folder.0.join("folder")).unwrap();
    symlink("not-there", folder.0.join("dangling")).unwrap();
    fs::hard_link(folder.0.join("in/a.json"), folder.0.join("hard")).unwrap();
    folder
}

fn source(path: &str, more: &str) -> String {
    format!(
        "CREATE SOURCE r (n BIGINT) WITH (connector = 'file', format = 'json',
         path = '{path}', bad_data = {more});\n"
    )
}

fn sink(name: &str, path: &str) -> String {
    format!(
        "CREATE SINK {name} WITH (connector = 'file', path = '{path}', format = 'json')
         AS SELECT n FROM r;\n"
    )
}

fn run(folder: &Folder, sql: &str, options: &[&str]) -> Output {
    folder.write("q.sql", sql);
    let options = [&["run", "q.sql"], options].concat();
    trefoil(folder).args(options).output().unwrap()
}

#[test]
fn a_file_has_one_use() {
    let folder = folder("one-use");
    let skip = |path: &str| source(path, "'skip'");
    let select = "SELECT n FROM r;";
    let dlq = |file: &str| source("in/a.json", &format!("'dlq', dlq_path = '{file}'"));
    let cases: Vec<(String, &[&str], i32)> = vec![
        (skip("in/a.json") + &sink("o", "in/a.json"), &[], 4),
        (skip("link") + &sink("o", "in/../in/a.json"), &[], 4),
        (skip("in/a.json") + &sink("o", "link"), &[], 4),
        (skip("in/a.json") + &sink("o", "hard"), &[], 4),
        (skip("in/a.json") + &sink("o", "folder/a.json"), &[], 4),
        (skip("in/a.json") + select, &["--output", "in/a.json"], 2),
        (skip("in/a.json") + select, &["--stats", "link"], 2),
        (skip("in/a.json") + select, &["--stats", "q.sql"], 2),
        (dlq("in/a.json") + select, &[], 4),
        (dlq("link") + select, &[], 4),
        (
            skip("link") + &sink("o", "x") + &sink("p", "in/../x"),
            &[],
            4,
        ),
        (
            skip("link") + &sink("o", "dangling"),
            &["--stats", "not-there"],
            2,
        ),
        (skip("link") + &sink("o", "old"), &["--output", "old"], 2),
        (
            skip("link") + select,
            &["--output", "old", "--stats", "./old"],
            2,
        ),
        (dlq("x") + &sink("o", "./x"), &[], 4),
        (dlq("old") + select, &["--stats", "old"], 2),
        // The next run would read these.
        (skip("in") + &sink("o", "in/new.json"), &[], 4),
        (skip("in") + &sink("o", "folder/new.json"), &[], 4),
        (skip("folder") + select, &["--output", "in/new"], 2),
        (skip("in/*.json") + select, &["--stats", "in/new.json"], 2),
        (skip("fold*/*.json") + &sink("o", "in/a.json"), &[], 4),
        (
            source("in", "'dlq', dlq_path = 'in/dlq.ndjson'") + select,
            &[],
            4,
        ),
        (source("./*", "'dlq'") + select, &[], 4),
    ];
    for (sql, options, code) in cases {
        let output = run(&folder, &sql, options);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{sql}{options:?}: {said}");
        assert!(said.contains("\nhint: "), "{said}");
        assert!(output.stdout.is_empty());
        assert_eq!(folder.read("in/a.json"), RECORDS);
        assert_eq!(folder.read("old"), "old");
        assert!(!folder.exists("x") && !folder.exists("not-there"));
        assert_eq!(folder.read("q.sql"), sql);
    }
}

#[test]
fn files_beside_those_that_are_read_are_written() {
    let folder = folder("beside");
    for (path, file) in [
        ("in", "in/.new.json"),
        ("in/*.json", "in/new.txt"),
        ("in", "new.json"),
    ] {
        let output = run(&folder, &(source(path, "'skip'") + &sink("o", file)), &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(folder.read(file), "{\"n\":1}\n{\"n\":2}\n");
        fs::remove_file(folder.0.join(file)).unwrap();
    }
    // Nothing is lost in a device.
    let sql = source("in", "'dlq', dlq_path = '/dev/null'") + &sink("o", "/dev/null");
    let output = run(&folder, &sql, &["--stats", "/dev/null"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}
