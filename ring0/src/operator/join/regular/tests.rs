//! Regular joins against two nested loops over the rows that stand, after each change.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use proptest::prelude::*;

use super::*;
use crate::changelog::{DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE};
use crate::column::Column;
use crate::expr::{BinaryOp, Expr};
use crate::limits::KEY_GROUPS;
use crate::program::Keep;
use crate::schema::Field;

/// A key and a number.
type Pair = (Option<i64>, i64);
/// A row of the result: both sides, and what is said of one.
type Given3 = (Option<Pair>, Option<Pair>, Option<bool>);
/// What stands, and how often.
type Bag<T> = BTreeMap<T, i64>;

#[derive(Debug, Clone)]
struct Case {
    kind: JoinKind,
    by_key: bool,
    nulls_equal: bool,
    condition: bool,
    frame_rows: usize,
}

/// The rows of a frame of one side, and what each does.
type Frames = Vec<(usize, Vec<(Pair, i8)>)>;

fn side_schema() -> Schema {
    Schema::new(vec![
        Field::new("k", DataType::Int64),
        Field::new("n", DataType::Int64),
    ])
}

impl Case {
    fn join(&self) -> (RegularJoin, Arc<Schema>) {
        let column = |at| Box::new(Expr::Column(at));
        let mut fields = side_schema().fields;
        match self.kind {
            JoinKind::Pairs { .. } => fields.extend(side_schema().fields),
            JoinKind::Mark(_) => fields.push(Field::new("m", DataType::Boolean)),
            JoinKind::Semi(_) | JoinKind::Anti(_) => {}
        }
        let output = changelog::weighted(Schema::new(fields));
        let keys = Vec::from_iter(self.by_key.then_some(0));
        let input = changelog::weighted(side_schema());
        let spec = JoinSpec {
            inputs: [Arc::clone(&input), input],
            keys: [keys.clone(), keys],
            nulls_equal: self.nulls_equal,
            not_in: false,
            condition: (self.condition).then(|| Expr::Binary(BinaryOp::Lt, column(1), column(3))),
            near: None,
            kind: self.kind,
            keep: Keep::Changes,
            output: Arc::clone(&output),
        };
        (
            RegularJoin::new(&Arc::new(spec), 7).expect("a join"),
            output,
        )
    }

    fn matches(&self, l: &Pair, r: &Pair) -> bool {
        let equal = match (l.0, r.0) {
            (None, None) => self.nulls_equal,
            (a, b) => a.is_some() && a == b,
        };
        (!self.by_key || equal) && (!self.condition || l.1 < r.1)
    }

    fn model(&self, sides: &[Bag<Pair>; 2]) -> Bag<Given3> {
        let mut given: Bag<Given3> = BTreeMap::new();
        let mut met = [BTreeMap::new(), BTreeMap::new()];
        for (l, n) in &sides[0] {
            for (r, m) in sides[1].iter().filter(|(r, _)| self.matches(l, r)) {
                *met[0].entry(*l).or_insert(0) += m;
                *met[1].entry(*r).or_insert(0) += n;
                if let JoinKind::Pairs { .. } = self.kind {
                    *given.entry((Some(*l), Some(*r), None)).or_insert(0) += n * m;
                }
            }
        }
        for side in [Side::Left, Side::Right] {
            let port = side.port();
            for (row, n) in sides[port].iter().filter(|_| self.kind.tells(side)) {
                let met = met[port].get(row).is_some_and(|m| *m > 0);
                let (l, r) = match side {
                    Side::Left => (Some(*row), None),
                    Side::Right => (None, Some(*row)),
                };
                let mark = match self.kind {
                    JoinKind::Pairs { .. } | JoinKind::Anti(_) if met => continue,
                    JoinKind::Semi(_) if !met => continue,
                    JoinKind::Mark(_) => Some(met),
                    _ => None,
                };
                *given.entry((l, r, mark)).or_insert(0) += n;
            }
        }
        given.retain(|_, n| *n != 0);
        given
    }
}

