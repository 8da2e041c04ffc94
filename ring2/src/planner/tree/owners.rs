//! Names that DataFusion would find twice, written with the relation that they are a column of: the
//! column that USING made of two, and one whose name the select list gives to something else.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, JoinConstraint, ObjectName,
    Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor, TableWithJoins,
    VisitMut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::from::{named, named_table};
use super::{AGAIN, Tree, visit};
use crate::syntax::{default_name, normal};
use crate::window::parse;

/// A column, and the relation that it is of; of several that USING made one: the first of these in
/// which it is not NULL.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    pub(super) column: String,
    pub(super) of: Vec<String>,
    /// The relation in whose place `*` has it.
    pub(super) listed: String,
    /// Those in which `*` leaves it out, as far as the syntax tree does not say it.
    pub(super) hidden: Vec<String>,
}

impl Owned {
    fn by(column: String, relation: String) -> Self {
        Self {
            column,
            of: vec![relation.clone()],
            listed: relation,
            hidden: Vec::new(),
        }
    }

    /// The column with its relation; `at`: where it is named.
    pub(super) fn expr(&self, at: Span) -> Expr {
        let of = |relation: &String| {
            let mut relation = Ident::with_quote('"', relation);
            let mut column = Ident::with_quote('"', &self.column);
            [relation.span, column.span] = [at; 2];
            Expr::CompoundIdentifier(vec![relation, column])
        };
        match self.of.as_slice() {
            [one] => of(one),
            several => coalesced(several.iter().map(of).collect()),
        }
    }
}

/// The first of these that is not NULL.
fn coalesced(values: Vec<Expr>) -> Expr {
    let mut call = parse("COALESCE(0)");
    if let Expr::Function(f) = &mut call
        && let FunctionArguments::List(list) = &mut f.args
    {
        let unnamed = |e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e));
        list.args = values.into_iter().map(unnamed).collect();
    }
    call
}

/// Writes these columns with their relations.
pub(super) fn qualify(expr: &mut Expr, owned: &[Owned]) {
    if let Expr::Identifier(ident) = expr
        && let Some(of) = owned.iter().find(|o| o.column == normal(ident))
    {
        *expr = of.expr(ident.span);
    }
}

/// Gives what is selected by the name of such a column that name.
pub(super) fn keep_merged(select: &mut Select, merged: &[Owned]) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(ident)) = item
            && (merged.iter()).any(|m| m.of.len() > 1 && m.column == normal(ident))
        {
            let (expr, alias) = (Expr::Identifier(ident.clone()), ident.clone());
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
}

/// Writes the columns of USING in an expression of their query, but not in its subqueries.
pub(super) fn of_using<T: VisitMut>(tree: &mut T, merged: &[Owned]) {
    if !merged.is_empty() {
        visit::local(tree, |e| qualify(e, merged));
    }
}

/// Writes what an expression of ORDER BY names: alone a name is the select list's, and within an
/// expression the input's, and the select list's only where the input has none.
pub(super) fn of_input(expr: &mut Expr, hidden: &[Owned], meanings: &[(String, Expr)]) {
    if let Expr::Identifier(_) = expr {
        return;
    }
    visit::local(expr, |e| {
        qualify(e, hidden);
        if let Expr::Identifier(ident) = e
            && let Some((_, meaning)) = meanings.iter().find(|(name, _)| *name == normal(ident))
        {
            *e = Expr::Nested(Box::new(meaning.clone()));
        }
    });
}

/// Which side's column is the one of a join with USING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Left,
    Right,
    /// Either of them, the left one first.
    Either,
    /// The right side's, and there is no other.
    OnlyRight,
}

