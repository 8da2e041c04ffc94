//! Constants before 1678 and behind 2262, which nanoseconds do not reach: DataFusion reads a
//! constant in quotes beside any TIMESTAMP as one of nanoseconds. Such a one is of microseconds.

use chrono::{DateTime, Utc};
use datafusion::arrow::compute::kernels::cast_utils::string_to_datetime;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Between, Cast, Expr, ExprSchemable, lit};

const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn read(expr: &Expr) -> Option<DateTime<Utc>> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => string_to_datetime(&Utc, text).ok(),
        _ => None,
    }
}

fn is_far(time: DateTime<Utc>) -> bool {
    time.timestamp_nanos_opt().is_none()
}

/// Whether microseconds tell all of it. What they would cut off is refused as it was.
fn is_whole(time: &DateTime<Utc>) -> bool {
    time.timestamp_subsec_nanos().is_multiple_of(1000)
}

fn micros(time: DateTime<Utc>) -> Expr {
    let micros = Some(time.timestamp_micros());
    lit(ScalarValue::TimestampMicrosecond(micros, None))
}

/// The constant, where nanoseconds do not reach it.
fn far(expr: &Expr) -> Option<Expr> {
    let time = read(expr).filter(is_whole)?;
    is_far(time).then(|| micros(time))
}

fn unit(expr: &Expr, schema: &DFSchema) -> Option<TimeUnit> {
    match expr.get_type(schema) {
        Ok(DataType::Timestamp(unit, None)) => Some(unit),
        _ => None,
    }
}

/// Reads one that stands beside a TIMESTAMP. Returns whether there is one.
pub(super) fn beside(one: &mut Expr, other: &mut Expr, schema: &DFSchema) -> bool {
    reads(one, other, schema) || reads(other, one, schema)
}

fn reads(time: &mut Expr, constant: &mut Expr, schema: &DFSchema) -> bool {
    let (Some(unit), Some(far)) = (unit(time, schema), far(constant)) else {
        return false;
    };
    *constant = far;
    if unit == TimeUnit::Nanosecond {
        // Cut off to microseconds it is on the same side of what nanoseconds do not reach.
        *time = Expr::Cast(Cast::new(Box::new(std::mem::take(time)), MICROS));
    }
    true
}

/// Reads those that one value is compared with. Nanoseconds would have to be cut off beside others
/// that they reach: there such a constant is refused.
pub(super) fn within(expr: &mut Expr, schema: &DFSchema) -> bool {
    let (time, constants): (&Expr, Vec<&mut Expr>) = match expr {
        Expr::InList(list) => (&list.expr, list.list.iter_mut().collect()),
        Expr::Between(Between {
            expr, low, high, ..
        }) => (expr, vec![low, high]),
        _ => return false,
    };
    let coarser = unit(time, schema).is_some_and(|unit| unit != TimeUnit::Nanosecond);
    if !coarser || !constants.iter().any(|e| read(e).is_some_and(is_far)) {
        return false;
    }
    // The others with it, so that all are of one type.
    for constant in constants {
        if let Some(time) = read(constant).filter(is_whole) {
            *constant = micros(time);
        }
    }
    true
}

/// Reads `TIMESTAMP '..'`, which is planned as a cast to nanoseconds. Returns whether it did.
pub(super) fn typed(expr: &mut Expr) -> bool {
    let Expr::Cast(cast) = expr else {
        return false;
    };
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
    let read = far(&cast.expr).filter(|_| *cast.field.data_type() == nanos);
    let is_read = read.is_some();
    if let Some(read) = read {
        *expr = read;
    }
    is_read
}
