//! Sockets with `format = 'binary'`: what clients send in frames is what others send in lines;
//! what is damaged is refused and never a wrong row; who comes back loses and doubles nothing.

#![allow(clippy::unwrap_used)] // These are tests.

mod common;
mod framed;

use std::io::Write;
use std::net::Shutdown;
use std::process::Stdio;

use trefoil_ring1::connector::message::{Answer, Reason};

use common::{Folder, text, trefoil};
use framed::{
    COLUMNS, Client, Run, Table, all_types, numbers, numbers_schema, other_schema, rows_of,
    session, source,
};

/// Sends a whole session, and gives what it was told until its connection was closed.
fn told(run: &Run, pieces: &[&[u8]]) -> Vec<Answer> {
    let mut client = Client::new(run.tcp());
    for piece in pieces {
        // One that was refused may be closed before it has sent all.
        if client.stream.write_all(piece).is_err() {
            break;
        }
    }
    _ = client.stream.shutdown(Shutdown::Write);
    client.all()
}

#[test]
fn values_of_all_types_are_those_of_lines() {
    let folder = Folder::new("frames-types");
    let (columns, schema, lines) = all_types();
    let count = lines.lines().count();
    let select = "SELECT * FROM s;";
    folder.write("s.ndjson", &lines);
    let of_file = format!(
        "CREATE SOURCE s ({columns}) WITH (connector = 'file', format = 'json', \
         path = 's.ndjson'); {select}"
    );
    let output = trefoil(&folder)
        .args(["run", "-c", &of_file, "--format", "ndjson", "--cores", "1"])
        .output()
        .unwrap();
    let want: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    assert_eq!(want.len(), count, "{}", text(&output.stderr));
    let table = Table::new(schema, &lines);
    for (cores, step) in [("1", 1), ("2", 7), ("4", 1000)] {
        let sql = source(&columns, "") + select;
        let limit = count.to_string();
        let mut run = Run::start(
            trefoil(&folder),
            &sql,
            &["--cores", cores, "--limit", &limit],
        );
        let (mut client, held) = run.client("all", &table);
        assert_eq!(held, 0);
        for first in (0..count).step_by(step) {
            client.send(&table.records(first..count.min(first + step)));
        }
        let mut got = run.rows(count);
        let mut want = want.clone();
        // Rows go to all shards.
        got.sort();
        want.sort();
        assert_eq!(got, want, "{cores} cores, frames of {step}");
        let (code, _, said) = run.end();
        assert_eq!(code, Some(0), "{said}");
    }
}

/// However a session is divided, it is the same.
#[test]
fn writes_end_anywhere() {
    let folder = Folder::new("frames-pieces");
    let table = numbers(0..4);
    let bytes = |name: &str| session(&table, name, 2);
    let length = bytes("client-0000").len();
    let sql = source(COLUMNS, "") + "SELECT n, k FROM s;";
    let limit = (4 * (length + 1)).to_string();
    let mut run = Run::start(trefoil(&folder), &sql, &["--cores", "1", "--limit", &limit]);
    for at in 0..=length {
        let session = bytes(&format!("client-{at:04}"));
        let answers = match at {
            0 => told(&run, &session.chunks(1).collect::<Vec<_>>()),
            _ => told(&run, &[&session[..at], &session[at..]]),
        };
        assert_eq!(answers, [Answer::Held(0)], "{at} bytes");
        assert_eq!(run.rows(4), rows_of(0..4), "{at} bytes");
    }
    let (code, _, said) = run.end();
    assert_eq!(code, Some(0), "{said}");
}

/// Whichever byte is another one, its client is told so, and what was in that message is no row.
#[test]
fn a_damaged_byte_ends_its_connection() {
    let folder = Folder::new("frames-damaged");
    let table = numbers(0..4);
    let bytes = |name: &str| session(&table, name, 2);
    let second = bytes("client-0000").len() - table.records(2..4).len();
    let sql = source(COLUMNS, "") + "SELECT n, k FROM s;";
    let length = bytes("client-0000").len();
    let limit = (2 * (length - second) + 1).to_string();
    let mut run = Run::start(trefoil(&folder), &sql, &["--cores", "2", "--limit", &limit]);
    for at in 0..length {
        let mut session = bytes(&format!("client-{at:04}"));
        session[at] ^= 1 << (at % 8);
        let answers = told(&run, &[&session]);
        let Some(Answer::Refused(refusal)) = answers.last() else {
            panic!("byte {at}: {answers:?}")
        };
        let is_right = match at {
            0..8 => refusal.reason == Reason::Protocol,
            // A length says where the message ends, or that it is too long.
            _ => matches!(
                refusal.reason,
                Reason::Checksum | Reason::CutOff | Reason::TooLong
            ),
        };
        assert!(is_right, "byte {at}: {refusal:?}");
        if at >= second {
            assert_eq!(run.rows(2), rows_of(0..2), "byte {at}");
        }
    }
    let (mut client, _) = run.client("sound", &table);
    client.send(&table.records(0..1));
    let (code, rows, said) = run.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(rows.trim_end(), rows_of(0..1)[0]);
    assert!(
        said.contains("was cut off: the checksum of a message is wrong"),
        "{said}"
    );
}

