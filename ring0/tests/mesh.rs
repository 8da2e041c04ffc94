//! Programs over the real runtime with the smallest rings and frames: nothing stalls, no row is
//! lost or doubled, a key lands on one shard.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::DataType;
use trefoil_ring0::column::Column;
use trefoil_ring0::expr::{BinaryOp, Expr, Scalar};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::hash::{hash_keys, owner};
use trefoil_ring0::id::{ExchangeId, OutputId, SourceId};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, ExchangeSpec, OperatorSpec, Order, OutputSpec,
    Phase, Program, Routing, SourceKind, SourceSpec, StageInput, StageOutput, StageSpec,
};
use trefoil_ring0::runtime::{Config, Executor, HASH_SEED, start};
use trefoil_ring0::schema::{Field, Schema};

fn schema(names: &[&str]) -> Arc<Schema> {
    Arc::new(Schema::new(
        names
            .iter()
            .map(|n| Field::new(*n, DataType::Int64))
            .collect(),
    ))
}

fn ints(frame: &Frame, column: usize) -> &[i64] {
    let Column::I64(c) = &frame.columns[column] else {
        panic!("not BIGINT")
    };
    &c.values
}

/// `rows` rows of (key, value), value counting up, in frames of `frame_rows`.
fn frames(schema: &Schema, rows: i64, keys: i64, frame_rows: usize) -> Vec<Frame> {
    let mut out: Vec<Frame> = Vec::new();
    for i in 0..rows {
        if out.last().is_none_or(Frame::is_full) {
            out.push(Frame::new(schema, frame_rows));
        }
        let frame = out.last_mut().unwrap();
        for (column, value) in frame.columns.iter_mut().zip([i * 7919 % keys, i]) {
            let Column::I64(c) = column else {
                panic!("not BIGINT")
            };
            c.push(Some(value));
        }
        frame.commit_rows(1);
    }
    out
}

fn memory(name: &str, schema: &Arc<Schema>, frames: Vec<Frame>) -> SourceSpec {
    let kind = SourceKind::Memory {
        frames: Arc::new(frames),
        repeat: 1,
    };
    SourceSpec::new(name, Arc::clone(schema), kind)
}

fn hash(schema: &Arc<Schema>, column: usize) -> ExchangeSpec {
    let routing = Routing::Hash(vec![column]);
    ExchangeSpec {
        schema: Arc::clone(schema),
        routing,
        order: Order::Free,
    }
}

fn count_by_key(input: &Arc<Schema>) -> OperatorSpec {
    OperatorSpec::Aggregate(Arc::new(AggregateSpec {
        input: Arc::clone(input),
        keys: vec![0],
        calls: vec![
            AggregateCall {
                function: AggregateFunction::Count,
                argument: None,
            },
            AggregateCall {
                function: AggregateFunction::Sum,
                argument: Some(1),
            },
        ],
        phase: Phase::Complete,
        window: None,
        output: schema(&["key", "count", "sum"]),
    }))
}

/// Two sources, three exchanges each: by key, by value, by key again, then an aggregate.
fn two_sources(rows: i64, keys: i64, frame_rows: usize) -> Program {
    let s = schema(&["key", "value"]);
    let mut program = Program::default();
    for source in 0..2u32 {
        let name = format!("source {source}");
        program
            .sources
            .push(memory(&name, &s, frames(&s, rows, keys, frame_rows)));
        let first = source * 3;
        program
            .exchanges
            .extend([hash(&s, 0), hash(&s, 1), hash(&s, 0)]);
        let forward = |input, output| StageSpec {
            input,
            others: Vec::new(),
            operators: Vec::new(),
            output,
        };
        let exchange = |n| StageOutput::Exchange(ExchangeId(first + n));
        let from = |n| StageInput::Exchange(ExchangeId(first + n));
        program
            .stages
            .push(forward(StageInput::Source(SourceId(source)), exchange(0)));
        program.stages.push(forward(from(0), exchange(1)));
        program.stages.push(forward(from(1), exchange(2)));
        program.stages.push(StageSpec {
            input: from(2),
            others: Vec::new(),
            operators: vec![count_by_key(&s)],
            output: StageOutput::Output(OutputId(source)),
        });
        program.outputs.push(OutputSpec {
            order: Order::Free,
            schema: schema(&["key", "count", "sum"]),
        });
    }
    program
}

