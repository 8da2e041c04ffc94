//! MIN and MAX of structs, by an order in which any two of them have a place: by the first member
//! that differs, where NULL is greater than all else, as among the elements of a list. DataFusion
//! finds neither less of two structs that differ in a NULL, so that its answer depends on the order
//! of rows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ExprSchemable, LogicalPlan, Signature,
    Volatility, WindowFunctionDefinition,
};

use crate::alike::rewritten;

/// Has a plan, not analyzed yet, compare structs so.
pub(crate) fn rewrite(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    rewritten(plan, &|expr, schema| {
        expr.transform_up(|expr| Ok(called(expr, schema)))
    })
}

fn called(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let own = |name: &str, args: &[Expr]| {
        let [of] = args else { return None };
        let of = of.get_type(schema).ok()?;
        let end = match name {
            "min" => End::Least,
            "max" => End::Greatest,
            _ => return None,
        };
        matches!(of, DataType::Struct(_)).then(|| AggregateUDF::new_from_impl(Extreme::new(end)))
    };
    match expr {
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            match own(func.name(), &params.args) {
                Some(own) => {
                    let func = own.into();
                    Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params }))
                }
                None => {
                    Transformed::no(Expr::AggregateFunction(AggregateFunction { func, params }))
                }
            }
        }
        Expr::WindowFunction(call) => match own(call.fun.name(), &call.params.args) {
            // Of a frame that rows leave DataFusion's own has the rest.
            Some(own) if call.params.window_frame.is_ever_expanding() => {
                let fun = WindowFunctionDefinition::AggregateUDF(own.into());
                let WindowFunction { params, .. } = *call;
                Transformed::yes(Expr::WindowFunction(Box::new(WindowFunction {
                    fun,
                    params,
                })))
            }
            _ => Transformed::no(Expr::WindowFunction(call)),
        },
        other => Transformed::no(other),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    Least,
    Greatest,
}

/// The aggregate.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    end: End,
    signature: Signature,
}

impl Extreme {
    fn new(end: End) -> Self {
        let signature = Signature::any(1, Volatility::Immutable);
        Self { end, signature }
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        match self.end {
            End::Least => "min",
            End::Greatest => "max",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> PlanResult<DataType> {
        Ok(args[0].clone())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> PlanResult<Box<dyn Accumulator>> {
        let of = args.return_field.data_type();
        // Descending, the greatest comes first; NULL is greater than all else.
        let order = match self.end {
            End::Least => SortOptions::new(false, false),
            End::Greatest => SortOptions::new(true, true),
        };
        Ok(Box::new(First {
            converter: RowConverter::new(vec![SortField::new_with_options(of.clone(), order)])?,
            row: None,
            value: ScalarValue::try_from(of)?,
        }))
    }
}

/// The first value so far, by the converter's order.
#[derive(Debug)]
struct First {
    converter: RowConverter,
    row: Option<OwnedRow>,
    value: ScalarValue,
}

impl Accumulator for First {
    fn update_batch(&mut self, values: &[ArrayRef]) -> PlanResult<()> {
        let values = &values[0];
        let rows = self.converter.convert_columns(&[Arc::clone(values)])?;
        let given = (0..values.len()).filter(|at| values.is_valid(*at));
        let Some(first) = given.min_by_key(|at| rows.row(*at)) else {
            return Ok(());
        };
        let row = rows.row(first);
        if self.row.as_ref().is_none_or(|before| row < before.row()) {
            self.row = Some(row.owned());
            // Without the rest of its batch.
            self.value = ScalarValue::try_from_array(values, first)?;
            self.value.compact();
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> PlanResult<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> PlanResult<Vec<ScalarValue>> {
        Ok(vec![self.value.clone()])
    }

    fn evaluate(&mut self) -> PlanResult<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        let row = self.row.as_ref().map_or(0, |row| row.as_ref().len());
        size_of::<Self>() + self.converter.size() + row + self.value.size()
    }
}
