//! Where rows go: results that are printed, and the sinks of a script. A sink is opened before
//! anything runs, takes the rows of all queries that feed it, and is whole when the run is.

use std::path::{Path, PathBuf};

use trefoil::output::{Format, Location, Printer, Shape, print_answer};
use trefoil::{Answer, PlannedQuery, Sink, SinkConnector, SinkFormat, Step};
use trefoil_ring0::frame::Frame;
use trefoil_ring1::checkpoint::Prepared;

use crate::failure::{Failure, needed};
use crate::output::{Target, open_file};
use crate::state::{Parts, State};

/// A way out for rows.
pub(crate) struct Outlet {
    target: Target,
    /// `None` where rows go nowhere, or into parts and none is open.
    printer: Option<Printer>,
    /// The file of a sink: that it cannot be written is always an error.
    path: Option<PathBuf>,
    /// Somebody takes the rows, as far as is known.
    is_read: bool,
    /// The files of what is committed with checkpoints: the target is one of them.
    parts: Option<Parts>,
    /// A table of Markdown was printed: another one stands behind an empty line.
    has_tables: bool,
    /// Rows that went nowhere, or into parts that are whole.
    rows: u64,
    /// Where there are parts: rows that go there at most.
    rows_max: u64,
}

impl Outlet {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            printer: None,
            path: None,
            is_read: true,
            parts: None,
            has_tables: false,
            rows: 0,
            rows_max: u64::MAX,
        }
    }

    fn with_printer(target: Target, format: Format) -> Self {
        Self {
            printer: Some(Printer::new(format, u64::MAX)),
            ..Self::new(target)
        }
    }

    fn with_parts(parts: Parts, path: &Path) -> Self {
        Self {
            parts: Some(parts),
            path: Some(path.to_owned()),
            ..Self::new(Target::Stdout)
        }
    }

    /// The way into a file that is named in a script.
    fn with_file(path: &Path, format: Format) -> Result<Self, String> {
        Ok(Self {
            path: Some(path.to_owned()),
            ..Self::with_printer(open_file(path)?, format)
        })
    }

    /// The way of what is told besides into a file; with a state directory it is committed with
    /// checkpoints, but for a device or a pipe, which keeps nothing.
    pub(crate) fn open(path: &Path, format: Format, state: Option<&State>) -> Result<Self, String> {
        match state.filter(|_| path.is_dir() || !is_device(path)) {
            Some(state) => {
                Parts::open(path, format, state.epoch()).map(|parts| Self::with_parts(parts, path))
            }
            None => Self::with_file(path, format),
        }
    }

    /// All rows before the barrier of an epoch were taken. Gives the files that they are in.
    pub(crate) fn cut(&mut self, epoch: u64) -> Result<Vec<Prepared>, Failure> {
        if self.parts.is_none() {
            self.flush()?;
            return Ok(Vec::new());
        }
        if self.printer.is_some() {
            self.rows = self.rows();
            self.end_result()?;
        }
        Ok(self.parts.as_mut().map_or_else(Vec::new, |parts| {
            parts.close();
            parts.prepare(epoch)
        }))
    }

    /// Parts what follows from a table before it, which would have its rows else.
    fn part_tables(&mut self, format: Format) -> Result<(), Failure> {
        let is_table = format == Format::Markdown && self.parts.is_none();
        if is_table && std::mem::replace(&mut self.has_tables, true) && self.is_read {
            let parted = self.target.write(b"\n");
            return self.note(parted.map_err(Failure::from));
        }
        Ok(())
    }

    /// Prints rows that are known.
    pub(crate) fn answer(&mut self, answer: &Answer, format: Format) -> Result<(), Failure> {
        self.part_tables(format)?;
        let printed = match &mut self.parts {
            None => print_answer(answer, format, &mut self.target),
            Some(parts) => {
                let mut file = parts.begin()?;
                let printed = print_answer(answer, format, &mut file);
                parts.close();
                printed
            }
        };
        self.note(printed.map_err(Failure::from))
    }

    pub(crate) fn target(&mut self) -> &mut Target {
        &mut self.target
    }

    /// Whether it is of use to give it rows.
    pub(crate) fn is_wanted(&self) -> bool {
        let is_full = match (&self.printer, &self.parts) {
            (Some(printer), _) => printer.is_full(),
            (None, Some(_)) => self.room() == 0,
            (None, None) => false,
        };
        self.is_read && !is_full
    }

    /// Rows that another part may take.
    fn room(&self) -> u64 {
        self.rows_max.saturating_sub(self.rows)
    }

    /// Whether anybody takes rows.
    pub(crate) fn is_read(&self) -> bool {
        self.is_read
    }

    /// Notes what became of something printed: who went away wants no more of it.
    pub(crate) fn note(&mut self, printed: Result<(), Failure>) -> Result<(), Failure> {
        let printed = match &self.path {
            Some(path) => needed(printed, path),
            None => printed,
        };
        match printed {
            Err(Failure::ClosedPipe) => self.is_read = false,
            other => other?,
        }
        Ok(())
    }

    /// Begins another result, of at most `rows_max` rows, of which these are committed.
    pub(crate) fn begin_result(
        &mut self,
        format: Format,
        rows_max: u64,
        committed: u64,
    ) -> Result<(), Failure> {
        self.part_tables(format)?;
        match self.parts {
            Some(_) => (self.rows, self.rows_max) = (committed, rows_max),
            None => self.printer = Some(Printer::new(format, rows_max)),
        }
        Ok(())
    }

    /// Rows of this shape follow.
    pub(crate) fn begin(&mut self, shape: Shape<'_>) -> Result<(), Failure> {
        match self.parts {
            // A file begins with its first row.
            Some(_) => Ok(()),
            None => Ok(self.printer.as_mut().map_or(Ok(()), |p| p.begin(shape))?),
        }
    }

    /// Takes the rows of a frame from a shard, as far as they are wanted.
    pub(crate) fn take(
        &mut self,
        shape: Shape<'_>,
        frame: &Frame,
        shard: usize,
    ) -> Result<(), Failure> {
        if !self.is_wanted() {
            return Ok(());
        }
        let room = self.room();
        if let (Some(parts), None) = (&mut self.parts, &self.printer) {
            self.target = parts.begin()?;
            let mut printer = Printer::new(parts.format(), room);
            printer.begin(shape)?;
            self.printer = Some(printer);
        }
        let printed = match &mut self.printer {
            Some(printer) => printer.print(shape, frame, shard, &mut self.target),
            None => {
                self.rows += frame.rows() as u64;
                Ok(())
            }
        };
        self.note(printed.map_err(Failure::from))
    }

    /// Rows that were taken.
    pub(crate) fn rows(&self) -> u64 {
        let printed = self.printer.as_ref().map_or(0, Printer::rows);
        match self.parts {
            None if self.printer.is_some() => printed,
            None | Some(_) => self.rows + printed,
        }
    }

    /// Writes what is there so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let flushed = match &mut self.printer {
            Some(printer) if self.is_read => printer.flush(&mut self.target),
            Some(_) | None => Ok(()),
        };
        self.note(flushed.map_err(Failure::from))
    }

    /// Ends what was begun.
    pub(crate) fn end_result(&mut self) -> Result<(), Failure> {
        let finished = match self.printer.take() {
            Some(printer) if self.is_read => printer.finish(&mut self.target),
            Some(_) | None => Ok(()),
        };
        self.note(finished.map_err(Failure::from))
    }

    /// Ends it, and gives its file its name; parts have theirs by checkpoints.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        if self.parts.is_none() {
            self.end_result()?;
            self.target.finish()?;
        }
        Ok(())
    }
}

