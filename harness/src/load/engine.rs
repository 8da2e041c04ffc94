//! An engine in this process as the peer: each producer has an appender, and the first one takes
//! the results of a query, which name the record that they answer. So with one producer one thread
//! generates and polls, and the others are the shards.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::{DataType, TimeUnit};
use trefoil::engine::{Appender, Builder, Outcome, Pushed, Received, Results, Value};
use trefoil::{Engine, SourceFile};

use super::pace::{Offered, Peer, failed};
use super::record::Records;
use super::replay::{Cell, Replay};
use super::sleep_most_of;
use crate::failure::Failure;

/// The source that records go to.
const SOURCE: &str = "load";
/// The column of a source, and of a query, that says which record it is.
const SEQ: &str = "seq";
/// Columns of a record that is made, at most.
const COLUMNS_MAX: usize = 5;
/// Batches of results that are taken between two records.
const BATCHES_AT_ONCE: usize = 64;
/// How long the engine may take for what it was given, once all of it was sent.
const DRAIN: Duration = Duration::from_secs(60);

/// What is run where nothing else is said.
const SQL: &str = "\
CREATE SOURCE load (seq BIGINT NOT NULL, key BIGINT NOT NULL, value DOUBLE NOT NULL,
                    ts TIMESTAMP(9) NOT NULL, payload VARCHAR) WITH (connector = 'channel');
SELECT seq FROM load;";

/// What records are made from.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Made.
    Made(Arc<Records>),
    /// Read from a file.
    Read(Arc<Replay>),
}

/// The query that gives answers.
#[derive(Debug)]
struct Answers {
    results: Results,
    /// Its column that says which record a row answers.
    seq: usize,
    changes: bool,
    /// Records that were sent here and not answered.
    awaited: u64,
    /// Others send, too.
    is_shared: bool,
}

