//! What names mean at a place of a query: the relations of FROM with their columns, the scopes
//! around a subquery, and the names that WITH gives.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Location;

use super::Output;
use crate::error::{SqlError, meant, nearest};
use crate::place::Place;

/// The relations that WITH names.
pub(crate) type Ctes = BTreeMap<String, Output>;

/// A column of a relation.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) data_type: Option<DataType>,
    /// Not in `*`.
    hidden: bool,
    /// Taken together with a column of the same name by USING.
    merged: bool,
}

impl Column {
    pub(crate) fn new(name: &str, data_type: Option<DataType>) -> Self {
        Self {
            name: name.into(),
            data_type,
            hidden: false,
            merged: false,
        }
    }
}

#[derive(Debug, Clone)]
struct Relation {
    name: Option<String>,
    columns: Vec<Column>,
}

/// The relations at one level, and the level around it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope<'p> {
    relations: Vec<Relation>,
    pub(crate) outer: Option<&'p Scope<'p>>,
}

/// A column that was found: how many levels out, which relation, which column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) level: usize,
    pub(crate) relation: usize,
    pub(crate) column: usize,
    pub(crate) data_type: Option<DataType>,
}

impl<'p> Scope<'p> {
    pub(crate) fn within(outer: Option<&'p Scope<'p>>) -> Self {
        Self {
            relations: Vec::new(),
            outer,
        }
    }

    /// Adds a relation; `hidden` columns exist when named.
    pub(crate) fn add(&mut self, name: Option<String>, columns: Vec<Column>, hidden: &[&str]) {
        let mut columns = columns;
        for name in hidden {
            if !columns.iter().any(|c| c.name == *name) {
                columns.push(Column {
                    hidden: true,
                    ..Column::new(name, None)
                });
            }
        }
        self.relations.push(Relation { name, columns });
    }

    pub(crate) fn has_relation(&self, name: &str) -> bool {
        self.relations
            .iter()
            .any(|r| r.name.as_deref() == Some(name))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.relations.is_empty()
    }

    /// How many relations there are.
    pub(crate) fn len(&self) -> usize {
        self.relations.len()
    }

    /// Takes relations out of sight: one side of a semi join.
    pub(crate) fn hide(&mut self, relations: std::ops::Range<usize>) {
        for relation in &mut self.relations[relations] {
            relation.columns.clear();
        }
    }

    /// A column that USING names is one column from here on.
    pub(crate) fn merge(&mut self, name: &str) {
        let mut first = true;
        for relation in &mut self.relations {
            for column in relation.columns.iter_mut().filter(|c| c.name == name) {
                column.merged = !first;
                first = false;
            }
        }
    }

    /// Columns of the relations from this one on are themselves again, which others stood for.
    pub(crate) fn part(&mut self, from: usize) {
        for relation in &mut self.relations[from..] {
            relation.columns.iter_mut().for_each(|c| c.merged = false);
        }
    }

    /// Whether a relation from `from` on, or before it, has the column.
    pub(crate) fn side_has(&self, name: &str, right_from: usize, right: Side) -> bool {
        let relations = match right {
            Side::Left => &self.relations[..right_from],
            Side::Right => &self.relations[right_from..],
        };
        let columns = relations.iter().flat_map(|r| &r.columns);
        columns.filter(|c| !c.hidden).any(|c| c.name == name)
    }

    /// All that `*` stands for, of one relation or all.
    pub(crate) fn star(&self, of: Option<&str>) -> Vec<(String, Option<DataType>)> {
        let wanted = |r: &&Relation| of.is_none() || r.name.as_deref() == of;
        let columns = self
            .relations
            .iter()
            .filter(wanted)
            .flat_map(|r| &r.columns);
        let shown = columns.filter(|c| !c.hidden && (of.is_some() || !c.merged));
        shown
            .map(|c| (c.name.clone(), c.data_type.clone()))
            .collect()
    }

    /// All names of columns here and around, for hints.
    fn known(&self) -> Vec<&str> {
        let columns = self.relations.iter().flat_map(|r| &r.columns);
        let mut known: Vec<&str> = columns.map(|c| c.name.as_str()).collect();
        if let Some(outer) = self.outer {
            known.extend(outer.known());
        }
        known
    }

