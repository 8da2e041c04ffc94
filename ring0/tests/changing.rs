//! Files that change while they are read: a run knows a file as it was when it was opened. What is
//! appended later is not read, wherever the last record ended; what is cut off is an error.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::DataType;
use trefoil_ring0::column::Column;
use trefoil_ring0::error::{Error, Result};
use trefoil_ring0::output::Block;
use trefoil_ring0::program::{FileFormat, Order, OutputSpec, Program, SourceKind, SourceSpec};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::{Field, Schema};

const ROWS: usize = 20_000;

fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("trefoil-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

fn lines(rows: std::ops::Range<usize>) -> String {
    rows.map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

/// The rows of a file, which `change` changes once the first of them is here. Shards are far from
/// its end then: their rings and chunks are small.
fn read(
    path: &Path,
    shards: usize,
    executor: Executor,
    change: impl FnOnce(&Path),
) -> Result<Vec<i64>> {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64)]));
    let kind = SourceKind::Files {
        paths: vec![path.to_owned()],
        format: FileFormat::Ndjson,
    };
    let program = Program::chain(
        SourceSpec::new("lines", Arc::clone(&schema), kind),
        Vec::new(),
        OutputSpec {
            order: Order::Chunks { bound: None },
            schema,
        },
    );
    let config = Config {
        shards,
        executor,
        frame_rows: 10,
        ring_messages: 2,
        chunk_bytes: 1000,
        ..Config::default()
    };
    let mut running = start(&program, &config)?;
    let mut change = Some(change);
    let mut numbers = Vec::new();
    let values = |block: &Block| match &block.rows().columns[0] {
        Column::I64(c) => c.values.clone(),
        other => panic!("no column of {:?}", other.physical()),
    };
    while let Some(block) = running.next_block()? {
        numbers.extend(values(&block));
        if let Some(change) = change.take() {
            change(path);
        }
        running.give_back(block);
    }
    running.finish()?;
    Ok(numbers)
}

fn everywhere(check: impl Fn(usize, Executor)) {
    for executor in [Executor::Threads, Executor::Uring] {
        for shards in [1, 3] {
            check(shards, executor);
        }
    }
}

#[test]
fn what_is_appended_is_not_read() {
    let append = |path: &Path| {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"0\n{\"n\":7}\n").unwrap();
    };
    let want: Vec<i64> = (0..ROWS as i64).collect();
    everywhere(|shards, executor| {
        let path = file("whole", &lines(0..ROWS));
        assert_eq!(read(&path, shards, executor, append).unwrap(), want);
        // The last line goes on behind where it ended.
        let text = lines(0..ROWS);
        std::fs::write(&path, &text[..text.len() - 1]).unwrap();
        assert_eq!(read(&path, shards, executor, append).unwrap(), want);
        std::fs::remove_file(path).unwrap();
    });
}

/// A tail of 16 KiB is read along with a chunk: a cut anywhere is found, also near the end.
#[test]
fn what_is_cut_off_is_an_error() {
    let text = lines(0..ROWS);
    let last = text.len() - lines(ROWS - 1..ROWS).len();
    for rest in [text.len() / 2, last, text.len() - 1] {
        everywhere(|shards, executor| {
            let path = file("cut", &text);
            let cut = |path: &Path| {
                let file = OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(rest as u64).unwrap();
            };
            match read(&path, shards, executor, cut) {
                Err(Error::Read { name, message, .. }) => {
                    assert_eq!(name, "lines");
                    assert!(message.contains("became shorter"), "{message}");
                }
                other => panic!("{rest} of {}: {other:?}", text.len()),
            }
            std::fs::remove_file(path).unwrap();
        });
    }
}
