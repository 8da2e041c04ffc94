//! Windows made of panes against a model that puts every row into each of its windows.

mod frozen;
mod saved;

use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;

use super::*;
use crate::hash::hash_keys;
use crate::limits::KEY_GROUPS;
use crate::program::{AggregateCall, AggregateFunction as F, AggregateSpec, LateRule, WindowKey};
use crate::schema::{Field, Schema};

/// Nanoseconds of a time's unit.
const UNIT_NS: i64 = 1_000_000;

/// Fewer rows than these are checked after every frame.
const CHECKED_ROWS: usize = 300;

#[derive(Debug, Clone)]
struct Row {
    key: Option<String>,
    time: i64,
    value: Option<i64>,
    text: Option<String>,
    /// The watermark that it carries, in the time's unit.
    mark: Option<i64>,
}

/// A window's start, a key; and of the rows how many, the sum of values, that of halves of them,
/// their standard deviation, the least and the greatest text.
type Group = (i64, Option<String>);
type Results = (
    i64,
    Option<i64>,
    Option<f64>,
    Option<f64>,
    [Option<String>; 2],
);
type Groups = BTreeMap<Group, Results>;

fn spec(size: i64, slide: i64, offset: i64) -> Arc<PanesSpec> {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let schema = |fields: &[(&str, DataType)]| {
        let fields = fields.iter().map(|(name, t)| Field::new(*name, t.clone()));
        Arc::new(Schema::new(fields.collect()))
    };
    let call = |function, argument| AggregateCall { function, argument };
    Arc::new(PanesSpec {
        aggregate: AggregateSpec {
            input: schema(&[
                ("t", time.clone()),
                ("k", DataType::Utf8),
                ("v", DataType::Int64),
                ("d", DataType::Float64),
                ("s", DataType::Utf8),
                ("bound", DataType::Int64),
            ]),
            keys: vec![0, 1],
            calls: vec![
                call(F::Count, None),
                call(F::Sum, Some(2)),
                call(F::Sum, Some(3)),
                call(F::StddevPop, Some(2)),
                call(F::Min, Some(4)),
                call(F::Max, Some(4)),
            ],
            phase: Phase::Complete,
            window: Some(WindowKey {
                key: 0,
                size_ns: size * UNIT_NS,
            }),
            output: schema(&[
                ("start", time),
                ("k", DataType::Utf8),
                ("n", DataType::Int64),
                ("sum", DataType::Int64),
                ("halves", DataType::Float64),
                ("deviation", DataType::Float64),
                ("least", DataType::Utf8),
                ("greatest", DataType::Utf8),
            ]),
        },
        bound: Some(5),
        shape: WindowShape::Hopping {
            size,
            slide,
            offset,
        },
    })
}

fn panes(spec: &Arc<PanesSpec>) -> Panes {
    Panes::new(spec, 0, KEY_GROUPS as u32, Addresses::shared_by(8)).expect("panes")
}

fn push(column: &mut Column, number: Option<i64>) {
    match column {
        Column::I64(c) => c.push(number),
        Column::F64(c) => c.push(number.map(|n| n as f64 / 2.0)),
        other => panic!("{:?}", other.physical()),
    }
}

fn update(panes: &mut Panes, rows: &[Row]) {
    let (frame, hashes) = frame_of(panes, rows);
    panes.update(&frame, &hashes).expect("update");
}

fn frame_of(panes: &Panes, rows: &[Row]) -> (Frame, Vec<u64>) {
    let schema = Arc::clone(&panes.spec.aggregate.input);
    let mut frame = Frame::new(&schema, rows.len().max(1));
    for row in rows {
        let bound = row.mark.map_or(i64::MIN, |m| m * UNIT_NS);
        for (at, number) in [
            (0, Some(row.time)),
            (2, row.value),
            (3, row.value),
            (5, Some(bound)),
        ] {
            push(&mut frame.columns[at], number);
        }
        for (at, text) in [(1, &row.key), (4, &row.text)] {
            let Column::Utf8(column) = &mut frame.columns[at] else {
                panic!("text")
            };
            column.push(text.as_deref());
        }
    }
    frame.commit_rows(rows.len());
    let mut hashes = Vec::new();
    hash_keys(&frame, &schema, &[1], 7, &mut hashes);
    (frame, hashes)
}

/// Appends what is emitted; nothing comes twice.
fn emit(panes: &mut Panes, upto: Option<i64>, rows_max: usize, groups: &mut Groups) {
    let schema = Arc::clone(&panes.spec.aggregate.output);
    loop {
        let mut out = Frame::new(&schema, rows_max);
        let upto_ns = upto.map(|t| t * UNIT_NS);
        let progress = panes.emit(upto_ns, &mut out).expect("emit");
        for row in 0..out.rows() {
            let (group, results) = row_of(&out, row);
            let before = groups.insert(group.clone(), results);
            assert!(before.is_none(), "{group:?} twice");
        }
        if progress == Progress::Done {
            return;
        }
    }
}

