//! `late = 'sink:..'`: late rows go there whole, once, in the order of their source, whatever runs
//! the query. Which they are a model says that knows the records before each.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use common::{Folder, run_script, text};

/// Lag of the watermark, seconds.
const LAG: i64 = 20;

struct Record {
    line: String,
    value: i64,
    time: i64,
    /// The watermark that it carries: that of the records before it.
    mark: i64,
}

/// Records whose times go on by a second and a half, and back by up to three minutes.
fn records(count: i64) -> Vec<Record> {
    let mut state = 11u64;
    let mut below = move |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n) as i64
    };
    let mut greatest = i64::MIN;
    let record = |n: i64| {
        let back = match below(16) {
            0 => below(200),
            1..4 => below(60),
            _ => below(8),
        };
        let time = 1000 + n * 3 / 2 - back;
        let mark = greatest.saturating_sub(LAG);
        greatest = greatest.max(time);
        let (key, value) = (below(5), below(100));
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        let line = format!(
            "{{\"n\":{n},\"k\":{key},\"v\":{value},\"note\":\"{:0120}\",\
             \"ts\":\"2025-01-01T{hour:02}:{minute:02}:{second:02}\"}}",
            n * 7
        );
        Record {
            line,
            value,
            time,
            mark,
        }
    };
    (0..count).map(record).collect()
}

const COLUMNS: &str = "n BIGINT, k BIGINT, v BIGINT, note VARCHAR, ts TIMESTAMP(3)";

/// A folder with these records, and what declares them.
fn folder(name: &str, records: &[Record]) -> (Folder, String) {
    let folder = Folder::new(name);
    let lines: String = records.iter().map(|r| format!("{}\n", r.line)).collect();
    folder.write("r.ndjson", &lines);
    let declared = format!(
        "CREATE SOURCE r ({COLUMNS}, WATERMARK FOR ts AS ts - INTERVAL '{LAG}' SECOND) \
         WITH (connector = 'file', path = 'r.ndjson', format = 'json', late = 'sink:Late');\n\
         CREATE SINK late WITH (connector = 'file', path = 'late.ndjson', format = 'json');\n\
         CREATE SOURCE q ({COLUMNS}, WATERMARK FOR ts AS ts - INTERVAL '{LAG}' SECOND) \
         WITH (connector = 'file', path = 'r.ndjson', format = 'json');\n"
    );
    (folder, declared)
}

/// When a row is late: the end of the last window that holds it.
type End = fn(i64) -> i64;

fn late(records: &[Record], end: End, passes: fn(&Record) -> bool) -> String {
    let late = records
        .iter()
        .filter(|r| passes(r) && end(r.time) <= r.mark);
    late.map(|r| format!("{}\n", r.line)).collect()
}

/// What the query gives with these options, in order, its late rows, and the ledger's numbers.
fn run(folder: &Folder, sql: &str, options: &[&str]) -> (Vec<String>, String, [u64; 3]) {
    let options = [&["--format", "csv", "--stats", "stats.json"], options].concat();
    let output = run_script(folder, sql, &options);
    assert!(output.status.success(), "{sql}: {}", text(&output.stderr));
    let mut rows: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    rows.sort_unstable();
    let stats = folder.json("stats.json");
    let input = &stats["queries"][0]["inputs"][0];
    let numbers = ["rows_late", "rows_late_idle", "rows_filtered"];
    let numbers = numbers.map(|name| input[name].as_u64().unwrap());
    (rows, folder.read("late.ndjson"), numbers)
}

const ALL: [&[&str]; 6] = [
    &["--cores", "1"],
    &["--cores", "1", "--frame-rows", "1"],
    &["--cores", "2", "--frame-rows", "7"],
    &["--cores", "4"],
    &["--cores", "4", "--frame-rows", "1"],
    &["--cores", "3", "--executor", "threads"],
];

fn minute(time: i64) -> i64 {
    time - time.rem_euclid(60) + 60
}

fn hopping(time: i64) -> i64 {
    time - time.rem_euclid(10) + 40
}

fn instant(time: i64) -> i64 {
    time + 1
}

/// No row is late.
fn never(_: i64) -> i64 {
    i64::MAX
}

