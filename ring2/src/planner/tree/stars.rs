//! `*` over joins with USING: which column of each is left out is said here. DataFusion leaves that
//! one in whose relation's name comes first, whichever side it is, and the other's may be NULL.

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ReplaceSelectElement,
    ReplaceSelectItem, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor,
    TableWithJoins, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::Tree;
use super::from::{constraint_of, named};
use super::owners::Owned;
use crate::error::SqlError;

/// A relation, and its columns that `*` leaves out.
struct Listed {
    relation: String,
    without: Vec<ObjectName>,
}

/// The relations of FROM, in order; `None` where one has no name.
fn listed(from: &[TableWithJoins]) -> Option<Vec<Listed>> {
    let mut all = Vec::new();
    for tables in from {
        joined(tables, &mut all)?;
    }
    Some(all)
}

fn relation(factor: &TableFactor, without: Vec<ObjectName>, all: &mut Vec<Listed>) -> Option<()> {
    match factor {
        TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } => {
            // Which of several relations has the column only their columns say.
            if !without.is_empty() {
                return None;
            }
            joined(table_with_joins, all)?;
        }
        factor => all.push(Listed {
            relation: named(factor)?,
            without,
        }),
    }
    Some(())
}

fn joined(tables: &TableWithJoins, all: &mut Vec<Listed>) -> Option<()> {
    let first = all.len();
    relation(&tables.relation, Vec::new(), all)?;
    for Join {
        relation: factor,
        join_operator,
        ..
    } in &tables.joins
    {
        use JoinOperator as J;
        let without = match constraint_of(join_operator) {
            Some(JoinConstraint::Using(columns)) => columns.clone(),
            _ => Vec::new(),
        };
        match join_operator {
            J::Semi(_) | J::LeftSemi(_) | J::Anti(_) | J::LeftAnti(_) => {}
            J::RightSemi(_) | J::RightAnti(_) => {
                all.truncate(first);
                relation(factor, Vec::new(), all)?;
            }
            _ => relation(factor, without, all)?,
        }
    }
    Some(())
}

/// Whether a join of FROM has USING.
fn has_using(tables: &TableWithJoins) -> bool {
    let nested = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => has_using(table_with_joins),
        _ => false,
    };
    let using = |join: &Join| {
        let constraint = constraint_of(&join.join_operator);
        matches!(constraint, Some(JoinConstraint::Using(_))) || nested(&join.relation)
    };
    nested(&tables.relation) || tables.joins.iter().any(using)
}

/// What stands in the place of a relation's own column.
fn replacement(of: &Owned) -> Box<ReplaceSelectElement> {
    Box::new(ReplaceSelectElement {
        expr: of.expr(Span::empty()),
        column_name: Ident::with_quote('"', &of.column),
        as_keyword: true,
    })
}

impl Tree<'_> {
    /// Writes `*` over joins with USING as all columns of each relation but those left out.
    pub(super) fn stars_of_using(
        &self,
        select: &mut Select,
        from: &[TableWithJoins],
        merged: &[Owned],
    ) -> Result<(), SqlError> {
        let is_star = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_));
        let using = from.iter().any(has_using) || merged.iter().any(|m| !m.hidden.is_empty());
        if !select.projection.iter().any(is_star) || !using {
            return Ok(());
        }
        let mut written = Vec::new();
        for item in std::mem::take(&mut select.projection) {
            let SelectItem::Wildcard(options) = &item else {
                written.push(item);
                continue;
            };
            let plain = WildcardAdditionalOptions {
                wildcard_token: options.wildcard_token.clone(),
                ..WildcardAdditionalOptions::default()
            };
            let relations = listed(from).filter(|_| *options == plain);
            let Some(relations) = relations else {
                return Err(self.no(&["*"], "this * over a JOIN .. USING"));
            };
            for Listed {
                relation,
                mut without,
            } in relations
            {
                let hidden = merged.iter().filter(|m| m.hidden.contains(&relation));
                let hidden = hidden.map(|m| Ident::with_quote('"', &m.column));
                without.extend(hidden.map(|column| ObjectName::from(vec![column])));
                let replaced = merged.iter().filter(|m| m.listed == relation);
                let replaced = replaced.filter(|m| m.of != [relation.clone()]);
                let replaced: Vec<_> = replaced.map(replacement).collect();
                let name = ObjectName::from(vec![Ident::with_quote('"', relation)]);
                let mut options = plain.clone();
                if !replaced.is_empty() {
                    options.opt_replace = Some(ReplaceSelectItem { items: replaced });
                }
                if !without.is_empty() {
                    options.opt_exclude = Some(ExcludeSelectItem::Multiple(without));
                }
                written.push(SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ));
            }
        }
        select.projection = written;
        Ok(())
    }
}
