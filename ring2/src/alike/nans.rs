//! One NaN. Processors make some whose sign is set (infinity minus infinity), and DataFusion tells
//! those apart from others: as keys of groups, in DISTINCT and in comparisons. Whatever computes a
//! floating point value is made to give the one that sources give.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::rewritten;

/// A plan whose computed values have one NaN.
pub(super) fn alike(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    rewritten(plan, &|expr, schema| {
        expr.transform_up(|expr| Ok(computed(expr, schema)))
    })
}

fn computed(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let computes = matches!(
        expr,
        Expr::BinaryExpr(_) | Expr::Negative(_) | Expr::ScalarFunction(_)
    );
    let is_float = || {
        let of = expr.get_type(schema);
        of.is_ok_and(|t| matches!(t, DataType::Float32 | DataType::Float64))
    };
    match computes && is_float() {
        true => Transformed::yes(one().call(vec![expr])),
        false => Transformed::no(expr),
    }
}

fn one() -> ScalarUDF {
    ScalarUDF::new_from_impl(OneNan(Signature::any(1, Volatility::Immutable)))
}

/// Its argument, with one NaN.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OneNan(Signature);

impl ScalarUDFImpl for OneNan {
    fn name(&self) -> &str {
        "trefoil_one_nan"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        Ok(arguments[0].clone())
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        Ok(match args.args.swap_remove(0) {
            ColumnarValue::Array(values) => ColumnarValue::Array(one_nan(values)),
            ColumnarValue::Scalar(value) => ColumnarValue::Scalar(match value {
                ScalarValue::Float32(Some(v)) if v.is_nan() => ScalarValue::from(f32::NAN),
                ScalarValue::Float64(Some(v)) if v.is_nan() => ScalarValue::from(f64::NAN),
                other => other,
            }),
        })
    }
}

/// The values, with one NaN.
pub(crate) fn one_nan(values: ArrayRef) -> ArrayRef {
    fn of<T: ArrowPrimitiveType>(
        values: &ArrayRef,
        is_nan: impl Fn(T::Native) -> bool,
        nan: T::Native,
    ) -> Option<ArrayRef> {
        let values: &PrimitiveArray<T> = values.as_primitive();
        let some = values.values().iter().any(|v| is_nan(*v));
        some.then(|| {
            let alike = values.unary::<_, T>(|v| if is_nan(v) { nan } else { v });
            Arc::new(alike) as ArrayRef
        })
    }
    let found = match values.data_type() {
        DataType::Float32 => of::<Float32Type>(&values, f32::is_nan, f32::NAN),
        DataType::Float64 => of::<Float64Type>(&values, f64::is_nan, f64::NAN),
        _ => None,
    };
    found.unwrap_or(values)
}
