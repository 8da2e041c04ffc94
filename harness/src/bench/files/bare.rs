//! Parsers that do nothing else than to read the two columns, on one core.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use super::data::FileKind;

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    device: Cow<'a, str>,
    value: f64,
}

/// Reads a file; gives the sum of its values, so that none is left out.
pub(super) fn parse(kind: FileKind, path: &Path) -> Result<f64, String> {
    match kind {
        FileKind::Ndjson | FileKind::Mixed => ndjson(path).map_err(|error| error.to_string()),
        FileKind::Csv => csv(path).map_err(|error| error.to_string()),
        FileKind::Parquet => parquet(path),
    }
}

fn ndjson(path: &Path) -> std::io::Result<f64> {
    let mut text = Vec::new();
    File::open(path)?.read_to_end(&mut text)?;
    let (mut sum, mut bytes) = (0.0, 0);
    for line in text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let record: Record<'_> = serde_json::from_slice(line)?;
        sum += record.value;
        bytes += record.device.len();
    }
    std::hint::black_box(bytes);
    Ok(sum)
}

fn csv(path: &Path) -> std::io::Result<f64> {
    let mut reader = csv::Reader::from_path(path)?;
    let mut record = csv::ByteRecord::new();
    let (mut sum, mut bytes) = (0.0, 0);
    while reader.read_byte_record(&mut record)? {
        let text = std::str::from_utf8(&record[2]).map_err(std::io::Error::other)?;
        sum += text.parse::<f64>().map_err(std::io::Error::other)?;
        bytes += record[1].len();
    }
    std::hint::black_box(bytes);
    Ok(sum)
}

fn parquet(path: &Path) -> Result<f64, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| e.to_string())?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), ["device", "value"]);
    let reader = builder.with_projection(mask).with_batch_size(8192).build();
    let mut sum = 0.0;
    for batch in reader.map_err(|error| error.to_string())? {
        let batch = batch.map_err(|error| error.to_string())?;
        let values = batch.column(1).as_primitive::<Float64Type>();
        sum += values.values().iter().sum::<f64>();
        std::hint::black_box(batch.column(0));
    }
    Ok(sum)
}
