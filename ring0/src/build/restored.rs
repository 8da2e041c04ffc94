//! A program that goes on from snapshots: where its sources, its exchanges and its stages were.

use super::Origin;
use crate::error::Result;
use crate::id::{ExchangeId, OutputId};
use crate::program::{BadData, Order, Program, Reading, StageInput, StageOutput, StageSpec};
use crate::shard::{ExchangePart, SourcePart};
use crate::snapshot::Restore;
use crate::stage::Chain;

/// The source whose chunks an output takes in order.
pub(super) fn fed_in_order(program: &Program, output: OutputId) -> Option<usize> {
    let stage = program
        .stages
        .iter()
        .find(|s| s.output == StageOutput::Output(output));
    match stage.map(|stage| stage.input) {
        Some(StageInput::Source(source)) => Some(source.index()),
        Some(StageInput::Exchange(_)) => None,
        None => {
            let letters = BadData::DeadLetters(output);
            program.sources.iter().position(|s| s.bad_data == letters)
        }
    }
}

/// The source whose chunks an exchange takes in order, also where the chain that is made of these
/// stages holds the exchange.
fn sends_in_order(program: &Program, origins: &[Origin], exchange: usize) -> Option<usize> {
    let id = ExchangeId(exchange as u32);
    let mut chains = program.stages.iter().zip(origins);
    let sends = |(stage, origin): &(&StageSpec, &Origin)| {
        stage.output == StageOutput::Exchange(id) || origin.exchanges.contains(&id)
    };
    let (sender, _) = chains.find(sends)?;
    match (sender.input, program.exchanges[exchange].order) {
        (StageInput::Source(source), Order::Chunks { .. }) => Some(source.index()),
        (_, _) => None,
    }
}

/// How many chunks of a source the shards have read in turn when they go on.
pub(super) fn chunks_read(program: &Program, from: &Restore, source: usize) -> Result<u64> {
    let position = from.position(source as u32)?;
    Ok(match (program.sources[source].reading, position) {
        (Reading::Chunks, Some(position)) => position.chunks,
        // One reads all of them, or there are no others.
        (Reading::InOrder, _) | (_, None) => 0,
    })
}

/// What goes on from snapshots goes to where it was.
pub(super) fn go_on(
    (program, origins): (&Program, &[Origin]),
    from: &Restore,
    (shard, shards): (usize, usize),
    (sources, exchanges, chains): (&mut [SourcePart], &mut [ExchangePart], &mut [Chain]),
) -> Result<()> {
    let mut splits = vec![None; program.sources.len()];
    for exchange in 0..program.exchanges.len() {
        if let Some(source) = sends_in_order(program, origins, exchange) {
            splits[source] = splits[source].or(from.split(exchange as u32)?);
        }
    }
    for (number, part) in sources.iter_mut().enumerate().filter(|(_, p)| !p.is_remade) {
        match from.position(number as u32)? {
            Some(mut position) => {
                position.split = position.split.or(splits[number]);
                splits[number] = position.split;
                if let (Some(processing), Some(split)) = (&mut part.processing, position.split) {
                    processing.go_on(split);
                }
                part.among.go_on(position.followed);
                part.source.go_on(position)?;
            }
            None => part.source.go_to_end(),
        }
    }
    for part in exchanges {
        if let Some(source) = sends_in_order(program, origins, part.number as usize)
            && !sources[source].is_remade
        {
            let chunks = chunks_read(program, from, source)?;
            // One shard that reads all knows the splits itself, as where it begins.
            let split = splits[source].filter(|_| shards > 1);
            part.receiver.go_on(chunks, split);
        }
    }
    let mut chains = chains.iter_mut();
    chains.try_for_each(|chain| chain.go_on(from, (shard, shards)))
}
