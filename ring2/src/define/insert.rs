//! INSERT: what it writes into, and whether its columns fit.

use std::borrow::Cow;
use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::Ident;

use super::{Columns, Definer, Written};
use crate::check::Purpose;
use crate::error::SqlError;
use crate::script::Target;
use crate::syntax::{Insert, Kind};

impl Definer<'_> {
    pub(super) fn insert<'s>(&mut self, insert: &'s Insert) -> Result<Written<'s>, SqlError> {
        let at = insert.into.span.start;
        self.use_as_sink(&insert.into)?;
        let columns: Columns = match self.catalog.kind(&insert.into.value) {
            None => return Err(self.missing(&insert.into)),
            Some(Kind::Table) => self.columns(&insert.into.value).unwrap_or_default(),
            Some(Kind::Sink) => {
                let sink = self.catalog.sinks.get(&insert.into.value);
                let columns = sink.map(|s| s.columns.as_slice()).unwrap_or_default();
                columns
                    .iter()
                    .map(|c| (c.name.clone(), Some(c.data_type.clone())))
                    .collect()
            }
            Some(kind) => {
                let message = format!("INSERT into a {}", kind.word());
                let hint = match kind {
                    Kind::Source => "a source is only read: declare a TABLE or a SINK",
                    _ => "a view follows from what it reads: INSERT there",
                };
                return Err(self.place.hinted("E0211", at, message, hint));
            }
        };
        let mut named = BTreeSet::new();
        for column in &insert.columns {
            self.has(&columns, &column.value, column.span.start)?;
            if !named.insert(&column.value) {
                let message = format!("column \"{}\" is named twice", column.value);
                return Err(self.place.error("E0205", column.span.start, message));
            }
        }
        let checked = self.check(&insert.query, Purpose::Keep)?;
        let given = checked.output.columns.len();
        let wanted = match insert.columns.len() {
            0 => columns.len(),
            named => named,
        };
        // A sink without declared columns takes those of the query.
        if wanted > 0 && given != wanted {
            let message = format!("{wanted} columns are wanted, {given} are given");
            let names: Vec<_> = columns.iter().map(|(n, _)| n.as_str()).collect();
            let hint = format!("\"{}\" has: {}", insert.into.value, names.join(", "));
            return Err(self.place.hinted("E0209", at, message, hint));
        }
        let target = Target {
            name: insert.into.value.clone(),
            columns: insert.columns.iter().map(|c| c.value.clone()).collect(),
        };
        Ok(Some((target, Cow::Borrowed(&insert.query))))
    }

    /// A table of a connector that is written to is a sink from there on.
    fn use_as_sink(&mut self, name: &Ident) -> Result<(), SqlError> {
        let source = self.catalog.sources.get(&name.value);
        let Some(sink) = source.and_then(|s| s.as_sink.clone()) else {
            return Ok(());
        };
        let users = self.catalog.users(&name.value);
        if !users.is_empty() {
            let message = format!("INSERT into \"{}\", which is a source", name.value);
            let hint = format!("{} reads it: write into another table", users.join(", "));
            return Err((self.place).hinted("E0211", name.span.start, message, hint));
        }
        self.catalog.remove(&name.value);
        self.sink(&sink).map(|_| ())
    }
}
