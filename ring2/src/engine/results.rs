//! What a statement gives: nothing, rows that are there, or rows as they come.

use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use trefoil_ring0::runtime::{Next, Running};

use super::session::Listening;
use super::{Feeding, Received, batch};
use crate::PlannedQuery;
use crate::error::Result;

/// What a statement gave.
#[derive(Debug)]
pub enum Outcome {
    /// It was done, and has no rows.
    Done,
    /// It was not wanted any more, and was given up ([`super::Engine::statement_while`]).
    Stopped,
    /// All its rows: those of SHOW, DESCRIBE, and SELECT over views.
    Rows(Vec<RecordBatch>),
    /// A query over input that ends, which has begun to feed a sink.
    Feeding(Feeding),
    /// A query over sources, which has begun, or a SUBSCRIBE.
    Results(Box<Results>),
}

/// The results of a query over sources, or of SUBSCRIBE, as they come. Dropping it ends them.
#[derive(Debug)]
pub struct Results(Of);

#[derive(Debug)]
enum Of {
    Query(Box<Query>),
    View(Listening),
}

#[derive(Debug)]
struct Query {
    running: Running,
    query: PlannedQuery,
    is_endless: bool,
}

impl Results {
    pub(super) fn new(running: Running, query: PlannedQuery, is_endless: bool) -> Self {
        Self(Of::Query(Box::new(Query {
            running,
            query,
            is_endless,
        })))
    }

    /// Of a SUBSCRIBE.
    pub(super) fn of_view(listening: Listening) -> Self {
        Self(Of::View(listening))
    }

    /// Their columns. The first one is `op` where rows are changes.
    pub fn schema(&self) -> SchemaRef {
        match &self.0 {
            Of::Query(of) => batch::schema(&of.query.columns, &of.query.program.outputs[0].schema),
            Of::View(listening) => SchemaRef::clone(listening.columns()),
        }
    }

    /// Whether its input has no end, so that it ends when it is dropped.
    pub fn is_endless(&self) -> bool {
        match &self.0 {
            Of::Query(of) => of.is_endless,
            Of::View(_) => true,
        }
    }

    /// Lets input without an end have one: what appenders have pushed is still taken, and then the
    /// rows end. A view goes on.
    pub fn drain(&self) {
        match &self.0 {
            Of::Query(of) => of.running.control().drain(),
            Of::View(_) => {}
        }
    }

    /// The next rows; waits so long at most.
    ///
    /// # Errors
    /// What the query, or the view, has failed with; `E0614` where who has subscribed fell behind.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Received> {
        let Query { running, query, .. } = match &mut self.0 {
            Of::Query(of) => &mut **of,
            Of::View(listening) => return listening.next_timeout(timeout),
        };
        let next = match timeout.is_zero() {
            true => running.try_next_block()?,
            false => running.next_block_timeout(timeout)?,
        };
        Ok(match next {
            Next::Nothing | Next::Barrier(..) => Received::Nothing,
            Next::End => Received::End,
            Next::Block(block) => {
                let schema = &query.program.outputs[0].schema;
                let rows = batch::results(&query.columns, schema, block.rows());
                running.give_back(block);
                Received::Batch(rows?)
            }
        })
    }
}
