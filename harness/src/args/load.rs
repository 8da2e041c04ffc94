//! The flags of `load`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use trefoil_ring1::connector::Address;

use super::EngineArgs;
use super::setting::time;
use crate::failure::Failure;

/// The greatest rate, in records a second.
const RATE_MAX: u64 = 100_000_000;
/// The most producers.
const PRODUCERS_MAX: u64 = 64;
/// The longest payload.
const PAYLOAD_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
pub(crate) struct LoadArgs {
    /// Where records go: `engine` (one in this process), `tcp://HOST:PORT`, `unix:PATH`
    #[arg(long, value_name = "PEER", default_value = "engine")]
    pub(crate) to: LoadTo,
    /// How records go to a socket [default: json]
    #[arg(long, value_enum)]
    pub(crate) format: Option<LoadFormat>,
    /// How the rate goes with time
    #[arg(long, value_enum, default_value = "steady")]
    pub(crate) schedule: LoadSchedule,
    /// Records a second [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=RATE_MAX))]
    pub(crate) rate: Option<u64>,
    /// The last rate of a ramp, the rate of a burst [default of a burst: ten times the rate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=RATE_MAX))]
    pub(crate) rate_to: Option<u64>,
    /// A burst is the first tenth of it, and what is on of on/off the first half
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = period)]
    pub(crate) period: Duration,
    /// How long records are sent behind the warm-up [default: 30s, of a replay the whole file]
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "rows")]
    pub(crate) duration: Option<Duration>,
    /// How many records are sent behind the warm-up
    #[arg(long, value_name = "N")]
    pub(crate) rows: Option<u64>,
    /// How many keys there are
    #[arg(long, value_name = "N", default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) keys: u64,
    /// The exponent of Zipf's law, by which keys are drawn; 0: each as often
    #[arg(long, value_name = "S", default_value_t = 0.0, value_parser = exponent)]
    pub(crate) zipf: f64,
    /// How far event times fall behind at most
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    pub(crate) disorder: Duration,
    /// Letters of each record's payload
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = payload)]
    pub(crate) payload_bytes: usize,
    /// Threads that send, each with an appender or connection of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = producers)]
    pub(crate) producers: usize,
    /// What makes one run's records differ from another's
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long records are sent before they are measured [default: 5s, of a replay nothing]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) warmup: Option<Duration>,
    /// The records of a replay, as NDJSON
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
    /// The field of the records of a replay that says when each was
    #[arg(long, value_name = "NAME", default_value = "ts")]
    pub(crate) time_field: String,
    /// What it counts where it is a number
    #[arg(long, value_enum, default_value = "ms")]
    pub(crate) time_unit: LoadUnit,
    /// How much faster than they were the records of a replay are sent [default: 1]
    #[arg(long, value_name = "X", value_parser = speed)]
    pub(crate) speed: Option<f64>,
    /// What an engine in this process runs: a source `load` with connector = 'channel', and at the
    /// end a SELECT with a column `seq` [default: SELECT seq FROM load]
    #[arg(long, value_name = "FILE")]
    pub(crate) sql: Option<PathBuf>,
    /// Where to write the result; `-` is standard output [default: -]
    #[arg(long, value_name = "PATH")]
    pub(crate) json: Option<PathBuf>,
    /// Where to write the distribution of latencies, as HdrHistogram's plotters read it
    #[arg(long, value_name = "PATH")]
    pub(crate) hgrm: Option<PathBuf>,
    /// Exit 6 where p99 is above this, as in 50us
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) max_p99: Option<Duration>,
    /// Exit 6 where p99.9 is above this
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) max_p999: Option<Duration>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// How the rate goes with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LoadSchedule {
    /// It stays
    Steady,
    /// It goes evenly from --rate to --rate-to
    Ramp,
    /// It is --rate-to through the first tenth of each period, and --rate behind it
    Burst,
    /// It is --rate through the first half of each period, and nothing through the second
    Onoff,
    /// The records of a file, with their own timing
    Replay,
}

/// How records go to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LoadFormat {
    /// A JSON object a line
    Json,
    /// Frames of columns, numbered and acknowledged: a source with format = 'binary' and the
    /// columns seq, key, value, ts, and payload where there is one
    Binary,
}