type Groups = HashMap<(u32, i64), (i64, i64)>;

fn run(program: &Program, config: &Config) -> (Groups, Vec<Vec<u64>>) {
    let mut running = start(program, config).unwrap();
    let mut groups = Groups::new();
    while let Some(block) = running.next_block().unwrap() {
        let rows = block.rows();
        for i in 0..rows.rows() {
            let key = (block.output().0, ints(rows, 0)[i]);
            let before = groups.insert(key, (ints(rows, 1)[i], ints(rows, 2)[i]));
            assert_eq!(before, None, "a key is owned by one shard and emitted once");
        }
        running.give_back(block);
    }
    let reports = running.finish().unwrap();
    let crossed = reports
        .iter()
        .flat_map(|r| r.crossed.iter().map(|(_, lanes)| lanes.clone()));
    (groups, crossed.collect())
}

fn expected(rows: i64, keys: i64, sources: u32) -> Groups {
    let mut groups = Groups::new();
    for source in 0..sources {
        for i in 0..rows {
            let group = groups.entry((source, i * 7919 % keys)).or_default();
            group.0 += 1;
            group.1 += i;
        }
    }
    groups
}

/// Back-pressure cannot deadlock: both sources go through the same shards, whose rings hold two
/// messages of one row each, so that all of them are full nearly all the time.
#[test]
fn smallest_rings_make_progress() {
    for executor in [Executor::Threads, Executor::Uring] {
        for shards in [1, 2, 4, 8] {
            for frame_rows in [1, 3] {
                let program = two_sources(600, 37, 16);
                for combine_groups in [0, 5] {
                    let config = Config {
                        shards,
                        executor,
                        frame_rows,
                        combine_groups,
                        ring_messages: 2,
                        ..Config::default()
                    };
                    let (groups, crossed) = run(&program, &config);
                    assert_eq!(
                        groups,
                        expected(600, 37, 2),
                        "{executor:?}, {shards} shards, groups of {combine_groups}"
                    );
                    if shards > 1 && combine_groups == 0 {
                        let rows: u64 = crossed.iter().flatten().sum();
                        assert_eq!(rows, 2 * 3 * 600, "each row crosses three exchanges");
                    }
                }
            }
        }
    }
}

/// One million orders of a thousand customers at eight shards: each customer once, no order lost.
#[test]
fn a_million_orders_at_eight_shards() {
    let mut program = two_sources(1_000_000, 1000, 1024);
    let SourceKind::Memory { frames, .. } = &mut program.sources[1].kind else {
        panic!("not in memory")
    };
    *frames = Arc::default();
    for combine_groups in [0, 100, 16_384] {
        let config = Config {
            shards: 8,
            combine_groups,
            ..Config::default()
        };
        let (groups, crossed) = run(&program, &config);
        assert_eq!(groups, expected(1_000_000, 1000, 1));
        let rows: u64 = crossed.iter().flatten().sum();
        match combine_groups {
            0 => assert_eq!(rows, 3 * 1_000_000, "each order crosses three exchanges"),
            // In part as groups: among a hundred, keys repeat on some shards only.
            100 => assert!((2_008_000..3_000_000).contains(&rows), "{rows}"),
            _ => assert_eq!(rows, 2_008_000, "and the last one as a group of each shard"),
        }
    }
}

