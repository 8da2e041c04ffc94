//! Which rows of a view SUBSCRIBE wants: its condition, read and planned as WHERE is, for rows that
//! are given one batch after the other.

use std::sync::Arc;
use std::time::SystemTime;

use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::sql::sqlparser::ast::SetExpr;

use super::kept::{self, KeptView, There};
use crate::catalog::ViewRows;
use crate::check::{self, Purpose};
use crate::error::{Result, SqlError};
use crate::place::{Chunk, Place};
use crate::script::{self, Select, Session};
use crate::syntax::{Reader, Subscribe};
use crate::{alike, clock, plan_error, planner};

/// Which rows of a view are wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Over the columns of its rows; `None`: all of them.
    pub(super) predicate: Option<Arc<dyn PhysicalExpr>>,
    /// Whether the rows are changes.
    pub(super) changes: bool,
}

/// Those that a SUBSCRIBE wants.
pub(super) fn wanted(
    place: Place<'_>,
    chunk: Chunk,
    subscribe: &Subscribe,
    session: &mut Session,
    there: &There,
    now: SystemTime,
) -> Result<Wanted> {
    let view = there.kept.get(&subscribe.view.value);
    let changes = view.is_some_and(|view| view.rows == ViewRows::Changing);
    let (Some(view), Some(selection)) = (view, &subscribe.selection) else {
        return Ok(Wanted {
            predicate: None,
            changes,
        });
    };
    let mut query = Reader::all_of(place, &subscribe.view)?;
    if let SetExpr::Select(select) = query.query.body.as_mut() {
        select.selection = Some(selection.clone());
    }
    let select = kept::reading(session, &there.kept, |session| {
        check::query(place, &chunk, &session.catalog, &query, Purpose::Print)?;
        script::select(place, chunk, String::new(), &query, session, None)
    })?;
    let predicate = predicate(&select, view, now)?;
    Ok(Wanted {
        predicate: Some(predicate),
        changes,
    })
}

fn predicate(
    select: &Select<'_>,
    view: &KeptView,
    now: SystemTime,
) -> Result<Arc<dyn PhysicalExpr>, SqlError> {
    let refuse = |e| plan_error::refusal(select, &e);
    let planned = planner::plan_select(select)?;
    let planned = clock::stopped(planned, now).map_err(refuse)?;
    let plan = alike::floats_alike(planned.plan).and_then(alike::checked::integers);
    let plan = plan.map_err(refuse)?;
    let mut node = &plan;
    loop {
        match node {
            LogicalPlan::Projection(projection) => node = &projection.input,
            LogicalPlan::SubqueryAlias(alias) => node = &alias.input,
            LogicalPlan::Filter(filter) => {
                let names = filter.input.schema().fields().iter().map(|f| f.name());
                let is_of_rows = names.eq(view.columns.fields().iter().map(|f| f.name()));
                if !is_of_rows {
                    break;
                }
                let schema = filter.input.schema();
                return planner::physical(filter.predicate.clone(), schema).map_err(refuse);
            }
            _ => break,
        }
    }
    let at = select.chunk.start();
    let message = "a condition of SUBSCRIBE that is not of the view's own rows";
    let hint = "CREATE MATERIALIZED VIEW .. AS SELECT .. WHERE this, and subscribe to it";
    Err(select.place.hinted("E0301", at, message, hint))
}