/// Queries over all rows, or with `{some}` over some, and when a row is late for them.
const KINDS: [(&str, End); 13] = [
    ("SELECT k, COUNT(*), SUM(v) {tumble}", minute),
    (
        "SELECT k, COUNT(*), SUM(v) FROM r {some} GROUP BY k, {minute}",
        minute,
    ),
    ("SELECT k, window_start, MEDIAN(v) {tumble}", minute),
    ("SELECT k, COUNT(DISTINCT v), MIN(note) {tumble}", minute),
    (
        "SELECT window_start, COUNT(*) FROM r GROUP BY {minute}",
        minute,
    ),
    (
        "SELECT k, window_start, COUNT(*), MAX(v) FROM r GROUP BY k, {hop}",
        hopping,
    ),
    (
        "SELECT k, window_start, COUNT(*), MEDIAN(v) FROM r GROUP BY k, {hop}",
        hopping,
    ),
    (
        "SELECT window_start, window_end, COUNT(*) FROM r {some} \
         GROUP BY CUMULATE(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE)",
        minute,
    ),
    (
        "SELECT k, window_start, window_end, COUNT(*) FROM r \
         GROUP BY k, SESSION(ts, INTERVAL '4' SECOND)",
        instant,
    ),
    (
        "SELECT k, window_start, COUNT(*) FROM r GROUP BY {minute}, ROLLUP (k)",
        minute,
    ),
    (
        "SELECT k, window_start, MAX(n) \
         FROM TABLE(TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) \
         {some} GROUP BY k, window_start, window_end",
        minute,
    ),
    (
        "SELECT k, COUNT(*) FROM (SELECT k, ts FROM r {some} \
         UNION ALL SELECT k, ts FROM q) AS u GROUP BY k, {minute}",
        minute,
    ),
    ("SELECT k, n FROM r {some}", never),
];

/// Late rows of every kind of window are the model's, and what is left is what the query gives
/// without a sink for them.
#[test]
fn late_rows_go_whole_to_their_sink() {
    let records = records(3000);
    let (folder, declared) = folder("late-kinds", &records);
    for (query, end) in KINDS {
        let passes: fn(&Record) -> bool = match query.contains("{some}") {
            true => |r| r.value % 3 > 0,
            false => |_| true,
        };
        let query = query
            .replace("{tumble}", "FROM r GROUP BY k, {minute}")
            .replace("{minute}", "TUMBLE(ts, INTERVAL '1' MINUTE)")
            .replace(
                "{hop}",
                "HOP(ts, INTERVAL '10' SECOND, INTERVAL '40' SECOND)",
            )
            .replace("{some}", "WHERE v % 3 > 0");
        let want = late(&records, end, passes);
        let dropped = records.iter().filter(|r| !passes(r)).count() as u64;
        let plain = declared.replace("late = 'sink:Late'", "late = 'drop'");
        folder.write("late.ndjson", "");
        let (rows, _, counts) = run(&folder, &format!("{plain}{query};"), &["--cores", "2"]);
        let number = want.lines().count() as u64;
        assert_eq!(counts, [number, 0, dropped], "{query}");
        let is_never = end(0) == i64::MAX;
        assert!(is_never || number > 20, "{query}: {number} late");
        for options in ALL {
            let (got, told, counts) = run(&folder, &format!("{declared}{query};"), options);
            assert_eq!(counts, [number, 0, dropped], "{query} {options:?}");
            assert!(got == rows, "{query} {options:?}: other rows");
            let lines = told.lines().count();
            assert!(
                told == want,
                "{query} {options:?}: {lines} told, not {number}"
            );
        }
    }
}

/// Every update that a late row would have made is left out, and the row is told.
#[test]
fn late_rows_of_changelogs_and_joins() {
    let records = records(2000);
    let (folder, declared) = folder("late-changes", &records);
    let changes = "SELECT k, COUNT(*) AS n FROM r \
                   GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE) EMIT CHANGES";
    let near = "SELECT a.n, b.n AS m FROM r AS a JOIN q AS b ON a.k = b.k \
                AND b.ts BETWEEN a.ts - INTERVAL '2' SECOND AND a.ts + INTERVAL '1' SECOND";
    for (query, end) in [(changes, minute as End), (near, instant)] {
        let want = late(&records, end, |_| true);
        let plain = declared.replace("late = 'sink:Late'", "late = 'drop'");
        folder.write("late.ndjson", "");
        let (rows, _, counts) = run(&folder, &format!("{plain}{query};"), &["--cores", "2"]);
        for options in ALL {
            let (got, told, now) = run(&folder, &format!("{declared}{query};"), options);
            assert_eq!(now, counts, "{query} {options:?}");
            let lines = told.lines().count() as u64;
            assert_eq!(counts[0], lines, "{query} {options:?}");
            assert!(got == rows, "{query} {options:?}: other rows");
            assert!(counts[0] == 0 || told == want, "{query} {options:?}");
        }
    }
}

