//! Frames of functions with OVER that look at none. DataFusion gives all of them the peers so far,
//! which are for types that have a distance alone; rows so far are for every type.

use datafusion::sql::sqlparser::ast::{
    WindowFrame, WindowFrameBound, WindowFrameUnits, WindowSpec,
};

const FRAMELESS: [&str; 8] = [
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
];

/// Has such a function look at rows, where nothing else is written.
pub(super) fn by_rows(function: &str, spec: &mut WindowSpec) {
    let is_frameless = |name: &str| function.eq_ignore_ascii_case(name);
    if spec.window_frame.is_none() && FRAMELESS.iter().any(|name| is_frameless(name)) {
        spec.window_frame = Some(WindowFrame {
            units: WindowFrameUnits::Rows,
            start_bound: WindowFrameBound::Preceding(None),
            end_bound: Some(WindowFrameBound::CurrentRow),
        });
    }
}