    /// A column without a relation before it.
    pub(crate) fn column(
        &self,
        place: Place<'_>,
        name: &str,
        at: Location,
    ) -> Result<Option<Found>, SqlError> {
        let mut found = None;
        let mut of: Vec<String> = Vec::new();
        for (r, relation) in self.relations.iter().enumerate() {
            for (c, column) in relation.columns.iter().enumerate() {
                if column.name == name && !column.merged {
                    of.push(relation.name.clone().unwrap_or_default());
                    found.get_or_insert(Found {
                        level: 0,
                        relation: r,
                        column: c,
                        data_type: column.data_type.clone(),
                    });
                }
            }
        }
        if of.len() > 1 {
            let message = format!("column \"{name}\" is ambiguous");
            let ways: Vec<_> = (of.iter().filter(|r| !r.is_empty()))
                .map(|r| format!("{r}.{name}"))
                .collect();
            let mut error = place.error("E0208", at, message);
            error.hint = (ways.len() > 1).then(|| format!("write {}", ways.join(" or ")));
            return Err(error);
        }
        match (found, self.outer) {
            (Some(found), _) => Ok(Some(found)),
            (None, None) => Ok(None),
            (None, Some(outer)) => {
                let found = outer.column(place, name, at)?;
                Ok(found.map(|f| Found {
                    level: f.level + 1,
                    ..f
                }))
            }
        }
    }

    /// A column of a relation that is named; `None` where there is no such relation.
    pub(crate) fn qualified(
        &self,
        place: Place<'_>,
        relation: &str,
        column: &Ident,
    ) -> Result<Option<Found>, SqlError> {
        let here = self.relations.iter().enumerate();
        let here: Vec<_> = here
            .filter(|(_, r)| r.name.as_deref() == Some(relation))
            .collect();
        match here.as_slice() {
            [] => match self.outer {
                None => Ok(None),
                Some(outer) => {
                    let found = outer.qualified(place, relation, column)?;
                    Ok(found.map(|f| Found {
                        level: f.level + 1,
                        ..f
                    }))
                }
            },
            [(index, only), ..] => {
                let at = only.columns.iter().position(|c| c.name == column.value);
                let Some(at) = at else {
                    let name = &column.value;
                    let message = format!("column \"{relation}.{name}\" does not exist");
                    let mut error = place.error("E0201", column.span.start, message);
                    let known = only.columns.iter().map(|c| c.name.as_str());
                    error.hint = nearest(name, known)
                        .map(|n| format!("did you mean \"{n}\"?"))
                        .or_else(|| {
                            let other = self
                                .relations
                                .iter()
                                .find(|r| r.columns.iter().any(|c| c.name == *name))?;
                            let other = other.name.as_deref()?;
                            Some(format!("\"{name}\" is a column of \"{other}\""))
                        })
                        .or_else(|| meant(name, only.columns.iter().map(|c| c.name.as_str())));
                    return Err(error);
                };
                Ok(Some(Found {
                    level: 0,
                    relation: *index,
                    column: at,
                    data_type: only.columns[at].data_type.clone(),
                }))
            }
        }
    }

    /// There is no such column.
    pub(crate) fn missing(&self, place: Place<'_>, name: &str, at: Location) -> SqlError {
        let message = format!("column \"{name}\" does not exist");
        let mut error = place.error("E0201", at, message);
        error.hint = match name {
            _ if self.is_empty() => Some("there is no FROM".into()),
            "window_start" | "window_end" => {
                Some("group by a window: GROUP BY TUMBLE(ts, INTERVAL '5' MINUTE)".into())
            }
            "window" => Some("window_start and window_end are its bounds".into()),
            name => meant(name, self.known().into_iter()),
        };
        error
    }

    /// There is no such relation here.
    pub(crate) fn missing_relation(&self, place: Place<'_>, name: &str, at: Location) -> SqlError {
        let message = format!("relation \"{name}\" does not exist");
        let mut error = place.error("E0202", at, message);
        let mut known: Vec<&str> = Vec::new();
        let mut scope = Some(self);
        while let Some(s) = scope {
            known.extend(s.relations.iter().filter_map(|r| r.name.as_deref()));
            scope = s.outer;
        }
        error.hint = match (nearest(name, known.iter().copied()), known.as_slice()) {
            (Some(n), _) => Some(format!("did you mean \"{n}\"?")),
            (None, []) => Some("there is no FROM".into()),
            (None, all) => Some(format!("FROM has: {}", all.join(", "))),
        };
        error
    }
}

/// A column of this type has no fields.
pub(crate) fn no_fields(
    place: Place<'_>,
    column: &str,
    field: &str,
    data_type: &DataType,
    at: Location,
) -> SqlError {
    let message = format!("column \"{column}\" has no fields");
    let hint = match data_type {
        DataType::Utf8 => format!("of JSON: {column} ->> '{field}'"),
        other => format!("its type is {}", crate::answer::type_name(other)),
    };
    place.hinted("E0206", at, message, hint)
}

/// A side of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}
