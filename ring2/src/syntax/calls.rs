//! Small readings of expressions: names, calls, arguments.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    UnaryOperator, Value,
};

use crate::functions::{BOUNDS, WINDOWS};
use crate::json::PARSE;
use crate::window::marker::PROCTIME;

pub(crate) fn normal(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

/// PostgreSQL's names of results.
pub(crate) fn default_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => normal(ident),
        Expr::CompoundIdentifier(parts) => parts.last().map(normal).unwrap_or_default(),
        Expr::Function(f) if f.name.to_string() == PARSE => arguments(f)
            .first()
            .map_or(String::new(), |of| default_name(of)),
        Expr::Function(f) => f.name.to_string().to_lowercase(),
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => default_name(inner),
        other => other.to_string(),
    }
}

/// Name and arguments of a plain call.
pub(crate) fn call(expr: &Expr) -> Option<(&str, Vec<Expr>)> {
    let Expr::Function(f) = expr else { return None };
    let name = f.name.0.first()?.as_ident()?.value.as_str();
    Some((name, arguments(f).into_iter().cloned().collect()))
}

pub(crate) fn arguments(f: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &f.args else {
        return Vec::new();
    };
    let expr = |a| match a {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref e)) => Some(e),
        _ => None,
    };
    list.args.iter().filter_map(expr).collect()
}

/// PROCTIME() where it is the time of a window, or of a window's bound.
pub(crate) fn processing_time(expr: &Expr) -> Option<&Expr> {
    let (name, _) = call(expr)?;
    let Expr::Function(f) = expr else { return None };
    let of_window = WINDOWS.contains(&name) || BOUNDS.contains(&name);
    let time = arguments(f).into_iter().next().filter(|_| of_window)?;
    matches!(call(time), Some((PROCTIME, args)) if args.is_empty()).then_some(time)
}

/// Whether a window stands in the expression.
pub(crate) fn has_window_call(expr: &Expr) -> bool {
    call(expr).is_some_and(|(name, _)| WINDOWS.contains(&name))
}

/// A key that is an integer, written so that it is no position.
pub(crate) fn unpositioned(key: Expr) -> Expr {
    if !is_integer(&key) {
        return key;
    }
    Expr::BinaryOp {
        left: Box::new(key),
        op: BinaryOperator::Plus,
        right: Box::new(Expr::Value(Value::Number("0".to_owned(), false).into())),
    }
}

fn is_integer(expr: &Expr) -> bool {
    match expr {
        Expr::Value(v) => matches!(&v.value, Value::Number(n, _) if n.parse::<u64>().is_ok()),
        Expr::Nested(inner)
        | Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr: inner,
        } => is_integer(inner),
        _ => false,
    }
}
