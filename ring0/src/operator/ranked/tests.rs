//! Ranks of rows that come and go, against those of the rows that stand.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::TimeUnit;
use proptest::prelude::*;

use super::*;
use crate::changelog::{DELETE, INSERT, weighted};
use crate::limits::KEY_GROUPS;
use crate::order::{Direction, Nulls};
use crate::schema::Field;
use crate::snapshot::Owned;

/// Partition, value, number.
type Row = (i64, i64, i64);

fn schema() -> Schema {
    let time = DataType::Timestamp(TimeUnit::Nanosecond, None);
    Schema::new(vec![
        Field::new("p", time),
        Field::new("v", DataType::Int64),
        Field::new("n", DataType::Int64),
    ])
}

/// The sum of the values so far, and how many rows there are.
#[derive(Debug)]
struct Running(Vec<DataType>);

impl PartitionKernel for Running {
    fn data_types(&self) -> &[DataType] {
        &self.0
    }

    fn evaluate(
        &self,
        columns: &[ArrayRef],
        rows: usize,
    ) -> std::result::Result<Vec<ArrayRef>, String> {
        let values = columns[1]
            .as_any()
            .downcast_ref::<Int64Array>()
            .expect("BIGINT");
        let mut sum = 0;
        let sums = (0..rows).map(|row| {
            sum += values.value(row);
            sum
        });
        let sums: Int64Array = sums.collect();
        Ok(vec![
            Arc::new(sums),
            Arc::new(Int64Array::from(vec![rows as i64; rows])),
        ])
    }
}

fn spec(functions: Functions, limit: Option<(Rank, u64)>, phase: Phase) -> Arc<RankedSpec> {
    let mut fields = schema().fields;
    fields.extend(
        functions
            .data_types()
            .into_iter()
            .map(|t| Field::new("r", t)),
    );
    let of = |schema: Schema| match phase {
        Phase::Changes => weighted(schema),
        _ => Arc::new(schema),
    };
    let descending = |column| SortKey {
        column,
        direction: Direction::Descending,
        nulls: Nulls::First,
    };
    Arc::new(RankedSpec {
        input: of(schema()),
        partition: vec![0],
        order: vec![descending(1)],
        ties: vec![SortKey::ascending(2)],
        functions,
        limit,
        skip: 0,
        window: Some(WindowKey {
            key: 0,
            size_ns: 10,
        }),
        phase,
        updates: Updates::Rows,
        output: of(Schema::new(fields)),
    })
}

fn push(frame: &mut Frame, (p, v, n): Row, op: Option<i8>) {
    for (column, value) in frame.columns.iter_mut().zip([p, v, n]) {
        let Column::I64(column) = column else {
            panic!("BIGINT")
        };
        column.push(Some(value));
    }
    if let Some(op) = op {
        changelog::push(frame, op);
    }
    frame.commit_rows(1);
}

fn values(frame: &Frame, row: usize, columns: usize) -> Vec<i64> {
    let value = |column: &Column| match column {
        Column::I64(c) => c.values[row],
        Column::U64(c) => c.values[row] as i64,
        other => panic!("no column of {:?}", other.physical()),
    };
    frame.columns[..columns].iter().map(value).collect()
}

/// What stands of the rows, and what the functions give.
fn wanted(stands: &[Row], ranks: bool, limit: Option<u64>) -> Vec<Vec<i64>> {
    let mut rows = stands.to_vec();
    rows.sort_by_key(|&(p, v, n)| (p, -v, n));
    let mut out = Vec::new();
    for part in rows.chunk_by(|a, b| a.0 == b.0) {
        let (mut sum, mut dense, mut rank) = (0, 0, 0);
        for (at, &(p, v, n)) in part.iter().enumerate() {
            sum += v;
            if at == 0 || part[at - 1].1 != v {
                (rank, dense) = (at as i64 + 1, dense + 1);
            }
            let results = match ranks {
                true => vec![at as i64 + 1, rank, dense],
                false => vec![sum, part.len() as i64],
            };
            if limit.is_none_or(|max| rank as u64 <= max) {
                out.push([vec![p, v, n], results].concat());
            }
        }
    }
    out.sort();
    out
}

fn check(functions: Functions, limit: Option<(Rank, u64)>, steps: &[(u8, Row)], frame_rows: usize) {
    let ranks = matches!(functions, Functions::Ranks(_));
    let spec = spec(functions, limit, Phase::Changes);
    let wanted = |stands: &[Row]| wanted(stands, ranks, limit.map(|(_, max)| max));
    check_spec(&spec, steps, frame_rows, &wanted);
}

