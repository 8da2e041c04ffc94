//! Some thousand rows of a shard by their columns, changed where they are. What somebody reads is
//! shared with him and copied before it is changed: so to pin rows costs a few pointers for each
//! block, and to read them copies nothing.
//!
//! Columns whose values have one width are Arrow buffers. All others of a row are kept together, as
//! the bytes that Arrow's row format makes of them.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayData, ArrayRef, UInt32Array, make_array, new_null_array,
};
use datafusion::arrow::buffer::{Buffer, MutableBuffer, NullBuffer};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::arrow::util::bit_util;

use crate::limits::SLICE_ROWS;

/// Rows of a block, which are read at once.
pub(super) const BLOCK_ROWS: usize = SLICE_ROWS;
const WEIGHT_BYTES: usize = size_of::<i64>();

type Result<T> = std::result::Result<T, ArrowError>;

/// Bytes of what stands before the rest of a row, and of its allocation.
const OTHERS_BYTES: usize = 32;

/// The rest of a row.
type Others = Arc<[u8]>;

/// Where the columns of rows are.
#[derive(Debug)]
pub(super) struct Places {
    /// For each column.
    columns: Vec<Place>,
    /// Of those whose values have a width: type and width.
    fixed: Vec<(DataType, usize)>,
    others: Option<RowConverter>,
    other_types: Vec<DataType>,
}

/// What is read of columns that are kept together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Rest {
    Read,
    /// Nobody looks at them: they are NULL.
    LeftOut,
}

/// Where a column is, by its number among those that are kept alike.
#[derive(Debug, Clone, Copy)]
enum Place {
    Fixed(usize),
    Other(usize),
}

impl Places {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        let (mut fixed, mut other_types) = (Vec::new(), Vec::new());
        let mut columns = Vec::new();
        for field in schema.fields() {
            let data_type = field.data_type();
            columns.push(match data_type.primitive_width() {
                Some(width) => {
                    fixed.push((data_type.clone(), width));
                    Place::Fixed(fixed.len() - 1)
                }
                None => {
                    other_types.push(data_type.clone());
                    Place::Other(other_types.len() - 1)
                }
            });
        }
        let others = other_types.iter().cloned().map(SortField::new);
        let others = match other_types.is_empty() {
            true => None,
            false => Some(RowConverter::new(others.collect())?),
        };
        Ok(Self {
            columns,
            fixed,
            others,
            other_types,
        })
    }

    /// What is to be read for these columns.
    pub(super) fn rest(&self, mut columns: impl Iterator<Item = usize>) -> Rest {
        let is_other = |column: usize| matches!(self.columns[column], Place::Other(_));
        match columns.any(is_other) {
            true => Rest::Read,
            false => Rest::LeftOut,
        }
    }

    /// Rows in columns, as blocks take them.
    pub(super) fn incoming(&self, columns: &[ArrayRef]) -> Result<Incoming> {
        let placed = || self.columns.iter().zip(columns);
        let fixed = placed().filter(|(place, _)| matches!(place, Place::Fixed(_)));
        let others = placed().filter(|(place, _)| matches!(place, Place::Other(_)));
        let others: Vec<ArrayRef> = others.map(|(_, column)| Arc::clone(column)).collect();
        let widths = self.fixed.iter().map(|(_, width)| *width);
        Ok(Incoming {
            fixed: fixed
                .zip(widths)
                .map(|((_, column), width)| Values::of(column, width))
                .collect(),
            others: match &self.others {
                Some(converter) => Some(converter.convert_columns(&others)?),
                None => None,
            },
        })
    }
}

/// The values of a column that come in.
#[derive(Debug)]
struct Values {
    bytes: Buffer,
    nulls: Option<NullBuffer>,
    width: usize,
}

impl Values {
    fn of(column: &ArrayRef, width: usize) -> Self {
        let data = column.to_data();
        let (from, bytes) = (data.offset() * width, data.len() * width);
        Self {
            bytes: data.buffers()[0].slice_with_length(from, bytes),
            nulls: column.nulls().cloned(),
            width,
        }
    }

    /// `None`: NULL.
    #[inline]
    fn get(&self, row: usize) -> Option<&[u8]> {
        let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        (!is_null).then(|| &self.bytes[row * self.width..][..self.width])
    }
}

/// Rows that come in.
#[derive(Debug)]
pub(super) struct Incoming {
    fixed: Vec<Values>,
    others: Option<Rows>,
}

/// Bytes that are changed where they are, unless somebody reads them.
#[derive(Debug)]
enum Bytes {
    Own(MutableBuffer),
    Shared(Buffer),
}

impl Default for Bytes {
    fn default() -> Self {
        Self::Own(MutableBuffer::default())
    }
}

impl Bytes {
    #[inline]
    fn own(&mut self) -> &mut MutableBuffer {
        if let Self::Shared(shared) = self {
            // Who read them may be gone.
            let own = std::mem::take(shared).into_mutable();
            *self = Self::Own(own.unwrap_or_else(|shared| {
                let mut own = MutableBuffer::with_capacity(shared.len());
                own.extend_from_slice(shared.as_slice());
                own
            }));
        }
        match self {
            Self::Own(own) => own,
            Self::Shared(_) => unreachable!("they are nobody else's now"),
        }
    }

