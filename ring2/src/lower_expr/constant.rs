//! Constants: literals, and what DataFusion computes from them before a run.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, Expr as PlanExpr, ExprSchemable};
use trefoil_ring0::column::Interval;
use trefoil_ring0::expr::{Expr, Scalar};

use super::generic::cause;
use super::{held_type, no};
use crate::lower::Refusal;
use crate::partitioning::text;
use crate::planner;

/// A DATE or TIMESTAMP without columns, computed.
pub(super) fn temporal_constant(expr: &PlanExpr) -> Option<Result<Expr, Refusal>> {
    let constant = expr.column_refs().is_empty() && !expr.is_volatile();
    let data_type = expr
        .get_type(&DFSchema::empty())
        .ok()
        .filter(|_| constant)?;
    matches!(data_type, DataType::Date32 | DataType::Timestamp(_, None)).then(|| fold(expr))
}

/// Computes a constant.
pub(super) fn fold(expr: &PlanExpr) -> Result<Expr, Refusal> {
    let wrong = |e: DataFusionError| ("E0206", format!("{}: {}", text(expr), cause(&e)));
    let schema = Arc::new(DFSchema::empty());
    let computed = planner::physical(expr.clone(), &schema).map_err(wrong)?;
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema.inner()), vec![], &one)
        .map_err(|e| wrong(e.into()))?;
    let value = match computed.evaluate(&batch).map_err(wrong)? {
        ColumnarValue::Scalar(value) => value,
        ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0).map_err(wrong)?,
    };
    literal(&value).map(Expr::Literal).ok_or_else(|| no(expr))
}

/// A literal that Ring 0 has; NULL of no type is a BOOLEAN.
pub(crate) fn literal(value: &ScalarValue) -> Option<Scalar> {
    use ScalarValue as S;
    let data_type = held_type(&value.data_type())?;
    let of = |v: i64, make: fn(i64, DataType) -> Scalar| make(v, data_type.clone());
    Some(match value {
        v if v.is_null() => Scalar::Null(data_type),
        S::Utf8View(Some(v)) | S::LargeUtf8(Some(v)) | S::Utf8(Some(v)) => Scalar::Utf8(v.clone()),
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
        S::Decimal128(Some(v), ..) => Scalar::Decimal(*v, data_type),
        S::Binary(Some(v)) | S::LargeBinary(Some(v)) | S::BinaryView(Some(v)) => {
            Scalar::Binary(v.clone())
        }
        S::Date32(Some(v)) => Scalar::Date32(*v),
        S::TimestampSecond(Some(v), _)
        | S::TimestampMillisecond(Some(v), _)
        | S::TimestampMicrosecond(Some(v), _)
        | S::TimestampNanosecond(Some(v), _) => of(*v, Scalar::Timestamp),
        S::Time32Second(Some(v)) | S::Time32Millisecond(Some(v)) => of((*v).into(), Scalar::Time),
        S::Time64Microsecond(Some(v)) | S::Time64Nanosecond(Some(v)) => of(*v, Scalar::Time),
        S::DurationSecond(Some(v))
        | S::DurationMillisecond(Some(v))
        | S::DurationMicrosecond(Some(v))
        | S::DurationNanosecond(Some(v)) => of(*v, Scalar::Duration),
        S::IntervalMonthDayNano(Some(v)) => {
            Scalar::Interval(Interval::new(v.months, v.days, v.nanoseconds))
        }
        _ => return None,
    })
}
