//! What a statement gives: nothing, rows that are there, or rows as they come.

use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use trefoil_ring0::runtime::{Next, Running};

use super::{Feeding, Received, batch};
use crate::PlannedQuery;
use crate::error::Result;

/// What a statement gave.
#[derive(Debug)]
pub enum Outcome {
    /// It was done, and has no rows.
    Done,
    /// All its rows: those of SHOW, DESCRIBE, and SELECT over views.
    Rows(Vec<RecordBatch>),
    /// A query over input that ends, which has begun to feed a sink.
    Feeding(Feeding),
    /// A query over sources, which has begun.
    Results(Box<Results>),
}

/// The results of a query over sources, as they come. Dropping it ends the query.
#[derive(Debug)]
pub struct Results {
    running: Running,
    query: PlannedQuery,
    is_endless: bool,
}

impl Results {
    pub(super) fn new(running: Running, query: PlannedQuery, is_endless: bool) -> Self {
        Self {
            running,
            query,
            is_endless,
        }
    }

    /// Their columns. The first one is `op` where rows are changes.
    pub fn schema(&self) -> SchemaRef {
        batch::schema(&self.query.columns, &self.query.program.outputs[0].schema)
    }

    /// Whether its input has no end, so that it ends when it is dropped.
    pub fn is_endless(&self) -> bool {
        self.is_endless
    }

    /// Lets input without an end have one: what appenders have pushed is still taken, and then the
    /// rows end.
    pub fn drain(&self) {
        self.running.control().drain();
    }

    /// The next rows; waits so long at most.
    ///
    /// # Errors
    /// What the query has failed with.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Received> {
        let next = match timeout.is_zero() {
            true => self.running.try_next_block()?,
            false => self.running.next_block_timeout(timeout)?,
        };
        Ok(match next {
            Next::Nothing | Next::Barrier(..) => Received::Nothing,
            Next::End => Received::End,
            Next::Block(block) => {
                let schema = &self.query.program.outputs[0].schema;
                let rows = batch::results(&self.query.columns, schema, block.rows());
                self.running.give_back(block);
                Received::Batch(rows?)
            }
        })
    }
}
