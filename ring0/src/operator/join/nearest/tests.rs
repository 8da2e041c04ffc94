//! ASOF joins against two nested loops, whatever comes when.

use arrow_schema::TimeUnit;
use proptest::prelude::*;

use super::*;
use crate::limits::KEY_GROUPS;
use crate::program::{Keep, Toward};
use crate::schema::{Field, Schema};

/// A key, a time, and a number.
type Row = (Option<i64>, Option<i64>, i64);
/// A row of the left side, and the version that it met.
type Pair = (Row, Option<Row>);

const SEED: u64 = 7;

#[derive(Debug, Clone)]
struct Case {
    pads: bool,
    toward: Toward,
    /// `None`: the right side comes first.
    lag: Option<[i64; 2]>,
    ties: Ties,
    by_key: bool,
    nulls_equal: bool,
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
    fn join(&self) -> (NearestJoin, Arc<Schema>) {
        let output = [schema().fields.clone(), schema().fields.clone()].concat();
        let output = Arc::new(Schema::new(output));
        let keys = Vec::from_iter(self.by_key.then_some(0));
        let nearest = Nearest {
            times: [1, 1],
            toward: self.toward,
            ties: self.ties,
            lag_ns: self.lag.map(|lag| lag.map(|lag| lag * 1000)),
        };
        let spec = JoinSpec {
            inputs: [schema(), schema()],
            keys: [keys.clone(), keys],
            nulls_equal: self.nulls_equal,
            not_in: false,
            condition: None,
            near: None,
            kind: JoinKind::Pairs {
                left: self.pads,
                right: false,
            },
            keep: Keep::Nearest(nearest),
            output: Arc::clone(&output),
        };
        let join = NearestJoin::new(&Arc::new(spec), nearest, SEED).expect("a join");
        (join, output)
    }

    fn is_candidate(&self, l: &Row, r: &Row) -> bool {
        let equal = match (l.0, r.0) {
            (None, None) => self.nulls_equal,
            (a, b) => a.is_some() && a == b,
        };
        let (Some(l), Some(r)) = (l.1, r.1) else {
            return false;
        };
        let near = match self.toward {
            Toward::Before => r < l,
            Toward::AtOrBefore => r <= l,
            Toward::After => r > l,
            Toward::AtOrAfter => r >= l,
        };
        (!self.by_key || equal) && near
    }

    fn model(&self, sides: &[Vec<Row>; 2]) -> Vec<Pair> {
        let [left, right] = sides;
        let met = |l: &Row| {
            let candidates = right.iter().enumerate();
            let candidates = candidates.filter(|(_, r)| self.is_candidate(l, r));
            let stands = |(arrival, r): &(usize, &Row)| match self.ties {
                Ties::Arrival => (r.1, *arrival, None),
                // What is not known stands last.
                Ties::Values => (r.1, 0, Some((r.0.unwrap_or(i64::MAX), r.2))),
            };
            let found = match self.toward.is_before() {
                true => candidates.max_by_key(stands),
                false => candidates.min_by_key(stands),
            };
            found.map(|(_, r)| *r)
        };
        let pairs = left.iter().map(|l| (*l, met(l)));
        let mut pairs: Vec<Pair> = pairs.filter(|(_, r)| self.pads || r.is_some()).collect();
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
        let value = |row: &Row| [row.0, row.1, Some(row.2)][at];
        rows.iter().for_each(|row| column.push(value(row)));
    }
    frame.commit_rows(rows.len());
    frame
}

fn drain(out: &mut Frame, pairs: &mut Vec<Pair>) {
    let value = |column: usize, row: usize| match &out.columns[column] {
        Column::I64(c) => c.get(row),
        _ => panic!("64 bits"),
    };
    for row in 0..out.rows() {
        let side = |first: usize| {
            let of = |at: usize| value(first + at, row);
            of(2).map(|number| (of(0), of(1), number))
        };
        pairs.push((side(0).expect("a row"), side(3)));
    }
    out.clear();
}

type Reached = [Option<i128>; 2];
type Out = (Frame, Vec<Pair>);

/// So many joins that share all keys; one, where there is no key.
fn joins(case: &Case, shards: u32) -> Vec<(NearestJoin, Owned)> {
    let shards = if case.by_key { shards } else { 1 };
    let groups = KEY_GROUPS as u32 / shards;
    let owned = |shard: u32| match shards {
        1 => Owned::All,
        _ => Owned::Routed {
            by: vec![0],
            first: shard * groups,
            groups: match shard + 1 == shards {
                true => KEY_GROUPS as u32 - shard * groups,
                false => groups,
            },
        },
    };
    let make = |shard| {
        let owned = owned(shard);
        let sides = [Some(owned.clone()), Some(owned.clone())];
        (case.join().0.owning(sides), owned)
    };
    (0..shards).map(make).collect()
}

