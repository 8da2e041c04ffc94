//! Keys that are equal hash alike, on all machines and for ever.

use std::sync::Arc;

use super::*;
use crate::schema::Field;
use arrow_schema::TimeUnit;
use proptest::prelude::*;

type Row = (Option<i64>, Option<f64>, Option<String>);

fn hashes(rows: &[Row]) -> Vec<u64> {
    let schema = Schema::new(vec![
        Field::new("i", DataType::Int64),
        Field::new("f", DataType::Float64),
        Field::new("s", DataType::Utf8),
    ]);
    let mut frame = Frame::new(&schema, rows.len().max(1));
    for (i, f, s) in rows {
        let [Column::I64(a), Column::F64(b), Column::Utf8(c)] = &mut frame.columns[..] else {
            panic!("columns of another type")
        };
        a.push(*i);
        b.push(*f);
        c.push(s.as_deref());
    }
    frame.commit_rows(rows.len());
    let mut out = Vec::new();
    hash_keys(&frame, &schema, &[0, 1, 2], 7, &mut out);
    out
}

#[test]
fn vectors_are_pinned() {
    let text = |s: &str| Some(s.to_owned());
    let rows = [
        (Some(0), Some(0.0), text("")),
        (Some(1), Some(-0.0), text("a")),
        (None, None, None),
        (Some(-1), Some(f64::NAN), text("twelve bytes")),
    ];
    assert_eq!(hashes(&rows), PINNED);
}

const PINNED: [u64; 4] = [
    8_194_558_813_822_689_384,
    11_509_337_150_047_812_249,
    6_679_892_221_688_835_340,
    12_632_387_335_307_330_498,
];

#[test]
fn units_of_time_do_not_matter() {
    let mut all = Vec::new();
    for (unit, value) in [(TimeUnit::Second, 5), (TimeUnit::Microsecond, 5_000_000)] {
        let schema = Schema::new(vec![Field::new("t", DataType::Timestamp(unit, None))]);
        let mut frame = Frame::new(&schema, 1);
        if let Column::I64(c) = &mut frame.columns[0] {
            c.push(Some(value));
        }
        frame.commit_rows(1);
        let mut out = Vec::new();
        hash_keys(&frame, &schema, &[0], 1, &mut out);
        all.push(out);
    }
    assert_eq!(all[0], all[1]);
}

#[test]
fn shards_get_even_shares() {
    for stride in [1i64, 64, 1 << 20, 1 << 40] {
        for shards in [1, 3, 8, 64] {
            let rows: Vec<Row> = (0..20_000)
                .map(|i: i64| (Some(i.wrapping_mul(stride)), None, None))
                .collect();
            let mut counts = vec![0usize; shards];
            for hash in hashes(&rows) {
                counts[owner(hash, shards)] += 1;
            }
            let even = rows.len() / shards;
            assert!(
                counts.iter().all(|&c| c > even / 2 && c < even * 2),
                "{counts:?}"
            );
        }
    }
}

proptest! {
    #[test]
    fn equal_keys_hash_alike(
        row in any::<Row>(),
        before in prop::collection::vec(any::<Row>(), 0..9),
    ) {
        let alone = hashes(std::slice::from_ref(&row));
        let mut other = row.clone();
        other.1 = other.1.map(|f| if f.is_nan() || f == 0.0 { -f } else { f });
        let mut rows = before;
        rows.push(other);
        let last = hashes(&rows).last().copied();
        prop_assert_eq!(last, alone.first().copied());
    }
}

/// The hash of one value in a column of its own.
fn hash_of(t: &DataType, push: impl FnOnce(&mut Column)) -> u64 {
    let schema = Schema::new(vec![Field::new("v", t.clone())]);
    let mut frame = Frame::new(&schema, 1);
    push(&mut frame.columns[0]);
    frame.commit_rows(1);
    let mut out = Vec::new();
    hash_keys(&frame, &schema, &[0], 7, &mut out);
    out[0]
}

macro_rules! one {
    ($t:expr, $variant:ident, $value:expr) => {
        hash_of(&$t, |column| match column {
            Column::$variant(c) => c.push(Some($value)),
            other => panic!("a column of {:?}", other.physical()),
        })
    };
}

fn list(t: DataType) -> DataType {
    DataType::List(Arc::new(arrow_schema::Field::new("item", t, true)))
}

/// The list of the integers 1 and NULL.
fn list_of_two(column: &mut Column) {
    let Column::List(lists) = column else {
        panic!("a list")
    };
    match &mut *lists.values {
        Column::I32(c) => [Some(1), None].map(|v| c.push(v)),
        other => panic!("a list of {:?}", other.physical()),
    };
    lists.seal(true);
}

/// The struct of 1 and 'a'.
fn struct_of_two(column: &mut Column) {
    let Column::Struct(structs) = column else {
        panic!("a struct")
    };
    match &mut structs.fields[..] {
        [Column::I32(a), Column::Utf8(b)] => {
            a.push(Some(1));
            b.push(Some("a"));
        }
        other => panic!("a struct of {other:?}"),
    }
    structs.validity.push(true);
}

