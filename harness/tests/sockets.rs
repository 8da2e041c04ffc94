//! Sources that listen: lines of several clients at once, each from its first to its last, whatever
//! the others do; and what is wrong with a client's lines is told with its connection and line.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, ChildStdout, Stdio};

use common::{Folder, text, trefoil};

/// A run whose source listens.
struct Run {
    child: Child,
    address: String,
    rows: BufReader<ChildStdout>,
    said: BufReader<ChildStderr>,
}

impl Run {
    fn start(folder: &Folder, sql: &str, options: &[&str]) -> Self {
        let mut child = trefoil(folder)
            .args(["run", "-c", sql, "--format", "ndjson"])
            .args(["--stats", "stats.json"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let rows = BufReader::new(child.stdout.take().unwrap());
        let mut run = Self {
            said: BufReader::new(child.stderr.take().unwrap()),
            address: String::new(),
            child,
            rows,
        };
        run.address = run.hears("listening on ").split_off("listening on ".len());
        run
    }

    /// What is said next that has this in it, from there on.
    fn hears(&mut self, what: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(
                self.said.read_line(&mut line).unwrap() > 0,
                "{what} was not said"
            );
            if let Some(at) = line.find(what) {
                return line[at..].trim_end().to_owned();
            }
        }
    }

    fn row(&mut self) -> String {
        let mut line = String::new();
        self.rows.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// So many rows, in the order of their text: clients are read side by side.
    fn sorted(&mut self, count: usize) -> Vec<String> {
        let mut rows: Vec<String> = (0..count).map(|_| self.row()).collect();
        rows.sort();
        rows
    }

    fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address.strip_prefix("tcp://").unwrap()).unwrap()
    }

    /// Waits for the end: its exit code, the rows and what was said that nobody looked at.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut rows, mut said) = (String::new(), String::new());
        self.rows.read_to_string(&mut rows).unwrap();
        self.said.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), rows, said)
    }
}

fn source(columns: &str, more: &str) -> String {
    format!("CREATE SOURCE s ({columns}) WITH (connector = 'tcp', address = ':0', {more});")
}

#[test]
fn clients_come_and_go() {
    let folder = Folder::new("sock-clients");
    for cores in ["1", "2"] {
        let sql = source("n BIGINT", "format = 'json'") + "SELECT n, _OFFSET AS o FROM s;";
        let options = ["--limit", "6", "--cores", cores];
        let mut run = Run::start(&folder, &sql, &options);
        let mut first = run.tcp();
        first.write_all(b"{\"n\":1}\n{\"n\":").unwrap();
        assert_eq!(run.row(), "{\"n\":1,\"o\":0}");
        // Another one, in the middle of the first one's record.
        run.tcp().write_all(b"{\"n\":7}\n{\"n\":8}").unwrap();
        assert_eq!(run.row(), "{\"n\":7,\"o\":0}");
        // Without a newline its last record counts when it has closed.
        assert_eq!(run.row(), "{\"n\":8,\"o\":8}");
        first.write_all(b"2}\n").unwrap();
        assert_eq!(run.row(), "{\"n\":2,\"o\":8}");
        let mut third = run.tcp();
        third.write_all(b"{\"n\":9}\n{\"n\":9}\n").unwrap();
        assert_eq!(run.row(), "{\"n\":9,\"o\":0}");
        let (code, rows, said) = run.end();
        assert_eq!(
            (code, rows.as_str()),
            (Some(0), "{\"n\":9,\"o\":8}\n"),
            "{said}"
        );
    }
}

