//! What a program's snapshots hold, and what is made again instead.

use crate::id::SourceId;
use crate::program::{OperatorSpec, Program, SourceKind, StageInput, StageOutput, StageSpec};

/// What fills the sides of joins that are kept: it is read again, so that nothing of it is in a
/// snapshot.
#[derive(Debug)]
pub(crate) struct Remade {
    pub(crate) stages: Vec<bool>,
    pub(crate) sources: Vec<bool>,
}

impl Remade {
    pub(crate) fn of(program: &Program) -> Self {
        let mut remade = Self {
            stages: vec![false; program.stages.len()],
            sources: vec![false; program.sources.len()],
        };
        for stage in &program.stages {
            if let Some(side) = kept(stage) {
                let input = stage.inputs().nth(side);
                input
                    .into_iter()
                    .for_each(|input| remade.mark(program, input));
            }
        }
        remade
    }

    /// Marks all that an input comes from.
    fn mark(&mut self, program: &Program, input: StageInput) {
        match input {
            StageInput::Source(source) => self.sources[source.index()] = true,
            StageInput::Exchange(exchange) => {
                for (number, stage) in program.stages.iter().enumerate() {
                    if stage.output == StageOutput::Exchange(exchange) && !self.stages[number] {
                        self.stages[number] = true;
                        stage.inputs().for_each(|input| self.mark(program, input));
                    }
                }
            }
        }
    }

    /// Whether what goes on reads what is made again, too. Each scan of a plan has a source of its
    /// own, so that no query does.
    fn is_shared(&self, program: &Program) -> bool {
        let stages = program.stages.iter().zip(&self.stages);
        let others = stages.filter(|(_, remade)| !**remade);
        let mut reads = others.flat_map(|(stage, _)| {
            let kept = kept(stage);
            let inputs = stage.inputs().enumerate();
            inputs
                .filter(move |(port, _)| Some(*port) != kept)
                .map(|(_, input)| input)
        });
        reads.any(|input| match input {
            StageInput::Source(source) => self.sources[source.index()],
            StageInput::Exchange(exchange) => {
                let sends = |s: &StageSpec| s.output == StageOutput::Exchange(exchange);
                let mut senders = program.stages.iter().zip(&self.stages);
                senders.any(|(stage, remade)| *remade && sends(stage))
            }
        })
    }
}

/// The port of the side that a stage keeps before it looks at the other.
fn kept(stage: &StageSpec) -> Option<usize> {
    match stage.operators.first() {
        Some(OperatorSpec::Join(spec)) => spec.build().map(|side| side.port()),
        _ => None,
    }
}

/// Whether a program that goes on reads a source again from its beginning, as it fills a side of a
/// join that is kept wholly before the other is looked at.
///
/// # Panics
/// The program has no such source.
pub fn is_read_again(program: &Program, source: SourceId) -> bool {
    Remade::of(program).sources[source.index()]
}

/// Why there can be no snapshots of a program; `None` where there can. What its sources can be read
/// again of is for [`unrepeatable`] to say.
pub fn refusal(program: &Program) -> Option<String> {
    let remade = Remade::of(program);
    if remade.is_shared(program) {
        return Some("a join reads what is read beside it, too".to_owned());
    }
    for (source, remade) in program.sources.iter().zip(&remade.sources) {
        let what = match &source.kind {
            SourceKind::Files { .. } | SourceKind::Columnar { .. } | SourceKind::Generator(_) => {
                continue;
            }
            _ if *remade => continue,
            SourceKind::Connections { .. } | SourceKind::Channel => continue,
            SourceKind::Stream { feed, .. } if feed.goes_on() => continue,
            SourceKind::Stream { .. } => "reads a stream that cannot be read again",
            SourceKind::Columns { .. } | SourceKind::Memory { .. } => "is in memory",
        };
        return Some(format!("source {} {what}", source.name));
    }
    None
}

/// Which source of a program cannot be read again, so that what comes of it behind a snapshot is
/// not there for who goes on, unless it is sent again; `None` where there is none.
pub fn unrepeatable(program: &Program) -> Option<String> {
    let remade = Remade::of(program);
    let sources = program.sources.iter().zip(&remade.sources);
    let mut live = sources.filter(|(_, remade)| !**remade);
    live.find_map(|(source, _)| {
        let what = match &source.kind {
            SourceKind::Stream { feed, .. } if feed.goes_on() => return None,
            SourceKind::Stream { .. } | SourceKind::Connections { .. } => {
                "reads a stream that cannot be read again"
            }
            SourceKind::Channel => "is in memory",
            _ => return None,
        };
        Some(format!("source {} {what}", source.name))
    })
}
