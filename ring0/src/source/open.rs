//! The files of a source as they are opened: what is before their records is read at once, so that
//! a file that does not fit its source is refused before any record of another one is read.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::board::Board;
use super::cut::Cut;
use super::kind::{KIND_BYTES, check_text};
use crate::error::{Error, Result};
use crate::feed::{Arriving, Blocked, FeedPlace};
use crate::format::binary::BinaryParser;
use crate::format::columnar::{ColumnarFile, ColumnarFormat, Taken};
use crate::format::csv::{CsvParser, header};
use crate::format::debezium::DebeziumParser;
use crate::format::ndjson::NdjsonParser;
use crate::format::parser::RecordParser;
use crate::format::record::{Chunk, Stop, Tail, too_long};
use crate::limits::RECORD_BYTES_MAX;
use crate::program::{FileFormat, Header, Reading, SourceKind, SourceSpec, Splits};
use crate::schema::Schema;
use crate::source::Live;
use crate::wake::Bell;

/// Bytes read at first to find a header.
const HEADER_BYTES: u64 = 4096;
/// What some editors put before the first line; it is no data.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A file that the host has opened.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: Arc<File>,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// Where its records begin.
    pub(crate) body: u64,
    /// Positions of the files before it, in the split that they are together, if they are.
    pub(super) base: u64,
    /// Where its chunks are, where it holds columns.
    columnar: Option<Arc<dyn ColumnarFile>>,
    /// The names of its fields, where records do not name them.
    names: Vec<String>,
}

/// The files of a source, in order, and what their readers tell each other.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(super) open: Arc<Vec<OpenFile>>,
    pub(super) board: Arc<Board>,
    /// Where they stop.
    pub(super) cut: Arc<Cut>,
    /// Splits in which there is anything.
    splits: usize,
}

impl Files {
    /// These files; of `quoted` chunks it is told what lies in them, to the shards with `bells`,
    /// of which `readers` read.
    pub(super) fn new(
        open: Vec<OpenFile>,
        quoted: u64,
        bells: &[Arc<Bell>],
        readers: &[Arc<Bell>],
    ) -> Self {
        Self {
            open: Arc::new(open),
            board: Arc::new(Board::new(quoted, bells)),
            cut: Arc::new(Cut::new(readers)),
            splits: 1,
        }
    }

    /// How many splits there are, one at the least.
    pub(crate) fn splits(&self) -> usize {
        self.splits
    }
}

/// Opens what comes to a source at its own time from outside, if that is what it reads, where it
/// goes on, and starts the thread that brings it, which rings the bell of the shard that parses.
pub(crate) fn open_stream(
    spec: &SourceSpec,
    bell: &Arc<Bell>,
    tell: fn(&str),
    at: Option<&FeedPlace>,
) -> Result<Option<Live>> {
    let bell = Arc::clone(bell);
    let (path, opened) = match &spec.kind {
        SourceKind::Stream { feed, .. } => {
            let feeder = match at {
                None => feed.open(),
                Some(at) => Ok(feed.open_at(at).map_err(|why| {
                    let (source, path) = (&spec.name, feed.name());
                    Error::Restore(format!("source {source}: {}: {why}", path.display()))
                })?),
            };
            let started = feeder.and_then(|feeder| {
                Blocked::start(feeder, bell, tell).map_err(|error| error.to_string())
            });
            (feed.name(), started.map(Live::Blocks))
        }
        SourceKind::Connections { listen, .. } => {
            let started = Arriving::start(&**listen, bell, tell);
            (listen.name(), started.map(Live::Arrivals))
        }
        _ => return Ok(None),
    };
    opened.map(Some).map_err(|message| Error::Open {
        name: spec.name.clone(),
        path,
        message,
    })
}

/// Opens what a source reads; empty for one that reads no file. Its chunks are taken as is said.
/// `sizes` says how many bytes of a file are read at most, and is told of those that it does not
/// know.
pub(crate) fn open(
    (spec, taken): (&SourceSpec, Taken),
    chunk_bytes: usize,
    bells: &[Arc<Bell>],
    sizes: &mut HashMap<PathBuf, u64>,
) -> Result<Files> {
    let mut files = Vec::new();
    let mut chunks = 0;
    let mut base = 0;
    let (paths, format) = match &spec.kind {
        SourceKind::Files { paths, format } => (&paths[..], Format::Records(format)),
        SourceKind::Columnar { paths, format } => (&paths[..], Format::Columns(&**format, taken)),
        SourceKind::Stream { .. }
        | SourceKind::Connections { .. }
        | SourceKind::Channel
        | SourceKind::Generator(_)
        | SourceKind::Columns { .. }
        | SourceKind::Memory { .. } => (&[][..], Format::Records(&FileFormat::Ndjson)),
    };
    for path in paths {
        let mut file = open_file(spec, format, path, sizes.get(path).copied())?;
        sizes.entry(path.clone()).or_insert(file.size);
        file.base = base;
        if spec.splits == Splits::One {
            base += file.end();
        }
        if matches!(format, Format::Records(format) if has_quotes(format)) {
            chunks += file.chunks(chunk_bytes as u64);
        }
        files.push(file);
    }
    let readers = match spec.reading {
        Reading::Chunks => bells,
        Reading::InOrder => &bells[..1],
    };
    let has_any = |file: &&OpenFile| file.chunks(chunk_bytes as u64) > 0;
    let splits = match spec.splits {
        Splits::One => 1,
        Splits::Files => files.iter().filter(has_any).count().max(1),
    };
    Ok(Files {
        splits,
        ..Files::new(files, chunks, bells, readers)
    })
}

