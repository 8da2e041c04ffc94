//! Files that a run writes: none that it reads or writes otherwise, and links keep leading where
//! they led.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
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

#[test]
fn links_stay_links() {
    let folder = folder("links");
    folder.write("there/real.json", "old");
    let real = folder.0.join("there/real.json");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("there/real.json", folder.0.join("one")).unwrap();
    symlink("one", folder.0.join("two")).unwrap();
    let sql = source("in", "'skip'") + &sink("o", "two") + &sink("p", "dangling");
    let output = run(&folder, &sql, &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let want = "{\"n\":1}\n{\"n\":2}\n";
    assert_eq!(folder.read("there/real.json"), want);
    assert_eq!(folder.read("not-there"), want);
    for link in ["one", "two", "dangling"] {
        let metadata = folder.0.join(link).symlink_metadata().unwrap();
        assert!(metadata.is_symlink(), "{link}");
    }
    let mode = real.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);

    symlink("loop", folder.0.join("loop")).unwrap();
    let output = run(&folder, &(source("in", "'skip'") + &sink("o", "loop")), &[]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
}

/// A link to a descriptor is no file to replace, also where the descriptor is one. The links are
/// the test's own: those in /dev would be lost where it fails.
#[test]
fn descriptors_are_written_and_not_replaced() {
    let folder = folder("descriptors");
    for (number, file) in [(1, "out"), (2, "err")] {
        let link = folder.0.join(format!("to-{file}"));
        symlink(format!("/proc/self/fd/{number}"), &link).unwrap();
        folder.write("q.sql", &(source("in", "'skip'") + "SELECT n FROM r;"));
        let mut command = trefoil(&folder);
        command.args(["run", "q.sql", "--format", "ndjson", "--output"]);
        command.arg(&link);
        command.stdout(fs::File::create(folder.0.join("out")).unwrap());
        command.stderr(fs::File::create(folder.0.join("err")).unwrap());
        assert!(command.status().unwrap().success());
        let written = folder.read(file);
        assert!(written.contains("{\"n\":1}\n{\"n\":2}\n"), "{written}");
        assert!(folder.read("err").contains("left out"));
        assert!(link.symlink_metadata().unwrap().is_symlink());
    }
}
