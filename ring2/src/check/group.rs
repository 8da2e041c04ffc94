//! What a query groups by, as texts that two spellings of one key share: columns are written by
//! their place in FROM.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Spanned, visit_expressions_mut};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::Checker;
use super::expr::Context;
use super::scope::{Ctes, Found, Scope};
use super::select::Item;
use crate::error::SqlError;
use crate::functions::WINDOWS;
use crate::planner::tree::INGESTED;
use crate::syntax::{call, processing_time};

/// The keys of a grouped query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grouping {
    keys: Vec<String>,
    /// Its windows: kind and arguments as texts, and where they stand.
    windows: Vec<(String, String, Location)>,
    by_clock: bool,
}

impl Grouping {
    pub(super) fn has_window(&self) -> bool {
        !self.windows.is_empty()
    }

    /// Whether its window is on processing time.
    pub(super) fn is_by_clock(&self) -> bool {
        self.by_clock
    }

    /// Where a window stands that is not the first one.
    pub(super) fn second_window(&self) -> Option<Location> {
        let (kind, arguments, _) = self.windows.first()?;
        let mut others = (self.windows.iter()).filter(|(k, a, _)| k != kind || a != arguments);
        others.next().map(|(_, _, at)| *at)
    }

    /// Where the key that came last stands, if it is a window.
    pub(super) fn last_window(&self, key: &Expr) -> Option<Location> {
        let at = key.span().start;
        self.windows
            .last()
            .map(|(_, _, at)| *at)
            .filter(|a| *a == at)
    }

    pub(super) fn has_key(&self, text: &str) -> bool {
        self.keys.iter().any(|k| k == text)
    }

    /// Whether a window of this kind has these arguments.
    pub(super) fn window_of(&self, kind: &str, arguments: &str) -> bool {
        self.windows
            .iter()
            .any(|(k, a, _)| k == kind && a == arguments)
    }

    /// The columns of windows take part in what is grouped.
    pub(super) fn add(&mut self, expr: &Expr, scope: &Scope<'_>) {
        let text = normal(expr, scope);
        if let Some((name, args)) = call(unnested(expr))
            && WINDOWS.contains(&name)
        {
            let arguments = arguments(&args, scope);
            let ingested = |name: &Ident| crate::syntax::normal(name) == INGESTED;
            self.by_clock |= match args.first() {
                Some(Expr::Identifier(name)) => ingested(name),
                Some(Expr::CompoundIdentifier(names)) => names.last().is_some_and(ingested),
                _ => processing_time(unnested(expr)).is_some(),
            };
            self.windows
                .push((name.to_string(), arguments, expr.span().start));
        }
        self.keys.push(text);
    }
}

pub(super) fn unnested(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => unnested(inner),
        other => other,
    }
}

/// The texts of arguments.
pub(super) fn arguments(args: &[Expr], scope: &Scope<'_>) -> String {
    let texts: Vec<_> = args.iter().map(|a| normal(a, scope)).collect();
    texts.join(", ")
}

/// An expression's text with its columns by place.
pub(super) fn normal(expr: &Expr, scope: &Scope<'_>) -> String {
    let mut copy = unnested(expr).clone();
    let _: ControlFlow<()> = visit_expressions_mut(&mut copy, |e| {
        if let Some(found) = quiet(e, scope) {
            let Found {
                level,
                relation,
                column,
                data_type: _,
            } = found;
            *e = Expr::Identifier(Ident::new(format!("#{level}.{relation}.{column}")));
        }
        ControlFlow::Continue(())
    });
    copy.to_string()
}

/// The column that an expression is, without errors.
fn quiet(expr: &Expr, scope: &Scope<'_>) -> Option<Found> {
    let file = crate::SourceFile {
        name: String::new(),
        text: String::new(),
        base: Default::default(),
    };
    let place = crate::place::Place { file: &file };
    let at = expr.span().start;
    match expr {
        Expr::Identifier(i) => scope.column(place, &i.value, at).ok().flatten(),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [relation, column] => (scope.qualified(place, &relation.value, column))
                .ok()
                .flatten(),
            _ => None,
        },
        _ => None,
    }
}

impl Checker<'_> {
    /// An expression over rows: no aggregate, no OVER.
    pub(super) fn row(
        &mut self,
        expr: &Expr,
        scope: &Scope<'_>,
        ctes: &Ctes,
    ) -> Result<(), SqlError> {
        self.walk(expr, Context::row(scope, ctes))
    }

    /// A key: the position or alias of an item stands for it.
    pub(super) fn key<'e>(
        &self,
        key: &'e Expr,
        scope: &Scope<'_>,
        items: &'e [Item],
    ) -> Result<&'e Expr, SqlError> {
        if let Some(position) = super::clauses::position(key) {
            let item = position.checked_sub(1).and_then(|i| items.get(i));
            return item.map(|i| &i.expr).ok_or_else(|| {
                let message = format!("GROUP BY position {position} is not in the select list");
                let hint = format!("it has {}: name the column", items.len());
                self.place.hinted("E0201", self.at(key), message, hint)
            });
        }
        if let Expr::Identifier(ident) = key {
            let at = ident.span.start;
            if scope.column(self.place, &ident.value, at)?.is_none()
                && let Some(item) = items.iter().find(|i| i.aliased && i.name == ident.value)
            {
                return Ok(&item.expr);
            }
        }
        Ok(key)
    }
}