/// A number whose owner, of `shards`, is `shard`; the `nth` one.
fn number_of(shard: usize, shards: usize, nth: usize) -> i64 {
    let s = schema(&["key", "value"]);
    let numbers = frames(&s, 40 * shards as i64, i64::MAX, 1 << 16);
    let mut hashes = Vec::new();
    hash_keys(&numbers[0], &s, &[1], HASH_SEED, &mut hashes);
    let owned = hashes
        .iter()
        .enumerate()
        .filter(|(_, hash)| owner(**hash, shards) == shard);
    owned.map(|(number, _)| number as i64).nth(nth % 8).unwrap()
}

/// Two sources that wait for each other's rings: on every shard one of them sends only to the
/// next shard and the other only to the one before, and all rows come back to where they were
/// read before they are counted.
#[test]
fn sources_that_wait_for_each_other_make_progress() {
    const ROWS: usize = 300;
    for executor in [Executor::Threads, Executor::Uring] {
        for shards in [2, 4, 8] {
            let s = schema(&["key", "value"]);
            let mut program = two_sources(0, 1, 1);
            let mut want = Groups::new();
            for (source, step) in [(0, 1), (1, shards - 1)] {
                // Frame k is read by shard k mod shards.
                let frames = (0..shards * ROWS).map(|k| {
                    let shard = k % shards;
                    let key = number_of((shard + step) % shards, shards, k / shards);
                    let value = number_of(shard, shards, 0);
                    let mut frame = Frame::new(&s, 1);
                    for (column, value) in frame.columns.iter_mut().zip([key, value]) {
                        let Column::I64(c) = column else {
                            panic!("not BIGINT")
                        };
                        c.push(Some(value));
                    }
                    frame.commit_rows(1);
                    let group = want.entry((source as u32, key)).or_default();
                    *group = (group.0 + 1, group.1 + value);
                    frame
                });
                program.sources[source] = memory("crossing", &s, frames.collect());
            }
            let config = Config {
                shards,
                executor,
                frame_rows: 1,
                ring_messages: 2,
                ..Config::default()
            };
            let (groups, crossed) = run(&program, &config);
            assert_eq!(groups, want, "{executor:?}, {shards} shards");
            // The first stage of source 0 on each shard comes first in its shard's list.
            let all = ROWS as u64;
            for (shard, lanes) in crossed.chunks(6).map(|stages| &stages[0]).enumerate() {
                assert_eq!(lanes[(shard + 1) % shards], all, "all to the next shard");
                assert_eq!(lanes.iter().sum::<u64>(), all);
            }
        }
    }
}

/// A consumer that does not take its results stops the shards, and then gets all of them.
#[test]
#[expect(clippy::disallowed_methods, reason = "the host, not a shard, is slow")]
fn a_slow_host_loses_nothing() {
    let s = schema(&["key", "value"]);
    let mut program = Program::default();
    program
        .sources
        .push(memory("numbers", &s, frames(&s, 20_000, 10, 100)));
    program.outputs.push(OutputSpec {
        order: Order::Free,
        schema: Arc::clone(&s),
    });
    let even = Expr::Binary(
        BinaryOp::Eq,
        Box::new(Expr::Binary(
            BinaryOp::Rem,
            Box::new(Expr::Column(1)),
            Box::new(Expr::Literal(Scalar::I64(2))),
        )),
        Box::new(Expr::Literal(Scalar::I64(0))),
    );
    program.stages.push(StageSpec {
        input: StageInput::Source(SourceId(0)),
        others: Vec::new(),
        operators: vec![OperatorSpec::Filter(even)],
        output: StageOutput::Output(OutputId(0)),
    });
    let config = Config {
        shards: 2,
        ring_messages: 2,
        frame_rows: 8,
        ..Config::default()
    };
    let mut running = start(&program, &config).unwrap();
    let mut values = Vec::new();
    while let Some(block) = running.next_block().unwrap() {
        std::thread::sleep(std::time::Duration::from_micros(50));
        values.extend_from_slice(ints(block.rows(), 1));
        running.give_back(block);
    }
    values.sort_unstable();
    assert_eq!(
        values,
        (0..20_000).filter(|v| v % 2 == 0).collect::<Vec<i64>>()
    );
    let reports = running.finish().unwrap();
    let filtered: u64 = reports
        .iter()
        .flat_map(|r| &r.inputs)
        .map(|(_, c)| c.rows_filtered)
        .sum();
    assert_eq!(filtered, 10_000);
}

