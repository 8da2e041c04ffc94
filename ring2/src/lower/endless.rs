//! What would wait for ever over input without an end: it is refused, and says what it waits for.

use datafusion::logical_expr::LogicalPlan;

use super::changes::{is_grouped, is_window};
use crate::error::SqlError;
use crate::planner::Planned;
use crate::script::{Emit, Select};

/// Refuses a query whose results need the end of input that has none.
pub(super) fn check(select: &Select<'_>, planned: &Planned, changes: bool) -> Result<(), SqlError> {
    let without_lag = planned
        .tables
        .iter()
        .find(|t| !t.bounded && t.lag_ns.is_none());
    if planned.tables.iter().all(|t| t.bounded) {
        return Ok(());
    }
    let start = select.chunk.start();
    let at = match select.emit {
        Emit::Final(at) => at,
        Emit::Default | Emit::Changes(_) | Emit::Every(..) => start,
    };
    let mut tables = planned.tables.iter();
    if let Some(table) = tables.find(|t| !t.bounded && t.has_changes() && !changes) {
        let message = format!("the rows of \"{}\" never stand: it has no end", table.name);
        return Err(select.place.hinted("E0402", at, message, "EMIT CHANGES"));
    }
    if changes || !is_grouped(&planned.plan, |_| true) {
        return Ok(());
    }
    if groups(&planned.plan) > 1 {
        let message = "groups of groups over input without an end are not supported yet";
        let hint = "write the windows with one query, and group its file with another";
        return Err(select.place.hinted("E0301", at, message, hint));
    }
    if !is_grouped(&planned.plan, is_window) {
        let message = "these groups never close: the input is unbounded, and no key is a window's \
                       bound";
        let hint = "GROUP BY window_start, or window_end, as well; or EMIT CHANGES";
        return Err(select.place.hinted("E0402", at, message, hint));
    }
    if let Some(table) = without_lag {
        let message = format!("no window ever closes: \"{}\" has no watermark", table.name);
        let hint = "WATERMARK FOR ts AS ts - INTERVAL '5' SECOND in CREATE SOURCE, or EMIT CHANGES";
        return Err(select.place.hinted("E0402", at, message, hint));
    }
    Ok(())
}

/// How many groupings stand one above the other.
fn groups(plan: &LogicalPlan) -> usize {
    let below = plan.inputs().into_iter().map(groups).max().unwrap_or(0);
    below + usize::from(matches!(plan, LogicalPlan::Aggregate(_)))
}