/// The rows of each partition behind the first `skip`, and of these at most `fetch`.
fn check_skipped(skip: usize, fetch: Option<usize>, steps: &[(u8, Row)], frame_rows: usize) {
    let limit = fetch.map(|fetch| (Rank::RowNumber, (skip + fetch) as u64));
    let spec = spec(Functions::Ranks(Vec::new()), limit, Phase::Changes);
    let mut spec = RankedSpec::clone(&spec);
    spec.skip = skip as u64;
    let wanted = |stands: &[Row]| {
        let mut rows = stands.to_vec();
        rows.sort_by_key(|&(p, v, n)| (p, -v, n));
        let parts = rows.chunk_by(|a, b| a.0 == b.0);
        let behind = parts.flat_map(|p| p.iter().skip(skip).take(fetch.unwrap_or(p.len())));
        let mut rows: Vec<Vec<i64>> = behind.map(|&(p, v, n)| vec![p, v, n]).collect();
        rows.sort();
        rows
    };
    check_spec(&Arc::new(spec), steps, frame_rows, &wanted);
}

fn check_spec(
    spec: &Arc<RankedSpec>,
    steps: &[(u8, Row)],
    frame_rows: usize,
    wanted: &dyn Fn(&[Row]) -> Vec<Vec<i64>>,
) {
    let columns = spec.output.fields.len() - 1;
    let mut state = Ranked::new(spec).expect("a program");
    let (mut stands, mut given) = (Vec::<Row>::new(), BTreeMap::<Vec<i64>, i64>::new());
    let mut numbers = BTreeMap::<(i64, i64), Vec<i64>>::new();
    let mut frame = Frame::new(&spec.input, 64);
    for (step, (kind, row)) in steps.iter().enumerate() {
        let at = stands
            .len()
            .checked_sub(1)
            .map(|last| (row.2 as usize * 7 + step) % (last + 1));
        match (at, kind) {
            (Some(at), 0) => push(&mut frame, stands.swap_remove(at), Some(DELETE)),
            (Some(at), 1) => {
                push(&mut frame, stands.swap_remove(at), Some(UPDATE_BEFORE));
                push(&mut frame, *row, Some(UPDATE_AFTER));
                stands.push(*row);
            }
            (_, 2) => {
                push(&mut frame, *row, Some(DELETE));
                push(&mut frame, *row, Some(INSERT));
            }
            _ => {
                push(&mut frame, *row, Some(INSERT));
                stands.push(*row);
            }
        }
        if step % frame_rows != 0 {
            continue;
        }
        let mut at = 0;
        loop {
            let mut out = Frame::new(&spec.output, 3);
            at = state.take(&frame, at, &mut out).expect("taken");
            for (row, op) in changelog::given(&out).iter().enumerate() {
                *given.entry(values(&out, row, columns)).or_default() += i64::from(op.signum());
                if let Updates::Numbers(rank) = spec.updates {
                    upsert(&mut numbers, values(&out, row, columns), 3 + rank, *op);
                }
            }
            if at == frame.rows() && !state.is_pending() {
                break;
            }
        }
        frame.clear();
        given.retain(|_, count| *count != 0);
        let got = given
            .iter()
            .flat_map(|(row, &count)| vec![row.clone(); count as usize]);
        let got: Vec<Vec<i64>> = got.collect();
        assert_eq!(got, wanted(&stands), "{step}");
        if let Updates::Numbers(_) = spec.updates {
            let mut rows: Vec<_> = numbers.values().cloned().collect();
            rows.sort();
            assert_eq!(rows, got, "{step}, by number");
        }
        // A row that went without having come is no row of state.
        assert_eq!(state.rows(), stands.len());
        if step % 3 == 0 {
            state = handed_on(&state, spec);
        }
    }
}

/// What somebody keeps by partition and number who is told which row stands, or that none does.
fn upsert(numbers: &mut BTreeMap<(i64, i64), Vec<i64>>, row: Vec<i64>, number: usize, op: i8) {
    let key = (row[0], row[number]);
    match op {
        UPDATE_BEFORE => assert_eq!(numbers.get(&key), Some(&row)),
        DELETE => assert_eq!(numbers.remove(&key), Some(row)),
        INSERT => assert_eq!(numbers.insert(key, row), None),
        _ => assert!(numbers.insert(key, row).is_some(), "an update of nothing"),
    }
}

