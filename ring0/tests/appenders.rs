//! Programs that come and go on shards that run, and the rows of appenders: every row that was
//! appended comes out once, whatever the shards, the rings, and who is dropped when.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array};
use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::appender::{Appender, Channel, Pushed, Value};
use trefoil_ring0::column::Column;
use trefoil_ring0::error::Error;
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, EventTime, ExchangeSpec, LateRule,
    OperatorSpec, OutputSpec, Phase, Program, Reading, SourceKind, SourceSpec, WindowKey,
};
use trefoil_ring0::runtime::{Config, Executor, Idle, Next, Running, Runtime};
use trefoil_ring0::schema::{Field, Schema};

fn schema(fields: &[(&str, DataType)]) -> Arc<Schema> {
    let fields = fields.iter().map(|(name, t)| Field::new(*name, t.clone()));
    Arc::new(Schema::new(fields.collect()))
}

fn pairs() -> Arc<Schema> {
    schema(&[("key", DataType::Int64), ("value", DataType::Int64)])
}

fn source(schema: Arc<Schema>) -> SourceSpec {
    let mut source = SourceSpec::new("rows", schema, SourceKind::Channel);
    source.reading = Reading::InOrder;
    source
}

/// Rows as they are, over an exchange by key.
fn passing() -> Program {
    let exchange = ExchangeSpec::hash(pairs(), vec![0]);
    let (none, output) = (Vec::new(), OutputSpec::free(pairs()));
    Program::exchanged(source(pairs()), none.clone(), exchange, none, output)
}

/// COUNT(*) and SUM(value) by key, at the end of input.
fn grouping() -> Program {
    let grouped = schema(&[
        ("key", DataType::Int64),
        ("count", DataType::Int64),
        ("sum", DataType::Int64),
    ]);
    let call = |function, argument| AggregateCall { function, argument };
    let aggregate = AggregateSpec {
        input: pairs(),
        keys: vec![0],
        calls: vec![
            call(AggregateFunction::Count, None),
            call(AggregateFunction::Sum, Some(1)),
        ],
        phase: Phase::Complete,
        window: None,
        output: Arc::clone(&grouped),
    };
    Program::exchanged(
        source(pairs()),
        Vec::new(),
        ExchangeSpec::hash(pairs(), vec![0]),
        vec![OperatorSpec::Aggregate(Arc::new(aggregate))],
        OutputSpec::free(grouped),
    )
}

fn config(shards: usize, frame_rows: usize, ring_messages: usize) -> Config {
    Config {
        shards,
        frame_rows,
        ring_messages,
        executor: Executor::Threads,
        ..Config::default()
    }
}

fn channel(config: &Config) -> Channel {
    Channel::new("rows", pairs(), None, config.frame_rows)
}

fn values(column: &Column) -> &[i64] {
    let Column::I64(column) = column else {
        panic!("not BIGINT")
    };
    &column.values
}

/// Every value of a column, with how often it came, up to the end.
fn drain(mut running: Running, column: usize) -> BTreeMap<i64, u64> {
    let mut seen = BTreeMap::new();
    while let Some(block) = running.next_block().unwrap() {
        for value in values(&block.rows().columns[column]) {
            *seen.entry(*value).or_insert(0) += 1;
        }
        running.give_back(block);
    }
    running.finish().unwrap();
    seen
}

fn once(values: std::ops::Range<i64>) -> BTreeMap<i64, u64> {
    values.map(|v| (v, 1)).collect()
}

fn append(appender: &mut Appender, values: std::ops::Range<i64>) {
    for value in values {
        let row = [Value::I64(value % 17), Value::I64(value)];
        appender.append_row(&row).unwrap();
    }
}

