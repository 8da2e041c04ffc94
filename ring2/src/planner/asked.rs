//! Subqueries in expressions, in such words that joins know them: a value that may be several takes
//! the only row, EXISTS as a value counts, and IN as a value is TRUE, FALSE or NULL by counts. What
//! is asked for in the arguments of aggregates, and in keys of groups, is computed below them.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result as PlanResult, ScalarValue};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, InSubquery, Sort};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, Filter, LogicalPlan, Operator, Projection, Subquery,
    lit, when,
};

use super::not_in::is_plain;
use super::only::{only, some_of};
use super::subqueries::{is_global, leaves_open, takes_all_rows};

/// What the columns are called that are computed below aggregates.
const NAME: &str = "__trefoil_asked";

/// Rewrites them in a plan that is not analyzed yet. `steady`: results are told when all input has
/// ended; else rows of a subquery that come and go may be several for a moment.
pub(super) fn rewrite(plan: LogicalPlan, steady: bool) -> PlanResult<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(groups) if asks(&groups) => {
            Ok(Transformed::yes(below(groups, steady)?))
        }
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => hosted(node, steady),
        node => Ok(Transformed::no(node)),
    });
    plan.map(|plan| plan.data)
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)
    )
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|e| Ok(is_subquery(e))).unwrap_or(true)
}

fn asks(groups: &Aggregate) -> bool {
    let sets = |e: &Expr| matches!(e, Expr::GroupingSet(_));
    let mut all = groups.group_expr.iter().chain(&groups.aggr_expr);
    !groups.group_expr.iter().any(sets) && all.any(has_subquery)
}

/// An aggregation whose arguments and keys ask: they become columns below it.
fn below(groups: Aggregate, steady: bool) -> PlanResult<LogicalPlan> {
    let mut computed = columns(&groups.input);
    let before = computed.len();
    let mut column = |expr: Expr| -> Expr {
        let name = format!("{NAME}_{}", computed.len() - before);
        computed.push(expr.alias(&name));
        Expr::Column(Column::new_unqualified(name))
    };
    let keys = groups.group_expr.iter().cloned();
    let keys: Vec<Expr> = (keys)
        .map(|key| match has_subquery(&key) {
            true => column(key.unalias()),
            false => key,
        })
        .collect();
    let mut calls = Vec::new();
    for call in groups.aggr_expr.iter().cloned() {
        let call = call.transform_down(|e| match e {
            Expr::AggregateFunction(mut call) => {
                let params = &mut call.params;
                let order = params.order_by.iter_mut().map(|s| &mut s.expr);
                let filter = params.filter.iter_mut().map(|f| f.as_mut());
                for arg in params.args.iter_mut().chain(filter).chain(order) {
                    if has_subquery(arg) {
                        *arg = column(std::mem::take(arg));
                    }
                }
                Ok(Transformed::yes(Expr::AggregateFunction(call)))
            }
            e => Ok(Transformed::no(e)),
        });
        calls.push(call?.data);
    }
    let input = Projection::try_new(computed, Arc::clone(&groups.input))?;
    let input = hosted(LogicalPlan::Projection(input), steady)?.data;
    let rewritten = Aggregate::try_new(Arc::new(input), keys, calls)?;
    let rewritten = LogicalPlan::Aggregate(rewritten);
    // Under the names that the rest of the plan knows.
    let known = (0..groups.schema.fields().len()).map(|at| groups.schema.qualified_field(at));
    let named = columns(&rewritten).into_iter().zip(known);
    let named = named.map(|(column, (relation, field))| {
        let same = matches!(&column, Expr::Column(c)
            if c.relation.as_ref() == relation && c.name == *field.name());
        match same {
            true => column,
            false => column.alias_qualified(relation.cloned(), field.name()),
        }
    });
    let plan = Projection::try_new(named.collect(), Arc::new(rewritten))?;
    Ok(LogicalPlan::Projection(plan))
}

/// All columns of a plan.
fn columns(plan: &LogicalPlan) -> Vec<Expr> {
    let all = 0..plan.schema().fields().len();
    all.map(|at| Expr::Column(Column::from(plan.schema().qualified_field(at))))
        .collect()
}

fn hosted(node: LogicalPlan, steady: bool) -> PlanResult<Transformed<LogicalPlan>> {
    if !node.expressions().iter().any(has_subquery) {
        return Ok(Transformed::no(node));
    }
    let inputs: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
    let asked = Asked {
        schema: inputs[0].schema().as_ref(),
        of_rows: matches!(node, LogicalPlan::Filter(_)),
        steady,
    };
    let names = NamePreserver::new(&node);
    let mut exprs = Vec::new();
    for expr in node.expressions() {
        let name = names.save(&expr);
        let expr = match asked.of_rows {
            true => asked.condition(expr, true)?,
            false => asked.value(expr)?,
        };
        exprs.push(name.restore(expr));
    }
    Ok(Transformed::yes(node.with_new_exprs(exprs, inputs)?))
}

