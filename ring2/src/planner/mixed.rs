//! Texts beside numbers, times or booleans: compared, as branches of one value, or as rows of one
//! UNION. DataFusion would read the texts as the other type, row by row, or write the others as
//! texts; PostgreSQL refuses, and so does this. A constant in quotes has no type yet: it is one of
//! the other type.

use std::fmt;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result as PlanResult, ScalarValue, Span};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::answer::type_name;

/// Functions of which every argument may be the result, or is compared with it.
const ALIKE: [&str; 8] = [
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "nvl",
    "ifnull",
    "nvl2",
    "make_array",
];

/// Nanoseconds of a day.
const DAY_NANOS: i64 = 86_400_000_000_000;

/// What does not go together.
#[derive(Debug)]
pub(super) struct Mixed {
    pub(super) message: String,
    pub(super) hint: String,
    /// Where a column of it stands.
    pub(super) at: Option<Location>,
}

impl fmt::Display for Mixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mixed {}

/// A value that others stand beside.
struct Side {
    data_type: DataType,
    /// A constant in quotes.
    untyped: bool,
    at: Option<Location>,
}

impl Side {
    fn new(expr: &Expr, schema: &DFSchema) -> Option<Self> {
        // What cannot be told here is told by the analyzer.
        let data_type = expr.get_type(schema).ok()?;
        Some(Self {
            untyped: matches!(expr, Expr::Literal(value, _) if value.data_type().is_string()),
            data_type,
            at: span(expr),
        })
    }
}

fn span(expr: &Expr) -> Option<Location> {
    let mut found: Option<Span> = None;
    let _ = expr.apply(|e| {
        if let Expr::Column(column) = e {
            found = found.or_else(|| column.spans.first());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.map(|s| Location::new(s.start.line, s.start.column))
}

/// Whether a text is never of the same kind as this.
fn is_no_text(data_type: &DataType) -> bool {
    data_type.is_numeric() || data_type.is_temporal() || *data_type == DataType::Boolean
}

pub(crate) fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        op,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

/// Refuses a plan, not analyzed yet, in which texts stand beside what is none.
pub(super) fn check(plan: &LogicalPlan) -> PlanResult<()> {
    let node = |node: &LogicalPlan| {
        match node {
            LogicalPlan::Union(union) => {
                let [first, others @ ..] = union.inputs.as_slice() else {
                    return Ok(TreeNodeRecursion::Continue);
                };
                others.iter().try_for_each(|other| rows(first, other))?;
            }
            LogicalPlan::Join(join) => {
                for (left, right) in &join.on {
                    let left = Side::new(left, join.left.schema());
                    let right = Side::new(right, join.right.schema());
                    beside(left.as_ref(), right.as_ref(), "does not compare with")?;
                }
            }
            _ => {}
        }
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|e| expression(e, &schema).map(|()| TreeNodeRecursion::Continue))
        })
    };
    plan.apply_with_subqueries(node).map(|_| ())
}

/// Inputs of one UNION.
fn rows(one: &LogicalPlan, other: &LogicalPlan) -> PlanResult<()> {
    let columns = |plan: &LogicalPlan| -> Vec<Option<Side>> {
        let mut plan = plan;
        while let LogicalPlan::SubqueryAlias(_) | LogicalPlan::Distinct(_) = plan {
            plan = plan.inputs()[0];
        }
        match plan {
            LogicalPlan::Projection(p) => (p.expr.iter())
                .map(|e| Side::new(&e.clone().unalias(), p.input.schema()))
                .collect(),
            other => (other.schema().fields().iter())
                .map(|field| {
                    Some(Side {
                        data_type: field.data_type().clone(),
                        untyped: false,
                        at: None,
                    })
                })
                .collect(),
        }
    };
    let both = columns(one).into_iter().zip(columns(other));
    for (one, other) in both {
        beside(
            one.as_ref(),
            other.as_ref(),
            "is no column of one UNION with",
        )?;
    }
    Ok(())
}

