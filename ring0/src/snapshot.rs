//! Snapshots: what a shard says of its state at a barrier, piece by piece, while what is behind the
//! barrier waits; and what shards begin with that go on behind one.
//!
//! A barrier is asked for by the host, cut by each source between two chunks of what it reads (the
//! same ones on all shards), and goes through the mesh as other marks do. An operator that a
//! barrier reaches hands its state on before it lets the barrier pass, in bounded slices. A piece
//! says what it is of by the numbers of the program as it was made, whatever stages were joined on
//! one shard, so that any number of shards can go on from it: rows of state go to who owns their
//! keys then.

mod batch;
mod restore;
mod supported;

use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

pub(crate) use self::batch::{
    arrays_of, batch, columns_of, counted_rows, decode, encode, frame_of, owned_rows, rows_of,
};
pub(crate) use self::restore::{LivePosition, ProducerPosition, SourcePosition, Split};
pub use self::restore::{Restore, Taken};
pub(crate) use self::supported::Remade;
pub use self::supported::{is_read_again, refusal, unrepeatable};

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::hash::{hash_keys, key_group};
use crate::schema::Schema;
use crate::wake::Bell;

/// Pieces of a shard that the host has not taken.
const PIECES_MAX: usize = 32;
/// Rows of state that are handed on in one slice.
pub(crate) const SLICE_ROWS: usize = 1024;
/// The same of state that goes on changing meanwhile, and so is in no hurry.
pub(crate) const FROZEN_ROWS: usize = 512;

/// What is said where an operator without state is to take some up.
pub(crate) const NO_STATE: &str = "there is state of an operator that has none";

/// What a piece is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Where a source of the program goes on.
    Source(u32),
    /// What the receivers of an exchange know of the splits whose chunks they take in order.
    Exchange(u32),
    /// A stage of the program that the barrier passed.
    Stage(u32),
    /// Rows of state of an operator: the stage, and its number in it.
    Operator(u32, u32),
}

/// A part of a shard's snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is of.
    pub place: Place,
    /// What there is to say: JSON of positions, an Arrow IPC stream of rows of state.
    pub bytes: Vec<u8>,
}

/// Which groups a shard owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owned {
    /// All there are.
    All,
    /// None.
    None,
    /// Those whose rows are routed to it.
    Routed {
        /// Columns of the key by whose hash they are.
        by: Vec<usize>,
        /// The first of its key groups.
        first: u32,
        /// How many these are.
        groups: u32,
    },
}

impl Owned {
    /// Which rows are taken up of those that were another's, or its own before; `owned`: those that
    /// it owns, where their values say it.
    ///
    /// # Errors
    /// [`Error::Restore`] where nothing says it.
    pub(crate) fn of_state(owned: Option<&Self>, same_shard: Option<bool>) -> Result<&Self> {
        match (owned, same_shard) {
            (Some(owned), _) => Ok(owned),
            (None, Some(true)) => Ok(&Self::All),
            (None, Some(false)) => Ok(&Self::None),
            (None, None) => {
                let message = "groups that stay where their rows were read go on with as many \
                               shards as before only";
                Err(Error::Restore(message.to_owned()))
            }
        }
    }

    /// The rows of `keys`, of this schema, that are of its groups.
    pub(crate) fn rows(&self, keys: &Frame, schema: &Schema, seed: u64) -> Vec<usize> {
        let all = 0..keys.rows();
        match self {
            Self::All => all.collect(),
            Self::None => Vec::new(),
            Self::Routed { by, first, groups } => {
                let mut hashes = Vec::new();
                hash_keys(keys, schema, by, seed, &mut hashes);
                let mine = *first..first + groups;
                all.filter(|&row| mine.contains(&key_group(hashes[row])))
                    .collect()
            }
        }
    }
}

#[cfg(test)]
impl Owned {
    /// The groups of a shard of so many, by the hash of all columns of keys.
    pub(crate) fn of_shard(shard: usize, shards: usize, keys: usize) -> Self {
        let first = |shard: usize| (shard * crate::limits::KEY_GROUPS).div_ceil(shards) as u32;
        Self::Routed {
            by: (0..keys).collect(),
            first: first(shard),
            groups: first(shard + 1) - first(shard),
        }
    }
}

/// What a shard tells the host of a snapshot.
#[derive(Debug)]
pub enum Told {
    /// A piece.
    Piece(Piece),
    /// A barrier has passed all that runs on the shard.
    Done {
        /// Its epoch.
        epoch: u64,
        /// The last pieces.
        pieces: Vec<Piece>,
        /// The longest time that something waited at the barrier until all of its inputs had it.
        aligned_ns: u64,
    },
}

/// Where a shard's pieces go.
#[derive(Debug)]
pub(crate) struct Recorder {
    to: Producer<Told>,
    host: Arc<Bell>,
    /// The barrier that the host asked for, until it has passed all that runs here.
    pub(crate) barrier: Option<u64>,
}

/// What a barrier is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// It parts the results, wherever it lies.
    Results,
    /// What is before it is told to the host.
    State,
    /// It parts the results, behind all that appenders had pushed when it was asked for.
    Pushed,
}

/// The number of a barrier in marks: four times its epoch, and what it is for. A mark says all of
/// it, as it may come to a shard before the shard was asked.
pub(crate) fn barrier_of(epoch: u64, parts: Parts) -> u64 {
    epoch * 4 + parts as u64
}

/// The epoch of a barrier.
pub(crate) fn epoch_of(barrier: u64) -> u64 {
    barrier / 4
}

/// Whether what is before a barrier is told to the host.
pub(crate) fn is_kept(barrier: u64) -> bool {
    barrier % 4 == Parts::State as u64
}

/// Whether a barrier lies behind all that appenders had pushed.
pub(crate) fn is_behind_pushed(barrier: u64) -> bool {
    barrier % 4 == Parts::Pushed as u64
}

impl Recorder {
    /// A recorder, and the host's end of it.
    pub(crate) fn new(host: &Arc<Bell>) -> (Self, Consumer<Told>) {
        let (to, from) = RingBuffer::new(PIECES_MAX);
        let recorder = Self {
            to,
            host: Arc::clone(host),
            barrier: None,
        };
        (recorder, from)
    }

    /// Whether it takes something now.
    pub(crate) fn has_room(&self) -> bool {
        !self.to.is_full()
    }

    /// Whether something of a barrier is still to be told and cannot be now: a shard does not end
    /// before.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.barrier.is_some_and(is_kept) && !self.has_room()
    }

    /// Takes something; there is room.
    pub(crate) fn tell(&mut self, told: Told) {
        let sent = self.to.push(told);
        assert!(sent.is_ok(), "asked before whether there is room");
        self.host.ring_always();
    }

    /// Takes a piece; there is room.
    pub(crate) fn record(&mut self, place: Place, bytes: Vec<u8>) {
        self.tell(Told::Piece(Piece { place, bytes }));
    }
}
