//! One file read by any number of shards gives the rows that one reader would find: records that
//! cross the bounds of chunks, records longer than a chunk's tail, last lines without a newline.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::column::Column;
use trefoil_ring0::expr::{Expr, Scalar};
use trefoil_ring0::program::{
    BadData, EventTime, FileFormat, OperatorSpec, OutputSpec, Program, Reading, SourceKind,
    SourceSpec,
};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::{Field, Schema};

fn program(path: &Path) -> Program {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64)]));
    Program::chain(
        SourceSpec {
            name: "lines".to_owned(),
            schema: Arc::clone(&schema),
            event_time: None,
            is_only_compared: false,
            reading: Reading::Chunks,
            kind: SourceKind::Files {
                paths: vec![path.to_owned()],
                format: FileFormat::Ndjson,
            },
            system: Vec::new(),
            bad_data: BadData::Fail,
            splits: Default::default(),
            max_ahead_ns: None,
            policy: None,
            processing: None,
            late: None,
        },
        Vec::new(),
        OutputSpec::free(schema),
    )
}

fn read(path: &Path, shards: usize, executor: Executor) -> Result<(Vec<i64>, u64), String> {
    let config = Config {
        shards,
        executor,
        ..Config::default()
    };
    let mut running = start(&program(path), &config).map_err(|e| e.to_string())?;
    let mut numbers = Vec::new();
    while let Some(block) = running.next_block().map_err(|e| e.to_string())? {
        let Column::I64(c) = &block.rows().columns[0] else {
            panic!("not BIGINT")
        };
        numbers.extend_from_slice(&c.values);
        running.give_back(block);
    }
    let reports = running.finish().map_err(|e| e.to_string())?;
    numbers.sort_unstable();
    Ok((
        numbers,
        reports.iter().map(|r| r.sources[0].bytes_read).sum(),
    ))
}

fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("trefoil-{}-{name}", std::process::id()));
    std::fs::File::create(&path)
        .unwrap()
        .write_all(content)
        .unwrap();
    path
}

