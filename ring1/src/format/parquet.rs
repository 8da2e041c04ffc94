//! Parquet. A chunk is a run of rows of one row group. Where the file has an index of its pages,
//! chunks begin where pages of the largest column do, and a shard reads the pages that its chunks
//! need: none is decompressed twice. Without an index pages are found by walking through them, so
//! that each shard would decompress all of them for its part of a group; there a chunk is a whole
//! row group, unless chunks are taken in order or there are few groups, so that one shard would
//! wait for another.

mod dictionary;

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
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
use trefoil_ring0::format::columnar::{ColumnarFile, ColumnarFormat, Decoded, Decoder, Taken};
use trefoil_ring0::schema::Schema;

use super::conversion::Columns;
use super::guarded;

/// Rows of a chunk, where nothing says that others are better.
const CHUNK_ROWS: u64 = 16_384;
/// Fewest rows of a chunk of whole pages, and the most of any that is no whole row group.
const PAGES_ROWS_MIN: u64 = CHUNK_ROWS / 2;
const PAGES_ROWS_MAX: u64 = 8 * CHUNK_ROWS;
/// Whole row groups are chunks where there are so many, of so many rows at most.
const GROUPS_MIN: usize = 4;
const GROUP_ROWS_MAX: u64 = 1 << 20;
/// Rows that a file is believed to have: its chunks are listed.
const ROWS_MAX: u64 = CHUNK_ROWS << 24;
/// Rows decoded at once.
const BATCH_ROWS: usize = 4_096;
/// Ranges at most so far apart are read at once, as long as they are no more bytes together.
const GAP_BYTES: u64 = 64 * 1024;
const READ_BYTES: u64 = 8 * 1024 * 1024;

/// Files in Parquet.
#[derive(Clone, Copy)]
pub struct Parquet;

/// What tells checkpoints whose positions count other chunks apart.
impl std::fmt::Debug for Parquet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parquet by pages")
    }
}

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
    fn open(
        &self,
        file: &Arc<File>,
        schema: &Schema,
        taken: Taken,
    ) -> Result<Arc<dyn ColumnarFile>, String> {
        guarded(|| open(file, schema, taken))
    }
}

fn open(file: &Arc<File>, schema: &Schema, taken: Taken) -> Result<Arc<dyn ColumnarFile>, String> {
    let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
    let metadata = ArrowReaderMetadata::load(&**file, options).map_err(message)?;
    let columns = Columns::new(schema, metadata.schema())?;
    let metadata = plain(metadata, &columns.read);
    let columns = Columns::new(schema, metadata.schema())?;
    let (mut chunks, mut groups, mut rows) = (vec![0], Vec::new(), 0);
    for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
        let count = u64::try_from(group.num_rows()).map_err(|error| error.to_string())?;
        if count > ROWS_MAX || rows > ROWS_MAX {
            return Err(format!("it says that it has {count} rows in a row group"));
        }
        if count > 0 {
            groups.push((chunks.len() - 1, number));
            let ends = ends(&metadata, &columns.read, number, count, taken);
            chunks.extend(ends.into_iter().map(|end| rows + end));
        }
        rows += count;
    }
    Ok(Arc::new(ParquetFile {
        metadata,
        columns,
        chunks,
        groups,
    }))
}

/// Where the chunks of a row group of so many rows end, counted from its first row.
fn ends(
    metadata: &ArrowReaderMetadata,
    read: &[usize],
    group: usize,
    rows: u64,
    taken: Taken,
) -> Vec<u64> {
    let ends = match starts_of_pages(metadata, read, group) {
        Some(starts) => whole_pages(&starts, rows),
        None => {
            let groups = metadata.metadata().row_groups().len();
            let whole = taken == Taken::InAnyOrder && groups >= GROUPS_MIN;
            let most = match whole && rows <= GROUP_ROWS_MAX {
                true => rows,
                false => CHUNK_ROWS,
            };
            let inner = (1..rows.div_ceil(most)).map(|chunk| chunk * most);
            inner.chain([rows]).collect()
        }
    };
    debug_assert!(ends.is_sorted_by(|a, b| a < b) && ends.last() == Some(&rows));
    ends
}

