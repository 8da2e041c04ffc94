//! The walk over a SELECT's syntax tree before DataFusion sees it: names are resolved, grouping is
//! checked, and whatever is not lowered is refused with its place. Mistakes of meaning come before
//! what is not supported yet: those stay wrong. It writes the tree anew: columns quoted and
//! unqualified, results named by position, windows as calls of [`crate::window`].

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, GroupByExpr, Ident, ObjectName, Query, SelectItem, SetExpr, Spanned,
    visit_expressions_mut,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use trefoil_ring0::schema::physical;

use crate::ResultColumn;
use crate::catalog::SourceDef;
use crate::error::{SqlError, nearest};
use crate::functions::{self, BOUNDS, FunctionKind, WINDOWS};
use crate::script::{Emit, Select};
use crate::select::{self, Shape};
use crate::syntax::{
    arguments, call, default_name, has_aggregate, is_aggregate, normal, quote, unpositioned,
};
use crate::window::{self, Window};

/// A resolved query.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The tree for DataFusion.
    pub(crate) query: Query,
    /// The source.
    pub(crate) source: SourceDef,
    /// What the results are called.
    pub(crate) results: Vec<ResultColumn>,
}

#[derive(Clone, Copy)]
enum Mode<'a> {
    /// Over records: no aggregates.
    Row,
    /// Over groups with these keys.
    Group(&'a [String]),
}

pub(crate) struct Resolver<'a> {
    pub(crate) select: &'a Select<'a>,
    pub(crate) source: &'a SourceDef,
    pub(crate) qualifiers: Vec<String>,
    pub(crate) window: Option<Window>,
    /// Refusals of what is not supported yet, in order.
    later: Vec<SqlError>,
}

/// A select item: what it computes and its name.
pub(crate) struct Item {
    pub(crate) expr: Expr,
    pub(crate) name: String,
    pub(crate) aliased: bool,
}

/// Resolves one query.
pub(crate) fn resolve(select: &Select<'_>) -> Result<Resolved, SqlError> {
    let Shape {
        mut query,
        source,
        qualifiers,
        later,
    } = select::shape(select)?;
    let mut resolver = Resolver {
        select,
        source,
        qualifiers,
        window: None,
        later,
    };
    let results = resolver.query(&mut query)?;
    if let Some(error) = resolver.later.into_iter().next() {
        return Err(error);
    }
    Ok(Resolved {
        query,
        source: source.clone(),
        results,
    })
}