/// What a source's files hold.
#[derive(Debug, Clone, Copy)]
enum Format<'a> {
    Records(&'a FileFormat),
    Columns(&'a dyn ColumnarFormat, Taken),
}

fn open_file(
    spec: &SourceSpec,
    format: Format<'_>,
    path: &Path,
    upto: Option<u64>,
) -> Result<OpenFile> {
    let failed = |message: String| Error::Open {
        name: spec.name.clone(),
        path: path.to_owned(),
        message,
    };
    // Asked before it is opened: opening a pipe waits for who writes into it.
    let regular = |facts: Metadata| match facts.is_file() {
        true => Ok(facts.len()),
        false => Err(failed(irregular(path))),
    };
    std::fs::metadata(path)
        .map_err(|e| failed(missing(path, &e)))
        .and_then(regular)?;
    let file = File::open(path).map_err(|e| failed(e.to_string()))?;
    let facts = file.metadata().map_err(|e| failed(e.to_string()))?;
    let mut file = OpenFile {
        file: Arc::new(file),
        path: path.to_owned(),
        size: regular(facts)?.min(upto.unwrap_or(u64::MAX)),
        body: 0,
        base: 0,
        columnar: None,
        names: Vec::new(),
    };
    let schema = file_schema(spec);
    match format {
        Format::Records(format) => {
            if read_start(&mut file, format).map_err(&failed)? {
                parser(format, &schema, &file).map_err(failed)?;
            }
        }
        Format::Columns(format, taken) => {
            let columnar = format.open(&file.file, &schema, taken).map_err(failed)?;
            file.columnar = Some(columnar);
        }
    }
    Ok(file)
}

/// What is said of a path that cannot be looked up: one with wildcards was found to be none.
fn missing(path: &Path, error: &std::io::Error) -> String {
    let is_pattern = path.to_string_lossy().contains(['*', '?', '[']);
    match is_pattern && error.kind() == std::io::ErrorKind::NotFound {
        true => "the pattern matches no file".to_owned(),
        false => error.to_string(),
    }
}

impl OpenFile {
    /// The position behind its last record.
    fn end(&self) -> u64 {
        let rows = self.columnar.as_ref().map(|c| c.chunks());
        rows.map_or(self.size, |rows| *rows.last().unwrap_or(&0))
    }

    /// How many chunks it has.
    pub(super) fn chunks(&self, chunk_bytes: u64) -> u64 {
        match &self.columnar {
            Some(columnar) => columnar.chunks().len().saturating_sub(1) as u64,
            None => (self.size - self.body).div_ceil(chunk_bytes),
        }
    }

    /// The positions where one of its chunks begins and ends.
    pub(super) fn bounds(&self, chunk: u64, chunk_bytes: u64) -> (u64, u64) {
        match &self.columnar {
            Some(columnar) => {
                let at = chunk as usize;
                (columnar.chunks()[at], columnar.chunks()[at + 1])
            }
            None => {
                let start = self.body + chunk * chunk_bytes;
                (start, (start + chunk_bytes).min(self.size))
            }
        }
    }

    /// What knows its chunks.
    pub(super) fn columnar(&self) -> Arc<dyn ColumnarFile> {
        let columnar = self.columnar.as_ref();
        Arc::clone(columnar.expect("a file of columns was opened as one"))
    }
}

/// Why what is no regular file is not read. A folder comes here only where its files could not be
/// listed.
fn irregular(path: &Path) -> String {
    match std::fs::read_dir(path) {
        Err(error) if path.is_dir() => error.to_string(),
        Ok(_) | Err(_) => "it is not a regular file".to_owned(),
    }
}

/// Finds where the records begin, and what their fields are called. Returns whether there can be
/// any: there are none without a header that should be there.
fn read_start(file: &mut OpenFile, format: &FileFormat) -> Result<bool, String> {
    let mut bytes = Vec::new();
    if file.size == 0 && file.file.read_at(&mut [0], 0).map_err(|e| e.to_string())? > 0 {
        // As those are that a kernel makes up while they are read.
        return Err("it has bytes, and says that its size is 0".to_owned());
    }
    read_to(file, KIND_BYTES as u64, &mut bytes)?;
    check_text(&bytes)?;
    let mark = match bytes.starts_with(BYTE_ORDER_MARK) {
        true => BYTE_ORDER_MARK.len(),
        false => 0,
    };
    file.body = mark as u64;
    let dialect = match format {
        FileFormat::Ndjson | FileFormat::Debezium(_) => return Ok(true),
        FileFormat::Binary(_) => return Err("frames come from sockets, not from files".to_owned()),
        FileFormat::Csv {
            header: Header::Absent(names),
            ..
        } => {
            file.names.clone_from(names);
            return Ok(true);
        }
        FileFormat::Csv { dialect, .. } => dialect,
    };
    dialect.check()?;
    let mut end = HEADER_BYTES;
    loop {
        read_to(file, end, &mut bytes)?;
        let start = &bytes[mark..];
        let chunk = Chunk {
            bytes: start,
            begin_before: start.len(),
            tail: match bytes.len() as u64 == file.size {
                true => Tail::End,
                false => Tail::Cut,
            },
        };
        match header(dialect, &chunk) {
            Ok((names, next)) => {
                file.body += next as u64;
                file.names = names;
                return Ok(true);
            }
            Err(Stop::ChunkDone) => {
                file.body = file.size;
                return Ok(false);
            }
            Err(Stop::NeedsMore) if start.len() <= RECORD_BYTES_MAX => end *= 2,
            Err(Stop::Bad { message, .. }) => return Err(format!("the header: {message}")),
            Err(Stop::NeedsMore | Stop::FrameFull) => {
                return Err(format!("the header: {}", too_long()));
            }
        }
    }
}

/// Reads the file up to byte `end`, behind what is there already.
fn read_to(file: &OpenFile, end: u64, bytes: &mut Vec<u8>) -> Result<(), String> {
    let from = bytes.len();
    bytes.resize(end.min(file.size) as usize, 0);
    file.file
        .read_exact_at(&mut bytes[from..], from as u64)
        .map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => SHORTER.to_owned(),
            _ => error.to_string(),
        })
}

