//! `trefoil run`: plans a script, runs its bare SELECTs one after the other, prints their
//! results. Nothing runs, and nothing is written, before the whole script is accepted.

mod flow;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use trefoil::explain::{Analyze, Measured};
use trefoil::{Answer, PlannedQuery, SourceFile, Step, plan_steps, plan_steps_again};
use trefoil_ring0::program::SourceKind;
use trefoil_ring0::runtime::start_from;

use self::flow::Flow;
use crate::args::{Format, RunArgs, RunSettings, Setting};
use crate::collisions;
use crate::failure::{Failure, needed};
use crate::late::LateWays;
use crate::letters::{Begins, Letters, say_bad};
use crate::machine::executor_name;
use crate::output::{self, Target};
use crate::print::format_for;
use crate::progress::Progress;
use crate::say::{say, say_text};
use crate::settings::Settings;
use crate::sinks::{Outlet, Sinks, is_printed};
use crate::state::State;
use crate::stats::{Rows, Stats};
use crate::stop::Stop;

/// A run that is ready.
#[derive(Debug)]
pub(crate) struct Job {
    files: Vec<SourceFile>,
    /// Where they are from, as far as that has a name.
    paths: Vec<PathBuf>,
    settings: RunSettings,
}

impl Job {
    /// Reads the files.
    pub(crate) fn new(args: RunArgs, settings: &mut Settings) -> Result<Self, Failure> {
        let settings = args.settings.resolve(settings)?;
        let mut files: Vec<SourceFile> = settings.set.iter().map(Setting::script).collect();
        for path in &args.files {
            files.push(read(path)?);
        }
        for (number, text) in args.commands.into_iter().enumerate() {
            let name = if number == 0 {
                "-c".to_owned()
            } else {
                format!("-c#{}", number + 1)
            };
            files.push(SourceFile {
                name,
                text,
                base: PathBuf::from("."),
            });
        }
        let paths = args.files;
        Ok(Self {
            files,
            paths,
            settings,
        })
    }
}

/// Reads a file of SQL; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<SourceFile, Failure> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|e| Failure::Usage(format!("cannot read standard input: {e}")))?;
        return Ok(SourceFile {
            name: "<stdin>".to_owned(),
            text: without_mark(text),
            base: PathBuf::from("."),
        });
    }
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::Usage(format!("cannot read {name}: {e}")))?;
    let base = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let text = without_mark(text);
    Ok(SourceFile { name, text, base })
}

/// Some editors begin a file with a byte order mark. It is no part of the text.
fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// Runs it.
pub(crate) fn run(job: &Job) -> Result<(), Failure> {
    let settings = &job.settings;
    let state = settings.state.as_ref();
    let state = state
        .map(|state| State::open(state, &job.files))
        .transpose()?;
    let steps = match &state {
        Some(state) => plan_steps_again(&job.files, state.planned(), &state.read_upto())?,
        None => plan_steps(&job.files)?,
    };
    if let Some(state) = &state {
        state.check(&steps, &job.files)?;
    }
    collisions::check(settings, &job.paths, &steps)?;
    let (results, format) = results(settings, state.as_ref())?;
    // Opened now: that it cannot be written is not found out behind a long run.
    let counts = settings
        .stats
        .as_deref()
        .map(|path| output::open(Some(path)));
    let counts = counts.transpose()?;
    let stop = Stop::by_signals()?;
    if state.is_some() {
        stop.takes_checkpoints()?;
    }
    if let Some(time) = settings.time {
        stop.after(time)?;
    }
    let mut script = Script {
        settings,
        stop,
        format,
        results,
        // Opened now, too.
        sinks: Sinks::open(&steps, state.as_ref())?,
        letters: Letters::open(&steps, state.as_ref())?,
        are_told_apart: steps.iter().filter(|step| is_shown(step)).count() > 1,
        stats: Stats::new(settings.config.shards),
        notes: Notes::Say,
        state,
    };
    let clock = Instant::now();
    let ended = script.run(&steps);
    let checkpoints = script.state.as_ref().map(State::counts);
    script.stats.end(clock.elapsed(), &ended, checkpoints);
    let counted = match (counts, &settings.stats) {
        (Some(counts), Some(path)) => write_counts(&script.stats, counts, path),
        _ => Ok(()),
    };
    // The first failure is the one to tell.
    ended.and(counted)
}

