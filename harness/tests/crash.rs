//! Runs with a state directory that are killed at random moments and go on with other numbers of
//! shards: what is committed is what an undisturbed run gives. `TREFOIL_KILLS` says how many kills
//! there are at least (`scripts/crash.sh`).

mod common;

use common::killed::{Case, Records, check, check_case};

#[test]
fn windows_that_close() {
    check(
        "crash-windows",
        "SELECT window_start, k, COUNT(*) AS n, MIN(s) AS least, MAX(v) AS most, \
         COUNT(DISTINCT v) AS values \
         FROM TABLE(TUMBLE(TABLE r, DESCRIPTOR(t), INTERVAL '1' MINUTE)) \
         GROUP BY window_start, window_end, k",
    );
}

#[test]
fn groups_of_all_rows() {
    check(
        "crash-groups",
        "SELECT s, COUNT(*) AS n, SUM(v) AS total, MIN(t) AS first, MEDIAN(v) AS middle \
         FROM r WHERE k < 250 GROUP BY s",
    );
}

#[test]
fn rows_as_they_are() {
    check(
        "crash-rows",
        "SELECT n, UPPER(s) AS s, v * 2 AS v FROM r WHERE k % 3 = 0",
    );
}

#[test]
fn changes_of_groups() {
    check(
        "crash-changes",
        "SELECT k, COUNT(*) AS n, SUM(v) AS total FROM r WHERE k < 5 GROUP BY k EMIT CHANGES",
    );
}

/// Late rows are committed with what is left of them.
#[test]
fn late_rows() {
    let query = "SELECT window_start, k, COUNT(*) AS n, SUM(v) AS total FROM r WHERE v > 500 \
                 GROUP BY k, TUMBLE(t, INTERVAL '0.5' SECOND)";
    let mut case = Case::of(query);
    case.late = true;
    check_case("crash-late", &case);
    case.stopped = true;
    check_case("crash-late-stopped", &case);
}

#[test]
fn windows_that_overlap() {
    check(
        "crash-hop",
        "SELECT window_start, k, COUNT(*) AS n, MAX(v) AS most \
         FROM TABLE(HOP(TABLE r, DESCRIPTOR(t), INTERVAL '20' SECOND, INTERVAL '1' MINUTE)) \
         GROUP BY window_start, window_end, k",
    );
}

#[test]
fn sessions() {
    check(
        "crash-sessions",
        "SELECT window_start, window_end, k, COUNT(*) AS n, MIN(s) AS least \
         FROM r \
         GROUP BY k, SESSION(t, INTERVAL '8' SECOND)",
    );
}

#[test]
fn sessions_that_hold_rows() {
    check(
        "crash-sessions-held",
        "SELECT window_start, k, COUNT(DISTINCT v % 7) AS kinds, MEDIAN(v) AS middle, \
         ARRAY_AGG(n ORDER BY n) AS items FROM r GROUP BY k, SESSION(t, INTERVAL '8' SECOND)",
    );
}

#[test]
fn ranks_of_all_rows() {
    check(
        "crash-ranks",
        "SELECT k, n, RANK() OVER (PARTITION BY k ORDER BY v) AS place FROM r WHERE k < 30",
    );
}

#[test]
fn a_join_that_tells_of_both_sides() {
    check(
        "crash-join",
        "SELECT a.n, b.least FROM (SELECT n, v FROM r WHERE k < 100) AS a FULL JOIN \
         (SELECT v, MIN(n) AS least FROM r WHERE k > 280 GROUP BY v) AS b ON a.v = b.v",
    );
}

/// What is kept of the right side is read again.
#[test]
fn the_nearest_row_of_another_stream() {
    check(
        "crash-asof",
        "SELECT a.n, a.k, b.n AS m, b.v FROM r AS a \
         ASOF JOIN (SELECT * FROM r WHERE v < 9000) AS b \
         MATCH_CONDITION (a.t > b.t) ON a.k = b.k",
    );
}

#[test]
fn changes_that_are_told_now_and_then() {
    check(
        "crash-every",
        "SELECT k, COUNT(*) AS n, SUM(v) AS total FROM r GROUP BY k \
         EMIT EVERY INTERVAL '0.02' SECOND",
    );
}

#[test]
fn rows_that_replace_each_other() {
    let query = "SELECT k, COUNT(*) AS n, SUM(v) AS total, MIN(s) AS least FROM r GROUP BY k \
                 EMIT CHANGES";
    let records = Records::Changes;
    check_case(
        "crash-captured",
        &Case {
            records,
            ..Case::of(query)
        },
    );
}

#[test]
fn splits_of_a_union() {
    let query = "SELECT window_start, k, COUNT(*) AS n, MIN(n) AS least, MAX(n) AS most FROM \
                 (SELECT k, n, t FROM r UNION ALL SELECT k, n, t FROM p) AS u \
                 GROUP BY k, TUMBLE(t, INTERVAL '20' SECOND)";
    check_case(
        "crash-splits",
        &Case {
            splits: true,
            ..Case::of(query)
        },
    );
}

#[test]
fn a_table_that_outgrows_its_limit() {
    let query = "SELECT r.k, COUNT(*) AS n, SUM(v) AS total, MIN(name) AS name \
                 FROM r LEFT JOIN names ON r.k = names.k GROUP BY r.k";
    let table_bytes = Some(9000);
    check_case(
        "crash-table",
        &Case {
            table_bytes,
            ..Case::of(query)
        },
    );
}

/// The checkpoint before a stop may be under way when the results end.
#[test]
fn runs_that_are_stopped() {
    let query = "SELECT window_start, k, COUNT(*) AS n, COUNT(DISTINCT v) AS values \
                 FROM r GROUP BY k, TUMBLE(t, INTERVAL '1' MINUTE)";
    check_case(
        "crash-stopped",
        &Case {
            stopped: true,
            ..Case::of(query)
        },
    );
}

const BAD_ROWS: &str = "SELECT window_start, k, COUNT(*) AS n, SUM(100000 / (v % 1000)) AS total \
                        FROM r GROUP BY k, TUMBLE(t, INTERVAL '1' MINUTE)";

/// Records that are none, and rows on which an expression fails.
#[test]
fn bad_records() {
    let mut case = Case::of(BAD_ROWS);
    case.records = Records::Bad;
    check_case("crash-bad", &case);
    case.stopped = true;
    check_case("crash-bad-stopped", &case);
}

/// Each run reads the table again before anything else, and tells of its bad records once.
#[test]
fn bad_records_of_a_table() {
    let query = "SELECT r.k, COUNT(*) AS n, SUM(v) AS total, MIN(name) AS name \
                 FROM r LEFT JOIN names ON r.k = names.k GROUP BY r.k";
    for table_bytes in [9000, 1] {
        let mut case = Case::of(query);
        (case.table_bytes, case.bad_table) = (Some(table_bytes), true);
        check_case("crash-bad-table", &case);
    }
}

/// Results in `--output`, and answers before and behind them.
#[test]
fn printed_results() {
    let mut case = Case::of("SELECT n, UPPER(s) AS s, v * 2 AS v FROM r WHERE k % 3 = 0");
    case.printed = true;
    check_case("crash-printed", &case);
    case.stopped = true;
    check_case("crash-printed-stopped", &case);
}

#[test]
fn no_more_rows_than_are_wanted() {
    let mut case = Case::of("SELECT n, k FROM r");
    (case.printed, case.limit) = (true, Some(250_000));
    check_case("crash-limit", &case);
}
