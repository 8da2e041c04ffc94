//! Panes that are handed on as they were, while rows change them and windows close.

use super::*;
use crate::operator::aggregate::tests::frozen::texts;

/// Gives the same rows to two, one of which is frozen every few frames and hands on a slice behind
/// each; what it hands on is what the other had then, and what both emit is the same.
fn check(rows: &[Row], shape: (i64, i64, i64), lag: i64, frame_rows: usize, every: usize) {
    let spec = spec(shape.0, shape.1, shape.2);
    let (mut frozen, mut other) = (panes(&spec), panes(&spec));
    let (mut got, mut wanted) = (Groups::new(), Groups::new());
    let (mut before, mut batches, mut greatest) = (None, Vec::new(), None);
    for (number, frame) in rows.chunks(frame_rows).enumerate() {
        if number % every == 0 && !frozen.shared().is_frozen() {
            let mut saved = Vec::new();
            while let Some(rows) = other.save().expect("save") {
                saved.push(rows);
            }
            before = Some(texts(&saved));
            frozen.freeze().expect("freeze");
        }
        let mark = greatest.map(|g: i64| g - lag);
        let rows = frame.iter().map(|row| Row {
            mark,
            ..row.clone()
        });
        let on_time: Vec<Row> = rows.filter(|r| !starts(r, shape).is_empty()).collect();
        greatest = greatest.max(frame.iter().map(|row| row.time).max());
        for (panes, groups) in [(&mut frozen, &mut got), (&mut other, &mut wanted)] {
            update(panes, &on_time);
            emit(panes, Some(greatest.expect("rows") - lag), 16, groups);
        }
        if frozen.shared().is_frozen() {
            match frozen.shared().save_frozen().expect("save") {
                Some(rows) => batches.push(rows),
                None => {
                    let handed_on = std::mem::take(&mut batches);
                    assert_eq!(Some(texts(&handed_on)), before.take());
                }
            }
        }
    }
    for (panes, groups) in [(&mut frozen, &mut got), (&mut other, &mut wanted)] {
        emit(panes, None, 16, groups);
    }
    while frozen.shared().is_frozen() {
        match frozen.shared().save_frozen().expect("save") {
            Some(rows) => batches.push(rows),
            None => assert_eq!(Some(texts(&batches)), before.take()),
        }
    }
    assert_alike(&got, &wanted);
    assert_eq!(frozen.pages(), 0, "all state is given back");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn panes_are_handed_on_as_they_were(
        rows in prop::collection::vec(row(), 1..250),
        shape in shape(),
        pace in prop::sample::select(vec![0i64, 1, 3, 40]),
        lag in prop_oneof![0i64..5, 0i64..60],
        frame_rows in prop::sample::select(vec![2usize, 11]),
        every in 1usize..9,
    ) {
        let mut rows = rows;
        for (number, row) in rows.iter_mut().enumerate() {
            row.time += number as i64 * pace / 2;
        }
        check(&rows, shape, lag, frame_rows, every);
    }
}

/// Tables of several pages and slices, which are added to each other meanwhile.
#[test]
fn many_groups_are_handed_on_as_they_were() {
    check(&rows(9_000, 4_000, |n| n / 300), (10, 2, 1), 3, 300, 7);
}
