//! Changes of a table as Debezium writes them, an object a line: what stood `before`, what stands
//! `after`, and `op`. A row for each of both that counts, with what it does as the last column: one
//! that is created or read comes, one that is deleted goes, and an update is both. Objects may
//! stand in a `payload`, beside their schema.
//!
//! Where rows replace each other by a key, what stood before is known: an update is what comes, and
//! of what is deleted the key is enough. An update that changes the key deletes what had the other.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ndjson::{NdjsonParser, is_blank};
use super::record::{Chunk, Parsed, Steps, Stop, fill, line_at};
use crate::changelog::{self, DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE};
use crate::frame::Frame;
use crate::order::{SortKey, put_key};
use crate::schema::Schema;

/// How changes are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// By which columns rows replace each other; none where they do not.
    pub keys: Vec<usize>,
    /// Columns that are not NULL in what comes, though the schema allows it: of what goes the key
    /// may be all that is known.
    pub required: Vec<usize>,
}

/// Parses changes into frames whose last column says what each row does.
#[derive(Debug)]
pub struct DebeziumParser {
    values: NdjsonParser,
    names: Vec<String>,
    captured: Captured,
    keys: Vec<SortKey>,
    starts: Vec<usize>,
}

/// An object of a line, as far as it is of interest.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    before: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after: Option<&'a RawValue>,
    #[serde(borrow, default)]
    op: Option<Cow<'a, str>>,
}

impl DebeziumParser {
    /// A parser of changes to rows of this schema, whose last column is a changelog's.
    ///
    /// # Panics
    /// Where it is none, or a field has a type that [`crate::schema::physical`] does not know.
    pub fn new(schema: &Schema, captured: Captured) -> Self {
        assert!(changelog::is_weighted(schema), "changes say what they do");
        let mut values = schema.clone();
        values.fields.pop();
        Self {
            names: values.fields.iter().map(|f| f.name.clone()).collect(),
            values: NdjsonParser::new(Arc::new(values)),
            keys: captured
                .keys
                .iter()
                .copied()
                .map(SortKey::ascending)
                .collect(),
            captured,
            starts: Vec::new(),
        }
    }

    /// Appends the rows of one record, given without its newline, to `frame`, which has room for
    /// two.
    ///
    /// # Errors
    /// Where the line is no change; the text says what is wrong. Nothing of it stays in the frame.
    pub fn parse_record(&mut self, line: &[u8], frame: &mut Frame) -> Result<(), String> {
        let rows = frame.rows();
        let parsed = self.append(line, frame);
        if parsed.is_err() {
            frame.truncate(rows);
        }
        parsed
    }

    fn append(&mut self, line: &[u8], frame: &mut Frame) -> Result<(), String> {
        let text = std::str::from_utf8(line)
            .map_err(|e| format!("invalid utf-8 at byte {}", e.valid_up_to()))?;
        let mut envelope = envelope(text)?;
        if let (None, Some(payload)) = (&envelope.op, envelope.payload) {
            envelope = self::envelope(payload.get())?;
        }
        let Envelope {
            before, after, op, ..
        } = envelope;
        let op = op.ok_or("no op: a change has before, after and op")?;
        let changes: &[(&str, Option<&RawValue>, i8)] = match (&*op, !self.keys.is_empty()) {
            ("c" | "r", _) | ("u", true) => &[("after", after, INSERT)],
            ("d", _) => &[("before", before, DELETE)],
            ("u", false) => &[
                ("before", before, UPDATE_BEFORE),
                ("after", after, UPDATE_AFTER),
            ],
            (other, _) => return Err(format!("op \"{other}\" is none of c, r, u and d")),
        };
        for (side, row, weight) in changes {
            let hint = match (*side, &*op) {
                ("before", "u") => ": a PRIMARY KEY makes it needless",
                _ => "",
            };
            let row = row.ok_or_else(|| format!("op \"{op}\" without {side}{hint}"))?;
            self.push(row.get(), *weight, frame)
                .map_err(|message| format!("{side}: {message}"))?;
        }
        match (&*op, before, after) {
            ("u", Some(before), Some(after)) if !self.keys.is_empty() => {
                self.moved(before.get(), after.get(), frame)
            }
            _ => Ok(()),
        }
    }

