//! The files of a sink that is committed with checkpoints: `part-EPOCH-NUMBER.EXT` in the sink's
//! folder, each of the rows between two barriers, under a name that begins with a dot until its
//! epoch is durable. Results that go to a file, and what is told about bad records, are kept so,
//! too.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use trefoil::output::Format;
use trefoil_ring1::checkpoint::{Disk, LocalDisk, Prepared};

use crate::failure::Failure;
use crate::output::Target;

/// The files of a sink.
#[derive(Debug)]
pub(crate) struct Parts {
    folder: PathBuf,
    format: Format,
    /// No other run's: it is in the names of files that have no epoch yet, which outlive a crash.
    run: u64,
    /// Files that were begun.
    begun: u64,
    /// The one that is being written.
    open: Option<PathBuf>,
    /// Those that are whole, and of no epoch yet.
    whole: Vec<PathBuf>,
    /// The last epoch that files are of, and how many.
    named: (u64, u32),
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
    pub(crate) fn open(folder: &Path, format: Format, epoch: Option<u64>) -> Result<Self, String> {
        let refuse = |error: std::io::Error| format!("{}: {error}", folder.display());
        if folder.is_file() {
            return Err(format!(
                "{} is a file, and with --state rows go into files of a folder",
                folder.display()
            ));
        }
        // It is durable before a file in it has its name.
        LocalDisk.make_dir(folder).map_err(refuse)?;
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
            format,
            run: RandomState::new().hash_one(std::process::id()) >> 1,
            begun: 0,
            open: None,
            whole: Vec::new(),
            named: (0, 0),
        })
    }

    /// How they are written.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Begins a file.
    pub(crate) fn begin(&mut self) -> Result<Target, Failure> {
        let (run, number, end) = (self.run, self.begun, extension(self.format));
        self.begun += 1;
        let path = self.folder.join(format!(".part-{run:019}-{number}.{end}"));
        let file = fs::File::create(&path).map_err(|error| Failure::write(&path, &error))?;
        self.open = Some(path.clone());
        Ok(Target::Direct { file, path })
    }

    /// The file that was begun is whole.
    pub(crate) fn close(&mut self) {
        self.whole.extend(self.open.take());
    }

    /// The files that are whole are of this epoch, or of one before that was not committed.
    pub(crate) fn prepare(&mut self, epoch: u64) -> Vec<Prepared> {
        if self.named.0 != epoch {
            self.named = (epoch, 0);
        }
        let (folder, end) = (&self.folder, extension(self.format));
        let number = &mut self.named.1;
        let prepare = |temporary: PathBuf| {
            let name = folder.join(format!("part-{epoch:08}-{number}.{end}"));
            *number += 1;
            Prepared {
                bytes: temporary.metadata().map_or(0, |metadata| metadata.len()),
                name,
                temporary,
            }
        };
        self.whole.drain(..).map(prepare).collect()
    }
}

/// What names of files end with.
fn extension(format: Format) -> &'static str {
    match format {
        Format::Json | Format::Ndjson | Format::Debezium => "json",
        Format::Csv => "csv",
        Format::Arrow => "arrow",
        Format::Parquet => "parquet",
        Format::Table => "txt",
        Format::Markdown => "md",
    }
}
