//! Names that DataFusion would find twice, written with the relation that they are a column of: the
//! column that USING made of two, and one whose name the select list gives to something else.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, SelectItem, SetExpr, TableFactor, VisitMut, visit_expressions_mut,
};

use super::from::{named, named_table};
use super::{Tree, visit};
use crate::functions::{FunctionKind, kind};
use crate::syntax::{default_name, normal};

/// A column, and the relation that it is of.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    column: String,
    relation: String,
}

/// Writes these columns with their relations.
fn qualify(expr: &mut Expr, owned: &[Owned]) {
    if let Expr::Identifier(ident) = expr
        && let Some(of) = owned.iter().find(|o| o.column == normal(ident))
    {
        let mut relation = Ident::with_quote('"', &of.relation);
        let mut column = Ident::with_quote('"', &of.column);
        [relation.span, column.span] = [ident.span; 2];
        *expr = Expr::CompoundIdentifier(vec![relation, column]);
    }
}

/// Writes the columns of USING in an expression of their query, but not in its subqueries.
pub(super) fn of_using<T: VisitMut>(tree: &mut T, merged: &[Owned]) {
    if !merged.is_empty() {
        visit::local(tree, |e| qualify(e, merged));
    }
}

/// Writes the columns that aggregates of ORDER BY name: a name there may be the select list's, but
/// an aggregate is over the input.
pub(super) fn of_input(expr: &mut Expr, hidden: &[Owned]) {
    if hidden.is_empty() {
        return;
    }
    visit::local(expr, |e| {
        if let Expr::Function(f) = e
            && f.over.is_none()
            && kind(&f.name.to_string()) == Some(FunctionKind::Aggregate)
        {
            let _: ControlFlow<()> = visit_expressions_mut(f, |e| {
                qualify(e, hidden);
                ControlFlow::Continue(())
            });
        }
    });
}

impl Tree<'_> {
    /// What USING makes one column: the left side's.
    pub(super) fn merge<'f>(
        &self,
        constraint: &JoinConstraint,
        left: impl Iterator<Item = &'f TableFactor> + Clone,
        merged: &mut Vec<Owned>,
    ) {
        let JoinConstraint::Using(columns) = constraint else {
            return;
        };
        for column in columns {
            let Some(name) = column.0.last().and_then(|p| p.as_ident()).map(normal) else {
                continue;
            };
            if let Some(at) = merged.iter().position(|m| m.column == name) {
                let mut relations = Vec::new();
                left.clone().for_each(|f| flat(f, &mut relations));
                let is_left = |f| named(f).as_ref() == Some(&merged[at].relation);
                if relations.into_iter().any(is_left) {
                    continue;
                }
                // That of a join on the right, within brackets.
                merged.remove(at);
            }
            let owner = match left.clone().collect::<Vec<_>>().as_slice() {
                [TableFactor::NestedJoin { .. }] => self.owner(&name, left.clone()),
                [only] => named(only).map(|relation| Owned {
                    column: name,
                    relation,
                }),
                _ => self.owner(&name, left.clone()),
            };
            merged.extend(owner);
        }
    }

    /// The relation that has a column, as far as that can be told.
    pub(super) fn owner<'f>(
        &self,
        column: &str,
        factors: impl Iterator<Item = &'f TableFactor>,
    ) -> Option<Owned> {
        let mut relations = Vec::new();
        factors.for_each(|f| flat(f, &mut relations));
        let mut known = relations.into_iter().filter(|f| {
            let columns = self.columns(f);
            columns.is_some_and(|columns| columns.iter().any(|c| c == column))
        });
        Some(Owned {
            column: column.to_owned(),
            relation: named(known.next()?)?,
        })
    }

    /// The columns of a relation; `None` where its query has to be planned to tell.
    fn columns(&self, factor: &TableFactor) -> Option<Vec<String>> {
        match factor {
            TableFactor::Table {
                alias: Some(alias), ..
            } if !alias.columns.is_empty() => {
                Some(alias.columns.iter().map(|c| normal(&c.name)).collect())
            }
            TableFactor::Table { .. } => {
                let name = named_table(factor)?;
                let table = self
                    .tables
                    .get(&name)
                    .filter(|_| !self.with.contains(&name))?;
                Some(table.declared().iter().map(|c| c.name.clone()).collect())
            }
            TableFactor::Derived {
                subquery, alias, ..
            } => {
                let renamed = alias.iter().flat_map(|a| &a.columns);
                let renamed: Vec<_> = renamed.map(|c| normal(&c.name)).collect();
                match subquery.body.as_ref() {
                    _ if !renamed.is_empty() => Some(renamed),
                    SetExpr::Select(select) => {
                        let mut columns = Vec::new();
                        for item in &select.projection {
                            match item {
                                SelectItem::UnnamedExpr(expr) => columns.push(default_name(expr)),
                                SelectItem::ExprWithAlias { alias, .. } => {
                                    columns.push(normal(alias));
                                }
                                SelectItem::Wildcard(_) => {
                                    for of in &select.from {
                                        columns.extend(self.columns(&of.relation)?);
                                        for join in &of.joins {
                                            columns.extend(self.columns(&join.relation)?);
                                        }
                                    }
                                }
                                _ => return None,
                            }
                        }
                        Some(columns)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Relations that a nested join has are relations of the query.
fn flat<'f>(factor: &'f TableFactor, relations: &mut Vec<&'f TableFactor>) {
    match factor {
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => {
            flat(&table_with_joins.relation, relations);
            for join in &table_with_joins.joins {
                flat(&join.relation, relations);
            }
        }
        other => relations.push(other),
    }
}
