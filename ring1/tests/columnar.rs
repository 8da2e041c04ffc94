//! Files that hold columns, read by any number of shards: rows, order and offsets are those of one
//! reader, and so is what is bad, and which of it is first.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, Float32Array, Int32Array, RecordBatch, StringArray, StringViewArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field as ArrowField, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use trefoil_ring0::error::Error;
use trefoil_ring0::format::columnar::{ColumnarFormat, Taken};
use trefoil_ring0::format::text::write_json_row;
use trefoil_ring0::id::OutputId;
use trefoil_ring0::metrics::SourceCounters;
use trefoil_ring0::program::{
    BadData, EventTime, ExchangeSpec, Order, OutputSpec, Program, SourceKind, SourceSpec,
    SystemColumn, dead_letter_schema,
};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::{Field, Schema};
use trefoil_ring1::format::{ArrowIpc, Parquet};

/// Rows from row `first` on; some are NULL, and some of `id` where `holes` says so.
fn rows(first: usize, count: usize, holes: &[usize]) -> RecordBatch {
    let each = || first..first + count;
    let id: Int32Array = each()
        .map(|i| (!holes.contains(&i)).then_some(i as i32))
        .collect();
    let mut kinds = StringDictionaryBuilder::<Int32Type>::new();
    each().for_each(|i| match i % 5 {
        0 => kinds.append_null(),
        k => kinds.append_value(["a", "bee", "cä", ""][k - 1]),
    });
    let name: StringViewArray = each()
        .map(|i| (i % 7 != 3).then(|| format!("{i}{}", "-".repeat(i % 40))))
        .collect();
    let time: TimestampMicrosecondArray =
        each().map(|i| Some(1_000_000 + i as i64 * 500)).collect();
    let value: Float32Array = each()
        .map(|i| (i % 3 > 0).then_some(i as f32 / 4.0))
        .collect();
    let mut tags = ListBuilder::new(Int32Builder::new());
    for i in each() {
        (0..i % 4).for_each(|e| tags.values().append_value(e as i32));
        tags.append(i % 11 != 0);
    }
    let inner: StringArray = each().map(|i| (i % 2 > 0).then_some("x")).collect();
    let detail = StructArray::from(vec![(
        Arc::new(ArrowField::new("venue", DataType::Utf8, true)),
        Arc::new(inner) as ArrayRef,
    )]);
    let columns: [(&str, ArrayRef); 7] = [
        ("id", Arc::new(id)),
        ("kind", Arc::new(kinds.finish())),
        ("name", Arc::new(name)),
        ("time", Arc::new(time.with_timezone("UTC"))),
        ("value", Arc::new(value)),
        ("tags", Arc::new(tags.finish())),
        ("detail", Arc::new(detail)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true))).unwrap()
}

fn wanted() -> Vec<Field> {
    let item = |t| DataType::List(Arc::new(ArrowField::new("item", t, true)));
    let venue = ArrowField::new("venue", DataType::Utf8, true);
    vec![
        Field::new("name", DataType::Utf8),
        Field::new("tags", item(DataType::Int64)),
        Field {
            nullable: false,
            ..Field::new("id", DataType::Int64)
        },
        Field::new("time", DataType::Timestamp(TimeUnit::Millisecond, None)),
        Field::new("detail", DataType::Struct(vec![venue].into())),
        Field::new("value", DataType::Float64),
        Field::new("kind", DataType::Utf8),
    ]
}

