//! Every operation on files fails in turn, or the machine stops there: what is found behind is the
//! checkpoint before or the new one, whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trefoil_ring1::checkpoint::{Committed, KEPT, Store, StoreError};

use crate::memory::{Fault, MemoryDisk, Survives};
use crate::{all, pieces, write};

const DIR: &str = "/state";

fn open(disk: &MemoryDisk) -> Result<Store, StoreError> {
    Store::open_on(Arc::new(disk.clone()), Path::new(DIR))
}

/// Epochs 1 to 4, whatever becomes of them: which were committed, and how the others failed.
fn run(disk: &MemoryDisk) -> (Option<Store>, Vec<Result<Committed, StoreError>>) {
    let Ok(mut store) = open(disk) else {
        return (None, Vec::new());
    };
    let epochs = 1..=4;
    let results = epochs.map(|epoch| write(&mut store, epoch, &pieces(epoch)));
    let results = results.collect();
    (Some(store), results)
}

/// How many operations an undisturbed run has.
fn operations() -> usize {
    let disk = MemoryDisk::default();
    let (_, results) = run(&disk);
    assert!(results.iter().all(Result::is_ok));
    disk.operations()
}

fn survivals() -> impl Iterator<Item = Survives> {
    let seeds = (1..=16).map(|seed| Survives::Some(seed << 32 | 0x9e37_79b9));
    [Survives::All, Survives::Nothing].into_iter().chain(seeds)
}

/// Epochs that were committed.
fn committed(results: &[Result<Committed, StoreError>]) -> Vec<u64> {
    let committed = results.iter().filter_map(|result| result.as_ref().ok());
    committed.map(|committed| committed.epoch).collect()
}

/// Epochs that failed.
fn failed(results: &[Result<Committed, StoreError>]) -> Vec<u64> {
    let epochs = (1..).zip(results).filter(|(_, result)| result.is_err());
    epochs.map(|(epoch, _)| epoch).collect()
}

/// Names of files that a store with these epochs has.
fn files_of(epochs: &[u64]) -> BTreeSet<PathBuf> {
    let names = epochs.iter().flat_map(|epoch| {
        let parts = (0..2).map(move |shard| format!("state/{epoch:020}-{shard:010}.part"));
        parts.chain([format!("manifest-{epoch:020}")])
    });
    names.map(|name| Path::new(DIR).join(name)).collect()
}

fn files(disk: &MemoryDisk) -> BTreeSet<PathBuf> {
    disk.files().into_keys().collect()
}

/// Opens what a crash left, and compares it. Of epochs in `doubtful` the newest may be there, all
/// of it.
fn check_after_crash(disk: &MemoryDisk, committed: &[u64], doubtful: &[u64], what: &str) {
    let mut store = open(disk).unwrap();
    let newest = store.newest().unwrap();
    let epoch = newest.as_ref().map(|checkpoint| checkpoint.epoch());
    let last = committed.last().copied();
    let is_newer = epoch > last && doubtful.iter().any(|doubtful| epoch == Some(*doubtful));
    assert!(epoch == last || is_newer, "{what}: found {epoch:?}");
    if let Some(newest) = &newest {
        assert!(newest.passed_over().is_empty(), "{what}: {newest:?}");
        assert_eq!(all(newest), pieces(newest.epoch()), "{what}");
    }
    // So is the one to fall back to.
    for &epoch in committed.iter().rev().take(KEPT) {
        let checkpoint = store.folder().checkpoint(epoch).unwrap();
        assert_eq!(all(&checkpoint), pieces(epoch), "{what}");
    }
    let next = store.next_epoch();
    assert!(Some(next) > epoch, "{what}");
    write(&mut store, next, &pieces(next)).unwrap();
    assert_eq!(store.newest().unwrap().unwrap().epoch(), next, "{what}");
}

/// Nothing but whole checkpoints is there, once a store was opened.
fn check_all_whole(disk: &MemoryDisk, what: &str) {
    let store = open(disk).unwrap();
    let epochs = store.folder().epochs().unwrap();
    assert_eq!(files(disk), files_of(&epochs), "{what}");
    for epoch in epochs {
        let checkpoint = store.folder().checkpoint(epoch);
        assert!(checkpoint.is_ok(), "{what}: {checkpoint:?}");
    }
}