    fn share(&mut self) -> Buffer {
        if let Self::Own(own) = self {
            *self = Self::Shared(std::mem::take(own).into());
        }
        match self {
            Self::Shared(shared) => shared.clone(),
            Self::Own(_) => unreachable!("they were made to be shared"),
        }
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own(own) => own.as_slice(),
            Self::Shared(shared) => shared.as_slice(),
        }
    }
}

/// The values of a column, of one width.
#[derive(Debug, Default)]
struct Fixed {
    width: usize,
    /// Of what is NULL the bytes are 0.
    values: Bytes,
    /// A bit for each row; not there while nothing is NULL.
    valid: Option<Bytes>,
}

impl Fixed {
    #[inline]
    fn get(&self, row: usize) -> Option<&[u8]> {
        let valid = self.valid.as_ref();
        let is_valid = valid.is_none_or(|valid| bit_util::get_bit(valid.as_slice(), row));
        is_valid.then(|| &self.values.as_slice()[row * self.width..][..self.width])
    }

    /// Rows are added one behind the other.
    #[inline]
    fn put(&mut self, row: usize, value: Option<&[u8]>) {
        let from = row * self.width;
        let values = self.values.own();
        if values.len() == from {
            values.extend_zeros(self.width);
        }
        let into = &mut values.as_slice_mut()[from..from + self.width];
        match (value, <&mut [u8; 8]>::try_from(&mut *into)) {
            (Some(value), Ok(into)) => {
                *into = value.try_into().expect("columns keep their widths");
            }
            (Some(value), Err(_)) => into.copy_from_slice(value),
            (None, _) => into.fill(0),
        }
        if self.valid.is_none() && value.is_some() {
            return;
        }
        let rows = self.values.as_slice().len() / self.width;
        let valid = self.valid.get_or_insert_with(|| {
            let mut all = MutableBuffer::with_capacity(BLOCK_ROWS / 8);
            all.resize(rows.div_ceil(8), u8::MAX);
            Bytes::Own(all)
        });
        let valid = valid.own();
        valid.resize(rows.div_ceil(8), u8::MAX);
        match value {
            Some(_) => bit_util::set_bit(valid.as_slice_mut(), row),
            None => bit_util::unset_bit(valid.as_slice_mut(), row),
        }
    }

    fn share(&mut self) -> Self {
        Self {
            width: self.width,
            values: Bytes::Shared(self.values.share()),
            valid: self
                .valid
                .as_mut()
                .map(|valid| Bytes::Shared(valid.share())),
        }
    }

    /// As an array, where it is shared.
    fn array(&self, data_type: &DataType, rows: usize) -> Result<ArrayRef> {
        let shared = |bytes: &Bytes| match bytes {
            Bytes::Shared(shared) => shared.clone(),
            Bytes::Own(own) => Buffer::from_slice_ref(own.as_slice()),
        };
        let data = ArrayData::builder(data_type.clone())
            .len(rows)
            .add_buffer(shared(&self.values))
            .null_bit_buffer(self.valid.as_ref().map(shared));
        Ok(make_array(data.build()?))
    }
}

/// Rows with their weights; a place whose weight is 0 is free.
#[derive(Debug, Default)]
pub(super) struct Block {
    rows: usize,
    fixed: Vec<Fixed>,
    others: Option<Arc<Vec<Others>>>,
    others_bytes: usize,
    weights: Bytes,
    /// Places whose weight is not 1.
    odd: usize,
}

/// How often a row is given.
pub(super) fn times(weight: i64) -> usize {
    usize::try_from(weight).unwrap_or(0)
}

impl Block {
    /// For rows of these columns.
    pub(super) fn new(places: &Places) -> Self {
        let widths = places.fixed.iter().map(|(_, width)| *width);
        let column = |width| Fixed {
            width,
            ..Fixed::default()
        };
        Self {
            fixed: widths.map(column).collect(),
            others: places.others.as_ref().map(|_| Arc::default()),
            ..Self::default()
        }
    }

    /// Places, free ones among them.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    #[inline]
    pub(super) fn weight(&self, row: usize) -> i64 {
        let bytes = &self.weights.as_slice()[row * WEIGHT_BYTES..][..WEIGHT_BYTES];
        i64::from_ne_bytes(bytes.try_into().expect("a weight has its width"))
    }

    pub(super) fn set_weight(&mut self, row: usize, weight: i64) {
        self.odd -= usize::from(self.weight(row) != 1);
        self.odd += usize::from(weight != 1);
        let bytes = &mut self.weights.own().as_slice_mut()[row * WEIGHT_BYTES..];
        bytes[..WEIGHT_BYTES].copy_from_slice(&weight.to_ne_bytes());
        if weight == 0 && self.others.is_some() {
            // Nobody looks at what is free.
            self.set_others(row, Arc::default());
        }
    }