    /// Has the row with the key that an update, which is the frame's last row, was of go before it
    /// comes, if that was another one. What was before may be left out, or say nothing of the key.
    fn moved(&mut self, before: &str, after: &str, frame: &mut Frame) -> Result<(), String> {
        let rows = frame.rows();
        if self.push(before, DELETE, frame).is_err() {
            frame.truncate(rows);
            return Ok(());
        }
        let mut columns = self.keys.iter().map(|key| &frame.columns[key.column]);
        if columns.any(|column| !column.is_valid(rows)) {
            frame.truncate(rows);
            return Ok(());
        }
        let [mut was, mut is] = [Vec::new(), Vec::new()];
        put_key(&mut was, frame, rows, &self.keys);
        put_key(&mut is, frame, rows - 1, &self.keys);
        if was == is {
            frame.truncate(rows);
            return Ok(());
        }
        frame.truncate(rows - 1);
        self.push(before, DELETE, frame)?;
        self.push(after, INSERT, frame)
    }

    fn push(&mut self, row: &str, weight: i8, frame: &mut Frame) -> Result<(), String> {
        self.values.append(row.as_bytes(), frame)?;
        let at = frame.rows();
        let missing = |&&column: &&usize| weight > 0 && !frame.columns[column].is_valid(at);
        if let Some(column) = self.captured.required.iter().find(missing) {
            let name = &self.names[*column];
            return Err(format!("column {name}: missing, and cannot be null"));
        }
        changelog::push(frame, weight);
        frame.commit_rows(1);
        Ok(())
    }

    /// Appends the rows of records of `chunk`, the first of which begins at `at`, until `frame`
    /// has no room for two, a record is bad, or there is no further one. Blank lines are left out.
    pub fn parse_chunk(&mut self, chunk: &Chunk<'_>, at: usize, frame: &mut Frame) -> Parsed {
        let mut starts = std::mem::take(&mut self.starts);
        let parsed = fill(self, chunk, at, frame, &mut starts);
        self.starts = starts;
        parsed
    }

    /// Where in the chunk the records of the rows begin that the last
    /// [`DebeziumParser::parse_chunk`] appended.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }
}

fn envelope(text: &str) -> Result<Envelope<'_>, String> {
    // An array would be taken for the members in their order.
    if !text.trim_start().starts_with('{') {
        return Err("no change: a change is an object".to_owned());
    }
    let null = |raw: &&RawValue| raw.get() != "null";
    let parsed: Result<Envelope<'_>, _> = serde_json::from_str(text);
    let mut envelope = parsed.map_err(|error| format!("no change: {error}"))?;
    envelope.before = envelope.before.filter(null);
    envelope.after = envelope.after.filter(null);
    Ok(envelope)
}

