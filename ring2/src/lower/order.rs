//! ORDER BY, LIMIT and OFFSET over input that ends: all rows meet on one shard.
//!
//! Which rows a limit lets pass must not depend on who was faster. Rows of a source that are alike
//! by all keys stand by event time, then as in their split; groups by their other columns.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr as PlanExpr, Limit, LogicalPlan, Projection, SortExpr};
use trefoil_ring0::expr::Expr;
use trefoil_ring0::operator::sort::SortSpec;
use trefoil_ring0::order::{Direction, Nulls, SortKey};
use trefoil_ring0::program::{OperatorSpec, Order, Routing};
use trefoil_ring0::schema::Schema;

use super::{Lowering, Refusal};
use crate::lower_expr::expression;

/// Whether a plan puts rows of a source in order anywhere; groups stand by their own columns.
pub(crate) fn is_ordered(plan: &LogicalPlan) -> bool {
    let orders = matches!(
        plan,
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Window(_)
    );
    orders && has_rows(plan) || plan.inputs().into_iter().any(is_ordered)
}

/// Whether what comes to a node may be rows of one source.
fn has_rows(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Aggregate(_) | LogicalPlan::Join(_) | LogicalPlan::Union(_) => false,
        other => other.inputs().into_iter().any(has_rows),
    }
}

/// How rows stand that are alike by all that a query orders them by.
pub(super) struct Standing {
    /// How many of their first columns are the plan's.
    pub(super) visible: usize,
    /// What they are ordered by behind the query's keys.
    pub(super) ties: Vec<SortKey>,
    /// How their lanes are taken.
    pub(super) lanes: Order,
}

