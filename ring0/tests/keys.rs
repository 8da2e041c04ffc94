//! Where keys live: whatever the frames, the rings, and how many shards, a key's rows all meet on
//! one shard, and it is the one that the key's hash names.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_schema::DataType;
use proptest::prelude::*;
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::hash::{hash_keys, owner};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, ExchangeSpec, OperatorSpec, OutputSpec, Phase,
    Program, SourceKind, SourceSpec,
};
use trefoil_ring0::runtime::{Config, Executor, HASH_SEED, ShardReport, start};
use trefoil_ring0::schema::{Field, Schema};

fn schema(fields: &[(&str, DataType)]) -> Arc<Schema> {
    let fields = fields.iter().map(|(name, t)| Field::new(*name, t.clone()));
    Arc::new(Schema::new(fields.collect()))
}

fn key_schema() -> Arc<Schema> {
    schema(&[("number", DataType::Int64), ("text", DataType::Utf8)])
}

type Key = (Option<i64>, Option<String>);

fn frames(keys: &[Key], rows_max: usize) -> Vec<Frame> {
    let chunks = keys.chunks(rows_max).map(|keys| {
        let mut frame = Frame::new(&key_schema(), rows_max);
        for (number, text) in keys {
            match &mut frame.columns[..] {
                [Column::I64(numbers), Column::Utf8(texts)] => {
                    numbers.push(*number);
                    texts.push(text.as_deref());
                }
                other => panic!("{other:?}"),
            }
        }
        frame.commit_rows(keys.len());
        frame
    });
    chunks.collect()
}

/// COUNT(*) by both columns.
fn program(frames: Vec<Frame>) -> Program {
    let counted = schema(&[
        ("number", DataType::Int64),
        ("text", DataType::Utf8),
        ("count", DataType::Int64),
    ]);
    let aggregate = AggregateSpec {
        input: key_schema(),
        keys: vec![0, 1],
        calls: vec![AggregateCall {
            function: AggregateFunction::Count,
            argument: None,
        }],
        phase: Phase::Complete,
        window: None,
        output: Arc::clone(&counted),
    };
    Program::exchanged(
        SourceSpec::new(
            "keys",
            key_schema(),
            SourceKind::Memory {
                frames: Arc::new(frames),
                repeat: 1,
            },
        ),
        Vec::new(),
        ExchangeSpec::hash(key_schema(), vec![0, 1]),
        vec![OperatorSpec::Aggregate(Arc::new(aggregate))],
        OutputSpec::free(counted),
    )
}

/// Counts of keys as they were emitted, and what each shard counted.
fn run(program: &Program, config: &Config) -> (BTreeMap<Key, i64>, Vec<ShardReport>) {
    let mut running = start(program, config).unwrap();
    let mut counts = BTreeMap::new();
    while let Some(block) = running.next_block().unwrap() {
        let [
            Column::I64(numbers),
            Column::Utf8(texts),
            Column::I64(count),
        ] = &block.rows().columns[..]
        else {
            panic!("other columns")
        };
        for i in 0..block.rows().rows() {
            let key = (numbers.get(i), texts.get(i).map(str::to_owned));
            let before = counts.insert(key, count.values[i]);
            assert_eq!(before, None, "a key lives on one shard and is emitted once");
        }
        running.give_back(block);
    }
    (counts, running.finish().unwrap())
}

/// The shard of each key, by the published hash alone.
fn owners(keys: &[Key], shards: usize) -> Vec<usize> {
    let mut hashes = Vec::new();
    for frame in frames(keys, 16) {
        let mut some = Vec::new();
        hash_keys(&frame, &key_schema(), &[0, 1], HASH_SEED, &mut some);
        hashes.extend(some);
    }
    hashes.into_iter().map(|h| owner(h, shards)).collect()
}

fn key() -> impl Strategy<Value = Key> {
    let number = prop_oneof![
        Just(None),
        (-3i64..3).prop_map(Some),
        any::<i64>().prop_map(Some)
    ];
    let text = prop_oneof![
        Just(None),
        "[ab]{0,2}".prop_map(Some),
        ".{0,20}".prop_map(Some)
    ];
    (number, text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_key_lives_on_the_shard_of_its_hash(
        keys in prop::collection::vec(key(), 1..400),
        source_rows in 1usize..50,
    ) {
        let program = program(frames(&keys, source_rows));
        let mut want = BTreeMap::new();
        keys.iter().for_each(|key| *want.entry(key.clone()).or_default() += 1);
        // As rows, and as groups of which only some have room.
        let sizes = [
            (1, 7, 2, 9), (2, 1, 2, 0), (5, 3, 4, 0), (8, 1024, 64, 0), (2, 1, 2, 1), (5, 3, 4, 7),
            (3, 8, 2, 1000),
        ];
        for (shards, frame_rows, ring_messages, combine_groups) in sizes {
            let executor = Executor::Threads;
            let sizes = Config { frame_rows, ring_messages, combine_groups, ..Config::default() };
            let config = Config { shards, executor, ..sizes };
            let (counts, reports) = run(&program, &config);
            prop_assert_eq!(&counts, &want);
            let inputs = reports.iter().flat_map(|r| &r.inputs);
            let applied: u64 = inputs.map(|(_, counters)| counters.rows_applied).sum();
            prop_assert_eq!(applied, keys.len() as u64, "each row is applied once");
            let combined: u64 = reports.iter().flat_map(|r| &r.combined).map(|(_, n)| n).sum();
            match (shards > 1, combine_groups) {
                (true, 1000) => prop_assert_eq!(combined, keys.len() as u64),
                (true, 1 | 7) => prop_assert!(combined > 0),
                _ => prop_assert_eq!(combined, 0),
            }
            let owners = owners(&keys, shards);
            for (shard, report) in reports.iter().enumerate() {
                let here = keys.iter().zip(&owners).filter(|(_, owner)| **owner == shard);
                let distinct: BTreeSet<&Key> = here.clone().map(|(key, _)| key).collect();
                prop_assert_eq!(report.rows_out, distinct.len() as u64, "keys of shard {}", shard);
                let here = here.count() as u64;
                let arrived = || reports.iter().map(|r| r.crossed[0].1[shard]).sum::<u64>();
                if shards > 1 && combine_groups == 0 {
                    prop_assert_eq!(arrived(), here, "rows of shard {}", shard);
                } else if shards > 1 {
                    prop_assert!(arrived() <= here, "groups are no more than rows");
                }
            }
        }
    }
}
