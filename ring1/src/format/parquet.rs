//! Parquet. A chunk is a run of rows of one row group, not the whole group: who takes chunks in
//! order would wait for one shard else. A shard reads the wanted columns of a row group, or, where
//! the file has an index, those pages of them that its chunks need, and skips over the pages of the
//! others' chunks without decompressing them.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema};
use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelectionPolicy, RowSelector,
};
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use trefoil_ring0::format::columnar::{ColumnarFile, ColumnarFormat, Decoded, Decoder};
use trefoil_ring0::schema::Schema;

use super::conversion::Columns;
use super::guarded;

/// Most rows of a chunk.
const CHUNK_ROWS: u64 = 16_384;
/// Rows decoded at once.
const BATCH_ROWS: usize = 4_096;
/// Ranges at most so far apart are read at once, as long as they are no more bytes together.
const GAP_BYTES: u64 = 64 * 1024;
const READ_BYTES: u64 = 8 * 1024 * 1024;

// What is decoded at once ends where a chunk does.
const _: () = assert!(CHUNK_ROWS.is_multiple_of(BATCH_ROWS as u64));

/// Files in Parquet.
#[derive(Debug, Clone, Copy)]
pub struct Parquet;

#[derive(Debug)]
struct ParquetFile {
    metadata: ArrowReaderMetadata,
    columns: Columns,
    /// Rows before each chunk, and in all.
    chunks: Vec<u64>,
    /// The first chunk of each row group that has rows, with the group's number.
    groups: Vec<(usize, usize)>,
}

impl ColumnarFormat for Parquet {
    fn open(&self, file: &Arc<File>, schema: &Schema) -> Result<Arc<dyn ColumnarFile>, String> {
        guarded(|| open(file, schema))
    }
}

fn open(file: &Arc<File>, schema: &Schema) -> Result<Arc<dyn ColumnarFile>, String> {
    let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
    let metadata = ArrowReaderMetadata::load(&**file, options).map_err(message)?;
    let columns = Columns::new(schema, metadata.schema())?;
    let metadata = plain(metadata, &columns.read);
    let columns = Columns::new(schema, metadata.schema())?;
    let (mut chunks, mut groups, mut rows) = (vec![0], Vec::new(), 0);
    for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
        let count = u64::try_from(group.num_rows()).map_err(|error| error.to_string())?;
        if count > 0 {
            groups.push((chunks.len() - 1, number));
        }
        let inner = (1..count.div_ceil(CHUNK_ROWS)).map(|chunk| rows + chunk * CHUNK_ROWS);
        chunks.extend(inner);
        rows += count;
        if count > 0 {
            chunks.push(rows);
        }
    }
    Ok(Arc::new(ParquetFile {
        metadata,
        columns,
        chunks,
        groups,
    }))
}

/// The file's metadata with those columns that are read as texts and bytes in the form that frames
/// have, whatever the writer had in memory: so nothing is converted afterwards.
fn plain(metadata: ArrowReaderMetadata, read: &[usize]) -> ArrowReaderMetadata {
    let form = |data_type: &DataType| match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => Some(DataType::Utf8),
        DataType::LargeBinary | DataType::BinaryView => Some(DataType::Binary),
        DataType::Dictionary(_, values) if **values == DataType::Utf8 => Some(DataType::Utf8),
        _ => None,
    };
    let fields = metadata.schema().fields().iter().enumerate();
    let fields: Vec<ArrowField> = fields
        .map(|(number, field)| {
            let field = field.as_ref().clone();
            match form(field.data_type()) {
                Some(plain) if read.contains(&number) => field.with_data_type(plain),
                Some(_) | None => field,
            }
        })
        .collect();
    let schema = ArrowSchema::new_with_metadata(fields, metadata.schema().metadata().clone());
    if schema == **metadata.schema() {
        return metadata;
    }
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).unwrap_or(metadata)
}

fn message(error: ParquetError) -> String {
    match error {
        ParquetError::General(text) | ParquetError::EOF(text) | ParquetError::NYI(text) => text,
        other => other.to_string(),
    }
}

impl ColumnarFile for ParquetFile {
    fn chunks(&self) -> &[u64] {
        &self.chunks
    }

    fn decoder(self: Arc<Self>, stride: usize) -> Box<dyn Decoder> {
        Box::new(ParquetDecoder {
            file: self,
            stride,
            group: None,
            left: 0,
            asked: Vec::new(),
        })
    }
}

