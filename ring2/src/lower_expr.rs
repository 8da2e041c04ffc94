//! From DataFusion's expressions to Ring 0's. Casts of literals and dates computed from constants
//! are folded; arithmetic on numbers is not: Ring 0 checks it.

mod constant;
mod generic;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::{Column, DFSchemaRef, ScalarValue};
use datafusion::logical_expr::{Expr as PlanExpr, Operator};
use trefoil_ring0::expr::{BinaryOp, Expr, Scalar, UnaryOp};
use trefoil_ring0::kernel::{castable, operable};
use trefoil_ring0::schema::{Schema, physical, unit_nanos};

pub(crate) use self::constant::literal;
use self::constant::{fold, temporal_constant};
pub(crate) use self::generic::{as_type, cause, is_constant};
use crate::lower::Refusal;
use crate::partitioning::text;
use crate::window::{END, START, marker};

/// Which kernels run what Ring 0 and DataFusion both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernels {
    /// Ring 0's.
    Native,
    /// DataFusion's, but for arithmetic and what leaves rows out; for tests, as answers are equal.
    Generic,
}

/// The columns that an expression may name.
pub(crate) struct Scope<'p> {
    /// As DataFusion has them.
    pub(crate) plan: &'p DFSchemaRef,
    /// As Ring 0 has them.
    pub(crate) schema: Arc<Schema>,
    /// Which of the plan's columns are produced, where not all are.
    pub(crate) columns: Option<Vec<usize>>,
    pub(crate) kernels: Kernels,
}

impl Scope<'_> {
    /// Where a column of the plan is among those that are produced.
    pub(crate) fn place(&self, column: &Column) -> Option<usize> {
        let index = self.plan.maybe_index_of_column(column)?;
        match &self.columns {
            None => Some(index),
            Some(columns) => columns.iter().position(|&c| c == index),
        }
    }
}

