//! Arithmetic of integers that says where a result is none of its type, in Ring 0's words. `+ - *
//! / %` and `-x` become functions; sums are computed wide enough for all of them, and narrowed.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{
    Column, DFSchema, DataFusionError, Result as PlanResult, ScalarValue, internal_err,
};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Aggregate, Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, Projection,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, Window,
};
use trefoil_ring0::schema::sql_name;

use super::rewritten;
use crate::error::Error;

/// A plan whose integers and sums do not wrap.
pub(crate) fn integers(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let plan = rewritten(plan, &|expr, schema| {
        expr.transform_up(|expr| Ok(operation(expr, schema)))
    })?;
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(groups) => sums_of_groups(groups),
        LogicalPlan::Window(window) => sums_over(window),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Negate,
}

impl Operation {
    fn of(op: Operator) -> Option<Self> {
        Some(match op {
            Operator::Plus => Self::Add,
            Operator::Minus => Self::Sub,
            Operator::Multiply => Self::Mul,
            Operator::Divide => Self::Div,
            Operator::Modulo => Self::Rem,
            _ => return None,
        })
    }

    /// What it is called in a sentence.
    fn noun(self) -> &'static str {
        match self {
            Self::Add => "addition",
            Self::Sub => "subtraction",
            Self::Mul => "multiplication",
            Self::Div => "division",
            Self::Rem => "remainder",
            Self::Negate => "negation",
        }
    }

    fn call(self, args: Vec<Expr>) -> Expr {
        let signature = Signature::any(args.len(), Volatility::Immutable);
        let operation = self;
        ScalarUDF::new_from_impl(Checked {
            operation,
            signature,
        })
        .call(args)
    }
}

/// The function for an operation on integers.
fn operation(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let integer = |e: &Expr| e.get_type(schema).ok().filter(DataType::is_integer);
    match expr {
        Expr::BinaryExpr(both) if integer(&both.left).is_some() => {
            let alike = integer(&both.left) == integer(&both.right);
            match Operation::of(both.op).filter(|_| alike) {
                Some(operation) => Transformed::yes(operation.call(vec![*both.left, *both.right])),
                None => Transformed::no(Expr::BinaryExpr(both)),
            }
        }
        Expr::Negative(of) if integer(&of).is_some() => {
            Transformed::yes(Operation::Negate.call(vec![*of]))
        }
        other => Transformed::no(other),
    }
}

/// An operation on integers of one type, which does not wrap.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operation: Operation,
    signature: Signature,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Add => "trefoil_add",
            Operation::Sub => "trefoil_subtract",
            Operation::Mul => "trefoil_multiply",
            Operation::Div => "trefoil_divide",
            Operation::Rem => "trefoil_remainder",
            Operation::Negate => "trefoil_negate",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> PlanResult<DataType> {
        Ok(args[0].clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        Ok(of_arguments(
            self.name(),
            args.arg_fields[0].data_type(),
            &args,
        ))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        computed(&call.args, |args| {
            let of = match (self.operation, args) {
                (Operation::Add, [a, b]) => numeric::add(a, b),
                (Operation::Sub, [a, b]) => numeric::sub(a, b),
                (Operation::Mul, [a, b]) => numeric::mul(a, b),
                (Operation::Div, [a, b]) => numeric::div(a, b),
                (Operation::Rem, [a, b]) => numeric::rem(a, b),
                (Operation::Negate, [a]) => numeric::neg(a.as_ref()),
                (operation, _) => return internal_err!("{} of these", operation.noun()),
            };
            of.map_err(|error| match error {
                ArrowError::DivideByZero => row("division by zero"),
                ArrowError::ArithmeticOverflow(_) => {
                    let of = sql_name(args[0].data_type());
                    row(format!("{of} out of range in {}", self.operation.noun()))
                }
                other => other.into(),
            })
        })
    }
}

/// What an expression fails with on a row.
fn row(message: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(Error::engine("E0607", message)))
}

/// A field that is NULL where an argument is.
fn of_arguments(name: &str, data_type: &DataType, args: &ReturnFieldArgs<'_>) -> FieldRef {
    let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
    Arc::new(Field::new(name, data_type.clone(), nullable))
}

/// A function of arrays, over constants a constant.
fn computed(
    args: &[ColumnarValue],
    function: impl Fn(&[ArrayRef]) -> PlanResult<ArrayRef>,
) -> PlanResult<ColumnarValue> {
    let constant = args.iter().all(|v| matches!(v, ColumnarValue::Scalar(_)));
    let result = function(&ColumnarValue::values_to_arrays(args)?)?;
    match constant {
        true => ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar),
        false => Ok(ColumnarValue::Array(result)),
    }
}

