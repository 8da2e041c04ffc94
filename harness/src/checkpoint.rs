//! `trefoil checkpoint`: what is in a state directory, and whether it is sound. It takes no lock,
//! so that the directory of a run that goes on can be looked at: what that removes meanwhile is
//! left out.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use arrow_schema::DataType;
use trefoil::Answer;
use trefoil_ring1::checkpoint::{Folder, Manifest, StoreError};

use crate::args::CheckpointCommand;
use crate::failure::Failure;
use crate::output::{self, Target};
use crate::print::{format_for, print_answer};

/// Runs the command.
pub(crate) fn run(command: &CheckpointCommand) -> Result<(), Failure> {
    let mut target = output::open(None)?;
    match command {
        CheckpointCommand::Ls { dir, format } => {
            let format = format_for(&target, *format)?;
            print_answer(&list(&Folder::new(dir))?, format, &mut target)
        }
        CheckpointCommand::Show { dir, epoch } => show(dir, *epoch, &mut target),
        CheckpointCommand::Verify { dir } => verify(dir, &mut target),
    }
}

/// All checkpoints, the newest first. What is known of one that is not sound is why.
fn list(folder: &Folder) -> Result<Answer, StoreError> {
    let mut rows = Vec::new();
    for (epoch, found) in each(folder, |epoch| folder.glance(epoch))? {
        let (manifest, state) = match found {
            Ok(manifest) => (Some(manifest), "complete".to_owned()),
            Err(error) => (folder.manifest(epoch).ok(), error.to_string()),
        };
        let of = |value: fn(&Manifest) -> String| manifest.as_ref().map(value);
        rows.push(vec![
            Some(epoch.to_string()),
            of(|manifest| time(manifest.data.created_ns)),
            of(|manifest| manifest.bytes().to_string()),
            of(|manifest| manifest.pieces().to_string()),
            Some(state),
        ]);
    }
    let columns = [
        ("epoch", DataType::UInt64),
        ("time", DataType::Utf8),
        ("bytes", DataType::UInt64),
        ("pieces", DataType::UInt64),
        ("state", DataType::Utf8),
    ];
    Ok(Answer {
        sql: String::new(),
        columns: columns.map(|(name, of)| (name.to_owned(), of)).to_vec(),
        rows,
    })
}

fn show(dir: &Path, epoch: Option<u64>, target: &mut Target) -> Result<(), Failure> {
    let folder = Folder::new(dir);
    let epoch = match epoch {
        Some(epoch) => epoch,
        None => *folder.epochs()?.first().ok_or_else(|| none(dir))?,
    };
    let json = serde_json::to_string_pretty(&folder.manifest(epoch)?);
    let json = json.map_err(|error| Failure::Running(error.to_string()))?;
    Ok(target.write(format!("{json}\n").as_bytes())?)
}

fn verify(dir: &Path, target: &mut Target) -> Result<(), Failure> {
    let folder = Folder::new(dir);
    let found = each(&folder, |epoch| folder.checkpoint(epoch))?;
    if found.is_empty() {
        return Err(none(dir));
    }
    let mut wrong = Vec::new();
    for (epoch, checkpoint) in &found {
        match checkpoint {
            Ok(checkpoint) => {
                let manifest = checkpoint.manifest();
                let (parts, pieces) = (manifest.parts.len(), manifest.pieces());
                let bytes = manifest.bytes();
                let line = format!(
                    "epoch {epoch}: sound: parts {parts}, pieces {pieces}, bytes {bytes}\n"
                );
                target.write(line.as_bytes())?;
            }
            Err(error) => wrong.push(format!("\n  epoch {epoch}: {error}")),
        }
    }
    match wrong.len() {
        0 => Ok(()),
        count => Err(Failure::Checkpoint(format!(
            "{count} of {} checkpoints in {} are not sound:{}",
            found.len(),
            dir.display(),
            wrong.concat()
        ))),
    }
}

/// What was found of each epoch.
type Epochs<T> = Vec<(u64, Result<T, StoreError>)>;

/// What `look` says of each epoch, the newest first, without those that went while it looked.
fn each<T>(
    folder: &Folder,
    look: impl Fn(u64) -> Result<T, StoreError>,
) -> Result<Epochs<T>, StoreError> {
    let mut found = Vec::new();
    for epoch in folder.epochs()? {
        let result = look(epoch);
        if result.is_ok() || folder.epochs()?.contains(&epoch) {
            found.push((epoch, result));
        }
    }
    Ok(found)
}

fn none(dir: &Path) -> Failure {
    Failure::Checkpoint(format!("there is no checkpoint in {}", dir.display()))
}

/// A time for people: nanoseconds since 1970.
fn time(ns: i64) -> String {
    match u64::try_from(ns) {
        Ok(ns) => {
            humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(ns)).to_string()
        }
        Err(_) => format!("{ns} ns"),
    }
}
