//! Joins whose conditions say how far times of both sides are apart, over inputs that end: rows are
//! found by stretches of time, of any TIMESTAMP columns and in every way to say it.

use crate::data::lines;
use crate::tape::Tape;

/// Shapes that are not generated.
const SHAPES: &[&str] = &[
    // What says nothing of a distance, or of other columns, is looked at all the same.
    "SELECT a.ts, c.i FROM r AS a JOIN r AS c ON a.k = c.k AND c.ts >= a.ts AND c.us <= a.us",
    "SELECT a.ts, c.us FROM r AS a JOIN r AS c ON c.ts >= a.ts - INTERVAL '1' MINUTE \
     AND c.ts <= a.ts AND c.us >= a.ts - INTERVAL '300' DAY AND c.us <= a.ts",
    "SELECT a.ts, c.i FROM r AS a JOIN r AS c ON c.ts BETWEEN a.ts AND a.ts - INTERVAL '1' SECOND",
    "SELECT a.ts, c.i FROM r AS a LEFT JOIN r AS c ON c.ts = a.ts AND a.us >= c.us \
     AND a.us <= c.us + INTERVAL '10' DAY",
    "SELECT a.us, c.t FROM r AS a FULL JOIN r AS c ON a.k IS NOT DISTINCT FROM c.k \
     AND a.us < c.us + INTERVAL '2' DAY AND c.us < a.us + INTERVAL '2' DAY",
    // Times before 1970, and of unlike units.
    "SELECT a.t, c.t FROM r AS a JOIN r AS c ON c.t >= a.t - INTERVAL '4000' DAY \
     AND c.t < a.t AND a.b",
    "SELECT a.t, c.us FROM r AS a JOIN r AS c ON CAST(a.t AS TIMESTAMP(6)) + INTERVAL '30000' DAY \
     >= c.us AND CAST(a.t AS TIMESTAMP(6)) <= c.us",
    // Windows and what lies in them.
    "SELECT a.ts, w.window_start, w.n FROM r AS a JOIN (SELECT k, window_start, window_end, \
     COUNT(*) AS n FROM r GROUP BY k, TUMBLE(ts, INTERVAL '10' SECOND)) AS w ON a.k = w.k \
     AND a.ts >= w.window_start AND a.ts < w.window_end",
    "SELECT a.ts, w.start, w.n FROM (SELECT k, window_start AS start, window_end AS stop, \
     COUNT(*) AS n FROM r GROUP BY k, TUMBLE(ts, INTERVAL '3' SECOND)) AS w \
     RIGHT JOIN r AS a ON w.start <= a.ts AND w.stop > a.ts AND w.k = a.k",
    "SELECT a.ts, w.n FROM r AS a LEFT JOIN (SELECT window_start + INTERVAL '1' SECOND AS \
     window_start, window_end, COUNT(*) AS n FROM r GROUP BY TUMBLE(ts, INTERVAL '7' SECOND)) AS w \
     ON a.ts >= w.window_start AND a.ts < w.window_end",
    // Where the other rows are only asked for.
    "SELECT i, ts FROM r AS a WHERE EXISTS (SELECT 1 FROM r AS c WHERE c.k = a.k AND c.b \
     AND c.ts > a.ts AND c.ts <= a.ts + INTERVAL '3' SECOND)",
    "SELECT i, ts FROM r AS a WHERE NOT EXISTS (SELECT 1 FROM r AS c WHERE \
     c.ts > a.ts AND c.ts <= a.ts + INTERVAL '1' SECOND)",
];

/// A join of random sides, columns and distances.
fn any(tape: &mut Tape) -> String {
    let times = ["ts", "t", "us"];
    let left = times[tape.below(3) as usize];
    // Those of one kind lie near to each other.
    let right = match tape.below(4) {
        0 => times[tape.below(3) as usize],
        _ => left,
    };
    let length = |tape: &mut Tape| {
        let number = tape.below(90) as i64 - 30;
        let unit = match left {
            "ts" => ["SECOND", "MINUTE"][tape.below(2) as usize],
            "us" => ["HOUR", "DAY"][tape.below(2) as usize],
            _ => "DAY",
        };
        let many = if left == "t" { 300 } else { 1 };
        format!("INTERVAL '{}' {unit}", number * many)
    };
    let near = match tape.below(4) {
        0 => format!(
            "c.{right} BETWEEN a.{left} - {} AND a.{left} + {}",
            length(tape),
            length(tape)
        ),
        1 => format!(
            "a.{left} > c.{right} - {} AND c.{right} + {} >= a.{left}",
            length(tape),
            length(tape)
        ),
        2 => format!(
            "c.{right} >= a.{left} AND a.{left} + {} > c.{right} AND c.{right} < a.{left} + {}",
            length(tape),
            length(tape)
        ),
        _ => format!(
            "a.{left} + {} <= c.{right} + {} AND a.{left} >= c.{right}",
            length(tape),
            length(tape)
        ),
    };
    let key = [
        "",
        "a.k = c.k AND ",
        "a.k = c.k AND a.s = c.s AND ",
        "a.i = c.k AND ",
    ];
    let key = key[tape.below(4) as usize];
    let more = ["", " AND a.x < c.x", " AND a.i <> c.i", " AND c.b"][tape.below(4) as usize];
    let on = format!("{key}{near}{more}");
    let both = format!("a.i, a.{left}, c.s, c.{right}");
    match tape.below(7) {
        0 => format!("SELECT {both} FROM r AS a LEFT JOIN r AS c ON {on}"),
        1 => format!("SELECT {both} FROM r AS a RIGHT JOIN r AS c ON {on}"),
        2 => format!("SELECT {both} FROM r AS a FULL JOIN r AS c ON {on}"),
        3 => format!("SELECT a.i, a.{left} FROM r AS a LEFT SEMI JOIN r AS c ON {on}"),
        4 => format!("SELECT c.i, c.{right} FROM r AS a RIGHT ANTI JOIN r AS c ON {on}"),
        _ => format!("SELECT {both} FROM r AS a JOIN r AS c ON {on}"),
    }
}

#[test]
fn rows_near_in_time_are_those_of_batch() {
    crate::check_all("near", SHAPES, crate::compare::Order::Any);
    let mut tape = Tape::endless(77);
    let mut differences = Vec::new();
    for number in 0..40 {
        let query = any(&mut tape);
        let some = lines(20 + tape.below(150), 5 + number);
        let pair = (query.as_str(), query.as_str());
        let name = format!("near-any-{number}");
        let compared = crate::check_pair(&name, &some, &pair, crate::compare::Order::Any);
        differences.extend(compared.err());
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
