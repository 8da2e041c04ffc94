//! Calls that Ring 0 does not have, over sessions that change: what they give, and what it costs.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};

use super::*;
use crate::operator::aggregate::{AggregateKernel, GenericCall, GroupStates};

/// Texts one behind the other, in the order in which they come; it counts the rows that it takes.
#[derive(Debug)]
struct Joined {
    taken: Arc<AtomicUsize>,
}

struct Texts {
    taken: Arc<AtomicUsize>,
    groups: Vec<String>,
}

type Made<T> = std::result::Result<T, String>;

impl AggregateKernel for Joined {
    fn data_type(&self) -> &DataType {
        &DataType::Utf8
    }

    fn states(&self, _: Phase) -> Made<Box<dyn GroupStates>> {
        let taken = Arc::clone(&self.taken);
        let groups = Vec::new();
        Ok(Box::new(Texts { taken, groups }))
    }
}

impl GroupStates for Texts {
    fn bytes(&self) -> usize {
        0
    }

    fn update(&mut self, args: &[ArrayRef], groups: &[usize], total: usize) -> Made<()> {
        self.groups.resize_with(total, String::new);
        let texts = args[0].as_string::<i32>();
        assert_eq!(texts.len(), groups.len());
        for (text, &group) in texts.iter().zip(groups) {
            self.groups[group].push_str(text.unwrap_or("-"));
        }
        self.taken.fetch_add(groups.len(), Ordering::Relaxed);
        Ok(())
    }

    fn results(&mut self, total: usize) -> Made<ArrayRef> {
        self.groups.resize_with(total, String::new);
        Ok(Arc::new(StringArray::from(std::mem::take(
            &mut self.groups,
        ))))
    }

    fn columns(&self) -> usize {
        1
    }

    fn states(&mut self, _: usize) -> Made<Vec<ArrayRef>> {
        unreachable!("sessions keep rows, and no states")
    }

    fn merge(&mut self, _: &[ArrayRef], _: &[usize], _: usize) -> Made<()> {
        unreachable!("sessions keep rows, and no states")
    }

    fn result(&mut self, group: usize) -> Made<ArrayRef> {
        self.groups.resize_with(1, String::new);
        Ok(Arc::new(StringArray::from(vec![
            self.groups[group].clone(),
        ])))
    }
}

/// Start, key, end, all texts, those that differ, and how many these are.
fn joined(gap: i64, taken: &Arc<AtomicUsize>) -> Arc<SessionSpec> {
    let mut spec = SessionSpec::clone(&spec_of(gap, Phase::Changes));
    let call = || {
        let call = GenericCall {
            kernel: Arc::new(Joined {
                taken: Arc::clone(taken),
            }),
            args: vec![2],
            filter: None,
        };
        AggregateCall {
            function: F::Generic(Arc::new(call)),
            argument: None,
        }
    };
    let count = spec.aggregate.calls.pop().expect("of texts that differ");
    spec.aggregate.calls = vec![call(), call(), count];
    spec.first_by = vec![None, Some(vec![2]), Some(vec![2])];
    let mut output = spec.aggregate.output.as_ref().clone();
    output.fields.remove(3);
    spec.aggregate.output = Arc::new(output);
    Arc::new(spec)
}

/// A key, start, end, what two calls give, and a count.
type Told = (Option<String>, i64, i64, String, String, i64);

fn told(out: &Frame) -> Vec<(i8, Told)> {
    let number = |column: usize, row| match &out.columns[column] {
        Column::I64(c) => c.values[row],
        other => panic!("{:?}", other.physical()),
    };
    let text = |column: usize, row| match &out.columns[column] {
        Column::Utf8(c) => c.get(row).map(str::to_owned),
        other => panic!("{:?}", other.physical()),
    };
    let Some(Column::I8(ops)) = out.columns.last() else {
        panic!("ops")
    };
    let row = |r| {
        let texts = [3, 4].map(|c| text(c, r).expect("it is never NULL"));
        let [all, different] = texts;
        let (start, end, count) = (number(0, r), number(2, r), number(5, r));
        (
            ops.values[r],
            (text(1, r), start, end, all, different, count),
        )
    };
    (0..out.rows()).map(row).collect()
}