/// A client that was cut off goes on behind what it is told, may send again what it likes, and
/// may leave nothing out.
#[test]
fn who_comes_back_goes_on() {
    let folder = Folder::new("frames-again");
    let table = numbers(0..30);
    let sql = source(COLUMNS, "") + "SELECT n, k FROM s;";
    for cores in ["1", "2"] {
        let mut run = Run::start(trefoil(&folder), &sql, &["--limit", "30", "--cores", cores]);
        let (mut client, _) = run.client("a", &table);
        let frame = table.records(10..20);
        client.send(&table.records(0..10));
        client.send(&frame[..frame.len() - 1]);
        assert_eq!(run.rows(10), rows_of(0..10));
        // In the middle of a frame.
        client.stream.shutdown(Shutdown::Write).unwrap();
        let answers = client.all();
        let [Answer::Refused(refusal)] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(refusal.reason, Reason::CutOff);
        let (mut client, held) = run.client("a", &table);
        assert_eq!(held, 10);
        for range in [0..10, 3..7, 5..20, 20..20, 19..21] {
            client.send(&table.records(range));
        }
        assert_eq!(run.rows(11), rows_of(10..21));
        // Another connection of the same name takes its place, and one record is missing.
        let (mut other, held) = run.client("a", &table);
        assert_eq!((held, client.all()), (21, vec![]));
        other.send(&table.records(22..30));
        let answers = other.all();
        let [Answer::Refused(refusal)] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(refusal.reason, Reason::Gap);
        assert_eq!(
            refusal.text,
            "record 22 is the next one, and a frame begins with 23"
        );
        let (mut last, held) = run.client("a", &table);
        assert_eq!(held, 21);
        last.send(&table.records(0..30));
        assert_eq!(run.rows(9), rows_of(21..30));
        let (code, _, said) = run.end();
        assert_eq!(code, Some(0), "{said}");
        let stats = &folder.json("stats.json")["sources"][0];
        let count = |name: &str| stats[name].as_u64().unwrap();
        assert_eq!((count("rows_read"), count("rows_passed")), (30, 30));
        // 10, 4, 5, none, 1, and 21 of the last one.
        assert_eq!((count("rows_repeated"), count("rows_bad")), (41, 0));
    }
}

/// What is none of the protocol is refused at once, and harms nobody else.
#[test]
fn strangers_are_refused() {
    let folder = Folder::new("frames-strangers");
    let options = ", max_record_bytes = 1500";
    let sql = source(COLUMNS, options) + "SELECT n, k FROM s;";
    let mut run = Run::start(trefoil(&folder), &sql, &["--limit", "7"]);
    let table = numbers(0..100);
    let (mut good, _) = run.client("good", &table);
    good.send(&table.records(0..3));
    assert_eq!(run.rows(3), rows_of(0..3));
    // Half open, and silent.
    let _silent = run.tcp();
    let hello = table.hello("x");
    let mut no_hello = hello[..8].to_vec();
    no_hello.extend(table.records(0..1));
    let nobody = table.hello("");
    let two = [&hello[..], &hello[8..]].concat();
    let long = [&hello[..], &table.records(0..100)].concat();
    let mut zero = hello.clone();
    table.numbered(0..1, 0, &mut zero);
    let other = Table::new(other_schema(), "").hello("x");
    let cases: [(&[u8], Reason, &str); 9] = [
        (
            b"GET / HTTP/1.1\r\n\r\n",
            Reason::Protocol,
            "it does not begin with TRFREC",
        ),
        (
            b"{\"producer\":\"a\"}\n",
            Reason::Protocol,
            "it does not begin with TRFREC",
        ),
        (
            &no_hello,
            Reason::Malformed,
            "the first message is no hello",
        ),
        (
            &nobody,
            Reason::Malformed,
            "a producer's name has 1 to 255 bytes",
        ),
        (&two, Reason::Malformed, "begins with [1, 0"),
        (&long, Reason::TooLong, "and may have 1500"),
        (&zero, Reason::Malformed, "records are numbered from 1"),
        (
            &other,
            Reason::Columns,
            "column 2 is \"k\" BINARY, and that of the source \"k\" VARCHAR",
        ),
        (
            &hello[..20],
            Reason::CutOff,
            "it ended in the middle of a message",
        ),
    ];
    for (bytes, reason, why) in cases {
        let answers = told(&run, &[bytes]);
        let Some(Answer::Refused(refusal)) = answers.last() else {
            panic!("{why}: {answers:?}")
        };
        assert_eq!(refusal.reason, reason, "{refusal:?}");
        assert!(refusal.text.contains(why), "{refusal:?}");
    }
    good.send(&table.records(3..7));
    assert_eq!(run.rows(4), rows_of(3..7));
    let (code, _, said) = run.end();
    assert_eq!(code, Some(0), "{said}");
}

