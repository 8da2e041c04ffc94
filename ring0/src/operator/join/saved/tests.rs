//! Joins that tell of the kept side, ended and gone on with by others: what they tell is what one
//! tells that was not.

use std::sync::Arc;

use arrow_schema::DataType;
use proptest::prelude::*;

use super::*;
use crate::column::Column;
use crate::expr::BinaryOp;
use crate::limits::KEY_GROUPS;
use crate::mesh::Flow;
use crate::program::{JoinKind, Keep};
use crate::schema::Field;
use crate::snapshot::Owned;

const SEED: u64 = 7;

/// A key, a number that may be asked for, and one that is not.
type Row = (Option<i64>, i64, i64);

fn schema() -> Arc<Schema> {
    let names = ["k", "n", "m"].into_iter();
    let fields = names.map(|name| Field::new(name, DataType::Int64));
    Arc::new(Schema::new(fields.collect()))
}

fn frame(rows: &[Row]) -> Frame {
    let mut frame = Frame::new(&schema(), rows.len().max(1));
    for (at, column) in frame.columns.iter_mut().enumerate() {
        let Column::I64(column) = column else {
            panic!("BIGINT")
        };
        let value = |row: &Row| [row.0, Some(row.1), Some(row.2)][at];
        rows.iter().for_each(|row| column.push(value(row)));
    }
    frame.commit_rows(rows.len());
    frame
}

fn spec(kind: JoinKind, build: Side, keyed: bool, condition: bool) -> Arc<JoinSpec> {
    let column = |at| Box::new(Expr::Column(at));
    let mut fields = schema().fields.clone();
    match kind {
        JoinKind::Pairs { .. } => fields.extend(schema().fields.clone()),
        JoinKind::Mark(_) => fields.push(Field::new("mark", DataType::Boolean)),
        JoinKind::Semi(_) | JoinKind::Anti(_) => {}
    }
    let keys = Vec::from_iter(keyed.then_some(0));
    Arc::new(JoinSpec {
        inputs: [schema(), schema()],
        keys: [keys.clone(), keys],
        nulls_equal: false,
        not_in: false,
        condition: condition.then(|| Expr::Binary(BinaryOp::Lt, column(1), column(4))),
        near: None,
        kind,
        keep: Keep::Side(build),
        output: Arc::new(Schema::new(fields)),
    })
}

/// So many joins that share all keys; one, where there is no key.
fn joins(spec: &Arc<JoinSpec>, build: Side, shards: u32) -> Vec<(Join, Owned)> {
    let shards = if spec.keys[0].is_empty() { 1 } else { shards };
    let groups = (KEY_GROUPS as u32).div_ceil(shards);
    let owned = |shard: u32| match shards {
        1 => Owned::All,
        _ => Owned::Routed {
            by: vec![0],
            first: shard * groups,
            groups,
        },
    };
    let join = |shard| {
        let join = Join::new(spec, build, SEED).expect("a join");
        (join.owning(owned(shard)), owned(shard))
    };
    (0..shards).map(join).collect()
}

/// Rows that leave, as text.
fn drain(out: &mut Frame, all: &mut Vec<String>) {
    let value = |column: &Column, row: usize| match column {
        Column::I64(c) => format!("{:?}", c.get(row)),
        Column::Bool(c) => format!("{:?}", c.get(row)),
        other => panic!("no column of {:?}", other.physical()),
    };
    for row in 0..out.rows() {
        let values = out.columns.iter().map(|column| value(column, row));
        all.push(values.collect::<Vec<_>>().join(" "));
    }
    out.clear();
}

fn feed(join: &mut Join, owned: &Owned, rows: &[Row], out: &mut Frame, all: &mut Vec<String>) {
    let mine = owned.rows(&frame(rows), &schema(), SEED);
    let rows: Vec<Row> = mine.into_iter().map(|row| rows[row]).collect();
    let frame = frame(&rows);
    while join.take(&frame, out).0 == Flow::Full {
        drain(out, all);
    }
    drain(out, all);
}

