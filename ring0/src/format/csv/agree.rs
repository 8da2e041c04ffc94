//! The quick way and the splitter that decides agree on whatever bytes; on what they accept they
//! agree with the csv crate; and records begin where their quotes say.

use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;
use proptest::sample::select;

use super::quotes::{Effect, Grammar, Place};
use super::*;
use crate::format::tests::rows;
use crate::schema::Field;

/// Names of columns of all types, and of one that is not wanted.
const NAMES: [&str; 19] = [
    "s", "n", "other", "x", "b", "day", "t", "i8", "i16", "i32", "u8", "u16", "u32", "u64", "f",
    "time", "clock", "money", "when",
];

fn schema() -> Arc<Schema> {
    use DataType::*;
    let names = NAMES.iter().filter(|name| **name != "other");
    let fields = names.map(|&name| match name {
        "b" => Field::new(name, Boolean),
        "day" => Field::new(name, Date32),
        "t" => Field::new(name, Timestamp(TimeUnit::Millisecond, None)),
        "x" => Field::new(name, Float64),
        "s" => Field::new(name, Utf8),
        "i8" => Field::new(name, Int8),
        "i16" => Field::new(name, Int16),
        "i32" => Field::new(name, Int32),
        "u8" => Field::new(name, UInt8),
        "u16" => Field::new(name, UInt16),
        "u32" => Field::new(name, UInt32),
        "u64" => Field::new(name, UInt64),
        "f" => Field::new(name, Float32),
        "time" => Field::new(name, Time32(TimeUnit::Millisecond)),
        "clock" => Field::new(name, Time64(TimeUnit::Nanosecond)),
        "money" => Field::new(name, Decimal128(10, 2)),
        "when" => Field {
            epoch: Some(TimeUnit::Second),
            ..Field::new(name, Timestamp(TimeUnit::Millisecond, None))
        },
        _ => Field::new(name, Int64),
    });
    let mut schema = Schema::new(fields.collect());
    schema.fields[1].nullable = false;
    Arc::new(schema)
}

fn dialect() -> impl Strategy<Value = Dialect> {
    (
        select(&b",;\t|"[..]),
        prop_oneof![6 => Just(Some(b'"')), 1 => Just(Some(b'\'')), 1 => Just(None)],
        prop_oneof![4 => Just(None), 1 => Just(Some(b'\\')), 1 => Just(Some(b'"'))],
        prop_oneof![4 => Just(None), 1 => Just(Some(b'#'))],
        any::<bool>(),
        prop::bool::weighted(0.2),
        select(&["", "", "", "NA", "1"][..]),
    )
        .prop_map(
            |(delimiter, quote, escape, comment, lf, trim, null)| Dialect {
                delimiter,
                quote,
                // An escape that is another quote's character is one of its own.
                escape: escape.filter(|_| quote.is_some()),
                comment,
                terminator: if lf {
                    Terminator::Lf
                } else {
                    Terminator::LfOrCrLf
                },
                blanks: if trim && delimiter != b'\t' {
                    Blanks::Trim
                } else {
                    Blanks::Keep
                },
                null: null.to_owned(),
            },
        )
        .prop_filter("one byte means one thing", |d| d.check().is_ok())
}

/// A field that the column of this number most likely takes, without quotes.
fn fitting(number: usize) -> BoxedStrategy<String> {
    match NAMES[number % NAMES.len()] {
        "b" => select(&["true", "false", "TRUE", "fAlse"][..])
            .prop_map(str::to_owned)
            .boxed(),
        "day" => "20[0-9]{2}-0[1-9]-[0-2][1-9]".boxed(),
        "n" => prop_oneof![any::<i64>().prop_map(|n| n.to_string()), "[-+]?[0-9]{1,5}",].boxed(),
        "t" => "20[0-9]{2}-0[1-9]-1[0-9][T ]1[0-9]:00:00(\\.[0-9]{3})?Z?".boxed(),
        "x" | "f" => "[-+]?[0-9]{1,12}(\\.[0-9]{0,12})?(e-?[0-9]{1,2})?".boxed(),
        "i8" => "[-+]?[0-9]{1,2}|-?12[0-9]".boxed(),
        "u8" => "[+]?[0-9]{1,2}|-0|2[0-5][0-9]".boxed(),
        "i16" => "[-+]?[0-9]{1,4}|-?32[0-7][0-9]{2}".boxed(),
        "u16" => "[+]?[0-9]{1,4}|-0|65[0-5][0-9]{2}".boxed(),
        "i32" => "[-+]?[0-9]{1,9}|-?21474[0-9]{5}".boxed(),
        "u32" => "[+]?[0-9]{1,9}|-0|42949[0-9]{5}".boxed(),
        "u64" => any::<u64>().prop_map(|n| n.to_string()).boxed(),
        "time" | "clock" => "[01][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,10})?)?".boxed(),
        "money" => "[-+]?[0-9]{1,7}(\\.[0-9]{0,4})?".boxed(),
        _ => "[ -~]{0,12}|\\PC{0,8}|[a-z]{60,70}".boxed(),
    }
}

