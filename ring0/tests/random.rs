//! Random programs over random rows on shards, rings, frames and chunks of random sizes, compared
//! with a model that has one thread and no frames. No program stalls, and the ledger balances.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_schema::DataType;
use proptest::prelude::*;
use trefoil_ring0::column::Column;
use trefoil_ring0::expr::{BinaryOp, Expr, Scalar};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::id::{ExchangeId, OutputId, SourceId};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction as F, AggregateSpec, BadData, ExchangeSpec, FileFormat,
    OperatorSpec, Order, OutputSpec, Phase, Program, Reading, Routing, SourceKind, SourceSpec,
    StageInput, StageOutput, StageSpec, dead_letter_schema,
};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::{Field, Schema};

/// Three columns everywhere.
type Row = [Option<i64>; 3];

#[derive(Debug, Clone)]
enum Step {
    Greater(usize, i64),
    Exchange(Option<usize>),
    /// The columns in another order, one to the first added.
    Shift,
    /// By the column, behind an exchange of its own, or the group of all rows.
    Aggregate(Option<usize>),
}

#[derive(Debug, Clone)]
struct Input {
    frames: Vec<Vec<Row>>,
    /// In a file, with a bad line after each frame.
    file: bool,
    in_order: bool,
    /// Each reads the source.
    chains: Vec<Vec<Step>>,
}

/// All sources, each behind an exchange of its own, and what is done with all their rows.
#[derive(Debug, Clone)]
struct Union {
    routings: Vec<Routing>,
    steps: Vec<Step>,
}

fn schema() -> Arc<Schema> {
    let field = |name: &&str| Field::new(*name, DataType::Int64);
    Arc::new(Schema::new(["a", "b", "c"].iter().map(field).collect()))
}

fn aggregate(key: Option<usize>) -> OperatorSpec {
    let call = |function, argument| AggregateCall { function, argument };
    let mut calls = vec![call(F::Count, None), call(F::Sum, Some(1))];
    calls.extend(key.is_none().then_some(call(F::Max, Some(2))));
    OperatorSpec::Aggregate(Arc::new(AggregateSpec {
        input: schema(),
        keys: key.into_iter().collect(),
        calls,
        phase: Phase::Complete,
        window: None,
        output: schema(),
    }))
}

/// What a chain makes of rows.
fn model(steps: &[Step], mut rows: Vec<Row>) -> Vec<Row> {
    for step in steps {
        match *step {
            Step::Greater(column, value) => rows.retain(|r| r[column] > Some(value)),
            Step::Exchange(_) => {}
            Step::Shift => {
                let shift = |r: &mut Row| *r = [r[1].map(|b| b + 1), r[2], r[0]];
                rows.iter_mut().for_each(shift);
            }
            Step::Aggregate(key) => {
                let mut groups: BTreeMap<_, Vec<Row>> = BTreeMap::new();
                groups.extend(key.is_none().then_some((None, Vec::new())));
                for row in rows {
                    groups.entry(key.map(|k| row[k])).or_default().push(row);
                }
                let result = |(key, rows): (Option<Option<i64>>, Vec<Row>)| {
                    let count = Some(rows.len() as i64);
                    let sum = rows.iter().filter_map(|r| r[1]).reduce(|a, b| a + b);
                    match key {
                        Some(key) => [key, count, sum],
                        None => [count, sum, rows.iter().filter_map(|r| r[2]).max()],
                    }
                };
                rows = groups.into_iter().map(result).collect();
            }
        }
    }
    rows
}

fn operator(step: &Step) -> Option<OperatorSpec> {
    let schema = schema();
    let binary = |op, column, value| {
        let value = Expr::Literal(Scalar::I64(value));
        Expr::Binary(op, Box::new(Expr::Column(column)), Box::new(value))
    };
    Some(match *step {
        Step::Greater(column, value) => OperatorSpec::Filter(binary(BinaryOp::Gt, column, value)),
        Step::Exchange(_) => return None,
        Step::Shift => {
            let first = binary(BinaryOp::Add, 1, 1);
            let exprs = vec![first, Expr::Column(2), Expr::Column(0)];
            OperatorSpec::Project { exprs, schema }
        }
        Step::Aggregate(key) => aggregate(key),
    })
}

