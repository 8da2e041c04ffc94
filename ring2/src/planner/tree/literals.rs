//! Constants that PostgreSQL reads otherwise than DataFusion: bytes in hexadecimal, and LIKE's
//! ESCAPE.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Query, Spanned, TypedString, Value, visit_expressions_mut,
};

use crate::error::SqlError;
use crate::place::Place;

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
