//! Whatever bytes as CSV in some dialect: where no record is bad, rows are those of the csv crate.

#![no_main]

use std::sync::Arc;

use arrow_schema::DataType;
use libfuzzer_sys::fuzz_target;
use trefoil_ring0::column::Column;
use trefoil_ring0::format::csv::{CsvParser, Dialect, Terminator};
use trefoil_ring0::format::record::{Chunk, Stop, Tail};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{Field, Schema};

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Longer inputs are left out: a frame has room for as many rows.
const BYTES_MAX: usize = 4096;

fn dialect(bits: u8) -> Dialect {
    let is = |bit: u8| bits >> bit & 1 == 1;
    Dialect {
        delimiter: if is(0) { b';' } else { b',' },
        quote: (!is(1)).then_some(b'"'),
        escape: (is(2) && !is(1)).then_some(b'\\'),
        comment: is(3).then_some(b'#'),
        terminator: if is(4) {
            Terminator::Lf
        } else {
            Terminator::LfOrCrLf
        },
        ..Dialect::default()
    }
}

/// The texts of all fields, NULL as the empty one; `None` where something is bad.
fn ours(dialect: &Dialect, text: &[u8]) -> Option<Vec<Vec<String>>> {
    let fields = NAMES.map(|name| Field::new(name, DataType::Utf8));
    let schema = Arc::new(Schema::new(fields.into()));
    let parser = CsvParser::new(Arc::clone(&schema), dialect.clone(), &NAMES);
    let mut parser = parser.expect("a dialect");
    let mut frame = Frame::new(&schema, BYTES_MAX);
    let chunk = Chunk {
        bytes: text,
        begin_before: text.len(),
        tail: Tail::End,
    };
    match parser.parse_chunk(&chunk, 0, &mut frame).stop {
        Stop::ChunkDone => {}
        Stop::Bad { .. } => return None,
        stop => panic!("{stop:?}"),
    }
    let field = |row: usize, column: &Column| match column {
        Column::Utf8(c) => c.get(row).unwrap_or_default().to_owned(),
        other => panic!("{other:?} is not VARCHAR"),
    };
    let row = |row| frame.columns.iter().map(|c| field(row, c)).collect();
    Some((0..frame.rows()).map(row).collect())
}

fuzz_target!(|data: &[u8]| {
    let [bits, text @ ..] = data else { return };
    // Marks of byte order are its reader's to leave out, and not the parser's.
    if text.len() > BYTES_MAX || text.starts_with(b"\xEF\xBB\xBF") {
        return;
    }
    let dialect = dialect(*bits);
    // A comment that ends with the file is an empty record to it.
    let last = text.rsplit(|&b| b == b'\n').next().unwrap_or_default();
    if dialect.comment.is_some() && last.starts_with(b"#") {
        return;
    }
    let Some(rows) = ours(&dialect, text) else {
        return;
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(dialect.delimiter)
        .quoting(dialect.quote.is_some())
        .escape(dialect.escape)
        .comment(dialect.comment)
        .terminator(match dialect.terminator {
            Terminator::LfOrCrLf => csv::Terminator::CRLF,
            Terminator::Lf => csv::Terminator::Any(b'\n'),
        })
        .from_reader(text);
    let theirs: Vec<Vec<String>> = reader
        .records()
        .map(|record| record.expect("UTF-8").iter().map(str::to_owned).collect())
        .collect();
    assert_eq!(rows, theirs);
});
