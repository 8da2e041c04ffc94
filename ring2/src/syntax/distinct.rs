//! `SELECT DISTINCT ON (k) .. ORDER BY k, y` is `QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY
//! k, y) = 1`: of the rows of each key the first.

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, Spanned, Value,
    WindowType,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use crate::error::SqlError;
use crate::place::Place;
use crate::window::parse;

/// Writes a query with DISTINCT ON as the other one. Tells whether it had one.
pub(super) fn query(place: Place<'_>, query: &mut Query) -> Result<bool, SqlError> {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Ok(false);
    };
    let Some(Distinct::On(keys)) = &select.distinct else {
        return Ok(false);
    };
    let at = match keys.first().map(|key| key.span().start) {
        Some(at) if at.line > 0 => at,
        _ => select.select_token.0.span.start,
    };
    let refuse = |message: &str, hint: &str| Err(place.hinted("E0207", at, message, hint));
    if select.qualify.is_some() {
        let hint = "QUALIFY .. AND ROW_NUMBER() OVER (PARTITION BY k ORDER BY y) = 1";
        return refuse("DISTINCT ON beside QUALIFY", hint);
    }
    let keys: Vec<Expr> = keys.iter().map(|key| meant(key, select)).collect();
    let order: Vec<OrderByExpr> = match query.order_by.as_ref().map(|by| &by.kind) {
        Some(OrderByKind::Expressions(list)) => {
            let resolved = list.iter().map(|by| OrderByExpr {
                expr: meant(&by.expr, select),
                ..by.clone()
            });
            resolved.collect()
        }
        Some(OrderByKind::All(_)) | None => Vec::new(),
    };
    if order.is_empty() {
        let hint = "ORDER BY k, y: of the rows of each k the one with the least y";
        return refuse(
            "DISTINCT ON without ORDER BY: nothing says which row is meant",
            hint,
        );
    }
    let first = &order[..order.len().min(keys.len())];
    if !keys
        .iter()
        .all(|key| first.iter().any(|by| by.expr == *key))
    {
        let hint = "SELECT DISTINCT ON (k) .. ORDER BY k, y";
        return refuse("ORDER BY does not begin with what DISTINCT is ON", hint);
    }
    select.distinct = None;
    select.qualify = Some(first_of_each(keys, order, at));
    Ok(true)
}

/// Takes ORDER BY away, where it only said which row is the first.
pub(super) fn unordered(query: &mut Query) {
    if query.limit_clause.is_none() {
        query.order_by = None;
    }
}

/// What an expression stands for: an item of the select list where it is its number.
fn meant(expr: &Expr, select: &Select) -> Expr {
    let number = match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse::<usize>().ok(),
            _ => None,
        },
        _ => None,
    };
    let item = number.and_then(|n| select.projection.get(n.checked_sub(1)?));
    match item {
        Some(SelectItem::UnnamedExpr(meant) | SelectItem::ExprWithAlias { expr: meant, .. }) => {
            meant.clone()
        }
        _ => expr.clone(),
    }
}

fn first_of_each(keys: Vec<Expr>, order: Vec<OrderByExpr>, at: Location) -> Expr {
    let mut condition = parse("row_number() OVER (PARTITION BY 0 ORDER BY 0) = 1");
    if let Expr::BinaryOp { left, right, .. } = &mut condition {
        if let Expr::Function(call) = left.as_mut() {
            for part in &mut call.name.0 {
                if let datafusion::sql::sqlparser::ast::ObjectNamePart::Identifier(ident) = part {
                    ident.span = Span::new(at, at);
                }
            }
            if let Some(WindowType::WindowSpec(spec)) = &mut call.over {
                (spec.partition_by, spec.order_by) = (keys, order);
            }
        }
        if let Expr::Value(one) = right.as_mut() {
            one.span = Span::new(at, at);
        }
    }
    condition
}
