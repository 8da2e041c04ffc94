//! FROM: tables by name, windows as table functions, UNNEST, ASOF and temporal joins.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName,
    Query, SelectItem, SetExpr, Spanned, TableAlias, TableFactor, TableVersion, TableWithJoins,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::owners::{Owned, Taken, of_using};
use super::unnest::Unnested;
use super::{Level, Tree, visit, windows};
use crate::dialect::{DIALECT, find_word};
use crate::error::{SqlError, nearest};
use crate::syntax::{arguments, normal};
use crate::window::marker::{AS_OF_TIME, ASOF};
use crate::window::parse;

/// What FROM brings into scope.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Columns of declared sources, and of UNNEST.
    pub(super) columns: Vec<String>,
    /// Event time of the source, where there is one source.
    pub(super) event_time: Option<Expr>,
    /// Number of relations.
    pub(super) relations: usize,
    /// Whether all of them are declared sources.
    pub(super) declared: bool,
    /// Columns of UNNEST.
    pub(super) unnested: Vec<Unnested>,
    /// Columns that USING made of two.
    pub(super) merged: Vec<Owned>,
}

/// A query that this crate writes.
pub(crate) fn parse_query(text: &str) -> Query {
    (Parser::new(&DIALECT).try_with_sql(text))
        .and_then(|mut p| p.parse_query())
        .map(|q| *q)
        .expect("a query that this file writes parses")
}

fn and(constraint: &mut JoinConstraint, more: Expr) {
    let on = match std::mem::replace(constraint, JoinConstraint::None) {
        JoinConstraint::On(on) => {
            let mut both = parse("(0) AND 1");
            if let Expr::BinaryOp { left, right, .. } = &mut both {
                **left = Expr::Nested(Box::new(on));
                **right = more;
            }
            both
        }
        JoinConstraint::Using(_) | JoinConstraint::Natural | JoinConstraint::None => more,
    };
    *constraint = JoinConstraint::On(on);
}

/// A call of a function of one argument.
pub(super) fn marked(name: &str, argument: Expr) -> Expr {
    let mut call = parse(&format!("{name}(0)"));
    if let Expr::Function(f) = &mut call
        && let datafusion::sql::sqlparser::ast::FunctionArguments::List(list) = &mut f.args
    {
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))];
    }
    call
}

/// The condition of a join.
pub(super) fn constraint_of(operator: &JoinOperator) -> Option<JoinConstraint> {
    constraint(&mut operator.clone()).map(|found| found.clone())
}

/// The condition of a join, to be written anew.
fn constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    use JoinOperator as J;
    match operator {
        J::Join(c)
        | J::Inner(c)
        | J::Left(c)
        | J::LeftOuter(c)
        | J::Right(c)
        | J::RightOuter(c)
        | J::FullOuter(c)
        | J::CrossJoin(c)
        | J::Semi(c)
        | J::LeftSemi(c)
        | J::RightSemi(c)
        | J::Anti(c)
        | J::LeftAnti(c)
        | J::RightAnti(c)
        | J::StraightJoin(c) => Some(c),
        J::AsOf { constraint, .. } => Some(constraint),
        J::CrossApply | J::OuterApply | J::ArrayJoin | J::LeftArrayJoin | J::InnerArrayJoin => None,
    }
}

/// Of a semi or anti join that does not say so, the left side's rows are the result.
fn of_left(operator: &mut JoinOperator) {
    use JoinOperator as J;
    let none = J::CrossJoin(JoinConstraint::None);
    *operator = match std::mem::replace(operator, none) {
        J::Semi(c) => J::LeftSemi(c),
        J::Anti(c) => J::LeftAnti(c),
        other => other,
    };
}

