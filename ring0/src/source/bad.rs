//! What becomes of records that cannot be parsed: the policy, and the rows that tell of them.

use std::path::Path;

use crate::column::Column;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::limits::RECORD_BYTES_MAX;
use crate::program::{BadData, SourceSpec, dead_letter_schema};

/// A record that cannot be parsed.
#[derive(Debug, Clone, Copy)]
pub(super) struct BadRecord<'a> {
    pub(super) path: &'a Path,
    /// Where in the file it begins: in bytes, or, where it has none, the number of records before.
    pub(super) offset: u64,
    /// Its bytes, as many as are at hand; `None` where the file holds columns.
    pub(super) raw: Option<&'a [u8]>,
}

/// Bytes of a bad record that are told where it is too long to be one.
const RAW_BYTES_MAX: usize = 4096;

/// The policy of one source on one shard.
#[derive(Debug)]
pub(super) struct BadRecords {
    source: String,
    pub(super) policy: BadData,
    letters: Frame,
}

impl BadRecords {
    pub(super) fn new(spec: &SourceSpec, frame_rows: usize) -> Self {
        Self {
            source: spec.name.clone(),
            policy: spec.bad_data,
            letters: Frame::new(&dead_letter_schema(), frame_rows),
        }
    }

    /// Takes note of a bad record.
    ///
    /// # Errors
    /// [`Error::BadRecord`], or [`Error::BadRow`], where the source fails on it.
    pub(super) fn take(&mut self, record: BadRecord<'_>, reason: String) -> Result<()> {
        match self.policy {
            BadData::Fail if record.raw.is_none() => Err(Error::BadRow {
                name: self.source.clone(),
                path: record.path.to_owned(),
                row: record.offset,
                message: reason,
            }),
            BadData::Fail => Err(Error::BadRecord {
                name: self.source.clone(),
                path: record.path.to_owned(),
                line: None,
                offset: record.offset,
                message: reason,
            }),
            BadData::Skip => Ok(()),
            BadData::DeadLetters(_) => {
                let raw = record.raw.map(first_bytes);
                let text = raw.and_then(|raw| std::str::from_utf8(raw).ok());
                let hex = raw.filter(|_| text.is_none()).map(|raw| {
                    let digits = raw.iter().map(|byte| format!("{byte:02x}"));
                    digits.collect::<String>()
                });
                let path = record.path.to_string_lossy();
                let texts = [Some(path.as_ref()), Some(&reason), text, hex.as_deref()];
                self.write(record.offset, texts);
                Ok(())
            }
        }
    }

    /// Takes note of rows in memory on which an expression failed, as far as there is room for
    /// letters; takes those away. `first` is the number of rows before those of the frame.
    ///
    /// # Errors
    /// [`Error::Row`] where the source fails on them.
    pub(super) fn take_rows(&mut self, first: usize, failed: &mut Vec<RowError>) -> Result<()> {
        let mut taken = 0;
        for RowError { row, message } in failed.iter() {
            let row = first + *row as usize;
            match self.policy {
                BadData::Fail => {
                    let (source, number) = (&self.source, row + 1);
                    return Err(Error::Row {
                        message: format!("source {source}: row {number}: {message}"),
                    });
                }
                BadData::Skip => {}
                BadData::DeadLetters(_) if self.is_full() => break,
                BadData::DeadLetters(_) => {
                    self.write(row as u64, [None, Some(message), None, None])
                }
            }
            taken += 1;
        }
        failed.drain(..taken);
        Ok(())
    }

    /// Writes a letter: where the record is; its file, the reason, its bytes as text or in digits.
    fn write(&mut self, offset: u64, [path, reason, text, hex]: [Option<&str>; 4]) {
        let source = Some(self.source.as_str());
        let texts = [(0, source), (1, path), (3, reason), (4, text), (5, hex)];
        for (at, text) in texts {
            let Column::Utf8(column) = &mut self.letters.columns[at] else {
                panic!("a dead letter's text is VARCHAR")
            };
            column.push(text);
        }
        let Column::I64(offsets) = &mut self.letters.columns[2] else {
            panic!("a dead letter's offset is BIGINT")
        };
        offsets.push(Some(offset as i64));
        self.letters.commit_rows(1);
    }

    /// Rows that have to leave before more are taken.
    pub(super) fn letters(&mut self) -> &mut Frame {
        &mut self.letters
    }

    pub(super) fn is_full(&self) -> bool {
        self.letters.is_full()
    }
}

/// The bytes of a bad record that are told: all that could be a record. Where they are its first
/// ones, no character is cut.
fn first_bytes(record: &[u8]) -> &[u8] {
    if record.len() <= RECORD_BYTES_MAX {
        return record;
    }
    let first = &record[..RAW_BYTES_MAX];
    match std::str::from_utf8(first) {
        Err(error) if error.error_len().is_none() => &first[..error.valid_up_to()],
        Ok(_) | Err(_) => first,
    }
}
