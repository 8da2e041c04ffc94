//! Columns in memory as a source: every row of the arrays arrives once a round, with its NULLs,
//! whatever the number of shards, the frames' size and the executor; and the ledger balances.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray, TimestampSecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, EventTime, ExchangeSpec, OperatorSpec,
    OutputSpec, Phase, Program, SourceKind, SourceSpec,
};
use trefoil_ring0::runtime::{Config, Executor, ShardReport, start};
use trefoil_ring0::schema::{Field, Schema};

const EXECUTORS: [Executor; 2] = [Executor::Threads, Executor::Uring];

/// A source of these arrays; its columns are named by number.
fn source(arrays: &[ArrayRef], repeat: usize) -> SourceSpec {
    let field = |(i, a): (usize, &ArrayRef)| Field::new(i.to_string(), a.data_type().clone());
    let schema = Schema::new(arrays.iter().enumerate().map(field).collect());
    let arrays = arrays.into();
    let kind = SourceKind::Columns { arrays, repeat };
    SourceSpec::new("columns", Arc::new(schema), kind)
}

/// All rows of a source, as they are.
fn pass(source: SourceSpec) -> Program {
    let schema = Arc::clone(&source.schema);
    Program::chain(source, Vec::new(), OutputSpec::free(schema))
}

/// COUNT, SUM, MIN, MAX of the second column by the first, behind an exchange.
fn keyed(source: SourceSpec) -> Program {
    let schema = Arc::clone(&source.schema);
    let call = |function, argument| AggregateCall { function, argument };
    let types = [
        DataType::Int64,
        DataType::Int64,
        DataType::Float64,
        DataType::Float64,
        DataType::Float64,
    ];
    let output = Arc::new(Schema::new(types.map(|t| Field::new("c", t)).into()));
    let aggregate = AggregateSpec {
        input: Arc::clone(&schema),
        keys: vec![0],
        calls: vec![
            call(AggregateFunction::Count, None),
            call(AggregateFunction::Sum, Some(1)),
            call(AggregateFunction::Min, Some(1)),
            call(AggregateFunction::Max, Some(1)),
        ],
        phase: Phase::Complete,
        window: None,
        output: Arc::clone(&output),
    };
    Program::exchanged(
        source,
        Vec::new(),
        ExchangeSpec::hash(schema, vec![0]),
        vec![OperatorSpec::Aggregate(Arc::new(aggregate))],
        OutputSpec::free(output),
    )
}

fn text(frame: &Frame, row: usize) -> String {
    let cell = |column: &Column| match column {
        Column::Bool(c) => format!("{:?}", c.get(row)),
        Column::I32(c) => format!("{:?}", c.get(row)),
        Column::I64(c) => format!("{:?}", c.get(row)),
        Column::F64(c) => format!("{:?}", c.get(row)),
        Column::Utf8(c) => format!("{:?}", c.get(row)),
        other => panic!("no column of {:?}", other.physical()),
    };
    frame.columns.iter().map(cell).collect::<Vec<_>>().join("|")
}

fn config(shards: usize, frame_rows: usize, executor: Executor) -> Config {
    Config {
        shards,
        executor,
        frame_rows,
        ..Config::default()
    }
}

/// Sorted rows, and what was counted.
fn run(program: &Program, config: &Config) -> (Vec<String>, Vec<ShardReport>) {
    let mut running = start(program, config).expect("it starts");
    let mut rows = Vec::new();
    while let Some(block) = running.next_block().expect("it runs") {
        rows.extend((0..block.rows().rows()).map(|row| text(block.rows(), row)));
        running.give_back(block);
    }
    rows.sort();
    (rows, running.finish().expect("it ends"))
}

/// Every second, third, .. row NULL, in arrays that do not begin at their buffers' start.
fn all_types(rows: usize) -> Vec<ArrayRef> {
    let some = |i: usize, every: usize| !i.is_multiple_of(every);
    let all = 0..rows + 3;
    let long = "x".repeat(500);
    let texts = ["", "a", "ü", long.as_str()];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from_iter(
            all.clone().map(|i| some(i, 2).then_some(i % 3 == 0)),
        )),
        Arc::new(Date32Array::from_iter(
            all.clone().map(|i| some(i, 3).then_some(i as i32 - 7)),
        )),
        Arc::new(Int64Array::from_iter_values(all.clone().map(|i| i as i64))),
        Arc::new(TimestampSecondArray::from_iter(
            all.clone().map(|i| some(i, 5).then_some(i as i64 * 60)),
        )),
        Arc::new(Float64Array::from_iter(
            all.clone().map(|i| some(i, 7).then_some(i as f64 / 8.0)),
        )),
        Arc::new(StringArray::from_iter(
            all.map(|i| some(i, 11).then_some(texts[i % 4])),
        )),
    ];
    arrays.iter().map(|a| a.slice(3, rows)).collect()
}

/// The rows of [`all_types`], by the arrays' own accessors.
fn expected(arrays: &[ArrayRef], repeat: usize) -> Vec<String> {
    macro_rules! cell {
        ($array:expr, $row:expr, $($kind:ty),*) => {
            $(if let Some(a) = $array.as_any().downcast_ref::<$kind>() {
                format!("{:?}", a.is_valid($row).then(|| a.value($row)))
            } else)* { panic!("no such type") }
        };
    }
    let cell = |array: &ArrayRef, row: usize| {
        cell!(
            array,
            row,
            BooleanArray,
            Date32Array,
            Int64Array,
            TimestampSecondArray,
            Float64Array,
            StringArray
        )
    };
    let row = |row| {
        let cells: Vec<_> = arrays.iter().map(|a| cell(a, row)).collect();
        cells.join("|")
    };
    let mut rows: Vec<String> = (0..repeat)
        .flat_map(|_| (0..arrays[0].len()).map(row))
        .collect();
    rows.sort();
    rows
}

