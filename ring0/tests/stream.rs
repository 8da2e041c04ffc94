//! A stream gives the rows, places and bad records that a file of its bytes gives, wherever its
//! blocks end.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;
use std::sync::Arc;

use arrow_schema::DataType;
use trefoil_ring0::feed::{Blocks, Feed, Feeder};
use trefoil_ring0::format::csv::Dialect;
use trefoil_ring0::format::text::write_json_row;
use trefoil_ring0::id::OutputId;
use trefoil_ring0::metrics::SourceCounters;
use trefoil_ring0::program::{
    BadData, FileFormat, Header, Order, OutputSpec, Program, Reading, SourceKind, SourceSpec,
    SystemColumn, dead_letter_schema,
};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::{Field, Schema};

/// Bytes that come in blocks of so many, a few sizes in turn.
#[derive(Debug, Clone)]
struct Bytes {
    bytes: Arc<Vec<u8>>,
    sizes: Vec<usize>,
}

impl Feed for Bytes {
    fn name(&self) -> PathBuf {
        PathBuf::from("bytes")
    }

    fn open(&self) -> Result<Box<dyn Feeder>, String> {
        Ok(Box::new(self.clone()))
    }
}

impl Feeder for Bytes {
    fn run(self: Box<Self>, blocks: &mut Blocks) -> Result<(), String> {
        let (mut at, mut sizes) = (0, self.sizes.iter().cycle());
        while at < self.bytes.len() {
            let end = self.bytes.len().min(at + sizes.next().unwrap());
            let Some(mut block) = blocks.buffer() else {
                break;
            };
            block.extend_from_slice(&self.bytes[at..end]);
            blocks.send(block);
            at = end;
        }
        Ok(())
    }
}

/// A stream that cannot be read on.
#[derive(Debug)]
struct Broken;

impl Feed for Broken {
    fn name(&self) -> PathBuf {
        PathBuf::from("broken")
    }

    fn open(&self) -> Result<Box<dyn Feeder>, String> {
        Ok(Box::new(Broken))
    }
}

impl Feeder for Broken {
    fn run(self: Box<Self>, blocks: &mut Blocks) -> Result<(), String> {
        if let Some(mut block) = blocks.buffer() {
            block.extend_from_slice(b"{\"n\":1}\n");
            blocks.send(block);
        }
        Err("the line is dead".to_owned())
    }
}

fn source(kind: SourceKind) -> SourceSpec {
    let offset = Field {
        nullable: false,
        ..Field::new("_OFFSET", DataType::Int64)
    };
    let fields = vec![
        Field::new("n", DataType::Int64),
        Field::new("s", DataType::Utf8),
        offset,
    ];
    SourceSpec {
        reading: Reading::InOrder,
        system: vec![SystemColumn::Offset],
        bad_data: BadData::DeadLetters(OutputId(1)),
        ..SourceSpec::new("s", Arc::new(Schema::new(fields)), kind)
    }
}

/// Rows and letters, the latter without the file's name, and counts.
fn run(spec: SourceSpec, config: &Config) -> (Vec<String>, Vec<String>, SourceCounters) {
    let free = |schema| OutputSpec {
        order: Order::Free,
        schema,
    };
    let (schema, letters) = (Arc::clone(&spec.schema), Arc::new(dead_letter_schema()));
    let mut program = Program::chain(spec, Vec::new(), free(Arc::clone(&schema)));
    program.outputs.push(free(Arc::clone(&letters)));
    let mut running = start(&program, config).unwrap();
    let (mut rows, mut told) = (Vec::new(), Vec::new());
    while let Some(block) = running.next_block().unwrap() {
        let is_row = block.output().index() == 0;
        let (schema, to) = match is_row {
            true => (&schema, &mut rows),
            false => (&letters, &mut told),
        };
        for row in 0..block.rows().rows() {
            let mut text = Vec::new();
            write_json_row(schema, block.rows(), row, &mut text);
            let text = String::from_utf8(text).unwrap();
            let behind_file = text
                .split_once("\"offset\"")
                .map(|(_, rest)| rest.to_owned());
            to.push(behind_file.unwrap_or(text));
        }
        running.give_back(block);
    }
    let mut counters = SourceCounters::default();
    let reports = running.finish().unwrap();
    reports
        .iter()
        .for_each(|report| counters.add(&report.sources[0]));
    (rows, told, counters)
}

#[test]
fn blocks_end_anywhere() {
    let mut json = b"\xEF\xBB\xBF{\"n\":0,\"s\":\"\xC3\xA4\"}\n\n".to_vec();
    let mut csv = b"s,n\r\n".to_vec();
    for n in 0..300 {
        match n % 7 {
            3 => json.extend_from_slice(b"{\"n\":\"x\"}\r\n"),
            5 => json.extend_from_slice(b"{\"n\":1,\"s\":\"\xFF\"}\n"),
            _ => json.extend(format!("{{\"s\":\"{}\",\"n\":{n}}}\n", "y".repeat(n)).bytes()),
        }
        match n % 5 {
            2 => csv.extend_from_slice(b"a\"b,1\n"),
            3 => csv.extend(format!("\"{n}\n\"\"{n}\",{n}\r\n").bytes()),
            _ => csv.extend(format!("{},{n}\n", "z".repeat(n)).bytes()),
        }
    }
    json.extend_from_slice(b"{\"n\":7}");
    csv.extend_from_slice(b"\"last\",7");
    let of_csv = FileFormat::Csv {
        dialect: Dialect::default(),
        header: Header::FirstRecord,
    };
    for (format, bytes) in [(FileFormat::Ndjson, json), (of_csv, csv)] {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stream.txt");
        std::fs::write(&path, &bytes).unwrap();
        let config = Config {
            executor: Executor::Threads,
            frame_rows: 16,
            ..Config::default()
        };
        let file = SourceKind::Files {
            paths: vec![path],
            format: format.clone(),
        };
        let (rows, told, counted) = run(source(file), &config);
        assert!(!told.is_empty() && counted.rows_bad == told.len() as u64);
        let bytes = Arc::new(bytes);
        for sizes in [
            vec![1],
            vec![2, 3],
            vec![7],
            vec![64, 1, 300],
            vec![1 << 20],
        ] {
            for (shards, executor) in [(1, Executor::Threads), (3, Executor::Auto)] {
                let feed = Arc::new(Bytes {
                    bytes: Arc::clone(&bytes),
                    sizes: sizes.clone(),
                });
                let stream = SourceKind::Stream {
                    feed,
                    format: format.clone(),
                };
                let config = Config {
                    shards,
                    executor,
                    ..config.clone()
                };
                let got = run(source(stream), &config);
                assert_eq!(got.0, rows, "blocks of {sizes:?} bytes");
                assert_eq!(got.1, told, "blocks of {sizes:?} bytes");
                assert_eq!(got.2.rows_read, counted.rows_read);
                assert_eq!(got.2.bytes_read, bytes.len() as u64);
            }
        }
    }
}

#[test]
fn a_stream_that_breaks_ends_the_program() {
    let kind = SourceKind::Stream {
        feed: Arc::new(Broken),
        format: FileFormat::Ndjson,
    };
    let schema = Schema::new(vec![Field::new("n", DataType::Int64)]);
    let spec = SourceSpec {
        reading: Reading::InOrder,
        ..SourceSpec::new("s", Arc::new(schema), kind)
    };
    let output = OutputSpec::free(Arc::clone(&spec.schema));
    let program = Program::chain(spec, Vec::new(), output);
    let error = start(&program, &Config::default())
        .unwrap()
        .finish()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "source s: cannot read broken: the line is dead"
    );
}
