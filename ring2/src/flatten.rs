//! A subquery in FROM taken into the query around it, where both together are one SELECT over one
//! source: so views of views run as what they stand for. What cannot be taken in stays as it is,
//! and is refused where it is lowered.

use std::ops::ControlFlow;

use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Distinct, Expr, GroupByExpr, Ident, OrderBy, OrderByKind, Query, Select,
    SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, WildcardAdditionalOptions,
    visit_expressions, visit_expressions_mut,
};

use crate::catalog::Catalog;
use crate::functions::{self, FunctionKind};
use crate::planner::{self, tree::function_name};
use crate::syntax::{default_name, has_window_call};

/// Flattens a query as far as it goes.
pub(crate) fn query(query: &mut Query, catalog: &Catalog) {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return;
    };
    let [TableWithJoins { relation, joins }] = select.from.as_mut_slice() else {
        return;
    };
    let TableFactor::Derived {
        lateral: false,
        subquery,
        alias,
        sample: None,
    } = relation
    else {
        return;
    };
    self::query(subquery, catalog);
    if !joins.is_empty() {
        return;
    }
    let (subquery, alias) = (subquery.as_ref().clone(), alias.clone());
    let mut keys = query.order_by.clone();
    let merged = merge(select, &subquery, alias.as_ref(), keys.as_mut(), catalog);
    if let Some(merged) = merged {
        **select = merged;
        query.order_by = keys;
    }
}

const BOUNDS: [&str; 2] = ["window_start", "window_end"];

/// A column that the subquery gives.
struct Given {
    name: String,
    expr: Expr,
}

struct Inner {
    columns: Vec<Given>,
    alias: Option<String>,
    /// Whether `window_start` and `window_end` exist beside the columns.
    bounds: bool,
}

fn merge(
    outer: &Select,
    query: &Query,
    alias: Option<&TableAlias>,
    order: Option<&mut OrderBy>,
    catalog: &Catalog,
) -> Option<Select> {
    // What these name are columns of the subquery, in places that are not written anew here.
    let on = matches!(outer.distinct, Some(Distinct::On(_)));
    if on || outer.qualify.is_some() || !outer.named_window.is_empty() {
        return None;
    }
    let inner = plain(query)?;
    // What is named twice would be two values.
    if is_volatile(inner) {
        return None;
    }
    let columns = columns(inner, catalog)?;
    let grouped = is_grouped(inner);
    let keys = keys(inner)?;
    let names = alias.map(|a| a.columns.iter().map(|c| c.name.value.clone()));
    let mut names = names.into_iter().flatten();
    let columns: Vec<Given> = (columns.into_iter())
        .map(|c| Given {
            name: names.next().unwrap_or(c.name),
            expr: c.expr,
        })
        .collect();
    let bounds = match grouped {
        true => keys.iter().any(has_window_call),
        // They are of the query around it, unless the source has columns of these names.
        false => {
            let apart = |columns: Vec<String>| !columns.iter().any(|c| BOUNDS.contains(&&**c));
            groups_by_window(outer) && below(inner, catalog).is_some_and(apart)
        }
    };
    let inner_view = Inner {
        bounds,
        alias: alias.map(|a| a.name.value.clone()),
        columns,
    };
    if grouped && (is_grouped(outer) || outer.distinct.is_some()) {
        return None;
    }
    let (projection, aliases) = inner_view.items(outer)?;
    let mut merged = outer.clone();
    merged.from.clone_from(&inner.from);
    merged.projection = projection;
    let outer_selection = match &outer.selection {
        None => None,
        Some(condition) => Some(inner_view.mapped(condition.clone(), &[])?),
    };
    if grouped {
        merged.group_by = GroupByExpr::Expressions(keys, vec![]);
        merged.selection.clone_from(&inner.selection);
        let inner_items = self::columns(inner, catalog)?;
        let having = inner
            .having
            .clone()
            .map(|h| with_aliases(h, &inner_items, inner, catalog));
        merged.having = and(having, outer_selection);
    } else {
        let GroupByExpr::Expressions(keys, modifiers) = &outer.group_by else {
            return None;
        };
        if !modifiers.is_empty() {
            return None;
        }
        let mapped: Option<Vec<Expr>> = keys.iter().map(|k| inner_view.key(k, &aliases)).collect();
        merged.group_by = GroupByExpr::Expressions(mapped?, vec![]);
        merged.selection = and(inner.selection.clone(), outer_selection);
        merged.having = match &outer.having {
            None => None,
            Some(having) => Some(inner_view.mapped(having.clone(), &aliases)?),
        };
    }
    if let Some(order) = order {
        inner_view.order(order, &merged.projection)?;
    }
    Some(merged)
}

