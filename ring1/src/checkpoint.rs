//! What is durable of a run: checkpoints in a state directory.
//!
//! At a barrier each shard gives *pieces* of its state: bytes that mean nothing here, each with
//! its [`Place`]. A [`Draft`] writes them into one part file per shard; [`Draft::commit`] adds the
//! manifest, whose rename is the commit. [`Store::newest`] gives the newest [`Checkpoint`] that is
//! sound, every checksum of it compared before the first piece is handed out.
//!
//! ```text
//! DIR/lock                     held by the one process that writes here
//! DIR/manifest-EPOCH           a checkpoint: which part files, and what the run was
//! DIR/state/EPOCH-SHARD.part   pieces of one shard
//! ```
//!
//! Invariants:
//! - a manifest under its name refers only to files that were written and fsynced before it;
//! - no file is written twice, and none again after an error: the epoch is abandoned, and a store
//!   never uses its number again;
//! - the last [`KEPT`] sound checkpoints stay; a part file goes when no manifest that stays refers
//!   to it, and manifests go before what they refer to;
//! - nothing that a checksum does not cover is believed, and files that are not ours stay.
//!
//! The bytes are drawn in `docs/format.md`. Nothing here reads a clock, and all access to files
//! goes through a [`Disk`], so that every fault can be injected.

mod coordinator;
mod disk;
mod draft;
mod error;
mod folder;
mod manifest;
mod names;
mod part;
mod print;
mod read;
mod store;
mod writer;

pub use coordinator::{Action, Coordinator, Event, Phase, Tally};
pub use disk::{Disk, Incoming, LocalDisk, Outgoing};
pub use draft::{Committed, Draft};
pub use error::StoreError;
pub use folder::Folder;
pub use manifest::{Manifest, ManifestData, PartRecord, Prepared, SinkPrint, SourcePrint};
pub use part::{PIECE_BYTES_MAX, Place};
pub use print::{FilePrint, StatementPrint, changed_statement};
pub use read::{Checkpoint, Pieces};
pub use store::{KEPT, Store};
pub use writer::{Outcome, Writer, finish_sinks};

use std::hash::Hasher;

use twox_hash::XxHash64;

/// The checksum of everything here: XXH64 with seed 0, the same on every machine and for ever.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = XxHash64::with_seed(0);
    sum.write(bytes);
    sum.finish()
}
