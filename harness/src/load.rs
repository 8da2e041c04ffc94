//! `trefoil load`: an open-loop generator of load. What each record holds and when it is due are
//! pure functions of its number ([`record`], [`schedule`]); a loop sends what is due to a peer and
//! times what comes back ([`pace`]); what it came to is told, or refused ([`report`]).

mod engine;
mod frames;
mod pace;
mod record;
mod replay;
mod report;
mod schedule;
mod socket;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trefoil::SourceFile;
use trefoil::engine::Builder;
use trefoil_ring0::preflight::allowed_cores;

use self::engine::Content;
use self::frames::Frames;
use self::pace::{Clock, Peer, Share, Tally, send};
use self::record::{Recipe, Records};
use self::replay::{Replay, Timing};
use self::report::{Limits, Report, write_hgrm};
use self::schedule::{Extent, Schedule, Shape};
use self::socket::SocketPeer;
use crate::args::{LoadArgs, LoadFormat, LoadSchedule, LoadTo};
use crate::failure::Failure;
use crate::output;
use crate::run::read;
use crate::settings::Settings;

/// How long a run is where nothing is said.
const DURATION: Duration = Duration::from_secs(30);
/// How long the warm-up is where nothing is said.
const WARMUP: Duration = Duration::from_secs(5);
/// Records a second where nothing is said.
const RATE: u64 = 10_000;
/// A burst is so much faster where nothing is said.
const BURST: u64 = 10;
/// Threads wake up this much late, and what is nearer is waited for awake.
const AWAKE: Duration = Duration::from_micros(100);
/// The longest sleep.
const SLEEP_MAX: Duration = Duration::from_millis(10);