impl Resolver<'_> {
    fn error(&self, code: &'static str, at: Location, message: impl Into<String>) -> SqlError {
        self.select.place.error(code, at, message)
    }

    fn query(&mut self, query: &mut Query) -> Result<Vec<ResultColumn>, SqlError> {
        let SetExpr::Select(select) = query.body.as_mut() else {
            return Err(self.error("E0101", self.select.chunk.end, "expected SELECT"));
        };
        let mut items = self.items(&select.projection)?;
        let GroupByExpr::Expressions(keys, _) = &mut select.group_by else {
            return Err(self.error("E0101", self.select.chunk.end, "expected GROUP BY keys"));
        };
        for item in &mut items {
            self.canonical(&mut item.expr)?;
        }
        for expr in select.selection.iter_mut().chain(&mut *keys) {
            self.canonical(expr)?;
        }
        for key in keys.iter_mut() {
            self.group_key(key, &items)?;
        }
        if let Some(having) = &mut select.having {
            self.canonical(having)?;
            self.replace_aliases(having, &items);
        }
        for key in keys.iter() {
            if let Some((function, args)) = call(key)
                && function == "tumble"
            {
                let window = window::read(self.select.place, self.source, key, &args)?;
                let at = key.span().start;
                if self.window.as_ref().is_some_and(|w| *w != window) {
                    return Err(self.error("E0401", at, "a query has one window"));
                }
                self.window = Some(window);
            }
            self.walk(key, Mode::Row)?;
        }
        if let Some(condition) = &select.selection {
            self.walk(condition, Mode::Row)?;
        }
        let aggregated = !keys.is_empty()
            || select.having.is_some()
            || items.iter().any(|i| has_aggregate(&i.expr));
        let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let mode = match aggregated {
            true => Mode::Group(&texts),
            false => Mode::Row,
        };
        for item in &items {
            self.walk(&item.expr, mode)?;
        }
        if let Some(having) = &select.having {
            self.walk(having, mode)?;
        }
        self.emit()?;
        self.rewrite(&mut select.having)?;
        for key in keys.iter_mut() {
            if let (Some(("tumble", _)), Some(w)) = (call(key), &self.window) {
                *key = w.start_expr();
            }
            *key = unpositioned(key.clone());
        }
        let (projection, results) = self.project(items)?;
        select.projection = projection;
        Ok(results)
    }

    fn items(&self, projection: &[SelectItem]) -> Result<Vec<Item>, SqlError> {
        let mut items = Vec::new();
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(expr) => items.push(Item {
                    name: default_name(expr),
                    expr: expr.clone(),
                    aliased: false,
                }),
                SelectItem::ExprWithAlias { expr, alias } => items.push(Item {
                    name: normal(alias),
                    expr: expr.clone(),
                    aliased: true,
                }),
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                    let plain = item.to_string();
                    let at = item.span().start;
                    if !plain.ends_with('*') {
                        return Err(self.select.place.unsupported(at, format!("\"{plain}\"")));
                    }
                    for column in &self.source.columns {
                        let mut ident = Ident::with_quote('"', &column.name);
                        ident.span = item.span();
                        items.push(Item {
                            expr: Expr::Identifier(ident),
                            name: column.name.clone(),
                            aliased: false,
                        });
                    }
                }
                SelectItem::ExprWithAliases { expr, .. } => {
                    let at = expr.span().start;
                    return Err(self.select.place.unsupported(at, "a list of aliases"));
                }
            }
        }
        Ok(items)
    }

    /// Quotes columns, takes qualifiers off, writes function names small.
    fn canonical(&self, expr: &mut Expr) -> Result<(), SqlError> {
        let flow = visit_expressions_mut(expr, |e| {
            match e {
                Expr::Identifier(ident) => *ident = quote(ident),
                Expr::CompoundIdentifier(parts) => {
                    let [qualifier, column] = parts.as_slice() else {
                        return ControlFlow::Continue(());
                    };
                    if !self.qualifiers.contains(&normal(qualifier)) {
                        let message = format!("relation \"{}\" does not exist", normal(qualifier));
                        return ControlFlow::Break(self.error("E0202", e.span().start, message));
                    }
                    let mut ident = quote(column);
                    ident.span = e.span();
                    *e = Expr::Identifier(ident);
                }
                Expr::Function(f) => {
                    if let Some(ident) = f.name.0.first().and_then(|p| p.as_ident()) {
                        let name = match normal(ident).as_str() {
                            "tumbling" => "tumble".to_string(),
                            "variance" => "var_samp".to_string(),
                            other => other.to_string(),
                        };
                        let mut fresh = Ident::new(name);
                        fresh.span = ident.span;
                        f.name = ObjectName::from(vec![fresh]);
                    }
                }
                _ => {}
            }
            ControlFlow::Continue(())
        });
        match flow {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    /// A key may be the position or the alias of a select item.
    fn group_key(&self, key: &mut Expr, items: &[Item]) -> Result<(), SqlError> {
        if let Expr::Value(v) = key
            && let Ok(position) = v.to_string().parse::<usize>()
        {
            let item = position.checked_sub(1).and_then(|i| items.get(i));
            let Some(item) = item else {
                let message = format!("GROUP BY position {position} is not in the select list");
                return Err(self.error("E0201", key.span().start, message));
            };
            *key = item.expr.clone();
        } else if let Expr::Identifier(ident) = key {
            let item = items.iter().find(|i| i.aliased && i.name == ident.value);
            if self.source.index_of(&ident.value).is_none()
                && let Some(item) = item
            {
                *key = item.expr.clone();
            }
        }
        Ok(())
    }

    fn replace_aliases(&self, expr: &mut Expr, items: &[Item]) {
        let _: ControlFlow<()> = visit_expressions_mut(expr, |e| {
            if let Expr::Identifier(ident) = e
                && self.source.index_of(&ident.value).is_none()
                && let Some(item) = items.iter().find(|i| i.aliased && i.name == ident.value)
            {
                *e = Expr::Nested(Box::new(item.expr.clone()));
            }
            ControlFlow::Continue(())
        });
    }

    fn walk(&mut self, expr: &Expr, mode: Mode<'_>) -> Result<(), SqlError> {
        if let Mode::Group(keys) = mode
            && keys.contains(&expr.to_string())
        {
            return Ok(());
        }
        let at = expr.span().start;
        match expr {
            Expr::Identifier(ident) => self.column(ident, at, mode),
            Expr::Function(f) => self.function(f, at, mode),
            Expr::Value(_) | Expr::TypedString(_) | Expr::Interval(_) => Ok(()),
            Expr::BinaryOp { left, right, .. }
            | Expr::IsDistinctFrom(left, right)
            | Expr::IsNotDistinctFrom(left, right) => {
                self.walk(left, mode)?;
                self.walk(right, mode)
            }
            Expr::UnaryOp { expr, .. }
            | Expr::Nested(expr)
            | Expr::IsNull(expr)
            | Expr::IsNotNull(expr)
            | Expr::IsTrue(expr)
            | Expr::IsNotTrue(expr)
            | Expr::IsFalse(expr)
            | Expr::IsNotFalse(expr)
            | Expr::IsUnknown(expr)
            | Expr::IsNotUnknown(expr) => self.walk(expr, mode),
            Expr::Cast { expr, .. } => self.walk(expr, mode),
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => {
                let whens = conditions.iter().flat_map(|c| [&c.condition, &c.result]);
                let ends = operand.iter().chain(else_result).map(|e| &**e);
                whens.chain(ends).try_for_each(|e| self.walk(e, mode))
            }
            Expr::Like { expr, pattern, .. } | Expr::ILike { expr, pattern, .. } => {
                self.walk(expr, mode)?;
                self.walk(pattern, mode)
            }
            Expr::Between {
                expr, low, high, ..
            } => {
                self.walk(expr, mode)?;
                self.walk(low, mode)?;
                self.walk(high, mode)
            }
            Expr::InList { expr, list, .. } => {
                self.walk(expr, mode)?;
                list.iter().try_for_each(|e| self.walk(e, mode))
            }
            other => {
                let what = match other {
                    Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
                        "a subquery in an expression".to_string()
                    }
                    Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. } => {
                        "a field of a column".to_string()
                    }
                    other => {
                        let text = other.to_string();
                        match text.split([' ', '(']).next() {
                            Some("") | None => "an expression of this form".to_string(),
                            Some(first) => first.to_string(),
                        }
                    }
                };
                self.later.push(self.select.place.unsupported(at, what));
                Ok(())
            }
        }
    }

    fn column(&mut self, ident: &Ident, at: Location, mode: Mode<'_>) -> Result<(), SqlError> {
        let name = &ident.value;
        let Some(index) = self.source.index_of(name) else {
            if matches!(name.as_str(), "window_start" | "window_end") && self.window.is_some() {
                return match mode {
                    Mode::Group(_) => Ok(()),
                    Mode::Row => {
                        let message = format!("\"{name}\" exists only after grouping");
                        Err(self.error("E0207", at, message))
                    }
                };
            }
            if crate::planner::tree::SYSTEM.contains(&name.as_str()) {
                let refusal = self.select.place.unsupported(at, name.to_uppercase());
                self.later.push(refusal);
                return Ok(());
            }
            let message = format!("column \"{name}\" does not exist");
            let mut error = self.error("E0201", at, message);
            let known = self.source.columns.iter().map(|c| c.name.as_str());
            error.hint = nearest(name, known).map(|n| format!("did you mean \"{n}\"?"));
            return Err(error);
        };
        if let Mode::Group(_) = mode {
            let message = format!("column \"{name}\" is neither grouped nor aggregated");
            let hint = format!("add {name} to GROUP BY, or use it in an aggregate");
            return Err(self.select.place.hinted("E0203", at, message, hint));
        }
        let column = &self.source.columns[index];
        if physical(&column.data_type).is_none() {
            let message = format!(
                "column \"{name}\": type {} is not supported yet",
                column.declared
            );
            let hint = "all types but texts of a fixed length are";
            let error = self.select.place.hinted("E0302", at, message, hint);
            self.later.push(error);
        }
        Ok(())
    }

    fn function(&mut self, f: &Function, at: Location, mode: Mode<'_>) -> Result<(), SqlError> {
        let name = f.name.to_string();
        let known = name.as_str();
        let aggregate = is_aggregate(known);
        if aggregate && matches!(mode, Mode::Row) {
            let message = format!("aggregate {} cannot stand here", known.to_uppercase());
            let hint = "conditions on aggregates go into HAVING";
            return Err(self.select.place.hinted("E0207", at, message, hint));
        }
        let is_window = WINDOWS.contains(&known) || BOUNDS.contains(&known);
        if is_window {
            return self.window_call(f, known, at, mode);
        }
        let runs = aggregate || functions::kind(known) == Some(FunctionKind::Scalar);
        if f.over.is_none() && (!runs || functions::CLOCKS.contains(&known)) {
            let what = format!("function {}", known.to_uppercase());
            self.later.push(self.select.place.unsupported(at, what));
        }
        let refusal = (!aggregate || f.over.is_some())
            .then(|| select::refuse_call(self.select, f, at))
            .flatten();
        self.later.extend(refusal);
        let inner = match aggregate {
            true => Mode::Row,
            false => mode,
        };
        if let Some(filter) = &f.filter {
            self.walk(filter, inner)?;
        }
        arguments(f)
            .into_iter()
            .try_for_each(|a| self.walk(a, inner))
    }

    fn window_call(
        &mut self,
        f: &Function,
        name: &str,
        at: Location,
        mode: Mode<'_>,
    ) -> Result<(), SqlError> {
        arguments(f)
            .into_iter()
            .try_for_each(|a| self.walk(a, Mode::Row))?;
        let upper = name.to_uppercase();
        if !name.starts_with("tumble") {
            self.later
                .push((self.select.place).unsupported(at, format!("window {upper}")));
            return Ok(());
        }
        if name == "tumble" && matches!(mode, Mode::Row) && self.window.is_some() {
            return Ok(());
        }
        let expr = Expr::Function(f.clone());
        let args = call(&expr).map(|(_, args)| args).unwrap_or_default();
        let window = window::read(self.select.place, self.source, &expr, &args)?;
        if self.window.as_ref() != Some(&window) || matches!(mode, Mode::Row) {
            let hint = "group by the same TUMBLE(...)";
            let message = format!("{upper} is not a window of GROUP BY");
            return Err(self.select.place.hinted("E0401", at, message, hint));
        }
        Ok(())
    }

    fn emit(&mut self) -> Result<(), SqlError> {
        match self.select.emit {
            Emit::Every(at) => {
                let refusal = self.select.place.unsupported(at, "EMIT EVERY");
                self.later.push(refusal);
            }
            Emit::Changes(_) | Emit::Final(_) | Emit::Default => {}
        }
        Ok(())
    }
}
