//! Where the parser's own printing does not read back: trees that are printed are brought into a
//! form whose text does.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, TableFactor, UnaryOperator, Value, ValueWithSpan, VisitMut,
    VisitorMut,
};

/// A copy whose text reads as the same tree.
pub(super) fn query(query: &Query) -> Query {
    let mut copy = query.clone();
    let _: ControlFlow<()> = VisitMut::visit(&mut copy, &mut Printable);
    copy
}

/// As [`query`], of an expression.
pub(super) fn expr(expr: &Expr) -> Expr {
    let mut copy = expr.clone();
    let _: ControlFlow<()> = VisitMut::visit(&mut copy, &mut Printable);
    copy
}

struct Printable;

impl VisitorMut for Printable {
    type Break = ();

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        if let Value::SingleQuotedString(text) = &value.value {
            // A quote behind a backslash would be taken for one that is escaped; a number is
            // printed
            // as it stands.
            value.value = Value::Number(format!("'{}'", text.replace('\'', "''")), false);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let sign = |op: &UnaryOperator| !matches!(op, UnaryOperator::Not);
        if let Expr::UnaryOp { op, expr: inner } = expr
            && sign(op)
            && matches!(&**inner, Expr::UnaryOp { op, .. } if sign(op))
        {
            // Two signs side by side begin a comment, or are another operator.
            **inner = Expr::Value(Value::Number(format!(" {inner}"), false).into());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table {
            name,
            alias: Some(_),
            version,
            ..
        } = factor
            && let Some(written) = version.take()
        {
            // Printed behind the alias, read before it.
            *name = ObjectName::from(vec![Ident::new(format!("{name} {written}"))]);
        }
        ControlFlow::Continue(())
    }
}
