//! Prints of files and scripts: what is another one is noticed, and said how.

use std::fs;

use trefoil_ring1::checkpoint::{FilePrint, StatementPrint, changed_statement};

use crate::local::Dir;

/// Content in which every place is told from others.
fn content(from: u64, bytes: u64) -> Vec<u8> {
    let word = |at: u64| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[7];
    (from..from + bytes).map(word).collect()
}

/// A file of `size` bytes of which `read_upto` were read becomes `now`: the check says `want`, the
/// name of the file being NAME in it.
fn check(size: u64, read_upto: u64, now: &[u8], want: Result<(), &str>) {
    let dir = Dir::new(&format!("print-{size}-{read_upto}-{}", now.len()));
    let path = dir.0.join("file");
    fs::write(&path, content(0, size)).unwrap();
    let print = FilePrint::of(&path, read_upto).unwrap();
    assert_eq!(print.check(&path), Ok(()));
    fs::remove_file(&path).unwrap();
    fs::write(&path, now).unwrap();
    let want = want.map_err(|text| text.replace("NAME", path.to_str().unwrap()));
    assert_eq!(print.check(&path), want, "{size} bytes, {read_upto} read");
}

#[test]
fn a_file_that_grew_is_the_same() {
    for (size, read_upto) in [
        (0, 0),
        (10, 0),
        (10, 10),
        (100_000, 99_000),
        (200_000, 65_537),
    ] {
        check(size, read_upto, &content(0, size), Ok(()));
        check(size, read_upto, &content(0, size + 70_000), Ok(()));
    }
}

#[test]
fn a_file_that_was_cut_is_noticed() {
    let want = "NAME was truncated: 90000 bytes of it were read, and it has 89999";
    check(100_000, 90_000, &content(0, 89_999), Err(want));
    let want = "NAME was truncated: it had 100000 bytes, and has 90000";
    check(100_000, 90_000, &content(0, 90_000), Err(want));
    let want = "NAME was truncated: 10 bytes of it were read, and it has 0";
    check(10, 10, &[], Err(want));
}

#[test]
fn a_file_that_was_replaced_is_noticed() {
    let want = "NAME was replaced: its first 65536 bytes are not those that were read";
    check(100_000, 90_000, &content(1, 100_000), Err(want));
    let want = "NAME was replaced: its first 10 bytes are not those that were read";
    check(10, 5, &content(1, 1000), Err(want));
    for (at, is_noticed) in [
        (85_904, true),
        (89_999, true),
        (85_903, false),
        (90_000, false),
    ] {
        let mut now = content(0, 120_000);
        now[at] ^= 1;
        let want = "NAME was changed: its bytes from 85904 to 90000 are not those that were read";
        check(
            100_000,
            90_000,
            &now,
            if is_noticed { Err(want) } else { Ok(()) },
        );
    }
}

#[test]
fn a_file_that_is_gone_is_noticed() {
    let dir = Dir::new("print-gone");
    let path = dir.0.join("file");
    fs::write(&path, "abc").unwrap();
    let print = FilePrint::of(&path, 3).unwrap();
    assert!(FilePrint::of(&path, 4).is_err());
    fs::remove_file(&path).unwrap();
    let text = print.check(&path).unwrap_err();
    let want = format!("{} cannot be read again: ", path.display());
    assert!(text.starts_with(&want), "{text}");
    // It moved: it is the same one elsewhere.
    let elsewhere = dir.0.join("elsewhere");
    fs::write(&elsewhere, "abcd").unwrap();
    assert_eq!(print.check(&elsewhere), Ok(()));
}

#[test]
fn a_changed_script_is_told_by_its_first_changed_statement() {
    let script = |statements: &[(&str, u64)]| -> Vec<StatementPrint> {
        let print = |(text, hash): &(&str, u64)| StatementPrint {
            text: (*text).to_owned(),
            hash: *hash,
        };
        statements.iter().map(print).collect()
    };
    let before = script(&[("A", 1), ("B", 2)]);
    let cases = [
        (script(&[("A", 1), ("B", 2)]), None),
        (
            script(&[("A", 1), ("C", 3)]),
            Some("statement 2 was: B\nand is: C"),
        ),
        (script(&[("A", 1)]), Some("statement 2 is gone: B")),
        (
            script(&[("A", 1), ("B", 2), ("C", 3)]),
            Some("statement 3 is new: C"),
        ),
        (
            script(&[("A", 7), ("B", 2)]),
            Some("statement 1 has its text and runs in another way: A"),
        ),
    ];
    for (now, want) in cases {
        assert_eq!(changed_statement(&before, &now).as_deref(), want);
    }
}
