//! Constants in quotes beside booleans: `b = 'true'` compares with TRUE, as PostgreSQL reads it.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// What these words say, in any case and cut off anywhere that leaves no doubt.
const WORDS: [(&str, usize, bool); 8] = [
    ("true", 1, true),
    ("false", 1, false),
    ("yes", 1, true),
    ("no", 1, false),
    ("on", 2, true),
    ("off", 2, false),
    ("1", 1, true),
    ("0", 1, false),
];

fn read(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    let is = |(word, least, _): &&(&str, usize, bool)| {
        text.len() >= *least && word.starts_with(text.as_str())
    };
    WORDS.iter().find(is).map(|(_, _, value)| *value)
}

/// Reads those that stand beside a sign: before their types are looked at.
#[derive(Debug)]
pub(super) struct Beside;

impl ExprPlanner for Beside {
    fn plan_binary_op(
        &self,
        mut both: RawBinaryExpr,
        schema: &DFSchema,
    ) -> PlanResult<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        if matches!(both.op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
            if is_flag(&both.left, schema) {
                flag(&mut both.right);
            } else if is_flag(&both.right, schema) {
                flag(&mut both.left);
            }
        }
        Ok(PlannerResult::Original(both))
    }
}

fn is_flag(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|t| t == DataType::Boolean)
}

/// Makes a constant what it says. Returns whether it says something.
fn flag(expr: &mut Expr) -> bool {
    let value = match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => read(text),
        _ => None,
    };
    if let Some(value) = value {
        *expr = lit(value);
    }
    value.is_some()
}

/// Reads the others. One that says nothing stays a text, which is refused.
pub(super) fn rewrite(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|e| Ok(compared(e, &schema)))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(plan.data)
}

fn compared(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let (mut expr, mut changed) = (expr, false);
    match &mut expr {
        Expr::BinaryExpr(both)
            if matches!(
                both.op,
                Operator::IsDistinctFrom | Operator::IsNotDistinctFrom
            ) =>
        {
            if is_flag(&both.left, schema) {
                changed = flag(&mut both.right);
            } else if is_flag(&both.right, schema) {
                changed = flag(&mut both.left);
            }
        }
        Expr::InList(list) if is_flag(&list.expr, schema) => {
            for item in &mut list.list {
                changed |= flag(item);
            }
        }
        _ => {}
    }
    match changed {
        true => Transformed::yes(expr),
        false => Transformed::no(expr),
    }
}
