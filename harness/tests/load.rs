//! `trefoil load`: what it prints, its exit codes, and what arrives. Whether a generator keeps up
//! on a busy machine is not for a test to say: a run may be valid (0) or not (7).

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::Output;

use common::{Folder, text, trefoil};
use serde_json::Value;

fn load(folder: &Folder, options: &[&str]) -> Output {
    let mut command = trefoil(folder);
    command.args(["load", "--warmup", "0s"]).args(options);
    command.output().unwrap()
}

/// The result of a run that had no failure but, perhaps, a generator that fell behind.
fn result(output: &Output) -> Value {
    let told = text(&output.stderr);
    let result: Value = serde_json::from_slice(&output.stdout).expect(&told);
    let valid = result["valid"].as_bool().unwrap();
    let code = if valid { 0 } else { 7 };
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert_eq!(told.contains("fell behind"), !valid, "{told}");
    for (name, value) in result["latency_us"].as_object().unwrap() {
        assert_eq!(value.is_f64(), valid, "{name}: {value}");
    }
    result
}

#[test]
fn an_engine_in_the_process_answers_every_record() {
    let folder = Folder::new("load-engine");
    let fields = [
        "schema_version",
        "intended",
        "sent",
        "acked",
        "failed",
        "slip_us_max",
        "valid",
        "latency_us",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "p99.99",
    ];
    for options in [
        "--rate 2000 --duration 500ms",
        "--rate 2000 --rows 1000 --producers 3 --cores 2",
        "--rate 1000 --rate-to 3000 --schedule ramp --duration 500ms",
        "--rate 20000 --schedule onoff --period 100ms --rows 1000",
        "--rate 1000 --schedule burst --rows 1000 --payload-bytes 100",
        "--rate 5000 --zipf 1.1 --disorder 2s --rows 1000",
    ] {
        let words: Vec<&str> = options.split(' ').collect();
        let output = load(&folder, &words);
        let result = result(&output);
        let object = result.as_object().unwrap();
        let printed = text(&output.stdout);
        let places = fields.map(|field| printed.find(&format!("\"{field}\":")));
        assert!(places.is_sorted() && places[0].is_some(), "{printed}");
        assert_eq!(object.len(), fields.len() - 5, "{printed}");
        assert_eq!(object["latency_us"].as_object().unwrap().len(), 6);
        for count in ["intended", "sent", "acked"] {
            assert_eq!(result[count], 1000, "{options}: {count}");
        }
        assert_eq!(result["failed"], 0);
    }
}

#[test]
fn records_of_the_warm_up_are_sent_and_not_counted() {
    let folder = Folder::new("load-warm");
    let listener = UnixListener::bind(folder.0.join("s")).unwrap();
    let reader = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        BufReader::new(stream).lines().count()
    });
    let mut command = trefoil(&folder);
    command.args([
        "load", "--to", "unix:s", "--rate", "1000", "--warmup", "100ms",
    ]);
    let output = command.args(["--rows", "50"]).output().unwrap();
    assert_eq!(result(&output)["sent"], 50);
    assert_eq!(reader.join().unwrap(), 150);
}

#[test]
fn own_sql_is_run() {
    let folder = Folder::new("load-sql");
    folder.write(
        "q.sql",
        "CREATE SOURCE load (key BIGINT, seq BIGINT, ts TIMESTAMP(3)) \
           WITH (connector = 'channel');
         SELECT key, COUNT(*) AS n, MAX(seq) AS seq FROM load GROUP BY key;",
    );
    let options = [
        "--sql", "q.sql", "--rows", "500", "--rate", "5000", "--keys", "10",
    ];
    let result = result(&load(&folder, &options));
    // Each record changes its group once; what it takes back is no answer.
    assert_eq!(result["acked"], 500);
    for (sql, code, said) in [
        (
            "CREATE SOURCE load (seq BIGINT) WITH (connector = 'channel');",
            2,
            "its one SELECT",
        ),
        ("SELECT a FROM load;", 3, "q.sql:1:"),
        (
            "CREATE SOURCE load (seq BIGINT, x INT) WITH (connector = 'channel'); \
             SELECT seq FROM load;",
            2,
            "has a column \"x\"",
        ),
        (
            "CREATE SOURCE load (key BIGINT) WITH (connector = 'channel'); SELECT key FROM load;",
            2,
            "no column \"seq\"",
        ),
        (
            "CREATE SOURCE load (key VARCHAR, seq BIGINT) WITH (connector = 'channel'); \
             SELECT seq FROM load;",
            1,
            "column key",
        ),
    ] {
        folder.write("q.sql", sql);
        let output = load(&folder, &options);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{sql}: {told}");
        assert!(told.contains(said), "{sql}: {told}");
    }
}

