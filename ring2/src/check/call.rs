//! Calls: aggregates, OVER, clocks, plain functions, and what each of them may be given.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, Query, Value, Visit, Visitor, WindowSpec, WindowType, visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::Checker;
use super::expr::Context;
use super::select::Item;
use crate::dialect::TABLE_ARGUMENT;
use crate::error::SqlError;
use crate::functions::{self, BOUNDS, CLOCKS, FunctionKind, WINDOWS};

/// Whether an aggregate without OVER stands in this expression, outside of subqueries.
pub(crate) fn aggregates(expr: &Expr) -> bool {
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
        if name == TABLE_ARGUMENT {
            let hint = "FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' MINUTE))";
            let message = "TABLE t stands among the arguments of a window only";
            return Err(self.place.hinted("E0101", at, message, hint));
        }
        let Some(kind) = functions::kind(name) else {
            let message = format!("function \"{name}\" does not exist");
            let mut error = self.place.error("E0204", at, message);
            error.hint = match name {
                "unnest" => Some("FROM t CROSS JOIN UNNEST(list) AS item".into()),
                _ => functions::meant(name).map(|n| format!("did you mean {n}?")),
            };
            return Err(error);
        };
        let aggregate = kind == FunctionKind::Aggregate && over.is_none();
        if aggregate && cx.group.is_none() {
            let message = format!("aggregate {upper} cannot stand here");
            let hint = match cx.within_aggregate {
                true => "SELECT SUM(s) FROM (SELECT SUM(x) AS s FROM t GROUP BY k) u",
                false => "conditions on aggregates go into HAVING",
            };
            return Err(self.place.hinted("E0207", at, message, hint));
        }
        if kind == FunctionKind::Ranking && over.is_none() {
            let message = format!("{upper} needs OVER");
            let hint = format!("{upper}() OVER (PARTITION BY a ORDER BY b)");
            return Err(self.place.hinted("E0207", at, message, hint));
        }
        if (kind == FunctionKind::Scalar || name == "grouping") && over.is_some() {
            let message = format!("{upper} is no aggregate: OVER means nothing to it");
            let at = self.find(&["OVER"], at);
            let hint = "leave OVER out";
            return Err(self.place.hinted("E0207", at, message, hint));
        }
        let inner = match aggregate {
            true => Context {
                group: None,
                over: false,
                within_aggregate: true,
                ..cx
            },
            false => cx,
        };
        self.list(name, list, at, aggregate, inner)?;
        if let Some(filter) = filter {
            if kind != FunctionKind::Aggregate {
                let message = format!("{upper} is no aggregate: FILTER means nothing to it");
                let at = self.find(&["FILTER"], at);
                let hint = "WHERE filters rows, CASE WHEN chooses values";
                return Err(self.place.hinted("E0207", at, message, hint));
            }
            self.asked(
                filter,
                Context {
                    over: false,
                    within_aggregate: false,
                    ..inner
                },
            )?;
        }
        if null_treatment.is_some() && !takes_null_treatment(name) {
            let at = self.find(&["IGNORE", "RESPECT"], at);
            let message = format!("IGNORE NULLS means nothing to {upper}");
            let hint = "FILTER (WHERE x IS NOT NULL); aggregates such as SUM leave NULL out";
            return Err(self.place.hinted("E0207", at, message, hint));
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
            if functions::kind(name) == Some(FunctionKind::Aggregate) {
                let message = format!("DISTINCT in {upper} with OVER is not supported yet");
                let hint = "GROUP BY in a subquery counts what is distinct, and is joined";
                return Err(self.place.hinted("E0301", at, message, hint));
            }
            let message = format!("DISTINCT means nothing to {upper}");
            let hint = "DISTINCT stands in aggregates: COUNT(DISTINCT x)";
            return Err(self.place.hinted("E0207", at, message, hint));
        }
        if let Some((least, most)) = functions::arity(name)
            && !(least..=most).contains(&args.len())
        {
            let wanted = match (least, most) {
                (0, 0) => "no argument".to_string(),
                (1, 1) => "one argument".to_string(),
                (a, b) if a == b => format!("{a} arguments"),
                (1, usize::MAX) => "at least one argument".to_string(),
                (a, usize::MAX) => format!("at least {a} arguments"),
                (a, b) => format!("{a} to {b} arguments"),
            };
            let message = format!("{upper} takes {wanted}, not {}", args.len());
            let mut error = self.place.error("E0209", at, message);
            error.hint = match (name, args.len()) {
                ("count", 0) => Some("COUNT(*)".into()),
                ("count", _) => Some("SELECT COUNT(*) FROM (SELECT DISTINCT a, b FROM t) u".into()),
                _ => functions::syntax(name),
            };
            return Err(error);
        }
        if matches!(name, "date_trunc" | "date_part")
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(field)))) =
                args.first()
            && let Value::SingleQuotedString(text) = &field.value
        {
            self.time_field(text, field.span.start)?;
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
