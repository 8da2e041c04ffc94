//! The same of CSV: newlines inside of quotes, headers, dialects, and what is no CSV. Good records
//! are as the csv crate reads them.

use proptest::prelude::*;
use proptest::sample::select;
use trefoil_ring0::error::Error;
use trefoil_ring0::format::csv::{Dialect, Terminator};
use trefoil_ring0::id::OutputId;
use trefoil_ring0::program::{BadData, FileFormat, Header};
use trefoil_ring0::runtime::Executor;

use crate::{Folder, Piece, What, check, config, program, run};

/// The fields of a file's records, in its order.
type Names = &'static [&'static str];
/// What files have besides what is read, and in which order.
const ORDERS: [Names; 3] = [
    &["n", "t", "s"],
    &["s", "other", "n", "t"],
    &["t", "n", "x", "s", "y"],
];

/// A record or something else in a file.
#[derive(Debug, Clone)]
enum Part {
    /// A row with this text in `s`; quoted or not, where there is a choice.
    Row(Option<String>, bool),
    /// Something bad, with this text in it.
    Bad(u8, String),
    Empty,
    Comment(String),
}

/// A file: order of fields, parts, whether lines end with CRLF, and whether the last one ends.
type Parts = (usize, Vec<Part>, bool, bool);

fn part() -> impl Strategy<Value = Part> {
    let text = || {
        prop_oneof![
            4 => "[a-zäü ]{0,12}",
            3 => "[a,\"\n\r\\\\\0#;']{0,8}",
            1 => "(a\n|,\"|\r\n){0,20}",
        ]
    };
    prop_oneof![
        8 => (prop::option::of(text()), any::<bool>()).prop_map(|(s, q)| Part::Row(s, q)),
        3 => (0u8..9, text()).prop_map(|(kind, text)| Part::Bad(kind, text)),
        1 => Just(Part::Empty),
        1 => "[a\", ]{0,9}".prop_map(Part::Comment),
    ]
}

fn quoted(dialect: &Dialect, text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match dialect.escape {
            Some(escape) if c == '"' || c == escape as char => out.push(escape as char),
            None if c == '"' => out.push('"'),
            _ => {}
        }
        out.push(c);
    }
    out + "\""
}

/// A record whose fields have these texts.
fn record(dialect: &Dialect, names: Names, [n, t, s, other]: [&str; 4]) -> Vec<u8> {
    let field = |name: &&str| match *name {
        "n" => n.to_owned(),
        "t" => t.to_owned(),
        "s" => s.to_owned(),
        _ => other.to_owned(),
    };
    let fields: Vec<_> = names.iter().map(field).collect();
    fields
        .join(&char::from(dialect.delimiter).to_string())
        .into()
}

const TIME: &str = "2025-01-01T00:00:00";

/// A bad record; the text is inside of quotes.
fn bad(dialect: &Dialect, names: Names, kind: u8, text: &str) -> Piece {
    let s = quoted(dialect, text);
    let behind = s.clone() + "x";
    let other = other(dialect);
    let ([n, t, s], reason) = match kind {
        0 => (["1", "", &s], "event time is NULL"),
        1 => (["x", TIME, &s], "column n: expected BIGINT"),
        2 => (["1", TIME, &behind], "text behind a closing quote"),
        3 => (["1", TIME, "a\"b"], "a quote inside of a field"),
        4 => (["1", TIME, "a\rb"], "a carriage return"),
        5 => (
            ["1", "2025-01-01T25:00:00", &s],
            "column t: invalid timestamp",
        ),
        6 => (["1", "\u{feff}", &s], "column t"),
        7 => (["1", TIME, &s], "fields where"),
        _ => (["1", "?", &s], "utf-8"),
    };
    // What is no CSV ends with the line.
    let other = if (2..5).contains(&kind) { "" } else { &other };
    let mut bytes = record(dialect, names, [n, t, s, other]);
    match kind {
        7 => bytes.push(dialect.delimiter),
        8 => {
            let place = bytes.iter().position(|&b| b == b'?').unwrap();
            bytes[place] = 0xff;
        }
        _ => {}
    }
    let what = What::Bad(reason);
    Piece { bytes, what }
}

/// What nobody wants may have anything in it.
fn other(dialect: &Dialect) -> String {
    quoted(dialect, "other,\n\"one\"")
}

