//! Frames of all types there and back, what is no frame, and what is no value.

use arrow_schema::{DataType, TimeUnit};

use super::*;
use crate::column::Column;
use crate::column::random::{Dice, push, types};

fn flat() -> Vec<Field> {
    let fits = |t: &DataType| TypeCode::of(t).is_some();
    let types = types().into_iter().filter(fits).enumerate();
    types
        .map(|(at, t)| Field::new(format!("c{at}"), t))
        .collect()
}

fn frame(fields: &[Field], rows: usize, nulls: u64) -> Frame {
    let schema = Schema::new(fields.to_vec());
    let (mut frame, mut dice) = (Frame::new(&schema, rows.max(1)), Dice(rows as u64));
    for _ in 0..rows {
        for (column, field) in frame.columns.iter_mut().zip(fields) {
            push(column, &field.data_type, &mut dice, 40, nulls);
        }
        frame.commit_rows(1);
    }
    frame
}

/// A frame of these rows as it is behind who looked at it: `skip` rows were there before.
fn message(frame: &Frame, rows: Range<usize>, skip: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_columns(frame, rows.clone(), rows.start as u64 + 1, &mut bytes);
    let length = (bytes.len() - ENVELOPE_BYTES) as u32;
    bytes[..8].copy_from_slice(&skip.to_le_bytes());
    bytes[8..ENVELOPE_BYTES].copy_from_slice(&length.to_le_bytes());
    bytes
}

fn parser(fields: &[Field], wanted: &[Field]) -> BinaryParser {
    BinaryParser::new(&Schema::new(wanted.to_vec()), fields.into()).unwrap()
}

/// All rows of some bytes by frames of so many rows, with their numbers, and what was bad.
fn parse(
    (parser, wanted): (&mut BinaryParser, &[Field]),
    bytes: &[u8],
    rows_max: usize,
) -> (Frame, Vec<u64>, Vec<(u64, String)>) {
    let schema = Schema::new(wanted.to_vec());
    let mut all = Frame::new(&schema, bytes.len().max(1));
    let mut frame = Frame::new(&schema, rows_max);
    let (mut at, mut numbers, mut bad) = (0, Vec::new(), Vec::new());
    loop {
        let chunk = Chunk {
            bytes,
            begin_before: bytes.len(),
            tail: Tail::End,
        };
        let parsed = parser.parse_chunk(&chunk, at, &mut frame);
        assert_eq!(parsed.rows, frame.rows());
        for start in parser.starts() {
            let number = parser.number(*start).unwrap();
            assert_eq!(place(bytes, *start).unwrap().number, number);
            numbers.push(number);
        }
        all.append_range(&frame, 0..frame.rows());
        frame.clear();
        at = match parsed.stop {
            Stop::ChunkDone => break,
            Stop::FrameFull => parsed.at,
            Stop::Bad { next, message } => {
                bad.push((place(bytes, parsed.at).unwrap().number, message));
                next
            }
            Stop::NeedsMore => panic!("all is there"),
        };
    }
    parser.forget(bytes.len());
    (all, numbers, bad)
}

#[test]
fn values_of_all_types_go_through() {
    let fields = flat();
    assert!(fields.len() >= 24, "{}", fields.len());
    for nulls in [0, 3, 10] {
        let rows = 300;
        let want = frame(&fields, rows, nulls);
        for step in [1, 7, 64, 300] {
            let starts = (0..rows).step_by(step);
            let messages = starts.map(|at| message(&want, at..rows.min(at + step), 0));
            let bytes = messages.collect::<Vec<_>>().concat();
            assert_eq!(frames(&bytes), rows.div_ceil(step) as u64);
            for rows_max in [1, 7, 1024] {
                let mut parser = parser(&fields, &fields);
                let (got, numbers, bad) = parse((&mut parser, &fields), &bytes, rows_max);
                assert!(bad.is_empty(), "{bad:?}");
                assert_eq!(numbers, (1..=rows as u64).collect::<Vec<_>>());
                for ((got, want), field) in got.columns.iter().zip(&want.columns).zip(&fields) {
                    let [got, want] = [got, want].map(|c| c.to_array(&field.data_type));
                    assert_eq!(&got, &want, "{}: frames of {step}", field.data_type);
                }
            }
        }
    }
}

