//! Interval joins against two nested loops, whatever comes when.

mod lives;

use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;

use super::*;
use crate::expr::{BinaryOp, Expr};
use crate::program::Keep;
use crate::schema::{Field, Schema};

/// A key, a time, and a number.
type Row = (Option<i64>, i64, i64);
/// A pair; of a row that matches none, none, and of one that is asked for, what is said of it.
type Pair = (Option<Row>, Option<Row>, Option<bool>);

#[derive(Debug, Clone)]
struct Case {
    kind: JoinKind,
    lower: i64,
    upper: i64,
    lag: [i64; 2],
    by_key: bool,
    nulls_equal: bool,
    condition: bool,
    frame_rows: usize,
}

/// What comes at a port.
#[derive(Debug, Clone)]
enum Event {
    Rows(usize, Vec<Row>),
    Watermark(usize, i64),
}

fn schema() -> Arc<Schema> {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64),
        Field::new("t", time),
        Field::new("n", DataType::Int64),
    ]))
}

impl Case {
    fn join(&self) -> (IntervalJoin, Arc<Schema>) {
        let column = |at| Box::new(Expr::Column(at));
        let mut fields = schema().fields.clone();
        match self.kind {
            JoinKind::Pairs { .. } => fields.extend(schema().fields.clone()),
            JoinKind::Mark(_) => fields.push(Field::new("m", DataType::Boolean)),
            JoinKind::Semi(_) | JoinKind::Anti(_) => {}
        }
        let output = Arc::new(Schema::new(fields));
        let keys = Vec::from_iter(self.by_key.then_some(0));
        let interval = Interval {
            times: [1, 1],
            unit_ns: [1000, 1000],
            lower_ns: self.lower * 1000,
            upper_ns: self.upper * 1000,
            lag_ns: self.lag.map(|lag| lag * 1000),
        };
        let spec = JoinSpec {
            inputs: [schema(), schema()],
            keys: [keys.clone(), keys],
            nulls_equal: self.nulls_equal,
            not_in: false,
            condition: (self.condition).then(|| Expr::Binary(BinaryOp::Lt, column(2), column(5))),
            near: None,
            kind: self.kind,
            keep: Keep::Interval(interval),
            output: Arc::clone(&output),
        };
        (
            IntervalJoin::new(&Arc::new(spec), interval, 7).expect("a join"),
            output,
        )
    }

    fn matches(&self, l: &Row, r: &Row) -> bool {
        let equal = match (l.0, r.0) {
            (None, None) => self.nulls_equal,
            (a, b) => a.is_some() && a == b,
        };
        (!self.by_key || equal)
            && l.1 - self.lower <= r.1
            && r.1 <= l.1 + self.upper
            && (!self.condition || l.2 < r.2)
    }

    fn model(&self, sides: &[Vec<Row>; 2]) -> Vec<Pair> {
        let [left, right] = sides;
        let mut pairs = Vec::new();
        let meets = |side: Side, row: &Row| match side {
            Side::Left => right.iter().any(|r| self.matches(row, r)),
            Side::Right => left.iter().any(|l| self.matches(l, row)),
        };
        let alone = |side: Side, row: Row| match side {
            Side::Left => (Some(row), None),
            Side::Right => (None, Some(row)),
        };
        if let JoinKind::Pairs { .. } = self.kind {
            for l in left {
                let found = right.iter().filter(|r| self.matches(l, r));
                pairs.extend(found.map(|r| (Some(*l), Some(*r), None)));
            }
        }
        for (side, rows) in [(Side::Left, left), (Side::Right, right)] {
            for row in rows.iter().filter(|_| self.kind.tells(side)) {
                let (met, (l, r)) = (meets(side, row), alone(side, *row));
                match self.kind {
                    JoinKind::Pairs { .. } | JoinKind::Anti(_) if met => {}
                    JoinKind::Semi(_) if !met => {}
                    JoinKind::Mark(_) => pairs.push((l, r, Some(met))),
                    _ => pairs.push((l, r, None)),
                }
            }
        }
        pairs.sort_unstable();
        pairs
    }
}

