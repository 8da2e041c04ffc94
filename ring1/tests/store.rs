//! A state directory on this machine's disk: what is written is read again, and what is not ours or was
//! never committed is told apart.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::{Path, PathBuf};

use trefoil_ring1::checkpoint::{Checkpoint, ManifestData, Place, Store, StoreError};

/// A directory that goes when its test does.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let name = format!("trefoil-store-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        _ = fs::remove_dir_all(&path);
        Self(path)
    }

    /// Names of all files below it but the lock.
    fn files(&self) -> Vec<String> {
        let mut names = Vec::new();
        for dir in ["", "state"] {
            for entry in fs::read_dir(self.0.join(dir)).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                if entry.file_type().unwrap().is_file() && name != "lock" {
                    names.push(Path::new(dir).join(name).to_str().unwrap().to_owned());
                }
            }
        }
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

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

/// Pieces of an epoch: some of shard 1 first, one empty, one larger than any buffer.
fn pieces(epoch: u64) -> Vec<(u32, Place, Vec<u8>)> {
    let large = vec![epoch as u8; 200_000];
    vec![
        (0, place(1), epoch.to_le_bytes().to_vec()),
        (0, place(2), Vec::new()),
        (1, place(1), large),
        (1, place(3), b"last".to_vec()),
    ]
}

fn commit(store: &mut Store, epoch: u64) {
    let mut draft = store.begin(epoch).unwrap();
    let pieces = pieces(epoch);
    for at in [2, 0, 3, 1] {
        let (shard, place, bytes) = &pieces[at];
        draft.append(*shard, *place, bytes).unwrap();
    }
    let committed = draft.commit(data()).unwrap();
    assert!(committed.not_removed.is_none(), "{committed:?}");
    assert_eq!((committed.epoch, committed.pieces), (epoch, 4));
}

fn all(checkpoint: &Checkpoint) -> Vec<(u32, Place, Vec<u8>)> {
    checkpoint.pieces().map(Result::unwrap).collect()
}

#[test]
fn the_newest_checkpoint_is_what_was_written() {
    let dir = Dir::new("newest");
    let mut store = Store::open(&dir.0).unwrap();
    assert!(store.newest().unwrap().is_none());
    for epoch in 1..=4 {
        assert_eq!(store.next_epoch(), epoch);
        commit(&mut store, epoch);
        let newest = store.newest().unwrap().unwrap();
        assert_eq!(newest.epoch(), epoch);
        assert_eq!(newest.manifest().data, data());
        assert_eq!(all(&newest), pieces(epoch));
    }
    let two = [3, 4].map(|epoch| format!("manifest-{epoch:020}"));
    let files = dir.files();
    assert_eq!(files[..2], two);
    assert_eq!(files.len(), 2 + 4, "{files:?}");
    drop(store);
    let store = Store::open(&dir.0).unwrap();
    assert_eq!(store.next_epoch(), 5);
    assert_eq!(all(&store.newest().unwrap().unwrap()), pieces(4));
    assert_eq!(dir.files(), files);
}

#[test]
fn what_is_not_committed_goes() {
    let dir = Dir::new("dropped");
    let mut store = Store::open(&dir.0).unwrap();
    commit(&mut store, 1);
    let files = dir.files();
    let mut draft = store.begin(7).unwrap();
    draft.append(0, place(0), b"x").unwrap();
    assert_ne!(dir.files(), files);
    let busy = store.begin(8).unwrap_err();
    assert!(matches!(busy, StoreError::InFlight { epoch: 8 }), "{busy}");
    drop(draft);
    assert_eq!(dir.files(), files);
    let used = store.begin(7).unwrap_err();
    assert!(
        matches!(used, StoreError::EpochUsed { least: 8, .. }),
        "{used}"
    );
    commit(&mut store, 8);
}

#[test]
fn a_directory_has_one_store() {
    let dir = Dir::new("lock");
    let mut store = Store::open(&dir.0).unwrap();
    let refused = Store::open(&dir.0).unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    let draft = store.begin(1).unwrap();
    drop(store);
    let refused = Store::open(&dir.0).unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    drop(draft);
    Store::open(&dir.0).unwrap();
}