/// Clients with names are told how many of their records are there, also where nothing is kept.
#[test]
fn clients_are_told_where_they_go_on() {
    let folder = Folder::new("sock-told");
    let options = "format = 'csv', bad_data = 'skip', acknowledge = true";
    let sql = source("n BIGINT, k VARCHAR", options) + "SELECT k, n FROM s;";
    for cores in ["1", "2"] {
        let mut run = Run::start(&folder, &sql, &["--limit", "5", "--cores", cores]);
        let greet = |run: &Run, name: &str, then: &str| {
            let mut client = run.tcp();
            let first = format!("{{\"producer\":\"{name}\"}}\n{then}");
            client.write_all(first.as_bytes()).unwrap();
            let mut told = String::new();
            let mut lines = BufReader::new(client.try_clone().unwrap());
            lines.read_line(&mut told).unwrap();
            (client, told)
        };
        let (mut a, told) = greet(&run, "a", "n,k\n1,\"x\n");
        assert_eq!(told, "{\"held\":0}\n");
        a.write_all(b"y\"\nnothing,z\n2,").unwrap();
        assert_eq!(run.row(), "{\"k\":\"x\\ny\",\"n\":1}");
        let (b, told) = greet(&run, "b", "k,n\nb,7\n");
        assert_eq!(told, "{\"held\":0}\n");
        assert_eq!(run.row(), "{\"k\":\"b\",\"n\":7}");
        // What had begun has no number; a record that is none has one.
        a.shutdown(Shutdown::Write).unwrap();
        assert_eq!(a.read(&mut [0]).unwrap(), 0);
        let (mut a, told) = greet(&run, "a", "");
        assert_eq!(told, "{\"held\":2}\n");
        a.write_all(b"n,k\n2,c\n3,d\n").unwrap();
        assert_eq!(run.row(), "{\"k\":\"c\",\"n\":2}");
        assert_eq!(run.row(), "{\"k\":\"d\",\"n\":3}");
        drop(b);
        let (_, told) = greet(&run, "b", "n,k\n8,e\n");
        assert_eq!(told, "{\"held\":1}\n");
        assert_eq!(run.row(), "{\"k\":\"e\",\"n\":8}");
        assert_eq!(run.end().0, Some(0));
    }
}

#[test]
fn each_connection_has_a_header_of_its_own() {
    let folder = Folder::new("sock-csv");
    let sql = "CREATE SOURCE s (k VARCHAR, n BIGINT) WITH (connector = 'unix', \
               address = 'in.sock', format = 'csv', bad_data = 'skip'); SELECT k, n FROM s;";
    let mut run = Run::start(&folder, sql, &["--limit", "3"]);
    assert_eq!(run.address, "unix:./in.sock");
    let send = |text: &str| {
        let mut stream = UnixStream::connect(folder.0.join("in.sock")).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // The engine closes when it has read all.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    };
    send("k,n\n\"a\nb\",1\n");
    send("n,k\n2,c\n");
    // Columns that are not there make this client's lines bad, and nobody else's.
    send("x,y\n1,2\n");
    send("n,k\n3,d\n");
    let want = [
        "{\"k\":\"a\\nb\",\"n\":1}",
        "{\"k\":\"c\",\"n\":2}",
        "{\"k\":\"d\",\"n\":3}",
    ];
    assert_eq!(run.sorted(3), want);
    let (code, _, said) = run.end();
    assert_eq!(code, Some(0), "{said}");
    let source = &folder.json("stats.json")["sources"][0];
    assert_eq!(
        (&source["rows_passed"], &source["rows_bad"]),
        (&3.into(), &1.into())
    );
}

#[test]
fn garbage_is_told_with_its_connection_and_line() {
    let folder = Folder::new("sock-garbage");
    let dlq = "format = 'json', bad_data = 'dlq', dlq_path = 'bad.ndjson', max_record_bytes = 40";
    let sql = source("n BIGINT", dlq) + "SELECT 10 / n AS q FROM s;";
    let mut run = Run::start(&folder, &sql, &["--limit", "3"]);
    let mut good = run.tcp();
    good.write_all(b"{\"n\":1}\n").unwrap();
    assert_eq!(run.row(), "{\"q\":10}");
    let long = "x".repeat(50);
    let lines = format!("{{\"n\":1}}\n\n\u{1}\u{2}garbage\n{{\"n\":0}}\n{{\"s\":\"{long}\"}}\n");
    run.tcp().write_all(lines.as_bytes()).unwrap();
    assert_eq!(run.row(), "{\"q\":10}");
    good.write_all(b"{\"n\":5}\n").unwrap();
    assert_eq!(run.row(), "{\"q\":2}");
    let (code, _, said) = run.end();
    assert_eq!(code, Some(0), "{said}");
    let letters = folder.read("bad.ndjson");
    for (line, why) in [(3, "garbage"), (4, "{\\\"n\\\":0}"), (5, "over 40 bytes")] {
        let place = format!(", line {line}\"");
        let told = letters
            .lines()
            .any(|l| l.contains("#2 from 127.0.0.1:") && l.contains(&place));
        assert!(told && letters.contains(why), "{line}: {letters}");
    }

    let sql = source("n BIGINT", "format = 'json'") + "SELECT n FROM s;";
    let mut run = Run::start(&folder, &sql, &[]);
    run.tcp().write_all(b"{\"n\":1}\nnothing\n").unwrap();
    assert_eq!(run.row(), "{\"n\":1}");
    let (code, _, said) = run.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("source s: tcp://127.0.0.1:") && said.contains(", line 2: byte 8: "));
}

