//! `trefoil checkpoint` over a state directory that is sound, and over one that is not.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::path::Path;
use std::process::Output;

use common::{Folder, text, trefoil};

/// The checkpoint that is checked in for version 1 of the format.
const PARTS: [&str; 3] = [
    "manifest-00000000000000000007",
    "state/00000000000000000007-0000000000.part",
    "state/00000000000000000007-0000000002.part",
];

fn checked_in() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ring1/tests/checkpoints/v1");
    path.to_str().unwrap().to_owned()
}

/// A copy of it in the folder's `state`, `change` made to one of its files.
fn damaged(folder: &Folder, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    std::fs::create_dir_all(folder.0.join("state/state")).unwrap();
    for name in PARTS {
        let content = std::fs::read(Path::new(&checked_in()).join(name)).unwrap();
        std::fs::write(folder.0.join("state").join(name), content).unwrap();
    }
    let path = folder.0.join("state").join(file);
    let mut content = std::fs::read(&path).unwrap();
    change(&mut content);
    std::fs::write(path, content).unwrap();
}

fn run(folder: &Folder, arguments: &[&str]) -> Output {
    let mut command = trefoil(folder);
    command.arg("checkpoint").args(arguments).output().unwrap()
}

/// Exit code, standard output and standard error.
fn said(folder: &Folder, arguments: &[&str]) -> (i32, String, String) {
    let output = run(folder, arguments);
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_sound_directory_is_listed_shown_and_verified() {
    let folder = Folder::new("checkpoint-sound");
    let dir = checked_in();
    let (code, listed, _) = said(&folder, &["ls", &dir, "--format", "csv"]);
    let want = "epoch,time,bytes,pieces,state\r\n7,2023-09-18T10:00:00.123Z,503,3,complete\r\n";
    assert_eq!((code, listed.as_str()), (0, want));
    let (code, table, _) = said(&folder, &["ls", &dir, "--format", "table"]);
    assert!(code == 0 && table.contains("complete"), "{table}");
    for arguments in [&["show", &dir][..], &["show", &dir, "--epoch", "7"]] {
        let (code, shown, said) = said(&folder, arguments);
        assert_eq!(code, 0, "{said}");
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["epoch"], 7);
        assert_eq!(shown["seed"], "fedcba9876543210");
        assert_eq!(shown["sources"][0]["files"][0]["read_upto"], 900);
        assert_eq!(shown["parts"][1]["pieces"], 1);
    }
    let (code, verified, said) = said(&folder, &["verify", &dir]);
    let want = "epoch 7: sound: parts 2, pieces 3, bytes 503\n";
    assert_eq!((code, verified.as_str(), said.as_str()), (0, want, ""));
}

#[test]
fn what_is_not_sound_is_named() {
    let folder = Folder::new("checkpoint-damaged");
    let [manifest, _, part] = PARTS;
    damaged(&folder, part, |content| content[100] ^= 1);
    let (code, verified, why) = said(&folder, &["verify", "state"]);
    let want = format!(
        "error: 1 of 1 checkpoints in state are not sound:\n  epoch 7: state/{part} is damaged at \
         byte 32: the checksum of a piece of 256 bytes differs\n"
    );
    assert_eq!((code, verified.as_str(), why), (5, "", want));
    // Who lists does not read pieces.
    let (code, listed, _) = said(&folder, &["ls", "state"]);
    assert!(code == 0 && listed.contains("\"complete\""), "{listed}");

    damaged(&folder, part, |content| content.truncate(50));
    let (code, listed, _) = said(&folder, &["ls", "state"]);
    let want = format!(
        "{{\"epoch\":7,\"time\":\"2023-09-18T10:00:00.123Z\",\"bytes\":503,\
         \"pieces\":3,\"state\":\"state/{part} is damaged at byte 50: it has 50 bytes, \
         and had 360\"}}\n"
    );
    assert_eq!((code, listed), (0, want));

    damaged(&folder, manifest, |content| content[300] ^= 0x80);
    let how = format!("state/{manifest} is damaged at byte 0: its checksum differs");
    for arguments in [&["verify", "state"], &["show", "state"]] {
        let (code, _, why) = said(&folder, arguments);
        assert!(code == 5 && why.contains(&how), "{code}: {why}");
    }
    let (code, listed, _) = said(&folder, &["ls", "state"]);
    assert!(
        code == 0 && listed.contains(&how) && listed.contains("null"),
        "{listed}"
    );
}

#[test]
fn where_there_is_none_it_is_said() {
    let folder = Folder::new("checkpoint-none");
    folder.write("empty/notes.txt", "");
    let cases: [(&[&str], i32, &str); 5] = [
        (
            &["verify", "empty"],
            5,
            "error: there is no checkpoint in empty\n",
        ),
        (
            &["show", "empty"],
            5,
            "error: there is no checkpoint in empty\n",
        ),
        (
            &["show", "empty", "--epoch", "3"],
            5,
            "error: there is no checkpoint 3 in empty\n",
        ),
        (&["ls", "empty"], 0, ""),
        (
            &["ls", "nowhere"],
            5,
            "error: cannot read the directory nowhere: ",
        ),
    ];
    for (arguments, code, why) in cases {
        let (found, stdout, stderr) = said(&folder, arguments);
        assert_eq!((found, stdout.as_str()), (code, ""), "{arguments:?}");
        assert!(stderr.starts_with(why), "{stderr}");
    }
    assert_eq!(run(&folder, &["verify"]).status.code(), Some(2));
    // Nothing was written where only was looked.
    assert_eq!(
        std::fs::read_dir(folder.0.join("empty")).unwrap().count(),
        1
    );
}
