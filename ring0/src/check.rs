//! Whether a program is what it says, before anything is opened: what is named is there, types
//! meet, records only move on, and all of them get somewhere. Expressions and aggregations are
//! checked as they are made, on each shard, and their columns by what stands here.

use std::sync::Arc;

use arrow_schema::DataType;

use crate::error::{Result, refuse};
use crate::expr::Expr;
use crate::id::{ExchangeId, OutputId, SourceId};
use crate::program::{
    AggregateSpec, BadData, EventTime, GeneratorSpec, LateRule, Made, NexmarkSpec, OperatorSpec,
    Order, Phase, ProcessingTime, Program, Reading, Routing, Side, SourceKind, SourceSpec,
    StageInput, StageOutput, StageSpec, SystemColumn, dead_letter_schema,
};
use crate::schema::{Schema, physical, sql_name};
use crate::source::{check_columns, check_system, file_schema, is_made};

/// Checks a program.
///
/// # Errors
/// [`crate::error::Error::Program`] with the first thing that is wrong.
pub(crate) fn check(program: &Program) -> Result<()> {
    for source in &program.sources {
        check_source(source, program)?;
    }
    for (number, exchange) in program.exchanges.iter().enumerate() {
        check_types(&format!("exchange {number}"), &exchange.schema)?;
        let fields = &exchange.schema.fields;
        if let Routing::Hash(keys) = &exchange.routing
            && let Some(key) = keys.iter().find(|&&k| k >= fields.len())
        {
            let columns = fields.len();
            return refuse(format!("exchange {number} by column {key} of {columns}"));
        }
        if exchange.routing == Routing::Local && exchange.order != Order::Free {
            return refuse(format!(
                "exchange {number} keeps chunks apart that are in an order"
            ));
        }
        if let Order::Chunks { bound: Some(bound) } = exchange.order
            && type_of(&exchange.schema, bound) != Some(&DataType::Int64)
        {
            return refuse(format!(
                "exchange {number} has no watermarks in column {bound}"
            ));
        }
    }
    for (number, output) in program.outputs.iter().enumerate() {
        check_types(&format!("output {number}"), &output.schema)?;
    }
    for (number, stage) in program.stages.iter().enumerate() {
        check_stage(number, stage, program)?;
    }
    check_ways(program)
}

/// The type of a column, if there is one.
fn type_of(schema: &Schema, column: usize) -> Option<&DataType> {
    schema.fields.get(column).map(|f| &f.data_type)
}

/// Whether the columns of two schemas have the same types.
pub(crate) fn same_types(a: &Schema, b: &Schema) -> bool {
    let types = |schema| Schema::types(schema);
    types(a).eq(types(b))
}

fn check_types(whose: &str, schema: &Schema) -> Result<()> {
    match schema.types().find(|t| physical(t).is_none()) {
        Some(other) => refuse(format!("{whose} has a column of type {other}")),
        None => Ok(()),
    }
}

fn check_source(source: &SourceSpec, program: &Program) -> Result<()> {
    let name = &source.name;
    check_types(&format!("source {name}"), &source.schema)?;
    if let Some(event_time) = source.event_time
        && !is_event_time(event_time, &source.schema)
    {
        return refuse(format!("source {name} has no such event time"));
    }
    let tells = source.event_time.is_none_or(|time| time.bound.is_some());
    if source.is_only_compared && (tells || source.reading != Reading::InOrder) {
        return refuse(format!("source {name} has nothing to be compared by"));
    }
    let comes = matches!(
        source.kind,
        SourceKind::Stream { .. } | SourceKind::Connections { .. } | SourceKind::Channel
    );
    if comes && source.reading != Reading::InOrder {
        return refuse(format!("source {name} is a stream, which one shard reads"));
    }
    if let SourceKind::Generator(made) = &source.kind {
        check_generator(source, made)?;
    }
    check_columns(source)?;
    check_system(source)?;
    check_told_late(source, program)?;
    check_processing(source)?;
    let BadData::DeadLetters(OutputId(output)) = source.bad_data else {
        return Ok(());
    };
    match program.outputs.get(output as usize) {
        None => refuse(format!(
            "source {name} tells of bad records in output {output}"
        )),
        Some(spec) if !same_types(&spec.schema, &dead_letter_schema()) => {
            refuse(format!("output {output} takes no dead letters"))
        }
        Some(_) => Ok(()),
    }
}

