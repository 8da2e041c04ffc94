//! Programs of unusual shapes: several readers of one exchange, many sources, stages out of order.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::column::Column;
use trefoil_ring0::expr::{BinaryOp, Expr, Scalar};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::id::{ExchangeId, OutputId, SourceId};
use trefoil_ring0::metrics::QueryCounters;
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, EventTime, ExchangeSpec, FileFormat,
    OperatorSpec, Order, OutputSpec, Phase, Program, Reading, Routing, SourceKind, SourceSpec,
    StageInput, StageOutput, StageSpec,
};
use trefoil_ring0::runtime::{Config, Executor, ShardReport, start};
use trefoil_ring0::schema::{Field, Schema};

fn numbers() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64)]))
}

/// A source of the numbers below `end`.
fn memory(end: i64) -> SourceSpec {
    let schema = numbers();
    let frames = (0..end).map(|n| {
        let mut frame = Frame::new(&schema, 1);
        let Column::I64(c) = &mut frame.columns[0] else {
            panic!("not BIGINT")
        };
        c.push(Some(n));
        frame.commit_rows(1);
        frame
    });
    let kind = SourceKind::Memory {
        frames: Arc::new(frames.collect()),
        repeat: 1,
    };
    SourceSpec::new("numbers", numbers(), kind)
}

fn stage(input: StageInput, output: StageOutput) -> StageSpec {
    StageSpec {
        input,
        others: Vec::new(),
        operators: Vec::new(),
        output,
    }
}

fn source(id: u32) -> StageInput {
    StageInput::Source(SourceId(id))
}

fn from(id: u32) -> StageInput {
    StageInput::Exchange(ExchangeId(id))
}

fn into(id: u32) -> StageOutput {
    StageOutput::Exchange(ExchangeId(id))
}

fn output(id: u32) -> StageOutput {
    StageOutput::Output(OutputId(id))
}

/// A program of numbers with outputs and hashed exchanges as many as its stages name.
fn program(sources: Vec<SourceSpec>, stages: Vec<StageSpec>) -> Program {
    let count = |of: fn(&StageSpec) -> bool| stages.iter().filter(|s| of(s)).count();
    let exchange = ExchangeSpec {
        schema: numbers(),
        routing: Routing::Hash(vec![0]),
        order: Order::Free,
    };
    let output = OutputSpec {
        order: Order::Free,
        schema: numbers(),
    };
    Program {
        exchanges: vec![exchange; count(|s| matches!(s.output, StageOutput::Exchange(_)))],
        outputs: vec![output; count(|s| matches!(s.output, StageOutput::Output(_)))],
        sources,
        stages,
    }
}

/// The numbers of each output, sorted, and the reports.
fn run(program: &Program, config: &Config) -> (Vec<Vec<i64>>, Vec<ShardReport>) {
    let mut running = start(program, config).unwrap();
    let mut all = vec![Vec::new(); program.outputs.len()];
    while let Some(block) = running.next_block().unwrap() {
        let Column::I64(c) = &block.rows().columns[0] else {
            panic!("not BIGINT")
        };
        all[block.output().index()].extend_from_slice(&c.values);
        running.give_back(block);
    }
    all.iter_mut().for_each(|numbers| numbers.sort_unstable());
    (all, running.finish().unwrap())
}

fn shards(shards: usize) -> Config {
    Config {
        shards,
        ..Config::default()
    }
}

/// Both get all of its rows, also on one shard.
#[test]
fn an_exchange_may_have_two_readers() {
    let stages = vec![
        stage(source(0), into(0)),
        stage(from(0), output(0)),
        stage(from(0), output(1)),
    ];
    let program = program(vec![memory(100)], stages);
    let want: Vec<i64> = (0..100).collect();
    for count in [1, 3] {
        let (got, _) = run(&program, &shards(count));
        assert_eq!(got, [&want[..], &want[..]], "{count} shards");
    }
}

/// Also on one shard, where stages are joined.
#[test]
fn the_ledger_has_the_numbers_of_the_programs_stages() {
    let stages = vec![
        stage(source(0), into(0)),
        stage(from(0), output(0)),
        stage(source(1), into(1)),
        stage(from(1), output(1)),
    ];
    let program = program(vec![memory(10), memory(20)], stages);
    for count in [1, 2] {
        let (_, reports) = run(&program, &shards(count));
        let rows = |stage| -> (u64, u64) {
            let inputs = reports.iter().flat_map(|r| &r.inputs);
            let of_stage = inputs.filter(|(s, _)| *s == stage);
            of_stage.fold((0, 0), |sum, (_, c)| {
                (sum.0 + c.rows_in, sum.1 + c.rows_applied)
            })
        };
        assert_eq!([rows(0), rows(2)], [(10, 10), (20, 20)], "{count} shards");
    }
}

