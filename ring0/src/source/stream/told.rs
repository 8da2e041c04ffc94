//! Where a record is, as it is told: its line, or, where records come in frames, its frame and its
//! number.

use std::path::PathBuf;

use super::super::bad::BadRecord;
use super::StreamSource;
use crate::error::Result;
use crate::format::binary;
use crate::program::FileFormat;

impl StreamSource {
    /// Counts the lines of what was read, which goes.
    pub(super) fn pass_lines(&mut self) {
        let passed = &self.bytes[..self.at];
        let is_binary = matches!(self.format, FileFormat::Binary(_));
        if let Some(lines) = &mut self.lines {
            *lines += match is_binary {
                true => binary::frames(passed),
                false => memchr::memchr_iter(b'\n', passed).count() as u64,
            };
        }
        if let Some(parser) = self.parser.as_mut().and_then(|parser| parser.binary()) {
            parser.forget(self.at);
        }
    }

    /// Tells of a bad record.
    pub(super) fn tell(&mut self, at: usize, reason: String) -> Result<()> {
        let parser = self.parser.as_ref().expect("it has parsed");
        let raw = parser.record(&self.bytes[at..]);
        let of_frame = match self.format {
            FileFormat::Binary(_) => binary::place(&self.bytes, at),
            _ => None,
        };
        let path = self.path.display();
        let with_line = match (self.lines, of_frame) {
            (Some(before), Some(place)) => {
                let frame = before + place.frames + 1;
                Some(PathBuf::from(format!("{path}, frame {frame}")))
            }
            (Some(before), None) => {
                let newlines = memchr::memchr_iter(b'\n', &self.bytes[..at]).count() as u64;
                let line = before + newlines + 1;
                Some(PathBuf::from(format!("{path}, line {line}")))
            }
            (None, _) => None,
        };
        let record = BadRecord {
            path: with_line.as_deref().unwrap_or(&self.path),
            // A row is told by how many are before it.
            offset: of_frame.map_or(self.base + at as u64, |place| place.number - 1),
            raw,
        };
        self.bad.take(record, reason)
    }
}
