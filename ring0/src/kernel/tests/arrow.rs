//! Casts and operations of every type against Arrow's own kernels, which DataFusion runs.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};

use super::*;
use crate::column::random::{self, texts, types};
use crate::schema::unit_nanos;

fn frame_of(columns: Vec<(DataType, Column)>) -> (Schema, Frame) {
    let fields = columns.iter().map(|(t, _)| Field::new("c", t.clone()));
    let schema = Schema::new(fields.collect());
    let rows = columns[0].1.len();
    let mut frame = Frame::new(&schema, rows.max(1));
    frame.columns = columns.into_iter().map(|(_, c)| c).collect();
    frame.commit_rows(rows);
    (schema, frame)
}

fn column_of(array: &ArrayRef) -> Column {
    let mut column = Column::of(array.data_type());
    column.append_array(array, 0..array.len());
    column
}

fn flat_types() -> Vec<DataType> {
    let nested = |t: &DataType| matches!(t, DataType::List(_) | DataType::Struct(_));
    types().into_iter().filter(|t| !nested(t)).collect()
}

/// Casts all values, those that fail to NULL, and says which rows err in a CAST.
fn check_column(from: &DataType, column: &Column, to: &DataType) {
    let (schema, frame) = frame_of(vec![(from.clone(), column.clone())]);
    let inner = Box::new(Expr::Column(0));
    let mut cast = Evaluator::new(&Expr::TryCast(inner.clone(), to.clone()), &schema).unwrap();
    let got = texts(cast.evaluate(&frame).unwrap());
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let array = column.to_array(from);
    let want = texts(&column_of(
        &cast_with_options(&array, to, &options).unwrap(),
    ));
    let before = texts(column);
    for (row, (got, want)) in got.iter().zip(&want).enumerate() {
        assert_eq!(got, want, "{} of {from} as {to}", before[row]);
    }
    let lost = (0..got.len()).find(|&row| got[row] == "NULL" && before[row] != "NULL");
    let mut cast = Evaluator::new(&Expr::Cast(inner, to.clone()), &schema).unwrap();
    let error = cast.evaluate(&frame).err().map(|e| e.row as usize);
    assert_eq!(error, lost, "the first row that errs of {from} as {to}");
}

#[test]
fn casts_are_those_of_arrow() {
    let mut dice = random::Dice(11);
    let mut checked = 0;
    for from in flat_types() {
        let column = random::column(&from, &mut dice, 300, 1);
        for to in flat_types().into_iter().filter(|to| castable(&from, to)) {
            assert!(can_cast_types(&from, &to), "{from} as {to}");
            // Arrow prints a fraction of a second that no clock has; what was text is below.
            if from == DataType::Utf8 {
                continue;
            }
            check_column(&from, &column, &to);
            checked += 1;
        }
    }
    assert!(checked > 250, "{checked} casts");
}

#[test]
fn texts_are_read_as_arrow_reads_them() {
    let mut strings = crate::column::Strings::default();
    let plain = [
        "",
        "0",
        "-1",
        "+7",
        "127",
        "128",
        "-129",
        "255",
        "256",
        "65536",
        "4294967296",
        "1.5",
        ".5",
        "-0.0",
        "1e3",
        "1e400",
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "9223372036854775807",
        "18446744073709551615",
        "18446744073709551616",
        "true",
        "F",
        "yes",
        "of",
        "x",
        "1x",
        "12:34:56",
        "12:34:56.789",
        "2023-09-18",
        "2023-09-18T14:00:00",
        "2023-09-18 14:00:00.123",
    ];
    plain.iter().for_each(|t| strings.push(Some(t)));
    let column = Column::Utf8(strings);
    for to in flat_types()
        .into_iter()
        .filter(|t| castable(&DataType::Utf8, t))
    {
        // What Arrow does otherwise: decimals of text have no exponent, and it has looser times.
        let exempt = matches!(to, DataType::Decimal128(..)) || to.is_temporal();
        if !exempt {
            check_column(&DataType::Utf8, &column, &to);
        }
    }
    for from in flat_types() {
        let (there, back) = ((&from, &DataType::Utf8), (&DataType::Utf8, &from));
        if !castable(there.0, there.1) || !castable(back.0, back.1) {
            continue;
        }
        let column = random::column(&from, &mut random::Dice(5), 200, 1);
        let array = arrow_cast::cast(&column.to_array(&from), &DataType::Utf8).unwrap();
        check_column(&DataType::Utf8, &column_of(&array), &from);
    }
}

