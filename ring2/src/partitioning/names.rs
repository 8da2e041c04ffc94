//! Expressions as a person reads them: columns by their names, windows as they were written.

mod readable;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;

use crate::window::marker::{
    AS_OF_TIME, ASOF, CAST, CUMULATE, CUMULATE_END, HOP, SESSION, SESSION_END,
};
use crate::window::{END, START};

pub(crate) use readable::{bound, readable};

/// The text of an expression.
pub(crate) fn text(expr: &Expr) -> String {
    if let Some((inner, what)) = is(expr) {
        return format!("{} IS {what}", text(inner));
    }
    let list = |exprs: &[Expr]| exprs.iter().map(text).collect::<Vec<_>>().join(", ");
    match expr {
        Expr::Alias(alias) => text(&alias.expr),
        Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => readable(&column.name),
        Expr::Cast(cast) => text(&cast.expr),
        Expr::TryCast(cast) => text(&cast.expr),
        Expr::BinaryExpr(b) => {
            let side = |e: &Expr| match core_of(e) {
                Expr::BinaryExpr(inner) if inner.op.precedence() < b.op.precedence() => {
                    format!("({})", text(e))
                }
                _ => text(e),
            };
            format!("{} {} {}", side(&b.left), b.op, side(&b.right))
        }
        Expr::Between(b) => {
            let not = if b.negated { "NOT " } else { "" };
            let (low, high) = (text(&b.low), text(&b.high));
            format!("{} {not}BETWEEN {low} AND {high}", text(&b.expr))
        }
        Expr::InList(i) => {
            let not = if i.negated { "NOT " } else { "" };
            format!("{} {not}IN ({})", text(&i.expr), list(&i.list))
        }
        Expr::Not(inner) => format!("NOT {}", text(inner)),
        Expr::Negative(inner) => format!("-{}", text(inner)),
        Expr::Like(l) => {
            let not = if l.negated { "NOT " } else { "" };
            let like = if l.case_insensitive { "ILIKE" } else { "LIKE" };
            format!("{} {not}{like} {}", text(&l.expr), text(&l.pattern))
        }
        Expr::Case(_) => "CASE".to_owned(),
        Expr::GroupingSet(sets) => {
            let keys: Vec<String> = sets.distinct_expr().into_iter().map(text).collect();
            format!("GROUPING SETS ({})", keys.join(", "))
        }
        Expr::ScalarSubquery(_) => "(SELECT ..)".to_owned(),
        Expr::Exists(e) if e.negated => "NOT EXISTS (SELECT ..)".to_owned(),
        Expr::Exists(_) => "EXISTS (SELECT ..)".to_owned(),
        Expr::InSubquery(i) => {
            let not = if i.negated { "NOT " } else { "" };
            format!("{} {not}IN (SELECT ..)", text(&i.expr))
        }
        Expr::Literal(value, _) => constant(value),
        Expr::AggregateFunction(f) => {
            let distinct = if f.params.distinct { "DISTINCT " } else { "" };
            let args = match f.params.args.as_slice() {
                [Expr::Literal(value, _)] if f.func.name() == "count" && !value.is_null() => {
                    "*".to_owned()
                }
                args => list(args),
            };
            format!("{}({distinct}{args})", f.func.name())
        }
        Expr::WindowFunction(w) => format!("{}({})", w.fun.name(), list(&w.params.args)),
        Expr::ScalarFunction(f) if [CAST, ASOF].contains(&f.name()) => list(&f.args),
        Expr::ScalarFunction(f) if f.name() == crate::ordinals::NAME => "ordinality".to_owned(),
        Expr::ScalarFunction(f) if f.name() == AS_OF_TIME => {
            format!("version as of {}", list(&f.args))
        }
        Expr::ScalarFunction(f) if f.name() == "get_field" => match f.args.as_slice() {
            [of, Expr::Literal(ScalarValue::Utf8(Some(field)), _)] => {
                format!("{}['{field}']", text(of))
            }
            args => format!("get_field({})", list(args)),
        },
        Expr::ScalarFunction(f) => {
            window(f.name(), &f.args).unwrap_or_else(|| format!("{}({})", f.name(), list(&f.args)))
        }
        other => other.human_display().to_string(),
    }
}

