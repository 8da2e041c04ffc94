//! Arrow IPC, files and streams (Feather is the former). A chunk is a record batch. Where they are,
//! and how many rows each has, is read when the file is opened; a stream is walked for it from head
//! to head. Dictionaries are given to a shard before the first batch that comes behind them.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::{Block, MessageHeader, MetadataVersion, root_as_footer, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};
use trefoil_ring0::format::columnar::{
    ColumnarFile, ColumnarFormat, Decoded, Decoder, Rows, Taken,
};
use trefoil_ring0::schema::Schema;

use super::conversion::Columns;
use super::guarded;

/// What a file begins and ends with; a stream does not.
const MAGIC: &[u8] = b"ARROW1";
/// The footer's length and the magic.
const TRAILER_BYTES: u64 = 10;
/// Longest column of a batch, decompressed.
const BUFFER_BYTES_MAX: i64 = 1 << 30;
/// What stands before the length of a message's head.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Files in Arrow's IPC format.
#[derive(Debug, Clone, Copy)]
pub struct ArrowIpc;

#[derive(Debug)]
struct IpcFile {
    schema: SchemaRef,
    version: MetadataVersion,
    columns: Columns,
    /// Rows before each batch, and in all.
    chunks: Vec<u64>,
    batches: Vec<Block>,
    /// Each with the first batch that comes behind it.
    dictionaries: Vec<(usize, Block)>,
}

/// What is in a file, before its batches are counted.
struct Contents {
    schema: SchemaRef,
    version: MetadataVersion,
    batches: Vec<Block>,
    dictionaries: Vec<(usize, Block)>,
}

impl ColumnarFormat for ArrowIpc {
    fn open(
        &self,
        file: &Arc<File>,
        schema: &Schema,
        _: Taken,
    ) -> Result<Arc<dyn ColumnarFile>, String> {
        guarded(|| open(file, schema))
    }
}

fn open(file: &Arc<File>, schema: &Schema) -> Result<Arc<dyn ColumnarFile>, String> {
    let bytes = Contained {
        file,
        size: file.metadata().map_err(|error| error.to_string())?.len(),
    };
    let start = bytes.read(0..bytes.size.min(MAGIC.len() as u64))?;
    let contents = match start == MAGIC {
        true => of_file(&bytes)?,
        false => of_stream(&bytes)?,
    };
    let columns = Columns::new(schema, &contents.schema)?;
    let mut chunks = vec![0];
    let mut rows = 0_u64;
    for block in &contents.batches {
        let head = bytes.read(bytes.head(block)?)?;
        let message = root_as_message(body_of_head(&head)?).map_err(|e| e.to_string())?;
        let batch = message.header_as_record_batch();
        let count = batch.and_then(|batch| u64::try_from(batch.length()).ok());
        rows += count.ok_or("a record batch has no head")?;
        chunks.push(rows);
    }
    Ok(Arc::new(IpcFile {
        schema: contents.schema,
        version: contents.version,
        columns,
        chunks,
        batches: contents.batches,
        dictionaries: contents.dictionaries,
    }))
}

/// A file's bytes.
struct Contained<'a> {
    file: &'a File,
    size: u64,
}

impl Contained<'_> {
    fn read(&self, range: Range<u64>) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let read = self.file.read_exact_at(&mut bytes, range.start);
        read.map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// The head of a message, which lies in the file with all that belongs to it.
    fn head(&self, block: &Block) -> Result<Range<u64>, String> {
        let whole = extent(block).filter(|whole| whole.end <= self.size);
        let whole = whole.ok_or("it is cut off, or says wrong where its record batches are")?;
        Ok(whole.start..whole.start + block.metaDataLength() as u64)
    }
}

/// The bytes of a message.
fn extent(block: &Block) -> Option<Range<u64>> {
    let start = u64::try_from(block.offset()).ok()?;
    let head = u64::try_from(block.metaDataLength()).ok()?;
    let end = start.checked_add(head)?;
    Some(start..end.checked_add(u64::try_from(block.bodyLength()).ok()?)?)
}