/// A point in time has a day, and an hour may be one digit.
#[test]
fn looser_days_and_times_are_read() {
    let mut strings = crate::column::Strings::default();
    let given = [
        "2023-09-18T14:00:00.5",
        "1969-12-31 23:59:59",
        "2:00",
        "2:03:04.5",
        "22:00",
        "24:00",
        "2:0",
        "2023-09-18T",
    ];
    given.iter().for_each(|t| strings.push(Some(t)));
    let column = Column::Utf8(strings);
    check_column(&DataType::Utf8, &column, &DataType::Date32);
    let nanos = DataType::Time64(arrow_schema::TimeUnit::Nanosecond);
    let (schema, frame) = frame_of(vec![(DataType::Utf8, column)]);
    let cast = Expr::TryCast(Box::new(Expr::Column(0)), nanos);
    let mut cast = Evaluator::new(&cast, &schema).unwrap();
    let second = 1_000_000_000;
    let want = [
        None,
        None,
        Some(7200 * second),
        Some(7384 * second + second / 2),
        Some(79_200 * second),
        None,
        None,
        None,
    ];
    let mut times = Column::of(&DataType::Int64);
    let Column::I64(expected) = &mut times else {
        unreachable!("BIGINT is eight bytes")
    };
    want.into_iter().for_each(|t| expected.push(t));
    assert_eq!(texts(cast.evaluate(&frame).unwrap()), texts(&times));
}

type Kernel = fn(
    &dyn arrow_array::Datum,
    &dyn arrow_array::Datum,
) -> Result<ArrayRef, arrow_schema::ArrowError>;

fn check_operation(
    op: BinaryOp,
    kernel: Kernel,
    left: (&DataType, &Column),
    right: (&DataType, &Column),
) {
    let columns = [left, right].map(|(t, c)| (t.clone(), c.clone()));
    let (schema, frame) = frame_of(columns.into());
    let expr = Expr::Binary(op, Box::new(Expr::Column(0)), Box::new(Expr::Column(1)));
    let mut ours = Evaluator::new(&expr, &schema).unwrap();
    let (l, r) = (left.1.to_array(left.0), right.1.to_array(right.0));
    ours.run(&frame);
    let failed = ours.failures.take();
    for row in 0..frame.rows() {
        let got = match failed.iter().find(|error| error.row == row as u32) {
            None => Ok(random::text(ours.root.column(&frame), row)),
            Some(error) => Err(error),
        };
        let (l, r) = (l.slice(row, 1), r.slice(row, 1));
        let want = kernel(&l, &r).ok().map(|array| {
            assert_eq!(*array.data_type(), expr.data_type(&schema), "{op:?}");
            random::text(&column_of(&array), 0)
        });
        match (got, want) {
            (Ok(got), Some(want)) => assert_eq!(got, want, "{op:?} of {l:?} and {r:?}"),
            (Err(_), None) => {}
            // Arrow lets a decimal have more digits than its type.
            (Err(e), Some(want)) if e.message.starts_with("DECIMAL out of range") => {
                let digits = want.trim_start_matches('-').len();
                let DataType::Decimal128(p, _) = expr.data_type(&schema) else {
                    panic!("no decimal")
                };
                assert!(digits > usize::from(p), "{want} has {digits} digits of {p}");
            }
            (got, want) => panic!("{got:?}, want {want:?}: {op:?} of {l:?} and {r:?}"),
        }
    }
}

