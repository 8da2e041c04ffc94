//! Which results are JSON. JSON lies in memory as a text does, and DataFusion has no type of its
//! own for it: what hands values on as they are hands this on, and all else that gives a text gives
//! a VARCHAR. A list is JSON where its elements are. A struct has no JSON in it: nothing marks its
//! members.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::{JSON, PARSE, read};
use crate::lower_expr::unaliased;
use crate::planner::only;
use crate::window::marker;

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Texts {
    /// Texts that are JSON, or lists of such.
    Json,
    /// A struct of which a member is.
    Within,
    /// NULL, or a constant in quotes that is JSON: of the type that it stands beside.
    Untyped,
    /// Anything else.
    Other,
}

/// Whether JSON could be in values of a type.
pub(crate) fn may_be(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 => true,
        DataType::List(item) => may_be(item.data_type()),
        _ => false,
    }
}

/// What an expression gives; `is_json` tells of a column.
pub(crate) fn texts(expr: &Expr, is_json: &dyn Fn(&Column) -> bool) -> Texts {
    let one = |at: usize, args: &[Expr]| match args.get(at) {
        Some(arg) => texts(arg, is_json),
        None => Texts::Other,
    };
    let all = |args: &mut dyn Iterator<Item = &Expr>| together(args.map(|e| texts(e, is_json)));
    match expr {
        Expr::Alias(alias) => texts(&alias.expr, is_json),
        Expr::Column(column) if is_json(column) => Texts::Json,
        Expr::Literal(value, _) => constant(value),
        // What the analyzer casts is no text before.
        Expr::Cast(cast) if is_null(&cast.expr) => Texts::Untyped,
        Expr::TryCast(cast) if is_null(&cast.expr) => Texts::Untyped,
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            all(&mut results.chain(case.else_expr.as_deref()))
        }
        Expr::ScalarFunction(f) => match (f.name(), f.args.as_slice()) {
            (JSON | PARSE, _) => Texts::Json,
            (marker::CAST | only::ONLY | "nullif", args) => one(0, args),
            ("coalesce" | "nvl" | "ifnull" | "greatest" | "least", args) => all(&mut args.iter()),
            ("nvl2", [_, values @ ..]) => all(&mut values.iter()),
            ("struct" | "named_struct" | "row", args) => {
                let is = |arg: &Expr| matches!(texts(arg, is_json), Texts::Json | Texts::Within);
                match args.iter().any(is) {
                    true => Texts::Within,
                    false => Texts::Other,
                }
            }
            (name, args) => match list(name, args) {
                Some(parts) => together(parts.into_iter().map(|e| texts(e, is_json))),
                None => Texts::Other,
            },
        },
        Expr::AggregateFunction(f) => match f.func.name() {
            "min"
            | "max"
            | "first_value"
            | "last_value"
            | "nth_value"
            | "any_value"
            | "array_agg"
            | only::FEW => one(0, &f.params.args),
            _ => Texts::Other,
        },
        Expr::WindowFunction(f) => over(f, is_json),
        _ => Texts::Other,
    }
}

fn over(call: &WindowFunction, is_json: &dyn Fn(&Column) -> bool) -> Texts {
    let args = &call.params.args;
    let of = |at: usize| args.get(at).map(|arg| texts(arg, is_json));
    match call.fun.name() {
        // The third is what stands for a row that is not there.
        "lag" | "lead" => together([of(0), of(2)].into_iter().flatten()),
        "first_value" | "last_value" | "nth_value" | "min" | "max" | "array_agg" => {
            of(0).unwrap_or(Texts::Other)
        }
        _ => Texts::Other,
    }
}

/// Of a function on lists the arguments whose texts are in its result.
fn list<'e>(name: &str, args: &'e [Expr]) -> Option<Vec<&'e Expr>> {
    Some(match name {
        "make_array" | "array_append" | "array_prepend" | "array_concat" | "array_union"
        | "array_intersect" | "array_except" => args.iter().collect(),
        "array_replace" | "array_replace_n" | "array_replace_all" | "array_resize" => {
            args.iter().step_by(2).collect()
        }
        "array_to_string" | "array_has" | "array_has_all" | "array_has_any" | "array_length"
        | "array_ndims" | "array_dims" | "array_position" | "array_positions"
        | "array_distance" => return None,
        "flatten" => args.iter().collect(),
        _ if name.starts_with("array_") => args.iter().take(1).collect(),
        _ => return None,
    })
}

/// Values of one result.
fn together(values: impl Iterator<Item = Texts>) -> Texts {
    let all: Vec<Texts> = values.collect();
    let has = |texts: Texts| all.contains(&texts);
    match () {
        () if has(Texts::Within) => Texts::Within,
        () if has(Texts::Other) => Texts::Other,
        () if has(Texts::Json) => Texts::Json,
        () => Texts::Untyped,
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(unaliased(expr), Expr::Literal(value, _) if value.is_null())
}

fn constant(value: &ScalarValue) -> Texts {
    match value {
        value if value.is_null() => Texts::Untyped,
        value => match value.try_as_str() {
            Some(Some(text)) if read(text).is_ok() => Texts::Untyped,
            _ => Texts::Other,
        },
    }
}

/// Whether a column of a plan is one constant that is JSON where others are.
pub(crate) fn is_untyped(plan: &LogicalPlan, column: usize) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => {
            texts(&projection.expr[column], &|_| false) == Texts::Untyped
        }
        LogicalPlan::SubqueryAlias(alias) => is_untyped(&alias.input, column),
        _ => false,
    }
}