fn changed(sessions: &mut Sessions, rows: &[Row]) -> Vec<(i8, Told)> {
    let (frame, hashes) = frame_of(sessions, rows);
    let (mut from, mut changes) = (0, Vec::new());
    while from < rows.len() {
        let mut out = Frame::new(&sessions.spec.aggregate.output, 64);
        from = (sessions.change(&frame, &hashes, from, &mut out)).expect("change");
        changes.extend(told(&out));
    }
    changes
}

/// The sessions of rows that are sorted by time, each with its texts as they came.
fn model_of(rows: &[Row], gap: i64) -> Vec<Told> {
    let mut by_key: BTreeMap<&Option<String>, Vec<(i64, usize)>> = BTreeMap::new();
    for (number, (key, time, _)) in rows.iter().enumerate() {
        by_key.entry(key).or_default().push((*time, number));
    }
    let mut all = Vec::new();
    for (key, mut times) in by_key {
        times.sort_unstable();
        for session in times.chunk_by(|a, b| b.0 - a.0 < gap) {
            let mut numbers: Vec<usize> = session.iter().map(|(_, n)| *n).collect();
            numbers.sort_unstable();
            let texts = numbers.iter().map(|&n| rows[n].2.as_deref());
            let mut seen = BTreeSet::new();
            let first: Vec<_> = texts.clone().filter(|t| seen.insert(*t)).collect();
            let count = first.iter().flatten().count() as i64;
            let join = |texts: &[Option<&str>]| {
                let texts = texts.iter().map(|t| t.unwrap_or("-"));
                texts.collect::<String>()
            };
            let texts: Vec<_> = texts.collect();
            let (start, end) = (session[0].0, session[session.len() - 1].0 + gap);
            all.push((key.clone(), start, end, join(&texts), join(&first), count));
        }
    }
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever order rows come in, and whatever sessions become one.
    #[test]
    fn what_is_gone_on_with_is_what_rows_give(
        rows in prop::collection::vec((text(), 0i64..120, text()), 0..150),
        gap in prop_oneof![1i64..5, 1i64..40],
        lives in 1usize..4,
    ) {
        let spec = joined(gap, &Arc::default());
        let mut state = sessions(&spec);
        let mut standing: Vec<Told> = Vec::new();
        for some in rows.chunks(rows.len() / lives + 1) {
            for (op, row) in changed(&mut state, some) {
                match op > 0 {
                    true => standing.push(row),
                    false => {
                        let at = standing.iter().position(|r| *r == row);
                        standing.swap_remove(at.expect("what goes stood"));
                    }
                }
            }
            // It goes on from what is kept.
            let mut next = sessions(&spec);
            while let Some(rows) = state.save().expect("save") {
                next.load(&rows, &crate::snapshot::Owned::All, 7).expect("load");
            }
            state = next;
        }
        standing.sort();
        prop_assert_eq!(standing, model_of(&rows, gap));
    }
}

/// A row of a long session is taken once by each call, and not again with each row behind it.
#[test]
fn a_row_is_taken_once() {
    let taken = Arc::default();
    let spec = joined(10, &taken);
    let mut sessions = sessions(&spec);
    let text = |n: i64| Some(format!("{}", n % 100));
    let rows: Vec<Row> = (0..2_000).map(|n| (None, n, text(n))).collect();
    let changes = changed(&mut sessions, &rows);
    assert_eq!(changes.len(), 2 * rows.len() - 1);
    // One call takes all of them, the other one each text once.
    assert_eq!(taken.load(Ordering::Relaxed), rows.len() + 100);
    // A session that begins behind it and becomes one with it is put behind it.
    let more = [2_014, 2_006].map(|time| (None, time, text(0)));
    changed(&mut sessions, &more);
    assert!(taken.load(Ordering::Relaxed) < rows.len() + 100 + 20);
}
