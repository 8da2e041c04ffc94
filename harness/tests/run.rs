//! The binary over the acceptance pack: rows, refusals, exit codes.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// Those of the pack's queries that run.
const QUERIES: [&str; 6] = [
    "00_market_data_flags",
    "01_test_stream_projection",
    "03_orders_by_customer",
    "04_sensor_stats",
    "05_hashtag_stats",
    "09_trades_global",
];

/// What a column holds.
enum Kind {
    Text,
    Integer,
    Float,
    Time,
    Date,
    Texts,
}

/// The sources that these queries read.
const SOURCES: [(&str, &[(&str, Kind)]); 6] = [
    (
        "market_data",
        &[
            ("symbol", Kind::Text),
            ("exchange", Kind::Text),
            ("price", Kind::Float),
            ("volume", Kind::Integer),
            ("hourly_avg_volume", Kind::Float),
            ("daily_high", Kind::Float),
            ("event_time", Kind::Time),
        ],
    ),
    (
        "test_stream",
        &[
            ("id", Kind::Integer),
            ("name", Kind::Text),
            ("value", Kind::Float),
            ("event_time", Kind::Time),
        ],
    ),
    (
        "orders",
        &[
            ("order_id", Kind::Integer),
            ("customer_id", Kind::Text),
            ("product_id", Kind::Text),
            ("order_amount", Kind::Float),
            ("order_date", Kind::Date),
            ("event_time", Kind::Time),
        ],
    ),
    (
        "sensor_readings",
        &[
            ("reading_id", Kind::Integer),
            ("device_id", Kind::Text),
            ("sensor_type", Kind::Text),
            ("value", Kind::Float),
            ("event_time", Kind::Time),
        ],
    ),
    (
        "posts",
        &[
            ("post_id", Kind::Integer),
            ("hashtags", Kind::Texts),
            ("likes", Kind::Integer),
            ("retweets", Kind::Integer),
            ("replies", Kind::Integer),
            ("engagement_score", Kind::Float),
            ("event_time", Kind::Time),
        ],
    ),
    (
        "trades",
        &[
            ("trade_id", Kind::Integer),
            ("symbol", Kind::Text),
            ("price", Kind::Float),
            ("volume", Kind::Integer),
            ("event_time", Kind::Time),
        ],
    ),
];

fn pack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fr082")
}

fn run(query: &str, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trefoil"))
        .arg("run")
        .args([
            pack().join("schema.sql"),
            pack().join("queries").join(query),
        ])
        .args(["--format", "csv"])
        .args(options)
        .output()
        .unwrap()
}

/// Cells agree where they are the same text, or numbers within 1e-9.
fn same(a: &str, b: &str) -> bool {
    a == b
        || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y))
            if (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1.0))
}

/// The cells of all lines in order, without the header and the columns that depend on the run;
/// none of these files has a quoted comma.
fn lines(text: &str) -> Vec<Vec<String>> {
    let mut lines = text.lines().map(|line| line.split(','));
    let header: Vec<&str> = lines.next().unwrap().collect();
    let fixed =
        |name: &str| !["processing_time", "kafka_partition", "kafka_offset"].contains(&name);
    let mut lines: Vec<Vec<String>> = lines
        .map(|cells| {
            let cells = cells.zip(&header).filter(|(_, name)| fixed(name));
            cells.map(|(cell, _)| cell.to_owned()).collect()
        })
        .collect();
    lines.sort();
    lines
}

/// Checks that a run gave what is expected of a query of the pack.
fn assert_expected(query: &str, output: &Output, label: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{label}: {text}");
    let expected = std::fs::read_to_string(pack().join(format!("expected/{query}.csv")));
    let expected = lines(&expected.unwrap());
    let got = lines(std::str::from_utf8(&output.stdout).unwrap());
    assert_eq!(got.len(), expected.len(), "{query}, {label}");
    for (got, expected) in got.iter().zip(&expected) {
        let agree =
            got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| same(a, b));
        assert!(agree, "{query}, {label}: {got:?} instead of {expected:?}");
    }
}

#[test]
fn queries_give_what_is_expected() {
    for query in QUERIES {
        for cores in ["1", "2", "4", "8"] {
            for executor in ["uring", "threads"] {
                let options = ["--cores", cores, "--executor", executor];
                let output = run(&format!("{query}.sql"), &options);
                let label = format!("{cores} shards, {executor}");
                assert_expected(query, &output, &label);
            }
        }
    }
}

