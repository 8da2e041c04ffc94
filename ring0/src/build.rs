//! From a program to what runs: lanes between all shards, then, on each shard's own thread, its
//! sources and chains.

mod combined;
mod fused;
mod restored;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use rtrb::Consumer as Ring;

use self::combined::{Combined, combined, exchange_sink};
pub use self::fused::fuse;
pub(crate) use self::fused::{Origin, fuse_numbered};
use self::restored::{chunks_read, fed_in_order, go_on};

use crate::changelog::{UPDATE_ROWS, is_weighted};
use crate::error::{Error, Result};
use crate::exchange::ExchangeReceiver;
use crate::format::columnar::Taken;
use crate::id::{ExchangeId, OutputId, SourceId};
use crate::limits::{KEY_GROUPS, pace_ms};
use crate::limits::{RING_MESSAGES_MIN, RING_MESSAGES_OF_SHARD};
use crate::lineage::{Lineage, OfInput, lineages};
use crate::mesh::{LaneReceiver, LaneSender, lane};
use crate::output::HostLanes;
use crate::program::{
    BadData, ChangesSpec, OperatorSpec, Order, Program, Reading, Routing, Side, SourceKind,
    SourceSpec, StageInput, StageOutput, StageSpec,
};
use crate::runtime::Config;
use crate::schema::Schema;
use crate::shard::{Among, Aside, Consumer, ExchangePart, Late, Shard, SourcePart};
use crate::snapshot::{Recorder, Remade, Restore, Told};
use crate::source::{
    Door, Doorway, Files, Live, Processing, Reader, Source, StreamPosition, open, open_stream, pace,
};
use crate::stage::{Chain, ChainInput, Place, Sink, routes};
use crate::table::store::Addresses;
use crate::wake::{self, Bell};

/// Seed of the key hash; a checkpoint keeps it, so that keys stay where they are.
pub const HASH_SEED: u64 = 0x7472_6566_6f69_6c01;

/// One shard's ends of all lanes, by exchange and by output; none where nothing is sent.
#[derive(Debug)]
pub(crate) struct Parts {
    senders: Vec<Vec<LaneSender>>,
    receivers: Vec<Vec<LaneReceiver>>,
    outputs: Vec<Option<LaneSender>>,
    files: Vec<Files>,
    /// What comes to this shard at its own time, by source.
    live: Vec<Option<Live>>,
    /// When the program began.
    begun: i64,
    recorder: Recorder,
    /// As long as a shard has it, the program runs.
    runs: Arc<()>,
    /// What is made of rows before each exchange, and for how many tables there are addresses.
    combined: Arc<(Vec<Option<Combined>>, usize)>,
}

pub(crate) fn input_schema(program: &Program, input: StageInput) -> Arc<Schema> {
    match input {
        StageInput::Source(id) => Arc::clone(&program.sources[id.index()].schema),
        StageInput::Exchange(id) => Arc::clone(&program.exchanges[id.index()].schema),
    }
}

/// The host's ends of what was wired: results, and by source where appenders' lanes go.
#[derive(Debug)]
pub(crate) struct HostEnds {
    pub(crate) outputs: Vec<HostLanes>,
    pub(crate) doors: Vec<Option<Doorway>>,
    /// Snapshots, by shard.
    pub(crate) told: Vec<Ring<Told>>,
    /// When the program began (ns since 1970-01-01T00:00:00Z).
    pub(crate) begun: i64,
    /// How many bytes of files are read.
    pub(crate) sizes: HashMap<PathBuf, u64>,
}

/// What each shard is given but for its lanes, and the doors of channels, by source.
fn part(
    program: &Program,
    config: &Config,
    bells: &[Arc<Bell>],
    host: &Arc<Bell>,
    files: &[Files],
    begun: i64,
    from: Option<&Restore>,
) -> Result<(Vec<Parts>, HostEnds)> {
    let runs = Arc::new(());
    keep_time(program, &runs, bells)?;
    let combined = Arc::new(combined(program, config, aggregations(program)));
    let (mut parts, mut told) = (Vec::new(), Vec::new());
    for _ in 0..config.shards {
        let (recorder, from) = Recorder::new(host);
        told.push(from);
        parts.push(Parts {
            senders: Vec::new(),
            receivers: Vec::new(),
            outputs: Vec::new(),
            files: files.to_vec(),
            live: program.sources.iter().map(|_| None).collect(),
            begun,
            recorder,
            runs: Arc::clone(&runs),
            combined: Arc::clone(&combined),
        });
    }
    let mut doors = Vec::with_capacity(program.sources.len());
    for (number, spec) in program.sources.iter().enumerate() {
        let from = from.map(|from| from.position(number as u32)).transpose()?;
        let stream = from.flatten().and_then(|position| position.stream);
        let at = stream.as_ref().map(StreamPosition::feed);
        parts[0].live[number] = open_stream(spec, &bells[0], config.tell, at)?;
        let is_channel = matches!(spec.kind, SourceKind::Channel);
        let (doorway, door) = is_channel.then(Door::new).unzip();
        doors.push(doorway);
        if let Some(door) = door {
            parts[0].live[number] = Some(Live::Lanes(door));
        }
        pace(spec, &files[number], bells)?;
    }
    let ends = HostEnds {
        outputs: Vec::new(),
        sizes: HashMap::new(),
        doors,
        told,
        begun,
    };
    Ok((parts, ends))
}

