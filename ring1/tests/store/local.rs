//! A state directory on this machine's disk: what is written is read again, and what is not ours or
//! was never committed is told apart.

use std::fs;
use std::path::{Path, PathBuf};

use trefoil_ring1::checkpoint::{PIECE_BYTES_MAX, Store, StoreError};

use crate::{all, data, pieces, place, write};

/// A directory that goes when its test does.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("trefoil-store-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Names of all files below it but the lock.
    pub(crate) fn files(&self) -> Vec<String> {
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

fn commit(store: &mut Store, epoch: u64) {
    let committed = write(store, epoch, &pieces(epoch)).unwrap();
    assert!(committed.not_removed.is_none(), "{committed:?}");
    assert_eq!((committed.epoch, committed.pieces), (epoch, 4));
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

#[test]
fn leftovers_go_and_what_is_not_ours_stays() {
    let dir = Dir::new("leftovers");
    let mut store = Store::open(&dir.0).unwrap();
    commit(&mut store, 1);
    drop(store);
    let ours = dir.files();
    let leftovers = [
        ".manifest-00000000000000000002",
        "state/00000000000000000001-0000000007.part",
        "state/00000000000000000005-0000000000.part",
    ];
    let others = [
        "manifest-1",
        "manifest-00000000000000000009.bak",
        "notes.txt",
        ".hidden",
        "state/a.part",
        "state/00000000000000000005-0000000000.part~",
    ];
    for name in leftovers.iter().chain(&others) {
        fs::write(dir.0.join(name), "not sound").unwrap();
    }
    // A directory is no file of ours, whatever its name.
    let folder = dir.0.join("manifest-00000000000000000009");
    fs::create_dir(&folder).unwrap();
    let mut store = Store::open(&dir.0).unwrap();
    let mut want: Vec<String> = others.iter().map(|name| (*name).to_owned()).collect();
    want.extend(ours);
    want.sort();
    assert_eq!(dir.files(), want);
    assert_eq!(store.next_epoch(), 6);
    assert_eq!(store.newest().unwrap().unwrap().epoch(), 1);
    for epoch in 6..9 {
        commit(&mut store, epoch);
    }
    assert!(folder.is_dir());
    for name in others {
        assert_eq!(fs::read(dir.0.join(name)).unwrap(), b"not sound");
    }
}

#[test]
fn parts_stay_while_a_manifest_that_cannot_be_read_may_refer_to_them() {
    let dir = Dir::new("unreadable");
    let mut store = Store::open(&dir.0).unwrap();
    commit(&mut store, 1);
    commit(&mut store, 2);
    drop(store);
    let newest = dir.0.join("manifest-00000000000000000002");
    fs::write(&newest, "torn").unwrap();
    let files = dir.files();
    let mut store = Store::open(&dir.0).unwrap();
    assert_eq!(dir.files(), files);
    let found = store.newest().unwrap().unwrap();
    assert_eq!((found.epoch(), all(&found)), (1, pieces(1)));
    assert_eq!(found.passed_over().len(), 1);
    // The one to fall back to stays until there are two sound ones that are newer.
    commit(&mut store, 3);
    assert_eq!(dir.files().len(), files.len() + 3);
    assert_eq!(store.folder().checkpoint(1).unwrap().epoch(), 1);
    commit(&mut store, 4);
    assert_eq!(store.folder().epochs().unwrap(), [4, 3]);
    assert_eq!(dir.files().len(), 2 + 4);
}

#[test]
fn a_directory_that_cannot_be_written_is_told() {
    let dir = Dir::new("unwritable");
    let mut store = Store::open(&dir.0).unwrap();
    commit(&mut store, 1);
    let state = dir.0.join("state");
    // Not by its mode, which does not bind everybody: a file is in its place.
    let away = dir.0.join("away");
    fs::rename(&state, &away).unwrap();
    fs::write(&state, "").unwrap();
    let failed = write(&mut store, 2, &pieces(2)).unwrap_err();
    let text = failed.to_string();
    assert!(
        text.starts_with("cannot create ") && text.contains("/state/"),
        "{text}"
    );
    fs::remove_file(&state).unwrap();
    fs::rename(&away, &state).unwrap();
    commit(&mut store, 3);
    assert_eq!(all(&store.newest().unwrap().unwrap()), pieces(3));
    let below = dir.0.join("lock").join("state");
    let refused = Store::open(&below).unwrap_err().to_string();
    assert!(
        refused.starts_with("cannot make the directory "),
        "{refused}"
    );
}

#[test]
fn pieces_of_any_size_are_read_again_up_to_a_limit() {
    let dir = Dir::new("sizes");
    let mut store = Store::open(&dir.0).unwrap();
    let sizes = [0, 1, 65_503, 65_504, 65_505, 65_536, 65_537, 1_000_000];
    let wanted: Vec<_> = sizes
        .iter()
        .map(|size| (3, place(0), vec![1; *size]))
        .collect();
    let mut draft = store.begin(1).unwrap();
    for (shard, place, bytes) in &wanted {
        draft.append(*shard, *place, bytes).unwrap();
    }
    draft.commit(data()).unwrap();
    assert_eq!(all(&store.newest().unwrap().unwrap()), wanted);
    let mut draft = store.begin(2).unwrap();
    let large = vec![0; PIECE_BYTES_MAX + 1];
    let refused = draft.append(0, place(0), &large).unwrap_err();
    assert!(
        matches!(refused, StoreError::PieceTooLarge { .. }),
        "{refused}"
    );
    let refused = draft.commit(data()).unwrap_err();
    assert!(
        matches!(refused, StoreError::Abandoned { epoch: 2 }),
        "{refused}"
    );
}

#[test]
fn an_epoch_without_pieces_is_a_checkpoint() {
    let dir = Dir::new("empty");
    let mut store = Store::open(&dir.0).unwrap();
    let draft = store.begin(1).unwrap();
    let committed = draft.commit(data()).unwrap();
    assert_eq!((committed.bytes, committed.pieces), (0, 0));
    assert_eq!(all(&store.newest().unwrap().unwrap()), []);
}
