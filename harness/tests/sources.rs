//! Sources of the binary: folders, patterns, bad records, system columns; with the files, notes and
//! exit codes that others' scripts read.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::process::Output;

use common::{Folder, run_script, text, trefoil};

fn run(folder: &Folder, cores: &str, sql: &str) -> Output {
    folder.write("q.sql", sql);
    trefoil(folder)
        .args(["run", "q.sql", "--cores", cores, "--format", "ndjson"])
        .args(["--stats", "stats.json"])
        .output()
        .unwrap()
}

const CORES: [&str; 3] = ["1", "2", "4"];

#[test]
fn folders_and_patterns() {
    let folder = Folder::new("folders");
    folder.write("in/b.json", "{\"n\":3}\n{\"n\":4}\n");
    folder.write("in/a.json", "{\"n\":1}\n{\"n\":2}");
    folder.write("in/.part", "{\"n\":99}\n");
    folder.write("in/c.txt", "{\"n\":5}\n");
    for cores in CORES {
        for (path, all) in [
            ("in", "1 2 3 4 5"),
            ("in/*.json", "1 2 3 4"),
            ("in/b*", "3 4"),
        ] {
            let sql = format!(
                "CREATE SOURCE r (n BIGINT) WITH \
                 (connector = 'file', format = 'json', path = '{path}');\n\
                 SELECT n FROM r;"
            );
            let output = run(&folder, cores, &sql);
            assert!(output.status.success(), "{}", text(&output.stderr));
            let want: String = all.split(' ').map(|n| format!("{{\"n\":{n}}}\n")).collect();
            assert_eq!(text(&output.stdout), want, "{path} on {cores} cores");
        }
        let none = "CREATE SOURCE r (n BIGINT) WITH \
                    (connector = 'file', format = 'json', path = 'in/*.csv');\n\
                    SELECT n FROM r;";
        let output = run(&folder, cores, none);
        assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("in/*.csv"));
    }
}

#[test]
fn bad_records() {
    let folder = Folder::new("bad");
    folder.write(
        "r.json",
        "{\"n\":1}\n{\"n\":\"x\"}\n{\"n\":2}\n{\"n\":1e99}\n\n{\"n\":3",
    );
    let source = |more: &str| {
        format!(
            "CREATE SOURCE r (n BIGINT) WITH \
             (connector = 'file', format = 'json', path = 'r.json'{more});\n\
             SELECT SUM(n) AS s, COUNT(*) AS c FROM r;"
        )
    };
    for cores in CORES {
        let failed = run(&folder, cores, &source(""));
        assert_eq!(failed.status.code(), Some(1));
        let told = text(&failed.stderr);
        assert!(told.contains("r.json:2: byte 8: "), "{told}");

        for (more, note) in [
            (", bad_data = 'skip'", "3 bad records left out"),
            (", bad_data = 'dlq'", "r.dlq.ndjson"),
            (", bad_data = 'dlq', dlq_path = 'told.json'", "told.json"),
        ] {
            let output = run(&folder, cores, &source(more));
            let told = text(&output.stderr);
            assert!(output.status.success(), "{told}");
            assert!(told.contains(note), "{told}");
            assert_eq!(text(&output.stdout), "{\"s\":3,\"c\":2}\n");
            let stats: serde_json::Value =
                serde_json::from_str(&folder.read("stats.json")).unwrap();
            let source = &stats["sources"][0];
            assert_eq!(source["rows_read"], 5);
            assert_eq!(
                (&source["rows_passed"], &source["rows_bad"]),
                (&2.into(), &3.into())
            );
            let input = &stats["queries"][0]["inputs"][0];
            assert_eq!(
                (&input["rows_in"], &input["rows_applied"]),
                (&2.into(), &2.into())
            );
        }
        assert_eq!(folder.read("r.dlq.ndjson"), folder.read("told.json"));
        let told: Vec<serde_json::Value> = folder
            .read("told.json")
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let raw: Vec<_> = told.iter().map(|t| t["raw"].as_str().unwrap()).collect();
        assert_eq!(raw, ["{\"n\":\"x\"}", "{\"n\":1e99}", "{\"n\":3"]);
        let at: Vec<_> = told.iter().map(|t| t["offset"].as_u64().unwrap()).collect();
        assert_eq!(at, [8, 26, 38]);
        assert!(
            told.iter()
                .all(|t| t["source"] == "r" && t["reason"].is_string())
        );
    }
    let useless = run(&folder, "1", &source(", dlq_path = 'x'"));
    assert_eq!(useless.status.code(), Some(3));
    assert!(text(&useless.stderr).contains("bad_data = 'dlq'"));
}