/// Without the names given to it.
pub(crate) fn unaliased(expr: &PlanExpr) -> &PlanExpr {
    match expr {
        PlanExpr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// The refusal of what does not run yet.
fn no(expr: &PlanExpr) -> Refusal {
    ("E0301", format!("{} is not supported yet", text(expr)))
}

/// The refusal of a column that is none of the rows, nor of those right around them.
fn from_around(column: &str) -> Refusal {
    let message = format!(
        "a subquery that names {column}, a column from further around, is not supported yet"
    );
    ("E0301", message)
}

/// Lowers an expression.
pub(crate) fn expression(expr: &PlanExpr, scope: &Scope<'_>) -> Result<Expr, Refusal> {
    let lower = |e: &PlanExpr| expression(e, scope);
    let typed = |e: &Expr| e.data_type(&scope.schema);
    let unary = |op, e: &PlanExpr| Ok(Expr::Unary(op, Box::new(lower(e)?)));
    let is = |e: &PlanExpr, op, truth| {
        let truth = Expr::Literal(Scalar::Bool(truth));
        Ok(binary(op, lower(e)?, truth))
    };
    if scope.kernels == Kernels::Generic && generic::is_alike(expr) {
        return generic::operation(expr, scope);
    }
    match expr {
        PlanExpr::Alias(alias) => lower(&alias.expr),
        PlanExpr::Column(column) => {
            if scope.plan.maybe_index_of_column(column).is_none() {
                return Err(from_around(&column.name));
            }
            scope
                .place(column)
                .map(Expr::Column)
                .ok_or_else(|| no(expr))
        }
        PlanExpr::OuterReferenceColumn(_, column) => Err(from_around(&column.name)),
        PlanExpr::Literal(value, _) => match literal(value) {
            Some(scalar) => Ok(Expr::Literal(scalar)),
            None => generic::operation(expr, scope),
        },
        PlanExpr::BinaryExpr(b) => {
            if let Some(folded) = temporal_constant(expr) {
                return folded;
            }
            let Some(op) = operator(b.op) else {
                return generic::operation(expr, scope);
            };
            if let Operator::And | Operator::Or = b.op {
                let all = operands(expr, b.op).into_iter().map(lower);
                return balanced(op, all.collect::<Result<_, _>>()?).ok_or_else(|| no(expr));
            }
            let (left, right) = (lower(&b.left)?, lower(&b.right)?);
            match operable(op, &typed(&left), &typed(&right)) {
                true => Ok(binary(op, left, right)),
                false => generic::operation(expr, scope),
            }
        }
        PlanExpr::Not(e) => unary(UnaryOp::Not, e),
        PlanExpr::Negative(e) => match unary(UnaryOp::Negate, e)? {
            negated if typed(&negated).is_numeric() => Ok(negated),
            _ => generic::operation(expr, scope),
        },
        PlanExpr::IsNull(e) | PlanExpr::IsUnknown(e) => unary(UnaryOp::IsNull, e),
        PlanExpr::IsNotNull(e) | PlanExpr::IsNotUnknown(e) => unary(UnaryOp::IsNotNull, e),
        PlanExpr::IsTrue(e) => is(e, BinaryOp::IsNotDistinctFrom, true),
        PlanExpr::IsNotTrue(e) => is(e, BinaryOp::IsDistinctFrom, true),
        PlanExpr::IsFalse(e) => is(e, BinaryOp::IsNotDistinctFrom, false),
        PlanExpr::IsNotFalse(e) => is(e, BinaryOp::IsDistinctFrom, false),
        PlanExpr::Between(b) => {
            let value = lower(&b.expr)?;
            let (low, high) = (lower(&b.low)?, lower(&b.high)?);
            let t = typed(&value);
            if [&low, &high]
                .iter()
                .any(|e| !operable(BinaryOp::LtEq, &t, &typed(e)))
            {
                return Err(no(expr));
            }
            let low = binary(BinaryOp::GtEq, value.clone(), low);
            let high = binary(BinaryOp::LtEq, value, high);
            Ok(negated(binary(BinaryOp::And, low, high), b.negated))
        }
        PlanExpr::InList(list) => {
            let value = lower(&list.expr)?;
            let items = list.list.iter().map(lower).collect::<Result<Vec<_>, _>>()?;
            let t = typed(&value);
            match items
                .iter()
                .all(|item| operable(BinaryOp::Eq, &t, &typed(item)))
            {
                true => Ok(Expr::InList {
                    value: Box::new(value),
                    list: items,
                    negated: list.negated,
                }),
                false => generic::operation(expr, scope),
            }
        }
        PlanExpr::Like(like) => {
            let (value, pattern) = (lower(&like.expr)?, lower(&like.pattern)?);
            let texts = [&value, &pattern]
                .iter()
                .all(|e| typed(e) == DataType::Utf8);
            match texts && matches!(like.escape_char, None | Some('\\')) {
                true => Ok(Expr::Like {
                    value: Box::new(value),
                    pattern: Box::new(pattern),
                    negated: like.negated,
                    ignore_case: like.case_insensitive,
                }),
                false => generic::operation(expr, scope),
            }
        }
        PlanExpr::Case(case) => {
            let when = |when: &PlanExpr| match &case.expr {
                None => lower(when),
                Some(base) => {
                    let (base, when) = (lower(base)?, lower(when)?);
                    match operable(BinaryOp::Eq, &typed(&base), &typed(&when)) {
                        true => Ok(binary(BinaryOp::Eq, base, when)),
                        false => Err(no(expr)),
                    }
                }
            };
            let branches = case.when_then_expr.iter();
            let branches = branches.map(|(w, then)| Ok((when(w)?, lower(then)?)));
            let otherwise = case.else_expr.as_deref().map(lower).transpose()?;
            choice(expr, branches.collect::<Result<_, _>>()?, otherwise, scope)
        }
        PlanExpr::Cast(cast) => {
            if matches!(unaliased(&cast.expr), PlanExpr::Literal(..)) {
                return fold(expr);
            }
            if let Some(folded) = temporal_constant(expr) {
                return folded;
            }
            let inner = lower(&cast.expr)?;
            let from = typed(&inner);
            match held_type(cast.field.data_type()) {
                Some(to) if from == to => Ok(inner),
                Some(to) if castable(&from, &to) => Ok(Expr::Cast(Box::new(inner), to)),
                Some(_) | None => generic::operation(expr, scope),
            }
        }
        PlanExpr::TryCast(cast) => {
            let inner = lower(&cast.expr)?;
            let from = typed(&inner);
            match held_type(cast.field.data_type()) {
                Some(to) if castable(&from, &to) => Ok(Expr::TryCast(Box::new(inner), to)),
                Some(_) | None => generic::operation(expr, scope),
            }
        }
        PlanExpr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
            (marker::CAST, [same]) => lower(same),
            ("upper", [e]) => unary(UnaryOp::Upper, e),
            ("lower", [e]) => unary(UnaryOp::Lower, e),
            ("coalesce" | "nvl", args) => {
                let args = args.iter().map(lower).collect::<Result<Vec<_>, _>>()?;
                match alike(args, scope) {
                    Some(args) => Ok(Expr::Coalesce(args)),
                    None => Err(no(expr)),
                }
            }
            ("nullif", [a, b]) => {
                let (a, b) = (lower(a)?, lower(b)?);
                let null = Expr::Literal(Scalar::Null(typed(&a)));
                match operable(BinaryOp::Eq, &typed(&a), &typed(&b)) {
                    true => Ok(Expr::Case {
                        branches: vec![(binary(BinaryOp::Eq, a.clone(), b), null)],
                        otherwise: Some(Box::new(a)),
                    }),
                    false => Err(no(expr)),
                }
            }
            (START, [time, size, offset]) => {
                let time = lower(time)?;
                let of = typed(&time);
                Ok(Expr::TumbleStart {
                    size: length(size, &of).ok_or_else(|| no(expr))?,
                    offset: length(offset, &of).ok_or_else(|| no(expr))?,
                    time: Box::new(time),
                })
            }
            (END, [start, size]) => {
                let start = lower(start)?;
                let of = typed(&start);
                let size = length(size, &of).ok_or_else(|| no(expr))?;
                let size = Scalar::Timestamp(size, of);
                Ok(binary(BinaryOp::Add, start, Expr::Literal(size)))
            }
            _ => generic::operation(expr, scope),
        },
        _ => generic::operation(expr, scope),
    }
}

/// One of several results of one type.
fn choice(
    expr: &PlanExpr,
    branches: Vec<(Expr, Expr)>,
    otherwise: Option<Expr>,
    scope: &Scope<'_>,
) -> Result<Expr, Refusal> {
    let (whens, mut results): (Vec<_>, Vec<_>) = branches.into_iter().unzip();
    let last = otherwise.is_some();
    results.extend(otherwise);
    let mut results = alike(results, scope).ok_or_else(|| no(expr))?;
    let otherwise = last.then(|| results.pop().map(Box::new)).flatten();
    Ok(Expr::Case {
        branches: whens.into_iter().zip(results).collect(),
        otherwise,
    })
}

/// Values of one type; a NULL literal takes the type of the others.
fn alike(mut values: Vec<Expr>, scope: &Scope<'_>) -> Option<Vec<Expr>> {
    let is_null = |e: &Expr| matches!(e, Expr::Literal(Scalar::Null(_)));
    let known = values.iter().find(|e| !is_null(e)).or(values.first())?;
    let t = known.data_type(&scope.schema);
    for value in values.iter_mut().filter(|e| is_null(e)) {
        *value = Expr::Literal(Scalar::Null(t.clone()));
    }
    let same = values.iter().all(|e| e.data_type(&scope.schema) == t);
    same.then_some(values)
}

/// How Ring 0 holds values of a type of DataFusion's; `None` where it cannot.
pub(crate) fn held_type(planned: &DataType) -> Option<DataType> {
    use DataType as D;
    let item = |f: &FieldRef| {
        let held = held_type(f.data_type())?;
        Some(Arc::new(f.as_ref().clone().with_data_type(held)))
    };
    let held = match planned {
        D::Null => D::Boolean,
        D::LargeUtf8 | D::Utf8View => D::Utf8,
        D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => D::Binary,
        D::Float16 => D::Float32,
        D::Date64 => D::Timestamp(TimeUnit::Millisecond, None),
        D::Timestamp(unit, Some(_)) => D::Timestamp(*unit, None),
        D::Interval(_) => D::Interval(IntervalUnit::MonthDayNano),
        D::Decimal32(p, s) | D::Decimal64(p, s) => D::Decimal128(*p, *s),
        D::Dictionary(_, value) => held_type(value)?,
        D::List(f)
        | D::LargeList(f)
        | D::ListView(f)
        | D::LargeListView(f)
        | D::FixedSizeList(f, _) => D::List(item(f)?),
        D::Struct(fields) => D::Struct(fields.iter().map(item).collect::<Option<_>>()?),
        other => other.clone(),
    };
    physical(&held).map(|_| held)
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary(op, Box::new(left), Box::new(right))
}

/// The operands of a chain of one operator, in order.
fn operands(expr: &PlanExpr, op: Operator) -> Vec<&PlanExpr> {
    let mut found = Vec::new();
    let mut open = vec![expr];
    while let Some(next) = open.pop() {
        match next {
            PlanExpr::BinaryExpr(b) if b.op == op => open.extend([&*b.right, &*b.left]),
            other => found.push(other),
        }
    }
    found
}

/// One tree of all operands, as low as it can be: its depth is what running it recurses.
fn balanced(op: BinaryOp, mut level: Vec<Expr>) -> Option<Expr> {
    while level.len() > 1 {
        let mut above = Vec::with_capacity(level.len().div_ceil(2));
        let mut operands = level.into_iter();
        while let Some(left) = operands.next() {
            above.push(match operands.next() {
                Some(right) => binary(op, left, right),
                None => left,
            });
        }
        level = above;
    }
    level.pop()
}

fn negated(expr: Expr, negate: bool) -> Expr {
    match negate {
        true => Expr::Unary(UnaryOp::Not, Box::new(expr)),
        false => expr,
    }
}

/// A length that is written in nanoseconds, in the unit of a TIMESTAMP.
fn length(expr: &PlanExpr, of: &DataType) -> Option<i64> {
    match (unaliased(expr), of) {
        (PlanExpr::Literal(ScalarValue::Int64(Some(ns)), _), DataType::Timestamp(unit, None)) => {
            let unit_ns = unit_nanos(*unit);
            (ns % unit_ns == 0).then_some(ns / unit_ns)
        }
        _ => None,
    }
}

/// Whether Ring 0 has a kernel for a function.
pub(crate) fn has_kernel(function: &str) -> bool {
    matches!(function, "upper" | "lower" | "coalesce" | "nvl" | "nullif")
        || marker::is_own(function)
}

pub(crate) fn operator(op: Operator) -> Option<BinaryOp> {
    Some(match op {
        Operator::Plus => BinaryOp::Add,
        Operator::Minus => BinaryOp::Sub,
        Operator::Multiply => BinaryOp::Mul,
        Operator::Divide => BinaryOp::Div,
        Operator::Modulo => BinaryOp::Rem,
        Operator::Eq => BinaryOp::Eq,
        Operator::NotEq => BinaryOp::NotEq,
        Operator::Lt => BinaryOp::Lt,
        Operator::LtEq => BinaryOp::LtEq,
        Operator::Gt => BinaryOp::Gt,
        Operator::GtEq => BinaryOp::GtEq,
        Operator::IsDistinctFrom => BinaryOp::IsDistinctFrom,
        Operator::IsNotDistinctFrom => BinaryOp::IsNotDistinctFrom,
        Operator::And => BinaryOp::And,
        Operator::Or => BinaryOp::Or,
        _ => return None,
    })
}
