//! Groups are handed on to a snapshot behind its barrier: rows do not wait for that.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_ipc::reader::StreamReader;
use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::appender::{Appender, Channel, Value};
use trefoil_ring0::changelog::weighted;
use trefoil_ring0::column::Column;
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, EventTime, OperatorSpec, OutputSpec, Phase,
    Program, Reading, SourceKind, SourceSpec, WindowKey,
};
use trefoil_ring0::runtime::{Config, Executor, Next, Running, Runtime};
use trefoil_ring0::schema::{Field, Schema};
use trefoil_ring0::snapshot::{Place, Told};

/// More groups than there is room for pieces of.
const KEYS: i64 = 100_000;

/// COUNT(*) by key, or SUM(key), as it changes.
fn counting(function: AggregateFunction) -> Program {
    let keys = || Schema::new(vec![Field::new("key", DataType::Int64)]);
    let fields = vec![
        Field::new("key", DataType::Int64),
        Field::new("count", DataType::Int64),
    ];
    let counted = weighted(Schema::new(fields));
    let aggregate = AggregateSpec {
        input: Arc::new(keys()),
        keys: vec![0],
        calls: vec![AggregateCall {
            argument: matches!(function, AggregateFunction::Sum).then_some(0),
            function,
        }],
        phase: Phase::Changes,
        window: None,
        output: Arc::clone(&counted),
    };
    let mut source = SourceSpec::new("rows", Arc::new(keys()), SourceKind::Channel);
    source.reading = Reading::InOrder;
    let operators = vec![OperatorSpec::Aggregate(Arc::new(aggregate))];
    Program::chain(source, operators, OutputSpec::free(counted))
}

/// Appends keys and takes what comes of it, on the thread that is the shard. Gives the counts that
/// stand of them.
fn count(
    runtime: &mut Runtime,
    running: &mut Running,
    appender: &mut Appender,
    keys: std::ops::Range<i64>,
) -> BTreeMap<i64, i64> {
    let mut counts = BTreeMap::new();
    let (mut left, mut taken) = (keys.clone(), 0);
    while taken < keys.end - keys.start {
        for key in left.by_ref().take(500) {
            appender.append_row(&[Value::I64(key)]).unwrap();
        }
        appender.flush().unwrap();
        for _ in 0..20 {
            runtime.step();
            while let Next::Block(block) = running.try_next_block().unwrap() {
                let [Column::I64(keys), Column::I64(counted), Column::I8(ops)] =
                    &block.rows().columns[..]
                else {
                    panic!("a key, a count, and what becomes of it")
                };
                for ((key, count), op) in keys.values.iter().zip(&counted.values).zip(&ops.values) {
                    if *op > 0 {
                        taken += 1;
                        counts.insert(*key, *count);
                    }
                }
                running.give_back(block);
            }
        }
    }
    counts
}

/// The counts that pieces of state hold.
fn held(told: &[Told]) -> BTreeMap<i64, i64> {
    let mut held = BTreeMap::new();
    for told in told {
        let Told::Piece(piece) = told else { continue };
        if !matches!(piece.place, Place::Operator(..)) {
            continue;
        }
        for rows in StreamReader::try_new(Cursor::new(&piece.bytes), None).unwrap() {
            let rows = rows.unwrap();
            let [keys, counts] = [0, 1].map(|at| rows.column(at).as_primitive::<Int64Type>());
            for (key, count) in keys.values().iter().zip(counts.values()) {
                assert_eq!(held.insert(*key, *count), None, "a group comes once");
            }
        }
    }
    held
}

fn config() -> Config {
    Config {
        shards: 1,
        executor: Executor::Threads,
        ..Config::default()
    }
}

/// The program on this thread, and who appends to it.
fn begin(function: AggregateFunction) -> (Runtime, Running, Channel, Appender) {
    let config = config();
    let mut runtime = Runtime::open_here(&config).unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("key", DataType::Int64)]));
    let mut channel = Channel::new("rows", schema, None, config.frame_rows);
    let mut running = runtime.add(&counting(function)).unwrap();
    channel.attach(&mut running, 0, &[0]).unwrap();
    let appender = channel.appender().unwrap();
    (runtime, running, channel, appender)
}

#[test]
fn rows_do_not_wait_for_the_groups_to_be_handed_on() {
    let (mut runtime, mut running, _channel, mut appender) = begin(AggregateFunction::Count);
    let once = (0..KEYS).map(|key| (key, 1)).collect::<BTreeMap<_, _>>();
    let counted = count(&mut runtime, &mut running, &mut appender, 0..KEYS);
    assert_eq!(counted, once);

    running.ask_barrier(1);
    // Nobody takes a piece, of which there is room for some.
    let counted = count(&mut runtime, &mut running, &mut appender, 0..1_000);
    assert_eq!(counted, (0..1_000).map(|key| (key, 2)).collect());

    let mut told = Vec::new();
    while !matches!(told.last(), Some(Told::Done { .. })) {
        runtime.step();
        told.extend(running.next_told().map(|(_, told)| told));
        while let Next::Block(block) = running.try_next_block().unwrap() {
            running.give_back(block);
        }
    }
    // As they were at the barrier, whatever came behind it.
    assert_eq!(held(&told), once);

    running.ask_barrier(2);
    let mut told = Vec::new();
    while !matches!(told.last(), Some(Told::Done { .. })) {
        runtime.step();
        told.extend(running.next_told().map(|(_, told)| told));
    }
    let behind = (0..KEYS).map(|key| (key, if key < 1_000 { 2 } else { 1 }));
    assert_eq!(held(&told), behind.collect());
}

