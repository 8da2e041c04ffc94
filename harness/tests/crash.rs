//! Runs with a state directory that are killed at random moments and go on with other numbers of
//! shards: what is committed is what an undisturbed run gives. `TREFOIL_KILLS` says how many kills
//! there are at least (`scripts/crash.sh`).

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Folder, text, trefoil};

/// Records of the file.
const ROWS: u64 = 400_000;

/// Numbers that look random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// What the records of the file are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Records {
    Plain,
    /// Rows that come, replace the one of the same key, and go.
    Changes,
}

/// A query, and over what.
struct Case {
    records: Records,
    /// A source `p` of several files, each a split.
    splits: bool,
    /// A table `names`, and up to which size such a one is on all shards. It grows, too.
    table_bytes: Option<u64>,
    /// Whether runs are stopped rather than killed.
    stopped: bool,
    /// Whether late rows go to a sink, too.
    late: bool,
    query: &'static str,
}

impl Case {
    const fn of(query: &'static str) -> Self {
        Self {
            records: Records::Plain,
            splits: false,
            table_bytes: None,
            stopped: false,
            late: false,
            query,
        }
    }
}

/// A folder with a file of records within some seconds of each other, in disorder.
fn file(name: &str, case: &Case) -> Folder {
    let folder = Folder::new(name);
    let mut random = Random(7);
    let mut lines = String::new();
    for n in 0..ROWS {
        let ms = 20_000 + n * 20 - random.below(4000);
        let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
        let (second, ms) = (ms / 1000 % 60, ms % 1000);
        let (key, text) = (random.below(300), random.below(2000));
        let value = random.below(100_000);
        let row = format!(
            "{{\"n\":{n},\"k\":{key},\"s\":\"a name of some length {text}\",\"v\":{value},\
             \"t\":\"2025-01-01T{hour:02}:{minute:02}:{second:02}.{ms:03}\"}}"
        );
        match case.records {
            Records::Plain => writeln!(lines, "{row}"),
            Records::Changes if value.is_multiple_of(5) => {
                writeln!(lines, "{{\"before\":{row},\"after\":null,\"op\":\"d\"}}")
            }
            Records::Changes => {
                writeln!(lines, "{{\"before\":null,\"after\":{row},\"op\":\"u\"}}")
            }
        }
        .unwrap();
    }
    folder.write("r.json", &lines);
    if case.splits {
        fs::create_dir(folder.0.join("parts")).unwrap();
        for part in 0..4 {
            let some: Vec<&str> = lines.lines().skip(part).step_by(4).collect();
            folder.write(&format!("parts/{part}.json"), &(some.join("\n") + "\n"));
        }
    }
    if case.table_bytes.is_some() {
        let name = |k: u64| format!("{{\"k\":{k},\"name\":\"name {}\"}}\n", k % 7);
        folder.write("names.json", &(0..300).map(name).collect::<String>());
    }
    folder
}

fn script(sink: &str, case: &Case) -> String {
    let Case { query, .. } = case;
    let columns = "n BIGINT, k BIGINT, s VARCHAR, v BIGINT, t TIMESTAMP(3)";
    let watermark = "WATERMARK FOR t AS t - INTERVAL '3' SECOND";
    let (more, format) = match case.records {
        Records::Plain => (watermark, "json"),
        Records::Changes => ("PRIMARY KEY (k, s)", "debezium_json"),
    };
    let splits = match case.splits {
        false => String::new(),
        true => format!(
            "CREATE SOURCE p ({columns}, {watermark}) WITH (connector = 'file', \
             format = 'json', path = 'parts', splits = 'file');\n"
        ),
    };
    let table = match case.table_bytes {
        None => String::new(),
        Some(bytes) => format!(
            "SET broadcast_max_bytes = {bytes};\n\
             CREATE TABLE names (k BIGINT PRIMARY KEY, name VARCHAR) \
             WITH (connector = 'file', format = 'json', path = 'names.json');\n"
        ),
    };
    let late = [", late = 'sink:l'", ""][usize::from(!case.late)];
    format!(
        "{splits}{table}\
         CREATE SINK l WITH (connector = 'file', format = 'json', path = 'late-{sink}');\n\
         CREATE SOURCE r ({columns}, {more}) \
         WITH (connector = 'file', format = '{format}', path = 'r.json'{late});\n\
         CREATE SINK o WITH (connector = 'file', format = 'json', path = '{sink}') AS {query};"
    )
}

