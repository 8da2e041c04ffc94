//! From DataFusion's plan to a program: filters, projections and aggregations over sources, unions
//! and joins of these. Keys and arguments of aggregates are computed before the exchange. The time
//! part of a window is never a routing key.

mod aggregate;
mod branch;
mod calls;
mod captured;
pub(crate) mod changes;
mod endless;
mod grouping;
mod interval;
mod join;
mod kernel;
mod late;
mod lookup;
mod nearest;
mod order;
mod over;
mod paced;
mod processing;
pub(crate) mod regular;
mod sets;
mod source;
mod union;
mod wanted;
mod weighted;
mod window_join;
mod windows;

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchemaRef};
use datafusion::logical_expr::{Expr as PlanExpr, ExprSchemable, LogicalPlan, Unnest};
use trefoil_ring0::changelog;
use trefoil_ring0::expr::Expr;
use trefoil_ring0::id::OutputId;
use trefoil_ring0::operator::unnest::flagged;
use trefoil_ring0::program::{
    BadData, OperatorSpec, Order, OutputSpec, Program, Routing, SourceSpec, StageInput,
    StageOutput, dead_letter_schema,
};
use trefoil_ring0::schema::{Field, Schema, physical};

use self::branch::Branch;
use self::changes::Told;
use self::lookup::Windowed;
use self::wanted::Wanted;
use crate::error::SqlError;
use crate::json::typed::{self, Texts};
use crate::lower_expr::{Kernels, Scope, expression, held_type};
use crate::partitioning::{Analysis, Route, node};
use crate::planner::Planned;
use crate::script::{Emit, Select};
use crate::{ResultColumn, ordinals, upsert};

pub(crate) use self::calls::{aggregate_function, is_mergeable};
pub(crate) use self::interval::{ENDLESS_JOIN, is_bounded, unit_of};
pub(crate) use self::join::without_versions;
pub(crate) use self::order::is_ordered;
pub(crate) use self::weighted::{at_most, ranks};
pub(crate) use self::window_join::{is_start, meets_windows, starts};

/// The output of what is told about bad records, where a source does.
pub(crate) const DEAD_LETTERS: OutputId = OutputId(1);

/// Why a plan is not lowered: code and message.
pub(crate) type Refusal = (&'static str, String);

struct Lowering<'a> {
    query: &'a Planned,
    analysis: &'a Analysis,
    /// Aggregations seen so far.
    aggregates: usize,
    /// And joins.
    joins: usize,
    /// And nodes with OVER.
    overs: usize,
    program: Program,
    wanted: Wanted,
    /// Where the rows come from that are at hand: several where they are those of a union.
    branches: Vec<Branch>,
    schema: Arc<Schema>,
    /// Which of the plan's columns are produced, where not all are.
    columns: Option<Vec<usize>>,
    /// Of which columns watermarks close windows, and the size of these in nanoseconds.
    windows: Vec<Option<i64>>,
    /// A join holds rows until their windows close: late rows go where windows are made.
    held_by_window: bool,
    /// Joins of a side that ends whose rows are grouped by windows.
    windowed: Vec<Windowed>,
    /// The last column tells the first of the rows that a row of the source was taken apart to.
    apart: bool,
    /// Records are groups, and no rows of the source any more.
    grouped: bool,
    /// They come in order, on one shard.
    sorted: bool,
    /// Aggregations give changelogs.
    changes: bool,
    /// The last column says what a row does to the rows that stand.
    weighted: bool,
    /// How long changes wait that do not wait yet, in nanoseconds, if they are to.
    every_ns: Option<i64>,
    /// Of each source where event time is among its columns, as far as that was asked for.
    times: Vec<Option<usize>>,
    /// By what the results are told, where that is a key.
    upsert: Option<upsert::Key<'a>>,
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
    endless::check(select, planned, analysis.changes)?;
    let every_ns = match select.emit {
        Emit::Every(_, every_ns) => Some(every_ns),
        Emit::Default | Emit::Final(_) | Emit::Changes(_) | Emit::Standing(_) => None,
    };
    let told = changes::asked(select, planned, analysis)?;
    let lowered = lower(planned, analysis, kernels, every_ns, told);
    let lowered = lowered.and_then(|program| match select.settings.state_ttl_ns {
        Some(_) if !regular::warnings(&program, &planned.tables).is_empty() => {
            let message = "JOIN whose rows are forgotten after state_ttl, and have no time, is \
                           not supported yet";
            Err(("E0301", message.to_owned()))
        }
        _ => Ok(program),
    });
    lowered.map_err(|refusal| paced::refused(select, refusal))
}