/// How a field is written.
#[derive(Debug, Clone, Copy)]
enum Written {
    AsItIs,
    Quoted,
    /// With quotes whether or not that is right.
    Raw,
}

fn field(number: usize) -> impl Strategy<Value = (String, Written)> {
    let text = prop_oneof![
        20 => fitting(number),
        3 => Just(String::new()),
        1 => select(&["NA", "1", "300", "-1", "70000", "5000000000", " 7", "23:60", "1.5",
            " ", " 5 ", "1e400", "-0", "NaN", "a\nb", "\r\n", "#", "\\", "\"",
            "a\"b", "'", "\0", "\u{feff}", "9223372036854775808", "a\rb", "\r"][..])
            .prop_map(str::to_owned),
        1 => "[ \"'\\\\,;#\r\na]{0,6}",
    ];
    let written = prop_oneof![
        5 => Just(Written::AsItIs), 4 => Just(Written::Quoted), 1 => Just(Written::Raw),
    ];
    (text, written)
}

fn write(dialect: &Dialect, text: &str, written: Written, out: &mut Vec<u8>) {
    let special =
        |b: u8| b == dialect.delimiter || Some(b) == dialect.quote || matches!(b, b'\r' | b'\n');
    let Some(quote) = dialect.quote else {
        let kept = text.bytes().filter(|&b| !special(b));
        out.extend(kept);
        return;
    };
    match written {
        Written::Raw => out.extend_from_slice(text.as_bytes()),
        Written::AsItIs if !text.bytes().any(special) => out.extend_from_slice(text.as_bytes()),
        _ => {
            out.push(quote);
            for b in text.bytes() {
                if b == quote || Some(b) == dialect.escape {
                    out.push(dialect.escape.unwrap_or(quote));
                }
                out.push(b);
            }
            out.push(quote);
        }
    }
}

prop_compose! {
    fn record()(
        fields in (0..NAMES.len()).map(field).collect::<Vec<_>>(),
        end in select(&["\n", "\n", "\r\n", "\n\n", "\r\n\r\n", "\r", "\n#x\"\n"][..]),
        more in 0u8..16,
    ) -> (Vec<(String, Written)>, &'static str, u8) {
        (fields, end, more)
    }
}

/// A dialect and a text in it, for the most part.
fn file() -> impl Strategy<Value = (Dialect, Vec<u8>)> {
    let harm = prop::option::weighted(0.2, (any::<usize>(), any::<u8>(), any::<bool>()));
    let records = prop::collection::vec(record(), 0..8);
    (dialect(), records, harm, any::<bool>()).prop_map(|(dialect, records, harm, cut)| {
        let mut text = Vec::new();
        for (fields, end, more) in &records {
            let count = match more {
                0 => fields.len() - 1,
                _ => fields.len(),
            };
            for (i, (field, written)) in fields[..count].iter().enumerate() {
                if i > 0 {
                    text.push(dialect.delimiter);
                }
                write(&dialect, field, *written, &mut text);
            }
            text.extend_from_slice(end.as_bytes());
        }
        if cut {
            text.pop();
        }
        if let Some((at, byte, insert)) = harm
            && !text.is_empty()
        {
            let at = at % text.len();
            if insert {
                text.insert(at, byte);
            } else {
                text[at] = byte;
            }
        }
        (dialect, text)
    })
}

type Step = Result<usize, Stop>;

/// What the parser that decides makes of a text: after each record what is behind, or why not.
fn decided(dialect: &Dialect, text: &[u8]) -> (Frame, Vec<Step>) {
    let schema = schema();
    let mut parser = CsvParser::new(Arc::clone(&schema), dialect.clone(), &NAMES).unwrap();
    let (mut frame, mut steps, mut at) = (Frame::new(&schema, 1000), Vec::new(), 0);
    while at < text.len() {
        let step = parser.slow(&whole(text), at, &mut frame);
        at = match &step {
            Ok(next) | Err(Stop::Bad { next, .. }) => *next,
            Err(stop) => panic!("{stop:?}"),
        };
        steps.push(step);
    }
    (frame, steps)
}

/// The fields of a record.
type Record = Vec<Vec<u8>>;

