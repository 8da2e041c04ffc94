//! Stages that are one chain where one shard would have an exchange only with itself.

use crate::id::ExchangeId;
use crate::program::{OperatorSpec, Program, StageInput, StageOutput, StageSpec};

/// Joins stages over exchanges that one shard would only have with itself.
///
/// On one shard an exchange has one lane; where one stage sends and one receives it, the two are
/// one chain, and no record is copied.
pub fn fuse(program: &Program) -> Program {
    fuse_numbered(program).0
}

/// What a chain is made of: the stages of the program as it was made, the exchanges between them,
/// and for each of its operators the stage and the operator's number in it.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) stages: Vec<u32>,
    pub(crate) exchanges: Vec<ExchangeId>,
    pub(crate) operators: Vec<(u32, u32)>,
}

impl Origin {
    fn of(number: usize, stage: &StageSpec) -> Self {
        let number = number as u32;
        let operators = (0..stage.operators.len() as u32).map(|operator| (number, operator));
        Self {
            stages: vec![number],
            exchanges: Vec::new(),
            operators: operators.collect(),
        }
    }

    /// Those of stages that were not joined.
    pub(crate) fn of_all(program: &Program) -> Vec<Self> {
        let stages = program.stages.iter().enumerate();
        stages
            .map(|(number, stage)| Self::of(number, stage))
            .collect()
    }

    /// The number of the chain's first stage.
    pub(crate) fn first(&self) -> usize {
        self.stages[0] as usize
    }
}

/// As [`fuse`], with what each chain is made of.
pub(crate) fn fuse_numbered(program: &Program) -> (Program, Vec<Origin>) {
    let inputs = || program.stages.iter().flat_map(StageSpec::inputs);
    let receivers = |input: StageInput| inputs().filter(|i| *i == input).count();
    let mut stages: Vec<StageSpec> = Vec::new();
    let mut origins: Vec<Origin> = Vec::new();
    for (number, stage) in program.stages.iter().cloned().enumerate() {
        let before = stages.iter().position(|s| match (s.output, stage.input) {
            (StageOutput::Exchange(out), StageInput::Exchange(into)) => out == into,
            _ => false,
        });
        let alone = stage.others.is_empty() && receivers(stage.input) == 1;
        // What a stage with several inputs tells of its rows does not depend on how many shards
        // there are.
        let joins = |s: &StageSpec| matches!(s.operators.first(), Some(OperatorSpec::Join(_)));
        let ends = |s: &StageSpec| !s.others.is_empty() && !joins(s);
        let mut origin = Origin::of(number, &stage);
        match before.filter(|&before| alone && !ends(&stages[before])) {
            Some(before) => {
                if let StageInput::Exchange(id) = stage.input {
                    origins[before].exchanges.push(id);
                }
                stages[before].operators.extend(stage.operators);
                stages[before].output = stage.output;
                origins[before].stages.append(&mut origin.stages);
                origins[before].operators.append(&mut origin.operators);
            }
            None => {
                stages.push(stage);
                origins.push(origin);
            }
        }
    }
    let fused = Program {
        stages,
        ..program.clone()
    };
    (fused, origins)
}
