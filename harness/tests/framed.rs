//! A client that sends frames, the tables that it sends, and a run to which it sends them.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "not every test needs all of it"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;

use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use trefoil_ring0::format::ndjson::NdjsonParser;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{Field, Schema};
use trefoil_ring1::connector::message::{Answer, take_answer, write_hello, write_records};

/// Rows as columns.
pub(crate) struct Table {
    schema: Arc<Schema>,
    frame: Frame,
}

impl Table {
    /// Of lines of NDJSON.
    pub(crate) fn new(schema: Schema, lines: &str) -> Self {
        let schema = Arc::new(schema);
        let mut parser = NdjsonParser::new(Arc::clone(&schema));
        let mut frame = Frame::new(&schema, lines.lines().count().max(1));
        for line in lines.lines() {
            parser.parse_record(line.as_bytes(), &mut frame).unwrap();
        }
        Self { schema, frame }
    }

    pub(crate) fn hello(&self, producer: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_hello(producer, &self.schema.fields, &mut bytes);
        bytes
    }

    /// Rows as records, row 0 being number 1.
    pub(crate) fn records(&self, rows: Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let first = rows.start as u64 + 1;
        self.numbered(rows, first, &mut bytes);
        bytes
    }

    pub(crate) fn numbered(&self, rows: Range<usize>, first: u64, out: &mut Vec<u8>) {
        write_records(&self.frame, rows, first, out);
    }
}

/// All that a client sends that has these rows, in frames of so many.
pub(crate) fn session(table: &Table, producer: &str, step: usize) -> Vec<u8> {
    let mut bytes = table.hello(producer);
    let count = table.frame.rows();
    for first in (0..count).step_by(step) {
        bytes.extend(table.records(first..count.min(first + step)));
    }
    bytes
}

pub(crate) struct Client<S> {
    pub(crate) stream: S,
    heard: Vec<u8>,
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        let heard = Vec::new();
        Self { stream, heard }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next answer, if one comes.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(answer) = take_answer(&mut self.heard).unwrap() {
                return Some(answer);
            }
            let mut bytes = [0; 1024];
            match self.stream.read(&mut bytes) {
                Ok(count @ 1..) => self.heard.extend_from_slice(&bytes[..count]),
                // Closed, or reset.
                Ok(_) | Err(_) => return None,
            }
        }
    }

    pub(crate) fn held(&mut self) -> u64 {
        match self.answer() {
            Some(Answer::Held(held)) => held,
            other => panic!("{other:?}"),
        }
    }

    /// All answers, until the connection is closed.
    pub(crate) fn all(&mut self) -> Vec<Answer> {
        std::iter::from_fn(|| self.answer()).collect()
    }
}

fn schema(fields: &[(&str, DataType)]) -> Schema {
    let fields = fields.iter().map(|(n, t)| Field::new(*n, t.clone()));
    Schema::new(fields.collect())
}

/// Of a source with a number and a text; that a number cannot be NULL is for the server to say.
pub(crate) fn numbers_schema() -> Schema {
    schema(&[("n", DataType::Int64), ("k", DataType::Utf8)])
}

pub(crate) fn other_schema() -> Schema {
    schema(&[("n", DataType::Int64), ("k", DataType::Binary)])
}

/// A type's name, what it is, and two values of it.
type Kind = (&'static str, DataType, [&'static str; 2]);

fn kinds_of_numbers() -> Vec<Kind> {
    vec![
        ("BOOLEAN", DataType::Boolean, ["true", "false"]),
        ("TINYINT", DataType::Int8, ["-128", "127"]),
        ("SMALLINT", DataType::Int16, ["-32768", "32767"]),
        ("INTEGER", DataType::Int32, ["-2147483648", "2147483647"]),
        (
            "BIGINT",
            DataType::Int64,
            ["-9223372036854775808", "9223372036854775807"],
        ),
        ("TINYINT UNSIGNED", DataType::UInt8, ["0", "255"]),
        ("SMALLINT UNSIGNED", DataType::UInt16, ["0", "65535"]),
        ("INTEGER UNSIGNED", DataType::UInt32, ["0", "4294967295"]),
        (
            "BIGINT UNSIGNED",
            DataType::UInt64,
            ["0", "18446744073709551615"],
        ),
        ("FLOAT", DataType::Float32, ["-0.0", "1.5"]),
        ("DOUBLE", DataType::Float64, ["1e300", "-0.1"]),
        (
            "DECIMAL(38, 0)",
            DataType::Decimal128(38, 0),
            ["-1", "99999999999999999999999999999999999999"],
        ),
        (
            "DECIMAL(10, 3)",
            DataType::Decimal128(10, 3),
            ["1234567.891", "-0.001"],
        ),
    ]
}