fn balances(reports: &[ShardReport], rows: u64) {
    let read: u64 = reports.iter().map(|r| r.sources[0].rows_read).sum();
    let passed: u64 = reports.iter().map(|r| r.sources[0].rows_passed).sum();
    let taken: u64 = reports.iter().map(|r| r.inputs[0].1.rows_in).sum();
    assert_eq!((read, passed, taken), (rows, rows, rows));
}

#[test]
fn every_row_arrives_once_a_round() {
    for (rows, repeat) in [(0, 3), (1, 2), (3, 1), (2500, 2)] {
        let arrays = all_types(rows);
        let want = expected(&arrays, repeat);
        let program = pass(source(&arrays, repeat));
        for executor in EXECUTORS {
            for shards in [1, 2, 4] {
                for frame_rows in [1, 7, 1024] {
                    let (got, reports) = run(&program, &config(shards, frame_rows, executor));
                    assert!(
                        got == want,
                        "{rows} rows, {shards} shards, frames of {frame_rows}, {executor:?}"
                    );
                    balances(&reports, want.len() as u64);
                }
            }
        }
    }
}

#[test]
fn groups_are_the_same_on_any_number_of_shards() {
    let rows = 5000;
    let keys = (0..rows).map(|i| (i % 9 != 0).then_some(i * 7919 % 37));
    let values = (0..rows).map(|i| (i % 5 != 0).then_some((i % 100) as f64));
    let arrays: [ArrayRef; 2] = [
        Arc::new(Int64Array::from_iter(keys)),
        Arc::new(Float64Array::from_iter(values)),
    ];
    let program = keyed(source(&arrays, 3));
    let (want, _) = run(&program, &config(1, 1024, Executor::Threads));
    assert_eq!(want.len(), 38);
    for executor in EXECUTORS {
        for shards in [1, 2, 4] {
            for frame_rows in [1, 7, 1024] {
                let config = config(shards, frame_rows, executor);
                let (got, reports) = run(&program, &config);
                assert_eq!(
                    got, want,
                    "{shards} shards, frames of {frame_rows}, combined"
                );
                balances(&reports, 3 * rows as u64);
                let combine_groups = 0;
                let (got, reports) = run(
                    &program,
                    &Config {
                        combine_groups,
                        ..config
                    },
                );
                assert_eq!(got, want, "{shards} shards, frames of {frame_rows}");
                balances(&reports, 3 * rows as u64);
                // One shard has no exchange; of several each reads its own slice.
                let crossed = reports.iter().flat_map(|r| &r.crossed);
                let crossed: u64 = crossed.flat_map(|(_, lanes)| lanes).sum();
                assert_eq!(crossed, if shards == 1 { 0 } else { 3 * rows as u64 });
                let even =
                    |r: &ShardReport| r.sources[0].rows_read == (3 * rows) as u64 / shards as u64;
                assert!(reports.iter().all(even), "even slices");
            }
        }
    }
}

/// With event time one shard reads all rows in order, and each row carries the watermark of those
/// before it.
#[test]
fn event_time_has_one_clock() {
    let times = [5i64, 9, 7, 20, 1];
    let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times));
    let schema = Schema::new(vec![
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None)),
        Field::new("_BOUND", DataType::Int64),
    ]);
    let spec = SourceSpec {
        reading: Default::default(),
        schema: Arc::new(schema),
        event_time: Some(EventTime {
            column: 0,
            lag_ns: Some(2000),
            bound: Some(1),
        }),
        ..source(&[array], 1)
    };
    let bounds = [i64::MIN, 3000, 7000, 7000, 18000];
    let mut want: Vec<String> = times
        .iter()
        .zip(bounds)
        .map(|(time, bound)| format!("Some({time})|Some({bound})"))
        .collect();
    want.sort();
    for shards in [1, 2, 4] {
        for frame_rows in [1, 7, 1024] {
            let config = config(shards, frame_rows, Executor::Threads);
            let (got, reports) = run(&pass(spec.clone()), &config);
            assert_eq!(got, want, "{shards} shards, frames of {frame_rows}");
            assert_eq!(reports[0].sources[0].rows_read, 5);
        }
    }
}

#[test]
fn arrays_that_are_not_what_the_schema_says_are_refused() {
    let ints: ArrayRef = Arc::new(Int64Array::from_iter_values(0..3));
    let longer: ArrayRef = Arc::new(Int64Array::from_iter_values(0..4));
    let times: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(1), None]));
    let of = |given: &[ArrayRef], declared: &[ArrayRef]| SourceSpec {
        kind: source(given, 1).kind,
        ..source(declared, 1)
    };
    let clock = EventTime {
        column: 0,
        lag_ns: Some(0),
        bound: None,
    };
    let late = SourceSpec {
        event_time: Some(clock),
        ..source(std::slice::from_ref(&times), 1)
    };
    let one = std::slice::from_ref(&ints);
    for (spec, word) in [
        (
            of(one, std::slice::from_ref(&times)),
            "is Int64, not Timestamp(s)",
        ),
        (
            of(one, &[Arc::clone(&ints), Arc::clone(&ints)]),
            "1 arrays for 2 columns",
        ),
        (source(&[Arc::clone(&ints), longer], 1), "another length"),
        (source(&[], 1), "at least one"),
        (late, "event time is NULL"),
    ] {
        let error = start(&pass(spec), &Config::default()).unwrap_err();
        assert!(error.to_string().contains(word), "{word:?} in {error}");
    }
}
