//! ORDER BY, LIMIT, VALUES and OVER.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, LimitClause, Offset, OrderBy, OrderByExpr, OrderByKind, OrderByOptions, Spanned, Value,
    Values, WindowFrame, WindowFrameBound, WindowSpec, visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::expr::Context;
use super::group::Grouping;
use super::scope::{Ctes, Scope};
use super::select::Item;
use super::{Checker, Output};
use crate::error::SqlError;

impl Checker<'_> {
    /// Whether there is a LIMIT.
    pub(super) fn limit(
        &self,
        clause: Option<&LimitClause>,
        from: Location,
    ) -> Result<bool, SqlError> {
        let constants: Vec<&Expr> = match clause {
            None => return Ok(false),
            Some(LimitClause::LimitOffset {
                limit,
                offset,
                limit_by,
            }) => {
                if let [by, ..] = limit_by.as_slice() {
                    let hint = "ROW_NUMBER() OVER (PARTITION BY ..) <= n";
                    return Err(self.place.foreign(self.at(by), "LIMIT BY", hint));
                }
                let offset = offset.as_ref().map(|Offset { value, rows: _ }| value);
                limit.iter().chain(offset).collect()
            }
            Some(LimitClause::OffsetCommaLimit {
                offset: _,
                limit: _,
            }) => {
                let at = self.find(&["LIMIT"], from);
                return Err(self.place.foreign(at, "LIMIT a, b", "LIMIT b OFFSET a"));
            }
        };
        for constant in constants {
            let number = match constant {
                Expr::Value(v) => match &v.value {
                    Value::Number(text, _) => text.parse::<u64>().is_ok(),
                    _ => false,
                },
                _ => false,
            };
            if !number {
                let message = "LIMIT and OFFSET take a whole number from 0 up";
                return Err(self
                    .place
                    .hinted("E0206", self.at(constant), message, "LIMIT 10"));
            }
        }
        Ok(true)
    }

    /// ORDER BY of a query; `items` are what it selects.
    pub(super) fn order_by(
        &mut self,
        order: &OrderBy,
        scope: &Scope<'_>,
        ctes: &Ctes,
        items: &[Item],
        group: Option<&Grouping>,
    ) -> Result<(), SqlError> {
        let OrderBy { kind, interpolate } = order;
        let exprs = match kind {
            OrderByKind::Expressions(exprs) => exprs,
            OrderByKind::All(_) => {
                let at = self.find(&["ORDER"], self.chunk.start());
                return Err(self.place.foreign(at, "ORDER BY ALL", "name the columns"));
            }
        };
        if interpolate.is_some() {
            let at = self.find(&["INTERPOLATE"], self.chunk.start());
            return Err(self.place.foreign(at, "INTERPOLATE", ""));
        }
        for by in exprs {
            let expr = self.order_expr(by)?;
            if let Some(at) = subquery_in(expr) {
                let message = "a subquery in ORDER BY is not supported yet";
                let hint = "select it by a name: SELECT (SELECT ..) AS x .. ORDER BY x";
                return Err(self.place.hinted("E0301", at, message, hint));
            }
            if let Some(position) = position(expr) {
                let columns = match items.is_empty() {
                    true => scope.star(None).len(),
                    false => items.len(),
                };
                if position == 0 || position > columns {
                    let message = format!("ORDER BY position {position} is not in the select list");
                    let hint = format!("it has {columns}: name the column");
                    return Err(self.place.hinted("E0201", self.at(expr), message, hint));
                }
                continue;
            }
            if let Expr::Identifier(ident) = expr
                && items.iter().any(|i| i.name == ident.value)
            {
                continue;
            }
            let context = Context {
                over: true,
                aliases: true,
                group,
                items,
                ..Context::row(scope, ctes)
            };
            self.walk(expr, context)?;
        }
        Ok(())
    }

    /// The expression of one ORDER BY key.
    pub(super) fn order_expr<'e>(&self, by: &'e OrderByExpr) -> Result<&'e Expr, SqlError> {
        let OrderByExpr {
            expr,
            options,
            with_fill,
        } = by;
        let OrderByOptions {
            asc: _,
            nulls_first: _,
        } = options;
        match with_fill {
            Some(_) => Err(self.place.foreign(self.at(expr), "WITH FILL", "")),
            None => Ok(expr),
        }
    }

    pub(super) fn values(
        &mut self,
        values: &Values,
        ctes: &Ctes,
        outer: Option<&Scope<'_>>,
    ) -> Result<Output, SqlError> {
        let Values {
            explicit_row,
            value_keyword,
            rows,
        } = values;
        let at = self.chunk.start();
        if *explicit_row || *value_keyword {
            return Err(self
                .place
                .foreign(at, "this form of VALUES", "VALUES (..), (..)"));
        }
        let scope = Scope::within(outer);
        let width = rows.first().map_or(0, |r| r.len());
        for row in rows {
            if row.len() != width {
                let at = row.first().map_or(at, |e| self.at(e));
                let message = format!("a row of {} values behind one of {width}", row.len());
                let hint = "all rows have as many values; NULL where there is none";
                return Err(self.place.hinted("E0209", at, message, hint));
            }
            row.iter().try_for_each(|e| self.row(e, &scope, ctes))?;
        }
        Ok(Output {
            columns: (1..=width).map(|i| (format!("column{i}"), None)).collect(),
            bounded: true,
            watermark: false,
            window: false,
        })
    }

    /// OVER: what its expressions may be is said by `check`.
    pub(super) fn window_spec(
        &mut self,
        spec: &WindowSpec,
        names: &[String],
        check: &mut dyn FnMut(&mut Self, &Expr) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        let WindowSpec {
            window_name,
            partition_by,
            order_by,
            window_frame,
        } = spec;
        if let Some(name) = window_name
            && !names.contains(&name.value)
        {
            let message = format!("window \"{}\" is not defined", name.value);
            let hint = "WINDOW w AS (PARTITION BY ..), behind HAVING";
            return Err(self.place.hinted("E0202", name.span.start, message, hint));
        }
        for expr in partition_by {
            check(self, expr)?;
        }
        for by in order_by {
            let expr = self.order_expr(by)?;
            check(self, expr)?;
        }
        let Some(frame) = window_frame else {
            return Ok(());
        };
        let WindowFrame {
            units: _,
            start_bound,
            end_bound,
        } = frame;
        for bound in std::iter::once(start_bound).chain(end_bound) {
            match bound {
                WindowFrameBound::CurrentRow => {}
                WindowFrameBound::Preceding(None) | WindowFrameBound::Following(None) => {}
                WindowFrameBound::Preceding(Some(e)) | WindowFrameBound::Following(Some(e)) => {
                    match e.as_ref() {
                        Expr::Interval(interval) => crate::interval::check(self.place, interval)?,
                        Expr::Value(_) => {}
                        other => {
                            let message = "a frame is bounded by a constant";
                            let at = other.span().start;
                            return Err(self.place.error("E0206", at, message));
                        }
                    }
                }
            }
        }
        if let WindowFrameBound::Following(None) = start_bound {
            let at = self.find(&["OVER"], self.chunk.start());
            let message = "a frame cannot begin with UNBOUNDED FOLLOWING";
            return Err(self.place.error("E0206", at, message));
        }
        Ok(())
    }
}

/// A whole number as it stands for a select item.
pub(super) fn position(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(v) => match &v.value {
            Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Where a subquery stands in an expression.
fn subquery_in(expr: &Expr) -> Option<Location> {
    let flow = visit_expressions(expr, |e| match e {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
            ControlFlow::Break(e.span().start)
        }
        _ => ControlFlow::Continue(()),
    });
    flow.break_value()
}
