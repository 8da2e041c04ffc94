//! What a run with a state directory writes besides its sinks: results in `--output`, what is told
//! of bad records, counts of checkpoints; and checkpoints that somebody asks for.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{Folder, text, trefoil};

const NUMBERS: &str = "CREATE SOURCE r (n BIGINT) WITH (connector = 'file', format = 'json',
    path = 'r.json', bad_data = 'dlq', dlq_path = 'bad');";

fn run(folder: &Folder, options: &[&str]) -> Output {
    let mut command = trefoil(folder);
    command.args(["run", "q.sql", "--cores", "2", "--state", "state"]);
    command.args(options).output().unwrap()
}

/// Names of the files of a folder, in order, and what is in them.
fn files(folder: &Folder, name: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder.0.join(name)).unwrap();
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    };
    let mut files: Vec<_> = entries.map(|entry| file(entry.unwrap())).collect();
    files.sort_unstable();
    files
}

/// A file of answers, one of rows, one of answers; and one of bad records.
#[test]
fn results_and_bad_records_are_files_of_folders() {
    for (format, end, rows) in [
        ("ndjson", "json", "{\"n\":1}\n{\"n\":2}\n"),
        ("csv", "csv", "n\r\n1\r\n2\r\n"),
        ("json", "json", "[\n{\"n\":1},\n{\"n\":2}\n]\n"),
        ("markdown", "md", "| n |\n| ---: |\n| 1 |\n| 2 |\n"),
    ] {
        let folder = Folder::new(&format!("kept-{format}"));
        folder.write("r.json", "{\"n\":1}\n{\"n\":\"x\"}\n{\"n\":2}\n");
        let script = format!("{NUMBERS} SHOW SOURCES; SELECT n FROM r; SHOW SINKS; SHOW SOURCES;");
        folder.write("q.sql", &script);
        let options = [
            "--output",
            "out",
            "--format",
            format,
            "--stats",
            "stats.json",
        ];
        let output = run(&folder, &options);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let out = files(&folder, "out");
        let names: Vec<&str> = out.iter().map(|(name, _)| name.as_str()).collect();
        let want = ["00000001-0", "00000001-1", "00000002-0", "00000002-1"];
        let want = want.map(|name| format!("part-{name}.{end}"));
        assert_eq!(names, want);
        assert_eq!(out[1].1, rows, "{format}");
        assert!(out[0].1.contains("file") && out[0].1 == out[3].1, "{out:?}");
        let bad = files(&folder, "bad");
        assert_eq!(bad.len(), 1);
        assert!(bad[0].1.contains("\"line\":2"), "{bad:?}");
        let counts = &folder.json("stats.json")["checkpoints"];
        assert_eq!(
            (&counts["taken"], &counts["failed"]),
            (&2.into(), &0.into())
        );
        // All of it was done, and nothing is written again.
        let output = run(&folder, &options);
        assert!(text(&output.stderr).contains("all of the script was done"));
        assert_eq!(files(&folder, "out"), out);
        assert_eq!(files(&folder, "bad"), bad);
    }
}

#[test]
fn what_would_be_lost_is_refused() {
    let folder = Folder::new("kept-refused");
    folder.write("r.json", "{\"n\":1}\n");
    folder.write("q.sql", &format!("{NUMBERS} SELECT n FROM r;"));
    folder.write("file", "");
    folder.write("other/part-00000003-0.json", "{}\n");
    for (output, code, why) in [
        ("file", 4, "file is a file, and with --state"),
        ("other", 4, "is of another run"),
        ("bad", 2, "name the same file"),
        ("r.json", 2, "would replace"),
    ] {
        let output = run(&folder, &["--output", output]);
        let told = text(&output.stderr);
        assert!(
            output.status.code() == Some(code) && told.contains(why),
            "{told}"
        );
        assert!(
            !folder.exists("state/manifest-00000000000000000001"),
            "{told}"
        );
    }
    // A folder of a sink that the first run made, and the second one names besides.
    let sink = "CREATE SINK o WITH (connector = 'file', format = 'json', path = 'out') AS";
    folder.write(
        "q.sql",
        &format!("{NUMBERS} {sink} SELECT n FROM r; SELECT n FROM r;"),
    );
    assert!(run(&folder, &[]).status.success());
    let again = run(&folder, &["--output", "out"]);
    assert_eq!(again.status.code(), Some(2), "{}", text(&again.stderr));
    // Nothing is kept of what leads elsewhere.
    fs::remove_dir_all(folder.0.join("state")).unwrap();
    fs::remove_dir_all(folder.0.join("out")).unwrap();
    fs::remove_dir_all(folder.0.join("bad")).unwrap();
    let printed = run(&folder, &["--output", "/dev/stdout", "--format", "ndjson"]);
    assert_eq!(
        text(&printed.stdout),
        "{\"n\":1}\n",
        "{}",
        text(&printed.stderr)
    );
}

/// SIGUSR1 takes one, and the run goes on; each row is there once when it has ended.
#[test]
fn a_checkpoint_is_asked_for_by_signal() {
    let folder = Folder::new("kept-signal");
    let script = "CREATE SOURCE made (id BIGINT) WITH (connector = 'generator', rows = 3000,
            rate = 1000, fields.id.kind = 'sequence');
        SELECT id % 2 AS odd, COUNT(*) AS n FROM made GROUP BY id % 2;";
    folder.write("q.sql", script);
    let options = [
        "--output",
        "out",
        "--checkpoint-every",
        "1h",
        "--stats",
        "stats.json",
    ];
    let mut command = trefoil(&folder);
    command.args(["run", "q.sql", "--cores", "2", "--state", "state"]);
    let said = File::create(folder.0.join("said")).unwrap();
    let command = command.args(options).stderr(said).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let pid = child.id().to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    };
    // Before it listens the signal would end it.
    let listens = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.map(|mask| u64::from_str_radix(mask.trim(), 16).unwrap());
        caught.is_some_and(|mask| mask >> 9 & 1 == 1)
    };
    while !listens() {
        std::thread::sleep(Duration::from_millis(1));
    }
    for number in 1..=2 {
        signal("USR1");
        let note = format!("note: checkpoint {number} was taken");
        while !folder.read("said").contains(&note) {
            assert!(
                child.try_wait().unwrap().is_none(),
                "{}",
                folder.read("said")
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    signal("TERM");
    assert!(child.wait().unwrap().success(), "{}", folder.read("said"));
    let counts = &folder.json("stats.json")["checkpoints"];
    assert_eq!(
        (&counts["taken"], &counts["failed"]),
        (&3.into(), &0.into())
    );
    assert!(counts["aligned_us_max"].is_u64(), "{counts}");
    let shown = trefoil(&folder)
        .args(["checkpoint", "show", "state"])
        .output();
    let shown: serde_json::Value = serde_json::from_slice(&shown.unwrap().stdout).unwrap();
    assert!(shown["counters"]["aligned_us"].is_u64(), "{shown}");
    let output = run(&folder, &options);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows: String = files(&folder, "out")
        .into_iter()
        .map(|(_, rows)| rows)
        .collect();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    assert_eq!(rows, ["{\"odd\":0,\"n\":1500}", "{\"odd\":1,\"n\":1500}"]);
}
