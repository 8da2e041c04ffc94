//! The numbers of a list's elements, from 1 up, as a list: what WITH ORDINALITY takes apart beside
//! the list itself. DataFusion evaluates it for the oracle; Ring 0 counts while it takes apart.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Int64Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result as PlanResult, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDFImpl, Signature, Unnest,
    Volatility,
};

use crate::lower_expr::unaliased;

/// The function's name.
pub(crate) const NAME: &str = "trefoil_ordinals";

/// The column of a plan's UNNEST that holds the numbers.
pub(crate) fn column(unnest: &Unnest) -> Option<usize> {
    let LogicalPlan::Projection(input) = unnest.input.as_ref() else {
        return None;
    };
    let lists = unnest.list_type_columns.iter().map(|(list, _)| *list);
    let mut numbers = lists.filter(|list| match unaliased(&input.expr[*list]) {
        Expr::ScalarFunction(f) => f.name() == NAME,
        _ => false,
    });
    numbers.next()
}

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ordinals {
    signature: Signature,
}

impl Ordinals {
    /// Of any list.
    pub(crate) fn new() -> Self {
        let signature = Signature::any(1, Volatility::Immutable);
        Self { signature }
    }
}

fn item() -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Int64, false))
}

impl ScalarUDFImpl for Ordinals {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        match &arguments[0] {
            DataType::List(_) => Ok(DataType::List(item())),
            other => plan_err!("unnest() can only be applied to lists, and not to {other}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let lists = arrays[0].as_list::<i32>();
        let lengths = || (0..lists.len()).map(|i| lists.value_length(i) as usize);
        let numbers: Int64Array = (lengths().flat_map(|n| 1..=n as i64)).map(Some).collect();
        let numbers = Arc::new(numbers);
        let offsets = OffsetBuffer::from_lengths(lengths());
        let list = ListArray::try_new(item(), offsets, numbers, lists.nulls().cloned())?;
        Ok(ColumnarValue::Array(Arc::new(list)))
    }
}