/// Checks that late rows have somewhere to go, and that who reads them knows that they are late.
fn check_told_late(source: &SourceSpec, program: &Program) -> Result<()> {
    let Some(OutputId(number)) = source.late else {
        return Ok(());
    };
    let name = &source.name;
    let Some(output) = program.outputs.get(number as usize) else {
        return refuse(format!(
            "source {name} tells of late rows in output {number}"
        ));
    };
    let columns = source.schema.types().take(output.schema.fields.len());
    if !output.schema.types().eq(columns) {
        return refuse(format!(
            "output {number} takes other columns than the first of source {name}"
        ));
    }
    match source.reading {
        Reading::InOrder => Ok(()),
        Reading::Chunks => refuse(format!(
            "source {name} tells of late rows, and its shards do not know which are"
        )),
    }
}

/// Checks that one shard knows when rows are read, and has where to write it.
fn check_processing(source: &SourceSpec) -> Result<()> {
    let Some(ProcessingTime { column, every_ns }) = source.processing else {
        return Ok(());
    };
    let name = &source.name;
    let first = file_schema(source).fields.len();
    let system = column
        .checked_sub(first)
        .and_then(|at| source.system.get(at));
    if system != Some(&SystemColumn::Ingested) || every_ns <= 0 {
        return refuse(format!("source {name} has no such processing time"));
    }
    if source.event_time.is_some() || source.reading != Reading::InOrder {
        return refuse(format!("source {name} has no one clock"));
    }
    Ok(())
}

/// Checks that each column that is made can be: event time in every row.
fn check_generator(source: &SourceSpec, made: &GeneratorSpec) -> Result<()> {
    let fields = &file_schema(source).fields;
    let ways = match &made.made {
        Made::Drawn(columns) => columns.len(),
        Made::Nexmark(made) => made.columns.len(),
    };
    if ways != fields.len() {
        let (name, columns) = (&source.name, fields.len());
        return refuse(format!("source {name}: {ways} ways for {columns} columns"));
    }
    let columns = match &made.made {
        Made::Drawn(columns) => columns,
        Made::Nexmark(made) => return check_nexmark(source, made),
    };
    for (number, (field, column)) in fields.iter().zip(columns).enumerate() {
        let is_time = source.event_time.is_some_and(|e| e.column == number);
        let is_time = is_time && !source.is_only_compared;
        let may_be_null = field.nullable && !is_time;
        if !is_made(&field.data_type) || column.nulls_permille > 0 && !may_be_null {
            let (name, column) = (&source.name, &field.name);
            return refuse(format!("source {name}: column {column} cannot be made so"));
        }
    }
    Ok(())
}

/// Checks that columns of a table of the benchmark have the types that these have.
fn check_nexmark(source: &SourceSpec, made: &NexmarkSpec) -> Result<()> {
    let known = made.table.columns();
    for (field, column) in file_schema(source).fields.iter().zip(&made.columns) {
        let is_there = known.iter().any(|(_, other)| other == column);
        if !is_there || field.data_type != column.data_type() {
            let (name, field) = (&source.name, &field.name);
            return refuse(format!("source {name}: column {field} is no {column:?}"));
        }
    }
    match made.events_per_s {
        0 => refuse(format!("source {}: no events in a second", source.name)),
        _ => Ok(()),
    }
}

fn is_event_time(event_time: EventTime, schema: &Schema) -> bool {
    let time = type_of(schema, event_time.column);
    let bound = event_time.bound.is_none_or(|bound| {
        bound + 1 == schema.fields.len() && type_of(schema, bound) == Some(&DataType::Int64)
    });
    matches!(time, Some(DataType::Timestamp(..))) && bound
}

