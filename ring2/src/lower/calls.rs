//! Calls of aggregates: which of them Ring 0 has itself, and what each needs of a row.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::AggregateFunction as PlanCall;
use datafusion::logical_expr::{Expr as PlanExpr, ExprSchemable};
use trefoil_ring0::expr::{Expr, Scalar};
use trefoil_ring0::operator::aggregate::{AggregateKernel, result_type};
use trefoil_ring0::program::AggregateFunction;

use super::Refusal;
use super::kernel;
use crate::lower_expr::{Kernels, Scope, expression, held_type, unaliased};
use crate::partitioning::text;

/// A call, and what it needs of a row.
pub(super) struct Call {
    pub(super) function: Function,
    /// Only the first row of each of its values counts.
    pub(super) distinct: bool,
}

pub(super) enum Function {
    Native(AggregateFunction, Option<Expr>),
    Generic {
        kernel: Arc<dyn AggregateKernel>,
        /// The arguments, then what it orders by.
        args: Vec<Expr>,
        /// How many of them are arguments.
        values: usize,
        filter: Option<Expr>,
        /// Its result depends on the order of rows.
        ordered: bool,
    },
}

impl Call {
    pub(super) fn is_generic(&self) -> bool {
        matches!(self.function, Function::Generic { .. })
    }

    /// Whether parts of a group's rows make the result of all.
    pub(super) fn merges(&self) -> bool {
        !self.distinct && !self.is_generic()
    }
}

impl Function {
    /// The columns that it needs, its filter last, and how many are arguments.
    pub(super) fn columns(&self) -> (Vec<&Expr>, usize) {
        match self {
            Self::Native(_, argument) => {
                let count = usize::from(argument.is_some());
                (argument.iter().collect(), count)
            }
            Self::Generic {
                args,
                values,
                filter,
                ..
            } => (args.iter().chain(filter).collect(), *values),
        }
    }

    /// By which of these columns a row is the first of its kind: arguments and filter.
    pub(super) fn looked(&self, columns: &[usize]) -> Vec<usize> {
        let (_, values) = self.columns();
        let mut looked = columns[..values].to_vec();
        looked.extend(self.filter(columns));
        looked
    }

    /// Which of these columns is its filter, if one is.
    pub(super) fn filter(&self, columns: &[usize]) -> Option<usize> {
        match self {
            Self::Generic {
                filter: Some(_), ..
            } => columns.last().copied(),
            Self::Generic { .. } | Self::Native(..) => None,
        }
    }
}

/// Lowers a call; `whole`: all rows of a group meet as they are.
pub(super) fn call(expr: &PlanExpr, scope: &Scope<'_>, whole: bool) -> Result<Call, Refusal> {
    let PlanExpr::AggregateFunction(f) = unaliased(expr) else {
        return Err(("E0301", format!("{} is not supported yet", text(expr))));
    };
    let native = native(f, scope)?;
    let generic = whole && scope.kernels == Kernels::Generic;
    let function = match native {
        Some((function, argument)) if !(generic && is_alike(&function, &argument, scope)) => {
            Function::Native(function, argument)
        }
        Some(_) | None if whole => self::generic(expr, f, scope)?,
        // Its parts could not be merged.
        Some(_) | None => {
            let call = text(expr);
            let message = format!("{call} of such values over all rows is not supported yet");
            return Err(("E0301", message));
        }
    };
    // A value more than once is as great as once.
    let greatest = matches!(f.func.name(), "min" | "max");
    if let (true, Function::Generic { .. }, [argument]) = (greatest, &function, &f.params.args[..])
    {
        check_order(
            f.func.name(),
            &expression(argument, scope)?.data_type(&scope.schema),
        )?;
    }
    Ok(Call {
        function,
        distinct: f.params.distinct && !greatest,
    })
}

/// Refuses MIN and MAX of lists of lists and of structs: DataFusion finds none of them less.
pub(super) fn check_order(function: &str, of: &DataType) -> Result<(), Refusal> {
    match of {
        DataType::List(item) if item.data_type().is_nested() => {
            let function = function.to_uppercase();
            let message =
                format!("{function} of lists of lists, or of structs, is not supported yet");
            Err(("E0301", message))
        }
        _ => Ok(()),
    }
}

/// The function of Ring 0 and its argument, if there is one.
fn native(
    f: &PlanCall,
    scope: &Scope<'_>,
) -> Result<Option<(AggregateFunction, Option<Expr>)>, Refusal> {
    use AggregateFunction as F;
    let plain = &f.params;
    let (Some(function), [argument], None) = (
        aggregate_function(f.func.name()),
        plain.args.as_slice(),
        plain.null_treatment,
    ) else {
        return Ok(None);
    };
    let literal = matches!(argument, PlanExpr::Literal(value, _) if !value.is_null());
    let mut argument = match (&function, literal && !plain.distinct) {
        (F::Count, true) => None,
        _ => Some(expression(argument, scope)?),
    };
    let averages = !matches!(function, F::Count | F::Sum | F::Min | F::Max);
    if let Some(Expr::Cast(inner, _)) = &argument
        && averages
        && inner.data_type(&scope.schema).is_integer()
    {
        argument = Some(inner.as_ref().clone());
    }
    if let Some(filter) = &plain.filter {
        // No aggregate counts a NULL.
        let value = argument.unwrap_or(Expr::Literal(Scalar::Bool(true)));
        argument = Some(only(expression(filter, scope)?, value));
    }
    let given = argument.as_ref().map(|e| e.data_type(&scope.schema));
    let known = result_type(&function, given.as_ref()).is_some();
    Ok(known.then_some((function, argument)))
}

