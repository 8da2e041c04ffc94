//! Random expressions over random rows, against an interpreter that takes one row at a time.

#![allow(clippy::unwrap_used)]

mod arrow;
mod branches;
mod generic;

use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;

use super::*;
use crate::expr::{BinaryOp, Scalar, UnaryOp};
use crate::schema::Field;

#[derive(Debug, Clone, PartialEq)]
enum V {
    B(bool),
    I(i64),
    F(f64),
    S(String),
}
use V::{B, F, I, S};
type Got = Result<Option<V>, String>;

fn schema() -> Schema {
    let types = [
        DataType::Boolean,
        DataType::Int64,
        DataType::Float64,
        DataType::Utf8,
    ];
    let twice = types.iter().chain(&types).cloned();
    Schema::new(twice.map(|t| Field::new("c", t)).collect())
}

fn order(a: &V, b: &V) -> std::cmp::Ordering {
    match (a, b) {
        (B(a), B(b)) => a.cmp(b),
        (I(a), I(b)) => a.cmp(b),
        (F(a), F(b)) => a
            .partial_cmp(b)
            .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
        (S(a), S(b)) => a.as_bytes().cmp(b.as_bytes()),
        _ => panic!("types"),
    }
}

fn naive_literal(scalar: &Scalar) -> Option<V> {
    match scalar {
        Scalar::Bool(v) => Some(B(*v)),
        Scalar::I64(v) => Some(I(*v)),
        Scalar::F64(v) => Some(F(*v)),
        Scalar::Utf8(v) => Some(S(v.clone())),
        _ => None,
    }
}

fn naive(expr: &Expr, row: &[Option<V>]) -> Got {
    use BinaryOp::*;
    Ok(match expr {
        Expr::Column(i) => row[*i].clone(),
        Expr::Literal(scalar) => naive_literal(scalar),
        Expr::Binary(op @ (And | Or), l, r) => {
            let settles = Some(B(*op == Or));
            let l = naive(l, row)?;
            if l == settles {
                return Ok(l);
            }
            let r = naive(r, row)?;
            match (l, r) {
                (_, r) if r == settles => r,
                (None, _) | (_, None) => None,
                (_, r) => r,
            }
        }
        Expr::Binary(op, l, r) => {
            let (l, r) = (naive(l, row)?, naive(r, row)?);
            let same = match (&l, &r) {
                (Some(l), Some(r)) => order(l, r).is_eq(),
                (l, r) => l.is_none() && r.is_none(),
            };
            match op {
                IsDistinctFrom => return Ok(Some(B(!same))),
                IsNotDistinctFrom => return Ok(Some(B(same))),
                _ => {}
            }
            let (Some(l), Some(r)) = (l, r) else {
                return Ok(None);
            };
            let o = order(&l, &r);
            Some(match (op, l, r) {
                (Eq, ..) => B(o.is_eq()),
                (NotEq, ..) => B(o.is_ne()),
                (Lt, ..) => B(o.is_lt()),
                (LtEq, ..) => B(o.is_le()),
                (Gt, ..) => B(o.is_gt()),
                (GtEq, ..) => B(o.is_ge()),
                (Div | Rem, I(_), I(0)) => return Err("division by zero".into()),
                (Rem, I(a), I(b)) => I(a.wrapping_rem(b)),
                (op, I(a), I(b)) => {
                    let (v, s) = match op {
                        Add => (a.checked_add(b), "addition"),
                        Sub => (a.checked_sub(b), "subtraction"),
                        Mul => (a.checked_mul(b), "multiplication"),
                        _ => (a.checked_div(b), "division"),
                    };
                    I(v.ok_or(format!("BIGINT out of range in {s}"))?)
                }
                (Add, F(a), F(b)) => F(a + b),
                (Sub, F(a), F(b)) => F(a - b),
                (Mul, F(a), F(b)) => F(a * b),
                (Div, F(a), F(b)) => F(a / b),
                (_, F(a), F(b)) => F(a % b),
                _ => panic!("types"),
            })
        }
        Expr::Unary(op, e) => match (op, naive(e, row)?) {
            (UnaryOp::IsNull, v) => Some(B(v.is_none())),
            (UnaryOp::IsNotNull, v) => Some(B(v.is_some())),
            (_, None) => None,
            (UnaryOp::Negate, Some(I(v))) => Some(I(v
                .checked_neg()
                .ok_or("BIGINT out of range in negation")?)),
            (UnaryOp::Negate, Some(F(v))) => Some(F(-v)),
            (UnaryOp::Not, Some(B(v))) => Some(B(!v)),
            (UnaryOp::Upper, Some(S(v))) => Some(S(v.to_uppercase())),
            (UnaryOp::Lower, Some(S(v))) => Some(S(v.to_lowercase())),
            _ => panic!("types"),
        },
        _ => panic!("not generated"),
    })
}

