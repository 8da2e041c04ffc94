//! A state directory that cannot be written for a while: the stream goes on, checkpoints that
//! failed are counted and said, the next one is good, and what is committed is each row once.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Folder, text, trefoil};

/// Rows of the source, which come at a rate of 1,000 a second.
const ROWS: u64 = 4000;

const SCRIPT: &str = "
    CREATE SOURCE made (id BIGINT, v BIGINT) WITH (connector = 'generator', rows = 4000,
        rate = 1000, seed = 7, fields.id.kind = 'sequence', fields.v.min = 0, fields.v.max = 99);
    CREATE SINK o WITH (connector = 'file', format = 'json', path = 'out')
        AS SELECT id, v FROM made;";

const RUN: [&str; 8] = [
    "run",
    "q.sql",
    "--state",
    "state",
    "--checkpoint-every",
    "20ms",
    "--stats",
    "stats.json",
];

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("q.sql", SCRIPT);
    folder
}

/// Waits until something is so, as long as the run goes on.
fn wait(folder: &Folder, child: &mut Child, what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "{what}: {ended:?} {}", folder.read("said"));
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}: {}", folder.read("said"));
}

fn has_manifest(folder: &Folder) -> bool {
    let Ok(entries) = fs::read_dir(folder.0.join("state")) else {
        return false;
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.into_iter().any(|name| name.starts_with("manifest-"))
}

/// The first run counts both, and the next one ends with each row once.
fn check_end(folder: &Folder) {
    let counts = &folder.json("stats.json")["checkpoints"];
    assert!(counts["failed"].as_u64().unwrap() > 0, "{counts}");
    assert!(counts["taken"].as_u64().unwrap() > 0, "{counts}");
    let output = trefoil(folder).args(RUN).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("note: going on from checkpoint"));
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder.0.join("out")).unwrap() {
        let rows = fs::read_to_string(entry.unwrap().path()).unwrap();
        ids.extend(rows.lines().map(|row| {
            let row: serde_json::Value = serde_json::from_str(row).unwrap();
            row["id"].as_u64().unwrap()
        }));
    }
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(0..ROWS), "{} rows", ids.len());
}

/// A run that meets what `break_it` does once it has started, and then what `mend_it` does.
fn check(folder: &Folder, mut command: Command, break_it: impl Fn(&Path), mend_it: impl Fn(&Path)) {
    let said = File::create(folder.0.join("said")).unwrap();
    let mut child = command.stderr(said).stdout(Stdio::null()).spawn().unwrap();
    let state = folder.0.join("state");
    wait(folder, &mut child, "a first one", || has_manifest(folder));
    break_it(&state);
    wait(folder, &mut child, "one that fails", || {
        folder.read("said").contains("failed, the next may not")
    });
    for entry in fs::read_dir(&state).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("manifest-") {
            // A good one is told by its manifest.
            _ = fs::remove_file(entry.path());
        }
    }
    mend_it(&state);
    wait(folder, &mut child, "a good one", || has_manifest(folder));
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &pid]).status();
    assert!(sent.unwrap().success());
    assert!(child.wait().unwrap().success(), "{}", folder.read("said"));
    check_end(folder);
}

#[test]
fn a_folder_that_is_away() {
    let folder = folder("faults-away");
    let mut command = trefoil(&folder);
    command.args(RUN);
    let (there, away) = (|s: &Path| s.join("state"), |s: &Path| s.join("away"));
    check(
        &folder,
        command,
        |state| fs::rename(there(state), away(state)).unwrap(),
        |state| fs::rename(away(state), there(state)).unwrap(),
    );
}

/// Who may do everything has nothing to be refused: it gives that up.
#[test]
fn a_folder_that_may_not_be_written() {
    let folder = folder("faults-unwritable");
    let plain = trefoil(&folder);
    let mut command = match fs::metadata(&folder.0).unwrap().uid() {
        0 => {
            let mut command = Command::new("unshare");
            command.arg("--user").arg(plain.get_program());
            command.current_dir(&folder.0);
            command
        }
        _ => plain,
    };
    command.args(RUN);
    let mode = |state: &Path, mode| {
        let folder = state.join("state");
        fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
    };
    let may = Command::new("unshare").args(["--user", "true"]).status();
    if command.get_program() == "unshare" && !may.is_ok_and(|status| status.success()) {
        eprintln!("not tried: this machine gives no namespace of users");
        return;
    }
    check(
        &folder,
        command,
        |state| mode(state, 0o555),
        |state| mode(state, 0o755),
    );
}

/// A disk of its own, in a namespace of its own, filled by something else; what is on it is kept.
#[test]
fn a_disk_that_is_full() {
    let folder = folder("faults-full");
    let script = "
        set -e
        mkdir state
        mount -t tmpfs -o size=256k none state
        head -c 1000000 /dev/zero > state/other 2> /dev/null || true
        \"$0\" \"$@\" 2> said &
        until grep -q 'failed, the next may not' said; do kill -0 $!; sleep 0.01; done
        grep -q 'No space left' said
        rm state/other
        until ls state | grep -q '^manifest-'; do kill -0 $!; sleep 0.01; done
        kill $!
        wait $!
        cp -a state kept
        umount -l state";
    let may = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("not tried: this machine gives no namespace of mounts");
        return;
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_trefoil"))
        .args(RUN)
        .current_dir(&folder.0)
        .output()
        .unwrap();
    let said = fs::read_to_string(folder.0.join("said")).unwrap_or_default();
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}\n{said}");
    fs::remove_dir(folder.0.join("state")).unwrap();
    fs::rename(folder.0.join("kept"), folder.0.join("state")).unwrap();
    check_end(&folder);
}
