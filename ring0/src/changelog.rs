//! A changelog: rows with a weight. The last column of its frames says what each row does to the
//! rows that stand; every operator behind carries it on as the last column.
//!
//! An update is two rows next to each other in one frame, the row before and the row behind; an
//! operator that lets only one of them pass makes it a deletion or an insertion. Applied in order,
//! or in any order by the sum of the weights, a changelog leaves the rows that stand.

use std::sync::Arc;

use arrow_schema::DataType;

use crate::column::{Column, Fixed};
use crate::frame::Frame;
use crate::order::take;
use crate::schema::{Field, Schema};

/// The row comes. The sign of each of these is the row's weight.
pub const INSERT: i8 = 1;
/// The row goes.
pub const DELETE: i8 = -1;
/// The row goes, and the one behind it stands in its place.
pub const UPDATE_BEFORE: i8 = -2;
/// The row comes in the place of the one before it.
pub const UPDATE_AFTER: i8 = 2;

/// Rows of the largest update, which one frame holds: where two sessions become one, both go and
/// one comes.
pub const UPDATE_ROWS: usize = 3;

/// What each of them is called where it is printed.
pub const NAMES: [(i8, &str); 4] = [
    (INSERT, "+I"),
    (UPDATE_BEFORE, "-U"),
    (UPDATE_AFTER, "+U"),
    (DELETE, "-D"),
];

/// A schema with a changelog's last column behind it.
pub fn weighted(mut schema: Schema) -> Arc<Schema> {
    schema.fields.push(Field {
        nullable: false,
        ..Field::new("_OP", DataType::Int8)
    });
    Arc::new(schema)
}

/// Whether rows of this schema have a changelog's last column.
pub(crate) fn is_weighted(schema: &Schema) -> bool {
    let last = schema.fields.last();
    last.is_some_and(|f| f.data_type == DataType::Int8 && !f.nullable)
}

/// The columns before a changelog's last one.
pub(crate) fn own(schema: &Schema) -> Schema {
    let fields = schema.fields.split_last();
    Schema::new(fields.map_or_else(Vec::new, |(_, own)| own.to_vec()))
}

fn ops(frame: &mut Frame) -> &mut Fixed<i8> {
    match frame.columns.last_mut() {
        Some(Column::I8(ops)) => ops,
        _ => unreachable!("the last column is a changelog's, which was checked"),
    }
}

/// Says what the row does whose other columns were appended.
pub(crate) fn push(frame: &mut Frame, op: i8) {
    ops(frame).push(Some(op));
}

/// Appends a row, given as [`put_row`](crate::order::put_row) has it, and what it does.
pub(crate) fn push_row(row: &[u8], op: i8, frame: &mut Frame) {
    let mut rest = row;
    let own = frame.columns.len() - 1;
    let columns = frame.columns[..own].iter_mut();
    columns.for_each(|column| take(&mut rest, column));
    push(frame, op);
    frame.commit_rows(1);
}

/// What each row does.
pub(crate) fn given(frame: &Frame) -> &[i8] {
    match frame.columns.last() {
        Some(Column::I8(ops)) => &ops.values,
        _ => unreachable!("the last column is a changelog's, which was checked"),
    }
}

/// 1 where a row comes, -1 where it goes.
pub(crate) fn weight(frame: &Frame, row: usize) -> i64 {
    i64::from(given(frame)[row].signum())
}

/// Whether a row and the one behind it are an update.
pub(crate) fn is_update(frame: &Frame, row: usize) -> bool {
    given(frame)[row..].starts_with(&[UPDATE_BEFORE, UPDATE_AFTER])
}

/// Says anew what the last rows of a frame do.
pub(crate) fn set_last(frame: &mut Frame, changed: &[i8]) {
    let values = &mut ops(frame).values;
    let first = values.len() - changed.len();
    values[first..].copy_from_slice(changed);
}

/// What rows of a changelog do once only `rows` of them, in ascending order, are let pass.
pub(crate) fn passing(frame: &Frame, rows: &[u32], ops: &mut Vec<i8>) {
    let given = given(frame);
    ops.clear();
    ops.extend(rows.iter().enumerate().map(|(at, &row)| {
        let follows = |other: Option<&u32>, by: i64| {
            other.is_some_and(|&o| i64::from(o) == i64::from(row) + by)
        };
        match given[row as usize] {
            UPDATE_BEFORE if !follows(rows.get(at + 1), 1) => DELETE,
            UPDATE_AFTER if !follows(at.checked_sub(1).and_then(|a| rows.get(a)), -1) => INSERT,
            op => op,
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each update of which one half passes is a deletion or an insertion.
    #[test]
    fn half_an_update_is_a_deletion_or_an_insertion() {
        let given = [
            INSERT,
            UPDATE_BEFORE,
            UPDATE_AFTER,
            UPDATE_BEFORE,
            UPDATE_AFTER,
            DELETE,
        ];
        let schema = weighted(Schema::new(Vec::new()));
        let mut frame = Frame::new(&schema, given.len());
        given.iter().for_each(|&op| push(&mut frame, op));
        frame.commit_rows(given.len());
        let cases: [(&[u32], &[i8]); 6] = [
            (&[], &[]),
            (&[0, 1, 2, 3, 4, 5], &given),
            (&[1, 3], &[DELETE, DELETE]),
            (&[2, 4], &[INSERT, INSERT]),
            (&[2, 3], &[INSERT, DELETE]),
            (
                &[0, 2, 3, 4, 5],
                &[INSERT, INSERT, UPDATE_BEFORE, UPDATE_AFTER, DELETE],
            ),
        ];
        for (rows, wanted) in cases {
            let mut got = Vec::new();
            passing(&frame, rows, &mut got);
            assert_eq!(got, wanted, "{rows:?}");
        }
    }
}
