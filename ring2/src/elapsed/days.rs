//! Lengths that are added to a DATE: the result is one, and has no place for hours.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result as PlanResult, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::{DAY, intervals};

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

fn check(nanos: i64) -> Result<(), ArrowError> {
    match i128::from(nanos) % DAY {
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
        match &arguments[0] {
            of @ DataType::Interval(_) => Ok(of.clone()),
            other => plan_err!("{other} is no INTERVAL"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let checked = |i: IntervalMonthDayNano| check(i.nanoseconds).map(|()| i);
        intervals(&arrays[0])?.try_unary::<_, IntervalMonthDayNanoType, _>(checked)?;
        Ok(ColumnarValue::Array(Arc::clone(&arrays[0])))
    }
}
