//! What operators over a changelog need of a plan: rows that part take updates apart before, what
//! counts with DISTINCT is marked, and ranks are bounded by what asks for them.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, Operator, Window};
use trefoil_ring0::changelog;
use trefoil_ring0::expr::{Expr, Scalar};
use trefoil_ring0::operator::over::OverSpec;
use trefoil_ring0::operator::ranked::{Functions, Rank, RankedSpec, Updates};
use trefoil_ring0::order::SortKey;
use trefoil_ring0::program::{ChangesSpec, OperatorSpec, Phase, WindowKey};
use trefoil_ring0::schema::{Field, Schema};

use super::Lowering;
use crate::lower_expr::unaliased;

impl Lowering<'_> {
    /// How many of the columns are rows' own: what tells the first element of a list, and what a
    /// row does, stand behind them.
    pub(super) fn visible(&self) -> usize {
        self.schema.fields.len() - usize::from(self.apart) - usize::from(self.weighted)
    }

    /// Of which window an expression is the start.
    pub(super) fn window_of(&self, expr: &Expr) -> Option<i64> {
        match expr {
            Expr::Column(column) => self.windows.get(*column).copied().flatten(),
            // All that may begin in it have come that much later.
            Expr::TumbleStart { time, size, .. } => {
                let Expr::Column(time) = **time else {
                    return None;
                };
                let lag_ns = self.windows.get(time).copied().flatten()?;
                size.checked_mul(self.unit_ns(time))?.checked_add(lag_ns)
            }
            _ => None,
        }
    }

    /// Has updates taken apart whose rows go to two places by these columns.
    pub(super) fn part_updates(&mut self, keys: &[usize]) {
        if self.weighted && !keys.is_empty() {
            let apart = ChangesSpec::Apart(keys.to_vec());
            self.push(OperatorSpec::Changing(apart));
        }
    }

    /// Has the first rows of a changelog marked with these values, and the last that go.
    pub(super) fn mark_changes(&mut self, keys: Vec<usize>) {
        let mut schema = Schema::clone(&self.schema);
        let at = self.visible();
        let name = format!("is_first{at}");
        let mark = Field {
            nullable: false,
            ..Field::new(name, DataType::Boolean)
        };
        schema.fields.insert(at, mark);
        self.columns = None;
        for branch in &mut self.branches {
            branch.origins.insert(at, None);
        }
        self.schema = Arc::new(schema);
        let schema = Arc::clone(&self.schema);
        self.push(OperatorSpec::Changing(ChangesSpec::MarkFirst {
            keys,
            schema,
        }));
    }

    /// Has rows that only come say so.
    pub(super) fn weigh(&mut self) {
        if std::mem::replace(&mut self.weighted, true) {
            return;
        }
        let all = (0..self.schema.fields.len()).map(Expr::Column);
        let exprs = all.chain([Expr::Literal(Scalar::I8(changelog::INSERT))]);
        self.schema = changelog::weighted(Schema::clone(&self.schema));
        for branch in &mut self.branches {
            branch.origins.push(None);
        }
        self.push(OperatorSpec::Project {
            exprs: exprs.collect(),
            schema: Arc::clone(&self.schema),
        });
    }

    /// What is ranked, where rows come and go or partitions close before the end; `results`: the
    /// columns of the functions.
    pub(super) fn add_ranked(
        &mut self,
        over: OverSpec,
        ties: usize,
        (functions, updates): (Functions, Updates),
        limit: Option<(Rank, u64)>,
        results: Vec<Field>,
    ) {
        let mut fields = over.input.fields.clone();
        let phase = match self.weighted {
            true => Phase::Changes,
            false => Phase::Complete,
        };
        if self.weighted {
            fields.pop();
        }
        fields.extend(results);
        let output = match self.weighted {
            true => changelog::weighted(Schema::new(fields)),
            false => Arc::new(Schema::new(fields)),
        };
        let (order, ties) = over.order.split_at(over.order.len() - ties);
        let spec = RankedSpec {
            window: self.closing(&over.partition),
            input: over.input,
            partition: over.partition,
            order: order.to_vec(),
            ties: ties.to_vec(),
            functions,
            limit,
            skip: 0,
            phase,
            updates,
            output,
        };
        self.schema = Arc::clone(&spec.output);
        for branch in &mut self.branches {
            branch.origins = vec![None; self.schema.fields.len()];
        }
        self.windows.resize(self.schema.fields.len(), None);
        let ranked = ChangesSpec::Ranked(Arc::new(spec));
        self.push(OperatorSpec::Changing(ranked));
    }

    /// Which of these columns is the start of a window that watermarks close.
    pub(super) fn closing(&self, columns: &[usize]) -> Option<WindowKey> {
        let size = |column: &usize| self.windows.get(*column).copied().flatten();
        let key = columns.iter().position(|c| size(c).is_some())?;
        let size_ns = size(&columns[key])?;
        Some(WindowKey { key, size_ns })
    }

    /// The rows of all by an order behind the first `skip`, and of these at most `fetch`.
    pub(super) fn add_top(
        &mut self,
        (order, ties): (Vec<SortKey>, Vec<SortKey>),
        skip: usize,
        fetch: Option<usize>,
    ) {
        let upto = fetch.map(|fetch| skip.saturating_add(fetch) as u64);
        let spec = RankedSpec {
            input: Arc::clone(&self.schema),
            partition: Vec::new(),
            order,
            ties,
            functions: Functions::Ranks(Vec::new()),
            limit: upto.map(|rows| (Rank::RowNumber, rows)),
            skip: skip as u64,
            window: None,
            phase: Phase::Changes,
            updates: Updates::Rows,
            output: Arc::clone(&self.schema),
        };
        let ranked = ChangesSpec::Ranked(Arc::new(spec));
        self.push(OperatorSpec::Changing(ranked));
    }
}

