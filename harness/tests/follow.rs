//! A file that grows, with a state directory: each record counts once, whatever is killed while it
//! is written.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Folder, text, trefoil};

/// Nothing here takes that long but for what never happens.
const PATIENCE: Duration = Duration::from_secs(120);

struct Case {
    folder: Folder,
    format: &'static str,
    /// Records that were written whole.
    records: u64,
}

impl Case {
    fn new(name: &str, format: &'static str, query: &str) -> Self {
        let folder = Folder::new(name);
        let sql = format!(
            "CREATE SOURCE r (n BIGINT, k VARCHAR) WITH (connector = 'file', path = 'r', \
             format = '{format}', follow = true);\n\
             CREATE SINK o WITH (connector = 'file', format = 'json', path = 'out') AS {query};"
        );
        folder.write("q.sql", &sql);
        folder.write("r", Self::header(format));
        Self {
            folder,
            format,
            records: 0,
        }
    }

    fn header(format: &str) -> &'static str {
        match format {
            "csv" => "k,n\n",
            _ => "",
        }
    }

    fn record(&self, n: u64) -> String {
        match self.format {
            "csv" => format!("k{},{n}\n", n % 3),
            _ => format!("{{\"n\":{n},\"k\":\"k{}\"}}\n", n % 3),
        }
    }

    /// Appends records, in two writes of which the first ends within one.
    fn grow(&mut self, more: u64) {
        let records: Vec<_> = (0..more).map(|n| self.record(self.records + n)).collect();
        self.records += more;
        let bytes = records.concat();
        let (first, rest) = bytes.as_bytes().split_at(bytes.len() - 3);
        let mut file = OpenOptions::new()
            .append(true)
            .open(self.folder.0.join("r"))
            .unwrap();
        file.write_all(first).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        file.write_all(rest).unwrap();
    }

    /// Puts another file with so many records in its place.
    fn replace(&mut self, records: u64) {
        let texts: Vec<_> = (0..records)
            .map(|n| self.record(self.records + n))
            .collect();
        self.records += records;
        let text = Self::header(self.format).to_owned() + &texts.concat();
        self.folder.write("new", &text);
        fs::rename(self.folder.0.join("new"), self.folder.0.join("r")).unwrap();
    }

    fn start(&self, cores: usize) -> Child {
        let mut command = trefoil(&self.folder);
        command
            .args(["run", "q.sql", "--state", "state"])
            .args(["--checkpoint-every", "10ms", "--cores", &cores.to_string()])
            .stderr(Stdio::piped())
            .stdout(Stdio::null());
        command.spawn().unwrap()
    }

    /// The rows that were committed.
    fn rows(&self) -> Vec<serde_json::Value> {
        let Ok(entries) = fs::read_dir(self.folder.0.join("out")) else {
            return Vec::new();
        };
        let mut rows = Vec::new();
        for entry in entries {
            let entry = entry.unwrap();
            if entry.file_name().to_str().unwrap().starts_with("part-") {
                let text = fs::read_to_string(entry.path()).unwrap();
                rows.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
            }
        }
        rows
    }

    /// Waits for rows that are committed.
    fn wait(&self, child: &mut Child, what: impl Fn(&[serde_json::Value]) -> bool) {
        let begun = Instant::now();
        while !what(&self.rows()) {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "the run goes on: {ended:?}");
            assert!(begun.elapsed() < PATIENCE, "{} rows", self.rows().len());
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

fn stopped(child: Child) -> Output {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &pid]).status();
    assert!(sent.unwrap().success());
    child.wait_with_output().unwrap()
}

/// Kills it again and again while its file grows and is replaced. `is_all` says whether rows are
/// those of so many records.
fn followed(mut case: Case, is_all: fn(&[serde_json::Value], u64) -> bool) {
    for (round, cores) in [1, 2, 4, 1, 2, 3].into_iter().enumerate() {
        let mut child = case.start(cores);
        case.grow(100);
        match round {
            // Wherever it is.
            0 | 4 => {
                std::thread::sleep(Duration::from_millis(40 * round as u64 + 10));
                case.grow(20);
            }
            2 => {
                let records = case.records;
                case.wait(&mut child, |rows| is_all(rows, records));
                case.replace(50);
                let records = case.records;
                case.wait(&mut child, |rows| is_all(rows, records));
            }
            _ => {
                let records = case.records;
                case.wait(&mut child, |rows| is_all(rows, records));
                case.grow(20);
            }
        }
        if round == 3 {
            let output = stopped(child);
            assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        } else {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), None, "{}", text(&output.stderr));
        }
        // What comes while nothing runs is read, too.
        case.grow(30);
    }
    let mut child = case.start(2);
    let records = case.records;
    case.wait(&mut child, |rows| is_all(rows, records));
    let output = stopped(child);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(is_all(&case.rows(), records));
}

