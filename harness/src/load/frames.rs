//! Records that are made, in frames: what a producer of a socket with `format = 'binary'` sends.
//! Records wait in columns until the generator has sent what is due, or a frame is full.

use std::collections::VecDeque;

use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{Field, Schema};
use trefoil_ring1::connector::message::{Answer, take_answer, write_hello, write_records};

use super::pace::failed;
use super::record::Record;
use crate::failure::Failure;

/// Records of a frame at most.
const ROWS: usize = 1024;
/// Bytes of the texts of a frame, as a rule: with those of its numbers less than a server takes
/// where nothing is said.
const TEXT_BYTES: usize = 256 * 1024;

/// Records on their way into a frame, and what the server has said.
#[derive(Debug)]
pub(crate) struct Frames {
    producer: String,
    schema: Schema,
    frame: Frame,
    /// The numbers of these records in the run.
    waiting: Vec<u64>,
    /// The number of the first one to the server, once it has said what it holds.
    next: Option<u64>,
    heard: Vec<u8>,
}

impl Frames {
    /// Of the producer of this number.
    pub(crate) fn new(producer: usize, has_payload: bool) -> Self {
        let mut fields = vec![
            Field::new("seq", DataType::Int64),
            Field::new("key", DataType::Int64),
            Field::new("value", DataType::Float64),
            Field::new("ts", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ];
        if has_payload {
            fields.push(Field::new("payload", DataType::Utf8));
        }
        let schema = Schema::new(fields);
        Self {
            producer: format!("load-{producer}"),
            frame: Frame::new(&schema, ROWS),
            schema,
            waiting: Vec::with_capacity(ROWS),
            next: None,
            heard: Vec::new(),
        }
    }

    /// What is said first.
    pub(crate) fn hello(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_hello(&self.producer, &self.schema.fields, &mut bytes);
        bytes
    }

    /// Takes what was heard. Returns whether the server has said what it holds.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        self.heard.extend_from_slice(bytes);
        while let Some(answer) = take_answer(&mut self.heard).map_err(|why| failed(&why))? {
            match answer {
                // Records of a run before are not this one's.
                Answer::Held(rows) => self.next = Some(rows + 1),
                Answer::Durable(_) => {}
                Answer::Refused(refusal) => {
                    return Err(failed(&format!("it refused: {}", refusal.text)));
                }
            }
        }
        Ok(self.next.is_some())
    }

    /// Puts in a record.
    pub(crate) fn push(&mut self, number: u64, record: &Record, payload: &str) {
        for (at, column) in self.frame.columns.iter_mut().enumerate() {
            match (at, column) {
                (0, Column::I64(c)) => c.push(Some(record.seq)),
                (1, Column::I64(c)) => c.push(Some(record.key)),
                (2, Column::F64(c)) => c.push(Some(record.value)),
                (3, Column::I64(c)) => c.push(Some(record.ts_ns)),
                (_, Column::Utf8(c)) => c.push(Some(payload)),
                (at, _) => unreachable!("column {at} of a record that is made"),
            }
        }
        self.frame.commit_rows(1);
        self.waiting.push(number);
    }

    /// Whether the records are to be written before another one comes.
    pub(crate) fn is_full(&self) -> bool {
        self.frame.is_full() || self.frame.string_bytes() >= TEXT_BYTES
    }

    /// Writes the records that wait, and notes behind how many bytes of all they end.
    pub(crate) fn write(
        &mut self,
        bytes: &mut Vec<u8>,
        before: u64,
        ends: &mut VecDeque<(u64, u64)>,
    ) {
        let rows = self.frame.rows();
        let (Some(next), 1..) = (&mut self.next, rows) else {
            return;
        };
        let begin = bytes.len();
        write_records(&self.frame, 0..rows, *next, bytes);
        *next += rows as u64;
        let end = before + (bytes.len() - begin) as u64;
        ends.extend(self.waiting.drain(..).map(|number| (end, number)));
        self.frame.clear();
    }
}
