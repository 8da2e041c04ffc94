//! What tests of the binary share: a folder of their own, and the binary run in it.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "not every test needs all of it"
)]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder that goes when its test does.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        // Tests of one process may run side by side under the same name.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("trefoil-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// Names of files that were begun and not given their name.
    pub(crate) fn temporary_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The binary, to be run in the folder.
pub(crate) fn trefoil(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trefoil"));
    command.current_dir(&folder.0);
    command
}

/// Runs the statements with these options.
pub(crate) fn run_script(folder: &Folder, sql: &str, options: &[&str]) -> Output {
    folder.write("q.sql", sql);
    let output = trefoil(folder)
        .args(["run", "q.sql"])
        .args(options)
        .output();
    output.unwrap()
}

/// Text that a program printed.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A run with a state directory that is killed, or stopped, again and again, beside one that is
/// not.
pub(crate) mod killed {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt::Write as _;
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use super::{Folder, text, trefoil};

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
    pub(crate) enum Records {
        Plain,
        /// Every thousandth is none.
        Bad,
        /// Rows that come, replace the one of the same key, and go.
        Changes,
    }

    /// A query, and over what.
    pub(crate) struct Case {
        pub(crate) records: Records,
        /// A source `p` of several files, each a split.
        pub(crate) splits: bool,
        /// A table `names`, and up to which size such a one is on all shards. It grows, too.
        pub(crate) table_bytes: Option<u64>,
        /// Some records of the table are none.
        pub(crate) bad_table: bool,
        /// Whether runs are stopped rather than killed.
        pub(crate) stopped: bool,
        /// Whether late rows go to a sink, too.
        pub(crate) late: bool,
        /// Whether results are printed into `--output` rather than fed to a sink, and the script
        /// has statements before and behind that give an answer.
        pub(crate) printed: bool,
        /// Rows that are printed at most.
        pub(crate) limit: Option<u64>,
        pub(crate) query: &'static str,
    }

    impl Case {
        pub(crate) const fn of(query: &'static str) -> Self {
            Self {
                records: Records::Plain,
                splits: false,
                table_bytes: None,
                bad_table: false,
                stopped: false,
                late: false,
                printed: false,
                limit: None,
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
                Records::Bad if n % 1000 == 17 => writeln!(lines, "{{\"n\":{n},\"k\":\"none\"}}"),
                Records::Plain | Records::Bad => writeln!(lines, "{row}"),
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
            let mut names: Vec<String> = (0..300).map(name).collect();
            if case.bad_table {
                let bad = names.iter_mut().step_by(10);
                bad.for_each(|name| *name = name.replace("\"k\":", "\"k\":\"of\","));
            }
            folder.write("names.json", &names.concat());
        }
        folder
    }

    fn script(sink: &str, case: &Case) -> String {
        let Case { query, .. } = case;
        let columns = "n BIGINT, k BIGINT, s VARCHAR, v BIGINT, t TIMESTAMP(3)";
        let watermark = "WATERMARK FOR t AS t - INTERVAL '3' SECOND";
        let (more, format) = match case.records {
            Records::Plain | Records::Bad => (watermark, "json"),
            Records::Changes => ("PRIMARY KEY (k, s)", "debezium_json"),
        };
        let splits = match case.splits {
            false => String::new(),
            true => format!(
                "CREATE SOURCE p ({columns}, {watermark}) WITH (connector = 'file', \
             format = 'json', path = 'parts', splits = 'file');\n"
            ),
        };
        let dlq = format!(", bad_data = 'dlq', dlq_path = 'bad-{sink}'");
        let of_table = if case.bad_table { &*dlq } else { "" };
        let table = match case.table_bytes {
            None => String::new(),
            Some(bytes) => format!(
                "SET broadcast_max_bytes = {bytes};\n\
             CREATE TABLE names (k BIGINT PRIMARY KEY, name VARCHAR) \
             WITH (connector = 'file', format = 'json', path = 'names.json'{of_table});\n"
            ),
        };
        let mut more_options = String::new();
        if case.late {
            more_options += ", late = 'sink:l'";
        }
        if case.records == Records::Bad {
            more_options += &dlq;
        }
        let query = match case.printed {
            true => format!("SHOW SOURCES;\n{query};\nSHOW SINKS;"),
            false => format!(
                "CREATE SINK o WITH (connector = 'file', format = 'json', path = '{sink}') \
                 AS {query};"
            ),
        };
        format!(
            "{splits}{table}\
         CREATE SINK l WITH (connector = 'file', format = 'json', path = 'late-{sink}');\n\
         CREATE SOURCE r ({columns}, {more}) \
         WITH (connector = 'file', format = '{format}', path = 'r.json'{more_options});\n{query}"
        )
    }

    /// Options of a run whose rows go there.
    fn options(case: &Case, output: &str) -> Vec<String> {
        let mut options = Vec::new();
        if case.printed {
            options.extend(["--output".to_owned(), output.to_owned()]);
        }
        if let Some(limit) = case.limit {
            options.extend(["--limit".to_owned(), limit.to_string()]);
        }
        options
    }

    fn start(folder: &Folder, case: &Case, shards: usize) -> Child {
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
            .args(options(case, "out"))
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

    /// Runs it to its end, killed again and again, while its file grows: what comes behind the
    /// bytes that the first checkpoint was taken of is of another run. Gives how often.
    fn killed(folder: &Folder, case: &Case, random: &mut Random) -> u64 {
        let (state, input) = (folder.0.join("state"), folder.0.join("r.json"));
        let mut kills = 0;
        for shards in [1, 2, 3, 8].into_iter().cycle() {
            let mut child = start(folder, case, shards);
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
    pub(crate) fn check(name: &str, query: &'static str) {
        check_case(name, &Case::of(query));
    }

    pub(crate) fn check_case(name: &str, case: &Case) {
        let query = case.query;
        let folder = file(name, case);
        folder.write("plain.sql", &script("plain.json", case));
        folder.write("q.sql", &script("out", case));
        let plain = trefoil(&folder)
            .args(["run", "plain.sql", "--cores", "2"])
            .args(options(case, "plain.json"))
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
            for folder in ["state", "out", "late-out", "bad-out"].map(|name| folder.0.join(name)) {
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
                check_besides(&folder, "late");
            }
            if case.records == Records::Bad || case.bad_table {
                check_besides(&folder, "bad");
            }
            if case.limit.is_some() {
                // Which rows is not said, but none is twice.
                let different: BTreeSet<&String> = rows.iter().collect();
                assert_eq!((rows.len(), different.len()), (plain.len(), plain.len()));
            } else if query.contains("EMIT") {
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

    /// What is told besides results is committed as these are.
    fn check_besides(folder: &Folder, what: &str) {
        let of = folder.read(&format!("{what}-plain.json"));
        let mut want: Vec<&str> = of.lines().collect();
        assert!(!want.is_empty(), "there is something {what}");
        let mut told = committed(folder, &format!("{what}-out"));
        told.sort_unstable();
        want.sort_unstable();
        assert!(told == want, "{what}: {} of {}", told.len(), want.len());
    }
}
