//! What a stage's records were: while they are a source's rows, the ledger counts what becomes of
//! each.

use std::sync::Arc;

use arrow_schema::DataType;

use crate::build::input_schema;
use crate::column::{Bitmap, Column};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::program::{ChangesSpec, OperatorSpec, Program, StageInput, StageOutput};
use crate::schema::{Field, Schema};

/// Which records still are rows of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfInput {
    /// None: they are groups, or were counted.
    None,
    /// All.
    All,
    /// One for each row of the source that was taken apart: those whose last column is true.
    Flagged,
}

impl OfInput {
    /// How many rows of the source a frame stands for.
    pub(crate) fn of(self, frame: &Frame) -> u64 {
        match self {
            Self::None => 0,
            Self::All => frame.rows() as u64,
            Self::Flagged => {
                let words = flags(frame).words().iter();
                words.map(|w| u64::from(w.count_ones())).sum()
            }
        }
    }

    /// How many rows of the source these rows of a frame stand for.
    pub(crate) fn of_rows(self, frame: &Frame, rows: &[u32]) -> u64 {
        match self {
            Self::None => 0,
            Self::All => rows.len() as u64,
            Self::Flagged => {
                let flags = flags(frame);
                rows.iter().filter(|&&r| flags.get(r as usize)).count() as u64
            }
        }
    }

    /// What the results of an operator are, which have these columns.
    ///
    /// # Errors
    /// [`Error::Program`] where it could not be told any more.
    pub(crate) fn behind(self, operator: &OperatorSpec, output: &Schema) -> Result<Self> {
        let refuse = |message: &str| Err(Error::Program(message.to_owned()));
        let behind = match (operator, self) {
            (
                OperatorSpec::Aggregate(_)
                | OperatorSpec::Sessions(_)
                | OperatorSpec::Panes(_)
                | OperatorSpec::Sort(_)
                | OperatorSpec::Over(_)
                | OperatorSpec::Latest(_)
                | OperatorSpec::Join(_)
                | OperatorSpec::Changing(
                    ChangesSpec::Aggregate(_)
                    | ChangesSpec::Ranked(_)
                    | ChangesSpec::Paced(_)
                    | ChangesSpec::Captured(_),
                )
                | OperatorSpec::Applied,
                _,
            )
            | (_, Self::None) => Self::None,
            (OperatorSpec::Unnest { .. }, Self::Flagged) => {
                return refuse("rows are taken apart twice");
            }
            (
                OperatorSpec::Unnest { .. } | OperatorSpec::Windows(_) | OperatorSpec::Repeat(_),
                Self::All,
            )
            | (OperatorSpec::Windows(_) | OperatorSpec::Repeat(_), Self::Flagged) => Self::Flagged,
            (
                OperatorSpec::Filter(_)
                | OperatorSpec::FilterChanges(_)
                | OperatorSpec::Project { .. }
                | OperatorSpec::MarkFirst { .. }
                | OperatorSpec::Standing(_)
                | OperatorSpec::Changing(ChangesSpec::MarkFirst { .. } | ChangesSpec::Apart(_))
                | OperatorSpec::DropLate(_),
                same,
            ) => same,
        };
        let flag = |f: &Field| f.data_type == DataType::Boolean && !f.nullable;
        match behind {
            Self::Flagged if !output.fields.last().is_some_and(flag) => {
                refuse("the column that tells the first element is not the last")
            }
            behind => Ok(behind),
        }
    }
}

fn flags(frame: &Frame) -> &Bitmap {
    match frame.columns.last() {
        Some(Column::Bool(flags)) => &flags.values,
        _ => unreachable!("the last column is UNNEST's, which was checked"),
    }
}

/// What a chain's records were before they came to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lineage {
    /// The stage that reads their source.
    pub(crate) origin: usize,
    /// Which of them still are that source's rows. Where several stages read an exchange, it
    /// follows the first, so that a row counts once.
    pub(crate) of_input: OfInput,
}

/// For each stage, and each of its inputs, what its records were before. Rows that leave a stage
/// with several inputs are nobody's any more.
///
/// # Errors
/// [`Error::Program`] where it could not be told any more.
pub(crate) fn lineages(program: &Program) -> Result<Vec<Vec<Lineage>>> {
    let mut known: Vec<Vec<Lineage>> = Vec::with_capacity(program.stages.len());
    for (number, stage) in program.stages.iter().enumerate() {
        let inputs = stage.inputs();
        let before = inputs.map(|input| before(program, number, input, &known));
        let before = before.collect::<Result<_>>()?;
        known.push(before);
    }
    Ok(known)
}

fn before(
    program: &Program,
    number: usize,
    input: StageInput,
    known: &[Vec<Lineage>],
) -> Result<Lineage> {
    let StageInput::Exchange(id) = input else {
        return Ok(Lineage {
            origin: number,
            of_input: OfInput::All,
        });
    };
    let sender = program.stages[..number]
        .iter()
        .position(|s| s.output == StageOutput::Exchange(id))
        .expect("stages are in topological order");
    let sender_spec = &program.stages[sender];
    let Lineage {
        origin,
        mut of_input,
    } = known[sender][0];
    if !sender_spec.others.is_empty() {
        of_input = OfInput::None;
    }
    let mut schema = input_schema(program, sender_spec.input);
    for operator in &sender_spec.operators {
        schema = operator.columns().map_or(schema, Arc::clone);
        of_input = of_input.behind(operator, &schema)?;
    }
    // A row that several stages read counts in the first.
    let mut earlier = program.stages[..number].iter();
    if earlier.any(|s| s.inputs().any(|i| i == input)) {
        of_input = OfInput::None;
    }
    Ok(Lineage { origin, of_input })
}
