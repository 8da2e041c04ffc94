//! One file read by chunks on all shards is as one reader would have it: rows without state leave
//! in the file's order, and which rows are late for their window depends on the file alone,
//! whatever the number of shards, the size of chunks and frames, and the executor.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;
use trefoil_ring0::column::Column;
use trefoil_ring0::expr::{BinaryOp, Expr, Scalar};
use trefoil_ring0::id::{OutputId, SourceId};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, BadData, EventTime, ExchangeSpec, FileFormat,
    LateRule, OperatorSpec, Order, OutputSpec, Phase, Program, Routing, SourceKind, SourceSpec,
    StageInput, StageOutput, StageSpec, WindowKey, dead_letter_schema,
};
use trefoil_ring0::runtime::{Config, Executor, ShardReport, start};
use trefoil_ring0::schema::{Field, Schema};

const LAG: i64 = 7;
const SIZE: i64 = 10;
/// The key of records that are written without a time.
const BAD: i64 = -1;

fn schema(fields: &[(&str, DataType)]) -> Arc<Schema> {
    let fields = fields.iter().map(|(n, t)| Field::new(*n, t.clone()));
    Arc::new(Schema::new(fields.collect()))
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, None)
}

fn source(path: &Path, schema: &Arc<Schema>, event_time: Option<EventTime>) -> SourceSpec {
    SourceSpec {
        reading: Default::default(),
        name: "lines".to_owned(),
        schema: Arc::clone(schema),
        event_time,
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
    }
}

/// Rows as they are, in order.
fn rows(path: &Path) -> Program {
    let schema = schema(&[("k", DataType::Int64), ("t", time())]);
    Program::chain(
        source(path, &schema, None),
        vec![],
        OutputSpec {
            order: Order::Chunks { bound: None },
            schema,
        },
    )
}

/// Counts by key and tumbling window.
fn windows(path: &Path, routing: &Routing) -> Program {
    let read = schema(&[
        ("k", DataType::Int64),
        ("t", time()),
        ("w", DataType::Int64),
    ]);
    let out = schema(&[
        ("k", DataType::Int64),
        ("start", time()),
        ("n", DataType::Int64),
    ]);
    let start = Expr::TumbleStart {
        time: Box::new(Expr::Column(1)),
        size: SIZE,
        offset: 0,
    };
    let event_time = EventTime {
        column: 1,
        lag_ns: Some(LAG),
        bound: Some(2),
    };
    Program::exchanged(
        source(path, &read, Some(event_time)),
        vec![
            OperatorSpec::Filter(Expr::Binary(
                BinaryOp::NotEq,
                Box::new(Expr::Column(0)),
                Box::new(Expr::Literal(Scalar::I64(0))),
            )),
            OperatorSpec::Project {
                exprs: vec![Expr::Column(0), start, Expr::Column(2)],
                schema: Arc::clone(&read),
            },
        ],
        ExchangeSpec {
            schema: Arc::clone(&read),
            routing: routing.clone(),
            order: Order::Chunks { bound: Some(2) },
        },
        vec![
            OperatorSpec::DropLate(LateRule {
                time: 1,
                unit_ns: 1,
                bound: 2,
                size: SIZE,
                slide: SIZE,
                offset: 0,
            }),
            OperatorSpec::Aggregate(Arc::new(AggregateSpec {
                input: Arc::clone(&read),
                keys: vec![0, 1],
                calls: vec![AggregateCall {
                    function: AggregateFunction::Count,
                    argument: None,
                }],
                phase: Phase::Complete,
                window: Some(WindowKey {
                    key: 1,
                    size_ns: SIZE,
                }),
                output: Arc::clone(&out),
            })),
        ],
        OutputSpec::free(out),
    )
}

fn run(program: &Program, config: &Config) -> (Vec<Vec<i64>>, Vec<ShardReport>) {
    let mut running = start(program, config).unwrap();
    let mut rows = Vec::new();
    while let Some(block) = running.next_block().unwrap() {
        let columns: Vec<&Vec<i64>> = block
            .rows()
            .columns
            .iter()
            .map(|c| match c {
                Column::I64(c) => &c.values,
                other => panic!("{other:?} is not of eight bytes"),
            })
            .collect();
        rows.extend(
            (0..columns[0].len()).map(|i| columns.iter().map(|c| c[i]).collect::<Vec<_>>()),
        );
        running.give_back(block);
    }
    (rows, running.finish().unwrap())
}

