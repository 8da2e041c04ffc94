//! Any query's syntax tree, written anew so that DataFusion plans it: windows become the functions
//! that stand for them, aliases are resolved where SQL's own rules do not reach, UNNEST becomes a
//! select item, names are looked up. What would be ignored is refused; what is only not run yet is
//! left to lowering. Nothing is evaluated here.

mod any;
mod casts;
mod frames;
mod from;
mod literals;
mod owners;
mod select;
mod stars;
mod unnest;
mod visit;
mod windows;

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, OrderBy, OrderByKind, Query,
    SetExpr, Spanned, Value, visit_expressions, visit_expressions_mut,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use std::ops::ControlFlow;

pub(crate) use self::from::parse_query;
use self::owners::{Owned, of_input, of_using};
use self::unnest::{Unnested, of_owner};
use self::windows::Window;
pub(crate) use self::windows::function_name;
use crate::catalog::SourceDef;
use crate::constants;
use crate::dialect::find_word;
use crate::error::{SqlError, nearest};
use crate::functions::BOUNDS;
use crate::script::Select;
use crate::syntax::{normal, processing_time};

/// The columns that every source has besides its own.
pub(crate) const SYSTEM: [&str; 3] = [INGESTED, "_partition", "_offset"];
/// The one that says when a row was read.
pub(crate) const INGESTED: &str = "_timestamp";
/// Behind the name of a result: the start of a window.
pub(crate) const RESULT_START: &str = ".start";
/// Behind the name of a result: the end of a window.
pub(crate) const RESULT_END: &str = ".end";
/// Behind the name of a result that another one has, too; a number follows.
pub(crate) const AGAIN: char = '\u{1}';

/// What DataFusion is to plan.
#[derive(Debug)]
pub(crate) struct Rewritten {
    /// The tree.
    pub(crate) query: Query,
    /// The tables it names.
    pub(crate) tables: Vec<SourceDef>,
    /// Whether tables have their system columns.
    pub(crate) system: bool,
}

/// Where in the script a query stands among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Its rows are the result.
    Outermost,
    /// Another query reads it.
    Inner,
}

struct Tree<'a> {
    select: &'a Select<'a>,
    /// Sources of rows that the query states itself.
    stated: Vec<SourceDef>,
    tables: BTreeMap<String, SourceDef>,
    /// Names of WITH, innermost last.
    with: Vec<String>,
    /// Their columns, where these can be told.
    with_columns: Vec<Option<Vec<String>>>,
    system: bool,
    /// Columns of UNNEST of the SELECT that was written last.
    unnested: Vec<Unnested>,
    /// Its columns of USING.
    merged: Vec<Owned>,
    /// Those of the queries around the one that is written, innermost last.
    around: Vec<Vec<Owned>>,
    /// Its columns whose names the select list gives to something else.
    hidden: Vec<Owned>,
    /// Whether the ORDER BY of the query computes something, of columns of the input.
    orders_by_input: bool,
    /// What other names of its select list mean.
    meanings: Vec<(String, Expr)>,
    /// Its window, where it groups by one.
    window: Option<Window>,
}

/// Writes a query anew.
pub(crate) fn rewrite(select: &Select<'_>) -> Result<Rewritten, SqlError> {
    let mut query = select.query.clone();
    literals::rewrite(select.place, &mut query)?;
    let stated = constants::rewrite(&mut query).map_err(|rows| {
        let at = select.chunk.start();
        let message = format!("VALUES of {rows} rows is not supported yet");
        (select.place).hinted(
            "E0301",
            at,
            message,
            "a file that holds the rows, and CREATE SOURCE",
        )
    })?;
    crate::flatten::query(&mut query, &select.catalog);
    on_processing_time(&mut query);
    let mut tree = Tree {
        select,
        stated,
        tables: BTreeMap::new(),
        with: Vec::new(),
        with_columns: Vec::new(),
        system: names_system(&query) && select.catalog.sources.values().any(|s| s.view.is_none()),
        unnested: Vec::new(),
        merged: Vec::new(),
        around: Vec::new(),
        hidden: Vec::new(),
        orders_by_input: false,
        meanings: Vec::new(),
        window: None,
    };
    tree.functions(&query)?;
    tree.query(&mut query, Level::Outermost)?;
    literals::keep_digits(&mut query);
    any::rewrite(&mut query);
    let tables = tree.tables.into_values().collect();
    let system = tree.system;
    Ok(Rewritten {
        query,
        tables,
        system,
    })
}

