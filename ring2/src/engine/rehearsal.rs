//! Statements as they would run, one behind the other: read, checked and planned, none begun.

use super::kept::{FedSink, KeptView, There};
use super::statement::{Endless, Planned, When, plan};
use crate::error::Result;
use crate::script::Session;
use crate::{SourceFile, limits};

/// What a statement gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// Nothing, or what is known of names and settings.
    Nothing,
    /// The rows of a SELECT.
    Rows,
}

/// What each statement of each file gives, in a session of its own.
pub(super) fn check(
    files: &[SourceFile],
    mut session: Session,
    mut there: There,
) -> Result<Vec<Vec<Gives>>> {
    let when = When::default();
    let mut all = Vec::with_capacity(files.len());
    for file in files {
        let mut gives = Vec::new();
        let planned = |number, session: &Session, there: &There| {
            plan(file, number, session, there, &when, Endless::Allowed)
        };
        while let Some((after, planned)) = planned(gives.len(), &session, &there)? {
            gives.push(match planned {
                Planned::Done
                | Planned::Flush
                | Planned::Checkpoint
                | Planned::Declare(..)
                | Planned::Close(_)
                | Planned::Answer(_) => Gives::Nothing,
                Planned::Rename(from, to) => {
                    there.rename(&from, &to);
                    Gives::Nothing
                }
                Planned::View(name, query) => {
                    there.kept.insert(name, KeptView::of(&query));
                    Gives::Nothing
                }
                Planned::Sink(query, fed) => {
                    if let Some(sink) = &query.sink {
                        let fed = FedSink::of(&query, fed);
                        there.sinks.insert(sink.name.clone(), fed);
                    }
                    Gives::Nothing
                }
                Planned::Subscribe(..) | Planned::Fetch(..) => Gives::Rows,
                Planned::Select { .. } | Planned::Query(_) | Planned::Analyze(_) => Gives::Rows,
            });
            let catalog = &after.catalog;
            there
                .kept
                .retain(|name, _| catalog.views.contains_key(name));
            there
                .sinks
                .retain(|name, _| catalog.sinks.contains_key(name));
            let before = std::mem::replace(&mut session, after);
            limits::with_stack(move || drop(before));
        }
        all.push(gives);
    }
    limits::with_stack(move || drop(session));
    Ok(all)
}