/// Writes a source of the pack as CSV, its fields in another order and beside one that nobody
/// reads.
fn write_as_csv(source: &str, names: &[&str], path: &Path) {
    let text = std::fs::read_to_string(pack().join(format!("data/{source}.ndjson"))).unwrap();
    let mut out = names.join(";") + ";note\r\n";
    for (number, line) in text.lines().enumerate() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        for name in names {
            match &record[name] {
                serde_json::Value::Null => {}
                serde_json::Value::String(text)
                    if number % 3 == 0 || text.is_empty() || text.contains(['"', ';', '\n']) =>
                {
                    out += &format!("\"{}\"", text.replace('"', "\"\""));
                }
                serde_json::Value::String(text) => out += text,
                other => out += &other.to_string(),
            }
            out.push(';');
        }
        let note = "a \"\"line\"\";\n".repeat(number % 7);
        out += &format!("\"{note}\"\r\n");
    }
    std::fs::write(path, out).unwrap();
}

#[test]
fn queries_over_csv_give_what_is_expected() {
    let folder = folder("csv");
    let mut schema = std::fs::read_to_string(pack().join("schema.sql")).unwrap();
    for (source, columns) in SOURCES.iter().filter(|(source, _)| *source != "posts") {
        // Fields in another order than the columns'.
        let mut names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        names.reverse();
        write_as_csv(source, &names, &folder.join(format!("{source}.csv")));
        let of_csv = format!("path = '{source}.csv', format = 'csv', delimiter = ';'");
        schema = replaced(&schema, source, &of_csv);
    }
    let queries = QUERIES.iter().filter(|query| !query.starts_with("05"));
    assert_all_expected(&folder, &schema, "csv", queries);
}

/// A schema whose source is declared with other options.
fn replaced(schema: &str, source: &str, options: &str) -> String {
    let json = format!("path = 'data/{source}.ndjson', format = 'json'");
    assert!(schema.contains(&json));
    schema.replace(&json, options)
}

/// Runs queries over sources that are in a folder.
fn assert_all_expected<'a>(
    folder: &Path,
    schema: &str,
    format: &str,
    queries: impl Iterator<Item = &'a &'a str>,
) {
    let path = folder.join("schema.sql");
    std::fs::write(&path, schema).unwrap();
    for query in queries {
        for cores in ["1", "2", "4", "8"] {
            for executor in ["uring", "threads"] {
                let output = Command::new(env!("CARGO_BIN_EXE_trefoil"))
                    .args(["run".as_ref(), path.as_os_str()])
                    .arg(pack().join(format!("queries/{query}.sql")))
                    .args(["--format", "csv", "--cores", cores])
                    .args(["--executor", executor])
                    .output()
                    .unwrap();
                let label = format!("{format}, {cores} shards, {executor}");
                assert_expected(query, &output, &label);
            }
        }
    }
}

/// A source of the pack as columns, all that are NULL at times nullable.
fn columns_of(source: &str, columns: &'static [(&'static str, Kind)]) -> RecordBatch {
    let text = std::fs::read_to_string(pack().join(format!("data/{source}.ndjson"))).unwrap();
    let records: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let column = |(name, kind): &(&'static str, Kind)| {
        let values = || records.iter().map(|record| &record[*name]);
        let texts = || Arc::new(values().map(|v| v.as_str()).collect::<StringArray>());
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let array: ArrayRef = match kind {
            Kind::Text => texts(),
            Kind::Integer => Arc::new(values().map(|v| v.as_i64()).collect::<Int64Array>()),
            Kind::Float => Arc::new(values().map(|v| v.as_f64()).collect::<Float64Array>()),
            Kind::Time => cast(&*texts(), &time).unwrap(),
            Kind::Date => cast(&*texts(), &DataType::Date32).unwrap(),
            Kind::Texts => {
                let mut lists = ListBuilder::new(StringBuilder::new());
                for value in values() {
                    lists.append_option(value.as_array().map(|texts| {
                        let texts = texts.iter().map(|text| text.as_str().map(str::to_owned));
                        texts.collect::<Vec<_>>()
                    }));
                }
                Arc::new(lists.finish())
            }
        };
        (*name, array, true)
    };
    RecordBatch::try_from_iter_with_nullable(columns.iter().map(column)).unwrap()
}