/// Where changes wait for their time, splits may be idle, or windows close by the clock, wakes the
/// shards as long as the program runs: one that sleeps has no clock.
fn keep_time(program: &Program, runs: &Arc<()>, bells: &[Arc<Bell>]) -> Result<()> {
    let operators = program.stages.iter().flat_map(|stage| &stage.operators);
    let every_ns = operators.filter_map(|operator| match operator {
        OperatorSpec::Changing(ChangesSpec::Paced(spec)) => spec.every_ns,
        _ => None,
    });
    let policies = program.sources.iter().filter_map(|s| s.policy.as_ref());
    let looks_ns = policies.filter_map(|policy| policy.looks_every_ns());
    let clocks = program.sources.iter().filter_map(|s| s.processing);
    let clocks_ns = clocks.map(|clock| clock.every_ns);
    let Some(least_ns) = every_ns.chain(looks_ns).chain(clocks_ns).min() else {
        return Ok(());
    };
    wake::pace(runs, pace_ms(least_ns) as i32, bells).map_err(|error| Error::Preflight {
        what: format!("no thread keeps the time: {error}"),
        hint: "see the limits on files, threads and memory (ulimit -a)".to_owned(),
    })
}

/// Makes all lanes, and opens all files, whose chunks are taken as is said of each source.
pub(crate) fn wire(
    (program, taken): (&Program, &[Taken]),
    config: &Config,
    bells: &[Arc<Bell>],
    host: &Arc<Bell>,
    from: Option<&Restore>,
) -> Result<(Vec<Parts>, HostEnds)> {
    // A file that several sources read is as long for all of them, while it grows, too.
    let mut sizes = from.map_or_else(HashMap::new, |from| from.sizes().clone());
    let files = program
        .sources
        .iter()
        .zip(taken)
        .map(|(spec, taken)| open((spec, *taken), config.chunk_bytes, bells, &mut sizes))
        .collect::<Result<Vec<_>>>()?;
    let begun = from.map_or_else(config.now, Restore::begun);
    let (mut parts, mut ends) = part(program, config, bells, host, &files, begun, from)?;
    ends.sizes = sizes;
    let messages = config
        .ring_messages
        .min(RING_MESSAGES_OF_SHARD / config.shards);
    let messages = messages.max(RING_MESSAGES_MIN);
    let lane = |schema: &Schema, from: &Arc<Bell>, to: &Arc<Bell>| {
        let least = if is_weighted(schema) { UPDATE_ROWS } else { 1 };
        lane(
            schema,
            config.frame_rows.max(least),
            messages,
            Arc::clone(from),
            Arc::clone(to),
        )
    };
    for (number, exchange) in program.exchanges.iter().enumerate() {
        for part in &mut parts {
            part.senders.push(Vec::new());
            part.receivers.push(Vec::new());
        }
        // One that was fused has no sender.
        if program.senders(StageOutput::Exchange(ExchangeId(number as u32))) == 0 {
            continue;
        }
        let combined = parts.first().map(|part| Arc::clone(&part.combined));
        let of_groups = combined.iter().flat_map(|combined| &combined.0[number]);
        let of_groups = of_groups.map(|combined| &combined.exchange);
        for exchange in std::iter::once(exchange).chain(of_groups) {
            for sender in 0..config.shards {
                let receivers = match exchange.routing {
                    Routing::Local => sender..sender + 1,
                    Routing::Hash(_) | Routing::Single | Routing::Broadcast => 0..config.shards,
                };
                for receiver in receivers {
                    let (tx, rx) = lane(&exchange.schema, &bells[sender], &bells[receiver]);
                    parts[sender].senders[number].push(tx);
                    parts[receiver].receivers[number].push(rx);
                }
            }
        }
    }
    for (number, output) in program.outputs.iter().enumerate() {
        let id = OutputId(number as u32);
        let is_sent = program.senders(StageOutput::Output(id)) > 0;
        let mut lanes = Vec::with_capacity(config.shards);
        for (part, bell) in parts.iter_mut().zip(bells) {
            let ends = is_sent.then(|| lane(&output.schema, bell, host));
            let (tx, rx) = ends.unzip();
            part.outputs.push(tx);
            lanes.extend(rx);
        }
        let mut lanes = HostLanes::new(id, output.order, lanes);
        if let (Some(from), Some(source)) = (from, fed_in_order(program, id)) {
            lanes.go_on(chunks_read(program, from, source)?);
        }
        ends.outputs.push(lanes);
    }
    Ok((parts, ends))
}