/// What asks for values of subqueries.
struct Asked<'a> {
    /// The columns of the rows.
    schema: &'a DFSchema,
    /// A condition chooses them: EXISTS and IN are joins there.
    of_rows: bool,
    steady: bool,
}

impl Asked<'_> {
    /// A part of a condition: of it only counts whether it is true; `whole`: rows for which this
    /// part is not true are dropped.
    fn condition(&self, expr: Expr, whole: bool) -> PlanResult<Expr> {
        match expr {
            Expr::BinaryExpr(mut both) if matches!(both.op, Operator::And | Operator::Or) => {
                let whole = whole && both.op == Operator::And;
                *both.left = self.condition(*both.left, whole)?;
                *both.right = self.condition(*both.right, whole)?;
                Ok(Expr::BinaryExpr(both))
            }
            // NOT IN of rows that differ from one outer row to another, and are computed.
            Expr::InSubquery(found)
                if found.negated
                    && !found.subquery.outer_ref_columns.is_empty()
                    && leaves_open(&found, self.schema)
                    && !is_plain(without_distinct(&found.subquery.subquery)) =>
            {
                self.value(Expr::InSubquery(found))
            }
            Expr::InSubquery(mut found) if !found.negated || whole => {
                *found.expr = self.value(*found.expr)?;
                Ok(Expr::InSubquery(found))
            }
            Expr::Not(not) if whole && matches!(*not, Expr::InSubquery(_)) => {
                Ok(Expr::Not(Box::new(self.condition(*not, true)?)))
            }
            other => self.value(other),
        }
    }

    /// An expression of which it counts whether it is NULL.
    fn value(&self, expr: Expr) -> PlanResult<Expr> {
        let value = expr.transform_up(|e| {
            let value = match &e {
                Expr::ScalarSubquery(subquery) => self.only(subquery)?,
                Expr::Exists(exists)
                    if !self.of_rows
                        && !is_global(&exists.subquery.subquery)
                        && !takes_all_rows(&exists.subquery) =>
                {
                    let is = match exists.negated {
                        true => Operator::Eq,
                        false => Operator::Gt,
                    };
                    let rows = unordered(&exists.subquery.subquery);
                    Some(compared(number(rows, &exists.subquery)?, is))
                }
                Expr::InSubquery(found)
                    if (!self.of_rows || leaves_open(found, self.schema))
                        && !takes_all_rows(&found.subquery) =>
                {
                    self.is_in(found)?
                }
                _ => None,
            };
            Ok(match value {
                Some(value) => Transformed::yes(value),
                None => Transformed::no(e),
            })
        });
        value.map(|value| value.data)
    }

    /// The value of a subquery that may give several rows, or that is the first row of an order.
    fn only(&self, subquery: &Subquery) -> PlanResult<Option<Expr>> {
        let plan = subquery.subquery.as_ref();
        let is_correlated = !plan.all_out_ref_exprs().is_empty();
        if let Some(rows) = rows_of_first(plan).filter(|_| is_correlated) {
            let Parts { rows, value, order } = Parts::of(rows)?;
            let call = AggregateFunction::new_udf(
                first_value_udaf(),
                vec![value],
                false,
                None,
                order,
                None,
            );
            let first = grouped(rows, Expr::AggregateFunction(call))?;
            return Ok(Some(Expr::ScalarSubquery(within(first, subquery))));
        }
        if plan.max_rows() == Some(1) || !self.steady && !is_plain(plan) {
            return Ok(None);
        }
        let Parts { rows, value, .. } = Parts::of(plan)?;
        let few = grouped(rows, some_of(value))?;
        Ok(Some(only(Expr::ScalarSubquery(within(few, subquery)))))
    }

    /// `x IN (SELECT y ..)`: TRUE where there is an equal one, NULL where one may be equal.
    fn is_in(&self, found: &InSubquery) -> PlanResult<Option<Expr>> {
        if has_subquery(&found.expr) || found.expr.contains_outer() {
            return Ok(None);
        }
        let given = without_distinct(&found.subquery.subquery);
        let is_nullable = given.schema().field(0).is_nullable();
        let parts = Parts::of(given)?;
        let (rows, row) = (&parts.rows, parts.value);
        let outer = found.expr.as_ref().clone().transform(|e| match e {
            Expr::Column(column) => {
                let field = self.schema.qualified_field_from_column(&column)?.1;
                let outer = Expr::OuterReferenceColumn(Arc::clone(field), column);
                Ok(Transformed::yes(outer))
            }
            other => Ok(Transformed::no(other)),
        })?;
        let those = |condition: Expr| number(&narrowed(rows, condition)?, &found.subquery);
        let equal = compared(those(row.clone().eq(outer.data))?, Operator::Gt);
        let nullable = [found.expr.nullable(self.schema)?, is_nullable];
        let mut value = match nullable {
            [false, false] => equal,
            _ => {
                let null = lit(ScalarValue::Boolean(None));
                let mut value = when(equal, lit(true));
                if nullable[1] {
                    let unknown = those(row.is_null())?;
                    value.when(compared(unknown, Operator::Gt), null.clone());
                }
                if nullable[0] {
                    let any = compared(number(rows, &found.subquery)?, Operator::Gt);
                    let open = found.expr.as_ref().clone().is_null().and(any);
                    value.when(open, null);
                }
                value.otherwise(lit(false))?
            }
        };
        if found.negated {
            value = Expr::Not(Box::new(value));
        }
        Ok(Some(value))
    }
}