fn expression(expr: &Expr, schema: &DFSchema) -> PlanResult<()> {
    let compared = |a: &Expr, b: &Expr| {
        let (a, b) = (Side::new(a, schema), Side::new(b, schema));
        beside(a.as_ref(), b.as_ref(), "does not compare with")
    };
    match expr {
        Expr::BinaryExpr(both) if compares(both.op) => compared(&both.left, &both.right),
        Expr::BinaryExpr(both) if both.op == Operator::Plus => {
            whole_days(&both.left, &both.right, schema)?;
            whole_days(&both.right, &both.left, schema)
        }
        Expr::BinaryExpr(both) if both.op == Operator::Minus => {
            whole_days(&both.left, &both.right, schema)
        }
        Expr::Between(between) => {
            compared(&between.expr, &between.low)?;
            compared(&between.expr, &between.high)
        }
        Expr::InList(list) => list.list.iter().try_for_each(|e| compared(&list.expr, e)),
        Expr::InSubquery(found) => {
            let one = Side::new(&found.expr, schema);
            let field = found.subquery.subquery.schema().field(0);
            let other = Side {
                data_type: field.data_type().clone(),
                untyped: false,
                at: None,
            };
            beside(one.as_ref(), Some(&other), "does not compare with")
        }
        Expr::Case(case) => {
            for (when, _) in &case.when_then_expr {
                case.expr.iter().try_for_each(|e| compared(e, when))?;
            }
            let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            let mut results = sides(results.chain(case.else_expr.as_deref()), schema);
            // Beside numbers DataFusion takes a constant in quotes for a text, and them as well.
            if results.iter().any(|side| side.data_type.is_numeric()) {
                results.iter_mut().for_each(|side| side.untyped = false);
            }
            alike(&results)
        }
        Expr::ScalarFunction(call) if ALIKE.contains(&call.func.name()) => {
            // The first argument of NVL2 is only looked at.
            let skip = usize::from(call.func.name() == "nvl2");
            alike(&sides(call.args.iter().skip(skip), schema))
        }
        // `x = ANY(list)`
        Expr::ScalarFunction(call) if call.func.name() == "array_has" => {
            let [list, value] = call.args.as_slice() else {
                return Ok(());
            };
            let list = Side::new(list, schema).and_then(|list| match &list.data_type {
                DataType::List(item) => Some(Side {
                    data_type: item.data_type().clone(),
                    ..list
                }),
                _ => None,
            });
            let value = Side::new(value, schema);
            beside(list.as_ref(), value.as_ref(), "does not compare with")
        }
        _ => Ok(()),
    }
}

/// Refuses a DATE from which hours are counted: DataFusion's result is a DATE, and drops them.
fn whole_days(date: &Expr, length: &Expr, schema: &DFSchema) -> PlanResult<()> {
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(length)), _) = length else {
        return Ok(());
    };
    let is_date = date.get_type(schema).is_ok_and(|t| t == DataType::Date32);
    if !is_date || length.nanoseconds % DAY_NANOS == 0 {
        return Ok(());
    }
    let mixed = Mixed {
        message: "a DATE has no hours, and this INTERVAL is no number of days".to_owned(),
        hint: "CAST(.. AS TIMESTAMP) + INTERVAL '90 minutes'".to_owned(),
        at: span(date),
    };
    Err(DataFusionError::External(Box::new(mixed)))
}

fn sides<'e>(values: impl Iterator<Item = &'e Expr>, schema: &DFSchema) -> Vec<Side> {
    values.filter_map(|v| Side::new(v, schema)).collect()
}

/// Values of which each may be the result.
fn alike(sides: &[Side]) -> PlanResult<()> {
    for (i, side) in sides.iter().enumerate() {
        for before in &sides[..i] {
            beside(Some(before), Some(side), "is no value beside")?;
        }
    }
    Ok(())
}

fn beside(a: Option<&Side>, b: Option<&Side>, what: &str) -> PlanResult<()> {
    let (Some(a), Some(b)) = (a, b) else {
        return Ok(());
    };
    let apart = |text: &Side, other: &Side| {
        text.data_type.is_string() && !text.untyped && is_no_text(&other.data_type)
    };
    if !apart(a, b) && !apart(b, a) {
        return Ok(());
    }
    let other = if a.data_type.is_string() { b } else { a };
    let (one, two) = (type_name(&a.data_type), type_name(&b.data_type));
    let mixed = Mixed {
        message: format!("{one} {what} {two}"),
        hint: format!(
            "CAST(.. AS {}), or CAST(.. AS VARCHAR)",
            type_name(&other.data_type)
        ),
        at: b.at.or(a.at),
    };
    Err(DataFusionError::External(Box::new(mixed)))
}