fn named(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias {
        expr,
        alias: Ident::with_quote('"', name),
    }
}

fn and(a: Option<Expr>, b: Option<Expr>) -> Option<Expr> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Expr::BinaryOp {
            left: Box::new(Expr::Nested(Box::new(a))),
            op: BinaryOperator::And,
            right: Box::new(Expr::Nested(Box::new(b))),
        }),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => None,
    }
}

fn is_plain(options: &WildcardAdditionalOptions) -> bool {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    opt_ilike.is_none()
        && opt_exclude.is_none()
        && opt_except.is_none()
        && opt_replace.is_none()
        && opt_rename.is_none()
        && opt_alias.is_none()
}

/// A SELECT that has only items, one relation, WHERE, GROUP BY and HAVING.
fn plain(query: &Query) -> Option<&Select> {
    let bare = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty();
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let one = matches!(select.from.as_slice(), [only] if only.joins.is_empty()
        && matches!(only.relation, TableFactor::Table { .. }));
    let simple = select.distinct.is_none()
        && select.qualify.is_none()
        && select.named_window.is_empty()
        && select.lateral_views.is_empty();
    (bare && one && simple).then_some(select)
}

/// Whether a function in it gives another value each time.
fn is_volatile(select: &Select) -> bool {
    let flow = visit_expressions(select, |e| match function_name(e) {
        Some(name) if planner::volatility(&name) == Some(Volatility::Volatile) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    flow.is_break()
}

/// Whether a key is a window, by itself or by the name of an item.
fn groups_by_window(select: &Select) -> bool {
    let GroupByExpr::Expressions(keys, _) = &select.group_by else {
        return false;
    };
    let item = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } => {
            has_window_call(e)
        }
        _ => false,
    };
    !keys.is_empty() && (keys.iter().any(has_window_call) || select.projection.iter().any(item))
}

fn is_grouped(select: &Select) -> bool {
    let keys = !matches!(&select.group_by, GroupByExpr::Expressions(k, _) if k.is_empty());
    let aggregate = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(e)
        | SelectItem::ExprWithAlias { expr: e, .. }
        | SelectItem::ExprWithAliases { expr: e, .. } => contains(e, FunctionKind::Aggregate),
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => false,
    };
    keys || select.having.is_some() || select.projection.iter().any(aggregate)
}

