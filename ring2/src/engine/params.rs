//! The parameters of a query: `$1` is written out as the constant that it is.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Value as Constant, visit_expressions_mut};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::Value;
use crate::error::SqlError;
use crate::place::Place;
use crate::window::parse;

/// Writes parameters into a query.
///
/// # Errors
/// Where it names one that is not given.
pub(super) fn bind(
    place: Place<'_>,
    query: &mut Query,
    params: &[Parameter],
) -> Result<(), SqlError> {
    let flow = visit_expressions_mut(query, |expr| {
        let Expr::Value(value) = expr else {
            return ControlFlow::Continue(());
        };
        let Constant::Placeholder(name) = &value.value else {
            return ControlFlow::Continue(());
        };
        let number = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
        let given = number.and_then(|n| params.get(n.checked_sub(1)?));
        let Some(given) = given else {
            return ControlFlow::Break(missing(place, value.span.start, name, params.len()));
        };
        let span = value.span;
        *expr = given.0.clone();
        if let Expr::Value(value) = expr {
            value.span = span;
        }
        ControlFlow::Continue(())
    });
    match flow {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn missing(place: Place<'_>, at: Location, name: &str, count: usize) -> SqlError {
    let message = format!("there is no parameter {name}: {count} are given");
    place.hinted("E0209", at, message, "$1 is the first one")
}

/// A parameter as a constant of a query.
#[derive(Debug, Clone)]
pub(super) struct Parameter(Expr);

/// The constant that a value is.
pub(super) fn constant(value: &Value<'_>) -> Parameter {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let cast = |text: String, to: &str| format!("CAST('{text}' AS {to})");
    let text = match *value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(v) => v.to_string(),
        Value::I64(v) if v >= 0 => v.to_string(),
        Value::I64(v) => cast(v.to_string(), "BIGINT"),
        Value::U64(v) => v.to_string(),
        Value::I128(v) => cast(v.to_string(), "DECIMAL(38, 0)"),
        Value::F64(v) => cast(format!("{v:?}"), "DOUBLE"),
        Value::Str(v) => quoted(v),
        Value::Bytes(v) => {
            let digits: String = v.iter().map(|byte| format!("{byte:02x}")).collect();
            cast(format!("\\x{digits}"), "BYTEA")
        }
    };
    Parameter(parse(&text))
}
