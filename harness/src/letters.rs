//! Bad records: what a run says of them, and the file that they are told in.

use std::path::{Path, PathBuf};

use trefoil::{PlannedQuery, ResultColumn};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::id::SourceId;
use trefoil_ring0::program::{StageInput, dead_letter_schema};
use trefoil_ring0::runtime::ShardReport;

use crate::args::Format;
use crate::failure::{Failure, needed};
use crate::output::Target;
use crate::print::{Printer, Shape};
use crate::say::say;

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
        say_left_out(query, &source.name, bad, "bad records");
        say_left_out(
            query,
            &source.name,
            failed,
            "rows on which an expression failed",
        );
    }
}

fn say_left_out(query: &PlannedQuery, source: &str, count: u64, what: &str) {
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

/// The file for what is told about bad records. It takes its name at the end, with nothing in it
/// where no record was bad, so that nothing is left from a run before.
#[derive(Debug)]
pub(crate) struct Letters {
    target: Target,
    path: PathBuf,
}

impl Letters {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let target = Target::open(Some(path))?;
        let path = path.to_owned();
        Ok(Self { target, path })
    }

    pub(crate) fn write(&mut self, rows: &Frame) -> Result<(), Failure> {
        let schema = dead_letter_schema();
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
        };
        let mut printer = Printer::new(Format::Ndjson, u64::MAX);
        let printed = printer.print(shape, rows, &mut self.target);
        let written = printed.and_then(|()| printer.finish(&mut self.target));
        needed(written, &self.path)
    }

    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.target.finish()
    }
}