/// A record that is none has a number, and is told with its connection, frame and number.
#[test]
fn bad_records_are_told_with_their_place() {
    let folder = Folder::new("frames-bad");
    let schema = numbers_schema();
    let lines =
        "{\"n\":1,\"k\":\"a\"}\n{\"k\":\"b\"}\n{\"n\":3}\n{\"n\":0,\"k\":\"d\"}\n{\"n\":5}\n";
    let table = Table::new(schema, lines);
    let select = "SELECT 60 / n AS q, _OFFSET AS at FROM s;";
    let want = [
        "{\"q\":60,\"at\":1}",
        "{\"q\":20,\"at\":3}",
        "{\"q\":12,\"at\":5}",
    ];
    let dlq = ", bad_data = 'dlq', dlq_path = 'bad.ndjson'";
    for (more, letters) in [(", bad_data = 'skip'", 0), (dlq, 2)] {
        let sql = source(COLUMNS, more) + select;
        let mut run = Run::start(trefoil(&folder), &sql, &["--limit", "3", "--cores", "1"]);
        let (mut client, _) = run.client("a", &table);
        client.send(&table.records(0..1));
        client.send(&table.records(1..5));
        assert_eq!(run.rows(3), want);
        let (code, _, said) = run.end();
        assert_eq!(code, Some(0), "{said}");
        let stats = &folder.json("stats.json")["sources"][0];
        assert_eq!(
            (&stats["rows_read"], &stats["rows_bad"]),
            (&5.into(), &1.into())
        );
        if letters > 0 {
            let bad = folder.read("bad.ndjson");
            assert_eq!(bad.lines().count(), letters, "{bad}");
            assert!(
                bad.contains(", frame 2\"") && bad.contains("\"offset\":1"),
                "{bad}"
            );
            assert!(bad.contains("column n: null where null cannot be"), "{bad}");
        }
    }
    let sql = source(COLUMNS, "") + select;
    let run = Run::start(trefoil(&folder), &sql, &["--cores", "1"]);
    let (mut client, _) = run.client("a", &table);
    client.send(&table.records(0..5));
    let (code, _, said) = run.end();
    assert_eq!(code, Some(1), "{said}");
    let why = ", frame 1: row 2: column n: null where null cannot be";
    assert!(said.contains(why), "{said}");
}

#[test]
fn load_sends_frames() {
    let folder = Folder::new("frames-load");
    let columns = "seq BIGINT, key BIGINT, value DOUBLE, ts TIMESTAMP(9), payload VARCHAR";
    let sql = source(columns, "") + "SELECT seq, payload FROM s;";
    let mut run = Run::start(
        trefoil(&folder),
        &sql,
        &["--cores", "1", "--limit", "40000"],
    );
    let address = format!("tcp://{}", run.address);
    let load = |more: &[&str]| {
        trefoil(&folder)
            .args([
                "load", "--to", &address, "--format", "binary", "--warmup", "0s",
            ])
            .args(["--rate", "200000", "--producers", "2", "--rows", "20000"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let refused = load(&[]).wait_with_output().unwrap();
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(
        told.contains("it refused: 4 columns come, and the source has 5"),
        "{told}"
    );
    // Of a second run the server knows the producers, and goes on.
    for _ in 0..2 {
        let child = load(&["--payload-bytes", "30"]);
        let mut seqs = Vec::new();
        for row in run.rows(20_000) {
            let row: serde_json::Value = serde_json::from_str(&row).unwrap();
            assert_eq!(row["payload"].as_str().unwrap().len(), 30);
            seqs.push(row["seq"].as_u64().unwrap());
        }
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1 | 7)), "{said}");
        let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(result["acked"], 20_000, "{said}");
        seqs.sort_unstable();
        assert!(seqs.iter().copied().eq(0..20_000));
    }
    let (code, rows, said) = run.end();
    assert_eq!((code, rows.as_str()), (Some(0), ""), "{said}");
}

#[test]
fn sources_that_have_no_frames_are_refused() {
    let folder = Folder::new("frames-refused");
    for (columns, options, code, said) in [
        (
            "n BIGINT",
            "connector = 'file', path = 'x'",
            "E0104",
            "clients of a socket",
        ),
        (
            "n BIGINT",
            "connector = 'stdin'",
            "E0104",
            "clients of a socket",
        ),
        (
            "n BIGINT, l BIGINT[]",
            "connector = 'tcp', address = ':0'",
            "E0302",
            "column l: BIGINT[]",
        ),
        (
            "s STRUCT<a BIGINT>",
            "connector = 'tcp', address = ':0'",
            "E0302",
            "column s: STRUCT<a BIGINT> is not read from format 'binary'",
        ),
        (
            "n BIGINT",
            "connector = 'unix', address = 's', acknowledge = false",
            "E0104",
            "is acknowledged",
        ),
        (
            "n TIMESTAMP(3)",
            "connector = 'unix', address = 's', timestamp_unit = 'ms'",
            "E0104",
            "timestamp_unit",
        ),
    ] {
        let sql = format!(
            "CREATE SOURCE s ({columns}) WITH ({options}, format = 'binary'); SELECT * FROM s;"
        );
        let output = trefoil(&folder).args(["run", "-c", &sql]).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{options}: {told}");
        assert!(
            told.contains(code) && told.contains(said),
            "{options}: {told}"
        );
    }
}
