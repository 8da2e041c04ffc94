//! Values of every type cross the mesh: whatever the number of shards and the frames' size, each
//! row arrives as it was, and equal keys meet.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, StructArray};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field as ArrowField, IntervalUnit, TimeUnit};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, ExchangeSpec, OperatorSpec, OutputSpec, Phase,
    Program, SourceKind, SourceSpec,
};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::{Field, Schema};

const ROWS: i64 = 2000;

/// Each number as a value of the type.
fn array(numbers: &ArrayRef, t: &DataType) -> ArrayRef {
    let through = |t: &DataType| array(numbers, t);
    let between = match t {
        DataType::Time32(_) => through(&DataType::Int32),
        DataType::Interval(_) => through(&DataType::Duration(TimeUnit::Second)),
        DataType::Binary => through(&DataType::Utf8),
        DataType::List(item) => through(item.data_type()),
        DataType::Struct(fields) => {
            let members = fields.iter().map(|f| through(f.data_type())).collect();
            let nulls = numbers.nulls().cloned();
            return Arc::new(StructArray::new(fields.clone(), members, nulls));
        }
        _ => Arc::clone(numbers),
    };
    arrow_cast::cast(&between, t).unwrap()
}

fn types() -> Vec<DataType> {
    use DataType::*;
    let list = |t: DataType| List(Arc::new(ArrowField::new("item", t, true)));
    let pair = Struct(
        vec![
            ArrowField::new("a", Utf8, true),
            ArrowField::new("b", list(Int16), true),
        ]
        .into(),
    );
    vec![
        Boolean,
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float32,
        Float64,
        Date32,
        Decimal128(30, 5),
        Utf8,
        Binary,
        Time32(TimeUnit::Second),
        Time64(TimeUnit::Nanosecond),
        Timestamp(TimeUnit::Second, None),
        Timestamp(TimeUnit::Microsecond, None),
        Duration(TimeUnit::Millisecond),
        Interval(IntervalUnit::MonthDayNano),
        list(Utf8),
        list(list(Float32)),
        list(pair.clone()),
        pair,
    ]
}

/// The rows of a program's output, how often each came.
fn rows(program: &Program, shards: usize, frame_rows: usize) -> BTreeMap<String, usize> {
    let config = Config {
        shards,
        executor: Executor::Threads,
        frame_rows,
        ..Config::default()
    };
    let schema = Arc::clone(&program.outputs[0].schema);
    let mut running = start(program, &config).unwrap();
    let mut rows = BTreeMap::new();
    while let Some(block) = running.next_block().unwrap() {
        let columns = block.rows().columns.iter().zip(&schema.fields);
        let arrays: Vec<ArrayRef> = columns.map(|(c, f)| c.to_array(&f.data_type)).collect();
        for row in 0..block.rows().rows() {
            *rows.entry(text(&arrays, row)).or_default() += 1;
        }
        running.give_back(block);
    }
    running.finish().unwrap();
    rows
}

fn text(arrays: &[ArrayRef], row: usize) -> String {
    let cells = arrays.iter().map(|a| match a.is_null(row) {
        true => "NULL".to_owned(),
        false => array_value_to_string(a, row).unwrap(),
    });
    cells.collect::<Vec<_>>().join("|")
}

fn source(arrays: &[ArrayRef]) -> SourceSpec {
    let field = |(i, a): (usize, &ArrayRef)| Field::new(i.to_string(), a.data_type().clone());
    let schema = Schema::new(arrays.iter().enumerate().map(field).collect());
    let kind = SourceKind::Columns {
        arrays: arrays.into(),
        repeat: 1,
    };
    SourceSpec::new("types", Arc::new(schema), kind)
}

/// A source, an exchange by the hash of `keys`, and what stands behind it.
fn routed(
    source: SourceSpec,
    keys: Vec<usize>,
    operators: Vec<OperatorSpec>,
    output: Arc<Schema>,
) -> Program {
    let schema = Arc::clone(&source.schema);
    Program::exchanged(
        source,
        Vec::new(),
        ExchangeSpec::hash(schema, keys),
        operators,
        OutputSpec::free(output),
    )
}

fn arrays(of: &[DataType]) -> Vec<ArrayRef> {
    let number = |i: i64| (i % 11 != 5).then_some(i % 53);
    let numbers: ArrayRef = Arc::new((0..ROWS).map(number).collect::<Int64Array>());
    of.iter().map(|t| array(&numbers, t)).collect()
}

#[test]
fn every_row_arrives_as_it_was() {
    let arrays = arrays(&types());
    let mut want = BTreeMap::new();
    for row in 0..ROWS as usize {
        *want.entry(text(&arrays, row)).or_default() += 1;
    }
    for (shards, frame_rows) in [(1, 64), (2, 1), (3, 100)] {
        let source = source(&arrays);
        let output = Arc::clone(&source.schema);
        let keys = (0..arrays.len()).collect();
        let got = rows(&routed(source, keys, vec![], output), shards, frame_rows);
        assert_eq!(got, want, "{shards} shards, {frame_rows} rows a frame");
    }
}

#[test]
fn equal_keys_meet() {
    for t in types() {
        let arrays = arrays(std::slice::from_ref(&t));
        let mut want: BTreeMap<String, usize> = BTreeMap::new();
        for row in 0..ROWS as usize {
            *want.entry(text(&arrays, row)).or_default() += 1;
        }
        let want: BTreeMap<String, usize> =
            want.iter().map(|(k, n)| (format!("{k}|{n}"), 1)).collect();
        for shards in [1, 3] {
            let source = source(&arrays);
            let fields = vec![Field::new("k", t.clone()), Field::new("n", DataType::Int64)];
            let output = Arc::new(Schema::new(fields));
            let count = AggregateSpec {
                input: Arc::clone(&source.schema),
                keys: vec![0],
                calls: vec![AggregateCall {
                    function: AggregateFunction::Count,
                    argument: None,
                }],
                phase: Phase::Complete,
                window: None,
                output: Arc::clone(&output),
            };
            let operators = vec![OperatorSpec::Aggregate(Arc::new(count))];
            let got = rows(&routed(source, vec![0], operators, output), shards, 100);
            assert_eq!(got, want, "{t} on {shards} shards");
        }
    }
}