fn contains(expr: &Expr, kind: FunctionKind) -> bool {
    let mut copy = expr.clone();
    let flow = visit_expressions_mut(&mut copy, |e| match e {
        Expr::Function(f) if functions::kind(&f.name.to_string()) == Some(kind) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    flow.is_break()
}

fn has_over(expr: &Expr) -> bool {
    let mut copy = expr.clone();
    let flow = visit_expressions_mut(&mut copy, |e| match e {
        Expr::Function(f) if f.over.is_some() => ControlFlow::Break(()),
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    flow.is_break()
}

/// The columns of the source below, which a star stands for.
fn below(select: &Select, catalog: &Catalog) -> Option<Vec<String>> {
    let [table] = select.from.as_slice() else {
        return None;
    };
    let TableFactor::Table { name, .. } = &table.relation else {
        return None;
    };
    let name = name.0.first()?.as_ident()?;
    let source = catalog.sources.get(&name.value)?;
    Some(source.declared().iter().map(|c| c.name.clone()).collect())
}

fn columns(select: &Select, catalog: &Catalog) -> Option<Vec<Given>> {
    let mut columns = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => columns.push(Given {
                name: default_name(expr),
                expr: expr.clone(),
            }),
            SelectItem::ExprWithAlias { expr, alias } => columns.push(Given {
                name: alias.value.clone(),
                expr: expr.clone(),
            }),
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                for name in below(select, catalog)? {
                    let expr = Expr::Identifier(Ident::with_quote('"', &name));
                    columns.push(Given { name, expr });
                }
            }
            SelectItem::ExprWithAliases { .. } => return None,
        }
    }
    (!columns.iter().any(|c| has_over(&c.expr))).then_some(columns)
}

/// The keys, written out: positions and aliases mean items of this SELECT.
fn keys(select: &Select) -> Option<Vec<Expr>> {
    let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else {
        return None;
    };
    if !modifiers.is_empty() {
        return None;
    }
    let items = &select.projection;
    let key = |key: &Expr| {
        if let Ok(position) = key.to_string().parse::<usize>() {
            return match items.get(position.checked_sub(1)?)? {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    Some(no_position(expr.clone()))
                }
                SelectItem::ExprWithAliases { .. }
                | SelectItem::Wildcard(_)
                | SelectItem::QualifiedWildcard(..) => None,
            };
        }
        Some(key.clone())
    };
    let written: Option<Vec<Expr>> = keys.iter().map(key).collect();
    let aliased = |key: Expr| match &key {
        Expr::Identifier(ident) => {
            let found = items.iter().find_map(|item| match item {
                SelectItem::ExprWithAlias { expr, alias } if alias.value == ident.value => {
                    Some(expr.clone())
                }
                _ => None,
            });
            // `k AS k` is the column itself, and so is an alias that hides one: keys prefer
            // columns,
            // which the checks have seen to.
            match found {
                Some(expr) if has_window_call(&expr) => expr,
                _ => key,
            }
        }
        _ => key,
    };
    Some(written?.into_iter().map(aliased).collect())
}

/// A key whose meaning was written out: a constant is not a position again.
fn no_position(key: Expr) -> Expr {
    match key {
        constant @ Expr::Value(_) => Expr::Nested(Box::new(constant)),
        other => other,
    }
}

/// HAVING with the names of its own select list written out.
fn with_aliases(mut having: Expr, items: &[Given], select: &Select, catalog: &Catalog) -> Expr {
    let source = below(select, catalog).unwrap_or_default();
    let _: ControlFlow<()> = visit_expressions_mut(&mut having, |e| {
        if let Expr::Identifier(ident) = e
            && !source.contains(&ident.value)
            && let Some(item) = items.iter().find(|i| i.name == ident.value)
        {
            *e = Expr::Nested(Box::new(item.expr.clone()));
        }
        ControlFlow::Continue(())
    });
    having
}

impl Inner {
    /// An expression over this subquery's columns, over what is below it.
    fn mapped(&self, expr: Expr, aliases: &[Given]) -> Option<Expr> {
        self.replace(expr, aliases)
    }

