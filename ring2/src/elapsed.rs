//! Lengths of time, told as PostgreSQL tells them. DataFusion compares intervals by months, then
//! days, then nanoseconds, so that a week in seconds would be less than one day; and of a length it
//! loses the fraction of a second where that has more than 2^31 nanoseconds.

mod days;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array, Float64Array, Int32Array};
use datafusion::arrow::array::{Int64Array, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, FieldRef, Float64Type, Int32Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue, exec_err, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::functions::datetime::date_part::DatePartFunc;
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use trefoil_ring0::schema::unit_nanos;

use self::days::WholeDays;
use crate::alike::rewritten;
use crate::planner::compares;

/// A day, and a month of 30 of them, in nanoseconds.
const DAY: i128 = 86_400_000_000_000;
const MONTH: i128 = 30 * DAY;
const MINUTE: i64 = 60_000_000_000;
const DIGITS: u8 = 38;

fn is_length(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Duration(_) | DataType::Interval(_))
}

fn nanos(interval: IntervalMonthDayNano) -> i128 {
    i128::from(interval.months) * MONTH
        + i128::from(interval.days) * DAY
        + i128::from(interval.nanoseconds)
}

/// Counts of a unit, whatever it is.
fn counts(array: &ArrayRef) -> Result<PrimitiveArray<Int64Type>, ArrowError> {
    Ok(cast(array, &DataType::Int64)?.as_primitive().clone())
}

fn intervals(array: &ArrayRef) -> Result<PrimitiveArray<IntervalMonthDayNanoType>, ArrowError> {
    let whole = DataType::Interval(IntervalUnit::MonthDayNano);
    Ok(cast(array, &whole)?.as_primitive().clone())
}

/// A length as a number of nanoseconds: what lengths are compared by.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Elapsed {
    signature: Signature,
}

impl Elapsed {
    fn new() -> Self {
        let signature = Signature::any(1, Volatility::Immutable);
        Self { signature }
    }
}

impl ScalarUDFImpl for Elapsed {
    fn name(&self) -> &str {
        "length_in_nanos"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        match is_length(&arguments[0]) {
            true => Ok(DataType::Decimal128(DIGITS, 0)),
            false => plan_err!("{} is no length of time", arguments[0]),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let lengths: Decimal128Array = match arrays[0].data_type() {
            DataType::Duration(unit) => {
                let factor = i128::from(unit_nanos(*unit));
                counts(&arrays[0])?.unary::<_, Decimal128Type>(|n| i128::from(n) * factor)
            }
            _ => intervals(&arrays[0])?.unary::<_, Decimal128Type>(nanos),
        };
        let lengths = lengths.with_precision_and_scale(DIGITS, 0)?;
        Ok(ColumnarValue::Array(Arc::new(lengths)))
    }
}

/// `EXTRACT`, to the nanosecond also of lengths.
#[derive(Debug, PartialEq, Eq, Hash)]
struct DatePart(DatePartFunc);

impl DatePart {
    fn new() -> Self {
        Self(DatePartFunc::new())
    }
}

/// What is read of a length here.
#[derive(Debug, Clone, Copy)]
enum Part {
    Epoch,
    Millis,
    Micros,
    Nanos,
}

fn part(field: &str) -> Option<Part> {
    match field.to_lowercase().trim_matches(['\'', '"']) {
        "epoch" => Some(Part::Epoch),
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds" => {
            Some(Part::Millis)
        }
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds" => {
            Some(Part::Micros)
        }
        "nanosecond" | "nanoseconds" => Some(Part::Nanos),
        _ => None,
    }
}

