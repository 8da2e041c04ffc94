//! What a group keeps of the rows that stand: the words of its cells as they lie in a slot, and
//! beside them what words cannot forget.

use arrow_array::ArrayRef;

use super::exact::Exact;
use crate::column::{Column, each_integer};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::operator::aggregate::cells::{Cell, Kind, Plan};
use crate::operator::aggregate::generic::{GenericCall, calls};
use crate::operator::aggregate::middle::{Middle, result_over};
use crate::operator::aggregate::{emit, update};
use crate::order::{Rows, SortKey, count, put_key, put_row, take};
use crate::program::{AggregateFunction as F, AggregateSpec, Phase};
use crate::tally::{Charge, Packed, allocated, node_bytes};

/// What a cell keeps beside its words.
#[derive(Debug)]
enum Side {
    /// Nothing.
    Words,
    /// Of doubles.
    Exact(Box<Exact>),
    /// How often each value stands.
    Values(Rows),
}

/// The rows that a generic call counts, and their result while it holds.
#[derive(Debug, Default)]
struct Kept {
    rows: Rows,
    result: Option<Column>,
    /// What stands in the middle, where that is asked for and was once.
    middle: Option<Middle>,
}

#[derive(Debug)]
pub(super) struct State {
    words: Vec<u64>,
    /// One for each cell of the plan.
    sides: Vec<Side>,
    /// One for each generic call.
    kept: Vec<Kept>,
    /// Of all that are not values and rows, which count for themselves.
    #[expect(dead_code, reason = "it counts as long as it is there")]
    charge: Charge,
}

/// Bytes of a result that is kept of a generic call, and of the node of its first rows.
const RESULT_BYTES: usize = 128 + node_bytes::<Packed, i64>();

impl State {
    pub(super) fn new(spec: &AggregateSpec, plan: &Plan) -> Self {
        let side = |cell: &Cell| match cell.kind {
            Kind::SumF64 => Side::Exact(Box::new(Exact::sum())),
            Kind::Moments => Side::Exact(Box::new(Exact::moments())),
            Kind::Min(_) | Kind::Max(_) => Side::Values(Rows::new()),
            Kind::Rows | Kind::Values | Kind::SumInt | Kind::SumDecimal | Kind::Number => {
                Side::Words
            }
        };
        let sides: Vec<Side> = plan.cells.iter().map(side).collect();
        let kept: Vec<Kept> = calls(spec).map(|_| Kept::default()).collect();
        let exact = sides.iter().map(|side| match side {
            Side::Exact(exact) => exact.bytes(),
            Side::Values(_) => node_bytes::<Packed, i64>(),
            Side::Words => 0,
        });
        let bytes = size_of::<Self>()
            + allocated(size_of_val(&plan.initial[..]))
            + allocated(size_of_val(&sides[..]))
            + allocated(size_of_val(&kept[..]) + kept.len() * RESULT_BYTES)
            + exact.sum::<usize>();
        Self {
            words: plan.initial.clone(),
            sides,
            kept,
            charge: Charge::of(bytes),
        }
    }

    /// Whether nothing is owed: of sums that is so where nothing is counted.
    pub(super) fn is_empty(&self) -> bool {
        let side = |side: &Side| match side {
            Side::Values(values) => values.is_empty(),
            Side::Words | Side::Exact(_) => true,
        };
        self.sides.iter().all(side) && self.kept.iter().all(|k| k.rows.is_empty())
    }

    /// All that is no value which stands: words of cells, and what sums of doubles are.
    pub(super) fn words(&self) -> Vec<u64> {
        let exact = self.sides.iter().filter_map(|side| match side {
            Side::Exact(exact) => Some(exact.words()),
            Side::Words | Side::Values(_) => None,
        });
        self.words.iter().copied().chain(exact.flatten()).collect()
    }

