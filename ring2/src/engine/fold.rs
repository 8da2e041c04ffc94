//! The rows of a view that stand: its changelog, applied, by the shard that gave it. Rows are told
//! apart by the view's keys, or wholly where it has none; each has a weight, as a deletion may come
//! before what it deletes.
//!
//! They are in blocks of columns, which are shared with who reads; a map leads from a key to the
//! places of its rows.

mod block;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ahash::RandomState;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, Rows as Keys, SortField};

pub(super) use self::block::Rest;
use self::block::{BLOCK_ROWS, Block, Incoming, Places};
pub(super) use self::snapshot::Snapshot;

/// What a row does, as the first column says.
const INSERT: &str = "+I";
const UPDATE_BEFORE: &str = "-U";
const UPDATE_AFTER: &str = "+U";

type Result<T> = std::result::Result<T, ArrowError>;

/// How rows are kept, and which of their columns are keys.
#[derive(Debug)]
pub(super) struct Layout {
    /// Without what a row does.
    schema: SchemaRef,
    keys: Vec<usize>,
    places: Places,
    of_keys: RowConverter,
    /// Whether the first column of a batch says what a row does.
    changes: bool,
}

/// A batch, ready to be applied.
#[derive(Debug)]
pub(super) struct Changes {
    ops: Option<StringArray>,
    columns: Vec<ArrayRef>,
    rows: Incoming,
    keys: Keys,
}

/// The rows that stand.
#[derive(Debug)]
pub(super) struct Fold {
    layout: Arc<Layout>,
    shards: Vec<Rows>,
    homes: Homes,
}

/// Where rows of a shard are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Homes {
    /// Apart from those of others.
    Own,
    /// All in one place: some stood before, and another shard may take them away than gave them.
    One,
}

impl Homes {
    fn of(self, shard: usize) -> usize {
        match self {
            Self::Own => shard,
            Self::One => 0,
        }
    }
}

/// The places of the rows of a key: of one, but for who waits for a deletion, or has no key.
#[derive(Debug)]
enum At {
    One(usize),
    More(Vec<usize>),
}

impl At {
    fn places(&self) -> &[usize] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::More(places) => places,
        }
    }

    fn push(&mut self, place: usize) {
        match self {
            Self::One(first) => *self = Self::More(vec![*first, place]),
            Self::More(places) => places.push(place),
        }
    }

    /// Whether none is left.
    fn remove(&mut self, place: usize) -> bool {
        match self {
            Self::One(_) => true,
            Self::More(places) => {
                places.retain(|p| *p != place);
                if let [last] = places[..] {
                    *self = Self::One(last);
                }
                false
            }
        }
    }
}

/// The rows of a shard.
#[derive(Debug, Default)]
struct Rows {
    /// The places of rows, by their keys.
    standing: HashMap<Box<[u8]>, At, RandomState>,
    /// Bytes of memory of the keys.
    key_bytes: usize,
    blocks: Vec<Block>,
    /// Places where no row is.
    free: Vec<usize>,
    /// What the last batch ended with, where that is to be replaced by the row behind it: it stands
    /// until then, so that no read finds neither.
    leaving: Option<Vec<ArrayRef>>,
}

fn converter(schema: &SchemaRef, columns: impl Iterator<Item = usize>) -> Result<RowConverter> {
    let field = |column| SortField::new(schema.field(column).data_type().clone());
    RowConverter::new(columns.map(field).collect())
}

impl Layout {
    /// The columns of the rows.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns by which rows are told apart.
    pub(super) fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// What is to be read for these columns.
    pub(super) fn rest(&self, columns: impl Iterator<Item = usize>) -> Rest {
        self.places.rest(columns)
    }

    /// The keys of rows, as bytes.
    fn keys_of(&self, columns: &[ArrayRef]) -> Result<Keys> {
        let keys = self.keys.iter().map(|k| Arc::clone(&columns[*k]));
        let keys: Vec<ArrayRef> = keys.collect();
        self.of_keys.convert_columns(&keys)
    }

    /// What can be done with a batch before the rows that stand are anybody's.
    pub(super) fn changes(&self, batch: &RecordBatch) -> Result<Changes> {
        let (ops, columns) = match self.changes {
            true => (
                Some(batch.column(0).as_string().clone()),
                &batch.columns()[1..],
            ),
            false => (None, batch.columns()),
        };
        Ok(Changes {
            ops,
            columns: columns.to_vec(),
            rows: self.places.incoming(columns)?,
            keys: self.keys_of(columns)?,
        })
    }
}

