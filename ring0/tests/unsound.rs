//! Programs that do not fit together: each is refused at the start with what is wrong, whether it
//! names what is not there or sends rows to where nobody takes them. None panics or hangs.

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::error::Error;
use trefoil_ring0::expr::{Expr, Scalar};
use trefoil_ring0::id::{ExchangeId, OutputId, SourceId};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, BadData, EventTime, ExchangeSpec, LateRule,
    OperatorSpec, Order, OutputSpec, Phase, Program, Routing, SourceKind, SourceSpec, StageInput,
    StageOutput, StageSpec, WindowKey,
};
use trefoil_ring0::runtime::{Config, start};
use trefoil_ring0::schema::{Field, Schema};

fn schema(types: &[DataType]) -> Arc<Schema> {
    let field = |(i, t): (usize, &DataType)| Field::new(i.to_string(), t.clone());
    Arc::new(Schema::new(types.iter().enumerate().map(field).collect()))
}

fn read() -> Arc<Schema> {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    schema(&[DataType::Int64, time, DataType::Int64])
}

fn count(keys: Vec<usize>) -> AggregateSpec {
    AggregateSpec {
        input: read(),
        keys,
        calls: vec![AggregateCall {
            function: AggregateFunction::Count,
            argument: None,
        }],
        phase: Phase::Complete,
        window: None,
        output: schema(&[DataType::Int64, DataType::Int64]),
    }
}

/// COUNT(*) by the first column of an empty source, behind an exchange.
fn sound() -> Program {
    let order = Order::Free;
    let kind = SourceKind::Memory {
        frames: Arc::default(),
        repeat: 1,
    };
    Program::exchanged(
        SourceSpec::new("s", read(), kind),
        Vec::new(),
        ExchangeSpec {
            schema: read(),
            routing: Routing::Hash(vec![0]),
            order,
        },
        vec![OperatorSpec::Aggregate(Arc::new(count(vec![0])))],
        OutputSpec {
            order,
            schema: schema(&[DataType::Int64, DataType::Int64]),
        },
    )
}

/// Changes a sound program, and gives what it is refused with at one shard and at two.
fn check(words: &str, change: impl Fn(&mut Program)) {
    let mut program = sound();
    change(&mut program);
    for shards in [1, 2] {
        let config = Config {
            shards,
            ..Config::default()
        };
        let end = start(&program, &config).and_then(|running| running.finish());
        match end {
            Err(Error::Program(message)) => assert!(message.contains(words), "{message}"),
            other => panic!("{words:?} at {shards} shards: {other:?}"),
        }
    }
}

fn aggregate(program: &mut Program, change: impl Fn(&mut AggregateSpec)) {
    let mut spec = count(vec![0]);
    change(&mut spec);
    program.stages[1].operators = vec![OperatorSpec::Aggregate(Arc::new(spec))];
}

fn operator(program: &mut Program, operator: OperatorSpec) {
    program.stages[0].operators.push(operator);
}

#[test]
fn what_is_sound_runs() {
    start(&sound(), &Config::default())
        .unwrap()
        .finish()
        .unwrap();
}

#[test]
fn what_is_not_there() {
    check("stage 0 reads source 7", |p| {
        p.stages[0].input = StageInput::Source(SourceId(7));
    });
    check("stage 1 reads exchange 7", |p| {
        p.stages[1].input = StageInput::Exchange(ExchangeId(7));
    });
    check("stage 0 sends into exchange 7", |p| {
        p.stages[0].output = StageOutput::Exchange(ExchangeId(7));
    });
    check("stage 1 sends into output 7", |p| {
        p.stages[1].output = StageOutput::Output(OutputId(7));
    });
    check("source s tells of bad records in output 7", |p| {
        p.sources[0].bad_data = BadData::DeadLetters(OutputId(7));
    });
    check("source s tells of late rows in output 7", |p| {
        p.sources[0].late = Some(OutputId(7));
    });
    check("exchange 0 by column 7 of 3", |p| {
        p.exchanges[0].routing = Routing::Hash(vec![0, 7]);
    });
    check("column 7 of 3", |p| {
        operator(p, OperatorSpec::Filter(Expr::Column(7)));
    });
    check("key 7 of 3", |p| aggregate(p, |a| a.keys = vec![7]));
    check("column 7", |p| {
        aggregate(p, |a| a.calls[0].argument = Some(7))
    });
    check("window key", |p| {
        aggregate(p, |a| a.window = Some(WindowKey { key: 7, size_ns: 1 }));
    });
}

