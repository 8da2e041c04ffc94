//! Integers that are cast to TIME: those that are no time of a day are an error of their row, and
//! NULL for TRY_CAST. Arrow's cast takes whatever they are.

use datafusion::arrow::array::{Array, AsArray, BooleanArray};
use datafusion::arrow::compute::{cast, nullif};
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::{Result as PlanResult, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use trefoil_ring0::schema::unit_nanos;

/// What becomes of an integer that is no time of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Beyond {
    Fails,
    IsNull,
}

/// An integer, as far as it is a time of a day in these units.
pub(crate) fn within(units: Expr, unit: TimeUnit, beyond: Beyond) -> Expr {
    let function = Within {
        unit,
        beyond,
        signature: Signature::any(1, Volatility::Immutable),
    };
    ScalarUDF::new_from_impl(function).call(vec![units])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Within {
    unit: TimeUnit,
    beyond: Beyond,
    signature: Signature,
}

impl ScalarUDFImpl for Within {
    fn name(&self) -> &str {
        "time_of_day"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> PlanResult<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let [given] = call.args.as_slice() else {
            return exec_err!("a TIME is made of one integer");
        };
        let units = given.to_array(call.number_rows)?;
        let day = 86_400 * (unit_nanos(TimeUnit::Second) / unit_nanos(self.unit));
        // What is beyond 64 bits is NULL here.
        let wide = cast(&units, &DataType::Int64)?;
        let wide = wide.as_primitive::<Int64Type>();
        let is_beyond = |row: usize| {
            units.is_valid(row) && !(wide.is_valid(row) && (0..day).contains(&wide.value(row)))
        };
        let beyond: BooleanArray = (0..units.len()).map(|row| Some(is_beyond(row))).collect();
        if beyond.true_count() == 0 {
            return Ok(given.clone());
        }
        if self.beyond == Beyond::Fails {
            return exec_err!("TIME out of range in CAST");
        }
        let within = nullif(&units, &beyond)?;
        match given {
            ColumnarValue::Scalar(_) => {
                ScalarValue::try_from_array(&within, 0).map(ColumnarValue::Scalar)
            }
            ColumnarValue::Array(_) => Ok(ColumnarValue::Array(within)),
        }
    }
}
