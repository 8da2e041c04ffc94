//! UNNEST: rows and the ledger, through shards, exchanges, filters and small frames.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_schema::DataType;
use proptest::prelude::*;
use trefoil_ring0::expr::{BinaryOp, Expr, Scalar};
use trefoil_ring0::operator::unnest::flagged;
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, BadData, ExchangeSpec, OperatorSpec,
    OutputSpec, Phase, Program, Reading, SourceKind, SourceSpec,
};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::{Field, Schema};

type Row = (i64, Option<Vec<Option<i64>>>);

fn schema(fields: &[(&str, DataType)]) -> Schema {
    let fields = fields.iter().map(|(n, t)| Field::new(*n, t.clone()));
    Schema::new(fields.collect())
}

/// `SELECT k, e FROM rows CROSS JOIN UNNEST(list) AS e WHERE e IS NULL OR e <> 3`, the elements of
/// one value on one shard; or their number, each.
fn program(rows: &[Row], grouped: bool) -> Program {
    let mut lists = ListBuilder::new(Int64Builder::new());
    rows.iter()
        .for_each(|(_, list)| lists.append_option(list.clone()));
    let lists = lists.finish();
    let keys: Int64Array = rows.iter().map(|(k, _)| *k).collect();
    let input = schema(&[("k", DataType::Int64), ("list", lists.data_type().clone())]);
    let apart = schema(&[("k", DataType::Int64), ("e", DataType::Int64)]);
    let with_flag = flagged(apart.clone());
    let binary = |op, a, b| Expr::Binary(op, Box::new(a), Box::new(b));
    let three = Expr::Literal(Scalar::I64(3));
    let keep = binary(BinaryOp::IsDistinctFrom, Expr::Column(1), three);
    let counts = Arc::new(schema(&[("e", DataType::Int64), ("n", DataType::Int64)]));
    let count = AggregateSpec {
        input: Arc::clone(&with_flag),
        keys: vec![1],
        calls: vec![AggregateCall {
            function: AggregateFunction::Count,
            argument: None,
        }],
        phase: Phase::Complete,
        window: None,
        output: Arc::clone(&counts),
    };
    let output = if grouped { counts } else { Arc::new(apart) };
    let behind = match grouped {
        true => vec![OperatorSpec::Aggregate(Arc::new(count))],
        false => vec![
            OperatorSpec::Applied,
            OperatorSpec::Project {
                exprs: vec![Expr::Column(0), Expr::Column(1)],
                schema: Arc::clone(&output),
            },
        ],
    };
    Program::exchanged(
        SourceSpec {
            name: "rows".to_owned(),
            schema: Arc::new(input),
            event_time: None,
            is_only_compared: false,
            reading: Reading::default(),
            kind: SourceKind::Columns {
                arrays: [Arc::new(keys) as ArrayRef, Arc::new(lists)].into(),
                repeat: 1,
            },
            system: Vec::new(),
            bad_data: BadData::Fail,
            splits: Default::default(),
            max_ahead_ns: None,
            policy: None,
            processing: None,
            late: None,
        },
        vec![
            OperatorSpec::Unnest {
                list: 1,
                numbered: false,
                schema: Arc::clone(&with_flag),
            },
            OperatorSpec::Filter(keep),
        ],
        ExchangeSpec::hash(with_flag, vec![1]),
        behind,
        OutputSpec::free(output),
    )
}

type Pair = (Option<i64>, Option<i64>);

/// The rows of the output, and of the ledger: in, filtered, applied.
fn run(program: &Program, shards: usize, frame_rows: usize) -> (Vec<Pair>, [u64; 3]) {
    let config = Config {
        shards,
        frame_rows,
        executor: Executor::Threads,
        ..Config::default()
    };
    let mut running = start(program, &config).unwrap();
    let mut rows = Vec::new();
    while let Some(block) = running.next_block().unwrap() {
        let columns = &block.rows().columns;
        let columns = [0, 1].map(|c| columns[c].to_array(&DataType::Int64));
        let get = |c: usize, row: usize| {
            let array = columns[c].as_primitive::<Int64Type>();
            array.is_valid(row).then(|| array.value(row))
        };
        rows.extend((0..block.rows().rows()).map(|row| (get(0, row), get(1, row))));
        running.give_back(block);
    }
    let reports = running.finish().unwrap();
    let counters = || reports.iter().flat_map(|r| &r.inputs).map(|(_, c)| c);
    rows.sort_unstable();
    let ledger = [
        counters().map(|c| c.rows_in).sum(),
        counters().map(|c| c.rows_filtered).sum(),
        counters().map(|c| c.rows_applied).sum(),
    ];
    (rows, ledger)
}

