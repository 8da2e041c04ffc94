//! One tree, one text: what is printed reads as the same tree, every spelling of a thing prints
//! the same, and no text makes the reader panic.

#![allow(clippy::unwrap_used)]

mod forms;
mod generate;

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use trefoil::SourceFile;
use trefoil::syntax::{Statement, parse};

fn file(text: &str) -> SourceFile {
    SourceFile {
        name: "q.sql".into(),
        text: text.into(),
        base: PathBuf::new(),
    }
}

fn read(text: &str) -> Vec<Statement> {
    parse(&file(text)).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

fn print(statements: &[Statement]) -> String {
    let texts: Vec<_> = statements.iter().map(ToString::to_string).collect();
    texts.join(";\n")
}

/// The canonical text of one statement.
fn canonical(text: &str) -> String {
    print(&read(text))
}

fn check_round_trip(text: &str) {
    let first = read(text);
    let printed = print(&first);
    let second = parse(&file(&printed)).unwrap_or_else(|e| panic!("{text}\n{printed}\n{e}"));
    assert_eq!(first, second, "{text}\n{printed}");
    assert_eq!(printed, print(&second));
}

/// Every line is one statement in several spellings; the last is the canonical one.
const SPELLINGS: [&[&str]; 26] = [
    &["select A, \"b\" from T", "SELECT a, \"b\" FROM t"],
    &[
        "CREATE STREAM s (a STRING) WITH (connector='file')",
        "CREATE SOURCE s (a VARCHAR) WITH (connector = 'file')",
    ],
    &[
        "CREATE TABLE t (a INT8 PRIMARY KEY, b BOOL NOT NULL)",
        "CREATE TABLE t (a BIGINT, b BOOLEAN NOT NULL, PRIMARY KEY (a))",
    ],
    &[
        "create source s (a struct<b double precision, c struct<d int4>>, e float8[][]) with (x = 1)",
        "CREATE SOURCE s (a STRUCT<b DOUBLE, c STRUCT<d INT>>, e DOUBLE[][]) WITH (x = '1')",
    ],
    &[
        "SELECT 1 FROM t GROUP BY TUMBLING(ts, INTERVAL '5' MINUTE)",
        "SELECT 1 FROM t GROUP BY tumble(ts, INTERVAL '5' MINUTE)",
    ],
    &[
        "SELECT 1 FROM t GROUP BY SLIDING(ts, INTERVAL '9' HOUR, INTERVAL '1' HOUR)",
        "SELECT 1 FROM t GROUP BY SLIDE(ts, INTERVAL '9' HOUR, INTERVAL '1' HOUR)",
        "SELECT 1 FROM t GROUP BY hop(ts, INTERVAL '1' HOUR, INTERVAL '9' HOUR)",
    ],
    &[
        "SELECT 1 FROM t GROUP BY SLIDING(INTERVAL '9' HOUR, INTERVAL '1' HOUR)",
        "SELECT 1 FROM t GROUP BY hop(INTERVAL '1' HOUR, INTERVAL '9' HOUR)",
    ],
    &[
        "SELECT 1 FROM t GROUP BY k, SESSIONS(ts, INTERVAL '1' HOUR)",
        "SELECT 1 FROM t GROUP BY k, session(ts, INTERVAL '1' HOUR)",
    ],
    &[
        "SELECT * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTE)) AS w",
        "SELECT * FROM TABLE(TUMBLE(size => INTERVAL '5' MINUTE, data => TABLE t, timecol => DESCRIPTOR(ts))) w",
        "SELECT * FROM TUMBLE(t, ts, INTERVAL '5' MINUTE) AS w",
    ],
    &[
        "SELECT * FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '2' HOUR))",
        "SELECT * FROM SLIDING(t, ts, INTERVAL '2' HOUR, INTERVAL '1' HOUR)",
        "SELECT * FROM hop(t, ts, INTERVAL '1' HOUR, INTERVAL '2' HOUR)",
    ],
    &[
        "SELECT 1 FROM t EMIT FINAL",
        "SELECT 1 FROM t EMIT ON WINDOW CLOSE",
    ],
    &[
        "SELECT 1 FROM t emit changes;",
        "SELECT 1 FROM t EMIT CHANGES",
    ],
    &["SELECT 1 FROM t EMIT EVERY INTERVAL '1' SECOND"],
    &["SHOW STREAMS", "SHOW SOURCES"],
    &[
        "SET trefoil.state_ttl TO '1 hour'",
        "SET state_ttl = '1 hour'",
    ],
    &["SHOW trefoil.read", "SHOW read"],
    &["DESC t", "DESCRIBE TABLE t", "DESCRIBE t"],
    &[
        "DROP STREAM IF EXISTS a, b RESTRICT",
        "DROP SOURCE IF EXISTS a, b",
    ],
    &["SUBSCRIBE TO v", "SUBSCRIBE v"],
    &[
        "EXPLAIN ANALYZE (FORMAT JSON) SELECT 1 FROM t",
        "EXPLAIN (ANALYZE, FORMAT json) SELECT 1 FROM t",
        "EXPLAIN ANALYZE (FORMAT json) SELECT 1 FROM t",
    ],
    &["FETCH NEXT FROM c", "FETCH 1 FROM c"],
    &["CREATE INDEX ON v (a)", "CREATE INDEX v_a_idx ON v (a)"],
    &["DESC \"T\"", "DESCRIBE TABLE \"T\""],
    &[
        "SELECT DISTINCT ON (k) k, a AS b FROM t ORDER BY k, a DESC LIMIT 3",
        "SELECT k, a AS b FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY k, a DESC) = 1 \
         ORDER BY k, a DESC LIMIT 3",
    ],
    &[
        "SELECT * FROM (SELECT DISTINCT ON (k) k, a FROM t ORDER BY k, a) AS u",
        "SELECT * FROM (SELECT k, a FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY k, a) \
         = 1) AS u",
    ],
    &["CREATE VIEW \"Select\" AS SELECT 1 FROM \"T\""],
];

#[test]
fn spellings_of_one_thing_print_the_same() {
    for spellings in SPELLINGS {
        let last = canonical(spellings[spellings.len() - 1]);
        for spelling in spellings {
            assert_eq!(canonical(spelling), last, "{spelling}");
            check_round_trip(spelling);
        }
    }
    let text = canonical(SPELLINGS[9][0]);
    assert_eq!(
        text,
        "SELECT * FROM hop(t, ts, INTERVAL '1' HOUR, INTERVAL '2' HOUR)"
    );
}

/// What the fuzzer found: each was printed as something else, or as nothing that can be read.
#[test]
fn findings_round_trip_or_are_refused() {
    check_round_trip("SELECT @ @ a, - @ b, ~ ~ c, ~ - d FROM t");
    for wrong in [
        "SELECT 1 FROM t GROUP BY one. 3",
        r#"SELECT a """""" FROM t"#,
        "SELECT a FROM t '''''' JOIN u ON TRUE",
        "SELECT a AS '''''' FROM t",
        "SELECT t.'a''' FROM t",
    ] {
        assert!(parse(&file(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn the_files_of_the_tests_round_trip() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../harness/tests/fr082");
    let mut files = vec![root.join("schema.sql")];
    files.extend(
        std::fs::read_dir(root.join("queries"))
            .unwrap()
            .map(|e| e.unwrap().path()),
    );
    files.retain(|p| p.extension().is_some_and(|e| e == "sql") && !p.ends_with("02_malformed.sql"));
    assert!(files.len() > 15);
    for path in files {
        check_round_trip(&std::fs::read_to_string(path).unwrap());
    }
}

#[test]
fn emit_may_be_a_name_where_it_begins_no_clause() {
    for text in [
        "SELECT emit FROM t",
        "SELECT t.emit AS emit FROM t EMIT CHANGES",
        "SELECT a AS emit FROM emit",
        "SELECT a FROM t AS emit",
    ] {
        check_round_trip(text);
    }
}

/// Of the rarer forms these are refused by the reader.
#[test]
fn every_form_is_read_but_for_these() {
    let refused: Vec<String> = (forms::each().into_iter())
        .filter(|text| parse(&file(text)).map(|_| check_round_trip(text)).is_err())
        .collect();
    insta::assert_snapshot!(refused.join("\n"), @"SELECT ARRAY[1, 2], STRUCT(a, b), ROW(1, 2), MAP {'a': 1} FROM t");
}

fn config() -> ProptestConfig {
    let found = FileFailurePersistence::Direct("tests/syntax/regressions.txt");
    ProptestConfig {
        cases: 768,
        failure_persistence: Some(Box::new(found)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_printed_reads_as_the_same_tree(text in generate::statement()) {
        check_round_trip(&text);
    }

    #[test]
    fn rarer_forms_read_as_the_same_tree(text in forms::statement()) {
        if parse(&file(&text)).is_ok() {
            check_round_trip(&text);
        }
    }

    #[test]
    fn broken_text_is_read_or_refused(text in generate::broken()) {
        if let Ok(statements) = parse(&file(&text)) {
            let printed = print(&statements);
            let again = parse(&file(&printed)).map_err(|e| TestCaseError::fail(format!("{text}\n{printed}\n{e}")))?;
            prop_assert_eq!(print(&again), printed, "{}", text);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-zA-Z0-9 \"'`$();,.<>=!:\\-+*/\\[\\]{}|&%^#@~?\\\\\n]{0,80}|\\PC{0,40}") {
        let _ = parse(&file(&text));
    }
}
