//! Groups that stand without rows: those of empty grouping sets. Rows of the aggregation before
//! pass; at the end of the input come the groups of which none did. In a changelog a group whose
//! last row went stands without rows from there on.
//!
//! Of each such group just one shard tells: the one that its rows would have come to.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt8Array, cast::AsArray, types::UInt8Type};

use crate::changelog::{
    DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, UPDATE_ROWS, given, is_update, set_last,
};
use crate::error::{Error, Result, refuse};
use crate::expr::{Expr, Scalar};
use crate::frame::Frame;
use crate::hash::{hash_keys, key_group};
use crate::kernel::Projection;
use crate::mesh::Flow;
use crate::order::{SortKey, put_key};
use crate::program::StandingSpec;
use crate::schema::Schema;
use crate::snapshot::batch;

/// What was told of a group last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// It has rows.
    Rows,
    /// It stands without.
    Empty,
}

impl Told {
    const ALL: [Self; 3] = [Self::Nothing, Self::Rows, Self::Empty];
}

/// A group that stands without rows.
#[derive(Debug)]
struct Group {
    /// What tells it apart.
    id: Vec<u8>,
    /// It is this shard's.
    here: bool,
    told: Told,
}

/// The groups that stand without rows, and what was told of them.
#[derive(Debug)]
pub(crate) struct Standing {
    groups: Vec<Group>,
    /// A row for each of them.
    rows: Frame,
    id: [SortKey; 1],
    weighted: bool,
    /// The one of the row in hand.
    key: Vec<u8>,
    /// What was told is in the snapshot that is made.
    saved: bool,
}

/// Which groups a shard has: those of key groups `first..first + count`; `is_first`: it is the one
/// that has all where nothing is hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owned {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) is_first: bool,
    pub(crate) seed: u64,
}

impl Standing {
    /// Behind an aggregation whose results have the columns `schema`.
    ///
    /// # Errors
    /// [`Error::Program`] where `spec` does not fit these.
    pub(crate) fn new(spec: &StandingSpec, schema: &Schema, owned: Owned) -> Result<Self> {
        let columns = schema.fields.len();
        let weighted = spec.rows.iter().any(|row| row.len() + 1 == columns);
        let fits = |row: &Vec<Scalar>| row.len() + usize::from(weighted) == columns;
        let known = |column: &usize| *column < columns;
        let named = spec.routed_by.iter().chain([&spec.id]);
        if !spec.rows.iter().all(fits) || !named.into_iter().all(known) {
            return refuse("groups without rows have other columns".to_owned());
        }
        let mut rows = Frame::new(schema, spec.rows.len().max(1));
        for row in &spec.rows {
            append(row, weighted, schema, &mut rows)?;
        }
        let mut hashes = Vec::new();
        hash_keys(&rows, schema, &spec.routed_by, owned.seed, &mut hashes);
        let id = [SortKey::ascending(spec.id)];
        let groups = (0..rows.rows()).map(|row| {
            let mut key = Vec::new();
            put_key(&mut key, &rows, row, &id);
            let group = || key_group(hashes[row]);
            Group {
                id: key,
                here: match spec.routed_by.is_empty() {
                    true => owned.is_first,
                    false => (owned.first..owned.first + owned.count).contains(&group()),
                },
                told: Told::Nothing,
            }
        });
        Ok(Self {
            groups: groups.collect(),
            rows,
            id,
            weighted,
            key: Vec::new(),
            saved: false,
        })
    }

    /// The group that a row is of, if it is one of these.
    fn find(&mut self, frame: &Frame, row: usize) -> Option<usize> {
        self.key.clear();
        put_key(&mut self.key, frame, row, &self.id);
        self.groups.iter().position(|g| g.id == self.key)
    }

    /// Takes rows of `frame` from `from` on as far as `out` has room. Gives the first that is left.
    pub(crate) fn take(&mut self, frame: &Frame, from: usize, out: &mut Frame) -> usize {
        match self.weighted {
            true => self.change(frame, from, out),
            false => {
                let upto = frame.rows().min(from + out.room());
                for row in from..upto {
                    if let Some(group) = self.find(frame, row) {
                        self.groups[group].told = Told::Rows;
                    }
                }
                out.append_range(frame, from..upto);
                upto
            }
        }
    }