#[test]
fn who_is_silent_is_cut_off_and_harms_nobody() {
    let folder = Folder::new("sock-silent");
    let options = "format = 'json', bad_data = 'skip', max_silence = '300 milliseconds'";
    let sql = source("n BIGINT", options) + "SELECT n FROM s;";
    let mut run = Run::start(&folder, &sql, &["--limit", "2"]);
    // A record and a half, and then nothing.
    let mut silent = run.tcp();
    silent.write_all(b"{\"n\":1}\n{\"n\":").unwrap();
    assert_eq!(run.row(), "{\"n\":1}");
    run.hears("was cut off: it sent nothing for 300ms");
    assert_eq!(
        silent.read(&mut [0]).unwrap(),
        0,
        "its connection is closed"
    );
    run.tcp().write_all(b"{\"n\":2}\n").unwrap();
    assert_eq!(run.row(), "{\"n\":2}");
    let (code, _, said) = run.end();
    assert_eq!(code, Some(0), "{said}");
    let source = &folder.json("stats.json")["sources"][0];
    assert_eq!(
        (&source["rows_passed"], &source["rows_bad"]),
        (&2.into(), &1.into())
    );
}

#[test]
fn one_client_too_many_is_refused_and_the_others_go_on() {
    let folder = Folder::new("sock-many");
    let options = "format = 'json', max_connections = 3";
    let sql = source("n BIGINT", options) + "SELECT n FROM s;";
    let mut run = Run::start(&folder, &sql, &["--limit", "4"]);
    let mut clients: Vec<TcpStream> = (0..3).map(|_| run.tcp()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client
            .write_all(format!("{{\"n\":{number}}}\n").as_bytes())
            .unwrap();
        assert_eq!(run.row(), format!("{{\"n\":{number}}}"));
    }
    let mut refused = run.tcp();
    // Closed in order, or reset.
    assert!(matches!(refused.read(&mut [0]), Ok(0) | Err(_)));
    run.hears("a connection was refused, as there may be 3 at once");
    clients[2].write_all(b"{\"n\":4}\n").unwrap();
    assert_eq!(run.row(), "{\"n\":4}");
    let (code, _, said) = run.end();
    assert_eq!(code, Some(0), "{said}");
}

/// Each connection is a split: what is late is so by the rows of its own client.
#[test]
fn rows_are_late_behind_those_of_their_own_client() {
    let folder = Folder::new("sock-windows");
    let sql = "CREATE SOURCE s (at TIMESTAMP(3), WATERMARK FOR at) WITH \
               (connector = 'tcp', address = '127.0.0.1:0', format = 'json'); \
               SELECT window_start AS w, COUNT(*) AS n FROM s \
               GROUP BY TUMBLE(at, INTERVAL '1' HOUR) EMIT CHANGES;";
    for cores in ["1", "2"] {
        let mut run = Run::start(&folder, sql, &["--limit", "9", "--cores", cores]);
        let address = run.address.clone();
        let mut send = |client: &mut TcpStream, times: &[&str], hour: u32, count: u32| {
            let row = |time: &&str| format!("{{\"at\":\"2024-01-01 {time}\"}}\n");
            let rows: String = times.iter().map(row).collect();
            client.write_all(rows.as_bytes()).unwrap();
            let change = |op: &str, n: u32| {
                format!("{{\"op\":\"{op}\",\"w\":\"2024-01-01T0{hour}:00:00\",\"n\":{n}}}")
            };
            if count == 1 {
                assert_eq!(run.row(), change("+I", 1));
                return;
            }
            assert_eq!(run.row(), change("-U", count - 1));
            assert_eq!(run.row(), change("+U", count));
        };
        let connect = |address: &str| TcpStream::connect(&address["tcp://".len()..]).unwrap();
        let (mut slow, mut fast) = (connect(&address), connect(&address));
        send(&mut slow, &["00:10:00"], 0, 1);
        send(&mut fast, &["05:00:00"], 5, 1);
        send(&mut slow, &["00:20:00"], 0, 2);
        send(&mut slow, &["03:00:00"], 3, 1);
        send(&mut slow, &["00:30:00", "03:10:00"], 3, 2);
        send(&mut fast, &["02:00:00", "05:30:00"], 5, 2);
        let (code, rows, said) = run.end();
        assert_eq!((code, rows.as_str()), (Some(0), ""), "{said}");
        let input = &folder.json("stats.json")["queries"][0]["inputs"][0];
        assert_eq!(
            (&input["rows_in"], &input["rows_late"]),
            (&8.into(), &2.into())
        );
    }
}

