//! What a plan is made into before DataFusion runs it in batch, where it differs on purpose.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, lit,
};

/// Rewrites each expression of a plan, knowing the columns it is over.
fn rewritten(
    plan: LogicalPlan,
    rewrite: &dyn Fn(Expr, &DFSchema) -> PlanResult<Transformed<Expr>>,
) -> PlanResult<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(rewrite(expr, &schema)?.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(plan.data)
}

/// NULLIF and IN over floating point, in comparisons: those find zeros of both signs equal. CASE x
/// WHEN, too; and so WHEN is computed for all rows, also where x is NULL.
pub(super) fn zeros_alike(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    rewritten(plan, &|expr, schema| {
        expr.transform_up(|expr| Ok(compared(expr, schema)))
    })
}

fn compared(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_float = |e: &Expr| {
        let of = e.get_type(schema);
        of.is_ok_and(|t| matches!(t, DataType::Float32 | DataType::Float64))
    };
    match expr {
        Expr::ScalarFunction(f) if f.name() == "nullif" && f.args.iter().all(is_float) => {
            let (a, b) = (f.args[0].clone(), f.args[1].clone());
            let when = Box::new(a.clone().eq(b));
            let of = a.get_type(schema).expect("it was floating point before");
            let null = Box::new(Expr::Cast(Cast::new(Box::new(lit(ScalarValue::Null)), of)));
            let when_then_expr = vec![(when, null)];
            Transformed::yes(Expr::Case(Case::new(
                None,
                when_then_expr,
                Some(Box::new(a)),
            )))
        }
        Expr::InList(list) if is_float(&list.expr) => {
            let one_of = list
                .list
                .iter()
                .map(|item| (*list.expr).clone().eq(item.clone()));
            let found = one_of.reduce(Expr::or).unwrap_or_else(|| lit(false));
            Transformed::yes(match list.negated {
                true => Expr::Not(Box::new(found)),
                false => found,
            })
        }
        Expr::Case(Case {
            expr: Some(base),
            when_then_expr,
            else_expr,
        }) => {
            let conditions = when_then_expr.into_iter();
            let conditions = conditions.map(|(w, then)| (Box::new((*base).clone().eq(*w)), then));
            Transformed::yes(Expr::Case(Case::new(None, conditions.collect(), else_expr)))
        }
        other => Transformed::no(other),
    }
}

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
    rewritten(plan, &|expr, _| {
        expr.transform_down(|expr| {
            Ok(match expr {
                Expr::Literal(..) => {
                    let hidden = hide.call(vec![expr]);
                    Transformed::new(hidden, true, TreeNodeRecursion::Jump)
                }
                // Functions take units and patterns as literals; aggregates and windows, too.
                Expr::ScalarFunction(ref f) if !matches!(f.name(), "nullif" | "coalesce") => {
                    Transformed::new(expr, false, TreeNodeRecursion::Jump)
                }
                Expr::Like(_) => Transformed::new(expr, false, TreeNodeRecursion::Jump),
                other => Transformed::no(other),
            })
        })
    })
}
