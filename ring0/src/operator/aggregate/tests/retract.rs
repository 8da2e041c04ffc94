//! Aggregation of a changelog against the model of the rows that stand, after each change.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;

use super::super::*;
use super::{check_rows, model::*, spec};
use crate::changelog::{self, DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, UPDATE_ROWS, weighted};
use crate::limits::KEY_GROUPS;
use crate::operator::aggregate::retract::{Retracting, SaveCursor};
use crate::program::AggregateCall;
use crate::schema::Schema;
use crate::snapshot::Owned;

/// Rows of the pool, and what each does.
type Ops<'a> = &'a [(u32, i8)];

/// A changelog that is made row by row, and what stands of it.
struct Log {
    pool: Frame,
    frames: Vec<Frame>,
    stands: Vec<u32>,
    frame_rows: usize,
}

impl Log {
    fn push(&mut self, rows: Ops<'_>) {
        let schema = weighted(schema());
        if (self.frames.last()).is_none_or(|f| f.rows() + rows.len() > self.frame_rows) {
            let rows_max = self.frame_rows.max(UPDATE_ROWS);
            self.frames.push(Frame::new(&schema, rows_max));
        }
        let frame = self.frames.last_mut().expect("a frame");
        for &(row, op) in rows {
            for (to, from) in frame.columns.iter_mut().zip(&self.pool.columns) {
                to.append_rows(from, &[row]);
            }
            changelog::push(frame, op);
            frame.commit_rows(1);
        }
    }

    /// One change of some kind.
    fn step(&mut self, random: &mut Random) {
        let row = random.below(self.pool.rows() as u64) as u32;
        let gone = match self.stands.len() as u64 {
            0 => None,
            n => Some(self.stands.swap_remove(random.below(n) as usize)),
        };
        match (gone, random.below(5)) {
            (Some(gone), 0 | 1) => self.push(&[(gone, DELETE)]),
            (Some(gone), 2) => {
                self.push(&[(gone, UPDATE_BEFORE), (row, UPDATE_AFTER)]);
                self.stands.push(row);
            }
            // It goes before it came.
            (Some(gone), 3) => {
                self.push(&[(row, DELETE)]);
                self.push(&[(row, INSERT)]);
                self.stands.push(gone);
            }
            (gone, _) => {
                self.push(&[(row, INSERT)]);
                self.stands.extend(gone);
                self.stands.push(row);
            }
        }
    }
}

/// The rows that stand of what was given.
fn collapsed(given: &[Frame]) -> Vec<Vec<Value>> {
    let mut stands: BTreeMap<String, (Vec<Value>, i64)> = BTreeMap::new();
    for frame in given {
        let ops = changelog::given(frame);
        for (row, op) in ops.iter().enumerate() {
            let columns = &frame.columns[..frame.columns.len() - 1];
            let values: Vec<Value> = columns.iter().map(|c| value(c, row)).collect();
            let stand = stands.entry(key_text(&values)).or_insert((values, 0));
            stand.1 += i64::from(op.signum());
        }
    }
    stands.retain(|_, (_, count)| *count != 0);
    assert!(stands.values().all(|(_, count)| *count == 1), "{stands:?}");
    stands.into_values().map(|(row, _)| row).collect()
}

fn retracting(keys: &[usize], calls: &[AggregateCall], phase: Phase) -> Retracting {
    let types = schema();
    let mut made = (*spec(
        types.clone(),
        keys.to_vec(),
        calls,
        phase,
        None,
        &types,
        keys,
    ))
    .clone();
    made.input = weighted(types);
    if phase == Phase::Changes {
        made.output = weighted((*made.output).clone());
    }
    Retracting::new(&Arc::new(made)).expect("an aggregation")
}