    fn set_others(&mut self, row: usize, bytes: Others) {
        if let Some(others) = &mut self.others {
            self.others_bytes += bytes.len();
            let before = std::mem::replace(&mut Arc::make_mut(others)[row], bytes);
            self.others_bytes -= before.len();
        }
    }

    /// A place more, which is free.
    pub(super) fn grow(&mut self) -> usize {
        let row = self.rows;
        self.rows += 1;
        self.weights.own().extend_zeros(WEIGHT_BYTES);
        self.odd += 1;
        for column in &mut self.fixed {
            column.put(row, Some(&[0; 64][..column.width]));
        }
        if let Some(others) = &mut self.others {
            Arc::make_mut(others).push(Arc::default());
        }
        row
    }

    /// Has a row that comes in be here.
    #[inline]
    pub(super) fn write(&mut self, row: usize, from: &Incoming, number: usize) {
        for (column, values) in self.fixed.iter_mut().zip(&from.fixed) {
            column.put(row, values.get(number));
        }
        if let Some(rows) = &from.others {
            self.set_others(row, rows.row(number).as_ref().into());
        }
    }

    /// Whether it is the row that comes in.
    #[inline]
    pub(super) fn is_it(&self, row: usize, from: &Incoming, number: usize) -> bool {
        let mut fixed = self.fixed.iter().zip(&from.fixed);
        fixed.all(|(column, values)| column.get(row) == values.get(number))
            && match (&self.others, &from.others) {
                (Some(others), Some(rows)) => *others[row] == *rows.row(number).as_ref(),
                _ => true,
            }
    }

    /// Has a row of another block be here, with its weight.
    pub(super) fn copy(&mut self, row: usize, from: &Self, number: usize) {
        for (column, other) in self.fixed.iter_mut().zip(&from.fixed) {
            column.put(row, other.get(number));
        }
        if let Some(others) = &from.others {
            self.set_others(row, Arc::clone(&others[number]));
        }
        self.set_weight(row, from.weight(number));
    }

    /// What stands here, for who reads it.
    pub(super) fn share(&mut self) -> Self {
        Self {
            rows: self.rows,
            fixed: self.fixed.iter_mut().map(Fixed::share).collect(),
            others: self.others.clone(),
            others_bytes: self.others_bytes,
            weights: Bytes::Shared(self.weights.share()),
            odd: self.odd,
        }
    }

    /// Bytes of memory, what is allocated for each row of many lengths included.
    pub(super) fn heap_bytes(&self) -> usize {
        let others = self.others.as_ref().map_or(0, |others| others.len());
        self.bytes() + others * OTHERS_BYTES
    }

    /// Bytes of it.
    pub(super) fn bytes(&self) -> usize {
        let fixed = self.fixed.iter();
        let fixed = fixed.map(|column| column.values.as_slice().len() + self.rows / 8);
        let others = self.others.as_ref().map_or(0, |others| others.len());
        let others = others * size_of::<Others>() + self.others_bytes;
        fixed.sum::<usize>() + others + self.weights.as_slice().len()
    }

    /// How many rows stand in these places.
    pub(super) fn count(&self, rows: Range<usize>) -> usize {
        match self.odd {
            0 => rows.len(),
            _ => rows.map(|row| times(self.weight(row))).sum(),
        }
    }

    /// The columns of rows in these places, each as often as is said of its weight.
    pub(super) fn columns(
        &self,
        places: &Places,
        rows: Range<usize>,
        (times, rest): (fn(i64) -> usize, Rest),
    ) -> Result<Vec<ArrayRef>> {
        let often = |row: usize| times(self.weight(row));
        let is_plain = self.odd == 0 && times(1) == 1;
        let wanted = (!is_plain).then(|| {
            let each = rows
                .clone()
                .flat_map(|row| std::iter::repeat_n(row, often(row)));
            UInt32Array::from_iter_values(each.map(|row| row as u32))
        });
        let fixed = |number: usize| {
            let (data_type, _) = &places.fixed[number];
            let all = self.fixed[number].array(data_type, self.rows)?;
            match &wanted {
                Some(wanted) => take(&all, wanted, None),
                None => Ok(all.slice(rows.start, rows.len())),
            }
        };
        let others = match (&self.others, &places.others) {
            (Some(_), _) if rest == Rest::LeftOut => {
                let rows = wanted.as_ref().map_or(rows.len(), Array::len);
                let types = places.other_types.iter();
                types.map(|of| new_null_array(of, rows)).collect()
            }
            (Some(others), Some(converter)) => {
                let parser = converter.parser();
                let each = rows.clone().flat_map(|row| {
                    let often = if is_plain { 1 } else { often(row) };
                    std::iter::repeat_n(row, often)
                });
                converter.convert_rows(each.map(|row| parser.parse(&others[row])))?
            }
            _ => Vec::new(),
        };
        let column = |place: &Place| match place {
            Place::Fixed(number) => fixed(*number),
            Place::Other(number) => Ok(Arc::clone(&others[*number])),
        };
        places.columns.iter().map(column).collect()
    }
}
