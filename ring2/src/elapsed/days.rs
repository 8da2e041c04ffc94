//! Lengths that are added to a DATE: the result is one, and has no place for hours.

use std::sync::Arc;

use datafusion::arrow::datatypes::{
    DataType, DurationNanosecondType, IntervalMonthDayNano, IntervalMonthDayNanoType,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result as PlanResult, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use trefoil_ring0::schema::unit_nanos;

use super::{DAY, counts, intervals, is_length};

/// A length as it is, where it is a number of days and months.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct WholeDays {
    signature: Signature,
}

impl WholeDays {
    pub(super) fn new() -> Self {
        let signature = Signature::any(1, Volatility::Immutable);
        Self { signature }
    }
}

fn check(nanos: i128) -> Result<(), ArrowError> {
    match nanos % DAY {
        0 => Ok(()),
        _ => Err(ArrowError::ComputeError(
            "a DATE has no hours, and this INTERVAL is no number of days: CAST(.. AS TIMESTAMP)"
                .to_owned(),
        )),
    }
}

impl ScalarUDFImpl for WholeDays {
    fn name(&self) -> &str {
        "whole_days"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        match is_length(&arguments[0]) {
            true => Ok(arguments[0].clone()),
            false => plan_err!("{} is no length of time", arguments[0]),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        match arrays[0].data_type() {
            DataType::Duration(unit) => {
                let factor = i128::from(unit_nanos(*unit));
                counts(&arrays[0])?.try_unary::<_, DurationNanosecondType, _>(|n| {
                    check(i128::from(n) * factor).map(|()| n)
                })?;
            }
            _ => {
                let checked =
                    |i: IntervalMonthDayNano| check(i128::from(i.nanoseconds)).map(|()| i);
                intervals(&arrays[0])?.try_unary::<_, IntervalMonthDayNanoType, _>(checked)?;
            }
        }
        Ok(ColumnarValue::Array(Arc::clone(&arrays[0])))
    }
}
