//! Late rows on their way into sinks: each source that has one has an output of its own, beside
//! the results of the query.

use trefoil::{LateRows, PlannedQuery};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::id::OutputId;
use trefoil_ring0::runtime::Running;

use crate::failure::Failure;
use crate::print::Shape;
use crate::sinks::{Outlet, Sinks};
use crate::state::Keeper;

/// The way of one source's late rows.
struct Way<'a> {
    rows: &'a LateRows,
    shape: Shape<'a>,
    outlet: Outlet,
}

/// The ways of all late rows of a query that runs.
pub(crate) struct LateWays<'a> {
    ways: Vec<Way<'a>>,
    /// Rows come at their own time, and each is wanted at once.
    is_live: bool,
}

impl<'a> LateWays<'a> {
    /// Takes the outlets of a query's sinks for late rows.
    pub(crate) fn begin(query: &'a PlannedQuery, sinks: &mut Sinks) -> Result<Self, Failure> {
        let mut ways = Vec::with_capacity(query.late.len());
        for rows in &query.late {
            let shape = Shape {
                columns: &rows.columns,
                schema: &query.program.outputs[rows.output.index()].schema,
                changes: false,
            };
            let Some(mut outlet) = sinks.take(&rows.sink) else {
                unreachable!("the sinks of late rows were opened, one for each source")
            };
            outlet.begin(shape)?;
            ways.push(Way {
                rows,
                shape,
                outlet,
            });
        }
        let mut sources = query.program.sources.iter();
        let is_live = sources.any(|source| source.kind.is_live());
        Ok(Self { ways, is_live })
    }

    /// Gives the outlets back.
    pub(crate) fn end(self, sinks: &mut Sinks) -> Result<(), Failure> {
        for mut way in self.ways {
            way.outlet.flush()?;
            sinks.put_back(&way.rows.sink, way.outlet);
        }
        Ok(())
    }

    fn way(&mut self, output: OutputId) -> Option<&mut Way<'a>> {
        self.ways.iter_mut().find(|way| way.rows.output == output)
    }

    /// Takes rows of an output, if it is one of late rows: behind the last checkpoint of a run that
    /// stops the next one gives them.
    pub(crate) fn take(
        &mut self,
        output: OutputId,
        (rows, shard): (&Frame, usize),
        keeper: Option<&Keeper<'_>>,
    ) -> Result<bool, Failure> {
        let is_live = self.is_live;
        let Some(way) = self.way(output) else {
            return Ok(false);
        };
        if keeper.is_none_or(|keeper| keeper.takes_rows(output)) {
            way.outlet.take(way.shape, rows, shard)?;
            if is_live {
                way.outlet.flush()?;
            }
        }
        Ok(true)
    }

    /// The barrier of an epoch was met in an output, if it is one of late rows.
    pub(crate) fn met(
        &mut self,
        output: OutputId,
        epoch: u64,
        keeper: &mut Keeper<'_>,
    ) -> Result<(), Failure> {
        if let Some(way) = self.way(output) {
            keeper.met(output, epoch, way.outlet.cut(epoch)?);
        }
        Ok(())
    }

    /// What an output gave that has ended is before every barrier that the results meet.
    pub(crate) fn meet_ended(
        &mut self,
        running: &Running,
        keeper: &mut Keeper<'_>,
    ) -> Result<(), Failure> {
        let Some(epoch) = keeper.last_met() else {
            return Ok(());
        };
        for way in &mut self.ways {
            let output = way.rows.output;
            if keeper.waits_for(output, epoch) && running.has_given_all(output) {
                keeper.met(output, epoch, way.outlet.cut(epoch)?);
            }
        }
        Ok(())
    }

    /// All rows were taken, and are of this epoch.
    pub(crate) fn finish(&mut self, epoch: u64, keeper: &mut Keeper<'_>) -> Result<(), Failure> {
        for way in &mut self.ways {
            keeper.met(way.rows.output, epoch, way.outlet.cut(epoch)?);
        }
        Ok(())
    }
}
