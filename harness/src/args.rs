//! What is typed: flags and their environment variables, as clap reads them. Nothing is checked
//! here that needs the machine or a file.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use trefoil::SourceFile;
use trefoil_ring0::limits::{FRAME_ROWS_DEFAULT, FRAME_ROWS_MAX, SHARDS_MAX};
use trefoil_ring0::preflight::allowed_cores;
use trefoil_ring0::runtime::{Config, Executor};

use crate::failure::Failure;
use crate::say::Color;

/// Trefoil, a thread-per-core streaming SQL engine.
#[derive(Debug, Parser)]
#[command(name = "trefoil", version)]
pub(crate) struct Args {
    /// When messages are in colour [default: auto]
    #[arg(long, value_enum, value_name = "WHEN", global = true)]
    pub(crate) color: Option<Color>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a script; each bare SELECT prints its results
    Run(RunArgs),
    /// Show the plan of every query, its partition strategy and the reason
    Explain(ExplainArgs),
    /// Run benchmarks, or compare their results
    Bench(BenchArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Files of SQL, read as one script, and folders, whose files are explained one by one behind
    /// those named before and the folder's schema.sql; `-` is standard input
    #[arg(value_name = "FILE.sql|DIR", required_unless_present = "commands")]
    pub(crate) paths: Vec<PathBuf>,
    /// SQL, read behind the files
    #[arg(short = 'c', value_name = "SQL", allow_hyphen_values = true)]
    pub(crate) commands: Vec<String>,
    /// How plans are printed
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ExplainFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainFormat {
    /// A tree of stages and exchanges
    Text,
    /// For programs
    Json,
    /// A Mermaid flowchart
    Mermaid,
    /// A Graphviz digraph
    Dot,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Files of SQL, read as one script; `-` is standard input
    #[arg(value_name = "FILE.sql", required_unless_present = "commands")]
    pub(crate) files: Vec<PathBuf>,
    /// SQL, read behind the files
    #[arg(short = 'c', value_name = "SQL", allow_hyphen_values = true)]
    pub(crate) commands: Vec<String>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Rows of a frame; results never depend on it
    #[arg(long, value_name = "N", env = "TREFOIL_FRAME_ROWS",
        default_value_t = FRAME_ROWS_DEFAULT, value_parser = frame_rows)]
    pub(crate) frame_rows: usize,
    /// How results are printed [default: table on a terminal, ndjson otherwise]
    #[arg(long, value_enum, env = "TREFOIL_FORMAT")]
    pub(crate) format: Option<Format>,
    /// Where results go instead of standard output; `-` is standard output
    #[arg(long, value_name = "PATH", env = "TREFOIL_OUTPUT")]
    pub(crate) output: Option<PathBuf>,
    /// Where to write, at the end, what was counted, as JSON
    #[arg(long, value_name = "PATH", env = "TREFOIL_STATS")]
    pub(crate) stats: Option<PathBuf>,
    /// Set a value before the script, as SET does
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<Setting>,
    /// Print no more rows of a result, and read no further for it
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Stop behind this time as the first SIGINT does, as in `10s` or `1m 30s`
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) time: Option<Duration>,
}

/// A value that is set before the script.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    name: String,
    value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("NAME=VALUE is needed")?;
        Self::new(name, value)
    }
}

impl Setting {
    /// Checks the name, so that nothing but a value can be set.
    pub(crate) fn new(name: &str, value: &str) -> Result<Self, String> {
        let word = |part: &str| {
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
            part.starts_with(|c: char| !c.is_ascii_digit()) && part.chars().all(letter)
        };
        match name.split('.').all(word) {
            true => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            false => Err(format!("'{name}' is no name of a setting")),
        }
    }

    /// The statement that sets it.
    pub(crate) fn script(&self) -> SourceFile {
        let value = self.value.replace('\'', "''");
        SourceFile {
            name: "--set".to_owned(),
            text: format!("SET {} = '{value}'", self.name),
            base: PathBuf::from("."),
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,
    /// Benchmarks to run
    #[arg(value_name = "NAME", required_unless_present = "list")]
    pub(crate) names: Vec<String>,
    /// Say which benchmarks there are
    #[arg(long)]
    pub(crate) list: bool,
    /// Where to write results as JSON; `-` is standard output [default: a table there]
    #[arg(long, value_name = "PATH")]
    pub(crate) json: Option<PathBuf>,
    /// Measured runs [default: 5, with --quick 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: Option<u32>,
    /// Runs before the measured ones
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) warmup: u32,
    /// Less data, fewer runs
    #[arg(long)]
    pub(crate) quick: bool,
    /// Numbers of keys
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "100,10k,1M,10M"
    )]
    pub(crate) keys: Vec<Keys>,
    /// Rows of the columns in memory, read once, instead of the usual amount
    #[arg(long, value_name = "N", value_parser = rows)]
    pub(crate) rows: Option<usize>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Exit 6 unless the ratio is at least this, as in `engine/roofline@100>=0.5`
    #[arg(long = "threshold", value_name = "RATIO>=X")]
    pub(crate) thresholds: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Print two files of results side by side
    Compare {
        /// Results before
        #[arg(value_name = "A.json")]
        a: PathBuf,
        /// Results after
        #[arg(value_name = "B.json")]
        b: PathBuf,
        /// Compare results of different machines, too
        #[arg(long)]
        force: bool,
    },
}

