//! UNNEST: a select item of a subquery around the relation that has the list. Its columns become
//! columns of that relation, however they are named.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, Join, JoinOperator, ObjectName, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, VisitMut,
    visit_expressions_mut,
};

use super::from::{Scope, derived, marked, named, named_table, parse_query};
use super::{AGAIN, Tree};
use crate::error::SqlError;
use crate::ordinals;
use crate::syntax::normal;

/// A column of UNNEST: it is planned as one of the relation that has the list.
#[derive(Debug, Clone)]
pub(super) struct Unnested {
    /// What UNNEST is called.
    relation: String,
    column: String,
    /// What it is called where it is planned: no other column is.
    planned: String,
    /// The relation that has the list.
    owner: String,
}

/// Writes columns of UNNEST as those of the relation that has the list.
pub(super) fn of_owner<T: VisitMut>(tree: &mut T, unnested: &[Unnested]) {
    if unnested.is_empty() {
        return;
    }
    let _: ControlFlow<()> = visit_expressions_mut(tree, |e| {
        if let Expr::CompoundIdentifier(parts) = e
            && let [relation, column] = parts.as_mut_slice()
            && let Some(of) = unnested
                .iter()
                .find(|u| u.relation == normal(relation) && u.column == normal(column))
        {
            let spans = [relation.span, column.span];
            *relation = Ident::with_quote('"', &of.owner);
            *column = Ident::with_quote('"', &of.planned);
            [relation.span, column.span] = spans;
        }
        ControlFlow::Continue(())
    });
}

/// An item that is a column of UNNEST, under the name that the column has.
fn named_as(expr: Expr, of: &Unnested) -> SelectItem {
    match of.planned == of.column {
        true => SelectItem::UnnamedExpr(expr),
        false => SelectItem::ExprWithAlias {
            expr,
            alias: Ident::with_quote('"', &of.column),
        },
    }
}

/// Gives items that are columns of UNNEST their names, before they are written anew.
pub(super) fn keep_names(items: &mut [SelectItem], unnested: &[Unnested]) {
    for item in items {
        if let SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) = item
            && let [relation, column] = parts.as_slice()
            && let Some(of) = unnested
                .iter()
                .find(|u| u.relation == normal(relation) && u.column == normal(column))
        {
            *item = named_as(Expr::CompoundIdentifier(parts.clone()), of);
        }
    }
}

/// A star over the relation that has the list is without the elements; one over UNNEST is them.
pub(super) fn stars(items: Vec<SelectItem>, unnested: &[Unnested]) -> Vec<SelectItem> {
    let mut out = Vec::new();
    for item in items {
        let SelectItem::QualifiedWildcard(
            SelectItemQualifiedWildcardKind::ObjectName(name),
            mut options,
        ) = item
        else {
            out.push(item);
            continue;
        };
        let of = (name.0.first()).and_then(|p| p.as_ident()).map(normal);
        let of = of.unwrap_or_default();
        let quoted = |name: &String| Ident::with_quote('"', name);
        let mut own = unnested.iter().filter(|u| u.relation == of).peekable();
        if own.peek().is_some() {
            out.extend(own.map(|u| {
                let parts = vec![quoted(&u.owner), quoted(&u.planned)];
                named_as(Expr::CompoundIdentifier(parts), u)
            }));
            continue;
        }
        let inside = unnested.iter().filter(|u| u.owner == of);
        let names: Vec<_> = inside
            .map(|u| ObjectName::from(vec![quoted(&u.planned)]))
            .collect();
        if !names.is_empty() {
            options.opt_exclude = Some(ExcludeSelectItem::Multiple(names));
        }
        let kind = SelectItemQualifiedWildcardKind::ObjectName(name);
        out.push(SelectItem::QualifiedWildcard(kind, options));
    }
    out
}

impl Tree<'_> {
    /// Puts UNNEST beside the columns of the relation that it reads.
    pub(super) fn unnest(
        &mut self,
        first: &mut TableFactor,
        joins: &mut [Join],
        join: &Join,
        scope: &mut Scope,
    ) -> Result<(), SqlError> {
        let TableFactor::UNNEST {
            alias,
            array_exprs,
            with_ordinality,
            ..
        } = &join.relation
        else {
            unreachable!("only UNNEST is handed over")
        };
        let inner = matches!(
            join.join_operator,
            JoinOperator::CrossJoin(_) | JoinOperator::Inner(_) | JoinOperator::Join(_)
        );
        let (true, [array]) = (inner, array_exprs.as_slice()) else {
            let what = "UNNEST other than CROSS JOIN UNNEST(column) AS name";
            return Err(self.no(&["UNNEST"], what));
        };
        let (relation, columns) = names(alias.as_ref(), *with_ordinality);
        let planned = planned(&relation, &columns, scope);
        let mut candidates: Vec<&mut TableFactor> = vec![first];
        candidates.extend(joins.iter_mut().map(|j| &mut j.relation));
        let only = candidates.len() == 1;
        let owner = candidates.into_iter().find(|c| match array {
            Expr::CompoundIdentifier(parts) => named(c).is_some_and(|n| n == normal(&parts[0])),
            Expr::Identifier(ident) => {
                only || named_table(c)
                    .and_then(|t| self.tables.get(&t))
                    .is_some_and(|t| t.declared().iter().any(|c| c.name == normal(ident)))
            }
            _ => only,
        });
        let Some(owner) = owner else {
            return Err(self.no(&["UNNEST"], "UNNEST of this expression"));
        };
        let mut query = parse_query("SELECT * FROM t");
        let SetExpr::Select(select) = query.body.as_mut() else {
            unreachable!("the text above is a SELECT");
        };
        let lists = [array.clone(), marked(ordinals::NAME, array.clone())];
        for (list, column) in lists.into_iter().zip(&planned) {
            select.projection.push(SelectItem::ExprWithAlias {
                expr: marked("unnest", list),
                alias: Ident::with_quote('"', column),
            });
        }
        let name = named(owner).unwrap_or_default();
        let both = columns.iter().zip(planned);
        scope
            .unnested
            .extend(both.map(|(column, planned)| Unnested {
                relation: relation.clone(),
                column: column.clone(),
                planned,
                owner: name.clone(),
            }));
        scope.columns.extend(columns);
        let before = std::mem::replace(
            owner,
            TableFactor::UNNEST {
                alias: None,
                array_exprs: Vec::new(),
                with_offset: false,
                with_offset_alias: None,
                with_ordinality: false,
            },
        );
        select.from[0].relation = before;
        *owner = derived(query, None, name);
        Ok(())
    }
}

/// What columns of UNNEST are called where they are planned: as no other column of the scope is.
fn planned(relation: &str, columns: &[String], scope: &Scope) -> Vec<String> {
    let name = |column: &String| match scope.columns.contains(column) {
        true => format!("{column}{AGAIN}{relation}"),
        false => column.clone(),
    };
    columns.iter().map(name).collect()
}

/// What UNNEST and its columns are called.
fn names(alias: Option<&TableAlias>, ordinality: bool) -> (String, Vec<String>) {
    let relation = alias.map_or("unnest".to_owned(), |a| normal(&a.name));
    let mut columns = vec![relation.clone()];
    if ordinality {
        columns.push("ordinality".to_owned());
    }
    let renamed = alias.into_iter().flat_map(|a| &a.columns);
    for (column, name) in columns.iter_mut().zip(renamed) {
        *column = normal(&name.name);
    }
    (relation, columns)
}
