//! Settings: flags that have a variable of the environment and a line of `trefoil.toml` beside
//! them, how each is read, and what they come to.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use trefoil::SourceFile;
use trefoil_ring0::limits::{FRAME_ROWS_DEFAULT, FRAME_ROWS_MAX, SHARDS_MAX};
use trefoil_ring0::preflight::allowed_cores;
use trefoil_ring0::runtime::{Config, Executor};

use super::within;
use crate::failure::Failure;
use crate::say::Color;
use crate::say::say;
use crate::settings::{Kind, Settings, Shown, path};

/// Time between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// The flags of `run` that are settings.
#[derive(Debug, clap::Args)]
pub(crate) struct SettingArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// Rows of a frame; results never depend on it [default: 1024]
    #[arg(long, value_name = "N", value_parser = frame_rows)]
    frame_rows: Option<usize>,
    /// How results are printed [default: table on a terminal, ndjson otherwise]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where results go; `-` is standard output [default: -]
    #[arg(long, value_name = "PATH", value_parser = path)]
    output: Option<PathBuf>,
    /// Where to write, at the end, what was counted, as JSON
    #[arg(long, value_name = "PATH", value_parser = path)]
    stats: Option<PathBuf>,
    /// Set a value before the script, as SET does
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Setting>,
    /// A directory for checkpoints, from the newest of which the next run goes on
    #[arg(long, value_name = "DIR", value_parser = path)]
    state: Option<PathBuf>,
    /// Time between two checkpoints [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    checkpoint_every: Option<Duration>,
    /// Go on from the newest checkpoint [default where the directory holds one]
    #[arg(long, requires = "state")]
    resume: bool,
    /// Print no more rows of a result, and read no further for it
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Stop behind this time as the first SIGINT does, as in `10s` or `1m 30s`
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
}

/// The flags of shards.
#[derive(Debug, clap::Args)]
pub(crate) struct EngineArgs {
    /// Number of shards [default of run: the allowed cores but one; of bench: all]
    #[arg(long, value_name = "N", value_parser = shards)]
    cores: Option<usize>,
    /// The cores to use, as in 2,3
    #[arg(long, value_name = "CORES")]
    pin: Option<Cores>,
    /// What shards run on [default: auto]
    #[arg(long, value_enum)]
    executor: Option<ExecutorName>,
    /// Memory that the state of all queries may take, as in 512MB or 4GiB [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory_limit: Option<u64>,
}

/// What the settings of a run come to.
#[derive(Debug)]
pub(crate) struct RunSettings {
    pub(crate) config: Config,
    pub(crate) format: Option<Format>,
    /// `None` is standard output.
    pub(crate) output: Option<PathBuf>,
    pub(crate) stats: Option<PathBuf>,
    pub(crate) set: Vec<Setting>,
    pub(crate) limit: Option<u64>,
    pub(crate) time: Option<Duration>,
    pub(crate) state: Option<StateSettings>,
}

/// Where a run keeps its checkpoints, and how often it takes them.
#[derive(Debug, Clone)]
pub(crate) struct StateSettings {
    pub(crate) dir: PathBuf,
    pub(crate) every: Duration,
    /// Somebody said that there is something to go on from.
    pub(crate) resume: bool,
}

fn path_kind(name: &'static str) -> Kind<PathBuf> {
    Kind {
        name,
        parse: path,
        show: |path| path.display().to_string(),
    }
}

impl StateSettings {
    /// Adds what was not typed; `None` where nothing is to be kept.
    pub(crate) fn resolve(
        (dir, every): (Option<PathBuf>, Option<Duration>),
        settings: &mut Settings,
    ) -> Result<Option<Self>, Failure> {
        let dir = settings.take(&path_kind("state"), dir, None)?;
        let every_kind = Kind {
            name: "checkpoint_every",
            parse: time,
            show: |time| humantime::format_duration(*time).to_string(),
        };
        let default = humantime::format_duration(CHECKPOINT_EVERY).to_string();
        let every = settings.take(&every_kind, every, Some(&default))?;
        Ok(dir.map(|dir| Self {
            dir,
            every: every.unwrap_or(CHECKPOINT_EVERY),
            resume: false,
        }))
    }
}

impl SettingArgs {
    /// Adds what was not typed.
    pub(crate) fn resolve(self, settings: &mut Settings) -> Result<RunSettings, Failure> {
        let cores_default = allowed_cores().len().saturating_sub(1).max(1);
        let mut config = self.engine.resolve(settings, cores_default)?;
        let rows = Kind {
            name: "frame_rows",
            parse: frame_rows,
            show: ToString::to_string,
        };
        let rows_default = FRAME_ROWS_DEFAULT.to_string();
        let rows = settings.take(&rows, self.frame_rows, Some(&rows_default))?;
        config.frame_rows = rows.unwrap_or(FRAME_ROWS_DEFAULT);
        let format = word_kind("format");
        let format_default = "table on a terminal, ndjson otherwise";
        let format = settings.take(&format, self.format, Some(format_default))?;
        let output = settings.take(&path_kind("output"), self.output, Some("-"))?;
        let stats = settings.take(&path_kind("stats"), self.stats, None)?;
        let limit = Kind {
            name: "limit",
            parse: |text| text.parse().map_err(|_| "a number is needed".to_owned()),
            show: ToString::to_string,
        };
        let limit = settings.take(&limit, self.limit, None)?;
        let time = Kind {
            name: "for",
            parse: time,
            show: |time| humantime::format_duration(*time).to_string(),
        };
        let time = settings.take(&time, self.time, None)?;
        let state = StateSettings::resolve((self.state, self.checkpoint_every), settings)?;
        let state = state.map(|state| StateSettings {
            resume: self.resume,
            ..state
        });
        Ok(RunSettings {
            config,
            format,
            output: output.filter(|path| path.as_os_str() != "-"),
            stats,
            set: all_set(self.set, settings)?,
            limit,
            time,
            state,
        })
    }
}