#[test]
fn load_sends_to_a_source_until_a_signal() {
    let folder = Folder::new("sock-load");
    let sql = source(
        "seq BIGINT, key BIGINT, value DOUBLE, ts TIMESTAMP(9)",
        "format = 'json'",
    ) + "SELECT seq, key FROM s;";
    let mut run = Run::start(&folder, &sql, &["--cores", "1"]);
    let options = [
        "load",
        "--to",
        &run.address,
        "--rows",
        "20000",
        "--rate",
        "200000",
        "--warmup",
        "0s",
        "--producers",
        "2",
    ];
    let load = trefoil(&folder)
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seqs = Vec::new();
    for _ in 0..20_000 {
        let row: serde_json::Value = serde_json::from_str(&run.row()).unwrap();
        seqs.push(row["seq"].as_u64().unwrap());
    }
    let output = load.wait_with_output().unwrap();
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 7)), "{told}");
    assert_eq!(
        (&result["acked"], &result["failed"]),
        (&20_000.into(), &0.into())
    );
    seqs.sort_unstable();
    assert!(seqs.iter().copied().eq(0..20_000));
    let pid = i32::try_from(run.child.id()).unwrap();
    let killed = std::process::Command::new("kill")
        .arg(pid.to_string())
        .status();
    assert!(killed.unwrap().success());
    let (code, rows, said) = run.end();
    assert_eq!((code, rows.as_str()), (Some(0), ""), "{said}");
}

#[test]
fn what_cannot_be_listened_to_is_refused() {
    let folder = Folder::new("sock-refused");
    folder.write("file.sock", "");
    let _listener = std::os::unix::net::UnixListener::bind(folder.0.join("live.sock")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(folder.0.join("dead.sock")).unwrap());
    for (options, code, said) in [
        (
            "connector = 'unix', address = 'file.sock', format = 'json'",
            4,
            "in use",
        ),
        (
            "connector = 'unix', address = 'live.sock', format = 'json'",
            4,
            "in use",
        ),
        (
            "connector = 'unix', address = 'none/s', format = 'json'",
            4,
            "No such file",
        ),
        (
            "connector = 'tcp', address = '192.0.2.1:1', format = 'json'",
            4,
            "assign",
        ),
        (
            "connector = 'tcp', address = ':0', format = 'parquet'",
            3,
            "of no use for files",
        ),
        (
            "connector = 'tcp', address = ':0', format = 'debezium_json'",
            3,
            "cannot run yet",
        ),
        (
            "connector = 'tcp', address = ':0', format = 'json', max_connections = 0",
            3,
            "'0' is no",
        ),
        (
            "connector = 'tcp', address = ':x', format = 'json'",
            3,
            "':x' is no address",
        ),
        (
            "connector = 'unix', address = 's', format = 'json', max_silence = '0 s'",
            3,
            "max_silen",
        ),
        (
            "connector = 'unix', address = 's', format = 'json', acknowledge = 'perhaps'",
            3,
            "perhaps",
        ),
    ] {
        let sql = format!("CREATE SOURCE s (n BIGINT) WITH ({options}); SELECT n FROM s;");
        let output = trefoil(&folder).args(["run", "-c", &sql]).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{options}: {told}");
        assert!(told.contains(said), "{options}: {told}");
    }
    // Where nobody listens any more the name is free.
    let sql = "CREATE SOURCE s (n BIGINT) WITH (connector = 'unix', address = 'dead.sock', \
               format = 'json'); SELECT n FROM s;";
    let mut run = Run::start(&folder, sql, &["--limit", "1"]);
    let mut client = UnixStream::connect(folder.0.join("dead.sock")).unwrap();
    client.write_all(b"{\"n\":1}\n").unwrap();
    assert_eq!(run.row(), "{\"n\":1}");
    assert_eq!(run.end().0, Some(0));
    let sql = source("n BIGINT", "format = 'json'") + "SELECT n FROM s;";
    let output = trefoil(&folder)
        .args(["run", "-c", &sql, "--state", "state"])
        .output()
        .unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains("cannot be read again"));
}