    /// The items of the outer query, and its aliases, which mean these and never a column of the
    /// source.
    fn items(&self, outer: &Select) -> Option<(Vec<SelectItem>, Vec<Given>)> {
        let (mut items, mut aliases) = (Vec::new(), Vec::new());
        for item in &outer.projection {
            let (expr, name) = match item {
                SelectItem::UnnamedExpr(expr) => (expr.clone(), default_name(expr)),
                SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), alias.value.clone()),
                SelectItem::Wildcard(options) if is_plain(options) => {
                    let given = self.columns.iter();
                    items.extend(given.map(|c| named(c.expr.clone(), &c.name)));
                    continue;
                }
                SelectItem::Wildcard(_)
                | SelectItem::QualifiedWildcard(..)
                | SelectItem::ExprWithAliases { .. } => return None,
            };
            let expr = self.mapped(expr, &[])?;
            if let SelectItem::ExprWithAlias { .. } = item {
                let (name, expr) = (name.clone(), expr.clone());
                aliases.push(Given { name, expr });
            }
            items.push(named(expr, &name));
        }
        Some((items, aliases))
    }

    fn given(&self, name: &str) -> Option<&Expr> {
        self.columns
            .iter()
            .find(|c| c.name == name)
            .map(|c| &c.expr)
    }

    fn replace(&self, expr: Expr, aliases: &[Given]) -> Option<Expr> {
        if has_over(&expr) {
            return None;
        }
        let mut expr = expr;
        // Marked first, then written out: what is put in place is not looked at again.
        let mut put: Vec<Expr> = Vec::new();
        let mark = |put: &mut Vec<Expr>, with: Expr| {
            put.push(with);
            Expr::Identifier(Ident::new(format!("\u{0}{}", put.len() - 1)))
        };
        let flow = visit_expressions_mut(&mut expr, |e| {
            let name = match &*e {
                Expr::Identifier(ident) if ident.value.starts_with('\u{0}') => {
                    return ControlFlow::Continue(());
                }
                Expr::Identifier(ident) => ident.value.clone(),
                Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                    [q, c] if Some(&q.value) == self.alias.as_ref() => c.value.clone(),
                    _ => return ControlFlow::Break(()),
                },
                _ => return ControlFlow::Continue(()),
            };
            let bound = BOUNDS.contains(&name.as_str());
            let with = match self.given(&name) {
                Some(given) => given.clone(),
                None if bound && self.bounds => Expr::Identifier(Ident::new(name)),
                None => match aliases.iter().find(|a| a.name == name) {
                    Some(alias) => alias.expr.clone(),
                    None => return ControlFlow::Break(()),
                },
            };
            let with = match with {
                plain @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_)) => {
                    plain
                }
                other => Expr::Nested(Box::new(other)),
            };
            *e = mark(&mut put, with);
            ControlFlow::Continue(())
        });
        if flow.is_break() {
            return None;
        }
        let _: ControlFlow<()> = visit_expressions_mut(&mut expr, |e| {
            if let Expr::Identifier(ident) = &*e
                && let Some(index) = ident.value.strip_prefix('\u{0}')
                && let Some(with) = index.parse::<usize>().ok().and_then(|i| put.get(i))
            {
                *e = with.clone();
            }
            ControlFlow::Continue(())
        });
        Some(expr)
    }

    /// ORDER BY of the outer query: a position stays one, and a name alone is that of an item where
    /// one has it; all else names columns.
    fn order(&self, order: &mut OrderBy, items: &[SelectItem]) -> Option<()> {
        let OrderByKind::Expressions(keys) = &mut order.kind else {
            return None;
        };
        for key in keys {
            let is_item = |ident: &Ident| {
                items.iter().any(|item| {
                    matches!(item, SelectItem::ExprWithAlias { alias, .. }
                        if alias.value == ident.value)
                })
            };
            match &key.expr {
                Expr::Value(_) => {}
                Expr::Identifier(ident) if is_item(ident) => {}
                other => {
                    let mapped = self.mapped(other.clone(), &[])?;
                    // Alone, the name would be that of an item.
                    let is_taken = matches!(&mapped, Expr::Identifier(name) if is_item(name));
                    key.expr = (!is_taken).then_some(mapped)?;
                }
            }
        }
        Some(())
    }

    /// A key of the outer query: a position stays one, an alias means its item.
    fn key(&self, key: &Expr, aliases: &[Given]) -> Option<Expr> {
        if key.to_string().parse::<usize>().is_ok() {
            return Some(key.clone());
        }
        if let Expr::Identifier(ident) = key
            && self.given(&ident.value).is_none()
            && let Some(alias) = aliases.iter().find(|a| a.name == ident.value)
        {
            return Some(no_position(alias.expr.clone()));
        }
        self.mapped(key.clone(), &[])
    }
}