    /// Takes these words back. Returns whether there are as many as there have to be.
    pub(super) fn set_words(&mut self, words: &[u64]) -> bool {
        let Some((cells, mut rest)) = words.split_at_checked(self.words.len()) else {
            return false;
        };
        self.words.copy_from_slice(cells);
        for side in &mut self.sides {
            if let Side::Exact(exact) = side {
                match exact.set_words(rest) {
                    Some(behind) => rest = behind,
                    None => return false,
                }
            }
        }
        rest.is_empty()
    }

    /// The rows and values of which it keeps how often they stand, always as many and in one order.
    pub(super) fn counted(&self) -> impl Iterator<Item = &Rows> {
        let values = self.sides.iter().filter_map(|side| match side {
            Side::Values(values) => Some(values),
            Side::Words | Side::Exact(_) => None,
        });
        values.chain(self.kept.iter().map(|kept| &kept.rows))
    }

    /// The same, to take them back.
    pub(super) fn counted_mut(&mut self) -> impl Iterator<Item = &mut Rows> {
        let values = self.sides.iter_mut().filter_map(|side| match side {
            Side::Values(values) => Some(values),
            Side::Words | Side::Exact(_) => None,
        });
        values.chain(self.kept.iter_mut().map(|kept| &mut kept.rows))
    }

    /// Takes a row with its weight, 1 or -1.
    pub(super) fn weigh(
        &mut self,
        spec: &AggregateSpec,
        plan: &Plan,
        frame: &Frame,
        row: usize,
        weight: i64,
    ) {
        for (cell, side) in plan.cells.iter().zip(&mut self.sides) {
            weigh_cell(cell, &mut self.words[cell.at..], side, frame, row, weight);
        }
        for (call, kept) in calls(spec).zip(&mut self.kept) {
            let counts = call.filter.is_none_or(|f| match &frame.columns[f] {
                Column::Bool(c) => c.get(row) == Some(true),
                other => unreachable!("a filter of {:?}", other.physical()),
            });
            if counts {
                let mut bytes = Vec::new();
                put_row(
                    &mut bytes,
                    call.args.iter().map(|&a| &frame.columns[a]),
                    row,
                );
                let stood = count(&mut kept.rows, bytes.clone(), weight);
                if let Some(middle) = &mut kept.middle {
                    middle.note(&bytes, stood, weight);
                }
                kept.result = None;
            }
        }
    }

    /// Appends the group's keys and results.
    pub(super) fn push(
        &mut self,
        spec: &AggregateSpec,
        plan: &Plan,
        mut key: &[u8],
        out: &mut Frame,
    ) -> Result<()> {
        let (keys, results) = out.columns.split_at_mut(spec.keys.len());
        keys.iter_mut().for_each(|to| take(&mut key, to));
        self.settle(plan);
        let mut kept = calls(spec).zip(&mut self.kept);
        for (output, to) in plan.outputs.iter().zip(results) {
            match output.function {
                F::Generic(_) => {
                    let (call, kept) = kept.next().expect("each generic call keeps its rows");
                    push_kept(spec, call, kept, to)?;
                }
                F::Min | F::Max => {
                    let cell = plan.cells.iter().position(|c| c.at == output.cell.at);
                    let Some(Side::Values(values)) = cell.map(|at| &self.sides[at]) else {
                        unreachable!("a cell of extremes keeps values")
                    };
                    let mut standing = values.iter().filter(|(_, count)| **count > 0);
                    let found = match output.function {
                        F::Min => standing.next(),
                        _ => standing.next_back(),
                    };
                    match found {
                        Some((value, _)) => take(&mut &value[..], to),
                        None => to.push_null(),
                    }
                }
                _ => emit::push_numbers(output, &[self.words.as_mut_ptr()], to)?,
            }
        }
        Ok(())
    }

    /// Has the words of doubles say what they sum to.
    fn settle(&mut self, plan: &Plan) {
        for (cell, side) in plan.cells.iter().zip(&self.sides) {
            let Side::Exact(exact) = side else { continue };
            let at = cell.at + usize::from(cell.kind == Kind::Moments);
            let sum = exact.total();
            let words = sum.into_iter().chain(exact.squares()).map(f64::to_bits);
            let count = if cell.kind == Kind::Moments { 4 } else { 2 };
            for (to, word) in self.words[at..at + count].iter_mut().zip(words) {
                *to = word;
            }
        }
    }
}

