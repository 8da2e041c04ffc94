//! What stands beside the engine. Each runs a query over the data with so many workers, and gives
//! its seconds and a digest of its answer; what is not on this machine says so.

mod differential;
mod flow;
mod python;
mod timely;

use crate::data::{Data, Digest};
use crate::engine;

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) seconds: f64,
    pub(crate) digest: Digest,
    /// What it says of itself: a version, or what it ran on.
    pub(crate) said: Option<String>,
}

/// The engine, or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Engine,
    Timely,
    Differential,
    DuckDb,
    Polars,
    DataFusion,
    Flink,
}

impl Peer {
    pub(crate) const ALL: [Self; 7] = [
        Self::Engine,
        Self::Timely,
        Self::Differential,
        Self::DuckDb,
        Self::Polars,
        Self::DataFusion,
        Self::Flink,
    ];

    /// Its name in results, and, of Python's, that of its module but for Flink's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Timely => "timely",
            Self::Differential => "differential",
            Self::DuckDb => "duckdb",
            Self::Polars => "polars",
            Self::DataFusion => "datafusion",
            Self::Flink => "flink",
        }
    }

    /// Why it cannot be run here, if it cannot.
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Self::Engine | Self::Timely | Self::Differential => None,
            Self::DuckDb | Self::Polars | Self::DataFusion => python::missing(self.name()),
            Self::Flink => python::missing_java().or_else(|| python::missing("pyflink")),
        }
    }

    pub(crate) fn run(self, data: &Data, workers: usize) -> Result<Answer, String> {
        let answer = match self {
            Self::Engine => engine::run(data, workers),
            Self::Timely => timely::run(data, workers),
            Self::Differential => differential::run(data, workers),
            Self::DuckDb | Self::Polars | Self::DataFusion | Self::Flink => {
                python::run(self.name(), data, workers)
            }
        };
        answer.map_err(|error| format!("{}: {error}", self.name()))
    }
}

/// The version of a crate of this workspace.
fn version(name: &str) -> Option<String> {
    let lock = include_str!("../Cargo.lock");
    let at = lock.find(&format!("\nname = \"{name}\"\nversion = \""))?;
    let version = lock[at..].lines().nth(2)?.split('"').nth(1)?;
    Some(format!("{name} {version}"))
}

#[test]
fn versions_are_those_of_the_lock_file() {
    assert!(version("timely").is_some_and(|said| said.starts_with("timely 0.")));
    assert_eq!(version("nothing-of-that-name"), None);
}
