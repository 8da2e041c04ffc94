//! Columns that are read from texts with a form of their own: INTERVAL, VARCHAR(n), JSON and BYTEA,
//! out of every format that has them.

mod common;

use common::{Folder, run_script, text};

const COLUMNS: &str = "id BIGINT, lasted INTERVAL, code VARCHAR(3), body JSON, raw BYTEA";

const NDJSON: &str = r#"
{"id":1,"lasted":"1 mon -2 days +03:04:05.5","body":{"a":[1, 2]},"code":"äöü"}
{"id":2,"lasted":"PT90M","code":"","body":"x","raw":""}
{"id":3,"lasted":null,"code":null,"body":null,"raw":null}
{"lasted":"90 minutes","id":4,"code":"abc","body":1.50,"raw":"A0"}
"#;

const CSV: &str = "id,lasted,code,body,raw\n\
    1,1 mon -2 days +03:04:05.5,äöü,\"{\"\"a\"\":[1, 2]}\",\n\
    2,PT90M,\"\",\"\"\"x\"\"\",00\n\
    3,,,null,\n\
    4,90 minutes,abc,1.50,A0\n";

fn source(format: &str, more: &str) -> String {
    format!(
        "CREATE SOURCE r ({COLUMNS}) WITH (connector = 'file', format = '{format}', \
         path = 'r.{format}'{more});\n"
    )
}

const TEXTS: &str = "CREATE SOURCE r (id BIGINT, body VARCHAR) WITH (
    connector = 'file', format = 'json', path = 'r.json');\n";