#[test]
fn every_record_is_read_once() {
    let line = |n: usize, width: usize| {
        format!("{{\"n\":{n},\"pad\":\"{}\"}}\n", "x".repeat(width)).into_bytes()
    };
    let chunk = 1024 * 1024;
    let exact = {
        // The second chunk begins exactly with a record.
        let head = line(0, 0).len();
        let mut text = line(0, chunk - head);
        (1..50_000).for_each(|n| text.extend(line(n, n % 90)));
        text
    };
    let cases: Vec<(&str, Vec<u8>, usize)> = vec![
        ("empty", Vec::new(), 0),
        ("one line", line(0, 3), 1),
        (
            "many",
            (0..60_000).flat_map(|n| line(n, n % 120)).collect(),
            60_000,
        ),
        (
            "long",
            (0..7).flat_map(|n| line(n, 900_000 + n * 77_777)).collect(),
            7,
        ),
        (
            "over chunks",
            (0..3).flat_map(|n| line(n, 2_500_000)).collect(),
            3,
        ),
        ("exact", exact, 50_000),
        (
            "blank lines",
            b"\n\n{\"n\":0}\n  \r\n{\"n\":1}\r\n\n".to_vec(),
            2,
        ),
        ("mark", b"\xEF\xBB\xBF{\"n\":0}\n".to_vec(), 1),
    ];
    for (name, content, rows) in cases {
        for cut in [0, 1] {
            // Once without the last newline.
            let content = &content[..content.len().saturating_sub(cut)];
            let path = file(name, content);
            for executor in [Executor::Threads, Executor::Uring] {
                for shards in [1, 2, 4, 8] {
                    let (numbers, bytes) = read(&path, shards, executor).unwrap();
                    assert_eq!(
                        numbers,
                        (0..rows as i64).collect::<Vec<_>>(),
                        "{name} {shards}"
                    );
                    assert_eq!(bytes, content.len() as u64, "{name}, {shards} shards");
                }
            }
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn what_is_wrong_says_where() {
    let mut text = b"{\"n\":1}\n".repeat(300_000);
    let at = text.len();
    text.extend_from_slice(b"{\"n\":oops}\n{\"n\":2}\n");
    let path = file("bad", &text);
    for shards in [1, 4] {
        let error = read(&path, shards, Executor::Auto).unwrap_err();
        assert!(
            error.contains(&format!("byte {at}")) && error.contains("-bad"),
            "{error}"
        );
    }
    std::fs::remove_file(&path).unwrap();
    let error = read(&path, 2, Executor::Auto).unwrap_err();
    assert!(
        error.contains("cannot open") && error.contains("lines"),
        "{error}"
    );
    let error = read(&std::env::temp_dir(), 2, Executor::Auto).unwrap_err();
    assert!(error.contains("not a regular file"), "{error}");
}

/// Opening a pipe would wait for somebody to write into it.
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let path = std::env::temp_dir().join(format!("trefoil-{}-pipe", std::process::id()));
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let (tx, rx) = std::sync::mpsc::channel();
    let pipe = path.clone();
    std::thread::spawn(move || tx.send(read(&pipe, 1, Executor::Auto)));
    let result = rx.recv_timeout(std::time::Duration::from_secs(20));
    std::fs::remove_file(path).unwrap();
    let error = result.expect("an answer").unwrap_err();
    assert!(error.contains("not a regular file"), "{error}");
}

/// Watermarks go to the host as records do. Where a filter leaves nothing else, taking them has to
/// wake a shard whose ring to the host is full of them.
#[test]
fn marks_alone_do_not_stall_a_shard() {
    let text: Vec<u8> = (0..2000)
        .flat_map(|n| {
            format!("{{\"n\":\"1970-01-01T00:{:02}:{:02}\"}}\n", n / 60, n % 60).into_bytes()
        })
        .collect();
    let path = file("marks", &text);
    let mut program = program(&path);
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let schema = Arc::new(Schema::new(vec![Field::new("n", time)]));
    program.sources[0].schema = Arc::clone(&schema);
    program.sources[0].event_time = Some(EventTime {
        column: 0,
        lag_ns: Some(0),
        bound: None,
    });
    program.outputs[0].schema = schema;
    let nothing = Expr::Literal(Scalar::Bool(false));
    program.stages[0].operators = vec![OperatorSpec::Filter(nothing)];
    for executor in [Executor::Threads, Executor::Uring] {
        for shards in [1, 2] {
            let config = Config {
                shards,
                executor,
                frame_rows: 1,
                ring_messages: 2,
                ..Config::default()
            };
            let mut running = start(&program, &config).unwrap();
            assert!(running.next_block().unwrap().is_none());
            running.finish().unwrap();
        }
    }
    std::fs::remove_file(path).unwrap();
}

/// A host that asks for the end before it has taken its results gets to it.
#[test]
fn an_end_without_taking_results() {
    let path = file("untaken", &b"{\"n\":1}\n".repeat(200_000));
    for executor in [Executor::Threads, Executor::Uring] {
        for shards in [1, 2] {
            let config = Config {
                shards,
                executor,
                ring_messages: 2,
                ..Config::default()
            };
            let running = start(&program(&path), &config).unwrap();
            let reports = running.finish().unwrap();
            let rows: u64 = reports.iter().map(|r| r.rows_out).sum();
            assert_eq!(rows, 200_000);
        }
    }
    std::fs::remove_file(path).unwrap();
}

/// Open descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// glommio 0.9 itself leaves one eventfd behind for each executor; nothing else may stay.
#[test]
fn runs_leave_no_descriptor_behind() {
    const RUNS: usize = 40;
    let path = file("descriptors", &b"{\"n\":1}\n".repeat(1000));
    for (executor, of_a_shard) in [(Executor::Threads, 0), (Executor::Uring, 1)] {
        let run = || read(&path, 4, executor).unwrap();
        run();
        let before = descriptors();
        (0..RUNS).for_each(|_| _ = run());
        let after = descriptors();
        // Other tests of this process hold some at the moment.
        let most = before + of_a_shard * 4 * RUNS + 80;
        assert!(after < most, "{executor:?}: {before}, then {after}");
    }
}
