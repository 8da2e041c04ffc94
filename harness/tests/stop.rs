//! A run that is told to stop: the first signal lets out what was read, the second ends it at once,
//! and neither leaves a temporary file. The runs here wait for a pipe that nobody reads, so that
//! they are still under way when they are told.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

use common::{Folder, trefoil};

/// More than all pipes and rings hold.
const ROWS: usize = 1_000_000;

/// A folder with a file of a record a second, every thousandth of which is bad.
fn numbers(name: &str) -> Folder {
    let folder = Folder::new(name);
    let line = |n: usize| {
        if n % 1000 == 999 {
            return "{\"n\":\"x\"}\n".to_owned();
        }
        let (day, hour, minute) = (n / 86_400 + 1, n / 3600 % 24, n / 60 % 60);
        let time = format!("2024-01-{day:02}T{hour:02}:{minute:02}:{:02}", n % 60);
        format!("{{\"n\":{n},\"t\":\"{time}\"}}\n")
    };
    folder.write("n.json", &(0..ROWS).map(line).collect::<String>());
    folder
}

const SOURCE: &str = "CREATE SOURCE r (n BIGINT, t TIMESTAMP(0), WATERMARK FOR t) \
                      WITH (connector = 'file', format = 'json', path = 'n.json', \
                      bad_data = 'dlq', dlq_path = 'bad.json');";

struct Run {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Run {
    /// Starts it, and waits until its first results are there.
    fn start(folder: &Folder, cores: &str, query: &str) -> Self {
        Self::start_with(folder, cores, query, &[])
    }

    fn start_with(folder: &Folder, cores: &str, query: &str, options: &[&str]) -> Self {
        let mut run = Self::spawn(folder, cores, query, options);
        let mut first = [0];
        run.child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut first)
            .unwrap();
        run
    }

    fn spawn(folder: &Folder, cores: &str, query: &str, options: &[&str]) -> Self {
        folder.write("q.sql", &format!("{SOURCE}\n{query}"));
        let mut child = trefoil(folder)
            .args(["run", "q.sql", "--cores", cores, "--stats", "stats.json"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// All results, the first ones included.
    fn rest(&mut self) -> String {
        let mut rest = String::from("{");
        let stdout = self.child.stdout.as_mut().unwrap();
        stdout.read_to_string(&mut rest).unwrap();
        rest
    }

    /// Reads standard error up to a line with this text.
    fn await_note(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "no {text}");
        }
    }
}

#[test]
fn the_first_signal_lets_out_what_was_read() {
    let folder = numbers("drain");
    for (cores, signal) in [("1", "INT"), ("2", "TERM"), ("3", "INT")] {
        let mut run = Run::start(&folder, cores, "SELECT n FROM r; SELECT COUNT(*) FROM r;");
        run.signal(signal);
        run.await_note("note: stopping");
        let rest = run.rest();
        run.await_note("stopped before the end of input");
        run.await_note("1 of the statements did not run");
        assert!(run.child.wait().unwrap().success());

        let rows = rest.lines().count();
        assert!(rows < ROWS / 2, "{rows} rows");
        let good = (0..).filter(|n| n % 1000 != 999).take(rows);
        let want: String = good.map(|n| format!("{{\"n\":{n}}}\n")).collect();
        assert!(rest == want, "the rows are the first ones");
        let stats = folder.json("stats.json");
        let bad = folder.read("bad.json").lines().count();
        assert_eq!(stats["queries"][0]["rows_out"], rows);
        assert_eq!(stats["sources"][0]["rows_read"], rows + bad);
        assert_eq!(folder.temporary_files(), [""; 0]);
    }
}

#[test]
fn windows_that_are_open_are_not_given() {
    let folder = numbers("windows");
    for cores in ["1", "2", "3"] {
        let query = "SELECT COUNT(*) AS c FROM r GROUP BY TUMBLE(t, INTERVAL '10' SECOND);";
        let mut run = Run::start(&folder, cores, query);
        run.signal("INT");
        run.await_note("note: stopping");
        let rest = run.rest();
        run.await_note("stopped before the end of input");
        assert!(run.child.wait().unwrap().success());

        let windows = rest.lines().count();
        assert!(windows < ROWS / 20, "{windows} windows");
        let rows = |window| if window % 100 == 99 { 9 } else { 10 };
        let want: String = (0..windows)
            .map(|w| format!("{{\"c\":{}}}\n", rows(w)))
            .collect();
        assert!(rest == want, "every window is whole");
    }
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let folder = numbers("halt");
    let mut run = Run::start(&folder, "2", "SELECT n FROM r;");
    assert_ne!(folder.temporary_files(), [""; 0]);
    run.signal("INT");
    run.await_note("note: stopping");
    run.signal("TERM");
    run.await_note("stopped at once");
    assert_eq!(run.child.wait().unwrap().code(), Some(1));
    assert_eq!(folder.temporary_files(), [""; 0]);
    assert!(!folder.exists("stats.json") && !folder.exists("bad.json"));
}

#[test]
fn a_time_stops_as_the_first_signal_does() {
    let folder = numbers("time");
    let options = ["--for", "1ms"];
    let mut run = Run::spawn(&folder, "2", "SELECT n FROM r;", &options);
    run.await_note("the time of --for is over");
    let mut rest = String::new();
    run.child
        .stdout
        .as_mut()
        .unwrap()
        .read_to_string(&mut rest)
        .unwrap();
    assert!(run.child.wait().unwrap().success());
    // It may have been over before anything was read.
    let rows = rest.lines().count();
    assert!(rows < ROWS / 2, "{rows} rows");
    let counted = folder.json("stats.json")["queries"][0]["rows_out"].as_u64();
    assert_eq!(counted.unwrap_or_default(), rows as u64);
}

/// Who reads no further has what he wanted. All else that a run is for is done.
#[test]
fn a_closed_pipe_is_quiet() {
    let folder = numbers("closed");
    for format in ["ndjson", "csv", "arrow", "json", "markdown"] {
        let mut run = Run::start_with(&folder, "2", "SELECT n FROM r;", &["--format", format]);
        drop(run.child.stdout.take());
        let mut said = String::new();
        run.stderr.read_to_string(&mut said).unwrap();
        assert!(run.child.wait().unwrap().success(), "{said}");
        let told = "bad records, written to";
        assert!(
            said.lines().all(|line| line.contains(told)),
            "{format}: {said}"
        );
        let read = folder.json("stats.json")["sources"][0]["rows_read"].as_u64();
        assert!(read.unwrap() < ROWS as u64 / 2, "{format}: {read:?}");
        assert_eq!(folder.temporary_files(), [""; 0]);
    }
}
