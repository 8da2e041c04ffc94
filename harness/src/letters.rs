//! Bad records: what a run says of them, and the files that they are told in.

mod lines;

use std::path::{Path, PathBuf};

use arrow_schema::DataType;
use trefoil::output::{Format, Shape};
use trefoil::{PlannedQuery, ResultColumn, Step};
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::id::{OutputId, SourceId};
use trefoil_ring0::program::{BadData, SourceSpec, StageInput, dead_letter_schema};
use trefoil_ring0::runtime::{Running, ShardReport};
use trefoil_ring0::schema::{Field, Schema};
use trefoil_ring0::snapshot::is_read_again;

use self::lines::Lines;
use crate::failure::Failure;
use crate::say::say;
use crate::sinks::Outlet;
use crate::state::{Keeper, State};

/// Says which sources had records that could not be read, or rows on which an expression failed.
pub(crate) fn say_bad(query: &PlannedQuery, reports: &[ShardReport]) {
    let program = &query.program;
    for (number, source) in program.sources.iter().enumerate() {
        let bad: u64 = reports.iter().map(|r| r.sources[number].rows_bad).sum();
        let reads = |stage: usize| {
            program.stages[stage].input == StageInput::Source(SourceId(number as u32))
        };
        let inputs = reports.iter().flat_map(|r| &r.inputs);
        let inputs = inputs.filter(|(stage, _)| reads(*stage));
        let failed: u64 = inputs.map(|(_, counters)| counters.rows_failed).sum();
        let (record, row) = (["bad record", "bad records"], ["row", "rows"]);
        let row = row.map(|row| format!("{row} on which an expression failed"));
        say_left_out(query, &source.name, bad, record);
        say_left_out(
            query,
            &source.name,
            failed,
            row.each_ref().map(String::as_str),
        );
    }
}

/// `what` is one of them, and several.
fn say_left_out(query: &PlannedQuery, source: &str, count: u64, what: [&str; 2]) {
    let what = what[usize::from(count != 1)];
    match &query.dead_letters {
        _ if count == 0 => {}
        Some(path) => say(&format_args!(
            "note: source {source}: {count} {what}, written to {}",
            path.display()
        )),
        None => say(&format_args!(
            "note: source {source}: {count} {what} left out"
        )),
    }
}

/// The files for what is told about bad records. Each is opened before anything runs, once, and all
/// queries that name it write there. Those that a query has named take their names at the end, with
/// nothing in them where no record was bad, so that nothing is left from a run before.
#[derive(Default)]
pub(crate) struct Letters(Vec<Letter>);

pub(crate) struct Letter {
    outlet: Outlet,
    path: PathBuf,
    lines: Lines,
    /// A query that writes there has begun.
    is_used: bool,
}

impl Letters {
    /// Opens them; with a state directory they are committed with its checkpoints.
    pub(crate) fn open(steps: &[Step], state: Option<&State>) -> Result<Self, Failure> {
        let mut letters = Self::default();
        for step in steps {
            if let Step::Query(query) = step
                && let Some(path) = &query.dead_letters
                && letters.of(path).is_none()
            {
                let outlet = Outlet::open(path, Format::Ndjson, state);
                letters.0.push(Letter {
                    outlet: outlet.map_err(Failure::Open)?,
                    path: path.clone(),
                    lines: Lines::default(),
                    is_used: false,
                });
            }
        }
        Ok(letters)
    }

    /// The way into the file of a query that begins, or goes on behind a checkpoint.
    pub(crate) fn begin(&mut self, query: &PlannedQuery, begins: Begins) -> Option<LetterWay<'_>> {
        let letter = self.of(query.dead_letters.as_ref()?)?;
        letter.is_used = true;
        let output = letters_of(query)?;
        let program = &query.program;
        let source = |s: &SourceSpec| s.bad_data == BadData::DeadLetters(output);
        let number = program.sources.iter().position(source)?;
        Some(LetterWay {
            output,
            // A checkpoint has all of what is read before anything else.
            are_told: begins == Begins::Again && is_read_again(program, SourceId(number as u32)),
            letter,
        })
    }

    fn of(&mut self, path: &Path) -> Option<&mut Letter> {
        self.0.iter_mut().find(|letter| letter.path == path)
    }

    /// Gives files their names.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        let mut used = self.0.iter_mut().filter(|letter| letter.is_used);
        used.try_for_each(|letter| letter.outlet.finish())
    }
}

/// The output in which a query tells of bad records, if it does.
pub(crate) fn letters_of(query: &PlannedQuery) -> Option<OutputId> {
    let mut sources = query.program.sources.iter();
    sources.find_map(|source| match source.bad_data {
        BadData::DeadLetters(output) => Some(output),
        BadData::Fail | BadData::Skip => None,
    })
}