/// Numbers of a splitmix64 sequence.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n as u64) as usize
    }
    fn value(&mut self, t: usize) -> Option<V> {
        let i = [0, 1, -1, 2, 7, 100, i64::MAX, i64::MIN];
        let f = [
            0.0,
            -0.0,
            f64::NAN,
            -f64::NAN,
            1.5,
            -2.0,
            f64::INFINITY,
            1e300,
        ];
        let s = ["", "a", "B", "ß", "äÖ", "ΑΣ", "日本", "a\0"];
        let k = self.roll(9);
        (k < 8).then(|| match t {
            0 => B(k < 4),
            1 => I(if self.roll(4) > 0 { i[k % 6] } else { i[k] }),
            2 => F(f[k]),
            _ => S(s[k].into()),
        })
    }
    fn expr(&mut self, t: usize, depth: usize) -> Expr {
        use BinaryOp::*;
        if depth == 0 || self.roll(6) == 0 {
            if self.roll(3) > 0 {
                return Expr::Column(t + 4 * self.roll(2));
            }
            return Expr::Literal(match self.value(t) {
                None => Scalar::Null(schema().fields[t].data_type.clone()),
                Some(B(v)) => Scalar::Bool(v),
                Some(I(v)) => Scalar::I64(v),
                Some(F(v)) => Scalar::F64(v),
                Some(S(v)) => Scalar::Utf8(v),
            });
        }
        let any = self.roll(4);
        let (unary, binary): (Vec<_>, Vec<_>) = match t {
            0 => (
                vec![
                    (UnaryOp::Not, 0),
                    (UnaryOp::IsNull, any),
                    (UnaryOp::IsNotNull, any),
                ],
                vec![
                    (And, 0),
                    (Or, 0),
                    (And, 0),
                    (Or, 0),
                    (Eq, any),
                    (NotEq, any),
                    (Lt, any),
                    (LtEq, any),
                    (Gt, any),
                    (GtEq, any),
                    (IsDistinctFrom, any),
                    (IsNotDistinctFrom, any),
                ],
            ),
            1 | 2 => (
                vec![(UnaryOp::Negate, t)],
                [Add, Sub, Mul, Div, Rem].map(|op| (op, t)).to_vec(),
            ),
            _ => (vec![(UnaryOp::Upper, 3), (UnaryOp::Lower, 3)], vec![]),
        };
        if binary.is_empty() || self.roll(4) == 0 {
            let (op, t) = unary[self.roll(unary.len())];
            return Expr::Unary(op, Box::new(self.expr(t, depth - 1)));
        }
        let (op, t) = binary[self.roll(binary.len())];
        let (l, r) = (self.expr(t, depth - 1), self.expr(t, depth - 1));
        Expr::Binary(op, Box::new(l), Box::new(r))
    }
}

fn push(column: &mut Column, v: Option<V>) {
    match (column, v) {
        (c, None) => c.push_null(),
        (Column::Bool(c), Some(B(v))) => c.push(Some(v)),
        (Column::I64(c), Some(I(v))) => c.push(Some(v)),
        (Column::F64(c), Some(F(v))) => c.push(Some(v)),
        (Column::Utf8(c), Some(S(v))) => c.push(Some(&v)),
        _ => panic!("types"),
    }
}

