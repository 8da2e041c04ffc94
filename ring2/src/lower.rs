//! From DataFusion's plan to a program: a chain of filters, projections and aggregations over one
//! source. Keys and arguments of aggregates are computed before the exchange. The time part of a
//! window is never a routing key.

mod source;
mod wanted;

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, Unnest};
use trefoil_ring0::expr::{Expr, Scalar};
use trefoil_ring0::id::{ExchangeId, OutputId, SourceId};
use trefoil_ring0::operator::aggregate::{partial_schema, result_type};
use trefoil_ring0::operator::unnest::flagged;
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, BadData, ExchangeSpec, OperatorSpec, Order,
    OutputSpec, Phase, Program, Routing, SourceSpec, StageInput, StageOutput, StageSpec, WindowKey,
    dead_letter_schema,
};
use trefoil_ring0::schema::{Field, Schema, physical};

use self::wanted::Wanted;
use crate::error::SqlError;
use crate::lower_expr::{Kernels, Scope, expression, held_type, unaliased};
use crate::partitioning::{Analysis, Route};
use crate::planner::Planned;
use crate::script::{Emit, Select};
use crate::{ResultColumn, ordinals, plan_error};

/// The output of what is told about bad records, where a source does.
pub(crate) const DEAD_LETTERS: OutputId = OutputId(1);

/// Why a plan is not lowered: code and message.
pub(crate) type Refusal = (&'static str, String);

struct Lowering<'a> {
    query: &'a Planned,
    analysis: &'a Analysis,
    /// Aggregations seen so far.
    aggregates: usize,
    program: Program,
    input: StageInput,
    operators: Vec<OperatorSpec>,
    schema: Arc<Schema>,
    wanted: Wanted,
    /// Which of the plan's columns are produced, where not all are.
    columns: Option<Vec<usize>>,
    /// They are the source's, as they were read.
    of_source: bool,
    /// The last column tells the first of the rows that a row of the source was taken apart to.
    apart: bool,
    kernels: Kernels,
}

/// Lowers a planned query of a script.
///
/// # Errors
/// Where it is planned and does not run yet.
pub(crate) fn lower_planned(
    select: &Select<'_>,
    planned: &Planned,
    analysis: &Analysis,
    kernels: Kernels,
) -> Result<Program, SqlError> {
    let program = lower(planned, analysis, kernels)
        .map_err(|refusal| plan_error::lowered(select, refusal))?;
    if let Emit::Unsupported(at) = select.emit {
        let what = "EMIT other than FINAL and ON WINDOW CLOSE";
        return Err(select.place.unsupported(at, what));
    }
    Ok(program)
}

fn lower(query: &Planned, analysis: &Analysis, kernels: Kernels) -> Result<Program, Refusal> {
    let mut lowering = Lowering {
        query,
        analysis,
        aggregates: 0,
        program: Program::default(),
        input: StageInput::Source(SourceId(0)),
        operators: Vec::new(),
        schema: Arc::default(),
        wanted: Wanted::of(&query.plan),
        columns: None,
        of_source: false,
        apart: false,
        kernels,
    };
    lowering.node(&query.plan)?;
    lowering.end_apart();
    let schema = named(&lowering.schema, &query.results);
    if let Some(OperatorSpec::Project { schema: last, .. }) = lowering.operators.last_mut() {
        *last = Arc::clone(&schema);
    }
    let all = (0..schema.fields.len()).collect();
    match &analysis.output {
        Route::Stay | Route::TwoPhase => {}
        Route::Hash(_) => lowering.exchange(Arc::clone(&schema), Routing::Hash(all), Order::Free),
        Route::One => lowering.exchange(Arc::clone(&schema), Routing::Single, Order::Free),
    }
    // Rows that no aggregation took apart leave in the order of their file.
    let groups = |o: &OperatorSpec| matches!(o, OperatorSpec::Aggregate(_));
    let order = match lowering.input {
        StageInput::Source(_) if !analysis.in_order && !lowering.operators.iter().any(groups) => {
            Order::Chunks { bound: None }
        }
        StageInput::Source(_) | StageInput::Exchange(_) => Order::Free,
    };
    lowering.program.outputs.push(OutputSpec { order, schema });
    let told = |s: &SourceSpec| matches!(s.bad_data, BadData::DeadLetters(_));
    if lowering.program.sources.iter().any(told) {
        lowering.program.outputs.push(OutputSpec {
            order: Order::Chunks { bound: None },
            schema: Arc::new(dead_letter_schema()),
        });
    }
    lowering.seal(StageOutput::Output(OutputId(0)));
    Ok(lowering.program)
}

