//! Aggregations: keys and arguments are computed before the exchange, then rows of a group meet.

use std::sync::Arc;

use datafusion::logical_expr::{Aggregate, Expr as PlanExpr};
use trefoil_ring0::changelog;
use trefoil_ring0::expr::{Expr, Scalar};
use trefoil_ring0::operator::aggregate::{partial_schema, result_type};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, OperatorSpec, Order, Phase, Routing,
    SessionSpec,
};
use trefoil_ring0::schema::{Field, Schema};

use super::windows::{self, Windows};
use super::{Lowering, Refusal};
use crate::lower_expr::{Scope, expression, held_type, unaliased};
use crate::partitioning::Route;

impl Lowering<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<(), Refusal> {
        if self.weighted {
            let what = "EMIT CHANGES of groups of groups is not supported yet";
            return Err(("E0301", what.to_owned()));
        }
        let read = |key| windows::read(key, &self.scope(&aggregate.input));
        let bounds = aggregate.group_expr.iter().map(read);
        let bounds = bounds.collect::<Result<Vec<_>, _>>()?;
        let windows = windows::of_keys(&bounds)?;
        let bound = match bounds.iter().flatten().next() {
            Some(key) => self.event_time(key.column)?,
            None => None,
        };
        let timed = self.timed();
        let scope = self.scope(&aggregate.input);
        let mut exprs = Vec::new();
        let mut fields = Vec::new();
        for (i, key) in aggregate.group_expr.iter().enumerate() {
            // Columns may have moved since: the watermark's came.
            let lowered = match windows::read(key, &scope)? {
                Some(window) => window.key,
                None => expression(key, &scope)?,
            };
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
        let bound = bound.map(|bound| {
            fields.push(self.schema.fields[bound].clone());
            exprs.push(Expr::Column(bound));
            exprs.len() - 1
        });
        self.project(exprs, Schema::new(fields));
        let output = Schema::new(self.results(aggregate, &calls)?);
        let input = Arc::clone(&self.schema);
        let spec = AggregateSpec {
            input: Arc::clone(&input),
            keys: keys.clone(),
            calls,
            phase: match self.changes {
                true => Phase::Changes,
                false => Phase::Complete,
            },
            window: windows.as_ref().and_then(Windows::key).filter(|_| timed),
            output: match self.changes {
                true => changelog::weighted(output),
                false => Arc::new(output),
            },
        };
        let route = self.analysis.routes.get(self.aggregates);
        self.aggregates += 1;
        let order = self.order(bound);
        match route {
            Some(Route::TwoPhase) if keys.is_empty() && !self.changes => {
                return self.two_phases(spec);
            }
            Some(Route::Stay) => {}
            Some(Route::Hash(by)) => self.exchange(input, Routing::Hash(by.clone()), order),
            Some(Route::One | Route::TwoPhase) => self.exchange(input, Routing::Single, order),
            None => return Err(("E0301", "this aggregation is not supported yet".to_owned())),
        }
        if let Some(windows) = &windows {
            self.pass_windows(windows, bound);
        }
        let input = Arc::clone(&self.schema);
        let spec = AggregateSpec { input, ..spec };
        match windows.and_then(|w| w.gap().map(|gap| (w, gap))) {
            Some((windows, gap)) => self.add_sessions(spec, &windows, gap),
            None => self.add(spec),
        }
        Ok(())
    }

    /// Groups by sessions, whose bounds are no keys.
    fn add_sessions(&mut self, mut spec: AggregateSpec, windows: &Windows, gap: i64) {
        let bounds = [windows.start, windows.end];
        spec.keys.retain(|key| !bounds.contains(&Some(*key)));
        self.behind_groups(&spec);
        let time = windows.start.or(windows.end);
        self.operators
            .push(OperatorSpec::Sessions(Arc::new(SessionSpec {
                aggregate: spec,
                time: time.expect("a session has a bound among the keys"),
                gap,
                start: windows.start,
                end: windows.end,
            })));
    }

    /// The columns that an aggregation gives: the keys, which come first in its input, and results.
    fn results(
        &self,
        aggregate: &Aggregate,
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
            // A group's changes come in the order of its rows.
            None if self.changes && !self.analysis.in_order => Order::Chunks { bound: None },
            Some(_) | None => Order::Free,
        }
    }

    /// Columns are those of groups from here on.
    fn behind_groups(&mut self, spec: &AggregateSpec) {
        self.schema = Arc::clone(&spec.output);
        self.apart = false;
        self.grouped = true;
        self.weighted = spec.phase == Phase::Changes;
        self.origins = vec![None; spec.output.fields.len()];
    }

    fn add(&mut self, spec: AggregateSpec) {
        self.behind_groups(&spec);
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
