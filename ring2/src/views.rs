//! Plain views and WITH, expanded: a name becomes the query behind it, as a subquery in FROM. What
//! comes out names sources, tables and materialized views only.

mod declared;
mod rename;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::sql::sqlparser::ast::{
    Cte, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Query,
    Select as SelectTree, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableFunctionArgs,
    VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token};

use crate::catalog::{Catalog, ViewDef};
use crate::error::SqlError;
use crate::limits::{VIEW_DEPTH_MAX, VIEW_EXPANSIONS_MAX};
use crate::place::{Chunk, Place, word};
use crate::script::{Emit, Select};
use crate::syntax::{EmitQuery, Kind};
use crate::{ResultColumn, planner};

pub(crate) use self::rename::rename;

/// A query that stands for a name.
#[derive(Clone)]
struct Body {
    query: Query,
    columns: Vec<Ident>,
    /// How many names were expanded in it.
    size: usize,
}

impl Body {
    fn relation(self, mut alias: TableAlias) -> TableFactor {
        if alias.columns.is_empty() {
            let column = |name| TableAliasColumnDef {
                name,
                data_type: None,
            };
            alias.columns = self.columns.into_iter().map(column).collect();
        }
        TableFactor::Derived {
            lateral: false,
            subquery: Box::new(self.query),
            alias: Some(alias),
            sample: None,
        }
    }
}

fn called(name: &Ident) -> TableAlias {
    TableAlias {
        explicit: true,
        name: name.clone(),
        columns: vec![],
        at: None,
    }
}

/// All columns of a relation.
fn all_of(relation: TableFactor) -> Query {
    let mut query = planner::tree::parse_query("SELECT * FROM t");
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from[0].relation = relation;
    }
    query
}

struct Expander<'a> {
    place: Place<'a>,
    catalog: &'a Catalog,
    /// What WITH names, the innermost last.
    scopes: Vec<BTreeMap<String, Body>>,
    expanded: usize,
}

/// Expands a query in place.
pub(crate) fn expand(
    place: Place<'_>,
    query: &mut Query,
    catalog: &Catalog,
) -> Result<(), SqlError> {
    let mut expander = Expander {
        place,
        catalog,
        scopes: Vec::new(),
        expanded: 0,
    };
    match VisitMut::visit(query, &mut expander) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

impl Expander<'_> {
    fn body(&mut self, name: &str, at: Location) -> Result<Option<Body>, SqlError> {
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        if let Some(body) = found {
            return Ok(Some(body.clone()));
        }
        let view = match self.catalog.views.get(name) {
            Some(view) if view.kind == Kind::View => view,
            _ => return Ok(None),
        };
        let mut query = view.query.query.as_ref().clone();
        let before = self.expanded;
        let mut inner = Expander {
            place: self.place,
            catalog: self.catalog,
            scopes: Vec::new(),
            expanded: before,
        };
        if let ControlFlow::Break(error) = VisitMut::visit(&mut query, &mut inner) {
            // Its definition was accepted where it stands: here only the sum can be too much.
            return Err(self.place.error(error.code, at, error.message));
        }
        let _: ControlFlow<()> = VisitMut::visit(&mut query, &mut Move { to: at });
        let mut columns: Vec<Ident> = Vec::new();
        for name in &view.renamed {
            columns.push(Ident::with_quote('"', name));
        }
        Ok(Some(Body {
            query,
            columns,
            size: inner.expanded - before,
        }))
    }

    /// What stands for a name, which is counted.
    fn expansion(&mut self, ident: &Ident) -> Result<Option<Body>, SqlError> {
        let at = ident.span.start;
        let Some(body) = self.body(&ident.value, at)? else {
            return Ok(None);
        };
        self.expanded += 1 + body.size;
        if self.expanded > VIEW_EXPANSIONS_MAX {
            let message = format!("more than {VIEW_EXPANSIONS_MAX} views, when all are expanded");
            let hint = "CREATE MATERIALIZED VIEW is kept, and not expanded";
            return Err(self.place.hinted("E0106", at, message, hint));
        }
        Ok(Some(body))
    }

    fn factor(&mut self, factor: &mut TableFactor) -> Result<(), SqlError> {
        let TableFactor::Table {
            name,
            alias,
            args,
            version: None,
            ..
        } = factor
        else {
            return Ok(());
        };
        if let Some(args) = args {
            return self.window(args, alias);
        }
        let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
            return Ok(());
        };
        let Some(body) = self.expansion(ident)? else {
            return Ok(());
        };
        let alias = alias.take().unwrap_or_else(|| called(ident));
        *factor = body.relation(alias);
        Ok(())
    }

    /// `TUMBLE(name, ..)` in FROM.
    fn window(
        &mut self,
        args: &mut TableFunctionArgs,
        alias: &mut Option<TableAlias>,
    ) -> Result<(), SqlError> {
        let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = args.args.first_mut() else {
            return Ok(());
        };
        let Expr::Identifier(ident) = &*of else {
            return Ok(());
        };
        let Some(body) = self.expansion(ident)? else {
            return Ok(());
        };
        alias.get_or_insert_with(|| called(ident));
        let query = match body.columns.is_empty() {
            true => body.query,
            false => all_of(body.relation(called(ident))),
        };
        *of = Expr::Subquery(Box::new(query));
        Ok(())
    }

    fn with(&mut self, query: &mut Query) -> Result<(), SqlError> {
        self.scopes.push(BTreeMap::new());
        let Some(with) = query.with.take() else {
            return Ok(());
        };
        for cte in with.cte_tables {
            let Cte {
                alias, mut query, ..
            } = cte;
            let before = self.expanded;
            if let ControlFlow::Break(error) = VisitMut::visit(query.as_mut(), self) {
                return Err(*error);
            }
            let body = Body {
                query: *query,
                columns: alias.columns.into_iter().map(|c| c.name).collect(),
                size: self.expanded - before,
            };
            if let Some(scope) = self.scopes.last_mut() {
                scope.insert(alias.name.value, body);
            }
        }
        Ok(())
    }
}

