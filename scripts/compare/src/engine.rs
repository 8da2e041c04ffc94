//! Trefoil itself, without SQL: programs of the operators that its planner takes for both queries,
//! run by the runtime and timed from before its shards start until the host has the last row.

use std::sync::Arc;
use std::time::Instant;

use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::column::Column;
use trefoil_ring0::expr::Expr;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::preflight::allowed_cores;
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, EventTime, ExchangeSpec, LateRule,
    OperatorSpec, Order, OutputSpec, Phase, Program, Routing, SourceKind, SourceSpec, WindowKey,
};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::{Field, Schema};

use crate::data::{Data, Digest, LAG_MS, Totals, WINDOW_MS};
use crate::peers::Answer;

const NS_OF_MS: i64 = 1_000_000;

/// Runs the query of `data` on so many shards.
pub(crate) fn run(data: &Data, shards: usize) -> Result<Answer, String> {
    let program = match data {
        Data::Keyed { .. } => keyed(data),
        Data::Windowed { .. } => tumbling(data),
    };
    let config = Config {
        shards,
        cores: cores(shards),
        ..Config::default()
    };
    let mut digest = Digest::default();
    let clock = Instant::now();
    let mut running = start(&program, &config).map_err(|error| error.to_string())?;
    while let Some(block) = running.next_block().map_err(|error| error.to_string())? {
        match data {
            Data::Keyed { .. } => take_keyed(block.rows(), &mut digest),
            Data::Windowed { .. } => take_windowed(block.rows(), &mut digest),
        }
        running.give_back(block);
    }
    let seconds = clock.elapsed().as_secs_f64();
    let executor = match running.executor() {
        Executor::Threads => "threads",
        Executor::Auto | Executor::Uring => "uring",
    };
    let reports = running.finish().map_err(|error| error.to_string())?;
    let read: u64 = reports.iter().map(|r| r.sources[0].rows_read).sum();
    if read != data.rows() as u64 {
        return Err(format!("{read} of {} rows were read", data.rows()));
    }
    Ok(Answer {
        seconds,
        digest,
        said: Some(executor.to_owned()),
    })
}

/// The cores of so many shards: the last ones, as the first serves most interrupts.
pub(crate) fn cores(shards: usize) -> Vec<usize> {
    let allowed = allowed_cores();
    allowed[allowed.len().saturating_sub(shards)..].to_vec()
}

fn schema(fields: &[(&str, DataType)]) -> Arc<Schema> {
    let fields = fields.iter().map(|(name, t)| Field::new(*name, t.clone()));
    Arc::new(Schema::new(fields.collect()))
}

fn source(data: &Data, schema: &Arc<Schema>) -> SourceSpec {
    let kind = SourceKind::Columns {
        arrays: data.arrays().into(),
        repeat: 1,
    };
    SourceSpec::new("records", Arc::clone(schema), kind)
}

fn calls(calls: &[(AggregateFunction, Option<usize>)]) -> Vec<AggregateCall> {
    let call = |(function, argument): &(AggregateFunction, Option<usize>)| AggregateCall {
        function: function.clone(),
        argument: *argument,
    };
    calls.iter().map(call).collect()
}

/// SELECT k, COUNT(*), SUM(v), MIN(v), MAX(v) .. GROUP BY k
fn keyed(data: &Data) -> Program {
    let read = schema(&[("k", DataType::Int64), ("v", DataType::Float64)]);
    let out = schema(&[
        ("k", DataType::Int64),
        ("n", DataType::Int64),
        ("s", DataType::Float64),
        ("a", DataType::Float64),
        ("z", DataType::Float64),
    ]);
    let aggregate = AggregateSpec {
        input: Arc::clone(&read),
        keys: vec![0],
        calls: calls(&[
            (AggregateFunction::Count, None),
            (AggregateFunction::Sum, Some(1)),
            (AggregateFunction::Min, Some(1)),
            (AggregateFunction::Max, Some(1)),
        ]),
        phase: Phase::Complete,
        window: None,
        output: Arc::clone(&out),
    };
    Program::exchanged(
        source(data, &read),
        Vec::new(),
        ExchangeSpec::hash(read, vec![0]),
        vec![OperatorSpec::Aggregate(Arc::new(aggregate))],
        OutputSpec::free(out),
    )
}

/// SELECT k, window_start, COUNT(*), SUM(v) .. GROUP BY k, TUMBLE(at, INTERVAL '1' MINUTE) over a
/// stream whose watermark stays a second behind.
fn tumbling(data: &Data) -> Program {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let read = schema(&[
        ("k", DataType::Int64),
        ("v", DataType::Int64),
        ("at", time.clone()),
        ("_BOUND", DataType::Int64),
    ]);
    let out = schema(&[
        ("k", DataType::Int64),
        ("window_start", time),
        ("n", DataType::Int64),
        ("s", DataType::Int64),
    ]);
    let (at, bound) = (2, 3);
    let mut source = source(data, &read);
    source.event_time = Some(EventTime {
        column: at,
        lag_ns: Some(LAG_MS * NS_OF_MS),
        bound: Some(bound),
    });
    let window_start = Expr::TumbleStart {
        time: Box::new(Expr::Column(at)),
        size: WINDOW_MS,
        offset: 0,
    };
    let project = OperatorSpec::Project {
        exprs: vec![
            Expr::Column(0),
            Expr::Column(1),
            window_start,
            Expr::Column(bound),
        ],
        schema: Arc::clone(&read),
    };
    let late = LateRule {
        time: at,
        unit_ns: NS_OF_MS,
        bound,
        size: WINDOW_MS,
        slide: WINDOW_MS,
        offset: 0,
    };
    let aggregate = AggregateSpec {
        input: Arc::clone(&read),
        keys: vec![0, at],
        calls: calls(&[
            (AggregateFunction::Count, None),
            (AggregateFunction::Sum, Some(1)),
        ]),
        phase: Phase::Complete,
        window: Some(WindowKey {
            key: 1,
            size_ns: WINDOW_MS * NS_OF_MS,
        }),
        output: Arc::clone(&out),
    };
    let exchange = ExchangeSpec {
        schema: read,
        routing: Routing::Hash(vec![0]),
        order: Order::Chunks { bound: Some(bound) },
    };
    Program::exchanged(
        source,
        vec![project],
        exchange,
        vec![
            OperatorSpec::DropLate(late),
            OperatorSpec::Aggregate(Arc::new(aggregate)),
        ],
        OutputSpec::free(out),
    )
}

fn take_keyed(frame: &Frame, digest: &mut Digest) {
    let [
        Column::I64(k),
        Column::I64(n),
        Column::F64(s),
        Column::F64(a),
        Column::F64(z),
    ] = &frame.columns[..]
    else {
        panic!("the query's columns are a BIGINT, its count, and three DOUBLEs")
    };
    for row in 0..frame.rows() {
        let totals = Totals {
            count: n.values[row],
            sum: s.values[row],
            min: a.values[row],
            max: z.values[row],
        };
        digest.keyed(k.values[row], &totals);
    }
}

fn take_windowed(frame: &Frame, digest: &mut Digest) {
    let [
        Column::I64(k),
        Column::I64(start),
        Column::I64(n),
        Column::I64(s),
    ] = &frame.columns[..]
    else {
        panic!("the query's columns are BIGINTs and a TIMESTAMP")
    };
    for row in 0..frame.rows() {
        digest.windowed(
            k.values[row],
            start.values[row],
            n.values[row],
            s.values[row],
        );
    }
}