fn row_of(out: &Frame, row: usize) -> (Group, Results) {
    let number = |column: usize| match &out.columns[column] {
        Column::I64(c) => c.get(row),
        other => panic!("{:?}", other.physical()),
    };
    let double = |column: usize| match &out.columns[column] {
        Column::F64(c) => c.get(row),
        other => panic!("{:?}", other.physical()),
    };
    let text = |column: usize| match &out.columns[column] {
        Column::Utf8(c) => c.get(row).map(str::to_owned),
        other => panic!("{:?}", other.physical()),
    };
    let count = number(2).expect("a count");
    let results = (count, number(3), double(4), double(5), [text(6), text(7)]);
    ((number(0).expect("a start"), text(1)), results)
}

/// The starts of the windows that hold a row and are open to it.
fn starts(row: &Row, (size, slide, offset): (i64, i64, i64)) -> Vec<i64> {
    let last = row.time - (row.time - offset).rem_euclid(slide);
    let starts = (0..).map(|n| last - n * slide);
    starts
        .take_while(|start| start + size > row.time)
        .filter(|start| row.mark.is_none_or(|mark| start + size > mark))
        .collect()
}

fn model(rows: &[Row], shape: (i64, i64, i64)) -> Groups {
    let mut groups: BTreeMap<Group, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        for start in starts(row, shape) {
            groups
                .entry((start, row.key.clone()))
                .or_default()
                .push(row);
        }
    }
    let results = |rows: Vec<&Row>| {
        let values: Vec<i64> = rows.iter().filter_map(|r| r.value).collect();
        let some = (!values.is_empty()).then_some(());
        let sum: i64 = values.iter().sum();
        let mean = sum as f64 / values.len() as f64;
        let squares: f64 = values.iter().map(|v| (*v as f64 - mean).powi(2)).sum();
        let texts = || rows.iter().filter_map(|r| r.text.clone());
        (
            rows.len() as i64,
            some.map(|()| sum),
            some.map(|()| sum as f64 / 2.0),
            some.map(|()| (squares / values.len() as f64).sqrt()),
            [texts().min(), texts().max()],
        )
    };
    groups
        .into_iter()
        .map(|(g, rows)| (g, results(rows)))
        .collect()
}

fn assert_alike(got: &Groups, want: &Groups) {
    let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
        (a, b) => a == b,
    };
    let keys: BTreeSet<_> = got.keys().chain(want.keys()).collect();
    for key in keys {
        let (Some(a), Some(b)) = (got.get(key), want.get(key)) else {
            panic!("{key:?}: {:?}, want {:?}", got.get(key), want.get(key));
        };
        let exact = (a.0, a.1, &a.4) == (b.0, b.1, &b.4);
        assert!(
            exact && near(a.2, b.2) && near(a.3, b.3),
            "{key:?}: {a:?}, want {b:?}"
        );
    }
}

/// Gives rows in frames, with watermarks in between that are `lag` behind, and checks that what is
/// closed came, once. Rows whose windows are all closed are left out, as `LateRule` says.
fn check(
    rows: &[Row],
    shape @ (size, slide, offset): (i64, i64, i64),
    lag: i64,
    frame_rows: usize,
    rows_max: usize,
) {
    let mut panes = panes(&spec(size, slide, offset));
    let (mut got, mut taken, mut greatest) = (Groups::new(), Vec::new(), None);
    for frame in rows.chunks(frame_rows) {
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
        update(&mut panes, &on_time);
        taken.extend(on_time);
        let upto = greatest.expect("rows") - lag;
        emit(&mut panes, Some(upto), rows_max, &mut got);
        assert!(got.keys().all(|(start, _)| start + size <= upto), "{upto}");
        if rows.len() < CHECKED_ROWS {
            let mut closed = model(&taken, shape);
            closed.retain(|(start, _), _| start + size <= upto);
            assert_alike(&got, &closed);
        }
    }
    emit(&mut panes, None, rows_max, &mut got);
    assert_alike(&got, &model(&taken, shape));
    assert_eq!(panes.pages(), 0, "all state is given back");
}

fn text() -> impl Strategy<Value = Option<String>> {
    let long = (0u8..20).prop_map(|n| format!("a text that no slot holds itself {n}"));
    prop::option::weighted(0.9, prop_oneof!["[a-d]", long])
}

/// Size, slide, offset.
fn shape() -> impl Strategy<Value = (i64, i64, i64)> {
    let sizes = prop_oneof![(1i64..12, 1i64..12), (1i64..120, 1i64..8)];
    (sizes, 0i64..12).prop_map(|((a, b), offset)| {
        let (size, slide) = (a.max(b), a.min(b));
        (size, slide, offset % slide)
    })
}

