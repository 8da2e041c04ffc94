//! The outer columns that a subquery names, as the keys of its values. -0.0 and 0.0 are one key,
//! and 1 / x makes two values of them: where a condition computes something of an outer column,
//! whether it is -0.0 is a key beside, from which the column is what it was.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ExprSchema, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, lit, when};

/// A named column of which something is computed.
struct Zero {
    /// Which of the named ones it is.
    at: usize,
    /// Whether it is -0.0.
    is_negative: Expr,
    value: ScalarValue,
}

/// The named columns, and what is known beside of some of them.
pub(super) struct Keys {
    name: String,
    named: Vec<Column>,
    zeros: Vec<Zero>,
}

fn column(name: String) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

impl Keys {
    /// Of these columns of `outer`, called by `name` and a number.
    pub(super) fn new(
        name: &str,
        named: Vec<Column>,
        condition: &Expr,
        outer: &LogicalPlan,
    ) -> PlanResult<Self> {
        Ok(Self {
            name: name.to_owned(),
            zeros: computed(condition, &named, outer)?,
            named,
        })
    }

    fn key(&self, at: usize) -> String {
        format!("{}_{at}", self.name)
    }

    fn sign(&self, at: usize) -> String {
        format!("{}_{at}_sign", self.name)
    }

    fn names(&self) -> impl Iterator<Item = String> {
        let keys = (0..self.named.len()).map(|at| self.key(at));
        keys.chain(self.zeros.iter().map(|zero| self.sign(zero.at)))
    }

    /// All of them, as they are called.
    pub(super) fn all(&self) -> Vec<Expr> {
        self.names().map(column).collect()
    }

    /// What they are in an outer row.
    pub(super) fn of_outer(&self) -> Vec<Expr> {
        let columns = self.named.iter().cloned().map(Expr::Column);
        let signs = self.zeros.iter().map(|zero| zero.is_negative.clone());
        columns.chain(signs).collect()
    }

    /// The same, called so.
    pub(super) fn named(&self) -> Vec<Expr> {
        let of_outer = self.of_outer().into_iter();
        let called = of_outer.zip(self.names());
        called.map(|(expr, name)| expr.alias(name)).collect()
    }

    /// The subquery's condition over these.
    pub(super) fn condition(&self, condition: Expr) -> PlanResult<Expr> {
        let place = |column: &Column| {
            let at = self.named.iter().position(|n| n == column);
            at.expect("its columns are known")
        };
        let compared = |of: &Column| column(self.key(place(of)));
        let computed = |of: &Column| {
            let key = compared(of);
            let at = place(of);
            match self.zeros.iter().find(|zero| zero.at == at) {
                Some(zero) => {
                    let is_negative = column(self.sign(at));
                    when(is_negative, lit(zero.value.clone())).otherwise(key)
                }
                None => Ok(key),
            }
        };
        replaced(condition, &compared, &computed)
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
fn computed(condition: &Expr, named: &[Column], outer: &LogicalPlan) -> PlanResult<Vec<Zero>> {
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
fn replaced(
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
