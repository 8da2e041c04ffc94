//! `trefoil run`: plans a script, runs its bare SELECTs one after the other, prints their
//! results. Nothing runs, and nothing is written, before the whole script is accepted.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow_schema::DataType;
use trefoil::{Answer, PlannedQuery, ResultColumn, SourceFile, Step, plan_steps};
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::preflight::allowed_cores;
use trefoil_ring0::runtime::{Config, start};
use trefoil_ring0::schema::{Field, Schema};

use crate::args::{Format, RunArgs};
use crate::failure::{Failure, say};
use crate::letters::{Letters, say_bad};
use crate::machine::executor_name;
use crate::output::{Printer, Target};
use crate::stats::Stats;
use crate::stop::Stop;

/// A run that is ready.
#[derive(Debug)]
pub(crate) struct Job {
    files: Vec<SourceFile>,
    config: Config,
    format: Option<Format>,
    output: Option<PathBuf>,
    stats: Option<PathBuf>,
}

impl Job {
    /// Reads the files.
    pub(crate) fn new(args: RunArgs) -> Result<Self, Failure> {
        if args.format == Some(Format::Arrow) {
            return Err(Failure::Usage(
                "--format arrow is not supported yet".to_owned(),
            ));
        }
        if args.output.is_some() && args.output == args.stats {
            return Err(Failure::Usage(
                "--output and --stats name the same file".to_owned(),
            ));
        }
        let cores_default = allowed_cores().len().saturating_sub(1).max(1);
        let config = args.engine.config(cores_default, args.frame_rows)?;
        let mut files: Vec<SourceFile> = args
            .files
            .iter()
            .map(|path| read(path))
            .collect::<Result<_, _>>()?;
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
        let RunArgs {
            format,
            output,
            stats,
            ..
        } = args;
        Ok(Self {
            files,
            config,
            format,
            output,
            stats,
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
    let stop = Stop::by_signals()?;
    let mut target = Target::open(job.output.as_deref())?;
    // Opened now: that it cannot be written is not found out behind a long run.
    let counts = job.stats.as_deref().map(|path| Target::open(Some(path)));
    let counts = counts.transpose()?;
    let by_target = if target.is_terminal() {
        Format::Table
    } else {
        Format::Ndjson
    };
    let format = job.format.unwrap_or(by_target);
    let mut stats = Stats::new(job.config.shards);
    let clock = Instant::now();
    let mut ledger = Ok(());
    let mut noted = Notes::Say;
    for (number, step) in steps.iter().enumerate() {
        if stop.is_asked() {
            let left = steps.len() - number;
            say(&format_args!(
                "note: stopped; {left} of the statements did not run"
            ));
            break;
        }
        let query = match step {
            Step::Query(query) => query,
            Step::Answer(answer) => {
                if steps.len() > 1 {
                    say(&answer.sql);
                }
                print_answer(answer, format, &mut target)?;
                continue;
            }
        };
        if steps.len() > 1 {
            say(&query.sql);
        }
        ledger = ledger.and(run_query(
            query,
            job,
            &stop,
            noted,
            format,
            &mut target,
            &mut stats,
        )?);
        noted = Notes::Said;
    }
    target.finish()?;
    stats.end(clock.elapsed());
    if let Some(mut counts) = counts {
        let text = serde_json::to_string_pretty(&stats).map_err(std::io::Error::from)?;
        counts.write((text + "\n").as_bytes())?;
        counts.finish()?;
    }
    ledger
}

/// Prints rows that are known.
fn print_answer(answer: &Answer, format: Format, target: &mut Target) -> Result<(), Failure> {
    let field = |name: &String| Field::new(name, DataType::Utf8);
    let schema = Schema::new(answer.columns.iter().map(field).collect());
    let named = |(index, name): (usize, &String)| ResultColumn::Plain {
        name: name.clone(),
        index,
    };
    let columns: Vec<ResultColumn> = answer.columns.iter().enumerate().map(named).collect();
    let mut printer = Printer::new(format, &columns, &schema, target);
    let mut frame = Frame::new(&schema, 1);
    for row in &answer.rows {
        frame.clear();
        for (column, cell) in frame.columns.iter_mut().zip(row) {
            match column {
                Column::Utf8(texts) => texts.push(cell.as_deref()),
                other => unreachable!("an answer is texts, not {:?}", other.physical()),
            }
        }
        frame.commit_rows(1);
        printer.print(&frame)?;
    }
    printer.finish()?;
    Ok(())
}

/// Whether the notes of the start were already said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notes {
    Say,
    Said,
}

/// Runs one query. The inner result says whether its ledger balances.
fn run_query(
    query: &PlannedQuery,
    job: &Job,
    stop: &Stop,
    notes: Notes,
    format: Format,
    target: &mut Target,
    stats: &mut Stats,
) -> Result<Result<(), Failure>, Failure> {
    let mut running = start(&query.program, &job.config)?;
    stop.runs(running.stopper());
    if notes == Notes::Say {
        running
            .notes()
            .iter()
            .for_each(|note| say(&format_args!("note: {note}")));
    }
    let executor = executor_name(running.executor());
    let schema = &query.program.outputs[0].schema;
    let mut printer = Printer::new(format, &query.columns, schema, target);
    let mut letters = query
        .dead_letters
        .as_deref()
        .map(Letters::open)
        .transpose()?;
    while let Some(block) = running.next_block()? {
        match (block.output().index(), &mut letters) {
            (0, _) => printer.print(block.rows())?,
            (_, Some(letters)) => letters.write(block.rows())?,
            (output, None) => unreachable!("nothing is told in output {output}"),
        }
        running.give_back(block);
    }
    let rows = printer.finish()?;
    letters.map_or(Ok(()), Letters::finish)?;
    let reports = running.finish()?;
    if reports.iter().any(|r| r.stopped) {
        say(&"note: stopped before the end of input; what waits for it was not given");
    }
    say_bad(query, &reports);
    Ok(stats.add(&query.program, &reports, executor, rows))
}
