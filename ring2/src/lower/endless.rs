//! What would wait for ever over input without an end: it is refused, and says what it waits for.

use datafusion::logical_expr::LogicalPlan;

use trefoil_ring0::program::WindowKey;

use super::changes::{is_by_clock, is_grouped};
use super::lookup::is_windowed;
use super::windows::KeyWindow;
use super::{Lowering, Refusal};
use crate::error::SqlError;
use crate::partitioning::ends;
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
        Emit::Default | Emit::Changes(_) | Emit::Standing(_) | Emit::Every(..) => start,
    };
    let mut tables = planned.tables.iter();
    if let Some(table) = tables.find(|t| !t.bounded && t.has_changes() && !changes) {
        let message = format!("the rows of \"{}\" never stand: it has no end", table.name);
        return Err(select.place.hinted("E0402", at, message, "EMIT CHANGES"));
    }
    if changes || !is_grouped(&planned.plan, |_| true) {
        return Ok(());
    }
    if !is_windowed(planned) {
        let message = "these groups never close: the input is unbounded, and no key is a window's \
                       bound";
        let hint = "GROUP BY window_start, or window_end, as well; or EMIT CHANGES";
        return Err(select.place.hinted("E0402", at, message, hint));
    }
    let by_clock = is_grouped(&planned.plan, is_by_clock);
    if let Some(table) = without_lag.filter(|_| !by_clock) {
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

/// Windows over the starts of windows, by which rows come as these close.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nested {
    /// How long after its start, in nanoseconds, an inner window closes.
    size_ns: i64,
}

impl Nested {
    /// When the outer windows close: once all that may begin in them have.
    pub(super) fn around(self, outer: WindowKey) -> WindowKey {
        WindowKey {
            size_ns: outer.size_ns.saturating_add(self.size_ns),
            ..outer
        }
    }
}

impl Lowering<'_> {
    /// What the windows of these keys are over, where that are windows which watermarks close.
    pub(super) fn nested(&self, keys: &[Option<KeyWindow>]) -> Option<Nested> {
        let key = keys.iter().flatten().next()?;
        let size_ns = self.windows.get(key.column?).copied().flatten()?;
        (!key.is_session() && !self.changes).then_some(Nested { size_ns })
    }

    /// Refuses groups of groups that nothing closes, over input without an end.
    pub(super) fn check_closing(
        &self,
        input: &LogicalPlan,
        window: Option<WindowKey>,
        sessions: bool,
    ) -> Result<(), Refusal> {
        let ends = ends(input, &self.query.tables);
        let closes = window.is_some() || sessions && self.timed();
        if ends || self.changes || closes {
            return Ok(());
        }
        let message = match groups(&self.query.plan) {
            0 | 1 => {
                "groups over input without an end, by a window that no watermark closes, are not \
                  supported yet"
            }
            _ => {
                "groups of groups over input without an end, of which no key is a window's start, \
                  are not supported yet"
            }
        };
        Err(("E0301", message.to_owned()))
    }
}
