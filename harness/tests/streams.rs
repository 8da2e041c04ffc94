//! Sources that come at their own time, or are made: standard input, files that grow, generators.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Output, Stdio};

use common::{Folder, text, trefoil};

const CORES: [&str; 4] = ["1", "2", "4", "8"];

/// Runs a query whose source reads this from standard input.
fn piped(folder: &Folder, cores: &str, sql: &str, input: &[u8]) -> Output {
    let mut child = trefoil(folder)
        .args(["run", "-c", sql, "--cores", cores, "--format", "ndjson"])
        .args(["--stats", "stats.json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || _ = stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn run(folder: &Folder, cores: &str, sql: &str) -> Output {
    trefoil(folder)
        .args(["run", "-c", sql, "--cores", cores, "--format", "ndjson"])
        .args(["--stats", "stats.json"])
        .output()
        .unwrap()
}

const JSON: &str = "CREATE SOURCE r (n BIGINT, k VARCHAR) WITH \
                    (connector = 'stdin', format = 'json', bad_data = 'skip');";

#[test]
fn standard_input_is_read_to_its_end() {
    let folder = Folder::new("stdin");
    let record = |n: usize| format!("{{\"n\":{n},\"k\":\"{}\"}}\n", ["a", "b", "c"][n % 3]);
    let mut input: String = "\u{feff}".to_owned();
    input.extend((0..50_000).map(record));
    // More of them than are left out in one turn.
    input += &"no record\n".repeat(3_000);
    input += "\n{\"n\":50000,\"k\":\"a\"}";
    let sum = 50_000_u64 * 50_001 / 2;
    for cores in CORES {
        let query = format!("{JSON} SELECT COUNT(*) AS c, SUM(n) AS s FROM r;");
        let output = piped(&folder, cores, &query, input.as_bytes());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let want = format!("{{\"c\":50001,\"s\":{sum}}}\n");
        assert_eq!(text(&output.stdout), want, "{cores}");
        let stats = folder.json("stats.json");
        assert_eq!(stats["sources"][0]["rows_bad"], 3_000);
        assert_eq!(stats["sources"][0]["bytes_read"], input.len());
        let query = format!("{JSON} SELECT n FROM r WHERE n % 10000 = 0;");
        let output = piped(&folder, cores, &query, input.as_bytes());
        let want: String = (0..6)
            .map(|n| format!("{{\"n\":{}}}\n", n * 10_000))
            .collect();
        assert_eq!(text(&output.stdout), want, "{cores}");
    }
    let output = piped(&folder, "2", &format!("{JSON} SELECT n FROM r;"), b"");
    assert!(output.status.success() && output.stdout.is_empty());
}

#[test]
fn standard_input_as_csv() {
    let folder = Folder::new("stdin-csv");
    let sql = "CREATE SOURCE r (k VARCHAR, n BIGINT) WITH (connector = 'stdin', format = 'csv');\
               SELECT n, k, _OFFSET AS o FROM r;";
    let output = piped(&folder, "2", sql, b"n,k\r\n1,\"a\nb\"\r\n2,c");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let want = "{\"n\":1,\"k\":\"a\\nb\",\"o\":5}\n{\"n\":2,\"k\":\"c\",\"o\":14}\n";
    assert_eq!(text(&output.stdout), want);
    let output = piped(&folder, "2", sql, b"n,other\n1,2\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("column k"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn an_expression_that_fails_is_told_with_its_record() {
    let folder = Folder::new("stdin-failing");
    let sql = "CREATE SOURCE r (n BIGINT) WITH (connector = 'stdin', format = 'json', \
               bad_data = 'dlq', dlq_path = 'bad.ndjson');\
               SELECT 10 / n AS q FROM r;";
    let input = b"{\"n\":5}\n{\"n\":0}\n{}x\n{\"n\":2}\n";
    let output = piped(&folder, "2", sql, input);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "{\"q\":2}\n{\"q\":5}\n");
    let letters = folder.read("bad.ndjson");
    assert_eq!(letters.lines().count(), 2, "{letters}");
    assert!(
        letters.contains("{\\\"n\\\":0}") && letters.contains("\"offset\":8"),
        "{letters}"
    );
}

#[test]
fn standard_input_is_read_once() {
    let folder = Folder::new("stdin-twice");
    let sql = format!("{JSON} SELECT n FROM r; SELECT k FROM r;");
    let output = piped(&folder, "1", &sql, b"{}");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("read standard input"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_file_is_followed_as_it_grows() {
    let folder = Folder::new("follow");
    folder.write("f.ndjson", "{\"n\":1}\n{\"n\":2}\n{\"n\":");
    let sql = "CREATE SOURCE r (n BIGINT) WITH (connector = 'file', path = 'f.ndjson', \
               format = 'json', follow = true, bad_data = 'skip'); SELECT n FROM r;";
    let mut child = trefoil(&folder)
        .args([
            "run", "-c", sql, "--cores", "2", "--format", "ndjson", "--limit", "6",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map(Result::unwrap);
    assert_eq!(next().as_deref(), Some("{\"n\":1}"));
    assert_eq!(next().as_deref(), Some("{\"n\":2}"));
    let path = folder.0.join("f.ndjson");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"3}\n{\"n\":4").unwrap();
    assert_eq!(next().as_deref(), Some("{\"n\":3}"));
    // Shorter than before: what stood behind the last newline is a record, and a bad one.
    folder.write("f.ndjson", "{\"n\":5}\n");
    assert_eq!(next().as_deref(), Some("{\"n\":5}"));
    folder.write("new", "{\"n\":6}\n{\"n\":7}\n{\"n\":8}\n");
    std::fs::rename(folder.0.join("new"), &path).unwrap();
    assert_eq!(next().as_deref(), Some("{\"n\":6}"));
    assert_eq!(next().as_deref(), Some("{\"n\":7}"));
    assert_eq!(next(), None);
    let output = child.wait_with_output().unwrap();
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("became shorter") && told.contains("was replaced"),
        "{told}"
    );
}

const MADE: &str = "CREATE SOURCE g (id BIGINT, k VARCHAR, z INT, x DOUBLE, ok BOOLEAN, \
    day DATE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ( \
    connector = 'generator', rows = 40000, seed = 7, disorder = '900 milliseconds', \
    fields.id.kind = 'sequence', fields.id.start = 100, \
    fields.k.kind = 'zipf', fields.k.cardinality = 50, fields.k.length = 6, \
    fields.z.min = -5, fields.z.max = 5, fields.z.nulls = 0.1, \
    fields.day.min = '2024-02-28', fields.day.max = '2024-03-01', \
    fields.ts.step = '10 milliseconds');";

#[test]
fn made_records_are_the_same_whoever_makes_them() {
    let folder = Folder::new("made");
    for query in [
        "SELECT id, k, z, x, ok, day, ts, _OFFSET AS o FROM g",
        "SELECT x FROM g WHERE z = 5",
        "SELECT window_start, k, COUNT(*) AS n, SUM(z) AS s FROM g \
         GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)",
    ] {
        let mut first: Option<Vec<String>> = None;
        for cores in CORES {
            let output = run(&folder, cores, &format!("{MADE} {query};"));
            assert!(output.status.success(), "{}", text(&output.stderr));
            let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
            if query.contains("GROUP BY") {
                lines.sort();
                let stats = folder.json("stats.json");
                assert_eq!(stats["queries"][0]["inputs"][0]["rows_late"], 0);
            }
            assert!(!lines.is_empty());
            match &first {
                None => first = Some(lines),
                Some(first) => assert_eq!(first, &lines, "{query} on {cores} cores"),
            }
        }
    }
    let check =
        "SELECT MIN(id) AS a, MAX(id) AS b, COUNT(z) AS z, MIN(z) AS l, MAX(z) AS m FROM g;";
    let output = run(&folder, "2", &format!("{MADE} {check}"));
    let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&row["a"], &row["b"]), (&100.into(), &40_099.into()));
    assert_eq!((&row["l"], &row["m"]), (&(-5).into(), &5.into()));
    let not_null = row["z"].as_u64().unwrap();
    assert!((35_000..37_000).contains(&not_null), "{not_null}");
    for (column, groups) in [("k", 50), ("day", 3), ("ok", 2)] {
        let query = format!("{MADE} SELECT {column}, COUNT(*) AS n FROM g GROUP BY {column};");
        let output = run(&folder, "2", &query);
        assert_eq!(text(&output.stdout).lines().count(), groups, "{column}");
    }
}

#[test]
fn a_generator_with_a_rate_ends_where_it_is_stopped() {
    let folder = Folder::new("rate");
    let sql = "CREATE SOURCE g (n BIGINT) WITH (connector = 'generator', rate = 2000, \
               fields.n.kind = 'sequence'); SELECT n FROM g;";
    for cores in ["1", "3"] {
        let output = trefoil(&folder)
            .args([
                "run", "-c", sql, "--cores", cores, "--format", "ndjson", "--limit", "100",
            ])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let want: String = (0..100).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        assert_eq!(text(&output.stdout), want);
    }
}

#[test]
fn integers_are_times_of_a_unit() {
    let folder = Folder::new("unit");
    folder.write("t.csv", "ts\n1700000000\n-1\n2024-01-01 00:00:00.5\n");
    folder.write(
        "t.ndjson",
        "{\"ts\":1700000000}\n{\"ts\":-1}\n{\"ts\":\"2024-01-01T00:00:00.5Z\"}\n",
    );
    for format in ["csv", "json"] {
        let path = if format == "csv" { "t.csv" } else { "t.ndjson" };
        let sql = format!(
            "CREATE SOURCE t (ts TIMESTAMP(3)) WITH (connector = 'file', path = '{path}', \
             format = '{format}', timestamp_unit = 's'); SELECT ts FROM t;"
        );
        let output = run(&folder, "2", &sql);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let want = "{\"ts\":\"2023-11-14T22:13:20\"}\n{\"ts\":\"1969-12-31T23:59:59\"}\n\
                    {\"ts\":\"2024-01-01T00:00:00.500\"}\n";
        assert_eq!(text(&output.stdout), want, "{format}");
    }
}

#[test]
fn offsets_go_on_over_the_files_of_a_folder() {
    let folder = Folder::new("offsets");
    folder.write("in/a.json", "{\"n\":1}\n{\"n\":2}\n");
    folder.write("in/b.json", "\n{\"n\":3}");
    let sql = "CREATE SOURCE r (n BIGINT) WITH (connector = 'file', path = 'in', format = 'json');\
               SELECT n, _PARTITION AS p, _OFFSET AS o FROM r;";
    for cores in CORES {
        let output = run(&folder, cores, sql);
        let want = "{\"n\":1,\"p\":0,\"o\":0}\n{\"n\":2,\"p\":0,\"o\":8}\n\
                    {\"n\":3,\"p\":0,\"o\":17}\n";
        assert_eq!(text(&output.stdout), want, "{}", text(&output.stderr));
    }
}

#[test]
fn parquet_is_written_and_read_back() {
    let folder = Folder::new("parquet-sink");
    for format in ["parquet", "arrow"] {
        let sink = format!(
            "{MADE} CREATE SINK out WITH (connector = 'file', path = 'out.{format}', \
             format = '{format}') AS SELECT id, k, z, x, ok, day, ts FROM g;"
        );
        let output = run(&folder, "2", &sink);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let read = format!(
            "CREATE SOURCE g (id BIGINT, k VARCHAR, z INT, x DOUBLE, ok BOOLEAN, day DATE, \
             ts TIMESTAMP(3)) WITH (connector = 'file', path = 'out.{format}', \
             format = '{format}');"
        );
        let select = "SELECT id, k, z, x, ok, day, ts FROM g;";
        let made = run(&folder, "2", &format!("{MADE} {select}"));
        let back = run(&folder, "3", &format!("{read} {select}"));
        assert!(back.status.success(), "{}", text(&back.stderr));
        assert!(text(&made.stdout) == text(&back.stdout), "{format}");
        let narrow = read.replace("z INT", "z SMALLINT");
        let refused = run(&folder, "2", &format!("{narrow} {select}"));
        assert_eq!(refused.status.code(), Some(4));
        let told = text(&refused.stderr);
        assert!(
            told.contains("column z is INTEGER, and declared as SMALLINT"),
            "{told}"
        );
        assert!(told.contains(&format!("out.{format}")), "{told}");
    }
}

#[test]
fn options_of_generators_are_checked() {
    let folder = Folder::new("generator-options");
    for (options, code, said) in [
        (
            "fields.n.knd = 'zipf'",
            3,
            "unknown option \"fields.n.knd\"",
        ),
        ("fields.m.kind = 'zipf'", 3, "column \"m\" does not exist"),
        ("fields.n.kind = 'zopf'", 3, "did you mean 'zipf'"),
        ("fields.n.length = 3", 3, "length says nothing of a BIGINT"),
        ("fields.n.min = 3, fields.n.max = 2", 3, "min is above max"),
        ("fields.n.min = 'x'", 3, "'x' is no BIGINT"),
        ("rate = 0", 3, "'0' is no whole number from 1 up"),
        ("disorder = '1 second'", 3, "does not have"),
        ("fields.n.nulls = 2", 3, "a share from 0 to 1"),
        (
            "fields.n.kind = 'zipf', fields.n.exponent = 0",
            3,
            "no exponent above 0",
        ),
    ] {
        let sql = format!(
            "CREATE SOURCE g (n BIGINT) WITH (connector = 'generator', rows = 5, {options}); \
             SELECT n FROM g;"
        );
        let output = run(&folder, "1", &sql);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{options}: {told}");
        assert!(
            told.contains(said) && told.contains("-c:1:"),
            "{options}: {told}"
        );
    }
}

/// What waits for the end of its input would wait for ever.
#[test]
fn nothing_waits_for_input_without_an_end() {
    let folder = Folder::new("endless");
    let source = "CREATE SOURCE g (id BIGINT, k BIGINT) WITH (connector = 'generator');";
    for (query, error) in [
        (
            "SELECT id, ROW_NUMBER() OVER (ORDER BY id) FROM g",
            "error[E0301]: OVER",
        ),
        ("SELECT id FROM g LIMIT 3", "error[E0404]: LIMIT"),
        (
            "SELECT x.id FROM (SELECT id FROM g OFFSET 1) AS x",
            "error[E0404]",
        ),
        ("SELECT id FROM g ORDER BY id", "error[E0404]"),
        ("SELECT id FROM g ORDER BY id LIMIT 3", "error[E0404]"),
        (
            "SELECT k, COUNT(*) FROM g GROUP BY k EMIT FINAL",
            "error[E0402]",
        ),
        ("SELECT COUNT(*) FROM g EMIT FINAL", "error[E0402]"),
    ] {
        for cores in CORES {
            let output = run(&folder, cores, &format!("{source} {query};"));
            assert_eq!(output.status.code(), Some(3), "{query}");
            let said = text(&output.stderr);
            assert!(said.contains(error), "{query}: {said}");
        }
    }
}
