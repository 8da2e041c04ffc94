//! Sessions that go on from rows of state, on other shards than before.

use super::*;
use crate::hash::owner;
use crate::snapshot::{Owned, decode, encode};

/// The seed of hashes, as `frame_of` has it.
const SEED: u64 = 7;

/// All state, taken up by so many shards.
fn go_on(from: &mut [Sessions], spec: &Arc<SessionSpec>, shards: usize) -> Vec<Sessions> {
    let mut to: Vec<Sessions> = (0..shards).map(|_| sessions(spec)).collect();
    for from in from.iter_mut() {
        while let Some(rows) = from.save().expect("save") {
            let rows = decode(&encode(&rows)).expect("a batch");
            for (shard, to) in to.iter_mut().enumerate() {
                let owned = Owned::of_shard(shard, shards, 1);
                to.load(&rows, &owned, SEED).expect("load");
            }
        }
    }
    let groups = |all: &[Sessions]| all.iter().map(Sessions::groups).sum::<usize>();
    assert_eq!(groups(&to), groups(from), "each session is one shard's");
    to
}

/// Rows by the shard that they go to.
fn routed(rows: &[Row], shards: &[Sessions]) -> Vec<Vec<Row>> {
    let mut routed = vec![Vec::new(); shards.len()];
    let (_, hashes) = frame_of(&shards[0], rows);
    for (row, hash) in rows.iter().zip(hashes) {
        routed[owner(hash, shards.len())].push(row.clone());
    }
    routed
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((text(), 0i64..300, text()), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// As without an interruption, whatever shards there are, and whatever closed before.
    #[test]
    fn sessions_go_on(
        rows in rows(),
        gap in prop_oneof![1i64..5, 1i64..60],
        lives in prop::collection::vec(1usize..5, 1..5),
        lag in 0i64..60,
    ) {
        let spec = spec(gap);
        let mut shards = vec![sessions(&spec)];
        let (mut got, mut taken, mut greatest) = (Vec::new(), Vec::new(), 0);
        for (number, some) in rows.chunks(rows.len() / lives.len() + 1).enumerate() {
            shards = go_on(&mut shards, &spec, lives[number]);
            let some = some.iter();
            let by = number as i64 * 40;
            let some = some.map(|(k, t, s)| (k.clone(), t / 3 + by, s.clone()));
            let on_time: Vec<Row> = some.filter(|(_, t, _)| *t >= greatest - lag).collect();
            greatest = on_time.iter().map(|r| r.1).chain([greatest]).max().expect("one");
            let routed = routed(&on_time, &shards);
            for (shard, rows) in shards.iter_mut().zip(routed) {
                update(shard, &rows);
            }
            taken.extend(on_time);
            for shard in &mut shards {
                got.extend(emitted(shard, Some(greatest - lag), 16));
            }
        }
        for shard in &mut shards {
            got.extend(emitted(shard, None, 16));
            prop_assert_eq!((shard.groups(), shard.table.len()), (0, 0));
        }
        got.sort();
        prop_assert_eq!(got, model(&taken, gap));
    }

    /// What was told of a session is taken back by who has it then.
    #[test]
    fn changes_go_on(
        rows in rows(),
        gap in prop_oneof![1i64..5, 1i64..60],
        lives in prop::collection::vec(1usize..5, 1..5),
    ) {
        let spec = spec_of(gap, Phase::Changes);
        let mut shards = vec![sessions(&spec)];
        let mut standing = Vec::new();
        for (number, some) in rows.chunks(rows.len() / lives.len() + 1).enumerate() {
            shards = go_on(&mut shards, &spec, lives[number]);
            let routed = routed(some, &shards);
            for (shard, rows) in shards.iter_mut().zip(routed) {
                let (frame, hashes) = frame_of(shard, &rows);
                let mut out = Frame::new(&spec.aggregate.output, 4096);
                let upto = shard.change(&frame, &hashes, 0, &mut out).expect("change");
                prop_assert_eq!(upto, rows.len());
                let Some(Column::I8(ops)) = out.columns.last() else { panic!("ops") };
                for (op, row) in ops.values.iter().zip(rows_of(&out)) {
                    if *op > 0 {
                        standing.push(row);
                    } else {
                        let at = standing.iter().position(|r| *r == row);
                        standing.swap_remove(at.expect("what goes stood"));
                    }
                }
            }
        }
        standing.sort();
        prop_assert_eq!(standing, model(&rows, gap));
    }
}

/// More sessions than a slice has, of a key and of many.
#[test]
fn sessions_are_handed_on_in_slices() {
    let spec = spec(2);
    let mut one = sessions(&spec);
    let row = |n: i64| (Some(format!("{}", n % 700 % 31)), n * 3, None);
    let rows: Vec<Row> = (0..5000).map(row).collect();
    update(&mut one, &rows);
    let mut all = [one];
    let mut shards = go_on(&mut all, &spec, 3);
    let closed = shards.iter_mut().flat_map(|s| emitted(s, None, 64));
    let mut closed: Vec<Closed> = closed.collect();
    closed.sort();
    assert_eq!(closed, model(&rows, 2));
    // What was handed on once is handed on again, from the beginning.
    let mut slices = 0;
    while let Some(rows) = all[0].save().expect("save") {
        assert!(rows.num_rows() <= crate::snapshot::SLICE_ROWS);
        slices += 1;
    }
    assert_eq!(slices, 5);
}

#[test]
fn sessions_that_come_twice_are_refused() {
    let spec = spec(2);
    let mut one = sessions(&spec);
    update(&mut one, &[(Some("a".to_owned()), 5, None)]);
    let rows = one.save().expect("save").expect("a session");
    let mut other = sessions(&spec);
    other.load(&rows, &Owned::All, SEED).expect("load");
    let again = other.load(&rows, &Owned::All, SEED);
    assert!(again.expect_err("twice").to_string().contains("twice"));
}