/// Gives a join what comes, and checks that what it said of the time of later rows holds.
fn feed(case: &Case, join: &mut NearestJoin, event: &Event, reached: Reached, out: &mut Out) {
    let (out, pairs) = out;
    let said = match case.lag {
        Some(_) => join.watermark(0),
        None => None,
    };
    let before = pairs.len();
    match event {
        Event::Rows(port, rows) => {
            let frame = frame(rows);
            join.take_from(*port, reached);
            while join.take(&frame, out) == Flow::Full {
                drain(out, pairs);
            }
        }
        Event::Watermark(port, _) => {
            join.take_from(*port, reached);
            while join.settle(out) == Flow::Full {
                drain(out, pairs);
            }
        }
    }
    drain(out, pairs);
    let lag = case.lag.map_or(0, |lag| lag[0]);
    let times = pairs[before..].iter().filter_map(|(l, _)| l.1);
    let least = times.map(|time| (time + lag) * 1000).min();
    let holds = said.is_none_or(|said| least.is_none_or(|least| least >= said));
    assert!(
        holds,
        "{said} was said before {least:?}",
        said = said.unwrap_or(0)
    );
}

/// What joins give that hand on what they keep at each turn of lives.
fn run_lives(case: &Case, lives: &[(u32, &[Event])]) -> Vec<Pair> {
    let mut out = (Frame::new(&case.join().1, case.frame_rows), Vec::new());
    let mut handed_on = Vec::new();
    for (number, (shards, events)) in lives.iter().enumerate() {
        let mut joins = joins(case, *shards);
        for (join, _) in &mut joins {
            for rows in &handed_on {
                join.load(rows, None).expect("what was saved");
            }
        }
        // Inputs say again where they are.
        let mut reached = [None; 2];
        for event in *events {
            if let Event::Watermark(port, time) = event {
                reached[*port] = Some(i128::from(*time) * 1000);
            }
            for (join, owned) in &mut joins {
                let mine = match event {
                    Event::Rows(port, rows) => {
                        let mine = owned.rows(&frame(rows), &schema(), SEED);
                        Event::Rows(*port, mine.into_iter().map(|row| rows[row]).collect())
                    }
                    Event::Watermark(..) => event.clone(),
                };
                feed(case, join, &mine, reached, &mut out);
            }
        }
        handed_on.clear();
        for (join, _) in &mut joins {
            if number + 1 < lives.len() {
                handed_on.extend(std::iter::from_fn(|| join.save()));
                continue;
            }
            let end = Event::Watermark(0, 0);
            feed(case, join, &end, [Some(ENDED); 2], &mut out);
            assert_eq!(join.waiting.len(), 0, "nothing waits any more");
        }
    }
    out.1.sort_unstable();
    out.1
}

/// The rows of each side, in their order.
fn sides(events: &[Event]) -> [Vec<Row>; 2] {
    let mut sides = [Vec::new(), Vec::new()];
    for event in events {
        if let Event::Rows(port, rows) = event {
            sides[*port].extend(rows);
        }
    }
    sides
}

fn row() -> impl Strategy<Value = Row> {
    let key = prop_oneof![1 => Just(None), 6 => (0..3i64).prop_map(Some)];
    let time = prop_oneof![1 => Just(None), 12 => (-5..25i64).prop_map(Some)];
    (key, time, 0..6i64)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0..2usize, prop::collection::vec(row(), 1..9))
            .prop_map(|(port, rows)| Event::Rows(port, rows)),
        1 => (0..2usize, 0..9i64).prop_map(|(port, time)| Event::Watermark(port, time)),
    ];
    prop::collection::vec(event, 0..40)
}

/// Lets time go on: watermarks rise, and rows lie at or above that of their side, less its lag.
fn ordered(events: &mut [Event], lag: [i64; 2]) {
    let mut reached = [-10; 2];
    for event in events {
        match event {
            Event::Rows(port, rows) => {
                let least = reached[*port] - lag[*port];
                let times = rows.iter_mut().filter_map(|row| row.1.as_mut());
                times.for_each(|time| *time += least + 5);
            }
            Event::Watermark(port, time) => {
                reached[*port] += *time;
                *time = reached[*port];
            }
        }
    }
}

