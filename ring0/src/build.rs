//! From a program to what runs: lanes between all shards, then, on each shard's own thread, its
//! sources and chains.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::exchange::{ExchangeReceiver, ExchangeSender};
use crate::id::{OutputId, SourceId};
use crate::limits::KEY_GROUPS;
use crate::mesh::{LaneReceiver, LaneSender, lane};
use crate::output::HostLanes;
use crate::program::{BadData, OperatorSpec, Order, Program, Reading, SourceKind};
use crate::program::{StageInput, StageOutput, StageSpec};
use crate::runtime::Config;
use crate::schema::Schema;
use crate::shard::{Letters, Shard};
use crate::source::{Files, Reader, Source, check_columns, check_system, open};
use crate::stage::{Chain, ChainInput, Lineage, Place, Sink};
use crate::wake::Bell;

/// Seed of the key hash; a checkpoint keeps it, so that keys stay where they are.
pub const HASH_SEED: u64 = 0x7472_6566_6f69_6c01;

/// One shard's ends of all lanes.
#[derive(Debug)]
pub(crate) struct Parts {
    senders: Vec<Vec<LaneSender>>,
    receivers: Vec<Vec<LaneReceiver>>,
    outputs: Vec<Option<LaneSender>>,
    files: Vec<Files>,
}

/// Joins stages over exchanges that one shard would only have with itself.
///
/// On one shard an exchange has one lane; where one stage sends and one receives it, the two are
/// one chain, and no record is copied.
pub fn fuse(program: &Program) -> Program {
    fuse_numbered(program).0
}

/// As [`fuse`], with the number that each chain's first stage had.
pub(crate) fn fuse_numbered(program: &Program) -> (Program, Vec<usize>) {
    let receivers = |input: StageInput| program.stages.iter().filter(|s| s.input == input).count();
    let mut stages: Vec<StageSpec> = Vec::new();
    let mut numbers = Vec::new();
    for (number, stage) in program.stages.iter().cloned().enumerate() {
        let before = stages.iter_mut().find(|s| match (s.output, stage.input) {
            (StageOutput::Exchange(out), StageInput::Exchange(into)) => out == into,
            _ => false,
        });
        match before.filter(|_| receivers(stage.input) == 1) {
            Some(before) => {
                before.operators.extend(stage.operators);
                before.output = stage.output;
            }
            None => {
                stages.push(stage);
                numbers.push(number);
            }
        }
    }
    let fused = Program {
        stages,
        ..program.clone()
    };
    (fused, numbers)
}

fn output_schema(stage: &StageSpec, input: &Arc<Schema>) -> Arc<Schema> {
    stage
        .operators
        .iter()
        .fold(Arc::clone(input), |schema, operator| match operator {
            OperatorSpec::Filter(_) | OperatorSpec::DropLate(_) => schema,
            OperatorSpec::Project { schema, .. } => Arc::clone(schema),
            OperatorSpec::Aggregate(spec) => Arc::clone(&spec.output),
        })
}

fn input_schema(program: &Program, stage: &StageSpec) -> Arc<Schema> {
    match stage.input {
        StageInput::Source(id) => Arc::clone(&program.sources[id.index()].schema),
        StageInput::Exchange(id) => Arc::clone(&program.exchanges[id.index()].schema),
    }
}

/// Checks that a program is what it says: types meet, exchanges only go forward.
pub(crate) fn check(program: &Program) -> Result<()> {
    let refuse = |what: String| Err(Error::Program(what));
    program.sources.iter().try_for_each(check_columns)?;
    program.sources.iter().try_for_each(check_system)?;
    for (number, stage) in program.stages.iter().enumerate() {
        let schema = output_schema(stage, &input_schema(program, stage));
        let wanted = match stage.output {
            StageOutput::Exchange(id) => &program.exchanges[id.index()].schema,
            StageOutput::Output(id) => &program.outputs[id.index()].schema,
        };
        let types = |s: &Schema| {
            s.fields
                .iter()
                .map(|f| f.data_type.clone())
                .collect::<Vec<_>>()
        };
        if types(&schema) != types(wanted) {
            return refuse(format!(
                "stage {number} makes other columns than its output takes"
            ));
        }
        if let (StageInput::Exchange(from), StageOutput::Exchange(to)) = (stage.input, stage.output)
            && from >= to
        {
            return refuse(format!("stage {number} sends records backwards"));
        }
        if let Some(why) = out_of_order(program, stage) {
            return refuse(format!("stage {number} {why}"));
        }
    }
    let stages = || program.stages.iter();
    for (number, stage) in stages().enumerate() {
        let sends = |s: &StageSpec| match (s.output, stage.input) {
            (StageOutput::Exchange(out), StageInput::Exchange(into)) => out == into,
            _ => false,
        };
        if stages().skip(number).any(sends) {
            return refuse(format!(
                "stage {number} stands before the one it hears from"
            ));
        }
    }
    let sent = |id| {
        stages()
            .filter(|s| s.output == StageOutput::Exchange(id))
            .count()
    };
    let exchanges = 0..program.exchanges.len() as u32;
    match exchanges
        .map(crate::id::ExchangeId)
        .find(|&id| sent(id) != 1)
    {
        Some(id) => refuse(format!("exchange {} has no single sender", id.0)),
        None => Ok(()),
    }
}

