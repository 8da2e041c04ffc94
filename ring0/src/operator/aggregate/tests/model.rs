//! Random frames and the naive model: every row of every group is kept.

use arrow_schema::{DataType, TimeUnit};

use crate::column::Column;
use crate::frame::Frame;
use crate::hash::canonical_bits;
use crate::program::{AggregateCall, AggregateFunction as F};
use crate::schema::{Field, Schema};

pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

pub(super) const VI: usize = 6;
pub(super) const VF: usize = 7;
pub(super) const VS: usize = 8;

pub(super) fn schema() -> Schema {
    Schema::new(vec![
        Field::new("k", DataType::Int64),
        Field::new("f", DataType::Float64),
        Field::new("s", DataType::Utf8),
        Field::new("d", DataType::Date32),
        Field::new("b", DataType::Boolean),
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None)),
        Field::new("vi", DataType::Int64),
        Field::new("vf", DataType::Float64),
        Field::new("vs", DataType::Utf8),
    ])
}

pub(super) fn call(function: F, argument: Option<usize>) -> AggregateCall {
    AggregateCall { function, argument }
}

pub(super) fn calls() -> Vec<AggregateCall> {
    let mut calls = vec![call(F::Count, None)];
    for function in [F::Count, F::Min, F::Max] {
        calls.extend([VI, VF, VS, 3, 4, 5].map(|a| call(function.clone(), Some(a))));
    }
    for function in [
        F::Sum,
        F::Avg,
        F::StddevSamp,
        F::StddevPop,
        F::VarSamp,
        F::VarPop,
    ] {
        calls.extend([VI, VF].map(|a| call(function.clone(), Some(a))));
    }
    calls
}

/// Random rows; keys from `distinct` values, `nulls` of ten values NULL.
pub(super) fn frame(random: &mut Random, rows: usize, distinct: u64, nulls: u64) -> Frame {
    let mut frame = Frame::new(&schema(), rows.max(1));
    for _ in 0..rows {
        let key = random.below(distinct);
        for (i, column) in frame.columns.iter_mut().enumerate() {
            if random.below(10) < nulls {
                column.push_null();
                continue;
            }
            let x = if i < 5 { key } else { random.below(1_000_000) };
            let special = random.below(40);
            match column {
                Column::I64(c) => c.push(Some(match (i, x) {
                    (0, 0) => i64::MIN,
                    (0, 1) => i64::MAX,
                    (0, _) => x as i64 - 5,
                    (5, _) => (x % 3) as i64 * 1_000_000 - 1_000_000,
                    _ => (x as i64 - 500_000) * (1 << 24),
                })),
                Column::F64(c) => c.push(Some(match if i == 1 { x % 41 } else { special } {
                    0 => f64::NAN,
                    1 => -0.0,
                    2 => 0.0,
                    3 => f64::NEG_INFINITY,
                    4 => -f64::NAN,
                    _ if i == 1 => x as f64,
                    _ => (x as f64 - 500_000.0) * 0.1,
                })),
                Column::I32(c) => c.push(Some((x % 7) as i32 - 3)),
                Column::Bool(c) => c.push(Some(x % 2 == 0)),
                Column::Utf8(c) => {
                    let text = format!("{x}{}", "ü".repeat((x % 30) as usize));
                    c.push(Some(&text[..if x % 5 == 0 { 1 } else { text.len() }]));
                }
                other => panic!("no column of {:?}", other.physical()),
            }
        }
    }
    frame.commit_rows(rows);
    frame
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Int(i128),
    Float(f64),
    Text(String),
}

pub(super) fn value(column: &Column, row: usize) -> Value {
    if !column.is_valid(row) {
        return Value::Null;
    }
    match column {
        Column::Bool(c) => Value::Int(i128::from(c.values.get(row))),
        Column::I32(c) => Value::Int(i128::from(c.values[row])),
        Column::I64(c) => Value::Int(i128::from(c.values[row])),
        Column::F64(c) => Value::Float(f64::from_bits(canonical_bits(c.values[row]))),
        Column::Utf8(c) => Value::Text(c.value(row).to_owned()),
        other => panic!("no column of {:?}", other.physical()),
    }
}

pub(super) fn rows_of(frames: &[Frame]) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for frame in frames {
        for row in 0..frame.rows() {
            rows.push(frame.columns.iter().map(|c| value(c, row)).collect());
        }
    }
    rows
}

pub(super) fn less(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a < b,
        (Value::Text(a), Value::Text(b)) => a < b,
        (Value::Float(a), Value::Float(b)) => a < b || (b.is_nan() && !a.is_nan()),
        _ => panic!("values of two types"),
    }
}

pub(super) fn model(call: &AggregateCall, rows: &[&Vec<Value>]) -> Value {
    let Some(argument) = call.argument else {
        return Value::Int(rows.len() as i128);
    };
    let values: Vec<&Value> = rows
        .iter()
        .map(|r| &r[argument])
        .filter(|v| **v != Value::Null)
        .collect();
    let count = values.len() as f64;
    let float = |v: &&Value| match **v {
        Value::Int(i) => i as f64,
        Value::Float(f) => f,
        _ => panic!("no number"),
    };
    let is_int = matches!(values.first(), Some(Value::Int(_)));
    let int_sum = || -> i128 {
        values
            .iter()
            .map(|v| if let Value::Int(i) = v { *i } else { 0 })
            .sum()
    };
    let sum = || {
        if is_int {
            int_sum() as f64
        } else {
            values.iter().map(float).sum::<f64>()
        }
    };
    let least = match call.function {
        F::StddevSamp | F::VarSamp => 2,
        F::Count => 0,
        _ => 1,
    };
    if values.len() < least {
        return Value::Null;
    }
    let best = |better: fn(&Value, &Value) -> bool| {
        let pick = |a, b| if better(b, a) { b } else { a };
        values
            .iter()
            .copied()
            .reduce(pick)
            .expect("a value")
            .clone()
    };
    let variance = |less: f64| {
        let mean = values.iter().map(float).sum::<f64>() / count;
        values
            .iter()
            .map(|v| (float(v) - mean).powi(2))
            .sum::<f64>()
            / (count - less)
    };
    match call.function {
        F::Count => Value::Int(values.len() as i128),
        F::Sum if is_int => Value::Int(int_sum()),
        F::Sum => Value::Float(sum()),
        F::Avg => Value::Float(sum() / count),
        F::Min => best(less_fn),
        F::Max => best(|a, b| less(b, a)),
        F::VarSamp => Value::Float(variance(1.0)),
        F::VarPop => Value::Float(variance(0.0)),
        F::StddevSamp => Value::Float(variance(1.0).sqrt()),
        F::StddevPop => Value::Float(variance(0.0).sqrt()),
        F::Generic(_) => unreachable!("the model is of native ones"),
    }
}

pub(super) fn less_fn(a: &Value, b: &Value) -> bool {
    less(a, b)
}

pub(super) fn alike(function: &F, a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => {
            let exact = a == b || (a.is_nan() && b.is_nan());
            let inexact = !matches!(function, F::Min | F::Max);
            exact || (inexact && (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e3))
        }
        (a, b) => a == b,
    }
}

pub(super) fn key_text(row: &[Value]) -> String {
    format!("{row:?}")
}