fn once_each(rows: &[serde_json::Value], records: u64) -> bool {
    let mut numbers: Vec<u64> = rows.iter().map(|row| row["n"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert!(
        numbers.windows(2).all(|two| two[0] < two[1]),
        "one is there twice"
    );
    numbers == (0..records).collect::<Vec<_>>()
}

/// What stands behind the changes.
fn counted(rows: &[serde_json::Value], records: u64) -> bool {
    let mut standing: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        let weight = match row["op"].as_str().unwrap() {
            "+I" | "+U" => 1,
            _ => -1,
        };
        let key = format!("{} {} {}", row["k"], row["c"], row["m"]);
        *standing.entry(key).or_default() += weight;
    }
    standing.retain(|_, weight| *weight != 0);
    let want = (0..records.min(3)).map(|k| {
        let count = (records - k).div_ceil(3);
        (format!("\"k{k}\" {count} {}", k + 3 * (count - 1)), 1)
    });
    standing == want.collect()
}

#[test]
fn each_record_of_a_growing_file_counts_once() {
    let case = Case::new("follow-json", "json", "SELECT n FROM r");
    followed(case, once_each);
}

#[test]
fn each_record_of_a_growing_csv_counts_once() {
    let query = "SELECT k, COUNT(*) AS c, MAX(n) AS m FROM r GROUP BY k";
    followed(Case::new("follow-csv", "csv", query), counted);
}

#[test]
fn another_file_is_noticed() {
    for format in ["json", "csv"] {
        let mut case = Case::new(&format!("follow-other-{format}"), format, "SELECT n FROM r");
        let mut child = case.start(1);
        case.grow(100);
        case.wait(&mut child, |rows| once_each(rows, 100));
        assert_eq!(stopped(child).status.code(), Some(0));
        let before = case.folder.read("r");

        case.replace(200);
        let output = case.start(2).wait_with_output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{told}");
        assert!(told.contains("it is not the file that was read"), "{told}");

        case.folder.write("r", &before[..before.len() - 20]);
        let output = case.start(2).wait_with_output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{told}");
        assert!(told.contains("it became shorter"), "{told}");

        // As it was, it is read on.
        case.folder.write("r", &before);
        case.records = 100;
        case.grow(7);
        let mut child = case.start(2);
        case.wait(&mut child, |rows| once_each(rows, 107));
        assert_eq!(stopped(child).status.code(), Some(0));
    }
}

/// A file gives way to one that is empty yet, and the run ends before that has a record.
#[test]
fn what_gave_way_to_an_empty_file_is_not_missed() {
    for format in ["json", "csv"] {
        let name = format!("follow-empty-{format}");
        let mut case = Case::new(&name, format, "SELECT n FROM r");
        let mut child = case.start(2);
        case.grow(50);
        case.wait(&mut child, |rows| once_each(rows, 50));
        // The last record has no end yet.
        let last = case.record(50);
        let mut file = OpenOptions::new()
            .append(true)
            .open(case.folder.0.join("r"))
            .unwrap();
        file.write_all(last.trim_end().as_bytes()).unwrap();
        case.records += 1;
        fs::rename(case.folder.0.join("r"), case.folder.0.join("r.1")).unwrap();
        case.folder.write("r", "");
        case.wait(&mut child, |rows| once_each(rows, 51));
        assert_eq!(stopped(child).status.code(), Some(0));

        case.folder.write("r", Case::header(format));
        case.grow(20);
        let mut child = case.start(1);
        case.wait(&mut child, |rows| once_each(rows, 71));
        assert_eq!(stopped(child).status.code(), Some(0));
    }
}

/// The end of what is bounded, and the silence of what is not, close windows.
#[test]
fn an_idle_file_holds_nobody_back() {
    let folder = Folder::new("follow-idle");
    let at = |second: u64| {
        let (minute, second) = (second / 60, second % 60);
        format!("{{\"at\":\"2024-01-01T00:{minute:02}:{second:02}\"}}\n")
    };
    folder.write("calm", &(at(10) + &at(70)));
    folder.write("none", "");
    folder.write("busy", &(0..=600).map(at).collect::<String>());
    for (calm, follow) in [("calm", ""), ("none", ""), ("calm", ", follow = true")] {
        let source = |name: &str, path: &str, more: &str| {
            format!(
                "CREATE SOURCE {name} (at TIMESTAMP(3), WATERMARK FOR at) WITH \
                 (connector = 'file', path = '{path}', format = 'json'{more});\n"
            )
        };
        let idle = ", follow = true, idle_timeout = '200 milliseconds'";
        let sql = source("a", calm, idle)
            + &source("b", "busy", follow)
            + "SELECT window_start, COUNT(*) AS n FROM (SELECT at FROM a UNION ALL SELECT at FROM b)
               AS q GROUP BY TUMBLE(at, INTERVAL '1' MINUTE);";
        folder.write("q.sql", &sql);
        let output = trefoil(&folder)
            .args(["run", "q.sql", "--cores", "2", "--format", "csv"])
            .args(["--limit", "9", "--for", "60s"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let rows = text(&output.stdout).lines().count() - 1;
        assert_eq!(rows, 9, "{calm}{follow}: {}", text(&output.stdout));
    }
}
