//! The files of a sink that is committed with checkpoints: `part-EPOCH-SHARD.EXT` in the sink's
//! folder, each of the rows between two barriers, under a name that begins with a dot until its
//! epoch is durable.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use trefoil::SinkFormat;
use trefoil_ring1::checkpoint::Prepared;

use crate::failure::Failure;
use crate::output::Target;

/// The files of a sink.
#[derive(Debug)]
pub(crate) struct Parts {
    folder: PathBuf,
    extension: &'static str,
    /// No other run's: it is in the names of files that have no epoch yet, which outlive a crash.
    run: u64,
    /// Files that were begun.
    begun: u64,
    /// The one that is being written.
    open: Option<PathBuf>,
    prepared: Vec<Prepared>,
}

/// What a file's name says; `None` where it is none of ours.
fn epoch_of(name: &str) -> Option<u64> {
    let rest = name.strip_prefix("part-")?;
    let (epoch, rest) = rest.split_once('-')?;
    let (shard, _) = rest.split_once('.')?;
    shard.parse::<u32>().ok()?;
    epoch.parse().ok()
}

impl Parts {
    /// The folder of a sink of a run that goes on from this epoch, if it goes on.
    ///
    /// # Errors
    /// Why it cannot be written: among others, files that are not this run's.
    pub(crate) fn open(
        folder: &Path,
        format: SinkFormat,
        epoch: Option<u64>,
    ) -> Result<Self, String> {
        let refuse = |error: std::io::Error| format!("{}: {error}", folder.display());
        if folder.is_file() {
            return Err(format!(
                "{} is a file, and with --state a sink writes into a folder",
                folder.display()
            ));
        }
        fs::create_dir_all(folder).map_err(refuse)?;
        for entry in fs::read_dir(folder).map_err(refuse)? {
            let entry = entry.map_err(refuse)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            match (name.strip_prefix('.'), epoch_of(&name)) {
                // What was not committed is written again.
                (Some(hidden), _) if epoch_of(hidden).is_some() => {
                    fs::remove_file(entry.path()).map_err(refuse)?;
                }
                (None, Some(of)) if epoch.is_none_or(|epoch| of > epoch) => {
                    let path = entry.path();
                    return Err(match epoch {
                        None => format!("{} is of another run; remove it", path.display()),
                        Some(epoch) => format!(
                            "{} was committed behind checkpoint {epoch}, the newest one that is \
                             sound: what follows it would be written twice",
                            path.display()
                        ),
                    });
                }
                (_, _) => {}
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            extension: match format {
                SinkFormat::Json | SinkFormat::Debezium => "json",
                SinkFormat::Csv => "csv",
                SinkFormat::Arrow => "arrow",
                SinkFormat::Parquet => "parquet",
            },
            run: RandomState::new().hash_one(std::process::id()) >> 1,
            begun: 0,
            open: None,
            prepared: Vec::new(),
        })
    }

    /// Begins a file.
    pub(crate) fn begin(&mut self) -> Result<Target, Failure> {
        let (run, number) = (self.run, self.begun);
        self.begun += 1;
        let name = format!(".part-{run:019}-{number}.{}", self.extension);
        let path = self.folder.join(name);
        let file = fs::File::create(&path).map_err(|error| Failure::write(&path, &error))?;
        self.open = Some(path.clone());
        Ok(Target::Direct { file, path })
    }

    /// The file that was begun is whole, and of this epoch.
    pub(crate) fn end(&mut self, epoch: u64) {
        let Some(temporary) = self.open.take() else {
            return;
        };
        let name = format!("part-{epoch:08}-0.{}", self.extension);
        self.prepared.push(Prepared {
            bytes: temporary.metadata().map_or(0, |metadata| metadata.len()),
            name: self.folder.join(name),
            temporary,
        });
    }

    /// The files that are whole and were not taken yet.
    pub(crate) fn take(&mut self) -> Vec<Prepared> {
        std::mem::take(&mut self.prepared)
    }
}
