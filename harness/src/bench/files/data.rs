//! The records, made anew by each run and gone behind it, and what the query has to give.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, TimestampMillisecondArray};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use trefoil_ring0::format::time::write_timestamp;

use crate::bench::data::{Random, scaled};
use crate::failure::Failure;

/// Devices, each as often as any other.
pub(super) const KEYS: u64 = 1000;
/// Values are quarters below this, so that sums are exact whatever their order.
const VALUE_MAX: u64 = 4000;
/// The time of the first record, in milliseconds since 1970.
const START_MS: i64 = 1_704_067_200_000;
/// Rows of a row group, as DuckDB and Polars write them.
const GROUP_ROWS: usize = 122_880;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Ndjson,
    /// NDJSON of which no two records look alike: members in any order, some missing, and escapes.
    Mixed,
    Csv,
    Parquet,
}

impl FileKind {
    pub(super) const ALL: [Self; 4] = [Self::Ndjson, Self::Mixed, Self::Csv, Self::Parquet];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Mixed => "mixed",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// The parser that does nothing else.
    pub(super) fn bare(self) -> &'static str {
        match self {
            Self::Ndjson | Self::Mixed => "serde_json",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    pub(super) fn sql(self) -> String {
        let format = match self {
            Self::Ndjson | Self::Mixed => "json",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        };
        format!(
            "CREATE SOURCE records (at TIMESTAMP(3), device VARCHAR, value DOUBLE, n BIGINT) \
             WITH (connector = 'file', path = 'records.{}', format = '{format}'); \
             SELECT device, COUNT(*) AS n, SUM(value) AS s FROM records GROUP BY device",
            self.name()
        )
    }
}

/// Files of the same records, in a folder that goes with this.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    pub(super) rows: usize,
    /// By device: how many, and their sum.
    groups: Vec<(i64, f64)>,
}

impl Drop for Files {
    fn drop(&mut self) {
        // What cannot be removed is in a folder for what is temporary.
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Files {
    pub(super) fn make(rows: usize) -> Result<Self, Failure> {
        let folder = format!("trefoil-bench-files-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder)?;
        let mut files = Self {
            folder,
            rows,
            groups: vec![(0, 0.0); KEYS as usize],
        };
        let records = files.records();
        files.write_texts(&records)?;
        files.write_mixed(&records)?;
        files.write_parquet(&records)?;
        Ok(files)
    }

    /// Device and value of each record; the same each time.
    fn records(&mut self) -> Vec<(u64, f64)> {
        let mut random = Random::default();
        let records = (0..self.rows).map(|_| {
            let bits = random.bits();
            let device = scaled(bits, KEYS);
            let value = (bits % VALUE_MAX) as f64 / 4.0;
            let group = &mut self.groups[device as usize];
            *group = (group.0 + 1, group.1 + value);
            (device, value)
        });
        records.collect()
    }

    fn write_texts(&self, records: &[(u64, f64)]) -> Result<(), Failure> {
        let writer = |kind| File::create(self.path(kind)).map(BufWriter::new);
        let (mut json, mut csv) = (writer(FileKind::Ndjson)?, writer(FileKind::Csv)?);
        csv.write_all(b"at,device,value,n\n")?;
        let mut at = Vec::new();
        for (n, (device, value)) in records.iter().enumerate() {
            at.clear();
            let ms = arrow_schema::TimeUnit::Millisecond;
            write_timestamp(START_MS + n as i64, ms, &mut at);
            let at = String::from_utf8_lossy(&at);
            writeln!(
                json,
                "{{\"at\":\"{at}\",\"device\":\"dev-{device:04}\",\"value\":{value:?},\"n\":{n}}}"
            )?;
            writeln!(csv, "{at},dev-{device:04},{value:?},{n}")?;
        }
        json.flush()?;
        csv.flush()?;
        Ok(())
    }

    /// The records as texts again, each in another order of its members. A quarter of them has no
    /// `n`, an eighth no `at`, and of a quarter the device's name has an escape.
    fn write_mixed(&self, records: &[(u64, f64)]) -> Result<(), Failure> {
        let mut json = BufWriter::new(File::create(self.path(FileKind::Mixed))?);
        let (mut random, mut at) = (Random::default(), Vec::new());
        for (n, (device, value)) in records.iter().enumerate() {
            let bits = random.bits();
            at.clear();
            let ms = arrow_schema::TimeUnit::Millisecond;
            write_timestamp(START_MS + n as i64, ms, &mut at);
            let escape = if bits & 0b11 == 0 { "\\u002d" } else { "-" };
            let mut members = vec![
                format!("\"device\":\"dev{escape}{device:04}\""),
                format!("\"value\":{value:?}"),
            ];
            if bits >> 2 & 0b11 != 0 {
                members.push(format!("\"n\":{n}"));
            }
            if bits >> 4 & 0b111 != 0 {
                members.push(format!("\"at\":\"{}\"", String::from_utf8_lossy(&at)));
            }
            let places = members.len();
            for place in 1..places {
                members.swap(place, (bits >> (8 * place)) as usize % (place + 1));
            }
            writeln!(json, "{{{}}}", members.join(","))?;
        }
        Ok(json.flush()?)
    }

    fn write_parquet(&self, records: &[(u64, f64)]) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Running(error.to_string());
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_compression(Compression::SNAPPY)
            .build();
        let mut writer: Option<ArrowWriter<File>> = None;
        for (number, part) in records.chunks(GROUP_ROWS).enumerate() {
            let first = (number * GROUP_ROWS) as i64;
            let numbers = || first..first + part.len() as i64;
            let times = numbers().map(|n| START_MS + n);
            let devices = part.iter().map(|(device, _)| format!("dev-{device:04}"));
            let columns: [(&str, ArrayRef); 4] = [
                (
                    "at",
                    Arc::new(TimestampMillisecondArray::from_iter_values(times)),
                ),
                ("device", Arc::new(StringArray::from_iter_values(devices))),
                (
                    "value",
                    Arc::new(Float64Array::from_iter_values(part.iter().map(|(_, v)| *v))),
                ),
                ("n", Arc::new(Int64Array::from_iter_values(numbers()))),
            ];
            debug_assert!(columns.iter().all(|(_, column)| column.len() == part.len()));
            let batch = RecordBatch::try_from_iter(columns).map_err(|e| failed(&e))?;
            let writer = match &mut writer {
                Some(writer) => writer,
                none => {
                    let file = File::create(self.path(FileKind::Parquet))?;
                    let made = ArrowWriter::try_new(file, batch.schema(), Some(properties.clone()));
                    none.insert(made.map_err(|e| failed(&e))?)
                }
            };
            writer.write(&batch).map_err(|e| failed(&e))?;
        }
        match writer {
            Some(writer) => writer.close().map(|_| ()).map_err(|e| failed(&e)),
            None => Err(Failure::Usage("--rows is at least 1 here".to_owned())),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self, kind: FileKind) -> PathBuf {
        self.folder.join(format!("records.{}", kind.name()))
    }

    /// What the query gives, by device.
    pub(super) fn groups(&self) -> Vec<(String, i64, f64)> {
        let groups = self.groups.iter().enumerate();
        let present = groups.filter(|(_, (count, _))| *count > 0);
        present
            .map(|(device, (count, sum))| (format!("dev-{device:04}"), *count, *sum))
            .collect()
    }

    /// The sum of all values.
    pub(super) fn sum(&self) -> f64 {
        self.groups.iter().map(|(_, sum)| sum).sum()
    }
}