/// The vectors of docs/format.md: what a key hashes to never changes.
fn vectors() -> Vec<(&'static str, u64)> {
    use DataType::*;
    let pair = Struct(
        vec![
            arrow_schema::Field::new("a", Int32, true),
            arrow_schema::Field::new("b", Utf8, true),
        ]
        .into(),
    );
    let interval = Interval(arrow_schema::IntervalUnit::MonthDayNano);
    vec![
        ("NULL", hash_of(&Boolean, Column::push_null)),
        ("TRUE", one!(Boolean, Bool, true)),
        ("TINYINT 7", one!(Int8, I8, 7)),
        ("BIGINT -1", one!(Int64, I64, -1)),
        (
            "BIGINT UNSIGNED 18446744073709551615",
            one!(UInt64, U64, u64::MAX),
        ),
        ("DOUBLE 0", one!(Float64, F64, -0.0)),
        ("FLOAT NaN", one!(Float32, F32, f32::NAN)),
        ("DATE 2023-09-18", one!(Date32, I32, 19_618)),
        ("TIME 00:00:01", one!(Time32(TimeUnit::Second), I32, 1)),
        (
            "TIMESTAMP 1970-01-01T00:00:01",
            one!(Timestamp(TimeUnit::Second, None), I64, 1),
        ),
        ("DECIMAL 0.00", one!(Decimal128(10, 2), I128, 0)),
        ("DECIMAL 1.50", one!(Decimal128(10, 2), I128, 150)),
        ("DECIMAL 300", one!(Decimal128(10, 0), I128, 300)),
        (
            "INTERVAL 1 month -2 days 3 nanoseconds",
            one!(interval, Interval, crate::column::Interval::new(1, -2, 3)),
        ),
        ("'a'", one!(Utf8, Utf8, "a")),
        ("'twelve bytes'", one!(Utf8, Utf8, "twelve bytes")),
        ("BINARY 00ff", one!(Binary, Binary, &[0u8, 255][..])),
        (
            "[]",
            hash_of(&list(Int32), |c| {
                if let Column::List(c) = c {
                    c.seal(true)
                }
            }),
        ),
        ("[1, NULL]", hash_of(&list(Int32), list_of_two)),
        ("{a: 1, b: 'a'}", hash_of(&pair, struct_of_two)),
    ]
}

#[test]
fn vectors_are_those_of_the_documentation() {
    let page = include_str!("../../../docs/format.md");
    let missing: Vec<String> = vectors()
        .into_iter()
        .map(|(value, hash)| format!("| {value} | {hash:#018x} |"))
        .filter(|line| !page.contains(line.as_str()))
        .collect();
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[test]
fn width_unit_and_scale_do_not_matter() {
    use DataType::*;
    let same = |hashes: &[u64]| assert!(hashes.iter().all(|h| *h == hashes[0]), "{hashes:?}");
    same(&[
        one!(Int8, I8, 7),
        one!(Int16, I16, 7),
        one!(Int32, I32, 7),
        one!(Int64, I64, 7),
        one!(UInt8, U8, 7),
        one!(UInt16, U16, 7),
        one!(UInt32, U32, 7),
        one!(UInt64, U64, 7),
    ]);
    same(&[one!(Int8, I8, -7), one!(Int64, I64, -7)]);
    same(&[one!(Float32, F32, 1.5), one!(Float64, F64, 1.5)]);
    same(&[one!(Float32, F32, -0.0), one!(Float64, F64, 0.0)]);
    same(&[one!(Float32, F32, -f32::NAN), one!(Float64, F64, f64::NAN)]);
    same(&[
        one!(Decimal128(10, 2), I128, 150),
        one!(Decimal128(38, 1), I128, 15),
        one!(Decimal128(38, 30), I128, 15 * 10i128.pow(29)),
    ]);
    same(&[
        one!(Decimal128(10, 2), I128, 0),
        one!(Decimal128(10, 9), I128, 0),
    ]);
    same(&[
        one!(Time32(TimeUnit::Millisecond), I32, 5000),
        one!(Time64(TimeUnit::Nanosecond), I64, 5_000_000_000),
    ]);
    assert_ne!(
        one!(Decimal128(10, 2), I128, 150),
        one!(Decimal128(10, 2), I128, 15)
    );
}

#[test]
fn the_rest_of_a_value_is_its_last_bytes_with_zeros_behind() {
    let all: Vec<u8> = (1..=40).map(|b| b * 6).collect();
    for len in 0..=all.len() {
        let tail = &all[len - len % 8..len];
        let mut padded = [0; 8];
        padded[..tail.len()].copy_from_slice(tail);
        assert_eq!(rest(&all[..len]), u64::from_le_bytes(padded), "{len} bytes");
    }
}