fn lower(
    query: &Planned,
    analysis: &Analysis,
    kernels: Kernels,
    every_ns: Option<i64>,
    told: Told,
) -> Result<Program, Refusal> {
    let mut lowering = Lowering {
        query,
        analysis,
        aggregates: 0,
        joins: 0,
        overs: 0,
        program: Program::default(),
        wanted: Wanted::of(&query.plan),
        branches: Vec::new(),
        schema: Arc::default(),
        columns: None,
        windows: Vec::new(),
        held_by_window: false,
        windowed: Vec::new(),
        apart: false,
        grouped: false,
        sorted: false,
        changes: analysis.changes,
        weighted: false,
        every_ns,
        times: Vec::new(),
        upsert: match told {
            Told::Upsert => upsert::key(query).ok(),
            Told::Nothing | Told::Changes => None,
        },
        kernels,
    };
    lowering.node(&query.plan)?;
    lowering.end_apart();
    lowering.pace_rest()?;
    let schema = named(&lowering.schema, &query.results);
    for branch in &mut lowering.branches {
        if let Some(OperatorSpec::Project { schema: last, .. }) = branch.operators.last_mut() {
            *last = Arc::clone(&schema);
        }
    }
    let schema = match told {
        Told::Changes | Told::Upsert => lowering.told(&schema, told),
        Told::Nothing => schema,
    };
    let all = (0..schema.fields.len()).collect();
    match &analysis.output {
        Route::Stay | Route::TwoPhase => {}
        Route::Hash(_) => lowering.exchange(Arc::clone(&schema), Routing::Hash(all), Order::Free),
        Route::One => lowering.exchange(Arc::clone(&schema), Routing::Single, Order::Free),
    }
    lowering.merge();
    // Rows that no aggregation took apart leave in the order of their file.
    let branch = lowering.branch();
    let order = match branch.input {
        StageInput::Source(_)
            if !analysis.in_order && !branch.operators.iter().any(OperatorSpec::groups) =>
        {
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
    lowering.compare_watermarks()?;
    lowering.tell_late();
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
    fn project(&mut self, mut exprs: Vec<Expr>, schema: Schema) {
        self.columns = None;
        for branch in &mut self.branches {
            let origin = |expr: &Expr| match expr {
                Expr::Column(column) => branch.origins.get(*column).copied().flatten(),
                _ => None,
            };
            let origin = |expr: &Expr| match expr {
                Expr::InWindows { time, .. } => origin(time),
                expr => origin(expr),
            };
            branch.origins = exprs.iter().map(origin).collect();
        }
        self.windows = (exprs.iter()).map(|expr| self.window_of(expr)).collect();
        if self.apart || self.weighted {
            exprs.push(Expr::Column(self.schema.fields.len() - 1));
        }
        self.schema = match (self.apart, self.weighted) {
            (true, _) => flagged(schema),
            (false, true) => changelog::weighted(schema),
            (false, false) => Arc::new(schema),
        };
        let schema = Arc::clone(&self.schema);
        self.push(OperatorSpec::Project { exprs, schema });
    }

    fn node(&mut self, plan: &LogicalPlan) -> Result<(), Refusal> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, self.wanted.columns(plan)),
            LogicalPlan::SubqueryAlias(alias) => self.node(&alias.input),
            LogicalPlan::Filter(filter) => {
                self.node(&filter.input)?;
                let Some(predicate) = join::without_versions(&filter.predicate) else {
                    return Ok(());
                };
                let scope = self.scope(&filter.input);
                let predicate = expression(&predicate, &scope)?;
                self.push(match self.weighted {
                    true => OperatorSpec::FilterChanges(predicate),
                    false => OperatorSpec::Filter(predicate),
                });
                Ok(())
            }
            LogicalPlan::Projection(projection) => {
                self.node(&projection.input)?;
                let columns = self.wanted.columns(plan);
                let wanted = columns
                    .iter()
                    .map(|&column| projection.expr[column].clone());
                let made = self.made_for_lookup(projection);
                let (wanted, input) =
                    self.spread(wanted.collect(), projection.input.schema(), made.is_some())?;
                let made = made.and_then(|made| columns.iter().position(|c| *c == made));
                let closing = self.closing_tumbles(&wanted, &input, made)?;
                let scope = self.scope_of(&input);
                let mut exprs = Vec::new();
                let mut fields = Vec::new();
                for (&column, expr) in columns.iter().zip(&wanted) {
                    let field = projection.schema.field(column);
                    let lowered = expression(expr, &scope)?;
                    let mut made = self.field(field.name(), &lowered, field.is_nullable())?;
                    made.json = self.is_json(expr, &scope)?;
                    fields.push(made);
                    exprs.push(lowered);
                }
                self.project(exprs, Schema::new(fields));
                closing
                    .into_iter()
                    .for_each(|(at, size_ns)| self.windows[at] = Some(size_ns));
                self.columns = (columns.len() < projection.expr.len()).then_some(columns);
                Ok(())
            }
            LogicalPlan::Aggregate(aggregate) => {
                self.look_for_lookups(aggregate);
                self.node(&aggregate.input)?;
                self.aggregate(aggregate)
            }
            LogicalPlan::Sort(sort) => self.ordered(&sort.expr, 0, sort.fetch, &sort.input),
            LogicalPlan::Limit(limit) => self.limited(limit),
            LogicalPlan::Window(window) => self.over(window),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union, plan),
            LogicalPlan::Unnest(unnest) => {
                self.node(&unnest.input)?;
                self.unnest(unnest)
            }
            other => Err(("E0301", format!("{} is not supported yet", node(other)))),
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
        self.merge();
        if !plain || self.apart || self.weighted || !self.reads() {
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
        self.branches.iter_mut().for_each(|b| b.origins[at] = None);
        self.apart = true;
        self.push(OperatorSpec::Unnest {
            list: at,
            numbered: numbers.is_some(),
            schema: Arc::clone(&self.schema),
        });
        Ok(())
    }

    /// Rows that were taken apart are results: nothing tells the first of them any more.
    fn end_apart(&mut self) {
        if std::mem::take(&mut self.apart) {
            self.push(OperatorSpec::Applied);
            let mut schema = Schema::clone(&self.schema);
            schema.fields.pop();
            let (exprs, columns) = (0..schema.fields.len(), self.columns.take());
            self.project(exprs.map(Expr::Column).collect(), schema);
            self.columns = columns;
        }
    }

    fn scope<'p>(&'p self, plan: &'p LogicalPlan) -> Scope<'p> {
        self.scope_of(plan.schema())
    }

    fn scope_of<'p>(&'p self, plan: &'p DFSchemaRef) -> Scope<'p> {
        Scope {
            plan,
            schema: Arc::clone(&self.schema),
            columns: self.columns.clone(),
            kernels: self.kernels,
        }
    }

    /// Whether the texts of a result are JSON, or those in its lists.
    fn is_json(&self, expr: &PlanExpr, scope: &Scope<'_>) -> Result<bool, Refusal> {
        let column = |column: &Column| match scope.place(column) {
            Some(at) => self.schema.fields[at].json,
            None => false,
        };
        match typed::texts(expr, &column) {
            Texts::Json => Ok(expr
                .get_type(scope.plan)
                .is_ok_and(|t| held_type(&t).is_some_and(|t| typed::may_be(&t)))),
            Texts::Within => Err((
                "E0302",
                "a STRUCT with a member of type JSON is not supported yet".to_owned(),
            )),
            Texts::Untyped | Texts::Other => Ok(false),
        }
    }

    /// Of calls over `input`, as it is here, which give JSON.
    fn jsons(&self, calls: &[PlanExpr], input: &LogicalPlan) -> Result<Vec<bool>, Refusal> {
        let scope = self.scope(input);
        let calls = calls.iter().map(|call| self.is_json(call, &scope));
        calls.collect()
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
}