#[test]
fn arithmetic_is_that_of_arrow() {
    use BinaryOp::{Add, Div, Mul, Rem, Sub};
    use arrow_arith::numeric::{add, div, mul, rem, sub};
    let decimal = |p, s| DataType::Decimal128(p, s);
    let numbers = flat_types().into_iter().filter(|t| t.is_numeric());
    let mut pairs: Vec<_> = numbers.map(|t| (t.clone(), t)).collect();
    pairs.extend([
        (decimal(10, 3), decimal(38, 0)),
        (decimal(10, 0), decimal(12, 7)),
        (decimal(5, 5), decimal(20, 2)),
        (decimal(38, 36), decimal(38, 2)),
    ]);
    let mut dice = random::Dice(3);
    for (l, r) in pairs {
        let (left, right) = (
            random::column(&l, &mut dice, 250, 1),
            random::column(&r, &mut dice, 250, 1),
        );
        for (op, kernel) in [
            (Add, add as Kernel),
            (Sub, sub),
            (Mul, mul),
            (Div, div),
            (Rem, rem),
        ] {
            check_operation(op, kernel, (&l, &left), (&r, &right));
        }
    }
}

#[test]
fn times_and_intervals_are_added_as_in_arrow() {
    use DataType::{Date32, Duration, Interval, Timestamp};
    use arrow_arith::numeric::{add, sub};
    let interval = || Interval(arrow_schema::IntervalUnit::MonthDayNano);
    let units = [
        TimeUnit::Second,
        TimeUnit::Millisecond,
        TimeUnit::Microsecond,
        TimeUnit::Nanosecond,
    ];
    let mut pairs = vec![(Date32, interval()), (interval(), interval())];
    for unit in units {
        pairs.push((Timestamp(unit, None), interval()));
        pairs.push((Timestamp(unit, None), Duration(unit)));
        pairs.push((Duration(unit), Duration(unit)));
    }
    let mut dice = Dice(6);
    let mut column = |t: &DataType| {
        let mut column = Column::of(t);
        for _ in 0..400 {
            let any = |dice: &mut Dice, n: usize| dice.roll(2 * n) as i64 - n as i64;
            match (&mut column, t) {
                (c, _) if dice.roll(10) == 0 => c.push_null(),
                (Column::I32(c), _) => c.push(Some(any(&mut dice, 200_000) as i32)),
                (Column::I64(c), Timestamp(unit, _)) => {
                    let second = 1_000_000_000 / unit_nanos(*unit);
                    let seconds = any(&mut dice, 4_000_000_000);
                    c.push(Some(seconds * second + any(&mut dice, 1000)));
                }
                (Column::I64(c), _) => c.push(Some(any(&mut dice, 1 << 40))),
                (Column::Interval(c), _) => {
                    let great = if dice.roll(8) == 0 { 1 << 30 } else { 300 };
                    let (months, days) = (any(&mut dice, great), any(&mut dice, great));
                    let nanos = any(&mut dice, 1 << 52);
                    c.push(Some(crate::column::Interval::new(
                        months as i32,
                        days as i32,
                        nanos,
                    )));
                }
                (c, _) => panic!("{:?}", c.physical()),
            }
        }
        column
    };
    for (l, r) in pairs {
        let (left, right) = (column(&l), column(&r));
        check_operation(BinaryOp::Add, add, (&l, &left), (&r, &right));
        check_operation(BinaryOp::Sub, sub, (&l, &left), (&r, &right));
        if l != r {
            check_operation(BinaryOp::Add, add, (&r, &right), (&l, &left));
        }
        if matches!(l, Timestamp(..)) {
            let other = column(&l);
            check_operation(BinaryOp::Sub, sub, (&l, &left), (&l, &other));
        }
    }
}