fn frame(rows: &[(Pair, i8)]) -> Frame {
    let mut frame = Frame::new(&changelog::weighted(side_schema()), rows.len().max(1));
    for ((k, n), op) in rows {
        for (column, value) in frame.columns.iter_mut().zip([*k, Some(*n)]) {
            let Column::I64(column) = column else {
                panic!("BIGINT")
            };
            column.push(value);
        }
        changelog::push(&mut frame, *op);
    }
    frame.commit_rows(rows.len());
    frame
}

/// Applies what came out, and checks that both rows of an update are next to each other.
fn drain(case: &Case, out: &mut Frame, stands: &mut Bag<Given3>) {
    let ops = changelog::given(out).to_vec();
    for row in 0..out.rows() {
        let value = |column: usize| match &out.columns[column] {
            Column::I64(c) => c.get(row),
            other => panic!("{other:?} is no BIGINT"),
        };
        let pair = |first: usize| value(first + 1).map(|n| (value(first), n));
        let mark = match &out.columns[out.columns.len() - 2] {
            Column::Bool(marks) => Some(marks.values.get(row)),
            _ => None,
        };
        let given = match case.kind.asked() {
            None => (pair(0), pair(2), None),
            Some(Side::Left) => (pair(0), None, mark),
            Some(Side::Right) => (None, pair(0), mark),
        };
        match ops[row] {
            UPDATE_BEFORE => assert_eq!(ops.get(row + 1), Some(&UPDATE_AFTER)),
            UPDATE_AFTER => assert_eq!(ops[row - 1], UPDATE_BEFORE),
            _ => {}
        }
        *stands.entry(given).or_insert(0) += i64::from(ops[row].signum());
    }
    stands.retain(|_, n| *n != 0);
    out.clear();
}

fn feed(case: &Case, join: &mut RegularJoin, port: usize, rows: &[(Pair, i8)]) -> Bag<Given3> {
    let mut stands = BTreeMap::new();
    let frame = frame(rows);
    let schema = case.join().1;
    let mut out = Frame::new(&schema, case.frame_rows);
    join.take_from(port, [None; 2]);
    loop {
        let (flow, failed) = join.take(&frame, &mut out);
        assert!(failed.is_empty());
        drain(case, &mut out, &mut stands);
        if flow == Flow::Done {
            return stands;
        }
    }
}

fn add(to: &mut Bag<Given3>, more: Bag<Given3>) {
    for (row, n) in more {
        *to.entry(row).or_insert(0) += n;
    }
    to.retain(|_, n| *n != 0);
}

/// Makes changes of what is drawn: a row comes, or one that stands goes, or becomes another.
fn changes(drawn: Vec<(usize, Vec<(Pair, u8)>)>) -> Frames {
    let mut bags: [Vec<Pair>; 2] = [Vec::new(), Vec::new()];
    let mut frames = Vec::new();
    for (port, rows) in drawn {
        let mut changes = Vec::new();
        for (row, action) in rows {
            let bag = &mut bags[port];
            match (action % 4, bag.is_empty()) {
                (0 | 1, _) | (_, true) => {
                    bag.push(row);
                    changes.push((row, INSERT));
                }
                (2, false) => {
                    let at = usize::from(action) % bag.len();
                    changes.push((bag.swap_remove(at), DELETE));
                }
                (_, false) => {
                    let at = usize::from(action) % bag.len();
                    changes.push((std::mem::replace(&mut bag[at], row), UPDATE_BEFORE));
                    changes.push((row, UPDATE_AFTER));
                }
            }
        }
        frames.push((port, changes));
    }
    frames
}

fn apply(bag: &mut Bag<Pair>, rows: &[(Pair, i8)]) {
    for (row, op) in rows {
        *bag.entry(*row).or_insert(0) += i64::from(op.signum());
    }
    bag.retain(|_, n| *n != 0);
}

