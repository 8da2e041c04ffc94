//! Constants that PostgreSQL reads otherwise than DataFusion: bytes in hexadecimal, LIKE's ESCAPE,
//! and numbers of many digits that something is compared with.

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::DECIMAL128_MAX_PRECISION;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, Query, Spanned, TypedString,
    UnaryOperator, Value, visit_expressions_mut,
};

use super::from::marked;
use crate::error::SqlError;
use crate::place::Place;
use crate::planner::numbers::DOUBLE_DIGITS;
use crate::syntax::decimal_text;
use crate::window::marker::CAST;

/// Writes such constants as DataFusion reads them.
pub(super) fn rewrite(place: Place<'_>, query: &mut Query) -> Result<(), SqlError> {
    let flow = visit_expressions_mut(query, |expr| {
        let written = match expr {
            Expr::Cast {
                expr: inner,
                data_type: DataType::Bytea,
                ..
            } => bytes(place, inner),
            Expr::TypedString(TypedString {
                data_type: DataType::Bytea,
                value,
                ..
            }) => {
                let mut constant = Expr::Value(value.clone());
                let written = bytes(place, &mut constant);
                *expr = constant;
                written
            }
            Expr::Like { .. } | Expr::ILike { .. } => like(place, expr),
            _ => Ok(()),
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    });
    match flow {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// `'\xDEAD'`: pairs of digits. A text without a backslash is its bytes.
fn bytes(place: Place<'_>, constant: &mut Expr) -> Result<(), SqlError> {
    let Expr::Value(value) = constant else {
        return Ok(());
    };
    let Value::SingleQuotedString(text) = &value.value else {
        return Ok(());
    };
    if !text.contains('\\') {
        return Ok(());
    }
    let digits = text.strip_prefix("\\x").map(|d| d.replace(' ', ""));
    let is_hex = |d: &String| d.len().is_multiple_of(2) && d.bytes().all(|b| b.is_ascii_hexdigit());
    match digits.filter(is_hex) {
        Some(digits) => {
            value.value = Value::HexStringLiteral(digits);
            Ok(())
        }
        None => {
            let message = format!("'{text}' is no BYTEA");
            let hint = "'\\xDEAD': two hexadecimal digits for each byte";
            Err(place.hinted("E0206", value.span.start, message, hint))
        }
    }
}

/// A pattern with another sign before what stands for itself, as one with a backslash.
fn like(place: Place<'_>, expr: &mut Expr) -> Result<(), SqlError> {
    let at = expr.span().start;
    let (Expr::Like {
        pattern,
        escape_char,
        ..
    }
    | Expr::ILike {
        pattern,
        escape_char,
        ..
    }) = expr
    else {
        return Ok(());
    };
    let Some(Value::SingleQuotedString(escape)) = escape_char.as_ref().map(|e| &e.value) else {
        return Ok(());
    };
    let mut signs = escape.chars();
    let (sign, more) = (signs.next(), signs.next());
    if more.is_some() {
        let hint = "LIKE 'a!%' ESCAPE '!'";
        let message = "ESCAPE takes one character";
        return Err(place.hinted("E0206", at, message, hint));
    }
    if sign != Some('\\') {
        let text = match pattern.as_mut() {
            Expr::Value(value) => match &mut value.value {
                Value::SingleQuotedString(text) => Some(text),
                _ => None,
            },
            _ => None,
        };
        let Some(text) = text else {
            let hint = "without ESCAPE the sign is a backslash";
            return Err(place.foreign(at, "ESCAPE behind a pattern that is no constant", hint));
        };
        *text = escaped(text, sign);
    }
    *escape_char = None;
    Ok(())
}

fn escaped(pattern: &str, sign: Option<char>) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            c if Some(c) == sign => {
                let next = rest.next();
                if matches!(next, Some('%' | '_' | '\\')) {
                    out.push('\\');
                }
                out.extend(next);
            }
            '\\' => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
    out
}

/// Has numbers keep their digits that are cast to a DECIMAL, or that something is compared with
/// until its type is known. Results have their names by then.
pub(super) fn keep_digits(query: &mut Query) {
    let _: ControlFlow<()> = visit_expressions_mut(query, |expr| {
        compared(expr);
        decimal_text(expr);
        ControlFlow::Continue(())
    });
}

fn compared(expr: &mut Expr) {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    match expr {
        Expr::BinaryOp {
            left,
            op: Eq | NotEq | Lt | LtEq | Gt | GtEq,
            right,
        }
        | Expr::IsDistinctFrom(left, right)
        | Expr::IsNotDistinctFrom(left, right) => {
            number(left);
            number(right);
        }
        Expr::InList { expr, list, .. } => {
            number(expr);
            list.iter_mut().for_each(number);
        }
        Expr::Between {
            expr, low, high, ..
        } => [expr, low, high].into_iter().for_each(|e| number(e)),
        Expr::Case {
            operand: Some(operand),
            conditions,
            ..
        } => {
            number(operand);
            let whens = conditions.iter_mut();
            whens.for_each(|when| number(&mut when.condition));
        }
        _ => {}
    }
}

/// Makes a number of many digits its text, cast to a DECIMAL that has them all.
fn number(expr: &mut Expr) {
    let (mut sign, mut inner) = ("", &*expr);
    loop {
        match inner {
            Expr::Nested(of)
            | Expr::UnaryOp {
                op: UnaryOperator::Plus,
                expr: of,
            } => inner = of,
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr: of,
            } if sign.is_empty() => (sign, inner) = ("-", of),
            _ => break,
        }
    }
    let Expr::Value(constant) = inner else { return };
    let Value::Number(text, _) = &constant.value else {
        return;
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (whole, fraction) = (
        whole.trim_start_matches('0'),
        fraction.trim_end_matches('0'),
    );
    let is_plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let digits = whole.len() + fraction.len();
    // Integers that a BIGINT holds are no DOUBLEs.
    let is_integer = !text.contains('.') && text.parse::<u64>().is_ok();
    if is_integer
        || digits <= usize::from(DOUBLE_DIGITS)
        || digits > usize::from(DECIMAL128_MAX_PRECISION)
        || !(is_plain(whole) && is_plain(fraction))
    {
        return;
    }
    let point = if fraction.is_empty() { "" } else { "." };
    let before = if whole.is_empty() { "0" } else { whole };
    let mut text = constant.clone();
    text.value = Value::SingleQuotedString(format!("{sign}{before}{point}{fraction}"));
    *expr = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(marked(CAST, Expr::Value(text))),
        data_type: DataType::Decimal(ExactNumberInfo::PrecisionAndScale(
            digits as u64,
            fraction.len() as i64,
        )),
        array: false,
        format: None,
    };
}