/// What stands in a head behind its length.
fn body_of_head(head: &[u8]) -> Result<&[u8], String> {
    let skip = match head.starts_with(&CONTINUATION) {
        true => 8,
        false => 4,
    };
    head.get(skip..)
        .ok_or_else(|| "a message has no head".to_owned())
}

fn of_file(bytes: &Contained<'_>) -> Result<Contents, String> {
    let cut_off = || "it has no end: it is cut off".to_owned();
    let trailer = bytes.size.checked_sub(TRAILER_BYTES).ok_or_else(cut_off)?;
    let end = bytes.read(trailer..bytes.size)?;
    let end = <[u8; 10]>::try_from(end).map_err(|_| cut_off())?;
    let len = read_footer_length(end).map_err(|_| cut_off())? as u64;
    let start = trailer.checked_sub(len).ok_or_else(cut_off)?;
    let footer = bytes.read(start..trailer)?;
    let footer = root_as_footer(&footer).map_err(|error| error.to_string())?;
    let schema = footer.schema().ok_or("it has no schema")?;
    let blocks = footer.recordBatches().into_iter().flatten();
    let dictionaries = footer.dictionaries().into_iter().flatten();
    Ok(Contents {
        schema: Arc::new(fb_to_schema(schema)),
        version: footer.version(),
        batches: blocks.copied().collect(),
        dictionaries: dictionaries.map(|block| (0, *block)).collect(),
    })
}

fn of_stream(bytes: &Contained<'_>) -> Result<Contents, String> {
    let mut contents: Option<Contents> = None;
    let mut at = 0;
    while let Some(length) = head_length(bytes, at)? {
        let head = bytes.read(at..at + length)?;
        let message = root_as_message(body_of_head(&head)?).map_err(|e| e.to_string())?;
        let block = Block::new(at as i64, length as i32, message.bodyLength());
        at = extent(&block).map_or(u64::MAX, |extent| extent.end);
        match (message.header_type(), &mut contents) {
            (MessageHeader::Schema, None) => {
                let schema = message.header_as_schema().ok_or("it has no schema")?;
                contents = Some(Contents {
                    schema: Arc::new(fb_to_schema(schema)),
                    version: message.version(),
                    batches: Vec::new(),
                    dictionaries: Vec::new(),
                });
            }
            (MessageHeader::DictionaryBatch, Some(contents)) => {
                contents.dictionaries.push((contents.batches.len(), block));
            }
            (MessageHeader::RecordBatch, Some(contents)) => contents.batches.push(block),
            (_, Some(_)) => return Err("a message in it is neither rows nor dictionary".into()),
            (_, None) => return Err("it does not begin as an Arrow file or stream".into()),
        }
    }
    contents.ok_or_else(|| "it does not begin as an Arrow file or stream".to_owned())
}

/// How long the head of the message at `at` is, with the length that stands before it; `None` at
/// the end.
fn head_length(bytes: &Contained<'_>, at: u64) -> Result<Option<u64>, String> {
    let cut_off = || "it is cut off".to_owned();
    let rest = bytes.size.checked_sub(at).ok_or_else(cut_off)?;
    if rest == 0 {
        return Ok(None);
    }
    let start = bytes.read(at..at + rest.min(8))?;
    let (prefix, length) = match start.starts_with(&CONTINUATION) {
        true => (8, start.get(4..8)),
        false => (4, start.get(..4)),
    };
    let length = length.and_then(|bytes| bytes.try_into().ok());
    let length = i32::from_le_bytes(length.ok_or_else(cut_off)?);
    if length == 0 {
        return Ok(None);
    }
    let length = u64::try_from(length).map_err(|_| cut_off())? + prefix;
    match length <= rest && i32::try_from(length).is_ok() {
        true => Ok(Some(length)),
        // The first bytes of any other file are no sensible length.
        false if at == 0 => Err("it does not begin as an Arrow file or stream".to_owned()),
        false => Err(cut_off()),
    }
}

impl ColumnarFile for IpcFile {
    fn chunks(&self) -> &[u64] {
        &self.chunks
    }

