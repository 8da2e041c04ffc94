//! Casts to text, character for character as arrow-cast prints values.

use arrow_schema::DataType;

use crate::column::{Column, Strings};
use crate::format::decimal::write_decimal;
use crate::format::span::write_interval;
use crate::kernel::text;
use crate::schema::unit_nanos;

use super::SECOND_NANOS;

/// Replaces `out` by the text of each value; notes the rows that have none.
pub(super) fn print(
    from: &Column,
    data_type: &DataType,
    out: &mut Strings,
    buffer: &mut String,
    failed: &mut Vec<u32>,
) {
    out.clear();
    let mut bytes = Vec::new();
    for i in 0..from.len() {
        if !from.is_valid(i) {
            out.push(None);
            continue;
        }
        buffer.clear();
        match one(from, data_type, i, buffer, &mut bytes) {
            Some(()) => out.push(Some(buffer)),
            None => {
                failed.push(i as u32);
                out.push(Some(""));
            }
        }
    }
}

fn one(
    from: &Column,
    data_type: &DataType,
    i: usize,
    out: &mut String,
    bytes: &mut Vec<u8>,
) -> Option<()> {
    let per_second = |unit| SECOND_NANOS / unit_nanos(unit);
    match (from, data_type) {
        (Column::Bool(c), _) => {
            out.push_str(if c.values.get(i) { "true" } else { "false" });
            Some(())
        }
        (Column::I32(c), DataType::Date32) => text::date(c.values[i].into(), out),
        (Column::I32(c), DataType::Time32(unit)) => {
            text::time(c.values[i].into(), per_second(*unit), out)
        }
        (Column::I64(c), DataType::Time64(unit)) => text::time(c.values[i], per_second(*unit), out),
        (Column::I64(c), DataType::Timestamp(unit, _)) => {
            text::timestamp(c.values[i], per_second(*unit), out)
        }
        (Column::I8(c), _) => text::number(c.values[i], out),
        (Column::I16(c), _) => text::number(c.values[i], out),
        (Column::I32(c), _) => text::number(c.values[i], out),
        (Column::I64(c), _) => text::number(c.values[i], out),
        (Column::U8(c), _) => text::number(c.values[i], out),
        (Column::U16(c), _) => text::number(c.values[i], out),
        (Column::U32(c), _) => text::number(c.values[i], out),
        (Column::U64(c), _) => text::number(c.values[i], out),
        (Column::F32(c), _) => text::float(c.values[i], out),
        (Column::F64(c), _) => text::double(c.values[i], out),
        (Column::I128(c), DataType::Decimal128(_, scale)) => {
            bytes.clear();
            write_decimal(c.values[i], scale.unsigned_abs(), bytes);
            out.push_str(std::str::from_utf8(bytes).ok()?);
            Some(())
        }
        (Column::Interval(c), _) => {
            bytes.clear();
            write_interval(c.values[i], bytes);
            out.push_str(std::str::from_utf8(bytes).ok()?);
            Some(())
        }
        _ => unreachable!("types are checked before"),
    }
}
