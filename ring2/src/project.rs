//! What a resolved query gives to DataFusion: results by position, windows as calls.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, SelectItem, Spanned, visit_expressions_mut};

use crate::ResultColumn;
use crate::error::SqlError;
use crate::resolve::{Item, Resolver};
use crate::syntax::call;

impl Resolver<'_> {
    /// Writes the bounds of the window as calls.
    pub(crate) fn rewrite<'e>(
        &self,
        exprs: impl IntoIterator<Item = &'e mut Expr>,
    ) -> Result<(), SqlError> {
        for expr in exprs {
            let flow = visit_expressions_mut(expr, |e| {
                let Some(window) = &self.window else {
                    return ControlFlow::Continue(());
                };
                let bound = match (&*e, call(e)) {
                    (Expr::Identifier(i), _) if self.source.index_of(&i.value).is_some() => None,
                    (Expr::Identifier(i), _) => Some(i.value.clone()),
                    (_, Some((name, _))) => Some(name.to_string()),
                    _ => None,
                };
                match bound.as_deref() {
                    Some("window_start" | "tumble_start") => *e = window.start_expr(),
                    Some("window_end" | "tumble_end") => *e = window.end_expr(),
                    Some("tumble") => {
                        let message = "a whole window is a result, not an argument";
                        let hint = "use window_start or window_end";
                        let at = e.span().start;
                        let error = self.select.place.hinted("E0207", at, message, hint);
                        return ControlFlow::Break(error);
                    }
                    _ => {}
                }
                ControlFlow::Continue(())
            });
            if let ControlFlow::Break(error) = flow {
                return Err(error);
            }
        }
        Ok(())
    }

    pub(crate) fn project(
        &self,
        items: Vec<Item>,
    ) -> Result<(Vec<SelectItem>, Vec<ResultColumn>), SqlError> {
        let mut projection = Vec::new();
        let mut results = Vec::new();
        let mut add = |expr: Expr| {
            let index = projection.len();
            let alias = Ident::with_quote('"', format!("__c{index}"));
            projection.push(SelectItem::ExprWithAlias { expr, alias });
            index
        };
        for mut item in items {
            let name = item.name;
            if let (Some(("tumble", _)), Some(window)) = (call(&item.expr), &self.window) {
                let name = match item.aliased {
                    true => name,
                    false => "window".into(),
                };
                let start = add(window.start_expr());
                let end = add(window.end_expr());
                results.push(ResultColumn::Window { name, start, end });
            } else {
                self.rewrite([&mut item.expr])?;
                let index = add(item.expr);
                results.push(ResultColumn::Plain { name, index });
            }
        }
        Ok((projection, results))
    }
}
