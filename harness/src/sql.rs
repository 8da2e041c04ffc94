//! `trefoil sql`: statements are run as they are typed, by an engine in this process. A person has
//! an editor, and Ctrl-C to end a query that has no end; what comes through a pipe is run line by
//! line, and ends at the first error.

mod complete;
mod input;
mod meta;
mod show;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::SIGINT;
use trefoil::engine::{Builder, Drain, Feeding, Outcome, Received, Results};
use trefoil::{Engine, SourceFile};

use crate::args::{RunSettings, Setting, SqlArgs};
use crate::failure::Failure;
use crate::output::{self, Target};
use crate::print::format_for;
use crate::say::say;
use crate::settings::Settings;

use self::input::{Input, Typed};
use self::meta::Meta;
use self::show::{Rows, Shown};

/// How long rows are waited for before it is looked whether they are still wanted.
const LOOK: Duration = Duration::from_millis(50);
/// How long sinks are waited for at the end.
const END: Duration = Duration::from_secs(3600);
/// Rows without an end that one table shows at most.
const TABLE_ROWS_MAX: usize = 1000;

/// A shell that is ready.
#[derive(Debug)]
pub(crate) struct Job {
    settings: RunSettings,
}

impl Job {
    /// Takes the settings.
    pub(crate) fn new(args: SqlArgs, settings: &mut Settings) -> Result<Self, Failure> {
        if let Some(url) = args.url {
            let why = format!("cannot reach {url}: this version has no server; leave it out");
            return Err(Failure::Usage(why));
        }
        let settings = args.settings.resolve(settings)?;
        Ok(Self { settings })
    }
}

/// Runs it until its input ends.
pub(crate) fn run(job: Job) -> Result<(), Failure> {
    let RunSettings {
        config,
        format,
        output,
        stats,
        set,
        limit,
        time,
        state,
    } = job.settings;
    let not_here = [("stats", stats.is_some()), ("for", time.is_some())];
    for (name, is_set) in not_here {
        if is_set {
            return Err(Failure::Usage(format!("--{name} is for trefoil run")));
        }
    }
    let target = output::open(output.as_deref())?;
    let mut builder = Builder::from(config);
    if let Some(state) = state {
        builder = builder.state_dir(state.dir).checkpoint_every(state.every);
    }
    let engine = Arc::new(builder.open()?);
    let mut input = Input::open(&engine)?;
    let stop = Arc::new(AtomicBool::new(false));
    if input.is_typed() {
        let deaf = |e| Failure::Running(format!("cannot listen to signals: {e}"));
        signal_hook::flag::register(SIGINT, Arc::clone(&stop)).map_err(deaf)?;
    }
    let mut shell = Shell {
        engine,
        rows: Rows::new(format_for(&target, format)?, limit.unwrap_or(u64::MAX)),
        target,
        is_timed: false,
        is_over: false,
        stop,
    };
    for file in set.iter().map(Setting::script) {
        shell.statements(&file)?;
    }
    let ended = shell.take(&mut input);
    input.close();
    drop(input);
    // What was not ended is ended now, also behind an error.
    let left = shell.end();
    ended.and(left)
}

/// What statements are run in.
struct Shell {
    engine: Arc<Engine>,
    rows: Rows,
    target: Target,
    is_timed: bool,
    is_over: bool,
    /// Whether Ctrl-C was typed while something ran.
    stop: Arc<AtomicBool>,
}

impl Shell {
    fn take(&mut self, input: &mut Input) -> Result<(), Failure> {
        while !self.is_over {
            let ran = match input.next()? {
                Typed::Nothing => continue,
                Typed::End => break,
                Typed::Meta(text) => self.meta(&text),
                Typed::Statements(file) => self.statements(&file),
            };
            match ran {
                // A person reads what is wrong, and goes on.
                Err(failure) if input.is_typed() && !matches!(failure, Failure::ClosedPipe) => {
                    failure.report();
                }
                ran => ran?,
            }
        }
        Ok(())
    }

