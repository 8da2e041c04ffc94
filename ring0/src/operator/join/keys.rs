//! The keys of one side of a join, as frames come: hashed, and in the one form in which they are
//! compared.

use std::sync::Arc;

use crate::frame::Frame;
use crate::hash::hash_keys;
use crate::program::{JoinSpec, Side};
use crate::schema::Schema;
use crate::table::keys::{KeyBatch, KeyLayout};

/// The keys of one side, as they are read.
#[derive(Debug)]
pub(super) struct SideKeys {
    pub(super) schema: Arc<Schema>,
    pub(super) columns: Vec<usize>,
    pub(super) layout: KeyLayout,
    pub(super) batch: KeyBatch,
    pub(super) hashes: Vec<u64>,
}

impl SideKeys {
    pub(super) fn of(spec: &JoinSpec, side: Side) -> Self {
        let schema = &spec.inputs[side.port()];
        let columns = spec.keys[side.port()].clone();
        Self {
            layout: KeyLayout::new(schema, &columns),
            schema: Arc::clone(schema),
            columns,
            batch: KeyBatch::default(),
            hashes: Vec::new(),
        }
    }

    pub(super) fn hash(&mut self, frame: &Frame, seed: u64) {
        hash_keys(frame, &self.schema, &self.columns, seed, &mut self.hashes);
    }

    /// Whether none of a row's keys is NULL.
    pub(super) fn known(&self, frame: &Frame, row: usize) -> bool {
        self.columns.iter().all(|&k| frame.columns[k].is_valid(row))
    }

    /// Has the keys of these rows of a frame in the batch.
    pub(super) fn fill(&mut self, frame: &Frame, start: usize, count: usize) {
        self.batch.fill(&self.layout, frame, start, count);
    }
}