#[test]
fn lines_arrive_as_they_were_made() {
    let folder = Folder::new("load-lines");
    let lines = |seed: &str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = format!("tcp://{}", listener.local_addr().unwrap());
        let reader = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream).lines().map(Result::unwrap);
            lines.collect::<Vec<String>>()
        });
        let options = [
            "--to",
            &to,
            "--rate",
            "100000",
            "--rows",
            "2000",
            "--keys",
            "20",
            "--seed",
            seed,
            "--payload-bytes",
            "8",
        ];
        let result = result(&load(&folder, &options));
        assert_eq!(
            (&result["acked"], &result["failed"]),
            (&2000.into(), &0.into())
        );
        reader.join().unwrap()
    };
    let first = lines("1");
    assert_eq!(first.len(), 2000);
    for (number, line) in first.iter().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["seq"], number);
        assert!(record["key"].as_u64().unwrap() < 20);
        assert_eq!(record["payload"].as_str().unwrap().len(), 8);
    }
    assert!(first == lines("1"), "the same records by the same seed");
    assert!(first != lines("2"));
}

#[test]
fn each_producer_has_a_connection() {
    let folder = Folder::new("load-producers");
    let listener = UnixListener::bind(folder.0.join("s")).unwrap();
    let reader = std::thread::spawn(move || {
        let streams: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
        let read = |stream| std::thread::spawn(move || BufReader::new(stream).lines().count());
        let threads: Vec<_> = streams.into_iter().map(read).collect();
        let counts = threads.into_iter().map(|thread| thread.join().unwrap());
        counts.collect::<Vec<usize>>()
    });
    let options = [
        "--to",
        "unix:s",
        "--rows",
        "100",
        "--rate",
        "10000",
        "--producers",
        "3",
    ];
    assert_eq!(result(&load(&folder, &options))["sent"], 100);
    let mut counts = reader.join().unwrap();
    counts.sort_unstable();
    assert_eq!(counts, [33, 33, 34]);
}

const FILE: &str = "{\"at\":1000,\"n\":1}\n{\"at\":1030,\"n\":2}\n{\"at\":1010,\"n\":3}\n";

#[test]
fn a_file_is_sent_again() {
    let folder = Folder::new("load-replay");
    folder.write("f.ndjson", FILE);
    let listener = UnixListener::bind(folder.0.join("s")).unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        listener
            .accept()
            .unwrap()
            .0
            .read_to_string(&mut text)
            .unwrap();
        text
    });
    let options = [
        "--schedule",
        "replay",
        "--file",
        "f.ndjson",
        "--time-field",
        "at",
    ];
    let to = |to: &str| {
        let output = trefoil(&folder)
            .args(["load", "--to", to])
            .args(options)
            .output();
        result(&output.unwrap())
    };
    assert_eq!(to("unix:s")["acked"], 3);
    assert_eq!(reader.join().unwrap(), FILE);
    folder.write(
        "q.sql",
        "CREATE SOURCE load (seq BIGINT, n INT, at TIMESTAMP(3), missing VARCHAR) \
           WITH (connector = 'channel'); SELECT seq, n, at FROM load;",
    );
    let mut command = trefoil(&folder);
    command.args(["load", "--sql", "q.sql"]).args(options);
    assert_eq!(result(&command.output().unwrap())["acked"], 3);
}