    fn meta(&mut self, text: &str) -> Result<(), Failure> {
        match Meta::read(text)? {
            Meta::Quit => self.is_over = true,
            Meta::Help => say(&meta::HELP),
            Meta::Timing(on) => {
                self.is_timed = on.unwrap_or(!self.is_timed);
                let word = if self.is_timed { "on" } else { "off" };
                say(&format_args!("timing is {word}"));
            }
            Meta::Relations => {
                let relations = meta::relations(&self.engine)?;
                self.rows.answer(&relations, &mut self.target)?;
            }
            Meta::Columns(name) => {
                let name = name.replace('"', "\"\"");
                self.statements(&input::file(format!("DESCRIBE \"{name}\";"), 0))?;
            }
        }
        Ok(())
    }

    /// Runs the statements of a text, one after the other.
    fn statements(&mut self, file: &SourceFile) -> Result<(), Failure> {
        self.stop.store(false, Ordering::Relaxed);
        for number in 0.. {
            let clock = Instant::now();
            let wanted = || !self.stop.load(Ordering::Relaxed);
            let Some(outcome) = self.engine.statement_while(file, number, &wanted)? else {
                break;
            };
            match outcome {
                Outcome::Done => {}
                Outcome::Stopped => {
                    self.stop.store(false, Ordering::Relaxed);
                    say(&"note: stopped");
                }
                Outcome::Rows(batches) => {
                    let mut shown = self.rows.begin();
                    for batch in &batches {
                        shown.rows(batch, &mut self.target)?;
                    }
                    shown.end(&mut self.target)?;
                }
                Outcome::Feeding(feeding) => self.feeding(&feeding)?,
                Outcome::Results(results) => self.results(*results)?,
            }
            if self.is_timed {
                let ms = clock.elapsed().as_secs_f64() * 1e3;
                say(&format_args!("time: {ms:.3} ms"));
            }
        }
        Ok(())
    }

    /// Waits until a sink has the rows of a query, or they are not wanted any more.
    fn feeding(&self, feeding: &Feeding) -> Result<(), Failure> {
        while !feeding.wait_timeout(LOOK)? {
            if self.stop.swap(false, Ordering::Relaxed) {
                say(&"note: stopped; the sink has what was read");
                feeding.stop();
            }
        }
        Ok(())
    }

    /// Ends what runs. Sinks have their files then, or it is said why not.
    fn end(self) -> Result<(), Failure> {
        self.target.finish()?;
        let Some(engine) = Arc::into_inner(self.engine) else {
            unreachable!("the editor that knew its names is gone")
        };
        let left = engine.shutdown(Drain::Input, END).sinks;
        let left = left.iter().map(|sink| {
            let why = sink
                .failure
                .as_deref()
                .unwrap_or("its query has not come to its end");
            format!("sink {} has no file: {why}", sink.name)
        });
        let left: Vec<String> = left.collect();
        match left.is_empty() {
            true => Ok(()),
            false => Err(Failure::Running(left.join("\n"))),
        }
    }

    /// Shows rows as they come, until they end or are not wanted any more.
    fn results(&mut self, mut results: Results) -> Result<(), Failure> {
        // The widths of a table are those of all its rows: without an end there is one for each
        // handful.
        let in_tables = results.is_endless() && self.rows.is_table();
        let mut shown = self.rows.begin();
        shown.columns(&results.schema())?;
        let mut wait = LOOK;
        loop {
            if self.stop.swap(false, Ordering::Relaxed) {
                say(&"note: stopped");
                break;
            }
            if shown.is_full() {
                break;
            }
            match results.next_timeout(wait)? {
                Received::End => break,
                Received::Batch(batch) => {
                    shown.rows(&batch, &mut self.target)?;
                    wait = Duration::ZERO;
                    if !in_tables || shown.count() < TABLE_ROWS_MAX {
                        continue;
                    }
                }
                Received::Nothing => {
                    wait = LOOK;
                    shown.flush(&mut self.target)?;
                }
            }
            if in_tables && shown.count() > 0 {
                self.again(&mut shown)?;
            }
        }
        if in_tables && shown.count() == 0 {
            return Ok(());
        }
        shown.end(&mut self.target)
    }

    /// Ends a table, and begins the next one.
    fn again(&mut self, shown: &mut Shown) -> Result<(), Failure> {
        let next = self.rows.after(shown);
        std::mem::replace(shown, next).end(&mut self.target)
    }
}