fn flow(result: Result<(), SqlError>) -> ControlFlow<Box<SqlError>> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Box::new(error)),
    }
}

impl VisitorMut for Expander<'_> {
    type Break = Box<SqlError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        flow(self.with(query))
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    // Behind the visit of its parts: what is put in place is expanded already.
    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        flow(self.factor(factor))
    }
}

/// Moves a tree to where it is used: errors about it point there.
struct Move {
    to: Location,
}

impl Move {
    fn ident(&self, ident: &mut Ident) {
        ident.span = Span::new(self.to, self.to);
    }

    fn name(&self, name: &mut ObjectName) {
        for part in &mut name.0 {
            if let ObjectNamePart::Identifier(ident) = part {
                self.ident(ident);
            }
        }
    }
}

impl VisitorMut for Move {
    type Break = ();

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        self.name(name);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut SelectTree) -> ControlFlow<()> {
        select.select_token.0.span = Span::new(self.to, self.to);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => {
                alias.iter_mut().for_each(|a| self.ident(&mut a.name));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let span = Span::new(self.to, self.to);
        match expr {
            Expr::Identifier(ident) => self.ident(ident),
            Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(|i| self.ident(i)),
            Expr::Function(f) => self.name(&mut f.name),
            Expr::Value(value) => value.span = span,
            Expr::TypedString(typed) => typed.value.span = span,
            Expr::Case { case_token, .. } => case_token.0.span = span,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The windows that stand in FROM, over the relation that is their first argument.
const AROUND: [&str; 6] = [
    "TUMBLE", "TUMBLING", "HOP", "SLIDING", "CUMULATE", "SESSION",
];

/// The plain views that a query names behind FROM or JOIN, or in a window there, and where.
fn used<'a>(select: &'a Select<'_>) -> impl Iterator<Item = (String, Location)> + 'a {
    let tokens = &select.chunk.tokens;
    let views = &select.catalog.views;
    (1..tokens.len()).filter_map(move |at| {
        let Token::Word(name) = &tokens[at].token else {
            return None;
        };
        let from = match (word(&tokens[at - 1]), &tokens[at - 1].token) {
            (Some(word), _) => ["FROM", "JOIN", "TABLE"].contains(&word.as_str()),
            (None, Token::LParen) => {
                let before = at.checked_sub(2).and_then(|at| word(&tokens[at]));
                before.is_some_and(|word| AROUND.contains(&word.as_str()))
            }
            (None, token) => *token == Token::Comma,
        };
        let name = match name.quote_style {
            None => name.value.to_lowercase(),
            Some(_) => name.value.clone(),
        };
        let is_view = views.get(&name).is_some_and(|view| view.kind == Kind::View);
        (from && is_view).then_some((name, tokens[at].span.start))
    })
}

/// Where the first window stands that is in FROM.
pub(crate) fn window_around(select: &Select<'_>) -> Option<Location> {
    let mut places = select.chunk.tokens.windows(2).filter(|pair| {
        let is_from = match word(&pair[0]) {
            Some(word) => word == "FROM" || word == "JOIN",
            None => matches!(pair[0].token, Token::Comma | Token::LParen),
        };
        is_from && word(&pair[1]).is_some_and(|word| AROUND.contains(&word.as_str()))
    });
    places.next().map(|pair| pair[1].span.start)
}

/// Where the only plain view stands that a query names: what its text does not have is in there.
pub(crate) fn only(select: &Select<'_>) -> Option<Location> {
    let mut used = used(select).map(|(_, at)| at);
    used.next().filter(|_| used.next().is_none())
}

/// An error of a query, which says that it is in a view where it points at one.
pub(crate) fn named(select: &Select<'_>, mut error: SqlError) -> SqlError {
    let at = Location::new(error.line, error.column);
    if let Some((name, _)) = used(select).find(|(_, used)| *used == at) {
        error.message = format!("{} (in view \"{name}\")", error.message);
    }
    error
}

/// Refuses views that stand too deep inside one another.
pub(crate) fn depth(
    place: Place<'_>,
    catalog: &Catalog,
    view: &ViewDef,
    at: Location,
) -> Result<(), SqlError> {
    let mut query = view.query.query.as_ref().clone();
    expand(place, &mut query, catalog)?;
    expanded_depth(place, &mut query, at)
}

/// Refuses a query that is too deep with all views written out.
pub(crate) fn expanded_depth(
    place: Place<'_>,
    query: &mut Query,
    at: Location,
) -> Result<(), SqlError> {
    struct Depth {
        now: usize,
        most: usize,
    }
    impl VisitorMut for Depth {
        type Break = ();
        fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
            self.now += 1;
            self.most = self.most.max(self.now);
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
            self.now -= 1;
            ControlFlow::Continue(())
        }
    }
    let mut depth = Depth { now: 0, most: 0 };
    let _: ControlFlow<()> = VisitMut::visit(query, &mut depth);
    match depth.most > VIEW_DEPTH_MAX {
        true => {
            let message = format!("views more than {VIEW_DEPTH_MAX} deep inside one another");
            Err(place.error("E0106", at, message))
        }
        false => Ok(()),
    }
}

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Typed {
    /// As Arrow has it.
    pub(crate) data_type: DataType,
    /// As it was declared, where it is a column of a source.
    pub(crate) declared: Option<String>,
}

/// Types of a query's columns, where it can be planned.
pub(crate) fn types(
    place: Place<'_>,
    chunk: &Chunk,
    catalog: &Catalog,
    query: &EmitQuery,
) -> Vec<Typed> {
    let mut tree = query.query.as_ref().clone();
    if expand(place, &mut tree, catalog).is_err() {
        return Vec::new();
    }
    let select = Select {
        place,
        chunk: chunk.clone(),
        sql: String::new(),
        query: tree,
        emit: Emit::Default,
        catalog: catalog.clone(),
        settings: Default::default(),
        target: None,
    };
    let Ok(planned) = planner::plan_select(&select) else {
        return Vec::new();
    };
    let plan = &planned.plan;
    let data_type = |index: usize| plan.schema().field(index).data_type().clone();
    let columns = planned.results.iter().map(|column| match column {
        ResultColumn::Plain { index, .. } => Typed {
            data_type: data_type(*index),
            declared: declared::declared(plan, *index, catalog),
        },
        ResultColumn::Window { start, end, .. } => Typed {
            data_type: DataType::Struct(
                vec![
                    Field::new("start", data_type(*start), false),
                    Field::new("end", data_type(*end), false),
                ]
                .into(),
            ),
            declared: None,
        },
    });
    columns.collect()
}
