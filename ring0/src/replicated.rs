//! Tables on every shard, changed by swapping a pointer. Whoever changes one builds it off the
//! shards and sends one `Arc` through a control ring to each; a shard takes what came when it
//! enters the epoch that was named, so that all shards change at the same one. What was there
//! before goes back by another ring and is freed where it was made, never on a shard.
//!
//! A shard takes no lock, allocates nothing and never waits here.
//!
//! ```
//! use arrow_schema::DataType;
//! use trefoil_ring0::column::Column;
//! use trefoil_ring0::frame::Frame;
//! use trefoil_ring0::replicated::replicate;
//! use trefoil_ring0::schema::{Field, Schema};
//! use trefoil_ring0::table::replicated::{Probe, ReplicatedTable};
//!
//! let schema = Schema::new(vec![Field::new("id", DataType::Int64)]);
//! let frame = |ids: &[i64]| {
//!     let mut frame = Frame::new(&schema, ids.len());
//!     if let Column::I64(column) = &mut frame.columns[0] {
//!         ids.iter().for_each(|id| column.push(Some(*id)));
//!     }
//!     frame.commit_rows(ids.len());
//!     frame
//! };
//!
//! // Off the shards; each of two shards gets its end.
//! let (mut tables, mut shards) = replicate(&["customers"], 2);
//! let rows = ReplicatedTable::new("customers", &schema, &[0], frame(&[7, 8, 7]), 10_000_000)?;
//! tables.update_replicated_table("customers", rows, 4)?;
//!
//! // On a shard: from epoch 4 on it is there.
//! let shard = &mut shards[0];
//! shard.enter(3);
//! assert!(shard.table(0).is_none());
//! shard.enter(4);
//! let probed = frame(&[1, 7]);
//! let mut probe = Probe::new(&schema, &[0]);
//! probe.begin(&schema, &probed);
//! probe.take(&probed, 0, 2);
//! let found: Vec<_> = probe.find(shard.table(0).unwrap(), &probed, 1).collect();
//! assert_eq!(found, [0, 2]);
//! # Ok::<(), trefoil_ring0::error::Error>(())
//! ```

use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::error::{Error, Result, refuse};
use crate::limits::REPLICATED_UPDATES_MAX;
use crate::table::replicated::ReplicatedTable;

/// A table that a shard takes when it enters an epoch.
#[derive(Debug)]
struct Update {
    epoch: u64,
    table: usize,
    rows: Arc<ReplicatedTable>,
}

/// The end of whoever changes the tables.
#[derive(Debug)]
pub struct Replicator {
    names: Vec<String>,
    lanes: Vec<Lane>,
    epoch: u64,
}

/// To one shard, and back.
#[derive(Debug)]
struct Lane {
    updates: Producer<Update>,
    gone: Consumer<Arc<ReplicatedTable>>,
}

/// A shard's end.
#[derive(Debug)]
pub struct Replica {
    updates: Consumer<Update>,
    gone: Producer<Arc<ReplicatedTable>>,
    tables: Vec<Option<Arc<ReplicatedTable>>>,
    epoch: u64,
}

/// The ends for tables of these names, none of which is there yet, on so many shards.
pub fn replicate(names: &[&str], shards: usize) -> (Replicator, Vec<Replica>) {
    let (lanes, replicas) = (0..shards)
        .map(|_| {
            let (updates, updated) = RingBuffer::new(REPLICATED_UPDATES_MAX);
            // Room for all that can be under way or on the shard, so that giving back never fails.
            let (given, gone) = RingBuffer::new(REPLICATED_UPDATES_MAX + names.len());
            let replica = Replica {
                updates: updated,
                gone: given,
                tables: vec![None; names.len()],
                epoch: 0,
            };
            (Lane { updates, gone }, replica)
        })
        .unzip();
    let names = names.iter().map(ToString::to_string).collect();
    let replicator = Replicator {
        names,
        lanes,
        epoch: 0,
    };
    (replicator, replicas)
}

impl Replicator {
    /// Has every shard take these rows as the table `name` when it enters `epoch`, which no shard
    /// has entered yet and which is not before that of an earlier update.
    ///
    /// # Errors
    /// [`Error::Behind`] where a shard has not taken earlier updates: then none takes this one, and
    /// it can be sent again. [`Error::Program`] where there is no such table, or the epoch is past.
    pub fn update_replicated_table(
        &mut self,
        name: &str,
        rows: ReplicatedTable,
        epoch: u64,
    ) -> Result<()> {
        let Some(table) = self.names.iter().position(|n| n == name) else {
            return refuse(format!("no table {name} is replicated"));
        };
        if epoch < self.epoch {
            return refuse(format!("epoch {epoch} is before {}", self.epoch));
        }
        if let Some(shard) = self.lanes.iter().position(|lane| lane.updates.is_full()) {
            return Err(Error::Behind { shard });
        }
        // Behind the question, so that all that is under way has room on its way back.
        self.collect();
        self.epoch = epoch;
        let rows = Arc::new(rows);
        for lane in &mut self.lanes {
            let rows = Arc::clone(&rows);
            let update = Update { epoch, table, rows };
            let pushed = lane.updates.push(update);
            assert!(pushed.is_ok(), "a ring that only this end fills had room");
        }
        Ok(())
    }

    /// Frees what shards have given back. Gives how many tables came, each once for every shard.
    pub fn collect(&mut self) -> usize {
        let mut came = 0;
        for lane in &mut self.lanes {
            while let Ok(rows) = lane.gone.pop() {
                drop(rows);
                came += 1;
            }
        }
        came
    }
}

impl Replica {
    /// Takes what was sent for this epoch and earlier ones. Called between two epochs.
    pub fn enter(&mut self, epoch: u64) {
        assert!(epoch >= self.epoch, "epochs come one after the other");
        self.epoch = epoch;
        while self.updates.peek().is_ok_and(|u| u.epoch <= epoch) {
            let Ok(Update { table, rows, .. }) = self.updates.pop() else {
                unreachable!("only this end takes from the ring")
            };
            if let Some(before) = self.tables[table].replace(rows) {
                self.give_back(before);
            }
        }
    }

    /// A table by its position among the names; `None` before its first rows came.
    pub fn table(&self, table: usize) -> Option<&ReplicatedTable> {
        self.tables[table].as_deref()
    }

    fn give_back(&mut self, rows: Arc<ReplicatedTable>) {
        if let Err(rtrb::PushError::Full(rows)) = self.gone.push(rows) {
            // Not even the other end is left: then this is the one place to free it.
            assert!(
                self.gone.is_abandoned(),
                "the way back holds all there can be"
            );
            drop(rows);
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        while let Ok(update) = self.updates.pop() {
            self.give_back(update.rows);
        }
        for table in 0..self.tables.len() {
            if let Some(rows) = self.tables[table].take() {
                self.give_back(rows);
            }
        }
    }
}

#[cfg(test)]
mod tests;
