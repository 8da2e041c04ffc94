//! The views that an engine keeps, as relations of the catalogue that statements are read with: a
//! SELECT reads the rows that stand in them, which end; a view reads how they change, which does
//! not.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Query, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use trefoil_ring0::feed::Feed;
use trefoil_ring0::program::SourceKind;
use trefoil_ring1::connector::Stdin;

use super::{batch, system};
use crate::PlannedQuery;
use crate::answer::type_name;
use crate::catalog::{Catalog, ColumnDef, SourceDef, ViewRows};
use crate::convert::is_json;
use crate::error::SqlError;
use crate::options::CHANNEL;
use crate::place::Place;
use crate::script::{Select, Session};
use crate::sink::Fed;
use crate::syntax::Kind;
use crate::views;

/// A view that is kept, as others see it.
#[derive(Debug, Clone)]
pub(super) struct KeptView {
    /// The columns of its rows.
    pub(super) columns: SchemaRef,
    /// What these are to who reads them.
    pub(super) rows: ViewRows,
    /// The sources that it reads and nobody else can, and what they are of.
    pub(super) alone: Vec<(String, PathBuf)>,
}

/// All views that are kept, by their names.
pub(super) type Kept = BTreeMap<String, KeptView>;

/// A sink that queries feed, as others see it.
#[derive(Debug, Clone)]
pub(super) struct FedSink {
    /// Its columns.
    pub(super) fed: Fed,
    /// The sources that its queries read and nobody else can, and what they are of.
    pub(super) alone: Vec<(String, PathBuf)>,
}

impl FedSink {
    /// The sink of a query.
    pub(super) fn of(query: &PlannedQuery, fed: Fed) -> Self {
        Self {
            fed,
            alone: read_alone(query).collect(),
        }
    }
}

/// Gives what has a name another one.
pub(super) fn renamed<T>(of: &mut BTreeMap<String, T>, from: &str, to: &str) {
    if let Some(found) = of.remove(from) {
        of.insert(to.to_owned(), found);
    }
}

/// What goes on in an engine.
#[derive(Debug, Clone, Default)]
pub(super) struct There {
    pub(super) kept: Kept,
    pub(super) sinks: BTreeMap<String, FedSink>,
    /// Views are kept on disk.
    pub(super) is_on_disk: bool,
}

impl There {
    /// What is called so is called so.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        renamed(&mut self.kept, from, to);
        renamed(&mut self.sinks, from, to);
        let views = self.kept.values_mut().map(|view| &mut view.alone);
        let sinks = self.sinks.values_mut().map(|sink| &mut sink.alone);
        for (source, _) in views.chain(sinks).flatten() {
            if source == from {
                *source = to.to_owned();
            }
        }
    }

    /// Who reads a source that only one can read, by what it is and is called.
    fn alone(&self) -> impl Iterator<Item = (&'static str, &String, &[(String, PathBuf)])> {
        let views = self.kept.iter();
        let views = views.map(|(name, view)| ("view", name, &view.alone[..]));
        let sinks = self.sinks.iter();
        views.chain(sinks.map(|(name, sink)| ("sink", name, &sink.alone[..])))
    }
}

impl KeptView {
    /// The view of a query.
    pub(super) fn of(query: &PlannedQuery) -> Self {
        let whole = batch::schema(&query.columns, &query.program.outputs[0].schema);
        let first = usize::from(query.changes);
        let fields: Vec<_> = whole.fields().iter().skip(first).cloned().collect();
        Self {
            columns: Arc::new(Schema::new(fields)),
            rows: match query.changes {
                true => ViewRows::Changing,
                false => ViewRows::Coming,
            },
            alone: read_alone(query).collect(),
        }
    }
}

/// The sources that only one query can read at a time: what listens, and standard input.
fn read_alone(query: &PlannedQuery) -> impl Iterator<Item = (String, PathBuf)> {
    query.program.sources.iter().filter_map(|source| {
        let of = match &source.kind {
            SourceKind::Connections { listen, .. } => listen.name(),
            SourceKind::Stream { feed, .. } => {
                Some(feed.name()).filter(|name| *name == Stdin.name())?
            }
            _ => return None,
        };
        Some((source.name.clone(), of))
    })
}

/// Refuses a query that reads what a view, or a query of a sink, reads alone.
pub(super) fn check_alone(
    select: &Select<'_>,
    query: &PlannedQuery,
    there: &There,
) -> Result<(), SqlError> {
    for (source, of) in read_alone(query) {
        // A port that the system chooses is another one each time.
        let chosen = of.to_string_lossy().ends_with(":0");
        let is_it = |other: &(String, PathBuf)| other.0 == source || other.1 == of && !chosen;
        let reader = there.alone().find(|(_, _, alone)| alone.iter().any(is_it));
        let Some((kind, reader, _)) = reader else {
            continue;
        };
        let mut names = Names(Vec::new());
        let _: ControlFlow<()> = select.query.visit(&mut names);
        let named = names.0.into_iter().find(|(name, _)| *name == source);
        let at = named.map_or_else(|| select.chunk.start(), |(_, at)| at);
        let message = format!("{kind} \"{reader}\" reads {} already", of.display());
        let hint = match kind {
            "view" => {
                format!("it has one reader: make this a view over \"{reader}\", or DROP that")
            }
            _ => "it has one reader: a view, which any number of others read".to_owned(),
        };
        return Err(select.place.hinted("E0301", at, message, hint));
    }
    Ok(())
}

/// The catalogue in which the views that are kept are relations whose rows are those that stand.
pub(super) fn standing(catalog: &Catalog, kept: &Kept) -> Catalog {
    let mut readable = catalog.clone();
    for (name, view) in kept {
        readable.views.remove(name);
        let rows = relation(name, &view.columns, ViewRows::Coming);
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
    for (name, view) in kept {
        views.extend(catalog.views.remove_entry(name));
        let rows = relation(name, &view.columns, view.rows);
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
            // A text, or lists of such.
            true => type_name(field.data_type()).replace("VARCHAR", "JSON"),
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
