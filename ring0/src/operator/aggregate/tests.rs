//! Tests of the aggregation against a model that keeps every row of every group.

pub(in crate::operator::aggregate) mod frozen;
mod growth;
mod model;
mod retract;
mod types;

use std::collections::HashMap;

use proptest::prelude::*;

use self::model::*;
use super::*;
use crate::column::Column;
use crate::hash::hash_keys;
use crate::limits::KEY_GROUPS;
use crate::program::{AggregateCall, AggregateFunction as F, WindowKey};
use crate::schema::{Field, Schema};

fn spec(
    input: Schema,
    keys: Vec<usize>,
    calls: &[AggregateCall],
    phase: Phase,
    window: Option<WindowKey>,
    types: &Schema,
    type_keys: &[usize],
) -> Arc<AggregateSpec> {
    let mut fields: Vec<Field> = keys.iter().map(|&k| input.fields[k].clone()).collect();
    for c in calls {
        let argument = c.argument.map(|a| &types.fields[a].data_type);
        fields.push(Field::new(
            "x",
            result_type(&c.function, argument).expect("a type"),
        ));
    }
    let output = match phase {
        Phase::Partial => partial_schema(types, type_keys, calls).expect("a schema"),
        _ => Schema::new(fields),
    };
    Arc::new(AggregateSpec {
        input: Arc::new(input),
        keys,
        calls: calls.to_vec(),
        phase,
        window,
        output: Arc::new(output),
    })
}

fn run(aggregate: &mut Aggregate, frames: &[Frame]) {
    let mut hashes = Vec::new();
    let spec = Arc::clone(&aggregate.shared.spec);
    for frame in frames {
        hash_keys(frame, &spec.input, &spec.keys, 3, &mut hashes);
        aggregate.update(frame, &hashes).expect("update");
    }
}

fn emitted(aggregate: &mut Aggregate, upto_ns: Option<i64>, rows_max: usize) -> Vec<Frame> {
    let mut cursor = EmitCursor::default();
    let mut frames = Vec::new();
    loop {
        let mut out = Frame::new(&aggregate.shared.spec.output, rows_max);
        let progress = aggregate
            .emit(upto_ns, &mut cursor, &mut out)
            .expect("emit");
        assert_eq!(
            progress == Progress::Full,
            out.is_full() && progress == Progress::Full
        );
        frames.push(out);
        if progress == Progress::Done {
            return frames;
        }
    }
}

fn check(input: &[Frame], keys: &[usize], calls: &[AggregateCall], output: &[Frame]) {
    check_rows(&rows_of(input), keys, calls, rows_of(output));
}

fn check_rows(rows: &[Vec<Value>], keys: &[usize], calls: &[AggregateCall], got: Vec<Vec<Value>>) {
    let mut groups: HashMap<String, Vec<&Vec<Value>>> = HashMap::new();
    if keys.is_empty() {
        groups.insert(key_text(&[]), Vec::new());
    }
    for row in rows {
        let key: Vec<Value> = keys.iter().map(|&k| row[k].clone()).collect();
        groups.entry(key_text(&key)).or_default().push(row);
    }
    assert_eq!(got.len(), groups.len(), "one row a group");
    for row in got {
        let rows = groups
            .remove(&key_text(&row[..keys.len()]))
            .expect("a group of the model");
        for (call, got) in calls.iter().zip(&row[keys.len()..]) {
            let want = model(call, &rows);
            assert!(
                alike(&call.function, got, &want),
                "{call:?}: {got:?}, want {want:?}"
            );
        }
    }
}