/// What a row of [`rows`] is as JSON, at an offset.
fn json(i: usize, offset: usize) -> String {
    let name = match i % 7 {
        3 => "null".to_owned(),
        _ => format!("\"{i}{}\"", "-".repeat(i % 40)),
    };
    let tags: Vec<String> = (0..i % 4).map(|e| e.to_string()).collect();
    let tags = match i % 11 {
        0 => "null".to_owned(),
        _ => format!("[{}]", tags.join(",")),
    };
    let (micros, value) = (1_000_000 + i * 500, i as f64 / 4.0);
    let (seconds, millis) = (micros / 1_000_000, micros / 1000 % 1000);
    let time = format!("1970-01-01T00:{:02}:{:02}", seconds / 60, seconds % 60);
    let time = match millis {
        0 => time,
        _ => format!("{time}.{millis:03}"),
    };
    let venue = ["null", "\"x\""][i % 2];
    let value = match i % 3 {
        0 => "null".to_owned(),
        _ => format!("{value:?}"),
    };
    let kind = match i % 5 {
        0 => "null".to_owned(),
        k => format!("\"{}\"", ["a", "bee", "cä", ""][k - 1]),
    };
    format!(
        "{{\"name\":{name},\"tags\":{tags},\"id\":{i},\"time\":\"{time}\",\
         \"detail\":{{\"venue\":{venue}}},\"value\":{value},\"kind\":{kind},\"_OFFSET\":{offset}}}"
    )
}

/// A folder of its own for a test's files.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Writes batches as Parquet, in row groups and pages of some size.
fn write_parquet(path: &Path, batches: &[RecordBatch], group_rows: usize) {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(1000)
        .set_write_batch_size(500)
        .set_offset_index_disabled(group_rows.is_multiple_of(2))
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .set_compression(match group_rows % 3 {
            0 => Compression::SNAPPY,
            1 => Compression::ZSTD(parquet::basic::ZstdLevel::default()),
            _ => Compression::UNCOMPRESSED,
        });
    let file = File::create(path).unwrap();
    let properties = Some(properties.build());
    let mut writer = ArrowWriter::try_new(file, batches[0].schema(), properties).unwrap();
    batches
        .iter()
        .for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
}

fn source(paths: Vec<PathBuf>, format: Arc<dyn ColumnarFormat>) -> SourceSpec {
    let mut fields = wanted();
    fields.push(Field {
        nullable: false,
        ..Field::new("_OFFSET", DataType::Int64)
    });
    let kind = SourceKind::Columnar { paths, format };
    let mut spec = SourceSpec::new("s", Arc::new(Schema::new(fields)), kind);
    spec.system = vec![SystemColumn::Offset];
    spec
}

/// What came out: rows as JSON, letters, what the source counted.
type Ran = (Vec<String>, Vec<String>, SourceCounters);

fn run(spec: SourceSpec, config: &Config) -> Result<Ran, Error> {
    run_taken(spec, config, Taken::InOrder)
}

/// As [`run`], also where rows go to the owners of their ids in whatever order.
fn run_taken(spec: SourceSpec, config: &Config, taken: Taken) -> Result<Ran, Error> {
    let ordered = |schema: Arc<Schema>| OutputSpec {
        order: Order::Chunks { bound: None },
        schema,
    };
    let schema = Arc::clone(&spec.schema);
    let output = OutputSpec {
        order: Order::Free,
        schema: Arc::clone(&schema),
    };
    let exchange = ExchangeSpec::hash(Arc::clone(&schema), vec![2]);
    let mut program = match taken {
        Taken::InOrder => Program::chain(spec, Vec::new(), ordered(Arc::clone(&schema))),
        Taken::InAnyOrder => Program::exchanged(spec, Vec::new(), exchange, Vec::new(), output),
    };
    assert_eq!(program.taken(), [taken]);
    let letters = Arc::new(dead_letter_schema());
    if program.sources[0].bad_data == BadData::DeadLetters(OutputId(1)) {
        program.outputs.push(ordered(Arc::clone(&letters)));
    }
    let mut running = start(&program, config)?;
    let (mut rows, mut told) = (Vec::new(), Vec::new());
    while let Some(block) = running.next_block()? {
        let (schema, to) = match block.output().index() {
            0 => (&schema, &mut rows),
            _ => (&letters, &mut told),
        };
        for row in 0..block.rows().rows() {
            let mut text = Vec::new();
            write_json_row(schema, block.rows(), row, &mut text);
            to.push(String::from_utf8(text).unwrap().trim_end().to_owned());
        }
        running.give_back(block);
    }
    let mut counters = SourceCounters::default();
    let reports = running.finish()?;
    reports.iter().for_each(|r| counters.add(&r.sources[0]));
    assert_eq!(counters.rows_read, counters.rows_passed + counters.rows_bad);
    Ok((rows, told, counters))
}