/// The results have met the barrier, and not all of what is before it was told: nobody may take it
/// for whole.
#[test]
fn a_shard_that_fails_has_not_told_all() {
    let (mut runtime, mut running, _channel, mut appender) = begin(AggregateFunction::Sum);
    let sums = count(&mut runtime, &mut running, &mut appender, 0..KEYS);
    assert_eq!(sums.len(), KEYS as usize);
    running.ask_barrier(1);
    // The second one is out of range.
    for _ in 0..2 {
        appender.append_row(&[Value::I64(i64::MAX)]).unwrap();
    }
    appender.flush().unwrap();
    let failed = loop {
        runtime.step();
        match running.try_next_block() {
            Ok(Next::Block(block)) => running.give_back(block),
            Ok(Next::Nothing | Next::Barrier(..)) => {}
            Ok(Next::End) => panic!("a sum is out of range"),
            Err(error) => break error,
        }
    };
    assert!(failed.to_string().contains("out of range"), "{failed}");
    let mut told = Vec::new();
    for _ in 0..100 {
        runtime.step();
        told.extend(running.next_told().map(|(_, told)| told));
    }
    assert!(!told.iter().any(|told| matches!(told, Told::Done { .. })));
    assert_eq!(running.ended_shards(), Vec::<usize>::new());
}

/// COUNT(*) by windows of a second, whose starts come with the rows, and a key.
fn windows() -> Program {
    let start = || Field::new("start", DataType::Timestamp(TimeUnit::Millisecond, None));
    let read = Arc::new(Schema::new(vec![
        start(),
        Field::new("key", DataType::Int64),
    ]));
    let counted = Arc::new(Schema::new(vec![
        start(),
        Field::new("key", DataType::Int64),
        Field::new("count", DataType::Int64),
    ]));
    let aggregate = AggregateSpec {
        input: Arc::clone(&read),
        keys: vec![0, 1],
        calls: vec![AggregateCall {
            function: AggregateFunction::Count,
            argument: None,
        }],
        phase: Phase::Complete,
        window: Some(WindowKey {
            key: 0,
            size_ns: 1_000_000_000,
        }),
        output: Arc::clone(&counted),
    };
    let mut source = SourceSpec::new("rows", read, SourceKind::Channel);
    source.reading = Reading::InOrder;
    source.event_time = Some(EventTime {
        column: 0,
        lag_ns: Some(0),
        bound: None,
    });
    let operators = vec![OperatorSpec::Aggregate(Arc::new(aggregate))];
    Program::chain(source, operators, OutputSpec::free(counted))
}

/// Pages are copied between turns, too, and what was a copy becomes a page of state: what a query
/// is said to hold does not grow with the number of its snapshots.
#[test]
fn what_is_held_does_not_grow_with_snapshots() {
    let config = config();
    let mut runtime = Runtime::open_here(&config).unwrap();
    let program = windows();
    let schema = Arc::clone(&program.sources[0].schema);
    let mut channel = Channel::new("rows", schema, Some(0), config.frame_rows);
    let mut running = runtime.add(&program).unwrap();
    channel.attach(&mut running, 0, &[0, 1]).unwrap();
    let mut appender = channel.appender().unwrap();
    let take = |runtime: &mut Runtime, running: &mut Running| {
        runtime.step();
        while let Next::Block(block) = running.try_next_block().unwrap() {
            running.give_back(block);
        }
    };
    let mut held = Vec::new();
    for number in 1..=20 {
        // One that needs few pages, and one that needs more than there are.
        let groups = if number % 2 == 0 { 3_000 } else { 20_000 };
        for first in (0..groups).step_by(500) {
            for key in first..first + 500 {
                let row = [Value::I64(number * 1_000), Value::I64(key)];
                appender.append_row(&row).unwrap();
            }
            appender.flush().unwrap();
            (0..20).for_each(|_| take(&mut runtime, &mut running));
        }
        running.ask_barrier(number as u64);
        let mut told = Vec::new();
        while !matches!(told.last(), Some(Told::Done { .. })) {
            take(&mut runtime, &mut running);
            told.extend(running.next_told().map(|(_, told)| told));
        }
        running.control().ask();
        runtime.step();
        held.push(running.control().holding().operators[0].bytes);
    }
    // A page or two more, as it falls out.
    assert!(held[19] <= held[3] + 128 * 1024, "{held:?}");
}