#[test]
fn comparisons_are_those_of_arrow() {
    use BinaryOp::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    use arrow_ord::cmp;
    let mut dice = random::Dice(4);
    type Compare = fn(
        &dyn arrow_array::Datum,
        &dyn arrow_array::Datum,
    ) -> Result<arrow_array::BooleanArray, arrow_schema::ArrowError>;
    for t in flat_types() {
        // Arrow has two zeros and as many NaNs as there are bits.
        if matches!(t, DataType::Float32 | DataType::Float64) {
            continue;
        }
        let columns = [(); 2].map(|()| random::column(&t, &mut dice, 300, 2));
        let [l, r] = columns.clone().map(|c| c.to_array(&t));
        let [a, b] = columns;
        let (schema, frame) = frame_of(vec![(t.clone(), a), (t.clone(), b)]);
        for (op, kernel) in [
            (Eq, cmp::eq as Compare),
            (NotEq, cmp::neq),
            (Lt, cmp::lt),
            (LtEq, cmp::lt_eq),
            (Gt, cmp::gt),
            (GtEq, cmp::gt_eq),
            (IsDistinctFrom, cmp::distinct),
            (IsNotDistinctFrom, cmp::not_distinct),
        ] {
            let expr = Expr::Binary(op, Box::new(Expr::Column(0)), Box::new(Expr::Column(1)));
            let mut ours = Evaluator::new(&expr, &schema).unwrap();
            let got = texts(ours.evaluate(&frame).unwrap());
            let want: ArrayRef = Arc::new(kernel(&l, &r).unwrap());
            assert_eq!(got, texts(&column_of(&want)), "{op:?} of {t}");
        }
    }
}

#[test]
fn likes_are_those_of_arrow() {
    let values = [
        "",
        "a",
        "ab",
        "aXb",
        "a%b",
        "a_b",
        "a\\b",
        "ABBA",
        "ÄÖ",
        "äö",
        "mississippi",
    ];
    let patterns = [
        "",
        "%",
        "_",
        "__",
        "a%",
        "%b",
        "%a%",
        "a_b",
        "a\\%b",
        "a\\_b",
        "%s_s%",
        "%ss%ss%",
        "ä%",
        "A\\\\B",
        "%\\",
        "%i%i%i%i%",
        "_%_",
    ];
    let strings = |texts: Vec<&str>| {
        let mut strings = crate::column::Strings::default();
        texts.into_iter().for_each(|t| strings.push(Some(t)));
        Column::Utf8(strings)
    };
    let all = || {
        values
            .iter()
            .flat_map(|v| patterns.iter().map(move |p| (*v, *p)))
    };
    let l = strings(all().map(|(v, _)| v).collect());
    let r = strings(all().map(|(_, p)| p).collect());
    let (a, b) = (l.to_array(&DataType::Utf8), r.to_array(&DataType::Utf8));
    let (schema, frame) = frame_of(vec![(DataType::Utf8, l), (DataType::Utf8, r)]);
    type Compare = fn(
        &dyn arrow_array::Datum,
        &dyn arrow_array::Datum,
    ) -> Result<arrow_array::BooleanArray, arrow_schema::ArrowError>;
    for (negated, ignore_case, kernel) in [
        (false, false, arrow_string::like::like as Compare),
        (true, false, arrow_string::like::nlike),
        (false, true, arrow_string::like::ilike),
        (true, true, arrow_string::like::nilike),
    ] {
        let expr = Expr::Like {
            value: Box::new(Expr::Column(0)),
            pattern: Box::new(Expr::Column(1)),
            negated,
            ignore_case,
        };
        let mut ours = Evaluator::new(&expr, &schema).unwrap();
        let got = texts(ours.evaluate(&frame).unwrap());
        let want: ArrayRef = Arc::new(kernel(&a, &b).unwrap());
        for (i, want) in texts(&column_of(&want)).into_iter().enumerate() {
            assert_eq!(got[i], want, "{:?}, {negated} {ignore_case}", all().nth(i));
        }
    }
}