#[test]
fn columns_that_nobody_wants_and_rows_that_were_there_are_left_out() {
    let fields = flat();
    let want = frame(&fields, 50, 2);
    let bytes = [
        message(&want, 0..20, 20),
        message(&want, 10..30, 10),
        message(&want, 30..30, 0),
        message(&want, 30..50, 0),
    ]
    .concat();
    for wanted in [[13, 1], [0, 14], [7, 3]] {
        let some: Vec<Field> = wanted.iter().map(|at| fields[*at].clone()).collect();
        let mut parser = parser(&fields, &some);
        let (got, numbers, bad) = parse((&mut parser, &some), &bytes, 9);
        assert!(bad.is_empty(), "{bad:?}");
        assert_eq!(numbers, (21..=50).collect::<Vec<_>>());
        assert_eq!((parser.take_repeated(), parser.take_repeated()), (30, 0));
        for (at, field) in some.iter().enumerate() {
            let whole = want.columns[wanted[at]].to_array(&field.data_type);
            let got = got.columns[at].to_array(&field.data_type);
            assert_eq!(&got, &whole.slice(20, 30), "{}", field.data_type);
        }
    }
}

/// What was read of a frame is read again where its rows were refused by others.
#[test]
fn one_can_go_back_within_a_frame() {
    let fields = [Field::new("s", DataType::Utf8)];
    let want = frame(&fields, 40, 1);
    let bytes = message(&want, 0..40, 0);
    let mut parser = parser(&fields, &fields);
    let mut frame = Frame::new(&Schema::new(fields.to_vec()), 16);
    let chunk = Chunk {
        bytes: &bytes,
        begin_before: bytes.len(),
        tail: Tail::Cut,
    };
    for at in [0, 5, 20, 3, 39, 30] {
        frame.clear();
        let parsed = parser.parse_chunk(&chunk, at, &mut frame);
        let rows = 16.min(40 - at);
        assert_eq!(
            (parsed.rows, parser.number(at)),
            (rows, Some(at as u64 + 1))
        );
        let got = frame.columns[0].to_array(&DataType::Utf8);
        assert_eq!(
            &got,
            &want.columns[0].to_array(&DataType::Utf8).slice(at, rows)
        );
    }
}