/// Rows are counted once where several stages read the same of them, here all and one half: the
/// ledger is that of the first.
#[test]
fn the_ledger_balances_with_two_readers_of_an_exchange() {
    let half = Expr::Binary(
        BinaryOp::Lt,
        Box::new(Expr::Column(0)),
        Box::new(Expr::Literal(Scalar::I64(50))),
    );
    let filtered = |mut stage: StageSpec| {
        stage.operators = vec![OperatorSpec::Filter(half.clone())];
        stage
    };
    let stages = vec![
        stage(source(0), into(0)),
        filtered(stage(from(0), into(1))),
        stage(from(0), into(2)),
        stage(from(1), output(0)),
        stage(from(2), output(1)),
    ];
    let program = program(vec![memory(100)], stages);
    for count in [1, 3] {
        let (got, reports) = run(&program, &shards(count));
        assert_eq!([got[0].len(), got[1].len()], [50, 100]);
        let mut sum = QueryCounters::default();
        for (stage, counters) in reports.iter().flat_map(|r| &r.inputs) {
            assert_eq!(*stage, 0);
            sum.add(counters);
        }
        let ledger = [sum.rows_in, sum.rows_filtered, sum.rows_applied];
        assert_eq!(ledger, [100, 50, 50], "{count} shards");
    }
}

/// Shards would wait for each other: rows behind an exchange have no chunks.
#[test]
fn chunks_are_in_order_only_right_behind_a_source() {
    let stages = vec![stage(source(0), into(0)), stage(from(0), output(0))];
    let mut to_host = program(vec![memory(1)], stages);
    let stages = vec![
        stage(source(0), into(0)),
        stage(from(0), into(1)),
        stage(from(1), output(0)),
    ];
    let mut on_the_way = program(vec![memory(1)], stages);
    to_host.outputs[0].order = Order::Chunks { bound: None };
    on_the_way.exchanges[1].order = Order::Chunks { bound: None };
    for program in [to_host, on_the_way] {
        let error = start(&program, &shards(2)).unwrap_err().to_string();
        assert!(error.contains("stage 1 reads no source"), "{error}");
    }
}

/// Each chunk begins with a watermark of its own.
#[test]
fn watermarks_of_chunks_are_taken_in_order() {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let schema = Arc::new(Schema::new(vec![Field::new("t", time)]));
    let kind = SourceKind::Files {
        paths: Vec::new(),
        format: FileFormat::Ndjson,
    };
    let mut file = SourceSpec::new("file", Arc::clone(&schema), kind);
    file.event_time = Some(EventTime {
        column: 0,
        lag_ns: Some(0),
        bound: None,
    });
    let stages = vec![stage(source(0), into(0)), stage(from(0), output(0))];
    let mut program = program(vec![file], stages);
    program.exchanges[0].schema = Arc::clone(&schema);
    program.outputs[0].schema = schema;
    let error = start(&program, &shards(2)).unwrap_err().to_string();
    assert!(error.contains("stage 0 sends watermarks"), "{error}");
    program.sources[0].reading = Reading::InOrder;
    start(&program, &shards(2)).unwrap().finish().unwrap();
}

/// The group of all rows exists once where shard 0 reads all of them, and also without any.
#[test]
fn a_source_in_order_has_one_group_of_all_rows() {
    let count = AggregateSpec {
        input: numbers(),
        keys: Vec::new(),
        calls: vec![AggregateCall {
            function: AggregateFunction::Count,
            argument: None,
        }],
        phase: Phase::Complete,
        window: None,
        output: numbers(),
    };
    for rows in [0, 10] {
        let mut program = program(vec![memory(rows)], vec![stage(source(0), output(0))]);
        program.sources[0].reading = Reading::InOrder;
        program.stages[0].operators = vec![OperatorSpec::Aggregate(Arc::new(count.clone()))];
        for shard_count in [1, 3] {
            let (got, _) = run(&program, &shards(shard_count));
            assert_eq!(got, [[rows]], "{shard_count} shards");
        }
    }
}

/// Each has reads of its own under way.
#[test]
fn sources_may_be_many() {
    const SOURCES: u32 = 70;
    let path = std::env::temp_dir().join(format!("trefoil-shapes-{}", std::process::id()));
    std::fs::write(&path, "{\"n\":1}\n{\"n\":2}\n").unwrap();
    let kind = SourceKind::Files {
        paths: vec![path.clone()],
        format: FileFormat::Ndjson,
    };
    let file = SourceSpec::new("file", numbers(), kind);
    let stages = (0..SOURCES).map(|n| stage(source(n), output(n)));
    let program = program(vec![file; SOURCES as usize], stages.collect());
    for executor in [Executor::Threads, Executor::Uring] {
        let config = Config {
            executor,
            ..shards(2)
        };
        let (got, _) = run(&program, &config);
        assert!(got.iter().all(|n| *n == [1, 2]), "{executor:?}");
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_stage_that_stands_before_the_one_it_hears_from_is_refused() {
    let stages = vec![stage(from(0), output(0)), stage(source(0), into(0))];
    let program = program(vec![memory(1)], stages);
    for count in [1, 2] {
        let error = start(&program, &shards(count)).unwrap_err().to_string();
        assert!(error.contains("stage 0 stands before"), "{error}");
    }
}