fn start(folder: &Folder, shards: usize) -> Child {
    let mut command = trefoil(folder);
    command
        .args([
            "run",
            "q.sql",
            "--state",
            "state",
            "--checkpoint-every",
            "10ms",
        ])
        .args(["--cores", &shards.to_string()])
        .stderr(Stdio::piped())
        .stdout(Stdio::null());
    command.spawn().unwrap()
}

/// How many checkpoints there have been, told by the number of the newest.
fn newest(state: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(state) else {
        return 0;
    };
    let numbers = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.strip_prefix("manifest-")?.parse().ok()
    });
    numbers.max().unwrap_or(0)
}

/// Runs it to its end, killed again and again, while its file grows: what comes behind the bytes
/// that the first checkpoint was taken of is of another run. Gives how often.
fn killed(folder: &Folder, case: &Case, random: &mut Random) -> u64 {
    let (state, input) = (folder.0.join("state"), folder.0.join("r.json"));
    let mut kills = 0;
    for shards in [1, 2, 3, 8].into_iter().cycle() {
        let mut child = start(folder, shards);
        let before = newest(&state);
        // Behind a checkpoint or two, or before the first.
        let checkpoints = random.below(3);
        let mut spent_ms = 0;
        while newest(&state) < before + checkpoints && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
            spent_ms += 1;
            assert!(spent_ms < 120_000, "a run takes checkpoints");
        }
        std::thread::sleep(Duration::from_millis(random.below(30)));
        // It may have ended meanwhile.
        if case.stopped {
            std::thread::sleep(Duration::from_millis(random.below(300)));
            let pid = child.id().to_string();
            // It may be gone.
            _ = Command::new("kill").args(["-s", "TERM", &pid]).output();
        } else {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            Some(0) if case.stopped && !text(&output.stderr).contains("was done") => kills += 1,
            Some(0) => return kills,
            None => {
                kills += 1;
                if newest(&state) > 0 {
                    let append = |path: &Path, bytes: &[u8]| {
                        let file = OpenOptions::new().append(true).open(path);
                        file.unwrap().write_all(bytes).unwrap();
                    };
                    append(&input, b"{\"n\":-1,\"k\":1,");
                    if case.table_bytes.is_some() {
                        append(&folder.0.join("names.json"), &[b'\n'; 1000]);
                    }
                }
            }
            Some(code) => panic!("{code}: {}", text(&output.stderr)),
        }
    }
    unreachable!("a run comes to its end")
}

/// The rows of all files of a sink that were committed.
fn committed(folder: &Folder, sink: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(folder.0.join(sink)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert!(name.starts_with("part-"), "{name} was left");
        let text = fs::read_to_string(entry.path()).unwrap();
        rows.extend(text.lines().map(ToOwned::to_owned));
    }
    rows
}

/// Rows of a changelog as what stands behind it.
fn collapsed(rows: &[String]) -> BTreeMap<String, i64> {
    let mut standing = BTreeMap::new();
    for row in rows {
        let (op, rest) = row
            .strip_prefix("{\"op\":\"")
            .unwrap()
            .split_once('"')
            .unwrap();
        let weight = match op {
            "+I" | "+U" => 1,
            "-U" | "-D" => -1,
            other => panic!("{other}"),
        };
        *standing.entry(rest.to_owned()).or_insert(0) += weight;
    }
    standing.retain(|_, count| *count != 0);
    standing
}

/// Some rows that only the first has. Both are in order.
fn only<'a>(a: &'a [String], b: &[String]) -> Vec<&'a String> {
    let is_there = |row: &&String| b.binary_search(row).is_err();
    a.iter().filter(is_there).take(5).collect()
}

/// Compares a query that is killed with one that is not.
fn check(name: &str, query: &'static str) {
    check_case(name, &Case::of(query));
}