/// A row that UNNEST takes apart goes there once, and several queries write into one sink. The
/// names are the sink's, where it has some.
#[test]
fn a_row_goes_once_whatever_becomes_of_it() {
    let folder = Folder::new("late-unnest");
    folder.write(
        "r.ndjson",
        "{\"tags\":[\"a\",\"b\"],\"ts\":\"2025-01-01T00:00:10\"}\n\
         {\"tags\":[\"a\"],\"ts\":\"2025-01-01T00:00:01\"}\n\
         {\"tags\":[\"b\",\"a\",\"b\"],\"ts\":\"2025-01-01T00:00:02\"}\n\
         {\"tags\":[],\"ts\":\"2025-01-01T00:00:03\"}\n\
         {\"tags\":[\"c\"],\"ts\":\"2025-01-01T00:00:11\"}\n",
    );
    let declared = "CREATE SOURCE r (tags VARCHAR[], ts TIMESTAMP, WATERMARK FOR ts) WITH (\
                    connector = 'file', path = 'r.ndjson', format = 'json', late = 'sink:late');\n\
                    CREATE SINK late (labels VARCHAR[], seen TIMESTAMP) \
                    WITH (connector = 'file', path = 'late.ndjson', format = 'json');\n";
    let query = "SELECT tag, COUNT(*) FROM r CROSS JOIN UNNEST(tags) AS tag \
                 GROUP BY tag, TUMBLE(ts, INTERVAL '5' SECOND);\n";
    let sql = format!("{declared}{query}{query}");
    let one = "{\"labels\":[\"a\"],\"seen\":\"2025-01-01T00:00:01\"}\n\
               {\"labels\":[\"b\",\"a\",\"b\"],\"seen\":\"2025-01-01T00:00:02\"}\n";
    for options in ALL {
        let (_, told, counts) = run(&folder, &sql, options);
        assert_eq!(told, [one, one].concat(), "{options:?}");
        // The one with an empty list has no element that could be late.
        assert_eq!(counts, [2, 0, 1], "{options:?}");
    }
}

/// What cannot be told is refused before anything runs.
#[test]
fn what_late_rows_cannot_go_into() {
    let folder = Folder::new("late-refused");
    folder.write("r.ndjson", "");
    let source = |options: &str| {
        format!(
            "CREATE SOURCE r (k BIGINT, ts TIMESTAMP, WATERMARK FOR ts) WITH (connector = 'file', \
             path = 'r.ndjson', format = 'json', {options});\n"
        )
    };
    let query = "SELECT k, COUNT(*) FROM r GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE);";
    let late = source("late = 'sink:late'");
    let sink = |columns: &str, options: &str| {
        format!("CREATE SINK late {columns} WITH ({options});\n{query}")
    };
    let file = "connector = 'file', path = 'late', format = 'json'";
    let twice = format!(
        "CREATE SINK late WITH ({file});\nSELECT a.k FROM r AS a JOIN r AS b ON a.k = b.k;"
    );
    let own = format!(
        "CREATE SINK late WITH ({file});\nINSERT INTO late SELECT k, COUNT(*) FROM r \
         GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE);"
    );
    for (sql, code, words) in [
        (source("late = 'sink:'"), "E0104", "'sink:' is no late"),
        (
            source("late = 'sink:late'").replace(", WATERMARK FOR ts", ""),
            "E0104",
            "late needs a watermark",
        ),
        (
            format!("{late}{query}"),
            "E0202",
            "there is no sink \"late\"",
        ),
        (
            late.clone() + &sink("(k BIGINT)", file),
            "E0206",
            "declared with other columns",
        ),
        (
            late.clone() + &sink("(k BIGINT, ts TIMESTAMP NOT NULL)", file),
            "E0206",
            "declared with other columns",
        ),
        (
            late.clone() + &sink("", "connector = 'print'"),
            "E0301",
            "connector 'print' takes the rows of queries",
        ),
        (
            late.clone() + &sink("", &format!("{file}, mode = 'upsert'")),
            "E0301",
            "they only come",
        ),
        (late.clone() + &twice, "E0301", "twice in one query"),
        (
            late.clone() + &own,
            "E0301",
            "the query's own rows go there",
        ),
    ] {
        let output = run_script(&folder, &sql, &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{sql}: {told}");
        assert!(told.contains(code) && told.contains(words), "{sql}: {told}");
    }
}