fn check_all(seed: u64, rows: usize, distinct: u64, frame_rows: usize, keys: &[usize]) {
    let mut random = Random(seed);
    let calls = calls();
    let all_rows = rows.max(1);
    let frames: Vec<Frame> = (0..rows)
        .step_by(frame_rows)
        .map(|at| {
            let nulls = random.below(2) * 2;
            frame(&mut random, frame_rows.min(all_rows - at), distinct, nulls)
        })
        .collect();
    let types = schema();
    let whole = spec(
        types.clone(),
        keys.to_vec(),
        &calls,
        Phase::Complete,
        None,
        &types,
        keys,
    );
    let mut aggregate =
        Aggregate::new(whole, 0, KEY_GROUPS as u32, Addresses::shared_by(1)).expect("new");
    run(&mut aggregate, &frames);
    check(&frames, keys, &calls, &emitted(&mut aggregate, None, 100));

    let part = spec(
        types.clone(),
        keys.to_vec(),
        &calls,
        Phase::Partial,
        None,
        &types,
        keys,
    );
    let state = (*part.output).clone();
    let first: Vec<usize> = (0..keys.len()).collect();
    let last = spec(state, first, &calls, Phase::Final, None, &types, keys);
    let mut last =
        Aggregate::new(last, 0, KEY_GROUPS as u32, Addresses::shared_by(1)).expect("new");
    for shard in 0..3 {
        let mut partial = Aggregate::new(
            Arc::clone(&part),
            0,
            KEY_GROUPS as u32,
            Addresses::shared_by(1),
        )
        .expect("new");
        let own: Vec<Frame> = frames.iter().skip(shard).step_by(3).cloned().collect();
        run(&mut partial, &own);
        run(&mut last, &emitted(&mut partial, None, 77));
    }
    check(&frames, keys, &calls, &emitted(&mut last, None, 1000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn groups_are_those_of_the_model(
        seed in any::<u64>(),
        rows in 0usize..3000,
        distinct in prop_oneof![1u64..5, 1u64..1000, 1u64..100_000],
        frame_rows in prop_oneof![1usize..4, 1usize..2000],
        keys in prop::sample::subsequence(vec![0, 1, 2, 3, 4, 5], 0..=6).prop_shuffle(),
    ) {
        check_all(seed, rows, distinct, frame_rows, &keys);
    }
}

#[test]
fn many_keys() {
    check_all(1, 60_000, 100_000, 1024, &[0]);
    check_all(2, 60_000, 100_000, 1024, &[2, 0]);
    check_all(3, 0, 1, 1024, &[]);
}

#[test]
fn more_columns_than_a_header_has_bits() {
    let keys: Vec<usize> = (0..6).chain(0..6).chain(0..6).collect();
    check_all(4, 2000, 50, 300, &keys);
}

#[test]
fn windows_close_in_steps_and_give_their_pages_back() {
    let types = schema();
    let calls = [
        call(F::Count, None),
        call(F::Sum, Some(VF)),
        call(F::Max, Some(VS)),
    ];
    for keys in [vec![5], vec![0, 5], vec![5, 2, 0]] {
        let window = WindowKey {
            key: keys.iter().position(|&k| k == 5).expect("the window key"),
            size_ns: 1_000_000_000,
        };
        let phase = Phase::Complete;
        let s = spec(
            types.clone(),
            keys.clone(),
            &calls,
            phase,
            Some(window),
            &types,
            &keys,
        );
        let mut aggregate =
            Aggregate::new(s, 0, KEY_GROUPS as u32, Addresses::shared_by(1)).expect("new");
        let mut random = Random(9);
        let frames: Vec<Frame> = (0..20).map(|_| frame(&mut random, 700, 3000, 0)).collect();
        run(&mut aggregate, &frames);
        let mut out = Vec::new();
        assert!(rows_of(&emitted(&mut aggregate, Some(-1), 50)).is_empty());
        for bound in [0, 1_500_000_000] {
            let closed = emitted(&mut aggregate, Some(bound), 50);
            for row in rows_of(&closed) {
                let Value::Int(start) = row[window.key] else {
                    panic!("a window's start")
                };
                assert!(start * 1000 + 1_000_000_000 <= i128::from(bound));
            }
            out.extend(closed);
        }
        assert!(aggregate.groups() > 0);
        out.extend(emitted(&mut aggregate, None, 50));
        assert_eq!((aggregate.groups(), aggregate.pages()), (0, 0));
        check(&frames, &keys, &calls, &out);

        let nulls = frame(&mut random, 100, 3000, 5);
        let error = aggregate
            .update(&nulls, &[0; 100])
            .expect_err("NULL in the window key");
        assert!(matches!(error, Error::Row { .. }));
    }
}

#[test]
fn sums_overflow_at_emission_only_and_equal_values_do_not_deviate() {
    let types = schema();
    let calls = [
        call(F::Sum, Some(VI)),
        call(F::Avg, Some(VI)),
        call(F::StddevSamp, Some(VF)),
    ];
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
    let mut add = |values: &[i64]| {
        let mut frame = Frame::new(&types, 10);
        for &v in values {
            for (i, column) in frame.columns.iter_mut().enumerate() {
                match column {
                    Column::I64(c) if i == VI => c.push(Some(v)),
                    Column::F64(c) => c.push(Some(0.1)),
                    other => other.push_null(),
                }
            }
        }
        frame.commit_rows(values.len());
        run(&mut aggregate, &[frame]);
        let mut out = Frame::new(&aggregate.shared.spec.output, 10);
        aggregate.emit(None, &mut EmitCursor::default(), &mut out)?;
        Ok::<_, Error>(rows_of(&[out]).remove(0))
    };
    let row = add(&[i64::MAX - 1, 1]).expect("in range");
    assert_eq!(row[0], Value::Int(i128::from(i64::MAX)));
    assert_eq!(row[2], Value::Float(0.0));
    let error = add(&[1]).expect_err("out of range");
    assert_eq!(error.to_string(), "BIGINT out of range in SUM");
    let row = add(&[-2, i64::MIN]).expect("in range again");
    assert_eq!(row[0], Value::Int(-2));
    assert_eq!(row[1], Value::Float(-2.0 / 5.0));
}

#[test]
fn tables_grow_to_a_million_keys_in_hash_order_of_a_shard() {
    let types = Schema::new(vec![Field::new("k", DataType::Int64)]);
    let calls = [call(F::Count, None)];
    let s = spec(
        types.clone(),
        vec![0],
        &calls,
        Phase::Complete,
        None,
        &types,
        &[0],
    );
    let mut aggregate =
        Aggregate::new(s, 0, KEY_GROUPS as u32, Addresses::shared_by(1)).expect("new");
    for at in (0..1_000_000).step_by(1000) {
        let mut frame = Frame::new(&types, 1000);
        if let Column::I64(c) = &mut frame.columns[0] {
            (at..at + 1000).for_each(|k| c.push(Some(k)));
        }
        frame.commit_rows(1000);
        run(&mut aggregate, &[frame.clone(), frame]);
    }
    assert_eq!(aggregate.groups(), 1_000_000);
    let frames = emitted(&mut aggregate, None, 4096);
    let mut seen = vec![false; 1_000_000];
    let (mut hashes, mut last) = (Vec::new(), 0);
    for frame in &frames {
        hash_keys(frame, &types, &[0], 3, &mut hashes);
        for (i, &hash) in hashes.iter().enumerate() {
            let [Column::I64(k), Column::I64(n)] = &frame.columns[..] else {
                panic!("columns")
            };
            assert_eq!(n.values[i], 2);
            assert!(!std::mem::replace(&mut seen[k.values[i] as usize], true));
            // Pages (more than 256) follow the order of hashes; within one, probing may differ.
            assert!(hash >> 56 >= last);
            last = hash >> 56;
        }
    }
    assert!(seen.iter().all(|&s| s));
}

#[test]
fn each_shard_takes_its_own_groups() {
    let types = schema();
    let calls = [call(F::Count, None)];
    let mut random = Random(5);
    let all = frame(&mut random, 50_000, 20_000, 1);
    let mut hashes = Vec::new();
    hash_keys(&all, &types, &[0], 3, &mut hashes);
    let shards = 3;
    let mut out = Vec::new();
    for shard in 0..shards {
        let groups: Vec<usize> = (0..KEY_GROUPS)
            .filter(|g| g * shards / KEY_GROUPS == shard)
            .collect();
        let s = spec(
            types.clone(),
            vec![0],
            &calls,
            Phase::Complete,
            None,
            &types,
            &[0],
        );
        let mut aggregate = Aggregate::new(
            s,
            groups[0] as u32,
            groups.len() as u32,
            Addresses::shared_by(1),
        )
        .expect("new");
        let rows: Vec<u32> = (0..all.rows() as u32)
            .filter(|&r| crate::hash::owner(hashes[r as usize], shards) == shard)
            .collect();
        let mut own = Frame::new(&types, rows.len());
        own.append_rows(&all, &rows);
        run(&mut aggregate, &[own]);
        out.extend(emitted(&mut aggregate, None, 1024));
    }
    check(&[all], &[0], &calls, &out);
}

/// Zeros and NaNs are equal, so that it must not matter which of them came first.
#[test]
fn least_and_greatest_do_not_depend_on_the_order_of_equals() {
    let schema = Schema::new(vec![Field::new("f", DataType::Float64)]);
    let call = |function| AggregateCall {
        function,
        argument: Some(0),
    };
    let calls = [call(F::Min), call(F::Max)];
    let bits = |values: [f64; 2]| {
        let mut frame = Frame::new(&schema, 2);
        let Column::F64(c) = &mut frame.columns[0] else {
            panic!("not DOUBLE")
        };
        values.iter().for_each(|&v| c.push(Some(v)));
        frame.commit_rows(2);
        let spec = spec(
            schema.clone(),
            vec![],
            &calls,
            Phase::Complete,
            None,
            &schema,
            &[],
        );
        let mut aggregate = Aggregate::new(spec, 0, KEY_GROUPS as u32, Addresses::shared_by(1))
            .expect("an aggregate");
        run(&mut aggregate, &[frame]);
        let out = emitted(&mut aggregate, None, 1).remove(0);
        let bits = |c: &Column| match c {
            Column::F64(c) => c.values[0].to_bits(),
            other => panic!("{other:?} is no DOUBLE"),
        };
        out.columns.iter().map(bits).collect::<Vec<_>>()
    };
    assert_eq!(bits([0.0, -0.0]), bits([-0.0, 0.0]));
    assert_eq!(bits([f64::NAN, -f64::NAN]), bits([-f64::NAN, f64::NAN]));
}

/// A frame may have more rows than those that shards make.
#[test]
fn a_large_frame_of_several_windows() {
    const ROWS: usize = 140_001;
    let time = DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, None);
    let schema = Schema::new(vec![Field::new("t", time)]);
    let mut frame = Frame::new(&schema, ROWS);
    let Column::I64(c) = &mut frame.columns[0] else {
        panic!("not TIMESTAMP")
    };
    (0..ROWS as i64).for_each(|n| c.push(Some(n % 2)));
    frame.commit_rows(ROWS);
    let call = AggregateCall {
        function: F::Count,
        argument: None,
    };
    let window = Some(WindowKey { key: 0, size_ns: 1 });
    let spec = spec(
        schema.clone(),
        vec![0],
        &[call],
        Phase::Complete,
        window,
        &schema,
        &[0],
    );
    let mut aggregate =
        Aggregate::new(spec, 0, KEY_GROUPS as u32, Addresses::shared_by(1)).expect("an aggregate");
    run(&mut aggregate, &[frame]);
    let out = emitted(&mut aggregate, None, 9).remove(0);
    let Column::I64(counts) = &out.columns[1] else {
        panic!("not BIGINT")
    };
    assert_eq!(counts.values, [70_001, 70_000]);
}
