//! Values that come back from the bytes of sort keys, and rows kept so: state that retractions
//! reach is found, and ordered, by these bytes alone.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Nulls, put_tagged};
use crate::column::Column;
use crate::table::keys::push_wide;
use crate::tally::Packed;

/// How often rows stand: less than never where one goes before it came.
pub(crate) type Rows = BTreeMap<Packed, i64>;

/// Counts a row with a weight; none is kept that stands zero times. Gives how often it stood.
pub(crate) fn count(rows: &mut Rows, row: Vec<u8>, weight: i64) -> i64 {
    match rows.entry(row.into()) {
        Entry::Vacant(place) => {
            place.insert(weight);
            0
        }
        Entry::Occupied(mut entry) => {
            let stood = *entry.get();
            *entry.get_mut() += weight;
            if stood + weight == 0 {
                entry.remove();
            }
            stood
        }
    }
}

/// Appends these columns of a row, each as it is: two zeros are two values here, and NaNs are one.
pub(crate) fn put_row<'a>(
    out: &mut Vec<u8>,
    columns: impl IntoIterator<Item = &'a Column>,
    row: usize,
) {
    let bits = |value: f64| match value.is_nan() {
        // The greatest, whatever its sign is.
        true => f64::NAN.to_bits(),
        false => value.to_bits(),
    };
    for column in columns {
        put_tagged(out, column, row, Nulls::Last, bits);
    }
}

fn bytes<const N: usize>(from: &mut &[u8]) -> [u8; N] {
    let (first, rest) = from.split_first_chunk().expect("a value has all its bytes");
    *from = rest;
    *first
}

fn signed(from: &mut &[u8]) -> i64 {
    (u64::from_be_bytes(bytes(from)) ^ 1 << 63) as i64
}

fn wide(from: &mut &[u8]) -> i128 {
    (u128::from_be_bytes(bytes(from)) ^ 1 << 127) as i128
}

fn float(from: &mut &[u8]) -> f64 {
    let ordered = u64::from_be_bytes(bytes(from));
    f64::from_bits(match ordered >> 63 {
        1 => ordered ^ 1 << 63,
        _ => !ordered,
    })
}

fn string(from: &mut &[u8]) -> Vec<u8> {
    let mut string = Vec::new();
    loop {
        match bytes(from) {
            [0] => match bytes(from) {
                [0] => return string,
                [_] => string.push(0),
            },
            [byte] => string.push(byte),
        }
    }
}

/// Appends the next value of an ascending key, or of a row, to a column of its type.
pub(crate) fn take(from: &mut &[u8], to: &mut Column) {
    if bytes(from) != [1] {
        return to.push_null();
    }
    match to {
        Column::Bool(c) => c.push(Some(bytes(from) == [1])),
        Column::I8(c) => c.push(Some(signed(from) as i8)),
        Column::I16(c) => c.push(Some(signed(from) as i16)),
        Column::I32(c) => c.push(Some(signed(from) as i32)),
        Column::I64(c) => c.push(Some(signed(from))),
        Column::U8(c) => c.push(Some(u8::from_be_bytes(bytes(from)))),
        Column::U16(c) => c.push(Some(u16::from_be_bytes(bytes(from)))),
        Column::U32(c) => c.push(Some(u32::from_be_bytes(bytes(from)))),
        Column::U64(c) => c.push(Some(u64::from_be_bytes(bytes(from)))),
        Column::F32(c) => c.push(Some(float(from) as f32)),
        Column::F64(c) => c.push(Some(float(from))),
        Column::I128(_) | Column::Interval(_) => push_wide(to, Some(wide(from))),
        Column::Utf8(c) => {
            let string = String::from_utf8(string(from)).expect("a string stays one");
            c.push(Some(&string));
        }
        Column::Binary(c) => c.push(Some(&string(from))),
        Column::List(c) => {
            while bytes(from) == [1] {
                take(from, &mut c.values);
            }
            c.seal(true);
        }
        Column::Struct(c) => {
            c.fields.iter_mut().for_each(|member| take(from, member));
            c.validity.push(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::random;

    #[test]
    fn values_come_back_as_they_were() {
        for data_type in random::types() {
            let column = random::column(&data_type, &mut random::Dice(7), 300, 2);
            let mut got = column.empty_like();
            for row in 0..column.len() {
                let mut put = Vec::new();
                put_row(&mut put, [&column], row);
                let mut rest = &put[..];
                take(&mut rest, &mut got);
                assert!(rest.is_empty(), "{data_type}: row {row} has more bytes");
            }
            // NaN is no equal of itself.
            assert_eq!(format!("{got:?}"), format!("{column:?}"), "{data_type}");
        }
    }

    #[test]
    fn strings_keep_their_zeros() {
        let mut column = Column::new(crate::schema::Physical::Binary);
        let Column::Binary(c) = &mut column else {
            panic!("BYTEA")
        };
        let values: [&[u8]; 5] = [b"", b"\0", b"a\0\0b", b"\xff\0", b"\0\xff"];
        values.iter().for_each(|v| c.push(Some(v)));
        let (mut put, mut got) = (Vec::new(), column.empty_like());
        (0..values.len()).for_each(|row| put_row(&mut put, [&column], row));
        let mut rest = &put[..];
        values.iter().for_each(|_| take(&mut rest, &mut got));
        assert_eq!(got, column);
    }
}