#[test]
fn queries_over_parquet_and_arrow_give_what_is_expected() {
    let folder = folder("columns");
    let schema = std::fs::read_to_string(pack().join("schema.sql")).unwrap();
    let (mut of_parquet, mut of_arrow) = (schema.clone(), schema);
    for (source, columns) in SOURCES {
        let batch = columns_of(source, columns);
        let file = |format: &str| {
            std::fs::File::create(folder.join(format!("{source}.{format}"))).unwrap()
        };
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(700))
            .set_data_page_row_count_limit(100)
            .build();
        let mut writer =
            ArrowWriter::try_new(file("parquet"), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let mut writer = FileWriter::try_new(file("arrow"), &batch.schema()).unwrap();
        for from in (0..batch.num_rows()).step_by(300) {
            let rows = 300.min(batch.num_rows() - from);
            writer.write(&batch.slice(from, rows)).unwrap();
        }
        writer.finish().unwrap();
        let options = |format| format!("path = '{source}.{format}', format = '{format}'");
        of_parquet = replaced(&of_parquet, source, &options("parquet"));
        of_arrow = replaced(&of_arrow, source, &options("arrow"));
    }
    assert_all_expected(&folder, &of_parquet, "parquet", QUERIES.iter());
    assert_all_expected(&folder, &of_arrow, "arrow", QUERIES.iter());
}

#[test]
fn refusals_say_where() {
    for (query, place) in [
        ("02_malformed.sql", "02_malformed.sql:1:25"),
        (
            "07_sliding_zscore_invalid.sql",
            "07_sliding_zscore_invalid.sql:9:6",
        ),
    ] {
        let output = run(query, &[]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.contains(place) && output.stdout.is_empty(), "{text}");
    }
}

#[test]
fn exit_codes() {
    let script = "CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'none.ndjson', \
                  format = 'json'); SELECT a FROM s";
    for (arguments, code) in [
        (vec!["run", "-c", script], 4),
        (vec!["run", "-c", "SELECT a FROM nowhere"], 3),
        (vec!["run", "--no-such-flag"], 2),
        (vec!["run", "no-such-file.sql"], 2),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_trefoil"))
            .args(&arguments)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(!text.is_empty());
    }
}

/// Runs a script over the pack's sources.
fn script(text: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trefoil"))
        .arg("run")
        .arg(pack().join("schema.sql"))
        .args(["--format", "csv", "-c", text])
        .output()
        .unwrap()
}

#[test]
fn views_give_the_rows_of_what_they_stand_for() {
    let plain =
        script("SELECT symbol, SUM(volume) AS v FROM trades WHERE price > 10 GROUP BY symbol");
    let view = script(
        "CREATE VIEW dear AS SELECT symbol AS s, volume FROM trades WHERE price > 10;
         CREATE VIEW sums (symbol, v) AS SELECT s, SUM(volume) FROM dear GROUP BY s;
         SELECT * FROM sums; DROP VIEW dear CASCADE;",
    );
    let text = |o: &Output| String::from_utf8(o.stdout.clone()).unwrap();
    assert!(
        view.status.success(),
        "{}",
        String::from_utf8_lossy(&view.stderr)
    );
    assert!(text(&plain).starts_with("symbol,v\r\n") && text(&view).starts_with("symbol,v\r\n"));
    assert_eq!(lines(&text(&plain)), lines(&text(&view)));
}

#[test]
fn questions_are_printed() {
    let output = script("SET state_ttl = '1 hour'; SHOW state_ttl; DESCRIBE customers;");
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = "value\r\n1 hour\r\nname,type,nullable,note\r\n\
                    customer_id,VARCHAR,false,primary key\r\ncustomer_name,VARCHAR,true,\r\n";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn what_has_no_runtime_is_refused_before_anything_runs() {
    let output = script(
        "SELECT symbol FROM trades;\n CREATE MATERIALIZED VIEW v AS SELECT symbol FROM trades;",
    );
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(output.stdout.is_empty() && text.contains("error[E0301]") && text.contains("-c:2:2"));
}

/// A folder of its own for the files of a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_byte_order_mark_is_no_statement() {
    let path = folder("mark").join("q.sql");
    std::fs::write(&path, "\u{feff}SELECT symbl FROM trades").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_trefoil"))
        .args(["run".into(), pack().join("schema.sql"), path])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("E0201") && text.contains("q.sql:1:8"),
        "{text}"
    );
}

#[test]
fn a_statement_may_begin_with_a_comment() {
    let output = script("-- trades\nSELECT COUNT(*) AS n FROM trades");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn where_results_go_is_known_before_anything_runs() {
    let path = folder("counts").join("one.json");
    let path = path.to_str().unwrap();
    let query = "09_trades_global.sql";
    for (options, code) in [
        (vec!["--stats", "/no-such-folder/stats.json"], 1),
        (vec!["--output", path, "--stats", path], 2),
    ] {
        let output = run(query, &options);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(output.stdout.is_empty(), "{options:?}");
    }
    assert!(run(query, &["--stats", path]).status.success());
    let counts: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(counts["schema_version"], 1);
}
