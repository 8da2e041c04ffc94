//! Checkpoints in a state directory: what is written is read again, and no fault of a disk gives a
//! wrong or a partial one.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod coordinator;
mod damage;
mod faults;
mod local;
mod memory;
mod prints;
mod versions;

use trefoil_ring1::checkpoint::{Checkpoint, Committed, ManifestData, Place, Store, StoreError};

/// What a run says of itself.
fn data() -> ManifestData {
    ManifestData {
        created_ns: 1_700_000_000_000_000_000,
        shards: 2,
        seed: u64::MAX,
        chunk_bytes: 1 << 20,
        step: 0,
        fingerprint: Vec::new(),
        sources: Vec::new(),
        sinks: Vec::new(),
        counters: serde_json::Value::Null,
    }
}

fn place(number: u32) -> Place {
    Place {
        kind: 1,
        number,
        level: 0,
    }
}

/// A piece with its shard.
type Piece = (u32, Place, Vec<u8>);

/// Pieces of an epoch, by shards; one is empty.
fn pieces(epoch: u64) -> Vec<Piece> {
    vec![
        (0, place(1), epoch.to_le_bytes().to_vec()),
        (0, place(2), Vec::new()),
        (1, place(1), b"of shard 1".to_vec()),
        (1, place(3), vec![7; usize::try_from(epoch).unwrap()]),
    ]
}

/// Writes the pieces of an epoch, not in the order of shards.
fn write(store: &mut Store, epoch: u64, pieces: &[Piece]) -> Result<Committed, StoreError> {
    let mut draft = store.begin(epoch)?;
    let (first, last) = pieces.split_at(pieces.len() / 2);
    for (shard, place, bytes) in last.iter().chain(first) {
        draft.append(*shard, *place, bytes)?;
    }
    draft.commit(data())
}

fn all(checkpoint: &Checkpoint) -> Vec<Piece> {
    checkpoint.pieces().map(Result::unwrap).collect()
}
