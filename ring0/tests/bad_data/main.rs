//! Bad records among good ones, over several files: counted and left out, or told in the order of
//! the files with their place, reason and bytes; rows with their offsets; or the first one is
//! named. At any number of shards and any size of chunks and frames.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod csv;
mod rows;

use std::path::PathBuf;
use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;
use trefoil_ring0::column::Column;
use trefoil_ring0::error::Error;
use trefoil_ring0::id::{OutputId, SourceId};
use trefoil_ring0::limits::RECORD_BYTES_MAX;
use trefoil_ring0::program::{
    BadData, EventTime, FileFormat, Order, OutputSpec, Program, SourceKind, SourceSpec, StageInput,
    StageOutput, StageSpec, SystemColumn, dead_letter_schema,
};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::{Field, Schema};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("trefoil-bad-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn files(&self, contents: &[Vec<u8>]) -> Vec<PathBuf> {
        let write = |(number, content): (usize, &Vec<u8>)| {
            let path = self.0.join(format!("part-{number:03}"));
            std::fs::write(&path, content).unwrap();
            path
        };
        contents.iter().enumerate().map(write).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn program(paths: Vec<PathBuf>, format: &FileFormat, bad_data: BadData) -> Program {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let schema = Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64),
        Field::new("t", time.clone()),
        Field::new("s", DataType::Utf8),
        Field::new("_OFFSET", DataType::Int64),
        Field::new("_PARTITION", DataType::Int64),
        Field::new("_TIMESTAMP", time),
    ]));
    let kind = SourceKind::Files {
        paths,
        format: format.clone(),
    };
    let order = Order::Chunks { bound: None };
    Program {
        sources: vec![SourceSpec {
            reading: Default::default(),
            event_time: Some(EventTime {
                column: 1,
                lag_ns: Some(0),
                bound: None,
            }),
            system: vec![
                SystemColumn::Offset,
                SystemColumn::Split,
                SystemColumn::Ingested,
            ],
            bad_data,
            ..SourceSpec::new("r", Arc::clone(&schema), kind)
        }],
        stages: vec![StageSpec {
            input: StageInput::Source(SourceId(0)),
            others: Vec::new(),
            operators: vec![],
            output: StageOutput::Output(OutputId(0)),
        }],
        exchanges: vec![],
        outputs: vec![
            OutputSpec { order, schema },
            OutputSpec {
                order,
                schema: Arc::new(dead_letter_schema()),
            },
        ],
    }
}

fn text(column: &Column, row: usize) -> Option<String> {
    match column {
        Column::I64(c) => c.get(row).map(|v| v.to_string()),
        Column::Utf8(c) => c.get(row).map(str::to_owned),
        other => panic!("{other:?} is not expected"),
    }
}

type Rows = Vec<Vec<Option<String>>>;

/// Rows, dead letters, rows read, passed and bad.
fn run(program: &Program, config: &Config) -> Result<(Rows, Rows, [u64; 3]), Error> {
    let mut running = start(program, config)?;
    let mut rows = [Vec::new(), Vec::new()];
    while let Some(block) = running.next_block()? {
        let frame = block.rows();
        for row in 0..frame.rows() {
            let values = frame.columns.iter().map(|c| text(c, row)).collect();
            rows[block.output().index()].push(values);
        }
        running.give_back(block);
    }
    let mut counts = [0; 3];
    for report in running.finish()? {
        let source = &report.sources[0];
        counts[0] += source.rows_read;
        counts[1] += source.rows_passed;
        counts[2] += source.rows_bad;
    }
    let [rows, letters] = rows;
    Ok((rows, letters, counts))
}

const NOW_NS: i64 = 1_700_000_000_123_456_789;

fn config(shards: usize, chunk_bytes: usize, frame_rows: usize, executor: Executor) -> Config {
    Config {
        shards,
        chunk_bytes,
        frame_rows,
        ring_messages: 2,
        executor,
        now: || NOW_NS,
        ..Config::default()
    }
}

