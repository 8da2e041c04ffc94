//! What is typed, as clap reads it.

mod load;
mod serve;
mod setting;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::say::Color;

pub(crate) use self::load::{LoadArgs, LoadFormat, LoadSchedule, LoadTo};
pub(crate) use self::serve::ServeArgs;
pub(crate) use self::setting::{
    EngineArgs, Format, RunSettings, Setting, SettingArgs, StateSettings, color,
};

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
    /// Run statements as they are typed
    Sql(SqlArgs),
    /// Show the plan of every query, its partition strategy and the reason
    Explain(ExplainArgs),
    /// Run benchmarks, or compare their results
    Bench(BenchArgs),
    /// Keep views over what comes in, and say over HTTP how they are
    Serve(ServeArgs),
    /// Send records by a schedule, and say how long each took
    Load(Box<LoadArgs>),
    /// Look at the checkpoints of a state directory
    Checkpoint {
        #[command(subcommand)]
        command: CheckpointCommand,
    },
    /// Show the settings of a run: each value, and where it is from
    Config(SettingArgs),
    /// Say what this machine allows, and what to do about it
    Doctor(DoctorArgs),
    /// Print what completes commands in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, of trefoil or of one of its commands
    Man {
        /// The command
        command: Option<String>,
    },
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
pub(crate) struct DoctorArgs {
    /// How findings are printed, instead of as lines
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
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
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SqlArgs {
    /// A server to ask [default: an engine in this process]
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
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
    /// Where to write results as one page with plots
    #[arg(long, value_name = "PATH.html")]
    pub(crate) report: Option<PathBuf>,
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
    /// Records a second of `latency`
    #[arg(long = "rate", value_name = "N", value_delimiter = ',',
        default_value = "10000,100000,1000000",
        value_parser = clap::value_parser!(u64).range(10..=100_000_000))]
    pub(crate) rates: Vec<u64>,
    /// Seconds of a run of `latency` at each rate [default: 10, with --quick 1]
    #[arg(long = "duration", value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: Option<u64>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Exit 6 unless the ratio is at least this, as in `engine/roofline@100>=0.5`, or, with `<=`,
    /// at most
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

#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointCommand {
    /// List the checkpoints, the newest first: whether their files are there, without reading them
    Ls {
        /// The state directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// How they are printed [default: table on a terminal, ndjson otherwise]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Print the manifest of a checkpoint as JSON
    Show {
        /// The state directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The checkpoint [default: the newest]
        #[arg(long, value_name = "N")]
        epoch: Option<u64>,
    },
    /// Read every byte of all checkpoints, and exit 5 if one of them is not sound
    Verify {
        /// The state directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
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

/// Most rows of a benchmark's columns.
const ROWS_MAX: usize = 1 << 32;

fn rows(text: &str) -> Result<usize, String> {
    within(text, ROWS_MAX)
}

fn within(text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=most).contains(&n) => Ok(n),
        _ => Err(format!("a number from 1 to {most} is needed")),
    }
}
