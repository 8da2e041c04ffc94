//! Which cells of state an aggregation needs, where they lie in a slot, and as which columns they
//! travel between the phases. Calls share cells: COUNT(*), SUM(v), MIN(v) and MAX(v) need one
//! count of v's values, one sum, one least and one greatest value.

use arrow_schema::DataType;

use crate::error::{Error, Result};
use crate::hash::NAN_BITS;
use crate::operator::aggregate::fused::Fused;
use crate::program::{AggregateCall, AggregateFunction, AggregateSpec, Phase};
use crate::schema::{Field, Physical, Schema, physical};
use crate::table::var::VarRef;

/// What a cell is for; its type is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Rows,
    Values(usize),
    Sum(usize),
    Min(usize),
    Max(usize),
    Moments(usize),
}

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows; one word.
    Rows,
    /// Values that are not NULL; one word.
    Values,
    /// A 128-bit sum: low, high.
    SumI64,
    /// Sum and compensation.
    SumF64,
    /// The least value: a word, or a reference of two.
    Min(Physical),
    /// The greatest value.
    Max(Physical),
    /// Count, mean, sum of squared distances from the mean.
    Moments,
}

impl Kind {
    fn words(self) -> usize {
        match self {
            Self::Rows | Self::Values => 1,
            Self::SumI64 | Self::SumF64 => 2,
            Self::Min(Physical::Utf8) | Self::Max(Physical::Utf8) => 2,
            Self::Min(_) | Self::Max(_) => 1,
            Self::Moments => 3,
        }
    }

    /// Words of the cell before the first value.
    fn initial(self, to: &mut Vec<u64>) {
        match self {
            Self::Min(Physical::Utf8) | Self::Max(Physical::Utf8) => {
                to.extend([VarRef::NONE.0, VarRef::NONE.1]);
            }
            Self::Min(Physical::F64) => to.push(NAN_BITS),
            Self::Max(Physical::F64) => to.push(f64::NEG_INFINITY.to_bits()),
            Self::Min(_) => to.push(i64::MAX as u64),
            Self::Max(_) => to.push(i64::MIN as u64),
            kind => to.extend(std::iter::repeat_n(0, kind.words())),
        }
    }

    /// Columns of the cell between the phases.
    pub(super) fn columns(self) -> usize {
        match self {
            Self::Rows | Self::Values | Self::Min(_) | Self::Max(_) => 1,
            Self::SumI64 | Self::SumF64 => 2,
            Self::Moments => 3,
        }
    }
}

/// A cell of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) kind: Kind,
    /// The input's column: the argument, or with [`Phase::Final`] the first of the state.
    pub(super) column: usize,
    /// First word in the slot.
    pub(super) at: usize,
    /// Word of the slot that counts the argument's values, if such a cell is there.
    pub(super) values_at: usize,
}

/// What a call's result is made from: words of the slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) function: AggregateFunction,
    pub(super) cell: Cell,
}

/// The cells of an aggregation.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) cells: Vec<Cell>,
    /// Those that are changed together, where there are such, and the others.
    pub(super) fused: Option<Fused>,
    pub(super) rest: Vec<Cell>,
    pub(super) outputs: Vec<Output>,
    pub(super) initial: Vec<u64>,
}

fn needs_of(call: &AggregateCall) -> Result<Vec<Need>> {
    use AggregateFunction as F;
    Ok(match (call.function, call.argument) {
        (F::Count, None) => vec![Need::Rows],
        (F::Count, Some(a)) => vec![Need::Values(a)],
        (F::Sum | F::Avg, Some(a)) => vec![Need::Values(a), Need::Sum(a)],
        (F::Min, Some(a)) => vec![Need::Values(a), Need::Min(a)],
        (F::Max, Some(a)) => vec![Need::Values(a), Need::Max(a)],
        (_, Some(a)) => vec![Need::Moments(a)],
        (f, None) => return Err(Error::Program(format!("{f:?} without an argument"))),
    })
}

fn all_needs(calls: &[AggregateCall]) -> Result<Vec<Need>> {
    let mut all = Vec::new();
    for call in calls {
        for need in needs_of(call)? {
            if !all.contains(&need) {
                all.push(need);
            }
        }
    }
    Ok(all)
}

/// The kind of a cell, from the type of its argument or of its first column of state.
fn kind(need: Need, data_type: Option<&DataType>) -> Result<Kind> {
    let of = |t: Option<&DataType>| t.and_then(physical);
    Ok(match (need, of(data_type)) {
        (Need::Rows, _) => Kind::Rows,
        (Need::Values(_), Some(_)) => Kind::Values,
        (Need::Sum(_), Some(Physical::I64)) => Kind::SumI64,
        (Need::Sum(_), Some(Physical::F64)) => Kind::SumF64,
        (Need::Min(_), Some(p)) => Kind::Min(p),
        (Need::Max(_), Some(p)) => Kind::Max(p),
        (Need::Moments(_), Some(Physical::I64 | Physical::F64)) => Kind::Moments,
        (need, _) => {
            return Err(Error::Program(format!(
                "no aggregate {need:?} of {data_type:?}"
            )));
        }
    })
}

