//! Panes that go on from rows of state, on other shards than before, in the midst of closing.

use super::*;
use crate::hash::owner;
use crate::snapshot::{Owned, decode, encode};

/// All state, taken up by so many shards.
fn go_on(from: &mut [Panes], spec: &Arc<PanesSpec>, shards: usize) -> Vec<Panes> {
    let mut to: Vec<Panes> = (0..shards).map(|_| panes(spec)).collect();
    for from in from {
        while let Some(rows) = from.save().expect("save") {
            assert!(rows.num_rows() <= crate::snapshot::SLICE_ROWS);
            let rows = decode(&encode(&rows)).expect("a batch");
            for (shard, to) in to.iter_mut().enumerate() {
                let owned = Owned::of_shard(shard, shards, 1);
                to.load(&rows, &owned, 7).expect("load");
            }
        }
    }
    to
}

/// Gives rows in frames, with watermarks in between, each time to as many shards as `lives` says
/// next, and checks what comes, once.
fn check(
    rows: &[Row],
    shape @ (size, slide, offset): (i64, i64, i64),
    lag: i64,
    frame_rows: usize,
    lives: &[usize],
) {
    let spec = spec(size, slide, offset);
    let mut shards = vec![panes(&spec)];
    let (mut got, mut taken, mut greatest) = (Groups::new(), Vec::new(), None);
    for (frame, count) in rows.chunks(frame_rows).zip(lives.iter().cycle()) {
        shards = go_on(&mut shards, &spec, *count);
        let mut on_time = Vec::new();
        for row in frame {
            let mark = greatest.map(|g: i64| g - lag);
            let row = Row {
                mark,
                ..row.clone()
            };
            greatest = greatest.max(Some(row.time));
            if !starts(&row, shape).is_empty() {
                on_time.push(row);
            }
        }
        let mut routed = vec![Vec::new(); *count];
        let (_, hashes) = frame_of(&shards[0], &on_time);
        for (row, hash) in on_time.iter().zip(hashes) {
            routed[owner(hash, *count)].push(row.clone());
        }
        taken.extend(on_time);
        for (shard, rows) in shards.iter_mut().zip(routed) {
            update(shard, &rows);
            let upto = greatest.expect("rows") - lag;
            emit(shard, Some(upto), 16, &mut got);
        }
    }
    for shard in &mut shards {
        emit(shard, None, 16, &mut got);
        assert_eq!(shard.pages(), 0, "all state is given back");
    }
    assert_alike(&got, &model(&taken, shape));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn windows_go_on(
        rows in prop::collection::vec(row(), 1..250),
        shape in shape(),
        pace in prop::sample::select(vec![0i64, 1, 3, 40]),
        lag in prop_oneof![0i64..5, 0i64..60],
        frame_rows in prop::sample::select(vec![11usize, 40]),
        lives in prop::collection::vec(1usize..5, 1..5),
    ) {
        let mut rows = rows;
        for (number, row) in rows.iter_mut().enumerate() {
            row.time += number as i64 * pace / 2;
        }
        check(&rows, shape, lag, frame_rows, &lives);
    }
}

/// More groups than a slice has, and late rows within windows of hundreds of slides.
#[test]
fn many_groups_and_many_windows_go_on() {
    check(
        &rows(9_000, 4_000, |n| n / 300),
        (10, 2, 1),
        3,
        1024,
        &[1, 3],
    );
    let late = |n: i64| n - if n % 97 == 0 { 100 } else { 0 };
    check(&rows(1_500, 3, late), (201, 1, 0), 10, 256, &[2, 1, 3]);
    check(&rows(1_500, 3, |n| 2 * late(n)), (401, 2, 1), 10, 256, &[1]);
}

#[test]
fn rows_of_no_pane_are_refused() {
    let spec = spec(10, 5, 0);
    let mut one = panes(&spec);
    update(&mut one, &rows(1, 1, |n| n));
    let rows = one.save().expect("save").expect("a pane");
    let plain = crate::snapshot::batch(rows.columns().to_vec(), rows.num_rows(), &[]);
    let loaded = panes(&spec).load(&plain, &Owned::All, 7);
    assert!(
        loaded
            .expect_err("no pane")
            .to_string()
            .contains("other groups")
    );
}