fn frame(rows: &[Row]) -> Frame {
    let mut frame = Frame::new(&schema(), rows.len().max(1));
    for (at, column) in frame.columns.iter_mut().enumerate() {
        let Column::I64(column) = column else {
            panic!("64 bits")
        };
        let value = |row: &Row| [row.0, Some(row.1), Some(row.2)][at];
        rows.iter().for_each(|row| column.push(value(row)));
    }
    frame.commit_rows(rows.len());
    frame
}

fn drain(case: &Case, out: &mut Frame, pairs: &mut Vec<Pair>) {
    let value = |column: usize, row: usize| match &out.columns[column] {
        Column::I64(c) => c.get(row),
        _ => panic!("64 bits"),
    };
    for row in 0..out.rows() {
        let side = |first: usize| {
            let of = |at: usize| value(first + at, row);
            of(1).map(|time| (of(0), time, of(2).expect("a number")))
        };
        let mark = match out.columns.last() {
            Some(Column::Bool(marks)) => Some(marks.values.get(row)),
            _ => None,
        };
        pairs.push(match case.kind.asked() {
            None => (side(0), side(3), None),
            Some(Side::Left) => (side(0), None, mark),
            Some(Side::Right) => (None, side(0), mark),
        });
    }
    out.clear();
}

/// Feeds a join, and checks at each watermark that no row is held for longer than it may match, and
/// that what is said of the time of later rows holds.
fn run(case: &Case, events: &[Event]) -> Vec<Pair> {
    let (mut join, schema) = case.join();
    let mut out = Frame::new(&schema, case.frame_rows);
    let mut reached = [None; 2];
    let mut pairs = Vec::new();
    for event in events {
        let said = join.watermark();
        let before = pairs.len();
        match event {
            Event::Rows(port, rows) => {
                let frame = frame(rows);
                join.take_from(*port, reached);
                loop {
                    let (flow, failed) = join.take(&frame, &mut out);
                    assert!(failed.is_empty());
                    drain(case, &mut out, &mut pairs);
                    if flow == Flow::Done {
                        break;
                    }
                }
            }
            Event::Watermark(port, time) => {
                reached[*port] = Some(i128::from(*time) * 1000);
                join.take_from(*port, reached);
                while join.forget_all(&mut out) == Flow::Full {
                    drain(case, &mut out, &mut pairs);
                }
                drain(case, &mut out, &mut pairs);
            }
        }
        let times = pairs[before..].iter().flat_map(|(l, r, _)| [*l, *r]);
        let lag = case.lag[0].max(case.lag[1]);
        let least = times.flatten().map(|row| row.1 + lag).min();
        let holds = said.is_none_or(|said| least.is_none_or(|least| least * 1000 >= said));
        assert!(holds, "{said:?} was said before {least:?}");
    }
    join.take_from(0, [Some(ENDED); 2]);
    while join.forget_all(&mut out) == Flow::Full {
        drain(case, &mut out, &mut pairs);
    }
    drain(case, &mut out, &mut pairs);
    assert_eq!(join.held.each_ref().map(Held::len), [0, 0], "all is over");
    pairs.sort_unstable();
    pairs
}

fn row() -> impl Strategy<Value = Row> {
    let key = prop_oneof![1 => Just(None), 6 => (0..3i64).prop_map(Some)];
    (key, -5..25i64, 0..6i64)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0..2usize, prop::collection::vec(row(), 1..9))
            .prop_map(|(port, rows)| Event::Rows(port, rows)),
        1 => (0..2usize, 0..9i64).prop_map(|(port, time)| Event::Watermark(port, time)),
    ];
    prop::collection::vec(event, 0..40)
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