/// Numbers of shards, executors, and sizes of frames.
fn configs() -> Vec<Config> {
    let mut configs = Vec::new();
    for shards in [1, 2, 3, 8] {
        for (executor, frame_rows) in [(Executor::Auto, 1024), (Executor::Threads, 70)] {
            configs.push(Config {
                shards,
                executor,
                frame_rows,
                ..Config::default()
            });
        }
    }
    configs
}

/// Rows of files in which chunks are whole row groups, runs of pages, or neither, are all there
/// once where nobody asks for their order.
#[test]
fn parquet_is_read_once_in_any_order() {
    let folder = folder("any_order");
    let mut want: Vec<String> = (0..43_000).map(|i| json(i, i)).collect();
    want.sort_unstable();
    for (name, group_rows) in [
        ("groups", 9_000),
        ("pages", 20_001),
        ("one", 1_000_000),
        ("odd", 999_999),
    ] {
        let paths = [0, 1].map(|part| folder.join(format!("{name}-{part}.parquet")));
        write_parquet(&paths[0], &[rows(0, 40_000, &[])], group_rows);
        write_parquet(&paths[1], &[rows(40_000, 3_000, &[])], group_rows);
        for config in configs() {
            let spec = source(paths.to_vec(), Arc::new(Parquet));
            let (mut rows, _, _) = run_taken(spec, &config, Taken::InAnyOrder).unwrap();
            rows.sort_unstable();
            let differs = rows.iter().zip(&want).find(|(a, b)| a != b);
            assert_eq!(differs, None, "{name}, {} shards", config.shards);
            assert_eq!(rows.len(), want.len(), "{name}, {} shards", config.shards);
        }
    }
}

/// One source over files of these rows gives them all, whoever reads.
fn assert_reads(paths: &[PathBuf], format: &Arc<dyn ColumnarFormat>, count: usize) {
    let want: Vec<String> = (0..count).map(|i| json(i, i)).collect();
    for config in configs() {
        let spec = source(paths.to_vec(), Arc::clone(format));
        let (rows, _, counters) = run(spec, &config).unwrap();
        assert_eq!(counters.rows_passed, count as u64);
        let differs = rows.iter().zip(&want).find(|(a, b)| a != b);
        assert_eq!(differs, None, "{} shards", config.shards);
        assert_eq!(rows.len(), count, "{} shards", config.shards);
    }
}

#[test]
fn parquet_is_read_as_by_one_reader() {
    let folder = folder("parquet");
    let format: Arc<dyn ColumnarFormat> = Arc::new(Parquet);
    for (name, group_rows) in [
        ("small", 900),
        ("odd", 20_001),
        ("large", 1_000_000),
        ("one", 999_999),
    ] {
        // Two files, so that chunks go over from one to the other.
        let paths = [0, 1].map(|part| folder.join(format!("{name}-{part}.parquet")));
        write_parquet(&paths[0], &[rows(0, 40_000, &[])], group_rows);
        write_parquet(&paths[1], &[rows(40_000, 3_000, &[])], group_rows);
        assert_reads(&paths, &format, 43_000);
    }
}