/// The same in other hands: handed on to three that share the groups, and by these to one.
fn handed_on(
    state: &Retracting,
    keys: &[usize],
    calls: &[AggregateCall],
    phase: Phase,
) -> Retracting {
    let third = KEY_GROUPS as u32 / 3;
    let saved = |state: &Retracting| {
        let mut cursor = SaveCursor::default();
        let saved: Vec<_> = std::iter::from_fn(|| state.save(&mut cursor)).collect();
        saved
    };
    let take = |saved: &[RecordBatch], owned: &Owned| {
        let mut state = retracting(keys, calls, phase);
        let mut saved = saved.iter();
        let loaded = saved.try_for_each(|rows| state.load(rows, owned, 7));
        loaded.expect("what was saved");
        state
    };
    let shared = |part: u32| match (keys, part) {
        ([], 0) => Owned::All,
        ([], _) => Owned::None,
        (keys, part) => Owned::Routed {
            by: (0..keys.len()).collect(),
            first: part * third,
            groups: if part < 2 {
                third
            } else {
                KEY_GROUPS as u32 - 2 * third
            },
        },
    };
    let all = saved(state);
    let parts = (0..3).flat_map(|part| saved(&take(&all, &shared(part))));
    take(&parts.collect::<Vec<_>>(), &Owned::All)
}

fn run(state: &mut Retracting, frames: &[Frame], output: &Schema, given: &mut Vec<Frame>) {
    for frame in frames {
        let mut at = 0;
        while at < frame.rows() {
            let mut out = Frame::new(output, UPDATE_ROWS);
            at = state.take(frame, at, &mut out).expect("taken");
            given.push(out);
        }
    }
}

fn ended(state: &mut Retracting, output: &Schema, given: &mut Vec<Frame>) {
    loop {
        let mut out = Frame::new(output, 2);
        let progress = state.end(&mut out).expect("given");
        given.push(out);
        if progress == Progress::Done {
            return;
        }
    }
}

fn output(keys: &[usize], calls: &[AggregateCall]) -> Schema {
    let types = schema();
    let made = spec(
        types.clone(),
        keys.to_vec(),
        calls,
        Phase::Complete,
        None,
        &types,
        keys,
    );
    (*made.output).clone()
}

#[test]
fn what_is_given_is_what_stands_after_each_change() {
    let calls = calls();
    for (seed, keys) in [
        (1, vec![]),
        (2, vec![0]),
        (3, vec![1, 2]),
        (4, vec![4]),
        (5, vec![3, 5]),
    ] {
        for frame_rows in [1, 7, 64] {
            let mut random = Random(seed * 31 + frame_rows as u64);
            let pool = frame(&mut random, 40, 6, seed % 3);
            let mut log = Log {
                pool,
                frames: Vec::new(),
                stands: Vec::new(),
                frame_rows,
            };
            let results = output(&keys, &calls);
            let mut state = retracting(&keys, &calls, Phase::Changes);
            let mut at_end = retracting(&keys, &calls, Phase::Complete);
            let changes = weighted(results.clone());
            let (mut given, mut once) = (Vec::new(), Vec::new());
            for round in 0..60 {
                if round % 4 == 3 {
                    state = handed_on(&state, &keys, &calls, Phase::Changes);
                    at_end = handed_on(&at_end, &keys, &calls, Phase::Complete);
                }
                (0..1 + random.below(4)).for_each(|_| log.step(&mut random));
                let frames = std::mem::take(&mut log.frames);
                run(&mut state, &frames, &changes, &mut given);
                run(&mut at_end, &frames, &results, &mut once);
                let mut rows = Frame::new(&schema(), log.stands.len().max(1));
                rows.append_rows(&log.pool, &log.stands);
                check_rows(&rows_of(&[rows]), &keys, &calls, collapsed(&given));
            }
            assert!(
                once.iter().all(|f| f.rows() == 0),
                "groups leave at the end"
            );
            ended(&mut at_end, &results, &mut once);
            let mut rows = Frame::new(&schema(), log.stands.len().max(1));
            rows.append_rows(&log.pool, &log.stands);
            let rows = rows_of(&[rows]);
            check_rows(&rows, &keys, &calls, rows_of(&once));
            ended(&mut state, &changes, &mut given);
            check_rows(&rows, &keys, &calls, collapsed(&given));
            // Nothing is left of what has gone.
            let gone: Vec<u32> = std::mem::take(&mut log.stands);
            gone.iter().for_each(|&row| log.push(&[(row, DELETE)]));
            let mut state = retracting(&keys, &calls, Phase::Changes);
            gone.iter().for_each(|&row| log.push(&[(row, INSERT)]));
            run(&mut state, &log.frames, &changes, &mut given);
            assert_eq!(
                state.groups(),
                usize::from(keys.is_empty() && !gone.is_empty())
            );
        }
    }
}