/// The same in other hands: handed on to three that share the partitions, and by these to one.
fn handed_on(state: &Ranked, spec: &Arc<RankedSpec>) -> Ranked {
    let third = KEY_GROUPS as u32 / 3;
    let saved = |state: &Ranked| {
        let mut cursor = SaveCursor::default();
        let saved: Vec<_> = std::iter::from_fn(|| state.save(&mut cursor)).collect();
        saved
    };
    let take = |saved: &[RecordBatch], owned: &Owned| {
        let mut state = Ranked::new(spec).expect("a program");
        let mut saved = saved.iter();
        let loaded = saved.try_for_each(|rows| state.load(rows, owned, 7));
        loaded.expect("what was saved");
        state
    };
    let shared = (0..3).map(|part| Owned::Routed {
        by: vec![0],
        first: part * third,
        groups: if part < 2 {
            third
        } else {
            KEY_GROUPS as u32 - 2 * third
        },
    });
    let all = saved(state);
    let parts: Vec<_> = shared
        .flat_map(|owned| saved(&take(&all, &owned)))
        .collect();
    take(&parts, &Owned::All)
}

const RANKS: [Rank; 3] = [Rank::RowNumber, Rank::Rank, Rank::DenseRank];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_given_is_what_stands(
        steps in prop::collection::vec((0u8..5, (0i64..2, 0i64..6, 0i64..4)), 0..60),
        limit in prop::option::of(1u64..6),
        frame_rows in prop::sample::select(vec![1usize, 2, 7]),
    ) {
        let limit = limit.map(|max| (Rank::Rank, max));
        check(Functions::Ranks(RANKS.to_vec()), limit, &steps, frame_rows);
        let running = Running(vec![DataType::Int64; 2]);
        check(Functions::Any(Arc::new(running)), None, &steps, frame_rows);
    }

    #[test]
    fn a_number_has_one_row(
        steps in prop::collection::vec((0u8..5, (0i64..2, 0i64..6, 0i64..4)), 0..60),
        limit in prop::option::of((prop::bool::ANY, 1u64..6)),
        at in 0usize..3,
        frame_rows in prop::sample::select(vec![1usize, 2, 7]),
    ) {
        let rank = |is_number| if is_number { Rank::RowNumber } else { Rank::Rank };
        let limit = limit.map(|(is_number, max)| (rank(is_number), max));
        let mut ranks = vec![Rank::Rank, Rank::DenseRank];
        ranks.insert(at, Rank::RowNumber);
        let mut spec = RankedSpec::clone(&spec(Functions::Ranks(ranks), limit, Phase::Changes));
        spec.updates = Updates::Numbers(at);
        let wanted = |stands: &[Row]| {
            let mut rows = wanted(stands, true, None);
            rows.retain(|r| limit.is_none_or(|(rank, max)| match rank {
                Rank::RowNumber => r[3] as u64 <= max,
                _ => r[4] as u64 <= max,
            }));
            let number = |row: Vec<i64>| {
                let mut ranks = vec![row[4], row[5]];
                ranks.insert(at, row[3]);
                [row[..3].to_vec(), ranks].concat()
            };
            let mut rows: Vec<_> = rows.into_iter().map(number).collect();
            rows.sort();
            rows
        };
        check_spec(&Arc::new(spec), &steps, frame_rows, &wanted);
    }

    #[test]
    fn what_is_behind_an_offset_is_given(
        steps in prop::collection::vec((0u8..5, (0i64..2, 0i64..6, 0i64..4)), 0..60),
        skip in 0usize..5,
        fetch in prop::option::of(0usize..4),
        frame_rows in prop::sample::select(vec![1usize, 2, 7]),
    ) {
        check_skipped(skip, fetch, &steps, frame_rows);
    }
}

/// Ranks below the limit are not even counted: one change for each row that is given.
#[test]
fn a_limit_bounds_what_is_given() {
    let spec = spec(
        Functions::Ranks(vec![Rank::RowNumber]),
        Some((Rank::RowNumber, 2)),
        Phase::Changes,
    );
    let mut state = Ranked::new(&spec).expect("a program");
    let mut ops = Vec::new();
    for value in 0..5 {
        let mut frame = Frame::new(&spec.input, 1);
        push(&mut frame, (0, value, 0), Some(INSERT));
        let mut out = Frame::new(&spec.output, 64);
        assert_eq!(state.take(&frame, 0, &mut out).expect("taken"), 1);
        ops.push(changelog::given(&out).to_vec());
    }
    let next = vec![INSERT, UPDATE_BEFORE, UPDATE_AFTER];
    let full = vec![INSERT, UPDATE_BEFORE, UPDATE_AFTER, DELETE];
    assert_eq!(ops, [vec![INSERT], next, full.clone(), full.clone(), full]);
}

