//! A relation that got another name, in the definition of who reads it: the new name stands where
//! the old one did, and the old one behind it as an alias, so that columns are named as before.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectNamePart, Query, TableAlias, TableFactor,
    VisitMut, VisitorMut,
};

/// Names a relation anew in a query. False where the new name means something else in it, of WITH.
pub(crate) fn rename(query: &mut Query, from: &str, to: &str) -> bool {
    let mut renamer = Renamer {
        from,
        to,
        scopes: Vec::new(),
    };
    VisitMut::visit(query, &mut renamer) == ControlFlow::Continue(())
}

struct Renamer<'a> {
    from: &'a str,
    to: &'a str,
    /// What WITH names, the innermost last.
    scopes: Vec<Vec<String>>,
}

impl Renamer<'_> {
    fn is_named(&self, name: &str) -> bool {
        self.scopes.iter().flatten().any(|known| known == name)
    }

    /// Whether a name is that of the relation.
    fn is_it(&self, ident: &Ident) -> bool {
        ident.value == self.from && !self.is_named(self.from)
    }

    fn new_name(&self, old: &Ident) -> ControlFlow<(), Ident> {
        match self.is_named(self.to) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(Ident {
                span: old.span,
                ..Ident::with_quote('"', self.to)
            }),
        }
    }
}

fn alias(of: &Ident) -> TableAlias {
    TableAlias {
        explicit: true,
        name: of.clone(),
        columns: Vec::new(),
        at: None,
    }
}

impl VisitorMut for Renamer<'_> {
    type Break = ();

    /// A name of WITH is one for what stands behind it.
    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.scopes.push(Vec::new());
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            VisitMut::visit(cte.query.as_mut(), self)?;
            if let Some(scope) = self.scopes.last_mut() {
                scope.push(cte.alias.name.value.clone());
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table {
            name,
            alias: shown,
            args,
            ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        let old = match args {
            None => match &mut name.0[..] {
                [ObjectNamePart::Identifier(ident)] => ident,
                _ => return ControlFlow::Continue(()),
            },
            // A window of a relation.
            Some(args) => match args.args.first_mut() {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(of)))) => of,
                _ => return ControlFlow::Continue(()),
            },
        };
        if self.is_it(old) {
            let new = self.new_name(old)?;
            let old = std::mem::replace(old, new);
            shown.get_or_insert_with(|| alias(&old));
        }
        ControlFlow::Continue(())
    }
}
