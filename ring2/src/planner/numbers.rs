//! Numbers of more digits than a DOUBLE has, compared with integers and DECIMALs: there they count
//! to the last digit. The tree has them as CAST('..' AS DECIMAL(p, s)); beside anything else they
//! are the DOUBLEs that DataFusion makes of all numbers with a point.

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Between, Cast, Expr, ExprSchemable, lit};

/// A number as it is written.
struct Written<'e> {
    text: &'e str,
    value: i128,
    digits: u8,
    scale: i8,
}

/// Reads what the tree makes of a number; `None` where a cast does not keep all of its digits.
fn written(expr: &Expr) -> Option<Written<'_>> {
    let Expr::Cast(Cast { expr, field }) = expr else {
        return None;
    };
    let (Expr::Literal(ScalarValue::Utf8(Some(text)), _), DataType::Decimal128(digits, scale)) =
        (expr.as_ref(), field.data_type())
    else {
        return None;
    };
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    if fraction.len() != usize::try_from(*scale).ok()? {
        return None;
    }
    let value: i128 = text.replacen('.', "", 1).parse().ok()?;
    let fits = value.unsigned_abs() < 10u128.pow(u32::from(*digits));
    fits.then_some(Written {
        text,
        value,
        digits: *digits,
        scale: *scale,
    })
}

/// Digits before and behind the point of numbers that are compared to the last one.
fn exact(data_type: &DataType) -> Option<(i16, i16)> {
    use DataType as D;
    match data_type {
        D::Decimal32(p, s) | D::Decimal64(p, s) | D::Decimal128(p, s) => {
            Some((i16::from(*p) - i16::from(*s), i16::from(*s)))
        }
        D::Int8 | D::Int16 | D::Int32 | D::Int64 => Some((19, 0)),
        D::UInt8 | D::UInt16 | D::UInt32 | D::UInt64 => Some((20, 0)),
        _ => None,
    }
}

/// Makes a number what it is beside this type. Returns whether it is one.
fn read(expr: &mut Expr, beside: &DataType) -> bool {
    let Some(number) = written(expr) else {
        return false;
    };
    let (whole, scale) = (
        i16::from(number.digits) - i16::from(number.scale),
        i16::from(number.scale),
    );
    let most = i16::from(DECIMAL128_MAX_PRECISION);
    let is_exact = exact(beside).is_some_and(|(w, s)| w.max(whole) + s.max(scale) <= most);
    let constant = match is_exact {
        true => ScalarValue::Decimal128(Some(number.value), number.digits, number.scale),
        false => match number.text.parse::<f64>() {
            Ok(double) => ScalarValue::Float64(Some(double)),
            Err(_) => return false,
        },
    };
    *expr = lit(constant);
    true
}

/// Reads numbers among two values that are compared. Returns whether there is one.
pub(super) fn beside(one: &mut Expr, other: &mut Expr, schema: &DFSchema) -> bool {
    let of = |e: &Expr| e.get_type(schema).ok();
    if let Some(beside) = of(one)
        && read(other, &beside)
    {
        return true;
    }
    of(other).is_some_and(|beside| read(one, &beside))
}

/// Reads numbers that one value is compared with.
pub(super) fn within(expr: &mut Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::InList(list) => {
            let of = list.expr.get_type(schema).ok();
            let items = list.list.iter_mut();
            items.fold(false, |any, item| {
                any | of.as_ref().is_some_and(|beside| read(item, beside))
            })
        }
        Expr::Between(Between {
            expr, low, high, ..
        }) => beside(expr, low, schema) | beside(expr, high, schema),
        Expr::Case(Case {
            expr: Some(of),
            when_then_expr,
            ..
        }) => {
            let cases = when_then_expr.iter_mut();
            cases.fold(false, |any, (when, _)| any | beside(of, when, schema))
        }
        _ => false,
    }
}