/// How records come to a stage. Of several inputs what all of them have in common: a table that is
/// on every shard says nothing of where the joined rows are.
fn chain_input<'a>(program: &'a Program, stage: &StageSpec) -> ChainInput<'a> {
    let routing = |input: StageInput| match input {
        StageInput::Source(_) => None,
        StageInput::Exchange(id) => Some(&program.exchanges[id.index()].routing),
    };
    if let StageInput::Source(id) = stage.input {
        let source = &program.sources[id.index()];
        return ChainInput::Source(source);
    }
    let mut routings: Vec<_> = stage.inputs().filter_map(routing).collect();
    if let Some(OperatorSpec::Join(spec)) = stage.operators.first()
        && let Some(build) = spec.build().map(Side::port)
        && *routings[build] == Routing::Broadcast
    {
        routings.remove(build);
    }
    let alike = routings.iter().all(|r| *r == routings[0]);
    ChainInput::Exchange(if alike { routings[0] } else { &Routing::Local })
}

/// What a stage tells of its rows on a shard: one that all shards have is counted by the first.
fn of_shard(
    program: &Program,
    stage: &StageSpec,
    mut lineage: Vec<Lineage>,
    shard: usize,
) -> Vec<Lineage> {
    let of_all = |input| match input {
        StageInput::Exchange(id) => program.exchanges[id.index()].routing == Routing::Broadcast,
        StageInput::Source(_) => false,
    };
    for (of, input) in lineage.iter_mut().zip(stage.inputs()) {
        if shard > 0 && of_all(input) {
            of.of_input = OfInput::None;
        }
    }
    lineage
}

/// The sink into an output, which one stage or source has.
fn output_sink(program: &Program, outputs: &mut [Option<LaneSender>], id: OutputId) -> Sink {
    let lane = outputs[id.index()]
        .take()
        .expect("an output has one sender");
    Sink::Output {
        lane,
        ordered: program.outputs[id.index()].order != Order::Free,
        next: 0,
    }
}

/// Where a source tells of bad records, and of late rows.
fn told(
    program: &Program,
    spec: &SourceSpec,
    outputs: &mut [Option<LaneSender>],
) -> (Option<Aside>, Late) {
    let letters = match spec.bad_data {
        BadData::Fail | BadData::Skip => None,
        BadData::DeadLetters(id) => Some(output_sink(program, outputs, id)),
    };
    let late = spec.late.map(|id| {
        let schema = &*program.outputs[id.index()].schema;
        (output_sink(program, outputs, id), schema)
    });
    (letters.map(Aside::new), Late::new(late))
}

fn aggregations(program: &Program) -> usize {
    let operators = program.stages.iter().flat_map(|s| &s.operators);
    let keeps = |o: &&OperatorSpec| o.groups() || matches!(o, OperatorSpec::MarkFirst { .. });
    operators.filter(keeps).count()
}

/// For each exchange, of how many splits the chunks are that it takes in order.
/// Where one shard reads them all it knows the splits itself.
fn splits(program: &Program, config: &Config, files: &[Files]) -> Vec<usize> {
    let of = |number: usize| {
        let id = StageOutput::Exchange(ExchangeId(number as u32));
        let sender = program.stages.iter().find(|stage| stage.output == id);
        let Some(StageInput::Source(source)) = sender.map(|stage| stage.input) else {
            return 1;
        };
        match program.sources[source.index()].reading {
            Reading::Chunks if config.shards > 1 => files[source.index()].splits(),
            Reading::Chunks | Reading::InOrder => 1,
        }
    };
    (0..program.exchanges.len()).map(of).collect()
}

/// The chains that read an input, each with its port.
fn readers(program: &Program, wanted: StageInput) -> Vec<Consumer> {
    let stages = program.stages.iter().enumerate();
    let ports = stages.flat_map(|(chain, s)| {
        let ports = s.inputs().enumerate();
        ports.map(move |(port, input)| (Consumer { chain, port }, input))
    });
    let found = ports.filter(|(_, input)| *input == wanted);
    found.map(|(consumer, _)| consumer).collect()
}