fn check_stage(number: usize, stage: &StageSpec, program: &Program) -> Result<()> {
    let columns = |input: StageInput| match input {
        StageInput::Source(id) => program.sources.get(id.index()).map(|s| &s.schema),
        StageInput::Exchange(id) => program.exchanges.get(id.index()).map(|e| &e.schema),
    };
    if let Some(missing) = stage.inputs().find(|i| columns(*i).is_none()) {
        return refuse(match missing {
            StageInput::Source(id) => format!("stage {number} reads source {}", id.0),
            StageInput::Exchange(id) => format!("stage {number} reads exchange {}", id.0),
        });
    }
    let inputs: Vec<_> = stage.inputs().filter_map(columns).collect();
    let input = inputs[0];
    check_ports(number, stage, &inputs, program)?;
    let target = match stage.output {
        StageOutput::Exchange(id) => {
            let spec = program.exchanges.get(id.index());
            spec.map(|e| (&e.schema, e.order))
        }
        StageOutput::Output(id) => {
            let spec = program.outputs.get(id.index());
            spec.map(|o| (&o.schema, o.order))
        }
    };
    let Some((wanted, order)) = target else {
        return refuse(match stage.output {
            StageOutput::Exchange(id) => format!("stage {number} sends into exchange {}", id.0),
            StageOutput::Output(id) => format!("stage {number} sends into output {}", id.0),
        });
    };
    let made = stage.operators.iter().rev().find_map(OperatorSpec::columns);
    if !same_types(made.unwrap_or(input), wanted) {
        return refuse(format!(
            "stage {number} makes other columns than its output takes"
        ));
    }
    let backwards = |input| match (input, stage.output) {
        (StageInput::Exchange(from), StageOutput::Exchange(to)) => from >= to,
        _ => false,
    };
    if stage.inputs().any(backwards) {
        return refuse(format!("stage {number} sends records backwards"));
    }
    match out_of_order(program, stage, order) {
        Some(why) => refuse(format!("stage {number} {why}")),
        None => Ok(()),
    }
}

/// Checks the inputs of a stage: a join has two, each with the columns that it knows; elsewhere all
/// have the same. Where there are several, each is an exchange of its own.
fn check_ports(
    number: usize,
    stage: &StageSpec,
    inputs: &[&Arc<Schema>],
    program: &Program,
) -> Result<()> {
    let no = |what: &str| refuse(format!("stage {number} {what}"));
    let joins = |o: &OperatorSpec| matches!(o, OperatorSpec::Join(_));
    if stage.operators.iter().skip(1).any(joins) {
        return no("joins rows that it made itself");
    }
    let is_source = |i| matches!(i, StageInput::Source(_));
    if inputs.len() > 1 && stage.inputs().any(is_source) {
        return no("reads a source and something else");
    }
    let repeats =
        |(at, i): (usize, &StageInput)| *i == stage.input || stage.others[..at].contains(i);
    if stage.others.iter().enumerate().any(repeats) {
        return no("reads one exchange twice");
    }
    let Some(OperatorSpec::Join(join)) = stage.operators.first() else {
        return match inputs.iter().all(|i| same_types(i, inputs[0])) {
            true => Ok(()),
            false => no("reads rows of unlike columns"),
        };
    };
    let known = inputs.len() == 2
        && inputs
            .iter()
            .zip(&join.inputs)
            .all(|(a, b)| same_types(a, b));
    if !known {
        return no("joins other inputs than it has");
    }
    // What one shard knows of a row that all have is not all that is to be known.
    let routing = |input| match input {
        StageInput::Exchange(ExchangeId(id)) => Some(&program.exchanges[id as usize].routing),
        StageInput::Source(_) => None,
    };
    let sides = [Side::Left, Side::Right].into_iter().zip(stage.inputs());
    for (side, input) in sides {
        if routing(input) == Some(&Routing::Broadcast)
            && (join.build() != Some(side) || join.kind.tells(side))
        {
            return no("cannot join so a table that is on every shard");
        }
    }
    Ok(())
}

/// Why what a stage sends cannot be taken in the order that its receiver is told. In another order
/// shards would wait for each other, or a watermark would go back.
fn out_of_order(program: &Program, stage: &StageSpec, order: Order) -> Option<&'static str> {
    let StageInput::Source(source) = stage.input else {
        let chunks = order != Order::Free;
        return chunks.then_some("reads no source, and has no chunks to take in order");
    };
    let source = &program.sources[source.index()];
    let by_chunks = source.reading == Reading::Chunks
        && matches!(
            source.kind,
            SourceKind::Files { .. } | SourceKind::Columnar { .. } | SourceKind::Generator(_)
        )
        && source.event_time.is_some_and(|e| e.lag_ns.is_some());
    let sends_marks = matches!(stage.output, StageOutput::Exchange(_)) && !stage.groups();
    (by_chunks && sends_marks && order == Order::Free)
        .then_some("sends watermarks of chunks that are taken in any order")
}