/// The way out for results, and how they are printed.
fn results(settings: &RunSettings, state: Option<&State>) -> Result<(Outlet, Format), Failure> {
    if let (Some(path), Some(_)) = (&settings.output, state) {
        let format = settings.format.unwrap_or(Format::Ndjson);
        let opened = Outlet::open(path, format.into(), state);
        let refuse = |why| Failure::Open(format!("--output: {why}"));
        return Ok((opened.map_err(refuse)?, format));
    }
    let target = output::open(settings.output.as_deref())?;
    let format = format_for(&target, settings.format)?;
    Ok((Outlet::new(target), format))
}

/// Says what is to be known of a query before it runs.
fn say_warnings(query: &PlannedQuery) {
    for warning in &query.warnings {
        say(&format_args!("warning: {warning}"));
    }
}

/// Says which sources read a folder without a file: nothing comes of them, and nothing is wrong.
fn say_without_files(query: &PlannedQuery) {
    for source in &query.program.sources {
        if matches!(&source.kind, SourceKind::Files { paths, .. } if paths.is_empty()) {
            let name = &source.name;
            say(&format_args!(
                "note: source {name}: its folder has no file; folders in it, and names that begin \
                 with a dot, are not read"
            ));
        }
    }
}

fn write_counts(stats: &Stats, mut target: Target, path: &Path) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(stats).map_err(std::io::Error::from)?;
    let written = target.write((text + "\n").as_bytes());
    needed(written.map_err(Failure::from), path)?;
    Ok(target.finish()?)
}

/// Whether what a step gives is printed.
fn is_shown(step: &Step) -> bool {
    match step {
        Step::Query(query) => is_printed(query),
        Step::Analyze(_) | Step::Answer(_) => true,
    }
}

/// Whether the notes of the start were already said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notes {
    Say,
    Said,
}

/// A script that runs.
struct Script<'a> {
    settings: &'a RunSettings,
    stop: Stop,
    format: Format,
    results: Outlet,
    sinks: Sinks,
    letters: Letters,
    /// Several results are printed: each behind its text.
    are_told_apart: bool,
    stats: Stats,
    notes: Notes,
    state: Option<State>,
}