/// An update within a group is one change, and none where the group is as it was.
#[test]
fn an_update_is_one_change() {
    let calls = [call(crate::program::AggregateFunction::Max, Some(VI))];
    let mut pool = Frame::new(&schema(), 4);
    for (key, value) in [(1, 5), (1, 9), (1, 7), (2, 9)] {
        for (i, column) in pool.columns.iter_mut().enumerate() {
            match (i, column) {
                (0, Column::I64(c)) => c.push(Some(key)),
                (VI, Column::I64(c)) => c.push(Some(value)),
                (_, c) => c.push_null(),
            }
        }
        pool.commit_rows(1);
    }
    let cases: [(Ops<'_>, &[i8]); 6] = [
        (&[(0, INSERT)], &[INSERT]),
        (&[(1, INSERT)], &[UPDATE_BEFORE, UPDATE_AFTER]),
        // 5 becomes 7 below 9.
        (&[(0, UPDATE_BEFORE), (2, UPDATE_AFTER)], &[]),
        // 9 moves to another group.
        (
            &[(1, UPDATE_BEFORE), (3, UPDATE_AFTER)],
            &[UPDATE_BEFORE, UPDATE_AFTER, INSERT],
        ),
        (&[(3, DELETE)], &[DELETE]),
        (
            &[(2, UPDATE_BEFORE), (1, UPDATE_AFTER)],
            &[UPDATE_BEFORE, UPDATE_AFTER],
        ),
    ];
    let changes = weighted(output(&[0], &calls));
    let mut state = retracting(&[0], &calls, Phase::Changes);
    for (rows, wanted) in cases {
        let mut log = Log {
            pool: pool.clone(),
            frames: Vec::new(),
            stands: Vec::new(),
            frame_rows: 3,
        };
        log.push(rows);
        let mut given = Vec::new();
        run(&mut state, &log.frames, &changes, &mut given);
        let ops: Vec<i8> = given
            .iter()
            .flat_map(|f| changelog::given(f).to_vec())
            .collect();
        assert_eq!(ops, wanted, "{rows:?}");
    }
}

/// A group that has more values than a slice goes over several, and is whole again.
#[test]
fn a_group_of_many_values_is_handed_on() {
    let calls = [call(crate::program::AggregateFunction::Min, Some(VI))];
    let mut pool = Frame::new(&schema(), 3_000);
    for row in 0..3_000 {
        for (i, column) in pool.columns.iter_mut().enumerate() {
            match (i, column) {
                (0, Column::I64(c)) => c.push(Some(row % 2)),
                (VI, Column::I64(c)) => c.push(Some(row / 2)),
                (_, c) => c.push_null(),
            }
        }
        pool.commit_rows(1);
    }
    let mut log = Log {
        pool,
        frames: Vec::new(),
        stands: Vec::new(),
        frame_rows: 64,
    };
    (0..3_000).for_each(|row| log.push(&[(row, INSERT)]));
    let changes = weighted(output(&[0], &calls));
    let mut state = retracting(&[0], &calls, Phase::Changes);
    let mut given = Vec::new();
    run(&mut state, &log.frames, &changes, &mut given);
    let mut state = handed_on(&state, &[0], &calls, Phase::Changes);
    log.frames.clear();
    (0..2_500).for_each(|row| log.push(&[(row, DELETE)]));
    run(&mut state, &log.frames, &changes, &mut given);
    let mut rows = Frame::new(&schema(), 500);
    rows.append_rows(&log.pool, &(2_500..3_000).collect::<Vec<_>>());
    check_rows(&rows_of(&[rows]), &[0], &calls, collapsed(&given));
}
