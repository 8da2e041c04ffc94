//! A program that is stopped has read the beginning of its file, and gives all of what follows from
//! that but what waits for an end: rows come out up to one place, groups that are open do not.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::DataType;
use trefoil_ring0::column::Column;
use trefoil_ring0::id::{ExchangeId, OutputId, SourceId};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, BadData, ExchangeSpec, FileFormat,
    OperatorSpec, Order, OutputSpec, Phase, Program, Routing, SourceKind, SourceSpec, StageInput,
    StageOutput, StageSpec,
};
use trefoil_ring0::runtime::{Config, Executor, ShardReport, start};
use trefoil_ring0::schema::{Field, Schema};

const ROWS: i64 = 20_000;

struct Lines(PathBuf);

impl Lines {
    fn new(name: &str) -> Self {
        let name = format!("trefoil-{name}-{}.ndjson", std::process::id());
        let path = std::env::temp_dir().join(name);
        let lines: String = (0..ROWS).map(|k| format!("{{\"k\":{k}}}\n")).collect();
        std::fs::write(&path, lines).unwrap();
        Self(path)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

fn numbers() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("k", DataType::Int64)]))
}

/// The rows as they are, and next to them their number.
fn program(path: &Path) -> Program {
    let source = SourceSpec {
        reading: Default::default(),
        name: "lines".to_owned(),
        schema: numbers(),
        event_time: None,
        is_only_compared: false,
        kind: SourceKind::Files {
            paths: vec![path.to_owned()],
            format: FileFormat::Ndjson,
        },
        system: Vec::new(),
        bad_data: BadData::Fail,
        splits: Default::default(),
        max_ahead_ns: None,
        policy: None,
        processing: None,
        late: None,
    };
    let count = AggregateSpec {
        input: numbers(),
        keys: vec![],
        calls: vec![AggregateCall {
            function: AggregateFunction::Count,
            argument: None,
        }],
        phase: Phase::Complete,
        window: None,
        output: numbers(),
    };
    let stage = |input, operators, output| StageSpec {
        input,
        others: Vec::new(),
        operators,
        output,
    };
    let output = |order| OutputSpec {
        order,
        schema: numbers(),
    };
    let read = StageInput::Source(SourceId(0));
    Program {
        sources: vec![source],
        stages: vec![
            stage(read, vec![], StageOutput::Output(OutputId(0))),
            stage(read, vec![], StageOutput::Exchange(ExchangeId(0))),
            stage(
                StageInput::Exchange(ExchangeId(0)),
                vec![OperatorSpec::Aggregate(Arc::new(count))],
                StageOutput::Output(OutputId(1)),
            ),
        ],
        exchanges: vec![ExchangeSpec {
            schema: numbers(),
            routing: Routing::Single,
            order: Order::Free,
        }],
        outputs: vec![output(Order::Chunks { bound: None }), output(Order::Free)],
    }
}

/// Stops once so many rows came. Gives the rows, the counts, and what the shards counted.
fn run(program: &Program, config: &Config, stop: usize) -> (Vec<i64>, Vec<i64>, Vec<ShardReport>) {
    let mut running = start(program, config).unwrap();
    let control = running.control();
    let mut given = [Vec::new(), Vec::new()];
    while let Some(block) = running.next_block().unwrap() {
        let Column::I64(values) = &block.rows().columns[0] else {
            unreachable!("numbers are BIGINT")
        };
        given[block.output().index()].extend_from_slice(&values.values);
        running.give_back(block);
        if given[0].len() >= stop {
            control.stop();
        }
    }
    let [rows, counts] = given;
    (rows, counts, running.finish().unwrap())
}

#[test]
fn what_was_read_is_the_beginning() {
    let lines = Lines::new("stop");
    let program = program(&lines.0);
    for (shards, executor) in [1, 2, 3]
        .into_iter()
        .flat_map(|shards| [Executor::Threads, Executor::Auto].map(|executor| (shards, executor)))
    {
        for (chunk_bytes, stop) in [(500, 0), (64, 100), (4096, 5000), (500, usize::MAX)] {
            let config = Config {
                shards,
                executor,
                chunk_bytes,
                frame_rows: 64,
                ring_messages: 4,
                ..Config::default()
            };
            let (rows, counts, reports) = run(&program, &config, stop);
            let label = format!("{shards} shards, {chunk_bytes} bytes, stopped behind {stop}");
            let first: Vec<i64> = (0..rows.len() as i64).collect();
            assert_eq!(rows, first, "{label}");
            let read: u64 = reports.iter().map(|r| r.sources[0].rows_read).sum();
            assert_eq!(read, rows.len() as u64, "{label}");
            let stopped = reports.iter().any(|r| r.stopped);
            if stop == usize::MAX {
                assert_eq!((stopped, counts), (false, vec![ROWS]), "{label}");
            } else {
                assert!(stopped && counts.is_empty(), "{label}: {counts:?}");
                assert!(rows.len() < ROWS as usize, "{label}");
            }
        }
    }
}

/// Shards that wait for room say how far they are, as often as they are asked.
#[test]
fn shards_tell_how_far_they_are() {
    let lines = Lines::new("tell");
    let program = program(&lines.0);
    for executor in [Executor::Threads, Executor::Auto] {
        let config = Config {
            shards: 2,
            executor,
            chunk_bytes: 500,
            frame_rows: 64,
            ring_messages: 4,
            ..Config::default()
        };
        let mut running = start(&program, &config).unwrap();
        let control = running.control();
        while control.reached().rows_read == 0 {
            control.ask();
            std::thread::yield_now();
        }
        assert!(control.reached().rows_read < ROWS as u64);
        assert_eq!(control.reached().watermark, None);
        while let Some(block) = running.next_block().unwrap() {
            running.give_back(block);
        }
        let reports = running.finish().unwrap();
        let read: u64 = reports.iter().map(|r| r.sources[0].rows_read).sum();
        assert_eq!(read, ROWS as u64);
    }
}