/// Values for SET: those of the file, then those that were typed.
fn all_set(typed: Vec<Setting>, settings: &mut Settings) -> Result<Vec<Setting>, Failure> {
    let wrong = |why| Failure::Usage(format!("trefoil.toml: {why}"));
    let file = settings.set.iter();
    let file = file.map(|(name, value)| Setting::new(name, value).map_err(wrong));
    let mut all = file.collect::<Result<Vec<_>, _>>()?;
    let in_file = all.len();
    all.extend(typed);
    for (number, setting) in all.iter().enumerate() {
        if all[number + 1..]
            .iter()
            .any(|later| later.name == setting.name)
        {
            continue;
        }
        let (name, value) = setting.show();
        let origin = if number < in_file {
            "trefoil.toml"
        } else {
            "flag"
        };
        settings.shown.push(Shown {
            name,
            value: Some(value),
            origin: origin.to_owned(),
        });
    }
    Ok(all)
}

/// Names of cores.
#[derive(Debug, Clone)]
struct Cores(Vec<usize>);

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let cores = text.split(',').map(|core| core.trim().parse());
        let cores: Result<Vec<usize>, _> = cores.collect();
        let cores = cores.map_err(|_| "numbers of cores are needed, as in 2,3".to_owned())?;
        let allowed = allowed_cores();
        if let Some(core) = cores.iter().find(|core| !allowed.contains(core)) {
            let what = format!("core {core} is not allowed to this process");
            return Err(format!("{what}; allowed are {allowed:?}"));
        }
        match (0..cores.len()).find(|&at| cores[..at].contains(&cores[at])) {
            Some(at) => Err(format!("core {} is named twice", cores[at])),
            None => Ok(Self(cores)),
        }
    }
}

impl EngineArgs {
    /// Adds what was not typed: the configuration for `shards_default` shards where nothing else is
    /// said. Shards fewer than the cores take the last ones; the first serves the host and
    /// interrupts.
    pub(crate) fn resolve(
        self,
        settings: &mut Settings,
        shards_default: usize,
    ) -> Result<Config, Failure> {
        let pin = Kind {
            name: "pin",
            parse: Cores::from_str,
            show: |cores| {
                let numbers: Vec<String> = cores.0.iter().map(ToString::to_string).collect();
                numbers.join(",")
            },
        };
        let pin = settings.take(&pin, self.pin, None)?;
        let shards_default = pin.as_ref().map_or(shards_default, |pin| pin.0.len());
        let number = Kind {
            name: "cores",
            parse: shards,
            show: ToString::to_string,
        };
        let shards = settings.take(&number, self.cores, Some(&shards_default.to_string()))?;
        let shards = shards.unwrap_or(shards_default);
        let cores = match pin {
            Some(Cores(mut pinned)) => {
                pinned.truncate(shards);
                pinned
            }
            None => {
                let mut allowed = allowed_cores();
                drop(allowed.drain(..allowed.len().saturating_sub(shards)));
                allowed
            }
        };
        let executor = settings.take(&word_kind("executor"), self.executor, Some("auto"))?;
        let executor = match executor {
            Some(ExecutorName::Auto) | None => Executor::Auto,
            Some(ExecutorName::Uring) => Executor::Uring,
            Some(ExecutorName::Threads) => Executor::Threads,
        };
        let limit = Kind {
            name: "memory_limit",
            parse: bytes,
            show: ToString::to_string,
        };
        let memory_limit = settings.take(&limit, self.memory_limit, None)?;
        Ok(Config {
            memory_limit,
            shards,
            cores,
            executor,
            tell: |note| say(&format_args!("note: {note}")),
            ..Config::default()
        })
    }
}

/// A number of bytes, of KB or KiB, and so on.
fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let times = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        "tb" => Some(1_000_000_000_000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "tib" => Some(1 << 40),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    let bytes = number
        .zip(times)
        .and_then(|(n, times)| n.checked_mul(times));
    let wrong = || "bytes are needed, as in 512MB or 4GiB".to_owned();
    bytes.filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

/// When there is colour.
pub(crate) fn color(typed: Option<Color>, settings: &mut Settings) -> Result<Color, Failure> {
    let color = settings.take(&word_kind("color"), typed, Some("auto"))?;
    Ok(color.unwrap_or(Color::Auto))
}

fn word_kind<T: ValueEnum>(name: &'static str) -> Kind<T> {
    Kind {
        name,
        parse: |text| {
            let known = || T::value_variants().iter().filter_map(T::to_possible_value);
            let names: Vec<String> = known().map(|v| v.get_name().to_owned()).collect();
            T::from_str(text, false).map_err(|_| format!("one of {} is needed", names.join(", ")))
        },
        show: |value| {
            let known = value.to_possible_value();
            known.map_or_else(String::new, |v| v.get_name().to_owned())
        },
    }
}

fn frame_rows(text: &str) -> Result<usize, String> {
    within(text, FRAME_ROWS_MAX)
}

fn shards(text: &str) -> Result<usize, String> {
    within(text, SHARDS_MAX)
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "a time such as 10s is needed".to_owned())
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
    /// As it is typed.
    fn show(&self) -> (String, String) {
        (format!("set.{}", self.name), self.value.clone())
    }

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

impl From<Format> for trefoil::output::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Table => Self::Table,
            Format::Json => Self::Json,
            Format::Ndjson => Self::Ndjson,
            Format::Csv => Self::Csv,
            Format::Markdown => Self::Markdown,
            Format::Arrow => Self::Arrow,
        }
    }
}
