//! Functions that stand in plans for what Ring 0 does by other means: bounds of hopping, session
//! and cumulating windows, the conditions of ASOF and temporal joins, PROCTIME().
//! DataFusion gives them types; nothing evaluates them, but for [`CAST`].

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Result as PlanResult, not_impl_err};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Join, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Whether a function is one of these, or a bound of a tumbling window.
pub(crate) fn is_own(function: &str) -> bool {
    function.starts_with("trefoil_")
}

/// Whether nothing but programs computes a function.
pub(crate) fn is_computed_elsewhere(function: &str) -> bool {
    function != CAST && ALL.iter().any(|(name, _)| *name == function)
}

/// The words by which a query asks for what a function stands for, and what that is called.
pub(crate) fn written(function: &str) -> (&'static [&'static str], &'static str) {
    match function {
        HOP => (&["HOP", "SLIDING"], "HOP"),
        SESSION | SESSION_END => (&["SESSION"], "SESSION"),
        CUMULATE | CUMULATE_END => (&["CUMULATE"], "CUMULATE"),
        ASOF => (&["ASOF"], "ASOF JOIN"),
        AS_OF_TIME => (&["FOR"], "FOR SYSTEM_TIME AS OF"),
        _ => (&["PROCTIME"], "PROCTIME()"),
    }
}

/// Whether a call gives a row several windows.
pub(crate) fn is_several(function: &str) -> bool {
    matches!(function, HOP | CUMULATE | CUMULATE_END)
}

/// Whether an expression has such a call.
pub(crate) fn has_several(expr: &Expr) -> bool {
    let several = |e: &Expr| Ok(matches!(e, Expr::ScalarFunction(f) if is_several(f.name())));
    expr.exists(several).unwrap_or(false)
}

/// Whether an expression has a bound of a session.
pub(crate) fn has_session(expr: &Expr) -> bool {
    let is = |e: &Expr| match e {
        Expr::ScalarFunction(f) => matches!(f.name(), SESSION | SESSION_END),
        _ => false,
    };
    expr.exists(|e| Ok(is(e))).unwrap_or(false)
}

/// Whether of a join's right side only the nearest rows are joined.
pub(crate) fn is_asof(join: &Join) -> bool {
    let mut conditions = join.filter.iter().flat_map(split_conjunction);
    conditions.any(|e| matches!(e, Expr::ScalarFunction(f) if f.name() == ASOF))
}

/// Start of a hopping window: time, slide, size, offset.
pub(crate) const HOP: &str = "trefoil_hop_start";
/// Start of a session: time, gap.
pub(crate) const SESSION: &str = "trefoil_session_start";
/// End of a session: time, gap.
pub(crate) const SESSION_END: &str = "trefoil_session_end";
/// Start of a cumulating window: time, step, size, offset.
pub(crate) const CUMULATE: &str = "trefoil_cumulate_start";
/// End of a cumulating window: time, step, size, offset.
pub(crate) const CUMULATE_END: &str = "trefoil_cumulate_end";
/// The match condition of an ASOF join.
pub(crate) const ASOF: &str = "trefoil_asof";
/// A temporal join: the time at which the table is read.
pub(crate) const AS_OF_TIME: &str = "trefoil_as_of_time";

/// Its argument: a cast by which two calls differ.
pub(crate) const CAST: &str = "trefoil_cast";
/// The clock of ingestion.
pub(crate) const PROCTIME: &str = "proctime";

/// All of them, with the number of arguments.
const ALL: [(&str, usize); 9] = [
    (PROCTIME, 0),
    (CAST, 1),
    (HOP, 4),
    (SESSION, 2),
    (SESSION_END, 2),
    (CUMULATE, 4),
    (CUMULATE_END, 4),
    (ASOF, 1),
    (AS_OF_TIME, 1),
];

/// The functions, to be registered.
pub(crate) fn all() -> impl Iterator<Item = ScalarUDF> {
    ALL.into_iter().map(|(name, arguments)| {
        // Not immutable: whoever folds constants must leave them alone. What makes several rows of
        // one stays where it is.
        let volatility = match is_several(name) {
            true => Volatility::Volatile,
            false => Volatility::Stable,
        };
        let signature = match arguments {
            0 => Signature::nullary(volatility),
            _ => Signature::any(arguments, volatility),
        };
        ScalarUDF::new_from_impl(Marker { name, signature })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Marker {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Marker {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        let Some(first) = arguments.first() else {
            return Ok(DataType::Timestamp(TimeUnit::Microsecond, None));
        };
        match (self.name, first) {
            (CAST, same) => Ok(same.clone()),
            (AS_OF_TIME, DataType::Timestamp(..)) => Ok(DataType::Boolean),
            (ASOF, DataType::Boolean) => Ok(DataType::Boolean),
            (HOP | SESSION | SESSION_END | CUMULATE | CUMULATE_END, time) => match time {
                DataType::Timestamp(_, None) => Ok(time.clone()),
                other => datafusion::common::plan_err!(
                    "the time of a window is a TIMESTAMP, and not {other}"
                ),
            },
            (name, other) => datafusion::common::plan_err!("{name} over {other}"),
        }
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        if self.name == CAST {
            return Ok(args.args.swap_remove(0));
        }
        not_impl_err!("{} is planned and not yet run", self.name)
    }
}
