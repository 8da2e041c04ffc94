//! Casts that are more than a change of type. A number with a point is a DOUBLE, whose digits are
//! others behind the 15th: `CAST(1.1 AS DECIMAL(38, 30))` is read from its text, to the digit. JSON is a text that was looked at: a cast to it is a function.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator,
    Value, ValueWithSpan,
};

use crate::json::PARSE;
use crate::window;

/// Digits before a point, or zeros behind it, beyond which a number is a DOUBLE.
const DIGITS_MAX: i32 = 100;

/// Writes a cast as what it is.
pub(super) fn written(expr: &mut Expr) {
    decimal(expr);
    json(expr);
}

/// Makes `x::JSON` a call.
fn json(expr: &mut Expr) {
    let Expr::Cast {
        kind: CastKind::Cast | CastKind::DoubleColon,
        expr: text,
        data_type: DataType::JSON | DataType::JSONB,
        ..
    } = expr
    else {
        return;
    };
    let text = FunctionArgExpr::Expr(std::mem::replace(
        text.as_mut(),
        Expr::Value(Value::Null.into()),
    ));
    let mut call = window::parse(&format!("{PARSE}(0)"));
    if let Expr::Function(f) = &mut call
        && let FunctionArguments::List(list) = &mut f.args
    {
        list.args = vec![FunctionArg::Unnamed(text)];
    }
    *expr = call;
}

/// Makes a number that is cast to DECIMAL its text.
fn decimal(expr: &mut Expr) {
    let Expr::Cast {
        expr: constant,
        data_type: DataType::Decimal(_) | DataType::Numeric(_) | DataType::Dec(_),
        ..
    } = expr
    else {
        return;
    };
    let (sign, number) = match constant.as_ref() {
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: number,
        } => ("-", number.as_ref()),
        number => ("", number),
    };
    let Expr::Value(ValueWithSpan {
        value: Value::Number(digits, _),
        span,
    }) = number
    else {
        return;
    };
    // An integer of few digits is a BIGINT.
    if digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit()) {
        return;
    }
    if let Some(plain) = without_exponent(digits) {
        let value = Value::SingleQuotedString(format!("{sign}{plain}"));
        let span = *span;
        **constant = Expr::Value(ValueWithSpan { value, span });
    }
}

/// A number as digits and a point: with an exponent it is no text of a DECIMAL. `None` where there
/// are more digits than any DECIMAL has.
fn without_exponent(number: &str) -> Option<String> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        None => (number, 0),
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !(-DIGITS_MAX..=DIGITS_MAX).contains(&point) {
        return None;
    }
    if point <= 0 {
        let zeros = "0".repeat(point.unsigned_abs() as usize);
        return Some(format!("0.{zeros}{digits}"));
    }
    let point = point as usize;
    if point >= digits.len() {
        digits.push_str(&"0".repeat(point - digits.len()));
        return Some(digits);
    }
    digits.insert(point, '.');
    Some(digits)
}

#[cfg(test)]
mod tests {
    use super::without_exponent;

    #[test]
    fn numbers_without_an_exponent() {
        for (number, plain) in [
            ("1.25", Some("1.25")),
            (".5", Some("0.5")),
            ("1.", Some("1")),
            ("1e3", Some("1000")),
            ("1.5E3", Some("1500")),
            ("12.34e1", Some("123.4")),
            ("12.34e-1", Some("1.234")),
            ("12.34e-4", Some("0.001234")),
            ("1e-2", Some("0.01")),
            ("1e400", None),
            ("1e99999999999", None),
        ] {
            assert_eq!(without_exponent(number).as_deref(), plain, "{number}");
        }
    }
}
