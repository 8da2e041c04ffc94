//! The two zeros of floating point, which are one key, and of which 1 / x makes two values. Where a
//! condition computes something of an outer column, which of them it is is a key of its own, and
//! the column is what it was.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ExprSchema, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, lit, when};

/// A named column of which something is computed.
pub(super) struct Zero {
    /// Which of the named ones it is.
    pub(super) at: usize,
    /// Whether it is -0.0.
    pub(super) is_negative: Expr,
    value: ScalarValue,
}

impl Zero {
    /// The column as it was, from whether it is -0.0 and from what it is as a key.
    pub(super) fn restored(&self, is_negative: Expr, key: Expr) -> PlanResult<Expr> {
        when(is_negative, lit(self.value.clone())).otherwise(key)
    }
}

/// Whether the two zeros are equal to an operator.
fn compares(op: Operator) -> bool {
    use Operator as O;
    matches!(
        op,
        O::Eq
            | O::NotEq
            | O::Lt
            | O::LtEq
            | O::Gt
            | O::GtEq
            | O::IsDistinctFrom
            | O::IsNotDistinctFrom
    )
}

/// Those of the named columns of floating point of which something is computed, rather than that
/// they are compared.
pub(super) fn computed(
    condition: &Expr,
    named: &[Column],
    outer: &LogicalPlan,
) -> PlanResult<Vec<Zero>> {
    let mut found = Vec::new();
    gather(condition, &mut found)?;
    let mut zeros = Vec::new();
    for (at, column) in named.iter().enumerate().filter(|(_, c)| found.contains(c)) {
        let [zero, negative, one] = match outer.schema().data_type(column)? {
            DataType::Float64 => [0.0, -0.0, 1.0].map(|x: f64| ScalarValue::from(x)),
            DataType::Float32 => [0.0, -0.0, 1.0].map(|x: f32| ScalarValue::from(x)),
            _ => continue,
        };
        let x = Expr::Column(column.clone());
        let is_zero = x.clone().eq(lit(zero.clone()));
        zeros.push(Zero {
            at,
            is_negative: is_zero.and((lit(one) / x).lt(lit(zero))),
            value: negative,
        });
    }
    Ok(zeros)
}

/// The outer columns that an expression names, but for sides of comparisons.
fn gather(expr: &Expr, found: &mut Vec<Column>) -> PlanResult<()> {
    match expr {
        Expr::OuterReferenceColumn(_, column) => found.push(column.clone()),
        Expr::BinaryExpr(both) if compares(both.op) => {
            for side in [&both.left, &both.right] {
                if !matches!(side.as_ref(), Expr::OuterReferenceColumn(..)) {
                    gather(side, found)?;
                }
            }
        }
        other => {
            other.apply_children(|child| {
                gather(child, found)?;
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
    }
    Ok(())
}

/// A condition with other expressions for its outer columns: for those that are `compared`, and for
/// all others.
pub(super) fn replaced(
    condition: Expr,
    compared: &dyn Fn(&Column) -> Expr,
    computed: &dyn Fn(&Column) -> PlanResult<Expr>,
) -> PlanResult<Expr> {
    let replaced = condition.transform_down(|e| match e {
        Expr::BinaryExpr(mut both) if compares(both.op) => {
            for side in [&mut both.left, &mut both.right] {
                if let Expr::OuterReferenceColumn(_, column) = side.as_ref() {
                    let column = compared(column);
                    **side = column;
                }
            }
            Ok(Transformed::yes(Expr::BinaryExpr(both)))
        }
        Expr::OuterReferenceColumn(_, column) => {
            let column = computed(&column)?;
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(replaced.data)
}
