//! Calls: aggregates, OVER, windows and their bounds, clocks, plain functions. Also what can be
//! told about types before planning: constants that are no such type, texts compared with numbers.

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, Query, Spanned, TimezoneInfo, Value, ValueWithSpan,
    Visit, Visitor, WindowSpec, WindowType, visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::Checker;
use super::expr::Context;
use super::group::{arguments as argument_texts, unnested};
use super::scope::{Ctes, Scope};
use super::select::Item;
use crate::error::{SqlError, nearest};
use crate::functions::{self, BOUNDS, CLOCKS, FunctionKind, WINDOWS};
use crate::interval;
use crate::syntax::{arguments, call};

/// Whether an aggregate without OVER stands in this expression, outside of subqueries.
pub(super) fn aggregates(expr: &Expr) -> bool {
    struct Search {
        subqueries: usize,
    }
    impl Visitor for Search {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.subqueries += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.subqueries -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(f)
                    if self.subqueries == 0
                        && f.over.is_none()
                        && functions::kind(&f.name.to_string())
                            == Some(FunctionKind::Aggregate) =>
                {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Search { subqueries: 0 }).is_break()
}

/// Whether OVER stands in this expression, or in the items that it names.
pub(super) fn has_over(expr: &Expr, items: &[Item]) -> bool {
    let flow = visit_expressions(expr, |e| match e {
        Expr::Function(f) if f.over.is_some() => ControlFlow::Break(()),
        Expr::Identifier(i) => {
            let item = items
                .iter()
                .find(|item| item.aliased && item.name == i.value);
            match item {
                Some(item) if !matches!(item.expr, Expr::Identifier(_)) => {
                    match has_over(&item.expr, &[]) {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                }
                Some(_) | None => ControlFlow::Continue(()),
            }
        }
        _ => ControlFlow::Continue(()),
    });
    flow.is_break()
}

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        f: &Function,
        at: Location,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        let Function {
            name,
            uses_odbc_syntax,
            parameters,
            args,
            filter,
            null_treatment,
            over,
            within_group,
        } = f;
        let function = name.to_string();
        let upper = function.to_uppercase();
        if *uses_odbc_syntax || !matches!(parameters, FunctionArguments::None) {
            return Err(self.place.foreign(at, "a call of this form", "f(a, b)"));
        }
        let list = match args {
            FunctionArguments::None => None,
            FunctionArguments::List(list) => Some(list),
            FunctionArguments::Subquery(_) => {
                return Err(self.place.foreign(at, "ARRAY(SELECT ..)", "ARRAY_AGG(x)"));
            }
        };
        let name = function.as_str();
        if WINDOWS.contains(&name) || BOUNDS.contains(&name) {
            return self.window_or_bound(f, name, at, cx);
        }
        if CLOCKS.contains(&name) {
            return self.clock(name, at, cx);
        }
        let Some(kind) = functions::kind(name) else {
            let message = format!("function \"{name}\" does not exist");
            let mut error = self.place.error("E0204", at, message);
            error.hint = functions::meant(name).map(|n| format!("did you mean {n}?"));
            return Err(error);
        };
        let aggregate = kind == FunctionKind::Aggregate && over.is_none();
        if aggregate && cx.group.is_none() {
            let message = format!("aggregate {upper} cannot stand here");
            let hint = "conditions on aggregates go into HAVING";
            return Err(self.place.hinted("E0207", at, message, hint));
        }
        if kind == FunctionKind::Ranking && over.is_none() {
            let message = format!("{upper} needs OVER");
            let hint = format!("{upper}() OVER (PARTITION BY a ORDER BY b)");
            return Err(self.place.hinted("E0207", at, message, hint));
        }
        if kind == FunctionKind::Scalar && over.is_some() {
            let message = format!("{upper} is no aggregate: OVER means nothing to it");
            return Err(self.place.error("E0207", self.find(&["OVER"], at), message));
        }
        let inner = match aggregate {
            true => Context {
                group: None,
                over: false,
                ..cx
            },
            false => cx,
        };
        self.list(name, list, at, aggregate, inner)?;
        if let Some(filter) = filter {
            if kind != FunctionKind::Aggregate {
                let message = format!("{upper} is no aggregate: FILTER means nothing to it");
                return Err(self
                    .place
                    .error("E0207", self.find(&["FILTER"], at), message));
            }
            self.walk(
                filter,
                Context {
                    over: false,
                    ..inner
                },
            )?;
        }
        if null_treatment.is_some() && !takes_null_treatment(name) {
            let at = self.find(&["IGNORE", "RESPECT"], at);
            let message = format!("IGNORE NULLS means nothing to {upper}");
            return Err(self.place.error("E0207", at, message));
        }
        if let [by, ..] = within_group.as_slice() {
            if !name.starts_with("approx_percentile") && name != "percentile_cont" {
                let at = self.find(&["WITHIN"], at);
                let hint = "ORDER BY inside the brackets: ARRAY_AGG(x ORDER BY y)";
                let message = format!("WITHIN GROUP means nothing to {upper}");
                return Err(self.place.hinted("E0207", at, message, hint));
            }
            let expr = self.order_expr(by)?;
            self.walk(expr, inner)?;
        }
        match over {
            None => Ok(()),
            Some(_) if !cx.over => {
                let hint = "QUALIFY filters by it, or a subquery";
                let message = "OVER cannot stand here";
                let at = self.find(&["OVER"], at);
                Err(self.place.hinted("E0207", at, message, hint))
            }
            Some(WindowType::NamedWindow(named)) if cx.windows.contains(&named.value) => Ok(()),
            Some(WindowType::NamedWindow(named)) => {
                let message = format!("window \"{}\" is not defined", named.value);
                let hint = "WINDOW w AS (PARTITION BY ..), behind HAVING";
                Err(self.place.hinted("E0202", named.span.start, message, hint))
            }
            Some(WindowType::WindowSpec(spec)) => {
                if kind == FunctionKind::Ranking && spec.order_by.is_empty() && ranks(name) {
                    let at = self.find(&["OVER"], at);
                    let message = format!("{upper} ranks by nothing: OVER has no ORDER BY");
                    let hint = format!("{upper}() OVER (PARTITION BY a ORDER BY b DESC)");
                    return Err(self.place.hinted("E0207", at, message, hint));
                }
                self.over(spec, cx)
            }
        }
    }

    pub(super) fn over(&mut self, spec: &WindowSpec, cx: Context<'_>) -> Result<(), SqlError> {
        let inside = Context {
            aliases: true,
            over: false,
            ..cx
        };
        let names = cx.windows;
        self.window_spec(spec, names, &mut |checker, e| checker.walk(e, inside))
    }

    fn list(
        &mut self,
        name: &str,
        list: Option<&FunctionArgumentList>,
        at: Location,
        aggregate: bool,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        let upper = name.to_uppercase();
        let Some(list) = list else {
            return Ok(());
        };
        let FunctionArgumentList {
            duplicate_treatment,
            args,
            clauses,
        } = list;
        if duplicate_treatment.is_some() && !aggregate {
            let at = self.find(&["DISTINCT", "ALL"], at);
            let message = format!("DISTINCT means nothing to {upper}");
            return Err(self.place.error("E0207", at, message));
        }
        if let Some((least, most)) = functions::arity(name)
            && !(least..=most).contains(&args.len())
        {
            let wanted = match (least, most) {
                (0, 0) => "no argument".to_string(),
                (1, 1) => "one argument".to_string(),
                (a, b) if a == b => format!("{a} arguments"),
                (a, b) => format!("{a} to {b} arguments"),
            };
            let message = format!("{upper} takes {wanted}, not {}", args.len());
            let mut error = self.place.error("E0209", at, message);
            if name == "count" && args.is_empty() {
                error.hint = Some("COUNT(*)".into());
            }
            return Err(error);
        }
        for arg in args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.walk(expr, cx)?,
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "count" => {
                    if duplicate_treatment.is_some() {
                        let at = self.find(&["DISTINCT", "ALL"], at);
                        let hint = "COUNT(DISTINCT column), or COUNT(*)";
                        let message = "COUNT(DISTINCT *) counts nothing that is named";
                        return Err(self.place.hinted("E0207", at, message, hint));
                    }
                }
                FunctionArg::Unnamed(
                    FunctionArgExpr::Wildcard
                    | FunctionArgExpr::QualifiedWildcard(_)
                    | FunctionArgExpr::WildcardWithOptions(_),
                ) => {
                    let message = format!("{upper} takes no \"*\"");
                    return Err(self
                        .place
                        .hinted("E0209", at, message, "only COUNT(*) does"));
                }
                FunctionArg::Named {
                    name,
                    arg: _,
                    operator: _,
                } => {
                    let at = name.span.start;
                    return Err(self.place.foreign(at, "a named argument", "f(a, b)"));
                }
                FunctionArg::ExprNamed {
                    name,
                    arg: _,
                    operator: _,
                } => {
                    let at = self.at(name);
                    return Err(self.place.foreign(at, "a named argument", "f(a, b)"));
                }
            }
        }
        for clause in clauses {
            match clause {
                FunctionArgumentClause::OrderBy(order) if aggregate => {
                    for by in order {
                        let expr = self.order_expr(by)?;
                        self.walk(expr, cx)?;
                    }
                }
                FunctionArgumentClause::IgnoreOrRespectNulls(_) if takes_null_treatment(name) => {}
                FunctionArgumentClause::OrderBy(_)
                | FunctionArgumentClause::IgnoreOrRespectNulls(_)
                | FunctionArgumentClause::Limit(_)
                | FunctionArgumentClause::OnOverflow(_)
                | FunctionArgumentClause::Having(_)
                | FunctionArgumentClause::Separator(_)
                | FunctionArgumentClause::JsonNullClause(_)
                | FunctionArgumentClause::JsonReturningClause(_) => {
                    let what = format!("\"{clause}\" in {upper}");
                    return Err(self.place.foreign(at, &what, ""));
                }
            }
        }
        Ok(())
    }

    pub(super) fn clock(&self, name: &str, at: Location, cx: Context<'_>) -> Result<(), SqlError> {
        if !cx.unbounded || cx.group.is_none() {
            return Ok(());
        }
        let message = format!(
            "{} has no one value over groups of unbounded input",
            name.to_uppercase()
        );
        let hint = "compare with it in WHERE, or use the event time";
        Err(self.place.hinted("E0214", at, message, hint))
    }

    fn window_or_bound(
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

    pub(super) fn operator(&self, op: &BinaryOperator, at: Location) -> Result<(), SqlError> {
        use BinaryOperator as B;
        match op {
            B::Plus
            | B::Minus
            | B::Multiply
            | B::Divide
            | B::Modulo
            | B::StringConcat
            | B::Gt
            | B::Lt
            | B::GtEq
            | B::LtEq
            | B::Eq
            | B::NotEq
            | B::And
            | B::Or
            | B::BitwiseOr
            | B::BitwiseAnd
            | B::PGBitwiseXor
            | B::PGBitwiseShiftLeft
            | B::PGBitwiseShiftRight
            | B::PGRegexMatch
            | B::PGRegexIMatch
            | B::PGRegexNotMatch
            | B::PGRegexNotIMatch
            | B::Arrow
            | B::LongArrow => Ok(()),
            other => {
                let hint = match other {
                    B::PGExp => "POWER(a, b)",
                    B::Xor => "a <> b",
                    B::DuckIntegerDivide | B::MyIntegerDivide => "a / b of integers is whole",
                    B::Spaceship => "IS NOT DISTINCT FROM",
                    _ => "",
                };
                Err(self.place.foreign(at, &format!("operator {other}"), hint))
            }
        }
    }

    /// A column compared with a constant of another kind.
    pub(super) fn comparison(
        &self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        if !matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
            return Ok(());
        }
        for (column, constant) in [(left, right), (right, left)] {
            let (Expr::Identifier(ident), Expr::Value(value)) = (unnested(column), constant) else {
                continue;
            };
            let name = &ident.value;
            let Ok(Some(found)) = cx.scope.column(self.place, name, ident.span.start) else {
                continue;
            };
            let text = matches!(found.data_type, Some(ArrowType::Utf8 | ArrowType::Utf8View));
            let number = found.data_type.as_ref().is_some_and(ArrowType::is_numeric);
            let constant = value.value.to_string();
            let message = match &value.value {
                Value::Number(_, _) if text => {
                    format!("\"{name}\" is a text, and {constant} a number")
                }
                Value::SingleQuotedString(t) if number && t.trim().parse::<f64>().is_err() => {
                    format!("\"{name}\" is a number, and {constant} is none")
                }
                Value::Boolean(_) if text || number => {
                    format!("\"{name}\" is no BOOLEAN, and {constant} is one")
                }
                _ => continue,
            };
            let hint = match &value.value {
                Value::Number(_, _) => format!("'{constant}'"),
                _ => "compare values of one type".to_string(),
            };
            return Err(self.place.hinted("E0206", value.span.start, message, hint));
        }
        Ok(())
    }

    pub(super) fn cast_type(&self, data_type: &DataType, at: Location) -> Result<(), SqlError> {
        let what = match data_type {
            DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
                let hint = "a TIMESTAMP has no zone and is taken as UTC";
                let message = format!("type {data_type} is not supported");
                return Err(self.place.hinted("E0302", at, message, hint));
            }
            DataType::Custom(name, _) => name.to_string().to_uppercase(),
            _ => return Ok(()),
        };
        let known = [
            "BIGINT",
            "INT",
            "SMALLINT",
            "DOUBLE",
            "REAL",
            "VARCHAR",
            "TEXT",
            "BOOLEAN",
            "DATE",
            "TIMESTAMP",
            "DECIMAL",
            "BYTEA",
        ];
        let message = format!("type {what} does not exist");
        let mut error = self.place.error("E0302", at, message);
        let nearest = nearest(&what, known.into_iter()).map(|n| format!("did you mean {n}?"));
        error.hint = nearest.or(Some(
            "BIGINT, DOUBLE, VARCHAR, BOOLEAN, DATE, TIMESTAMP".into(),
        ));
        Err(error)
    }

    /// `DATE '..'` and `TIMESTAMP '..'` that are none.
    pub(super) fn typed_string(
        &self,
        data_type: &DataType,
        value: &ValueWithSpan,
    ) -> Result<(), SqlError> {
        use datafusion::arrow::compute::kernels::cast_utils::{Parser, string_to_timestamp_nanos};
        use datafusion::arrow::datatypes::Date32Type;
        let Value::SingleQuotedString(text) = &value.value else {
            return Ok(());
        };
        let (good, hint) = match data_type {
            DataType::Date => (Date32Type::parse(text).is_some(), "DATE '2025-11-06'"),
            DataType::Timestamp(_, _) => (
                string_to_timestamp_nanos(text).is_ok(),
                "TIMESTAMP '2025-11-06 10:00:00'",
            ),
            _ => return Ok(()),
        };
        match good {
            true => Ok(()),
            false => {
                let message = format!("'{text}' is no {data_type}");
                Err(self.place.hinted("E0206", value.span.start, message, hint))
            }
        }
    }
}

fn takes_null_treatment(name: &str) -> bool {
    matches!(
        name,
        "first_value" | "last_value" | "nth_value" | "lag" | "lead" | "array_agg"
    )
}

fn ranks(name: &str) -> bool {
    matches!(
        name,
        "rank" | "dense_rank" | "percent_rank" | "cume_dist" | "ntile" | "row_number"
    )
}
