//! Casts that are more than a change of type. A number with a point is a DOUBLE, which has 15
//! digits for sure: `CAST(12345678901234567.89 AS DECIMAL(20, 2))` is read from its text, to the
//! digit. JSON is a text that was looked at: a cast to it is a function.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
};

use crate::json::PARSE;
use crate::window;

/// Writes a cast as what it is.
pub(super) fn written(expr: &mut Expr) {
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

/// Most digits of a number with an exponent that is read as a DECIMAL, and zeros besides.
const DIGITS_MAX: i32 = 38;

/// Makes a number that is cast to DECIMAL its text: as a DOUBLE it would have other digits behind
/// the 15th. In queries that is for when results have their names.
pub(crate) fn decimal_text(expr: &mut Expr) {
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
    let Expr::Value(written) = number else { return };
    let Value::Number(digits, _) = &written.value else {
        return;
    };
    // A BIGINT casts to the digit by itself.
    if digits.parse::<i64>().is_ok() {
        return;
    }
    if let Some(plain) = without_exponent(digits) {
        let mut text = written.clone();
        text.value = Value::SingleQuotedString(format!("{sign}{plain}"));
        **constant = Expr::Value(text);
    }
}

/// A number as digits and a point: with an exponent it is no text of a DECIMAL. `None` where that
/// would have more digits than any DECIMAL.
fn without_exponent(number: &str) -> Option<String> {
    let Some((mantissa, exponent)) = number.split_once(['e', 'E']) else {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole = if whole.is_empty() { "0" } else { whole };
        return Some(match fraction.is_empty() {
            true => whole.to_owned(),
            false => format!("{whole}.{fraction}"),
        });
    };
    let exponent = exponent.parse::<i32>().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit());
    let range = -DIGITS_MAX..=DIGITS_MAX;
    if !is_plain || !range.contains(&point) || digits.len() > DIGITS_MAX as usize {
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
            (
                "123456789012345678901234567890.125",
                Some("123456789012345678901234567890.125"),
            ),
            ("1e3", Some("1000")),
            ("1.5E3", Some("1500")),
            ("12.34e1", Some("123.4")),
            ("12.34e-1", Some("1.234")),
            ("12.34e-4", Some("0.001234")),
            ("1e-2", Some("0.01")),
            ("1e37", Some("10000000000000000000000000000000000000")),
            ("1e40", None),
            ("1e-80", None),
            ("1e400", None),
            ("1e99999999999", None),
        ] {
            assert_eq!(without_exponent(number).as_deref(), plain, "{number}");
        }
    }
}