impl Tree<'_> {
    pub(super) fn from(&mut self, from: &mut Vec<TableWithJoins>) -> Result<Scope, SqlError> {
        // `FROM t, UNNEST(list)` is a join: the list is a column of what stands before it.
        let mut tables: Vec<TableWithJoins> = Vec::new();
        for table in from.drain(..) {
            match (table.relation, tables.last_mut()) {
                (relation @ TableFactor::UNNEST { .. }, Some(before)) => {
                    let join_operator = JoinOperator::CrossJoin(JoinConstraint::None);
                    let global = false;
                    before.joins.push(Join {
                        relation,
                        global,
                        join_operator,
                    });
                    before.joins.extend(table.joins);
                }
                (relation, _) => {
                    let joins = table.joins;
                    tables.push(TableWithJoins { relation, joins });
                }
            }
        }
        *from = tables;
        let mut scope = Scope {
            declared: true,
            ..Scope::default()
        };
        for tables in from {
            self.joined(tables, &mut scope)?;
        }
        if scope.relations != 1 {
            scope.event_time = None;
        }
        Ok(scope)
    }

    fn joined(&mut self, tables: &mut TableWithJoins, scope: &mut Scope) -> Result<(), SqlError> {
        if self.relation(&mut tables.relation, scope)?.is_some() {
            return Err(self.no(&["FOR"], "FOR SYSTEM_TIME outside of a join"));
        }
        let mut joins = Vec::new();
        for mut join in std::mem::take(&mut tables.joins) {
            if matches!(join.relation, TableFactor::UNNEST { .. }) {
                self.unnest(&mut tables.relation, &mut joins, &join, scope)?;
                continue;
            }
            let time = self.relation(&mut join.relation, scope)?;
            of_left(&mut join.join_operator);
            let mut left = vec![&tables.relation];
            left.extend(joins.iter().map(|j: &Join| &j.relation));
            let operator = (&mut join.join_operator, &join.relation);
            self.using(operator, left, time.is_some(), &mut scope.merged)?;
            if let JoinOperator::AsOf {
                match_condition,
                constraint,
            } = &join.join_operator
            {
                let mut on = constraint.clone();
                and(&mut on, marked(ASOF, match_condition.clone()));
                join.join_operator = JoinOperator::LeftOuter(on);
            }
            let Some(on) = constraint(&mut join.join_operator) else {
                return Err(self.no(&["APPLY", "ARRAY"], "this join"));
            };
            if let Some(time) = time {
                and(on, marked(AS_OF_TIME, time));
            }
            if let JoinConstraint::On(on) = on {
                of_using(on, &scope.merged);
                visit::subqueries(on, |q| self.query(q, Level::Inner))?;
            }
            let left = [&tables.relation];
            let left = left
                .into_iter()
                .chain(joins.iter().map(|j: &Join| &j.relation));
            self.merge(on, left, &mut scope.merged);
            joins.push(join);
        }
        tables.joins = joins;
        Ok(())
    }

    /// Writes USING as ON where its column is not simply the left side's.
    fn using<'f>(
        &self,
        (operator, right): (&mut JoinOperator, &'f TableFactor),
        left: Vec<&'f TableFactor>,
        timed: bool,
        merged: &mut Vec<Owned>,
    ) -> Result<(), SqlError> {
        use JoinOperator as J;
        let taken = match operator {
            J::Right(_) | J::RightOuter(_) => Taken::Right,
            J::RightSemi(_) | J::RightAnti(_) => Taken::OnlyRight,
            J::FullOuter(_) => Taken::Either,
            _ => Taken::Left,
        };
        let is_asof = matches!(operator, J::AsOf { .. });
        let Some(constraint) = constraint(operator) else {
            return Ok(());
        };
        let JoinConstraint::Using(columns) = &*constraint else {
            return Ok(());
        };
        let written = |column: &ObjectName| {
            let name = column.0.last().and_then(|p| p.as_ident()).map(normal);
            let mut merged = merged.iter().filter(|m| !m.hidden.is_empty());
            merged.any(|m| Some(&m.column) == name.as_ref())
        };
        let plain = taken == Taken::Left && !is_asof && !timed;
        if plain && !columns.iter().any(written) {
            return Ok(());
        }
        let Some(on) = self.using_on(columns, taken, (left, right), merged) else {
            let tokens = &self.select.chunk.tokens;
            let at = find_word(tokens, &["USING"], self.start());
            let message =
                "USING of columns of which the relation is not known is not supported yet";
            let hint = "ON a.key = b.key, and in the select list the one that is meant";
            return Err(self.select.place.hinted("E0301", at, message, hint));
        };
        *constraint = JoinConstraint::On(on);
        Ok(())
    }

    /// Gives the time of FOR SYSTEM_TIME AS OF.
    fn relation(
        &mut self,
        factor: &mut TableFactor,
        scope: &mut Scope,
    ) -> Result<Option<Expr>, SqlError> {
        let place = self.select.place;
        scope.relations += 1;
        match factor {
            TableFactor::Table {
                name,
                args: Some(args),
                alias,
                ..
            } => {
                let function = name.to_string().to_lowercase();
                let list: Vec<Expr> = (args.args.iter())
                    .filter_map(|a| match a {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e.clone()),
                        _ => None,
                    })
                    .collect();
                let derived = self.table_function(&function, &list, alias.take(), scope)?;
                let at = name.span().start;
                *factor = derived
                    .ok_or_else(|| place.unsupported(at, format!("FROM {function}(...)")))?;
                Ok(None)
            }
            TableFactor::Table {
                name,
                alias,
                version,
                with_ordinality: false,
                json_path: None,
                sample: None,
                with_hints,
                partitions,
                index_hints,
                ..
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                let time = match version.take() {
                    None => None,
                    Some(TableVersion::ForSystemTimeAsOf(time)) => Some(time),
                    Some(other) => {
                        let at = find_word(&self.select.chunk.tokens, &["FOR"], self.start());
                        return Err(place.unsupported(at, other));
                    }
                };
                self.table(name, alias.as_ref(), scope)?;
                Ok(time)
            }
            TableFactor::Derived {
                lateral: false,
                subquery,
                sample: None,
                ..
            } => {
                scope.declared = false;
                self.query(subquery, Level::Inner)?;
                Ok(None)
            }
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => {
                scope.relations -= 1;
                self.joined(table_with_joins, scope)?;
                Ok(None)
            }
            TableFactor::TableFunction { expr, alias } => {
                *factor = self.wrapped_function(expr, alias.take(), scope)?;
                Ok(None)
            }
            other => {
                let at = match other.span().start {
                    at if at.line > 0 => at,
                    _ => find_word(&self.select.chunk.tokens, &["FROM"], self.start()),
                };
                Err(place.unsupported(at, "FROM anything but sources and queries"))
            }
        }
    }

    /// `TABLE(TUMBLE(...))`.
    fn wrapped_function(
        &mut self,
        expr: &Expr,
        alias: Option<TableAlias>,
        scope: &mut Scope,
    ) -> Result<TableFactor, SqlError> {
        let function = windows::function_name(expr).unwrap_or_default();
        let list: Vec<Expr> = match expr {
            Expr::Function(f) => arguments(f).into_iter().cloned().collect(),
            _ => Vec::new(),
        };
        let derived = self.table_function(&function, &list, alias, scope)?;
        derived.ok_or_else(|| self.no(&["TABLE"], "FROM TABLE(...)"))
    }

    fn table(
        &mut self,
        name: &mut ObjectName,
        alias: Option<&TableAlias>,
        scope: &mut Scope,
    ) -> Result<(), SqlError> {
        let ident = match name.0.as_slice() {
            [part] => part.as_ident().cloned(),
            _ => None,
        };
        let text = ident.as_ref().map_or_else(|| name.to_string(), normal);
        if self.with.contains(&text) {
            scope.declared = false;
            return Ok(());
        }
        let sources = &self.select.catalog.sources;
        let stated = self.stated.iter().find(|source| source.name == text);
        let Some(source) = stated.or_else(|| sources.get(&text)) else {
            if self.select.catalog.views.contains_key(&text) {
                let what = "reading a materialized view";
                return Err(self.select.place.unsupported(name.span().start, what));
            }
            let message = format!("relation \"{text}\" does not exist");
            let place = self.select.place;
            let mut error = place.error("E0202", name.span().start, message);
            let known = sources.keys().chain(&self.with).map(String::as_str);
            error.hint = nearest(&text, known).map(|n| format!("did you mean \"{n}\"?"));
            return Err(error);
        };
        let mut quoted = Ident::with_quote('"', &text);
        quoted.span = name.span();
        *name = ObjectName::from(vec![quoted]);
        scope
            .columns
            .extend(source.declared().iter().map(|c| c.name.clone()));
        if let Some(time) = source.event_time {
            let relation = alias.map_or_else(|| text.clone(), |a| normal(&a.name));
            scope.event_time = Some(Expr::CompoundIdentifier(vec![
                Ident::with_quote('"', relation),
                Ident::with_quote('"', &source.columns[time].name),
            ]));
        }
        self.tables.insert(text, source.clone());
        Ok(())
    }

    /// `TUMBLE(t, ts, size)`: all columns of t, and the window's bounds.
    fn table_function(
        &mut self,
        name: &str,
        args: &[Expr],
        alias: Option<TableAlias>,
        scope: &mut Scope,
    ) -> Result<Option<TableFactor>, SqlError> {
        let [of, rest @ ..] = args else {
            return Ok(None);
        };
        let at = match of {
            Expr::Identifier(table) => table.span.start,
            Expr::Subquery(_) => self.start(),
            _ => return Ok(None),
        };
        if !windows::is_window(name) {
            return Ok(None);
        }
        let mut query = parse_query("SELECT *, 0 AS window_start, 1 AS window_end FROM t");
        let SetExpr::Select(select) = query.body.as_mut() else {
            unreachable!("the text above is a SELECT");
        };
        let relation = &mut select.from[0].relation;
        let before = scope.relations;
        let called = match (of, &mut *relation) {
            (Expr::Identifier(table), TableFactor::Table { name, .. }) => {
                *name = ObjectName::from(vec![table.clone()]);
                self.table(name, None, scope)?;
                Some(normal(table))
            }
            (Expr::Subquery(of), relation) => {
                // The time may be named by what the whole is called.
                let alias = alias.clone().map(|alias| TableAlias {
                    columns: Vec::new(),
                    ..alias
                });
                *relation = relation_of(of.as_ref().clone(), alias);
                self.relation(relation, scope)?;
                scope.event_time = None;
                None
            }
            _ => unreachable!("it is a name or a query"),
        };
        scope.relations = before;
        let window =
            windows::from_arguments(self.select.place, at, name, rest, scope.event_time.as_ref())?;
        for (item, bound) in select.projection[1..]
            .iter_mut()
            .zip([window.start(), window.end()])
        {
            if let SelectItem::ExprWithAlias { expr, .. } = item {
                *expr = bound;
            }
        }
        Ok(Some(match called {
            Some(name) => derived(query, alias, name),
            None => relation_of(query, alias),
        }))
    }
}

/// A query as a relation.
pub(super) fn derived(query: Query, alias: Option<TableAlias>, name: String) -> TableFactor {
    let alias = alias.unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::with_quote('"', name),
        columns: Vec::new(),
        at: None,
    });
    relation_of(query, Some(alias))
}

fn relation_of(query: Query, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query),
        alias,
        sample: None,
    }
}

/// What a relation is called.
pub(super) fn named(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(a), .. } | TableFactor::Derived { alias: Some(a), .. } => {
            Some(normal(&a.name))
        }
        other => named_table(other),
    }
}

/// The declared table that a relation is.
pub(super) fn named_table(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { name, .. } => name.0.first()?.as_ident().map(normal),
        _ => None,
    }
}
