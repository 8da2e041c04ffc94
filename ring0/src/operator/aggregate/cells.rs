//! Which cells of state an aggregation needs, where they lie in a slot, and as which columns they
//! travel between the phases. Calls share cells: COUNT(*), SUM(v), MIN(v) and MAX(v) need one
//! count of v's values, one sum, one least and one greatest value.

use arrow_schema::DataType;

use crate::error::{Error, Result};
use crate::hash::NAN_BITS;
use crate::limits::DECIMAL_DIGITS_MAX;
use crate::operator::aggregate::fused::Fused;
use crate::operator::aggregate::generic;
use crate::program::{AggregateCall, AggregateFunction, AggregateSpec, Phase};
use crate::schema::{Field, Physical, Schema, physical};
use crate::table::keys::value_words;
use crate::table::store::PageStore;
use crate::table::var::{VarHeap, VarRef};

/// What a cell is for; its type is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Rows,
    Values(usize),
    Sum(usize),
    Min(usize),
    Max(usize),
    Moments(usize),
    /// The group's number, for generic calls.
    Number,
}

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows; one word.
    Rows,
    /// Values that are not NULL; one word.
    Values,
    /// A 128-bit sum of integers: low, high.
    SumInt,
    /// Sum and compensation.
    SumF64,
    /// A 192-bit sum of decimals, lowest word first.
    SumDecimal,
    /// The least value: a word, two, or a reference of two.
    Min(Physical),
    /// The greatest value.
    Max(Physical),
    /// Count, sum and sum of squares, both of two words, so that neither order nor number of parts
    /// shows in the result.
    Moments,
    /// The group's number; one word.
    Number,
}

/// Whether the least and greatest values are kept beside the slot.
pub(super) fn is_var(physical: Physical) -> bool {
    matches!(physical, Physical::Utf8 | Physical::Binary)
}

impl Kind {
    fn words(self) -> usize {
        match self {
            Self::Rows | Self::Values | Self::Number => 1,
            Self::SumInt | Self::SumF64 => 2,
            Self::SumDecimal => 3,
            Self::Moments => 5,
            Self::Min(p) | Self::Max(p) if is_var(p) => 2,
            Self::Min(p) | Self::Max(p) => value_words(p),
        }
    }

    /// Words of the cell before the first value.
    fn initial(self, to: &mut Vec<u64>) {
        let wide = |v: i128| [v as u64, (v >> 64) as u64];
        match self {
            Self::Min(p) | Self::Max(p) if is_var(p) => {
                to.extend([VarRef::NONE.0, VarRef::NONE.1]);
            }
            Self::Min(Physical::F32 | Physical::F64) => to.push(NAN_BITS),
            Self::Max(Physical::F32 | Physical::F64) => to.push(f64::NEG_INFINITY.to_bits()),
            Self::Min(Physical::U64) => to.push(u64::MAX),
            Self::Max(Physical::U64) => to.push(0),
            Self::Min(p) if value_words(p) == 2 => to.extend(wide(i128::MAX)),
            Self::Max(p) if value_words(p) == 2 => to.extend(wide(i128::MIN)),
            Self::Number => to.push(generic::NONE),
            Self::Min(_) => to.push(i64::MAX as u64),
            Self::Max(_) => to.push(i64::MIN as u64),
            kind => to.extend(std::iter::repeat_n(0, kind.words())),
        }
    }

