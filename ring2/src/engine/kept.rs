//! The views that an engine keeps, as relations of the catalogue that statements are read with: a
//! SELECT reads the rows that stand in them, which end; a view reads how they change, which does
//! not.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Query, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::system;
use crate::answer::type_name;
use crate::catalog::{Catalog, ColumnDef, SourceDef, ViewRows};
use crate::convert::is_json;
use crate::error::SqlError;
use crate::options::CHANNEL;
use crate::place::Place;
use crate::script::Session;
use crate::syntax::Kind;
use crate::views;

/// The columns of all views that are kept and what their rows are, by the views' names.
pub(super) type Kept = BTreeMap<String, (SchemaRef, ViewRows)>;

/// The catalogue in which the views that are kept are relations whose rows are those that stand.
pub(super) fn standing(catalog: &Catalog, kept: &Kept) -> Catalog {
    let mut readable = catalog.clone();
    for (name, (columns, _)) in kept {
        readable.views.remove(name);
        let rows = relation(name, columns, ViewRows::Coming);
        let rows = SourceDef {
            bounded: true,
            ..rows
        };
        readable.sources.insert(name.clone(), rows);
    }
    let plain = readable.views.keys().filter(|name| ends(&readable, name));
    let plain: Vec<String> = plain.cloned().collect();
    for name in plain {
        if let Some(view) = readable.views.get_mut(&name) {
            view.bounded = true;
        }
    }
    readable
}

/// Reads a statement in a session in which the views that are kept are relations whose rows go on.
pub(super) fn reading<T>(
    session: &mut Session,
    kept: &Kept,
    read: impl FnOnce(&mut Session) -> Result<T, SqlError>,
) -> Result<T, SqlError> {
    let catalog = &mut session.catalog;
    let mut views = Vec::new();
    for (name, (columns, rows)) in kept {
        views.extend(catalog.views.remove_entry(name));
        let rows = relation(name, columns, *rows);
        catalog.sources.insert(name.clone(), rows);
    }
    let given = read(session)?;
    for (name, view) in views {
        session.catalog.sources.remove(&name);
        session.catalog.views.insert(name, view);
    }
    Ok(given)
}

/// Whether all that a relation reads ends.
fn ends(catalog: &Catalog, name: &str) -> bool {
    match catalog.sources.get(name) {
        Some(source) => source.bounded,
        None => catalog.used_by(name).all(|used| ends(catalog, used)),
    }
}

/// A relation of these columns.
pub(super) fn relation(name: &str, columns: &Schema, rows: ViewRows) -> SourceDef {
    let columns = columns.fields().iter().map(|field| ColumnDef {
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        declared: match is_json(field) {
            true => "JSON".to_owned(),
            false => type_name(field.data_type()),
        },
        nullable: true,
    });
    SourceDef {
        name: name.to_owned(),
        columns: columns.collect(),
        connector: Some(CHANNEL.to_owned()),
        view: Some(rows),
        ..SourceDef::default()
    }
}

/// What a query reads, and where it says so: its plain views and WITH written out.
pub(super) fn named(
    place: Place<'_>,
    query: &Query,
    catalog: &Catalog,
) -> Result<Vec<(String, Location)>, SqlError> {
    let mut query = query.clone();
    system::named_plainly(&mut query);
    views::expand(place, &mut query, catalog)?;
    let mut names = Names(Vec::new());
    let _: ControlFlow<()> = query.visit(&mut names);
    Ok(names.0)
}

/// The relations of FROM.
struct Names(Vec<(String, Location)>);

impl Visitor for Names {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let ident = match factor {
            TableFactor::Table {
                name, args: None, ..
            } => match &name.0[..] {
                [part] => part.as_ident(),
                _ => None,
            },
            // A window of a relation.
            TableFactor::Table {
                args: Some(args), ..
            } => match args.args.first() {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(of)))) => Some(of),
                _ => None,
            },
            _ => None,
        };
        self.0
            .extend(ident.map(|ident| (ident.value.clone(), ident.span.start)));
        ControlFlow::Continue(())
    }
}

/// Whether a name is that of a view which is kept, or of a table of the engine's own.
pub(super) fn is_kept(catalog: &Catalog, name: &str) -> bool {
    catalog.kind(name) == Some(Kind::MaterializedView) || system::is_named(name)
}
