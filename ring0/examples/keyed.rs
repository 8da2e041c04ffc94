//! Keyed aggregation on one shard, for profiling: COUNT, SUM, MIN and MAX of a DOUBLE by a BIGINT
//! key, from columns in memory through the whole runtime, and beside it the operator alone.
//! `cargo run --release -p trefoil-ring0 --example keyed [text] [KEYS..]`: with
//! `text` by a VARCHAR.

#![expect(clippy::disallowed_methods, reason = "it measures, from outside")]

use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow_schema::DataType;
use trefoil_ring0::error::Error;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::hash::hash_keys;
use trefoil_ring0::limits::KEY_GROUPS;
use trefoil_ring0::operator::aggregate::{Aggregate, EmitCursor, Progress};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, ExchangeSpec, OperatorSpec, OutputSpec, Phase,
    Program, SourceKind, SourceSpec,
};
use trefoil_ring0::runtime::{Config, Executor, HASH_SEED, start};
use trefoil_ring0::schema::{Field, Schema};
use trefoil_ring0::table::store::Addresses;

const FRAME_ROWS: usize = 1024;
const ROWS: usize = 1 << 22;
const ROUNDS: usize = 1;
const RUNS: usize = 20;

fn main() -> Result<(), Error> {
    let keys: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let keys = match keys.is_empty() {
        true => vec![100, 10_000, 1_000_000, 10_000_000],
        false => keys,
    };
    let is_text = std::env::args().any(|a| a == "text");
    for keys in keys {
        let mut arrays = arrays(keys);
        if is_text {
            let texts = arrays[0].as_primitive::<Int64Type>().iter().flatten();
            let texts = texts.map(|k| format!("dev-{k:04}"));
            arrays[0] = Arc::new(StringArray::from_iter_values(texts));
        }
        report(keys, "runtime", || through_the_runtime(&arrays))?;
        report(keys, "operator", || operator_alone(&arrays))?;
    }
    Ok(())
}

/// Prints the median of some runs, and the best: on a busy machine that is nearest to the truth.
fn report(
    keys: u64,
    what: &str,
    mut once: impl FnMut() -> Result<usize, Error>,
) -> Result<(), Error> {
    let mut groups = 0;
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        let clock = Instant::now();
        groups = once()?;
        rates.push((ROWS * ROUNDS) as f64 / clock.elapsed().as_secs_f64() / 1e6);
    }
    rates.sort_by(f64::total_cmp);
    let (median, best) = (rates[RUNS / 2], rates[RUNS - 1]);
    println!(
        "{keys:>9} keys, {what:<8} {median:6.1} M records/s, best {best:6.1}, {groups} groups"
    );
    Ok(())
}

fn arrays(keys: u64) -> [ArrayRef; 2] {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        state
    };
    let k = (0..ROWS).map(|_| ((u128::from(random()) * u128::from(keys)) >> 64) as i64);
    let k: Int64Array = k.collect::<Vec<_>>().into();
    let v: Float64Array = (0..ROWS)
        .map(|i| (i % 1000) as f64)
        .collect::<Vec<_>>()
        .into();
    [Arc::new(k), Arc::new(v)]
}

/// The aggregation by a key of this type.
fn spec(key: &DataType) -> Arc<AggregateSpec> {
    let call = |function, argument| AggregateCall { function, argument };
    let field = |name: &str, data_type: DataType| Field::new(name, data_type);
    Arc::new(AggregateSpec {
        input: Arc::new(Schema::new(vec![
            field("k", key.clone()),
            field("v", DataType::Float64),
        ])),
        keys: vec![0],
        calls: vec![
            call(AggregateFunction::Count, None),
            call(AggregateFunction::Sum, Some(1)),
            call(AggregateFunction::Min, Some(1)),
            call(AggregateFunction::Max, Some(1)),
        ],
        phase: Phase::Complete,
        window: None,
        output: Arc::new(Schema::new(vec![
            field("k", key.clone()),
            field("count", DataType::Int64),
            field("sum", DataType::Float64),
            field("min", DataType::Float64),
            field("max", DataType::Float64),
        ])),
    })
}

fn through_the_runtime(arrays: &[ArrayRef; 2]) -> Result<usize, Error> {
    let spec = spec(arrays[0].data_type());
    let (input, output) = (Arc::clone(&spec.input), Arc::clone(&spec.output));
    let program = Program::exchanged(
        SourceSpec::new(
            "columns",
            Arc::clone(&input),
            SourceKind::Columns {
                arrays: arrays[..].into(),
                repeat: ROUNDS,
            },
        ),
        Vec::new(),
        ExchangeSpec::hash(input, vec![0]),
        vec![OperatorSpec::Aggregate(spec)],
        OutputSpec::free(output),
    );
    let mut config = Config {
        executor: Executor::Threads,
        ..Config::default()
    };
    config.cores.reverse();
    let mut running = start(&program, &config)?;
    let mut groups = 0;
    while let Some(block) = running.next_block()? {
        groups += block.rows().rows();
        running.give_back(block);
    }
    running.finish()?;
    Ok(groups)
}

fn operator_alone(arrays: &[ArrayRef; 2]) -> Result<usize, Error> {
    let spec = spec(arrays[0].data_type());
    let mut frame = Frame::new(&spec.input, FRAME_ROWS);
    let mut out = Frame::new(&spec.output, FRAME_ROWS);
    let mut aggregate = Aggregate::new(
        Arc::clone(&spec),
        0,
        KEY_GROUPS as u32,
        Addresses::shared_by(1),
    )?;
    let mut hashes = Vec::new();
    for from in (0..ROUNDS).flat_map(|_| (0..ROWS).step_by(FRAME_ROWS)) {
        frame.clear();
        for (column, array) in frame.columns.iter_mut().zip(arrays) {
            column.append_array(array, from..from + FRAME_ROWS);
        }
        frame.commit_rows(FRAME_ROWS);
        hash_keys(&frame, &spec.input, &[0], HASH_SEED, &mut hashes);
        aggregate.update(&frame, &hashes)?;
    }
    let (mut cursor, mut groups) = (EmitCursor::default(), 0);
    loop {
        let progress = aggregate.emit(None, &mut cursor, &mut out)?;
        groups += out.rows();
        out.clear();
        if progress == Progress::Done {
            return Ok(groups);
        }
    }
}
