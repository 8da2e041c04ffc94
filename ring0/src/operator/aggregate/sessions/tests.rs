//! Sessions against a model that sorts the rows of each key by time.

mod live;
mod saved;

use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::TimeUnit;
use proptest::prelude::*;

use super::*;
use crate::changelog::{DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, weighted};
use crate::hash::hash_keys;
use crate::limits::KEY_GROUPS;
use crate::program::{AggregateCall, AggregateFunction as F, Phase};
use crate::schema::{Field, Schema};

/// A key of text, a time, a text.
type Row = (Option<String>, i64, Option<String>);
/// A key, start, end, rows, least and greatest text, and how many texts there are.
type Closed = (
    Option<String>,
    i64,
    i64,
    i64,
    Option<String>,
    Option<String>,
    i64,
);

fn spec(gap: i64) -> Arc<SessionSpec> {
    spec_of(gap, Phase::Complete)
}

fn spec_of(gap: i64, phase: Phase) -> Arc<SessionSpec> {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let fields = [
        ("k", DataType::Utf8),
        ("t", time.clone()),
        ("s", DataType::Utf8),
    ];
    let output = [
        ("start", time.clone()),
        ("k", DataType::Utf8),
        ("end", time),
        ("n", DataType::Int64),
        ("least", DataType::Utf8),
        ("greatest", DataType::Utf8),
        ("texts", DataType::Int64),
    ];
    let schema = |fields: &[(&str, DataType)]| {
        let fields = fields.iter().map(|(name, t)| Field::new(*name, t.clone()));
        Arc::new(Schema::new(fields.collect()))
    };
    let call = |function, argument| AggregateCall { function, argument };
    Arc::new(SessionSpec {
        aggregate: AggregateSpec {
            input: schema(&fields),
            keys: vec![0],
            calls: vec![
                call(F::Count, None),
                call(F::Min, Some(2)),
                call(F::Max, Some(2)),
                call(F::Count, Some(2)),
            ],
            phase,
            window: None,
            output: match phase {
                Phase::Changes => weighted(schema(&output).as_ref().clone()),
                _ => schema(&output),
            },
        },
        time: 1,
        gap,
        start: Some(0),
        end: Some(2),
        first_by: vec![None, None, None, Some(vec![2])],
    })
}

fn sessions(spec: &Arc<SessionSpec>) -> Sessions {
    let addresses = Addresses::shared_by(8);
    Sessions::new(Arc::clone(spec), 0, KEY_GROUPS as u32, addresses).expect("sessions")
}

fn update(sessions: &mut Sessions, rows: &[Row]) {
    let (frame, hashes) = frame_of(sessions, rows);
    sessions.update(&frame, &hashes).expect("update");
}

fn frame_of(sessions: &Sessions, rows: &[Row]) -> (Frame, Vec<u64>) {
    let spec = Arc::clone(&sessions.spec);
    let mut frame = Frame::new(&spec.aggregate.input, rows.len().max(1));
    for (key, time, text) in rows {
        for (column, text) in [(0, key), (2, text)] {
            let Column::Utf8(column) = &mut frame.columns[column] else {
                panic!("text")
            };
            column.push(text.as_deref());
        }
        let Column::I64(column) = &mut frame.columns[1] else {
            panic!("a time")
        };
        column.push(Some(*time));
    }
    frame.commit_rows(rows.len());
    let mut hashes = Vec::new();
    hash_keys(&frame, &spec.aggregate.input, &[0], 7, &mut hashes);
    (frame, hashes)
}

fn emitted(sessions: &mut Sessions, upto: Option<i64>, rows_max: usize) -> Vec<Closed> {
    let schema = Arc::clone(&sessions.spec.aggregate.output);
    let mut closed = Vec::new();
    loop {
        let mut out = Frame::new(&schema, rows_max);
        let progress = sessions
            .emit(upto.map(|t| t * 1_000_000), &mut out)
            .expect("emit");
        closed.extend(rows_of(&out));
        if progress == Progress::Done {
            return closed;
        }
    }
}