/// Whether a path leads to what keeps its name, and nothing else.
fn is_device(path: &Path) -> bool {
    !matches!(Location::of(path), Ok(Location::File(_)) | Err(_))
}

/// The sinks that queries of a script feed, and late rows.
pub(crate) struct Sinks(Vec<(Sink, Outlet)>);

impl Sinks {
    /// Opens them; with a state directory those that are files are committed with its checkpoints.
    pub(crate) fn open(steps: &[Step], state: Option<&State>) -> Result<Self, Failure> {
        let mut sinks = Self(Vec::new());
        for step in steps {
            if let Step::Query(query) = step {
                let late = query.late.iter().map(|late| &late.sink);
                for sink in query.sink.iter().chain(late) {
                    if sinks.outlet(sink).is_none()
                        && let Some(outlet) = open(sink, state)?
                    {
                        sinks.0.push((sink.clone(), outlet));
                    }
                }
            }
        }
        Ok(sinks)
    }

    /// The way into a sink; `None` into one that prints as bare queries do.
    pub(crate) fn outlet(&mut self, sink: &Sink) -> Option<&mut Outlet> {
        let found = self.0.iter_mut().find(|(other, _)| other == sink);
        found.map(|(_, outlet)| outlet)
    }

    /// As [`Self::outlet`], to be put back.
    pub(crate) fn take(&mut self, sink: &Sink) -> Option<Outlet> {
        let found = self.0.iter().position(|(other, _)| other == sink)?;
        Some(self.0.swap_remove(found).1)
    }

    pub(crate) fn put_back(&mut self, sink: &Sink, outlet: Outlet) {
        self.0.push((sink.clone(), outlet));
    }

    /// A query has fed its sink.
    pub(crate) fn end_query(&mut self, query: &PlannedQuery) -> Result<(), Failure> {
        let sink = query.sink.as_ref();
        let outlet = sink.and_then(|sink| self.outlet(sink));
        outlet.map_or(Ok(()), Outlet::flush)
    }

    /// Ends all that were fed, and gives files their names.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        for (_, outlet) in &mut self.0 {
            if outlet.printer.as_ref().is_some_and(Printer::has_begun) {
                outlet.finish()?;
            }
        }
        Ok(())
    }
}

/// Whether the rows of a query are printed as results are.
pub(crate) fn is_printed(query: &PlannedQuery) -> bool {
    let connector = query.sink.as_ref().map(|sink| &sink.connector);
    connector.is_none_or(|connector| *connector == SinkConnector::Print)
}

fn open(sink: &Sink, state: Option<&State>) -> Result<Option<Outlet>, Failure> {
    let refuse = |why: String| Failure::Open(format!("sink {}: {why}", sink.name));
    Ok(match &sink.connector {
        SinkConnector::Print => None,
        SinkConnector::Blackhole => Some(Outlet::new(Target::Stdout)),
        SinkConnector::Stdout { format } => {
            let is_binary = matches!(format, SinkFormat::Arrow | SinkFormat::Parquet);
            if is_binary && Target::Stdout.is_terminal() {
                return Err(refuse("columns are not for a terminal".to_owned()));
            }
            Some(Outlet::with_printer(Target::Stdout, (*format).into()))
        }
        SinkConnector::File { path, format } => {
            let format = Format::from(*format);
            Some(match state {
                Some(state) => {
                    let parts = Parts::open(path, format, state.epoch()).map_err(refuse)?;
                    Outlet::with_parts(parts, path)
                }
                None => Outlet::with_file(path, format).map_err(refuse)?,
            })
        }
    })
}
