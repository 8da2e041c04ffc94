//! UNNEST: a row for each element of a list. The input's other columns are repeated.

use std::sync::Arc;

use arrow_schema::DataType;

use crate::column::Column;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::lineage::OfInput;
use crate::schema::Schema;

/// The rows that one frame becomes; they leave in as many frames as it takes.
#[derive(Debug)]
pub(crate) struct Unnest {
    list: usize,
    /// The output's column with each element's number in its list.
    numbers: Option<usize>,
    /// For each result: the row of the input, and the element among all elements.
    rows: Vec<u32>,
    elements: Vec<u32>,
}

impl Unnest {
    /// Of column `list` of `input`; `output` is what [`crate::program::OperatorSpec::Unnest`] says.
    ///
    /// # Errors
    /// [`Error::Program`] where the column is no list, or the output is another.
    pub(crate) fn new(list: usize, input: &Schema, output: &Schema) -> Result<Self> {
        Self::checked(list, input, output, None)
    }

    /// As [`Unnest::new`], with the number of each element behind the input's columns.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn numbered(list: usize, input: &Schema, output: &Schema) -> Result<Self> {
        Self::checked(list, input, output, Some(input.fields.len()))
    }

    fn checked(
        list: usize,
        input: &Schema,
        output: &Schema,
        numbers: Option<usize>,
    ) -> Result<Self> {
        let Some(DataType::List(item)) = input.fields.get(list).map(|f| &f.data_type) else {
            return Err(Error::Program(format!("UNNEST of column {list}")));
        };
        let mut types: Vec<_> = input.fields.iter().map(|f| f.data_type.clone()).collect();
        types[list] = item.data_type().clone();
        types.extend(numbers.map(|_| DataType::Int64));
        types.push(DataType::Boolean);
        if !output.fields.iter().map(|f| &f.data_type).eq(&types) {
            return Err(Error::Program("UNNEST makes other columns".to_owned()));
        }
        Ok(Self {
            list,
            numbers,
            rows: Vec::new(),
            elements: Vec::new(),
        })
    }

    /// Takes a frame in hand. Gives how many rows of the source have no element.
    pub(crate) fn begin(&mut self, frame: &Frame, of_input: OfInput) -> u64 {
        let Column::List(lists) = &frame.columns[self.list] else {
            unreachable!("types are checked before")
        };
        self.rows.clear();
        self.elements.clear();
        let mut without = 0;
        let counts = u64::from(of_input == OfInput::All);
        for row in 0..frame.rows() {
            let range = lists.range(row);
            without += counts * u64::from(range.is_empty());
            self.rows.extend(range.clone().map(|_| row as u32));
            self.elements.extend(range.map(|element| element as u32));
        }
        without
    }

    /// How many results the frame in hand has.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// For each result the row that it comes from.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Appends the results `from..to` of the frame in hand.
    pub(crate) fn append(&self, frame: &Frame, from: usize, to: usize, out: &mut Frame) {
        let (rows, elements) = (&self.rows[from..to], &self.elements[from..to]);
        let (flag, columns) = out.columns.split_last_mut().expect("the flag is a column");
        for (number, (to, from)) in columns.iter_mut().zip(&frame.columns).enumerate() {
            match from {
                Column::List(lists) if number == self.list => {
                    to.append_rows(&lists.values, elements);
                }
                from => to.append_rows(from, rows),
            }
        }
        if let Some(numbers) = self.numbers {
            let (Column::List(lists), Column::I64(numbers)) =
                (&frame.columns[self.list], &mut columns[numbers])
            else {
                unreachable!("types are checked before")
            };
            for (&row, &element) in rows.iter().zip(elements) {
                let first = lists.range(row as usize).start;
                numbers.push(Some(i64::from(element) - first as i64 + 1));
            }
        }
        let Column::Bool(flag) = flag else {
            unreachable!("types are checked before")
        };
        for at in from..to {
            flag.push(Some(at == 0 || self.rows[at - 1] != self.rows[at]));
        }
        out.commit_rows(rows.len());
    }
}

/// A schema with UNNEST's last column behind it.
pub fn flagged(mut schema: Schema) -> Arc<Schema> {
    schema.fields.push(crate::schema::Field {
        nullable: false,
        ..crate::schema::Field::new("_FIRST", DataType::Boolean)
    });
    Arc::new(schema)
}