fn other_kinds() -> Vec<Kind> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    vec![
        (
            "VARCHAR",
            DataType::Utf8,
            ["\"\"", "\"gr\u{fc}n \\\"x\\\"\""],
        ),
        ("BYTEA", DataType::Binary, ["\"\"", "\"00ff\""]),
        (
            "DATE",
            DataType::Date32,
            ["\"1969-12-31\"", "\"2024-02-29\""],
        ),
        (
            "TIME(0)",
            DataType::Time32(Second),
            ["\"00:00:00\"", "\"23:59:59\""],
        ),
        (
            "TIME(3)",
            DataType::Time32(Millisecond),
            ["\"00:00:00.001\"", "\"23:59:59.999\""],
        ),
        (
            "TIME(6)",
            DataType::Time64(Microsecond),
            ["\"12:00:00\"", "\"23:59:59.999999\""],
        ),
        (
            "TIME(9)",
            DataType::Time64(Nanosecond),
            ["\"12:00:00\"", "\"23:59:59.999999999\""],
        ),
        (
            "TIMESTAMP(0)",
            DataType::Timestamp(Second, None),
            ["\"1969-01-01 00:00:01\"", "\"2024-01-01 00:00:00\""],
        ),
        (
            "TIMESTAMP(3)",
            DataType::Timestamp(Millisecond, None),
            ["\"1969-01-01 00:00:01.5\"", "\"2024-01-01 00:00:00\""],
        ),
        (
            "TIMESTAMP(6)",
            DataType::Timestamp(Microsecond, None),
            ["\"2024-01-01 00:00:01.000001\"", "\"2024-01-01 00:00:00\""],
        ),
        (
            "TIMESTAMP(9)",
            DataType::Timestamp(Nanosecond, None),
            [
                "\"2024-01-01 00:00:01.000000001\"",
                "\"2024-01-01 00:00:00\"",
            ],
        ),
        (
            "INTERVAL",
            DataType::Interval(IntervalUnit::MonthDayNano),
            ["\"1 mon -2 days\"", "\"00:00:01.5\""],
        ),
    ]
}

/// Columns of all types, their schema, and rows of them as lines.
pub(crate) fn all_types() -> (String, Schema, String) {
    let types = [kinds_of_numbers(), other_kinds()].concat();
    let columns = types
        .iter()
        .enumerate()
        .map(|(at, (name, ..))| format!("c{at} {name}"));
    let fields = types.iter().enumerate();
    let fields = fields.map(|(at, (_, t, _))| Field::new(format!("c{at}"), t.clone()));
    let mut lines = String::new();
    for row in 0..40_usize {
        let value = |at: usize, values: &[&str; 2]| match (row * 7 + at * 3) % 5 {
            0 => "null".to_owned(),
            other => values[other % 2].to_owned(),
        };
        let fields = types.iter().enumerate();
        let fields = fields.map(|(at, (.., v))| format!("\"c{at}\":{}", value(at, v)));
        lines += &format!("{{{}}}\n", fields.collect::<Vec<_>>().join(","));
    }
    let columns = columns.collect::<Vec<_>>().join(", ");
    (columns, Schema::new(fields.collect()), lines)
}

/// A run whose source listens.
pub(crate) struct Run {
    child: Child,
    pub(crate) address: String,
    rows: BufReader<ChildStdout>,
    said: BufReader<ChildStderr>,
}

impl Run {
    /// `trefoil`: the binary, in its folder.
    pub(crate) fn start(mut trefoil: Command, sql: &str, options: &[&str]) -> Self {
        let mut child = trefoil
            .args(["run", "-c", sql, "--format", "ndjson"])
            .args(["--stats", "stats.json"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "it does not listen");
            if let Some((_, address)) = line.split_once("listening on tcp://") {
                break address.trim_end().to_owned();
            }
        };
        Self {
            rows: BufReader::new(child.stdout.take().unwrap()),
            said,
            address,
            child,
        }
    }

    pub(crate) fn rows(&mut self, count: usize) -> Vec<String> {
        let mut row = || {
            let mut line = String::new();
            self.rows.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        (0..count).map(|_| row()).collect()
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A client that has said who it is, and how many of its records are there.
    pub(crate) fn client(&self, name: &str, table: &Table) -> (Client<TcpStream>, u64) {
        let mut client = Client::new(self.tcp());
        client.send(&table.hello(name));
        let held = client.held();
        (client, held)
    }

    /// Waits for the end: its exit code, and the rows and what was said that nobody looked at.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let (mut rows, mut said) = (String::new(), String::new());
        self.rows.read_to_string(&mut rows).unwrap();
        self.said.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), rows, said)
    }
}

pub(crate) fn source(columns: &str, more: &str) -> String {
    format!(
        "CREATE SOURCE s ({columns}) WITH (connector = 'tcp', address = ':0', \
         format = 'binary'{more});"
    )
}

/// A table of numbers and their texts.
pub(crate) const COLUMNS: &str = "n BIGINT NOT NULL, k VARCHAR";

pub(crate) fn numbers(range: std::ops::Range<u64>) -> Table {
    let line = |n: u64| match n % 5 {
        0 => format!("{{\"n\":{n},\"k\":null}}\n"),
        1 => format!("{{\"n\":{n},\"k\":\"\"}}\n"),
        _ => format!("{{\"n\":{n},\"k\":\"text of {n}\"}}\n"),
    };
    let lines: String = range.map(line).collect();
    Table::new(numbers_schema(), &lines)
}

pub(crate) fn rows_of(range: std::ops::Range<u64>) -> Vec<String> {
    let row = |n: u64| match n % 5 {
        0 => format!("{{\"n\":{n},\"k\":null}}"),
        1 => format!("{{\"n\":{n},\"k\":\"\"}}"),
        _ => format!("{{\"n\":{n},\"k\":\"text of {n}\"}}"),
    };
    range.map(row).collect()
}
