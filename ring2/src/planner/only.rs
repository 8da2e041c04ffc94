//! The one value of a subquery that may give several rows: an aggregate takes two of them at most,
//! as a list, and where its value is asked for a function gives the only one, or says that there
//! are several. So rows that nobody asks for are no error.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result as PlanResult, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What the aggregate and the function are called.
pub(crate) const FEW: &str = "few_values";
pub(crate) const ONLY: &str = "only_value";

/// As many values tell that there are several.
const ENOUGH: usize = 2;

fn list_of(item: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item.clone(), true)))
}

/// Some of the values of a group: all of them, where they are few.
pub(super) fn some_of(value: Expr) -> Expr {
    static SOME: LazyLock<Arc<AggregateUDF>> =
        LazyLock::new(|| Arc::new(AggregateUDF::new_from_impl(Few(any()))));
    let call =
        AggregateFunction::new_udf(Arc::clone(&SOME), vec![value], false, None, vec![], None);
    Expr::AggregateFunction(call)
}

/// The only value of a list, NULL of none.
pub(super) fn only(list: Expr) -> Expr {
    static ONLY: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Only(any()))));
    ONLY.call(vec![list])
}

fn any() -> Signature {
    Signature::any(1, Volatility::Immutable)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Few(Signature);

impl AggregateUDFImpl for Few {
    fn name(&self) -> &str {
        FEW
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        Ok(list_of(&arguments[0]))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> PlanResult<Box<dyn Accumulator>> {
        let DataType::List(item) = args.return_field.data_type() else {
            return plan_err!("the values of a subquery are a list");
        };
        Ok(Box::new(Taken {
            item: item.data_type().clone(),
            values: Vec::new(),
        }))
    }
}

#[derive(Debug)]
struct Taken {
    item: DataType,
    values: Vec<ScalarValue>,
}

impl Taken {
    fn add(&mut self, values: &dyn Array) -> PlanResult<()> {
        let wanted = ENOUGH - self.values.len();
        for row in 0..values.len().min(wanted) {
            self.values.push(ScalarValue::try_from_array(values, row)?);
        }
        Ok(())
    }
}

impl Accumulator for Taken {
    fn update_batch(&mut self, values: &[ArrayRef]) -> PlanResult<()> {
        self.add(&values[0])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> PlanResult<()> {
        let lists = states[0].as_list::<i32>();
        lists.iter().flatten().try_for_each(|list| self.add(&list))
    }

    fn evaluate(&mut self) -> PlanResult<ScalarValue> {
        let list = ScalarValue::new_list_nullable(&self.values, &self.item);
        Ok(ScalarValue::List(list))
    }

    fn state(&mut self) -> PlanResult<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.iter().map(ScalarValue::size).sum::<usize>()
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Only(Signature);

impl ScalarUDFImpl for Only {
    fn name(&self) -> &str {
        ONLY
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        match &arguments[0] {
            DataType::List(item) => Ok(item.data_type().clone()),
            other => plan_err!("the values of a subquery are a list, and not {other}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let lists = args.args[0].to_array(args.number_rows)?;
        let lists = lists.as_list::<i32>();
        let mut places = Vec::with_capacity(lists.len());
        for row in 0..lists.len() {
            places.push(match lists.is_null(row) {
                true => None,
                false => match lists.value_length(row) {
                    0 => None,
                    1 => u32::try_from(lists.value_offsets()[row]).ok(),
                    _ => {
                        return exec_err!(
                            "a subquery in the place of a value gives more than one row"
                        );
                    }
                },
            });
        }
        let values = take(lists.values(), &UInt32Array::from(places), None)?;
        Ok(ColumnarValue::Array(values))
    }
}
