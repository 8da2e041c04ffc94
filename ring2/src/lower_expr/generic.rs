//! What Ring 0 has no kernel for runs as DataFusion's: one operation, its arguments being columns
//! that Ring 0 computes. So arithmetic below a function is checked as everywhere.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::logical_expr::{Expr as PlanExpr, ExprSchemable, Operator, Volatility};
use datafusion::physical_expr::PhysicalExpr;
use trefoil_ring0::expr::Expr;
use trefoil_ring0::kernel::{Generic, ScalarKernel};

use super::{Scope, expression, held_type, no, unaliased};
use crate::alike::one_nan;
use crate::lower::Refusal;
use crate::partitioning::text;
use crate::planner;
use crate::window::marker;

/// One operation of DataFusion's.
#[derive(Debug)]
struct Operation {
    operation: Arc<dyn PhysicalExpr>,
    /// Its arguments.
    schema: SchemaRef,
    /// Its results, as Ring 0 holds them.
    data_type: DataType,
}

impl Operation {
    fn run(&self, args: &[ArrayRef], rows: usize) -> Result<ArrayRef, DataFusionError> {
        let fields = self.schema.fields().iter();
        let args = fields.zip(args).map(|(f, arg)| as_type(arg, f.data_type()));
        let rows_given = RecordBatchOptions::new().with_row_count(Some(rows));
        let args = args.collect::<Result<_, _>>()?;
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), args, &rows_given)?;
        let result = self.operation.evaluate(&batch)?.into_array(rows)?;
        as_type(&result, &self.data_type)
    }
}

impl ScalarKernel for Operation {
    fn data_type(&self) -> &DataType {
        &self.data_type
    }

    fn evaluate(&self, args: &[ArrayRef], rows: usize) -> Result<ArrayRef, String> {
        self.run(args, rows).map_err(|e| cause(&e))
    }
}

/// An array on its way between Ring 0 and DataFusion, as this type: with one NaN, as DataFusion
/// takes those whose sign is set for less than every number.
pub(crate) fn as_type(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, DataFusionError> {
    if array.data_type() == to {
        return Ok(one_nan(Arc::clone(array)));
    }
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    Ok(one_nan(cast_with_options(array, to, &strict)?))
}

/// What went wrong, without the layers that it came through.
pub(crate) fn cause(error: &DataFusionError) -> String {
    let mut text = error.strip_backtrace();
    while let Some((layer, rest)) = text.split_once(" error: ") {
        // `Arrow error: Cast error: ..`: layers are a word or two.
        if layer.len() > 24 || layer.contains(['\'', '"', ':']) {
            break;
        }
        text = rest.to_owned();
    }
    for before in [
        "This feature is not implemented: ",
        "Error during planning: ",
    ] {
        text = text.strip_prefix(before).unwrap_or(&text).to_owned();
    }
    text
}

/// Lowers an operation to DataFusion's, and its arguments as any expression.
pub(super) fn operation(expr: &PlanExpr, scope: &Scope<'_>) -> Result<Expr, Refusal> {
    if !is_row_wise(expr) {
        return Err(no(expr));
    }
    let wrong = |e: DataFusionError| ("E0206", format!("{}: {}", text(expr), cause(&e)));
    let mut args = Vec::new();
    let mut fields = Vec::new();
    let mut refusal = None;
    let rewritten = expr.clone().map_children(|child| {
        if is_constant(&child) {
            return Ok(Transformed::no(child));
        }
        let name = format!("a{}", fields.len());
        fields.push(Field::new(&name, child.get_type(scope.plan)?, true));
        match expression(&child, scope) {
            Ok(arg) => args.push(arg),
            Err(e) => refusal = refusal.take().or(Some(e)),
        }
        let column = PlanExpr::Column(Column::new_unqualified(name));
        Ok(Transformed::new(column, true, TreeNodeRecursion::Continue))
    });
    let rewritten = rewritten.map_err(wrong)?.data;
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let schema = Arc::new(ArrowSchema::new(fields));
    let named = DFSchema::try_from(Arc::clone(&schema)).map_err(wrong)?;
    let operation = planner::physical(rewritten, &Arc::new(named)).map_err(wrong)?;
    // A type may depend on the value of a constant: `ROUND(price, 1)`.
    let result = operation.data_type(&schema).map_err(wrong)?;
    let Some(data_type) = held_type(&result) else {
        let message = format!(
            "{}: a result of type {result} is not supported yet",
            text(expr)
        );
        return Err(("E0302", message));
    };
    let kernel = Generic(Arc::new(Operation {
        operation,
        schema,
        data_type,
    }));
    Ok(Expr::Call { kernel, args })
}

/// Whether it is computed row by row from its arguments, all of which count, and reads no clock.
fn is_row_wise(expr: &PlanExpr) -> bool {
    match expr {
        PlanExpr::ScalarFunction(f) => {
            f.func.signature().volatility != Volatility::Stable && !marker::is_own(f.name())
        }
        PlanExpr::BinaryExpr(b) => !matches!(b.op, Operator::And | Operator::Or),
        PlanExpr::Cast(_)
        | PlanExpr::TryCast(_)
        | PlanExpr::Negative(_)
        | PlanExpr::Like(_)
        | PlanExpr::SimilarTo(_)
        | PlanExpr::InList(_)
        | PlanExpr::Literal(..) => true,
        _ => false,
    }
}

/// Whether Ring 0 may have it too, and gives the same.
pub(super) fn is_alike(expr: &PlanExpr) -> bool {
    match expr {
        PlanExpr::ScalarFunction(f) => matches!(f.name(), "upper" | "lower"),
        PlanExpr::BinaryExpr(b) => {
            use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
            let compares = [
                Eq,
                NotEq,
                Lt,
                LtEq,
                Gt,
                GtEq,
                IsDistinctFrom,
                IsNotDistinctFrom,
            ];
            compares.contains(&b.op)
        }
        // Of texts Ring 0 reads more intervals.
        PlanExpr::Cast(cast) => {
            !matches!(cast.field.data_type(), DataType::Interval(_))
                && !matches!(unaliased(&cast.expr), PlanExpr::Literal(..))
        }
        PlanExpr::TryCast(cast) => !matches!(cast.field.data_type(), DataType::Interval(_)),
        PlanExpr::Like(_) | PlanExpr::InList(_) => true,
        _ => false,
    }
}

/// Whether DataFusion may compute it beforehand: functions take patterns and units as literals.
/// Arithmetic is Ring 0's, which checks it.
pub(crate) fn is_constant(expr: &PlanExpr) -> bool {
    if matches!(unaliased(expr), PlanExpr::Literal(..)) {
        return true;
    }
    let plain = |e: &PlanExpr| match e {
        PlanExpr::Literal(..) | PlanExpr::Cast(_) | PlanExpr::Alias(_) => true,
        PlanExpr::ScalarFunction(f) => {
            f.func.signature().volatility == Volatility::Immutable && !marker::is_own(f.name())
        }
        _ => false,
    };
    expr.exists(|e| Ok(!plain(e))).is_ok_and(|other| !other)
}