impl Steps for DebeziumParser {
    fn begin(&mut self, _: &Chunk<'_>, _: usize) {}

    fn quick(&mut self, _: &Chunk<'_>, _: usize, _: &mut Frame, _: usize) -> Option<usize> {
        None
    }

    fn slow(&mut self, chunk: &Chunk<'_>, at: usize, frame: &mut Frame) -> Result<usize, Stop> {
        if frame.room() < 2 {
            return Err(Stop::FrameFull);
        }
        let (line, next) = line_at(chunk, at)?;
        if !is_blank(line) {
            self.parse_record(line, frame)
                .map_err(|message| Stop::Bad { next, message })?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;

    use super::*;
    use crate::column::Column;
    use crate::format::record::Tail;
    use crate::schema::Field;

    fn schema() -> Arc<Schema> {
        let key = Field {
            nullable: false,
            ..Field::new("k", DataType::Int64)
        };
        changelog::weighted(Schema::new(vec![key, Field::new("v", DataType::Int64)]))
    }

    fn parse(line: &str, captured: &Captured) -> Result<Vec<(i64, Option<i64>, i8)>, String> {
        let mut parser = DebeziumParser::new(&schema(), captured.clone());
        let mut frame = Frame::new(&schema(), 3);
        parser.parse_record(line.as_bytes(), &mut frame)?;
        let [Column::I64(keys), Column::I64(values), ..] = &frame.columns[..] else {
            panic!("BIGINT")
        };
        let row = |row: usize| {
            let op = changelog::given(&frame)[row];
            (keys.values[row], values.get(row), op)
        };
        Ok((0..frame.rows()).map(row).collect())
    }

    #[test]
    fn changes_are_rows_that_come_and_go() {
        let keyed = Captured {
            keys: vec![0],
            required: vec![1],
        };
        let plain = Captured::default();
        let one = (1, Some(2), INSERT);
        for (line, wanted, wanted_keyed) in [
            (
                r#"{"after":{"k":1,"v":2},"op":"c"}"#,
                Ok(vec![one]),
                Ok(vec![one]),
            ),
            (
                r#"{"op":"r","before":null,"after":{"v":2,"k":1,"x":[]},"ts_ms":7}"#,
                Ok(vec![one]),
                Ok(vec![one]),
            ),
            (
                r#"{"schema":{},"payload":{"after":{"k":1,"v":2},"op":"c"}}"#,
                Ok(vec![one]),
                Ok(vec![one]),
            ),
            (
                r#"{"before":{"k":1,"v":2},"after":{"k":1,"v":3},"op":"u"}"#,
                Ok(vec![
                    (1, Some(2), UPDATE_BEFORE),
                    (1, Some(3), UPDATE_AFTER),
                ]),
                Ok(vec![(1, Some(3), INSERT)]),
            ),
            (
                r#"{"before":{"k":4,"v":2},"after":{"k":1,"v":3},"op":"u"}"#,
                Ok(vec![
                    (4, Some(2), UPDATE_BEFORE),
                    (1, Some(3), UPDATE_AFTER),
                ]),
                Ok(vec![(4, Some(2), DELETE), (1, Some(3), INSERT)]),
            ),
            (
                r#"{"before":{"k":1},"after":null,"op":"d"}"#,
                Ok(vec![(1, None, DELETE)]),
                Ok(vec![(1, None, DELETE)]),
            ),
            (
                r#"{"before":null,"after":{"k":1,"v":3},"op":"u"}"#,
                Err("op \"u\" without before: a PRIMARY KEY makes it needless"),
                Ok(vec![(1, Some(3), INSERT)]),
            ),
            (
                r#"{"after":{"k":1},"op":"c"}"#,
                Ok(vec![(1, None, INSERT)]),
                Err("after: column v: missing, and cannot be null"),
            ),
        ] {
            let text = |wanted: Result<_, &str>| wanted.map_err(str::to_owned);
            assert_eq!(parse(line, &plain), text(wanted), "{line}");
            assert_eq!(parse(line, &keyed), text(wanted_keyed), "{line}, by a key");
        }
    }

    #[test]
    fn what_is_no_change_is_bad() {
        for (line, said) in [
            (r#"{"k":1}"#, "no op"),
            (r#"{"op":"t"}"#, "op \"t\" is none of c, r, u and d"),
            (r#"{"op":"c"}"#, "op \"c\" without after"),
            (r#"{"op":"d","before":null}"#, "op \"d\" without before"),
            (r#"{"op":"c","after":{"k":"x"}}"#, "after: column k"),
            (r#"{"op":"c","after":{"v":1}}"#, "after: column k: missing"),
            (r#"{"op":"c","after":[1]}"#, "after: "),
            (r#"{"op":"c","op":"d"}"#, "duplicate field"),
            ("[]", "no change"),
            (
                r#"{"op":"u","before":{"k":1},"after":{"k":"x"}}"#,
                "after: column k",
            ),
        ] {
            let error = parse(line, &Captured::default()).expect_err(line);
            assert!(error.contains(said), "{line}: {error}");
        }
    }

    /// Both rows of an update are in one frame, whatever its size.
    #[test]
    fn updates_are_not_torn() {
        let update = r#"{"before":{"k":1},"after":{"k":2},"op":"u"}"#;
        let bytes = format!("{update}\n\n{update}\n{update}");
        let mut parser = DebeziumParser::new(&schema(), Captured::default());
        let chunk = Chunk {
            bytes: bytes.as_bytes(),
            begin_before: bytes.len(),
            tail: Tail::End,
        };
        let mut frame = Frame::new(&schema(), 3);
        let mut at = 0;
        for stop in [Stop::FrameFull, Stop::FrameFull, Stop::ChunkDone] {
            let parsed = parser.parse_chunk(&chunk, at, &mut frame);
            assert_eq!((parsed.rows, parsed.stop), (2, stop));
            assert_eq!(parser.starts().len(), 2);
            assert!(changelog::is_update(&frame, 0));
            at = parsed.at;
            frame.clear();
        }
    }
}
