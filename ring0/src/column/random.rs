//! Random columns of every type, for tests: few distinct values, with extremes, NULL, NaN and both
//! zeros; and the text that stands for a value in a model.

use std::sync::Arc;

use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};

use super::{Column, Interval};
use crate::format::decimal::power_of_ten;
use crate::frame::Frame;
use crate::hash::canonical_bits;
use crate::schema::Schema;

/// Numbers of a linear congruence.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

/// Every type, nested ones too.
pub(crate) fn types() -> Vec<DataType> {
    use DataType::*;
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let list = |t: DataType| List(Arc::new(Field::new("item", t, true)));
    let point = Struct(
        vec![
            Field::new("venue", Utf8, true),
            Field::new("lot", Int16, true),
            Field::new("prices", list(Float64), true),
        ]
        .into(),
    );
    let mut types = vec![
        Boolean,
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float32,
        Float64,
        Date32,
        Decimal128(38, 0),
        Decimal128(10, 3),
        Utf8,
        Binary,
        Time32(Second),
        Time32(Millisecond),
        Time64(Microsecond),
        Time64(Nanosecond),
        Duration(Millisecond),
        Interval(IntervalUnit::MonthDayNano),
        list(Utf8),
        list(Decimal128(10, 3)),
        list(point.clone()),
        list(list(Boolean)),
        point,
    ];
    types.extend([Second, Millisecond, Microsecond, Nanosecond].map(|u| Timestamp(u, None)));
    types
}

/// Appends a random value, one of about `distinct`; `nulls` of ten are NULL.
pub(crate) fn push(column: &mut Column, t: &DataType, dice: &mut Dice, distinct: u64, nulls: u64) {
    if dice.below(10) < nulls {
        return column.push_null();
    }
    let x = dice.below(distinct);
    // One value of eight is an extreme one.
    let (least, greatest) = (x % 8 == 6, x % 8 == 7);
    macro_rules! integer {
        ($c:expr, $t:ty) => {
            $c.push(Some(match () {
                () if least => <$t>::MIN,
                () if greatest => <$t>::MAX,
                () => x as $t,
            }))
        };
    }
    let double = match x % 8 {
        0 => -0.0,
        1 => f64::NAN,
        2 => -f64::NAN,
        3 => 0.0,
        4 => f64::INFINITY,
        5 => f64::MIN,
        _ => x as f64 / 8.0,
    };
    match (column, t) {
        (Column::Bool(c), _) => c.push(Some(x.is_multiple_of(2))),
        // A time of day, a date and a timestamp that text can say.
        (Column::I32(c), DataType::Time32(_)) => c.push(Some(x as i32 % 86_400)),
        (Column::I32(c), DataType::Date32) => c.push(Some(x as i32 * 100 - 400)),
        (Column::I64(c), DataType::Time64(_)) => {
            c.push(Some(x as i64 * 1_000_001 % 86_400_000_000))
        }
        (Column::I64(c), DataType::Timestamp(..)) => c.push(Some(x as i64 * 1_000_003 - 5_000_000)),
        (Column::I8(c), _) => integer!(c, i8),
        (Column::I16(c), _) => integer!(c, i16),
        (Column::I32(c), _) => integer!(c, i32),
        (Column::I64(c), _) => integer!(c, i64),
        (Column::U8(c), _) => integer!(c, u8),
        (Column::U16(c), _) => integer!(c, u16),
        (Column::U32(c), _) => integer!(c, u32),
        (Column::U64(c), _) => integer!(c, u64),
        (Column::F32(c), _) => c.push(Some(double as f32)),
        (Column::F64(c), _) => c.push(Some(double)),
        (Column::I128(c), DataType::Decimal128(p, _)) => c.push(Some(match () {
            () if least => 1 - power_of_ten(*p),
            () if greatest => power_of_ten(*p) - 1,
            () => i128::from(x) * 50 - 300,
        })),
        (Column::Interval(c), _) => {
            let part = if least { i32::MIN } else { x as i32 % 3 - 1 };
            c.push(Some(Interval::new(x as i32 % 2, part, i64::from(part) * 7)));
        }
        (Column::Utf8(c), _) => c.push(Some(&"ü\"\\x".repeat(x as usize % 9))),
        (Column::Binary(c), _) => c.push(Some(&vec![x as u8 | 0x80; x as usize % 30])),
        (Column::List(c), DataType::List(item)) => {
            for _ in 0..dice.below(4) {
                push(
                    &mut c.values,
                    item.data_type(),
                    dice,
                    distinct.min(9),
                    nulls,
                );
            }
            c.seal(true);
        }
        (Column::Struct(c), DataType::Struct(fields)) => {
            for (column, field) in c.fields.iter_mut().zip(fields) {
                push(column, field.data_type(), dice, distinct.min(9), nulls);
            }
            c.validity.push(true);
        }
        (column, t) => panic!("a column of {:?} for {t}", column.physical()),
    }
}

/// A column of `rows` random values.
pub(crate) fn column(t: &DataType, dice: &mut Dice, rows: usize, nulls: u64) -> Column {
    let mut column = Column::of(t);
    (0..rows).for_each(|_| push(&mut column, t, dice, 40, nulls));
    column
}

/// A frame of `rows` random rows.
pub(crate) fn frame(
    schema: &Schema,
    dice: &mut Dice,
    rows: usize,
    distinct: u64,
    nulls: u64,
) -> Frame {
    let mut frame = Frame::new(schema, rows.max(1));
    for (column, field) in frame.columns.iter_mut().zip(&schema.fields) {
        for _ in 0..rows {
            push(column, &field.data_type, dice, distinct, nulls);
        }
    }
    frame.commit_rows(rows);
    frame
}

/// A text for each value of one type, the same for equal ones.
pub(crate) fn text(column: &Column, row: usize) -> String {
    if !column.is_valid(row) {
        return "NULL".to_owned();
    }
    match column {
        Column::Bool(c) => c.values.get(row).to_string(),
        Column::I8(c) => c.values[row].to_string(),
        Column::I16(c) => c.values[row].to_string(),
        Column::I32(c) => c.values[row].to_string(),
        Column::I64(c) => c.values[row].to_string(),
        Column::U8(c) => c.values[row].to_string(),
        Column::U16(c) => c.values[row].to_string(),
        Column::U32(c) => c.values[row].to_string(),
        Column::U64(c) => c.values[row].to_string(),
        Column::F32(c) => f64::from_bits(canonical_bits(c.values[row].into())).to_string(),
        Column::F64(c) => f64::from_bits(canonical_bits(c.values[row])).to_string(),
        Column::I128(c) => c.values[row].to_string(),
        Column::Interval(c) => format!("{:?}", c.values[row]),
        Column::Utf8(c) => format!("{:?}", c.value(row)),
        Column::Binary(c) => format!("{:?}", c.bytes(row)),
        Column::List(c) => {
            let elements: Vec<String> = c.range(row).map(|e| text(&c.values, e)).collect();
            format!("[{}]", elements.join(", "))
        }
        Column::Struct(c) => {
            let members: Vec<String> = c.fields.iter().map(|f| text(f, row)).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// As [`text`], of all rows.
pub(crate) fn texts(column: &Column) -> Vec<String> {
    (0..column.len()).map(|row| text(column, row)).collect()
}
