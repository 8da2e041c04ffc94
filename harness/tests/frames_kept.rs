//! A server with a state directory that is killed again and again, under a client that sends
//! frames, is cut off, and sends again what is not durable.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;
mod framed;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use trefoil_ring1::connector::message::Answer;

use common::{Folder, text, trefoil};
use framed::{Client, Table, numbers};

const SQL: &str = "CREATE SOURCE s (n BIGINT NOT NULL, k VARCHAR) WITH (connector = 'unix', \
      address = 'in.sock', format = 'binary');
    CREATE MATERIALIZED VIEW v AS SELECT n % 3 AS g, COUNT(*) AS n, SUM(n) AS total, \
      COUNT(k) AS texts FROM s GROUP BY n % 3;";

const ROWS: usize = 6000;

struct Server(Child);

impl Server {
    fn start(folder: &Folder, cores: &str) -> Self {
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
            .args(["--cores", cores, "--checkpoint-every", "20ms"])
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready"), "{}", folder.read("said"));
        Self(child)
    }

    fn ends(mut self, signal: &str) -> Option<i32> {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.unwrap().success());
        self.0.wait().unwrap().code()
    }
}

fn meet(folder: &Folder, table: &Table) -> (Client<UnixStream>, usize) {
    let mut client = Client::new(UnixStream::connect(folder.0.join("in.sock")).unwrap());
    client.send(&table.hello("one"));
    let held = client.held() as usize;
    (client, held)
}

/// Sends rows in small frames; what cannot be sent any more comes again.
fn send(client: &mut Client<UnixStream>, table: &Table, rows: std::ops::Range<usize>) {
    for first in rows.clone().step_by(17) {
        let frame = table.records(first..rows.end.min(first + 17));
        if client.stream.write_all(&frame).is_err() {
            return;
        }
    }
}

/// Waits until so many rows are durable.
fn durable(client: &mut Client<UnixStream>, least: usize) -> usize {
    loop {
        match client.answer() {
            Some(Answer::Durable(rows)) if rows as usize >= least => return rows as usize,
            Some(Answer::Durable(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn each_record_counts_once_across_crashes() {
    let folder = Folder::new("frames-kept");
    folder.write("q.sql", SQL);
    let table = numbers(0..ROWS as u64);
    let mut known = 0;
    for (life, cores) in ["1", "2", "3", "2"].into_iter().enumerate() {
        let server = Server::start(&folder, cores);
        let (mut client, held) = meet(&folder, &table);
        assert!(held >= known, "{known} were durable, and {held} are there");
        // Some of them once more, from before what is held.
        let upto = (life + 1) * ROWS / 5;
        send(&mut client, &table, held.saturating_sub(100)..upto);
        known = durable(&mut client, held + 1).max(known);
        // Cut off in the middle of a frame, and back.
        let frame = table.records(upto..upto + 40);
        client.send(&frame[..frame.len() / 2]);
        drop(client);
        let (mut client, held) = meet(&folder, &table);
        assert!(held >= known && held <= upto, "{held} of {upto}");
        send(&mut client, &table, held..upto + 200);
        assert_eq!(server.ends("KILL"), None);
    }
    let server = Server::start(&folder, "2");
    let (mut client, held) = meet(&folder, &table);
    assert!(held >= known);
    send(&mut client, &table, held..ROWS);
    durable(&mut client, ROWS);
    assert_eq!(server.ends("TERM"), Some(0), "{}", folder.read("said"));
    let mut child = trefoil(&folder)
        .args(["sql", "--state", "state", "--format", "ndjson"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let typed = format!("{SQL}\nFLUSH;\nSELECT * FROM v;\n");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(typed.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let mut got: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    got.sort();
    let group = |g: usize| {
        let of = || (0..ROWS).filter(move |n| n % 3 == g);
        let (total, texts) = (of().sum::<usize>(), of().filter(|n| n % 5 > 0).count());
        format!(
            "{{\"g\":{g},\"n\":{},\"total\":{total},\"texts\":{texts}}}",
            of().count()
        )
    };
    let want: Vec<String> = (0..3).map(group).collect();
    assert_eq!(got, want, "{}", text(&output.stderr));
}
