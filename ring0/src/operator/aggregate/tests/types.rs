//! Keys and arguments of every type, against a model that groups by the text of the keys.

use std::collections::HashMap;

use arrow_schema::DataType;
use proptest::prelude::*;

use super::super::*;
use super::{emitted, run, spec};
use crate::column::random::{Dice, frame, text, types};
use crate::limits::KEY_GROUPS;
use crate::program::{AggregateCall, AggregateFunction as F};
use crate::schema::{Field, Schema};
use crate::table::keys::push_word;

fn call(function: F, argument: Option<usize>) -> AggregateCall {
    AggregateCall { function, argument }
}

fn schema(types: &[DataType]) -> Schema {
    Schema::new(types.iter().map(|t| Field::new("c", t.clone())).collect())
}

/// Runs in one phase, and in two over three shards; the results of both.
fn both(
    types: &Schema,
    frames: &[Frame],
    keys: &[usize],
    calls: &[AggregateCall],
) -> [Vec<Frame>; 2] {
    let new = |s| {
        Aggregate::new(s, 0, KEY_GROUPS as u32, Addresses::shared_by(1)).expect("an aggregation")
    };
    let of = |input: &Schema, keys: &[usize], of_keys: &[usize], phase| {
        spec(
            input.clone(),
            keys.to_vec(),
            calls,
            phase,
            None,
            types,
            of_keys,
        )
    };
    let mut whole = new(of(types, keys, keys, Phase::Complete));
    run(&mut whole, frames);
    let part = of(types, keys, keys, Phase::Partial);
    let first: Vec<usize> = (0..keys.len()).collect();
    let mut last = of(&part.output, &first, keys, Phase::Final);
    // The output's keys are those of the first phase's input, wherever they stand.
    let fields = part.output.fields[..keys.len()].to_vec();
    let results = last.output.fields[keys.len()..].to_vec();
    let output = Schema::new(fields.into_iter().chain(results).collect());
    Arc::make_mut(&mut last).output = Arc::new(output);
    let mut last = new(last);
    for shard in 0..3 {
        let mut partial = new(Arc::clone(&part));
        let own: Vec<Frame> = frames.iter().skip(shard).step_by(3).cloned().collect();
        run(&mut partial, &own);
        run(&mut last, &emitted(&mut partial, None, 77));
    }
    [
        emitted(&mut whole, None, 100),
        emitted(&mut last, None, 1000),
    ]
}