fn add_chain(program: &mut Program, source: usize, steps: &[Step]) {
    let output = StageOutput::Output(OutputId(program.outputs.len() as u32));
    add_steps(program, of_source(source, output), steps);
}

fn of_source(source: usize, output: StageOutput) -> StageSpec {
    StageSpec {
        input: StageInput::Source(SourceId(source as u32)),
        others: Vec::new(),
        operators: Vec::new(),
        output,
    }
}

fn add_union(program: &mut Program, union: &Union) {
    let mut inputs = Vec::new();
    for source in 0..program.sources.len() {
        let id = ExchangeId(program.exchanges.len() as u32);
        inputs.push(StageInput::Exchange(id));
        let stage = of_source(source, StageOutput::Exchange(id));
        program.stages.push(stage);
        program.exchanges.push(ExchangeSpec {
            schema: schema(),
            routing: union.routings[source].clone(),
            order: Order::Free,
        });
    }
    let others = inputs.split_off(1);
    let stage = StageSpec {
        input: inputs[0],
        others,
        operators: Vec::new(),
        output: StageOutput::Output(OutputId(program.outputs.len() as u32)),
    };
    add_steps(program, stage, &union.steps);
}

fn add_steps(program: &mut Program, mut stage: StageSpec, steps: &[Step]) {
    for step in steps {
        if let Step::Exchange(key) | Step::Aggregate(key) = *step {
            let id = ExchangeId(program.exchanges.len() as u32);
            let mut sender = stage.clone();
            sender.output = StageOutput::Exchange(id);
            program.stages.push(sender);
            program.exchanges.push(ExchangeSpec {
                schema: schema(),
                routing: key.map_or(Routing::Single, |k| Routing::Hash(vec![k])),
                order: Order::Free,
            });
            stage.input = StageInput::Exchange(id);
            stage.others.clear();
            stage.operators.clear();
        }
        stage.operators.extend(operator(step));
    }
    // Rows without exchange or groups keep their file's order.
    let order = match stage.input {
        StageInput::Source(_) => Order::Chunks { bound: None },
        StageInput::Exchange(_) => Order::Free,
    };
    let schema = schema();
    program.outputs.push(OutputSpec { schema, order });
    program.stages.push(stage);
}

fn file(frames: &[Vec<Row>]) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("trefoil-random-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let value = |v: Option<i64>| v.map_or("null".to_owned(), |v| v.to_string());
    let mut text = String::new();
    for rows in frames {
        for [a, b, c] in rows.iter().map(|row| row.map(value)) {
            text += &format!("{{\"a\":{a},\"b\":{b},\"c\":{c}}}\n");
        }
        text += "bad\r\n\n";
    }
    std::fs::write(&path, text).unwrap();
    path
}

fn frame(rows: &[Row]) -> Frame {
    let mut frame = Frame::new(&schema(), rows.len().max(1));
    for (at, column) in frame.columns.iter_mut().enumerate() {
        if let Column::I64(c) = column {
            rows.iter().for_each(|row| c.push(row[at]));
        }
    }
    frame.commit_rows(rows.len());
    frame
}

fn program(inputs: &[Input], union: &Union) -> Program {
    let mut program = Program::default();
    for (source, input) in inputs.iter().enumerate() {
        for steps in &input.chains {
            add_chain(&mut program, source, steps);
        }
        let format = FileFormat::Ndjson;
        let kind = if input.file {
            let paths = [&input.frames[..], &[], &input.frames].map(file).to_vec();
            SourceKind::Files { paths, format }
        } else {
            let frames = Arc::new(input.frames.iter().map(|f| frame(f)).collect());
            SourceKind::Memory { frames, repeat: 2 }
        };
        let mut spec = SourceSpec::new(format!("source {source}"), schema(), kind);
        spec.bad_data = BadData::DeadLetters(OutputId(program.outputs.len() as u32));
        if input.in_order {
            spec.reading = Reading::InOrder;
        }
        program.sources.push(spec);
        program.outputs.push(OutputSpec {
            order: Order::Chunks { bound: None },
            schema: Arc::new(dead_letter_schema()),
        });
    }
    add_union(&mut program, union);
    program
}