fn toward() -> impl Strategy<Value = Toward> {
    prop::sample::select(vec![
        Toward::Before,
        Toward::AtOrBefore,
        Toward::After,
        Toward::AtOrAfter,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Any rows in any order, watermarks between them, ended wherever it is, whoever goes on.
    #[test]
    fn versions_that_come_are_what_nested_loops_give(
        toward in toward(),
        lag in prop::sample::select(vec![[0, 0], [4, 0], [3, 7]]),
        (pads, by_key, nulls_equal, by_values) in any::<(bool, bool, bool, bool)>(),
        frame_rows in prop::sample::select(&[1, 7, 1024][..]),
        mut events in events(),
        shards in prop::collection::vec(1..5u32, 1..5),
    ) {
        ordered(&mut events, lag);
        let ties = if by_values { Ties::Values } else { Ties::Arrival };
        let lag = Some(lag);
        let case = Case { pads, toward, lag, ties, by_key, nulls_equal, frame_rows };
        let each = events.len().div_ceil(shards.len()).max(1);
        let mut parts = events.chunks(each);
        let lives: Vec<_> = shards.iter().map(|&s| (s, parts.next().unwrap_or(&[]))).collect();
        prop_assert_eq!(run_lives(&case, &lives), case.model(&sides(&events)));
    }

    /// All versions before all rows that look for one.
    #[test]
    fn versions_that_are_kept_are_what_nested_loops_give(
        toward in toward(),
        (pads, by_key, nulls_equal, by_values) in any::<(bool, bool, bool, bool)>(),
        frame_rows in prop::sample::select(&[1, 7, 1024][..]),
        mut events in events(),
    ) {
        events.retain(|event| matches!(event, Event::Rows(..)));
        events.sort_by_key(|event| matches!(event, Event::Rows(0, _)));
        let ties = if by_values { Ties::Values } else { Ties::Arrival };
        let case = Case { pads, toward, lag: None, ties, by_key, nulls_equal, frame_rows };
        let got = run_lives(&case, &[(3, &events)]);
        prop_assert_eq!(got, case.model(&sides(&events)));
    }
}

const PLAIN: Case = Case {
    pads: true,
    toward: Toward::AtOrBefore,
    lag: Some([0, 0]),
    ties: Ties::Arrival,
    by_key: true,
    nulls_equal: false,
    frame_rows: 256,
};

/// However long it runs: of each key one version behind the watermark, and what is ahead of it.
#[test]
fn what_is_kept_stays_bounded() {
    for toward in [
        Toward::Before,
        Toward::AtOrBefore,
        Toward::After,
        Toward::AtOrAfter,
    ] {
        let case = Case { toward, ..PLAIN };
        let (mut join, schema) = case.join();
        let mut out = (Frame::new(&schema, case.frame_rows), Vec::new());
        let mut reached = [None; 2];
        for round in 0..4_000i64 {
            for port in 0..2 {
                let row = |n| (Some(n), Some(round - n % 5), round);
                let rows = Event::Rows(port, (0..50).map(row).collect());
                feed(&case, &mut join, &rows, reached, &mut out);
                reached[port] = Some(i128::from(round - 4) * 1000);
                let mark = Event::Watermark(port, round - 4);
                feed(&case, &mut join, &mark, reached, &mut out);
            }
            let kept = (join.versions.len(), join.waiting.len());
            assert!(kept.0 <= 7 * 50 && kept.1 <= 7 * 50, "{kept:?}");
        }
        let given = out.1.len();
        assert!(given >= 3_990 * 50, "{given} rows");
        assert!(out.1.iter().filter(|pair| pair.1.is_none()).count() <= 50);
    }
}

/// Very many rows wait for one version: they leave by frames, each once.
#[test]
fn very_many_rows_wait_for_one_version() {
    const ROWS: i64 = 100_000;
    for toward in [Toward::AtOrBefore, Toward::AtOrAfter] {
        let case = Case { toward, ..PLAIN };
        let rows: Vec<Row> = (0..ROWS).map(|n| (Some(1), Some(10), n)).collect();
        let mut events: Vec<Event> = (rows.chunks(1000))
            .map(|rows| Event::Rows(0, rows.to_vec()))
            .collect();
        events.push(Event::Rows(1, vec![(Some(1), Some(10), 0)]));
        events.push(Event::Watermark(1, 20));
        let pairs = run_lives(&case, &[(1, &events)]);
        let numbers: Vec<i64> = pairs.iter().map(|(l, _)| l.2).collect();
        assert_eq!(numbers, (0..ROWS).collect::<Vec<_>>(), "each once");
        assert!(pairs.iter().all(|(_, r)| r.is_some()), "all meet it");
    }
}

/// What there is no such join for is refused, and not run as another.
#[test]
fn what_does_not_fit_is_refused() {
    let (join, _) = PLAIN.join();
    let refused = |change: fn(&mut JoinSpec, &mut Nearest)| {
        let mut spec = JoinSpec::clone(&join.spec);
        let mut nearest = join.nearest;
        change(&mut spec, &mut nearest);
        NearestJoin::new(&Arc::new(spec), nearest, SEED).is_err()
    };
    assert!(!refused(|_, _| {}));
    assert!(refused(|spec, _| spec.kind = JoinKind::Pairs {
        left: true,
        right: true
    }));
    assert!(refused(|_, nearest| nearest.times = [1, 0]));
    assert!(refused(|_, nearest| nearest.times = [0, 0]));
    assert!(!refused(
        |_, nearest| (nearest.times, nearest.lag_ns) = ([0, 0], None)
    ));
    assert!(refused(|_, nearest| nearest.times = [1, 7]));
}
