//! Rows that came too late, where who reads their source wants to know which: to hand them on, or
//! to say for what they were late. On their way there the numbers of rows are led back as those of
//! rows that fail are.

use super::failing::End;
use crate::frame::Frame;
use crate::lineage::OfInput;
use crate::program::LateRule;

/// A row that came too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LateRow {
    /// Its number in the frame in hand; at the end of the way in the source's.
    pub(crate) row: u32,
    /// The least watermark (ns) for which it is late.
    pub(crate) from_ns: i64,
    /// How many of the source's rows it was counted as: of several that one was made into, one is.
    pub(crate) counted: u64,
}

/// Finds the rows of a frame that are on time, and counts the others.
pub(super) fn drop_late(
    rule: &LateRule,
    of_input: OfInput,
    frame: &Frame,
    rows: &mut Vec<u32>,
    end: &mut End<'_>,
) {
    rows.clear();
    rule.on_time(frame, rows);
    end.counters.rows_late += of_input.of(frame) - of_input.of_rows(frame, rows);
    let Some(late) = &mut end.late else { return };
    if rows.len() == frame.rows() {
        return;
    }
    let mut on_time = rows.iter().copied().peekable();
    let all = 0..frame.rows() as u32;
    late.extend(
        all.filter(|row| on_time.next_if_eq(row).is_none())
            .map(|row| LateRow {
                row,
                from_ns: rule.late_from_ns(frame, row),
                counted: of_input.of_rows(frame, &[row]),
            }),
    );
}