/// The records of a text as the splitter has them, unless something is bad.
fn records(dialect: &Dialect, text: &[u8]) -> Option<Vec<Record>> {
    let (mut fields, mut records, mut at) = (Fields::default(), vec![], 0);
    let grammar = Grammar::new(dialect);
    while at < text.len() {
        match split(&grammar, &whole(text), at, &mut fields).ok()? {
            Found::Empty(next) | Found::Nothing(next) => at = next,
            Found::Record(next) => {
                records.push(
                    (0..fields.len())
                        .map(|i| fields.get(i).0.to_vec())
                        .collect(),
                );
                at = next;
            }
        }
    }
    Some(records)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn quick_and_slow((dialect, text) in file(), rows_max in 1usize..6, cut in any::<usize>()) {
        let (want, steps) = decided(&dialect, &text);
        let mut errors = steps.iter().filter_map(|s| s.as_ref().err());
        let schema = schema();
        let mut parser = CsvParser::new(Arc::clone(&schema), dialect.clone(), &NAMES).unwrap();
        let mut frame = Frame::new(&schema, 1000);
        let cut = cut % (text.len() + 1);
        let (mut at, mut all) = (0, false);
        loop {
            let chunk = if all {
                whole(&text)
            } else {
                Chunk { bytes: &text[..cut], begin_before: cut, tail: Tail::Cut }
            };
            let mut part = Frame::new(&schema, rows_max);
            let parsed = parser.parse_chunk(&chunk, at, &mut part);
            prop_assert_eq!(parsed.rows, part.rows());
            prop_assert_eq!(parser.starts().len(), part.rows());
            frame.append_rows(&part, &(0..part.rows() as u32).collect::<Vec<_>>());
            prop_assert!(parsed.at >= at && parsed.at <= chunk.bytes.len());
            at = parsed.at;
            match parsed.stop {
                Stop::FrameFull => prop_assert_eq!(part.rows(), rows_max),
                Stop::ChunkDone if all => break,
                Stop::ChunkDone | Stop::NeedsMore => all = true,
                stop => {
                    prop_assert_eq!(Some(&stop), errors.next());
                    let Stop::Bad { next, .. } = stop else { unreachable!() };
                    prop_assert!(next > at);
                    at = next;
                }
            }
        }
        prop_assert_eq!(errors.next(), None);
        prop_assert_eq!(rows(&frame), rows(&want));
    }

    #[test]
    fn record_by_record((dialect, text) in file()) {
        let schema = schema();
        let open = || CsvParser::new(Arc::clone(&schema), dialect.clone(), &NAMES).unwrap();
        let (mut quick, mut slow) = (open(), open());
        let mut frames = [0; 2].map(|_| Frame::new(&schema, 1000));
        for line in text.split_inclusive(|&b| b == b'\n') {
            let got = quick.parse_record(line, &mut frames[0]);
            prop_assert_eq!(got, slow.parse_slowly(line, &mut frames[1]));
        }
        prop_assert_eq!(rows(&frames[0]), rows(&frames[1]));
    }

    #[test]
    fn the_csv_crate_reads_the_same((dialect, text) in file()) {
        // It skips a mark of byte order and trims otherwise.
        let known = dialect.blanks == Blanks::Keep && !text.starts_with(b"\xef\xbb\xbf");
        // A comment that ends with the file is an empty record to it.
        let last = text.rsplit(|&b| b == b'\n').next().unwrap();
        let known = known && (dialect.comment.is_none() || !last.starts_with(b"#"));
        let Some(records) = records(&dialect, &text).filter(|_| known) else {
            return Ok(());
        };
        let terminator = match dialect.terminator {
            Terminator::LfOrCrLf => ::csv::Terminator::CRLF,
            Terminator::Lf => ::csv::Terminator::Any(b'\n'),
        };
        let mut reader = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(dialect.delimiter)
            .quote(dialect.quote.unwrap_or(b'"'))
            .quoting(dialect.quote.is_some())
            .escape(dialect.escape_byte())
            .comment(dialect.comment)
            .terminator(terminator)
            .from_reader(&text[..]);
        let theirs: Vec<Record> = reader
            .byte_records()
            .map(|r| r.unwrap().iter().map(<[u8]>::to_vec).collect())
            .collect();
        prop_assert_eq!(records, theirs);
    }

    /// Also where something is bad.
    #[test]
    fn records_begin_where_quotes_say((dialect, text) in file()) {
        let (_, steps) = decided(&dialect, &text);
        let ends = steps.iter().map(|step| match step {
            Ok(next) | Err(Stop::Bad { next, .. }) => *next,
            Err(stop) => panic!("{stop:?}"),
        });
        let starts: Vec<_> = std::iter::once(0).chain(ends).collect();
        let grammar = Grammar::new(&dialect);
        for cut in 0..text.len() {
            let place = grammar.effect(&text[..cut]).after(Place::Begin);
            let first = grammar.first_record(&text[cut..], place).map(|at| cut + at);
            let want = starts.iter().copied().find(|&start| start >= cut);
            let inside = |at: &usize| *at < text.len();
            prop_assert_eq!(first.filter(inside), want.filter(inside), "cut at {}", cut);
        }
        for pair in starts.windows(2) {
            prop_assert_eq!(pair[0] + grammar.behind_record(&text[pair[0]..]), pair[1]);
        }
    }

    #[test]
    fn effects_of_parts_are_those_of_the_whole((dialect, text) in file(), cut in any::<usize>()) {
        let grammar = Grammar::new(&dialect);
        let (head, tail) = text.split_at(cut % (text.len() + 1));
        let (head, tail, whole) = (
            grammar.effect(head),
            grammar.effect(tail),
            grammar.effect(&text),
        );
        for place in Place::ALL {
            prop_assert_eq!(tail.after(head.after(place)), whole.after(place));
            let steps = text.iter().fold(place, |place, &byte| grammar.step(place, byte));
            prop_assert_eq!(whole.after(place), steps);
        }
        prop_assert_eq!(Effect::from_bits(whole.to_bits()), whole);
        prop_assert_ne!(whole.to_bits(), 0);
    }
}
