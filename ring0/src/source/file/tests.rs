//! What a file's reader makes of a file that changes under it.

use std::collections::HashMap;

use super::*;
use crate::format::columnar::Taken;
use crate::io::ThreadIo;
use crate::program::SourceKind;
use crate::source::open::{OpenFile, open};
use crate::wake::Bell;

/// A file of `text` that had more bytes when it was opened.
fn read_cut_off(text: &str, size: u64) -> Error {
    let bell = Arc::new(Bell::new().unwrap());
    let kind = SourceKind::Files {
        paths: vec![],
        format: FileFormat::Ndjson,
    };
    let spec = SourceSpec::new("s", Arc::new(Schema::new(vec![])), kind);
    let mut files = open(
        (&spec, Taken::InOrder),
        4,
        &[Arc::clone(&bell)],
        &mut HashMap::new(),
    )
    .unwrap();
    files.open = Arc::new(vec![OpenFile::cut_off(text, size)]);
    let reader = Reader {
        shard: 0,
        shards: 1,
        frame_rows: 8,
        chunk_bytes: 4,
        now: || 0,
        begun: 0,
    };
    let mut source = FileSource::new(0, &spec, &FileFormat::Ndjson, files, reader);
    let thread = ThreadIo::start(Arc::clone(&bell), "reader".to_owned(), TAGS);
    let mut io = Io::Thread(thread.unwrap());
    loop {
        source.poll(&mut io).unwrap();
        bell.announce_sleep();
        let Some(completion) = io.poll() else {
            bell.sleep(-1);
            continue;
        };
        if let Err(error) = source.complete(completion) {
            return error;
        }
    }
}

#[test]
fn a_file_that_becomes_shorter_is_said_to() {
    for (text, size) in [("", 3), ("{}", 10), ("{} ", 4), ("{  }", 9), ("{}\n{", 6)] {
        let error = read_cut_off(text, size).to_string();
        assert!(error.contains("became shorter"), "{text:?}: {error}");
    }
}