/// Two programs read what three threads append, one by arrays; all of it comes out of both.
#[test]
fn every_row_comes_out_of_every_reader_once() {
    const ROWS: i64 = 3_000;
    for shards in [1, 2, 4] {
        for (frame_rows, ring) in [(1, 2), (7, 3), (1024, 64)] {
            let config = config(shards, frame_rows, ring);
            let mut runtime = Runtime::open(&config).unwrap();
            let mut channel = channel(&config);
            let mut passed = runtime.add(&passing()).unwrap();
            let mut grouped = runtime.add(&grouping()).unwrap();
            channel.attach(&mut passed, 0, &[0, 1]).unwrap();
            channel.attach(&mut grouped, 0, &[0, 1]).unwrap();
            let controls = [passed.control(), grouped.control()];
            let threads: Vec<_> = (0..3)
                .map(|number| {
                    let mut appender = channel.appender().unwrap();
                    let mine = number * ROWS..(number + 1) * ROWS;
                    std::thread::spawn(move || match number {
                        0 => {
                            let keys: Int64Array = mine.clone().map(|v| v % 17).collect();
                            let values: Int64Array = mine.collect();
                            let arrays = [Arc::new(keys) as ArrayRef, Arc::new(values)];
                            appender.append_arrays(&arrays).unwrap();
                        }
                        _ => append(&mut appender, mine),
                    })
                })
                .collect();
            let reads = [
                std::thread::spawn(move || drain(passed, 1)),
                std::thread::spawn(move || drain(grouped, 1)),
            ];
            threads.into_iter().for_each(|t| t.join().unwrap());
            controls.iter().for_each(|control| control.drain());
            let [passed, counts] = reads.map(|read| read.join().unwrap());
            assert_eq!(passed, once(0..3 * ROWS), "{shards} shards of {frame_rows}");
            let rows: i64 = counts
                .iter()
                .map(|(count, groups)| count * *groups as i64)
                .sum();
            assert_eq!(rows, 3 * ROWS);
            assert_eq!(channel.counts().rows_appended, 3 * ROWS as u64);
            assert_eq!(channel.counts().rows_untaken, 0);
        }
    }
}

/// A program whose results nobody takes holds its appender back, which gets on once it is dropped;
/// what the other program got is whole.
#[test]
fn who_stops_reading_holds_back_until_it_is_dropped() {
    let config = config(2, 7, 2);
    let mut runtime = Runtime::open(&config).unwrap();
    let mut channel = channel(&config);
    let mut read = runtime.add(&passing()).unwrap();
    let mut unread = runtime.add(&passing()).unwrap();
    channel.attach(&mut read, 0, &[0, 1]).unwrap();
    channel.attach(&mut unread, 0, &[0, 1]).unwrap();
    let mut appender = channel.appender().unwrap();
    let control = read.control();
    let reading = std::thread::spawn(move || drain(read, 1));
    let mut next = 0;
    while appender
        .try_append_row(&[Value::I64(1), Value::I64(next)])
        .unwrap()
        == Pushed::Done
    {
        next += 1;
    }
    let writing = std::thread::spawn(move || append(&mut appender, next..2_000));
    drop(unread);
    writing.join().unwrap();
    control.drain();
    assert_eq!(reading.join().unwrap(), once(0..2_000));
}

/// Programs come and go while rows are appended; the one that stays gets every row, those that come
/// get what is pushed from then on, in order and without a gap.
#[test]
fn programs_come_and_go_while_others_run() {
    let config = config(2, 64, 4);
    let mut runtime = Runtime::open(&config).unwrap();
    let mut channel = channel(&config);
    let mut stays = runtime.add(&passing()).unwrap();
    channel.attach(&mut stays, 0, &[0, 1]).unwrap();
    let mut appender = channel.appender().unwrap();
    let control = stays.control();
    let reading = std::thread::spawn(move || drain(stays, 1));
    let writing = std::thread::spawn(move || append(&mut appender, 0..40_000));
    for round in 0..20 {
        let mut comes = runtime.add(&passing()).unwrap();
        channel.attach(&mut comes, 0, &[0, 1]).unwrap();
        let mut seen = Vec::new();
        for _ in 0..round {
            if let Next::Block(block) = comes.next_block_timeout(Duration::from_millis(1)).unwrap()
            {
                seen.extend_from_slice(values(&block.rows().columns[1]));
                comes.give_back(block);
            }
        }
        seen.sort_unstable();
        let keys = |key: i64| seen.iter().filter(move |v| **v % 17 == key);
        for key in 0..17 {
            let mut steps = keys(key).zip(keys(key).skip(1));
            assert!(
                steps.all(|(a, b)| b - a == 17),
                "no row of a key is missing"
            );
        }
    }
    writing.join().unwrap();
    control.drain();
    assert_eq!(reading.join().unwrap(), once(0..40_000));
}

/// A single row that is flushed comes out while nothing else is appended.
#[test]
fn a_single_row_leaves_at_once() {
    for idle in [Idle::Park, Idle::default()] {
        let config = Config {
            idle,
            ..config(2, 1024, 8)
        };
        let mut runtime = Runtime::open(&config).unwrap();
        let mut channel = channel(&config);
        let mut running = runtime.add(&passing()).unwrap();
        channel.attach(&mut running, 0, &[0, 1]).unwrap();
        let mut appender = channel.appender().unwrap();
        for value in 0..500 {
            append(&mut appender, value..value + 1);
            appender.flush().unwrap();
            let block = running.next_block().unwrap().unwrap();
            assert_eq!(values(&block.rows().columns[1]), [value]);
            running.give_back(block);
        }
    }
}