/// Told by number, a row that goes is one change for each number behind it.
#[test]
fn numbers_close_up() {
    let ranks = Functions::Ranks(vec![Rank::RowNumber]);
    let mut spec = RankedSpec::clone(&spec(ranks, None, Phase::Changes));
    spec.updates = Updates::Numbers(0);
    let mut state = Ranked::new(&Arc::new(spec.clone())).expect("a program");
    let mut frame = Frame::new(&spec.input, 8);
    (0..4).for_each(|value| push(&mut frame, (0, value, 0), Some(INSERT)));
    let mut out = Frame::new(&spec.output, 64);
    state.take(&frame, 0, &mut out).expect("taken");
    frame.clear();
    out.clear();
    push(&mut frame, (0, 2, 0), Some(DELETE));
    state.take(&frame, 0, &mut out).expect("taken");
    let told = (0..out.rows()).map(|row| (changelog::given(&out)[row], values(&out, row, 4)));
    let told: Vec<_> = told.map(|(op, row)| (op, row[1], row[3])).collect();
    let wanted = [
        (UPDATE_BEFORE, 2, 2),
        (UPDATE_AFTER, 1, 2),
        (UPDATE_BEFORE, 1, 3),
        (UPDATE_AFTER, 0, 3),
        (DELETE, 0, 4),
    ];
    assert_eq!(told, wanted);
    spec.updates = Updates::Numbers(1);
    assert!(
        Ranked::new(&Arc::new(spec)).is_err(),
        "there is no such rank"
    );
}

/// Partitions leave when the watermark reaches their windows' ends, in slices.
#[test]
fn windows_leave_once_they_are_closed() {
    let spec = spec(Functions::Ranks(RANKS.to_vec()), None, Phase::Complete);
    let mut state = Ranked::new(&spec).expect("a program");
    let rows: Vec<Row> = (0..40).map(|i| (i % 4 * 10, i * 7 % 5, i)).collect();
    let mut frame = Frame::new(&spec.input, 64);
    rows.iter().for_each(|&row| push(&mut frame, row, None));
    let mut out = Frame::new(&spec.output, 1);
    assert_eq!(state.take(&frame, 0, &mut out).expect("taken"), 40);
    assert_eq!(out.rows(), 0);
    let mut state = handed_on(&state, &spec);
    for (upto, starts) in [
        (Some(9), 0..0),
        (Some(20), 0..20),
        (Some(20), 0..0),
        (None, 20..40),
    ] {
        let mut got = Vec::new();
        loop {
            out.clear();
            let progress = state.emit(upto, &mut out).expect("given");
            got.extend((0..out.rows()).map(|row| values(&out, row, 6)));
            if progress == Progress::Done {
                break;
            }
        }
        got.sort();
        let stands: Vec<Row> = rows
            .iter()
            .copied()
            .filter(|r| starts.contains(&r.0))
            .collect();
        assert_eq!(got, wanted(&stands, true, None), "{upto:?}");
    }
    assert_eq!(state.rows(), 0);
}

/// More rows than a slice has are handed on in their order, those that are owed too.
#[test]
fn slices_of_many_rows_keep_their_order() {
    let mut spec = RankedSpec::clone(&spec(
        Functions::Ranks(RANKS.to_vec()),
        None,
        Phase::Complete,
    ));
    spec.ties.clear();
    let spec = Arc::new(spec);
    let mut state = Ranked::new(&spec).expect("a program");
    let mut frame = Frame::new(&spec.input, 4_000);
    (0..4_000).for_each(|n| push(&mut frame, (n % 2, 1, n), None));
    let mut out = Frame::new(&spec.output, 8);
    state.take(&frame, 0, &mut out).expect("taken");
    let mut state = handed_on(&state, &spec);
    frame.clear();
    (4_000..4_010).for_each(|n| push(&mut frame, (n % 2, 1, n), None));
    state.take(&frame, 0, &mut out).expect("taken");
    let mut numbers = [Vec::new(), Vec::new()];
    while state.emit(None, &mut out).expect("given") == Progress::Full || out.rows() > 0 {
        for row in 0..out.rows() {
            let values = values(&out, row, 4);
            numbers[values[0] as usize].push((values[2], values[3]));
        }
        out.clear();
    }
    for (p, numbers) in (0..).zip(numbers) {
        let wanted: Vec<(i64, i64)> = (0..2_005).map(|n| (2 * n + p, n + 1)).collect();
        assert_eq!(numbers, wanted);
    }
}