/// The results under the names that are printed.
fn named(schema: &Schema, results: &[ResultColumn]) -> Arc<Schema> {
    let mut schema = schema.clone();
    for result in results {
        match result {
            ResultColumn::Plain { name, index } => schema.fields[*index].name.clone_from(name),
            ResultColumn::Window { name, start, end } => {
                schema.fields[*start].name = format!("{name}.start");
                schema.fields[*end].name = format!("{name}.end");
            }
        }
    }
    Arc::new(schema)
}

impl Lowering<'_> {
    fn seal(&mut self, output: StageOutput) {
        let operators = std::mem::take(&mut self.operators);
        let input = self.input;
        self.program.stages.push(StageSpec {
            input,
            operators,
            output,
        });
    }

    fn exchange(&mut self, schema: Arc<Schema>, routing: Routing, order: Order) {
        let id = u32::try_from(self.program.exchanges.len()).expect("few exchanges");
        self.program.exchanges.push(ExchangeSpec {
            schema: Arc::clone(&schema),
            routing,
            order,
        });
        self.seal(StageOutput::Exchange(ExchangeId(id)));
        self.input = StageInput::Exchange(ExchangeId(id));
        self.schema = schema;
    }

    fn project(&mut self, mut exprs: Vec<Expr>, schema: Schema) {
        self.columns = None;
        self.of_source = false;
        if self.apart {
            exprs.push(Expr::Column(self.schema.fields.len() - 1));
        }
        self.schema = match self.apart {
            true => flagged(schema),
            false => Arc::new(schema),
        };
        let schema = Arc::clone(&self.schema);
        self.operators.push(OperatorSpec::Project { exprs, schema });
    }

    fn node(&mut self, plan: &LogicalPlan) -> Result<(), Refusal> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, self.wanted.columns(plan)),
            LogicalPlan::SubqueryAlias(alias) => self.node(&alias.input),
            LogicalPlan::Filter(filter) => {
                self.node(&filter.input)?;
                let scope = self.scope(&filter.input);
                let predicate = expression(&filter.predicate, &scope)?;
                self.operators.push(OperatorSpec::Filter(predicate));
                Ok(())
            }
            LogicalPlan::Projection(projection) => {
                self.node(&projection.input)?;
                let scope = self.scope(&projection.input);
                let mut exprs = Vec::new();
                let mut fields = Vec::new();
                let columns = self.wanted.columns(plan);
                for &column in &columns {
                    let field = projection.schema.field(column);
                    let lowered = expression(&projection.expr[column], &scope)?;
                    fields.push(self.field(field.name(), &lowered, field.is_nullable())?);
                    exprs.push(lowered);
                }
                self.project(exprs, Schema::new(fields));
                self.columns = (columns.len() < projection.expr.len()).then_some(columns);
                Ok(())
            }
            LogicalPlan::Aggregate(aggregate) => {
                self.node(&aggregate.input)?;
                self.aggregate(aggregate)
            }
            LogicalPlan::Unnest(unnest) => {
                self.node(&unnest.input)?;
                self.unnest(unnest)
            }
            other => Err(("E0301", format!("{} is not supported yet", other.display()))),
        }
    }

    /// A row for each element of one list.
    fn unnest(&mut self, unnest: &Unnest) -> Result<(), Refusal> {
        let no = |what: &str| Err(("E0301", format!("UNNEST {what} is not supported yet")));
        let all: Vec<usize> = (0..unnest.input.schema().fields().len()).collect();
        let numbers = ordinals::column(unnest);
        let lists = &mut unnest.list_type_columns.iter();
        let lists: Vec<_> = lists.filter(|(list, _)| Some(*list) != numbers).collect();
        let [(list, one)] = lists.as_slice() else {
            return no("of several lists, or of a struct,");
        };
        let plain = one.depth == 1
            && unnest.struct_type_columns.is_empty()
            && unnest.dependency_indices == all
            && !unnest.options.preserve_nulls();
        if !plain || self.apart || !matches!(self.input, StageInput::Source(_)) {
            return no("of what UNNEST or an aggregation gives");
        }
        let at = match &self.columns {
            Some(columns) => columns.iter().position(|c| c == list),
            None => Some(*list),
        };
        let Some(at) = at else {
            unreachable!("a list that is taken apart is wanted")
        };
        let mut schema = Schema::clone(&self.schema);
        let field = &mut schema.fields[at];
        let DataType::List(item) = &field.data_type else {
            return no("of what is no list");
        };
        field.data_type = item.data_type().clone();
        unnest
            .schema
            .field(*list)
            .name()
            .clone_into(&mut field.name);
        if let Some(numbers) = numbers {
            // They stand behind all others, whatever the plan's order.
            let columns = self.columns.get_or_insert_with(|| (0..all.len()).collect());
            columns.retain(|c| *c != numbers);
            columns.push(numbers);
            let name = unnest.schema.field(numbers).name();
            schema.fields.push(Field {
                nullable: false,
                ..Field::new(name, DataType::Int64)
            });
        }
        self.schema = flagged(schema);
        self.of_source = false;
        self.apart = true;
        self.operators.push(OperatorSpec::Unnest {
            list: at,
            numbered: numbers.is_some(),
            schema: Arc::clone(&self.schema),
        });
        Ok(())
    }

    /// Rows that were taken apart are results: nothing tells the first of them any more.
    fn end_apart(&mut self) {
        if std::mem::take(&mut self.apart) {
            self.operators.push(OperatorSpec::Applied);
            let mut schema = Schema::clone(&self.schema);
            schema.fields.pop();
            let columns = (0..schema.fields.len()).map(Expr::Column);
            self.project(columns.collect(), schema);
        }
    }

    fn scope<'p>(&self, plan: &'p LogicalPlan) -> Scope<'p> {
        Scope {
            plan: plan.schema(),
            schema: Arc::clone(&self.schema),
            columns: self.columns.clone(),
            of_source: self.of_source,
            kernels: self.kernels,
        }
    }

    fn field(&self, name: &str, expr: &Expr, nullable: bool) -> Result<Field, Refusal> {
        let data_type = expr.data_type(&self.schema);
        if physical(&data_type).is_none() {
            let message = format!("a result of type {data_type} is not supported yet");
            return Err(("E0302", message));
        }
        let mut field = Field::new(name, data_type);
        field.nullable = nullable;
        field.json = matches!(expr, Expr::Column(c) if self.schema.fields[*c].json);
        Ok(field)
    }

    fn aggregate(
        &mut self,
        aggregate: &datafusion::logical_expr::Aggregate,
    ) -> Result<(), Refusal> {
        let mut window = None;
        let mut late = None;
        for (i, key) in aggregate.group_expr.iter().enumerate() {
            if let Some(tumble) = source::tumble(key, &self.scope(&aggregate.input))? {
                window = Some((i, tumble.size_ns));
                late = self.event_time(&tumble)?.map(|bound| (i, bound, tumble));
            }
        }
        let timed = self.timed();
        let scope = self.scope(&aggregate.input);
        let mut exprs = Vec::new();
        let mut fields = Vec::new();
        for (i, key) in aggregate.group_expr.iter().enumerate() {
            let lowered = expression(key, &scope)?;
            let planned = aggregate.schema.field(i);
            fields.push(self.field(planned.name(), &lowered, planned.is_nullable())?);
            exprs.push(lowered);
        }
        let keys: Vec<usize> = (0..exprs.len()).collect();
        let mut calls = Vec::new();
        for expr in &aggregate.aggr_expr {
            let (function, argument) = call(expr, &scope)?;
            let argument = match argument {
                None => None,
                Some(lowered) => match exprs.iter().position(|e| *e == lowered) {
                    Some(at) => Some(at),
                    None => {
                        fields.push(self.field(&format!("arg{}", exprs.len()), &lowered, true)?);
                        exprs.push(lowered);
                        Some(exprs.len() - 1)
                    }
                },
            };
            calls.push(AggregateCall { function, argument });
        }
        // The rows' watermarks go along: what is late is decided where chunks are in order.
        let late = late.map(|(start, bound, tumble)| {
            fields.push(self.schema.fields[bound].clone());
            exprs.push(Expr::Column(bound));
            (exprs.len() - 1, tumble.late(start, exprs.len() - 1))
        });
        self.project(exprs, Schema::new(fields));
        let output = self.results(aggregate, &calls)?;
        let input = Arc::clone(&self.schema);
        let spec = AggregateSpec {
            input: Arc::clone(&input),
            keys: keys.clone(),
            calls,
            phase: Phase::Complete,
            window: (window.filter(|_| timed)).map(|(key, size_ns)| WindowKey { key, size_ns }),
            output: Arc::new(Schema::new(output)),
        };
        let route = self.analysis.routes.get(self.aggregates);
        self.aggregates += 1;
        let order = self.order(late.as_ref().map(|(bound, _)| *bound));
        match route {
            Some(Route::TwoPhase) if keys.is_empty() => return self.two_phases(spec),
            Some(Route::Stay) => {}
            Some(Route::Hash(by)) => self.exchange(input, Routing::Hash(by.clone()), order),
            Some(Route::One | Route::TwoPhase) => self.exchange(input, Routing::Single, order),
            None => return Err(("E0301", "this aggregation is not supported yet".to_owned())),
        }
        self.operators.extend(late.map(|(_, rule)| rule));
        self.add(spec);
        Ok(())
    }

    /// The columns that an aggregation gives: the keys, which come first in its input, and results.
    fn results(
        &self,
        aggregate: &datafusion::logical_expr::Aggregate,
        calls: &[AggregateCall],
    ) -> Result<Vec<Field>, Refusal> {
        let keys = aggregate.group_expr.len();
        let mut output = self.schema.fields[..keys].to_vec();
        let planned = aggregate.schema.fields().iter().skip(keys);
        for (planned, call) in planned.zip(calls) {
            let argument = call.argument.map(|a| &self.schema.fields[a].data_type);
            let result = result_type(call.function, argument);
            match held_type(planned.data_type()) {
                Some(held) if Some(&held) == result.as_ref() => {
                    output.push(Field::new(planned.name(), held));
                }
                Some(_) | None => {
                    let message = format!("{} is not supported yet", planned.name());
                    return Err(("E0301", message));
                }
            }
        }
        Ok(output)
    }

    /// Rows with watermarks are taken in the order of their chunks, unless one shard read them.
    fn order(&self, bound: Option<usize>) -> Order {
        match bound {
            Some(_) if !self.analysis.in_order => Order::Chunks { bound },
            Some(_) | None => Order::Free,
        }
    }

    fn add(&mut self, spec: AggregateSpec) {
        self.schema = Arc::clone(&spec.output);
        self.apart = false;
        self.operators.push(OperatorSpec::Aggregate(Arc::new(spec)));
    }

    fn two_phases(&mut self, whole: AggregateSpec) -> Result<(), Refusal> {
        let partial = partial_schema(&whole.input, &whole.keys, &whole.calls)
            .map_err(|e| ("E0302", e.to_string()))?;
        let state = Arc::new(partial);
        self.add(AggregateSpec {
            phase: Phase::Partial,
            output: Arc::clone(&state),
            ..whole.clone()
        });
        self.exchange(Arc::clone(&state), Routing::Single, Order::Free);
        self.add(AggregateSpec {
            phase: Phase::Final,
            input: state,
            ..whole
        });
        Ok(())
    }
}

