//! Sinks of a script: files that are whole or not there, standard output, print, blackhole; what
//! feeds them, and what is refused.

mod common;

use std::process::Output;

use arrow_ipc::reader::StreamReader;
use common::{Folder, run_script, text};

const SOURCE: &str = "CREATE SOURCE r (n BIGINT, s VARCHAR) \
                      WITH (connector = 'file', format = 'json', path = 'r.json');\n";

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    let records = ["{\"n\":1,\"s\":\"a\"}", "{\"n\":2,\"s\":\"\"}", "{\"n\":3}"];
    folder.write("r.json", &(records.join("\n") + "\n"));
    folder
}

fn run(folder: &Folder, sql: &str, options: &[&str]) -> Output {
    run_script(folder, &format!("{SOURCE}{sql}"), options)
}

fn runs(folder: &Folder, sql: &str, options: &[&str]) -> Output {
    let output = run(folder, sql, options);
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

#[test]
fn files_take_all_that_feeds_them() {
    let folder = folder("sink-files");
    for cores in ["1", "2"] {
        let sql = "CREATE SINK j WITH (connector = 'file', path = 'j.ndjson', format = 'json');
            CREATE SINK c (\"N\" BIGINT, t VARCHAR)
                WITH (connector = 'single_file', path = 'c.csv', format = 'csv');
            CREATE SINK a WITH (connector = 'file', path = 'a.arrow', format = 'arrow')
                AS SELECT COUNT(*) AS c, SUM(n) AS s FROM r;
            CREATE VIEW v AS SELECT n + 1 AS m FROM r WHERE n > 1;
            CREATE SINK f FROM v WITH (connector = 'file', path = 'f.ndjson', format = 'json');
            INSERT INTO j SELECT n FROM r;
            INSERT INTO c (t, \"N\") SELECT s, n FROM r;
            SELECT COUNT(*) AS c FROM r;
            INSERT INTO j SELECT n FROM r WHERE n > 2;
            INSERT INTO c SELECT n * 10, s FROM r;";
        let options = ["--cores", cores, "--stats", "stats.json", "--limit", "1"];
        let output = runs(&folder, sql, &options);
        assert_eq!(text(&output.stdout), "{\"c\":3}\n");
        // One result is printed: nobody has to tell several apart.
        assert!(
            !text(&output.stderr).contains("SELECT"),
            "{}",
            text(&output.stderr)
        );
        assert_eq!(
            folder.read("j.ndjson"),
            "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":3}\n"
        );
        let csv = "N,t\r\n1,a\r\n2,\"\"\r\n3,\r\n10,a\r\n20,\"\"\r\n30,\r\n";
        assert_eq!(folder.read("c.csv"), csv);
        assert_eq!(folder.read("f.ndjson"), "{\"m\":3}\n{\"m\":4}\n");
        let bytes = std::fs::read(folder.0.join("a.arrow")).unwrap();
        let mut batches = StreamReader::try_new(&bytes[..], None).unwrap();
        assert_eq!(batches.next().unwrap().unwrap().num_rows(), 1);
        let stats = folder.json("stats.json");
        assert!(stats.get("failed").is_none());
        let out = (0..6).map(|i| stats["queries"][i]["rows_out"].as_u64().unwrap());
        assert_eq!(out.collect::<Vec<_>>(), [1, 2, 3, 3, 1, 1]);
        assert_eq!(folder.temporary_files(), [""; 0]);
    }
}

#[test]
fn rows_go_to_standard_output_or_nowhere() {
    let folder = folder("sink-streams");
    let sql = "CREATE SINK o WITH (connector = 'stdout', format = 'csv');
        CREATE SINK d WITH (connector = 'stdout') AS SELECT n FROM r WHERE n = 1;
        CREATE SINK p WITH (connector = 'print');
        CREATE SINK b WITH (connector = 'blackhole');
        INSERT INTO o SELECT n FROM r WHERE n < 3;
        INSERT INTO b SELECT n FROM r;
        INSERT INTO p SELECT n FROM r;";
    let options = [
        "--stats",
        "stats.json",
        "--format",
        "markdown",
        "--limit",
        "2",
    ];
    let output = runs(&folder, sql, &options);
    let want = "{\"n\":1}\nn\r\n1\r\n2\r\n| n |\n| ---: |\n| 1 |\n| 2 |\n";
    assert_eq!(text(&output.stdout), want);
    let stats = folder.json("stats.json");
    assert_eq!(stats["queries"][2]["rows_out"], 3);
    let elsewhere = [&options[..], &["--output", "out.md"]].concat();
    let output = runs(&folder, sql, &elsewhere);
    assert_eq!(text(&output.stdout), "{\"n\":1}\nn\r\n1\r\n2\r\n");
    assert_eq!(folder.read("out.md"), "| n |\n| ---: |\n| 1 |\n| 2 |\n");
}

/// A file is not there before all of its rows are.
#[test]
fn a_run_that_fails_leaves_no_file() {
    let folder = folder("sink-fails");
    folder.write("bad.json", "{\"n\":1}\n{\"n\":\"x\"}\n");
    let sql = "CREATE SOURCE bad (n BIGINT)
            WITH (connector = 'file', format = 'json', path = 'bad.json');
        CREATE SINK o WITH (connector = 'file', path = 'o.ndjson', format = 'json');
        INSERT INTO o SELECT n FROM r; INSERT INTO o SELECT n FROM bad;";
    let output = run(&folder, sql, &["--stats", "stats.json"]);
    let stats = folder.json("stats.json");
    let failed = stats["failed"].as_str().unwrap();
    assert!(failed.contains("bad.json:2"), "{failed}");
    assert!(text(&output.stderr).contains(failed));
    assert_eq!(stats["queries"].as_array().unwrap().len(), 1);
    assert_eq!(stats["sources"][0]["rows_read"], 3);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(!folder.exists("o.ndjson"));
    assert_eq!(folder.temporary_files(), [""; 0]);

    for (path, code) in [("/no-such-folder/o", 4), ("/dev/full", 1)] {
        let sql = format!(
            "SELECT n FROM r; CREATE SINK o WITH (connector = 'file', path = '{path}',
             format = 'json') AS SELECT n FROM r;"
        );
        let output = run(&folder, &sql, &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(path), "{said}");
        assert_eq!(
            output.stdout.is_empty(),
            code == 4,
            "opened before anything runs"
        );
    }
}

const FEED: &str = "INSERT INTO o SELECT n FROM r";

#[test]
fn what_a_sink_cannot_take_is_refused() {
    let folder = folder("sink-refused");
    let file = |more: &str| {
        format!("CREATE SINK o {more} WITH (connector = 'file', path = 'o', format = 'json');\n")
    };
    let with = |options: &str| format!("CREATE SINK o WITH ({options});\n");
    for (create, feed, said) in [
        (
            with("connector = 'kafka', topic = 't', bootstrap_servers = 'b', format = 'json'"),
            FEED,
            "E0301",
        ),
        (
            with("connector = 'file', path = 'o', format = 'avro'"),
            FEED,
            "E0301",
        ),
        (
            with("connector = 'print', format = 'json'"),
            FEED,
            "takes no format",
        ),
        (
            with("connector = 'file', path = '', format = 'json'"),
            FEED,
            "an empty path",
        ),
        (
            file("(a DOUBLE)"),
            FEED,
            "column \"a\" is DOUBLE, the query gives BIGINT",
        ),
        (file("(a BIGINT NOT NULL)"), FEED, "NOT NULL of \"a\""),
        (
            file("(a BIGINT, b BIGINT)"),
            FEED,
            "2 columns are wanted, 1 are given",
        ),
        (
            file("(a BIGINT, b BIGINT)"),
            "INSERT INTO o (b) SELECT n FROM r",
            "leaves out \"a\"",
        ),
        (
            file(""),
            "INSERT INTO o SELECT n FROM r; INSERT INTO o SELECT s FROM r",
            "E0206",
        ),
        (
            file(""),
            "INSERT INTO o SELECT n FROM r EMIT EVERY INTERVAL '1' SECOND",
            "E0301",
        ),
        (
            file(""),
            "CREATE SINK p WITH (connector = 'file', path = 'o', format = 'csv')",
            "sink \"o\" writes this file already",
        ),
        (
            file(""),
            "CREATE SINK p FROM nothing WITH (connector = 'print')",
            "E0202",
        ),
    ] {
        let output = run(&folder, &format!("{create}{feed}"), &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{create}{feed}: {told}");
        assert!(told.contains(said), "{create}{feed}: {told}");
        assert!(
            told.contains("q.sql:2:") || told.contains("q.sql:3:"),
            "{told}"
        );
        assert!(!folder.exists("o"));
    }
}
