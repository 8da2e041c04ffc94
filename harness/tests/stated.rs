//! Columns and rows that the script itself states: GENERATED columns, VALUES, SELECT without FROM.

mod common;

use common::{Folder, run_script, text};

const TRADES: &str = r#"
{"symbol":"A","price":1.5,"volume":10,"raw":{"a":1},"at":"2024-01-01T23:59:58"}
{"symbol":"B","price":2.5,"volume":20,"raw":null,"at":"2024-01-01T23:59:59"}
{"symbol":"A","price":3.5,"volume":30,"raw":{"a":2},"at":"2024-01-02T00:01:02"}
{"symbol":"A","price":4.5,"volume":null,"raw":{"b":3},"at":"2024-01-02T00:07:02"}
"#;

const SOURCE: &str = "CREATE SOURCE trades (
    day DATE GENERATED ALWAYS AS (CAST(at AS DATE)) STORED,
    symbol VARCHAR NOT NULL, price DOUBLE, volume BIGINT, raw JSON,
    worth DECIMAL(10, 2) GENERATED ALWAYS AS (price * volume) STORED,
    a BIGINT GENERATED ALWAYS AS (raw->'a') STORED,
    at TIMESTAMP(3), WATERMARK FOR at AS at - INTERVAL '5' SECOND
) WITH (connector = 'file', path = 'trades.json', format = 'json');
";

fn results(folder: &Folder, script: &str, cores: &str) -> String {
    let output = run_script(folder, script, &["--format", "csv", "--cores", cores]);
    assert!(
        output.status.success(),
        "{script}: {}",
        text(&output.stderr)
    );
    text(&output.stdout).replace("\r\n", "\n")
}

#[track_caller]
fn refused(folder: &Folder, script: &str, why: &str) {
    let output = run_script(folder, script, &[]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains(why), "{why}: {error}");
}

#[test]
fn generated_columns_are_columns() {
    let folder = Folder::new("generated");
    folder.write("trades.json", TRADES);
    for (query, want) in [
        (
            "DESCRIBE trades; SELECT 1 AS x FROM trades LIMIT 0;",
            "name,type,nullable,note\nday,DATE,true,generated\nsymbol,VARCHAR,false,\n\
             price,DOUBLE,true,\nvolume,BIGINT,true,\nraw,JSON,true,\n\
             worth,\"DECIMAL(10, 2)\",true,generated\na,BIGINT,true,generated\n\
             at,TIMESTAMP(3),true,event time\nx\n",
        ),
        (
            "SELECT * FROM trades WHERE price < 3;",
            "day,symbol,price,volume,raw,worth,a,at\n\
             2024-01-01,A,1.5,10,\"{\"\"a\"\":1}\",15.00,1,2024-01-01T23:59:58\n\
             2024-01-01,B,2.5,20,,50.00,,2024-01-01T23:59:59\n",
        ),
        (
            "SELECT t.day, SUM(t.worth) AS w, COUNT(a) AS n FROM trades AS t GROUP BY t.day \
             ORDER BY day;",
            "day,w,n\n2024-01-01,65.00,1\n2024-01-02,105.00,1\n",
        ),
        (
            "SELECT day, worth, _OFFSET AS o FROM trades WHERE worth > 20 ORDER BY worth DESC \
             LIMIT 1;",
            "day,worth,o\n2024-01-02,105.00,158\n",
        ),
        (
            "SELECT symbol, window_start AS w, SUM(worth) AS s FROM trades \
             GROUP BY symbol, TUMBLE(INTERVAL '5' MINUTE) ORDER BY w, symbol;",
            "symbol,w,s\nA,2024-01-01T23:55:00,15.00\nB,2024-01-01T23:55:00,50.00\n\
             A,2024-01-02T00:00:00,105.00\nA,2024-01-02T00:05:00,\n",
        ),
        (
            "SELECT day, window_end AS e, COUNT(*) AS n FROM TUMBLE(trades, at, INTERVAL '1' DAY) \
             GROUP BY day, window_start, window_end ORDER BY day;",
            "day,e,n\n2024-01-01,2024-01-02T00:00:00,2\n2024-01-02,2024-01-03T00:00:00,2\n",
        ),
        (
            "SELECT x.symbol, y.worth FROM trades x \
             JOIN trades y ON x.day = y.day AND x.a < y.worth \
             ORDER BY y.worth;",
            "symbol,worth\nA,15.00\nA,50.00\nA,105.00\n",
        ),
        (
            "CREATE VIEW v AS SELECT *, worth * 2 AS twice FROM trades; \
             SELECT day, MAX(twice) AS m FROM v GROUP BY day ORDER BY m;",
            "day,m\n2024-01-01,100.00\n2024-01-02,210.00\n",
        ),
        (
            "SELECT symbol, SUM(worth) AS s FROM trades WHERE a > 0 GROUP BY symbol EMIT CHANGES;",
            "op,symbol,s\n+I,A,15.00\n-U,A,15.00\n+U,A,120.00\n",
        ),
    ] {
        for cores in ["1", "2", "4"] {
            let got = results(&folder, &(SOURCE.to_owned() + query), cores);
            assert_eq!(got, want, "{query} at {cores}");
        }
    }
}