/// A value that a subquery's rows have, and how they are ordered.
struct Parts {
    rows: LogicalPlan,
    value: Expr,
    order: Vec<Sort>,
}

impl Parts {
    /// Takes apart what gives one column: conditions are to stand below what is made of the rows.
    fn of(plan: &LogicalPlan) -> PlanResult<Self> {
        let mut parts = Self {
            rows: plan.clone(),
            value: columns(plan).swap_remove(0),
            order: Vec::new(),
        };
        loop {
            match parts.rows {
                LogicalPlan::Projection(projection) => {
                    let of = |e: Expr| substituted(e, &projection);
                    parts.value = of(parts.value)?;
                    for sort in &mut parts.order {
                        sort.expr = of(std::mem::take(&mut sort.expr))?;
                    }
                    parts.rows = Arc::unwrap_or_clone(projection.input);
                }
                LogicalPlan::Sort(sort) if sort.fetch.is_none() && parts.order.is_empty() => {
                    parts.order = sort.expr;
                    parts.rows = Arc::unwrap_or_clone(sort.input);
                }
                rows => return Ok(Self { rows, ..parts }),
            }
        }
    }
}

/// The rows of a plan, however often they are there: whether a value is among them is the same.
fn without_distinct(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Distinct(Distinct::All(input)) => without_distinct(input),
        other => other,
    }
}

/// The rows of a plan for which a condition is true besides.
fn narrowed(plan: &LogicalPlan, condition: Expr) -> PlanResult<LogicalPlan> {
    let narrowed = match plan {
        LogicalPlan::Filter(filter) => {
            let both = filter.predicate.clone().and(condition);
            Filter::try_new(both, Arc::clone(&filter.input))?
        }
        other => Filter::try_new(condition, Arc::new(other.clone()))?,
    };
    Ok(LogicalPlan::Filter(narrowed))
}

/// An expression over a projection's columns, as one over its input's.
fn substituted(expr: Expr, projection: &Projection) -> PlanResult<Expr> {
    let expr = expr.transform(|e| match &e {
        Expr::Column(column) => {
            let at = projection.schema.index_of_column(column)?;
            Ok(Transformed::yes(projection.expr[at].clone().unalias()))
        }
        _ => Ok(Transformed::no(e)),
    });
    expr.map(|expr| expr.data)
}

/// The rows of which a plan gives the first one.
fn rows_of_first(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    let LogicalPlan::Limit(limit) = plan else {
        return None;
    };
    let is = |e: Option<&Expr>, wanted: i64| match e {
        Some(Expr::Literal(ScalarValue::Int64(Some(n)), _)) => *n == wanted,
        _ => false,
    };
    let first = limit.skip.is_none() || is(limit.skip.as_deref(), 0);
    (first && is(limit.fetch.as_deref(), 1)).then_some(limit.input.as_ref())
}

/// A plan of which it only counts whether it has a row.
fn unordered(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Projection(projection) => unordered(&projection.input),
        LogicalPlan::Distinct(_) => unordered(plan.inputs()[0]),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => unordered(&sort.input),
        LogicalPlan::Limit(_) => rows_of_first(plan).map_or(plan, unordered),
        other => other,
    }
}

/// What an aggregate makes of all rows.
fn grouped(rows: LogicalPlan, call: Expr) -> PlanResult<LogicalPlan> {
    let groups = Aggregate::try_new(Arc::new(rows), Vec::new(), vec![call])?;
    Ok(LogicalPlan::Aggregate(groups))
}

/// A plan in the place of a subquery.
fn within(plan: LogicalPlan, subquery: &Subquery) -> Subquery {
    Subquery {
        outer_ref_columns: plan.all_out_ref_exprs(),
        subquery: Arc::new(plan),
        spans: subquery.spans.clone(),
    }
}

/// How many rows there are.
fn number(rows: &LogicalPlan, subquery: &Subquery) -> PlanResult<Expr> {
    let call = AggregateFunction::new_udf(count_udaf(), vec![lit(1i64)], false, None, vec![], None);
    let count = grouped(rows.clone(), Expr::AggregateFunction(call))?;
    Ok(Expr::ScalarSubquery(within(count, subquery)))
}

/// A number compared with none.
fn compared(number: Expr, op: Operator) -> Expr {
    let none = Box::new(lit(0i64));
    Expr::BinaryExpr(datafusion::logical_expr::BinaryExpr::new(
        Box::new(number),
        op,
        none,
    ))
}