    fn decoder(self: Arc<Self>, _stride: usize) -> Box<dyn Decoder> {
        let decoder = FileDecoder::new(Arc::clone(&self.schema), self.version);
        Box::new(IpcDecoder {
            decoder: decoder.with_projection(self.columns.read.clone()),
            file: self,
            dictionary: 0,
            batch: 0,
            state: State::Done,
        })
    }
}

#[derive(Debug)]
struct IpcDecoder {
    file: Arc<IpcFile>,
    decoder: FileDecoder,
    /// The next dictionary.
    dictionary: usize,
    batch: usize,
    state: State,
}

/// How far the batch is.
#[derive(Debug)]
enum State {
    Begun,
    Read(Buffer),
    Done,
}

impl IpcDecoder {
    /// The next dictionary that the batch may use.
    fn wanted_dictionary(&self) -> Option<Block> {
        let (before, block) = self.file.dictionaries.get(self.dictionary)?;
        (*before <= self.batch).then_some(*block)
    }

    fn rows(&self, bytes: &Buffer) -> Result<Rows, String> {
        let block = &self.file.batches[self.batch];
        check_lengths(block, bytes)?;
        let batch = self
            .decoder
            .read_record_batch(block, bytes)
            .map_err(message)?;
        let batch = batch.ok_or("a record batch has no head")?;
        self.file.columns.convert(&batch)
    }
}

/// Refuses what says that it is longer, once decompressed, than anything that fits: the crate takes
/// as much memory as the bytes say.
fn check_lengths(block: &Block, bytes: &[u8]) -> Result<(), String> {
    let (head, body) = bytes
        .split_at_checked(block.metaDataLength() as usize)
        .ok_or("a message has no head")?;
    let message = root_as_message(body_of_head(head)?).map_err(|e| e.to_string())?;
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        _ => message.header_as_dictionary_batch().and_then(|d| d.data()),
    };
    let Some(batch) = batch.filter(|batch| batch.compression().is_some()) else {
        return Ok(());
    };
    for buffer in batch.buffers().into_iter().flatten() {
        let from = usize::try_from(buffer.offset()).ok();
        let said = from.and_then(|from| body.get(from..from.checked_add(8)?));
        let said = said
            .and_then(|said| said.try_into().ok())
            .map(i64::from_le_bytes);
        // Nothing is said of what is empty, and -1 of what is not compressed.
        if buffer.length() > 0 && !said.is_some_and(|said| (-1..=BUFFER_BYTES_MAX).contains(&said))
        {
            return Err("it says wrong how long a column is".to_owned());
        }
    }
    Ok(())
}

fn message(error: ArrowError) -> String {
    error.to_string()
}

impl Decoder for IpcDecoder {
    fn begin(&mut self, chunk: usize) {
        self.batch = chunk;
        self.state = State::Begun;
    }

    fn decode(&mut self) -> Result<Decoded, String> {
        guarded(|| self.step())
    }

    fn give(&mut self, _range: Range<u64>, bytes: Vec<u8>) {
        self.state = State::Read(Buffer::from_vec(bytes));
    }
}

impl IpcDecoder {
    fn step(&mut self) -> Result<Decoded, String> {
        let next = self.wanted_dictionary();
        match std::mem::replace(&mut self.state, State::Done) {
            State::Done => Ok(Decoded::ChunkEnd),
            State::Begun => {
                self.state = State::Begun;
                let block = next.unwrap_or(self.file.batches[self.batch]);
                let needed = extent(&block).ok_or("a dictionary lies outside of the file")?;
                Ok(Decoded::Needs(needed))
            }
            State::Read(bytes) => match next {
                Some(block) => {
                    check_lengths(&block, &bytes)?;
                    self.decoder
                        .read_dictionary(&block, &bytes)
                        .map_err(message)?;
                    self.dictionary += 1;
                    self.state = State::Begun;
                    self.step()
                }
                None => self.rows(&bytes).map(Decoded::Rows),
            },
        }
    }
}
