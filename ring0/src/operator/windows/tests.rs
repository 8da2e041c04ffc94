//! Windows of a row, against all windows there are.

use arrow_schema::TimeUnit;
use proptest::prelude::*;

use super::*;
use crate::operator::unnest::flagged;
use crate::schema::Field;

/// The open windows of a time, found by looking at every window near it.
fn all_open(shape: WindowShape, time: i64, unit_ns: i64, bound: i64) -> Vec<(i64, i64)> {
    let (size, every, offset) = match shape {
        WindowShape::Hopping {
            size,
            slide,
            offset,
        } => (size, slide, offset),
        WindowShape::Cumulating { size, offset, .. } => (size, size, offset),
    };
    let near = (time - offset).div_euclid(every);
    let starts = (near - size / every - 1..=near).map(|k| offset + k * every);
    let mut windows = Vec::new();
    for start in starts {
        match shape {
            WindowShape::Hopping { .. } => windows.push((start, start + size)),
            WindowShape::Cumulating { step, .. } => {
                let ends = (1..)
                    .map(|k| k * step)
                    .take_while(|&e| e < size)
                    .chain([size]);
                windows.extend(ends.map(|end| (start, start + end)));
            }
        }
    }
    let holds = |&(start, end): &(i64, i64)| start <= time && time < end;
    let open = |&(_, end): &(i64, i64)| {
        bound == i64::MIN || i128::from(end) * i128::from(unit_ns) > i128::from(bound)
    };
    windows.into_iter().filter(holds).filter(open).collect()
}

fn shape() -> impl Strategy<Value = WindowShape> {
    (1i64..60, 1i64..60, 0i64..60, any::<bool>()).prop_map(|(a, b, offset, hops)| {
        let (size, part) = (a.max(b), a.min(b));
        match hops {
            true => WindowShape::Hopping {
                size,
                slide: part,
                offset: offset % part,
            },
            false => WindowShape::Cumulating {
                size,
                step: part,
                offset: offset % size,
            },
        }
    })
}

proptest! {
    #[test]
    fn open_windows_are_those_that_hold_the_row_and_end_behind_its_watermark(
        shape in shape(),
        time in -300i64..300,
        bound in prop_oneof![Just(i64::MIN), -400i64..400],
        unit_ns in prop::sample::select(vec![1i64, 1000]),
        more in 0i64..3,
    ) {
        let bound = bound.saturating_mul(unit_ns).saturating_add(more);
        let open = shape.open(time, unit_ns, bound).expect("far from the ends");
        let got: Vec<_> = (0..open.count as i64)
            .map(|n| (shape.start(open.first, n), shape.end(open.first, n)))
            .collect();
        prop_assert_eq!(got, all_open(shape, time, unit_ns, bound));
    }

    /// Near the ends of what a TIMESTAMP tells, a row is refused or right.
    #[test]
    fn bounds_never_wrap(shape in shape(), near in 0i64..200, ends in any::<bool>()) {
        let time = if ends { i64::MAX - near } else { i64::MIN + near };
        if let Some(open) = shape.open(time, 1, i64::MIN) {
            for number in 0..open.count as i64 {
                let (start, end) = (shape.start(open.first, number), shape.end(open.first, number));
                prop_assert!(start <= time && time < end, "{start} {time} {end}");
            }
        }
    }
}

/// Where the step does not divide the size, the last window's end is nearer than a step: what is
/// left when only that one is open still begins where it did.
#[test]
fn the_last_of_cumulating_windows_that_is_open_begins_where_all_do() {
    let (size, step, offset) = (7, 3, 0);
    let shape = WindowShape::Cumulating { size, step, offset };
    for (time, bound) in [(0, 6), (-7, -1), (4, 6)] {
        let open = shape.open(time, 1, bound).expect("far from the ends");
        let got = (shape.start(open.first, 0), shape.end(open.first, 0));
        assert_eq!(
            (open.count, vec![got]),
            (1, all_open(shape, time, 1, bound))
        );
    }
}

/// Results leave in frames of any size, and each tells its row; the first of a row is flagged.
#[test]
fn results_leave_in_frames_of_any_size() {
    let time = DataType::Timestamp(TimeUnit::Second, None);
    let schema = Schema::new(vec![
        Field::new("t", time.clone()),
        Field::new("id", DataType::Int64),
        Field::new("end", time),
    ]);
    let shape = WindowShape::Hopping {
        size: 5,
        slide: 2,
        offset: 1,
    };
    let spec = WindowsSpec {
        time: 0,
        start: Some(0),
        end: Some(2),
        unit_ns: 1_000_000_000,
        bound: None,
        shape,
        schema: flagged(schema.clone()),
    };
    let mut frame = Frame::new(&schema, 100);
    for row in 0..50i64 {
        for (column, value) in frame
            .columns
            .iter_mut()
            .zip([row * 7 % 13, row, row * 7 % 13])
        {
            let Column::I64(column) = column else {
                panic!("eight bytes")
            };
            column.push(Some(value));
        }
    }
    frame.commit_rows(50);
    let want: Vec<(i64, i64, i64, bool)> = (0..50)
        .flat_map(|row| {
            let windows = all_open(shape, row * 7 % 13, 1, i64::MIN)
                .into_iter()
                .enumerate();
            windows.map(move |(n, (start, end))| (start, row, end, n == 0))
        })
        .collect();
    for rows_max in [1, 2, 3, 7, 64, 1024] {
        let mut windows = Windows::new(&spec, &schema, OfInput::All).expect("fits");
        assert_eq!(windows.begin(&frame), (0, Vec::new()));
        let mut got = Vec::new();
        while got.len() < windows.len() {
            let mut out = Frame::new(&spec.schema, rows_max);
            let (from, to) = (got.len(), windows.len().min(got.len() + rows_max));
            windows.append(&frame, from, to, &mut out);
            let column = |c: usize| i64s(&out, c).values.clone();
            let Column::Bool(flags) = &out.columns[3] else {
                panic!("a flag")
            };
            for (at, row) in column(1).into_iter().enumerate() {
                assert_eq!(windows.row_of(from + at) as i64, row);
                got.push((
                    column(0)[at],
                    row,
                    column(2)[at],
                    flags.get(at) == Some(true),
                ));
            }
        }
        assert_eq!(got, want, "frames of {rows_max}");
    }
    // The end may stand where the time was.
    let (start, end) = (None, Some(0));
    let spec = WindowsSpec { start, end, ..spec };
    let mut windows = Windows::new(&spec, &schema, OfInput::All).expect("fits");
    windows.begin(&frame);
    let mut out = Frame::new(&spec.schema, 1024);
    windows.append(&frame, 0, windows.len(), &mut out);
    let wanted: Vec<i64> = want.iter().map(|(_, _, end, _)| *end).collect();
    assert_eq!(i64s(&out, 0).values, wanted);
}