    fn change(&mut self, frame: &Frame, from: usize, out: &mut Frame) -> usize {
        let mut row = from;
        while row < frame.rows() && out.room() >= UPDATE_ROWS.min(out.rows_max()) {
            let rows = 1 + usize::from(is_update(frame, row));
            let group = self.find(frame, row);
            let told = group.map(|group| self.groups[group].told);
            match (group, given(frame)[row]) {
                (Some(group), DELETE) => {
                    out.append_range(frame, row..row + 1);
                    out.append_range(&self.rows, group..group + 1);
                    set_last(out, &[UPDATE_BEFORE, UPDATE_AFTER]);
                    self.groups[group].told = Told::Empty;
                }
                (Some(group), INSERT) if told == Some(Told::Empty) => {
                    out.append_range(&self.rows, group..group + 1);
                    out.append_range(frame, row..row + 1);
                    set_last(out, &[UPDATE_BEFORE, UPDATE_AFTER]);
                    self.groups[group].told = Told::Rows;
                }
                (group, _) => {
                    out.append_range(frame, row..row + rows);
                    if let Some(group) = group {
                        self.groups[group].told = Told::Rows;
                    }
                }
            }
            row += rows;
        }
        row
    }

    /// What was told of all groups, as a row of state for each; `None` once it was handed on.
    pub(crate) fn save(&mut self) -> Option<RecordBatch> {
        self.saved = !self.saved;
        self.saved.then(|| {
            let told: UInt8Array = self.groups.iter().map(|g| Some(g.told as u8)).collect();
            batch(vec![Arc::new(told) as ArrayRef], self.groups.len(), &[])
        })
    }

    /// Takes up what a shard told of the groups that are this one's; of each group one did.
    ///
    /// # Errors
    /// [`Error::Restore`] where these are other groups.
    pub(crate) fn load(&mut self, rows: &RecordBatch) -> Result<()> {
        let told = rows
            .columns()
            .first()
            .and_then(|c| c.as_primitive_opt::<UInt8Type>());
        let told = told.filter(|told| told.len() == self.groups.len());
        let other = || Error::Restore("rows of state are those of other grouping sets".to_owned());
        let told = told.ok_or_else(other)?.values().iter();
        for (group, &told) in self.groups.iter_mut().zip(told) {
            match Told::ALL.get(usize::from(told)) {
                Some(Told::Nothing) => {}
                // Whoever has it next goes on from what is told here, and nobody else knows.
                Some(told) if group.here => group.told = *told,
                Some(_) => {}
                None => return Err(other()),
            }
        }
        Ok(())
    }

    /// The end of the input: groups that nothing was told of come without rows.
    pub(crate) fn end(&mut self, out: &mut Frame) -> Flow {
        for (row, group) in self.groups.iter_mut().enumerate() {
            if group.told == Told::Nothing && group.here {
                if out.is_full() {
                    return Flow::Full;
                }
                out.append_range(&self.rows, row..row + 1);
                group.told = Told::Empty;
            }
        }
        Flow::Done
    }
}

/// Appends a row of constants, which comes where rows say what they do.
fn append(row: &[Scalar], weighted: bool, schema: &Schema, rows: &mut Frame) -> Result<()> {
    let mut exprs: Vec<Expr> = row.iter().cloned().map(Expr::Literal).collect();
    if weighted {
        exprs.push(Expr::Literal(Scalar::I8(INSERT)));
    }
    let types = exprs.iter().map(|e| e.data_type(schema));
    if !types.eq(schema.types().cloned()) {
        return refuse("groups without rows have columns of other types".to_owned());
    }
    let mut one = Frame::new(schema, 1);
    one.columns.iter_mut().for_each(|c| c.push_null());
    one.commit_rows(1);
    let mut values = Projection::new(&exprs, schema)?;
    values.evaluate(&one).map_err(Error::from)?;
    values.append(&one, 0..1, rows);
    Ok(())
}

#[cfg(test)]
mod tests;