/// A load that is ready.
#[derive(Debug)]
pub(crate) struct Job {
    to: LoadTo,
    format: LoadFormat,
    builder: Builder,
    schedule: Schedule,
    content: Content,
    payload_bytes: usize,
    producers: usize,
    sql: Option<SourceFile>,
    json: Option<PathBuf>,
    hgrm: Option<PathBuf>,
    limits: Limits,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Job {
    /// Checks what was typed, and reads the files.
    pub(crate) fn new(args: LoadArgs, settings: &mut Settings) -> Result<Self, Failure> {
        args.check()?;
        let cores_default = allowed_cores().len().saturating_sub(1).max(1);
        let period_ns = nanos(args.period);
        let rate = args.rate.unwrap_or(RATE);
        let mut content = None;
        let shape = match args.schedule {
            LoadSchedule::Steady => Shape::Steady,
            LoadSchedule::Ramp => Shape::Ramp {
                to: args.rate_to.unwrap_or(rate),
            },
            LoadSchedule::Burst => Shape::Burst {
                to: args.rate_to.unwrap_or(rate.saturating_mul(BURST)),
                period_ns,
            },
            LoadSchedule::Onoff => Shape::OnOff { period_ns },
            LoadSchedule::Replay => {
                let timing = Timing {
                    field: args.time_field,
                    unit_ns: args.time_unit.nanos(),
                    speed: args.speed.unwrap_or(1.0),
                };
                let path = args.file.unwrap_or_default();
                let replay = Arc::new(Replay::open(&path, &timing)?);
                content = Some(Content::Read(Arc::clone(&replay)));
                Shape::Replay(replay.due_ns().into())
            }
        };
        let extent = match (args.rows, args.duration, &shape) {
            (Some(rows), _, _) => Extent::Rows(rows),
            (None, Some(time), _) => Extent::Time(nanos(time)),
            (None, None, Shape::Replay(_)) => Extent::Rows(u64::MAX),
            (None, None, _) => Extent::Time(nanos(DURATION)),
        };
        let recipe = Recipe {
            seed: args.seed,
            keys: args.keys,
            zipf: args.zipf,
            disorder_ns: nanos(args.disorder),
            payload_bytes: args.payload_bytes,
        };
        let warmup = nanos(args.warmup.unwrap_or(WARMUP));
        let config = args.engine.resolve(settings, cores_default)?;
        Ok(Self {
            to: args.to,
            format: args.format.unwrap_or(LoadFormat::Json),
            builder: Builder::from(config),
            schedule: Schedule::new(shape, rate, extent, warmup),
            content: content.unwrap_or_else(|| Content::Made(Arc::new(Records::new(&recipe)))),
            payload_bytes: args.payload_bytes,
            producers: args.producers,
            sql: args.sql.as_deref().map(read).transpose()?,
            json: args.json.filter(|path| path.as_os_str() != "-"),
            hgrm: args.hgrm,
            limits: Limits {
                p99: args.max_p99,
                p999: args.max_p999,
            },
        })
    }
}

/// The time on this machine.
struct Wall(Instant);

impl Clock for Wall {
    fn now_ns(&self) -> u64 {
        nanos(self.0.elapsed())
    }
}

/// Sleeps through all of this but its end; not at all where it is short.
fn sleep_most_of(ns: u64) {
    match Duration::from_nanos(ns).checked_sub(AWAKE) {
        Some(time) => std::thread::sleep(time.min(SLEEP_MAX)),
        None => std::hint::spin_loop(),
    }
}

/// Sends it, and tells what it came to.
pub(crate) fn run(job: Job) -> Result<(), Failure> {
    let answered = job.sql.is_none();
    // Opened now: that one cannot be written is not found out behind a long run.
    let json = output::open(job.json.as_deref())?;
    let hgrm = job.hgrm.as_deref().map(|path| output::open(Some(path)));
    let hgrm = hgrm.transpose()?;
    let (tally, ended) = match &job.to {
        LoadTo::Engine => {
            let (builder, sql) = (job.builder.clone(), job.sql.clone());
            let (engine, peers) = engine::open(builder, sql, &job.content, job.producers)?;
            let sent = all(&job.schedule, peers)?;
            drop(engine);
            sent
        }
        LoadTo::Socket(address) => {
            let connect = |producer| {
                let content = job.content.clone();
                let has_payload = job.payload_bytes > 0;
                let frames = match job.format {
                    LoadFormat::Json => None,
                    LoadFormat::Binary => Some(Frames::new(producer, has_payload)),
                };
                SocketPeer::connect(address, content, job.payload_bytes, frames)
            };
            let peers = (0..job.producers).map(connect);
            all(&job.schedule, peers.collect::<Result<_, _>>()?)?
        }
    };
    let report = Report::new(job.schedule.measured(), &tally, answered, ended.is_err());
    report.write(json)?;
    ended?;
    if let Some(target) = hgrm.filter(|_| tally.kept_up()) {
        write_hgrm(&tally.latency_ns, target)?;
    }
    report.verdict(&tally, &job.limits)
}

/// What was counted, and how it ended.
type Sent = (Tally, Result<(), Failure>);

/// Sends from all producers, a thread each.
fn all<P: Peer + Send>(schedule: &Schedule, peers: Vec<P>) -> Result<Sent, Failure> {
    let clock = Instant::now();
    let step = peers.len() as u64;
    let one = |(first, mut peer): (u64, P)| -> Result<Sent, Failure> {
        let mut tally = Tally::new()?;
        let share = Share { first, step };
        let ended = send(schedule, share, &Wall(clock), &mut peer, &mut tally);
        Ok((tally, ended))
    };
    let sent = std::thread::scope(|scope| {
        let spawn = |peer| scope.spawn(move || one(peer));
        let threads: Vec<_> = (0..).zip(peers).map(spawn).collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(sent) => sent,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect::<Result<Vec<Sent>, Failure>>()
    })?;
    let mut whole = Tally::new()?;
    let mut ended = Ok(());
    for (tally, end) in sent {
        whole.add(&tally)?;
        // The first failure is the one to tell.
        ended = ended.and(end);
    }
    Ok((whole, ended))
}
