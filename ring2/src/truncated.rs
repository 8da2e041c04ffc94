//! DATE_TRUNC, as DataFusion has it. What is cut to a time before the first of its type wraps
//! around there, and is an error here.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type, TimeUnit};
use datafusion::common::{Result as PlanResult, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};
use trefoil_ring0::schema::unit_nanos;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Truncated(ScalarUDF);

impl Truncated {
    /// Of DataFusion's.
    pub(crate) fn of(function: &ScalarUDF) -> Self {
        Self(function.clone())
    }
}

impl ScalarUDFImpl for Truncated {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, types: &[DataType]) -> PlanResult<DataType> {
        self.0.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        self.0.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> PlanResult<Vec<DataType>> {
        self.0.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.0.documentation()
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        if let [ColumnarValue::Scalar(field), times] = call.args.as_slice()
            && let Some(Some(field)) = field.try_as_str()
            && let DataType::Timestamp(unit, _) = times.data_type()
            && let Some(width) = width(&field.to_lowercase(), unit)
        {
            let times = cast(&times.to_array(call.number_rows)?, &DataType::Int64)?;
            let is_before = |time: i64| time.checked_sub(time.rem_euclid(width)).is_none();
            let mut times = times.as_primitive::<Int64Type>().iter().flatten();
            if times.any(is_before) {
                return exec_err!("TIMESTAMP out of range in DATE_TRUNC");
            }
        }
        self.0.invoke_with_args(call)
    }
}

/// How many units are cut to one. What is longer than a day is checked by DataFusion.
fn width(field: &str, unit: TimeUnit) -> Option<i64> {
    let nanos = match field {
        "microsecond" => 1_000,
        "millisecond" => 1_000_000,
        "second" => 1_000_000_000,
        "minute" => 60 * 1_000_000_000,
        "hour" => 3_600 * 1_000_000_000,
        "day" => 86_400 * 1_000_000_000,
        _ => return None,
    };
    Some((nanos / unit_nanos(unit)).max(1))
}
