//! One SELECT: its keys and windows found, its aliases resolved, its windows written as their
//! bounds.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, ExcludeSelectItem, Expr, GroupByExpr, Ident, NamedWindowExpr, ObjectName, Select,
    SelectItem, Spanned, TableWithJoins, Value, WindowSpec, WindowType, visit_expressions,
};

use super::from::Scope;
use super::owners::{Owned, keep_merged, of_using, qualify};
use super::unnest::{keep_names, of_owner, stars};
use super::windows::{self, Window};
use super::{
    AGAIN, Level, Moved, RESULT_END, RESULT_START, SYSTEM, Tree, casts, frames, is_of_row, visit,
};
use crate::error::SqlError;
use crate::functions::BOUNDS;
use crate::syntax::{default_name, normal, unpositioned};

struct Item {
    item: SelectItem,
    name: String,
    aliased: bool,
}

impl Item {
    fn is_star(&self) -> bool {
        use SelectItem::{ExprWithAlias, UnnamedExpr};
        !matches!(&self.item, UnnamedExpr(_) | ExprWithAlias { .. })
    }
}

/// What the expressions of one SELECT may name besides columns.
struct Names<'a> {
    scope: &'a Scope,
    windows: &'a [Window],
    /// Aliases: name and meaning.
    aliases: &'a [(String, Expr)],
    /// Columns whose names the select list gives to something else.
    hidden: &'a [Owned],
}

