//! One SELECT: its clauses, its items, what it groups by.

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, NamedWindowDefinition, NamedWindowExpr, OrderBy, Select,
    SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, Spanned, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::expr::Context;
use super::group::{Grouping, unnested};
use super::scope::{Ctes, Scope};
use super::{Checker, Output};
use crate::error::SqlError;
use crate::functions::WINDOWS;
use crate::syntax::{call, default_name};

/// What a select item computes, and its name.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) expr: Expr,
    pub(crate) name: String,
    pub(crate) aliased: bool,
    data_type: Option<DataType>,
}

impl Checker<'_> {
    pub(super) fn select(
        &mut self,
        select: &Select,
        ctes: &Ctes,
        outer: Option<&Scope<'_>>,
        order: Option<&OrderBy>,
    ) -> Result<Output, SqlError> {
        let Select {
            select_token,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        let at = select_token.0.span.start;
        let foreign = [
            (top.is_some(), "TOP", "LIMIT n"),
            (exclude.is_some(), "EXCLUDE", "name the columns"),
            (
                into.is_some(),
                "INTO",
                "INSERT INTO t SELECT .., or CREATE MATERIALIZED VIEW",
            ),
            (
                !lateral_views.is_empty(),
                "LATERAL",
                "CROSS JOIN UNNEST(list) AS item",
            ),
            (prewhere.is_some(), "PREWHERE", "WHERE"),
            (
                !connect_by.is_empty(),
                "CONNECT",
                "write the levels out as joins",
            ),
            (
                !cluster_by.is_empty(),
                "CLUSTER",
                "rows are routed by their keys",
            ),
            (
                !distribute_by.is_empty(),
                "DISTRIBUTE",
                "rows are routed by their keys",
            ),
            (!sort_by.is_empty(), "SORT", "ORDER BY"),
        ];
        for (found, word, hint) in foreign {
            if found {
                let from = self.find(&["FROM"], at);
                let from = match word {
                    "TOP" | "EXCLUDE" | "INTO" => at,
                    _ => from,
                };
                let what = match word {
                    "CONNECT" | "CLUSTER" | "DISTRIBUTE" | "SORT" => format!("{word} BY"),
                    _ => word.to_string(),
                };
                return Err(self.place.foreign(self.find(&[word], from), &what, hint));
            }
        }
        if !optimizer_hints.is_empty() || select_modifiers.is_some() || value_table_mode.is_some() {
            return Err(self.place.foreign(at, "a modifier of SELECT", ""));
        }
        match flavor {
            SelectFlavor::Standard => {}
            SelectFlavor::FromFirst | SelectFlavor::FromFirstNoSelect => {
                return Err(self
                    .place
                    .foreign(at, "FROM before SELECT", "SELECT .. FROM .."));
            }
        }
        match distinct {
            None | Some(Distinct::All | Distinct::Distinct) => {}
            Some(Distinct::On(_)) => {
                let hint = "in brackets, with an ORDER BY of its own";
                let at = self.find(&["DISTINCT"], at);
                let what = "DISTINCT ON beside UNION, EXCEPT or INTERSECT";
                return Err(self.place.foreign(at, what, hint));
            }
        }
        if projection.is_empty() {
            let at = self.find(&["FROM"], at);
            let message = "nothing is selected";
            return Err(self.place.hinted("E0101", at, message, "SELECT * FROM .."));
        }
        let (scope, input) = self.from(from, ctes, outer)?;
        let items = self.items(projection, &scope)?;
        let mut output = Output {
            columns: Vec::new(),
            ..input
        };
        let keys = self.keys(group_by, at)?;
        let mut grouping = Grouping::default();
        for key in keys {
            let is_sets = matches!(key, Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_));
            for part in parts(key) {
                let key = self.key(part, &scope, &items)?;
                self.group_key(key, &scope, ctes)?;
                grouping.add(key, &scope);
                if is_sets && let Some(at) = grouping.last_window(key) {
                    let message = "a window within grouping sets is not supported yet";
                    let hint = "one query with the window for each set";
                    return Err(self.place.hinted("E0301", at, message, hint));
                }
            }
        }
        if let Some(at) = grouping.second_window() {
            let hint = "a window of windows is a query over a query";
            return Err(self
                .place
                .hinted("E0401", at, "a query has one window", hint));
        }
        if let Some(condition) = selection {
            let row = Context::row(&scope, ctes);
            let items = &items;
            self.asked(condition, Context { items, ..row })?;
        }
        let names = self.named_windows(named_window)?;
        let aggregated = !keys.is_empty()
            || having.is_some()
            || items.iter().any(|i| super::call::aggregates(&i.expr));
        let context = Context {
            group: aggregated.then_some(&grouping),
            items: &items,
            windows: &names,
            over: true,
            unbounded: !output.bounded,
            ..Context::row(&scope, ctes)
        };
        for item in &items {
            self.walk(&item.expr, context)?;
        }
        for NamedWindowDefinition(_, window) in named_window {
            if let NamedWindowExpr::WindowSpec(spec) = window {
                self.over(spec, context)?;
            }
        }
        if let Some(having) = having {
            let aliases = true;
            self.asked(
                having,
                Context {
                    over: false,
                    aliases,
                    ..context
                },
            )?;
        }
        if let Some(qualify) = qualify {
            let aliases = true;
            self.asked(qualify, Context { aliases, ..context })?;
            if !super::call::has_over(qualify, &items) {
                let at = self.find(&["QUALIFY"], at);
                let hint = "conditions on rows go into WHERE, on groups into HAVING";
                let message = "QUALIFY without a function that has OVER";
                return Err(self.place.hinted("E0207", at, message, hint));
            }
        }
        if let Some(order) = order {
            self.order_by(order, &scope, ctes, &items, context.group)?;
        }
        if aggregated {
            output.window |= grouping.has_window();
            output.watermark &= grouping.has_window() || output.window;
            output.watermark |= grouping.is_by_clock();
        }
        output.columns = items.into_iter().map(|i| (i.name, i.data_type)).collect();
        Ok(output)
    }

    fn keys<'e>(&self, group_by: &'e GroupByExpr, at: Location) -> Result<&'e [Expr], SqlError> {
        match group_by {
            GroupByExpr::Expressions(keys, modifiers) if modifiers.is_empty() => {
                let empty = |k: &Expr| matches!(k, Expr::Tuple(parts) if parts.is_empty());
                match keys.iter().any(empty) {
                    true => {
                        let at = self.find(&["GROUP"], at);
                        let hint = "without GROUP BY, aggregates are over all rows";
                        Err(self.place.foreign(at, "GROUP BY ()", hint))
                    }
                    false => Ok(keys),
                }
            }
            GroupByExpr::Expressions(_, _) => {
                let at = self.find(&["WITH"], at);
                let hint = "GROUP BY ROLLUP (..), CUBE (..), GROUPING SETS (..)";
                Err(self.place.foreign(at, "WITH behind GROUP BY", hint))
            }
            GroupByExpr::All(_) => {
                let at = self.find(&["GROUP"], at);
                Err(self.place.foreign(at, "GROUP BY ALL", "name the keys"))
            }
        }
    }

    fn group_key(&mut self, key: &Expr, scope: &Scope<'_>, ctes: &Ctes) -> Result<(), SqlError> {
        if let Expr::Function(f) = unnested(key)
            && let Some((name, _)) = call(unnested(key))
            && WINDOWS.contains(&name)
        {
            return self.window_call(f, name, scope, ctes);
        }
        self.row(key, scope, ctes)
    }

    fn named_windows(&self, windows: &[NamedWindowDefinition]) -> Result<Vec<String>, SqlError> {
        let mut names: Vec<String> = Vec::new();
        for NamedWindowDefinition(name, window) in windows {
            if names.contains(&name.value) {
                let message = format!("window \"{}\" is defined twice", name.value);
                return Err(self.place.error("E0205", name.span.start, message));
            }
            if let NamedWindowExpr::NamedWindow(other) = window
                && !names.contains(&other.value)
            {
                let message = format!("window \"{}\" is not defined", other.value);
                return Err(self.place.error("E0202", other.span.start, message));
            }
            names.push(name.value.clone());
        }
        Ok(names)
    }

    fn items(&self, projection: &[SelectItem], scope: &Scope<'_>) -> Result<Vec<Item>, SqlError> {
        let mut items = Vec::new();
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(expr) => items.push(self.item(expr, None, scope)),
                SelectItem::ExprWithAlias { expr, alias } => {
                    items.push(self.item(expr, Some(alias), scope));
                }
                SelectItem::ExprWithAliases { expr, aliases: _ } => {
                    let at = self.at(expr);
                    return Err(self.place.foreign(at, "a list of aliases", "one name each"));
                }
                SelectItem::Wildcard(options) => {
                    self.plain_star(options)?;
                    self.star(None, options.wildcard_token.0.span.start, scope, &mut items)?;
                }
                SelectItem::QualifiedWildcard(of, options) => {
                    self.plain_star(options)?;
                    let name = match of {
                        SelectItemQualifiedWildcardKind::ObjectName(name) => name,
                        SelectItemQualifiedWildcardKind::Expr(expr) => {
                            let hint = "name the fields";
                            return Err(self.place.foreign(self.at(expr), "(..).*", hint));
                        }
                    };
                    let at = self.at(name);
                    let relation = match name.0.as_slice() {
                        [part] => part.as_ident().map(|i| i.value.clone()),
                        _ => None,
                    };
                    let relation = relation.unwrap_or_else(|| name.to_string());
                    if !scope.has_relation(&relation) {
                        return Err(scope.missing_relation(self.place, &relation, at));
                    }
                    self.star(Some(&relation), at, scope, &mut items)?;
                }
            }
        }
        Ok(items)
    }

    fn item(&self, expr: &Expr, alias: Option<&Ident>, scope: &Scope<'_>) -> Item {
        let data_type = match unnested(expr) {
            Expr::Identifier(i) => (scope.column(self.place, &i.value, i.span.start))
                .ok()
                .flatten()
                .and_then(|f| f.data_type),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [relation, column] => (scope.qualified(self.place, &relation.value, column))
                    .ok()
                    .flatten()
                    .and_then(|f| f.data_type),
                _ => None,
            },
            _ => None,
        };
        Item {
            expr: expr.clone(),
            name: alias.map_or_else(|| default_name(expr), |a| a.value.clone()),
            aliased: alias.is_some(),
            data_type,
        }
    }

    fn star(
        &self,
        of: Option<&str>,
        at: Location,
        scope: &Scope<'_>,
        items: &mut Vec<Item>,
    ) -> Result<(), SqlError> {
        if scope.is_empty() {
            let hint = "SELECT * FROM t";
            return Err(self.place.hinted("E0101", at, "\"*\" without FROM", hint));
        }
        for (name, data_type) in scope.star(of) {
            let mut ident = Ident::with_quote('"', &name);
            ident.span = datafusion::sql::sqlparser::tokenizer::Span::new(at, at);
            let qualified = scope.column(self.place, &name, at).is_err();
            let expr = match of {
                Some(relation) => Expr::CompoundIdentifier(vec![Ident::new(relation), ident]),
                // A name that two relations have: the star means each, and there is no name for it.
                None if qualified => {
                    Expr::Value(datafusion::sql::sqlparser::ast::Value::Null.with_empty_span())
                }
                None => Expr::Identifier(ident),
            };
            items.push(Item {
                expr,
                name,
                aliased: false,
                data_type,
            });
        }
        Ok(())
    }

    fn plain_star(&self, options: &WildcardAdditionalOptions) -> Result<(), SqlError> {
        let WildcardAdditionalOptions {
            wildcard_token,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let plain = opt_ilike.is_none()
            && opt_exclude.is_none()
            && opt_except.is_none()
            && opt_replace.is_none()
            && opt_rename.is_none()
            && opt_alias.is_none();
        match plain {
            true => Ok(()),
            false => {
                let at = wildcard_token.0.span.end;
                let at = options.span().start.max(at);
                Err(self
                    .place
                    .foreign(at, "what stands behind \"*\"", "name the columns"))
            }
        }
    }
}

/// The keys that GROUPING SETS and the like are made of.
fn parts(key: &Expr) -> Vec<&Expr> {
    match key {
        Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
            sets.iter().flatten().collect()
        }
        Expr::Tuple(keys) => keys.iter().collect(),
        other => vec![other],
    }
}