fn pieces(
    dialect: &Dialect,
    has_header: bool,
    n: &mut i64,
    (order, parts, crlf, ends): &Parts,
) -> Vec<Piece> {
    let names = ORDERS[if has_header { *order } else { 1 }];
    let mut pieces = Vec::new();
    if has_header {
        let bytes = names
            .join(&char::from(dialect.delimiter).to_string())
            .into();
        pieces.push(Piece {
            bytes,
            what: What::Nothing,
        });
    }
    for part in parts {
        *n += 1;
        pieces.push(match part {
            Part::Row(text, choice) => {
                let plain = |t: &&str| !t.is_empty() && !t.contains(['\n', '\r', '"', ',', ';']);
                let s = match text.as_deref() {
                    None => String::new(),
                    Some(text) if *choice && plain(&text) => text.to_owned(),
                    Some(text) => quoted(dialect, text),
                };
                let bytes = record(dialect, names, [&n.to_string(), TIME, &s, &other(dialect)]);
                Piece {
                    bytes,
                    what: What::Row(*n, text.clone()),
                }
            }
            Part::Bad(kind, text) => bad(dialect, names, *kind, text),
            Part::Empty => Piece {
                bytes: Vec::new(),
                what: What::Nothing,
            },
            Part::Comment(text) => Piece {
                bytes: format!("#{text}").into(),
                what: match dialect.comment {
                    Some(_) => What::Nothing,
                    None => What::Bad(""),
                },
            },
        });
    }
    // Where a comment is none it would have to be known what it is.
    if dialect.comment.is_none() {
        pieces.retain(|piece| !piece.bytes.starts_with(b"#"));
    }
    // Then a record would be a comment, too.
    pieces.retain(|piece| !(matches!(piece.what, What::Row(..)) && piece.bytes.starts_with(b"#")));
    let last = pieces.len();
    for (number, piece) in pieces.iter_mut().enumerate() {
        if *crlf {
            piece.bytes.push(b'\r');
        }
        if number + 1 < last || *ends || *crlf {
            piece.bytes.push(b'\n');
        }
    }
    if *order == 2
        && let Some(first) = pieces.first_mut().filter(|_| has_header)
    {
        first.bytes.splice(..0, *b"\xEF\xBB\xBF");
    }
    pieces
}