    /// Columns of the cell between the phases.
    pub(super) fn columns(self) -> usize {
        match self {
            Self::Number => 0,
            Self::Rows | Self::Values | Self::Min(_) | Self::Max(_) => 1,
            Self::SumInt | Self::SumF64 | Self::SumDecimal => 2,
            Self::Moments => 5,
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

impl Cell {
    /// Gives back what the cell of `slot` keeps beside it.
    pub(super) fn free(&self, heap: &mut VarHeap, store: &PageStore, slot: *mut u64) {
        if let Kind::Min(p) | Kind::Max(p) = self.kind
            && is_var(p)
        {
            // SAFETY: the slot is one of this plan's, and the cell's two words lie within it.
            let [first, second] = unsafe { *slot.add(self.at).cast() };
            heap.free(store, VarRef(first, second));
        }
    }
}

/// What a call's result is made from: words of the slot.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) function: AggregateFunction,
    pub(super) cell: Cell,
    /// The result's type.
    pub(super) data_type: DataType,
    /// Digits behind the point of a decimal argument.
    pub(super) scale: u8,
}

impl Output {
    /// Whether the cell makes results of the output's type.
    fn fits(&self) -> bool {
        use AggregateFunction as F;
        let is = physical(&self.data_type);
        match (&self.function, self.cell.kind) {
            (F::Generic(call), _) => is == physical(call.kernel.data_type()),
            (F::Count, _) => is == Some(Physical::I64),
            (F::Sum, Kind::SumInt) => matches!(is, Some(Physical::I64 | Physical::U64)),
            (F::Sum | F::Avg, Kind::SumDecimal) => match self.data_type {
                DataType::Decimal128(_, scale) => scale.unsigned_abs() >= self.scale,
                _ => false,
            },
            (F::Min | F::Max, Kind::Min(p) | Kind::Max(p)) => is == Some(p),
            _ => is == Some(Physical::F64),
        }
    }
}

/// The cells of an aggregation.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) cells: Vec<Cell>,
    /// Word of the slot that counts its rows, where one does.
    pub(super) rows_at: usize,
    /// Word of the slot that numbers the group, where there are generic calls.
    pub(super) number_at: Option<usize>,
    /// Those that are changed together, where there are such, and the others.
    pub(super) fused: Option<Fused>,
    pub(super) rest: Vec<Cell>,
    pub(super) outputs: Vec<Output>,
    pub(super) initial: Vec<u64>,
}

fn needs_of(call: &AggregateCall) -> Result<Vec<Need>> {
    use AggregateFunction as F;
    Ok(match (&call.function, call.argument) {
        (F::Generic(_), _) => vec![Need::Number],
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
    use Physical::{F32, F64, I8, I16, I32, I64, I128, List, Struct, U8, U16, U32, U64};
    let of = |t: Option<&DataType>| t.and_then(physical);
    Ok(match (need, of(data_type)) {
        (Need::Rows, _) => Kind::Rows,
        (Need::Number, _) => Kind::Number,
        (Need::Values(_), Some(_)) => Kind::Values,
        (Need::Sum(_), Some(I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)) => Kind::SumInt,
        (Need::Sum(_), Some(F32 | F64)) => Kind::SumF64,
        (Need::Sum(_), Some(I128)) => Kind::SumDecimal,
        (Need::Min(_), Some(p)) if !matches!(p, List | Struct) => Kind::Min(p),
        (Need::Max(_), Some(p)) if !matches!(p, List | Struct) => Kind::Max(p),
        (Need::Moments(_), Some(I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64 | F32 | F64)) => {
            Kind::Moments
        }
        (need, _) => {
            return Err(Error::Program(format!(
                "no aggregate {need:?} of {data_type:?}"
            )));
        }
    })
}

fn scale_of(data_type: Option<&DataType>) -> u8 {
    match data_type {
        Some(DataType::Decimal128(_, scale)) => scale.unsigned_abs(),
        _ => 0,
    }
}

/// Refuses calls that there are no aggregates for.
fn check_calls(input: &Schema, calls: &[AggregateCall]) -> Result<()> {
    for call in calls {
        let argument = match call.argument {
            Some(a) => Some(
                input
                    .fields
                    .get(a)
                    .map(|f| &f.data_type)
                    .ok_or_else(|| Error::Program(format!("an aggregate of column {a}")))?,
            ),
            None => None,
        };
        if result_type(&call.function, argument).is_none() {
            return Err(Error::Program(format!(
                "no aggregate {:?} of {argument:?}",
                call.function
            )));
        }
    }
    Ok(())
}

impl Plan {
    /// These cells, to be changed by state that passes between phases.
    pub(super) fn of_cells(cells: Vec<Cell>) -> Self {
        Self {
            rows_at: 0,
            number_at: None,
            fused: None,
            rest: cells.clone(),
            cells,
            outputs: Vec::new(),
            initial: Vec::new(),
        }
    }

    /// The cells of `spec`, in slots whose state begins at word `state_at`.
    pub(super) fn new(spec: &AggregateSpec, state_at: usize) -> Result<Self> {
        if spec.phase != Phase::Final {
            check_calls(&spec.input, &spec.calls)?;
        }
        let phases = matches!(spec.phase, Phase::Partial | Phase::Final);
        if phases && generic::calls(spec).next().is_some() {
            let message = "a generic aggregate in two phases".to_owned();
            return Err(Error::Program(message));
        }
        let mut needs = all_needs(&spec.calls)?;
        if spec.phase == Phase::Changes && !needs.contains(&Need::Rows) {
            // A group without rows does not stand yet.
            needs.push(Need::Rows);
        }
        let mut cells: Vec<Cell> = Vec::with_capacity(needs.len());
        let mut initial = Vec::new();
        let mut state_column = spec.keys.len();
        for &need in &needs {
            let column = match (spec.phase, need) {
                (Phase::Final, _) => state_column,
                (_, Need::Rows | Need::Number) => 0,
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
        let outputs = match spec.phase {
            Phase::Partial => Vec::new(),
            Phase::Complete | Phase::Final | Phase::Changes => outputs(spec, &needs, &cells)?,
        };
        let (fused, rest) = match spec.phase {
            Phase::Complete | Phase::Partial | Phase::Changes => Fused::of(&cells, &spec.input),
            Phase::Final => (None, cells.clone()),
        };
        let number = cells.iter().find(|c| c.kind == Kind::Number);
        let number_at = number.map(|c| c.at);
        // Who numbers groups does so for all generic calls together.
        let is_cell = |c: &Cell| c.kind != Kind::Number;
        let (mut cells, mut rest) = (cells, rest);
        cells.retain(is_cell);
        rest.retain(is_cell);
        let rows = cells.iter().find(|c| c.kind == Kind::Rows);
        Ok(Self {
            rows_at: rows.map_or(0, |c| c.at),
            number_at,
            cells,
            fused,
            rest,
            outputs,
            initial,
        })
    }
}

/// What the results of the calls are made from.
fn outputs(spec: &AggregateSpec, needs: &[Need], cells: &[Cell]) -> Result<Vec<Output>> {
    let mut outputs = Vec::new();
    let results = spec.results();
    for (i, call) in spec.calls.iter().enumerate() {
        // The last cell that a call needs is the one that its result is made from.
        let need = needs_of(call)?.pop();
        let cell = needs
            .iter()
            .position(|n| Some(*n) == need)
            .map(|i| cells[i]);
        let field = results.get(i);
        let (Some(cell), Some(field)) = (cell, field) else {
            return Err(Error::Program("a call without a result".to_owned()));
        };
        let argument = spec.input.fields.get(cell.column).map(|f| &f.data_type);
        let output = Output {
            function: call.function.clone(),
            cell,
            data_type: field.data_type.clone(),
            scale: scale_of(argument),
        };
        if !output.fits() {
            let message = format!("{:?} in a column of {}", call.function, field.data_type);
            return Err(Error::Program(message));
        }
        outputs.push(output);
    }
    Ok(outputs)
}

/// The type of an aggregate's result by its argument's type, `None` for `COUNT(*)`; `None` where
/// there is no such aggregate. Types are DataFusion's.
pub fn result_type(function: &AggregateFunction, argument: Option<&DataType>) -> Option<DataType> {
    use AggregateFunction as F;
    use DataType::{Decimal128, Duration, Float64, Int64, List, Struct, UInt64};
    let decimal = |p: u8, s: i8| Decimal128(p.min(DECIMAL_DIGITS_MAX), s);
    match (function, argument) {
        (F::Generic(call), _) => Some(call.kernel.data_type().clone()),
        (F::Count, None) => Some(Int64),
        (_, None) => None,
        (_, Some(t)) if physical(t).is_none() => None,
        (F::Count, Some(_)) => Some(Int64),
        (F::Min | F::Max, Some(List(_) | Struct(_))) => None,
        (F::Min | F::Max, Some(t)) => Some(t.clone()),
        (F::Sum, Some(t)) if t.is_signed_integer() => Some(Int64),
        (F::Sum, Some(t)) if t.is_unsigned_integer() => Some(UInt64),
        (F::Sum, Some(Decimal128(p, s))) => Some(decimal(p + 10, *s)),
        (F::Sum, Some(t @ Duration(_))) => Some(t.clone()),
        (F::Avg, Some(Decimal128(p, s))) => {
            Some(decimal(p + 4, (s + 4).min(DECIMAL_DIGITS_MAX as i8)))
        }
        // Of decimals DataFusion computes them as of DOUBLEs, and the planner casts.
        (_, Some(t)) => (t.is_integer() || t.is_floating()).then_some(Float64),
    }
}

/// The columns between the phases of an aggregation of `input`: the keys, then the cells.
///
/// # Errors
/// [`Error::Program`] where there is no such aggregate.
pub fn partial_schema(input: &Schema, keys: &[usize], calls: &[AggregateCall]) -> Result<Schema> {
    check_calls(input, calls)?;
    if let Some(key) = keys.iter().find(|&&key| key >= input.fields.len()) {
        let columns = input.fields.len();
        return Err(Error::Program(format!("key {key} of {columns} columns")));
    }
    let mut fields: Vec<Field> = keys.iter().map(|&k| input.fields[k].clone()).collect();
    for need in all_needs(calls)? {
        let (name, argument) = match need {
            Need::Rows => ("rows", None),
            Need::Number => {
                let message = "a generic aggregate in two phases".to_owned();
                return Err(Error::Program(message));
            }
            Need::Values(a) => ("values", Some(a)),
            Need::Sum(a) => ("sum", Some(a)),
            Need::Min(a) => ("min", Some(a)),
            Need::Max(a) => ("max", Some(a)),
            Need::Moments(a) => ("moments", Some(a)),
        };
        let data_type = argument.map(|a| &input.fields[a].data_type);
        let types: Vec<DataType> = match (kind(need, data_type)?, data_type) {
            (Kind::Rows | Kind::Values | Kind::Number, _) => vec![DataType::Int64],
            (Kind::SumInt, _) => vec![DataType::Int64, DataType::Int64],
            // The low 128 bits as they are, with the scale that AVG needs; then the high word.
            (Kind::SumDecimal, t) => {
                let low = DataType::Decimal128(DECIMAL_DIGITS_MAX, scale_of(t) as i8);
                vec![low, DataType::Int64]
            }
            (Kind::SumF64, _) => vec![DataType::Float64, DataType::Float64],
            (Kind::Moments, _) => {
                let mut types = vec![DataType::Int64];
                types.extend([const { DataType::Float64 }; 4]);
                types
            }
            (Kind::Min(_) | Kind::Max(_), t) => t.cloned().into_iter().collect(),
        };
        for (i, data_type) in types.into_iter().enumerate() {
            let of = argument.map_or(String::new(), |a| input.fields[a].name.clone());
            fields.push(Field::new(format!("{name}({of})#{i}"), data_type));
        }
    }
    Ok(Schema::new(fields))
}
