//! What tests of parsers share.

use crate::column::Column;
use crate::frame::Frame;

/// Columns with what has a point as bits, so that NaN equals itself.
pub(super) fn rows(frame: &Frame) -> (Vec<u64>, Vec<Column>) {
    let (mut bits, mut columns) = (Vec::new(), frame.columns.clone());
    columns.iter_mut().for_each(|c| take_bits(c, &mut bits));
    (bits, columns)
}

fn take_bits(column: &mut Column, bits: &mut Vec<u64>) {
    match column {
        Column::F32(c) => {
            bits.extend(c.values.iter().map(|x| u64::from(x.to_bits())));
            c.values.fill(0.0);
        }
        Column::F64(c) => {
            bits.extend(c.values.iter().map(|x| x.to_bits()));
            c.values.fill(0.0);
        }
        Column::List(c) => take_bits(&mut c.values, bits),
        Column::Struct(c) => c.fields.iter_mut().for_each(|c| take_bits(c, bits)),
        _ => {}
    }
}
