//! From DataFusion's expressions to Ring 0's. Casts of literals and dates computed from constants
//! are folded; arithmetic on numbers is not: Ring 0 checks it.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, Expr as PlanExpr, ExprSchemable, Operator};
use trefoil_ring0::expr::{BinaryOp, Expr, Scalar, UnaryOp};
use trefoil_ring0::schema::{Schema, unit_nanos};

use crate::lower::Refusal;
use crate::window::{END, START};

/// The columns that an expression may name.
pub(crate) struct Scope<'p> {
    /// As DataFusion has them.
    pub(crate) plan: &'p DFSchemaRef,
    /// As Ring 0 has them.
    pub(crate) schema: Arc<Schema>,
    /// Over a source: which of its columns are produced.
    pub(crate) columns: Option<Vec<usize>>,
}

/// Without the names given to it.
pub(crate) fn unaliased(expr: &PlanExpr) -> &PlanExpr {
    match expr {
        PlanExpr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

fn no(expr: &PlanExpr) -> Refusal {
    ("E0301", format!("{expr} is not supported yet"))
}

/// Lowers an expression.
pub(crate) fn expression(expr: &PlanExpr, scope: &Scope<'_>) -> Result<Expr, Refusal> {
    let lower = |e: &PlanExpr| expression(e, scope);
    let unary = |op, e: &PlanExpr| Ok(Expr::Unary(op, Box::new(lower(e)?)));
    let is = |e: &PlanExpr, op, truth| {
        let truth = Expr::Literal(Scalar::Bool(truth));
        Ok(binary(op, lower(e)?, truth))
    };
    match expr {
        PlanExpr::Alias(alias) => lower(&alias.expr),
        PlanExpr::Column(column) => {
            let index = scope
                .plan
                .maybe_index_of_column(column)
                .ok_or_else(|| no(expr))?;
            let index = match &scope.columns {
                None => Some(index),
                Some(columns) => columns.iter().position(|&c| c == index),
            };
            index.map(Expr::Column).ok_or_else(|| no(expr))
        }
        PlanExpr::Literal(value, _) => literal(value).map(Expr::Literal).ok_or_else(|| no(expr)),
        PlanExpr::BinaryExpr(b) => {
            if let Some(folded) = temporal_constant(expr) {
                return folded;
            }
            if let Operator::And | Operator::Or = b.op {
                let all = operands(expr, b.op).into_iter().map(lower);
                let op = operator(b.op).ok_or_else(|| no(expr))?;
                return balanced(op, all.collect::<Result<_, _>>()?).ok_or_else(|| no(expr));
            }
            let op = operator(b.op).ok_or_else(|| no(expr))?;
            let (left, right) = (lower(&b.left)?, lower(&b.right)?);
            let types = [&left, &right].map(|e| e.data_type(&scope.schema));
            let temporal = |t: &DataType| !matches!(t, DataType::Int64 | DataType::Float64);
            use BinaryOp::{Add, Div, Mul, Rem, Sub};
            let arithmetic = matches!(op, Add | Sub | Mul | Div | Rem);
            if types[0] != types[1] || arithmetic && temporal(&types[0]) {
                return Err(no(expr));
            }
            Ok(binary(op, left, right))
        }
        PlanExpr::Not(e) => unary(UnaryOp::Not, e),
        PlanExpr::Negative(e) => unary(UnaryOp::Negate, e),
        PlanExpr::IsNull(e) | PlanExpr::IsUnknown(e) => unary(UnaryOp::IsNull, e),
        PlanExpr::IsNotNull(e) | PlanExpr::IsNotUnknown(e) => unary(UnaryOp::IsNotNull, e),
        PlanExpr::IsTrue(e) => is(e, BinaryOp::IsNotDistinctFrom, true),
        PlanExpr::IsNotTrue(e) => is(e, BinaryOp::IsDistinctFrom, true),
        PlanExpr::IsFalse(e) => is(e, BinaryOp::IsNotDistinctFrom, false),
        PlanExpr::IsNotFalse(e) => is(e, BinaryOp::IsDistinctFrom, false),
        PlanExpr::Between(b) => {
            let low = binary(BinaryOp::GtEq, lower(&b.expr)?, lower(&b.low)?);
            let high = binary(BinaryOp::LtEq, lower(&b.expr)?, lower(&b.high)?);
            Ok(negated(binary(BinaryOp::And, low, high), b.negated))
        }
        PlanExpr::InList(list) => {
            let equal = |item| Ok(binary(BinaryOp::Eq, lower(&list.expr)?, lower(item)?));
            let any = list.list.iter().map(equal).collect::<Result<_, _>>()?;
            let any = balanced(BinaryOp::Or, any).ok_or_else(|| no(expr))?;
            Ok(negated(any, list.negated))
        }
        PlanExpr::Cast(cast) => {
            if matches!(unaliased(&cast.expr), PlanExpr::Literal(..)) {
                return fold(expr);
            }
            if let Some(folded) = temporal_constant(expr) {
                return folded;
            }
            let inner = lower(&cast.expr)?;
            let (from, to) = (inner.data_type(&scope.schema), cast.field.data_type());
            if from == *to {
                return Ok(inner);
            }
            match castable(&from, to) {
                true => Ok(Expr::Cast(Box::new(inner), to.clone())),
                false => {
                    let message = format!("a cast from {from} to {to} is not supported yet");
                    Err(("E0302", message))
                }
            }
        }
        PlanExpr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
            ("upper", [e]) => unary(UnaryOp::Upper, e),
            ("lower", [e]) => unary(UnaryOp::Lower, e),
            (START, [time, size, offset]) => {
                let time = lower(time)?;
                let of = time.data_type(&scope.schema);
                Ok(Expr::TumbleStart {
                    size: length(size, &of).ok_or_else(|| no(expr))?,
                    offset: length(offset, &of).ok_or_else(|| no(expr))?,
                    time: Box::new(time),
                })
            }
            (END, [start, size]) => {
                let start = lower(start)?;
                let of = start.data_type(&scope.schema);
                let size = length(size, &of).ok_or_else(|| no(expr))?;
                let size = Scalar::Timestamp(size, of);
                Ok(binary(BinaryOp::Add, start, Expr::Literal(size)))
            }
            _ => Err(no(expr)),
        },
        _ => Err(no(expr)),
    }
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

fn castable(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Float64, Int64, Timestamp, Utf8};
    matches!(
        (from, to),
        (Int64, Float64)
            | (Float64, Int64)
            | (
                Int64 | Float64 | Boolean | Date32 | Timestamp(_, None),
                Utf8
            )
            | (Date32 | Timestamp(_, None), Timestamp(_, None))
            | (Timestamp(_, None), Date32)
            | (Boolean, Int64)
    )
}

fn operator(op: Operator) -> Option<BinaryOp> {
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

/// A DATE or TIMESTAMP without columns, computed.
fn temporal_constant(expr: &PlanExpr) -> Option<Result<Expr, Refusal>> {
    let constant = expr.column_refs().is_empty() && !expr.is_volatile();
    let data_type = expr
        .get_type(&DFSchema::empty())
        .ok()
        .filter(|_| constant)?;
    matches!(data_type, DataType::Date32 | DataType::Timestamp(_, None)).then(|| fold(expr))
}

/// Computes a constant.
fn fold(expr: &PlanExpr) -> Result<Expr, Refusal> {
    use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
    let wrong = |e: String| ("E0206", format!("{expr}: {e}"));
    let schema = DFSchema::empty();
    let computed = datafusion::prelude::SessionContext::new()
        .create_physical_expr(expr.clone(), &schema)
        .map_err(|e| wrong(e.strip_backtrace()))?;
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let arrow = Arc::new(schema.as_arrow().clone());
    let batch =
        RecordBatch::try_new_with_options(arrow, vec![], &one).map_err(|e| wrong(e.to_string()))?;
    let value = computed
        .evaluate(&batch)
        .map_err(|e| wrong(e.strip_backtrace()))?;
    let value = match value {
        ColumnarValue::Scalar(value) => value,
        ColumnarValue::Array(array) => {
            ScalarValue::try_from_array(&array, 0).map_err(|e| wrong(e.strip_backtrace()))?
        }
    };
    literal(&value).map(Expr::Literal).ok_or_else(|| no(expr))
}

fn literal(value: &ScalarValue) -> Option<Scalar> {
    use ScalarValue as S;
    let data_type = value.data_type();
    let known = trefoil_ring0::schema::physical(&data_type).is_some();
    let stamp = |v: i64, unit| Scalar::Timestamp(v, DataType::Timestamp(unit, None));
    Some(match value {
        S::Null => Scalar::Null(DataType::Boolean),
        S::Utf8View(Some(v)) | S::LargeUtf8(Some(v)) | S::Utf8(Some(v)) => Scalar::Utf8(v.clone()),
        v if v.is_null() && known => Scalar::Null(data_type),
        S::Boolean(Some(v)) => Scalar::Bool(*v),
        S::Int8(Some(v)) => Scalar::I8(*v),
        S::Int16(Some(v)) => Scalar::I16(*v),
        S::Int32(Some(v)) => Scalar::I32(*v),
        S::Int64(Some(v)) => Scalar::I64(*v),
        S::UInt8(Some(v)) => Scalar::U8(*v),
        S::UInt16(Some(v)) => Scalar::U16(*v),
        S::UInt32(Some(v)) => Scalar::U32(*v),
        S::UInt64(Some(v)) => Scalar::U64(*v),
        S::Float32(Some(v)) => Scalar::F32(*v),
        S::Float64(Some(v)) => Scalar::F64(*v),
        S::Decimal128(Some(v), ..) if known => Scalar::Decimal(*v, data_type),
        S::Binary(Some(v)) => Scalar::Binary(v.clone()),
        S::Date32(Some(v)) => Scalar::Date32(*v),
        S::TimestampSecond(Some(v), None) => stamp(*v, TimeUnit::Second),
        S::TimestampMillisecond(Some(v), None) => stamp(*v, TimeUnit::Millisecond),
        S::TimestampMicrosecond(Some(v), None) => stamp(*v, TimeUnit::Microsecond),
        S::TimestampNanosecond(Some(v), None) => stamp(*v, TimeUnit::Nanosecond),
        _ => return None,
    })
}