/// What one piece of a file is.
#[derive(Debug, Clone)]
enum What {
    /// A row: `n` and `s`.
    Row(i64, Option<String>),
    /// No record.
    Nothing,
    /// A bad record: what its reason says.
    Bad(&'static str),
}

/// A piece of a file, from the beginning of a line to what ends it.
#[derive(Debug, Clone)]
struct Piece {
    bytes: Vec<u8>,
    what: What,
}

/// A bad record: file, offset, line, reason, bytes.
type Letter<'a> = (usize, usize, u64, &'static str, &'a [u8]);

/// The rows and bad records of files.
fn expected(files: &[Vec<Piece>]) -> (Rows, Vec<Letter<'_>>) {
    let (mut rows, mut letters) = (Vec::new(), Vec::new());
    // Offsets of rows go on from file to file, those of letters begin anew.
    let mut before = 0;
    for (file, pieces) in files.iter().enumerate() {
        let (mut offset, mut line) = (0, 1);
        for Piece { bytes, what } in pieces {
            match what {
                What::Nothing => {}
                What::Row(n, s) => {
                    let time = (NOW_NS / 1_000_000).to_string();
                    let place = (before + offset).to_string();
                    let texts = [place, "0".to_owned(), time].map(Some);
                    let read = [
                        Some(n.to_string()),
                        Some("1735689600000".to_owned()),
                        s.clone(),
                    ];
                    rows.push(read.into_iter().chain(texts).collect());
                }
                What::Bad(reason) => {
                    let raw = bytes.strip_suffix(b"\n").unwrap_or(bytes);
                    letters.push((file, offset, line, *reason, raw));
                }
            }
            offset += bytes.len();
            line += bytes.iter().filter(|&&b| b == b'\n').count() as u64;
        }
        before += offset;
    }
    (rows, letters)
}

fn check(files: &[Vec<Piece>], format: &FileFormat, config: &Config) {
    let folder = Folder::new();
    let content = |pieces: &Vec<Piece>| pieces.iter().flat_map(|p| p.bytes.clone()).collect();
    let contents: Vec<Vec<u8>> = files.iter().map(content).collect();
    let paths = folder.files(&contents);
    let (rows, letters) = expected(files);
    let run_with = |bad_data| run(&program(paths.clone(), format, bad_data), config);

    let (got, told, counts) = run_with(BadData::DeadLetters(OutputId(1))).unwrap();
    assert_eq!(got, rows);
    let all = [rows.len() + letters.len(), rows.len(), letters.len()].map(|c| c as u64);
    assert_eq!(counts, all);
    assert_eq!(told.len(), letters.len());
    for (told, (file, offset, _, reason, raw)) in told.iter().zip(&letters) {
        let field = |at: usize| told[at].as_deref();
        assert_eq!(field(0), Some("r"));
        assert_eq!(field(1), paths[*file].to_str());
        assert_eq!(field(2), Some(offset.to_string().as_str()));
        let given = field(3).unwrap();
        assert!(given.contains(reason), "{reason:?} in {given:?}");
        assert_eq!(field(4), std::str::from_utf8(raw).ok());
        let hex = raw.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(field(5).is_some(), field(4).is_none());
        assert!(field(5).is_none_or(|h| h == hex));
    }

    let skipped = run_with(BadData::Skip).unwrap();
    assert_eq!(skipped, (rows, Vec::new(), all));

    let failed = run_with(BadData::Fail);
    match letters.first() {
        None => assert_eq!(failed.unwrap().2, all),
        Some(&(file, at, at_line, reason, _)) => match failed {
            Err(Error::BadRecord {
                path,
                offset,
                line,
                message,
                ..
            }) => {
                let want = (paths[file].clone(), at as u64, Some(at_line));
                assert_eq!((path, offset, line), want);
                assert!(message.contains(reason), "{reason:?} in {message:?}");
            }
            other => panic!("{other:?} is no bad record"),
        },
    }
}

/// A line of JSON without its end.
fn line(kind: u8, n: i64) -> Piece {
    let good = format!("{{\"n\":{n},\"t\":\"2025-01-01T00:00:00\"}}");
    let (bytes, what): (Vec<u8>, _) = match kind {
        0 => (good[..good.len() - 1].into(), What::Bad("unexpected end")),
        1 => (
            b"{\"n\":\"x\",\"t\":\"2025-01-01\"}".to_vec(),
            What::Bad("n"),
        ),
        2 => (
            format!("{{\"n\":{n}}}").into(),
            What::Bad("event time is NULL"),
        ),
        3 => (b"\xff\xfe{}".to_vec(), What::Bad("utf-8")),
        4 => (b"  ".to_vec(), What::Nothing),
        5 => (b"[]".to_vec(), What::Bad("object")),
        _ => (good.into(), What::Row(n, None)),
    };
    Piece { bytes, what }
}

/// Files of such lines.
fn lines(files: &[Vec<(u8, bool)>]) -> Vec<Vec<Piece>> {
    let mut n = 0;
    let mut file = |(number, lines): (usize, &Vec<(u8, bool)>)| {
        let piece = |(at, &(kind, crlf)): (usize, &(u8, bool))| {
            n += 1;
            let mut piece = line(kind, n);
            piece
                .bytes
                .extend_from_slice(if crlf { b"\r" } else { b"" });
            if at + 1 < lines.len() || number % 2 == 0 {
                piece.bytes.push(b'\n');
            }
            piece
        };
        lines.iter().enumerate().map(piece).collect()
    };
    files.iter().enumerate().map(&mut file).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn good_rows_pass_and_bad_ones_are_told(
        files in prop::collection::vec(
            prop::collection::vec((0u8..12, any::<bool>()), 0..60),
            0..4,
        ),
        shards in prop::sample::select(vec![1usize, 2, 4]),
        chunk_bytes in prop::sample::select(vec![1usize, 30, 500, 1 << 20]),
        frame_rows in prop::sample::select(vec![1usize, 7, 1024]),
        executor in prop::sample::select(vec![Executor::Threads, Executor::Uring]),
    ) {
        let config = config(shards, chunk_bytes, frame_rows, executor);
        check(&lines(&files), &FileFormat::Ndjson, &config);
    }
}

/// Text stays text where its first bytes end within a character.
#[test]
fn long_bad_records_are_told_as_text() {
    let folder = Folder::new();
    let too_long = "ü".repeat(RECORD_BYTES_MAX / 2 + 5);
    let lines = ["ü".repeat(3000), too_long.clone(), format!("x{too_long}")];
    let paths = folder.files(&[lines.join("\n").into()]);
    let bad_data = BadData::DeadLetters(OutputId(1));
    let config = config(1, 1 << 20, 7, Executor::Auto);
    let (_, told, _) = run(&program(paths, &FileFormat::Ndjson, bad_data), &config).unwrap();
    let texts = told.iter().map(|t| t[4].as_deref().map(str::len));
    assert_eq!(
        texts.collect::<Vec<_>>(),
        [Some(6000), Some(4096), Some(4095)]
    );
}

/// A record that no memory should be spent on is told by its first bytes, and the rest goes on.
#[test]
fn records_that_are_too_long() {
    let folder = Folder::new();
    let good = b"{\"n\":1,\"t\":\"2025-01-01T00:00:00\"}\n".to_vec();
    let long = [
        b"{\"n\":\"".to_vec(),
        vec![b'x'; RECORD_BYTES_MAX + 10],
        b"\"}\n".to_vec(),
    ]
    .concat();
    let tail = vec![b'y'; RECORD_BYTES_MAX + 1];
    let good_len = good.len();
    let at = (good.len() * 2 + long.len()).to_string();
    let content = [good.clone(), long, good.clone(), tail].concat();
    let paths = folder.files(&[content, good]);
    for shards in [1, 3] {
        let config = config(shards, 1 << 20, 1024, Executor::Auto);
        let bad_data = BadData::DeadLetters(OutputId(1));
        let (rows, told, counts) = run(
            &program(paths.clone(), &FileFormat::Ndjson, bad_data),
            &config,
        )
        .unwrap();
        assert_eq!((rows.len(), counts), (3, [5, 3, 2]));
        let offsets: Vec<_> = told.iter().map(|t| t[2].clone().unwrap()).collect();
        assert_eq!(offsets, [good_len.to_string(), at.clone()]);
        assert!(told.iter().all(|t| t[4].as_ref().unwrap().len() == 4096));
    }
}

/// A record without room for its letter waits for it, also where its end is not in the chunk.
#[test]
fn a_record_that_is_too_long_behind_a_bad_one() {
    let folder = Folder::new();
    let content = [b"{}\n".to_vec(), vec![b'x'; RECORD_BYTES_MAX + 1_000_000]].concat();
    let paths = folder.files(&[content]);
    let config = config(1, 1 << 20, 1, Executor::Auto);
    let bad_data = BadData::DeadLetters(OutputId(1));
    let (_, told, _) = run(&program(paths, &FileFormat::Ndjson, bad_data), &config).unwrap();
    let offsets: Vec<_> = told.iter().map(|t| t[2].as_deref()).collect();
    assert_eq!(offsets, [Some("0"), Some("3")]);
}

/// All chunks begin where the records do, however small they are.
#[test]
fn a_mark_of_byte_order_is_no_data() {
    let folder = Folder::new();
    let good = "{\"n\":1,\"t\":\"2025-01-01T00:00:00\"}\n";
    let paths = folder.files(&[format!("\u{feff}{good}").into(), "\u{feff}".into()]);
    for chunk_bytes in [1, 2, 3, 4, 100] {
        let config = config(2, chunk_bytes, 7, Executor::Auto);
        let program = program(paths.clone(), &FileFormat::Ndjson, BadData::Fail);
        let (rows, _, _) = run(&program, &config).unwrap();
        assert_eq!(rows.len(), 1, "chunks of {chunk_bytes}");
        assert_eq!(rows[0][3].as_deref(), Some("3"));
    }
}

/// Frames of records that are all left out leave no row behind, and no letter: the shard has to go
/// on by itself, as nobody will wake it.
#[test]
fn frames_of_nothing_but_rows_without_a_time() {
    let folder = Folder::new();
    let lines = |n: usize| b"{\"n\":1}\n".repeat(n);
    let good = b"{\"n\":1,\"t\":\"2025-01-01T00:00:00\"}\n".to_vec();
    let paths = folder.files(&[[lines(5000), good.clone(), lines(5000), good].concat()]);
    for executor in [Executor::Threads, Executor::Uring] {
        for shards in [1, 2] {
            let mut config = config(shards, 1000, 7, executor);
            // More shards than cores do not spin.
            config.cores.truncate(1);
            let program = program(paths.clone(), &FileFormat::Ndjson, BadData::Skip);
            let (tx, rx) = std::sync::mpsc::channel();
            std::thread::spawn(move || tx.send(run(&program, &config)));
            let result = rx.recv_timeout(std::time::Duration::from_secs(60));
            let (rows, _, counts) = result.expect("an end").unwrap();
            assert_eq!((rows.len(), counts), (2, [10_002, 2, 10_000]));
        }
    }
}
