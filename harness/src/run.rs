//! `trefoil run`: plans a script, runs its bare SELECTs one after the other, prints their
//! results. Nothing runs, and nothing is written, before the whole script is accepted.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use trefoil::{Answer, PlannedQuery, SourceFile, Step, plan_steps};
use trefoil_ring0::program::SourceKind;
use trefoil_ring0::runtime::start;

use crate::args::{Format, RunArgs, RunSettings, Setting};
use crate::collisions;
use crate::failure::{Failure, needed};
use crate::letters::{Letters, say_bad};
use crate::machine::executor_name;
use crate::output::Target;
use crate::print::{Shape, format_for, print_answer};
use crate::progress::Progress;
use crate::say::{say, say_text};
use crate::settings::Settings;
use crate::sinks::{Outlet, Sinks, is_printed};
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
    let steps = plan_steps(&job.files)?;
    let settings = &job.settings;
    collisions::check(settings, &job.paths, &steps)?;
    let target = Target::open(settings.output.as_deref())?;
    // Opened now: that it cannot be written is not found out behind a long run.
    let counts = settings
        .stats
        .as_deref()
        .map(|path| Target::open(Some(path)));
    let counts = counts.transpose()?;
    let format = format_for(&target, settings.format)?;
    let stop = Stop::by_signals()?;
    if let Some(time) = settings.time {
        stop.after(time)?;
    }
    let mut script = Script {
        settings,
        stop,
        format,
        results: Outlet::new(target),
        // Opened now, too.
        sinks: Sinks::open(&steps)?,
        letters: Letters::open(&steps)?,
        are_told_apart: steps.iter().filter(|step| is_shown(step)).count() > 1,
        stats: Stats::new(settings.config.shards),
        notes: Notes::Say,
    };
    let clock = Instant::now();
    let ended = script.run(&steps);
    script.stats.end(clock.elapsed(), &ended);
    let counted = match (counts, &settings.stats) {
        (Some(counts), Some(path)) => write_counts(&script.stats, counts, path),
        _ => Ok(()),
    };
    // The first failure is the one to tell.
    ended.and(counted)
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
    needed(target.write((text + "\n").as_bytes()), path)?;
    target.finish()
}

/// Whether what a step gives is printed.
fn is_shown(step: &Step) -> bool {
    match step {
        Step::Query(query) => is_printed(query),
        Step::Answer(_) => true,
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
}

impl Script<'_> {
    /// Runs all steps, and gives files their names.
    fn run(&mut self, steps: &[Step]) -> Result<(), Failure> {
        let mut ledger = Ok(());
        for (number, step) in steps.iter().enumerate() {
            if self.stop.is_asked() {
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
                Step::Query(query) => ledger = ledger.and(self.query(query)?),
                Step::Answer(answer) => self.answer(answer)?,
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
        let printed = print_answer(answer, self.format, self.results.target());
        self.results.note(printed)
    }

    /// Runs one query. The inner result says whether its ledger balances.
    fn query(&mut self, query: &PlannedQuery) -> Result<Result<(), Failure>, Failure> {
        if is_printed(query) && self.are_told_apart {
            say_text(&query.sql);
        }
        let mut running = start(&query.program, &self.settings.config)?;
        let control = running.control();
        self.stop.runs(control.clone());
        if std::mem::replace(&mut self.notes, Notes::Said) == Notes::Say {
            let notes = running.notes().iter();
            notes.for_each(|note| say(&format_args!("note: {note}")));
        }
        say_without_files(query);
        let executor = executor_name(running.executor());
        // Results that run over the screen are progress enough.
        let silent = self.results.target().is_terminal() && self.format != Format::Table;
        let progress = (!silent)
            .then(|| Progress::begin(control.clone()))
            .flatten();
        let mut letters = self.letters.begin(query);
        let sink = query.sink.as_ref();
        let outlet = match sink.and_then(|sink| self.sinks.outlet(sink)) {
            Some(outlet) => outlet,
            None => {
                let rows_max = self.settings.limit.unwrap_or(u64::MAX);
                self.results.begin_result(self.format, rows_max);
                &mut self.results
            }
        };
        let shape = Shape {
            columns: &query.columns,
            schema: &query.program.outputs[0].schema,
            changes: query.changes,
        };
        outlet.begin(shape)?;
        let is_live = query.program.sources.iter().any(|s| s.kind.is_live());
        let before = outlet.rows();
        let (mut received, mut is_left) = (0, false);
        loop {
            if !is_left && !outlet.is_wanted() {
                is_left = true;
                control.stop();
            }
            let Some(block) = running.next_block()? else {
                break;
            };
            match (block.output().index(), &mut letters) {
                (0, _) => {
                    received += block.rows().rows() as u64;
                    outlet.take(shape, block.rows(), block.shard())?;
                    if is_live {
                        outlet.flush()?;
                    }
                }
                (_, Some(letters)) => letters.write(block.rows())?,
                (output, None) => unreachable!("nothing is told in output {output}"),
            }
            running.give_back(block);
        }
        drop(progress);
        let printed = outlet.rows() - before;
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