fn results(folder: &Folder, script: &str, options: &[&str]) -> String {
    let output = run_script(folder, script, options);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn values_are_the_same_from_every_format() {
    let folder = Folder::new("texts");
    folder.write("r.json", NDJSON);
    folder.write("r.csv", CSV);
    let all = "SELECT id, lasted, body->'a'->1 AS a, body, ENCODE(raw, 'hex') AS raw FROM r;";
    let want = |empty: &str| {
        [
            r#"{"id":1,"lasted":"1 mon -2 days +03:04:05.5","a":2,"body":{"a":[1, 2]},"raw":null}"#,
            &format!(r#"{{"id":2,"lasted":"01:30:00","a":null,"body":"x","raw":"{empty}"}}"#),
            r#"{"id":3,"lasted":null,"a":null,"body":null,"raw":null}"#,
            r#"{"id":4,"lasted":"01:30:00","a":null,"body":1.50,"raw":"a0"}"#,
            "",
        ]
        .join("\n")
    };
    for cores in ["1", "2"] {
        let options = ["--format", "ndjson", "--cores", cores];
        let of = |format| results(&folder, &(source(format, "") + all), &options);
        assert_eq!(of("json"), want(""), "{cores}");
        assert_eq!(of("csv"), want("00"), "{cores}");
    }
}

/// A constant beside bytes is of their form.
#[test]
fn bytes_are_compared_with_digits() {
    let folder = Folder::new("texts_bytes");
    folder.write("r.json", &NDJSON.replace("\"A0\"", r#""\\xA0""#));
    let some = r"SELECT id FROM r WHERE raw = '\xa0' OR raw IN ('\x', '\xff') OR '\x01' = raw;";
    let rows = results(&folder, &(source("json", "") + some), &["--format", "csv"]);
    assert_eq!(rows, "id\r\n2\r\n4\r\n");
}

#[test]
fn intervals_are_keys_values_and_columns_of_files() {
    let folder = Folder::new("intervals");
    folder.write("r.json", NDJSON);
    let options = ["--format", "csv"];
    let totals = "SELECT lasted, COUNT(*) AS n, MAX(id) AS last FROM r GROUP BY lasted \
                  HAVING lasted IS NULL OR lasted < INTERVAL '1 year' ORDER BY lasted NULLS LAST;";
    let want = "lasted,n,last\r\n01:30:00,2,4\r\n1 mon -2 days +03:04:05.5,1,1\r\n,1,3\r\n";
    let script = source("json", "") + totals;
    assert_eq!(results(&folder, &script, &options), want);

    let copy = "CREATE SINK c WITH (connector = 'file', path = 'r.arrow', format = 'arrow') \
                AS SELECT id, lasted, code, raw FROM r;";
    results(&folder, &(source("json", "") + copy), &[]);
    let columns = COLUMNS.replace(" body JSON,", "");
    let copied = format!(
        "CREATE SOURCE r ({columns}) WITH (connector = 'file', format = 'arrow', \
         path = 'r.arrow');\n"
    );
    assert_eq!(results(&folder, &(copied.clone() + totals), &options), want);

    let short = copied.replace("VARCHAR(3)", "VARCHAR(2)");
    let codes = "SELECT id FROM r WHERE code IS NOT NULL OR id > 0 ORDER BY id;";
    let output = run_script(&folder, &(short.clone() + codes), &options);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("column code: a text is too long for VARCHAR(2)"),
        "{error}"
    );
    let skipped = short.replace(".arrow')", ".arrow', bad_data = 'skip')");
    assert_eq!(
        results(&folder, &(skipped + codes), &options),
        "id\r\n2\r\n3\r\n"
    );
}

/// A text of a file of columns is JSON where the column is declared so, or a bad row.
#[test]
fn json_of_files_of_columns_is_as_of_others() {
    let folder = Folder::new("texts_columns");
    let texts = [
        r#"{"id":1,"body":" {\"a\":[1, 2]} "}"#,
        r#"{"id":2,"body":"\"x\""}"#,
        r#"{"id":3,"body":"null"}"#,
        r#"{"id":4,"body":"{\"a\":"}"#,
    ];
    folder.write("r.json", &texts.join("\n"));
    let copies = ["arrow", "parquet"].map(|format| {
        format!(
            "CREATE SINK c{format} WITH (connector = 'file', path = 'r.{format}', \
             format = '{format}') AS SELECT id, body FROM r;\n"
        )
    });
    results(&folder, &(TEXTS.to_owned() + &copies.concat()), &[]);
    let all = "SELECT id, body->'a'->1 AS a, body FROM r;";
    let want = [
        r#"{"id":1,"a":2,"body":{"a":[1, 2]}}"#,
        r#"{"id":2,"a":null,"body":"x"}"#,
        r#"{"id":3,"a":null,"body":null}"#,
        "",
    ]
    .join("\n");
    for format in ["arrow", "parquet"] {
        let script = |more: &str| {
            format!(
                "CREATE SOURCE r (id BIGINT, body JSON) WITH (connector = 'file', \
                 format = '{format}', path = 'r.{format}'{more});\n{all}"
            )
        };
        let skipped = script(", bad_data = 'skip'");
        assert_eq!(results(&folder, &skipped, &["--format", "ndjson"]), want);
        let output = run_script(&folder, &script(""), &[]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("column body: a text is no JSON"), "{error}");
    }
}

#[test]
fn lists_and_structs_of_csv_are_json() {
    let folder = Folder::new("texts_nested");
    let csv = "id,tags,lot\r\n\
        1,\"[\"\"a\"\",null,\"\"b,c\"\"]\",\"{\"\"size\"\":7,\"\"venue\"\":\"\"x\"\"}\"\r\n\
        2,[],{}\r\n\
        3,,null\r\n\
        4,\"[\"\"d\"\"]\",\r\n";
    folder.write("r.csv", csv);
    let source = |more: &str| {
        format!(
            "CREATE SOURCE r (id BIGINT, tags VARCHAR[], lot STRUCT<venue VARCHAR, size INT>) \
             WITH (connector = 'file', format = 'csv', path = 'r.csv'{more});\n"
        )
    };
    let all = "SELECT id, tags, lot FROM r;";
    let want = [
        r#"{"id":1,"tags":["a",null,"b,c"],"lot":{"venue":"x","size":7}}"#,
        r#"{"id":2,"tags":[],"lot":{"venue":null,"size":null}}"#,
        r#"{"id":3,"tags":null,"lot":null}"#,
        r#"{"id":4,"tags":["d"],"lot":null}"#,
        "",
    ]
    .join("\n");
    for cores in ["1", "2"] {
        let options = ["--format", "ndjson", "--cores", cores];
        assert_eq!(results(&folder, &(source("") + all), &options), want);
    }
    let tags = "SELECT u.tag, COUNT(*) AS n FROM r, UNNEST(r.tags) AS u(tag) GROUP BY u.tag \
                ORDER BY u.tag NULLS LAST;";
    let counted = results(&folder, &(source("") + tags), &["--format", "csv"]);
    assert_eq!(counted, "tag,n\r\na,1\r\n\"b,c\",1\r\nd,1\r\n,1\r\n");

    // What was written is read again.
    let written = results(&folder, &(source("") + all), &["--format", "csv"]);
    folder.write("r.csv", &written);
    let options = ["--format", "ndjson"];
    assert_eq!(results(&folder, &(source("") + all), &options), want);

    for (bad, why) in [
        ("5,[1],", "column tags: expected VARCHAR, found 1"),
        ("5,a,", "column tags: expected value at byte 1"),
        (
            "5,[],\"{\"\"size\"\":1e9}\"",
            "column lot: expected INTEGER, found",
        ),
        ("5,[] [],", "column tags: trailing characters at byte 4"),
        ("5,{},", "column tags: expected an array, found an object"),
    ] {
        folder.write("r.csv", &format!("{csv}{bad}\r\n"));
        let output = run_script(&folder, &(source("") + all), &[]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains(why) && error.contains("r.csv:6:"),
            "{why}: {error}"
        );
        let skipped = source(", bad_data = 'skip'") + all;
        assert_eq!(results(&folder, &skipped, &options), want);
    }
}

#[test]
fn what_is_none_is_a_bad_record() {
    let folder = Folder::new("texts_bad");
    let bad = [
        (
            r#"{"id":5,"code":"abcd"}"#,
            "5,,abcd,,",
            "\"abcd\" is too long for VARCHAR(3)",
        ),
        (
            r#"{"id":5,"lasted":"soon"}"#,
            "5,soon,,,",
            "invalid interval \"soon\"",
        ),
        (
            r#"{"id":5,"raw":"0"}"#,
            "5,,,,0",
            "expected BINARY in hexadecimal, found \"0\"",
        ),
        (
            r#"{"id":5,"lasted":"9999999999 years"}"#,
            "5,9999999999 years,,,",
            "\"9999999999 years\" is out of range for INTERVAL",
        ),
    ];
    let all = "SELECT id, lasted, code, body, raw FROM r;";
    for (json, csv, want) in bad {
        folder.write("r.json", &format!("{NDJSON}{json}\n"));
        folder.write("r.csv", &format!("{CSV}{csv}\n"));
        for (format, line) in [("json", 6), ("csv", 6)] {
            let output = run_script(&folder, &(source(format, "") + all), &[]);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{error}");
            assert!(error.contains(want), "{want}: {error}");
            assert!(error.contains(&format!("r.{format}:{line}")), "{error}");
            let skip = source(format, ", bad_data = 'skip'") + all;
            let rows = results(&folder, &skip, &["--format", "csv"]);
            assert_eq!(rows.lines().count(), 5, "{rows}");
            assert!(!rows.lines().any(|l| l.starts_with("5,")), "{rows}");
        }
    }
    folder.write("r.csv", &format!("{CSV}5,,,{{a}},\n"));
    let output = run_script(
        &folder,
        &(source("csv", "") + all.replace("id", "body").as_str()),
        &[],
    );
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("expected JSON, found \"{a}\""), "{error}");
}