impl Fold {
    /// For batches of `schema`, from so many shards; `keys` are among its columns, without what a
    /// row does.
    pub(super) fn new(
        schema: SchemaRef,
        changes: bool,
        keys: Vec<usize>,
        shards: usize,
    ) -> Result<Self> {
        let keys: Vec<usize> = match keys.is_empty() {
            true => (0..schema.fields().len()).collect(),
            false => keys,
        };
        Ok(Self {
            layout: Arc::new(Layout {
                places: Places::new(&schema)?,
                of_keys: converter(&schema, keys.iter().copied())?,
                schema,
                keys,
                changes,
            }),
            shards: (0..shards).map(|_| Rows::default()).collect(),
            homes: Homes::Own,
        })
    }

    /// Before any row is there.
    pub(super) fn with_homes(self, homes: Homes) -> Self {
        Self { homes, ..self }
    }

    /// Rows of a shard that stood before: each with how often, which is the last column.
    pub(super) fn go_on(&mut self, shard: usize, rows: &RecordBatch) -> Result<()> {
        let Some((weights, columns)) = rows.columns().split_last() else {
            return Err(ArrowError::SchemaError("rows have no weights".to_owned()));
        };
        let types = columns.iter().map(|column| column.data_type());
        let fields = self.layout.schema.fields().iter();
        let Some(weights) = weights.as_primitive_opt::<Int64Type>() else {
            return Err(ArrowError::SchemaError("rows have no weights".to_owned()));
        };
        if !types.eq(fields.map(|field| field.data_type())) {
            let message = "rows of the view have other columns".to_owned();
            return Err(ArrowError::SchemaError(message));
        }
        let layout = &self.layout;
        let (rows, keys) = (layout.places.incoming(columns)?, layout.keys_of(columns)?);
        let into = &mut self.shards[self.homes.of(shard)];
        for (number, weight) in weights.values().iter().enumerate() {
            let key = keys.row(number);
            into.add(layout, key.as_ref(), (&rows, number), *weight);
        }
        Ok(())
    }

    pub(super) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Applies a batch of a shard.
    pub(super) fn apply(&mut self, shard: usize, changes: &Changes) -> Result<()> {
        let Changes { rows, keys, .. } = changes;
        self.leave(shard)?;
        let layout = Arc::clone(&self.layout);
        let home = self.homes.of(shard);
        let op = |row| changes.ops.as_ref().map_or(INSERT, |ops| ops.value(row));
        let count = keys.num_rows();
        let mut row = 0;
        while row < count {
            let key = keys.row(row);
            if op(row) == UPDATE_BEFORE {
                if row + 1 == count {
                    let columns = changes.columns.iter();
                    let leaving = columns.map(|column| column.slice(row, 1));
                    self.shards[shard].leaving = Some(leaving.collect());
                    break;
                }
                let is_pair = op(row + 1) == UPDATE_AFTER && keys.row(row + 1) == key;
                if is_pair && self.shards[home].replace(key.as_ref(), rows, row) {
                    row += 2;
                    continue;
                }
            }
            let weight = if op(row).starts_with('-') { -1 } else { 1 };
            self.shards[home].add(&layout, key.as_ref(), (rows, row), weight);
            row += 1;
        }
        Ok(())
    }

    /// Takes the row of a shard away that waits for the one behind it.
    fn leave(&mut self, shard: usize) -> Result<()> {
        let Some(columns) = self.shards[shard].leaving.take() else {
            return Ok(());
        };
        let layout = &self.layout;
        let (rows, keys) = (layout.places.incoming(&columns)?, layout.keys_of(&columns)?);
        let home = &mut self.shards[self.homes.of(shard)];
        home.add(layout, keys.row(0).as_ref(), (&rows, 0), -1);
        Ok(())
    }

    /// Nothing comes any more.
    pub(super) fn end(&mut self) -> Result<()> {
        (0..self.shards.len()).try_for_each(|shard| self.leave(shard))
    }

    /// How many rows it keeps, and how many bytes of memory they take: all blocks are looked at.
    pub(super) fn size(&self) -> (usize, usize) {
        let count = self.shards.iter().map(Rows::count).sum();
        (count, self.shards.iter().map(Rows::heap_bytes).sum())
    }

    /// Forgets all rows: nobody reads them any more.
    pub(super) fn forget(&mut self) {
        self.shards.fill_with(Rows::default);
    }

