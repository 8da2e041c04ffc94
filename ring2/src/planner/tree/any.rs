//! `x = ANY(list)` as `NOT x <> ALL(list)`: DataFusion gives false where a list has the value not
//! and NULL besides, of which nobody knows whether it is the value. Of ALL it knows.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Query, UnaryOperator, visit_expressions_mut,
};

/// Writes comparisons with any element of a list. Those with a subquery are joins.
pub(super) fn rewrite(query: &mut Query) {
    let _: ControlFlow<()> = visit_expressions_mut(query, |expr| {
        if let Expr::AnyOp {
            left,
            compare_op,
            right,
            is_some: _,
        } = expr
            && !matches!(right.as_ref(), Expr::Subquery(_))
            && let Some(compare_op) = negated(compare_op)
        {
            let all = Expr::AllOp {
                left: left.clone(),
                compare_op,
                right: right.clone(),
            };
            *expr = Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr: Box::new(all),
            };
        }
        ControlFlow::Continue(())
    });
}

fn negated(op: &BinaryOperator) -> Option<BinaryOperator> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    Some(match op {
        Eq => NotEq,
        NotEq => Eq,
        Lt => GtEq,
        LtEq => Gt,
        Gt => LtEq,
        GtEq => Lt,
        _ => return None,
    })
}