fn rows(frames: &[Frame]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for frame in frames {
        let row = |r| frame.columns.iter().map(|c| text(c, r)).collect();
        rows.extend((0..frame.rows()).map(row));
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn keys_of_every_type_group_as_their_values_do(
        seed in any::<u64>(),
        count in 0usize..800,
        distinct in prop_oneof![1u64..5, 1u64..60],
        nulls in 0u64..3,
        of in prop::sample::subsequence(types(), 1..=4).prop_shuffle(),
    ) {
        let schema = schema(&of);
        let mut dice = Dice(seed);
        let frames: Vec<Frame> = (0..4)
            .map(|_| frame(&schema, &mut dice, count / 4, distinct, nulls))
            .collect();
        let keys: Vec<usize> = (0..of.len()).collect();
        let mut want: HashMap<Vec<String>, usize> = HashMap::new();
        for row in rows(&frames) {
            *want.entry(row).or_default() += 1;
        }
        for got in both(&schema, &frames, &keys, &[call(F::Count, None)]) {
            let got = rows(&got);
            prop_assert_eq!(got.len(), want.len(), "one row a group of {:?}", &of);
            for mut row in got {
                let count = row.pop();
                prop_assert_eq!(want.get(&row).map(usize::to_string), count, "{:?}", row);
            }
        }
    }

    #[test]
    fn extremes_of_every_type_are_values_that_came(
        seed in any::<u64>(),
        count in 0usize..400,
        nulls in 0u64..3,
        reversed in any::<bool>(),
    ) {
        let flat: Vec<DataType> = types()
            .into_iter()
            .filter(|t| !matches!(t, DataType::List(_) | DataType::Struct(_)))
            .collect();
        let mut all = vec![DataType::Int8];
        all.extend(flat);
        let schema = schema(&all);
        let mut dice = Dice(seed);
        let mut input = frame(&schema, &mut dice, count, 20, nulls);
        if reversed {
            let back: Vec<u32> = (0..count as u32).rev().collect();
            let from = input.clone();
            input.clear();
            input.append_rows(&from, &back);
        }
        let calls: Vec<AggregateCall> = (1..all.len())
            .flat_map(|a| [call(F::Min, Some(a)), call(F::Max, Some(a)), call(F::Count, Some(a))])
            .collect();
        let [one, two] = both(&schema, &[input.clone()], &[0], &calls);
        let (mut one, mut two) = (rows(&one), rows(&two));
        one.sort();
        two.sort();
        prop_assert_eq!(&one, &two);
        for row in one {
            for a in 1..all.len() {
                let of_group = (0..count).filter(|&r| text(&input.columns[0], r) == row[0]);
                let values = sorted(&input.columns[a], of_group);
                let got = &row[1 + 3 * (a - 1)..][..3];
                let null = "NULL".to_owned();
                prop_assert_eq!(&got[0], values.first().unwrap_or(&null), "MIN of {}", &all[a]);
                prop_assert_eq!(&got[1], values.last().unwrap_or(&null), "MAX of {}", &all[a]);
                prop_assert_eq!(&got[2], &values.len().to_string());
            }
        }
    }
}

/// The texts of the values of some rows, ordered as SQL orders values, without NULLs.
fn sorted(column: &Column, rows: impl Iterator<Item = usize>) -> Vec<String> {
    let mut rows: Vec<usize> = rows.filter(|&r| column.is_valid(r)).collect();
    let float = |v: f64| if v.is_nan() { f64::INFINITY } else { v };
    rows.sort_by(|&a, &b| match column {
        Column::Bool(c) => c.values.get(a).cmp(&c.values.get(b)),
        Column::I8(c) => c.values[a].cmp(&c.values[b]),
        Column::I16(c) => c.values[a].cmp(&c.values[b]),
        Column::I32(c) => c.values[a].cmp(&c.values[b]),
        Column::I64(c) => c.values[a].cmp(&c.values[b]),
        Column::U8(c) => c.values[a].cmp(&c.values[b]),
        Column::U16(c) => c.values[a].cmp(&c.values[b]),
        Column::U32(c) => c.values[a].cmp(&c.values[b]),
        Column::U64(c) => c.values[a].cmp(&c.values[b]),
        Column::F32(c) => {
            let (a, b) = (f64::from(c.values[a]), f64::from(c.values[b]));
            float(a)
                .total_cmp(&float(b))
                .then(a.is_nan().cmp(&b.is_nan()))
        }
        Column::F64(c) => {
            let (a, b) = (c.values[a], c.values[b]);
            float(a)
                .total_cmp(&float(b))
                .then(a.is_nan().cmp(&b.is_nan()))
        }
        Column::I128(c) => c.values[a].cmp(&c.values[b]),
        Column::Interval(c) => c.values[a].cmp(&c.values[b]),
        Column::Utf8(c) => c.bytes(a).cmp(c.bytes(b)),
        Column::Binary(c) => c.bytes(a).cmp(c.bytes(b)),
        Column::List(_) | Column::Struct(_) => panic!("no order"),
    });
    rows.iter().map(|&r| text(column, r)).collect()
}

/// SUM and AVG over values given as texts of the type's column.
#[test]
fn sums_have_the_types_and_values_of_datafusion() {
    let check = |t: DataType, values: &[i128], sum: Result<(DataType, i128), &str>| {
        let types = schema(std::slice::from_ref(&t));
        let mut frame = Frame::new(&types, values.len());
        for &v in values {
            match &mut frame.columns[0] {
                Column::I128(c) => c.push(Some(v)),
                Column::I8(c) => c.push(Some(v as i8)),
                Column::U64(c) => c.push(Some(v as u64)),
                Column::I64(c) => c.push(Some(v as i64)),
                other => panic!("{:?}", other.physical()),
            }
        }
        frame.commit_rows(values.len());
        let calls = [call(F::Sum, Some(0))];
        let s = spec(
            types.clone(),
            vec![],
            &calls,
            Phase::Complete,
            None,
            &types,
            &[],
        );
        let result = s.output.fields[0].data_type.clone();
        let mut aggregate = Aggregate::new(s, 0, 1, Addresses::shared_by(1)).expect("new");
        run(&mut aggregate, &[frame]);
        let mut out = Frame::new(&aggregate.shared.spec.output, 1);
        let done = aggregate.emit(None, &mut EmitCursor::default(), &mut out);
        match (done, sum) {
            (Ok(_), Ok((want, sum))) => {
                assert_eq!(result, want);
                assert_eq!(text(&out.columns[0], 0), sum.to_string());
            }
            (Err(error), Err(message)) => assert_eq!(error.to_string(), message),
            (got, want) => panic!("{got:?}, want {want:?}"),
        }
    };
    use DataType::{Decimal128, Int8, Int64, UInt64};
    let nines = 10i128.pow(38) - 1;
    check(Int8, &[127, 127, -128], Ok((Int64, 126)));
    check(UInt64, &[u64::MAX.into()], Ok((UInt64, u64::MAX.into())));
    check(
        UInt64,
        &[u64::MAX.into(), 1],
        Err("BIGINT UNSIGNED out of range in SUM"),
    );
    check(Decimal128(10, 2), &[150, -75], Ok((Decimal128(20, 2), 75)));
    check(
        Decimal128(38, 0),
        &[nines, nines, -nines],
        Ok((Decimal128(38, 0), nines)),
    );
    check(
        Decimal128(38, 0),
        &[nines, nines, nines, 1],
        Err("DECIMAL(38, 0) out of range in SUM"),
    );
    check(
        Int64,
        &[i64::MAX.into(), 1],
        Err("BIGINT out of range in SUM"),
    );
}

#[test]
fn averages_of_decimals_cut_off_towards_zero() {
    let check = |p: u8, s: i8, values: &[i128], want: Option<i128>| {
        let types = schema(&[DataType::Decimal128(p, s)]);
        let mut frame = Frame::new(&types, values.len());
        if let Column::I128(c) = &mut frame.columns[0] {
            values.iter().for_each(|&v| c.push(Some(v)));
        }
        frame.commit_rows(values.len());
        let calls = [call(F::Avg, Some(0))];
        let s = spec(
            types.clone(),
            vec![],
            &calls,
            Phase::Complete,
            None,
            &types,
            &[],
        );
        let mut aggregate = Aggregate::new(s, 0, 1, Addresses::shared_by(1)).expect("new");
        run(&mut aggregate, &[frame]);
        let mut out = Frame::new(&aggregate.shared.spec.output, 1);
        let done = aggregate.emit(None, &mut EmitCursor::default(), &mut out);
        let got = done.ok().map(|_| text(&out.columns[0], 0));
        assert_eq!(got, want.map(|w| w.to_string()), "{values:?}");
    };
    check(10, 2, &[100, 200, 200], Some(1_666_666));
    check(10, 2, &[-100, -200, -200], Some(-1_666_666));
    check(10, 2, &[1, -1], Some(0));
    let nines = 10i128.pow(38) - 1;
    // The average of great values of scale 0 has four places more, for which there is no room.
    check(38, 0, &[nines, nines], None);
    check(38, 0, &[nines, nines, -nines, -nines, 8], Some(16_000));
    check(38, 38, &[nines, nines, nines], Some(nines));
}

#[test]
fn aggregates_that_are_not_are_refused() {
    let refused = |function, t: &DataType| {
        assert_eq!(result_type(function, Some(t)), None, "{function:?} of {t}");
    };
    for t in types() {
        let number = t.is_numeric();
        if !number && !matches!(t, DataType::Duration(_)) {
            refused(&F::Sum, &t);
        }
        if !number {
            refused(&F::Avg, &t);
            refused(&F::VarPop, &t);
        }
        if matches!(t, DataType::List(_) | DataType::Struct(_)) {
            refused(&F::Min, &t);
        }
    }
    refused(&F::Max, &DataType::LargeUtf8);
    let types = schema(&[DataType::Date32]);
    let calls = [call(F::Sum, Some(0))];
    let s = AggregateSpec {
        input: Arc::new(types.clone()),
        keys: vec![],
        calls: calls.to_vec(),
        phase: Phase::Complete,
        window: None,
        output: Arc::new(types),
    };
    assert!(matches!(
        Aggregate::new(Arc::new(s), 0, 1, Addresses::shared_by(1)),
        Err(Error::Program(_))
    ));
}

#[test]
fn numbers_of_every_width_have_the_same_averages() {
    let of = [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float32,
        DataType::Float64,
    ];
    let types = schema(&of);
    let functions = [
        F::Sum,
        F::Avg,
        F::StddevSamp,
        F::StddevPop,
        F::VarSamp,
        F::VarPop,
    ];
    let want = [
        "10",
        "2.5",
        "1.2909944487358056",
        "1.118033988749895",
        "1.6666666666666667",
        "1.25",
    ];
    let calls: Vec<AggregateCall> = (0..of.len())
        .flat_map(|a| functions.clone().map(|f| call(f, Some(a))))
        .collect();
    let mut frame = Frame::new(&types, 5);
    for column in &mut frame.columns {
        for v in 1..5u8 {
            push_word(column, Some(v.into()));
        }
        // The words of floating point numbers are their bits.
        match column {
            Column::F32(c) => c.values.copy_from_slice(&[1.0, 2.0, 3.0, 4.0]),
            Column::F64(c) => c.values.copy_from_slice(&[1.0, 2.0, 3.0, 4.0]),
            _ => {}
        }
        column.push_null();
    }
    frame.commit_rows(5);
    for out in both(&types, &[frame], &[], &calls) {
        let got = rows(&out).remove(0);
        for (i, t) in of.iter().enumerate() {
            assert_eq!(got[i * 6..][..6], want, "{t}");
        }
    }
}
