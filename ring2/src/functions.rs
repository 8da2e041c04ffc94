//! Which functions there are, and of what kind: DataFusion's, and those that come with parts of it
//! that are not built in yet.

mod own;

use std::sync::LazyLock;

use datafusion::execution::FunctionRegistry;
use datafusion::prelude::SessionContext;

use crate::error::nearest;
use crate::planner;
use crate::window::marker::is_own;

pub use self::own::Functions;
pub(crate) use self::own::known;

/// What a function works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FunctionKind {
    /// One row.
    Scalar,
    /// A group.
    Aggregate,
    /// A row among others: only with OVER.
    Ranking,
}

/// Windows in their canonical spelling.
pub(crate) const WINDOWS: [&str; 4] = ["tumble", "hop", "session", "cumulate"];
/// Their bounds.
pub(crate) const BOUNDS: [&str; 8] = [
    "tumble_start",
    "tumble_end",
    "hop_start",
    "hop_end",
    "session_start",
    "session_end",
    "cumulate_start",
    "cumulate_end",
];
/// Functions that read a clock.
pub(crate) const CLOCKS: [&str; 9] = [
    "now",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "proctime",
    "today",
    "transaction_timestamp",
];

const SCALARS: [&str; 34] = [
    "abs",
    "ceil",
    "floor",
    "round",
    "sqrt",
    "power",
    "pow",
    "exp",
    "ln",
    "log",
    "log10",
    "log2",
    "sign",
    "trunc",
    "mod",
    "sin",
    "cos",
    "tan",
    "random",
    "greatest",
    "least",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "regexp_count",
    "md5",
    "sha256",
    "date_format",
    "json_extract",
    "json_value",
    "cardinality",
    "array_length",
    "array_contains",
    "row",
];
const AGGREGATES: [&str; 12] = [
    "variance",
    "median",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "approx_distinct",
    "approx_percentile_cont",
    "approx_median",
];

static SESSION: LazyLock<SessionContext> = LazyLock::new(planner::own_session);

/// What kind of function this is, if there is one.
pub(crate) fn kind(name: &str) -> Option<FunctionKind> {
    if let Some(kind) = known().kind(name) {
        return Some(kind);
    }
    let state = SESSION.state_ref();
    let state = state.read();
    if state.udaf(name).is_ok() || AGGREGATES.contains(&name) {
        // FIRST_VALUE and the like are both; they are aggregates where OVER is absent.
        Some(FunctionKind::Aggregate)
    } else if state.udf(name).is_ok() || SCALARS.contains(&name) || CLOCKS.contains(&name) {
        Some(FunctionKind::Scalar)
    } else if state.udwf(name).is_ok() {
        Some(FunctionKind::Ranking)
    } else {
        None
    }
}

/// The function that may be meant.
pub(crate) fn meant(name: &str) -> Option<String> {
    let state = SESSION.state_ref();
    let state = state.read();
    let (udfs, udafs, udwfs) = (state.udfs(), state.udafs(), state.udwfs());
    let registered = udfs.iter().chain(&udafs).chain(&udwfs).map(String::as_str);
    let registered = registered.filter(|name| !is_own(name));
    let own = SCALARS
        .iter()
        .chain(&AGGREGATES)
        .chain(&CLOCKS)
        .chain(&WINDOWS)
        .chain(&BOUNDS);
    let brought = known();
    let all = own.copied().chain(registered).chain(brought.names());
    let mut all: Vec<&str> = all.collect();
    all.sort_unstable();
    nearest(name, all.into_iter()).map(str::to_uppercase)
}

/// How a function is called, as DataFusion documents it.
pub(crate) fn syntax(name: &str) -> Option<String> {
    let state = SESSION.state_ref();
    let state = state.read();
    let (scalar, aggregate) = (state.udf(name), state.udaf(name));
    let documented = match (&scalar, &aggregate) {
        (Ok(function), _) => function.documentation(),
        (_, Ok(function)) => function.documentation(),
        _ => None,
    }?;
    let call = documented.syntax_example.lines().next()?.trim();
    let (name, rest) = call.split_once('(')?;
    Some(format!("{}({rest}", name.to_uppercase()))
}

/// How many arguments a common function takes, least and most.
pub(crate) fn arity(name: &str) -> Option<(usize, usize)> {
    Some(match name {
        "count" | "sum" | "avg" | "min" | "max" | "stddev" | "stddev_samp" | "stddev_pop"
        | "variance" | "var_samp" | "var_pop" | "upper" | "lower" | "abs" | "median" | "sqrt"
        | "array_agg" | "bool_and" | "bool_or" | "length" | "char_length" | "reverse" => (1, 1),
        "string_agg" | "nullif" | "power" | "starts_with" | "strpos" => (2, 2),
        "row_number" | "rank" | "dense_rank" | "now" => (0, 0),
        "replace" | "split_part" => (3, 3),
        "round" | "array_length" => (1, 2),
        "date_trunc" | "date_part" => (2, 2),
        "coalesce" | "greatest" | "least" | "concat" => (1, usize::MAX),
        "concat_ws" => (2, usize::MAX),
        _ => return None,
    })
}