impl Plan {
    /// The cells of `spec`, in slots whose state begins at word `state_at`.
    pub(super) fn new(spec: &AggregateSpec, state_at: usize) -> Result<Self> {
        let needs = all_needs(&spec.calls)?;
        let mut cells: Vec<Cell> = Vec::with_capacity(needs.len());
        let mut initial = Vec::new();
        let mut state_column = spec.keys.len();
        for &need in &needs {
            let column = match (spec.phase, need) {
                (Phase::Final, _) => state_column,
                (_, Need::Rows) => 0,
                (
                    _,
                    Need::Values(a) | Need::Sum(a) | Need::Min(a) | Need::Max(a) | Need::Moments(a),
                ) => a,
            };
            let kind = kind(need, spec.input.fields.get(column).map(|f| &f.data_type))?;
            state_column += kind.columns();
            let at = state_at + initial.len();
            kind.initial(&mut initial);
            let values_at = match need {
                Need::Sum(a) | Need::Min(a) | Need::Max(a) => needs
                    .iter()
                    .position(|&n| n == Need::Values(a))
                    .map_or(at, |i| cells[i].at),
                _ => at,
            };
            cells.push(Cell {
                kind,
                column,
                at,
                values_at,
            });
        }
        if spec.phase == Phase::Final && state_column != spec.input.fields.len() {
            return Err(Error::Program("state of other aggregates".to_owned()));
        }
        let mut outputs = Vec::new();
        for call in &spec.calls {
            // The last cell that a call needs is the one that its result is made from.
            let cell = needs_of(call)?
                .last()
                .and_then(|need| needs.iter().position(|n| n == need))
                .map(|i| cells[i]);
            if let Some(cell) = cell {
                outputs.push(Output {
                    function: call.function,
                    cell,
                });
            }
        }
        let (fused, rest) = match spec.phase {
            Phase::Complete | Phase::Partial => Fused::of(&cells),
            Phase::Final => (None, cells.clone()),
        };
        Ok(Self {
            cells,
            fused,
            rest,
            outputs,
            initial,
        })
    }
}

/// The type of an aggregate's result by its argument's type, `None` for `COUNT(*)`; `None` where
/// there is no such aggregate.
pub fn result_type(function: AggregateFunction, argument: Option<&DataType>) -> Option<DataType> {
    use AggregateFunction as F;
    match (function, argument) {
        (F::Count, None) => Some(DataType::Int64),
        (F::Count, Some(t)) => physical(t).map(|_| DataType::Int64),
        (F::Sum, Some(t @ (DataType::Int64 | DataType::Float64))) => Some(t.clone()),
        (F::Min | F::Max, Some(t)) => physical(t).map(|_| t.clone()),
        (F::Sum | F::Min | F::Max, _) => None,
        (_, Some(DataType::Int64 | DataType::Float64)) => Some(DataType::Float64),
        _ => None,
    }
}

/// The columns between the phases of an aggregation of `input`: the keys, then the cells.
///
/// # Errors
/// [`Error::Program`] where there is no such aggregate.
pub fn partial_schema(input: &Schema, keys: &[usize], calls: &[AggregateCall]) -> Result<Schema> {
    for call in calls {
        let argument = call.argument.map(|a| &input.fields[a].data_type);
        if result_type(call.function, argument).is_none() {
            return Err(Error::Program(format!(
                "no aggregate {:?} of {argument:?}",
                call.function
            )));
        }
    }
    let mut fields: Vec<Field> = keys.iter().map(|&k| input.fields[k].clone()).collect();
    for need in all_needs(calls)? {
        let (name, argument) = match need {
            Need::Rows => ("rows", None),
            Need::Values(a) => ("values", Some(a)),
            Need::Sum(a) => ("sum", Some(a)),
            Need::Min(a) => ("min", Some(a)),
            Need::Max(a) => ("max", Some(a)),
            Need::Moments(a) => ("moments", Some(a)),
        };
        let data_type = argument.map(|a| &input.fields[a].data_type);
        let types: Vec<DataType> = match (kind(need, data_type)?, data_type) {
            (Kind::Rows | Kind::Values, _) => vec![DataType::Int64],
            (Kind::SumI64, _) => vec![DataType::Int64, DataType::Int64],
            (Kind::SumF64, _) => vec![DataType::Float64, DataType::Float64],
            (Kind::Moments, _) => vec![DataType::Int64, DataType::Float64, DataType::Float64],
            (Kind::Min(_) | Kind::Max(_), t) => t.cloned().into_iter().collect(),
        };
        for (i, data_type) in types.into_iter().enumerate() {
            let of = argument.map_or(String::new(), |a| input.fields[a].name.clone());
            fields.push(Field::new(format!("{name}({of})#{i}"), data_type));
        }
    }
    Ok(Schema::new(fields))
}