/// How a run ends that has to fail: at its start or on the way.
fn failure(program: &Program, config: &Config) -> String {
    let mut running = match start(program, config) {
        Ok(running) => running,
        Err(error) => return error.to_string(),
    };
    loop {
        match running.next_block() {
            Ok(Some(block)) => running.give_back(block),
            Ok(None) => panic!("the run came to its end"),
            Err(error) => {
                assert_eq!(running.next_block().unwrap_err(), error, "it stays failed");
                assert_eq!(running.finish().unwrap_err(), error);
                return error.to_string();
            }
        }
    }
}

/// A row on which an expression fails ends the run with its reason, on whichever shard it is.
#[test]
fn an_error_on_a_shard_reaches_the_host() {
    let s = schema(&["key", "value"]);
    for executor in [Executor::Threads, Executor::Uring] {
        let mut program = two_sources(5000, 10, 100);
        program.stages[3].operators.insert(
            0,
            OperatorSpec::Project {
                exprs: vec![
                    Expr::Binary(
                        BinaryOp::Div,
                        Box::new(Expr::Literal(Scalar::I64(1))),
                        Box::new(Expr::Binary(
                            BinaryOp::Sub,
                            Box::new(Expr::Column(1)),
                            Box::new(Expr::Literal(Scalar::I64(4321))),
                        )),
                    ),
                    Expr::Column(1),
                ],
                schema: Arc::clone(&s),
            },
        );
        let config = Config {
            shards: 4,
            executor,
            ..Config::default()
        };
        let error = failure(&program, &config);
        assert!(error.contains("division by zero"), "{error}");
    }
}

/// A shard that panics ends the run with its message; the process lives on.
#[test]
fn a_panic_on_a_shard_reaches_the_host() {
    let s = schema(&["key", "value"]);
    for executor in [Executor::Threads, Executor::Uring] {
        let mut program = two_sources(100, 10, 10);
        // A frame that says BIGINT and holds DOUBLE: a bug that no check lets through.
        let wrong = Schema::new(vec![
            Field::new("key", DataType::Float64),
            Field::new("value", DataType::Float64),
        ]);
        let mut frame = Frame::new(&wrong, 10);
        frame.columns.iter_mut().for_each(Column::push_null);
        frame.commit_rows(1);
        program.sources[1] = memory("broken", &s, vec![frame]);
        let config = Config {
            shards: 2,
            executor,
            ..Config::default()
        };
        let error = failure(&program, &config);
        assert!(error.contains("panicked"), "{error}");
    }
}

#[test]
fn what_cannot_run_is_refused_before_it_starts() {
    let program = two_sources(1, 1, 1);
    let cases = [
        (
            Config {
                shards: 0,
                ..Config::default()
            },
            "0 shards",
        ),
        (
            Config {
                frame_rows: 0,
                ..Config::default()
            },
            "0 rows a frame",
        ),
        (
            Config {
                ring_messages: 1,
                ..Config::default()
            },
            "at least 2 messages",
        ),
        (
            Config {
                cores: vec![4000],
                ..Config::default()
            },
            "core 4000 is not allowed",
        ),
    ];
    for (config, text) in cases {
        let error = start(&program, &config).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    let mut backwards = two_sources(1, 1, 1);
    backwards.stages[1].output = StageOutput::Exchange(ExchangeId(0));
    let error = start(
        &backwards,
        &Config {
            shards: 2,
            ..Config::default()
        },
    )
    .unwrap_err();
    assert!(error.to_string().contains("backwards"), "{error}");
}
