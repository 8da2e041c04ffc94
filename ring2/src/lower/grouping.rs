//! What stands around a grouping: its keys and arguments before the exchange, the exchange, and the
//! operator that groups by keys, sessions or panes.

use std::sync::Arc;

use datafusion::logical_expr::{Aggregate, Expr as PlanExpr};
use trefoil_ring0::expr::Expr;
use trefoil_ring0::program::{AggregateSpec, OperatorSpec, Order, PanesSpec, Routing};
use trefoil_ring0::schema::{Field, Schema};

use super::aggregate::{FirstBy, by_value, check_call, refuse};
use super::calls::{Call, call};
use super::sets::Sets;
use super::windows::{self, KeyWindow, Windows};
use super::{Lowering, Refusal};
use crate::lower_expr::expression;
use crate::partitioning::Route;

impl Lowering<'_> {
    /// Brings rows together that are of one group.
    pub(super) fn meet(
        &mut self,
        route: Option<&Route>,
        input: Arc<Schema>,
        order: Order,
        single: bool,
    ) -> Result<(), Refusal> {
        match route {
            Some(Route::TwoPhase) if !single => {}
            Some(Route::Stay) => {}
            Some(Route::Hash(by)) => {
                self.part_updates(by);
                self.exchange(input, Routing::Hash(by.clone()), order);
            }
            Some(Route::One | Route::TwoPhase) => self.exchange(input, Routing::Single, order),
            None => return refuse("this aggregation is not supported yet"),
        }
        if single {
            self.merge();
        }
        Ok(())
    }

    /// Groups by keys and windows, in one phase.
    pub(super) fn add_groups(
        &mut self,
        spec: AggregateSpec,
        (windows, first_by): (Option<Windows>, FirstBy),
        bound: Option<usize>,
    ) {
        let Some(windows) = windows else {
            return self.add(spec);
        };
        if let Some(gap) = windows.gap() {
            return self.add_sessions(spec, (&windows, first_by), gap);
        }
        let Some(shape) = windows.panes() else {
            return self.add(spec);
        };
        self.behind_groups(&spec);
        let window = windows.key();
        self.push(OperatorSpec::Panes(Arc::new(PanesSpec {
            aggregate: AggregateSpec { window, ..spec },
            bound,
            shape,
        })));
    }

    /// The keys as they are before the exchange, and behind them the place of a set's id.
    pub(super) fn key_columns(
        &self,
        aggregate: &Aggregate,
        group_expr: &[PlanExpr],
        sets: Option<&Sets>,
    ) -> Result<(Vec<Expr>, Vec<Field>), Refusal> {
        let scope = self.scope(&aggregate.input);
        let mut exprs = Vec::new();
        let mut fields = Vec::new();
        for (i, key) in group_expr.iter().enumerate() {
            // Columns may have moved since: the watermark's came.
            let lowered = match windows::read(key, &scope)? {
                Some(window) => window.key,
                None => expression(key, &scope)?,
            };
            let planned = aggregate.schema.field(i);
            let mut made = self.field(planned.name(), &lowered, planned.is_nullable())?;
            made.json = self.is_json(key, &scope)?;
            fields.push(made);
            exprs.push(lowered);
        }
        if let Some(sets) = sets {
            let (id, field) = sets.placeholder(aggregate);
            fields.push(field);
            exprs.push(id);
        }
        Ok((exprs, fields))
    }

    /// The calls, and where their arguments are.
    pub(super) fn calls(
        &self,
        aggregate: &Aggregate,
        (sets, bounds): (Option<&Sets>, &[Option<KeyWindow>]),
        whole: bool,
        groups: bool,
        (exprs, fields): (&mut Vec<Expr>, &mut Vec<Field>),
    ) -> Result<Vec<(Call, Vec<usize>)>, Refusal> {
        let scope = self.scope(&aggregate.input);
        // Of a key that some sets leave out, an argument is a column of its own.
        let shared = if sets.is_some() { exprs.len() } else { 0 };
        let mut calls = Vec::new();
        for expr in &aggregate.aggr_expr {
            let by_value = by_value(expr).filter(|_| groups && !self.weighted);
            let groups = groups && by_value.is_none();
            let call = call(by_value.as_ref().unwrap_or(expr), &scope, whole)?;
            check_call(expr, &call, groups)?;
            let at = self.arguments(&call, (shared, bounds), exprs, fields)?;
            calls.push((call, at));
        }
        Ok(calls)
    }
}
