//! Joins of all kinds on shards, rings and frames of random sizes, against two nested loops: no
//! pair is lost or doubled, nothing stalls, and the ledger balances.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use arrow_schema::DataType;
use proptest::prelude::*;
use trefoil_ring0::column::Column;
use trefoil_ring0::expr::{BinaryOp, Expr};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::id::{ExchangeId, OutputId, SourceId};
use trefoil_ring0::program::{
    ExchangeSpec, JoinKind, JoinSpec, Keep, OperatorSpec, Order, OutputSpec, Program, Routing,
    Side, SourceKind, SourceSpec, StageInput, StageOutput, StageSpec,
};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::{Field, Schema};

/// A key and a number.
type Row = [Option<i64>; 2];

/// What leaves, column by column; a mark is 0 or 1.
type Out = Vec<Option<i64>>;

#[derive(Debug, Clone)]
struct Case {
    sides: [Vec<Row>; 2],
    kind: JoinKind,
    build: Side,
    by_key: bool,
    nulls_equal: bool,
    not_in: bool,
    condition: bool,
    routing: [Routing; 2],
}

fn schema(names: [&str; 2]) -> Arc<Schema> {
    let fields = names.map(|name| Field::new(name, DataType::Int64));
    Arc::new(Schema::new(fields.to_vec()))
}

fn output(kind: JoinKind) -> Arc<Schema> {
    let [left, right] = [schema(["a", "b"]), schema(["c", "d"])];
    let of = |side: Side| [&left, &right][side.port()].fields.clone();
    Arc::new(Schema::new(match kind {
        JoinKind::Pairs { .. } => [of(Side::Left), of(Side::Right)].concat(),
        JoinKind::Semi(side) | JoinKind::Anti(side) => of(side),
        JoinKind::Mark(side) => {
            let mut fields = of(side);
            fields.push(Field::new("mark", DataType::Boolean));
            fields
        }
    }))
}

impl Case {
    /// Whether two rows match.
    fn matches(&self, left: &Row, right: &Row) -> bool {
        let equal = match (left[0], right[0]) {
            (None, None) => self.nulls_equal,
            (a, b) => a.is_some() && a == b,
        };
        let less = matches!((left[1], right[1]), (Some(a), Some(b)) if a < b);
        (!self.by_key || equal) && (!self.condition || less)
    }

    fn model(&self) -> Vec<Out> {
        let [left, right] = &self.sides;
        let mut out = Vec::new();
        let any = |side: Side, row: &Row| match side {
            Side::Left => right.iter().any(|r| self.matches(row, r)),
            Side::Right => left.iter().any(|l| self.matches(l, row)),
        };
        let of = |side: Side| &self.sides[side.port()];
        match self.kind {
            JoinKind::Pairs {
                left: on_left,
                right: on_right,
            } => {
                for l in left {
                    let found = right.iter().filter(|r| self.matches(l, r));
                    out.extend(found.map(|r| [*l, *r].concat()));
                }
                let alone = left.iter().filter(|l| on_left && !any(Side::Left, l));
                out.extend(alone.map(|l| [*l, [None, None]].concat()));
                let alone = right.iter().filter(|r| on_right && !any(Side::Right, r));
                out.extend(alone.map(|r| [[None, None], *r].concat()));
            }
            JoinKind::Semi(side) => {
                out.extend(of(side).iter().filter(|r| any(side, r)).map(|r| r.to_vec()));
            }
            JoinKind::Anti(side) => {
                let unknown = |r: &Row| self.by_key && r[0].is_none();
                let others = of(side.other());
                let open = |r: &Row| {
                    self.not_in && !others.is_empty() && (unknown(r) || others.iter().any(unknown))
                };
                let alone = of(side).iter().filter(|r| !any(side, r) && !open(r));
                out.extend(alone.map(|r| r.to_vec()));
            }
            JoinKind::Mark(side) => out.extend(of(side).iter().map(|r| {
                let mark = Some(i64::from(any(side, r)));
                r.iter().copied().chain([mark]).collect()
            })),
        }
        out
    }