impl Part {
    /// Of a length that is so many nanoseconds within what the part is counted in.
    fn of(self, nanos: &PrimitiveArray<Int64Type>) -> Result<ArrayRef, ArrowError> {
        let narrow = |by: i64| {
            nanos.try_unary::<_, Int32Type, _>(|n| {
                i32::try_from(n / by).map_err(|_| {
                    let message = "a part of a length of time is beyond INT";
                    ArrowError::ArithmeticOverflow(message.into())
                })
            })
        };
        Ok(match self {
            Part::Epoch => {
                let seconds: Float64Array = nanos.unary::<_, Float64Type>(|n| n as f64 / 1e9);
                Arc::new(seconds)
            }
            Part::Millis => Arc::new(narrow(1_000_000)? as Int32Array),
            Part::Micros => Arc::new(narrow(1_000)? as Int32Array),
            Part::Nanos => Arc::new(nanos.clone() as Int64Array),
        })
    }
}

impl ScalarUDFImpl for DatePart {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        self.0.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        self.0.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let [ColumnarValue::Scalar(field), length] = args.args.as_slice() else {
            return self.0.invoke_with_args(args);
        };
        let of = length.data_type();
        let Some(part) = field.try_as_str().flatten().and_then(part) else {
            return self.0.invoke_with_args(args);
        };
        let array = || length.to_array(args.number_rows);
        let nanos = match (&of, part) {
            (DataType::Duration(unit), _) => {
                let factor = unit_nanos(*unit);
                counts(&array()?)?.try_unary::<_, Int64Type, ArrowError>(|n| {
                    n.checked_mul(factor).ok_or_else(|| {
                        let message = "a length of time is beyond what nanoseconds tell";
                        ArrowError::ArithmeticOverflow(message.into())
                    })
                })?
            }
            (DataType::Interval(_), Part::Millis | Part::Micros | Part::Nanos) => {
                intervals(&array()?)?.unary::<_, Int64Type>(|i| i.nanoseconds % MINUTE)
            }
            _ => return self.0.invoke_with_args(args),
        };
        Ok(match (length, part.of(&nanos)?) {
            (ColumnarValue::Scalar(_), told) if !told.is_empty() => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&told, 0)?)
            }
            (ColumnarValue::Scalar(_), _) => return exec_err!("a constant has a value"),
            (ColumnarValue::Array(_), told) => ColumnarValue::Array(told),
        })
    }
}

/// Has lengths compared by how long they are, and their parts read, once types are known.
#[derive(Debug)]
pub(crate) struct CompareLengths;

impl AnalyzerRule for CompareLengths {
    fn name(&self) -> &str {
        "compare_lengths"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> PlanResult<LogicalPlan> {
        let functions = Functions {
            elapsed: Arc::new(ScalarUDF::new_from_impl(Elapsed::new())),
            date_part: Arc::new(ScalarUDF::new_from_impl(DatePart::new())),
            whole_days: Arc::new(ScalarUDF::new_from_impl(WholeDays::new())),
        };
        let compared = rewritten(plan, &|expr, schema| {
            expr.transform_up(|e| functions.over(schema).compared(e))
        })?;
        // Keys of joins are pairs, and no comparison.
        let joined = compared.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            functions.over(&schema).joined(node)
        })?;
        Ok(joined.data)
    }
}

struct Functions {
    elapsed: Arc<ScalarUDF>,
    date_part: Arc<ScalarUDF>,
    whole_days: Arc<ScalarUDF>,
}

impl Functions {
    fn over<'p>(&'p self, schema: &'p DFSchema) -> Lengths<'p> {
        Lengths {
            schema,
            functions: self,
        }
    }
}

struct Lengths<'p> {
    schema: &'p DFSchema,
    functions: &'p Functions,
}