/// Has windows on processing time name the column that says when a row was read.
fn on_processing_time(query: &mut Query) {
    let _: ControlFlow<()> = visit_expressions_mut(query, |e| {
        if processing_time(e).is_some()
            && let Expr::Function(f) = e
            && let FunctionArguments::List(list) = &mut f.args
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(time))) = list.args.first_mut()
        {
            *time = Expr::Identifier(Ident::with_span(time.span(), INGESTED));
        }
        ControlFlow::Continue(())
    });
}

fn names_system(query: &Query) -> bool {
    let flow = visit_expressions(query, |e| {
        let last = match e {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        match last.is_some_and(|i| SYSTEM.contains(&normal(i).as_str())) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    flow.is_break()
}

impl Tree<'_> {
    fn start(&self) -> Location {
        let chunk = &self.select.chunk;
        chunk.tokens.first().map_or(chunk.end, |t| t.span.start)
    }

    fn no(&self, words: &[&str], what: &str) -> SqlError {
        let at = find_word(&self.select.chunk.tokens, words, self.start());
        self.select.place.unsupported(at, what)
    }

    /// Functions that nobody knows.
    fn functions(&self, query: &Query) -> Result<(), SqlError> {
        let flow = visit_expressions(query, |e| {
            let Some(name) = windows::function_name(e) else {
                return ControlFlow::Continue(());
            };
            let bound = BOUNDS.contains(&name.as_str());
            if windows::is_window(&name) || bound || crate::planner::is_function(&name) {
                return ControlFlow::Continue(());
            }
            let at = datafusion::sql::sqlparser::ast::Spanned::span(e).start;
            let message = format!("function \"{name}\" does not exist");
            let mut error = self.select.place.error("E0204", at, message);
            let known = crate::planner::function_names();
            let found = nearest(&name, known.iter().map(String::as_str));
            error.hint = found.map(|n| format!("did you mean \"{n}\"?"));
            ControlFlow::Break(error)
        });
        match flow {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    fn query(&mut self, query: &mut Query, level: Level) -> Result<(), SqlError> {
        let mut refused = [
            (query.fetch.is_some(), "FETCH"),
            (!query.locks.is_empty() || query.for_clause.is_some(), "FOR"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (!query.pipe_operators.is_empty(), "SELECT"),
        ]
        .into_iter();
        if let Some((_, word)) = refused.find(|(found, _)| *found) {
            return Err(self.no(&[word], word));
        }
        let outer = self.with.len();
        if let Some(with) = &mut query.with {
            if with.recursive {
                return Err(self.no(&["RECURSIVE"], "WITH RECURSIVE"));
            }
            for cte in &mut with.cte_tables {
                self.query(&mut cte.query, Level::Inner)?;
                let renamed = cte.alias.columns.iter().map(|c| normal(&c.name));
                let columns = match cte.alias.columns.is_empty() {
                    true => self.columns_of(&cte.query.body),
                    false => Some(renamed.collect()),
                };
                self.with.push(normal(&cte.alias.name));
                self.with_columns.push(columns);
            }
        }
        self.unnested.clear();
        self.merged.clear();
        self.hidden.clear();
        self.meanings.clear();
        self.window = None;
        if level == Level::Outermost {
            self.orders_by_input = orders_by_input(query.order_by.as_ref());
        }
        let positions = self.body(&mut query.body, level)?;
        if let Some(order) = &mut query.order_by
            && let OrderByKind::Expressions(list) = &mut order.kind
        {
            for by in list {
                of_owner(&mut by.expr, &self.unnested);
                of_input(&mut by.expr, &self.hidden, &self.meanings);
                let result =
                    |i: &Moved| matches!(&by.expr, Expr::Identifier(n) if normal(n) == i.name);
                if !positions.iter().any(result) {
                    of_using(&mut by.expr, &self.merged);
                }
                order_key(&mut by.expr, &positions);
                if let (Some(window), false) = (&self.window, positions.is_empty()) {
                    visit::local(&mut by.expr, |e| bound(e, &positions, window));
                }
            }
        }
        self.with.truncate(outer);
        self.with_columns.truncate(outer);
        Ok(())
    }

    /// Gives, for a plain SELECT, where each of its items is now and what it is called.
    fn body(&mut self, body: &mut SetExpr, level: Level) -> Result<Vec<Moved>, SqlError> {
        match body {
            SetExpr::Select(select) => self.plain(select, level),
            SetExpr::Query(query) => self.query(query, level).map(|()| Vec::new()),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left, level)?;
                self.body(right, level)?;
                Ok(Vec::new())
            }
            SetExpr::Values(_) => Ok(Vec::new()),
            other => {
                let text = other.to_string();
                let word = text.split_whitespace().next().unwrap_or_default();
                Err(self.no(&[word], word))
            }
        }
    }
}

/// Whether an expression means the same wherever it is written.
fn is_of_row(expr: &Expr) -> bool {
    let flow = visit_expressions(expr, |e| match e {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        Expr::Function(f) if f.over.is_some() => ControlFlow::Break(()),
        e if windows::function_name(e).is_some_and(|f| windows::is_window(&f)) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    flow.is_continue()
}

fn orders_by_input(order: Option<&OrderBy>) -> bool {
    let computes = |e: &Expr| !matches!(e, Expr::Identifier(_) | Expr::Value(_));
    match order.map(|order| &order.kind) {
        Some(OrderByKind::Expressions(list)) => list.iter().any(|by| computes(&by.expr)),
        _ => false,
    }
}

/// An item of a select list: its name before, and its place now.
#[derive(Debug, Clone)]
struct Moved {
    name: String,
    position: usize,
    /// What it is called now, where its name is not a column's: it is a window, or another item
    /// has the name, or may have it, too.
    apart: Option<String>,
}

impl Moved {
    /// Whether it is a whole window.
    fn is_window(&self) -> bool {
        let apart = self.apart.as_deref();
        apart.is_some_and(|name| name.ends_with(RESULT_START) || name == "window_start")
    }
}

/// ORDER BY by position, or by a name that no column has: items may have moved.
fn order_key(expr: &mut Expr, items: &[Moved]) {
    match &*expr {
        Expr::Value(v) => {
            let Value::Number(n, _) = &v.value else {
                return;
            };
            let place = n.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
            if let Some(item) = place.and_then(|n| items.get(n)) {
                *expr = crate::window::parse(&(item.position + 1).to_string());
            }
        }
        Expr::Identifier(ident) => {
            let name = normal(ident);
            let mut named = items.iter().filter(|i| i.name == name);
            // How many columns a star gives, nobody knows yet: a place says nothing.
            if let Some(called) = named.find_map(|i| i.apart.as_deref()) {
                *expr = Expr::Identifier(Ident::with_quote('"', called));
            }
        }
        _ => {}
    }
}

/// ORDER BY a bound of the window that is none of the items: `window_start`, `w.start`, or
/// `TUMBLE_START(..)`.
fn bound(expr: &mut Expr, items: &[Moved], window: &Window) {
    let is_window = |name: &str| {
        let called = |item: &&Moved| item.name == name && item.is_window();
        name == "window" || items.iter().any(|item| called(&item))
    };
    let name = match &*expr {
        Expr::Identifier(ident) => normal(ident),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [of, side] if is_window(&normal(of)) => {
                *expr = match normal(side).as_str() {
                    "start" => window.start(),
                    "end" => window.end(),
                    _ => return,
                };
                return;
            }
            _ => return,
        },
        other => match windows::function_name(other) {
            Some(function) if BOUNDS.contains(&function.as_str()) => {
                *expr = match function.ends_with("_start") {
                    true => window.start(),
                    false => window.end(),
                };
                return;
            }
            _ => return,
        },
    };
    if items.iter().any(|item| item.name == name) {
        return;
    }
    match name.as_str() {
        "window_start" => *expr = window.start(),
        "window_end" => *expr = window.end(),
        _ => {}
    }
}