fn rows_of(out: &Frame) -> Vec<Closed> {
    let number = |column: usize, row| match &out.columns[column] {
        Column::I64(c) => c.values[row],
        other => panic!("{:?}", other.physical()),
    };
    let text = |column: usize, row| match &out.columns[column] {
        Column::Utf8(c) => c.get(row).map(str::to_owned),
        other => panic!("{:?}", other.physical()),
    };
    let row = |r| {
        (
            text(1, r),
            number(0, r),
            number(2, r),
            number(3, r),
            text(4, r),
            text(5, r),
            number(6, r),
        )
    };
    (0..out.rows()).map(row).collect()
}

/// The sessions of all rows, by sorting.
fn model(rows: &[Row], gap: i64) -> Vec<Closed> {
    let mut keys: BTreeMap<&Option<String>, Vec<(i64, &Option<String>)>> = BTreeMap::new();
    for (key, time, text) in rows {
        keys.entry(key).or_default().push((*time, text));
    }
    let mut closed = Vec::new();
    for (key, mut times) in keys {
        times.sort();
        for part in times.chunk_by(|a, b| b.0 - a.0 < gap) {
            let texts = || part.iter().filter_map(|(_, text)| text.as_ref());
            let (start, last) = (part[0].0, part[part.len() - 1].0);
            let (least, greatest) = (texts().min().cloned(), texts().max().cloned());
            closed.push((
                key.clone(),
                start,
                last + gap,
                part.len() as i64,
                least,
                greatest,
                texts().collect::<BTreeSet<_>>().len() as i64,
            ));
        }
    }
    closed.sort();
    closed
}