/// The first rows of the pages of the largest column of a row group that is read, where the file
/// has an index of them.
fn starts_of_pages(
    metadata: &ArrowReaderMetadata,
    read: &[usize],
    group: usize,
) -> Option<Vec<u64>> {
    let index = metadata.metadata().offset_index()?.get(group)?;
    let schema = metadata.parquet_schema();
    let columns = metadata.metadata().row_group(group).columns();
    let of_read = |leaf: &usize| read.contains(&schema.get_column_root_idx(*leaf));
    let leaves = (0..columns.len()).filter(of_read);
    let largest = leaves.max_by_key(|leaf| columns[*leaf].compressed_size())?;
    let pages = index.get(largest)?.page_locations();
    let starts = pages.iter().map(|page| u64::try_from(page.first_row_index));
    starts.collect::<Result<Vec<_>, _>>().ok()
}

/// Ends of chunks of whole pages that begin with these rows, of `rows` in all; what the index says
/// is taken where it can be, and pages that are very long are divided.
fn whole_pages(starts: &[u64], rows: u64) -> Vec<u64> {
    let (mut ends, mut at) = (Vec::new(), 0);
    for &start in starts.iter().filter(|start| **start < rows).chain([&rows]) {
        while start.saturating_sub(at) > PAGES_ROWS_MAX {
            at += PAGES_ROWS_MAX;
            ends.push(at);
        }
        if start >= at + PAGES_ROWS_MIN {
            at = start;
            ends.push(at);
        }
    }
    // A short rest goes with the chunk before.
    if at < rows {
        match ends.last_mut() {
            Some(last) => *last = rows,
            None => ends.push(rows),
        }
    }
    ends
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
            rest: None,
            asked: Vec::new(),
            damage: None,
        })
    }
}

/// A row group being decoded.
#[derive(Debug)]
struct Group {
    decoder: ParquetPushDecoder,
    /// Its number in the file.
    number: usize,
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
    /// Rows of this shard's next chunk in the group that were decoded along with its last ones.
    rest: Option<RecordBatch>,
    /// What the bytes that were asked for are made of.
    asked: Vec<Range<u64>>,
    /// What is wrong with bytes that were given, and is not looked at any more.
    damage: Option<String>,
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
            number,
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
            self.rest = None;
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
        let metadata = self.file.metadata.metadata();
        let columns = metadata.row_group(group.number).columns();
        for asked in self.asked.drain(..) {
            let place = (asked.start - range.start) as usize..(asked.end - range.start) as usize;
            let bytes = bytes.slice(place);
            let begun = columns.iter().find(|c| c.byte_range().0 == asked.start);
            if let Some(Err(error)) = begun.map(|column| dictionary::check(column, &bytes)) {
                self.damage.get_or_insert(error);
            }
            let pushed = group.decoder.push_range(asked, bytes);
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
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match group.decoder.try_decode().map_err(message)? {
                DecodeResult::NeedsData(ranges) => {
                    let (range, asked) = together(ranges);
                    self.asked = asked;
                    return Ok(Decoded::Needs(range));
                }
                DecodeResult::Data(batch) => batch,
                DecodeResult::Finished => return Ok(Decoded::ChunkEnd),
            },
        };
        let count = batch.num_rows().min(self.left);
        if count < batch.num_rows() {
            if group.next >= group.end {
                return Err("a row group holds more rows than it says".to_owned());
            }
            self.rest = Some(batch.slice(count, batch.num_rows() - count));
        }
        self.left -= count;
        let batch = match &self.rest {
            Some(_) => batch.slice(0, count),
            None => batch,
        };
        Ok(Decoded::Rows(self.file.columns.convert(&batch)?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_pages_of_some_length() {
        let pages = |rows: u64, count: u64| (0..count).map(|page| page * rows).collect::<Vec<_>>();
        assert_eq!(
            whole_pages(&pages(20_000, 3), 55_000),
            [20_000, 40_000, 55_000]
        );
        // Short ones go together, and a short rest with the chunk before.
        assert_eq!(
            whole_pages(&pages(1_000, 21), 21_000),
            [8_192_u64.div_ceil(1_000) * 1_000, 21_000]
        );
        assert_eq!(whole_pages(&pages(20_000, 3), 40_007), [20_000, 40_007]);
        assert_eq!(whole_pages(&pages(5, 1), 5), [5]);
        // Long ones are divided.
        assert_eq!(whole_pages(&[0], 300_000), [131_072, 262_144, 300_000]);
        assert_eq!(
            whole_pages(&[0, 140_000], 150_000),
            [131_072, 140_000, 150_000]
        );
        // An index may say anything.
        for starts in [&[][..], &[7, 3, 90_000, 1, 0], &[50, 50, 50], &[200_000]] {
            let ends = whole_pages(starts, 100_000);
            assert!(ends.is_sorted_by(|a, b| a < b), "{ends:?}");
            assert_eq!(ends.last(), Some(&100_000));
        }
    }
}
