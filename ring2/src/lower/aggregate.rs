//! Aggregations: keys and arguments are computed before the exchange, then rows of a group meet.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{Aggregate, Expr as PlanExpr};
use trefoil_ring0::changelog;
use trefoil_ring0::expr::{BinaryOp, Expr};
use trefoil_ring0::operator::aggregate::{
    AggregateKernel, GenericCall, partial_schema, result_type,
};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, ChangesSpec, OperatorSpec, Order, Phase,
    Routing, SessionSpec, WindowKey,
};
use trefoil_ring0::schema::{Field, Schema};

use super::calls::{Call, Function, only};
use super::sets::Sets;
use super::windows::{self, KeyWindow, Windows};
use super::{Lowering, Refusal};
use crate::lower_expr::{held_type, unaliased};
use crate::partitioning::Route;
use crate::partitioning::text;

/// For each call with DISTINCT the columns by which a row is the first of its kind.
pub(super) type FirstBy = Vec<Option<Vec<usize>>>;

impl Lowering<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<(), Refusal> {
        let read = |key| windows::read(key, &self.scope(&aggregate.input));
        let sets = Sets::of(aggregate)?;
        let group_expr = sets
            .as_ref()
            .map_or(&aggregate.group_expr, |sets| &sets.keys);
        let bounds = group_expr.iter().map(read);
        let bounds = bounds.collect::<Result<Vec<_>, _>>()?;
        let mut windows = windows::of_keys(&bounds)?;
        check_sets(sets.as_ref(), &bounds)?;
        let changing = self.weighted;
        check_windows(windows.as_ref(), changing)?;
        let nested = self.nested(&bounds);
        let first = bounds.iter().flatten().next();
        let first = first.filter(|_| !changing && nested.is_none());
        let by_clock = self.on_processing_time(first)?;
        let bound = match first.filter(|_| !by_clock) {
            Some(key) => self.event_time(key.column)?,
            None => None,
        };
        let timed = self.timed();
        let route = self.analysis.routes.get(self.aggregates);
        self.aggregates += 1;
        let (mut exprs, mut fields) = self.key_columns(aggregate, group_expr, sets.as_ref())?;
        let keys = Vec::from_iter(0..exprs.len());
        let json = self.jsons(&aggregate.aggr_expr, &aggregate.input)?;
        let whole = route != Some(&Route::TwoPhase);
        let groups = changing || !self.reads() || self.branches.len() > 1;
        let sessions = windows.as_ref().is_some_and(|w| w.gap().is_some());
        let made = (&mut exprs, &mut fields);
        let calls = self.calls(aggregate, (sets.as_ref(), &bounds), whole, groups, made)?;
        let in_order = self.changes || calls.iter().any(|(call, _)| call.is_generic());
        // The rows' watermarks go along: what is late is decided where chunks are in order.
        let bound = bound.map(|bound| {
            fields.push(self.schema.fields[bound].clone());
            exprs.push(Expr::Column(bound));
            exprs.len() - 1
        });
        self.project(exprs, Schema::new(fields));
        let rule = bound.and_then(|bound| windows.as_ref()?.late(bound));
        let on_time = rule.is_some_and(|rule| self.drop_at_source(rule));
        self.repeat(sets.as_ref());
        let window = match windows.as_ref().and_then(Windows::key) {
            _ if changing || sessions => None,
            Some(window) => (nested.map(|n| n.around(window))).or(timed.then_some(window)),
            None => self.closing(&keys),
        };
        self.check_closing(&aggregate.input, window, sessions)?;
        let input = Arc::clone(&self.schema);
        let order = self.order(bound, in_order && !groups);
        let single =
            !matches!(route, Some(Route::TwoPhase)) || !keys.is_empty() || self.changes || changing;
        self.meet(route, input, order, single)?;
        if let Some(windows) = &mut windows {
            let plain = sets.is_none() && !self.changes && !changing && nested.is_none();
            let plain = plain && !by_clock;
            if plain && calls.iter().all(|(call, _)| call.merges()) {
                windows.divide();
            }
            if !on_time || windows.multiply() {
                self.pass_windows(windows, bound);
            }
        }
        let (calls, first_by) = match sessions {
            true => by_sessions(calls),
            false => (self.firsts(&keys, window, calls)?, Vec::new()),
        };
        let output = Schema::new(self.results(aggregate, &calls, &json)?);
        let spec = self.groups_by(keys, calls, window, output);
        if !single {
            return self.two_phases(spec);
        }
        self.add_groups(spec.clone(), (windows, first_by), bound);
        self.stand(sets.as_ref(), aggregate, &spec, route);
        self.pace_groups(aggregate, spec.keys.len());
        Ok(())
    }

    /// Groups of the rows as they are here.
    fn groups_by(
        &self,
        keys: Vec<usize>,
        calls: Vec<AggregateCall>,
        window: Option<WindowKey>,
        output: Schema,
    ) -> AggregateSpec {
        let (phase, output) = match self.changes {
            true => (Phase::Changes, changelog::weighted(output)),
            false => (Phase::Complete, Arc::new(output)),
        };
        AggregateSpec {
            input: Arc::clone(&self.schema),
            keys,
            calls,
            phase,
            window,
            output,
        }
    }

    /// Groups by sessions, whose bounds are no keys.
    pub(super) fn add_sessions(
        &mut self,
        mut spec: AggregateSpec,
        (windows, first_by): (&Windows, FirstBy),
        gap: i64,
    ) {
        let bounds = [windows.start, windows.end];
        spec.keys.retain(|key| !bounds.contains(&Some(*key)));
        self.behind_groups(&spec);
        let time = windows.start.or(windows.end);
        self.push(OperatorSpec::Sessions(Arc::new(SessionSpec {
            aggregate: spec,
            time: time.expect("a session has a bound among the keys"),
            gap,
            start: windows.start,
            end: windows.end,
            first_by,
        })));
    }

    /// Where the columns are that a call needs; they are added where they are not yet. A time that
    /// stands in a window's place is none of them: the window's bound will be there.
    pub(super) fn arguments(
        &self,
        call: &Call,
        (shared, bounds): (usize, &[Option<KeyWindow>]),
        exprs: &mut Vec<Expr>,
        fields: &mut Vec<Field>,
    ) -> Result<Vec<usize>, Refusal> {
        let (args, _) = call.function.columns();
        let is_bound = |at: usize| bounds.get(at).is_some_and(Option::is_some);
        let mut at = Vec::with_capacity(args.len());
        for arg in args {
            let mut found = (shared..exprs.len()).filter(|&at| exprs[at] == *arg && !is_bound(at));
            at.push(match found.next() {
                Some(at) => at,
                None => {
                    fields.push(self.field(&format!("arg{}", exprs.len()), arg, true)?);
                    exprs.push(arg.clone());
                    exprs.len() - 1
                }
            });
        }
        Ok(at)
    }

    /// Has rows marked that are the first with their values, for calls with DISTINCT, and gives all
    /// calls over columns in which only these count.
    fn firsts(
        &mut self,
        keys: &[usize],
        window: Option<WindowKey>,
        calls: Vec<(Call, Vec<usize>)>,
    ) -> Result<Vec<AggregateCall>, Refusal> {
        if calls.iter().any(|(call, _)| call.distinct) {
            // A row is applied once, however many of its elements are the first.
            self.end_apart();
        }
        // What is looked for, and the column that says whether it is the first.
        let mut marked: Vec<(Vec<usize>, usize)> = Vec::new();
        for (call, args) in calls.iter().filter(|(call, _)| call.distinct) {
            let looked = call.function.looked(args);
            if marked.iter().all(|(other, _)| *other != looked) {
                marked.push((looked.clone(), self.visible()));
                let columns = [keys, &looked].concat();
                match self.weighted {
                    true => self.mark_changes(columns),
                    false => self.mark(columns, window),
                }
            }
        }
        let visible = self.schema.fields.len() - usize::from(self.weighted);
        let mut exprs: Vec<Expr> = (0..visible).map(Expr::Column).collect();
        let mut fields = self.schema.fields[..visible].to_vec();
        let mut specs = Vec::new();
        for (call, mut args) in calls {
            let looked = call.function.looked(&args);
            let first = marked.iter().find(|(l, _)| call.distinct && *l == looked);
            let first = first.map(|(_, at)| *at);
            let mut computed = |expr: Expr, like: Field| {
                let at = exprs.iter().position(|e| *e == expr);
                at.unwrap_or_else(|| {
                    exprs.push(expr);
                    fields.push(Field {
                        name: format!("first{}", fields.len()),
                        nullable: true,
                        ..like
                    });
                    exprs.len() - 1
                })
            };
            let column = |at: usize| Expr::Column(at);
            let filter = call.function.filter(&args);
            specs.push(match call.function {
                Function::Native(function, _) => {
                    let argument = args.first().map(|&arg| match first {
                        None => arg,
                        Some(first) => {
                            let like = self.schema.fields[arg].clone();
                            computed(only(column(first), column(arg)), like)
                        }
                    });
                    AggregateCall { function, argument }
                }
                Function::Generic {
                    kernel, filter: f, ..
                } => {
                    if f.is_some() {
                        args.pop();
                    }
                    let filter = match (first, filter) {
                        (Some(first), Some(filter)) => {
                            let [a, b] = [column(first), column(filter)].map(Box::new);
                            let like = self.schema.fields[first].clone();
                            Some(computed(Expr::Binary(BinaryOp::And, a, b), like))
                        }
                        (first, filter) => first.or(filter),
                    };
                    generic_call(kernel, args, filter)
                }
            });
        }
        if exprs.len() > visible {
            self.project(exprs, Schema::new(fields));
        }
        Ok(specs)
    }

    /// Marks the first row with these values.
    fn mark(&mut self, columns: Vec<usize>, window: Option<WindowKey>) {
        let fields = columns.iter().map(|&c| self.schema.fields[c].clone());
        let groups = AggregateSpec {
            input: Arc::clone(&self.schema),
            output: changelog::weighted(Schema::new(fields.collect())),
            keys: columns,
            calls: Vec::new(),
            phase: Phase::Changes,
            window,
        };
        let mut schema = Schema::clone(&self.schema);
        let name = format!("is_first{}", schema.fields.len());
        schema.fields.push(Field {
            nullable: false,
            ..Field::new(name, DataType::Boolean)
        });
        self.columns = None;
        self.branches.iter_mut().for_each(|b| b.origins.push(None));
        self.schema = Arc::new(schema);
        self.push(OperatorSpec::MarkFirst {
            groups: Arc::new(groups),
            schema: Arc::clone(&self.schema),
        });
    }

    /// The columns that an aggregation gives: the keys, which come first in its input, and results.
    fn results(
        &self,
        aggregate: &Aggregate,
        calls: &[AggregateCall],
        json: &[bool],
    ) -> Result<Vec<Field>, Refusal> {
        let keys = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
        let mut output = self.schema.fields[..keys].to_vec();
        let planned = aggregate.schema.fields().iter().skip(keys);
        for ((planned, call), &json) in planned.zip(calls).zip(json) {
            let argument = call.argument.map(|a| &self.schema.fields[a].data_type);
            let result = result_type(&call.function, argument);
            match held_type(planned.data_type()) {
                Some(held) if Some(&held) == result.as_ref() => {
                    output.push(Field {
                        json,
                        ..Field::new(planned.name(), held)
                    });
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
    fn order(&self, bound: Option<usize>, in_order: bool) -> Order {
        match bound {
            Some(_) if !self.analysis.in_order => Order::Chunks { bound },
            // Changes come in the order of rows, and what is not Ring 0's takes them in it.
            None if in_order && !self.analysis.in_order => Order::Chunks { bound: None },
            Some(_) | None => Order::Free,
        }
    }

    /// Columns are those of groups from here on.
    pub(super) fn behind_groups(&mut self, spec: &AggregateSpec) {
        self.schema = Arc::clone(&spec.output);
        self.apart = false;
        (self.grouped, self.sorted) = (true, false);
        self.weighted = spec.phase == Phase::Changes;
        for branch in &mut self.branches {
            branch.origins = vec![None; spec.output.fields.len()];
        }
        self.windows = vec![None; spec.output.fields.len()];
        if let Some(window) = spec.window {
            self.windows[window.key] = Some(window.size_ns);
        }
    }

    pub(super) fn add(&mut self, spec: AggregateSpec) {
        let changing = self.weighted;
        self.behind_groups(&spec);
        let spec = Arc::new(spec);
        self.push(match changing {
            true => OperatorSpec::Changing(ChangesSpec::Aggregate(spec)),
            false => OperatorSpec::Aggregate(spec),
        });
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

/// Calls over the rows of a session as they are: which of them are the first of their kind shows
/// once it is known which rows are in it.
fn by_sessions(calls: Vec<(Call, Vec<usize>)>) -> (Vec<AggregateCall>, FirstBy) {
    let calls = calls.into_iter().map(|(call, mut args)| {
        let first_by = call.distinct.then(|| call.function.looked(&args));
        let filter = call.function.filter(&args);
        let call = match call.function {
            Function::Native(function, _) => AggregateCall {
                function,
                argument: args.first().copied(),
            },
            Function::Generic { kernel, .. } => {
                if filter.is_some() {
                    args.pop();
                }
                generic_call(kernel, args, filter)
            }
        };
        (call, first_by)
    });
    calls.unzip()
}

fn generic_call(
    kernel: Arc<dyn AggregateKernel>,
    args: Vec<usize>,
    filter: Option<usize>,
) -> AggregateCall {
    let call = GenericCall {
        kernel,
        args,
        filter,
    };
    AggregateCall {
        function: AggregateFunction::Generic(Arc::new(call)),
        argument: None,
    }
}

/// ARRAY_AGG over rows that have no order by themselves, such as joined ones: its elements stand in
/// their own. `None` for other calls, and where the query says the order.
pub(super) fn by_value(expr: &PlanExpr) -> Option<PlanExpr> {
    let PlanExpr::AggregateFunction(call) = unaliased(expr) else {
        return None;
    };
    if call.func.name() != "array_agg" || !call.params.order_by.is_empty() {
        return None;
    }
    let mut call = call.clone();
    let value = call.params.args.first()?.clone();
    call.params.order_by = vec![value.sort(true, false)];
    Some(PlanExpr::AggregateFunction(call))
}

/// Refuses windows of which a row that changes has several, or that it would merge.
fn check_windows(windows: Option<&Windows>, changing: bool) -> Result<(), Refusal> {
    match windows {
        Some(windows) if changing && !windows.is_tumbling() => {
            refuse("windows over results that change are not supported yet")
        }
        _ => Ok(()),
    }
}

/// Refuses a window that is not in all of the sets, and sessions in several.
fn check_sets(sets: Option<&Sets>, bounds: &[Option<KeyWindow>]) -> Result<(), Refusal> {
    let Some(sets) = sets else { return Ok(()) };
    let windows = bounds
        .iter()
        .enumerate()
        .filter(|(_, bound)| bound.is_some());
    for (key, bound) in windows {
        if !sets.all_have(key) {
            return refuse("a window that not all grouping sets have is not supported yet");
        }
        if bound.as_ref().is_some_and(KeyWindow::is_session) {
            return refuse("grouping sets by sessions are not supported yet");
        }
    }
    Ok(())
}

/// Refuses a call over groups that cannot run so yet.
pub(super) fn check_call(expr: &PlanExpr, call: &Call, groups: bool) -> Result<(), Refusal> {
    if groups && matches!(call.function, Function::Generic { ordered: true, .. }) {
        return refuse(&format!(
            "{} over groups, which have no order, is not supported yet",
            text(expr)
        ));
    }
    Ok(())
}

pub(super) fn refuse<T>(what: &str) -> Result<T, Refusal> {
    Err(("E0301", what.to_owned()))
}
