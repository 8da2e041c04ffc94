//! A plan whose constants nobody knows before it runs.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::alike::rewritten;

/// Its argument, which no rule knows.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Hidden(Signature);

impl ScalarUDFImpl for Hidden {
    fn name(&self) -> &str {
        "trefoil_hidden"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        Ok(arguments[0].clone())
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        Ok(args.args.swap_remove(0))
    }
}

/// Constants that no rule knows: what a NULL among them makes needless is computed all the same.
pub(super) fn opaque(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let hide = ScalarUDF::new_from_impl(Hidden(Signature::any(1, Volatility::Volatile)));
    rewritten(plan, &|expr, _| hidden(expr, &hide))
}

fn hidden(expr: Expr, hide: &ScalarUDF) -> PlanResult<Transformed<Expr>> {
    let constant = |expr: Expr| {
        let hidden = hide.call(vec![expr]);
        Transformed::new(hidden, true, TreeNodeRecursion::Jump)
    };
    expr.transform_down(|expr| {
        Ok(match expr {
            Expr::Literal(..) => constant(expr),
            // What a function makes of constants is one.
            Expr::ScalarFunction(_) if expr.column_refs().is_empty() => constant(expr),
            // Functions take units and patterns as literals; aggregates and windows, too.
            Expr::ScalarFunction(ref f) if !matches!(f.name(), "nullif" | "coalesce") => {
                let below = expr.map_children(|child| match child {
                    literal @ Expr::Literal(..) => Ok(Transformed::no(literal)),
                    other => hidden(other, hide),
                })?;
                Transformed::new(below.data, below.transformed, TreeNodeRecursion::Jump)
            }
            Expr::Like(_) => Transformed::new(expr, false, TreeNodeRecursion::Jump),
            other => Transformed::no(other),
        })
    })
}
