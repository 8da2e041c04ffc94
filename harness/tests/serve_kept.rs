//! `trefoil serve --state`: a server that is killed goes on from its checkpoints when it is started
//! again, with any number of cores, and its views come to the rows of a server that was not.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output, Stdio};

use common::{Folder, text, trefoil};

struct Server {
    child: Child,
    http: String,
}

impl Server {
    fn start(folder: &Folder, cores: &str, every: &str) -> Self {
        let said = File::create(folder.0.join("said")).unwrap();
        let mut child = trefoil(folder)
            .args([
                "serve",
                "q.sql",
                "--http",
                "127.0.0.1:0",
                "--state",
                "state",
            ])
            .args(["--cores", cores, "--checkpoint-every", every])
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let http = line.trim_end().strip_prefix("ready http=");
        let http = http.unwrap_or_else(|| panic!("{}", folder.read("said")));
        Self {
            http: http.to_owned(),
            child,
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Ends it with this signal, and gives its exit code.
    fn ends(mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.child.wait().unwrap().code()
    }

    /// A number of `/metrics`.
    fn metric(&self, name: &str, view: &str) -> u64 {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        let asked = "GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        stream.write_all(asked.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let begin = format!("trefoil_{name}{{view=\"{view}\"}} ");
        let found = answer.lines().find_map(|line| line.strip_prefix(&begin));
        let found = found.unwrap_or_else(|| panic!("{begin}: {answer}"));
        found.parse::<f64>().unwrap() as u64
    }

    fn waits_for(&self, name: &str, view: &str, least: u64) {
        while self.metric(name, view) < least {
            std::thread::yield_now();
        }
    }
}

const FILE_VIEWS: [(&str, &str); 3] = [
    (
        "sums",
        "SELECT k, COUNT(*) AS n, SUM(v) AS total, COUNT(DISTINCT v % 9) AS kinds FROM r \
         GROUP BY k",
    ),
    (
        "closed",
        "SELECT window_start, k % 5 AS k, COUNT(*) AS n, MAX(v) AS most FROM \
         TABLE(TUMBLE(TABLE r, DESCRIPTOR(t), INTERVAL '20' SECOND)) \
         GROUP BY window_start, window_end, k % 5 EMIT ON WINDOW CLOSE",
    ),
    ("some", "SELECT id, v FROM made WHERE id % 50 = 0"),
];

const SOURCES: &str = "CREATE SOURCE r (n BIGINT, k BIGINT, v BIGINT, t TIMESTAMP(3), \
       WATERMARK FOR t AS t - INTERVAL '1' SECOND) \
       WITH (connector = 'file', format = 'json', path = 'r.json');
     CREATE SOURCE made (id BIGINT, v BIGINT) WITH (connector = 'generator', rows = 200000, \
       fields.id.kind = 'sequence', fields.v.min = 0, fields.v.max = 9);";

/// Records a tenth of a second apart, in some disorder.
fn records(rows: u64) -> String {
    let mut lines = String::new();
    for n in 0..rows {
        let tenths = n + 7 - n * 5 % 8;
        let (hour, minute) = (tenths / 36_000, tenths / 600 % 60);
        let (second, tenth) = (tenths / 10 % 60, tenths % 10);
        let (k, v) = (n * 7 % 1013, n * n % 101);
        let t = format!("2025-01-01T{hour:02}:{minute:02}:{second:02}.{tenth}");
        writeln!(lines, "{{\"n\":{n},\"k\":{k},\"v\":{v},\"t\":\"{t}\"}}").unwrap();
    }
    lines
}

/// The rows of a SELECT, in the order of their text.
fn sorted(output: &Output) -> Vec<String> {
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    let mut rows: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

/// What a shell finds in a view of the directory.
fn kept(folder: &Folder, ddl: &str, view: &str) -> Vec<String> {
    let mut child = trefoil(folder)
        .args([
            "sql", "--state", "state", "--format", "ndjson", "--cores", "2",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let typed = format!("{ddl}\nFLUSH;\nSELECT * FROM {view};\n");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    drop(stdin);
    sorted(&child.wait_with_output().unwrap())
}

fn views(all: &[(&str, &str)]) -> String {
    let view =
        |(name, query): &(&str, &str)| format!("CREATE MATERIALIZED VIEW {name} AS {query};\n");
    all.iter().map(view).collect()
}

/// Killed as soon as a checkpoint more of one of its views is durable, and started with other
/// cores.
#[test]
fn a_server_that_is_killed_goes_on() {
    let folder = Folder::new("serve-killed");
    folder.write("r.json", &records(300_000));
    let over =
        "SELECT n % 7 AS n, COUNT(*) AS groups, SUM(total) AS total FROM sums GROUP BY n % 7";
    let over_views = views(&[("over", over)]);
    let ddl = format!("{SOURCES}\n{}{over_views}", views(&FILE_VIEWS));
    folder.write("q.sql", &ddl);
    let mut cut_off = 0;
    for (life, cores) in ["1", "2", "3", "1", "2"].into_iter().enumerate() {
        let server = Server::start(&folder, cores, "10ms");
        let (view, _) = FILE_VIEWS[life % FILE_VIEWS.len()];
        while server.metric("view_checkpoints_total", view) == 0
            && server.metric("view_running", view) == 1
        {
            std::thread::yield_now();
        }
        assert_eq!(server.metric("view_checkpoints_failed_total", view), 0);
        let running = FILE_VIEWS.map(|(view, _)| server.metric("view_running", view));
        cut_off += running.iter().sum::<u64>();
        assert_eq!(server.ends("KILL"), None);
    }
    assert!(cut_off > 0, "all came to their end at once");
    let server = Server::start(&folder, "2", "10ms");
    for (view, _) in FILE_VIEWS {
        while server.metric("view_running", view) == 1 {
            std::thread::yield_now();
        }
    }
    assert_eq!(server.ends("TERM"), Some(0), "{}", folder.read("said"));
    for (view, query) in FILE_VIEWS {
        let output = trefoil(&folder)
            .args(["run", "-c", &format!("{SOURCES} {query}")])
            .args(["--format", "ndjson"])
            .output();
        let want = sorted(&output.unwrap());
        assert!(want.len() > 500, "{view}: {}", want.len());
        assert_eq!(kept(&folder, &ddl, view), want, "{view}");
    }
    let of_sums = over.replace("FROM sums", &format!("FROM ({}) AS sums", FILE_VIEWS[0].1));
    let output = trefoil(&folder)
        .args(["run", "-c", &format!("{SOURCES} {of_sums}")])
        .args(["--format", "ndjson"])
        .output();
    assert_eq!(kept(&folder, &ddl, "over"), sorted(&output.unwrap()));
}

const SOCKET: &str = "CREATE SOURCE s (n BIGINT) WITH (connector = 'unix', address = 'in.sock', \
      format = 'json', bad_data = 'skip');
    CREATE MATERIALIZED VIEW v AS SELECT n % 3 AS k, COUNT(*) AS n, SUM(n) AS total FROM s \
      GROUP BY n % 3;";

fn connect(folder: &Folder) -> UnixStream {
    UnixStream::connect(folder.0.join("in.sock")).unwrap()
}

fn send(client: &mut UnixStream, numbers: std::ops::Range<u64>) {
    let lines = numbers.map(|n| format!("{{\"n\":{n}}}\n"));
    let lines: String = lines.collect();
    client.write_all(lines.as_bytes()).unwrap();
}

/// What the view has of these numbers.
fn groups<I: Iterator<Item = u64>>(numbers: impl Fn() -> I) -> Vec<String> {
    let group = |k: u64| {
        let (mut n, mut total) = (0, 0);
        for number in numbers().filter(|number| number % 3 == k) {
            (n, total) = (n + 1, total + number);
        }
        format!("{{\"k\":{k},\"n\":{n},\"total\":{total}}}")
    };
    let mut groups: Vec<String> = (0..3).map(group).collect();
    groups.sort_unstable();
    groups
}

/// A client that asks how many of its records are durable sends the others again.
#[test]
fn what_a_socket_lost_can_be_told_and_sent_again() {
    let folder = Folder::new("serve-socket");
    folder.write("q.sql", SOCKET);
    let server = Server::start(&folder, "2", "1h");
    assert!(
        folder.read("said").contains("are lost in a crash"),
        "{}",
        folder.read("said")
    );
    let mut client = connect(&folder);
    send(&mut client, 0..100);
    client.write_all(b"nothing\n").unwrap();
    server.waits_for("view_rows_read_total", "v", 101);
    for taken in 1..=2 {
        server.signal("USR1");
        server.waits_for("view_checkpoints_total", "v", taken);
        let note = "note: a checkpoint of all views was taken\n";
        while folder.read("said").matches(note).count() < taken as usize {
            std::thread::yield_now();
        }
    }
    assert_eq!(server.metric("view_rows_durable", "v"), 101);
    assert!(server.metric("view_checkpoint_bytes", "v") > 100);
    send(&mut client, 100..150);
    server.waits_for("view_rows_read_total", "v", 151);
    assert_eq!(server.ends("KILL"), None);

    let server = Server::start(&folder, "1", "1h");
    let durable = server.metric("view_rows_durable", "v");
    assert_eq!(durable, 101, "one of them was none");
    let mut client = connect(&folder);
    send(&mut client, 100..200);
    server.waits_for("view_rows_read_total", "v", 100);
    assert_eq!(server.ends("TERM"), Some(0), "{}", folder.read("said"));

    let server = Server::start(&folder, "3", "1h");
    assert_eq!(server.metric("view_rows_durable", "v"), 201);
    assert_eq!(server.ends("INT"), Some(0), "{}", folder.read("said"));
    assert_eq!(kept(&folder, SOCKET, "v"), groups(|| 0..200));
}

/// A client with a name, which is told what the server has of it.
struct Client {
    to: UnixStream,
    told: BufReader<UnixStream>,
}

impl Client {
    /// Connects, and how many of its records are there.
    fn greet(folder: &Folder, name: &str) -> (Self, u64) {
        let mut to = connect(folder);
        let first = format!("{{\"producer\":\"{name}\"}}\n");
        to.write_all(first.as_bytes()).unwrap();
        let told = BufReader::new(to.try_clone().unwrap());
        let mut client = Self { to, told };
        let held = client.hears("held");
        (client, held)
    }

    fn hears(&mut self, what: &str) -> u64 {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        told[what].as_u64().unwrap_or_else(|| panic!("{line}"))
    }
}

/// Clients that are told what is there, and send the rest again: after a crash, and when they were
/// cut off.
#[test]
fn each_record_of_a_client_counts_once() {
    let folder = Folder::new("serve-clients");
    let sql = SOCKET.replace("'skip'", "'skip', acknowledge = true");
    folder.write("q.sql", &sql);
    let server = Server::start(&folder, "2", "1h");
    let (mut a, held) = Client::greet(&folder, "a");
    assert_eq!(held, 0);
    let (mut b, held) = Client::greet(&folder, "b");
    assert_eq!(held, 0);
    send(&mut a.to, 0..99);
    a.to.write_all(b"nothing\n").unwrap();
    send(&mut b.to, 1000..1050);
    server.waits_for("view_rows_read_total", "v", 150);
    server.signal("USR1");
    assert_eq!((a.hears("durable"), b.hears("durable")), (100, 50));
    send(&mut a.to, 100..150);
    server.waits_for("view_rows_read_total", "v", 200);
    // It comes back before anybody has noticed that it was gone.
    let (mut again, held) = Client::greet(&folder, "a");
    assert_eq!(held, 150);
    assert_eq!(again.hears("durable"), 100);
    assert_eq!(a.told.read(&mut [0]).unwrap(), 0, "the other one is closed");
    send(&mut again.to, 150..160);
    // Cut off within a record, which has no number.
    b.to.write_all(b"{\"n\":1").unwrap();
    drop(b);
    let (b, held) = Client::greet(&folder, "b");
    assert_eq!(held, 50);
    server.waits_for("view_rows_read_total", "v", 210);
    let mut stranger = connect(&folder);
    stranger.write_all(b"{\"n\":1}\n").unwrap();
    assert_eq!(stranger.read(&mut [0]).unwrap(), 0);
    assert!(folder.read("said").contains("its first line is not"));
    assert_eq!(server.ends("KILL"), None);
    drop(b);

    let server = Server::start(&folder, "1", "1h");
    let (mut b, held) = Client::greet(&folder, "b");
    assert_eq!((held, b.hears("durable")), (50, 50));
    let (mut a, held) = Client::greet(&folder, "a");
    assert_eq!((held, a.hears("durable")), (100, 100));
    send(&mut a.to, 100..200);
    send(&mut b.to, 1050..1100);
    server.waits_for("view_rows_read_total", "v", 150);
    assert_eq!(server.ends("TERM"), Some(0), "{}", folder.read("said"));
    let numbers = || (0..99).chain(100..200).chain(1000..1100);
    assert_eq!(kept(&folder, &sql, "v"), groups(numbers));
}

/// A client that was cut off, by a crash or by itself, is waited for: what it sends again is not
/// late for what another one has sent meanwhile.
#[test]
fn a_client_that_was_cut_off_holds_the_watermark() {
    let folder = Folder::new("serve-held");
    let sql = "CREATE SOURCE s (n BIGINT, t TIMESTAMP(0), WATERMARK FOR t) WITH \
          (connector = 'unix', address = 'in.sock', format = 'json', acknowledge = true);
        CREATE MATERIALIZED VIEW v AS SELECT window_start AS w, COUNT(*) AS n, SUM(n) AS total \
          FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(t), INTERVAL '10' SECOND)) \
          GROUP BY window_start, window_end EMIT ON WINDOW CLOSE;";
    folder.write("q.sql", sql);
    let send = |client: &mut Client, numbers: std::ops::Range<u64>| {
        let line = |n: u64| {
            let (minute, second) = (n / 60, n % 60);
            format!("{{\"n\":{n},\"t\":\"2025-01-01T00:{minute:02}:{second:02}\"}}\n")
        };
        let lines: String = numbers.map(line).collect();
        client.to.write_all(lines.as_bytes()).unwrap();
    };
    let server = Server::start(&folder, "2", "1h");
    let (mut a, _) = Client::greet(&folder, "a");
    let (mut b, _) = Client::greet(&folder, "b");
    // One that never sent anything is not waited for.
    send(&mut a, 0..1);
    send(&mut b, 0..1);
    server.waits_for("view_rows_read_total", "v", 2);
    send(&mut a, 1..30);
    send(&mut b, 1..20);
    server.waits_for("view_rows_read_total", "v", 50);
    // By itself.
    b.to.write_all(b"{").unwrap();
    drop(b);
    send(&mut a, 30..600);
    server.waits_for("view_rows_read_total", "v", 620);
    let (mut b, held) = Client::greet(&folder, "b");
    assert_eq!(held, 20);
    send(&mut b, 20..40);
    server.waits_for("view_rows_read_total", "v", 640);
    server.signal("USR1");
    assert_eq!((a.hears("durable"), b.hears("durable")), (600, 40));
    // By a crash.
    assert_eq!(server.ends("KILL"), None);
    let server = Server::start(&folder, "1", "1h");
    let (mut a, held) = Client::greet(&folder, "a");
    assert_eq!(held, 600);
    send(&mut a, 600..900);
    server.waits_for("view_rows_read_total", "v", 300);
    let (mut b, held) = Client::greet(&folder, "b");
    assert_eq!(held, 40);
    send(&mut b, 40..900);
    server.waits_for("view_rows_read_total", "v", 1160);
    assert_eq!(server.ends("TERM"), Some(0), "{}", folder.read("said"));
    let want: Vec<String> = (0..89)
        .map(|w| {
            let (minute, second) = (w / 6, w % 6 * 10);
            let total: u64 = (w * 10..w * 10 + 10).sum();
            let total = 2 * total;
            let w = format!("2025-01-01T00:{minute:02}:{second:02}");
            format!("{{\"w\":\"{w}\",\"n\":20,\"total\":{total}}}")
        })
        .collect();
    assert_eq!(kept(&folder, sql, "v"), want);
}

/// A server that cannot go on says why, and nothing is begun anew without a word.
#[test]
fn what_cannot_be_gone_on_with() {
    let folder = Folder::new("serve-not-on");
    folder.write("q.sql", SOCKET);
    folder.write("file", "");
    let fails = |options: &[&str]| -> (Option<i32>, String) {
        let output = trefoil(&folder)
            .args(["serve", "--http", "127.0.0.1:0"])
            .args(options)
            .output()
            .unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code(), text(&output.stderr))
    };
    let server = Server::start(&folder, "1", "1h");
    send(&mut connect(&folder), 0..10);
    server.waits_for("view_rows_read_total", "v", 10);
    let other = SOCKET.replace("in.sock", "other.sock");
    let busy = fails(&["-c", &other, "--state", "state"]);
    assert!(busy.0 == Some(5), "{busy:?}");
    // Its folder is not to be dropped.
    for (part, is_said) in [
        ("another process", true),
        ("end that one", true),
        ("drop", false),
    ] {
        assert_eq!(busy.1.contains(part), is_said, "{busy:?}");
    }
    assert_eq!(server.ends("TERM"), Some(0));
    let sink = format!(
        "{SOCKET} CREATE SINK o WITH (connector = 'file', format = 'json', path = 'o') AS \
         SELECT n FROM s;"
    );
    let changed = SOCKET.replace("% 3", "% 4");
    let nowhere = SOCKET.replace("in.sock", "none/in.sock");
    for (sql, state, code, why) in [
        (changed.as_str(), "state", 5, "another definition"),
        (SOCKET, "file", 5, "cannot be taken up"),
        (&sink, "state", 3, "error[E0301]"),
        (&nowhere, "fresh", 4, "No such file"),
    ] {
        let failed = fails(&["-c", sql, "--state", state]);
        assert!(
            failed.0 == Some(code) && failed.1.contains(why),
            "{failed:?}"
        );
    }
    // The last checkpoint cannot be written.
    let server = Server::start(&folder, "1", "1h");
    let there = folder.0.join("state/view-v/state");
    fs::rename(&there, folder.0.join("away")).unwrap();
    send(&mut connect(&folder), 10..20);
    server.waits_for("view_rows_read_total", "v", 10);
    assert_eq!(server.ends("TERM"), Some(5), "{}", folder.read("said"));
    assert!(folder.read("said").contains("the last checkpoint"));
}