/// The rows of each output; of dead letters only their number counts.
fn run(program: &Program, config: &Config) -> Vec<Vec<Row>> {
    let mut running = start(program, config).unwrap();
    let mut outputs = vec![Vec::new(); program.outputs.len()];
    while let Some(block) = running.next_block().unwrap() {
        let columns = &block.rows().columns;
        for row in 0..block.rows().rows() {
            let value = |at: usize| match &columns[at] {
                Column::I64(c) => c.get(row),
                _ => None,
            };
            outputs[block.output().index()].push([0, 1, 2].map(value));
        }
        running.give_back(block);
    }
    let mut sums = vec![(0, 0); program.stages.len()];
    for (stage, c) in running.finish().unwrap().iter().flat_map(|r| &r.inputs) {
        sums[*stage].0 += c.rows_in;
        sums[*stage].1 += c.rows_filtered + c.rows_applied;
    }
    let balanced = sums.iter().all(|(rows_in, rest)| rows_in == rest);
    assert!(balanced, "the ledger balances: {sums:?}");
    outputs
}

fn check(inputs: &[Input], union: &Union, config: &Config) {
    let program = program(inputs, union);
    let (sender, receiver) = std::sync::mpsc::channel();
    let copy = (program.clone(), config.clone());
    std::thread::spawn(move || sender.send(run(&copy.0, &copy.1)));
    let found = receiver.recv_timeout(std::time::Duration::from_secs(60));
    let found = found.expect("an end without a panic");
    let mut found = found.into_iter().zip(&program.outputs);
    for input in inputs {
        let rows = input.frames.concat().repeat(2);
        for steps in &input.chains {
            let (mut got, output) = found.next().unwrap();
            let mut want = model(steps, rows.clone());
            if output.order == Order::Free || !input.file {
                got.sort_unstable();
                want.sort_unstable();
            }
            assert_eq!(got, want, "{steps:?}");
        }
        let bad = usize::from(input.file) * 2 * input.frames.len();
        assert_eq!(found.next().unwrap().0.len(), bad, "dead letters");
    }
    let rows = inputs.iter().flat_map(|i| i.frames.concat().repeat(2));
    let (mut got, mut want) = (found.next().unwrap().0, model(&union.steps, rows.collect()));
    got.sort_unstable();
    want.sort_unstable();
    assert_eq!(got, want, "{union:?}");
    for spec in &program.sources {
        if let SourceKind::Files { paths, .. } = &spec.kind {
            _ = paths.iter().map(std::fs::remove_file).count();
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::option::of(0usize..3);
    prop_oneof![
        (0usize..3, -6i64..6).prop_map(|(column, value)| Step::Greater(column, value)),
        key().prop_map(Step::Exchange),
        Just(Step::Shift),
        key().prop_map(Step::Aggregate),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    let value = || prop_oneof![1 => Just(None), 6 => (-5i64..12).prop_map(Some)];
    let row = (value(), value(), value()).prop_map(|(a, b, c)| [a, b, c]);
    let frames = prop::collection::vec(prop::collection::vec(row, 0..40), 0..20);
    let chains = prop::collection::vec(prop::collection::vec(step(), 0..6), 1..4);
    let input = (frames, any::<bool>(), any::<bool>(), chains);
    let make = |(frames, file, in_order, chains)| Input {
        frames,
        file,
        in_order,
        chains,
    };
    input.prop_map(make)
}

fn union() -> impl Strategy<Value = Union> {
    let routing = prop_oneof![
        Just(Routing::Local),
        Just(Routing::Single),
        (0usize..3).prop_map(|key| Routing::Hash(vec![key])),
    ];
    let routings = prop::collection::vec(routing, 3);
    let steps = prop::collection::vec(step(), 0..4);
    (routings, steps).prop_map(|(routings, steps)| Union { routings, steps })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn programs_do_what_their_model_does(
        inputs in prop::collection::vec(input(), 1..4),
        union in union(),
        sizes in (1usize..=8, 2usize..=8),
        frame_rows in prop::sample::select(vec![1usize, 2, 3, 7, 64, 1024]),
        chunk_bytes in prop::sample::select(vec![1usize, 10, 100, 1000, 1 << 20]),
        executor in prop::sample::select(vec![Executor::Threads, Executor::Uring]),
    ) {
        let (shards, ring_messages) = sizes;
        let sizes = Config { frame_rows, chunk_bytes, ..Config::default() };
        let config = Config { shards, ring_messages, executor, ..sizes };
        check(&inputs, &union, &config);
    }
}
