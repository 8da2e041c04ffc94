//! `trefoil bench`: runs benchmarks, one file each in `bench/`, and writes what they came to. What
//! is compared runs in turn within one process run, so that both meet the same machine; a figure
//! is the median of the runs, and stands beside its least and greatest.

mod categories;
mod checkpoint;
mod compare;
mod data;
mod engine;
mod files;
mod isolation;
mod joins;
mod keyed;
mod latency;
mod nexmark;
mod peer;
mod reference;
mod report;
mod roofline;
mod scan;
mod threshold;
mod windows;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use trefoil_ring0::preflight::allowed_cores;
use trefoil_ring0::runtime::Config;

use self::data::Size;
use self::report::{Report, Run};
use self::threshold::Threshold;
use crate::args::{BenchArgs, BenchCommand};
use crate::failure::Failure;
use crate::say::say;
use crate::settings::Settings;

/// A benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Benchmark {
    Roofline,
    Keyed,
    Files,
    Latency,
    Windows,
    Categories,
    Joins,
    Checkpoint,
    Scan,
    Isolation,
    Nexmark,
}

const ALL: [Benchmark; 11] = [
    Benchmark::Roofline,
    Benchmark::Keyed,
    Benchmark::Files,
    Benchmark::Latency,
    Benchmark::Windows,
    Benchmark::Categories,
    Benchmark::Joins,
    Benchmark::Checkpoint,
    Benchmark::Scan,
    Benchmark::Isolation,
    Benchmark::Nexmark,
];

impl Benchmark {
    fn name(self) -> &'static str {
        match self {
            Self::Roofline => "roofline",
            Self::Keyed => "keyed",
            Self::Files => "files",
            Self::Latency => "latency",
            Self::Windows => "windows",
            Self::Categories => "categories",
            Self::Joins => "joins",
            Self::Checkpoint => "checkpoint",
            Self::Scan => "scan",
            Self::Isolation => "isolation",
            Self::Nexmark => "nexmark",
        }
    }

    fn measures(self) -> &'static str {
        match self {
            Self::Roofline => {
                "what this machine does without the engine: ring hop, ring and frame throughput, \
                 a prefetching keyed aggregation, memory copy"
            }
            Self::Keyed => {
                "COUNT, SUM, MIN, MAX of a DOUBLE by a BIGINT key, from columns in memory, on 1..N \
                 shards, beside the hand-written loop"
            }
            Self::Files => {
                "GROUP BY over NDJSON, CSV and Parquet on 1 and N shards, beside the bare parsers \
                 and, where Python has them, DuckDB and Polars"
            }
            Self::Latency => {
                "from append to subscription through one shard, open loop, beside a bare thread \
                 that echoes through two rings; medians over slices of 100 ms"
            }
            Self::Windows => {
                "windows of all kinds over columns in memory: records/s of hopping windows by size \
                 to slide, of sessions and of tumbling windows, beside DuckDB where Python has it; \
                 the longest turn where 100 k groups close at once"
            }
            Self::Categories => {
                "projection, GROUP BY, windows, global totals and joins over NDJSON on 1..N \
                 shards, beside what the partitionability analysis hoped for on 8 cores"
            }
            Self::Joins => {
                "joins of all shapes over columns in memory on 1..N shards: interval, window, \
                 lookup, ASOF and regular ones, beside DuckDB where Python has it"
            }
            Self::Checkpoint => {
                "latency and throughput of a GROUP BY under uniform updates with a checkpoint \
                 every second and without; the longest turn of a shard; going on from a checkpoint"
            }
            Self::Scan => {
                "point, range, projection, COUNT and full scans of a view that is kept, through \
                 SQL and through the direct API, on 1..N shards, beside DataFusion's MemTable"
            }
            Self::Isolation => {
                "latency and throughput with and without full scans, joins and point queries over \
                 the views, which run as fast as they can; medians over slices of 100 ms"
            }
            Self::Nexmark => {
                "the queries q0 to q22 of the NEXMark benchmark over its streams, which the shards \
                 make themselves, into nothing: records/s on 1..N shards"
            }
        }
    }

    /// The ratios that a run of it gives.
    fn ratios(self, setting: &Setting) -> Vec<String> {
        match self {
            Self::Roofline => Vec::new(),
            Self::Keyed => keyed::ratios(setting),
            Self::Files => files::ratios(setting),
            Self::Latency => latency::ratios(setting),
            Self::Windows => windows::ratios(),
            Self::Categories => categories::ratios(setting),
            Self::Joins => joins::ratios(setting),
            Self::Checkpoint => checkpoint::ratios(),
            Self::Scan => scan::ratios(setting),
            Self::Isolation => isolation::ratios(),
            Self::Nexmark => nexmark::ratios(setting),
        }
    }

    fn once(self, setting: &Setting) -> Result<Run, Failure> {
        match self {
            Self::Roofline => roofline::once(setting),
            Self::Keyed => keyed::once(setting),
            Self::Files => files::once(setting),
            Self::Latency => latency::once(setting),
            Self::Windows => windows::once(setting),
            Self::Categories => categories::once(setting),
            Self::Joins => joins::once(setting),
            Self::Checkpoint => checkpoint::once(setting),
            Self::Scan => scan::once(setting),
            Self::Isolation => isolation::once(setting),
            Self::Nexmark => nexmark::once(setting),
        }
    }
}

