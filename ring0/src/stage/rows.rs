//! Rows that an operator gives, as many as there is room for.

use crate::frame::Frame;
use crate::mesh::Flow;
use crate::operator::windows::Windows;

/// Appends rows `rows[*taken..]` as far as there is room; `taken` is 0 again when all are there.
pub(super) fn append(out: &mut Frame, frame: &Frame, rows: &[u32], taken: &mut usize) -> Flow {
    let end = rows.len().min(*taken + out.room());
    out.append_rows(frame, &rows[*taken..end]);
    resume(taken, end, rows.len())
}

/// Appends a row for each window from the `*taken`th on, as far as there is room.
pub(super) fn spread_out(
    windows: &mut Windows,
    frame: &Frame,
    taken: &mut usize,
    out: &mut Frame,
) -> Flow {
    let upto = windows.len().min(*taken + out.room());
    windows.append(frame, *taken, upto, out);
    resume(taken, upto, windows.len())
}

/// Appends all rows from `*taken` on as far as there is room.
pub(super) fn pass(frame: &Frame, taken: &mut usize, out: &mut Frame) -> Flow {
    let end = frame.rows().min(*taken + out.room());
    out.append_range(frame, *taken..end);
    resume(taken, end, frame.rows())
}

/// Notes how far an item is taken; `taken` is 0 again where that is all of it.
pub(super) fn resume(taken: &mut usize, end: usize, all: usize) -> Flow {
    assert!(
        end > 0 || all == 0,
        "a row that is not taken is not left out"
    );
    *taken = if end < all { end } else { 0 };
    if *taken > 0 { Flow::Full } else { Flow::Done }
}
