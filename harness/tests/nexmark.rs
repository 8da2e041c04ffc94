//! `connector = 'nexmark'`: the same rows whoever makes them, also behind a checkpoint; columns
//! that come by themselves, and are checked where they are stated.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::HashSet;
use std::process::Output;

use common::{Folder, text, trefoil};
use serde_json::Value;

const TABLES: [&str; 3] = ["person", "auction", "bid"];

/// The three tables with these options.
fn sources(options: &str) -> String {
    let source = |table: &str| {
        format!(
            "CREATE SOURCE {table} WITH (connector = 'nexmark', table = '{table}', {options});\n"
        )
    };
    TABLES.map(source).concat()
}

fn run(folder: &Folder, cores: &str, sql: &str) -> Output {
    trefoil(folder)
        .args(["run", "-c", sql, "--cores", cores, "--format", "ndjson"])
        .args(["--stats", "stats.json"])
        .output()
        .unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn rows_are_the_same_whoever_makes_them() {
    let folder = Folder::new("nexmark-cores");
    for (query, rows) in [
        (
            "SELECT *, _OFFSET AS o, _PARTITION AS p FROM person",
            Some(401),
        ),
        ("SELECT *, _OFFSET AS o FROM auction", Some(1201)),
        ("SELECT *, _OFFSET AS o FROM bid", Some(18_400)),
        // Of the columns only some are made.
        ("SELECT url, bidder FROM bid WHERE auction % 7 = 3", None),
        (
            "SELECT window_start, channel, COUNT(*) AS n, MAX(price) AS m FROM bid \
          GROUP BY channel, TUMBLE(INTERVAL '1' SECOND)",
            None,
        ),
    ] {
        let mut first: Option<Vec<String>> = None;
        for cores in ["1", "2", "4"] {
            let sql = format!("{}{query};", sources("rows = 20002, seed = 5"));
            let mut lines = lines(&run(&folder, cores, &sql));
            if query.contains("GROUP BY") {
                lines.sort();
                let stats = folder.json("stats.json");
                assert_eq!(stats["queries"][0]["inputs"][0]["rows_late"], 0);
            }
            assert!(
                rows.is_none_or(|rows| lines.len() == rows),
                "{query}: {}",
                lines.len()
            );
            assert!(!lines.is_empty());
            match &first {
                None => first = Some(lines),
                Some(first) => assert_eq!(first, &lines, "{query} on {cores} cores"),
            }
        }
    }
}

/// A number that one table names is that of a row of another one, or of one that comes soon.
#[test]
fn the_tables_are_of_one_house() {
    let folder = Folder::new("nexmark-house");
    let rows = |query: &str| -> Vec<Value> {
        let sql = format!("{}{query};", sources("rows = 10000, seed = 1"));
        let lines = lines(&run(&folder, "2", &sql));
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let numbers = |rows: &[Value], column: &str| -> Vec<i64> {
        rows.iter()
            .map(|row| row[column].as_i64().unwrap())
            .collect()
    };
    let (person, auction, bid) = (
        rows("SELECT * FROM person"),
        rows("SELECT * FROM auction"),
        rows("SELECT * FROM bid"),
    );
    assert_eq!((person.len(), auction.len(), bid.len()), (200, 600, 9200));
    assert_eq!(numbers(&person, "id"), (1000..1200).collect::<Vec<_>>());
    assert_eq!(numbers(&auction, "id"), (1000..1600).collect::<Vec<_>>());
    let named: HashSet<i64> = numbers(&bid, "auction").into_iter().collect();
    assert!(named.iter().all(|id| (1000..1610).contains(id)) && named.len() > 500);
    let people = [numbers(&auction, "seller"), numbers(&bid, "bidder")].concat();
    assert!(people.iter().all(|id| (1000..1210).contains(id)));
    // Ten events in a millisecond, and of these each row at its own.
    assert_eq!(person[1]["date_time"], "2024-01-01T00:00:00.005");
    assert_eq!(bid[9199]["date_time"], "2024-01-01T00:00:00.999");
    // The other seed says other things of the same events.
    let other = format!("{}SELECT * FROM bid;", sources("rows = 10000, seed = 2"));
    let other: Vec<Value> = (lines(&run(&folder, "1", &other)).iter())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(other[7]["date_time"], bid[7]["date_time"]);
    assert_ne!(numbers(&other, "price"), numbers(&bid, "price"));
}

/// A run that is ended and goes on, with another number of shards, gives each row once; its rows
/// come at their time.
#[test]
fn a_run_goes_on_from_its_checkpoint() {
    let folder = Folder::new("nexmark-resume");
    let sql = format!(
        "{}SELECT auction, price, extra, date_time FROM bid WHERE auction % 3 <> 1;",
        sources("rows = 40000, rate = 20000")
    );
    folder.write("q.sql", &sql);
    let life = |cores: &str, more: &[&str]| {
        let mut command = trefoil(&folder);
        command.args(["run", "q.sql", "--state", "state", "--output", "out"]);
        let output = command
            .args(["--format", "ndjson", "--cores", cores])
            .args(more)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let entries = std::fs::read_dir(folder.0.join("out")).unwrap();
        let files = entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
        let mut rows: Vec<String> = files
            .flat_map(|file| file.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        rows.sort_unstable();
        rows
    };
    let first = life("2", &["--for", "0.2s"]);
    let second = life("4", &["--for", "0.2s"]);
    let all = life("1", &[]);
    let mut wanted = lines(&run(&folder, "1", &sql));
    wanted.sort_unstable();
    assert_eq!(all, wanted);
    assert!(first.len() < second.len() && second.len() < all.len());
}

#[test]
fn columns_come_by_themselves_and_are_checked() {
    let folder = Folder::new("nexmark-columns");
    let described = lines(&run(
        &folder,
        "1",
        &format!("{}DESCRIBE auction;", sources("rows = 1")),
    ));
    let described: Vec<Value> = described
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let named: Vec<_> = described.iter().map(|row| row.to_string()).collect();
    assert_eq!(named.len(), 10, "{named:?}");
    assert!(
        named[2].contains("description") && named[2].contains("VARCHAR"),
        "{named:?}"
    );
    assert!(
        named[5].contains("date_time") && named[5].contains("TIMESTAMP(3)"),
        "{named:?}"
    );
    // Some of them in any order, and others that are computed; a watermark that is told.
    for columns in [
        "(price BIGINT, day DATE GENERATED ALWAYS AS (CAST(date_time AS DATE)) STORED, \
         date_time TIMESTAMP(3) NOT NULL, WATERMARK FOR date_time AS \
         date_time - INTERVAL '4' SECOND)",
        "(day DATE GENERATED ALWAYS AS (CAST(date_time AS DATE)) STORED, \
         WATERMARK FOR date_time AS date_time - INTERVAL '4' SECOND)",
        "(day DATE GENERATED ALWAYS AS (CAST(date_time AS DATE)) STORED)",
    ] {
        let sql = format!(
            "CREATE SOURCE b {columns} WITH (connector = 'nexmark', table = 'bid', rows = 104); \
             SELECT day, COUNT(*) AS n, SUM(price) > 0 AS p FROM b \
             GROUP BY day, TUMBLE(INTERVAL '1' MINUTE);"
        );
        let got = lines(&run(&folder, "2", &sql));
        assert_eq!(
            got,
            ["{\"day\":\"2024-01-01\",\"n\":92,\"p\":true}"],
            "{columns}"
        );
    }
}

#[test]
fn what_is_none_of_its_columns_or_options_is_refused() {
    let folder = Folder::new("nexmark-refused");
    for (source, said) in [
        (
            "s WITH (connector = 'nexmark', rows = 1)",
            "\"table\" is missing",
        ),
        (
            "s WITH (connector = 'nexmark', table = 'bids')",
            "did you mean 'bid'?",
        ),
        (
            "s WITH (connector = 'file', path = 'x', format = 'json')",
            "expected (",
        ),
        (
            "s (bidder BIGINT, prize BIGINT) WITH (connector = 'nexmark', table = 'bid')",
            "did you mean \"price\"?",
        ),
        (
            "s (price DOUBLE) WITH (connector = 'nexmark', table = 'bid')",
            "is a BIGINT, not a DOUBLE",
        ),
        (
            "s (date_time TIMESTAMP) WITH (connector = 'nexmark', table = 'bid')",
            "is a TIMESTAMP(3), not a TIMESTAMP",
        ),
        (
            "s WITH (connector = 'nexmark', table = 'bid', rows = 'x')",
            "no whole number from 0 up",
        ),
        (
            "s WITH (connector = 'nexmark', table = 'bid', rate = 0)",
            "no whole number from 1 up",
        ),
        (
            "s WITH (connector = 'nexmark', table = 'bid', seed = -1)",
            "no whole number from 0 up",
        ),
        (
            "s WITH (connector = 'nexmark', table = 'bid', rows = 1000000000000, rate = 1)",
            "are too many",
        ),
        (
            "s WITH (connector = 'nexmark', table = 'bid', disorder = '1 second')",
            "unknown option",
        ),
        (
            "s WITH (connector = 'nexmark', table = 'bid', splits = 'file')",
            "unknown option",
        ),
    ] {
        let output = run(&folder, "1", &format!("CREATE SOURCE {source}; SELECT 1;"));
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{source}: {told}");
        assert!(
            told.contains(said) && told.contains("-c:1:"),
            "{source}: {told}"
        );
    }
}