/// In which type a sum never wraps; `None` where it need not be looked at.
fn wide(of: &DataType) -> Option<DataType> {
    match of {
        DataType::Decimal128(_, scale) => Some(DataType::Decimal256(76, *scale)),
        of if of.is_integer() => Some(DataType::Decimal128(38, 0)),
        _ => None,
    }
}

/// The argument of SUM, wide; `None` where it is no such sum.
fn widened(function: &str, args: &mut [Expr], input: &DFSchema) -> PlanResult<bool> {
    let ("sum", [argument]) = (function, args) else {
        return Ok(false);
    };
    let Some(wide) = wide(&argument.get_type(input)?) else {
        return Ok(false);
    };
    *argument = Expr::Cast(Cast::new(Box::new(argument.clone()), wide));
    Ok(true)
}

/// Widens the call that an expression is; whether it is one.
fn widen(expr: &mut Expr, input: &DFSchema) -> PlanResult<bool> {
    match expr {
        Expr::Alias(alias) => widen(&mut alias.expr, input),
        Expr::AggregateFunction(call) => {
            let function = call.func.name().to_owned();
            widened(&function, &mut call.params.args, input)
        }
        Expr::WindowFunction(call) => {
            let WindowFunction { fun, params } = call.as_mut();
            let function = fun.name().to_owned();
            widened(&function, &mut params.args, input)
        }
        _ => Ok(false),
    }
}

fn sums_of_groups(groups: Aggregate) -> PlanResult<Transformed<LogicalPlan>> {
    let first = groups.schema.fields().len() - groups.aggr_expr.len();
    let mut calls = groups.aggr_expr.clone();
    let wide = each_widened(&mut calls, groups.input.schema(), &groups.schema, first)?;
    if !wide.contains(&true) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(groups)));
    }
    let before = Arc::clone(&groups.schema);
    let inner = Aggregate::try_new(groups.input, groups.group_expr, calls)?;
    narrowed(LogicalPlan::Aggregate(inner), &before, first, &wide)
}

fn sums_over(window: Window) -> PlanResult<Transformed<LogicalPlan>> {
    let first = window.schema.fields().len() - window.window_expr.len();
    let mut calls = window.window_expr.clone();
    let wide = each_widened(&mut calls, window.input.schema(), &window.schema, first)?;
    if !wide.contains(&true) {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let before = Arc::clone(&window.schema);
    let inner = Window::try_new(calls, window.input)?;
    narrowed(LogicalPlan::Window(inner), &before, first, &wide)
}

/// Widens the sums among calls, which keep their names; which of them these are.
fn each_widened(
    calls: &mut [Expr],
    input: &DFSchema,
    output: &DFSchema,
    first: usize,
) -> PlanResult<Vec<bool>> {
    let mut wide = Vec::with_capacity(calls.len());
    for (number, call) in calls.iter_mut().enumerate() {
        let is_wide = widen(call, input)?;
        if is_wide {
            let name = output.field(first + number).name();
            *call = call.clone().unalias().alias(name);
        }
        wide.push(is_wide);
    }
    Ok(wide)
}

/// The columns as they were before, those that were widened as far as they fit.
fn narrowed(
    inner: LogicalPlan,
    before: &DFSchema,
    first: usize,
    wide: &[bool],
) -> PlanResult<Transformed<LogicalPlan>> {
    let columns = before.iter().enumerate().map(|(at, (relation, field))| {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        match at.checked_sub(first).is_some_and(|call| wide[call]) {
            true => {
                let narrow = ScalarUDF::new_from_impl(Narrowed {
                    to: field.data_type().clone(),
                    signature: Signature::any(1, Volatility::Immutable),
                });
                narrow
                    .call(vec![column])
                    .alias_qualified(relation.cloned(), field.name())
            }
            false => column,
        }
    });
    let projection = Projection::try_new(columns.collect(), Arc::new(inner))?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// A sum as its own type, which it may not fit.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Narrowed {
    to: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Narrowed {
    fn name(&self) -> &str {
        "trefoil_sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> PlanResult<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        Ok(of_arguments(self.name(), &self.to, &args))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let strict = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        computed(&call.args, |args| {
            let narrow = cast_with_options(&args[0], &self.to, &strict);
            narrow.map_err(|_| row(format!("{} out of range in SUM", sql_name(&self.to))))
        })
    }
}
