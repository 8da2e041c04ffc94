//! Constants in quotes beside booleans and bytes, as PostgreSQL reads them: `b = 'true'` compares
//! with TRUE, and `raw = '\xDEAD'` with two bytes. TIMEs of unlike precision beside each other.
//! Integers that are cast to TIMESTAMP, which count seconds, whatever their width, and to TIME,
//! which are within a day.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Between, Cast, Expr, ExprSchemable, LogicalPlan, Operator, TryCast, lit,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::{far, numbers};
use crate::time_of_day::{self, Beyond};

/// What these words say, in any case and cut off anywhere that leaves no doubt.
const WORDS: [(&str, usize, bool); 8] = [
    ("true", 1, true),
    ("false", 1, false),
    ("yes", 1, true),
    ("no", 1, false),
    ("on", 2, true),
    ("off", 2, false),
    ("1", 1, true),
    ("0", 1, false),
];

fn read(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    let is = |(word, least, _): &&(&str, usize, bool)| {
        text.len() >= *least && word.starts_with(text.as_str())
    };
    WORDS.iter().find(is).map(|(_, _, value)| *value)
}

/// Reads those that stand beside a sign: before their types are looked at.
#[derive(Debug)]
pub(super) struct Beside;

impl ExprPlanner for Beside {
    fn plan_binary_op(
        &self,
        mut both: RawBinaryExpr,
        schema: &DFSchema,
    ) -> PlanResult<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        if matches!(both.op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
            if let Some(form) = form(&both.left, schema) {
                said(&mut both.right, &form);
            } else if let Some(form) = form(&both.right, schema) {
                said(&mut both.left, &form);
            }
            as_precise([&mut both.left, &mut both.right], schema);
            numbers::beside(&mut both.left, &mut both.right, schema);
            far::beside(&mut both.left, &mut both.right, schema);
        }
        Ok(PlannerResult::Original(both))
    }
}

/// Makes TIMEs as precise as can be, where they are not alike: those of one type are compared.
/// Returns whether it did.
fn as_precise<const N: usize>(values: [&mut Expr; N], schema: &DFSchema) -> bool {
    let of = |e: &Expr| e.get_type(schema).ok();
    let types: Vec<_> = values.iter().map(|e| of(e)).collect();
    let is_time =
        |t: &Option<DataType>| matches!(t, Some(DataType::Time32(_) | DataType::Time64(_)));
    let unlike = types.iter().all(is_time) && types.windows(2).any(|pair| pair[0] != pair[1]);
    if unlike {
        for value in values {
            let precise = DataType::Time64(TimeUnit::Nanosecond);
            let given = std::mem::take(value);
            *value = Expr::Cast(Cast::new(Box::new(given), precise));
        }
    }
    unlike
}

/// The type beside which a constant has a form of its own.
fn form(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    let of = expr.get_type(schema).ok()?;
    matches!(of, DataType::Boolean | DataType::Binary).then_some(of)
}

/// Makes a constant what it says beside this type. Returns whether it says something.
fn said(expr: &mut Expr, beside: &DataType) -> bool {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = expr else {
        return false;
    };
    let value = match beside {
        DataType::Boolean => read(text).map(lit),
        _ => bytes(text).map(|bytes| lit(ScalarValue::Binary(Some(bytes)))),
    };
    let is_said = value.is_some();
    if let Some(value) = value {
        *expr = value;
    }
    is_said
}

/// Pairs of hexadecimal digits behind `\x`; what is no such text stays as it is.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.strip_prefix("\\x")?.as_bytes().as_chunks::<2>();
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let pair = |[a, b]: &[u8; 2]| Some(digit(*a)? << 4 | digit(*b)?);
    rest.is_empty().then(|| pairs.iter().map(pair).collect())?
}

/// Reads the others. One that says nothing stays a text, which is refused.
pub(super) fn rewrite(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|e| Ok(compared(e, &schema)))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(plan.data)
}

fn is_nanos(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Nanosecond, None))
}

/// Makes an integer a TIMESTAMP of so many seconds: CAST(bigint AS TIMESTAMP) is planned so, and no
/// other cast of an integer is. Returns whether it did.
fn in_seconds(
    expr: &mut Box<Expr>,
    schema: &DFSchema,
    cast: impl Fn(Box<Expr>, DataType) -> Expr,
) -> bool {
    let Some(of) = expr.get_type(schema).ok().filter(DataType::is_integer) else {
        return false;
    };
    let mut given = std::mem::take(expr);
    if of != DataType::Int64 {
        given = Box::new(cast(given, DataType::Int64));
    }
    **expr = cast(given, DataType::Timestamp(TimeUnit::Second, None));
    true
}

/// Has an integer that is cast to TIME looked at. Returns whether it is one.
fn of_day(expr: &mut Expr, to: &DataType, schema: &DFSchema, beyond: Beyond) -> bool {
    let (DataType::Time32(unit) | DataType::Time64(unit)) = to else {
        return false;
    };
    let is_integer = expr.get_type(schema).is_ok_and(|of| of.is_integer());
    if is_integer {
        *expr = time_of_day::within(std::mem::take(expr), *unit, beyond);
    }
    is_integer
}

fn compared(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let mut expr = expr;
    let mut changed = numbers::within(&mut expr, schema);
    changed |= far::within(&mut expr, schema) || far::typed(&mut expr);
    match &mut expr {
        Expr::BinaryExpr(both)
            if matches!(
                both.op,
                Operator::IsDistinctFrom | Operator::IsNotDistinctFrom
            ) =>
        {
            if let Some(form) = form(&both.left, schema) {
                changed = said(&mut both.right, &form);
            } else if let Some(form) = form(&both.right, schema) {
                changed = said(&mut both.left, &form);
            }
            changed |= numbers::beside(&mut both.left, &mut both.right, schema);
            changed |= far::beside(&mut both.left, &mut both.right, schema);
        }
        Expr::InList(list) => {
            let form = form(&list.expr, schema);
            for (item, form) in list.list.iter_mut().zip(std::iter::repeat(form)) {
                changed |= form.is_some_and(|form| said(item, &form));
            }
        }
        Expr::Between(between) => {
            let Between {
                expr, low, high, ..
            } = between;
            changed |= as_precise([&mut **expr, &mut **low, &mut **high], schema);
        }
        Expr::Cast(cast) if is_nanos(cast.field.data_type()) => {
            changed |= in_seconds(&mut cast.expr, schema, |of, to| {
                Expr::Cast(Cast::new(of, to))
            });
        }
        Expr::TryCast(cast) if is_nanos(cast.field.data_type()) => {
            changed |= in_seconds(&mut cast.expr, schema, |of, to| {
                Expr::TryCast(TryCast::new(of, to))
            });
        }
        Expr::Cast(cast) => {
            changed |= of_day(
                &mut cast.expr,
                cast.field.data_type(),
                schema,
                Beyond::Fails,
            );
        }
        Expr::TryCast(cast) => {
            changed |= of_day(
                &mut cast.expr,
                cast.field.data_type(),
                schema,
                Beyond::IsNull,
            );
        }
        _ => {}
    }
    match changed {
        true => Transformed::yes(expr),
        false => Transformed::no(expr),
    }
}