/// A value where a condition is true, else NULL.
pub(super) fn only(condition: Expr, value: Expr) -> Expr {
    Expr::Case {
        branches: vec![(condition, value)],
        otherwise: None,
    }
}

/// Whether DataFusion's gives the same: it wraps around, and MIN and MAX depend on where NaN is.
fn is_alike(function: &AggregateFunction, argument: &Option<Expr>, scope: &Scope<'_>) -> bool {
    use AggregateFunction as F;
    let Some(argument) = argument else {
        return true;
    };
    let floating = argument.data_type(&scope.schema).is_floating();
    match function {
        F::Count => true,
        F::Min | F::Max => !floating,
        _ => floating,
    }
}

fn generic(expr: &PlanExpr, f: &PlanCall, scope: &Scope<'_>) -> Result<Function, Refusal> {
    let plain = &f.params;
    let strange = |e: &PlanExpr| !plain.args.contains(e);
    if plain.distinct && plain.order_by.iter().any(|s| strange(&s.expr)) {
        let message = format!("{} by what is no argument is not supported yet", text(expr));
        return Err(("E0301", message));
    }
    if f.func.name() == "nth_value" && !plain.order_by.is_empty() {
        // DataFusion orders its input for it.
        let message = "ORDER BY in NTH_VALUE is not supported yet".to_owned();
        return Err(("E0301", message));
    }
    for sort in &plain.order_by {
        check_sorted(&sort.expr, scope)?;
    }
    let filter = plain.filter.as_deref().map(|f| expression(f, scope));
    let filter = filter.transpose()?;
    let (kernel, mut args, values) = kernel::aggregate(expr, f, scope)?;
    if let Some(filter) = &filter {
        // What is asked of a row that does not count can be no error.
        for arg in args.iter_mut().filter(|a| !matches!(a, Expr::Column(_))) {
            *arg = only(filter.clone(), arg.clone());
        }
    }
    Ok(Function::Generic {
        kernel,
        args,
        values,
        filter,
        ordered: is_ordered(f.func.name()),
    })
}

/// Refuses an order within an aggregate by structs: DataFusion finds some of them neither less nor
/// greater nor equal, which is no order.
fn check_sorted(expr: &PlanExpr, scope: &Scope<'_>) -> Result<(), Refusal> {
    let is_refused = match expr.get_type(scope.plan) {
        Ok(DataType::Struct(_)) => true,
        Ok(DataType::List(item)) => item.data_type().is_nested(),
        _ => false,
    };
    match is_refused {
        true => Err((
            "E0301",
            format!(
                "ORDER BY {} in an aggregate, a STRUCT or lists in a list, is not supported yet",
                text(expr)
            ),
        )),
        false => Ok(()),
    }
}

/// Whether a result depends on the order of rows; where ORDER BY says one, on that of equals.
fn is_ordered(function: &str) -> bool {
    matches!(
        function,
        "array_agg" | "string_agg" | "first_value" | "last_value" | "nth_value" | "any_value"
    )
}

/// The aggregate that Ring 0 has under a name.
pub(crate) fn aggregate_function(name: &str) -> Option<AggregateFunction> {
    use AggregateFunction as F;
    Some(match name {
        "count" => F::Count,
        "sum" => F::Sum,
        "avg" => F::Avg,
        "min" => F::Min,
        "max" => F::Max,
        "stddev" | "stddev_samp" => F::StddevSamp,
        "stddev_pop" => F::StddevPop,
        "var" | "var_samp" => F::VarSamp,
        "var_pop" => F::VarPop,
        _ => return None,
    })
}

/// Whether shards can compute parts of a call that one of them merges.
pub(crate) fn is_mergeable(call: &PlanExpr, input: &DFSchema) -> bool {
    let PlanExpr::AggregateFunction(f) = unaliased(call) else {
        return false;
    };
    let Some(function) = aggregate_function(f.func.name()) else {
        return false;
    };
    let greatest = matches!(f.func.name(), "min" | "max");
    let of = f.params.args.first().map(|e| e.get_type(input).ok());
    let of = of.flatten().and_then(|of| held_type(&of));
    of.is_none_or(|of| result_type(&function, Some(&of)).is_some())
        && f.params.null_treatment.is_none()
        && (!f.params.distinct || greatest)
}