fn row() -> impl Strategy<Value = Row> {
    let back = prop_oneof![4 => 0i64..4, 2 => 0i64..30, 1 => 0i64..200];
    (
        text(),
        back,
        prop::option::weighted(0.9, -50i64..50),
        text(),
    )
        .prop_map(|(key, back, value, text)| Row {
            key,
            time: -back,
            value,
            text,
            mark: None,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn windows_have_the_rows_that_they_hold_and_are_open_to(
        rows in prop::collection::vec(row(), 1..250),
        shape in shape(),
        pace in prop::sample::select(vec![0i64, 1, 3, 40]),
        lag in prop_oneof![0i64..5, 0i64..60],
        frame_rows in prop::sample::select(vec![1usize, 7, 1024]),
        rows_max in prop::sample::select(vec![1usize, 16, 1024]),
    ) {
        // Time goes on by the row, so that windows close on the way.
        let mut rows = rows;
        for (number, row) in rows.iter_mut().enumerate() {
            row.time += number as i64 * pace / 2;
        }
        check(&rows, shape, lag, frame_rows, rows_max);
    }

    /// A row is dropped before it comes to the panes if and only if it has none.
    #[test]
    fn rows_without_an_open_window_are_late(
        shape @ (size, slide, offset) in shape(),
        time in -300i64..300,
        mark in prop::option::of(-400i64..400),
    ) {
        let row = Row { key: None, time, value: None, text: None, mark };
        let bound = mark.map_or(i64::MIN, |m| m * UNIT_NS);
        let rule = LateRule { time: 0, unit_ns: UNIT_NS, bound: 1, size, slide, offset };
        let types = [DataType::Timestamp(TimeUnit::Millisecond, None), DataType::Int64];
        let fields = types.map(|t| Field::new("c", t));
        let mut frame = Frame::new(&Schema::new(fields.into()), 1);
        push(&mut frame.columns[0], Some(time));
        push(&mut frame.columns[1], Some(bound));
        frame.commit_rows(1);
        let mut on_time = Vec::new();
        rule.on_time(&frame, &mut on_time);
        prop_assert_eq!(on_time.is_empty(), starts(&row, shape).is_empty());
    }
}

fn rows(count: i64, keys: i64, time: impl Fn(i64) -> i64) -> Vec<Row> {
    let row = |n: i64| Row {
        key: Some(format!("key number {}", n % keys)),
        time: time(n),
        value: Some(n % 100),
        text: Some(format!("{}", n % 7)),
        mark: None,
    };
    (0..count).map(row).collect()
}

/// More groups than are added in one turn, and pages that split.
#[test]
fn many_groups_are_added_over_many_turns() {
    check(
        &rows(30_000, 4_000, |n| n / 1_000),
        (10, 2, 1),
        3,
        1024,
        1000,
    );
}

/// Sizes of a thousand slides, of a part of one more, with late rows within.
#[test]
fn many_windows_hold_a_row() {
    let late = |n: i64| n - if n % 97 == 0 { 700 } else { 0 };
    for size in [1_000, 1_001] {
        check(&rows(3_000, 3, late), (size, 1, 0), 10, 64, 1024);
        check(
            &rows(3_000, 3, |n| 2 * late(n)),
            (2 * size + 1, 2, 1),
            10,
            64,
            1024,
        );
    }
}

/// A turn in which nothing leaves gives way to others.
#[test]
fn additions_are_made_in_slices() {
    let mut panes = panes(&spec(10, 1, 0));
    update(&mut panes, &rows(40_000, 4_000, |n| n / 4_000));
    let (mut without, mut groups) = (0, 0);
    loop {
        let mut out = Frame::new(&panes.spec.aggregate.output, 1024);
        let progress = panes.emit(None, &mut out).expect("emit");
        without += usize::from(out.rows() == 0);
        groups += out.rows();
        if progress == Progress::Done {
            break;
        }
    }
    // Of 19 windows, and of the sums of nine panes before the first.
    assert!(
        groups == 19 * 4_000 && without >= 9 * 3,
        "{groups}, {without}"
    );
    assert_eq!(panes.pages(), 0);
}

#[test]
fn what_is_no_panes_is_refused() {
    let good = spec(10, 5, 0);
    let check = |what: &str, change: fn(&mut PanesSpec)| {
        let mut spec = PanesSpec::clone(&good);
        change(&mut spec);
        let made = Panes::new(
            &Arc::new(spec),
            0,
            KEY_GROUPS as u32,
            Addresses::shared_by(8),
        );
        let message = made.expect_err(what).to_string();
        assert!(message.contains(what), "{message}");
    };
    check("no window", |s| s.aggregate.window = None);
    check("phase", |s| s.aggregate.phase = Phase::Partial);
    check("watermarks", |s| s.bound = Some(1));
    check("watermarks", |s| s.bound = Some(9));
    check("no panes of", |s| {
        s.shape = WindowShape::Cumulating {
            size: 10,
            step: 5,
            offset: 0,
        };
    });
    check("no panes of", |s| {
        s.shape = WindowShape::Hopping {
            size: 10,
            slide: 11,
            offset: 0,
        };
    });
}
