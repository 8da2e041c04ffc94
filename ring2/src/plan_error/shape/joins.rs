//! Refusals of joins.

use super::{At, SUBQUERY, Shape, shape, wrong};

const JOINS: &[&[&str]] = &[
    &["JOIN"],
    &["EXCEPT"],
    &["INTERSECT"],
    &["NOT", "IN", "(", "SELECT"],
    &["IN", "(", "SELECT"],
    &["EXISTS"],
    &["(", "SELECT"],
    &["FROM"],
];
const ASOF: &[&[&str]] = &[&["ASOF"]];

/// What they say.
pub(super) const SHAPES: &[Shape] = &[
    shape(
        "JOIN with a value that changes without end",
        At::Words(SUBQUERY),
        "",
        "a value of an input that ends",
    ),
    shape(
        "JOIN that waits for the end of an input",
        At::Words(JOINS),
        "",
        "pad the rows of the input without end: FROM stream LEFT JOIN table",
    ),
    shape(
        "JOIN that takes rows back, of two inputs without end,",
        At::Words(JOINS),
        "",
        "EMIT CHANGES: a row leaves when it matches none, and goes when it does; or an interval of \
         event time, ON .. AND r.ts BETWEEN l.ts - INTERVAL '1' SECOND AND l.ts",
    ),
    shape(
        "JOIN whose rows are forgotten after state_ttl, and have no time,",
        At::Called(JOINS),
        " whose rows are forgotten after state_ttl, and have no time, is not supported yet",
        "a WATERMARK of each source, and of groups a window among their keys; or SET state_ttl = \
         none",
    ),
    wrong(
        "E0403",
        "MATCH_CONDITION compares one time of each side",
        At::Words(&[&["MATCH_CONDITION"]]),
        "",
        "MATCH_CONDITION (t.ts >= q.ts)",
    ),
    shape(
        "ASOF JOIN ON more than equalities",
        At::Words(ASOF),
        "",
        "the rest goes into a side: ASOF JOIN (SELECT .. FROM q WHERE ..) q",
    ),
    shape(
        "ASOF JOIN of rows that come and go",
        At::Words(ASOF),
        "",
        "leave EMIT CHANGES out, or JOIN what comes and goes with what the ASOF JOIN gives",
    ),
    shape(
        "ASOF JOIN with an input without end",
        At::Words(ASOF),
        "",
        "MATCH_CONDITION (t.ts >= q.ts), both of them event times with a WATERMARK",
    ),
];