    fn program(&self) -> Program {
        let inputs = [schema(["a", "b"]), schema(["c", "d"])];
        let mut program = Program::default();
        for (number, (rows, schema)) in (0u32..).zip(self.sides.iter().zip(&inputs)) {
            let frames = rows.chunks(5).map(|rows| frame(schema, rows)).collect();
            let frames = Arc::new(frames);
            let kind = SourceKind::Memory { frames, repeat: 1 };
            let name = format!("source {number}");
            let source = SourceSpec::new(name, Arc::clone(schema), kind);
            program.sources.push(source);
            program.stages.push(StageSpec {
                input: StageInput::Source(SourceId(number)),
                others: Vec::new(),
                operators: Vec::new(),
                output: StageOutput::Exchange(ExchangeId(number)),
            });
            program.exchanges.push(ExchangeSpec {
                schema: Arc::clone(schema),
                routing: self.routing[number as usize].clone(),
                order: Order::Free,
            });
        }
        let column = |at| Box::new(Expr::Column(at));
        let keys = Vec::from_iter(self.by_key.then_some(0));
        let spec = JoinSpec {
            inputs,
            keys: [keys.clone(), keys],
            nulls_equal: self.nulls_equal,
            not_in: self.not_in,
            condition: (self.condition).then(|| Expr::Binary(BinaryOp::Lt, column(1), column(3))),
            near: None,
            kind: self.kind,
            keep: Keep::Side(self.build),
            output: output(self.kind),
        };
        program.stages.push(StageSpec {
            input: StageInput::Exchange(ExchangeId(0)),
            others: vec![StageInput::Exchange(ExchangeId(1))],
            operators: vec![OperatorSpec::Join(Arc::new(spec))],
            output: StageOutput::Output(OutputId(0)),
        });
        program.outputs.push(OutputSpec::free(output(self.kind)));
        program
    }
}

fn frame(schema: &Schema, rows: &[Row]) -> Frame {
    let mut frame = Frame::new(schema, rows.len().max(1));
    for (at, column) in frame.columns.iter_mut().enumerate() {
        if let Column::I64(c) = column {
            rows.iter().for_each(|row| c.push(row[at]));
        }
    }
    frame.commit_rows(rows.len());
    frame
}

fn run(program: &Program, config: &Config) -> Vec<Out> {
    let mut running = start(program, config).unwrap();
    let mut out = Vec::new();
    while let Some(block) = running.next_block().unwrap() {
        for row in 0..block.rows().rows() {
            let value = |column: &Column| match column {
                Column::I64(c) => c.get(row),
                Column::Bool(c) => Some(i64::from(c.values.get(row))),
                _ => None,
            };
            out.push(block.rows().columns.iter().map(value).collect());
        }
        running.give_back(block);
    }
    let mut sums = vec![(0, 0); program.stages.len()];
    for (stage, c) in running.finish().unwrap().iter().flat_map(|r| &r.inputs) {
        sums[*stage].0 += c.rows_in;
        sums[*stage].1 += c.rows_applied;
    }
    assert!(sums.iter().all(|(a, b)| a == b), "the ledger: {sums:?}");
    out.sort_unstable();
    out
}

fn check(case: &Case, config: &Config) {
    let program = case.program();
    let (sender, receiver) = std::sync::mpsc::channel();
    let config = config.clone();
    std::thread::spawn(move || sender.send(run(&program, &config)));
    let found = receiver.recv_timeout(std::time::Duration::from_secs(60));
    let mut want = case.model();
    want.sort_unstable();
    assert_eq!(found.expect("an end without a panic"), want, "{case:?}");
}

fn rows(keys: i64, rows_max: usize) -> impl Strategy<Value = Vec<Row>> {
    let key = prop_oneof![1 => Just(None), 8 => (0..keys).prop_map(Some)];
    let value = prop_oneof![1 => Just(None), 8 => (0i64..20).prop_map(Some)];
    prop::collection::vec((key, value).prop_map(|(k, v)| [k, v]), 0..rows_max)
}