fn lists() -> impl Strategy<Value = Vec<Row>> {
    let element = prop_oneof![4 => (0..5i64).prop_map(Some), 1 => Just(None)];
    let list = prop::option::weighted(0.8, prop::collection::vec(element, 0..12));
    prop::collection::vec((0..100i64, list), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rows_and_the_ledger(rows in lists()) {
        let kept = |e: &Option<i64>| *e != Some(3);
        let elements = |(k, list): &Row| {
            let k = *k;
            list.clone().into_iter().flatten().filter(kept).map(move |e| (Some(k), e))
        };
        let mut apart: Vec<Pair> = rows.iter().flat_map(elements).collect();
        apart.sort_unstable();
        let mut counts: BTreeMap<Option<i64>, i64> = BTreeMap::new();
        apart.iter().for_each(|(_, e)| *counts.entry(*e).or_default() += 1);
        let counts: Vec<Pair> = counts.into_iter().map(|(e, n)| (e, Some(n))).collect();
        // A row is what becomes of its first element.
        let first = |(_, list): &&Row| list.as_ref().and_then(|l| l.first()).is_some_and(kept);
        let applied = rows.iter().filter(first).count() as u64;
        let ledger = [rows.len() as u64, rows.len() as u64 - applied, applied];
        for (grouped, want) in [(false, &apart), (true, &counts)] {
            let program = program(&rows, grouped);
            for shards in [1, 2, 4] {
                for frame_rows in [1, 7, 1024] {
                    let got = run(&program, shards, frame_rows);
                    prop_assert_eq!(&got.0, want, "{} shards, frames of {}", shards, frame_rows);
                    prop_assert_eq!(got.1, ledger);
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let twice = |program: &mut Program| {
        let nested = program.stages[0].operators[0].clone();
        program.stages[0].operators.insert(1, nested);
    };
    let no_list = |program: &mut Program| {
        if let OperatorSpec::Unnest { list, .. } = &mut program.stages[0].operators[0] {
            *list = 0;
        }
    };
    let no_flag = |program: &mut Program| {
        let columns = schema(&[("k", DataType::Int64), ("e", DataType::Int64)]);
        program.stages[0].operators.push(OperatorSpec::Project {
            exprs: vec![Expr::Column(0), Expr::Column(1)],
            schema: Arc::new(columns.clone()),
        });
        program.exchanges[0].schema = Arc::new(columns);
        program.stages[1].operators.clear();
    };
    type Change<'a> = &'a dyn Fn(&mut Program);
    let wrong: [(&str, Change<'_>); 3] = [
        ("twice", &twice),
        ("no list", &no_list),
        ("no flag", &no_flag),
    ];
    for (what, change) in wrong {
        let mut program = program(&[(1, Some(vec![Some(1)]))], false);
        change(&mut program);
        let config = Config {
            shards: 2,
            executor: Executor::Threads,
            ..Config::default()
        };
        let error = start(&program, &config).err();
        let refused = matches!(error, Some(trefoil_ring0::error::Error::Program(_)));
        assert!(refused, "{what}: {error:?}");
    }
}

#[test]
fn elements_are_numbered_in_their_list() {
    let some = |list: &[i64]| Some(list.iter().copied().map(Some).collect());
    let rows: Vec<Row> = vec![
        (7, some(&[5, 5, 4])),
        (8, None),
        (9, some(&[])),
        (10, Some(vec![None, Some(6)])),
    ];
    let mut program = program(&rows, false);
    let columns = [("k", DataType::Int64), ("e", DataType::Int64)];
    let [k, e] = columns.clone();
    let numbers = flagged(schema(&[k, e, ("n", DataType::Int64)]));
    if let OperatorSpec::Unnest {
        numbered, schema, ..
    } = &mut program.stages[0].operators[0]
    {
        *numbered = true;
        *schema = Arc::clone(&numbers);
    }
    program.exchanges[0].schema = numbers;
    if let OperatorSpec::Project { exprs, .. } = &mut program.stages[1].operators[1] {
        *exprs = vec![Expr::Column(0), Expr::Column(2)];
    }
    let want = [(7, 1), (7, 2), (7, 3), (10, 1), (10, 2)].map(|(k, n)| (Some(k), Some(n)));
    for shards in [1, 2] {
        for frame_rows in [1, 2, 1024] {
            let (got, _) = run(&program, shards, frame_rows);
            assert_eq!(got, want, "{shards} shards, frames of {frame_rows}");
        }
    }
}