proptest! {
    #[test]
    fn vectors_equal_rows(seed: u64) {
        let (schema, mut dice) = (schema(), Dice(seed));
        let (t, depth) = (dice.roll(4), 1 + dice.roll(4));
        let expr = dice.expr(t, depth);
        let mut evaluator = Evaluator::new(&expr, &schema).unwrap();
        for rows in [0, 1, 7, 64, 65, 1000, 7] {
            let mut frame = Frame::new(&schema, 1000);
            let mut want = Column::new(schema.fields[t].physical());
            let mut error = None;
            for i in 0..rows {
                let row: Vec<_> = (0..8).map(|c| dice.value(c % 4)).collect();
                match naive(&expr, &row) {
                    Ok(v) => push(&mut want, v),
                    Err(message) if error.is_none() => error = Some(RowError { row: i, message }),
                    Err(_) => {}
                }
                row.into_iter().zip(&mut frame.columns).for_each(|(v, c)| push(c, v));
            }
            frame.commit_rows(rows as usize);
            match (evaluator.evaluate(&frame), error) {
                (Err(got), want) => prop_assert_eq!(Some(got), want, "{:?}", expr),
                (Ok(got), None) => {
                    let (got, want) = (format!("{got:?}"), format!("{want:?}"));
                    prop_assert_eq!(got, want, "{:?}", expr);
                }
                (Ok(_), e) => prop_assert!(false, "{e:?} of {expr:?}"),
            }
        }
    }
}

fn check_cast(value: Scalar, to: DataType, want: Result<Scalar, &str>) {
    let schema = Schema::new(vec![Field::new("n", DataType::Int64)]);
    let mut frame = Frame::new(&schema, 1);
    frame.columns[0].push_null();
    frame.commit_rows(1);
    let cast = Expr::Cast(Box::new(Expr::Literal(value)), to);
    let mut cast = Evaluator::new(&cast, &schema).unwrap();
    let got = cast.evaluate(&frame).cloned().map_err(|e| e.message);
    let want = want.map_err(str::to_owned).map(|w| {
        let mut w = Evaluator::new(&Expr::Literal(w), &schema).unwrap();
        w.evaluate(&frame).unwrap().clone()
    });
    assert_eq!(got, want);
}

