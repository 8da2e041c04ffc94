//! Other systems beside the engine, through a Python that has them: the one that the environment
//! variable TREFOIL_BENCH_PYTHON names, else python3. They time themselves; starting Python is not
//! counted.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde::Deserialize;

use crate::failure::Failure;
use crate::say::say;

/// What a peer says.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) seconds: f64,
    pub(super) groups: u64,
    pub(super) rows: u64,
}

/// Peers that were said to be missing.
static MISSING: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// What a script of Python that imports a peer says with these arguments; `None`, said once, where
/// the peer is not there.
pub(super) fn run(
    peer: &'static str,
    script: &str,
    arguments: &[&OsStr],
) -> Result<Option<Answer>, Failure> {
    let python = std::env::var_os("TREFOIL_BENCH_PYTHON").unwrap_or_else(|| "python3".into());
    let mut missing = MISSING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if missing.contains(peer) {
        return Ok(None);
    }
    let has = Command::new(&python)
        .args(["-c", &format!("import {peer}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !has.is_ok_and(|status| status.success()) {
        missing.insert(peer);
        let python = python.to_string_lossy();
        say(&format_args!(
            "note: {python} has no {peer}: it is left out"
        ));
        return Ok(None);
    }
    let output = Command::new(&python)
        .args(["-c", script])
        .args(arguments)
        .output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::Running(format!("{peer}: {}", why.trim_end())));
    }
    let answer = serde_json::from_slice(&output.stdout).map_err(std::io::Error::from)?;
    Ok(Some(answer))
}