/// One that sends; it says so until it is dropped.
#[derive(Debug)]
struct Sending(Arc<AtomicUsize>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// A producer.
#[derive(Debug)]
pub(crate) struct EnginePeer {
    /// Until all was sent.
    appender: Option<(Appender, Sending)>,
    rows: Rows,
    answers: Option<Answers>,
    sending: Arc<AtomicUsize>,
}

/// How rows are written.
#[derive(Debug)]
enum Rows {
    Made {
        records: Arc<Records>,
        columns: Vec<Column>,
        payload: String,
    },
    Read {
        rows: Arc<Vec<Vec<Cell>>>,
        seq: Option<usize>,
    },
}

/// A column of a record that is made.
#[derive(Debug, Clone, Copy)]
enum Column {
    Seq,
    Key,
    Value,
    /// With so many nanoseconds in a unit.
    Ts(i64),
    Payload,
}

/// Opens an engine and runs the statements of a file, or what is run where there is none.
pub(crate) fn open(
    builder: Builder,
    sql: Option<SourceFile>,
    content: &Content,
    producers: usize,
) -> Result<(Engine, Vec<EnginePeer>), Failure> {
    let engine = builder.open()?;
    let file = sql.unwrap_or_else(|| SourceFile {
        name: "<load>".to_owned(),
        text: SQL.to_owned(),
        base: PathBuf::from("."),
    });
    let results = last_query(&engine, &file)?;
    let schema = results.schema();
    let seq = match schema.column_with_name(SEQ) {
        Some((at, field)) if *field.data_type() == DataType::Int64 => at,
        _ => {
            let name = &file.name;
            let why = format!("the SELECT of {name} gives no column \"{SEQ}\" of type BIGINT");
            return Err(Failure::Usage(why));
        }
    };
    let sending = Arc::new(AtomicUsize::new(producers));
    let mut answers = Some(Answers {
        seq,
        changes: schema.field(0).name() == "op",
        awaited: 0,
        is_shared: producers > 1,
        results,
    });
    let mut rows_read = None;
    let mut peers = Vec::new();
    for _ in 0..producers {
        let appender = engine.appender(SOURCE)?;
        let rows = match content {
            Content::Made(records) => Rows::Made {
                columns: columns(&appender)?,
                records: Arc::clone(records),
                payload: String::new(),
            },
            Content::Read(replay) => {
                if rows_read.is_none() {
                    rows_read = Some(Arc::new(replay.rows(&appender)?));
                }
                let seq = appender.columns().position(|(name, _)| name == SEQ);
                let rows = rows_read.clone().unwrap_or_default();
                Rows::Read { rows, seq }
            }
        };
        peers.push(EnginePeer {
            appender: Some((appender, Sending(Arc::clone(&sending)))),
            rows,
            answers: answers.take(),
            sending: Arc::clone(&sending),
        });
    }
    Ok((engine, peers))
}

/// Runs statements, the last of which is a query, and the only one.
fn last_query(engine: &Engine, file: &SourceFile) -> Result<Results, Failure> {
    let mut last = None;
    for number in 0.. {
        match engine.statement(file, number)? {
            None => break,
            Some(_) if last.is_some() => {
                last = None;
                break;
            }
            Some(Outcome::Done | Outcome::Stopped | Outcome::Rows(_)) => {}
            // It goes on by itself.
            Some(Outcome::Feeding(_)) => {}
            Some(Outcome::Results(results)) => last = Some(*results),
        }
    }
    last.ok_or_else(|| {
        let name = &file.name;
        Failure::Usage(format!(
            "{name} is to end with its one SELECT over source {SOURCE}"
        ))
    })
}

/// How the columns of the source are made.
fn columns(appender: &Appender) -> Result<Vec<Column>, Failure> {
    let column = |(name, data_type): (&str, &DataType)| match (name, data_type) {
        (SEQ, _) => Ok(Column::Seq),
        ("key", _) => Ok(Column::Key),
        ("value", _) => Ok(Column::Value),
        ("ts", DataType::Timestamp(unit, _)) => Ok(Column::Ts(match unit {
            TimeUnit::Second => 1_000_000_000,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        })),
        ("payload", _) => Ok(Column::Payload),
        _ => Err(Failure::Usage(format!(
            "source {SOURCE} has a column \"{name}\" of which a record has no value: it has seq, \
             key, value, ts (a TIMESTAMP), and payload"
        ))),
    };
    appender.columns().map(column).collect()
}

impl Rows {
    fn offer(&mut self, to: &mut Appender, number: u64, due_ns: u64) -> Result<Pushed, Failure> {
        match self {
            Self::Made {
                records,
                columns,
                payload,
            } => {
                let record = records.record(number, due_ns);
                if columns.iter().any(|c| matches!(c, Column::Payload)) {
                    records.payload(number, payload);
                }
                let mut row = [Value::Null; COLUMNS_MAX];
                for (value, column) in row.iter_mut().zip(&*columns) {
                    *value = match column {
                        Column::Seq => Value::I64(record.seq),
                        Column::Key => Value::I64(record.key),
                        Column::Value => Value::F64(record.value),
                        Column::Ts(unit_ns) => Value::I64(record.ts_ns.div_euclid(*unit_ns)),
                        Column::Payload => Value::Str(payload),
                    };
                }
                Ok(to.try_push(&row[..columns.len()])?)
            }
            Self::Read { rows, seq } => {
                let cells = rows[number as usize].iter().map(Cell::value);
                let mut row: Vec<Value<'_>> = cells.collect();
                if let Some(seq) = seq {
                    row[*seq] = Value::I64(number as i64);
                }
                Ok(to.try_push(&row)?)
            }
        }
    }
}

impl Answers {
    /// Tells which records the rows of a batch answer. What an update takes back is no answer.
    fn tell(&mut self, batch: &RecordBatch, take: &mut dyn FnMut(u64)) {
        let seqs = batch.column(self.seq).as_primitive::<Int64Type>();
        let ops = self.changes.then(|| batch.column(0).as_string::<i32>());
        for (row, seq) in seqs.iter().enumerate() {
            let is_new = ops.is_none_or(|ops| ops.value(row).starts_with('+'));
            if let (true, Some(seq)) = (is_new, seq) {
                self.awaited = self.awaited.saturating_sub(1);
                take(seq as u64);
            }
        }
    }

    /// Takes what is there.
    fn take(&mut self, take: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        for _ in 0..BATCHES_AT_ONCE {
            match self.results.next_timeout(Duration::ZERO)? {
                Received::Batch(batch) => self.tell(&batch, take),
                Received::Nothing => break,
                Received::End => return Err(failed("its query has ended")),
            }
        }
        Ok(())
    }
}

impl Peer for EnginePeer {
    fn offer(&mut self, number: u64, due_ns: u64) -> Result<Offered, Failure> {
        let Some((appender, _)) = &mut self.appender else {
            unreachable!("nothing is offered behind the end")
        };
        Ok(match self.rows.offer(appender, number, due_ns)? {
            Pushed::Full => Offered::Full,
            Pushed::Done => {
                if let Some(answers) = &mut self.answers {
                    answers.awaited += 1;
                }
                Offered::Taken
            }
        })
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if let Some((appender, _)) = &mut self.appender {
            // What does not fit now leaves with a later call.
            let _: Pushed = appender.try_flush();
        }
        Ok(())
    }

    fn answers(&mut self, take: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        match &mut self.answers {
            Some(answers) => answers.take(take),
            None => Ok(()),
        }
    }

    fn rest(&mut self, ns: u64) {
        match &self.answers {
            Some(answers) if answers.awaited > 0 || answers.is_shared => std::hint::spin_loop(),
            _ => sleep_most_of(ns),
        }
    }

    fn finish(&mut self, take: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        let Some((mut appender, sending)) = self.appender.take() else {
            return Ok(());
        };
        let begun = Instant::now();
        let late = || failed("it did not take all that was sent within a minute");
        while appender.try_flush() == Pushed::Full {
            self.answers(take)?;
            std::thread::yield_now();
            if begun.elapsed() > DRAIN {
                return Err(late());
            }
        }
        drop((appender, sending));
        let Some(answers) = &mut self.answers else {
            return Ok(());
        };
        while self.sending.load(Ordering::Acquire) > 0 {
            answers.take(take)?;
            std::thread::yield_now();
        }
        let begun = Instant::now();
        answers.results.drain();
        while let Some(left) = DRAIN.checked_sub(begun.elapsed()) {
            match answers.results.next_timeout(left)? {
                Received::Batch(batch) => answers.tell(&batch, take),
                Received::Nothing => {}
                Received::End => return Ok(()),
            }
        }
        Err(late())
    }
}