/// Good records are what the csv crate makes of them.
fn agree_with_the_csv_crate(dialect: &Dialect, names: Names, pieces: &[Piece]) {
    let good = pieces.iter().filter(|p| matches!(p.what, What::Row(..)));
    let text: Vec<u8> = good.clone().flat_map(|p| p.bytes.clone()).collect();
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(dialect.delimiter)
        .escape(dialect.escape)
        .double_quote(dialect.escape.is_none())
        .from_reader(&text[..]);
    let theirs: Vec<_> = reader.records().map(Result::unwrap).collect();
    let place = |name: &str| names.iter().position(|n| *n == name).unwrap();
    assert_eq!(theirs.len(), good.clone().count());
    for (record, piece) in theirs.iter().zip(good) {
        let What::Row(n, s) = &piece.what else {
            unreachable!()
        };
        assert_eq!(record[place("n")], n.to_string());
        assert_eq!(&record[place("s")], s.as_deref().unwrap_or_default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn rows_of_csv_pass_and_bad_ones_are_told(
        files in prop::collection::vec(
            (0usize..3, prop::collection::vec(part(), 0..30), any::<bool>(), any::<bool>()),
            0..4,
        ),
        has_header in any::<bool>(),
        delimiter in select(vec![b',', b';']),
        escape in select(vec![None, Some(b'\\')]),
        comment in select(vec![None, Some(b'#')]),
        shards in select(vec![1usize, 2, 4, 8]),
        chunk_bytes in select(vec![1usize, 3, 10, 30, 500, 1 << 20]),
        frame_rows in select(vec![1usize, 7, 1024]),
        executor in select(vec![Executor::Threads, Executor::Uring]),
    ) {
        let dialect = Dialect { delimiter, escape, comment, ..Dialect::default() };
        let mut n = 0;
        let files: Vec<_> = files
            .iter()
            .map(|file| {
                let pieces = pieces(&dialect, has_header, &mut n, file);
                let names = ORDERS[if has_header { file.0 } else { 1 }];
                agree_with_the_csv_crate(&dialect, names, &pieces);
                pieces
            })
            .collect();
        let header = match has_header {
            true => Header::FirstRecord,
            false => Header::Absent(ORDERS[1].iter().map(|&name| name.to_owned()).collect()),
        };
        let format = FileFormat::Csv { dialect, header };
        check(&files, &format, &config(shards, chunk_bytes, frame_rows, executor));
    }
}

fn format(header: Header) -> FileFormat {
    FileFormat::Csv {
        dialect: Dialect::default(),
        header,
    }
}

/// A quote that is never closed takes in the rest of its file, and nothing of the next one.
#[test]
fn a_quote_that_is_not_closed() {
    let good = |n: i64| Piece {
        bytes: format!("{n},{TIME},\"a\nb\"\n").into(),
        what: What::Row(n, Some("a\nb".to_owned())),
    };
    let open = Piece {
        bytes: format!("1,{TIME},\"x\n1,{TIME},y\n\n").into(),
        what: What::Bad("a quote that is not closed"),
    };
    let header = || Piece {
        bytes: b"n,t,s\n".to_vec(),
        what: What::Nothing,
    };
    let files = [
        vec![header(), good(1), good(2), open],
        vec![header(), good(3), good(4)],
    ];
    for shards in [1, 2, 3, 8] {
        for chunk_bytes in 1..40 {
            let config = config(shards, chunk_bytes, 7, Executor::Threads);
            check(&files, &format(Header::FirstRecord), &config);
        }
    }
}

/// What does not fit its source is refused before anything is read, by all files.
#[test]
fn files_that_do_not_fit() {
    let folder = Folder::new();
    let refused = |contents: &[&str], format: &FileFormat| {
        let contents: Vec<Vec<u8>> = contents.iter().map(|&text| text.into()).collect();
        let paths = folder.files(&contents);
        let program = program(paths, format, BadData::Skip);
        run(&program, &config(2, 7, 7, Executor::Auto)).unwrap_err()
    };
    let by_name = format(Header::FirstRecord);
    let long = "x".repeat(17 << 20);
    let tabs = FileFormat::Csv {
        dialect: Dialect {
            delimiter: b'\n',
            terminator: Terminator::Lf,
            ..Dialect::default()
        },
        header: Header::FirstRecord,
    };
    for (contents, format, want) in [
        (
            vec!["n,t,s\n", "n,T,s\n"],
            &by_name,
            "part-001: column t: not among the file's columns (n, T, s)",
        ),
        (
            vec!["", "n,t,s,n\n1"],
            &by_name,
            "part-001: column n: the file has two of that name",
        ),
        (
            vec!["n,t\"\n"],
            &by_name,
            "part-000: the header: a quote inside of a field",
        ),
        (
            vec!["n,t,\"\n"],
            &by_name,
            "part-000: the header: a quote that is not closed",
        ),
        (
            vec![&long],
            &by_name,
            "part-000: the header: a record is over 16777216 bytes",
        ),
        (
            vec!["n,t,s\n"],
            &tabs,
            "delimiter is to be one ASCII character",
        ),
    ] {
        let error = refused(&contents, format);
        assert!(matches!(error, Error::Open { .. }), "{error}");
        assert!(error.to_string().contains(want), "{error}");
    }
}

/// A header is no record, also where nothing is behind it.
#[test]
fn headers_alone() {
    let folder = Folder::new();
    let texts = ["", "n,t,s", "n,t,s\r\n\r\n", "\u{feff}n,t,s\n", "\n\n"];
    let paths = folder.files(&texts.map(|text| text.into()));
    for chunk_bytes in [1, 100] {
        let format = format(Header::FirstRecord);
        let program = program(paths.clone(), &format, BadData::Fail);
        let config = config(2, chunk_bytes, 7, Executor::Auto);
        assert_eq!(run(&program, &config).unwrap().2, [0; 3]);
    }
}

/// Of a record that is too long only the first bytes are told, and what is behind it goes on.
#[test]
fn records_that_are_too_long() {
    let long = format!("1,{TIME},\"{}\"\n", "x,\n\"\"y\"\"\n".repeat(2 << 20));
    let folder = Folder::new();
    let good = [1, 2].map(|n| format!("{n},{TIME},\"a\nb\"\n"));
    let content = ["n,t,s\n", &good[0], &long, &good[1], &long].concat();
    let paths = folder.files(&[content.into(), format!("n,t,s\n{}", good[1]).into()]);
    for (shards, chunk_bytes) in [(1, 1 << 20), (3, 5 << 20), (2, 100 << 20)] {
        let format = format(Header::FirstRecord);
        let bad_data = BadData::DeadLetters(OutputId(1));
        let program = program(paths.clone(), &format, bad_data);
        let config = config(shards, chunk_bytes, 7, Executor::Auto);
        let (rows, told, counts) = run(&program, &config).unwrap();
        let numbers: Vec<_> = rows.iter().map(|row| row[0].as_deref()).collect();
        assert_eq!(numbers, [Some("1"), Some("2"), Some("2")]);
        assert_eq!(counts, [5, 3, 2]);
        for letter in told {
            let reason = letter[3].as_deref().unwrap();
            assert_eq!(reason, "a record is over 16777216 bytes");
            assert_eq!(letter[4].as_deref(), Some(&long[..4096]));
        }
    }
}