impl Script<'_> {
    /// Runs all steps, and gives files their names.
    fn run(&mut self, steps: &[Step]) -> Result<(), Failure> {
        let mut ledger = Ok(());
        let done = self.state.as_ref().map_or(0, State::done);
        let mut reached = steps.len();
        for (number, step) in steps.iter().enumerate().skip(done) {
            if self.stop.is_asked() {
                reached = number;
                let left = steps.len() - number;
                say(&format_args!(
                    "note: stopped; {left} of the statements did not run"
                ));
                break;
            }
            if is_shown(step) && !self.results.is_read() {
                continue;
            }
            match step {
                Step::Query(query) => ledger = ledger.and(self.query(number, query)?),
                Step::Analyze(analyze) => ledger = ledger.and(self.analyze(analyze)?),
                Step::Answer(answer) => self.answer(answer)?,
            }
        }
        if let Some(state) = &mut self.state {
            // Of a query that was stopped there are none.
            let answers = self.results.cut(state.next_epoch())?;
            if !answers.is_empty() {
                state.end(reached, self.settings.config.shards, answers)?;
            }
        }
        self.sinks.finish()?;
        self.letters.finish()?;
        self.results.target().finish()?;
        ledger
    }

    /// Prints rows that are known.
    fn answer(&mut self, answer: &Answer) -> Result<(), Failure> {
        if self.are_told_apart {
            say_text(&answer.sql);
        }
        self.results.answer(answer, self.format.into())
    }

    /// Runs a query without its rows, and prints its plan with what that measured. The inner result
    /// says whether its ledger balances.
    fn analyze(&mut self, analyze: &Analyze) -> Result<Result<(), Failure>, Failure> {
        let query = &analyze.query;
        let begun = Instant::now();
        let mut running = start_from(&query.program, &self.settings.config, None)?;
        self.stop.runs(running.control());
        let executor = running.executor();
        let mut received = 0;
        while let Some(block) = running.next_block()? {
            // Of the others it is told what bad records there were.
            if block.output().index() == 0 {
                received += block.rows().rows() as u64;
            }
            running.give_back(block);
        }
        let elapsed = begun.elapsed();
        let reports = running.finish()?;
        if reports.iter().any(|r| r.stopped) {
            say(&"note: stopped before the end of input; the plan tells of what was read");
        }
        let measured = Measured::of(&query.program, &reports, executor, elapsed);
        self.answer(&analyze.clone().answer(measured))?;
        let rows = Rows {
            received,
            printed: 0,
        };
        let executor = executor_name(executor);
        Ok(self.stats.add(&query.program, &reports, executor, rows))
    }

    /// Runs one query, which is this step. The inner result says whether its ledger balances.
    fn query(&mut self, step: usize, query: &PlannedQuery) -> Result<Result<(), Failure>, Failure> {
        if is_printed(query) && self.are_told_apart {
            say_text(&query.sql);
        }
        let (mut program, mut config) = (query.program.clone(), self.settings.config.clone());
        let before = match &mut self.state {
            Some(state) => state.restore(step, &mut program, &mut config)?,
            None => None,
        };
        let restore = before.as_ref().map(|before| &before.restore);
        let mut running = start_from(&program, &config, restore)?;
        let begins = [Begins::Anew, Begins::Again][usize::from(before.is_some())];
        let committed = before.map_or(0, |before| before.rows);
        let control = running.control();
        self.stop.runs(control.clone());
        if std::mem::replace(&mut self.notes, Notes::Said) == Notes::Say {
            let notes = running.notes().iter();
            notes.for_each(|note| say(&format_args!("note: {note}")));
        }
        say_without_files(query);
        say_warnings(query);
        let executor = executor_name(running.executor());
        // Results that run over the screen are progress enough.
        let silent = self.results.target().is_terminal() && self.format != Format::Table;
        let progress = (!silent)
            .then(|| Progress::begin(control.clone()))
            .flatten();
        let keeper = match &mut self.state {
            Some(state) => {
                let answers = self.results.cut(state.next_epoch())?;
                Some(state.keeper(step, query, &program, &running, &config, answers)?)
            }
            None => None,
        };
        let late = LateWays::begin(query, &mut self.sinks)?;
        let sink = query.sink.as_ref();
        let outlet = match sink.and_then(|sink| self.sinks.outlet(sink)) {
            Some(outlet) => outlet,
            None => {
                let rows_max = self.settings.limit.unwrap_or(u64::MAX);
                let results = &mut self.results;
                results.begin_result(self.format.into(), rows_max, committed)?;
                &mut self.results
            }
        };
        let mut flow = Flow {
            query,
            stop: &self.stop,
            letters: self.letters.begin(query, begins),
            late,
            outlet,
            keeper,
            received: 0,
            is_left: false,
        };
        let printed = flow.run(&mut running)?;
        drop(progress);
        let (received, is_left, late) = (flow.received, flow.is_left, flow.late);
        late.end(&mut self.sinks)?;
        if is_printed(query) {
            self.results.end_result()?;
        }
        self.sinks.end_query(query)?;
        let reports = running.finish()?;
        if !is_left && reports.iter().any(|r| r.stopped) {
            say(&"note: stopped before the end of input; what waits for it was not given");
        }
        say_bad(query, &reports);
        let rows = Rows { received, printed };
        Ok(self.stats.add(&query.program, &reports, executor, rows))
    }
}