/// Lets time go on: watermarks rise, and rows lie at or above that of their side, less its lag.
fn ordered(events: &mut [Event], lag: [i64; 2]) {
    let mut reached = [-10; 2];
    for event in events {
        match event {
            Event::Rows(port, rows) => {
                let least = reached[*port] - lag[*port];
                rows.iter_mut().for_each(|r| r.1 += least + 5);
            }
            Event::Watermark(port, time) => {
                reached[*port] += *time;
                *time = reached[*port];
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Any rows in any order, watermarks between them, all kinds of joins, frames of any size.
    #[test]
    fn joins_are_what_nested_loops_give(
        kind in kind(),
        bounds in (-4..8i64, -4..8i64),
        lag in prop::sample::select(vec![[0, 0], [4, 0], [3, 7]]),
        (by_key, nulls_equal, condition) in any::<(bool, bool, bool)>(),
        frame_rows in prop::sample::select(&[1, 7, 1024][..]),
        mut events in events(),
    ) {
        ordered(&mut events, lag);
        let (lower, upper) = bounds;
        let case = Case { kind, lower, upper, lag, by_key, nulls_equal, condition, frame_rows };
        let mut sides = [Vec::new(), Vec::new()];
        for event in &events {
            if let Event::Rows(port, rows) = event {
                sides[*port].extend(rows);
            }
        }
        prop_assert_eq!(run(&case, &events), case.model(&sides));
    }
}

const PLAIN: Case = Case {
    kind: JoinKind::Pairs {
        left: true,
        right: true,
    },
    lower: 10,
    upper: 10,
    lag: [0, 0],
    by_key: true,
    nulls_equal: false,
    condition: false,
    frame_rows: 256,
};

/// However long it runs, no more rows are held than may still match, and blocks are used anew.
#[test]
fn what_is_held_stays_bounded() {
    let (mut join, schema) = PLAIN.join();
    let mut out = Frame::new(&schema, PLAIN.frame_rows);
    let (mut reached, mut pairs) = ([None; 2], 0);
    for round in 0..20_000i64 {
        for port in 0..2 {
            let rows: Vec<Row> = (0..50).map(|n| (Some(n), round - n % 5, round)).collect();
            join.take_from(port, reached);
            let frame = frame(&rows);
            while join.take(&frame, &mut out).0 == Flow::Full {
                pairs += out.rows();
                out.clear();
            }
            reached[port] = Some(i128::from(round - 4) * 1000);
            join.take_from(port, reached);
            while join.forget_all(&mut out) == Flow::Full {
                out.clear();
            }
        }
        // Fifteen rounds may match, and 50 rows of the next have come.
        let held = join.held.each_ref().map(Held::len);
        assert!(held.iter().all(|&held| held <= 17 * 50), "{held:?}");
    }
    let blocks = join.held.each_ref().map(Held::blocks);
    assert!(blocks.iter().all(|&blocks| blocks <= 3), "{blocks:?}");
    assert!(pairs > 20_000 * 50 * 15, "{pairs} pairs");
}

/// A row that matches very many gives them by frames, and is not begun anew.
#[test]
fn a_row_with_very_many_matches() {
    const ROWS: i64 = 200_000;
    let rows: Vec<Row> = (0..ROWS).map(|n| (Some(1), n % 20, n)).collect();
    let mut events: Vec<Event> = (rows.chunks(1000))
        .map(|rows| Event::Rows(0, rows.to_vec()))
        .collect();
    events.push(Event::Rows(1, vec![(Some(1), 10, 0)]));
    let pairs = run(&PLAIN, &events);
    let matched = pairs.iter().filter_map(|(l, _, _)| Some(l.as_ref()?.2));
    let mut numbers: Vec<i64> = matched.collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..ROWS).collect::<Vec<_>>(), "each once");
    assert!(pairs.iter().all(|(_, r, _)| r.is_some()), "all match");
}
