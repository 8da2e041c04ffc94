//! Spellings of one thing become one tree: TUMBLING is TUMBLE, SLIDING(ts, size, slide) is
//! HOP(ts, slide, size), and `TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), size))` is
//! `TUMBLE(t, ts, size)`. A tree too deep to walk is refused here, right behind the parser.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    Query, Select, SelectItem, Spanned, Subscript, TableFactor, TableFunctionArgs, Value,
    ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut, visit_expressions_mut,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::{casts, decimal_text, distinct, spans};
use crate::dialect::TABLE_ARGUMENT;
use crate::error::SqlError;
use crate::limits::{EXPRESSION_DEPTH_MAX, IN_LIST_MAX, QUERY_DEPTH_MAX};
use crate::place::Place;

/// A window's argument names, in the order of its canonical form.
fn parameters(window: &str) -> &'static [&'static str] {
    match window {
        "tumble" => &["data", "timecol", "size", "offset"],
        "hop" => &["data", "timecol", "slide", "size", "offset"],
        "cumulate" => &["data", "timecol", "step", "size", "offset"],
        "session" => &["data", "timecol", "gap"],
        _ => &[],
    }
}

/// What becomes of a query's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// They are told, in the order that the query asks for.
    Told,
    /// They are kept under a name, without an order.
    Kept,
}

pub(crate) fn query(place: Place<'_>, query: &mut Query, rows: Rows) -> Result<(), SqlError> {
    check_depth(place, query)?;
    let depth = usize::from(rows == Rows::Kept);
    broken(query.visit(&mut Canonical { place, depth }))
}

pub(crate) fn expr(place: Place<'_>, expr: &mut Expr) -> Result<(), SqlError> {
    check_depth(place, expr)?;
    let depth = 1;
    broken(VisitMut::visit(expr, &mut Canonical { place, depth }))?;
    // No result is named by it, as those of queries are.
    let _: ControlFlow<()> = visit_expressions_mut(expr, |e| {
        decimal_text(e);
        ControlFlow::Continue(())
    });
    Ok(())
}

