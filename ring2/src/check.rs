//! The walk over a query's tree that lets through only what this SQL has: every field of every
//! node is taken apart by name, so that a new one cannot slip by. Names are resolved in their
//! scopes, over joins and subqueries; grouping, windows, joins and EMIT are checked. What passes
//! here can be planned; whether it can run is asked when it is lowered.

mod call;
mod clauses;
mod expr;
mod from;
mod group;
mod join;
mod kinds;
mod scope;
mod select;
mod types;
mod window;

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    Cte, Expr, Query, SetExpr, SetOperator, SetQuantifier, Spanned, TableAlias, With,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::catalog::Catalog;
use crate::error::SqlError;
use crate::place::{Chunk, Place, find_word};
use crate::syntax::{Emit, EmitQuery};
use scope::{Column, Ctes, Scope};

pub(crate) use call::aggregates;

/// What a query gives.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// Its columns: name, and type where it is plain to see.
    pub(crate) columns: Vec<(String, Option<DataType>)>,
    /// Whether all that it reads ends.
    pub(crate) bounded: bool,
    /// Whether its rows have a watermark.
    pub(crate) watermark: bool,
    /// Whether it groups by windows.
    pub(crate) window: bool,
}

/// What a query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its rows are printed, in order.
    Print,
    /// Its rows go into something that has no order.
    Keep,
}

/// What the walk found out about a whole query.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) output: Output,
    /// What it reads of the catalogue.
    pub(crate) uses: BTreeSet<String>,
}

pub(crate) struct Checker<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) chunk: &'a Chunk,
    pub(crate) catalog: &'a Catalog,
    uses: BTreeSet<String>,
}

/// Checks a query and its EMIT clause.
pub(crate) fn query(
    place: Place<'_>,
    chunk: &Chunk,
    catalog: &Catalog,
    query: &EmitQuery,
    purpose: Purpose,
) -> Result<Checked, SqlError> {
    let mut checker = Checker {
        place,
        chunk,
        catalog,
        uses: BTreeSet::new(),
    };
    let output = checker.query(&query.query, &Ctes::default(), None, purpose)?;
    checker.emit(query, &output)?;
    let uses = checker.uses;
    Ok(Checked { output, uses })
}

/// Checks an expression over the columns of one relation.
pub(crate) fn over_columns(
    place: Place<'_>,
    chunk: &Chunk,
    catalog: &Catalog,
    columns: &[(String, Option<DataType>)],
    expr: &Expr,
) -> Result<(), SqlError> {
    let mut checker = Checker {
        place,
        chunk,
        catalog,
        uses: BTreeSet::new(),
    };
    let mut scope = Scope::default();
    let columns = columns.iter().map(|(n, t)| Column::new(n, t.clone()));
    scope.add(None, columns.collect(), &[]);
    checker.row(expr, &scope, &Ctes::default())
}