impl Tree<'_> {
    pub(super) fn plain(
        &mut self,
        select: &mut Select,
        level: Level,
    ) -> Result<Vec<Moved>, SqlError> {
        self.clauses(select)?;
        casts::tell_apart(select);
        let scope = self.from(&mut select.from)?;
        let from = std::mem::take(&mut select.from);
        self.of_around(select, &scope);
        keep_merged(select, &scope.merged);
        of_using(select, &scope.merged);
        self.around.push(scope.merged.clone());
        self.stars_of_using(select, &from, &scope.merged)?;
        keep_names(&mut select.projection, &scope.unnested);
        of_owner(select, &scope.unnested);
        let projection = std::mem::take(&mut select.projection);
        select.projection = stars(projection, &scope.unnested);
        let items = self.items(select, &scope);
        let hidden = self.hidden(&items, &from);
        for condition in select.having.iter_mut().chain(&mut select.qualify) {
            visit::local(condition, |e| qualify(e, &hidden));
        }
        let aliases = self.aliases(&items, &from, &scope);
        select.from = from;
        let windows = self.keys(select, &items, &aliases, &scope)?;
        let names = Names {
            scope: &scope,
            windows: &windows,
            aliases: &aliases,
            hidden: &hidden,
        };
        for expr in (select.selection.iter_mut())
            .chain(&mut select.having)
            .chain(&mut select.qualify)
        {
            self.expression(expr, &names)?;
        }
        for having in select.having.iter_mut().chain(&mut select.qualify) {
            visit::expressions(having, |e| {
                replace_alias(e, &names);
                Ok(())
            })?;
            self.bounds(having, &names)?;
        }
        for definition in &mut select.named_window {
            if let NamedWindowExpr::WindowSpec(spec) = &mut definition.1 {
                self.over(spec, &names)?;
            }
        }
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            for key in keys {
                visit::subqueries(key, |q| self.query(q, Level::Inner))?;
            }
        }
        let moved = self.project(select, items, &names, level)?;
        self.around.pop();
        self.meanings = (aliases.iter().filter(|(_, meaning)| is_of_row(meaning)))
            .cloned()
            .collect();
        self.unnested = scope.unnested;
        self.merged = scope.merged;
        self.hidden = hidden;
        self.window = windows.into_iter().next();
        Ok(moved)
    }

    /// Columns whose names the select list gives to something else.
    fn hidden(&self, items: &[Item], from: &[TableWithJoins]) -> Vec<Owned> {
        let tables = || {
            (from.iter()).flat_map(|t| {
                [&t.relation]
                    .into_iter()
                    .chain(t.joins.iter().map(|j| &j.relation))
            })
        };
        let hidden = items.iter().filter(|i| i.aliased);
        hidden
            .filter_map(|i| self.owner(&i.name, tables()))
            .collect()
    }

    /// Names of the select list, and what they mean: one that a column of the input has is that.
    fn aliases(
        &self,
        items: &[Item],
        from: &[TableWithJoins],
        scope: &Scope,
    ) -> Vec<(String, Expr)> {
        let columns = self.all_columns(from);
        let is_column = |name: &String| scope.columns.contains(name) || columns.contains(name);
        let named = items.iter().filter(|i| i.aliased && !is_column(&i.name));
        let named = named.filter_map(|i| match &i.item {
            SelectItem::ExprWithAlias { expr, .. } => Some((i.name.clone(), expr.clone())),
            _ => None,
        });
        named.collect()
    }

    /// Writes the columns that USING made of two in a query around this one, where a name is none
    /// of its own.
    fn of_around(&self, select: &mut Select, scope: &Scope) {
        if !scope.declared {
            return;
        }
        let mut known = scope.columns.clone();
        for around in self.around.iter().rev() {
            let mut others = around.clone();
            others.retain(|merged| !known.contains(&merged.column));
            of_using(select, &others);
            known.extend(others.into_iter().map(|merged| merged.column));
        }
    }

    fn clauses(&self, select: &Select) -> Result<(), SqlError> {
        let odd = select.value_table_mode.is_some()
            || select.select_modifiers.is_some()
            || !select.optimizer_hints.is_empty();
        let on = matches!(select.distinct, Some(Distinct::On(_)));
        let refused = [
            (on, "DISTINCT"),
            (select.top.is_some(), "TOP"),
            (select.exclude.is_some(), "EXCLUDE"),
            (select.into.is_some(), "INTO"),
            (!select.lateral_views.is_empty(), "LATERAL"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.connect_by.is_empty(), "CONNECT"),
            (!select.cluster_by.is_empty(), "CLUSTER"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE"),
            (!select.sort_by.is_empty(), "SORT"),
            (odd, "SELECT"),
        ];
        match refused.iter().find(|(found, _)| *found) {
            Some((_, word)) => Err(self.no(&[word], word)),
            None => Ok(()),
        }
    }

    fn items(&self, select: &mut Select, scope: &Scope) -> Vec<Item> {
        let mut items = Vec::new();
        for mut item in std::mem::take(&mut select.projection) {
            let (name, aliased) = match &mut item {
                SelectItem::UnnamedExpr(expr) => (default_name(expr), false),
                SelectItem::ExprWithAlias { alias, .. } => (normal(alias), true),
                SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                    if self.system && scope.declared {
                        let names = SYSTEM
                            .iter()
                            .map(|s| ObjectName::from(vec![Ident::new(*s)]));
                        let mut names: Vec<_> = names.collect();
                        match options.opt_exclude.take() {
                            None => {}
                            Some(ExcludeSelectItem::Single(name)) => names.push(name),
                            Some(ExcludeSelectItem::Multiple(more)) => names.extend(more),
                        }
                        options.opt_exclude = Some(ExcludeSelectItem::Multiple(names));
                    }
                    (String::new(), false)
                }
                SelectItem::ExprWithAliases { .. } => (String::new(), false),
            };
            items.push(Item {
                item,
                name,
                aliased,
            });
        }
        items
    }

    /// Resolves positions and aliases in GROUP BY, and takes its windows apart.
    fn keys(
        &self,
        select: &mut Select,
        items: &[Item],
        aliases: &[(String, Expr)],
        scope: &Scope,
    ) -> Result<Vec<Window>, SqlError> {
        let place = self.select.place;
        let GroupByExpr::Expressions(keys, _) = &mut select.group_by else {
            return Err(self.no(&["GROUP"], "GROUP BY ALL"));
        };
        let mut windows: Vec<Window> = Vec::new();
        let mut written = Vec::new();
        for mut key in std::mem::take(keys) {
            if let Expr::Value(v) = &key
                && let Value::Number(n, _) = &v.value
            {
                let position = n.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                let item = position.and_then(|p| items.get(p)).map(|i| &i.item);
                let (Some(SelectItem::UnnamedExpr(expr))
                | Some(SelectItem::ExprWithAlias { expr, .. })) = item
                else {
                    let message = format!("GROUP BY position {n} is not in the select list");
                    return Err(place.error("E0201", key.span().start, message));
                };
                key = expr.clone();
            } else if let Expr::Identifier(ident) = &key
                && let Some((_, meaning)) = aliases.iter().find(|(n, _)| *n == normal(ident))
            {
                key = meaning.clone();
            }
            match windows::read(place, &key, scope.event_time.as_ref())? {
                None => written.push(unpositioned(key)),
                Some(window) => {
                    if windows.iter().any(|w| *w != window) {
                        let at = key.span().start;
                        return Err(place.error("E0401", at, "a query has one window"));
                    }
                    written.extend(window.keys());
                    windows = vec![window];
                }
            }
        }
        *keys = written;
        Ok(windows)
    }

    /// Subqueries, and what stands in OVER.
    fn expression(&mut self, expr: &mut Expr, names: &Names<'_>) -> Result<(), SqlError> {
        visit::subqueries(expr, |q| self.query(q, Level::Inner))?;
        visit::expressions(expr, |e| {
            if let Expr::Function(f) = e
                && let Some(WindowType::WindowSpec(spec)) = &mut f.over
            {
                frames::by_rows(&f.name.to_string(), spec);
                self.over(spec, names)?;
            }
            Ok(())
        })
    }

    fn over(&self, spec: &mut WindowSpec, names: &Names<'_>) -> Result<(), SqlError> {
        let mut keys = Vec::new();
        let meant = |expr: &mut Expr| visit::local(expr, |e| replace_alias(e, names));
        for mut key in std::mem::take(&mut spec.partition_by) {
            meant(&mut key);
            match self.window(&key, names)? {
                Some(window) => keys.extend(window.keys()),
                None => {
                    self.bounds(&mut key, names)?;
                    keys.push(key);
                }
            }
        }
        spec.partition_by = keys;
        for by in &mut spec.order_by {
            meant(&mut by.expr);
            if let Some(window) = self.window(&by.expr, names)? {
                by.expr = window.start();
            }
            self.bounds(&mut by.expr, names)?;
        }
        Ok(())
    }

    /// The window that an expression is; it has to be one of GROUP BY.
    fn window(&self, expr: &Expr, names: &Names<'_>) -> Result<Option<Window>, SqlError> {
        let place = self.select.place;
        let inner = match expr {
            Expr::Nested(inner) => inner,
            other => other,
        };
        let Some(window) = windows::read(place, inner, names.scope.event_time.as_ref())? else {
            return Ok(None);
        };
        if !names.windows.contains(&window) {
            let message = "this window is not one of GROUP BY";
            let hint = "group by the same window";
            return Err(place.hinted("E0401", inner.span().start, message, hint));
        }
        Ok(Some(window))
    }

    /// Writes `window_start`, `w.end` and the like as the bounds of the window.
    fn bounds(&self, expr: &mut Expr, names: &Names<'_>) -> Result<(), SqlError> {
        let Some(window) = names.windows.first() else {
            return match windows_inside(expr) {
                Some(at) => {
                    let message = "this window is not one of GROUP BY";
                    let hint = "group by the same window";
                    Err(self.select.place.hinted("E0401", at, message, hint))
                }
                None => Ok(()),
            };
        };
        let called = |name: &str| {
            name == "window"
                || names.aliases.iter().any(|(n, meaning)| {
                    n == name
                        && windows::function_name(meaning).is_some_and(|f| windows::is_window(&f))
                })
        };
        visit::expressions(expr, |e| {
            let bound = match &*e {
                Expr::Identifier(i) => Some(normal(i)),
                Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                    [w, bound] if called(&normal(w)) => Some(format!("window_{}", normal(bound))),
                    _ => None,
                },
                other => windows::function_name(other),
            };
            match bound.as_deref() {
                Some("window_start") => *e = window.start(),
                Some("window_end") => *e = window.end(),
                Some(name) if BOUNDS.contains(&name) => {
                    *e = match name.ends_with("_start") {
                        true => window.start(),
                        false => window.end(),
                    }
                }
                Some(name) if windows::is_window(name) && matches!(e, Expr::Function(_)) => {
                    let message = "a whole window is a result, not an argument";
                    let hint = "use window_start or window_end";
                    let at = e.span().start;
                    return Err(self.select.place.hinted("E0207", at, message, hint));
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn project(
        &mut self,
        select: &mut Select,
        items: Vec<Item>,
        names: &Names<'_>,
        level: Level,
    ) -> Result<Vec<Moved>, SqlError> {
        let mut moved = Vec::new();
        let taken: Vec<String> = items.iter().map(|i| i.name.clone()).collect();
        // What a star gives may have any name.
        let star = level == Level::Outermost && items.iter().any(Item::is_star);
        let of_input = level == Level::Outermost && self.orders_by_input;
        let out = &mut select.projection;
        for Item {
            item,
            name,
            aliased,
        } in items
        {
            let position = out.len();
            let mut expr = match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr,
                other => {
                    out.push(other);
                    let apart = None;
                    moved.push(Moved {
                        name,
                        position,
                        apart,
                    });
                    continue;
                }
            };
            let window = self.window(&expr, names)?;
            let plain = !aliased && names.windows.is_empty() && is_apart(&expr, &name, &moved, out);
            let again = !plain && moved.iter().any(|m| m.name == name);
            // ORDER BY may name the column besides.
            let two = of_input && names.hidden.iter().any(|column| column.column == name);
            let apart = (star || again || two).then(|| format!("{name}{AGAIN}{position}"));
            let first = match (&window, level) {
                (None, _) => apart.clone(),
                (Some(_), Level::Outermost) if aliased => Some(format!("{name}{RESULT_START}")),
                (Some(_), Level::Outermost) => Some(format!("window{RESULT_START}")),
                (Some(_), Level::Inner) => Some("window_start".to_owned()),
            };
            moved.push(Moved {
                name: name.clone(),
                position,
                apart: first,
            });
            match window {
                None => {
                    self.expression(&mut expr, names)?;
                    self.bounds(&mut expr, names)?;
                    let alias = Ident::with_quote('"', apart.unwrap_or(name));
                    out.push(match plain && !star {
                        true => SelectItem::UnnamedExpr(expr),
                        false => SelectItem::ExprWithAlias { expr, alias },
                    });
                }
                Some(window) => {
                    let name = if aliased { name } else { "window".to_owned() };
                    for (expr, suffix, inner) in [
                        (window.start(), RESULT_START, "window_start"),
                        (window.end(), RESULT_END, "window_end"),
                    ] {
                        let alias = match level {
                            Level::Outermost => format!("{name}{suffix}"),
                            Level::Inner if taken.iter().any(|t| t == inner) => continue,
                            Level::Inner => inner.to_owned(),
                        };
                        let alias = Ident::with_quote('"', alias);
                        out.push(SelectItem::ExprWithAlias { expr, alias });
                    }
                }
            }
        }
        Ok(moved)
    }
}

/// Whether an item is a column that can stay as it is: others of its name are told apart by their
/// relations, and by nothing else.
fn is_apart(expr: &Expr, name: &str, moved: &[Moved], out: &[SelectItem]) -> bool {
    let mut others = moved.iter().filter(|m| m.name == name);
    // However names are written: `k`, `K` and `"k"` are one.
    let relation = |e: &Expr| match e {
        Expr::CompoundIdentifier(parts) => Some(
            parts[..parts.len() - 1]
                .iter()
                .map(normal)
                .collect::<Vec<_>>(),
        ),
        _ => None,
    };
    let own = relation(expr);
    let unnamed = |m: &Moved| match out.get(m.position) {
        Some(SelectItem::UnnamedExpr(other)) => own.is_some() && relation(other) != own,
        _ => false,
    };
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) && others.all(unnamed)
}

fn replace_alias(expr: &mut Expr, names: &Names<'_>) {
    if let Expr::Identifier(ident) = expr
        && let Some((_, meaning)) = names.aliases.iter().find(|(n, _)| *n == normal(ident))
    {
        *expr = Expr::Nested(Box::new(meaning.clone()));
    }
}

fn windows_inside(expr: &Expr) -> Option<datafusion::sql::sqlparser::tokenizer::Location> {
    let flow = visit_expressions(expr, |e| {
        match windows::function_name(e).is_some_and(|f| windows::is_window(&f)) {
            true => ControlFlow::Break(e.span().start),
            false => ControlFlow::Continue(()),
        }
    });
    match flow {
        ControlFlow::Break(at) => Some(at),
        ControlFlow::Continue(()) => None,
    }
}
