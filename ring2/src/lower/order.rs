//! ORDER BY, LIMIT and OFFSET over input that ends: all rows meet on one shard.
//!
//! Which rows a limit lets pass must not depend on who was faster. Rows of a source that are alike
//! by all keys stand by event time, then as in their split; groups by their other columns.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr as PlanExpr, Limit, LogicalPlan, SortExpr};
use trefoil_ring0::expr::Expr;
use trefoil_ring0::operator::sort::SortSpec;
use trefoil_ring0::order::{Direction, Nulls, SortKey};
use trefoil_ring0::program::{OperatorSpec, Order, Routing};
use trefoil_ring0::schema::Schema;

use super::{Lowering, Refusal};
use crate::lower_expr::expression;

/// Whether a plan puts rows in order anywhere.
pub(super) fn is_ordered(plan: &LogicalPlan) -> bool {
    matches!(
        plan,
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Window(_)
    ) || plan.inputs().into_iter().any(is_ordered)
}

impl Lowering<'_> {
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
        let rows = match (skip, fetch) {
            (0, Some(fetch)) => Some(fetch as u64),
            _ => None,
        };
        if (self.weighted || self.changes) && rows.is_none() {
            let message = "ORDER BY without LIMIT, and OFFSET, under EMIT CHANGES are not \
                           supported yet";
            return Err(("E0301", message.to_owned()));
        }
        if keys.is_empty() && self.sorted && !self.weighted && !self.changes {
            self.sort(Vec::new(), skip, fetch);
            return Ok(());
        }
        let visible = self.visible();
        let time = match self.grouped {
            true => None,
            false => self.time_column(),
        };
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
        let ties = match (self.grouped, time) {
            (true, _) => (0..visible).collect(),
            (false, time) => Vec::from_iter(time),
        };
        let ties: Vec<SortKey> = ties.into_iter().map(SortKey::ascending).collect();
        if self.changes {
            self.weigh();
        }
        let order = match self.grouped || self.analysis.in_order {
            true => Order::Free,
            false => Order::Chunks { bound: None },
        };
        self.exchange(Arc::clone(&self.schema), Routing::Single, order);
        if let (true, Some(rows)) = (self.weighted, rows) {
            self.add_top(sort_keys, ties, rows);
            self.behind_order(visible, columns);
            return Ok(());
        }
        self.sort([sort_keys, ties].concat(), skip, fetch);
        self.behind_order(visible, columns);
        Ok(())
    }

    fn sort(&mut self, keys: Vec<SortKey>, skip: usize, fetch: Option<usize>) {
        let schema = Arc::clone(&self.schema);
        let spec = SortSpec {
            schema,
            keys,
            skip,
            fetch,
        };
        self.operators.push(OperatorSpec::Sort(Arc::new(spec)));
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
