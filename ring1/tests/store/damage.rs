//! Every byte of a checkpoint flipped, every file cut at every length, lengthened, exchanged and
//! removed: it is noticed, the file is named, and no piece of it is given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trefoil_ring1::checkpoint::{Folder, Store, StoreError};

use crate::memory::MemoryDisk;
use crate::{all, pieces, write};

const DIR: &str = "/state";

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A directory with epochs 1 and 2.
fn sound() -> Files {
    let disk = MemoryDisk::default();
    let mut store = Store::open_on(Arc::new(disk.clone()), Path::new(DIR)).unwrap();
    for epoch in [1, 2] {
        write(&mut store, epoch, &pieces(epoch)).unwrap();
    }
    disk.files()
}

fn folder(files: &Files) -> Folder {
    Folder::on(Arc::new(MemoryDisk::with(files)), Path::new(DIR))
}

fn is_of_epoch(path: &Path, epoch: u64) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name == format!("manifest-{epoch:020}") || name.starts_with(&format!("{epoch:020}-"))
}

/// Where the error says the damage is.
fn named(error: &StoreError) -> &Path {
    match error {
        StoreError::Damaged { path, .. }
        | StoreError::Missing { path, .. }
        | StoreError::Version { path, .. } => path,
        other => panic!("not a damaged file: {other}"),
    }
}

/// `path`, a file of epoch 2, is not what it was: epoch 1 is found, and that file is named.
fn check(files: &Files, path: &Path, what: &str) {
    let found = folder(files).newest().unwrap().unwrap();
    assert_eq!((found.epoch(), all(&found)), (1, pieces(1)), "{what}");
    let [(2, error)] = found.passed_over() else {
        panic!("{what}: {found:?}");
    };
    assert_eq!(named(error), path, "{what}: {error}");
}

#[test]
fn every_flipped_byte_is_noticed() {
    let files = sound();
    let mut flipped = 0;
    for (path, bytes) in files.iter().filter(|(path, _)| is_of_epoch(path, 2)) {
        let mut damaged = files.clone();
        for at in 0..bytes.len() {
            for mask in [0x01, 0x80, 0xff] {
                damaged.get_mut(path).unwrap()[at] ^= mask;
                check(
                    &damaged,
                    path,
                    &format!("{} at {at} ^ {mask}", path.display()),
                );
                damaged.get_mut(path).unwrap()[at] ^= mask;
                flipped += 1;
            }
        }
    }
    assert!(flipped > 1000, "{flipped}");
}

#[test]
fn every_length_but_the_right_one_is_noticed() {
    let files = sound();
    for (path, bytes) in files.iter().filter(|(path, _)| is_of_epoch(path, 2)) {
        for length in (0..bytes.len()).chain([bytes.len() + 1, bytes.len() + 40]) {
            let mut damaged = files.clone();
            damaged.get_mut(path).unwrap().resize(length, 0);
            check(
                &damaged,
                path,
                &format!("{} of {length} bytes", path.display()),
            );
        }
    }
}

#[test]
fn a_file_in_the_place_of_another_is_noticed() {
    let files = sound();
    for path in files.keys().filter(|path| is_of_epoch(path, 2)) {
        for (other, bytes) in files.iter().filter(|(other, _)| *other != path) {
            let mut damaged = files.clone();
            damaged.insert(path.clone(), bytes.clone());
            let what = format!("{} is {}", path.display(), other.display());
            check(&damaged, path, &what);
        }
        let mut damaged = files.clone();
        damaged.remove(path);
        if path.to_str().unwrap().contains("manifest") {
            // A checkpoint without a manifest was never committed.
            let found = folder(&damaged).newest().unwrap().unwrap();
            assert_eq!((found.epoch(), found.passed_over().len()), (1, 0));
        } else {
            check(&damaged, path, &format!("{} is missing", path.display()));
        }
    }
}

#[test]
fn damage_behind_the_verification_ends_the_pieces() {
    let files = sound();
    let disk = MemoryDisk::with(&files);
    let found = Folder::on(Arc::new(disk.clone()), Path::new(DIR));
    let found = found.newest().unwrap().unwrap();
    let path = files
        .keys()
        .find(|path| path.ends_with("state/00000000000000000002-0000000001.part"));
    let path = path.unwrap();
    disk.change(path, |bytes| bytes[70] ^= 1);
    let read: Vec<_> = found.pieces().collect();
    let (last, before) = read.split_last().unwrap();
    assert!(before.iter().all(Result::is_ok) && before.len() >= 2);
    assert_eq!(named(last.as_ref().unwrap_err()), path);
}

#[test]
fn where_none_is_sound_it_is_said_why() {
    let mut files = sound();
    for (path, bytes) in &mut files {
        if path.to_str().unwrap().contains("manifest") {
            bytes[40] ^= 1;
        }
    }
    let error = folder(&files).newest().unwrap_err();
    let why = |epoch: u64| {
        let file = format!("/state/manifest-{epoch:020}");
        format!("\n  epoch {epoch}: {file} is damaged at byte 0: its checksum differs")
    };
    let want = format!("no checkpoint in /state is sound:{}{}", why(2), why(1));
    assert_eq!(error.to_string(), want);
}