fn kind() -> impl Strategy<Value = JoinKind> {
    let side = any::<bool>().prop_map(|left| if left { Side::Left } else { Side::Right });
    prop_oneof![
        3 => any::<[bool; 2]>().prop_map(|[left, right]| JoinKind::Pairs { left, right }),
        1 => side.clone().prop_map(JoinKind::Semi),
        1 => side.clone().prop_map(JoinKind::Anti),
        1 => side.prop_map(JoinKind::Mark),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let frame_rows = prop::sample::select(&[3, 7, 1024][..]);
    (kind(), any::<[bool; 3]>(), frame_rows).prop_map(
        |(kind, [by_key, nulls_equal, condition], frame_rows)| Case {
            kind,
            by_key,
            nulls_equal,
            condition,
            frame_rows,
        },
    )
}

fn frames() -> impl Strategy<Value = Frames> {
    let key = prop_oneof![1 => Just(None), 6 => (0..3i64).prop_map(Some)];
    let row = ((key, 0..4i64), any::<u8>());
    let frame = (0..2usize, prop::collection::vec(row, 1..6));
    prop::collection::vec(frame, 0..30).prop_map(changes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// What stands after each frame is what nested loops give over the rows that stand.
    #[test]
    fn joins_are_what_nested_loops_give(case in case(), frames in frames()) {
        let mut join = case.join().0;
        let mut sides = [BTreeMap::new(), BTreeMap::new()];
        let mut stands = BTreeMap::new();
        for (port, rows) in &frames {
            apply(&mut sides[*port], rows);
            add(&mut stands, feed(&case, &mut join, *port, rows));
            prop_assert_eq!(&stands, &case.model(&sides));
        }
    }

    /// In whatever order changes come: rows that went before they came are even in the end.
    #[test]
    fn any_order_comes_to_the_same(
        case in case(),
        frames in frames(),
        turns in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut sides = [BTreeMap::new(), BTreeMap::new()];
        let mut single: Vec<(usize, (Pair, i8))> = Vec::new();
        for (port, rows) in &frames {
            apply(&mut sides[*port], rows);
            single.extend(rows.iter().map(|(row, op)| (*port, (*row, op.signum()))));
        }
        for (to, from) in turns.iter().enumerate() {
            if !single.is_empty() {
                let (to, from) = (to % single.len(), from.index(single.len()));
                single.swap(to, from);
            }
        }
        let mut join = case.join().0;
        let mut stands = BTreeMap::new();
        for (port, row) in single {
            add(&mut stands, feed(&case, &mut join, port, &[row]));
        }
        prop_assert_eq!(&stands, &case.model(&sides));
        if sides.iter().all(BTreeMap::is_empty) {
            prop_assert!(join.rows.iter().all(|rows| rows.rows.is_empty()), "all is forgotten");
        }
    }

    /// What is handed on and taken up by others, of which each has its keys, goes on as if nothing
    /// had been.
    #[test]
    fn lives_give_what_one_gives(case in case(), frames in frames(), shards in 1..4u32) {
        let mut sides = [BTreeMap::new(), BTreeMap::new()];
        let mut stands = BTreeMap::new();
        let (before, behind) = frames.split_at(frames.len() / 2);
        let mut join = case.join().0;
        for (port, rows) in before {
            apply(&mut sides[*port], rows);
            add(&mut stands, feed(&case, &mut join, *port, rows));
        }
        let saved: Vec<_> = std::iter::from_fn(|| join.save()).collect();
        prop_assert_eq!(std::iter::from_fn(|| join.save()).count(), saved.len(), "it begins anew");
        let shards = if case.by_key { shards } else { 1 };
        let owned = |shard| match shards {
            1 => Owned::All,
            _ => Owned::of_shard(shard as usize, shards as usize, 1),
        };
        prop_assert!(shards as usize <= KEY_GROUPS);
        let mut joins: Vec<_> = (0..shards)
            .map(|shard| {
                let both = [Some(owned(shard)), Some(owned(shard))];
                let mut join = case.join().0.owning(both);
                saved.iter().for_each(|rows| join.load(rows, None).expect("what was saved"));
                join
            })
            .collect();
        for (port, rows) in behind {
            apply(&mut sides[*port], rows);
            for (shard, join) in joins.iter_mut().enumerate() {
                // An update whose rows part was taken apart.
                let rows: Vec<_> = rows.iter().map(|(row, op)| (*row, op.signum())).collect();
                let all = frame(&rows);
                let schema = changelog::weighted(side_schema());
                let mine = owned(shard as u32).rows(&all, &schema, 7);
                let mine: Vec<_> = mine.into_iter().map(|row| rows[row]).collect();
                add(&mut stands, feed(&case, join, *port, &mine));
            }
        }
        prop_assert_eq!(&stands, &case.model(&sides));
    }
}

/// A row that matches very many gives them by frames, and the same where it goes again.
#[test]
fn a_row_with_very_many_matches() {
    const ROWS: i64 = 50_000;
    for condition in [false, true] {
        let case = Case {
            kind: JoinKind::Pairs {
                left: true,
                right: true,
            },
            by_key: true,
            nulls_equal: false,
            condition,
            frame_rows: 256,
        };
        let (mut join, schema) = case.join();
        let rows: Vec<_> = (0..ROWS).map(|n| ((Some(1), n), INSERT)).collect();
        let mut stands = BTreeMap::new();
        for rows in rows.chunks(1000) {
            add(&mut stands, feed(&case, &mut join, 0, rows));
        }
        let row = ((Some(1), ROWS), INSERT);
        join.take_from(1, [None; 2]);
        let (frame, mut out) = (frame(&[row]), Frame::new(&schema, 256));
        let mut steps = 0;
        loop {
            let (flow, _) = join.take(&frame, &mut out);
            assert!(out.rows() <= 256, "a frame at a time");
            drain(&case, &mut out, &mut stands);
            steps += 1;
            if flow == Flow::Done {
                break;
            }
        }
        assert!(steps > 300, "{steps}");
        assert_eq!(stands.len(), ROWS as usize);
        assert!(stands.keys().all(|(_, r, _)| r.is_some()), "all match");
        add(
            &mut stands,
            feed(&case, &mut join, 1, &[((Some(1), ROWS), DELETE)]),
        );
        assert!(stands.keys().all(|(_, r, _)| r.is_none()), "none does");
        assert_eq!(stands.len(), ROWS as usize);
    }
}

/// One result in the place of one other is an update; of a row that matches none its first pair is.
#[test]
fn updates_stay_updates() {
    let case = Case {
        kind: JoinKind::Pairs {
            left: true,
            right: false,
        },
        by_key: true,
        nulls_equal: false,
        condition: false,
        frame_rows: 64,
    };
    let (mut join, schema) = case.join();
    let mut ops = |port: usize, rows: &[(Pair, i8)]| {
        let mut out = Frame::new(&schema, 64);
        join.take_from(port, [None; 2]);
        assert_eq!(join.take(&frame(rows), &mut out).0, Flow::Done);
        changelog::given(&out).to_vec()
    };
    let row = |n| (Some(1), n);
    assert_eq!(ops(0, &[(row(1), INSERT)]), [INSERT], "it matches none");
    let update = [UPDATE_BEFORE, UPDATE_AFTER];
    assert_eq!(ops(1, &[(row(5), INSERT)]), update, "it matches one");
    assert_eq!(ops(1, &[(row(6), INSERT)]), [INSERT], "and another");
    let changed = [(row(1), UPDATE_BEFORE), (row(2), UPDATE_AFTER)];
    assert_eq!(
        ops(0, &changed),
        [update, update].concat(),
        "both are updated"
    );
    let same = [(row(2), UPDATE_BEFORE), (row(2), UPDATE_AFTER)];
    assert!(ops(0, &same).is_empty(), "nothing changes");
    assert_eq!(ops(1, &[(row(5), DELETE)]), [DELETE]);
    assert_eq!(ops(1, &[(row(6), DELETE)]), update, "it matches none again");
}