/// What is told of a bad record is the record, whatever its length, but for one that is too long.
#[test]
fn long_bad_records_are_told_whole() {
    let folder = Folder::new("long-bad");
    let long = |of: &str, times: usize| format!("{{\"n\":\"{}\"}}", of.repeat(times));
    let [kilobytes, megabytes] = [long("x", 50_000), long("\u{e4}", 1_500_000)];
    let lines = [
        kilobytes.as_str(),
        "{\"n\":1}",
        &megabytes,
        "{\"n\":2}",
        &long("y", 17 << 20),
        "{\"n\":3}",
    ];
    folder.write("r.json", &(lines.join("\n") + "\n"));
    let script = "CREATE SOURCE r (n BIGINT) WITH (connector = 'file', path = 'r.json', \
                  format = 'json', bad_data = 'dlq'); SELECT SUM(n) AS s FROM r;";
    for cores in ["1", "4"] {
        let output = run_script(&folder, script, &["--cores", cores]);
        assert_eq!(
            text(&output.stdout),
            "{\"s\":6}\n",
            "{}",
            text(&output.stderr)
        );
        let told = folder.read("r.dlq.ndjson");
        let told = told.lines().map(|l| serde_json::from_str(l).unwrap());
        let told: Vec<serde_json::Value> = told.collect();
        let raw: Vec<_> = told.iter().map(|t| t["raw"].as_str().unwrap()).collect();
        assert_eq!(raw.len(), 3);
        assert!(raw[0] == kilobytes && raw[1] == megabytes);
        assert_eq!(raw[2].len(), 4096);
    }
}

/// Rows on which an expression fails are as bad records: in what runs before and behind groups.
#[test]
fn failing_rows() {
    let folder = Folder::new("failing");
    folder.write(
        "r.json",
        "{\"k\":5,\"s\":\"1\"}\n{\"k\":2,\"s\":\"x\"}\n\
         {\"k\":0,\"s\":\"3\"}\n{\"k\":1,\"s\":\"4\"}\n",
    );
    let sql = |query: &str, more: &str| {
        format!(
            "CREATE SOURCE r (k BIGINT, s VARCHAR) WITH \
             (connector = 'file', format = 'json', path = 'r.json'{more});\n{query};"
        )
    };
    let cases = [
        (
            "SELECT 10 / k AS q FROM r",
            (3, 32, "division by zero", "{\"k\":0,\"s\":\"3\"}"),
            "{\"q\":2}\n{\"q\":5}\n{\"q\":10}\n",
        ),
        (
            "SELECT k FROM r WHERE CAST(s AS BIGINT) < 9",
            (2, 16, "\"x\" is no BIGINT", "{\"k\":2,\"s\":\"x\"}"),
            "{\"k\":5}\n{\"k\":0}\n{\"k\":1}\n",
        ),
        (
            "SELECT SUM(10 / k) AS q, COUNT(*) AS c FROM r",
            (3, 32, "division by zero", "{\"k\":0,\"s\":\"3\"}"),
            "{\"q\":17,\"c\":3}\n",
        ),
    ];
    for (cores, (query, (line, byte, reason, raw), rows)) in
        CORES.iter().flat_map(|c| cases.map(|case| (c, case)))
    {
        let failed = run(&folder, cores, &sql(query, ""));
        assert_eq!(failed.status.code(), Some(1));
        let told = text(&failed.stderr);
        let want = format!("source r: ./r.json:{line}: byte {byte}: {reason}");
        assert!(told.contains(&want), "{told}");
        for policy in ["skip", "dlq"] {
            let more = format!(", bad_data = '{policy}'");
            let output = run(&folder, cores, &sql(query, &more));
            let told = text(&output.stderr);
            assert!(output.status.success(), "{told}");
            assert!(
                told.contains("source r: 1 row on which an expression failed"),
                "{told}"
            );
            assert_eq!(text(&output.stdout), rows, "{query} on {cores} cores");
            let stats: serde_json::Value =
                serde_json::from_str(&folder.read("stats.json")).unwrap();
            let input = &stats["queries"][0]["inputs"][0];
            assert_eq!(
                (
                    &input["rows_in"],
                    &input["rows_failed"],
                    &input["rows_applied"]
                ),
                (&4.into(), &1.into(), &3.into())
            );
        }
        let letter: serde_json::Value = serde_json::from_str(&folder.read("r.dlq.ndjson")).unwrap();
        assert_eq!(
            (&letter["offset"], &letter["raw"]),
            (&byte.into(), &raw.into())
        );
        assert!(letter["reason"].as_str().unwrap().contains(reason));
    }
}

