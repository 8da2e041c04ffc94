//! A view that is made again goes on from its newest checkpoint, with any number of shards, and
//! comes to the rows that it would have had undisturbed.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use trefoil::datafusion::arrow::util::pretty::pretty_format_batches;
use trefoil::engine::Idle;
use trefoil::{Engine, Error, params};

use crate::{Folder, NEVER, builder, copy};

fn engine(state: &Path, shards: usize) -> Engine {
    builder(state, shards).open().unwrap()
}

/// Records from one number on, a tenth of a second apart, in some disorder.
fn append(path: &Path, numbers: std::ops::Range<u64>) {
    let mut lines = String::new();
    for n in numbers {
        let tenths = n + 7 - n * 5 % 8;
        let (minute, second, tenth) = (tenths / 600, tenths / 10 % 60, tenths % 10);
        let (k, v) = (n * 7 % 13, n * n % 101);
        let t = format!("2025-01-01T00:{minute:02}:{second:02}.{tenth}");
        lines += &format!("{{\"n\":{n},\"k\":{k},\"v\":{v},\"t\":\"{t}\"}}\n");
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(lines.as_bytes()).unwrap();
}

fn source(path: &Path, more: &str) -> String {
    let one = |name: &str| {
        format!(
            "CREATE SOURCE {name} (n BIGINT, k BIGINT, v BIGINT, t TIMESTAMP(3), \
             WATERMARK FOR t AS t - INTERVAL '1' SECOND) \
             WITH (connector = 'file', format = 'json', path = '{}'{more});",
            path.display()
        )
    };
    one("r") + &one("p")
}

fn view(query: &str) -> String {
    format!("CREATE MATERIALIZED VIEW v AS {query}")
}

/// Waits until so many records were read and are in the rows.
fn wait(engine: &Engine, rows: u64) {
    loop {
        if let Some((_, error)) = engine.failures().into_iter().next() {
            panic!("{error}");
        }
        let read = engine.metrics().views[0].rows_read;
        assert!(
            read <= rows,
            "{read} of {rows} records: some are read again"
        );
        if read == rows {
            return engine.flush().unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn rows(engine: &Engine) -> Vec<String> {
    crate::rows(engine, "v")
}

const QUERIES: [&str; 7] = [
    "SELECT k, COUNT(*) AS n, SUM(v) AS total, COUNT(DISTINCT v % 7) AS kinds FROM r GROUP BY k",
    "SELECT COUNT(*) AS n, MAX(v) AS most, MEDIAN(v) AS middle FROM r",
    "SELECT window_start, k, COUNT(*) AS n, MIN(n) AS least FROM \
     TABLE(TUMBLE(TABLE r, DESCRIPTOR(t), INTERVAL '10' SECOND)) \
     GROUP BY window_start, window_end, k",
    "SELECT window_start, COUNT(*) AS n, SUM(v) AS total FROM \
     TABLE(TUMBLE(TABLE r, DESCRIPTOR(t), INTERVAL '10' SECOND)) \
     GROUP BY window_start, window_end EMIT ON WINDOW CLOSE",
    "SELECT n, v * 2 AS v FROM r WHERE k % 3 = 0",
    "SELECT a.k, b.least FROM (SELECT DISTINCT k FROM r) AS a \
     JOIN (SELECT k, MIN(v) AS least FROM p GROUP BY k) AS b ON a.k = b.k",
    "SELECT k % 2 AS k FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS c WHERE n > 20",
];

/// Kept after some rows, more come, then it is cut off; again, with other numbers of shards.
#[test]
fn a_view_goes_on_as_it_would_have() {
    for (number, query) in QUERIES.into_iter().enumerate() {
        let folder = Folder::new(&format!("kept-{number}"));
        // Each reads the file by itself.
        let scans = 1 + query.matches(" FROM p").count() as u64;
        let file = folder.path("r.json");
        let ddl = source(&file, ", follow = true") + &view(query);
        let (mut state, mut kept, mut appended) = (folder.path("s0"), 0, 0);
        for (turn, shards) in [1, 2, 2, 4, 1].into_iter().enumerate() {
            append(&file, appended..appended + 300);
            appended += 300;
            let engine = engine(&state, shards);
            engine.execute(&ddl).unwrap();
            wait(&engine, (appended - kept) * scans);
            engine.execute("CHECKPOINT").unwrap();
            let metrics = &engine.metrics().views[0];
            assert_eq!((metrics.checkpoints, metrics.checkpoints_failed), (1, 0));
            let after = appended;
            append(&file, appended..appended + 200);
            appended += 200;
            wait(&engine, (appended - kept) * scans);
            let undisturbed = Engine::builder().idle(Idle::Park).open().unwrap();
            undisturbed.execute(&ddl).unwrap();
            wait(&undisturbed, appended * scans);
            let want = self::rows(&undisturbed);
            assert_eq!(
                self::rows(&engine),
                want,
                "{query}, turn {turn}, {shards} shards"
            );
            assert!(want.len() > 4, "{query}: {want:#?}");
            kept = after;
            state = folder.path(&format!("s{}", turn + 1));
            copy(&folder.path(&format!("s{turn}")), &state);
        }
    }
}

/// What follows a checkpoint are the changes of what stood.
#[test]
fn subscribers_see_what_changes() {
    let folder = Folder::new("kept-changes");
    let (file, state) = (folder.path("r.json"), folder.path("state"));
    let ddl = source(&file, ", follow = true")
        + &view("SELECT k % 1 AS k, COUNT(*) AS n FROM r GROUP BY k % 1");
    append(&file, 0..5);
    let first = engine(&state, 2);
    first.execute(&ddl).unwrap();
    wait(&first, 5);
    first.checkpoint().unwrap();
    drop(first);
    let second = engine(&state, 1);
    second.execute(&ddl).unwrap();
    assert_eq!(rows(&second).len(), 5, "a row in its box");
    let mut changes = second.subscribe("v").unwrap();
    append(&file, 5..6);
    let batch = changes.next().unwrap().unwrap();
    let text = pretty_format_batches(&[batch]).unwrap().to_string();
    let cells: Vec<String> = text.lines().map(|line| line.replace(' ', "")).collect();
    assert_eq!(cells[3..5], ["|-U|0|5|", "|+U|0|6|"], "{text}");
    let row = second.get("v", &params![0]).unwrap().unwrap();
    assert_eq!(row.get::<i64>("n").unwrap(), 6);
}

/// A view over a file that ends is there again without reading it.
#[test]
fn a_view_that_has_ended() {
    let folder = Folder::new("kept-ended");
    let (file, state) = (folder.path("r.json"), folder.path("state"));
    append(&file, 0..2000);
    let ddl = source(&file, "") + &view(QUERIES[0]);
    let mut all = Vec::new();
    for shards in [2, 3, 1] {
        let engine = engine(&state, shards);
        engine.execute(&ddl).unwrap();
        // Its last checkpoint is that of its end.
        while engine.metrics().views[0].checkpoints == 0 && all.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        engine.execute("CHECKPOINT").unwrap();
        let read = engine.metrics().views[0].rows_read;
        assert_eq!(read, if all.is_empty() { 2000 } else { 0 });
        all.push(rows(&engine));
    }
    assert!(all[0].len() > 13, "{:#?}", all[0]);
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
}

/// By itself, every so often.
#[test]
fn checkpoints_come_by_themselves() {
    let folder = Folder::new("kept-interval");
    let (file, state) = (folder.path("r.json"), folder.path("state"));
    append(&file, 0..100);
    let builder = Engine::builder().idle(Idle::Park).state_dir(&state);
    let engine = builder
        .checkpoint_every(Duration::from_millis(5))
        .open()
        .unwrap();
    let ddl = source(&file, ", follow = true") + &view(QUERIES[0]);
    engine.execute(&ddl).unwrap();
    while engine.metrics().views[0].checkpoints < 3 {
        // Who reads meanwhile waits for its own barrier.
        assert!(rows(&engine).len() > 3);
    }
}

/// The thread of the caller is the shard.
#[test]
fn on_the_thread_of_the_caller() {
    let folder = Folder::new("kept-here");
    let (file, state) = (folder.path("r.json"), folder.path("state"));
    append(&file, 0..100);
    let ddl = source(&file, ", follow = true") + &view(QUERIES[0]);
    for read in [100, 0] {
        let builder = Engine::builder().on_this_thread().state_dir(&state);
        let engine = builder.checkpoint_every(NEVER).open().unwrap();
        engine.execute(&ddl).unwrap();
        while engine.metrics().views[0].rows_read < read {
            engine.step();
        }
        engine.checkpoint().unwrap();
        assert_eq!(engine.metrics().views[0].rows_read, read);
    }
}

/// A view that is dropped takes its folder along.
#[test]
fn a_view_that_is_dropped() {
    let folder = Folder::new("kept-dropped");
    let (file, state) = (folder.path("r.json"), folder.path("state"));
    append(&file, 0..100);
    let engine = engine(&state, 1);
    engine.execute(&source(&file, ", follow = true")).unwrap();
    for query in [QUERIES[0], QUERIES[4]] {
        engine.execute(&view(query)).unwrap();
        wait(&engine, 100);
        engine.execute("CHECKPOINT").unwrap();
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
        engine.execute("DROP MATERIALIZED VIEW v").unwrap();
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    }
}

fn refused(engine: &Engine, sql: &str) -> (String, String) {
    let error: Error = engine.execute(sql).unwrap_err();
    (error.code().to_owned(), error.to_string())
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let folder = Folder::new("kept-refused");
    let (file, state) = (folder.path("r.json"), folder.path("state"));
    append(&file, 0..100);
    let kept = engine(&state, 1);
    kept.execute(&source(&file, ", follow = true")).unwrap();
    kept.execute("CREATE SOURCE c (n BIGINT) WITH (connector = 'channel')")
        .unwrap();
    kept.execute(&view(QUERIES[0])).unwrap();
    let out = folder.path("out.json");
    let sink = format!(
        "CREATE SINK o WITH (connector = 'file', format = 'json', path = '{}') AS SELECT n FROM r",
        out.display()
    );
    for (sql, why) in [
        (
            "CREATE MATERIALIZED VIEW w AS SELECT v.k FROM v JOIN c ON v.n = c.n",
            "it reads the view v and, beside it, source c",
        ),
        (
            "CREATE MATERIALIZED VIEW w AS SELECT v.k FROM v JOIN r ON v.n = r.n",
            "it reads the view v and, beside it, source r",
        ),
        (&sink, "not committed with checkpoints"),
    ] {
        let (code, text) = refused(&kept, sql);
        assert!(code == "E0301" && text.contains(why), "{code}: {text}");
    }
    // Another engine has it.
    let other = engine(&state, 1);
    other.execute(&source(&file, ", follow = true")).unwrap();
    let (code, text) = refused(&other, &view(QUERIES[0]));
    assert!(
        code == "E0610" && text.contains("another"),
        "{code}: {text}"
    );
    drop(other);
    let plain = Engine::builder().open().unwrap();
    let (code, text) = refused(&plain, "CHECKPOINT");
    assert!(
        code == "E0301" && text.contains("no state directory"),
        "{text}"
    );
    assert_eq!(plain.checkpoint().unwrap_err().code(), "E0615");
}

/// State is taken up by what it is of, and by nothing else.
#[test]
fn what_has_changed_is_refused() {
    let folder = Folder::new("kept-changed");
    let (file, state) = (folder.path("r.json"), folder.path("state"));
    append(&file, 0..100);
    let of_file = source(&file, ", follow = true");
    let make = |ddl: &str| engine(&state, 1).execute(ddl).map(|_| ());
    let first = engine(&state, 1);
    let plain = "CREATE VIEW w AS SELECT k, v FROM r WHERE v > 3;";
    let of_view = view("SELECT k, SUM(v) AS total FROM w GROUP BY k");
    first
        .execute(&format!("{of_file}{plain}{of_view}"))
        .unwrap();
    wait(&first, 100);
    first.checkpoint().unwrap();
    drop(first);
    for (what, ddl) in [
        (
            "its text",
            format!("{of_file}{plain}{}", of_view.replace("SUM", "MIN")),
        ),
        (
            "a view in it",
            format!("{of_file}{}{of_view}", plain.replace('3', "4")),
        ),
        (
            "a column",
            format!(
                "{}{plain}{of_view}",
                of_file.replacen("v BIGINT", "v INT", 1)
            ),
        ),
    ] {
        let error = make(&ddl).unwrap_err();
        let text = error.to_string();
        assert!(
            error.code() == "E0610" && text.contains("another definition"),
            "{what}: {text}"
        );
    }
    make(&format!("{of_file}{plain}{of_view}")).unwrap();
    let text = fs::read_to_string(&file)
        .unwrap()
        .replace("\"v\":0", "\"v\":1");
    fs::write(&file, text).unwrap();
    let error = make(&format!("{of_file}{plain}{of_view}")).unwrap_err();
    assert_eq!(error.code(), "E0610", "{error}");
}

/// Rows that are made in another way are others.
#[test]
fn what_is_made_in_another_way_is_refused() {
    let ddl = |options: &str| {
        let with = |connector: &str| format!("WITH (connector = '{connector}', {options})");
        let generator = format!(
            "CREATE SOURCE r (k BIGINT, v BIGINT) {};",
            with("generator")
        );
        let nexmark = format!("CREATE SOURCE r {};", with("nexmark', table = 'bid"));
        [
            generator + &view("SELECT k, SUM(v) AS total FROM r GROUP BY k"),
            nexmark + &view("SELECT bidder, SUM(price) AS total FROM r GROUP BY bidder"),
        ]
    };
    for (number, first) in ddl("rows = 1000, seed = 1").into_iter().enumerate() {
        let folder = Folder::new(&format!("kept-made-{number}"));
        let state = folder.path("state");
        let kept = engine(&state, 1);
        kept.execute(&first).unwrap();
        kept.checkpoint().unwrap();
        drop(kept);
        for options in [
            "rows = 1000, seed = 2",
            "rows = 1000, seed = 1, rate = 1000",
            "rows = 2000, seed = 1",
        ] {
            let made = engine(&state, 1).execute(&ddl(options)[number]);
            let error = made.map(|_| ()).unwrap_err();
            assert_eq!(error.code(), "E0610", "{options}: {error}");
        }
        engine(&state, 1)
            .execute(&ddl("rows = 1000, seed = 1")[number])
            .unwrap();
    }
}

/// The view goes on where a checkpoint cannot be written, which is said and counted.
#[test]
fn a_directory_that_is_away() {
    let folder = Folder::new("kept-away");
    let (file, state) = (folder.path("r.json"), folder.path("state"));
    append(&file, 0..100);
    let ddl = source(&file, ", follow = true") + &view(QUERIES[0]);
    let kept = engine(&state, 1);
    kept.execute(&ddl).unwrap();
    wait(&kept, 100);
    let (there, away) = (state.join("view-v/state"), state.join("view-v/away"));
    fs::rename(&there, &away).unwrap();
    let error = kept.checkpoint().unwrap_err();
    assert_eq!(error.code(), "E0615", "{error}");
    append(&file, 100..200);
    wait(&kept, 200);
    fs::rename(&away, &there).unwrap();
    kept.checkpoint().unwrap();
    let metrics = &kept.metrics().views[0];
    assert_eq!((metrics.checkpoints, metrics.checkpoints_failed), (1, 1));
    let want = rows(&kept);
    drop(kept);
    let again = engine(&state, 1);
    again.execute(&ddl).unwrap();
    assert_eq!(rows(&again), want);
}