fn case() -> impl Strategy<Value = Case> {
    let side = || prop_oneof![Just(Side::Left), Just(Side::Right)];
    let kind = prop_oneof![
        4 => (any::<bool>(), any::<bool>())
            .prop_map(|(left, right)| JoinKind::Pairs { left, right }),
        1 => side().prop_map(JoinKind::Semi),
        1 => side().prop_map(JoinKind::Anti),
        1 => side().prop_map(JoinKind::Mark),
    ];
    let sides = (1i64..9).prop_flat_map(|keys| (rows(keys, 90), rows(keys, 90)));
    let flags = any::<(bool, bool, bool, bool, bool)>();
    (sides, kind, side(), flags).prop_map(|((left, right), kind, build, flags)| {
        let (by_key, nulls_equal, condition, broadcast, not_in) = flags;
        let anti = kind == JoinKind::Anti(build.other());
        let not_in = not_in && anti && !condition && !nulls_equal;
        let mut routing = [Routing::Single, Routing::Single];
        if broadcast && !kind.tells(build) {
            routing[build.port()] = Routing::Broadcast;
            routing[build.other().port()] = Routing::Local;
        } else if by_key && !not_in {
            routing = [Routing::Hash(vec![0]), Routing::Hash(vec![0])];
        }
        Case {
            sides: [left, right],
            kind,
            build,
            by_key,
            nulls_equal,
            not_in,
            condition,
            routing,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn joins_do_what_nested_loops_do(
        case in case(),
        sizes in (1usize..=5, 2usize..=6),
        frame_rows in prop::sample::select(vec![1usize, 2, 3, 7, 64, 1024]),
        executor in prop::sample::select(vec![Executor::Threads, Executor::Uring]),
    ) {
        let (shards, ring_messages) = sizes;
        let sizes = Config { frame_rows, ..Config::default() };
        check(&case, &Config { shards, ring_messages, executor, ..sizes });
    }
}

/// One key on both sides: its matches leave by slices, whatever the frames.
#[test]
fn a_key_with_very_many_matches() {
    let side = |rows: i64| (0..rows).map(|n| [Some(7), Some(n)]).collect();
    for (build, condition) in [
        (Side::Left, false),
        (Side::Right, false),
        (Side::Right, true),
    ] {
        let case = Case {
            sides: [side(3), side(20_000)],
            kind: JoinKind::Pairs {
                left: true,
                right: true,
            },
            build,
            by_key: true,
            nulls_equal: false,
            not_in: false,
            condition,
            routing: [Routing::Hash(vec![0]), Routing::Hash(vec![0])],
        };
        check(
            &case,
            &Config {
                shards: 2,
                frame_rows: 64,
                ..Config::default()
            },
        );
    }
}

/// One row that matches a million, whose pairs nobody takes: rows of other keys are joined
/// meanwhile, on the other shard, and what waits is no more than the host's ring holds.
#[test]
fn a_row_with_a_million_matches_holds_up_no_other_shard() {
    const HOT: i64 = 1_000_000;
    let others = || (1..100).map(|key| [Some(key), Some(key)]);
    let case = Case {
        sides: [
            std::iter::once([Some(0), Some(0)])
                .chain(others())
                .collect(),
            others()
                .chain((0..HOT).map(|n| [Some(0), Some(n)]))
                .collect(),
        ],
        kind: JoinKind::Pairs {
            left: true,
            right: false,
        },
        build: Side::Right,
        by_key: true,
        nulls_equal: false,
        not_in: false,
        condition: false,
        routing: [Routing::Hash(vec![0]), Routing::Hash(vec![0])],
    };
    let config = Config {
        shards: 2,
        ..Config::default()
    };
    let program = case.program();
    let key = |rows: &Frame, row: usize| match &rows.columns[0] {
        Column::I64(keys) => keys.get(row).unwrap(),
        other => panic!("{other:?} is no BIGINT"),
    };
    // Which shard has which keys.
    let mut running = start(&program, &config).unwrap();
    let (mut hot, mut rows, mut cold) = (None, 0, [Vec::new(), Vec::new()]);
    while let Some(block) = running.next_block().unwrap() {
        for row in 0..block.rows().rows() {
            rows += 1;
            match key(block.rows(), row) {
                0 => hot = Some(block.shard()),
                other => cold[block.shard()].push(other),
            }
        }
        running.give_back(block);
    }
    running.finish().unwrap();
    let hot = hot.expect("the hot key has matches");
    assert_eq!(rows, HOT + 99);
    assert!(cold[1 - hot].len() > 10, "{cold:?}");
    // What the hot one's shard gives is kept, so that it can give no more.
    let mut running = start(&program, &config).unwrap();
    let (mut kept, mut waiting, mut found) = (Vec::new(), 0, Vec::new());
    while found.len() < cold[1 - hot].len() {
        let block = running.next_block().unwrap().expect("there are more");
        if block.shard() == hot {
            waiting += block.rows().rows();
            kept.push(block);
            continue;
        }
        found.extend((0..block.rows().rows()).map(|row| key(block.rows(), row)));
        running.give_back(block);
    }
    found.sort_unstable();
    cold[1 - hot].sort_unstable();
    assert_eq!(found, cold[1 - hot]);
    assert!(waiting < HOT as usize / 2, "{waiting} rows wait");
    kept.into_iter().for_each(|block| running.give_back(block));
    let mut rows = waiting + found.len();
    while let Some(block) = running.next_block().unwrap() {
        rows += block.rows().rows();
        running.give_back(block);
    }
    running.finish().unwrap();
    assert_eq!(rows, HOT as usize + 99);
}
