//! Changes as Debezium writes them: an object a line, with what stood before and what stands now.
//! The two rows of an update come one behind the other from their shard, in one frame or in two.

use std::collections::BTreeMap;

use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;

use super::print::{Shape, write_object};
use crate::ResultColumn;

/// What was read of updates whose second row has not come.
#[derive(Debug, Default)]
pub(super) struct Envelopes {
    /// By shard, what stood before.
    before: BTreeMap<usize, Vec<u8>>,
}

impl Envelopes {
    /// Writes a row of a changelog, or one that only comes.
    pub(super) fn write(
        &mut self,
        shape: Shape<'_>,
        frame: &Frame,
        row: usize,
        shard: usize,
        out: &mut Vec<u8>,
    ) {
        let (op, columns) = match (op(shape, frame, row), shape.columns) {
            (Some(op), [_, columns @ ..]) => (op, columns),
            (_, columns) => ("+I", columns),
        };
        let mut object = Vec::new();
        write_object(Shape { columns, ..shape }, frame, row, &mut object);
        let null = || b"null".to_vec();
        let (before, after, op) = match op {
            "+I" => (null(), object, "c"),
            "-D" => (object, null(), "d"),
            "-U" => {
                let other = self.before.insert(shard, object);
                assert!(other.is_none(), "an update has one row before it");
                return;
            }
            _ => {
                let before = self.before.remove(&shard);
                (before.expect("an update has a row before it"), object, "u")
            }
        };
        for (name, value) in [("{\"before\":", before), (",\"after\":", after)] {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&value);
        }
        out.extend_from_slice(format!(",\"op\":\"{op}\"}}\n").as_bytes());
    }
}

/// What a row of a changelog does; `None` where rows only come.
fn op<'f>(shape: Shape<'_>, frame: &'f Frame, row: usize) -> Option<&'f str> {
    let ResultColumn::Plain { index, .. } = shape.columns.first().filter(|_| shape.changes)? else {
        return None;
    };
    match &frame.columns[*index] {
        Column::Utf8(texts) => texts.get(row),
        _ => None,
    }
}
