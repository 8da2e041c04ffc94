//! `trefoil serve`: rows come in through a socket, and what it says over HTTP follows them.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use common::{Folder, text, trefoil};

struct Server {
    child: Child,
    http: String,
}

impl Server {
    fn start(folder: &Folder) -> Self {
        let mut child = trefoil(folder)
            .args(["serve", "q.sql", "--http", "127.0.0.1:0", "--cores", "1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let http = line
            .trim_end()
            .strip_prefix("ready http=")
            .expect(&line)
            .to_owned();
        Self { child, http }
    }

    /// Asks it to end, and gives its exit code.
    fn ends(&mut self) -> Option<i32> {
        let killed = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        assert!(killed.unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// Asks for a page: its status and its text.
    fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        let asked = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// Asks for a page until it has this in it: shards say what they did when they are asked.
    fn asks_until(&self, path: &str, what: &str) -> (u16, String) {
        loop {
            let (status, body) = self.ask("GET", path);
            if body.contains(what) {
                return (status, body);
            }
            std::thread::yield_now();
        }
    }
}

const SQL: &str = "CREATE SOURCE s (k VARCHAR, n INT) WITH \
      (connector = 'unix', address = 'in.sock', format = 'json');
    CREATE SOURCE other (n INT) WITH \
      (connector = 'unix', address = 'other.sock', format = 'json', bad_data = 'skip');
    CREATE MATERIALIZED VIEW sums AS SELECT k, SUM(n) AS total FROM s GROUP BY k;
    CREATE MATERIALIZED VIEW whole AS SELECT SUM(total) AS total FROM sums;
    CREATE MATERIALIZED VIEW others AS SELECT SUM(n) AS total FROM other;";

#[test]
fn rows_come_in_and_are_counted() {
    let folder = Folder::new("serve");
    folder.write("q.sql", SQL);
    let mut server = Server::start(&folder);
    assert_eq!(server.ask("GET", "/healthz"), (200, "ok\n".to_owned()));
    let mut client = UnixStream::connect(folder.0.join("in.sock")).unwrap();
    client
        .write_all(b"{\"k\":\"a\",\"n\":1}\n{\"k\":\"b\",\"n\":2}\n{\"k\":\"a\",\"n\":3}\n")
        .unwrap();
    let read = "trefoil_view_rows_read_total{view=\"sums\"} 3\n";
    let (status, metrics) = server.asks_until("/metrics", read);
    assert_eq!(status, 200);
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("trefoil_"), "{line}");
    }
    assert!(
        metrics.contains("trefoil_view_up{view=\"sums\"} 1\n"),
        "{metrics}"
    );
    // +I of two groups, -U and +U of one.
    server.asks_until("/metrics", "trefoil_view_rows_out_total{view=\"sums\"} 4\n");
    assert_eq!(server.ask("GET", "/none").0, 404);
    assert_eq!(server.ask("POST", "/metrics").0, 405);
    assert_eq!(server.ask("HEAD", "/healthz"), (200, String::new()));
    // A line that is none ends the view, by its policy, and that is told.
    client.write_all(b"nothing\n").unwrap();
    let (status, body) = server.asks_until("/healthz", "view sums failed");
    assert_eq!(status, 503);
    assert!(body.contains("in.sock#1, line 4"), "{body}");
    let (_, metrics) = server.ask("GET", "/metrics");
    assert!(
        metrics.contains("trefoil_view_up{view=\"sums\"} 0\n"),
        "{metrics}"
    );
    // It is said at once, and the others go on.
    let mut told = BufReader::new(server.child.stderr.take().unwrap()).lines();
    let mut says = |what: &str| {
        let line = told.by_ref().map(Result::unwrap).find(|l| l.contains(what));
        assert!(line.is_some(), "{what}");
    };
    says("view sums failed: ");
    says("view whole failed: view \"sums\", which it reads, has failed: ");
    let mut client = UnixStream::connect(folder.0.join("other.sock")).unwrap();
    client
        .write_all(b"{\"n\":1}\nnothing\n{\"n\":2}\n")
        .unwrap();
    server.asks_until(
        "/metrics",
        "trefoil_view_rows_bad_total{view=\"others\"} 1\n",
    );
    server.asks_until(
        "/metrics",
        "trefoil_view_rows_read_total{view=\"others\"} 3\n",
    );
    assert_eq!(server.ends(), Some(1));
    says("2 of the views failed");
}

/// What a view drops is counted, and what stands in it is known at once, however little it is.
#[test]
fn rows_that_are_dropped_are_counted() {
    let folder = Folder::new("serve-dropped");
    let sql =
        "CREATE SOURCE s (ts TIMESTAMP(3), n INT, WATERMARK FOR ts) WITH (connector = 'unix', \
                 address = 'in.sock', format = 'json', bad_data = 'skip');
               CREATE MATERIALIZED VIEW v AS SELECT n, SUM(10 / n) AS x FROM s
                 GROUP BY n, TUMBLE(ts, INTERVAL '1' MINUTE);";
    folder.write("q.sql", sql);
    let mut server = Server::start(&folder);
    let mut client = UnixStream::connect(folder.0.join("in.sock")).unwrap();
    let line = |hour: u8, n: i32| format!("{{\"ts\":\"2025-11-06T0{hour}:00:00\",\"n\":{n}}}\n");
    let mut lines: String = (1..=30).map(|n| line(7, n)).collect();
    lines += &(1..=48).map(|n| line(6, n)).collect::<String>();
    client.write_all((lines + &line(7, 0)).as_bytes()).unwrap();
    server.asks_until("/metrics", "trefoil_view_rows_late_total{view=\"v\"} 48\n");
    server.asks_until("/metrics", "trefoil_view_rows_failed_total{view=\"v\"} 1\n");
    let late_idle = "trefoil_view_rows_late_idle_total{view=\"v\"} 0\n";
    server.asks_until("/metrics", late_idle);
    server.asks_until("/metrics", "trefoil_view_rows{view=\"v\"} 30\n");
    assert_eq!(server.ends(), Some(0));
}

#[test]
fn a_server_that_is_well_ends_well() {
    let folder = Folder::new("serve-well");
    folder.write("q.sql", SQL);
    let mut server = Server::start(&folder);
    assert_eq!(server.ask("GET", "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(server.ends(), Some(0));
}

/// Nobody has to ask for the end of a server that serves nothing any more.
#[test]
fn a_server_ends_when_all_of_its_views_have_failed() {
    let folder = Folder::new("serve-failed");
    let sql = "CREATE SOURCE s (n INT) WITH (connector = 'unix', address = 'in.sock', \
                 format = 'json');
               CREATE MATERIALIZED VIEW v AS SELECT 10 / n AS q FROM s";
    folder.write("q.sql", sql);
    let mut server = Server::start(&folder);
    let mut client = UnixStream::connect(folder.0.join("in.sock")).unwrap();
    client.write_all(b"{\"n\":0}\n").unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(1));
    let mut told = String::new();
    let mut stderr = server.child.stderr.take().unwrap();
    stderr.read_to_string(&mut told).unwrap();
    assert!(
        told.contains("view v failed: ") && told.contains("division by zero"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_served_is_refused() {
    let folder = Folder::new("serve-refused");
    folder.write("q.sql", SQL);
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    let select = "CREATE SOURCE s (n INT) WITH (connector = 'unix', address = 'x', \
                  format = 'json'); SELECT n FROM s";
    let twice = format!("{SQL} CREATE MATERIALIZED VIEW again AS SELECT k\n FROM s");
    let late = format!("{SQL} SELECT total FROM sums");
    let beside = format!(
        "{SQL} CREATE SOURCE more (n INT) WITH (connector = 'unix', address = 'm', format = 'json');
         CREATE MATERIALIZED VIEW both AS SELECT k FROM sums JOIN more ON sums.total = more.n;"
    );
    for (options, code, said) in [
        (&["-c", twice.as_str()][..], 3, "view \"sums\" reads unix:"),
        (
            &["-c", twice.as_str()],
            3,
            "hint: it has one reader: make this a view over \"sums\"",
        ),
        (
            &["-c", late.as_str()],
            2,
            "-c: statement 6 is a SELECT, whose rows nobody would read",
        ),
        (&["q.sql", "--http", "foo"], 2, "--http foo is no address"),
        (&["q.sql", "--http", ":80"], 2, "--http :80 is no address"),
        (
            &["q.sql", "--listen", "127.0.0.1:0"],
            2,
            "the SQL port is not there yet",
        ),
        (
            &["-c", beside.as_str(), "--state", "dir"],
            3,
            "cannot be this one: it reads the view sums and, beside it, source more",
        ),
        (&[], 2, "FILE.sql"),
        (&["-c", "SELECT a FROM t"], 3, "error["),
        (&["-c", select], 2, "whose rows nobody would read"),
        (&["q.sql", "--http", busy.as_str()], 4, "cannot listen on"),
    ] {
        let mut command = trefoil(&folder);
        command.arg("serve").args(options);
        if !options.contains(&"--http") {
            command.args(["--http", "127.0.0.1:0"]);
        }
        let output = command.output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{options:?}: {told}");
        assert!(
            told.contains(said) && output.stdout.is_empty(),
            "{options:?}: {told}"
        );
        // Nobody could have connected.
        assert!(!told.contains("listening on"), "{options:?}: {told}");
    }
}