/// Both conditions.
fn both(one: Expr, other: Expr) -> Expr {
    let mut both = parse("0 AND 1");
    if let Expr::BinaryOp { left, right, .. } = &mut both {
        (**left, **right) = (one, other);
    }
    both
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
                let is_left = |f| named(f).as_ref() == Some(&merged[at].listed);
                if relations.into_iter().any(is_left) {
                    continue;
                }
                // That of a join on the right, within brackets.
                merged.remove(at);
            }
            let owner = match left.clone().collect::<Vec<_>>().as_slice() {
                [TableFactor::NestedJoin { .. }] => self.owner(&name, left.clone()),
                [only] => named(only).map(|relation| Owned::by(name, relation)),
                _ => self.owner(&name, left.clone()),
            };
            merged.extend(owner);
        }
    }

    /// USING of a join whose column is not simply the left side's, as a condition of it; what the
    /// column is from here on is noted. `None` where it cannot be told which relations have it.
    pub(super) fn using_on<'f>(
        &self,
        columns: &[ObjectName],
        taken: Taken,
        (left, right): (Vec<&'f TableFactor>, &'f TableFactor),
        merged: &mut Vec<Owned>,
    ) -> Option<Expr> {
        let mut on: Option<Expr> = None;
        for column in columns {
            let ident = column.0.last().and_then(|p| p.as_ident())?;
            let name = normal(ident);
            let of = |factors: &[&'f TableFactor], merged: &mut Vec<Owned>| {
                let mut relations = Vec::new();
                factors.iter().for_each(|f| flat(f, &mut relations));
                let names: Vec<String> = relations.iter().filter_map(|f| named(f)).collect();
                let known = |m: &Owned| m.column == name && names.contains(&m.listed);
                match (merged.iter().position(known), relations.as_slice()) {
                    (Some(at), _) => Some(merged.remove(at)),
                    (None, [only]) => Some(Owned::by(name.clone(), named(only)?)),
                    (None, _) => self.sole_owner(&name, factors),
                }
            };
            let (l, r) = (of(&left, merged)?, of(&[right], merged)?);
            let mut equal = parse("0 = 1");
            if let Expr::BinaryOp { left, right, .. } = &mut equal {
                (**left, **right) = (l.expr(ident.span), r.expr(ident.span));
            }
            on = Some(match on {
                None => equal,
                Some(before) => both(before, equal),
            });
            let mut one = l.clone();
            one.hidden.push(r.listed);
            one.hidden.extend(r.hidden);
            match taken {
                Taken::Left => {}
                Taken::Right => one.of = r.of,
                Taken::Either => one.of.extend(r.of),
                // The left side is no relation any more.
                Taken::OnlyRight => continue,
            }
            merged.push(one);
        }
        on
    }

    /// The relation that has a column; `None` where several have it, too.
    fn sole_owner(&self, column: &str, factors: &[&TableFactor]) -> Option<Owned> {
        let mut relations = Vec::new();
        factors.iter().for_each(|f| flat(f, &mut relations));
        let owners = relations.into_iter().filter(|f| {
            let columns = self.columns(f);
            columns.is_some_and(|columns| columns.iter().any(|c| c == column))
        });
        match owners.count() {
            1 => self.owner(column, factors.iter().copied()),
            _ => None,
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
        Some(Owned::by(column.to_owned(), named(known.next()?)?))
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
                if let Some(at) = self.with.iter().rposition(|with| *with == name) {
                    return self.with_columns[at].clone();
                }
                let table = self.tables.get(&name)?;
                Some(table.declared().iter().map(|c| c.name.clone()).collect())
            }
            TableFactor::Derived {
                subquery, alias, ..
            } => {
                let renamed = alias.iter().flat_map(|a| &a.columns);
                let renamed: Vec<_> = renamed.map(|c| normal(&c.name)).collect();
                match renamed.is_empty() {
                    true => self.columns_of(&subquery.body),
                    false => Some(renamed),
                }
            }
            _ => None,
        }
    }

    /// The columns of all relations, as far as they can be told.
    pub(super) fn all_columns(&self, from: &[TableWithJoins]) -> Vec<String> {
        let mut relations = Vec::new();
        for tables in from {
            flat(&tables.relation, &mut relations);
            let joined = tables.joins.iter();
            joined.for_each(|join| flat(&join.relation, &mut relations));
        }
        let columns = relations.into_iter().filter_map(|f| self.columns(f));
        columns.flatten().collect()
    }

    /// The columns that a query gives.
    pub(super) fn columns_of(&self, body: &SetExpr) -> Option<Vec<String>> {
        let select = match body {
            SetExpr::Select(select) => select,
            SetExpr::Query(query) => return self.columns_of(&query.body),
            SetExpr::SetOperation { left, .. } => return self.columns_of(left),
            _ => return None,
        };
        let plain = |name: String| name.split(AGAIN).next().unwrap_or_default().to_owned();
        let mut columns = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => columns.push(default_name(expr)),
                SelectItem::ExprWithAlias { alias, .. } => columns.push(plain(normal(alias))),
                SelectItem::Wildcard(_) => {
                    for of in &select.from {
                        columns.extend(self.columns(&of.relation)?);
                        for join in &of.joins {
                            columns.extend(self.columns(&join.relation)?);
                        }
                    }
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(of),
                    _,
                ) => {
                    let of = of.0.last().and_then(|p| p.as_ident()).map(normal)?;
                    let mut relations = Vec::new();
                    for tables in &select.from {
                        flat(&tables.relation, &mut relations);
                        let joined = tables.joins.iter();
                        joined.for_each(|join| flat(&join.relation, &mut relations));
                    }
                    let is_called = |f: &&&TableFactor| named(f).as_ref() == Some(&of);
                    columns.extend(self.columns(relations.iter().find(is_called)?)?);
                }
                _ => return None,
            }
        }
        Some(columns)
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