#[test]
fn arrow_files_and_streams_are_read_as_by_one_reader() {
    let folder = folder("ipc");
    let format: Arc<dyn ColumnarFormat> = Arc::new(ArrowIpc);
    // Streams may replace their dictionaries, files may not: these have one for all batches.
    let all = rows(0, 12_000, &[]);
    let sizes = [0, 1, 900, 5_000, 0, 99, 6_000];
    let mut at = 0;
    let batches = sizes.map(|count| {
        at += count;
        all.slice(at - count, count)
    });
    for compression in [
        None,
        Some(CompressionType::LZ4_FRAME),
        Some(CompressionType::ZSTD),
    ] {
        let options = || {
            let options = IpcWriteOptions::default();
            options.try_with_compression(compression).unwrap()
        };
        let path = folder.join("f.arrow");
        let file = File::create(&path).unwrap();
        let mut writer = FileWriter::try_new_with_options(file, &all.schema(), options()).unwrap();
        batches
            .iter()
            .for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        assert_reads(&[path], &format, at);
        let path = folder.join("s.arrows");
        let file = File::create(&path).unwrap();
        let mut writer =
            StreamWriter::try_new_with_options(file, &all.schema(), options()).unwrap();
        batches
            .iter()
            .for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        assert_reads(&[path], &format, at);
    }
}

#[test]
fn the_first_bad_row_ends_the_run_and_others_are_told() {
    let path = folder("bad").join("bad.parquet");
    let holes = [17_000, 17_001, 35_000, 35_500];
    write_parquet(&path, &[rows(0, 40_000, &holes)], 10_000);
    let format: Arc<dyn ColumnarFormat> = Arc::new(Parquet);
    for config in configs() {
        let spec = |bad_data| SourceSpec {
            bad_data,
            ..source(vec![path.clone()], Arc::clone(&format))
        };
        let error = run(spec(BadData::Fail), &config).unwrap_err();
        let text = "row 17001: column id: null where null cannot be";
        assert!(error.to_string().ends_with(text), "{error}");
        let (kept, _, counters) = run(spec(BadData::Skip), &config).unwrap();
        assert_eq!((kept.len(), counters.rows_bad), (39_996, 4));
        let (rows, told, _) = run(spec(BadData::DeadLetters(OutputId(1))), &config).unwrap();
        assert_eq!(rows, kept);
        assert_eq!(told.len(), 4);
        assert!(told[2].contains("\"offset\":35000"), "{}", told[2]);
    }
}

