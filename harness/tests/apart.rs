//! Rows that are taken apart, by UNNEST or into windows, while the event time or the watermark of
//! the row that they were goes along: every column is found where it is.

mod common;

use common::{Folder, text, trefoil};

const SCHEMA: &str = "CREATE SOURCE r (id BIGINT, tags VARCHAR[], ts TIMESTAMP(3) NOT NULL,
    WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
    WITH (connector = 'file', path = 'r.ndjson', format = 'json');";

/// The last one is late for windows that end at 10, as the third has gone to 14.
const RECORDS: &str = r#"{"id": 1, "tags": ["a", "b"], "ts": "2025-01-01T00:00:03"}
{"id": 2, "tags": [], "ts": "2025-01-01T00:00:01"}
{"id": 3, "tags": ["b", null, "b"], "ts": "2025-01-01T00:00:14"}
{"id": 4, "tags": ["c"], "ts": "2025-01-01T00:00:02"}
"#;

/// A folder with the records.
fn records(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("schema.sql", SCHEMA);
    folder.write("r.ndjson", RECORDS);
    folder
}

#[test]
fn columns_stay_where_they_are_when_time_goes_along() {
    let folder = records("apart");
    let cases = [
        (
            "SELECT tag, n, COUNT(*) AS rows FROM r CROSS JOIN UNNEST(tags) WITH ORDINALITY \
             AS u(tag, n) WHERE n < 3 GROUP BY tag, n, TUMBLE(ts, INTERVAL '10' SECOND)",
            ",2,1 a,1,1 b,1,1 b,2,1",
        ),
        (
            "SELECT n, SUM(id) AS ids FROM r CROSS JOIN UNNEST(tags) WITH ORDINALITY AS u(tag, n) \
             GROUP BY n, HOP(ts, INTERVAL '5' SECOND, INTERVAL '10' SECOND)",
            "1,1 1,1 1,3 1,3 2,1 2,1 2,3 2,3 3,3 3,3",
        ),
        (
            "SELECT n, window_start, COUNT(tag) AS tags FROM r CROSS JOIN UNNEST(tags) \
             WITH ORDINALITY AS u(tag, n) GROUP BY n, SESSION(ts, INTERVAL '5' SECOND)",
            "1,2025-01-01T00:00:03,1 1,2025-01-01T00:00:14,1 2,2025-01-01T00:00:03,1 \
             2,2025-01-01T00:00:14,0 3,2025-01-01T00:00:14,1",
        ),
        (
            "SELECT window_start, SUM(id) AS ids FROM \
             CUMULATE(r, ts, INTERVAL '5' SECOND, INTERVAL '10' SECOND) GROUP BY window_start",
            "2025-01-01T00:00:00,6 2025-01-01T00:00:10,6",
        ),
        // The end alone, by which these windows are told apart.
        (
            "SELECT window_end, SUM(id) AS ids FROM \
             CUMULATE(r, ts, INTERVAL '5' SECOND, INTERVAL '10' SECOND) GROUP BY window_end",
            "2025-01-01T00:00:05,3 2025-01-01T00:00:10,3 2025-01-01T00:00:15,3 \
             2025-01-01T00:00:20,3",
        ),
        (
            "SELECT id, window_end FROM CUMULATE(r, ts, INTERVAL '5' SECOND, INTERVAL '10' SECOND) \
             WHERE id = 1",
            "1,2025-01-01T00:00:05 1,2025-01-01T00:00:10",
        ),
        // As many rows as there are windows, also where none of their bounds is asked for.
        (
            "SELECT id, COUNT(*) AS n FROM HOP(r, ts, INTERVAL '5' SECOND, INTERVAL '10' SECOND) \
             GROUP BY id",
            "1,2 2,2 3,2 4,2",
        ),
        (
            "SELECT COUNT(*) AS rows FROM (SELECT id FROM \
             CUMULATE(r, ts, INTERVAL '2' SECOND, INTERVAL '10' SECOND)) AS q",
            "16",
        ),
        (
            "SELECT MAX(id) AS last FROM r GROUP BY TUMBLE(ts, INTERVAL '10' SECOND) \
             ORDER BY window_end DESC LIMIT 1",
            "3",
        ),
        // Rows that are alike stand by event time, which is not among what is read of them.
        (
            "SELECT id, tag, n FROM (SELECT id, tags FROM r WHERE id > 0) AS q \
             CROSS JOIN UNNEST(tags) WITH ORDINALITY AS u(tag, n) WHERE n <= 2 ORDER BY n DESC",
            "1,a,1 1,b,2 3,,2 3,b,1 4,c,1",
        ),
        (
            "SELECT id, window_end FROM HOP(r, ts, INTERVAL '5' SECOND, INTERVAL '10' SECOND) \
             WHERE id > 2 ORDER BY window_end LIMIT 3",
            "3,2025-01-01T00:00:15 4,2025-01-01T00:00:05 4,2025-01-01T00:00:10",
        ),
    ];
    for (query, wanted) in cases {
        for cores in ["1", "3"] {
            let output = trefoil(&folder)
                .args(["run", "schema.sql", "-c", query, "--format", "csv"])
                .args(["--cores", cores])
                .output()
                .unwrap();
            assert!(output.status.success(), "{query}: {}", text(&output.stderr));
            let stdout = text(&output.stdout);
            let mut rows: Vec<&str> = stdout.lines().skip(1).collect();
            rows.sort_unstable();
            assert_eq!(rows.join(" "), wanted, "{query}, {cores} cores");
        }
    }
}

/// A row whose windows no TIMESTAMP can tell is still a row of the source where they are made.
#[test]
fn a_row_without_windows_is_left_out_and_counted() {
    let folder = Folder::new("apart-range");
    folder.write(
        "q.sql",
        "CREATE SOURCE r (id BIGINT, ts TIMESTAMP(9) NOT NULL)
         WITH (connector = 'file', path = 'r.ndjson', format = 'json', bad_data = 'skip');
         SELECT id, window_end FROM HOP(r, ts, INTERVAL '1' SECOND, INTERVAL '2' SECOND);",
    );
    folder.write(
        "r.ndjson",
        r#"{"id": 1, "ts": "2262-04-11T23:47:16.5"}
{"id": 2, "ts": "2025-01-01T00:00:00"}
"#,
    );
    let output = trefoil(&folder)
        .args(["run", "q.sql", "--format", "csv", "--stats", "stats.json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows = "2,2025-01-01T00:00:01\r\n2,2025-01-01T00:00:02\r\n";
    assert_eq!(text(&output.stdout), format!("id,window_end\r\n{rows}"));
    let input = &folder.json("stats.json")["queries"][0]["inputs"][0];
    assert_eq!(
        (&input["rows_failed"], &input["rows_applied"]),
        (&1.into(), &1.into())
    );
}
