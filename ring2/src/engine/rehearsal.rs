//! Statements as they would run, one behind the other: read, checked and planned, none begun.

use std::time::SystemTime;

use super::kept::{Kept, KeptView};
use super::statement::{Endless, Planned, plan};
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
    mut kept: Kept,
) -> Result<Vec<Vec<Gives>>> {
    let now = SystemTime::now();
    let mut all = Vec::with_capacity(files.len());
    for file in files {
        let mut gives = Vec::new();
        let planned = |number, session: &Session, kept: &Kept| {
            plan(file, number, session, kept, now, Endless::Allowed)
        };
        while let Some((after, planned)) = planned(gives.len(), &session, &kept)? {
            gives.push(match planned {
                Planned::Done | Planned::Answer(_) => Gives::Nothing,
                Planned::View(name, query) => {
                    kept.insert(name, KeptView::of(&query));
                    Gives::Nothing
                }
                Planned::Select { .. } | Planned::Query(_) => Gives::Rows,
            });
            kept.retain(|name, _| after.catalog.views.contains_key(name));
            let before = std::mem::replace(&mut session, after);
            limits::with_stack(move || drop(before));
        }
        all.push(gives);
    }
    limits::with_stack(move || drop(session));
    Ok(all)
}