/// What lives give, each of so many joins that take these rows of the other side.
fn run(spec: &Arc<JoinSpec>, build: Side, kept: &[Row], lives: &[(u32, &[Row])]) -> Vec<String> {
    let (mut all, mut handed_on) = (Vec::new(), Vec::new());
    let mut out = Frame::new(&spec.output, 7);
    for (number, (shards, rows)) in lives.iter().enumerate() {
        let mut joins = joins(spec, build, *shards);
        for (join, owned) in &mut joins {
            for rows in &handed_on {
                join.load(rows).expect("what was saved");
            }
            // The kept side comes in another order each time.
            let mut kept = kept.to_vec();
            let by = number.min(kept.len());
            kept.rotate_left(by);
            join.take_from(build.port());
            kept.chunks(5)
                .for_each(|rows| feed(join, owned, rows, &mut out, &mut all));
            join.take_from(build.other().port());
            rows.chunks(3)
                .for_each(|rows| feed(join, owned, rows, &mut out, &mut all));
        }
        handed_on.clear();
        for (join, _) in &mut joins {
            if number + 1 < lives.len() {
                handed_on.extend(std::iter::from_fn(|| join.save()));
                continue;
            }
            while join.finish(&mut out) == Flow::Full {
                drain(&mut out, &mut all);
            }
            drain(&mut out, &mut all);
        }
    }
    all.sort();
    all
}

fn row() -> impl Strategy<Value = Row> {
    let key = prop_oneof![1 => Just(None), 6 => (0..5i64).prop_map(Some)];
    (key, 0..6i64, 0..3i64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn lives_tell_what_one_tells(
        build in prop::sample::select(&[Side::Left, Side::Right][..]),
        kind in 0..5u32,
        (keyed, condition) in any::<(bool, bool)>(),
        kept in prop::collection::vec(row(), 0..20),
        rows in prop::collection::vec(row(), 0..20),
        shards in prop::collection::vec(1..5u32, 1..5),
    ) {
        let kind = match kind {
            0 => JoinKind::Pairs { left: true, right: true },
            1 => JoinKind::Pairs { left: build == Side::Left, right: build == Side::Right },
            2 => JoinKind::Semi(build),
            3 => JoinKind::Anti(build),
            _ => JoinKind::Mark(build),
        };
        let spec = spec(kind, build, keyed, condition);
        let mut parts = rows.chunks(rows.len().div_ceil(shards.len()).max(1));
        let lives: Vec<_> = shards.iter().map(|&s| (s, parts.next().unwrap_or(&[]))).collect();
        let wanted = run(&spec, build, &kept, &[(1, &rows)]);
        prop_assert_eq!(run(&spec, build, &kept, &lives), wanted);
    }
}

/// What matches depends on keys, and on what the condition asks for; more than a slice is told.
#[test]
fn only_what_decides_is_kept() {
    let kind = JoinKind::Anti(Side::Right);
    for (condition, columns) in [(false, 1), (true, 2)] {
        let spec = spec(kind, Side::Right, true, condition);
        let kept: Vec<Row> = (0..3_000).map(|n| (Some(n), 10, n)).collect();
        let (mut join, owned) = joins(&spec, Side::Right, 1).pop().expect("a join");
        let (mut out, mut all) = (Frame::new(&spec.output, 7), Vec::new());
        join.take_from(1);
        feed(&mut join, &owned, &kept, &mut out, &mut all);
        join.take_from(0);
        feed(
            &mut join,
            &owned,
            &kept.iter().map(|r| (r.0, 1, 0)).collect::<Vec<_>>(),
            &mut out,
            &mut all,
        );
        for _ in 0..2 {
            let saved: Vec<RecordBatch> = std::iter::from_fn(|| join.save()).collect();
            assert!(saved.iter().all(|rows| rows.num_columns() == columns));
            assert_eq!(
                saved.iter().map(RecordBatch::num_rows).sum::<usize>(),
                3_000
            );
        }
    }
}
