//! How results are printed, to the letter, and what becomes of them where they cannot be.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::fs::File;
use std::process::{Output, Stdio};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use common::{Folder, run_script, text, trefoil};

const RECORDS: &str = r#"{"n":1,"x":0.1,"s":"","b":true,"d":"2024-02-29","t":"2024-02-29T12:00:00"}
{"n":-20,"x":1e300,"s":"a,\"b\"","b":false,"d":"1969-12-31","t":"2024-02-29T12:00:00.5"}
{"t":"2024-02-29T12:00:01"}
{"n":300,"x":2,"s":"日本|*\\","t":"2024-02-29T12:00:02"}
{"s":"two\nlines","t":"2024-02-29T12:00:03"}
"#;

const SOURCE: &str = "CREATE SOURCE r (n BIGINT, x DOUBLE, s VARCHAR, b BOOLEAN, d DATE, \
                      t TIMESTAMP(3), WATERMARK FOR t) \
                      WITH (connector = 'file', format = 'json', path = 'r.json');\n";

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("r.json", RECORDS);
    folder
}

fn run(folder: &Folder, sql: &str, options: &[&str]) -> Output {
    run_script(folder, &format!("{SOURCE}{sql}"), options)
}

fn printed(folder: &Folder, sql: &str, options: &[&str]) -> String {
    let output = run(folder, sql, options);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn texts_are_to_the_letter() {
    let folder = folder("letter");
    let all = "SELECT n, x, s, b, d, t FROM r";
    for (format, want) in [
        (
            "csv",
            "n,x,s,b,d,t\r\n\
             1,0.1,\"\",true,2024-02-29,2024-02-29T12:00:00\r\n\
             -20,1e300,\"a,\"\"b\"\"\",false,1969-12-31,2024-02-29T12:00:00.500\r\n\
             ,,,,,2024-02-29T12:00:01\r\n\
             300,2.0,日本|*\\,,,2024-02-29T12:00:02\r\n\
             ,,\"two\nlines\",,,2024-02-29T12:00:03\r\n",
        ),
        (
            "ndjson",
            concat!(
                r#"{"n":1,"x":0.1,"s":"","b":true,"d":"2024-02-29","t":"2024-02-29T12:00:00"}"#,
                "\n",
                r#"{"n":-20,"x":1e300,"s":"a,\"b\"","b":false,"d":"1969-12-31","#,
                r#""t":"2024-02-29T12:00:00.500"}"#,
                "\n",
                r#"{"n":null,"x":null,"s":null,"b":null,"d":null,"t":"2024-02-29T12:00:01"}"#,
                "\n",
                r#"{"n":300,"x":2.0,"s":"日本|*\\","b":null,"d":null,"t":"2024-02-29T12:00:02"}"#,
                "\n",
                r#"{"n":null,"x":null,"s":"two\nlines","b":null,"d":null,"#,
                r#""t":"2024-02-29T12:00:03"}"#,
                "\n",
            ),
        ),
        (
            "markdown",
            "| n | x | s | b | d | t |\n\
             | ---: | ---: | --- | --- | --- | --- |\n\
             | 1 | 0.1 |  | true | 2024-02-29 | 2024-02-29T12:00:00 |\n\
             | -20 | 1e300 | a,\"b\" | false | 1969-12-31 | 2024-02-29T12:00:00.500 |\n\
             | NULL | NULL | NULL | NULL | NULL | 2024-02-29T12:00:01 |\n\
             | 300 | 2.0 | 日本\\|\\*\\\\ | NULL | NULL | 2024-02-29T12:00:02 |\n\
             | NULL | NULL | two\\\\nlines | NULL | NULL | 2024-02-29T12:00:03 |\n",
        ),
    ] {
        assert_eq!(
            printed(&folder, all, &["--format", format]),
            want,
            "{format}"
        );
    }
    let want = "┌──────┬───────┬────────────┐\n\
                │    n │     x │ s          │\n\
                ├──────┼───────┼────────────┤\n\
                │    1 │   0.1 │            │\n\
                │  -20 │ 1e300 │ a,\"b\"      │\n\
                │ NULL │  NULL │ NULL       │\n\
                │  300 │   2.0 │ 日本|*\\    │\n\
                │ NULL │  NULL │ two\\nlines │\n\
                └──────┴───────┴────────────┘\n";
    let table = printed(&folder, "SELECT n, x, s FROM r", &["--format", "table"]);
    assert_eq!(table, want);
}

/// Numbers of every width stand on the right; what is nested is JSON, and quoted where it is in a
/// cell of CSV.
#[test]
fn every_type_has_its_text() {
    let folder = Folder::new("types");
    let record =
        r#"{"a":1,"b":-200,"c":3,"f":1.5,"n":12.34,"o":true,"i":"12:34:56","l":["x",null],"#;
    folder.write(
        "r.json",
        &format!("{record}\"s\":{{\"v\":\"y\",\"w\":1}},\"j\":{{\"k\": 1}}}}\n{{}}\n"),
    );
    let sql = "CREATE SOURCE r (a TINYINT, b SMALLINT, c INT, f FLOAT, n DECIMAL(10, 3), \
               o BOOLEAN, i TIME(0), l VARCHAR[], s STRUCT<v VARCHAR, w INT>, j JSON) \
               WITH (connector = 'file', format = 'json', path = 'r.json'); SELECT * FROM r";
    folder.write("q.sql", sql);
    let printed = |format: &str| {
        let arguments = ["run", "q.sql", "--format", format];
        let output = trefoil(&folder).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        output.stdout
    };
    assert_eq!(
        text(&printed("csv")),
        "a,b,c,f,n,o,i,l,s,j\r\n\
         1,-200,3,1.5,12.340,true,12:34:56,\"[\"\"x\"\",null]\",\
         \"{\"\"v\"\":\"\"y\"\",\"\"w\"\":1}\",\"{\"\"k\"\": 1}\"\r\n\
         ,,,,,,,,,\r\n"
    );
    let objects = text(&printed("ndjson"));
    let want =
        r#"{"a":1,"b":-200,"c":3,"f":1.5,"n":12.340,"o":true,"i":"12:34:56","l":["x",null],"#;
    let rest = r#""s":{"v":"y","w":1},"j":{"k": 1}}"#;
    assert_eq!(objects.lines().next().unwrap(), format!("{want}{rest}"));
    let table = text(&printed("table"));
    let row = table.lines().nth(3).unwrap();
    assert!(
        row.starts_with("│    1 │ -200 │    3 │  1.5 │ 12.340 │ true │ 12:34:56 │"),
        "{table}"
    );
    let rules = text(&printed("markdown"));
    let right = "| ---: | ---: | ---: | ---: | ---: | --- | --- | --- | --- | --- |";
    assert_eq!(rules.lines().nth(1).unwrap(), right);
    let batch = &batches(&printed("arrow"))[0];
    assert_eq!((batch.num_rows(), batch.num_columns()), (2, 10));
    assert!(batch.columns().iter().all(|column| column.is_null(1)));
}

const WINDOWS: &str = "SELECT TUMBLE(t, INTERVAL '1' SECOND) AS w, COUNT(*) AS c FROM r \
                       GROUP BY w";

#[test]
fn windows_are_pairs() {
    let folder = folder("pairs");
    let first = r#"{"start":"2024-02-29T12:00:00","end":"2024-02-29T12:00:01"}"#;
    let csv = printed(&folder, WINDOWS, &["--format", "csv"]);
    let quoted = format!("\"{}\",2\r\n", first.replace('"', "\"\""));
    assert!(csv.starts_with("w,c\r\n") && csv.contains(&quoted), "{csv}");
    let json = printed(&folder, WINDOWS, &["--format", "json"]);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 4);
    assert!(
        json.contains(&format!("{{\"w\":{first},\"c\":2}}")),
        "{json}"
    );
}

