//! Rows that are gathered go on to other shards, and leave in the order that they would have had.

use std::sync::Arc;

use arrow_schema::DataType;
use proptest::prelude::*;

use super::*;
use crate::column::Column;
use crate::hash::{hash_keys, owner};
use crate::operator::latest::{Latest, LatestSpec};
use crate::operator::sort::{Sort, SortSpec};
use crate::order::SortKey;
use crate::program::Routing;
use crate::schema::{Field, Schema};
use crate::snapshot::{decode, encode};
use crate::stage::Place;
use crate::table::store::Addresses;

const SEED: u64 = crate::build::HASH_SEED;

fn schema() -> Arc<Schema> {
    let fields = ["k", "n"].map(|name| Field::new(name, DataType::Int64));
    Arc::new(Schema::new(fields.to_vec()))
}

/// What each of so many shards has, of rows that an exchange routes so.
fn shards(count: usize, routing: &Routing, make: &dyn Fn() -> Ordered) -> Vec<OrderedState> {
    let group = |shard: usize| (shard * crate::limits::KEY_GROUPS).div_ceil(count) as u32;
    let state = |shard: usize| {
        let place = Place {
            shard,
            frame_rows: 7,
            begun_ns: 0,
            first_group: group(shard),
            groups: group(shard + 1) - group(shard),
            seed: SEED,
            addresses: Addresses::shared_by(8),
        };
        let by = match routing {
            Routing::Hash(by) => Some(by.clone()).filter(|by| by.iter().all(|column| *column < 2)),
            _ => None,
        };
        let owned = place.owned(*routing == Routing::Single, by);
        OrderedState::new(make(), OfInput::None, owned, SEED)
    };
    (0..count).map(state).collect()
}

fn update(shards: &mut [OrderedState], routing: &Routing, rows: &[(i64, i64)]) {
    let schema = schema();
    for (k, n) in rows {
        let mut frame = Frame::new(&schema, 1);
        for (column, value) in frame.columns.iter_mut().zip([*k, *n]) {
            let Column::I64(column) = column else {
                panic!("BIGINT")
            };
            column.push(Some(value));
        }
        frame.commit_rows(1);
        let to = match routing {
            Routing::Hash(by) => {
                let mut hashes = Vec::new();
                hash_keys(&frame, &schema, by, SEED, &mut hashes);
                owner(hashes[0], shards.len())
            }
            _ => 0,
        };
        shards[to].update(&frame);
    }
}

fn go_on(
    from: &mut [OrderedState],
    count: usize,
    routing: &Routing,
    make: &dyn Fn() -> Ordered,
) -> Vec<OrderedState> {
    let mut to = shards(count, routing, make);
    let same = from.len() == count;
    for (of, from) in from.iter_mut().enumerate() {
        while let Some(rows) = from.save() {
            assert!((1..=SLICE_ROWS).contains(&rows.num_rows()));
            let rows = decode(&encode(&rows)).expect("a batch");
            for (shard, to) in to.iter_mut().enumerate() {
                to.load(&rows, same.then_some(of == shard)).expect("load");
            }
        }
    }
    to
}

fn left(shards: &mut [OrderedState]) -> Vec<(i64, i64)> {
    let mut rows = Vec::new();
    for shard in shards {
        loop {
            let mut out = Frame::new(&schema(), 7);
            let progress = shard.emit(&mut out).expect("rows");
            let [Column::I64(k), Column::I64(n)] = &out.columns[..] else {
                panic!("BIGINT")
            };
            rows.extend(k.values.iter().copied().zip(n.values.iter().copied()));
            if progress == Progress::Done {
                break;
            }
        }
    }
    rows
}

/// The rows that leave after all of these lives.
fn ran(
    lives: &[usize],
    rows: &[(i64, i64)],
    routing: &Routing,
    make: &dyn Fn() -> Ordered,
) -> Vec<(i64, i64)> {
    let mut all = shards(1, routing, make);
    for (number, some) in rows.chunks(rows.len() / lives.len() + 1).enumerate() {
        all = go_on(&mut all, lives[number], routing, make);
        update(&mut all, routing, some);
    }
    left(&mut go_on(&mut all, 3, routing, make))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_go_on(
        keys in prop::collection::vec(0i64..20, 0..6000),
        lives in prop::collection::vec(1usize..5, 1..5),
        fetch in prop::option::of(0usize..3000),
    ) {
        let rows: Vec<(i64, i64)> = keys.into_iter().zip(0..).collect();
        let spec = SortSpec { schema: schema(), keys: vec![SortKey::ascending(0)], skip: 2, fetch };
        let sort = || Ordered::Sort(Sort::new(&spec).expect("a column"));
        let mut want = rows.clone();
        want.sort();
        let want: Vec<_> = want.into_iter().skip(2).take(fetch.unwrap_or(usize::MAX)).collect();
        prop_assert_eq!(ran(&lives, &rows, &Routing::Single, &sort), want);

        let spec = LatestSpec { schema: schema(), keys: vec![0] };
        let latest = || Ordered::Latest(Latest::new(&spec).expect("a key"));
        let stand = |at: &usize| rows[at + 1..].iter().all(|later| later.0 != rows[*at].0);
        let mut want: Vec<_> = (0..rows.len()).filter(stand).map(|at| rows[at]).collect();
        want.sort();
        let mut got = ran(&lives, &rows, &Routing::Hash(vec![0]), &latest);
        got.sort();
        prop_assert_eq!(got, want);
    }
}

/// Rows of which nothing says whose they are stay with as many shards as before.
#[test]
fn rows_that_are_not_routed_stay_where_they_are() {
    let spec = LatestSpec {
        schema: schema(),
        keys: vec![0],
    };
    let latest = || Ordered::Latest(Latest::new(&spec).expect("a key"));
    let routing = Routing::Hash(vec![5]);
    let mut two = shards(2, &routing, &latest);
    update(&mut two[1..], &Routing::Single, &[(1, 2), (3, 4)]);
    let rows = two[1].save().expect("rows");
    let loaded = shards(3, &routing, &latest)[0].load(&rows, None);
    assert!(
        loaded
            .expect_err("of whom")
            .to_string()
            .contains("as many shards")
    );
    assert_eq!(two[1].save(), None);
    let mut same = go_on(&mut two, 2, &routing, &latest);
    assert_eq!(left(&mut same[..1]), []);
    assert_eq!(left(&mut same[1..]), [(1, 2), (3, 4)]);
}