/// Whether a query begins, or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begins {
    Anew,
    Again,
}

/// The way of what a query tells of bad records.
pub(crate) struct LetterWay<'a> {
    output: OutputId,
    /// All of it was told before, and comes once more.
    are_told: bool,
    letter: &'a mut Letter,
}

impl LetterWay<'_> {
    /// Takes rows of an output, if it is this one: behind the last checkpoint of a run that stops
    /// the next one gives them.
    pub(crate) fn take(
        &mut self,
        output: OutputId,
        rows: &Frame,
        keeper: Option<&Keeper<'_>>,
    ) -> Result<bool, Failure> {
        if output != self.output {
            return Ok(false);
        }
        if !self.are_told && keeper.is_none_or(|keeper| keeper.takes_rows(output)) {
            self.letter.write(rows)?;
        }
        Ok(true)
    }

    /// The barrier of an epoch was met in an output, if it is this one.
    pub(crate) fn met(
        &mut self,
        output: OutputId,
        epoch: u64,
        keeper: &mut Keeper<'_>,
    ) -> Result<(), Failure> {
        match output == self.output {
            true => self.finish(epoch, keeper),
            false => Ok(()),
        }
    }

    /// What was told is before every barrier that the results meet, where there is no more of it:
    /// also of a source that is read before all others and has no barrier.
    pub(crate) fn meet_ended(
        &mut self,
        running: &Running,
        keeper: &mut Keeper<'_>,
    ) -> Result<(), Failure> {
        match keeper.last_met() {
            Some(epoch)
                if keeper.waits_for(self.output, epoch) && running.has_given_all(self.output) =>
            {
                self.finish(epoch, keeper)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// All rows were taken, and are of this epoch.
    pub(crate) fn finish(&mut self, epoch: u64, keeper: &mut Keeper<'_>) -> Result<(), Failure> {
        keeper.met(self.output, epoch, self.letter.outlet.cut(epoch)?);
        Ok(())
    }
}

impl Letter {
    /// Writes rows of [`dead_letter_schema`], each with the line of its record besides.
    fn write(&mut self, rows: &Frame) -> Result<(), Failure> {
        let schema = with_line(dead_letter_schema());
        let columns: Vec<ResultColumn> = schema
            .fields
            .iter()
            .enumerate()
            .map(|(index, field)| ResultColumn::Plain {
                name: field.name.clone(),
                index,
            })
            .collect();
        let shape = Shape {
            columns: &columns,
            schema: &schema,
            changes: false,
        };
        let mut numbered = Frame::new(&schema, rows.rows().max(1));
        let all: Vec<u32> = (0..rows.rows() as u32).collect();
        let told = numbered.columns.iter_mut().enumerate();
        let told = told.filter(|(at, _)| *at != LINE).map(|(_, column)| column);
        told.zip(&rows.columns)
            .for_each(|(to, from)| to.append_rows(from, &all));
        if let Column::I64(numbers) = &mut numbered.columns[LINE] {
            let lines = self.lines_of(rows);
            lines.into_iter().for_each(|line| numbers.push(line));
        }
        numbered.commit_rows(rows.rows());
        self.outlet.begin(shape)?;
        self.outlet.take(shape, &numbered, 0)?;
        self.outlet.flush()
    }

    /// The line of each row's record; `None` where there is no text whose lines could be counted.
    fn lines_of(&mut self, rows: &Frame) -> Vec<Option<i64>> {
        let [_, Column::Utf8(files), Column::I64(offsets), ..] = &rows.columns[..] else {
            unreachable!("columns of dead letters")
        };
        let has_text = |row: usize| rows.columns[4..].iter().any(|text| text.is_valid(row));
        let place = |row: usize| Some((files.get(row)?, offsets.get(row)?));
        let mut in_order: Vec<usize> = (0..rows.rows()).filter(|row| has_text(*row)).collect();
        in_order.sort_by_key(|row| place(*row));
        let mut lines = vec![None; rows.rows()];
        for row in in_order {
            let line = place(row).and_then(|(file, offset)| {
                let offset = u64::try_from(offset).ok()?;
                self.lines.at(Path::new(file), offset)
            });
            lines[row] = line.and_then(|line| i64::try_from(line).ok());
        }
        lines
    }
}

/// Where the number of the line stands: behind the file, before the byte.
const LINE: usize = 2;

fn with_line(mut schema: Schema) -> Schema {
    schema
        .fields
        .insert(LINE, Field::new("line", DataType::Int64));
    schema
}