    /// All rows that stand.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let shards = self.shards.iter_mut();
        let shared = |rows: &mut Rows| rows.blocks.iter_mut().map(Block::share).collect();
        Snapshot {
            layout: Arc::clone(&self.layout),
            shards: shards.map(shared).collect(),
        }
    }

    /// The rows that stand until the ones come that replace them.
    pub(super) fn leaving(&self) -> Result<Snapshot> {
        let places = &self.layout.places;
        let leaving = |rows: &Rows| {
            let mut blocks = Vec::new();
            if let Some(columns) = &rows.leaving {
                let rows = places.incoming(columns)?;
                put(places, &mut blocks, |block, row| {
                    block.write(row, &rows, 0);
                    block.set_weight(row, 1);
                });
            }
            Ok(blocks)
        };
        Ok(Snapshot {
            layout: Arc::clone(&self.layout),
            shards: self.shards.iter().map(leaving).collect::<Result<_>>()?,
        })
    }

    /// The rows with one of these keys, of each of which there is an array.
    pub(super) fn probe(&self, keys: &[ArrayRef]) -> Result<Snapshot> {
        let keys = self.layout.of_keys.convert_columns(keys)?;
        let keys: HashSet<&[u8]> = keys.iter().map(|key| key.data()).collect();
        let places = &self.layout.places;
        let found = |rows: &Rows| {
            let mut blocks = Vec::new();
            let found = keys.iter().filter_map(|key| rows.standing.get(*key));
            for place in found.flat_map(At::places) {
                let from = &rows.blocks[place / BLOCK_ROWS];
                put(places, &mut blocks, |block, row| {
                    block.copy(row, from, place % BLOCK_ROWS);
                });
            }
            blocks
        };
        Ok(Snapshot {
            layout: Arc::clone(&self.layout),
            shards: self.shards.iter().map(found).collect(),
        })
    }
}

/// A row more in blocks. Gives its place.
fn put(places: &Places, blocks: &mut Vec<Block>, write: impl FnOnce(&mut Block, usize)) -> usize {
    if blocks.last().is_none_or(|block| block.len() == BLOCK_ROWS) {
        blocks.push(Block::new(places));
    }
    let number = blocks.len() - 1;
    let block = &mut blocks[number];
    let row = block.grow();
    write(block, row);
    number * BLOCK_ROWS + row
}

/// What an allocation of so many bytes takes.
fn allocated(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

impl Rows {
    /// Rows that differ from each other.
    fn count(&self) -> usize {
        self.blocks.iter().map(Block::len).sum::<usize>() - self.free.len()
    }

    /// Bytes of memory.
    fn heap_bytes(&self) -> usize {
        // A byte beside each place, of which an eighth stays empty.
        let place = size_of::<(Box<[u8]>, At)>() + 1;
        let places = self.standing.capacity() * 8 / 7 * place;
        let blocks = self.blocks.iter().map(Block::heap_bytes);
        let free = self.free.capacity() * size_of::<usize>();
        blocks.sum::<usize>() + places + free + self.key_bytes
    }

    /// Adds to a row's weight.
    fn add(
        &mut self,
        layout: &Layout,
        key: &[u8],
        (from, number): (&Incoming, usize),
        weight: i64,
    ) {
        let blocks = &self.blocks;
        let is_it =
            |place: &&usize| blocks[**place / BLOCK_ROWS].is_it(**place % BLOCK_ROWS, from, number);
        let at = self.standing.get_mut(key);
        let same = at
            .as_ref()
            .and_then(|at| at.places().iter().find(is_it).copied());
        let Some(place) = same else {
            if weight == 0 {
                return;
            }
            let write = |block: &mut Block, row: usize| {
                block.write(row, from, number);
                block.set_weight(row, weight);
            };
            let place = match self.free.pop() {
                Some(place) => {
                    write(&mut self.blocks[place / BLOCK_ROWS], place % BLOCK_ROWS);
                    place
                }
                None => put(&layout.places, &mut self.blocks, write),
            };
            match at {
                Some(at) => at.push(place),
                None => {
                    self.key_bytes += allocated(key.len());
                    _ = self.standing.insert(key.into(), At::One(place));
                }
            }
            return;
        };
        let (block, row) = (&mut self.blocks[place / BLOCK_ROWS], place % BLOCK_ROWS);
        let weight = block.weight(row) + weight;
        block.set_weight(row, weight);
        if weight != 0 {
            return;
        }
        self.free.push(place);
        if at.is_some_and(|at| at.remove(place)) {
            self.standing.remove(key);
            self.key_bytes -= allocated(key.len());
        }
        if self.standing.is_empty() {
            // Nothing is left to be looked over.
            (self.blocks, self.free) = (Vec::new(), Vec::new());
        }
    }

    /// Has the row of a key be the one behind it of those that come in; whether it was there once,
    /// and alone.
    fn replace(&mut self, key: &[u8], from: &Incoming, number: usize) -> bool {
        let Some(At::One(place)) = self.standing.get(key) else {
            return false;
        };
        let (block, row) = (&mut self.blocks[place / BLOCK_ROWS], place % BLOCK_ROWS);
        let is_it = block.weight(row) == 1 && block.is_it(row, from, number);
        if is_it {
            block.write(row, from, number + 1);
        }
        is_it
    }
}
