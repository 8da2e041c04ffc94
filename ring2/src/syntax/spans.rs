//! Constant intervals in the other forms that PostgreSQL reads: `INTERVAL '1 day 02:03:04'`,
//! `INTERVAL 'PT5M'`, `'01:30'::INTERVAL`. They are written with a unit behind each number.

use datafusion::sql::sqlparser::ast::{DataType, Expr, Interval, Value, ValueWithSpan};
use trefoil_ring0::format::span::parse_span;

use crate::interval::is_in_units;

/// Writes an interval with units, if it is one in another form.
pub(super) fn written(expr: &mut Expr) {
    let constant = match expr {
        Expr::Interval(Interval {
            value,
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        }) => value,
        Expr::Cast {
            expr: value,
            data_type: DataType::Interval { .. },
            ..
        } => value,
        _ => return,
    };
    let Expr::Value(ValueWithSpan {
        value: Value::SingleQuotedString(text),
        ..
    }) = constant.as_mut()
    else {
        return;
    };
    if !is_in_units(text)
        && let Ok(span) = parse_span(text)
    {
        let parts = [
            (i64::from(span.months), "months"),
            (i64::from(span.days), "days"),
            (span.nanoseconds, "nanoseconds"),
        ];
        // A length without months is fixed.
        let some = parts.iter().filter(|(number, _)| *number != 0);
        let some: Vec<String> = some
            .map(|(number, unit)| format!("{number} {unit}"))
            .collect();
        *text = match some.is_empty() {
            true => "0 days".to_owned(),
            false => some.join(" "),
        };
    }
}