fn constant(value: &ScalarValue) -> String {
    match value {
        v if v.is_null() => "NULL".to_owned(),
        ScalarValue::Utf8(Some(text)) => format!("'{text}'"),
        ScalarValue::IntervalMonthDayNano(Some(i)) => match (i.months, i.days) {
            (0, 0) => duration(i.nanoseconds),
            (0, days) => format!("{days} d"),
            (months, _) => format!("{months} months"),
        },
        other => other.to_string(),
    }
}

/// What an expression IS asked to be.
fn is(expr: &Expr) -> Option<(&Expr, &'static str)> {
    Some(match expr {
        Expr::IsNull(inner) => (inner, "NULL"),
        Expr::IsNotNull(inner) => (inner, "NOT NULL"),
        Expr::IsTrue(inner) => (inner, "TRUE"),
        Expr::IsFalse(inner) => (inner, "FALSE"),
        Expr::IsUnknown(inner) => (inner, "UNKNOWN"),
        Expr::IsNotTrue(inner) => (inner, "NOT TRUE"),
        Expr::IsNotFalse(inner) => (inner, "NOT FALSE"),
        Expr::IsNotUnknown(inner) => (inner, "NOT UNKNOWN"),
        _ => return None,
    })
}

fn core_of(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => core_of(&alias.expr),
        Expr::Cast(cast) => core_of(&cast.expr),
        other => other,
    }
}

/// What a projection computes: names, and how, where that is more than another column.
pub(super) fn computed(exprs: &[Expr], names: &[String]) -> String {
    let item = |(expr, name): (&Expr, &String)| match core_of(expr) {
        Expr::Column(_) => readable(name),
        inner => match (readable(name), text(inner)) {
            // What DataFusion adds has no name that a person gave.
            (name, how) if how == name || how.contains("trefoil_") || how.contains("__") => name,
            (name, how) if how.starts_with("end of ") => name,
            (name, how) => format!("{name} = {how}"),
        },
    };
    let shown = exprs
        .iter()
        .zip(names)
        .filter(|(_, n)| !n.starts_with("__"));
    shown.map(item).collect::<Vec<_>>().join(", ")
}

/// The window that a call stands for.
pub(super) fn window(name: &str, args: &[Expr]) -> Option<String> {
    let length = |i: usize| match args.get(i) {
        Some(Expr::Literal(ScalarValue::Int64(Some(ns)), _)) => duration(*ns),
        _ => String::new(),
    };
    // The text of an argument is made once, and only for a window: calls nest.
    let time = || args.first().map(text).unwrap_or_default();
    Some(match name {
        START => format!("TUMBLE({}, {})", time(), length(1)),
        HOP => format!("HOP({}, {} slide, {} size)", time(), length(1), length(2)),
        SESSION => format!("SESSION({}, {} gap)", time(), length(1)),
        SESSION_END => format!("SESSION_END({}, {} gap)", time(), length(1)),
        CUMULATE => format!(
            "CUMULATE({}, {} step, {} size)",
            time(),
            length(1),
            length(2)
        ),
        CUMULATE_END => format!(
            "CUMULATE_END({}, {} step, {} size)",
            time(),
            length(1),
            length(2)
        ),
        END => format!("end of {}", time()),
        _ => return None,
    })
}

/// A length of time.
pub(crate) fn duration(ns: i64) -> String {
    const UNITS: [(i64, &str); 6] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ];
    let fit = UNITS.iter().find(|(unit, _)| ns != 0 && ns % unit == 0);
    match fit {
        Some((unit, name)) => format!("{} {name}", ns / unit),
        None => format!("{ns} ns"),
    }
}
