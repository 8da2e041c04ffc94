//! Which error a run ends with, where several shards had one: a panic before a bad record, the
//! earliest bad record before other errors. Here a bad record also gets the number of its line.

use std::io::Read;
use std::path::Path;

use crate::error::Error;
use crate::limits::CHUNK_BYTES;
use crate::program::Program;

/// The error to show, given those of the shards.
pub(crate) fn first(errors: Vec<Error>, program: &Program) -> Error {
    let mut error = errors
        .into_iter()
        .min_by_key(|error| rank(error, program))
        .unwrap_or_else(lost);
    if let Error::BadRecord {
        path, offset, line, ..
    } = &mut error
    {
        // Shards know bytes and not lines, as they begin anywhere in a file.
        *line = line_of(path, *offset).ok();
    }
    error
}

/// The error of a shard that left none.
pub(crate) fn lost() -> Error {
    Error::ShardPanicked {
        shard: 0,
        message: "the shard ended without a word".to_owned(),
    }
}

/// Less is shown first. Bad records are in the order of the sources, then of their files.
fn rank(error: &Error, program: &Program) -> (u8, usize, u64) {
    match error {
        Error::ShardPanicked { .. } => (0, 0, 0),
        Error::BadRecord {
            name, path, offset, ..
        }
        | Error::BadRow {
            name,
            path,
            row: offset,
            ..
        } => (1, file_number(name, path, program), *offset),
        _ => (2, 0, 0),
    }
}

/// The number of a file among those of all sources.
fn file_number(name: &str, path: &Path, program: &Program) -> usize {
    let files = program.sources.iter().flat_map(|source| {
        let paths = source.kind.paths();
        paths.iter().map(|path| (&source.name, path))
    });
    let mut files = files.enumerate();
    let found = files.find(|(_, file)| *file.0 == name && *file.1 == path);
    found.map_or(usize::MAX, |(number, _)| number)
}

/// The number of the line that holds a byte of a file.
fn line_of(path: &Path, offset: u64) -> std::io::Result<u64> {
    let mut rest = std::fs::File::open(path)?.take(offset);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut line = 1;
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(line),
            count => line += memchr::memchr_iter(b'\n', &buffer[..count]).count() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::program::{FileFormat, SourceKind, SourceSpec};

    fn bad(name: &str, path: &str, offset: u64) -> Error {
        Error::BadRecord {
            name: name.to_owned(),
            path: PathBuf::from(path),
            line: None,
            offset,
            message: String::new(),
        }
    }

    /// The offset of one file says nothing about that of another.
    #[test]
    fn bad_records_are_in_the_order_of_their_files() {
        let source = |name: &str, paths: [&str; 2]| {
            let kind = SourceKind::Files {
                paths: paths.map(PathBuf::from).to_vec(),
                format: FileFormat::Ndjson,
            };
            SourceSpec::new(name, Arc::default(), kind)
        };
        let program = Program {
            sources: vec![source("s", ["/z", "/a"]), source("t", ["/a", "/b"])],
            ..Program::default()
        };
        let row = Error::Row {
            message: String::new(),
        };
        let in_order = [
            lost(),
            bad("s", "/z", 7),
            bad("s", "/z", 900),
            bad("s", "/a", 3),
            bad("t", "/a", 1),
            bad("t", "/b", 0),
            row,
        ];
        for from in 0..in_order.len() {
            let mut errors = in_order[from..].to_vec();
            errors.reverse();
            assert_eq!(first(errors, &program), in_order[from]);
        }
        assert_eq!(first(Vec::new(), &program), lost());
    }
}
