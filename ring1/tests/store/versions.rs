//! Checkpoints that earlier versions of the format left are read, and this version writes what is
//! checked in for it, byte by byte.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use trefoil_ring1::checkpoint::{
    FilePrint, Folder, ManifestData, Prepared, SinkPrint, SourcePrint, StatementPrint, Store,
};

use crate::local::Dir;
use crate::{Piece, all, place};

fn checked_in(version: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    tests.join("checkpoints").join(version)
}

/// What the checkpoint of version 1 says of its run: each field has something in it.
fn data() -> ManifestData {
    ManifestData {
        created_ns: 1_695_031_200_123_456_789,
        shards: 3,
        seed: 0xfedc_ba98_7654_3210,
        chunk_bytes: 1 << 20,
        step: 1,
        fingerprint: vec![StatementPrint {
            text: "SELECT k, COUNT(*) FROM t GROUP BY k".to_owned(),
            hash: 0x0123_4567_89ab_cdef,
        }],
        sources: vec![SourcePrint {
            name: "t".to_owned(),
            connector: "file".to_owned(),
            files: vec![FilePrint {
                path: "data/täglich.ndjson".into(),
                size: 1000,
                read_upto: 900,
                head_bytes: 1000,
                head_hash: u64::MAX,
                tail_bytes: 900,
                tail_hash: 0,
            }],
        }],
        sinks: vec![SinkPrint {
            name: "out".to_owned(),
            path: "out".into(),
            prepared: vec![Prepared {
                temporary: "out/.7.ndjson".into(),
                name: "out/7.ndjson".into(),
                bytes: 77,
            }],
        }],
        counters: json!({"rows_applied": 41, "rows_read": 42}),
    }
}

fn pieces() -> Vec<Piece> {
    vec![
        (0, place(1), b"a piece".to_vec()),
        (0, place(u32::MAX), Vec::new()),
        (2, place(1), (0..=255).collect()),
    ]
}

fn write(dir: &Path) {
    let mut store = Store::open(dir).unwrap();
    let mut draft = store.begin(7).unwrap();
    for (shard, place, bytes) in pieces() {
        draft.append(shard, place, &bytes).unwrap();
    }
    draft.commit(data()).unwrap();
    drop(store);
    fs::remove_file(dir.join("lock")).unwrap();
}

#[test]
fn version_1_is_read() {
    let found = Folder::new(&checked_in("v1")).newest().unwrap().unwrap();
    assert_eq!((found.epoch(), &found.manifest().data), (7, &data()));
    assert_eq!(all(&found), pieces());
}

#[test]
fn this_version_is_version_1() {
    let dir = Dir::new("versions");
    write(&dir.0);
    for name in dir.files() {
        let (now, then) = (
            fs::read(dir.0.join(&name)),
            fs::read(checked_in("v1").join(&name)),
        );
        assert_eq!(now.unwrap(), then.unwrap(), "{name}");
    }
    assert_eq!(dir.files().len(), 3);
}

#[test]
#[ignore = "writes the checkpoint that is checked in, when there is a new version"]
fn write_version_1() {
    let dir = checked_in("v1");
    _ = fs::remove_dir_all(&dir);
    write(&dir);
}
