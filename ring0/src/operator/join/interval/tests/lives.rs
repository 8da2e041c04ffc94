//! What is handed on and taken up by other joins goes on as if nothing had been.

use super::*;
use crate::limits::KEY_GROUPS;
use crate::snapshot::Owned;

const SEED: u64 = 7;

/// So many joins that share all keys; one, where there is no key.
fn joins(case: &Case, shards: u32) -> Vec<(IntervalJoin, Owned)> {
    let shards = if case.by_key { shards } else { 1 };
    let groups = KEY_GROUPS as u32 / shards;
    let owned = |shard: u32| match shards {
        1 => Owned::All,
        _ => Owned::Routed {
            by: vec![0],
            first: shard * groups,
            groups: match shard + 1 == shards {
                true => KEY_GROUPS as u32 - shard * groups,
                false => groups,
            },
        },
    };
    let make = |shard| {
        let owned = owned(shard);
        let sides = [Some(owned.clone()), Some(owned.clone())];
        (case.join().0.owning(sides), owned)
    };
    (0..shards).map(make).collect()
}

fn feed(
    case: &Case,
    joins: &mut [(IntervalJoin, Owned)],
    event: &Event,
    reached: &mut Reached,
    out: &mut Out,
) {
    let (out, pairs) = out;
    if let Event::Watermark(port, time) = event {
        reached[*port] = Some(i128::from(*time) * 1000);
    }
    for (join, owned) in joins {
        match event {
            Event::Rows(port, rows) => {
                let mine = owned.rows(&frame(rows), &schema(), SEED);
                let rows: Vec<Row> = mine.into_iter().map(|row| rows[row]).collect();
                let frame = frame(&rows);
                join.take_from(*port, *reached);
                while join.take(&frame, out).0 == Flow::Full {
                    drain(case, out, pairs);
                }
            }
            Event::Watermark(port, _) => {
                join.take_from(*port, *reached);
                while join.forget_all(out) == Flow::Full {
                    drain(case, out, pairs);
                }
            }
        }
        drain(case, out, pairs);
    }
}

type Reached = [Option<i128>; 2];
type Out = (Frame, Vec<Pair>);

/// What joins give that hand on what they hold at each turn of lives.
fn run_lives(case: &Case, lives: &[(u32, &[Event])]) -> Vec<Pair> {
    let mut out = (Frame::new(&case.join().1, case.frame_rows), Vec::new());
    let mut handed_on = Vec::new();
    for (number, (shards, events)) in lives.iter().enumerate() {
        let mut joins = joins(case, *shards);
        for (join, _) in &mut joins {
            for rows in &handed_on {
                join.load(rows, None).expect("what was saved");
            }
        }
        // Inputs say again where they are.
        let mut reached = [None; 2];
        for event in *events {
            feed(case, &mut joins, event, &mut reached, &mut out);
        }
        handed_on.clear();
        for (join, _) in &mut joins {
            if number + 1 < lives.len() {
                handed_on.extend(std::iter::from_fn(|| join.save()));
                continue;
            }
            join.take_from(0, [Some(ENDED); 2]);
            while join.forget_all(&mut out.0) == Flow::Full {
                drain(case, &mut out.0, &mut out.1);
            }
            drain(case, &mut out.0, &mut out.1);
        }
    }
    out.1.sort_unstable();
    out.1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// All kinds of joins, ended wherever it is, whoever goes on.
    #[test]
    fn lives_give_what_one_gives(
        kind in kind(),
        bounds in (-4..8i64, -4..8i64),
        lag in prop::sample::select(vec![[0, 0], [4, 0], [3, 7]]),
        (by_key, nulls_equal, condition) in any::<(bool, bool, bool)>(),
        mut events in events(),
        shards in prop::collection::vec(1..5u32, 1..5),
    ) {
        ordered(&mut events, lag);
        let (lower, upper) = bounds;
        let case = Case { kind, lower, upper, lag, by_key, nulls_equal, condition, frame_rows: 7 };
        let mut sides = [Vec::new(), Vec::new()];
        for event in &events {
            if let Event::Rows(port, rows) = event {
                sides[*port].extend(rows);
            }
        }
        let each = events.len().div_ceil(shards.len()).max(1);
        let mut parts = events.chunks(each);
        let lives: Vec<_> = shards.iter().map(|&s| (s, parts.next().unwrap_or(&[]))).collect();
        prop_assert_eq!(run_lives(&case, &lives), case.model(&sides));
    }
}

/// More than a slice is handed on, each row once.
#[test]
fn slices_of_many_rows() {
    let rows: Vec<Row> = (0..5_000).map(|n| (Some(n % 700), n % 10, n)).collect();
    let [before, behind] = [0, 1].map(|port| Event::Rows(port, rows.clone()));
    let lives = [(3, &[before][..]), (2, &[]), (4, &[behind])];
    let wanted = PLAIN.model(&[rows.clone(), rows]);
    assert_eq!(run_lives(&PLAIN, &lives), wanted);
}

/// Rows of no key that says where they are stay with their shard, and go nowhere else.
#[test]
fn rows_that_stay_where_they_were_read() {
    let mut join = PLAIN.join().0;
    let rows = frame(&[(Some(1), 1, 1)]);
    let mut out = Frame::new(&PLAIN.join().1, 7);
    join.take_from(0, [None; 2]);
    while join.take(&rows, &mut out).0 == Flow::Full {}
    let saved = join.save().expect("a row");
    assert!(
        join.save().is_none() && join.save().is_some(),
        "it begins anew"
    );
    for (same_shard, held) in [(Some(true), Some(1)), (Some(false), Some(0)), (None, None)] {
        let mut other = PLAIN.join().0;
        let loaded = other.load(&saved, same_shard);
        assert_eq!(loaded.is_ok().then(|| other.held[0].len()), held);
    }
}