impl Lengths<'_> {
    /// Whether months and days are told apart from what they are long.
    fn is_interval(&self, expr: &Expr) -> bool {
        let found = expr.get_type(self.schema);
        matches!(found, Ok(DataType::Interval(_)))
    }

    fn length(&self, expr: Expr) -> Expr {
        match expr {
            Expr::Literal(ScalarValue::IntervalMonthDayNano(value), _) => {
                let value = ScalarValue::Decimal128(value.map(nanos), DIGITS, 0);
                Expr::Literal(value, None)
            }
            // A length that was made an interval to be compared with one.
            Expr::Cast(cast)
                if (cast.expr.get_type(self.schema))
                    .is_ok_and(|t| matches!(t, DataType::Duration(_))) =>
            {
                self.functions.elapsed.call(vec![*cast.expr])
            }
            other => self.functions.elapsed.call(vec![other]),
        }
    }

    fn compared(&self, expr: Expr) -> PlanResult<Transformed<Expr>> {
        Ok(match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right })
                if compares(op) && self.is_interval(&left) && self.is_interval(&right) =>
            {
                let [left, right] = [*left, *right].map(|e| Box::new(self.length(e)));
                Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right })
                if matches!(op, Operator::Plus | Operator::Minus) =>
            {
                self.moved(left, op, right)
            }
            Expr::Between(between) if self.is_interval(&between.expr) => {
                let Between {
                    expr,
                    negated,
                    low,
                    high,
                } = between;
                let [expr, low, high] = [*expr, *low, *high].map(|e| Box::new(self.length(e)));
                Transformed::yes(Expr::Between(Between {
                    expr,
                    negated,
                    low,
                    high,
                }))
            }
            Expr::InList(InList {
                expr,
                list,
                negated,
            }) if self.is_interval(&expr) => Transformed::yes(Expr::InList(InList {
                expr: Box::new(self.length(*expr)),
                list: list.into_iter().map(|e| self.length(e)).collect(),
                negated,
            })),
            Expr::Case(mut case) if case.expr.as_ref().is_some_and(|e| self.is_interval(e)) => {
                case.expr = case.expr.map(|e| Box::new(self.length(*e)));
                let whens = case.when_then_expr.into_iter();
                let whens = whens.map(|(when, then)| (Box::new(self.length(*when)), then));
                case.when_then_expr = whens.collect();
                Transformed::yes(Expr::Case(case))
            }
            Expr::ScalarFunction(mut call) if call.name() == "date_part" => {
                let of = call.args.get(1).map(|e| e.get_type(self.schema));
                let is_length = matches!(of, Some(Ok(of)) if is_length(&of));
                if is_length {
                    call.func = Arc::clone(&self.functions.date_part);
                }
                Transformed::new_transformed(Expr::ScalarFunction(call), is_length)
            }
            other => Transformed::no(other),
        })
    }

    /// A sum of a DATE and an INTERVAL, which is a DATE: of constants it is known already.
    fn moved(&self, mut left: Box<Expr>, op: Operator, mut right: Box<Expr>) -> Transformed<Expr> {
        let of = |e: &Expr| e.get_type(self.schema).ok();
        let length = match (of(&left), of(&right)) {
            (Some(DataType::Date32), Some(DataType::Interval(_))) => Some(&mut right),
            (Some(DataType::Interval(_)), Some(DataType::Date32)) => Some(&mut left),
            _ => None,
        };
        let length = length.filter(|e| !matches!(e.as_ref(), Expr::Literal(..)));
        let is_changed = length.is_some();
        if let Some(length) = length {
            let given = std::mem::take(length.as_mut());
            **length = self.functions.whole_days.call(vec![given]);
        }
        let moved = Expr::BinaryExpr(BinaryExpr { left, op, right });
        Transformed::new_transformed(moved, is_changed)
    }

    /// The keys of a join.
    fn joined(&self, node: LogicalPlan) -> PlanResult<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = node else {
            return Ok(Transformed::no(node));
        };
        let mut is_changed = false;
        for (left, right) in &mut join.on {
            if self.is_interval(left) && self.is_interval(right) {
                for side in [left, right] {
                    *side = self.length(side.clone());
                }
                is_changed = true;
            }
        }
        let node = LogicalPlan::Join(join);
        Ok(Transformed::new_transformed(node, is_changed))
    }
}