/// How benchmarks are run.
#[derive(Debug)]
struct Setting {
    /// The most shards, and the cores they are pinned to.
    config: Config,
    /// How much data.
    sizes: Vec<Size>,
    runs: u32,
    warmup: u32,
    quick: bool,
    /// Rows, where that was said.
    rows: Option<usize>,
    /// Records a second, of latency.
    rates: Vec<u64>,
    /// Seconds of a run at each rate.
    seconds: u64,
}

impl Setting {
    /// Numbers of shards to measure: powers of two, and the greatest.
    fn shards(&self) -> Vec<usize> {
        let most = self.config.shards;
        let powers = std::iter::successors(Some(1usize), |n| Some(n * 2));
        powers
            .take_while(|&n| n < most)
            .chain(std::iter::once(most))
            .collect()
    }

    /// The configuration for `shards` shards, on the last of the cores.
    fn config(&self, shards: usize) -> Config {
        let cores = &self.config.cores;
        Config {
            shards,
            cores: cores[cores.len().saturating_sub(shards)..].to_vec(),
            ..self.config.clone()
        }
    }

    /// The core of a shard that is alone.
    fn core(&self) -> usize {
        self.config(1).cores[0]
    }
}

/// What is ready to run.
#[derive(Debug)]
enum Task {
    List,
    Compare {
        a: PathBuf,
        b: PathBuf,
        machines: compare::Machines,
    },
    Run {
        benchmarks: Vec<Benchmark>,
        setting: Box<Setting>,
        thresholds: Vec<Threshold>,
        json: Option<PathBuf>,
        page: Option<PathBuf>,
    },
}

/// A benchmark run that is ready.
#[derive(Debug)]
pub(crate) struct Job(Task);

impl Job {
    /// Checks what was typed.
    pub(crate) fn new(args: BenchArgs, settings: &mut Settings) -> Result<Self, Failure> {
        if let Some(BenchCommand::Compare { a, b, force }) = args.command {
            let machines = match force {
                true => compare::Machines::Any,
                false => compare::Machines::Same,
            };
            return Ok(Self(Task::Compare { a, b, machines }));
        }
        if args.list {
            return Ok(Self(Task::List));
        }
        let benchmarks = args
            .names
            .iter()
            .map(|name| find(name))
            .collect::<Result<Vec<_>, _>>()?;
        let config = args.engine.resolve(settings, allowed_cores().len())?;
        let setting = Setting {
            config,
            sizes: data::sizes(&args.keys, args.rows, args.quick),
            runs: args.runs.unwrap_or(if args.quick { 3 } else { 5 }),
            warmup: args.warmup,
            quick: args.quick,
            rows: args.rows,
            rates: args.rates,
            seconds: args.seconds.unwrap_or(if args.quick { 1 } else { 10 }),
        };
        let ratios: Vec<String> = benchmarks.iter().flat_map(|b| b.ratios(&setting)).collect();
        let thresholds = args
            .thresholds
            .iter()
            .map(|text| Threshold::parse(text, &ratios))
            .collect::<Result<_, _>>()?;
        Ok(Self(Task::Run {
            benchmarks,
            setting: Box::new(setting),
            thresholds,
            json: args.json,
            page: args.report,
        }))
    }
}

fn find(name: &str) -> Result<Benchmark, Failure> {
    ALL.into_iter().find(|b| b.name() == name).ok_or_else(|| {
        let alike = ALL.into_iter().find(|b| {
            let (a, b) = (b.name().as_bytes(), name.as_bytes());
            let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
            common * 2 >= a.len()
        });
        let hint = match alike {
            Some(b) => format!("did you mean {:?}?", b.name()),
            None => "`trefoil bench --list` says which there are".to_owned(),
        };
        Failure::Usage(format!("there is no benchmark {name:?}: {hint}"))
    })
}

/// Runs it.
pub(crate) fn run(job: &Job) -> Result<(), Failure> {
    match &job.0 {
        Task::List => {
            let mut out = std::io::stdout().lock();
            for benchmark in ALL {
                writeln!(out, "{:<10} {}", benchmark.name(), benchmark.measures())?;
            }
            Ok(())
        }
        Task::Compare { a, b, machines } => compare::run(a, b, *machines),
        Task::Run {
            benchmarks,
            setting,
            thresholds,
            json,
            page,
        } => {
            let mut reports = Vec::new();
            for &benchmark in benchmarks {
                reports.push(measure(benchmark, setting)?);
            }
            if let Some(path) = page {
                report::write_page(&reports, path)?;
            }
            report::write(&reports, json.as_deref())?;
            if let Some(wrong) = reports.iter().find_map(Report::wrong_results) {
                return Err(Failure::Running(wrong));
            }
            threshold::check(thresholds, &reports)
        }
    }
}

fn measure(benchmark: Benchmark, setting: &Setting) -> Result<Report, Failure> {
    let mut runs = Vec::new();
    for number in 0..setting.warmup + setting.runs {
        let what = match number.checked_sub(setting.warmup) {
            None => format!("warm-up {} of {}", number + 1, setting.warmup),
            Some(measured) => format!("run {} of {}", measured + 1, setting.runs),
        };
        if std::io::stderr().is_terminal() {
            say(&format_args!("{}: {what}", benchmark.name()));
        }
        let run = benchmark.once(setting)?;
        if number >= setting.warmup {
            runs.push(run);
        }
    }
    Ok(Report::new(
        benchmark.name(),
        benchmark.measures(),
        setting.quick,
        &runs,
    ))
}