/// A row on which a generated column fails is as any on which an expression fails.
#[test]
fn what_cannot_be_computed_is_a_bad_row() {
    let folder = Folder::new("generated_bad");
    folder.write("r.json", "{\"v\":2}\n{\"v\":0}\n{\"v\":5}\n");
    let script = |more: &str| {
        format!(
            "CREATE SOURCE r (v BIGINT, w BIGINT GENERATED ALWAYS AS (10 / v) STORED) WITH \
             (connector = 'file', path = 'r.json', format = 'json'{more}); SELECT v, w FROM r;"
        )
    };
    let output = run_script(&folder, &script(""), &[]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains("byte 8") && error.contains("zero"),
        "{error}"
    );
    let skipped = script(", bad_data = 'skip'");
    assert_eq!(results(&folder, &skipped, "2"), "v,w\n2,5\n5,2\n");
}

#[test]
fn wrong_generated_columns_are_refused_where_they_stand() {
    let folder = Folder::new("generated_wrong");
    folder.write("trades.json", TRADES);
    let with = "WITH (connector = 'file', path = 'trades.json', format = 'json')";
    for (columns, why) in [
        (
            "v BIGINT, w BIGINT GENERATED ALWAYS AS (u + 1) STORED",
            "column \"u\" does not exist",
        ),
        (
            "v BIGINT, w BIGINT GENERATED ALWAYS AS (v) STORED, \
             x BIGINT GENERATED ALWAYS AS (w) STORED",
            "column \"w\" does not exist",
        ),
        (
            "v BIGINT, w BIGINT GENERATED ALWAYS AS (SUM(v)) STORED",
            "SUM",
        ),
        (
            "v BIGINT, w BIGINT NOT NULL GENERATED ALWAYS AS (v) STORED",
            "NOT NULL of a GENERATED column",
        ),
        (
            "w BIGINT GENERATED ALWAYS AS (1) STORED",
            "at least one column that is read",
        ),
        (
            "v BIGINT, w VARCHAR(3) GENERATED ALWAYS AS (UPPER(CAST(v AS VARCHAR))) STORED",
            "a GENERATED column of VARCHAR(3) is not supported yet",
        ),
        (
            "v BIGINT, w BIGINT GENERATED ALWAYS AS ((SELECT 1)) STORED",
            "GENERATED by a subquery",
        ),
        (
            "v BIGINT, w DOUBLE GENERATED ALWAYS AS (v + RANDOM()) STORED",
            "GENERATED by RANDOM",
        ),
        (
            "v BIGINT, w DATE GENERATED ALWAYS AS (v > 1) STORED",
            "BOOLEAN cannot be cast to DATE",
        ),
        (
            "v BIGINT, t TIMESTAMP(3) GENERATED ALWAYS AS (TO_TIMESTAMP(v)) STORED, \
             WATERMARK FOR t",
            "\"t\" is GENERATED",
        ),
    ] {
        let script = format!("CREATE SOURCE r ({columns}) {with}; SELECT * FROM r;");
        refused(&folder, &script, why);
    }
}

#[test]
fn rows_that_a_query_states() {
    let folder = Folder::new("stated");
    folder.write("trades.json", TRADES);
    for (query, want) in [
        ("SELECT 1 AS one, 'x' AS x, NULL AS n;", "one,x,n\n1,x,\n"),
        (
            "SELECT 1 + 2.5 AS s, UPPER('a') || 'b' AS t WHERE 2 > 1;",
            "s,t\n3.5,Ab\n",
        ),
        ("SELECT 1 AS one WHERE false;", "one\n"),
        ("SELECT COUNT(*) AS n, MAX(3) AS m;", "n,m\n1,3\n"),
        (
            "VALUES (1, 'a'), (2, NULL), (NULL, 'c') ORDER BY column1 DESC NULLS LAST;",
            "column1,column2\n2,\n1,a\n,c\n",
        ),
        (
            "SELECT s, SUM(i) AS n FROM (VALUES (1, 'a'), (2, 'b'), (3, 'a')) AS v(i, s) \
             GROUP BY s \
             ORDER BY s;",
            "s,n\na,4\nb,2\n",
        ),
        (
            "WITH v(s, name) AS (VALUES ('A', 'first'), ('C', 'third')) \
             SELECT name, COUNT(*) AS n FROM trades JOIN v ON v.s = trades.symbol GROUP BY name;",
            "name,n\nfirst,3\n",
        ),
        (
            "SELECT symbol FROM trades WHERE symbol IN (VALUES ('B'), ('D'));",
            "symbol\nB\n",
        ),
        (
            "SELECT 1 AS a UNION ALL SELECT 2 UNION ALL VALUES (3) ORDER BY a DESC;",
            "a\n3\n2\n1\n",
        ),
        (
            "CREATE VIEW two AS VALUES (1), (2.5); SELECT SUM(column1) AS s FROM two;",
            "s\n3.5\n",
        ),
    ] {
        for cores in ["1", "2", "4"] {
            let got = results(&folder, &(SOURCE.to_owned() + query), cores);
            assert_eq!(got, want, "{query} at {cores}");
        }
    }
    refused(&folder, "VALUES (1, 2), (3);", "VALUES");
    refused(&folder, "VALUES (1), ('a');", "a");
    refused(&folder, "SELECT *;", "\"*\" without FROM");
    refused(&folder, "SELECT x;", "column \"x\" does not exist");
    refused(
        &folder,
        "CREATE SINK s (a BIGINT, b BIGINT GENERATED ALWAYS AS (a) STORED) \
         WITH (connector = 'print');",
        "a sink has no GENERATED column",
    );
    let many = format!("VALUES {};", ["(1)"; 1001].join(", "));
    refused(&folder, &many, "VALUES of 1001 rows");
}
