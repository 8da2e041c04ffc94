//! Functions that Ring 0 does not have itself: whoever makes the program brings them, over Arrow
//! arrays. They may allocate. A batch that errs is halved until the rows that err are found, so
//! that rows which nobody asks for, or which come after, keep their values.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::DataType;

use super::node::{Node, Run};
use crate::column::Column;
use crate::error::Result;
use crate::expr::Expr;
use crate::schema::Schema;

/// A function of columns, row by row.
pub trait ScalarKernel: Debug + Send + Sync {
    /// The type of its results, one that [`crate::schema::physical`] knows.
    fn data_type(&self) -> &DataType;

    /// One value of [`ScalarKernel::data_type`] for each of `rows` rows. The arguments have as
    /// many rows each.
    ///
    /// # Errors
    /// What is wrong with at least one of the rows.
    fn evaluate(&self, args: &[ArrayRef], rows: usize) -> std::result::Result<ArrayRef, String>;
}

/// A call of a [`ScalarKernel`]; equal to itself only.
#[derive(Debug, Clone)]
pub struct Generic(pub Arc<dyn ScalarKernel>);

impl PartialEq for Generic {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Some rows of an array. A slice of lists has the items of all rows behind it, and functions
/// compute them, too: an item that errs would do so for rows which do not have it.
fn part(array: &ArrayRef, rows: Range<usize>) -> ArrayRef {
    use DataType::{FixedSizeList, LargeList, List, Map, Struct};
    let nested = matches!(
        array.data_type(),
        List(_) | LargeList(_) | FixedSizeList(..) | Map(..) | Struct(_)
    );
    if !nested || rows.len() == array.len() {
        return array.slice(rows.start, rows.len());
    }
    let numbers = UInt32Array::from_iter_values(rows.start as u32..rows.end as u32);
    arrow_select::take::take(array, &numbers, None).expect("rows of the array")
}

#[derive(Debug)]
pub(super) struct Call {
    kernel: Arc<dyn ScalarKernel>,
    args: Vec<(DataType, Node)>,
}

impl Call {
    pub(super) fn new(
        Generic(kernel): &Generic,
        args: &[Expr],
        schema: &Schema,
        depth: usize,
    ) -> Result<Self> {
        let args = args.iter().map(|arg| {
            let node = Node::new(arg, schema, depth + 1)?;
            Ok((arg.data_type(schema), node))
        });
        Ok(Self {
            kernel: Arc::clone(kernel),
            args: args.collect::<Result<_>>()?,
        })
    }

    pub(super) fn run(&mut self, out: &mut Column, run: &mut Run<'_>) {
        let rows = run.frame.rows();
        let mut arrays = Vec::with_capacity(self.args.len());
        for (data_type, node) in &mut self.args {
            node.run(run);
            arrays.push(match node.own_column() {
                Some(column) => {
                    let empty = Column::of(data_type);
                    std::mem::replace(column, empty).into_array(data_type)
                }
                // The frame is lent: its buffers cannot be given away.
                None => node.column(run.frame).to_array(data_type),
            });
        }
        out.clear();
        self.evaluate(&arrays, 0..rows, out, run);
        for ((_, node), array) in self.args.iter_mut().zip(arrays) {
            if let Some(column) = node.own_column() {
                *column = Column::from_array(array);
            }
        }
    }

    fn evaluate(&self, args: &[ArrayRef], rows: Range<usize>, out: &mut Column, run: &mut Run<'_>) {
        let counts = |row: usize| run.active.is_none_or(|active| active.get(row));
        if !rows.clone().any(counts) {
            return rows.for_each(|_| out.push_null());
        }
        let slices: Vec<ArrayRef> = (args.iter())
            .map(|array| part(array, rows.clone()))
            .collect();
        match self.kernel.evaluate(&slices, rows.len()) {
            Ok(array) if array.len() == rows.len() => {
                drop(slices);
                if out.is_empty() {
                    *out = Column::from_array(array);
                } else {
                    out.append_array(&array, 0..rows.len());
                }
            }
            Ok(array) => {
                let message = || format!("{} values for {} rows", array.len(), rows.len());
                run.fail(rows.start, message);
                rows.for_each(|_| out.push_null());
            }
            Err(message) if rows.len() == 1 => {
                run.fail(rows.start, || message);
                out.push_null();
            }
            Err(_) => {
                let middle = rows.start + rows.len() / 2;
                self.evaluate(args, rows.start..middle, out, run);
                self.evaluate(args, middle..rows.end, out, run);
            }
        }
    }
}
