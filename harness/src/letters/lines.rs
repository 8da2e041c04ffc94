//! The line of a file on which a byte is. Shards know bytes and not lines, as they begin anywhere
//! in a file; so lines are counted where they are told, and a file is read once more up to the last
//! record that is bad.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// How far lines were counted in the file at hand.
#[derive(Debug, Default)]
pub(super) struct Lines {
    path: PathBuf,
    file: Option<File>,
    /// Bytes that were read of it, and the line behind them.
    offset: u64,
    line: u64,
    buffer: Vec<u8>,
}

impl Lines {
    /// The line, from 1, on which byte `offset` of a file is; `None` where it cannot be read again.
    /// Bytes are best asked for in order.
    pub(super) fn at(&mut self, path: &Path, offset: u64) -> Option<u64> {
        self.count_to(path, offset).ok()
    }

    fn count_to(&mut self, path: &Path, offset: u64) -> io::Result<u64> {
        let file = match self.file.take() {
            Some(file) if self.path == path && self.offset <= offset => file,
            _ => {
                self.path = path.to_owned();
                (self.offset, self.line) = (0, 1);
                File::open(path)?
            }
        };
        self.buffer.resize(BUFFER_BYTES, 0);
        let mut rest = (&file).take(offset - self.offset);
        while self.offset < offset {
            let count = rest.read(&mut self.buffer)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let newlines = self.buffer[..count].iter().filter(|&&b| b == b'\n');
            self.line += newlines.count() as u64;
            self.offset += count as u64;
        }
        self.file = Some(file);
        Ok(self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_where_the_last_was() {
        let name = format!("trefoil-lines-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let text = format!("a\n\nb{}c\n", "\n".repeat(BUFFER_BYTES));
        std::fs::write(&path, &text).expect("a file");
        let mut lines = Lines::default();
        let many = BUFFER_BYTES as u64;
        for (offset, want) in [
            (0, Some(1)),
            (1, Some(1)),
            (2, Some(2)),
            (3, Some(3)),
            (many + 4, Some(many + 3)),
            (2, Some(2)),
            (many + 7, None),
            (3, Some(3)),
        ] {
            assert_eq!(lines.at(&path, offset), want, "byte {offset}");
        }
        assert_eq!(lines.at(&path.join("none"), 0), None);
        std::fs::remove_file(path).expect("removed");
    }
}