/// Numbers of keys, as ratios name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keys {
    /// A hundred
    #[value(name = "100")]
    K100,
    /// Ten thousand
    #[value(name = "10k")]
    K10k,
    /// A million
    #[value(name = "1M")]
    M1,
    /// Ten million
    #[value(name = "10M")]
    M10,
}

impl Keys {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::K100 => "100",
            Self::K10k => "10k",
            Self::M1 => "1M",
            Self::M10 => "10M",
        }
    }

    /// The number.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::K100 => 100,
            Self::K10k => 10_000,
            Self::M1 => 1_000_000,
            Self::M10 => 10_000_000,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct EngineArgs {
    /// Number of shards [default of run: the allowed cores but one; of bench: all]
    #[arg(long, value_name = "N", env = "TREFOIL_CORES", value_parser = shards)]
    pub(crate) cores: Option<usize>,
    /// The cores to use, as in 2,3
    #[arg(long, value_name = "CORES", env = "TREFOIL_PIN", value_delimiter = ',')]
    pub(crate) pin: Vec<usize>,
    /// What shards run on
    #[arg(long, value_enum, env = "TREFOIL_EXECUTOR", default_value = "auto")]
    pub(crate) executor: ExecutorName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorName {
    /// io_uring where it is allowed, else threads
    Auto,
    /// io_uring
    Uring,
    /// Plain threads
    Threads,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A box with aligned columns
    Table,
    /// An array of objects, one a line
    Json,
    /// One object a line
    Ndjson,
    /// RFC 4180 with a header
    Csv,
    /// A table in Markdown
    Markdown,
    /// A stream of Arrow IPC
    Arrow,
}

fn frame_rows(text: &str) -> Result<usize, String> {
    within(text, FRAME_ROWS_MAX)
}

/// Most rows of a benchmark's columns.
const ROWS_MAX: usize = 1 << 32;

fn rows(text: &str) -> Result<usize, String> {
    within(text, ROWS_MAX)
}

fn shards(text: &str) -> Result<usize, String> {
    within(text, SHARDS_MAX)
}

fn within(text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=most).contains(&n) => Ok(n),
        _ => Err(format!("a number from 1 to {most} is needed")),
    }
}

impl EngineArgs {
    /// The configuration for `shards_default` shards where nothing else is said. Shards fewer
    /// than the cores take the last ones; the first serves the host and interrupts.
    pub(crate) fn config(
        &self,
        shards_default: usize,
        frame_rows: usize,
    ) -> Result<Config, Failure> {
        let allowed = allowed_cores();
        if let Some(core) = self.pin.iter().find(|core| !allowed.contains(core)) {
            return Err(Failure::Usage(format!(
                "--pin: core {core} is not allowed to this process; allowed are {allowed:?}"
            )));
        }
        let twice = |at: &usize| self.pin[..*at].contains(&self.pin[*at]);
        if let Some(at) = (0..self.pin.len()).find(twice) {
            return Err(Failure::Usage(format!(
                "--pin: core {} is named twice",
                self.pin[at]
            )));
        }
        let pinned = (!self.pin.is_empty()).then_some(self.pin.len());
        let shards = self.cores.or(pinned).unwrap_or(shards_default);
        let mut cores = if self.pin.is_empty() {
            allowed
        } else {
            self.pin.clone()
        };
        let spare = cores.len().saturating_sub(shards);
        match pinned {
            None => drop(cores.drain(..spare)),
            Some(_) => cores.truncate(shards),
        }
        let executor = match self.executor {
            ExecutorName::Auto => Executor::Auto,
            ExecutorName::Uring => Executor::Uring,
            ExecutorName::Threads => Executor::Threads,
        };
        Ok(Config {
            shards,
            cores,
            executor,
            frame_rows,
            ..Config::default()
        })
    }
}