fn file(records: &[(i64, i64)]) -> PathBuf {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("trefoil-chunks-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let lines: String = records
        .iter()
        .map(|(k, t)| match *k {
            BAD => "{\"k\":1,\"t\":null}\n".to_owned(),
            _ => format!("{{\"k\":{k},\"t\":\"1970-01-01T00:00:00.{t:09}\"}}\n"),
        })
        .collect();
    std::fs::write(&path, lines).unwrap();
    path
}

/// What one reader does: groups, late rows, filtered rows.
fn model(records: &[(i64, i64)]) -> (BTreeMap<(i64, i64), i64>, u64, u64) {
    let (mut groups, mut late, mut filtered) = (BTreeMap::new(), 0, 0);
    let mut greatest = None;
    for &(k, t) in records {
        let start = t - t.rem_euclid(SIZE);
        let watermark = greatest.map_or(i64::MIN, |g: i64| g - LAG);
        greatest = Some(greatest.map_or(t, |g| g.max(t)));
        if k == 0 {
            filtered += 1;
        } else if start + SIZE <= watermark {
            late += 1;
        } else {
            *groups.entry((k, start)).or_insert(0) += 1;
        }
    }
    (groups, late, filtered)
}

fn check(records: &[(i64, i64)], config: &Config) {
    let path = file(records);
    let label = format!(
        "{} shards, chunks of {}, frames of {}, {:?}",
        config.shards, config.chunk_bytes, config.frame_rows, config.executor
    );
    let (found, _) = run(&rows(&path), config);
    let expected: Vec<Vec<i64>> = records.iter().map(|&(k, t)| vec![k, t]).collect();
    assert_eq!(found, expected, "{label}");

    let (groups, late, filtered) = model(records);
    for routing in [Routing::Hash(vec![0]), Routing::Single] {
        let (found, reports) = run(&windows(&path, &routing), config);
        let count = found.len();
        let found: BTreeMap<(i64, i64), i64> =
            found.into_iter().map(|r| ((r[0], r[1]), r[2])).collect();
        assert_eq!(found.len(), count, "a window closes once: {label}");
        assert_eq!(found, groups, "{label}");
        let mut sum = trefoil_ring0::metrics::QueryCounters::default();
        for (stage, counters) in reports.iter().flat_map(|r| &r.inputs) {
            assert_eq!(*stage, 0);
            sum.add(counters);
        }
        assert_eq!(sum.rows_in, records.len() as u64, "{label}");
        assert_eq!(
            (sum.rows_late, sum.rows_filtered),
            (late, filtered),
            "{label}"
        );
        let applied = records.len() as u64 - late - filtered;
        assert_eq!(sum.rows_applied, applied, "{label}");
    }
    std::fs::remove_file(path).unwrap();
}

/// All of the above at once, of one reading of the file: whatever waits for chunks in order waits
/// for the same ones.
fn together(path: &Path) -> Program {
    let mut all = windows(path, &Routing::Hash(vec![0]));
    let single = windows(path, &Routing::Single);
    all.sources[0].bad_data = BadData::DeadLetters(OutputId(3));
    for mut stage in single.stages {
        match &mut stage.input {
            StageInput::Exchange(id) => id.0 += 1,
            StageInput::Source(_) => {}
        }
        match &mut stage.output {
            StageOutput::Exchange(id) => id.0 += 1,
            StageOutput::Output(id) => id.0 += 1,
        }
        all.stages.push(stage);
    }
    all.exchanges.extend(single.exchanges);
    all.outputs.extend(single.outputs);
    let plain = rows(path);
    all.stages.push(StageSpec {
        input: StageInput::Source(SourceId(0)),
        others: Vec::new(),
        operators: vec![OperatorSpec::Project {
            exprs: vec![Expr::Column(0), Expr::Column(1)],
            schema: Arc::clone(&plain.outputs[0].schema),
        }],
        output: StageOutput::Output(OutputId(2)),
    });
    all.outputs.extend(plain.outputs);
    all.outputs.push(OutputSpec {
        order: Order::Chunks { bound: None },
        schema: Arc::new(dead_letter_schema()),
    });
    all
}

fn check_together(records: &[(i64, i64)], config: &Config) {
    let path = file(records);
    let mut running = start(&together(&path), config).unwrap();
    let (mut groups, mut rows, mut letters) = ([(); 2].map(|()| BTreeMap::new()), vec![], vec![]);
    while let Some(block) = running.next_block().unwrap() {
        let columns = &block.rows().columns;
        let value = |column: usize, row: usize| match &columns[column] {
            Column::I64(c) => c.values[row],
            other => panic!("{other:?} is not of eight bytes"),
        };
        for row in 0..block.rows().rows() {
            match block.output().index() {
                2 => rows.push((value(0, row), value(1, row))),
                3 => letters.push(value(2, row)),
                output => {
                    let key = (value(0, row), value(1, row));
                    let twice = groups[output].insert(key, value(2, row));
                    assert_eq!(twice, None, "a window closes once");
                }
            }
        }
        running.give_back(block);
    }
    let reports = running.finish().unwrap();
    let good: Vec<(i64, i64)> = records.iter().copied().filter(|r| r.0 != BAD).collect();
    let (want, late, filtered) = model(&good);
    assert_eq!(rows, good);
    assert_eq!(groups, [want.clone(), want]);
    assert_eq!(letters.len(), records.len() - good.len());
    assert!(letters.is_sorted(), "bad records are told in order");
    for (stage, applied) in [
        (0, good.len() as u64 - late - filtered),
        (4, good.len() as u64),
    ] {
        let inputs = reports.iter().flat_map(|r| &r.inputs);
        let counters = inputs.filter(|(s, _)| *s == stage).map(|(_, c)| c);
        assert_eq!(counters.map(|c| c.rows_applied).sum::<u64>(), applied);
    }
    std::fs::remove_file(path).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn chunks_are_as_one_reader_has_them(
        steps in prop::collection::vec((0i64..5, -25i64..20), 0..300),
        shards in prop::sample::select(vec![1usize, 2, 3, 4]),
        chunk_bytes in prop::sample::select(vec![1usize, 13, 40, 400, 5000]),
        frame_rows in prop::sample::select(vec![1usize, 7, 1024]),
        ring_messages in prop::sample::select(vec![2usize, 64]),
        executor in prop::sample::select(vec![Executor::Threads, Executor::Uring]),
    ) {
        let mut now = 100;
        let records: Vec<(i64, i64)> = steps
            .into_iter()
            .map(|(k, step)| {
                now = (now + step / 4).max(30);
                (k, now + step)
            })
            .collect();
        let config = Config {
            shards,
            chunk_bytes,
            frame_rows,
            ring_messages,
            executor,
            ..Config::default()
        };
        check(&records, &config);
        let bad = |(n, (k, t)): (usize, (i64, i64))| (if n % 5 == 2 { BAD } else { k }, t);
        let records: Vec<_> = records.into_iter().enumerate().map(bad).collect();
        check_together(&records, &config);
    }
}