#[test]
fn a_peer_that_fails_is_told() {
    let folder = Folder::new("load-gone");
    let output = load(&folder, &["--to", "unix:none", "--rows", "5"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the peer failed: cannot connect"));
    let listener = UnixListener::bind(folder.0.join("s")).unwrap();
    let reader = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let output = load(
        &folder,
        &["--to", "unix:s", "--rate", "1000", "--duration", "10s"],
    );
    reader.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the peer failed: the connection was lost"));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["valid"], false);
    assert!(result["latency_us"]["p50"].is_null());
    let failed = result["failed"].as_u64().unwrap();
    assert!(failed > 0 && failed + result["sent"].as_u64().unwrap() >= 10_000);
}

#[test]
fn results_go_to_files_and_limits_are_kept() {
    let folder = Folder::new("load-files");
    let options = [
        "--rows", "300", "--rate", "1000", "--json", "r.json", "--hgrm", "r.hgrm",
    ];
    let output = load(&folder, &options);
    assert!(output.stdout.is_empty());
    let result = folder.json("r.json");
    assert_eq!(result["sent"], 300);
    if result["valid"] == true {
        assert!(
            folder
                .read("r.hgrm")
                .contains("Total count    =          300]")
        );
    }
    let output = load(
        &folder,
        &["--rows", "300", "--rate", "1000", "--max-p99", "1ns"],
    );
    let told = text(&output.stderr);
    match output.status.code() {
        Some(6) => assert!(
            told.contains("p99 is ") && told.contains("above 1ns"),
            "{told}"
        ),
        code => assert_eq!(code, Some(7), "{told}"),
    }
}

/// That a file cannot be written is known before anything is sent.
#[test]
fn where_results_go_is_looked_at_first() {
    let folder = Folder::new("load-paths");
    for option in ["--hgrm", "--json"] {
        let output = load(&folder, &[option, "no/such/r", "--duration", "1h"]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("cannot write no/such/r"), "{told}");
    }
}

#[test]
fn what_is_of_no_use_is_refused() {
    let folder = Folder::new("load-usage");
    folder.write("f.ndjson", "{\"a\":1}\n");
    for (options, said) in [
        (&["--to", "kafka://h:1"][..], "Kafka is not there yet"),
        (
            &["--to", "http://h:1"],
            "engine, tcp://HOST:PORT or unix:PATH",
        ),
        (&["--to", "tcp://h"], "engine, tcp://HOST:PORT or unix:PATH"),
        (&["--schedule", "replay"], "needs --file"),
        (&["--schedule", "ramp"], "needs --rate-to"),
        (&["--rate-to", "5"], "--rate-to is for a ramp or a burst"),
        (&["--file", "f.ndjson"], "--file is for --schedule replay"),
        (&["--speed", "2"], "--speed is for --schedule replay"),
        (
            &[
                "--schedule",
                "replay",
                "--file",
                "f.ndjson",
                "--rate",
                "10000",
            ],
            "a replay has its own timing, and no --rate",
        ),
        (
            &["--to", "unix:s", "--sql", "q.sql"],
            "--sql is for --to engine",
        ),
        (&["--rate", "0"], "0 is not in 1..="),
        (&["--zipf", "-1"], "-1"),
        (&["--rows", "1", "--duration", "1s"], "cannot be used with"),
        (
            &["--schedule", "replay", "--file", "f.ndjson"],
            "f.ndjson:1: no field \"ts\"",
        ),
        (&["--sql", "none.sql"], "cannot read none.sql"),
    ] {
        let output = load(&folder, options);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {told}");
        assert!(told.contains(said), "{options:?}: {told}");
    }
}

/// The blocks of a kind in a page.
fn blocks<'a>(page: &'a str, kind: &str) -> Vec<&'a str> {
    let begin = format!("```{kind}\n");
    let behind = page.split(&begin).skip(1);
    behind
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[test]
fn the_examples_of_the_page_run() {
    let folder = Folder::new("load-page");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let page = std::fs::read_to_string(format!("{root}/docs/load.md")).unwrap();
    for sql in blocks(&page, "sql") {
        let name = sql.lines().next().and_then(|line| line.strip_prefix("-- "));
        folder.write(name.expect("its file's name comes first"), sql);
    }
    folder.write("trades.ndjson", blocks(&page, "json")[0]);
    let commands: Vec<&str> = blocks(&page, "sh").iter().flat_map(|b| b.lines()).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let mut words = command.split(' ');
        assert_eq!(words.next(), Some("trefoil"));
        let output = trefoil(&folder).args(words).output().unwrap();
        let result = result(&output);
        assert_eq!(
            (&result["failed"], &result["sent"]),
            (&0.into(), &result["acked"]),
            "{command}"
        );
    }
}

#[test]
fn every_script_runs() {
    let folder = Folder::new("load-scripts");
    folder.write("f.ndjson", FILE);
    folder.write(
        "q.sql",
        "CREATE SOURCE load (seq BIGINT, n INT) WITH (connector = 'channel');
         SELECT seq FROM load;",
    );
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts");
    for name in [
        "steady", "ramp", "burst", "onoff", "skew", "disorder", "replay", "soak",
    ] {
        let mut script = std::process::Command::new(format!("{scripts}/load-{name}.sh"));
        script
            .env("TREFOIL", env!("CARGO_BIN_EXE_trefoil"))
            .current_dir(&folder.0);
        match name {
            "replay" => {
                script.args(["--file", "f.ndjson", "--time-field", "at", "--sql", "q.sql"]);
            }
            _ => {
                script.args(["--rate", "1000", "--duration", "100ms", "--warmup", "0s"]);
            }
        }
        let result = result(&script.output().unwrap());
        assert!(result["sent"].as_u64() >= Some(3), "{name}: {result}");
    }
}
