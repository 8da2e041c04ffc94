//! Records as long as they may be, longer, and much longer; over many chunks and shards.

use trefoil_ring0::limits::{CHUNK_BYTES, RECORD_BYTES_MAX};

use crate::run::{Ledger, run};
use crate::table::Case;

/// How a source reads its records.
struct Format {
    name: &'static str,
    header: &'static str,
    /// What is around the text of a record.
    around: [&'static str; 2],
}

const FORMATS: [Format; 3] = [
    Format {
        name: "json",
        header: "",
        around: ["{\"s\":\"", "\"}"],
    },
    Format {
        name: "csv",
        header: "s\n",
        around: ["", ""],
    },
    Format {
        name: "csv",
        header: "s\n",
        around: ["\"", "\""],
    },
];

impl Format {
    /// A record of so many bytes, without its newline.
    fn record(&self, bytes: usize) -> Vec<u8> {
        let [before, behind] = self.around;
        let text = vec![b'x'; bytes - before.len() - behind.len()];
        [before.as_bytes(), &text, behind.as_bytes()].concat()
    }

    fn case(&self, title: &str, records: &[Vec<u8>]) -> Case {
        let mut bytes = self.header.as_bytes().to_vec();
        for record in records {
            bytes.extend_from_slice(record);
            bytes.push(b'\n');
        }
        Case {
            title: title.to_owned(),
            name: format!("long-{}-{}", self.name, self.around[0].len()),
            path: "in".to_owned(),
            columns: "s VARCHAR".to_owned(),
            options: format!(", format = '{}'", self.name),
            query: Some("SELECT LENGTH(s) AS n FROM r".to_owned()),
            bytes,
        }
    }
}

const TOO_LONG: &str = "a record is over 16777216 bytes";

/// The second of three records has these bytes: it is read, or bad.
fn check(format: &Format, bytes: usize, good: bool) {
    let short = format.record(20);
    let title = format!("{} of {bytes} bytes", format.name);
    let record = format.record(bytes);
    let around = format.around[0].len() + format.around[1].len();
    let case = format.case(&title, &[short.clone(), record, short]);
    let row = |bytes: usize| format!("{{\"n\":{}}}", bytes - around);
    let lengths: &[usize] = if good { &[20, bytes, 20] } else { &[20, 20] };
    let rows: Vec<_> = lengths.iter().map(|&bytes| row(bytes)).collect();
    let at = format.header.len() + 21;
    let line = 2 + format.header.lines().count();
    for cores in [1, 4] {
        let told = run(&case, "dlq", cores);
        assert_eq!(told.error, None, "{title}");
        assert_eq!(told.rows, rows, "{title}");
        let ledger = Ledger {
            read: 3,
            bad: u64::from(!good),
            applied: 2 + u64::from(good),
            ..Ledger::default()
        };
        assert_eq!(told.ledger, ledger, "{title}");
        let failed = run(&case, "fail", cores).error;
        if good {
            assert_eq!(failed, None, "{title}");
            continue;
        }
        let letter = &told.letters[0];
        assert_eq!((letter.offset, &*letter.reason), (at as u64, TOO_LONG));
        assert_eq!(letter.raw.len(), 4096);
        let want = format!("./in:{line}: byte {at}: {TOO_LONG}");
        assert_eq!(failed, Some(want), "{title}");
    }
}

#[test]
fn around_the_limit() {
    for format in &FORMATS {
        check(format, RECORD_BYTES_MAX - 1, true);
        check(format, RECORD_BYTES_MAX, true);
        check(format, RECORD_BYTES_MAX + 1, false);
    }
}

#[test]
fn lines_of_a_hundred_megabytes() {
    for format in &FORMATS {
        check(format, 100_000_000, false);
    }
}

/// A quote that is never closed takes in the rest of its file, however long that is.
#[test]
fn a_quote_without_an_end() {
    let lines = b"\"a line\"\n".repeat(12_000_000);
    let case = FORMATS[1].case("no end", &[[b"\"".to_vec(), lines].concat()]);
    for cores in [1, 4] {
        let failed = run(&case, "fail", cores).error.unwrap_or_default();
        assert!(failed.starts_with("./in:2: byte 2: "), "{failed}");
        let told = run(&case, "dlq", cores);
        assert!(told.error.is_none() && told.ledger.bad > 0, "{told:?}");
    }
}

/// Lines without records are none, however long; a header is a record.
#[test]
fn what_is_no_record() {
    let blanks = vec![b' '; RECORD_BYTES_MAX + 1];
    let record = FORMATS[0].record(20);
    let case = FORMATS[0].case("blanks", &[blanks, record.clone()]);
    let told = run(&case, "dlq", 1);
    assert_eq!((told.rows.len(), told.ledger.bad), (1, 1), "{told:?}");

    let mut case = FORMATS[1].case("a header", &[]);
    case.bytes = vec![b'x'; RECORD_BYTES_MAX + CHUNK_BYTES];
    let failed = run(&case, "skip", 4);
    assert_eq!(failed.code, 4);
    let error = failed.error.unwrap_or_default();
    assert!(
        error.ends_with(&format!("the header: {TOO_LONG}")),
        "{error}"
    );
}

/// One bad record among records of many chunks: who reads it says the same as one reader.
#[test]
fn the_first_of_many_chunks() {
    for (number, format) in FORMATS.iter().enumerate() {
        let bad = [&b"{"[..], b"\xff", b"\"x\"y"][number].to_vec();
        let mut records = vec![format.record(1000); 12_000];
        for at in [11_500, 7_321, 2_600, 2_599] {
            records[at].clone_from(&bad);
        }
        let case = format.case("many chunks", &records);
        let (fail, told) = (run(&case, "fail", 1), run(&case, "dlq", 1));
        let (line, at) = (2_600 + number.min(1), 2_599 * 1001 + format.header.len());
        let want = format!("./in:{line}: byte {at}: ");
        let error = fail.error.clone().unwrap_or_default();
        assert!(error.starts_with(&want), "{error} is not {want}");
        assert_eq!(told.letters.len(), 4);
        assert_eq!((told.ledger.read, told.ledger.bad), (12_000, 4));
        assert_eq!(run(&case, "fail", 4), fail);
        assert_eq!(run(&case, "dlq", 4), told);
    }
}