fn weigh_cell(
    cell: &Cell,
    words: &mut [u64],
    side: &mut Side,
    frame: &Frame,
    row: usize,
    weight: i64,
) {
    let counted = |words: &mut [u64]| words[0] = words[0].wrapping_add(weight as u64);
    if cell.kind == Kind::Rows {
        return counted(words);
    }
    let column = &frame.columns[cell.column];
    if !column.is_valid(row) {
        return;
    }
    match (cell.kind, side, column) {
        (Kind::Values, ..) => counted(words),
        (Kind::SumInt, _, column) => {
            let value = each_integer!(column, c => i128::from(c.values[row]), other => {
                unreachable!("a column of {:?} is no number", other.physical())
            });
            if let Some(cell) = words.first_chunk_mut() {
                update::add_i128(cell, value * i128::from(weight));
            }
        }
        (Kind::SumDecimal, _, Column::I128(c)) => {
            let value = c.values[row] * i128::from(weight);
            if let Some(cell) = words.first_chunk_mut() {
                update::add_i192(cell, value, (value >> 127) as u64);
            }
        }
        (Kind::SumF64, Side::Exact(exact), column) => exact.weigh(double(column, row), weight),
        (Kind::Moments, Side::Exact(exact), column) => {
            counted(words);
            exact.weigh(double(column, row), weight);
        }
        (Kind::Min(_) | Kind::Max(_), Side::Values(values), _) => {
            let mut bytes = Vec::new();
            put_key(&mut bytes, frame, row, &[SortKey::ascending(cell.column)]);
            count(values, bytes, weight);
        }
        (kind, ..) => unreachable!("{kind:?} of a column of {:?}", column.physical()),
    }
}

fn double(column: &Column, row: usize) -> f64 {
    match column {
        Column::F64(c) => c.values[row],
        Column::F32(c) => f64::from(c.values[row]),
        column => each_integer!(column, c => c.values[row] as f64, other => {
            unreachable!("a column of {:?} is no number", other.physical())
        }),
    }
}

/// Appends the result of a generic call, computed anew where its rows have changed.
fn push_kept(
    spec: &AggregateSpec,
    call: &GenericCall,
    kept: &mut Kept,
    to: &mut Column,
) -> Result<()> {
    if kept.result.is_none() {
        let result = match (call.kernel.takes_middle(), &call.args[..]) {
            (true, &[arg]) => {
                let rows = &kept.rows;
                let middle = kept.middle.get_or_insert_with(|| Middle::of(rows));
                let data_type = &spec.input.fields[arg].data_type;
                result_over(&*call.kernel, data_type, &middle.find(rows))
            }
            _ => evaluate(spec, call, &kept.rows),
        };
        let result = result.map_err(|message| Error::Row { message })?;
        assert_eq!(result.len(), 1, "a result for the one group");
        kept.result = Some(Column::from_array(result));
    }
    if let Some(result) = &kept.result {
        to.append_all(result);
    }
    Ok(())
}

fn evaluate(
    spec: &AggregateSpec,
    call: &GenericCall,
    rows: &Rows,
) -> std::result::Result<ArrayRef, String> {
    let types = call.args.iter().map(|&a| &spec.input.fields[a].data_type);
    let mut columns: Vec<Column> = types.clone().map(Column::of).collect();
    let mut total = 0;
    for (row, &count) in rows {
        for _ in 0..count {
            let mut rest = &row[..];
            columns.iter_mut().for_each(|to| take(&mut rest, to));
            total += 1;
        }
    }
    let args = columns.into_iter().zip(types);
    let args: Vec<ArrayRef> = args.map(|(column, t)| column.into_array(t)).collect();
    let mut states = call.kernel.states(Phase::Complete)?;
    states.update(&args, &vec![0; total], 1)?;
    states.results(1)
}