/// Why what a stage sends cannot be taken in the order that its receiver is told. In another order
/// shards would wait for each other, or a watermark would go back.
fn out_of_order(program: &Program, stage: &StageSpec) -> Option<&'static str> {
    let order = match stage.output {
        StageOutput::Exchange(id) => program.exchanges[id.index()].order,
        StageOutput::Output(id) => program.outputs[id.index()].order,
    };
    let StageInput::Source(source) = stage.input else {
        let chunks = order != Order::Free;
        return chunks.then_some("reads no source, and has no chunks to take in order");
    };
    let source = &program.sources[source.index()];
    let by_chunks = source.reading == Reading::Chunks
        && matches!(source.kind, SourceKind::Files { .. })
        && source.event_time.is_some_and(|e| e.lag_ns.is_some());
    let groups = |o: &OperatorSpec| matches!(o, OperatorSpec::Aggregate(_));
    let sends_marks =
        matches!(stage.output, StageOutput::Exchange(_)) && !stage.operators.iter().any(groups);
    (by_chunks && sends_marks && order == Order::Free)
        .then_some("sends watermarks of chunks that are taken in any order")
}

/// Makes all lanes, and opens all files.
pub(crate) fn wire(
    program: &Program,
    config: &Config,
    bells: &[Arc<Bell>],
    host: &Arc<Bell>,
) -> Result<(Vec<Parts>, Vec<HostLanes>)> {
    let files = program
        .sources
        .iter()
        .map(|source| open(source, config.chunk_bytes, bells))
        .collect::<Result<Vec<_>>>()?;
    let mut parts: Vec<Parts> = (0..config.shards)
        .map(|_| Parts {
            senders: Vec::new(),
            receivers: Vec::new(),
            outputs: Vec::new(),
            files: files.clone(),
        })
        .collect();
    let lane = |schema: &Schema, from: &Arc<Bell>, to: &Arc<Bell>| {
        lane(
            schema,
            config.frame_rows,
            config.ring_messages,
            Arc::clone(from),
            Arc::clone(to),
        )
    };
    for exchange in used_exchanges(program) {
        let schema = &program.exchanges[exchange].schema;
        for part in &mut parts {
            part.receivers.push(Vec::new());
        }
        for sender in 0..config.shards {
            let mut lanes = Vec::with_capacity(config.shards);
            for receiver in 0..config.shards {
                let (tx, rx) = lane(schema, &bells[sender], &bells[receiver]);
                lanes.push(tx);
                parts[receiver]
                    .receivers
                    .last_mut()
                    .expect("just pushed")
                    .push(rx);
            }
            parts[sender].senders.push(lanes);
        }
    }
    let mut host_lanes = Vec::new();
    for (number, output) in program.outputs.iter().enumerate() {
        let mut lanes = Vec::with_capacity(config.shards);
        for (part, bell) in parts.iter_mut().zip(bells) {
            if !is_used(program, OutputId(number as u32)) {
                part.outputs.push(None);
                continue;
            }
            let (tx, rx) = lane(&output.schema, bell, host);
            part.outputs.push(Some(tx));
            lanes.push(rx);
        }
        let output_id = OutputId(number as u32);
        host_lanes.push(HostLanes::new(output_id, output.order, lanes));
    }
    Ok((parts, host_lanes))
}

/// Whether a stage or a source sends into an output.
fn is_used(program: &Program, output: OutputId) -> bool {
    let (stages, sources) = (&program.stages, &program.sources);
    stages
        .iter()
        .any(|s| s.output == StageOutput::Output(output))
        || sources
            .iter()
            .any(|s| s.bad_data == BadData::DeadLetters(output))
}

/// Exchanges that some stage sends into; fused ones have none.
fn used_exchanges(program: &Program) -> Vec<usize> {
    let sent = |id: usize| {
        program
            .stages
            .iter()
            .any(|s| matches!(s.output, StageOutput::Exchange(to) if to.index() == id))
    };
    (0..program.exchanges.len())
        .filter(|&id| sent(id))
        .collect()
}