/// Checks that every record has one way on, at the least: nothing waits for ever, and nothing is
/// lost.
fn check_ways(program: &Program) -> Result<()> {
    let stages = || program.stages.iter();
    for (number, stage) in stages().enumerate() {
        let sends = |s: &StageSpec| match s.output {
            StageOutput::Exchange(out) => stage.inputs().any(|i| i == StageInput::Exchange(out)),
            StageOutput::Output(_) => false,
        };
        if stages().skip(number).any(sends) {
            return refuse(format!(
                "stage {number} stands before the one it hears from"
            ));
        }
    }
    check_waiting(program)?;
    let is_read = |input| stages().any(|s| s.inputs().any(|i| i == input));
    for id in (0..program.exchanges.len() as u32).map(ExchangeId) {
        if program.senders(StageOutput::Exchange(id)) != 1 {
            return refuse(format!("exchange {} has no single sender", id.0));
        }
        if !is_read(StageInput::Exchange(id)) {
            return refuse(format!("exchange {} has no reader", id.0));
        }
    }
    for (number, source) in program.sources.iter().enumerate() {
        if !is_read(StageInput::Source(SourceId(number as u32))) {
            return refuse(format!("source {} has no reader", source.name));
        }
    }
    for id in (0..program.outputs.len() as u32).map(OutputId) {
        if program.senders(StageOutput::Output(id)) > 1 {
            return refuse(format!("output {} has more than one sender", id.0));
        }
    }
    Ok(())
}

/// Checks that nothing a join waits for is held up by what waits: in a program that joins, whatever
/// is read has one reader.
fn check_waiting(program: &Program) -> Result<()> {
    let stages = || program.stages.iter();
    let joins = |o: &OperatorSpec| matches!(o, OperatorSpec::Join(_));
    if !stages().any(|s| s.operators.iter().any(joins)) {
        return Ok(());
    }
    let inputs = || stages().flat_map(StageSpec::inputs);
    match inputs().find(|input| inputs().filter(|i| i == input).count() > 1) {
        Some(_) => refuse("a join may wait for what waits for it: an input has two readers".into()),
        None => Ok(()),
    }
}

/// Refuses a filter that is neither true nor false.
pub(crate) fn check_filter(condition: &Expr, input: &Schema) -> Result<()> {
    match condition.data_type(input) {
        DataType::Boolean => Ok(()),
        other => refuse(format!("a filter of {}", sql_name(&other))),
    }
}

/// Refuses a projection whose results its columns cannot take.
pub(crate) fn check_projection(exprs: &[Expr], input: &Schema, output: &Schema) -> Result<()> {
    let (count, columns) = (exprs.len(), output.fields.len());
    if count != columns {
        return refuse(format!("{count} expressions for {columns} columns"));
    }
    for (expr, field) in exprs.iter().zip(&output.fields) {
        let (is, wanted) = (expr.data_type(input), &field.data_type);
        let nested = matches!(is, DataType::List(_) | DataType::Struct(_));
        let fits = match nested {
            true => is.equals_datatype(wanted),
            false => physical(&is) == physical(wanted),
        };
        if !fits {
            let (is, wanted) = (sql_name(&is), sql_name(wanted));
            return refuse(format!("column {} is {is}, not {wanted}", field.name));
        }
    }
    Ok(())
}

/// Refuses a rule for late rows that are not there.
pub(crate) fn check_late(rule: &LateRule, schema: &Schema) -> Result<()> {
    let time = matches!(
        type_of(schema, rule.time),
        Some(DataType::Timestamp(_, None))
    );
    let bound = type_of(schema, rule.bound) == Some(&DataType::Int64);
    let windows =
        0 < rule.slide && rule.slide <= rule.size && (0..rule.slide).contains(&rule.offset);
    let none = (rule.size, rule.slide, rule.offset) == (0, 0, 0);
    match time && bound && (windows || none) {
        true => Ok(()),
        false => refuse(format!("no rows can be late by {rule:?}")),
    }
}

/// Refuses marks of first rows that have no column.
pub(crate) fn check_marked(groups: &AggregateSpec, input: &Schema, output: &Schema) -> Result<()> {
    let mut types: Vec<_> = input.types().collect();
    types.push(&DataType::Boolean);
    let counts = groups.phase == Phase::Changes && groups.calls.is_empty();
    match counts && output.types().eq(types) {
        true => Ok(()),
        false => refuse("first rows are marked in no column".to_owned()),
    }
}
