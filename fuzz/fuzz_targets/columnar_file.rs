//! Whatever bytes as a Parquet or an Arrow file: opening and decoding end, by an error or with as
//! many rows as the file says; and where columns have their declared types, rows are those that the
//! crate's own reader gives.

#![no_main]

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use trefoil_ring0::format::columnar::{ColumnarFile, ColumnarFormat, Decoded, Taken};
use trefoil_ring0::schema::{Field, Schema};
use trefoil_ring1::format::{ArrowIpc, Parquet};

/// A file that says it has more is left out: a few bytes stand for any number of equal values.
const ROWS_MAX: u64 = 100_000;
const BYTES_MAX: usize = 64 * 1024;

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("n", DataType::Int64),
        Field::new("s", DataType::Utf8),
        Field::new("x", DataType::Float64),
        Field::new("t", DataType::Timestamp(TimeUnit::Millisecond, None)),
        Field::new("tags", DataType::new_list(DataType::Utf8, true)),
    ])
}

/// All rows in order, by as many decoders as there are shards; `None` where the file is refused.
fn ours(
    format: &dyn ColumnarFormat,
    file: &Arc<File>,
    shards: usize,
    taken: Taken,
) -> Option<Vec<Vec<ArrayRef>>> {
    let opened: Arc<dyn ColumnarFile> = format.open(file, &schema(), taken).ok()?;
    let chunks = opened.chunks().to_vec();
    assert!(chunks.is_sorted(), "{chunks:?}");
    if *chunks.last()? > ROWS_MAX {
        return None;
    }
    let mut decoders: Vec<_> = (0..shards)
        .map(|_| Arc::clone(&opened).decoder(shards))
        .collect();
    let size = file.metadata().expect("it is there").len();
    let mut all = Vec::new();
    for chunk in 0..chunks.len() - 1 {
        let decoder = &mut decoders[chunk % shards];
        decoder.begin(chunk);
        let (mut rows, mut steps) = (0, 0);
        loop {
            steps += 1;
            assert!(steps < 100_000, "it ends");
            match decoder.decode().ok()? {
                Decoded::Needs(range) => {
                    // As the source does: bytes behind the end are an error of the file.
                    if range.end > size || range.start > range.end {
                        return None;
                    }
                    let mut bytes = vec![0; (range.end - range.start) as usize];
                    file.read_exact_at(&mut bytes, range.start)
                        .expect("within the file");
                    decoder.give(range, bytes);
                }
                Decoded::Rows(given) => {
                    rows += given.count as u64;
                    assert!(given.bad.iter().all(|(row, _)| *row < given.count));
                    assert!(
                        given
                            .columns
                            .iter()
                            .all(|column| column.len() == given.count)
                    );
                    all.push(given.columns);
                }
                Decoded::ChunkEnd => break,
            }
        }
        if rows != chunks[chunk + 1] - chunks[chunk] {
            return None;
        }
    }
    Some(all)
}

/// The crate's own way through a file.
fn theirs(is_parquet: bool, data: &[u8]) -> Option<Vec<RecordBatch>> {
    let bytes = Bytes::copy_from_slice(data);
    if is_parquet {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .ok()?
            .build()
            .ok()?;
        return reader.collect::<Result<_, _>>().ok();
    }
    let cursor = std::io::Cursor::new(bytes);
    let reader = arrow_ipc::reader::FileReader::try_new(cursor, None).ok()?;
    reader.collect::<Result<_, _>>().ok()
}

// A panic that is caught is no finding: the crates panic over some bytes, and to us these are a
// damaged file.
fuzz_target!(init: { std::panic::set_hook(Box::new(|_| {})); }, |data: &[u8]| {
    let [bits, bytes @ ..] = data else { return };
    if bytes.len() > BYTES_MAX {
        return;
    }
    let path = format!("/dev/shm/trefoil-fuzz-{}", std::process::id());
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .expect("there is memory");
    file.write_all(bytes).expect("there is memory");
    _ = std::fs::remove_file(&path);
    let file = Arc::new(file);
    let is_parquet = bits & 1 == 0;
    let format: &dyn ColumnarFormat = if is_parquet { &Parquet } else { &ArrowIpc };
    let shards = 1 + usize::from(bits >> 1 & 3);
    let taken = [Taken::InOrder, Taken::InAnyOrder][usize::from(bits >> 3 & 1)];
    let Some(ours) = ours(format, &file, shards, taken) else {
        return;
    };
    // The crate takes any memory that a dictionary nobody uses asks for.
    if ours.is_empty() {
        return;
    }
    // What the crate panics over is not compared; its panics within our way are found above.
    let theirs = std::panic::catch_unwind(|| theirs(is_parquet, bytes));
    let Ok(Some(theirs)) = theirs else { return };
    for (number, field) in schema().fields.iter().enumerate() {
        let of = |batch: &RecordBatch| batch.column_by_name(&field.name).cloned();
        let wanted: Option<Vec<ArrayRef>> = theirs.iter().map(of).collect();
        let Some(wanted) = wanted else { continue };
        if wanted.iter().any(|array| *array.data_type() != field.data_type) {
            continue;
        }
        let text = |arrays: &[ArrayRef]| {
            let of = |array: &ArrayRef| {
                let data = array.to_data();
                (0..data.len()).map(|row| format!("{:?}", array.slice(row, 1))).collect::<Vec<_>>()
            };
            arrays.iter().flat_map(of).collect::<Vec<_>>()
        };
        let got: Vec<ArrayRef> = ours.iter().map(|columns| Arc::clone(&columns[number])).collect();
        assert_eq!(text(&got), text(&wanted), "{}", field.name);
    }
});