/// On the caller's own thread everything happens in its steps, and nothing waits.
#[test]
fn the_callers_thread_is_the_shard() {
    let config = config(1, 7, 2);
    let mut runtime = Runtime::open_here(&config).unwrap();
    let mut channel = channel(&config);
    let mut running = runtime.add(&grouping()).unwrap();
    channel.attach(&mut running, 0, &[0, 1]).unwrap();
    let mut appender = channel.appender().unwrap();
    for value in 0..1_000 {
        let row = [Value::I64(0), Value::I64(value)];
        while appender.try_append_row(&row).unwrap() == Pushed::Full {
            assert!(runtime.step(), "a full lane is work");
        }
    }
    appender.close();
    running.control().drain();
    let block = loop {
        runtime.step();
        match running.try_next_block().unwrap() {
            Next::Block(block) => break block,
            Next::Nothing | Next::Barrier(..) => {}
            Next::End => panic!("a group comes"),
        }
    };
    assert_eq!(values(&block.rows().columns[1]), [1_000]);
    assert_eq!(values(&block.rows().columns[2]), [499_500]);
    running.give_back(block);
    drop(running);
    runtime.step();
    assert_eq!(channel.readers(), 0);
}

/// A window closes by the least watermark of the lanes that have rows; a lane without any, and one
/// that is closed, hold nothing back; an explicit watermark does what a row would.
#[test]
fn lanes_are_splits_with_watermarks() {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let read = schema(&[("time", time.clone())]);
    let counted = schema(&[("time", time), ("count", DataType::Int64)]);
    let aggregate = AggregateSpec {
        input: Arc::clone(&read),
        keys: vec![0],
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
    let start = trefoil_ring0::expr::Expr::TumbleStart {
        time: Box::new(trefoil_ring0::expr::Expr::Column(0)),
        size: 1_000,
        offset: 0,
    };
    let project = OperatorSpec::Project {
        exprs: vec![start],
        schema: Arc::clone(&read),
    };
    let mut spec = source(Arc::clone(&read));
    spec.event_time = Some(EventTime {
        column: 0,
        lag_ns: Some(0),
        bound: None,
    });
    let operators = vec![project, OperatorSpec::Aggregate(Arc::new(aggregate))];
    let program = Program::chain(spec, operators, OutputSpec::free(counted));
    let config = config(1, 1024, 8);
    let mut runtime = Runtime::open(&config).unwrap();
    let mut channel = Channel::new("times", read, Some(0), config.frame_rows);
    let mut running = runtime.add(&program).unwrap();
    channel.attach(&mut running, 0, &[0]).unwrap();
    let mut silent = channel.appender().unwrap();
    let (mut a, mut b) = (channel.appender().unwrap(), channel.appender().unwrap());
    let next = |running: &mut Running| {
        let block = running.next_block().unwrap().unwrap();
        let row = (
            values(&block.rows().columns[0])[0],
            values(&block.rows().columns[1])[0],
        );
        running.give_back(block);
        row
    };
    b.append_row(&[Value::I64(500)]).unwrap();
    b.flush().unwrap();
    a.append_row(&[Value::I64(0)]).unwrap();
    a.append_row(&[Value::I64(2_500)]).unwrap();
    a.flush().unwrap();
    b.watermark(1_000_000_000);
    b.flush().unwrap();
    assert_eq!(next(&mut running), (0, 2));
    drop(b);
    a.append_row(&[Value::I64(3_000)]).unwrap();
    a.flush().unwrap();
    assert_eq!(next(&mut running), (2_000, 1));
    assert!(matches!(
        silent.append_row(&[Value::Null]),
        Err(Error::Append { .. })
    ));
}

/// A row behind the watermark of others, and not behind its own lane's, is late for their sake.
#[test]
fn rows_late_for_others_are_counted_apart() {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let read = schema(&[("time", time.clone()), ("bound", DataType::Int64)]);
    let mut spec = source(Arc::clone(&read));
    spec.event_time = Some(EventTime {
        column: 0,
        lag_ns: Some(0),
        bound: Some(1),
    });
    let second = OperatorSpec::DropLate(LateRule {
        time: 0,
        unit_ns: 1_000_000,
        bound: 1,
        size: 1_000,
        slide: 1_000,
        offset: 0,
    });
    let program = Program::chain(spec, vec![second], OutputSpec::free(read));
    for frame_rows in [1, 3] {
        let config = config(1, frame_rows, 8);
        let mut runtime = Runtime::open(&config).unwrap();
        let times = schema(&[("time", time.clone())]);
        let mut channel = Channel::new("times", times, Some(0), frame_rows);
        let mut running = runtime.add(&program).unwrap();
        channel.attach(&mut running, 0, &[0]).unwrap();
        let [mut a, mut b] = [(); 2].map(|()| channel.appender().unwrap());
        let mut push = |appender: &mut Appender, rows: &[i64], on_time: &[i64]| {
            for row in rows {
                appender.append_row(&[Value::I64(*row)]).unwrap();
            }
            appender.flush().unwrap();
            let mut given = Vec::new();
            while given.len() < on_time.len() {
                let block = running.next_block().unwrap().unwrap();
                given.extend_from_slice(values(&block.rows().columns[0]));
                running.give_back(block);
            }
            assert_eq!(given, on_time);
        };
        push(&mut a, &[0, 5_000], &[0, 5_000]);
        push(&mut b, &[100, 4_500, 5_500, 4_999, 6_000], &[5_500, 6_000]);
        drop((a, b));
        running.control().drain();
        while running.next_block().unwrap().is_some() {}
        let reports = running.finish().unwrap();
        let (_, counted) = reports[0].inputs[0];
        let late = (counted.rows_late, counted.rows_late_idle);
        assert_eq!((late, counted.rows_applied), ((1, 2), 4));
    }
}

/// Whatever goes first, nobody waits for ever and nobody panics.
#[test]
fn things_are_dropped_in_any_order() {
    for order in 0..6 {
        let config = config(2, 7, 2);
        let mut runtime = Runtime::open(&config).unwrap();
        let mut channel = channel(&config);
        let mut running = runtime.add(&passing()).unwrap();
        channel.attach(&mut running, 0, &[0, 1]).unwrap();
        let mut appender = channel.appender().unwrap();
        let _: Pushed = appender
            .try_append_row(&[Value::I64(1), Value::I64(2)])
            .unwrap();
        let (mut a, mut c, mut r) = (Some(appender), Some(channel), Some(running));
        let mut e = Some(runtime);
        let turns = [
            ["a", "c", "r", "e"],
            ["e", "r", "a", "c"],
            ["r", "e", "c", "a"],
            ["c", "e", "a", "r"],
            ["e", "a", "c", "r"],
            ["r", "a", "e", "c"],
        ];
        for what in turns[order] {
            match what {
                "a" => drop(a.take()),
                "c" => drop(c.take()),
                "r" => drop(r.take()),
                _ => drop(e.take()),
            }
            if let (Some(running), None) = (&mut r, &e) {
                assert!(matches!(running.next_block(), Err(Error::Ended { .. })));
            }
            if let (Some(appender), None) = (&mut a, &r) {
                append(appender, 0..500);
                appender.flush().unwrap();
            }
        }
    }
}

/// What does not fit a column is refused, and the rows around it are whole.
#[test]
fn a_row_that_does_not_fit_is_not_taken() {
    let config = config(1, 4, 4);
    let mut runtime = Runtime::open(&config).unwrap();
    let mut channel = channel(&config);
    let mut running = runtime.add(&passing()).unwrap();
    channel.attach(&mut running, 0, &[0, 1]).unwrap();
    let mut appender = channel.appender().unwrap();
    append(&mut appender, 0..2);
    for row in [
        &[Value::I64(1)][..],
        &[Value::I64(1), Value::Str("two")],
        &[Value::Bool(true), Value::I64(1)],
        &[Value::I64(1), Value::U64(u64::MAX)],
    ] {
        let refused = appender.try_append_row(row);
        assert!(matches!(refused, Err(Error::Append { .. })), "{row:?}");
    }
    append(&mut appender, 2..9);
    drop(appender);
    running.control().drain();
    assert_eq!(drain(running, 1), once(0..9));
}

/// Rows that no program reads are counted, and a closed channel takes none.
#[test]
fn rows_for_nobody_are_counted() {
    let config = config(1, 4, 4);
    let mut channel = channel(&config);
    let mut appender = channel.appender().unwrap();
    append(&mut appender, 0..10);
    assert_eq!(channel.counts().rows_unread, 8);
    assert_eq!(channel.counts().rows_staged, 2);
    channel.close();
    let refused = appender.append_row(&[Value::I64(1), Value::I64(2)]);
    assert!(matches!(refused, Err(Error::Ended { .. })));
    drop(appender);
    assert_eq!(channel.counts().rows_unread, 10);
}