/// A row group being decoded.
#[derive(Debug)]
struct Group {
    decoder: ParquetPushDecoder,
    /// The next of its chunks that is decoded, and the first one behind it.
    next: usize,
    end: usize,
}

#[derive(Debug)]
struct ParquetDecoder {
    file: Arc<ParquetFile>,
    stride: usize,
    group: Option<Group>,
    /// Rows of the chunk in hand that were not decoded.
    left: usize,
    /// What the bytes that were asked for are made of.
    asked: Vec<Range<u64>>,
}

impl ParquetDecoder {
    /// Begins a row group with one of its chunks.
    fn begin_group(&self, chunk: usize) -> Group {
        let file = &self.file;
        let behind = file.groups.partition_point(|(first, _)| *first <= chunk);
        let (first, number) = file.groups[behind - 1];
        let last = file.chunks.len() - 1;
        let end = file.groups.get(behind).map_or(last, |(first, _)| *first);
        let mut selectors = Vec::new();
        let mut at = file.chunks[first];
        for chunk in (chunk..end).step_by(self.stride) {
            let rows = file.chunks[chunk]..file.chunks[chunk + 1];
            selectors.push(RowSelector::skip((rows.start - at) as usize));
            selectors.push(RowSelector::select((rows.end - rows.start) as usize));
            at = rows.end;
        }
        let metadata = file.metadata.clone();
        let schema = metadata.parquet_schema();
        let mask = ProjectionMask::roots(schema, file.columns.read.iter().copied());
        let decoder = ParquetPushDecoderBuilder::new_with_metadata(metadata)
            .with_projection(mask)
            .with_row_groups(vec![number])
            .with_row_selection(RowSelection::from(selectors))
            .with_row_selection_policy(RowSelectionPolicy::Selectors)
            .with_batch_size(BATCH_ROWS)
            .build();
        Group {
            decoder: decoder.expect("row groups and columns are the file's"),
            next: chunk,
            end,
        }
    }
}

impl Decoder for ParquetDecoder {
    fn begin(&mut self, chunk: usize) {
        let is_next = |group: &Group| group.next == chunk && chunk < group.end;
        if !self.group.as_ref().is_some_and(is_next) {
            self.group = Some(self.begin_group(chunk));
        }
        if let Some(group) = &mut self.group {
            group.next += self.stride;
        }
        self.left = (self.file.chunks[chunk + 1] - self.file.chunks[chunk]) as usize;
    }

    fn decode(&mut self) -> Result<Decoded, String> {
        guarded(|| self.step())
    }

    fn give(&mut self, range: Range<u64>, bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        let group = self.group.as_mut().expect("a chunk was begun");
        for asked in self.asked.drain(..) {
            let place = (asked.start - range.start) as usize..(asked.end - range.start) as usize;
            let pushed = group.decoder.push_range(asked, bytes.slice(place));
            pushed.expect("a range is as long as its bytes");
        }
    }
}

impl ParquetDecoder {
    fn step(&mut self) -> Result<Decoded, String> {
        let group = self.group.as_mut().expect("a chunk was begun");
        if self.left == 0 {
            return Ok(Decoded::ChunkEnd);
        }
        match group.decoder.try_decode().map_err(message)? {
            DecodeResult::NeedsData(ranges) => {
                let (range, asked) = together(ranges);
                self.asked = asked;
                Ok(Decoded::Needs(range))
            }
            DecodeResult::Data(batch) => {
                let rows = self.file.columns.convert(&batch)?;
                let left = self.left.checked_sub(rows.count);
                self.left = left.ok_or("a row group holds more rows than it says")?;
                Ok(Decoded::Rows(rows))
            }
            DecodeResult::Finished => Ok(Decoded::ChunkEnd),
        }
    }
}

/// The first of these ranges with those that lie near, to be read at once; and which these are.
fn together(mut ranges: Vec<Range<u64>>) -> (Range<u64>, Vec<Range<u64>>) {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut whole = ranges[0].clone();
    let near = ranges.iter().take_while(|range| {
        let end = range.end.max(whole.end);
        let is_first = range.start == whole.start && range.end == whole.end;
        let fits = end - whole.start <= READ_BYTES && range.start <= whole.end + GAP_BYTES;
        if fits {
            whole.end = end;
        }
        is_first || fits
    });
    let count = near.count();
    ranges.truncate(count);
    (whole, ranges)
}
