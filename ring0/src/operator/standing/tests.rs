//! Groups that stand without rows go on from what was told of them.

use arrow_schema::DataType;

use super::*;
use crate::changelog::weighted;
use crate::column::Column;
use crate::limits::KEY_GROUPS;
use crate::schema::Field;

const SEED: u64 = 7;

/// Four groups without rows, told apart by their first column, as a shard of so many has them.
fn standing(shard: usize, shards: usize) -> (Standing, Schema) {
    let fields = ["id", "n"].map(|name| Field::new(name, DataType::Int64));
    let schema = weighted(Schema::new(fields.to_vec())).as_ref().clone();
    let first = |shard: usize| (shard * KEY_GROUPS).div_ceil(shards) as u32;
    let spec = StandingSpec {
        rows: (0..4)
            .map(|id| vec![Scalar::I64(id), Scalar::I64(0)])
            .collect(),
        id: 0,
        routed_by: vec![0],
    };
    let owned = Owned {
        first: first(shard),
        count: first(shard + 1) - first(shard),
        is_first: shard == 0,
        seed: SEED,
    };
    (
        Standing::new(&spec, &schema, owned).expect("groups"),
        schema,
    )
}

fn all(shards: usize) -> Vec<Standing> {
    (0..shards).map(|shard| standing(shard, shards).0).collect()
}

/// Gives a row of a group to the shard that has it. Gives what comes: what each row does, and its
/// count.
fn give(shards: &mut [Standing], id: i64, n: i64, op: i8) -> Vec<(i8, i64)> {
    let schema = standing(0, 1).1;
    let mut frame = Frame::new(&schema, 1);
    for (column, value) in frame.columns.iter_mut().zip([id, n]) {
        let Column::I64(column) = column else {
            panic!("BIGINT")
        };
        column.push(Some(value));
    }
    crate::changelog::push(&mut frame, op);
    frame.commit_rows(1);
    let mut out = Frame::new(&schema, 100);
    let here = shards.iter_mut().find(|s| s.groups[id as usize].here);
    here.expect("a shard of each group")
        .take(&frame, 0, &mut out);
    told(&out)
}

fn told(out: &Frame) -> Vec<(i8, i64)> {
    let [_, Column::I64(counts), Column::I8(ops)] = &out.columns[..] else {
        panic!("columns")
    };
    ops.values
        .iter()
        .copied()
        .zip(counts.values.iter().copied())
        .collect()
}

fn go_on(from: &mut [Standing], shards: usize) -> Vec<Standing> {
    let mut to = all(shards);
    for from in from {
        let mut slices = 0;
        while let Some(rows) = from.save() {
            to.iter_mut()
                .for_each(|to| to.load(&rows).expect("the same groups"));
            slices += 1;
        }
        assert_eq!(slices, 1);
    }
    to
}

/// Of a group that has rows nothing is told at the end, one that lost them is replaced by what
/// comes, and one of which nothing was told comes once, wherever it is then.
#[test]
fn groups_go_on_from_what_was_told() {
    for lives in [[1, 1, 1], [1, 3, 2], [4, 1, 4], [2, 5, 3]] {
        let mut shards = all(lives[0]);
        assert_eq!(give(&mut shards, 1, 5, INSERT), [(INSERT, 5)]);
        assert_eq!(give(&mut shards, 2, 6, INSERT), [(INSERT, 6)]);
        let mut shards = go_on(&mut shards, lives[1]);
        let gone = give(&mut shards, 2, 6, DELETE);
        assert_eq!(gone, [(UPDATE_BEFORE, 6), (UPDATE_AFTER, 0)]);
        let mut shards = go_on(&mut shards, lives[2]);
        let back = give(&mut shards, 2, 9, INSERT);
        assert_eq!(back, [(UPDATE_BEFORE, 0), (UPDATE_AFTER, 9)]);
        let schema = standing(0, 1).1;
        let mut out = Frame::new(&schema, 100);
        for shard in &mut shards {
            assert_eq!(shard.end(&mut out), Flow::Done);
        }
        assert_eq!(told(&out), [(INSERT, 0), (INSERT, 0)], "of groups 0 and 3");
    }
}

#[test]
fn what_was_told_of_other_groups_is_refused() {
    let mut one = all(1);
    for told in [vec![0u8, 1], vec![0, 1, 2, 3]] {
        let rows = told.len();
        let column: ArrayRef = Arc::new(UInt8Array::from(told));
        let loaded = one[0].load(&batch(vec![column], rows, &[]));
        assert!(
            loaded
                .expect_err("others")
                .to_string()
                .contains("other grouping sets")
        );
    }
}
