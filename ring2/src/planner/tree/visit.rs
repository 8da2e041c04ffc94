//! A walk over the expressions of one query, subqueries apart: those are handed to their own
//! walk, where other names hold.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, VisitMut, VisitorMut};

use crate::error::SqlError;

struct Local<E, Q> {
    depth: usize,
    expr: E,
    query: Q,
}

impl<E, Q> VisitorMut for Local<E, Q>
where
    E: FnMut(&mut Expr) -> Result<(), SqlError>,
    Q: FnMut(&mut Query) -> Result<(), SqlError>,
{
    type Break = SqlError;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        self.depth -= 1;
        match self.depth {
            0 => flow((self.query)(query)),
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match self.depth {
            0 => flow((self.expr)(expr)),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn flow(result: Result<(), SqlError>) -> ControlFlow<SqlError> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

/// Visits the expressions of this query, children first.
pub(super) fn expressions(
    root: &mut Expr,
    expr: impl FnMut(&mut Expr) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    walk(root, expr, |_| Ok(()))
}

/// Visits the subqueries right below this query.
pub(super) fn subqueries(
    root: &mut Expr,
    query: impl FnMut(&mut Query) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    walk(root, |_| Ok(()), query)
}

fn walk(
    root: &mut Expr,
    expr: impl FnMut(&mut Expr) -> Result<(), SqlError>,
    query: impl FnMut(&mut Query) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    let depth = 0;
    let mut local = Local { depth, expr, query };
    match root.visit(&mut local) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Visits the expressions of any tree, children first, those of its subqueries left out.
pub(super) fn local<T: VisitMut>(tree: &mut T, mut expr: impl FnMut(&mut Expr)) {
    let (depth, query) = (0, |_: &mut Query| Ok(()));
    let expr = |e: &mut Expr| {
        expr(e);
        Ok(())
    };
    let mut local = Local { depth, expr, query };
    let _: ControlFlow<SqlError> = tree.visit(&mut local);
}
