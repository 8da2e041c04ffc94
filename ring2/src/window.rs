//! Tumbling windows as two functions that DataFusion plans and the oracle evaluates. Lowered
//! queries never call them. Windows of other kinds are planned (`marker`) and not yet run.

pub(crate) mod marker;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result as PlanResult, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::parser::Parser;
use trefoil_ring0::schema::unit_nanos;

use crate::dialect::DIALECT;

/// Name of the function for a window's start: time, then size and offset in nanoseconds.
pub(crate) const START: &str = "trefoil_tumble_start";
/// Name of the function for a window's end: start, then size in nanoseconds.
pub(crate) const END: &str = "trefoil_tumble_end";

/// A call that this crate writes.
pub(crate) fn parse(text: &str) -> Expr {
    (Parser::new(&DIALECT).try_with_sql(text))
        .and_then(|mut p| p.parse_expr())
        .expect("a call that this file writes parses")
}

/// Both functions over Arrow arrays.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bound {
    name: &'static str,
    signature: Signature,
}

impl Bound {
    /// The start.
    pub(crate) fn start() -> Self {
        let signature = Signature::any(3, Volatility::Immutable);
        let name = START;
        Self { name, signature }
    }

    /// The end.
    pub(crate) fn end() -> Self {
        let signature = Signature::any(2, Volatility::Immutable);
        let name = END;
        Self { name, signature }
    }
}

impl ScalarUDFImpl for Bound {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        match &arguments[0] {
            time @ DataType::Timestamp(_, None) => Ok(time.clone()),
            other => plan_err!("the time of a window is a TIMESTAMP, and not {other}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let to = arrays[0].data_type().clone();
        let DataType::Timestamp(unit, None) = &to else {
            return Err(exec_datafusion_err!("a window over {to}"));
        };
        let unit_ns = unit_nanos(*unit);
        let cast = |a: &ArrayRef, t: &DataType| datafusion::arrow::compute::cast(a, t);
        let time = cast(&arrays[0], &DataType::Int64)?;
        let time = time.as_primitive::<Int64Type>();
        let size = arrays[1].as_primitive::<Int64Type>();
        let offset = arrays.get(2).map(|a| a.as_primitive::<Int64Type>());
        let values = (0..time.len()).map(|i| {
            let size = size.value(i) / unit_ns;
            time.is_valid(i).then(|| match offset {
                Some(offset) => {
                    let t = time.value(i);
                    t - (t - offset.value(i) / unit_ns).rem_euclid(size)
                }
                None => time.value(i) + size,
            })
        });
        let bounds: datafusion::arrow::array::Int64Array = values.collect();
        let bounds: ArrayRef = Arc::new(bounds);
        Ok(ColumnarValue::Array(cast(&bounds, &to)?))
    }
}