fn check_case(name: &str, case: &Case) {
    let query = case.query;
    let folder = file(name, case);
    folder.write("plain.sql", &script("plain.json", case));
    folder.write("q.sql", &script("out", case));
    let plain = trefoil(&folder)
        .args(["run", "plain.sql", "--cores", "2"])
        .output();
    let plain = plain.unwrap();
    assert!(plain.status.success(), "{}", text(&plain.stderr));
    let plain = folder.read("plain.json");
    let mut plain: Vec<String> = plain.lines().map(ToOwned::to_owned).collect();
    assert!(!plain.is_empty(), "a query that gives something");
    let wanted = std::env::var("TREFOIL_KILLS")
        .ok()
        .and_then(|n| n.parse().ok());
    let wanted = wanted.unwrap_or(10);
    let mut random = Random(u64::from(std::process::id()) ^ wanted);
    let files = ["r.json", "names.json"].map(|name| folder.0.join(name));
    let sizes = files
        .each_ref()
        .map(|file| fs::metadata(file).map_or(0, |facts| facts.len()));
    let mut kills = 0;
    while kills < wanted {
        for folder in ["state", "out", "late-out"].map(|name| folder.0.join(name)) {
            if folder.exists() {
                fs::remove_dir_all(folder).unwrap();
            }
        }
        for (file, size) in files.iter().zip(sizes).filter(|(_, size)| *size > 0) {
            let file = OpenOptions::new().write(true).open(file);
            file.unwrap().set_len(size).unwrap();
        }
        kills += killed(&folder, case, &mut random);
        let mut rows = committed(&folder, "out");
        if case.late {
            let of = folder.read("late-plain.json");
            let mut want: Vec<&str> = of.lines().collect();
            assert!(!want.is_empty(), "there are late rows");
            let mut late = committed(&folder, "late-out");
            late.sort_unstable();
            want.sort_unstable();
            assert!(late == want, "{} of {} late rows", late.len(), want.len());
        }
        if query.contains("EMIT") {
            assert_eq!(collapsed(&rows), collapsed(&plain), "{query}");
        } else {
            rows.sort_unstable();
            plain.sort_unstable();
            let [more, less] = [(&rows, &plain), (&plain, &rows)].map(|(a, b)| only(a, b));
            let differ = !more.is_empty() || !less.is_empty() || rows.len() != plain.len();
            assert!(
                !differ,
                "{} rows of {}: {query}\ntoo many {more:#?}\nmissing {less:#?}",
                rows.len(),
                plain.len()
            );
        }
    }
}

#[test]
fn windows_that_close() {
    check(
        "crash-windows",
        "SELECT window_start, k, COUNT(*) AS n, MIN(s) AS least, MAX(v) AS most, \
         COUNT(DISTINCT v) AS values \
         FROM TABLE(TUMBLE(TABLE r, DESCRIPTOR(t), INTERVAL '1' MINUTE)) \
         GROUP BY window_start, window_end, k",
    );
}

#[test]
fn groups_of_all_rows() {
    check(
        "crash-groups",
        "SELECT s, COUNT(*) AS n, SUM(v) AS total, MIN(t) AS first, MEDIAN(v) AS middle \
         FROM r WHERE k < 250 GROUP BY s",
    );
}

#[test]
fn rows_as_they_are() {
    check(
        "crash-rows",
        "SELECT n, UPPER(s) AS s, v * 2 AS v FROM r WHERE k % 3 = 0",
    );
}

#[test]
fn changes_of_groups() {
    check(
        "crash-changes",
        "SELECT k, COUNT(*) AS n, SUM(v) AS total FROM r WHERE k < 5 GROUP BY k EMIT CHANGES",
    );
}

/// Late rows are committed with what is left of them.
#[test]
fn late_rows() {
    let query = "SELECT window_start, k, COUNT(*) AS n, SUM(v) AS total FROM r WHERE v > 500 \
                 GROUP BY k, TUMBLE(t, INTERVAL '0.5' SECOND)";
    let mut case = Case::of(query);
    case.late = true;
    check_case("crash-late", &case);
    case.stopped = true;
    check_case("crash-late-stopped", &case);
}