fn text() -> impl Strategy<Value = Option<String>> {
    let long = (0u8..20).prop_map(|n| format!("a text that no slot holds itself {n}"));
    prop::option::weighted(0.9, prop_oneof!["[a-d]", long])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Rows come in disorder, watermarks in between; what is on time is in its session, once. All
    /// state is given back.
    #[test]
    fn sessions_are_those_of_sorted_rows(
        rows in prop::collection::vec((text(), 0i64..300, text()), 0..400),
        gap in prop_oneof![1i64..5, 1i64..60],
        frame_rows in prop::sample::select(vec![1usize, 7, 300]),
        lag in 0i64..60,
        rows_max in prop::sample::select(vec![1usize, 16, 1024]),
    ) {
        let spec = spec(gap);
        let mut sessions = sessions(&spec);
        let (mut got, mut taken, mut greatest) = (Vec::new(), Vec::new(), 0);
        for (number, frame) in rows.chunks(frame_rows).enumerate() {
            // Time goes on by the frame, so that sessions close on the way.
            let by = number as i64 * frame_rows as i64;
            let rows = frame.iter().map(|(k, t, s)| (k.clone(), t / 3 + by, s.clone()));
            let on_time: Vec<Row> = rows.filter(|(_, t, _)| *t >= greatest - lag).collect();
            update(&mut sessions, &on_time);
            greatest = on_time.iter().map(|r| r.1).chain([greatest]).max().expect("one");
            taken.extend(on_time);
            let mark = greatest - lag;
            let closed = emitted(&mut sessions, Some(mark), rows_max);
            prop_assert!(closed.iter().all(|c| c.2 <= mark));
            got.extend(closed);
        }
        got.extend(emitted(&mut sessions, None, rows_max));
        got.sort();
        prop_assert_eq!(got, model(&taken, gap));
        prop_assert_eq!((sessions.groups(), sessions.table.len()), (0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each row gives one new version of its session; what is left at the end, by row and by the
    /// session's start alike, are the sessions. Nothing goes that did not stand, and how rows come
    /// together in frames shows nowhere.
    #[test]
    fn changes_leave_the_sessions_of_sorted_rows(
        rows in prop::collection::vec((text(), 0i64..200, text()), 0..200),
        gap in prop_oneof![1i64..5, 1i64..60],
    ) {
        let spec = spec_of(gap, Phase::Changes);
        let mut before: Option<Vec<(i8, Closed)>> = None;
        for (frame_rows, rows_max) in [(1, 3), (7, 4), (300, 1024)] {
            let mut sessions = sessions(&spec);
            let mut changes = Vec::new();
            for rows in rows.chunks(frame_rows) {
                let (frame, hashes) = frame_of(&sessions, rows);
                let mut from = 0;
                while from < rows.len() {
                    let mut out = Frame::new(&spec.aggregate.output, rows_max);
                    from = sessions.change(&frame, &hashes, from, &mut out).expect("change");
                    let Some(Column::I8(ops)) = out.columns.last() else { panic!("ops") };
                    changes.extend(ops.values.iter().copied().zip(rows_of(&out)));
                }
            }
            prop_assert_eq!(changes.iter().filter(|(op, _)| *op > 0).count(), rows.len());
            let (mut standing, mut by_start) = (Vec::new(), BTreeMap::new());
            for (op, row) in &changes {
                let key = (row.0.clone(), row.1);
                match *op {
                    INSERT | UPDATE_AFTER => {
                        standing.push(row.clone());
                        let old = by_start.insert(key, row.clone());
                        prop_assert!(old.is_none() || *op == UPDATE_AFTER);
                    }
                    op => {
                        let at = standing.iter().position(|r| r == row);
                        standing.swap_remove(at.expect("what goes stood"));
                        if op == DELETE {
                            by_start.remove(&key);
                        }
                    }
                }
            }
            standing.sort();
            let by_start: Vec<Closed> = by_start.into_values().collect();
            prop_assert_eq!(&standing, &model(&rows, gap));
            prop_assert_eq!(&by_start, &standing);
            if let Some(before) = before.replace(changes.clone()) {
                prop_assert_eq!(before, changes);
            }
            while sessions.close_upto(i64::MAX) == Progress::Full {}
            prop_assert_eq!((sessions.groups(), sessions.table.len()), (0, 0));
        }
    }
}

/// Keys that go make room for those that come: state stays as large as what is open.
#[test]
fn state_does_not_grow_with_keys_that_are_gone() {
    let spec = spec(10);
    let mut sessions = sessions(&spec);
    let mut pages = 0;
    for round in 0..300i64 {
        let key = |n: i64| {
            Some(format!(
                "a key which is longer than a reference {round} {n}"
            ))
        };
        let rows: Vec<Row> = (0..200).map(|n| (key(n), round * 100, key(n))).collect();
        update(&mut sessions, &rows);
        assert_eq!(
            emitted(&mut sessions, Some(round * 100 + 10), 64).len(),
            200
        );
        if round == 100 {
            pages = sessions.store.used();
        }
    }
    assert_eq!(
        sessions.store.used(),
        pages,
        "pages after 300 rounds and after 100"
    );
}

/// Whatever the aggregates are: a changelog of groups counts their rows, one of sessions does not.
#[test]
fn changes_of_sessions_need_no_count_of_rows() {
    let mut spec = SessionSpec::clone(&spec_of(10, Phase::Changes));
    spec.aggregate.calls.remove(0);
    spec.aggregate.calls.pop();
    spec.first_by.clear();
    let mut output = spec.aggregate.output.as_ref().clone();
    output.fields.remove(6);
    output.fields.remove(3);
    spec.aggregate.output = Arc::new(output);
    let mut sessions = sessions(&Arc::new(spec));
    let text = |text: &str| Some(text.to_owned());
    let rows = [("a", 0, "x"), ("a", 15, "z"), ("a", 8, "y")];
    let rows = rows.map(|(key, time, value)| (text(key), time, text(value)));
    let (frame, hashes) = frame_of(&sessions, &rows);
    let mut out = Frame::new(&sessions.spec.aggregate.output, 100);
    let taken = sessions.change(&frame, &hashes, 0, &mut out);
    assert_eq!(taken.expect("change"), rows.len());
    let [Column::Utf8(least), Column::Utf8(greatest), Column::I8(ops)] = &out.columns[3..] else {
        panic!("two texts, and what each row does")
    };
    let row = |r: usize| (ops.values[r], least.get(r), greatest.get(r));
    let got: Vec<_> = (0..out.rows()).map(row).collect();
    let x = Some("x");
    let wanted = [
        (INSERT, x, x),
        (INSERT, Some("z"), Some("z")),
        (DELETE, Some("z"), Some("z")),
        (UPDATE_BEFORE, x, x),
        (UPDATE_AFTER, x, Some("z")),
    ];
    assert_eq!(got, wanted);
}