impl Checker<'_> {
    pub(crate) fn find(&self, words: &[&str], from: Location) -> Location {
        find_word(&self.chunk.tokens, words, from)
    }

    /// Where a tree begins, or the statement where it has no place of its own.
    pub(crate) fn at<T: Spanned>(&self, tree: &T) -> Location {
        let at = tree.span().start;
        match at.line {
            0 => self.chunk.start(),
            _ => at,
        }
    }

    fn query(
        &mut self,
        query: &Query,
        ctes: &Ctes,
        outer: Option<&Scope<'_>>,
        purpose: Purpose,
    ) -> Result<Output, SqlError> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        let from = self.at(body.as_ref());
        let ctes = match with {
            None => ctes.clone(),
            Some(with) => self.with(with, ctes, outer)?,
        };
        if settings.is_some() {
            let at = self.find(&["SETTINGS"], from);
            return Err(self.place.foreign(at, "SETTINGS", "SET name = value;"));
        }
        if format_clause.is_some() {
            let at = self.find(&["FORMAT"], from);
            return Err(self.place.foreign(at, "FORMAT", "trefoil run --format csv"));
        }
        if !locks.is_empty() || for_clause.is_some() {
            let at = self.find(&["FOR"], from);
            let hint = "a query reads a consistent state and locks nothing";
            return Err(self.place.foreign(at, "FOR UPDATE, FOR SHARE", hint));
        }
        if !pipe_operators.is_empty() {
            return Err(self.place.foreign(from, "|>", "write clauses"));
        }
        if fetch.is_some() {
            let at = self.find(&["FETCH"], from);
            return Err(self.place.foreign(at, "FETCH FIRST", "LIMIT n"));
        }
        let order = order_by.as_ref();
        let output = self.body(body, &ctes, outer, order)?;
        let limited = self.limit(limit_clause.as_ref(), from)?;
        if limited && order.is_none() && !output.bounded {
            let at = self.find(&["LIMIT", "OFFSET"], from);
            let message = "LIMIT takes the first rows by their order, and this input has no end";
            let hint = "leave it out; head -n 10 takes the first rows that come";
            return Err(self.place.hinted("E0404", at, message, hint));
        }
        if order.is_some() {
            let at = self.find(&["ORDER"], from);
            let ordered_at = match at {
                at if at == from => self.chunk.start(),
                at => at,
            };
            if !output.bounded {
                let hint = "for the best of each window: ROW_NUMBER() OVER (PARTITION BY \
                            window_start, window_end ORDER BY n DESC) <= 3";
                let message = "ORDER BY has no end to wait for: the input is unbounded";
                return Err(self.place.hinted("E0404", ordered_at, message, hint));
            }
            if purpose == Purpose::Keep && !limited {
                let hint = "order where you read it, or add LIMIT";
                let message = "ORDER BY has no effect here";
                return Err(self.place.hinted("E0404", ordered_at, message, hint));
            }
        }
        Ok(output)
    }

    fn with(
        &mut self,
        with: &With,
        ctes: &Ctes,
        outer: Option<&Scope<'_>>,
    ) -> Result<Ctes, SqlError> {
        let With {
            with_token,
            recursive,
            cte_tables,
        } = with;
        if *recursive {
            let at = self.find(&["RECURSIVE"], with_token.0.span.start);
            let hint = "a program has no cycles; write the levels out as joins";
            return Err(self.place.foreign(at, "WITH RECURSIVE", hint));
        }
        let mut ctes = ctes.clone();
        let mut own = BTreeSet::new();
        for cte in cte_tables {
            let Cte {
                alias,
                query,
                from,
                materialized,
                closing_paren_token: _,
            } = cte;
            if from.is_some() {
                let at = alias.name.span.start;
                return Err(self.place.foreign(at, "FROM behind WITH name", ""));
            }
            if materialized.is_some() {
                let at = self.find(&["MATERIALIZED", "NOT"], alias.name.span.start);
                let hint = "CREATE MATERIALIZED VIEW keeps what a query gives";
                return Err(self.place.foreign(at, "MATERIALIZED in WITH", hint));
            }
            let (name, columns) = self.alias(alias)?;
            if !own.insert(name.clone()) {
                let message = format!("\"{name}\" is defined twice in WITH");
                return Err(self.place.error("E0205", alias.name.span.start, message));
            }
            let mut output = self.query(query, &ctes, outer, Purpose::Keep)?;
            self.rename(&mut output, &columns, alias.name.span.start)?;
            ctes.insert(name, output);
        }
        Ok(ctes)
    }

    /// Name and column names of an alias.
    fn alias(&self, alias: &TableAlias) -> Result<(String, Vec<String>), SqlError> {
        let TableAlias {
            explicit: _,
            name,
            columns,
            at,
        } = alias;
        if let Some(at) = at {
            return Err(self.place.foreign(at.span.start, "AT behind an alias", ""));
        }
        if let Some(typed) = columns.iter().find(|c| c.data_type.is_some()) {
            let at = typed.name.span.start;
            return Err(self
                .place
                .foreign(at, "a type in an alias", "CAST(x AS type)"));
        }
        let names = columns.iter().map(|c| c.name.value.clone()).collect();
        Ok((name.value.clone(), names))
    }

    /// Gives the columns other names.
    pub(crate) fn rename(
        &self,
        output: &mut Output,
        names: &[String],
        at: Location,
    ) -> Result<(), SqlError> {
        if names.len() > output.columns.len() {
            let (given, there) = (names.len(), output.columns.len());
            let message = format!("{given} names for {there} columns");
            let hint = "at most one name for each column, in their order";
            return Err(self.place.hinted("E0209", at, message, hint));
        }
        for (column, name) in output.columns.iter_mut().zip(names) {
            column.0.clone_from(name);
        }
        Ok(())
    }

    fn body(
        &mut self,
        body: &SetExpr,
        ctes: &Ctes,
        outer: Option<&Scope<'_>>,
        order: Option<&datafusion::sql::sqlparser::ast::OrderBy>,
    ) -> Result<Output, SqlError> {
        let at = self.at(body);
        let output = match body {
            SetExpr::Select(select) => return self.select(select, ctes, outer, order),
            SetExpr::Query(query) => self.query(query, ctes, outer, Purpose::Keep)?,
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => {
                let from = self.at(right.as_ref());
                let word = op.to_string();
                if *op == SetOperator::Minus {
                    let at = self.find(&["MINUS"], at);
                    return Err(self.place.foreign(at, "MINUS", "EXCEPT"));
                }
                match set_quantifier {
                    SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None => {}
                    SetQuantifier::ByName
                    | SetQuantifier::AllByName
                    | SetQuantifier::DistinctByName => {
                        let hint = "name the columns in one order";
                        let what = format!("{word} BY NAME");
                        return Err(self.place.foreign(from, &what, hint));
                    }
                }
                let mut a = self.body(left, ctes, outer, None)?;
                let b = self.body(right, ctes, outer, None)?;
                if a.columns.len() != b.columns.len() {
                    let (x, y) = (a.columns.len(), b.columns.len());
                    let message = format!("{word} of {x} and {y} columns");
                    let hint = "both sides have the same number of columns";
                    return Err(self.place.hinted("E0209", from, message, hint));
                }
                for ((_, one), (name, other)) in a.columns.iter().zip(&b.columns) {
                    self.united(&word, from, name, one.as_ref(), other.as_ref())?;
                }
                a.bounded &= b.bounded;
                a.watermark &= b.watermark;
                a.window &= b.window;
                a
            }
            SetExpr::Values(values) => self.values(values, ctes, outer)?,
            SetExpr::Table(_) => {
                return Err(self
                    .place
                    .foreign(at, "TABLE as a query", "SELECT * FROM t"));
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                let hint = "a query reads; INSERT stands for itself";
                return Err(self.place.foreign(at, "a change inside a query", hint));
            }
        };
        if let Some(order) = order {
            let mut scope = Scope::default();
            let columns = output.columns.iter();
            let columns = columns.map(|(n, t)| Column::new(n, t.clone())).collect();
            scope.add(None, columns, &[]);
            self.order_by(order, &scope, ctes, &[], None)?;
        }
        Ok(output)
    }

    fn emit(&self, query: &EmitQuery, output: &Output) -> Result<(), SqlError> {
        let EmitQuery {
            query: _,
            emit,
            emit_at,
        } = query;
        let at = emit_at.0;
        match emit {
            None | Some(Emit::Changes) => Ok(()),
            Some(Emit::Every(every)) => match crate::interval::length(self.place, every)? {
                ns if ns > 0 => Ok(()),
                _ => {
                    let at = every.value.span().start;
                    let message = "EMIT EVERY takes an interval above 0";
                    Err(self
                        .place
                        .hinted("E0213", at, message, "EMIT EVERY INTERVAL '1' SECOND"))
                }
            },
            Some(Emit::OnWindowClose) if output.bounded => Ok(()),
            Some(Emit::OnWindowClose) if !output.window => {
                let hint = "EMIT CHANGES, or group by a window such as TUMBLE(ts, INTERVAL '1' \
                            MINUTE)";
                let message = "nothing ever closes here: the input is unbounded and the query \
                               has no window";
                Err(self.place.hinted("E0402", at, message, hint))
            }
            Some(Emit::OnWindowClose) if !output.watermark => {
                let hint = "WATERMARK FOR ts AS ts - INTERVAL '5' SECOND in CREATE SOURCE, or \
                            EMIT CHANGES";
                let message = "no window ever closes: the input is unbounded and has no watermark";
                Err(self.place.hinted("E0402", at, message, hint))
            }
            Some(Emit::OnWindowClose) => Ok(()),
        }
    }
}