/// The chains of one shard.
fn chains(
    (program, config): (&Program, &Config),
    combined: &[Option<Combined>],
    origins: &[Origin],
    place: Place,
    senders: &mut [Vec<LaneSender>],
    outputs: &mut [Option<LaneSender>],
) -> Result<Vec<Chain>> {
    let remade = Remade::of(program);
    let routes = routes(program);
    let mut chains = Vec::with_capacity(program.stages.len());
    let stages = program.stages.iter().zip(lineages(program)?);
    for (number, (stage, lineage)) in stages.enumerate() {
        let sink = match stage.output {
            StageOutput::Exchange(id) => {
                let lanes = std::mem::take(&mut senders[id.index()]);
                let spec = &program.exchanges[id.index()];
                let combined = combined[id.index()].as_ref();
                exchange_sink((spec, combined), config, lanes, place)?
            }
            StageOutput::Output(id) => output_sink(program, outputs, id),
        };
        let lineage = of_shard(program, stage, lineage, place.shard);
        let input = (chain_input(program, stage), &routes[number][..]);
        let schema = input_schema(program, stage.input);
        chains.push(Chain::new(
            &stage.operators,
            &schema,
            sink,
            input,
            &lineage,
            (&origins[number], remade.stages[number]),
            place,
        )?);
    }
    Ok(chains)
}

/// A shard's ends of all exchanges that it receives from.
fn exchanges(
    program: &Program,
    config: &Config,
    combined: &[Option<Combined>],
    receivers: Vec<Vec<LaneReceiver>>,
    splits: &[usize],
) -> Vec<ExchangePart> {
    let received = receivers.into_iter().enumerate();
    let received = received.filter(|(_, lanes)| !lanes.is_empty());
    let exchanges = received.map(|(number, mut lanes)| {
        let of_groups = match &combined[number] {
            Some(_) => lanes.split_off(config.shards),
            None => Vec::new(),
        };
        let input = StageInput::Exchange(ExchangeId(number as u32));
        let consumers = readers(program, input);
        let order = program.exchanges[number].order;
        ExchangePart {
            receiver: ExchangeReceiver::new(lanes, of_groups, order, splits[number]),
            consumers,
            number: number as u32,
        }
    });
    exchanges.collect()
}

/// Makes a program's part on one shard, on any thread: a shard that runs others does not wait for
/// it. `first_source` is the number of its first source among all that the shard has had.
pub(crate) fn build(
    program: &Program,
    config: &Config,
    origins: &[Origin],
    (shard, first_source): (usize, usize),
    parts: Parts,
    from: Option<&Restore>,
) -> Result<Shard> {
    let Parts {
        mut senders,
        receivers,
        mut outputs,
        files,
        live,
        begun,
        recorder,
        runs,
        combined,
    } = parts;
    let first_group = (shard * KEY_GROUPS).div_ceil(config.shards);
    let end_group = ((shard + 1) * KEY_GROUPS).div_ceil(config.shards);
    let (combined, tables) = &*combined;
    let place = Place {
        shard,
        begun_ns: begun,
        frame_rows: config.frame_rows,
        first_group: first_group as u32,
        groups: (end_group - first_group) as u32,
        seed: HASH_SEED,
        addresses: Addresses::shared_by(config.shards * *tables),
    };
    let mut chains = chains(
        (program, config),
        combined,
        origins,
        place,
        &mut senders,
        &mut outputs,
    )?;
    let remade = Remade::of(program);
    let splits = splits(program, config, &files);
    let mut exchanges = exchanges(program, config, combined, receivers, &splits);
    let mut sources = Vec::with_capacity(program.sources.len());
    let inputs = files.into_iter().zip(live);
    for (number, (spec, (files, live))) in program.sources.iter().zip(inputs).enumerate() {
        let reader = Reader {
            shard,
            shards: config.shards,
            frame_rows: config.frame_rows,
            chunk_bytes: config.chunk_bytes,
            now: config.now,
            begun,
        };
        let (letters, late) = told(program, spec, &mut outputs);
        sources.push(SourcePart {
            source: Source::new(first_source + number, spec, files, live, reader),
            letters,
            late,
            processing: Processing::of(spec, config.now),
            among: Among::new(spec, begun),
            consumers: readers(program, StageInput::Source(SourceId(number as u32))),
            is_remade: remade.sources[number],
        });
    }
    if let Some(from) = from {
        let parts = (&mut sources[..], &mut exchanges[..], &mut chains[..]);
        go_on((program, origins), from, (shard, config.shards), parts)?;
    }
    Ok(Shard::new(
        first_source,
        sources,
        exchanges,
        chains,
        recorder,
        (config.now, runs),
    ))
}