#[test]
fn windows_that_overlap() {
    check(
        "crash-hop",
        "SELECT window_start, k, COUNT(*) AS n, MAX(v) AS most \
         FROM TABLE(HOP(TABLE r, DESCRIPTOR(t), INTERVAL '20' SECOND, INTERVAL '1' MINUTE)) \
         GROUP BY window_start, window_end, k",
    );
}

#[test]
fn sessions() {
    check(
        "crash-sessions",
        "SELECT window_start, window_end, k, COUNT(*) AS n, MIN(s) AS least \
         FROM r \
         GROUP BY k, SESSION(t, INTERVAL '8' SECOND)",
    );
}

#[test]
fn sessions_that_hold_rows() {
    check(
        "crash-sessions-held",
        "SELECT window_start, k, COUNT(DISTINCT v % 7) AS kinds, MEDIAN(v) AS middle, \
         ARRAY_AGG(n ORDER BY n) AS items FROM r GROUP BY k, SESSION(t, INTERVAL '8' SECOND)",
    );
}

#[test]
fn ranks_of_all_rows() {
    check(
        "crash-ranks",
        "SELECT k, n, RANK() OVER (PARTITION BY k ORDER BY v) AS place FROM r WHERE k < 30",
    );
}

#[test]
fn a_join_that_tells_of_both_sides() {
    check(
        "crash-join",
        "SELECT a.n, b.least FROM (SELECT n, v FROM r WHERE k < 100) AS a FULL JOIN \
         (SELECT v, MIN(n) AS least FROM r WHERE k > 280 GROUP BY v) AS b ON a.v = b.v",
    );
}

/// What is kept of the right side is read again.
#[test]
fn the_nearest_row_of_another_stream() {
    check(
        "crash-asof",
        "SELECT a.n, a.k, b.n AS m, b.v FROM r AS a \
         ASOF JOIN (SELECT * FROM r WHERE v < 9000) AS b \
         MATCH_CONDITION (a.t > b.t) ON a.k = b.k",
    );
}

#[test]
fn changes_that_are_told_now_and_then() {
    check(
        "crash-every",
        "SELECT k, COUNT(*) AS n, SUM(v) AS total FROM r GROUP BY k \
         EMIT EVERY INTERVAL '0.02' SECOND",
    );
}

#[test]
fn rows_that_replace_each_other() {
    let query = "SELECT k, COUNT(*) AS n, SUM(v) AS total, MIN(s) AS least FROM r GROUP BY k \
                 EMIT CHANGES";
    let records = Records::Changes;
    check_case(
        "crash-captured",
        &Case {
            records,
            ..Case::of(query)
        },
    );
}

#[test]
fn splits_of_a_union() {
    let query = "SELECT window_start, k, COUNT(*) AS n, MIN(n) AS least, MAX(n) AS most FROM \
                 (SELECT k, n, t FROM r UNION ALL SELECT k, n, t FROM p) AS u \
                 GROUP BY k, TUMBLE(t, INTERVAL '20' SECOND)";
    check_case(
        "crash-splits",
        &Case {
            splits: true,
            ..Case::of(query)
        },
    );
}

#[test]
fn a_table_that_outgrows_its_limit() {
    let query = "SELECT r.k, COUNT(*) AS n, SUM(v) AS total, MIN(name) AS name \
                 FROM r LEFT JOIN names ON r.k = names.k GROUP BY r.k";
    let table_bytes = Some(9000);
    check_case(
        "crash-table",
        &Case {
            table_bytes,
            ..Case::of(query)
        },
    );
}

/// The checkpoint before a stop may be under way when the results end.
#[test]
fn runs_that_are_stopped() {
    let query = "SELECT window_start, k, COUNT(*) AS n, COUNT(DISTINCT v) AS values \
                 FROM r GROUP BY k, TUMBLE(t, INTERVAL '1' MINUTE)";
    check_case(
        "crash-stopped",
        &Case {
            stopped: true,
            ..Case::of(query)
        },
    );
}
