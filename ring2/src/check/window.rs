//! Windows and their bounds: as keys, as table functions, as values over groups.

use datafusion::arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{Expr, Function, Spanned};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::Checker;
use super::expr::Context;
use super::group::arguments as argument_texts;
use super::scope::{Ctes, Scope};
use crate::error::SqlError;
use crate::interval;
use crate::syntax::{arguments, call};

impl Checker<'_> {
    pub(super) fn window_or_bound(
        &mut self,
        f: &Function,
        name: &str,
        at: Location,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        let upper = name.to_uppercase();
        let window = name.strip_suffix("_start").or(name.strip_suffix("_end"));
        let window = window.unwrap_or(name);
        let row = Context::row(cx.scope, cx.ctes);
        let args: Vec<Expr> = arguments(f).into_iter().cloned().collect();
        for arg in &args {
            self.walk(arg, row)?;
        }
        let texts = argument_texts(&args, cx.scope);
        if let Some(group) = cx.group {
            if group.window_of(window, &texts) {
                return Ok(());
            }
            let hint = match group.has_window() {
                true => format!("group by the same {}(...)", window.to_uppercase()),
                false => format!("add {}(...) to GROUP BY", window.to_uppercase()),
            };
            let message = format!("{upper} is not a window of GROUP BY");
            return Err(self.place.hinted("E0401", at, message, hint));
        }
        let hint = format!("GROUP BY {}(ts, ..)", window.to_uppercase());
        let message = format!("{upper} is not a window of GROUP BY");
        Err(self.place.hinted("E0401", at, message, hint))
    }

    /// A window as a key.
    pub(super) fn window_call(
        &mut self,
        f: &Function,
        name: &str,
        scope: &Scope<'_>,
        ctes: &Ctes,
    ) -> Result<(), SqlError> {
        let at = self.at(&f.name);
        let plain = f.over.is_none() && f.filter.is_none() && f.within_group.is_empty();
        if !plain {
            let message = format!("{} takes arguments only", name.to_uppercase());
            return Err(self.place.error("E0401", at, message));
        }
        let args: Vec<Expr> = arguments(f).into_iter().cloned().collect();
        self.window_arguments(name, at, &args, scope, ctes)
    }

    /// Time and lengths of a window.
    pub(super) fn window_arguments(
        &mut self,
        name: &str,
        at: Location,
        args: &[Expr],
        scope: &Scope<'_>,
        ctes: &Ctes,
    ) -> Result<(), SqlError> {
        let (form, needed, most): (&str, usize, usize) = match name {
            "tumble" => ("TUMBLE(ts, INTERVAL '5' MINUTE[, offset])", 1, 2),
            "hop" => (
                "HOP(ts, slide, size[, offset]) or SLIDING(ts, size, slide)",
                2,
                3,
            ),
            "cumulate" => ("CUMULATE(ts, step, size[, offset])", 2, 3),
            _ => ("SESSION(ts, INTERVAL '10' MINUTE)", 1, 1),
        };
        let place = self.place;
        let wrong = |at: Location, message: &str| Err(place.hinted("E0401", at, message, form));
        let lengths = match args {
            [Expr::Interval(_), ..] => {
                if !self.has_event_time(scope) {
                    return wrong(at, "no time is named, and the source has no event time");
                }
                args
            }
            [time, lengths @ ..] => {
                self.window_time(time, form, scope, ctes)?;
                lengths
            }
            [] => return wrong(at, "a window takes a time and a size"),
        };
        if lengths.len() < needed || lengths.len() > most {
            let message = match lengths.len() < needed {
                true => "the window lacks a length",
                false => "the window has too many arguments",
            };
            let at = lengths.get(most).map_or(at, |e| self.at(e));
            return Err(self.place.hinted("E0401", at, message, form));
        }
        let mut nanos = Vec::new();
        for (index, length) in lengths.iter().enumerate() {
            let Expr::Interval(length) = length else {
                let message = "a window's length is an INTERVAL";
                return Err(self.place.hinted("E0401", self.at(length), message, form));
            };
            let ns = interval::length(self.place, length)?;
            if ns <= 0 && index < needed {
                let at = length.value.span().start;
                let message = "a window's length is above 0";
                return Err(self.place.hinted("E0401", at, message, form));
            }
            nanos.push(ns);
        }
        let first = lengths.first().map_or(at, |e| match e {
            Expr::Interval(i) => i.value.span().start,
            other => self.at(other),
        });
        match (name, nanos.as_slice()) {
            ("hop", [slide, size, ..]) if slide > size => {
                let message = "the slide is longer than the size: rows between would be lost";
                Err(self.place.hinted("E0401", first, message, form))
            }
            ("cumulate", [step, size, ..]) if size % step != 0 => {
                let message = "the size is no multiple of the step";
                Err(self.place.hinted("E0401", first, message, form))
            }
            _ => Ok(()),
        }
    }

    fn window_time(
        &mut self,
        time: &Expr,
        form: &str,
        scope: &Scope<'_>,
        ctes: &Ctes,
    ) -> Result<(), SqlError> {
        if let Some(("proctime", args)) = call(time)
            && args.is_empty()
        {
            return Ok(());
        }
        let at = self.at(time);
        self.row(time, scope, ctes)?;
        let found = match time {
            Expr::Identifier(i) => scope.column(self.place, &i.value, at)?,
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [r, c] => scope.qualified(self.place, &r.value, c)?,
                _ => None,
            },
            _ => {
                let message = "the time of a window is a column";
                return Err(self.place.hinted("E0401", at, message, form));
            }
        };
        match found.and_then(|f| f.data_type) {
            None | Some(ArrowType::Timestamp(_, None)) => Ok(()),
            Some(_) => {
                let message = "the time of a window is a TIMESTAMP";
                Err(self.place.hinted("E0401", at, message, form))
            }
        }
    }
}