/// The ranks that functions are, where all of them are ranks.
pub(crate) fn ranks(calls: &[WindowFunction]) -> Option<Vec<Rank>> {
    let rank = |call: &WindowFunction| {
        let plain = call.params.args.is_empty() && call.params.filter.is_none();
        match call.fun.name() {
            "row_number" if plain => Some(Rank::RowNumber),
            "rank" if plain => Some(Rank::Rank),
            "dense_rank" if plain => Some(Rank::DenseRank),
            _ => None,
        }
    };
    calls.iter().map(rank).collect()
}

/// The greatest rank that a filter above the functions lets pass, where there is one. Functions
/// that stand in the plan twice, as in a view that is joined with itself, have two ways up.
pub(super) fn limit(plan: &LogicalPlan, window: &Window, ranks: &[Rank]) -> Option<(Rank, u64)> {
    match times(plan, window) {
        1 => limit_above(plan, window, ranks),
        _ => None,
    }
}

/// How often these functions stand in a plan.
fn times(plan: &LogicalPlan, window: &Window) -> usize {
    let here = matches!(plan, LogicalPlan::Window(found) if found == window);
    let below = plan.inputs().into_iter().map(|input| times(input, window));
    usize::from(here) + below.sum::<usize>()
}

fn limit_above(plan: &LogicalPlan, window: &Window, ranks: &[Rank]) -> Option<(Rank, u64)> {
    let found = match plan {
        LogicalPlan::Filter(filter) => {
            let mut conditions = vec![&filter.predicate];
            let mut found = None;
            while let Some(condition) = conditions.pop() {
                let PlanExpr::BinaryExpr(both) = condition else {
                    continue;
                };
                if both.op == Operator::And {
                    conditions.extend([&*both.left, &*both.right]);
                    continue;
                }
                let Some((column, max)) = at_most(&both.left, both.op, &both.right) else {
                    continue;
                };
                let number = column_of(&filter.input, column, window);
                found = found.or(number.and_then(|n| Some((*ranks.get(n)?, max))));
            }
            found
        }
        _ => None,
    };
    let below = || {
        plan.inputs()
            .into_iter()
            .find_map(|input| limit_above(input, window, ranks))
    };
    found.or_else(below)
}

/// A column and what it is not to exceed.
pub(crate) fn at_most<'p>(
    left: &'p PlanExpr,
    op: Operator,
    right: &'p PlanExpr,
) -> Option<(&'p Column, u64)> {
    let (left, right) = (uncast(left), uncast(right));
    let (column, op, literal) = match (left, right) {
        (PlanExpr::Column(c), PlanExpr::Literal(value, _)) => (c, op, value),
        (PlanExpr::Literal(value, _), PlanExpr::Column(c)) => (c, op.swap()?, value),
        _ => return None,
    };
    let number = match literal {
        ScalarValue::Int64(Some(n)) => u64::try_from(*n).ok()?,
        ScalarValue::Int32(Some(n)) => u64::try_from(*n).ok()?,
        ScalarValue::UInt64(Some(n)) => *n,
        _ => return None,
    };
    let max = match op {
        Operator::LtEq | Operator::Eq => number,
        Operator::Lt => number.saturating_sub(1),
        _ => return None,
    };
    Some((column, max))
}

fn uncast(expr: &PlanExpr) -> &PlanExpr {
    match unaliased(expr) {
        PlanExpr::Cast(cast) => uncast(&cast.expr),
        other => other,
    }
}

/// Which of the functions a column of a plan is, where rows of theirs come as they are.
fn column_of(plan: &LogicalPlan, column: &Column, window: &Window) -> Option<usize> {
    let at = plan.schema().maybe_index_of_column(column)?;
    match plan {
        LogicalPlan::Window(found) if found == window => {
            at.checked_sub(window.input.schema().fields().len())
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let below = Column::from(alias.input.schema().qualified_field(at));
            column_of(&alias.input, &below, window)
        }
        LogicalPlan::Projection(projection) => match uncast(&projection.expr[at]) {
            PlanExpr::Column(below) => column_of(&projection.input, below, window),
            _ => None,
        },
        LogicalPlan::Filter(filter) => column_of(&filter.input, column, window),
        _ => None,
    }
}