/// The sink into an output, which one stage or source has.
fn output_sink(
    program: &Program,
    outputs: &mut [Option<LaneSender>],
    id: OutputId,
) -> Result<Sink> {
    let lane = outputs[id.index()]
        .take()
        .ok_or_else(|| Error::Program(format!("output {} has more than one stage", id.0)))?;
    Ok(Sink::Output {
        lane,
        ordered: program.outputs[id.index()].order != Order::Free,
        rows: Vec::new(),
        next: 0,
    })
}

/// For each stage what its records were before.
fn lineages(program: &Program) -> Vec<Lineage> {
    let mut known: Vec<Lineage> = Vec::with_capacity(program.stages.len());
    for (number, stage) in program.stages.iter().enumerate() {
        let StageInput::Exchange(id) = stage.input else {
            known.push(Lineage {
                origin: number,
                of_input: true,
            });
            continue;
        };
        let sender = program.stages[..number]
            .iter()
            .position(|s| s.output == StageOutput::Exchange(id))
            .expect("stages are in topological order");
        let groups = |o: &OperatorSpec| matches!(o, OperatorSpec::Aggregate(_));
        let before = known[sender];
        known.push(Lineage {
            of_input: before.of_input && !program.stages[sender].operators.iter().any(groups),
            ..before
        });
    }
    known
}

/// Makes a shard, on its own thread: its memory is touched first where it is used.
pub(crate) fn build(
    program: &Program,
    config: &Config,
    shard: usize,
    parts: Parts,
) -> Result<Shard> {
    let Parts {
        senders,
        receivers,
        mut outputs,
        files,
    } = parts;
    let used = used_exchanges(program);
    let mut senders: Vec<Option<Vec<LaneSender>>> = senders.into_iter().map(Some).collect();
    let slot = |id: usize| {
        used.iter()
            .position(|&u| u == id)
            .expect("the exchange is used")
    };
    let first_group = (shard * KEY_GROUPS).div_ceil(config.shards);
    let end_group = ((shard + 1) * KEY_GROUPS).div_ceil(config.shards);
    let place = Place {
        shard,
        frame_rows: config.frame_rows,
        first_group: first_group as u32,
        groups: (end_group - first_group) as u32,
        seed: HASH_SEED,
    };
    let mut chains = Vec::with_capacity(program.stages.len());
    for (stage, lineage) in program.stages.iter().zip(lineages(program)) {
        let sink = match stage.output {
            StageOutput::Exchange(id) => {
                let spec = &program.exchanges[id.index()];
                let lanes = senders[slot(id.index())].take().expect("one stage sends");
                Sink::Exchange(ExchangeSender::new(lanes, spec, place.seed))
            }
            StageOutput::Output(id) => output_sink(program, &mut outputs, id)?,
        };
        let input = match stage.input {
            StageInput::Source(id) => ChainInput::Source(program.sources[id.index()].reading),
            StageInput::Exchange(id) => {
                ChainInput::Exchange(&program.exchanges[id.index()].routing)
            }
        };
        let schema = input_schema(program, stage);
        chains.push(Chain::new(
            &stage.operators,
            &schema,
            sink,
            input,
            lineage,
            place,
        )?);
    }
    let readers = |wanted: StageInput| -> Vec<usize> {
        let stages = program.stages.iter().enumerate();
        stages
            .filter(|(_, s)| s.input == wanted)
            .map(|(number, _)| number)
            .collect()
    };
    let mut sources = Vec::with_capacity(program.sources.len());
    for (number, (spec, files)) in program.sources.iter().zip(files).enumerate() {
        let reader = Reader {
            shard,
            shards: config.shards,
            frame_rows: config.frame_rows,
            chunk_bytes: config.chunk_bytes,
            now: config.now,
        };
        let letters = match spec.bad_data {
            BadData::Fail | BadData::Skip => None,
            BadData::DeadLetters(id) => Some(output_sink(program, &mut outputs, id)?),
        };
        sources.push((
            Source::new(number, spec, files, reader),
            Letters::new(letters),
            readers(StageInput::Source(SourceId(number as u32))),
        ));
    }
    let exchanges = receivers.into_iter().zip(&used).map(|(lanes, &id)| {
        let consumers = readers(StageInput::Exchange(crate::id::ExchangeId(id as u32)));
        let order = program.exchanges[id].order;
        (ExchangeReceiver::new(lanes, order), consumers)
    });
    Ok(Shard::new(sources, exchanges.collect(), chains))
}