impl Lowering<'_> {
    /// Refuses what waits for the end of input that has none.
    pub(super) fn ends(&self, clause: &str) -> Result<(), Refusal> {
        if self.query.tables.iter().any(|table| !table.bounded) {
            let message = format!("{clause} over input without an end is not supported yet");
            return Err(("E0301", message));
        }
        Ok(())
    }

    /// How the rows so far stand: those of a source by event time, which they carry from here on,
    /// and then as in their split, groups by their columns.
    pub(super) fn standing(&mut self) -> Standing {
        let visible = self.visible();
        let ties: Vec<usize> = match self.mixed() {
            true => (0..visible).collect(),
            false => self.time_column().into_iter().collect(),
        };
        Standing {
            visible,
            ties: ties.into_iter().map(SortKey::ascending).collect(),
            lanes: match self.grouped || self.analysis.in_order {
                true => Order::Free,
                false => Order::Chunks { bound: None },
            },
        }
    }

    pub(super) fn limited(&mut self, limit: &Limit) -> Result<(), Refusal> {
        let skip = count(limit.skip.as_deref())?.unwrap_or(0);
        let fetch = count(limit.fetch.as_deref())?;
        match limit.input.as_ref() {
            LogicalPlan::Sort(sort)
                if sort
                    .fetch
                    .is_none_or(|f| fetch.is_some_and(|n| skip + n <= f)) =>
            {
                self.ordered(&sort.expr, skip, fetch, &sort.input)
            }
            // What only orders is no column of the result: the first rows are found before it goes.
            LogicalPlan::Projection(of)
                if matches!(of.input.as_ref(), LogicalPlan::Sort(_))
                    && of.expr.iter().all(|e| matches!(e, PlanExpr::Column(_))) =>
            {
                let first = Limit {
                    input: Arc::clone(&of.input),
                    ..limit.clone()
                };
                let first = Arc::new(LogicalPlan::Limit(first));
                let (exprs, schema) = (of.expr.clone(), Arc::clone(&of.schema));
                let result = Projection::try_new_with_schema(exprs, first, schema);
                let result = result.map_err(|e| ("E0302", e.strip_backtrace()))?;
                self.node(&LogicalPlan::Projection(result))
            }
            input => self.ordered(&[], skip, fetch, input),
        }
    }

    /// Rows of `input` by these keys: those behind the first `skip`, and of these at most `fetch`.
    pub(super) fn ordered(
        &mut self,
        keys: &[SortExpr],
        skip: usize,
        fetch: Option<usize>,
        input: &LogicalPlan,
    ) -> Result<(), Refusal> {
        self.node(input)?;
        if (self.weighted || self.changes) && skip == 0 && fetch.is_none() {
            let message =
                "ORDER BY without LIMIT or OFFSET under EMIT CHANGES is not supported yet";
            return Err(("E0301", message.to_owned()));
        }
        if keys.is_empty() && self.sorted && !self.weighted && !self.changes {
            self.sort(Vec::new(), skip, fetch);
            return Ok(());
        }
        if !self.weighted && !self.changes {
            self.ends(if keys.is_empty() { "LIMIT" } else { "ORDER BY" })?;
        }
        let Standing {
            visible,
            ties,
            lanes,
        } = self.standing();
        let columns = self.columns.clone();
        let mut sort_keys = Vec::new();
        let mut exprs: Vec<Expr> = Vec::new();
        for key in keys {
            let lowered = expression(&key.expr, &self.scope(input))?;
            let column = match lowered {
                Expr::Column(column) => column,
                computed => {
                    exprs.push(computed);
                    self.visible() + exprs.len() - 1
                }
            };
            sort_keys.push(sort_key(column, key));
        }
        self.end_apart();
        if !exprs.is_empty() {
            self.add_columns(exprs)?;
        }
        if self.changes {
            self.weigh();
        }
        self.exchange(Arc::clone(&self.schema), Routing::Single, lanes);
        if self.weighted {
            self.add_top((sort_keys, ties), skip, fetch);
            self.behind_order(visible, columns);
            return Ok(());
        }
        self.sort([sort_keys, ties].concat(), skip, fetch);
        self.behind_order(visible, columns);
        Ok(())
    }

    /// What only orders goes, and nothing behind is the source's row.
    fn behind_order(&mut self, visible: usize, columns: Option<Vec<usize>>) {
        let fields = self.schema.fields[..visible].to_vec();
        self.project(
            (0..visible).map(Expr::Column).collect(),
            Schema::new(fields),
        );
        self.columns = columns;
        (self.grouped, self.sorted) = (true, true);
    }

    fn sort(&mut self, keys: Vec<SortKey>, skip: usize, fetch: Option<usize>) {
        let schema = Arc::clone(&self.schema);
        let spec = SortSpec {
            schema,
            keys,
            skip,
            fetch,
        };
        self.push(OperatorSpec::Sort(Arc::new(spec)));
    }

    /// Has rows go on with more columns behind those that they have.
    pub(super) fn add_columns(&mut self, exprs: Vec<Expr>) -> Result<(), Refusal> {
        let visible = self.visible();
        let mut fields = self.schema.fields[..visible].to_vec();
        for (number, expr) in exprs.iter().enumerate() {
            fields.push(self.field(&format!("order{number}"), expr, true)?);
        }
        let all = (0..visible).map(Expr::Column);
        self.project(all.chain(exprs).collect(), Schema::new(fields));
        Ok(())
    }
}

pub(super) fn sort_key(column: usize, key: &SortExpr) -> SortKey {
    SortKey {
        column,
        direction: match key.asc {
            true => Direction::Ascending,
            false => Direction::Descending,
        },
        nulls: match key.nulls_first {
            true => Nulls::First,
            false => Nulls::Last,
        },
    }
}

/// A number of rows.
fn count(expr: Option<&PlanExpr>) -> Result<Option<usize>, Refusal> {
    let number = match expr {
        None | Some(PlanExpr::Literal(ScalarValue::Null, _)) => return Ok(None),
        Some(PlanExpr::Literal(ScalarValue::Int64(Some(n)), _)) => usize::try_from(*n).ok(),
        Some(PlanExpr::Literal(ScalarValue::UInt64(Some(n)), _)) => usize::try_from(*n).ok(),
        Some(PlanExpr::Literal(ScalarValue::Int64(None) | ScalarValue::UInt64(None), _)) => {
            return Ok(None);
        }
        Some(_) => None,
    };
    match number {
        Some(number) => Ok(Some(number)),
        None => Err((
            "E0302",
            "LIMIT and OFFSET take a constant number of rows".to_owned(),
        )),
    }
}