#[test]
fn casts() {
    let text = |s: &str| Ok(Scalar::Utf8(s.into()));
    let ts = |unit| DataType::Timestamp(unit, None);
    let ms = ts(TimeUnit::Millisecond);
    for (v, want) in [
        (1.0, "1.0"),
        (1e16, "1e16"),
        (1e15, "1000000000000000.0"),
        (1e-5, "0.00001"),
        (1e-6, "1e-6"),
        (-0.0, "-0.0"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        check_cast(Scalar::F64(v), DataType::Utf8, text(want));
    }
    for (v, want) in [
        (1_695_045_600_120, "2023-09-18T14:00:00.120"),
        (-1, "1969-12-31T23:59:59.999"),
        (0, "1970-01-01T00:00:00"),
    ] {
        check_cast(Scalar::Timestamp(v, ms.clone()), DataType::Utf8, text(want));
    }
    check_cast(Scalar::Date32(-719_528), DataType::Utf8, text("0000-01-01"));
    check_cast(
        Scalar::Date32(i32::MAX),
        DataType::Utf8,
        Err("DATE out of range in CAST"),
    );
    check_cast(Scalar::F64(-1.9), DataType::Int64, Ok(Scalar::I64(-1)));
    check_cast(
        Scalar::F64(f64::NAN),
        DataType::Int64,
        Err("BIGINT out of range in CAST"),
    );
    check_cast(
        Scalar::F64(2f64.powi(63)),
        DataType::Int64,
        Err("BIGINT out of range in CAST"),
    );
    check_cast(
        Scalar::Timestamp(-1, ms.clone()),
        DataType::Date32,
        Ok(Scalar::Date32(-1)),
    );
    let s = ts(TimeUnit::Second);
    check_cast(
        Scalar::Timestamp(-1500, ms.clone()),
        s.clone(),
        Ok(Scalar::Timestamp(-1, s)),
    );
    check_cast(
        Scalar::Null(ms.clone()),
        DataType::Utf8,
        Ok(Scalar::Null(DataType::Utf8)),
    );
    check_cast(
        Scalar::Timestamp(i64::MAX, ms),
        ts(TimeUnit::Nanosecond),
        Err("TIMESTAMP out of range in CAST"),
    );
}

#[test]
fn windows_start_at_or_before_their_times() {
    let t = DataType::Timestamp(TimeUnit::Millisecond, None);
    let schema = Schema::new(vec![Field::new("t", t)]);
    let mut frame = Frame::new(&schema, 8);
    for v in [Some(-1), Some(0), None, Some(9), Some(12), Some(13)] {
        push(&mut frame.columns[0], v.map(I));
    }
    frame.commit_rows(6);
    let time = Box::new(Expr::Column(0));
    let tumble = Expr::TumbleStart {
        time,
        size: 10,
        offset: 3,
    };
    let mut both = Projection::new(&[tumble, Expr::Column(0)], &schema).unwrap();
    let two = Schema::new(vec![schema.fields[0].clone(), schema.fields[0].clone()]);
    let mut out = Frame::new(&two, 12);
    both.evaluate(&frame).unwrap();
    both.append(&frame, 0..2, &mut out);
    both.append(&frame, 2..6, &mut out);
    let Column::I64(c) = &out.columns[0] else {
        panic!("type")
    };
    let got: Vec<_> = (0..6).map(|i| c.get(i)).collect();
    assert_eq!(got, [Some(-7), Some(-7), None, Some(3), Some(3), Some(13)]);
    assert_eq!(out.columns[1], frame.columns[0]);
    // Neither the first window nor the last has both its bounds.
    for end in [i64::MIN, i64::MAX] {
        frame.truncate(6);
        push(&mut frame.columns[0], Some(I(end)));
        frame.commit_rows(1);
        assert_eq!(both.evaluate(&frame).unwrap_err().row, 6);
    }
}

/// The ends of BIGINT, on columns and on literals, as arrow has them.
#[test]
fn ends_of_bigint() {
    use BinaryOp::{Add, Div, Mul, Rem, Sub};
    let cases = [
        (Rem, i64::MIN, -1, Ok(0)),
        (Rem, i64::MIN, 0, Err("division by zero")),
        (Div, i64::MIN, -1, Err("BIGINT out of range in division")),
        (Div, i64::MIN, 0, Err("division by zero")),
        (Add, i64::MAX, 1, Err("BIGINT out of range in addition")),
        (Sub, i64::MIN, 1, Err("BIGINT out of range in subtraction")),
        (
            Mul,
            i64::MIN,
            -1,
            Err("BIGINT out of range in multiplication"),
        ),
    ];
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int64),
        Field::new("b", DataType::Int64),
    ]);
    for (op, a, b, want) in cases {
        let mut frame = Frame::new(&schema, 1);
        push(&mut frame.columns[0], Some(I(a)));
        push(&mut frame.columns[1], Some(I(b)));
        frame.commit_rows(1);
        let literal = |v| Expr::Literal(Scalar::I64(v));
        for (left, right) in [
            (Expr::Column(0), Expr::Column(1)),
            (Expr::Column(0), literal(b)),
            (literal(a), Expr::Column(1)),
            (literal(a), literal(b)),
        ] {
            let expr = Expr::Binary(op, Box::new(left), Box::new(right));
            check_one(&expr, &frame, &schema, want);
        }
    }
    let mut frame = Frame::new(&schema, 1);
    push(&mut frame.columns[0], Some(I(i64::MIN)));
    frame.columns[1].push_null();
    frame.commit_rows(1);
    let negate = Expr::Unary(UnaryOp::Negate, Box::new(Expr::Column(0)));
    check_one(
        &negate,
        &frame,
        &schema,
        Err("BIGINT out of range in negation"),
    );
}

fn check_one(expr: &Expr, frame: &Frame, schema: &Schema, want: Result<i64, &str>) {
    let mut evaluator = Evaluator::new(expr, schema).unwrap();
    let got = evaluator.evaluate(frame).map_err(|e| e.message);
    let got = got.map(|column| match column {
        Column::I64(c) => c.values[0],
        other => panic!("{other:?}"),
    });
    assert_eq!(got, want.map_err(str::to_owned), "{expr:?}");
}