/// All queries of a run tell of bad records in one file; one that cannot be written ends the run
/// before anything is read.
#[test]
fn dead_letters_of_several_queries() {
    let folder = Folder::new("letters");
    folder.write("r.json", "{\"n\":1}\n{\"n\":\"x\"}\n{\"n\":2}\n");
    let sql = |path: &str| {
        format!(
            "CREATE SOURCE r (n BIGINT, m BIGINT) WITH (connector = 'file', format = 'json',
             path = 'r.json', bad_data = 'dlq', dlq_path = '{path}');
             SELECT n FROM r; SELECT m FROM r; SELECT SUM(n) AS s FROM r;"
        )
    };
    for cores in CORES {
        let output = run(&folder, cores, &sql("told.json"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let stats = folder.json("stats.json");
        let told = folder.read("told.json").lines().count();
        assert_eq!(stats["sources"][0]["rows_bad"], told);
        assert!(told >= 2, "{told}");
        assert!(text(&output.stderr).contains(": 1 bad record, written to"));
        assert_eq!(folder.temporary_files(), [""; 0]);
    }
    let output = run(&folder, "1", &sql("no-such-folder/told.json"));
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
}

#[test]
fn system_columns() {
    let folder = Folder::new("system");
    folder.write("r.json", "{\"n\":10}\n{\"n\":7}\n{\"n\":8}\n");
    let sql = "CREATE SOURCE r (n BIGINT) WITH \
               (connector = 'file', format = 'json', path = 'r.json');\n\
               SELECT n, _OFFSET AS o, _PARTITION AS p FROM r WHERE _TIMESTAMP IS NOT NULL;\n\
               SELECT * FROM r WHERE _OFFSET > 8;\n\
               SELECT MAX(_OFFSET) AS o, COUNT(_TIMESTAMP) AS t FROM r;";
    for cores in CORES {
        let output = run(&folder, cores, sql);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let want = "{\"n\":10,\"o\":0,\"p\":0}\n{\"n\":7,\"o\":9,\"p\":0}\n\
                    {\"n\":8,\"o\":17,\"p\":0}\n\
                    {\"n\":7}\n{\"n\":8}\n{\"o\":17,\"t\":3}\n";
        assert_eq!(text(&output.stdout), want, "{cores} cores");
    }
}

/// All options at once, over files of which each has the others' fields in another order.
#[test]
fn csv() {
    let folder = Folder::new("csv");
    let sql = |options: &str| {
        format!(
            "CREATE SOURCE r (n BIGINT NOT NULL, s VARCHAR, x DOUBLE) WITH \
             (connector = 'file', format = 'csv', path = 'in'{options});\n\
             SELECT n, s, x, _OFFSET AS o FROM r;"
        )
    };
    let rows = |output: &Output| -> Vec<String> {
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(str::to_owned).collect()
    };
    folder.write(
        "in/a.csv",
        "\u{feff}n,s,more,x\r\n1,\"a\n\"\"b\"\"\",,1.5\r\n",
    );
    folder.write("in/b.csv", "x,n,s\n,2,\n3,3,\"\"\n");
    let want = [
        r#"{"n":1,"s":"a\n\"b\"","x":1.5,"o":15}"#,
        r#"{"n":2,"s":null,"x":null,"o":39}"#,
        r#"{"n":3,"s":"","x":3.0,"o":43}"#,
    ];
    for cores in CORES {
        assert_eq!(rows(&run(&folder, cores, &sql(""))), want);
    }

    folder.write("in/b.csv", "x,n,S\n1,2,a\n");
    let output = run(&folder, "2", &sql(", bad_data = 'skip'"));
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("b.csv: column s: not among the file's columns (x, n, S)"));

    folder.write("in/a.csv", "# n; s; x\n1 ; 'it\\'s'; NA\r;\n2;'';0\r\n");
    folder.write("in/b.csv", "x;'a\nb';0\n3;4;5");
    let options = ", header = 'false', delimiter = ';', quote = '''', escape = '\\', \
                   comment = '#', null_string = 'NA', line_end = 'lf', blanks = 'trim'";
    for cores in CORES {
        let output = run(&folder, cores, &sql(options));
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("a.csv:2: byte 10: 4 fields where 3"),
            "{told}"
        );

        let dlq = format!("{options}, bad_data = 'dlq'");
        let want = [r#"{"n":3,"s":"4","x":5.0,"o":46}"#];
        assert_eq!(rows(&run(&folder, cores, &sql(&dlq))), want);
        let letters = folder.read("r.dlq.ndjson");
        let letters: Vec<serde_json::Value> = letters
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let raw: Vec<_> = letters.iter().map(|l| l["raw"].as_str().unwrap()).collect();
        let want = ["1 ; 'it\\'s'; NA\r;", "2;'';0\r", "x;'a\nb';0"];
        assert_eq!(raw, want);
    }
}