fn batches(bytes: &[u8]) -> Vec<RecordBatch> {
    let reader = StreamReader::try_new(bytes, None).unwrap();
    reader.map(Result::unwrap).collect()
}

#[test]
fn arrow_streams() {
    let folder = folder("arrow");
    let all = "SELECT n, x, s, b, t FROM r";
    let output = run(&folder, all, &["--format", "arrow", "--frame-rows", "2"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let given = batches(&output.stdout);
    assert_eq!(given.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
    let first = &given[0];
    assert_eq!(first.column(0).as_primitive::<Int64Type>().value(1), -20);
    assert_eq!(
        first.column(1).as_primitive::<Float64Type>().value(1),
        1e300
    );
    assert_eq!(first.column(2).as_string::<i32>().value(1), "a,\"b\"");
    assert!(first.column(3).as_boolean().value(0));
    assert!(given[1].column(3).is_null(0));

    let output = run(&folder, WINDOWS, &["--format", "arrow", "--limit", "3"]);
    let given = batches(&output.stdout);
    assert_eq!(given.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    let windows = given[0].column(0).as_struct();
    assert_eq!(windows.column_names(), ["start", "end"]);
    let bound = |i: usize| {
        windows
            .column(i)
            .as_primitive::<TimestampMillisecondType>()
            .value(0)
    };
    assert_eq!(bound(1) - bound(0), 1000);

    // Nothing but names and types is a stream, too.
    let output = run(
        &folder,
        "SELECT n FROM r WHERE n > 1000",
        &["--format", "arrow"],
    );
    assert_eq!(
        StreamReader::try_new(&output.stdout[..], None)
            .unwrap()
            .schema()
            .field(0)
            .name(),
        "n"
    );
}

#[test]
fn a_limit_is_for_each_result() {
    let folder = folder("limit");
    let two = "SELECT n FROM r; SELECT s FROM r WHERE n IS NULL; SELECT COUNT(*) AS c FROM r";
    let options = ["--limit", "2", "--stats", "stats.json"];
    let rows = "{\"n\":1}\n{\"n\":-20}\n{\"s\":null}\n{\"s\":\"two\\nlines\"}\n{\"c\":5}\n";
    assert_eq!(printed(&folder, two, &options), rows);
    let stats = folder.json("stats.json");
    let out = [0, 1, 2].map(|i| stats["queries"][i]["rows_out"].as_u64().unwrap());
    assert_eq!(out, [2, 2, 1]);
    let none = printed(
        &folder,
        "SELECT n FROM r",
        &["--limit", "0", "--format", "csv"],
    );
    assert_eq!(none, "n\r\n");
}

#[test]
fn values_are_set_before_the_script() {
    let folder = folder("set");
    let sql = "SHOW state_ttl; SHOW auto_select_strategy";
    let options = [
        "--set",
        "trefoil.state_ttl=2 hours",
        "--set",
        "auto_select_strategy=false",
    ];
    let shown = printed(&folder, sql, &options);
    assert_eq!(shown, "{\"value\":\"2 hours\"}\n{\"value\":\"false\"}\n");
    for (setting, code, what) in [
        ("state_tl=1 hour", 3, "did you mean \"state_ttl\"?"),
        ("state_ttl='", 3, "is no value of state_ttl"),
        ("state_ttl", 2, "NAME=VALUE"),
        (
            "state_ttl = 1; DROP SOURCE r; SET x=1",
            2,
            "is no name of a setting",
        ),
    ] {
        let output = run(&folder, sql, &["--set", setting]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn a_dash_is_standard_output() {
    let folder = folder("dash");
    let rows = printed(&folder, "SELECT COUNT(*) AS c FROM r", &["--output", "-"]);
    assert_eq!(rows, "{\"c\":5}\n");
    assert!(!folder.exists("-"));
}

/// A disk that is full loses results: that is never said to be well.
#[test]
fn what_cannot_be_written_is_an_error() {
    let folder = folder("full");
    let sql = "SELECT n FROM r";
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for format in ["table", "json", "ndjson", "csv", "markdown", "arrow"] {
        for options in [&["--output", "/dev/full"][..], &[]] {
            folder.write("q.sql", &format!("{SOURCE}{sql}"));
            let output = trefoil(&folder)
                .args(["run", "q.sql", "--format", format])
                .args(options)
                .stdout(full())
                .output()
                .unwrap();
            let said = text(&output.stderr);
            assert_eq!(
                output.status.code(),
                Some(1),
                "{format} {options:?}: {said}"
            );
            assert!(
                said.contains("cannot write") && said.contains("No space"),
                "{said}"
            );
        }
    }
    let output = run(&folder, sql, &["--stats", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("/dev/full"));
    for arguments in [
        &["run", "-c", "SHOW ALL"][..],
        &["explain", "q.sql"],
        &["bench", "--list"],
        &["--help"],
    ] {
        let output = trefoil(&folder)
            .args(arguments)
            .stdout(full())
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    }
}

#[test]
fn colour_is_for_terminals_and_who_asks() {
    let folder = folder("colour");
    folder.write("q.sql", "SELECT x");
    for (arguments, red) in [
        (&["run", "q.sql"][..], false),
        (&["run", "q.sql", "--color", "always"], true),
        (&["--color=always", "run", "q.sql"], true),
        (&["run", "q.sql", "--color", "never"], false),
        (&["run", "--nonsense"], false),
        (&["run", "--nonsense", "--color=always"], true),
    ] {
        let output = trefoil(&folder).args(arguments).output().unwrap();
        let said = text(&output.stderr);
        assert!(said.contains("error"), "{said}");
        assert_eq!(said.contains("\u{1b}["), red, "{arguments:?}: {said}");
    }
}

/// Line breaks between the values of JSON do not end the line of its object.
#[test]
fn json_of_several_lines_is_written_to_one() {
    let folder = Folder::new("json-lines");
    folder.write("a.csv", "i,j\n1,\"{\"\"a\"\":\r\n[1,\n2]}\"\n2,{}\n");
    let read = "CREATE SOURCE s (i BIGINT, j JSON) WITH (connector = 'file', path = 'a.csv', \
                format = 'csv');";
    let sink = "CREATE SINK o WITH (connector = 'file', path = 'o.ndjson', format = 'json') AS \
                SELECT i, j FROM s;";
    let output = run_script(&folder, &format!("{read}{sink}"), &["--cores", "1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let written = std::fs::read_to_string(folder.0.join("o.ndjson")).unwrap();
    assert_eq!(
        written,
        "{\"i\":1,\"j\":{\"a\":  [1, 2]}}\n{\"i\":2,\"j\":{}}\n"
    );
    let again = "CREATE SOURCE s (i BIGINT, j JSON) WITH (connector = 'file', path = 'o.ndjson', \
                 format = 'json'); SELECT i, j->'a'->>1 AS two FROM s;";
    let output = run_script(&folder, again, &["--cores", "1"]);
    assert_eq!(
        text(&output.stdout),
        "{\"i\":1,\"two\":\"2\"}\n{\"i\":2,\"two\":null}\n",
        "{}",
        text(&output.stderr)
    );
}

/// Two tables of Markdown would be one without a line between them.
#[test]
fn tables_of_markdown_stand_apart() {
    let folder = folder("tables");
    let two = "SELECT n FROM r WHERE n > 100; SELECT b FROM r WHERE b; SHOW SINKS";
    let told = printed(&folder, two, &["--format", "markdown"]);
    let want = "| n |\n| ---: |\n| 300 |\n\n| b |\n| --- |\n| true |\n\n| name |";
    assert!(told.starts_with(want), "{told}");
}

/// A row of one NULL is an empty line of CSV, and comes back as one.
#[test]
fn a_null_alone_comes_back() {
    let folder = Folder::new("one-null");
    let values = ["null", "\"\"", "\"x\"", "null", "\"\\n\"", "null"];
    let lines: String = values.map(|v| format!("{{\"v\":{v}}}\n")).concat();
    folder.write("v.ndjson", &lines);
    let write = "CREATE SOURCE v (v VARCHAR) WITH (connector = 'file', path = 'v.ndjson', \
                 format = 'json'); CREATE SINK o WITH (connector = 'file', path = 'o.csv', \
                 format = 'csv') AS SELECT v FROM v;";
    let output = run_script(&folder, write, &["--cores", "1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let written = "v\r\n\r\n\"\"\r\nx\r\n\r\n\"\n\"\r\n\r\n";
    assert_eq!(folder.read("o.csv"), written);
    let read = |options: &str, sql: &str, shards: &str| {
        let source = format!(
            "CREATE SOURCE o (v VARCHAR) WITH (connector = 'file', path = 'o.csv', \
             format = 'csv'{options}); {sql};"
        );
        let output = run_script(&folder, &source, &["--cores", shards]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    for shards in ["1", "3"] {
        assert_eq!(read("", "SELECT v FROM o", shards), lines, "{shards}");
        let count = read("", "SELECT COUNT(*) AS n, COUNT(v) AS v FROM o", shards);
        assert_eq!(count, "{\"n\":6,\"v\":3}\n");
    }
    // Where NULL has another text an empty line says nothing.
    let other = read(", null_string = 'NULL'", "SELECT COUNT(*) AS n FROM o", "1");
    assert_eq!(other, "{\"n\":3}\n");
}

/// Parquet names no times in seconds: they are written so that others read them as times.
#[test]
fn times_in_seconds_are_times_to_others() {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    let folder = Folder::new("seconds");
    let row = "{\"t\":\"2024-02-29T12:00:00\",\"c\":\"12:34:56\",\"l\":[\"1969-12-31T23:59:59\"],\
               \"s\":{\"t\":null,\"c\":\"00:00:01\"}}\n";
    folder.write("r.ndjson", row);
    let source = |name: &str, format: &str| {
        format!(
            "CREATE SOURCE r (t TIMESTAMP(0), c TIME(0), l TIMESTAMP(0)[], \
             s STRUCT<t TIMESTAMP(0), c TIME(0)>) \
             WITH (connector = 'file', path = '{name}', format = '{format}');\n"
        )
    };
    let write = "CREATE SINK o WITH (connector = 'file', path = 'o.parquet', format = 'parquet') \
                 AS SELECT t, c, l, s FROM r;";
    let output = run_script(&folder, &(source("r.ndjson", "json") + write), &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let file = File::open(folder.0.join("o.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    for column in columns {
        let logical = format!("{:?}", column.logical_type_ref());
        assert!(logical.contains("MILLIS"), "{}: {logical}", column.name());
    }
    let read = source("o.parquet", "parquet") + "SELECT * FROM r;";
    let output = run_script(&folder, &read, &[]);
    assert_eq!(text(&output.stdout), row, "{}", text(&output.stderr));
}