/// A frame of one column as others write it.
fn by_hand(nulls: Option<&[u8]>, values: &[&[u8]], rows: u32) -> Vec<u8> {
    let mut bytes = vec![0; ENVELOPE_BYTES];
    bytes.extend([RECORDS, 0, 0, 0]);
    bytes.extend(rows.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    bytes.push(u8::from(nulls.is_some()));
    bytes.extend(nulls.unwrap_or_default());
    values.iter().for_each(|value| bytes.extend(*value));
    let length = (bytes.len() - ENVELOPE_BYTES) as u32;
    bytes[8..ENVELOPE_BYTES].copy_from_slice(&length.to_le_bytes());
    bytes
}

#[test]
fn values_that_cannot_be_are_bad_records() {
    let not_null = |t| Field {
        nullable: false,
        ..Field::new("c", t)
    };
    let json = Field {
        json: true,
        ..Field::new("c", DataType::Utf8)
    };
    let short = Field {
        length_max: Some(2),
        ..Field::new("c", DataType::Utf8)
    };
    let text = |texts: [&[u8]; 3]| {
        let lengths = texts.map(|t| (t.len() as u32).to_le_bytes()).concat();
        [lengths, texts.concat()].concat()
    };
    let longs = |numbers: [i64; 3]| numbers.map(i64::to_le_bytes).concat();
    let decimals = |numbers: [i128; 3]| numbers.map(i128::to_le_bytes).concat();
    for (field, nulls, values, why) in [
        (
            Field::new("c", DataType::Boolean),
            None,
            vec![1, 2, 0],
            "a BOOLEAN is 0 or 1",
        ),
        (
            not_null(DataType::Int8),
            Some(&[5][..]),
            vec![1, 2, 3],
            "null where null cannot be",
        ),
        (
            Field::new("c", DataType::Time64(TimeUnit::Microsecond)),
            None,
            longs([0, 86_400_000_000, 86_399_999_999]),
            "a TIME is within a day",
        ),
        (
            Field::new("c", DataType::Time64(TimeUnit::Nanosecond)),
            None,
            longs([0, -1, 1]),
            "a TIME is within a day",
        ),
        (
            Field::new("c", DataType::Decimal128(3, 1)),
            None,
            decimals([999, -1000, -999]),
            "it has more digits than the DECIMAL",
        ),
        (
            Field::new("c", DataType::Utf8),
            None,
            text([b"a", b"\xff\xfe", "\u{fc}".as_bytes()]),
            "invalid utf-8",
        ),
        (
            json,
            None,
            text([b"{}", b"{", b"\"a\""]),
            "expected JSON, found \"{\"",
        ),
        (
            short,
            None,
            text([b"", b"abc", "\u{fc}\u{fc}".as_bytes()]),
            "\"abc\" is too long for VARCHAR(2)",
        ),
    ] {
        let fields = [field];
        let bytes = by_hand(nulls, &[&values], 3);
        check_frame(&fields, &bytes).unwrap();
        for rows_max in [1, 2, 10] {
            let mut parser = parser(&fields, &fields);
            let (got, numbers, bad) = parse((&mut parser, &fields), &bytes, rows_max);
            assert_eq!((got.rows(), &numbers[..]), (2, &[1, 3][..]));
            assert_eq!(bad, [(2, format!("column c: {why}"))]);
        }
    }
}

/// What lies in the place of a NULL is anything, and is not kept.
#[test]
fn nothing_of_a_null_is_kept() {
    let text = |texts: [&[u8]; 3]| {
        let lengths = texts.map(|t| (t.len() as u32).to_le_bytes()).concat();
        [lengths, texts.concat()].concat()
    };
    let fields = [Field::new("c", DataType::Utf8)];
    type Bytes = &'static [u8];
    let cases: [(u8, [Bytes; 3], Bytes); 3] = [
        (0b101, [b"a", b"\xff\xff", b"c"], b"ac"),
        (0b101, [b"a", b"b", b"c"], b"ac"),
        // Together they are a letter.
        (0b001, [b"a", b"\xc3", b"\xbc"], b"a"),
    ];
    for (bits, texts, want) in cases {
        let bytes = by_hand(Some(&[bits]), &[&text(texts)], 3);
        let (got, _, bad) = parse((&mut parser(&fields, &fields), &fields), &bytes, 10);
        let Column::Utf8(texts) = &got.columns[0] else {
            panic!("it is VARCHAR")
        };
        let got = (texts.data(), texts.get(1), bad.len());
        assert_eq!(got, (want, None, 0));
    }
}

/// Whatever the bytes are, they are refused or are a frame, and nothing is read behind them.
#[test]
fn frames_that_are_none_are_refused() {
    let fields = flat();
    let frame = frame(&fields, 9, 3);
    let sound = message(&frame, 0..9, 0);
    assert_eq!(check_frame(&fields, &sound).unwrap().rows, 9);
    for end in 0..sound.len() {
        assert!(check_frame(&fields, &sound[..end]).is_err(), "{end} bytes");
    }
    for (at, with) in (ENVELOPE_BYTES..sound.len()).flat_map(|at| [1, 0x80, 0xff].map(|w| (at, w)))
    {
        let mut bytes = sound.clone();
        bytes[at] ^= with;
        if check_frame(&fields, &bytes).is_ok() {
            // What is one is read to its end.
            parse((&mut parser(&fields, &fields), &fields), &bytes, 7);
        }
    }
    let list = Field::new("l", DataType::new_list(DataType::Int8, true));
    let refused = check_column(&list).unwrap_err();
    assert_eq!(
        refused,
        "column l: TINYINT[] is not read from format 'binary'"
    );
}

/// Texts do not make a frame longer than it may be.
#[test]
fn long_texts_are_divided() {
    let fields = [Field::new("s", DataType::Utf8)];
    let schema = Schema::new(fields.to_vec());
    let mut want = Frame::new(&schema, 40);
    for _ in 0..40 {
        let Column::Utf8(c) = &mut want.columns[0] else {
            panic!("it is VARCHAR")
        };
        c.push(Some(&"x".repeat(FRAME_BYTES / 8)));
        want.commit_rows(1);
    }
    let bytes = message(&want, 0..40, 0);
    let mut parser = parser(&fields, &fields);
    let mut frame = Frame::new(&schema, 1024);
    let chunk = Chunk {
        bytes: &bytes,
        begin_before: bytes.len(),
        tail: Tail::End,
    };
    let parsed = parser.parse_chunk(&chunk, 0, &mut frame);
    assert_eq!((parsed.rows, parsed.stop), (8, Stop::FrameFull));
}