#[test]
fn a_row_without_event_time_is_bad() {
    let path = folder("timeless").join("t.parquet");
    let time = TimestampMicrosecondArray::from(vec![Some(5_000), None, Some(3_000)]);
    let columns = [("time", Arc::new(time) as ArrayRef, true)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    write_parquet(&path, &[batch], 100);
    let time_type = DataType::Timestamp(TimeUnit::Millisecond, None);
    let bound = Field {
        nullable: false,
        ..Field::new("_BOUND", DataType::Int64)
    };
    let schema = Schema::new(vec![Field::new("time", time_type), bound]);
    let kind = SourceKind::Columnar {
        paths: vec![path],
        format: Arc::new(Parquet),
    };
    let spec = SourceSpec {
        event_time: Some(EventTime {
            column: 0,
            lag_ns: Some(1_000_000),
            bound: Some(1),
        }),
        bad_data: BadData::Skip,
        ..SourceSpec::new("s", Arc::new(schema), kind)
    };
    let (rows, _, counters) = run(spec, &Config::default()).unwrap();
    assert_eq!(counters.rows_bad, 1);
    assert_eq!(rows.len(), 2);
    assert!(rows[1].contains("\"_BOUND\":4000000"), "{}", rows[1]);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_runs() {
    let folder = folder("refused");
    let good = folder.join("good.parquet");
    write_parquet(&good, &[rows(0, 10, &[])], 100);
    let cut = folder.join("cut.parquet");
    let bytes = std::fs::read(&good).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 3]).unwrap();
    let empty = folder.join("empty");
    std::fs::write(&empty, "").unwrap();
    let text = folder.join("text");
    std::fs::write(&text, "{\"id\": 1}\n{\"id\": 2}\n").unwrap();
    let opened = |format: &dyn ColumnarFormat, path: &Path, name: &str, data_type| {
        let schema = Schema::new(vec![Field::new(name, data_type)]);
        let file = Arc::new(File::open(path).unwrap());
        format.open(&file, &schema, Taken::InOrder).map(|_| ())
    };
    let parquet = |path: &Path, name: &str, t| opened(&Parquet, path, name, t).unwrap_err();
    let ipc = |path: &Path| opened(&ArrowIpc, path, "id", DataType::Int64).unwrap_err();
    assert_eq!(
        parquet(&good, "id", DataType::Int16),
        "column id is INTEGER, and declared as SMALLINT"
    );
    assert_eq!(
        parquet(&good, "nome", DataType::Utf8),
        "it has no column nome, but: id, kind, name, time, value, tags, detail"
    );
    for path in [&cut, &empty, &text] {
        assert!(!parquet(path, "id", DataType::Int64).is_empty());
    }
    for path in [&good, &empty, &text] {
        let message = ipc(path);
        assert!(message.contains("does not begin as an Arrow"), "{message}");
    }
    let part = folder.join("part.arrow");
    let mut writer = FileWriter::try_new(File::create(&part).unwrap(), &rows(0, 1, &[]).schema());
    let writer = writer.as_mut().unwrap();
    writer.write(&rows(0, 100, &[])).unwrap();
    writer.finish().unwrap();
    let bytes = std::fs::read(&part).unwrap();
    for end in (0..bytes.len()).step_by(7) {
        std::fs::write(&part, &bytes[..end]).unwrap();
        let message = ipc(&part);
        let says = message.contains("cut off") || message.contains("does not begin as an Arrow");
        assert!(says, "{end} of {} bytes: {message}", bytes.len());
    }
}

/// A file whose bytes were changed gives an error, or rows: whatever it holds, nothing panics.
#[test]
fn damaged_files_are_told() {
    let folder = folder("damaged");
    let good = folder.join("good.parquet");
    write_parquet(&good, &[rows(0, 3_000, &[])], 1_000);
    let bytes = std::fs::read(&good).unwrap();
    let mut state = 7_u64;
    for _ in 0..60 {
        let mut damaged = bytes.clone();
        for _ in 0..4 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let at = (state >> 33) as usize % (bytes.len() - 8);
            damaged[at] ^= 1 << (state >> 20 & 7);
        }
        let path = folder.join("damaged.parquet");
        std::fs::write(&path, damaged).unwrap();
        let spec = source(vec![path], Arc::new(Parquet));
        match run(spec, &Config::default()) {
            Ok(_) | Err(Error::Open { .. } | Error::Read { .. } | Error::BadRow { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// A dictionary that says to have more values than its page holds is told before room is made.
#[test]
fn a_dictionary_of_too_many_values_is_damaged() {
    let path = folder("dictionary").join("d.parquet");
    // Neither compressed nor indexed.
    write_parquet(&path, &[rows(0, 300, &[])], 500);
    let mut bytes = std::fs::read(&path).unwrap();
    let metadata = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let column = metadata.metadata().row_group(0).column(0);
    let page = column.dictionary_page_offset().unwrap() as usize;
    // Its header's member 7 is a struct, whose first one is the number of values: 300, doubled.
    let at = (page..page + 40).find(|at| bytes[*at..].starts_with(&[0x4c, 0x15, 0xd8, 0x04]));
    bytes[at.unwrap() + 2..][..2].copy_from_slice(&[0xfe, 0x7f]);
    std::fs::write(&path, bytes).unwrap();
    let error = run(source(vec![path], Arc::new(Parquet)), &Config::default()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("a dictionary of 8191 values in 1200 bytes"),
        "{error}"
    );
}
