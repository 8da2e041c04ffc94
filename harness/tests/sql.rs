//! The shell: what comes through a pipe is run line by line and ends at the first error; a person
//! at a terminal has an editor, and goes on.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::{Folder, text, trefoil};

/// A source of so many numbers, or, without a number, of numbers without an end.
fn numbers(name: &str, rows: Option<u64>) -> String {
    let rows = rows.map_or_else(|| "rate = 500".to_owned(), |n| format!("rows = {n}"));
    format!(
        "CREATE SOURCE {name} (n BIGINT)\n  WITH (connector = 'generator', {rows}, \
         fields.n.kind = 'sequence');\n"
    )
}

/// Runs the shell over what a pipe gives.
fn piped(folder: &Folder, typed: &str, options: &[&str]) -> Output {
    let mut shell = trefoil(folder);
    shell.arg("sql").args(options).stdin(Stdio::piped());
    let mut shell = shell
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    // It may end before it has read all.
    _ = stdin.write_all(typed.as_bytes());
    drop(stdin);
    shell.wait_with_output().unwrap()
}

#[test]
fn statements_through_a_pipe() {
    let folder = Folder::new("sql-pipe");
    let typed = numbers("s", Some(10))
        + "\\d
           SELECT n % 2 AS odd, SUM(n) AS s,
             COUNT(*) AS c FROM s
           WHERE n > 0 GROUP BY n % 2 ORDER BY odd; SHOW state_ttl; SET state_ttl = '1 hour';
           -- A comment; and an empty statement:
           ;
           \\d S
           SELECT value FROM trefoil.settings WHERE name = 'state_ttl';
           SELECT n FROM s WHERE n < 0;
           SELECT ';' AS semicolon, n FROM s LIMIT 1";
    let output = piped(&folder, &typed, &["--cores", "2"]);
    let lines = [
        r#"{"name":"s","kind":"source"}"#,
        r#"{"odd":0,"s":20,"c":4}"#,
        r#"{"odd":1,"s":25,"c":5}"#,
        r#"{"value":"none"}"#,
        r#"{"name":"n","type":"BIGINT","nullable":true,"note":null}"#,
        r#"{"value":"1 hour"}"#,
        r#"{"semicolon":";","n":0}"#,
    ];
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout).lines().collect::<Vec<_>>(), lines);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_pipe_ends_at_the_first_error() {
    let folder = Folder::new("sql-error");
    let cases = [
        (
            "SHOW state_ttl;\n\nSELECT nothing\n FROM s;\nSHOW read;",
            3,
            "<stdin>:4:7",
        ),
        ("SHOW state_ttl; SELECT 1 FORM s;", 3, "<stdin>:1:"),
        (
            "SHOW state_ttl;\n\\nothing\nSHOW read;",
            2,
            "there is no command \\nothing",
        ),
        ("SHOW state_ttl;\nSELECT 'open", 3, "<stdin>:2:"),
    ];
    for (typed, code, told) in cases {
        let output = piped(&folder, typed, &[]);
        assert_eq!(output.status.code(), Some(code), "{typed}");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(
            out.lines().count() <= 1 && !out.contains("snapshot"),
            "{out}"
        );
        assert!(err.contains(told), "{typed}: {err}");
    }
    let output = piped(&folder, "SHOW state_ttl;\n\\q\nSELECT nothing;", &[]);
    assert_eq!(output.status.code(), Some(0));
    let output = piped(&folder, "", &["postgres://there"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn results_are_printed_in_the_format_that_is_asked_for() {
    let folder = Folder::new("sql-format");
    let typed = numbers("s", Some(4))
        + "SELECT n, CAST(NULL AS VARCHAR) AS x, DATE '2024-01-02' AS d FROM s WHERE n > 1;
           SELECT n FROM s WHERE n > 9;";
    let cases = [
        ("csv", "n,x,d\r\n2,,2024-01-02\r\n3,,2024-01-02\r\nn\r\n"),
        (
            "table",
            "┌───┬──────┬────────────┐\n│ n │ x    │ d          │\n├───┼──────┼────────────┤\n\
             │ 2 │ NULL │ 2024-01-02 │\n│ 3 │ NULL │ 2024-01-02 │\n\
             └───┴──────┴────────────┘\n┌───┐\n│ n │\n├───┤\n└───┘\n",
        ),
    ];
    for (format, expected) in cases {
        let output = piped(&folder, &typed, &["--format", format, "--cores", "1"]);
        assert_eq!(text(&output.stdout), expected);
    }
    let windows =
        "CREATE SOURCE t (at TIMESTAMP(3), WATERMARK FOR at) WITH (connector = 'generator',
                   rows = 4, fields.at.start = '2024-01-01T00:00:00', fields.at.step = '1 minute');
                   SELECT TUMBLE(at, INTERVAL '2' MINUTE) AS w, COUNT(*) AS n FROM t
                   GROUP BY TUMBLE(at, INTERVAL '2' MINUTE) ORDER BY n, w LIMIT 1";
    let output = piped(&folder, windows, &[]);
    let window = r#"{"w":{"start":"2024-01-01T00:00:00","end":"2024-01-01T00:02:00"},"n":2}"#;
    assert_eq!(
        text(&output.stdout).trim_end(),
        window,
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_query_without_an_end_gives_its_rows_at_once_and_no_more_than_the_limit() {
    let folder = Folder::new("sql-endless");
    let typed = numbers("s", None) + "SELECT n FROM s WHERE n >= 3;\nSHOW read;\n";
    let output = piped(&folder, &typed, &["--limit", "2", "--cores", "1"]);
    let lines = [r#"{"n":3}"#, r#"{"n":4}"#, r#"{"value":"snapshot"}"#];
    assert_eq!(text(&output.stdout).lines().collect::<Vec<_>>(), lines);

    let mut shell = trefoil(&folder);
    let shell = shell.args(["sql", "--cores", "1"]).stdin(Stdio::piped());
    let mut shell = shell.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
    // Each answer is there before the next question is asked.
    stdin.write_all(b"SHOW read;\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), r#"{"value":"snapshot"}"#);
    let query = numbers("s", None) + "SELECT n FROM s;\n";
    stdin.write_all(query.as_bytes()).unwrap();
    for n in 0..20 {
        assert_eq!(lines.next().unwrap().unwrap(), format!("{{\"n\":{n}}}"));
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
}

/// The shell at a terminal, which is ours.
struct Terminal {
    shell: Child,
    keys: File,
    shown: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn open(folder: &Folder) -> Self {
        let (mut ours, mut theirs) = (-1, -1);
        let size = libc::winsize {
            ws_row: 40,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let (name, modes) = (std::ptr::null_mut(), std::ptr::null());
        // SAFETY: two descriptors are written to this stack; the size is read from it.
        let failed =
            unsafe { libc::openpty(&raw mut ours, &raw mut theirs, name, modes, &raw const size) };
        assert_eq!(failed, 0, "a terminal is made");
        // SAFETY: both were opened just now, and are nobody else's.
        let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
        let mut shell = trefoil(folder);
        shell.args(["sql", "--cores", "1"]).env("TERM", "xterm");
        shell.env_remove("XDG_STATE_HOME").env("HOME", &folder.0);
        let descriptor = || Stdio::from(theirs.try_clone().unwrap());
        shell
            .stdin(descriptor())
            .stdout(descriptor())
            .stderr(descriptor());
        let own = || {
            // SAFETY: these are system calls, which may be made between fork and exec.
            let failed = unsafe { libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 };
            match failed {
                true => Err(std::io::Error::last_os_error()),
                false => Ok(()),
            }
        };
        // SAFETY: see within.
        unsafe { shell.pre_exec(own) };
        let child = shell.spawn().unwrap();
        // Their end is closed here, so that ours ends with the shell.
        drop((shell, theirs));
        let keys = File::from(ours);
        let mut screen = keys.try_clone().unwrap();
        let (send, shown) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                if send.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            shell: child,
            keys,
            shown,
            seen: String::new(),
        }
    }

    fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Types Ctrl-C until what runs has stopped: it may still be about to begin.
    fn stops(&mut self) {
        for _ in 0..600 {
            self.keys("\x03");
            while let Ok(more) = self.shown.recv_timeout(Duration::from_millis(100)) {
                self.seen += &String::from_utf8_lossy(&more);
            }
            if self.seen.contains(": stopped") {
                self.see(": stopped");
                return;
            }
        }
        panic!("it goes on: {:?}", self.seen);
    }

    /// Waits until this is shown, and forgets all up to there, which it gives.
    fn see(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                return self.seen.drain(..at + text.len()).collect();
            }
            let more = self.shown.recv_timeout(Duration::from_secs(60));
            let more = more.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&more);
        }
    }
}

#[test]
fn a_person_at_a_terminal() {
    let folder = Folder::new("sql-terminal");
    let mut terminal = Terminal::open(&folder);
    terminal.see("Ctrl-D quits");
    terminal.see("trefoil> ");
    // An error is told, and is not the end.
    terminal.keys("SELECT nothing FROM no_such;\r");
    terminal.see("error[E0202]");
    terminal.see("trefoil> ");
    // Enter goes on until the semicolon, and names are completed.
    terminal.keys("CREATE SOURCE abundant (quantity BIGINT) WITH (connector = 'generator',\r");
    terminal.keys("rate = 500, fields.quantity.kind = 'sequence');\r");
    terminal.see("trefoil> ");
    terminal.keys("\\d abun\t\r");
    terminal.see("│ quantity │ BIGINT");
    terminal.see("trefoil> ");
    // A query without an end shows its rows until Ctrl-C.
    terminal.keys("SELECT quant\t * 2 AS twice FROM abundant;\r");
    terminal.see("│ twice │");
    terminal.see("│     2 │");
    terminal.see("│    18 │");
    terminal.keys("\x03");
    terminal.see(": stopped");
    terminal.see("trefoil> ");
    // At the prompt it drops what is typed.
    terminal.keys("SELECT nonsense\x03");
    terminal.see("trefoil> ");
    terminal.keys("\\timing\r");
    terminal.see("timing is on");
    terminal.keys("SHOW read;\r");
    terminal.see("│ snapshot │");
    terminal.see("time: ");
    terminal.see("trefoil> ");
    terminal.keys("\x04");
    assert_eq!(terminal.shell.wait().unwrap().code(), Some(0));
    let history = folder.read(".local/state/trefoil/sql_history");
    assert!(
        history.contains("SELECT quantity * 2 AS twice FROM abundant;"),
        "{history}"
    );
    // The next one begins with it.
    let mut terminal = Terminal::open(&folder);
    terminal.see("trefoil> ");
    terminal.keys("\x1b[A");
    terminal.see("SHOW read;");
    terminal.keys("\r");
    terminal.see("│ snapshot │");
    terminal.see("trefoil> ");
    terminal.keys("\\q\r");
    assert_eq!(terminal.shell.wait().unwrap().code(), Some(0));
}

/// Ctrl-C ends what gives nothing until its end, too.
#[test]
fn what_takes_long_is_stopped() {
    let folder = Folder::new("sql-stopped");
    let mut terminal = Terminal::open(&folder);
    let long = numbers("long", Some(1_000_000_000_000));
    let few = numbers("few", Some(3_000));
    let view = "CREATE MATERIALIZED VIEW v AS SELECT n FROM few;".to_owned();
    for statement in [long, few, view] {
        terminal.see("trefoil> ");
        terminal.keys(&(statement.trim().replace('\n', " ") + "\r"));
    }
    terminal.see("trefoil> ");
    // Until all of its rows are there.
    let mut count = String::new();
    while !count.contains("│ 3000 │") {
        terminal.keys("SELECT COUNT(*) AS c FROM v;\r");
        count = terminal.see("└");
    }
    terminal.see("trefoil> ");
    let pairs = "SELECT COUNT(*) AS c FROM v AS x, v AS y, v AS z WHERE x.n * y.n > z.n + 12";
    let slow = "SELECT COUNT(*) AS c FROM long";
    for query in [
        format!("EXPLAIN ANALYZE {slow};\r"),
        format!("{pairs};\r"),
        format!("EXPLAIN ANALYZE {pairs};\r"),
    ] {
        terminal.keys(&query);
        terminal.stops();
        terminal.see("trefoil> ");
        terminal.keys("SHOW read;\r");
        terminal.see("│ snapshot │");
        terminal.see("trefoil> ");
    }
    terminal.keys("\x04");
    assert_eq!(terminal.shell.wait().unwrap().code(), Some(0));
}

/// What a sink was fed with is in its file when the shell has ended, also behind an error.
#[test]
fn sinks_have_their_files_at_the_end() {
    for (rest, code) in [
        ("", 0),
        ("SELECT nothing FROM s;", 3),
        ("DROP SINK out;", 0),
    ] {
        let folder = Folder::new("sql-sinks");
        let typed = numbers("s", Some(10))
            + "CREATE SINK out WITH (connector = 'file', path = 'out.csv', format = 'csv')
                 AS SELECT n FROM s WHERE n > 7;
               SELECT COUNT(*) AS jobs FROM trefoil.jobs;\n"
            + rest;
        let output = piped(&folder, &typed, &["--cores", "2"]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert_eq!(text(&output.stdout).trim_end(), r#"{"jobs":1}"#);
        let written = folder.read("out.csv");
        let mut lines: Vec<&str> = written.lines().collect();
        lines[1..].sort_unstable();
        assert_eq!(lines, ["n", "8", "9"]);
    }
    let folder = Folder::new("sql-sinks-failed");
    let typed = numbers("s", Some(10))
        + "CREATE SINK out WITH (connector = 'file', path = 'out.csv', format = 'csv');
           INSERT INTO out SELECT 1 / (n - 5) AS x FROM s;";
    let output = piped(&folder, &typed, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!folder.exists("out.csv"));
    assert!(
        text(&output.stderr).contains("division"),
        "{}",
        text(&output.stderr)
    );
}

/// EXPLAIN tells of a query what `trefoil explain` does; ANALYZE also what it measured.
#[test]
fn plans_are_told() {
    let folder = Folder::new("sql-explain");
    let query = "SELECT n % 2 AS odd, COUNT(*) AS c FROM s GROUP BY n % 2";
    let declared = numbers("s", Some(10));
    folder.write("q.sql", &format!("{declared}{query}"));
    let explained = trefoil(&folder)
        .args(["explain", "q.sql"])
        .output()
        .unwrap();
    let explained = text(&explained.stdout);
    let wanted = explained.strip_prefix(&format!("{query}\n\n")).unwrap();
    let plan = |output: &Output| -> String {
        let lines = text(&output.stdout);
        let lines = lines.lines().map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["plan"].as_str().unwrap().to_owned() + "\n"
        });
        lines.collect()
    };
    let script = format!("{declared}EXPLAIN {query};");
    let typed = piped(&folder, &script, &[]);
    assert_eq!(plan(&typed), wanted);
    let ran = trefoil(&folder)
        .args(["run", "-c", &script])
        .output()
        .unwrap();
    assert_eq!(plan(&ran), wanted);
    let script = format!("{declared}EXPLAIN ANALYZE {query};");
    let typed = piped(&folder, &script, &["--cores", "2"]);
    let args = [
        "run",
        "--cores",
        "2",
        "--stats",
        "stats.json",
        "-c",
        &script,
    ];
    let ran = trefoil(&folder).args(args).output().unwrap();
    for output in [typed, ran] {
        let plan = plan(&output);
        assert!(plan.starts_with(wanted), "{plan}");
        for part in [
            "measured    2 rows of results, 2 shards",
            "read        s: 10 rows",
        ] {
            assert!(plan.contains(part), "{part} is not in\n{plan}");
        }
    }
    let stats = folder.json("stats.json");
    assert_eq!(stats["queries"][0]["inputs"][0]["rows_applied"], 10);
}

/// Changes of a view are shown as they come, and fetched bit by bit.
#[test]
fn subscriptions_and_cursors() {
    let folder = Folder::new("sql-subscribe");
    let typed = numbers("s", None)
        + "CREATE MATERIALIZED VIEW v AS SELECT n FROM s WHERE n % 2 = 0;
           DECLARE c CURSOR FOR SUBSCRIBE v;
           CLOSE c;
           SUBSCRIBE v WHERE n % 4 = 0;\n";
    let output = piped(&folder, &typed, &["--limit", "3", "--cores", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown: Vec<u64> = text(&output.stdout)
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["n"].as_u64().unwrap()
        })
        .collect();
    let first = shown[0];
    assert_eq!(first % 4, 0);
    assert_eq!(shown, [first, first + 4, first + 8]);
}

/// A shell with a state directory: the view that it makes again has the rows that were read before.
#[test]
fn views_that_are_kept() {
    let folder = Folder::new("sql-state");
    let typed = numbers("s", Some(1000))
        + "CREATE MATERIALIZED VIEW v AS SELECT n % 10 AS k, COUNT(*) AS n FROM s GROUP BY n % 10;
           FLUSH;
           CHECKPOINT;
           SELECT SUM(n) AS n FROM v;";
    let options = ["--state", "state", "--cores", "1"];
    for _ in 0..2 {
        let output = piped(&folder, &typed, &options);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with("{\"n\":1000}\n"));
    }
    let output = piped(&folder, "CHECKPOINT;", &["--cores", "1"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("no state directory"));
}
