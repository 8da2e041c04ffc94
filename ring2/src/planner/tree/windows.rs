//! Windows of all kinds in a syntax tree: their calls read, and written as the functions that
//! stand for them in plans.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned,
};

use crate::dialect::Place;
use crate::error::SqlError;
use crate::interval::nanos;
use crate::syntax::{arguments, normal};
use crate::window::marker::{CUMULATE, CUMULATE_END, HOP, SESSION, SESSION_END};
use crate::window::{END, START, parse};

/// A window over any time expression, lengths in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    kind: Kind,
    time: Expr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tumble { size: i64, offset: i64 },
    Hop { slide: i64, size: i64, offset: i64 },
    Session { gap: i64 },
    Cumulate { step: i64, size: i64, offset: i64 },
}

impl Window {
    /// Its start.
    pub(super) fn start(&self) -> Expr {
        let (name, lengths): (_, Vec<i64>) = match self.kind {
            Kind::Tumble { size, offset } => (START, vec![size, offset]),
            Kind::Hop {
                slide,
                size,
                offset,
            } => (HOP, vec![slide, size, offset]),
            Kind::Session { gap } => (SESSION, vec![gap]),
            Kind::Cumulate { step, size, offset } => (CUMULATE, vec![step, size, offset]),
        };
        invoke(name, self.time.clone(), &lengths)
    }

    /// Its end.
    pub(super) fn end(&self) -> Expr {
        match self.kind {
            Kind::Tumble { size, .. } | Kind::Hop { size, .. } => {
                invoke(END, self.start(), &[size])
            }
            Kind::Session { gap } => invoke(SESSION_END, self.time.clone(), &[gap]),
            Kind::Cumulate { step, size, offset } => {
                invoke(CUMULATE_END, self.time.clone(), &[step, size, offset])
            }
        }
    }

    /// What GROUP BY needs: the end, too, where it does not follow from the start.
    pub(super) fn keys(&self) -> Vec<Expr> {
        match self.kind {
            Kind::Tumble { .. } | Kind::Hop { .. } => vec![self.start()],
            Kind::Session { .. } | Kind::Cumulate { .. } => vec![self.start(), self.end()],
        }
    }
}

fn invoke(name: &str, time: Expr, lengths: &[i64]) -> Expr {
    let lengths: String = lengths.iter().map(|n| format!(", {n}")).collect();
    let mut call = parse(&format!("{name}(0{lengths})"));
    if let Expr::Function(f) = &mut call
        && let FunctionArguments::List(list) = &mut f.args
        && let Some(first) = list.args.first_mut()
    {
        *first = FunctionArg::Unnamed(FunctionArgExpr::Expr(time));
    }
    call
}

/// The small name of a function.
pub(crate) fn function_name(expr: &Expr) -> Option<String> {
    let Expr::Function(f) = expr else { return None };
    match f.name.0.as_slice() {
        [part] => part.as_ident().map(normal),
        _ => None,
    }
}

/// Whether a name is that of a window.
pub(super) fn is_window(name: &str) -> bool {
    matches!(
        name,
        "tumble" | "tumbling" | "hop" | "sliding" | "session" | "cumulate"
    )
}

/// Reads a call as a window; `None` where it is none. `event_time` stands for a time that is left
/// out.
pub(super) fn read(
    place: Place<'_>,
    expr: &Expr,
    event_time: Option<&Expr>,
) -> Result<Option<Window>, SqlError> {
    let Some(name) = function_name(expr).filter(|n| is_window(n)) else {
        return Ok(None);
    };
    let Expr::Function(f) = expr else {
        return Ok(None);
    };
    let args: Vec<Expr> = arguments(f).into_iter().cloned().collect();
    let at = expr.span().start;
    from_arguments(place, at, &name, &args, event_time).map(Some)
}

/// A window of this name with these arguments.
pub(super) fn from_arguments(
    place: Place<'_>,
    at: datafusion::sql::sqlparser::tokenizer::Location,
    name: &str,
    args: &[Expr],
    event_time: Option<&Expr>,
) -> Result<Window, SqlError> {
    let (shape, hint) = match name {
        "tumble" | "tumbling" => (1, "TUMBLE(ts, INTERVAL '5' MINUTE[, offset])"),
        "hop" => (2, "HOP(ts, slide, size[, offset])"),
        "sliding" => (2, "SLIDING(ts, size, slide[, offset])"),
        "session" => (1, "SESSION(ts, gap)"),
        _ => (2, "CUMULATE(ts, step, size[, offset])"),
    };
    let wrong = |message: String| place.hinted("E0401", at, message, hint);
    let timed = !matches!(args.first(), Some(Expr::Interval(_)) | None);
    let (time, rest) = match (timed, event_time) {
        (true, _) => (args[0].clone(), &args[1..]),
        (false, Some(time)) => (time.clone(), args),
        (false, None) => {
            return Err(wrong(
                "the window names no time, and there is no event time of one source".into(),
            ));
        }
    };
    let mut lengths = Vec::new();
    for arg in rest {
        let length = match arg {
            Expr::Interval(i) => nanos(i),
            _ => None,
        };
        lengths.push(length.ok_or_else(|| wrong(format!("{arg} has no fixed length")))?);
    }
    let offsets = lengths.len().saturating_sub(shape);
    if lengths.len() < shape || offsets > usize::from(name != "session") {
        return Err(wrong(format!(
            "{} takes other arguments",
            name.to_uppercase()
        )));
    }
    if lengths[..shape].iter().any(|n| *n <= 0) {
        return Err(wrong("the lengths of a window are above 0".into()));
    }
    let offset = lengths.get(shape).copied().unwrap_or(0);
    let (first, second) = (lengths[0], lengths.get(1).copied().unwrap_or(0));
    let kind = match name {
        "tumble" | "tumbling" => Kind::Tumble {
            size: first,
            offset: offset.rem_euclid(first),
        },
        "session" => Kind::Session { gap: first },
        "hop" | "sliding" => {
            let (slide, size) = match name {
                "hop" => (first, second),
                _ => (second, first),
            };
            if slide > size {
                return Err(wrong("the slide is longer than the window".into()));
            }
            let offset = offset.rem_euclid(slide);
            Kind::Hop {
                slide,
                size,
                offset,
            }
        }
        _ => {
            if first > second || second % first != 0 {
                return Err(wrong("the step does not divide the window".into()));
            }
            Kind::Cumulate {
                step: first,
                size: second,
                offset: offset.rem_euclid(second),
            }
        }
    };
    Ok(Window { kind, time })
}
