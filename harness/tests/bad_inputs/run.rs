//! A run of the binary over a case, and what is compared of it.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::table::Case;

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    /// What ended it, without the source's name.
    pub(crate) error: Option<String>,
    pub(crate) rows: Vec<String>,
    pub(crate) ledger: Ledger,
    /// In the order of the file.
    pub(crate) letters: Vec<Letter>,
}

/// The counts of a run that ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ledger {
    pub(crate) read: u64,
    pub(crate) bad: u64,
    pub(crate) filtered: u64,
    pub(crate) failed: u64,
    pub(crate) late: u64,
    pub(crate) applied: u64,
}

/// What is told of a bad record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Letter {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) line: u64,
    pub(crate) reason: String,
    /// The record as text, or in hexadecimal.
    pub(crate) raw: String,
}

/// Files of a folder of copies.
pub(crate) const COPIES: usize = 4;

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

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
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

/// A folder of its own: tests run side by side.
pub(crate) fn folder(case: &Case) -> Folder {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    Folder::new(&format!("{}-{number}", case.name))
}

/// Runs a case over one file.
pub(crate) fn run(case: &Case, policy: &str, cores: usize) -> Outcome {
    let folder = folder(case);
    std::fs::write(folder.0.join("in"), &case.bytes).unwrap();
    run_in(&folder, case, policy, cores)
}

/// Runs a case over a folder of copies, where its result is that of one file several times.
pub(crate) fn copies(case: &Case, policy: &str) -> Option<Outcome> {
    let gathers = |query: &String| query.contains("BY") || query.contains("SUM(");
    if case.query.as_ref().is_some_and(gathers) || case.columns.contains("WATERMARK") {
        return None;
    }
    let folder = folder(case);
    std::fs::create_dir(folder.0.join("in")).unwrap();
    for copy in 0..COPIES {
        std::fs::write(folder.0.join(format!("in/{copy}")), &case.bytes).unwrap();
    }
    Some(run_in(&folder, case, policy, 4))
}

/// Runs a case over what stands in the folder.
pub(crate) fn run_in(folder: &Folder, case: &Case, policy: &str, cores: usize) -> Outcome {
    let Case {
        path,
        columns,
        options,
        ..
    } = case;
    let query = case.query.as_deref().unwrap_or("SELECT * FROM r");
    let script = format!(
        "CREATE SOURCE r ({columns})\nWITH (connector = 'file', path = '{path}', \
         bad_data = '{policy}'\n{options});\n{query};"
    );
    std::fs::write(folder.0.join("q.sql"), script).unwrap();
    let output = trefoil(folder)
        .args([
            "run",
            "q.sql",
            "--format",
            "ndjson",
            "--stats",
            "stats.json",
        ])
        .args(["--cores", &cores.to_string()])
        .output()
        .unwrap();
    let (code, said) = (output.status.code().unwrap(), text(output.stderr));
    assert!(!said.contains("panicked"), "{}: {said}", case.title);
    let error = (code != 0).then(|| error(&said, &case.title));
    let mut letters = match (code, policy) {
        (0, "dlq") => letters(folder),
        _ => Vec::new(),
    };
    letters.sort();
    Outcome {
        code,
        rows: match &error {
            Some(_) => Vec::new(),
            None => text(output.stdout).lines().map(str::to_owned).collect(),
        },
        ledger: match &error {
            Some(_) => Ledger::default(),
            None => ledger(&folder.read("stats.json"), case),
        },
        error,
        letters,
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// What a run says as it fails.
fn error(said: &str, title: &str) -> String {
    let at = said
        .find("error")
        .unwrap_or_else(|| panic!("{title}: {said}"));
    let error = said[at..].trim_end();
    let error = error.strip_prefix("error: ").unwrap_or(error);
    let error = error.strip_prefix("source r: ").unwrap_or(error);
    // Of the copies in a folder the first is named.
    error.replace("./in/0", "./in")
}

fn ledger(stats: &str, case: &Case) -> Ledger {
    let stats: Value = serde_json::from_str(stats).unwrap();
    let (source, input) = (&stats["sources"][0], &stats["queries"][0]["inputs"][0]);
    let count = |value: &Value| value.as_u64().unwrap();
    let ledger = Ledger {
        read: count(&source["rows_read"]),
        bad: count(&source["rows_bad"]),
        filtered: count(&input["rows_filtered"]),
        failed: count(&input["rows_failed"]),
        late: count(&input["rows_late"]) + count(&input["rows_late_idle"]),
        applied: count(&input["rows_applied"]),
    };
    let Ledger {
        filtered,
        failed,
        late,
        applied,
        ..
    } = ledger;
    let passed = count(&source["rows_passed"]);
    assert_eq!(ledger.read, passed + ledger.bad, "{}", case.title);
    assert_eq!(count(&input["rows_in"]), passed, "{}", case.title);
    assert_eq!(passed, filtered + failed + late + applied, "{}", case.title);
    ledger
}

fn letters(folder: &Folder) -> Vec<Letter> {
    let text = folder.read("r.dlq.ndjson");
    let letter = |line: &str| {
        let letter: Value = serde_json::from_str(line).unwrap();
        assert_eq!(letter["source"], "r");
        let text = |name: &str| letter[name].as_str().map(str::to_owned);
        let hex = text("raw_hex").map(|hex| format!("bytes {hex}"));
        Letter {
            file: text("file").unwrap(),
            offset: letter["offset"].as_u64().unwrap(),
            line: letter["line"].as_u64().unwrap(),
            reason: text("reason").unwrap(),
            raw: text("raw").or(hex).unwrap(),
        }
    };
    text.lines().map(letter).collect()
}

impl Outcome {
    /// What a folder of so many copies has to give.
    pub(crate) fn repeated(&self, copies: usize) -> Self {
        let Ledger {
            read,
            bad,
            filtered,
            failed,
            late,
            applied,
        } = self.ledger;
        let times = |count: u64| count * copies as u64;
        let copy = |copy: usize| {
            let letters = self.letters.iter();
            letters.map(move |letter| Letter {
                file: format!("{}/{copy}", letter.file),
                ..letter.clone()
            })
        };
        Self {
            rows: vec![&self.rows[..]; copies].concat(),
            ledger: Ledger {
                read: times(read),
                bad: times(bad),
                filtered: times(filtered),
                failed: times(failed),
                late: times(late),
                applied: times(applied),
            },
            letters: (0..copies).flat_map(copy).collect(),
            ..self.clone()
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} read", self.read)?;
        for (count, what) in [
            (self.bad, "bad"),
            (self.filtered, "filtered"),
            (self.failed, "failed"),
            (self.late, "late"),
            (self.applied, "applied"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            offset,
            line,
            reason,
            raw,
            ..
        } = self;
        let short: String = raw.chars().take(60).collect();
        let more = raw.len() - short.len();
        write!(f, "{line}: byte {offset}: {reason}: {short:?}")?;
        match more {
            0 => Ok(()),
            more => write!(f, " and {more} bytes more"),
        }
    }
}
