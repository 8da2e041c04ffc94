//! Groups that close at once leave by bounded slices: a turn of the shard gives so many rows and no
//! more, and other work has its turn in between.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, TimestampMillisecondArray};
use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, EventTime, OperatorSpec, Order, OutputSpec,
    PanesSpec, Phase, Program, Reading, SessionSpec, SourceKind, SourceSpec, WindowKey,
    WindowShape,
};
use trefoil_ring0::runtime::{Config, Next, Runtime};
use trefoil_ring0::schema::{Field, Schema};

/// Keys, each with a row at the same time, which is followed by one far behind.
const KEYS: i64 = 20_000;
const MINUTE_MS: i64 = 60_000;
const MINUTE_NS: i64 = MINUTE_MS * 1_000_000;

fn schema(fields: &[(&str, DataType)]) -> Arc<Schema> {
    let fields = fields.iter().map(|(name, t)| Field::new(*name, t.clone()));
    Arc::new(Schema::new(fields.collect()))
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}

fn aggregate(keys: Vec<usize>, window: Option<WindowKey>, bounds: &[&str]) -> AggregateSpec {
    let mut output = vec![("k", DataType::Int64)];
    output.extend(bounds.iter().map(|name| (*name, time())));
    output.push(("n", DataType::Int64));
    AggregateSpec {
        input: schema(&[("k", DataType::Int64), ("t", time())]),
        keys,
        calls: vec![AggregateCall {
            function: AggregateFunction::Count,
            argument: None,
        }],
        phase: Phase::Complete,
        window,
        output: schema(&output),
    }
}

fn windows() -> OperatorSpec {
    let window = WindowKey {
        key: 1,
        size_ns: MINUTE_NS,
    };
    OperatorSpec::Aggregate(Arc::new(aggregate(vec![0, 1], Some(window), &["start"])))
}

fn panes() -> OperatorSpec {
    let window = WindowKey {
        key: 1,
        size_ns: MINUTE_NS,
    };
    OperatorSpec::Panes(Arc::new(PanesSpec {
        aggregate: aggregate(vec![0, 1], Some(window), &["start"]),
        shape: WindowShape::Hopping {
            size: MINUTE_MS,
            slide: MINUTE_MS / 2,
            offset: 0,
        },
        bound: Some(2),
    }))
}

fn sessions() -> OperatorSpec {
    OperatorSpec::Sessions(Arc::new(SessionSpec {
        aggregate: aggregate(vec![0], None, &["start", "end"]),
        time: 1,
        gap: 10,
        start: Some(1),
        end: Some(2),
        first_by: Vec::new(),
    }))
}

/// The most rows that one turn gave, and all.
fn given(operator: OperatorSpec) -> (usize, usize) {
    let keys = Int64Array::from_iter_values(0..=KEYS);
    let times = (0..=KEYS).map(|n| if n < KEYS { 0 } else { 10 * MINUTE_MS });
    let times = TimestampMillisecondArray::from_iter_values(times);
    let kind = SourceKind::Columns {
        arrays: Arc::new([Arc::new(keys) as ArrayRef, Arc::new(times)]),
        repeat: 1,
    };
    let mut columns = vec![("k", DataType::Int64), ("t", time())];
    let bound = matches!(operator, OperatorSpec::Panes(_)).then_some(2);
    let mut input = schema(&columns);
    let mut operator = operator;
    if let OperatorSpec::Panes(spec) = &mut operator {
        columns.push(("_BOUND", DataType::Int64));
        input = schema(&columns);
        Arc::make_mut(spec).aggregate.input = Arc::clone(&input);
    }
    let output = Arc::clone(operator.columns().unwrap());
    let source = SourceSpec {
        event_time: Some(EventTime {
            column: 1,
            lag_ns: Some(0),
            bound,
        }),
        reading: Reading::InOrder,
        ..SourceSpec::new("s", input, kind)
    };
    let order = Order::Free;
    let program = Program::chain(
        source,
        vec![operator],
        OutputSpec {
            order,
            schema: output,
        },
    );
    let mut runtime = Runtime::open_here(&Config::default()).unwrap();
    let mut running = runtime.add(&program).unwrap();
    let (mut most, mut all) = (0, 0);
    loop {
        runtime.step();
        let mut rows = 0;
        loop {
            match running.try_next_block().unwrap() {
                Next::Block(block) => {
                    rows += block.rows().rows();
                    running.give_back(block);
                }
                Next::Nothing | Next::Barrier(..) => break,
                Next::End => return (most, all + rows),
            }
        }
        most = most.max(rows);
        all += rows;
    }
}

#[test]
fn what_closes_leaves_by_slices() {
    let cases = [
        ("windows", windows(), 2_048, KEYS + 1),
        ("panes", panes(), 2_048, 2 * (KEYS + 1)),
        ("sessions", sessions(), 512, KEYS + 1),
    ];
    for (what, operator, slice, groups) in cases {
        let (most, all) = given(operator);
        assert_eq!(all as i64, groups, "{what}");
        // A frame that a turn fills may leave with the next one's rows.
        assert!(most <= slice + 1_024, "{what}: {most} rows in one turn");
        assert!(most >= slice / 4, "{what}: {most} rows in one turn");
    }
}