/// What a time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LoadUnit {
    /// Seconds
    S,
    /// Milliseconds
    Ms,
    /// Microseconds
    Us,
    /// Nanoseconds
    Ns,
}

impl LoadUnit {
    /// Nanoseconds in it.
    pub(crate) fn nanos(self) -> i64 {
        match self {
            Self::S => 1_000_000_000,
            Self::Ms => 1_000_000,
            Self::Us => 1_000,
            Self::Ns => 1,
        }
    }
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoadTo {
    /// An engine in this process.
    Engine,
    /// A socket.
    Socket(Address),
}

impl FromStr for LoadTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "engine" {
            return Ok(Self::Engine);
        }
        if text.starts_with("kafka://") {
            return Err("Kafka is not there yet: engine, tcp:// and unix: are".to_owned());
        }
        let tcp = text.strip_prefix("tcp://").and_then(|at| {
            let (host, port) = at.rsplit_once(':')?;
            (!host.is_empty() && port.parse::<u16>().is_ok()).then(|| at.to_owned())
        });
        let unix = text.strip_prefix("unix:").filter(|path| !path.is_empty());
        match (tcp, unix) {
            (Some(address), _) => Ok(Self::Socket(Address::Tcp(address))),
            (_, Some(path)) => Ok(Self::Socket(Address::Unix(path.into()))),
            (None, None) => Err("engine, tcp://HOST:PORT or unix:PATH is needed".to_owned()),
        }
    }
}

impl LoadArgs {
    /// Refuses what is of no use with the others.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let is_replay = self.schedule == LoadSchedule::Replay;
        let has_rate_to = matches!(self.schedule, LoadSchedule::Ramp | LoadSchedule::Burst);
        let is_ramp = self.schedule == LoadSchedule::Ramp;
        let to_engine = self.to == LoadTo::Engine;
        let wrong = [
            (
                is_replay && self.file.is_none(),
                "--schedule replay needs --file",
            ),
            (
                !is_replay && self.file.is_some(),
                "--file is for --schedule replay",
            ),
            (
                !is_replay && self.speed.is_some(),
                "--speed is for --schedule replay",
            ),
            (
                is_replay && self.rate.is_some(),
                "a replay has its own timing, and no --rate: --speed makes it faster",
            ),
            (
                is_replay && self.warmup.is_some_and(|w| !w.is_zero()),
                "a replay has no --warmup",
            ),
            (
                is_ramp && self.rate_to.is_none(),
                "--schedule ramp needs --rate-to",
            ),
            (
                !has_rate_to && self.rate_to.is_some(),
                "--rate-to is for a ramp or a burst",
            ),
            (!to_engine && self.sql.is_some(), "--sql is for --to engine"),
            (
                to_engine && self.format.is_some(),
                "--format is for --to tcp://.. and unix:..",
            ),
            (
                is_replay && self.format == Some(LoadFormat::Binary),
                "a replay sends its lines as they are, and no --format binary",
            ),
        ];
        match wrong.iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, why)) => Err(Failure::Usage((*why).to_owned())),
            None => Ok(()),
        }
    }
}

fn payload(text: &str) -> Result<usize, String> {
    within(text, 0, PAYLOAD_BYTES_MAX)
}

fn producers(text: &str) -> Result<usize, String> {
    within(text, 1, PRODUCERS_MAX)
}

fn within(text: &str, least: u64, most: u64) -> Result<usize, String> {
    match text.parse::<u64>() {
        Ok(n) if (least..=most).contains(&n) => Ok(n as usize),
        _ => Err(format!("a number from {least} to {most} is needed")),
    }
}

fn period(text: &str) -> Result<Duration, String> {
    let least = Duration::from_millis(1);
    time(text).and_then(|time| match time >= least {
        true => Ok(time),
        false => Err("1ms at least is needed".to_owned()),
    })
}

fn exponent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(s) if (0.0..=20.0).contains(&s) => Ok(s),
        _ => Err("a number from 0 to 20 is needed".to_owned()),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(x) if (1e-6..=1e6).contains(&x) => Ok(x),
        _ => Err("a number from 0.000001 to 1000000 is needed".to_owned()),
    }
}