/// Said of a file whose end comes before its size.
pub(super) const SHORTER: &str = "the file became shorter while it was read";

/// The columns that are read from the files, before those that the source fills by itself.
pub(crate) fn file_schema(spec: &SourceSpec) -> Schema {
    let fields = &spec.schema.fields;
    let bound = spec.event_time.and_then(|e| e.bound);
    assert!(
        bound.is_none_or(|b| b + 1 == fields.len()),
        "the bound is the last column"
    );
    let read = bound.unwrap_or(fields.len()) - spec.system.len();
    Schema::new(fields[..read].to_vec())
}

/// A parser of the records of one file.
pub(super) fn parser(
    format: &FileFormat,
    schema: &Schema,
    file: &OpenFile,
) -> Result<RecordParser, String> {
    parser_of(format, schema, &file.names)
}

/// A parser of records whose fields have these names, where they do not name them.
pub(super) fn parser_of(
    format: &FileFormat,
    schema: &Schema,
    names: &[String],
) -> Result<RecordParser, String> {
    let schema = Arc::new(schema.clone());
    match format {
        FileFormat::Ndjson => Ok(NdjsonParser::new(schema).into()),
        FileFormat::Debezium(captured) => Ok(DebeziumParser::new(&schema, captured.clone()).into()),
        FileFormat::Csv { dialect, .. } => {
            CsvParser::new(schema, dialect.clone(), names).map(RecordParser::from)
        }
        FileFormat::Binary(fields) => {
            BinaryParser::new(&schema, Arc::clone(fields)).map(RecordParser::from)
        }
    }
}

/// Whether a newline may stand inside of a record.
pub(super) fn has_quotes(format: &FileFormat) -> bool {
    match format {
        FileFormat::Ndjson | FileFormat::Debezium(_) | FileFormat::Binary(_) => false,
        FileFormat::Csv { dialect, .. } => dialect.quote.is_some(),
    }
}

/// Whether records of both files have the same fields in the same order.
pub(super) fn are_alike(a: &OpenFile, b: &OpenFile) -> bool {
    a.names == b.names
}

#[cfg(test)]
impl OpenFile {
    /// A file of some size and without bytes.
    pub(super) fn of_size(body: u64, size: u64) -> Self {
        Self {
            file: Arc::new(File::open("/dev/null").unwrap()),
            path: PathBuf::new(),
            size,
            body,
            base: 0,
            columnar: None,
            names: Vec::new(),
        }
    }

    /// A file of which only `text` is left.
    pub(super) fn cut_off(text: &str, size: u64) -> Self {
        use std::io::Write;
        use std::sync::atomic::AtomicUsize;
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("trefoil-cut-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file = File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        Self {
            file: Arc::new(file),
            ..Self::of_size(0, size)
        }
    }
}