fn call(expr: &PlanExpr, scope: &Scope<'_>) -> Result<(AggregateFunction, Option<Expr>), Refusal> {
    use AggregateFunction as F;
    let no = || ("E0301", format!("{expr} is not supported yet"));
    let PlanExpr::AggregateFunction(f) = unaliased(expr) else {
        return Err(no());
    };
    let Some(function) = aggregate_function(f.func.name()) else {
        return Err(no());
    };
    let plain = &f.params;
    // A value more than once is as great as once.
    let distinct = plain.distinct && !matches!(function, F::Min | F::Max);
    if distinct || !plain.order_by.is_empty() || plain.null_treatment.is_some() {
        return Err(no());
    }
    let [argument] = f.params.args.as_slice() else {
        return Err(("E0206", format!("{expr} takes one argument")));
    };
    let rows = matches!(argument, PlanExpr::Literal(value, _) if !value.is_null());
    let mut argument = match (function, rows) {
        (F::Count, true) => None,
        _ => Some(expression(argument, scope)?),
    };
    let averages = !matches!(function, F::Count | F::Sum | F::Min | F::Max);
    if let Some(Expr::Cast(inner, _)) = &argument
        && averages
        && inner.data_type(&scope.schema).is_integer()
    {
        argument = Some(inner.as_ref().clone());
    }
    if let Some(filter) = &plain.filter {
        // No aggregate counts a NULL.
        let value = argument.unwrap_or(Expr::Literal(Scalar::Bool(true)));
        argument = Some(Expr::Case {
            branches: vec![(expression(filter, scope)?, value)],
            otherwise: None,
        });
    }
    let given = argument.as_ref().map(|e| e.data_type(&scope.schema));
    match result_type(function, given.as_ref()) {
        Some(_) => Ok((function, argument)),
        None => Err(no()),
    }
}

/// The aggregate that Ring 0 has under a name.
pub(crate) fn aggregate_function(name: &str) -> Option<AggregateFunction> {
    use AggregateFunction as F;
    Some(match name {
        "count" => F::Count,
        "sum" => F::Sum,
        "avg" => F::Avg,
        "min" => F::Min,
        "max" => F::Max,
        "stddev" | "stddev_samp" => F::StddevSamp,
        "stddev_pop" => F::StddevPop,
        "var" | "var_samp" => F::VarSamp,
        "var_pop" => F::VarPop,
        _ => return None,
    })
}
