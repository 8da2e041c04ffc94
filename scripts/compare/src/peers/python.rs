//! Peers from Python's registry, through a Python that has them: the one that the environment
//! variable TREFOIL_BENCH_PYTHON names, else python3. They get the columns through a pipe and put
//! them into tables of their own; they time themselves from the query to the last column of its
//! result.

use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Stdio};

use arrow_array::Array;
use serde::Deserialize;

use super::Answer;
use crate::data::{Data, Digest};

const SCRIPT: &str = include_str!("python.py");

/// What a peer says.
#[derive(Debug, Deserialize)]
struct Said {
    seconds: f64,
    version: String,
    #[serde(flatten)]
    digest: Digest,
}

fn python() -> OsString {
    std::env::var_os("TREFOIL_BENCH_PYTHON").unwrap_or_else(|| "python3".into())
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Why Python has not this module, or not those that the script needs.
pub(super) fn missing(module: &str) -> Option<String> {
    let python = python();
    let lacks = |name: &&str| {
        let import = format!("import {name}");
        !succeeds(Command::new(&python).args(["-c", &import]))
    };
    let missing = [module, "numpy", "pyarrow"].into_iter().find(lacks)?;
    Some(format!("{} has no {missing}", python.to_string_lossy()))
}

/// Why there is no Java.
pub(super) fn missing_java() -> Option<String> {
    let has = succeeds(Command::new("java").arg("-version"));
    (!has).then(|| "there is no java".to_owned())
}

/// Has a peer answer the query of `data` with so many threads.
pub(super) fn run(peer: &str, data: &Data, threads: usize) -> Result<Answer, String> {
    let query = match data {
        Data::Keyed { .. } => "keyed",
        Data::Windowed { .. } => "tumbling",
    };
    let mut child = Command::new(python())
        .args(["-c", SCRIPT, peer, query])
        .args([threads.to_string(), data.rows().to_string()])
        // Read before the modules are imported that make pools of threads.
        .env("POLARS_MAX_THREADS", threads.to_string())
        .env("TOKIO_WORKER_THREADS", threads.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut input = child.stdin.take().ok_or("no pipe")?;
    // It reads all of it before it writes anything that could fill a pipe.
    let sent = data.arrays().iter().try_for_each(|array| {
        let array = array.to_data();
        input.write_all(array.buffers()[0].as_slice())
    });
    drop(input);
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(why.trim_end().to_owned());
    }
    sent.map_err(|error| error.to_string())?;
    // Some print a banner: the answer is the last line.
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    let said: Said = serde_json::from_str(last).map_err(|error| error.to_string())?;
    Ok(Answer {
        seconds: said.seconds,
        digest: said.digest,
        said: Some(said.version),
    })
}