#[test]
fn a_crash_at_any_operation_leaves_the_checkpoint_before_or_the_new_one() {
    let mut found = BTreeSet::new();
    for at in 0..=operations() {
        let disk = MemoryDisk::default();
        disk.set(Some(Fault::Crash(at)));
        let (_, results) = run(&disk);
        let committed = committed(&results);
        // The first one that failed is the one the machine stopped in.
        let in_flight: Vec<u64> = failed(&results).into_iter().take(1).collect();
        for survives in survivals() {
            let what = format!("crash at {at}, {survives:?}");
            let after = disk.after_crash(survives);
            found.insert((committed.len(), after.files().len()));
            check_all_whole(&after, &what);
            check_after_crash(&after, &committed, &in_flight, &what);
        }
    }
    // There were crashes between all commits, and with different things left.
    assert!(found.len() > 10, "{found:?}");
}

#[test]
fn an_error_at_any_operation_costs_one_epoch_and_the_next_is_good() {
    let (mut failed, mut doubts, mut not_removed) = (0, 0, 0);
    for at in 0..operations() {
        let results = check_errors(at, 1);
        let errors: Vec<&StoreError> = results.iter().filter_map(|r| r.as_ref().err()).collect();
        assert!(errors.len() <= 1, "error at {at}: {errors:?}");
        failed += errors.len();
        let is_doubt = |error: &&&StoreError| matches!(error, StoreError::InDoubt { .. });
        doubts += errors.iter().filter(is_doubt).count();
        let done = results.iter().flatten();
        not_removed += done.filter(|done| done.not_removed.is_some()).count();
    }
    // Each of these was seen.
    let seen = (failed, doubts, not_removed);
    assert!(failed > 20 && doubts > 4 && not_removed > 4, "{seen:?}");
}

#[test]
fn what_errors_in_a_row_leave_behind_goes_with_the_next_commits() {
    for at in 0..operations() {
        for count in [2, 3, 5, 9, 30] {
            check_errors(at, count);
        }
    }
}

/// So many operations fail from this one on; what became of the epochs.
fn check_errors(at: usize, count: usize) -> Vec<Result<Committed, StoreError>> {
    let disk = MemoryDisk::default();
    disk.set(Some(Fault::Errors(at, count)));
    let (store, results) = run(&disk);
    let Some(mut store) = store else {
        disk.set(None);
        open(&disk).unwrap();
        return Vec::new();
    };
    let what = format!("{count} errors from {at} on");
    let mut committed = committed(&results);
    // A manifest whose removal was lost with an fsync may be back, older than those that are kept.
    for survives in survivals() {
        let after = disk.after_crash(survives);
        let what = format!("{what}, {survives:?}");
        check_after_crash(&after, &committed, &failed(&results), &what);
    }
    // With two more nothing of the failure is left.
    disk.set(None);
    for epoch in [5, 6] {
        write(&mut store, epoch, &pieces(epoch)).unwrap();
        committed.push(epoch);
    }
    assert_eq!(files(&disk), files_of(&[5, 6]), "{what}");
    let after = disk.after_crash(Survives::Nothing);
    check_after_crash(&after, &committed, &[], &what);
    results
}

#[test]
fn a_full_disk_fails_epochs_until_there_is_room() {
    for at in 0..operations() {
        let disk = MemoryDisk::default();
        disk.set(Some(Fault::Full(at)));
        let (store, results) = run(&disk);
        let Some(mut store) = store else { continue };
        let what = format!("full at {at}");
        let mut committed = committed(&results);
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            let StoreError::Io { error, .. } = error else {
                panic!("{what}: {error}");
            };
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{what}");
        }
        // What failed takes no room.
        let kept = &committed[committed.len().saturating_sub(2)..];
        assert_eq!(files(&disk), files_of(kept), "{what}");
        disk.set(None);
        let newest = store.newest().unwrap().map(|checkpoint| checkpoint.epoch());
        assert_eq!(newest, committed.last().copied(), "{what}");
        write(&mut store, 5, &pieces(5)).unwrap();
        committed.push(5);
        let after = disk.after_crash(Survives::Nothing);
        check_after_crash(&after, &committed, &[], &what);
    }
}
