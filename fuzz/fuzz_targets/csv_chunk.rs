//! Whatever bytes as CSV in some dialect: parsed whole, in two pieces, and by chunks that begin
//! where the chunks before say, rows, places and errors are the same, and no record is lost.

#![no_main]

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use libfuzzer_sys::fuzz_target;
use trefoil_ring0::format::csv::quotes::{Grammar, Place};
use trefoil_ring0::format::csv::{Blanks, CsvParser, Dialect, Terminator};
use trefoil_ring0::format::record::{Chunk, Stop, Tail};
use trefoil_ring0::format::text::write_csv_row;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{Field, Schema};

/// Longer inputs are left out: a frame has room for as many rows.
const BYTES_MAX: usize = 4096;

fn dialect(bits: u8) -> Dialect {
    let is = |bit: u8| bits >> bit & 1 == 1;
    Dialect {
        escape: is(0).then_some(b'\\'),
        comment: is(1).then_some(b'#'),
        terminator: if is(2) {
            Terminator::Lf
        } else {
            Terminator::LfOrCrLf
        },
        blanks: if is(3) { Blanks::Trim } else { Blanks::Keep },
        quote: (bits & 0x30 != 0).then_some(b'"'),
        null: if is(6) {
            "NA".to_owned()
        } else {
            String::new()
        },
        ..Dialect::default()
    }
}

/// A reader of one frame.
struct Reader {
    parser: CsvParser,
    frame: Frame,
    starts: Vec<usize>,
    errors: Vec<(usize, String)>,
}

impl Reader {
    fn new(schema: &Arc<Schema>, dialect: &Dialect) -> Self {
        let names = ["s", "n", "x", "t"];
        let parser = CsvParser::new(Arc::clone(schema), dialect.clone(), &names);
        Self {
            parser: parser.expect("a dialect"),
            frame: Frame::new(schema, BYTES_MAX),
            starts: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Reads on; gives where it stopped.
    fn read(&mut self, bytes: &[u8], at: usize, tail: Tail) -> usize {
        self.read_to(bytes, at, bytes.len(), tail)
    }

    /// Reads on, records that begin before `begin_before`.
    fn read_to(&mut self, bytes: &[u8], mut at: usize, begin_before: usize, tail: Tail) -> usize {
        let chunk = Chunk {
            bytes,
            begin_before,
            tail,
        };
        loop {
            let parsed = self.parser.parse_chunk(&chunk, at, &mut self.frame);
            self.starts.extend_from_slice(self.parser.starts());
            match parsed.stop {
                Stop::Bad { next, message } => {
                    assert!(next > parsed.at);
                    self.errors.push((parsed.at, message));
                    at = next;
                }
                Stop::FrameFull => panic!("the frame has room for all"),
                Stop::ChunkDone | Stop::NeedsMore => return parsed.at,
            }
        }
    }

    fn rows(&self, schema: &Schema) -> Vec<u8> {
        let mut out = Vec::new();
        let rows = 0..self.frame.rows();
        rows.for_each(|row| write_csv_row(schema, &self.frame, row, &mut out));
        out
    }
}

fuzz_target!(|data: &[u8]| {
    let [bits, cut, text @ ..] = data else { return };
    if text.len() > BYTES_MAX {
        return;
    }
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let schema = Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64),
        Field::new("s", DataType::Utf8),
        Field::new("t", time),
        Field::new("x", DataType::Float64),
    ]));
    let dialect = dialect(*bits);
    let mut whole = Reader::new(&schema, &dialect);
    assert_eq!(whole.read(text, 0, Tail::End), text.len());

    let mut pieces = Reader::new(&schema, &dialect);
    let cut = usize::from(*cut) * text.len() / 255;
    let at = pieces.read(&text[..cut], 0, Tail::Cut);
    assert_eq!(pieces.read(text, at, Tail::End), text.len());
    assert_eq!(pieces.rows(&schema), whole.rows(&schema));
    assert_eq!(pieces.starts, whole.starts);
    assert_eq!(pieces.errors, whole.errors);

    let (mut chunks, mut place) = (Reader::new(&schema, &dialect), Place::Begin);
    let grammar = Grammar::new(&dialect);
    for (start, end) in [(0, cut), (cut, text.len())] {
        let own = &text[start..end];
        if let Some(at) = grammar.first_record(&text[start..], place) {
            chunks.read_to(text, start + at, end, Tail::End);
        }
        place = grammar.effect(own).after(place);
    }
    assert_eq!(chunks.rows(&schema), whole.rows(&schema));
    assert_eq!(chunks.starts, whole.starts);
    assert_eq!(chunks.errors, whole.errors);
});