#[test]
fn what_is_of_another_type() {
    check("source s has a column of type Null", |p| {
        p.sources[0].schema = schema(&[DataType::Null]);
    });
    check("exchange 0 has a column of type Null", |p| {
        p.exchanges[0].schema = schema(&[DataType::Null]);
    });
    check("output 0 has a column of type Null", |p| {
        p.outputs[0].schema = schema(&[DataType::Null]);
    });
    check("a filter of BIGINT", |p| {
        operator(p, OperatorSpec::Filter(Expr::Column(0)));
    });
    let project = |exprs: Vec<Expr>| OperatorSpec::Project {
        exprs,
        schema: read(),
    };
    check("2 expressions for 3 columns", |p| {
        operator(p, project(vec![Expr::Column(0), Expr::Column(1)]));
    });
    check("column 2", |p| {
        let text = Expr::Literal(Scalar::Utf8("x".to_owned()));
        operator(p, project(vec![Expr::Column(0), Expr::Column(1), text]));
    });
    check("an aggregation of other columns", |p| {
        aggregate(p, |a| a.input = schema(&[DataType::Int64]));
    });
    let late = |time, bound, size| {
        OperatorSpec::DropLate(LateRule {
            time,
            unit_ns: 1,
            bound,
            size,
            slide: size,
            offset: 0,
        })
    };
    check("late", |p| operator(p, late(0, 2, 1)));
    check("late", |p| operator(p, late(1, 1, 1)));
    check("late", |p| operator(p, late(1, 7, 1)));
    check("late", |p| operator(p, late(1, 2, -1)));
    check("event time", |p| event_time(p, 0, None));
    check("event time", |p| event_time(p, 7, None));
    check("event time", |p| event_time(p, 1, Some(0)));
    check("event time", |p| event_time(p, 1, Some(7)));
    check("exchange 0 has no watermarks", |p| {
        p.exchanges[0].order = Order::Chunks { bound: Some(7) };
    });
    check("output 0 takes no dead letters", |p| {
        p.sources[0].bad_data = BadData::DeadLetters(OutputId(0));
    });
    let late_rows = |p: &mut Program, types: &[DataType]| {
        p.outputs.push(OutputSpec::free(schema(types)));
        p.sources[0].late = Some(OutputId(1));
    };
    check("other columns than the first of source s", |p| {
        late_rows(p, &[DataType::Utf8]);
    });
    check("its shards do not know which are", |p| {
        let first = p.sources[0].schema.fields[0].data_type.clone();
        late_rows(p, &[first]);
    });
}

fn event_time(program: &mut Program, column: usize, bound: Option<usize>) {
    program.sources[0].event_time = Some(EventTime {
        column,
        lag_ns: Some(0),
        bound,
    });
}

/// Rows that nobody takes would be lost without a word.
#[test]
fn what_goes_nowhere() {
    check("exchange 1 has no reader", |p| {
        p.exchanges.push(p.exchanges[0].clone());
        p.stages.push(StageSpec {
            input: StageInput::Source(SourceId(0)),
            others: Vec::new(),
            operators: Vec::new(),
            output: StageOutput::Exchange(ExchangeId(1)),
        });
    });
    check("source s has no reader", |p| {
        p.sources.push(p.sources[0].clone());
    });
    check("output 0 has more than one sender", |p| {
        p.stages.push(p.stages[1].clone());
    });
}