fn broken(flow: ControlFlow<SqlError>) -> Result<(), SqlError> {
    match flow {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Depth {
    now: usize,
    queries: usize,
}

impl Visitor for Depth {
    type Break = (Location, String);

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        self.queries += 1;
        if self.queries > QUERY_DEPTH_MAX {
            let message = format!("more than {QUERY_DEPTH_MAX} queries inside one another");
            return ControlFlow::Break((query.span().start, message));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        self.now += 1;
        if self.now > EXPRESSION_DEPTH_MAX {
            let message = format!("an expression of more than {EXPRESSION_DEPTH_MAX} levels");
            return ControlFlow::Break((expr.span().start, message));
        }
        match expr {
            Expr::InList { list, .. } if list.len() > IN_LIST_MAX => {
                let message = format!("an IN list of more than {IN_LIST_MAX} values");
                ControlFlow::Break((list[IN_LIST_MAX].span().start, message))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<Self::Break> {
        self.now -= 1;
        ControlFlow::Continue(())
    }
}

fn check_depth<T: Visit>(place: Place<'_>, tree: &T) -> Result<(), SqlError> {
    match tree.visit(&mut Depth { now: 0, queries: 0 }) {
        ControlFlow::Break((at, message)) => {
            let hint = match message.contains("queries") {
                true => "write parts of it as materialized views",
                false => "write many alternatives as x IN (...)",
            };
            Err(place.hinted("E0106", at, message, hint))
        }
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Canonical<'a> {
    place: Place<'a>,
    /// How many queries there are around what is visited.
    depth: usize,
}

impl VisitorMut for Canonical<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        self.depth -= 1;
        match distinct::query(self.place, query) {
            Ok(true) if self.depth > 0 => distinct::unordered(query),
            Ok(_) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        if let TableFactor::TableFunction { expr, alias } = factor
            && let Expr::Function(f) = expr
        {
            *factor = TableFactor::Table {
                name: f.name.clone(),
                alias: alias.clone(),
                args: Some(TableFunctionArgs {
                    args: match &f.args {
                        FunctionArguments::List(list) => list.args.clone(),
                        FunctionArguments::None | FunctionArguments::Subquery(_) => vec![],
                    },
                    settings: None,
                }),
                with_hints: vec![],
                version: None,
                with_ordinality: false,
                partitions: vec![],
                json_path: None,
                sample: None,
                index_hints: vec![],
            };
        }
        if let TableFactor::Table {
            name,
            args: Some(args),
            ..
        } = factor
        {
            return self.window(name, &mut args.args, Input::Table);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { expr, alias } = item {
                self.name(alias, expr.span().end)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<SqlError> {
        let at = relation.span().start;
        let mut parts = relation.0.iter().filter_map(|part| part.as_ident());
        parts.try_for_each(|ident| self.name(ident, at))
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        if let TableFactor::Table {
            alias: Some(alias), ..
        }
        | TableFactor::Derived {
            alias: Some(alias), ..
        }
        | TableFactor::UNNEST {
            alias: Some(alias), ..
        } = factor
        {
            alias.explicit = true;
        }
        let at = factor.span().end;
        if let TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::NestedJoin { alias, .. } = factor
            && let Some(alias) = alias
        {
            self.name(&alias.name, at)?;
            let mut columns = alias.columns.iter();
            columns.try_for_each(|column| self.name(&column.name, at))?;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let at = expr.span().start;
        match expr {
            Expr::Identifier(ident) => self.name(ident, at)?,
            Expr::CompoundIdentifier(parts) => {
                parts.iter().try_for_each(|ident| self.name(ident, at))?;
            }
            _ => {}
        }
        spans::written(expr);
        casts::written(expr);
        if let Expr::CompoundFieldAccess { root, access_chain } = expr {
            in_brackets(root, access_chain);
        }
        if let Expr::CompoundFieldAccess { access_chain, .. } = expr {
            let constant = access_chain.iter().find_map(|access| match access {
                AccessExpr::Dot(Expr::Value(value)) => Some(value.span.start),
                _ => None,
            });
            if let Some(at) = constant {
                let message = "a name follows a dot";
                let error = self.place.hinted("E0101", at, message, "list[1]");
                return ControlFlow::Break(error);
            }
        }
        if let Expr::Function(Function {
            name,
            args: FunctionArguments::List(list),
            ..
        }) = expr
        {
            return self.window(name, &mut list.args, Input::Column);
        }
        ControlFlow::Continue(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Input {
    Table,
    Column,
}

impl Canonical<'_> {
    /// Refuses a text in the place of a name: it would not be printed as it was read.
    fn name(&self, ident: &Ident, at: Location) -> ControlFlow<SqlError> {
        if ident.quote_style != Some('\'') {
            return ControlFlow::Continue(());
        }
        let at = match ident.span.start {
            start if start.line > 0 => start,
            _ => at,
        };
        let message = format!("a name, and not the text '{}', stands here", ident.value);
        let hint = "names are quoted with \", strings with '";
        ControlFlow::Break(self.place.hinted("E0101", at, message, hint))
    }

    fn window(
        &self,
        name: &mut ObjectName,
        args: &mut Vec<FunctionArg>,
        input: Input,
    ) -> ControlFlow<SqlError> {
        let [part] = name.0.as_slice() else {
            return ControlFlow::Continue(());
        };
        let Some(ident) = part.as_ident().filter(|i| i.quote_style.is_none()) else {
            return ControlFlow::Continue(());
        };
        let spelled = ident.value.to_lowercase();
        let (window, swap) = match spelled.as_str() {
            "tumble" | "tumbling" => ("tumble", false),
            "hop" | "hopping" => ("hop", false),
            "slide" | "sliding" => ("hop", true),
            "session" | "sessions" => ("session", false),
            "cumulate" | "cumulating" => ("cumulate", false),
            _ => return ControlFlow::Continue(()),
        };
        let span = ident.span;
        let names = parameters(window);
        let named = args.iter().any(|a| !matches!(a, FunctionArg::Unnamed(_)));
        if named && let Err(error) = self.in_order(args, names, &spelled) {
            return ControlFlow::Break(error);
        }
        if let Some(at) = keys_behind(args, window) {
            let what = format!("PARTITION BY in {}", spelled.to_uppercase());
            let hint = "only sessions belong to a key; GROUP BY names the others";
            return ControlFlow::Break(self.place.foreign(at, &what, hint));
        }
        args.iter_mut().for_each(plain);
        if swap && !named {
            // SLIDING has the size first: the last two, or those before an offset.
            let data = usize::from(input == Input::Table);
            let intervals = args.iter().skip(data).position(is_length);
            if let Some(first) = intervals.map(|i| i + data)
                && args.len() > first + 1
            {
                args.swap(first, first + 1);
            }
        }
        let mut ident = Ident::new(window);
        ident.span = span;
        *name = ObjectName::from(vec![ident]);
        ControlFlow::Continue(())
    }

    /// Puts named arguments in the order of the window's parameters.
    fn in_order(
        &self,
        args: &mut Vec<FunctionArg>,
        names: &[&str],
        window: &str,
    ) -> Result<(), SqlError> {
        let mut slots: Vec<Option<FunctionArg>> = vec![None; names.len()];
        for (index, arg) in args.drain(..).enumerate() {
            let (slot, at, value) = match arg {
                FunctionArg::Named { name, arg, .. } => {
                    let position = names.iter().position(|n| *n == name.value);
                    let Some(position) = position else {
                        let upper = window.to_uppercase();
                        let message = format!("{upper} has no argument \"{}\"", name.value);
                        let known = format!("known: {}", names.join(", "));
                        let at = name.span.start;
                        return Err(self.place.hinted("E0401", at, message, known));
                    };
                    (position, name.span.start, FunctionArg::Unnamed(arg))
                }
                other => (index, Location { line: 0, column: 0 }, other),
            };
            match slots.get_mut(slot) {
                Some(free @ None) => *free = Some(value),
                Some(Some(_)) | None => {
                    let message = "this argument is given twice";
                    return Err(self.place.error("E0401", at, message));
                }
            }
        }
        *args = slots.into_iter().flatten().collect();
        Ok(())
    }
}

/// `(row).field` is `(row)['field']`, and `rows[1].field` is `rows[1]['field']`.
fn in_brackets(root: &Expr, chain: &mut [AccessExpr]) {
    // Before that names may be those of a relation and its column.
    let mut is_value = !matches!(root, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    for access in chain {
        match access {
            AccessExpr::Dot(Expr::Identifier(field)) if is_value => {
                let index = Expr::Value(ValueWithSpan {
                    value: Value::SingleQuotedString(field.value.clone()),
                    span: field.span,
                });
                *access = AccessExpr::Subscript(Subscript::Index { index });
            }
            AccessExpr::Dot(_) => {}
            AccessExpr::Subscript(_) => is_value = true,
        }
    }
}

fn is_length(arg: &FunctionArg) -> bool {
    matches!(
        arg,
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Interval(_)))
    )
}

/// Puts the keys of `TABLE t PARTITION BY k, ..` behind the other arguments of a session; where
/// they stand, if they stand in another window.
fn keys_behind(args: &mut Vec<FunctionArg>, window: &str) -> Option<Location> {
    let keys = args.iter_mut().find_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(f)))
            if f.name.to_string() == TABLE_ARGUMENT =>
        {
            match &mut f.args {
                FunctionArguments::List(list) => Some(list.args.split_off(1)),
                FunctionArguments::None | FunctionArguments::Subquery(_) => None,
            }
        }
        _ => None,
    })?;
    match keys.first() {
        Some(first) if window != "session" => Some(first.span().start),
        _ => {
            args.extend(keys);
            None
        }
    }
}

/// `TABLE t` and `DESCRIPTOR(c)` are a name.
fn plain(arg: &mut FunctionArg) {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else {
        return;
    };
    let Expr::Function(f) = expr else { return };
    let name = f.name.to_string();
    if (name == TABLE_ARGUMENT || name == "descriptor")
        && let FunctionArguments::List(list) = &f.args
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))] = list.args.as_slice()
    {
        *expr = inner.clone();
    }
}
