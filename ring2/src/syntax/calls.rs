//! Small readings of expressions: names, calls, arguments.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    UnaryOperator, Value, visit_expressions_mut,
};

use crate::functions::{self, FunctionKind};

pub(crate) fn normal(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

pub(crate) fn quote(ident: &Ident) -> Ident {
    let mut quoted = Ident::with_quote('"', normal(ident));
    quoted.span = ident.span;
    quoted
}

/// PostgreSQL's names of results.
pub(crate) fn default_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => normal(ident),
        Expr::CompoundIdentifier(parts) => parts.last().map(normal).unwrap_or_default(),
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

/// Whether a function works on groups.
pub(crate) fn is_aggregate(name: &str) -> bool {
    functions::kind(name) == Some(FunctionKind::Aggregate)
}

pub(crate) fn has_aggregate(expr: &Expr) -> bool {
    let mut copy = expr.clone();
    let flow = visit_expressions_mut(&mut copy, |e| match e {
        Expr::Function(f) if is_aggregate(&f.name.to_string()) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    flow.is_break()
}

/// Whether a window stands in the expression.
pub(crate) fn has_window_call(expr: &Expr) -> bool {
    call(expr).is_some_and(|(name, _)| crate::functions::WINDOWS.contains(&name))
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
