//! Groups that were made of rows before an exchange: how they look there, and how they are added to
//! those of the rows' owner.

use std::sync::Arc;

use super::cells::{Plan, partial_schema};
use super::{Aggregate, generic, update};
use crate::error::Result;
use crate::frame::Frame;
use crate::hash::hash_keys;
use crate::program::{AggregateSpec, Phase};
use crate::schema::Schema;
use crate::table::keys::KeyLayout;
use crate::table::{BATCH_ROWS, Slots};

/// The groups that rows of an aggregation are combined to before an exchange; `None` where there
/// are none, or it is not known how two of them become one.
pub(crate) fn before_exchange(spec: &AggregateSpec) -> Option<AggregateSpec> {
    let combines = spec.phase == Phase::Complete
        && spec.window.is_none()
        && !spec.keys.is_empty()
        && generic::calls(spec).next().is_none();
    let schema = partial_schema(&spec.input, &spec.keys, &spec.calls);
    Some(AggregateSpec {
        phase: Phase::Partial,
        output: Arc::new(schema.ok().filter(|_| combines)?),
        ..spec.clone()
    })
}

/// How such groups are read.
#[derive(Debug)]
pub(super) struct Combining {
    schema: Arc<Schema>,
    /// Where their keys are: first.
    keys: Vec<usize>,
    layout: KeyLayout,
    plan: Plan,
    hashes: Vec<u64>,
}

impl Combining {
    fn new(spec: &AggregateSpec, state_at: usize) -> Result<Self> {
        let schema = Arc::new(partial_schema(&spec.input, &spec.keys, &spec.calls)?);
        let keys: Vec<usize> = (0..spec.keys.len()).collect();
        let of_states = AggregateSpec {
            input: Arc::clone(&schema),
            keys: keys.clone(),
            phase: Phase::Final,
            ..spec.clone()
        };
        Ok(Self {
            layout: KeyLayout::new(&schema, &keys),
            plan: Plan::new(&of_states, state_at)?,
            schema,
            keys,
            hashes: Vec::new(),
        })
    }
}

impl Aggregate {
    /// Adds groups that [`before_exchange`] made of rows which did not come here.
    ///
    /// # Errors
    /// As [`Aggregate::update`].
    pub(crate) fn combine(&mut self, groups: &Frame, seed: u64) -> Result<()> {
        let mut combining = match self.combining.take() {
            Some(combining) => combining,
            None => {
                let state_at = self.shared.layout.state_at();
                let combining = Combining::new(&self.shared.spec, state_at)?;
                assert_eq!(
                    self.shared.plan.initial, combining.plan.initial,
                    "groups have the same cells on both sides of an exchange"
                );
                Box::new(combining)
            }
        };
        let added = self.add(&mut combining, groups, seed);
        self.combining = Some(combining);
        added
    }

    fn add(&mut self, how: &mut Combining, groups: &Frame, seed: u64) -> Result<()> {
        let pane = self.whole.as_mut().expect("windows are not combined");
        let (table, shared) = (&mut pane.table, &mut self.shared);
        hash_keys(groups, &how.schema, &how.keys, seed, &mut how.hashes);
        let mut slots: Slots = [std::ptr::null_mut(); BATCH_ROWS];
        for (batch, hashes) in how.hashes.chunks(BATCH_ROWS).enumerate() {
            let start = batch * BATCH_ROWS;
            shared.batch.fill(&how.layout, groups, start, hashes.len());
            let mut from = 0;
            while from < hashes.len() {
                let (layout, store) = (&shared.layout, &mut shared.store);
                let end = table.resolve(layout, store, &shared.batch, hashes, from, &mut slots)?;
                if store.is_frozen() {
                    store.keep_slots(&slots[from..end], layout.slot_words() * 8)?;
                }
                for cell in &how.plan.cells {
                    let (heap, store) = (&mut table.heap, &mut shared.store);
                    let slots = &slots[from..end];
                    update::apply(cell, Phase::Final, heap, store, groups, start + from, slots)?;
                }
                from = end;
            }
        }
        Ok(())
    }
}