/// An exchange on the way to where rows are put in order takes none out of its place.
#[test]
fn rows_stand_in_order_behind_any_exchange() {
    let folder = Folder::new("hash-and-order");
    let record = |n: i64| format!("{{\"n\":{},\"k\":\"{}\"}}\n", n * 7919 % 10_007, n % 5);
    folder.write("r.json", &(0..20_000).map(record).collect::<String>());
    let source = "CREATE SOURCE r (n BIGINT, k VARCHAR) WITH (connector = 'file', \
                  path = 'r.json', format = 'json', partitioning = 'always_hash');";
    for query in [
        "SELECT n, k FROM r ORDER BY n OFFSET 19990",
        "SELECT n, k FROM r LIMIT 5",
        "SELECT k, SUM(n) AS s FROM r GROUP BY k ORDER BY k DESC",
        "SELECT n, ROW_NUMBER() OVER (ORDER BY k, n) AS p FROM r ORDER BY p LIMIT 9",
    ] {
        let printed = ["1", "2", "4"].map(|cores| {
            let output = run_script(
                &folder,
                &format!("{source} {query};"),
                &["--cores", cores, "--format", "csv"],
            );
            assert!(output.status.success(), "{}", text(&output.stderr));
            text(&output.stdout)
        });
        assert!(printed[0].lines().count() > 5, "{query}: {printed:?}");
        assert_eq!(printed[0], printed[1], "{query}");
        assert_eq!(printed[0], printed[2], "{query}");
    }
}

/// Groups stand by their own columns: nobody reads the event time for their sake.
#[test]
fn groups_in_order_need_no_event_time() {
    let folder = Folder::new("order-of-groups");
    folder.write(
        "r.json",
        "{\"k\":\"b\"}\n{\"k\":\"a\"}\n{\"k\":\"b\",\"t\":1}\n",
    );
    let sql = "CREATE SOURCE r (k VARCHAR, t TIMESTAMP(3) NOT NULL, WATERMARK FOR t) WITH \
               (connector = 'file', path = 'r.json', format = 'json');\
               SELECT k, COUNT(*) AS n FROM r GROUP BY k ORDER BY n LIMIT 5;";
    for cores in ["1", "2"] {
        let output = run_script(&folder, sql, &["--cores", cores, "--format", "csv"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "k,n\r\na,1\r\nb,2\r\n", "{cores}");
    }
}
