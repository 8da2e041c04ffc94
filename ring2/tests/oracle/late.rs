//! Windows of every kind over splits whose rows come late, and what is computed from them. Which
//! window a row is late for is said by a model that knows the watermark of each row's own split; of
//! the rest batch SQL says what comes of it. Nothing depends on the order in which splits are read.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use trefoil::PlannedQuery;
use trefoil_ring0::runtime::{Config, Executor};

use crate::changelog::collapsed;
use crate::compare::{
    self, Case, Changes, Lenient, Order, Rows, agree, plan_generic, plan_native, rows, script,
};
use crate::crash;
use crate::splits::{COLUMNS, Row, lines, mark, splits};
use crate::tape::Tape;
use crate::windows::Window;

/// What stays of the rows.
#[derive(Debug, Clone, Copy)]
struct Filter {
    text: &'static str,
    keeps: fn(&Row) -> bool,
}

const FILTERS: &[Filter] = &[
    Filter {
        text: "TRUE",
        keeps: |_| true,
    },
    Filter {
        text: "x > -4",
        keeps: |row| row.x.is_some_and(|x| x > -4),
    },
    Filter {
        text: "s IS NOT NULL OR k = 1",
        keeps: |row| row.s.is_some() || row.k == Some(1),
    },
];

/// The rows that no window takes: behind WHERE, by their own split's watermark.
fn late(splits: &[Vec<Row>], window: Window, filter: Filter) -> u64 {
    let is_late = |row: &&Row| match (row.w, window.last_end_ms(row.ts)) {
        (None, _) => false,
        (Some(w), None) => row.ts < w,
        (Some(w), Some(end)) => end <= w,
    };
    let rows = splits.iter().flatten().filter(|row| (filter.keeps)(row));
    rows.filter(is_late).count() as u64
}

/// A query, and the same for batch SQL over the rows with their watermarks.
#[derive(Debug)]
struct Query {
    engine: String,
    batch: String,
    is_changelog: bool,
    window: Window,
    filter: Filter,
}

const CALLS: &[&str] = &[
    "SUM(x)",
    "ARRAY_AGG(n ORDER BY n)",
    "MIN(x)",
    "MAX(d)",
    "AVG(d)",
    "AVG(x)",
    "COUNT(DISTINCT s)",
    "SUM(DISTINCT x)",
    "MEDIAN(x)",
    "STDDEV(d)",
    "COUNT(x) FILTER (WHERE d > 2)",
    "SUM(d) FILTER (WHERE s <> 'a')",
    "FIRST_VALUE(s ORDER BY ts, n)",
    "LAST_VALUE(x ORDER BY ts, n)",
    "STRING_AGG(s, '+' ORDER BY n)",
    "MIN(ts)",
    "MAX(s)",
    "BOOL_OR(x > d)",
];

/// Groups by windows, with the columns g0 and g1, ws, we, c, and others.
fn groups(window: Window, filter: Filter, tape: &mut Tape) -> [String; 2] {
    let keys = *tape.pick(&["k", "", "k s", "s"]);
    let keys: Vec<String> = keys.split_whitespace().map(str::to_owned).collect();
    let key = |n: usize| keys.get(n).map_or("0", |key| key.as_str());
    let head = format!("SELECT {} AS g0, {} AS g1", key(0), key(1));
    let mut calls = ", COUNT(*) AS c".to_owned();
    for n in 0..tape.below(4) {
        write!(calls, ", {} AS a{n}", tape.pick(CALLS)).unwrap();
    }
    let having = *tape.pick(&[
        "",
        "",
        " HAVING COUNT(*) > 1",
        " HAVING MAX(x) > 0",
        " HAVING START >= TIMESTAMP '2025-01-01 07:00:40' OR COUNT(*) > 2",
        " HAVING END > TIMESTAMP '2025-01-01 07:01:00' AND COUNT(*) > 0",
    ]);
    // Of tumbling windows a condition leaves rows out before they could be late.
    let having = match window {
        Window::Tumble { .. } => having.replace("AND COUNT(*) > 0", "OR COUNT(*) > 50"),
        _ => having.to_owned(),
    };
    let by = |window: &str, [start, end]: [&str; 2]| {
        let keys = [&keys[..], &[window.to_owned()]].concat().join(", ");
        let having = having.replace("START", start).replace("END", end);
        format!(" GROUP BY {keys}{having}")
    };
    let (of_rows, of_windows) = window.is_open("COALESCE(CAST(w AS BIGINT), 0)");
    let spelt = window.spell(&format!(" WHERE ({}) AND {of_rows}", filter.text), &keys);
    let [start, end] = &spelt.bounds;
    [
        format!(
            "{head}, window_start AS ws, window_end AS we{calls} FROM r WHERE {}{}",
            filter.text,
            by(&spelt.engine, ["window_start", "window_end"])
        ),
        format!(
            "{head}, {start} AS ws, {end} AS we{calls} FROM {}{of_windows}{}",
            spelt.from,
            by(&spelt.batch, [start, end])
        ),
    ]
}

/// What is computed from groups, which stand for `@`; the second is for batch SQL, where that needs
/// other words.
const ABOVE: &[(&str, Option<&str>)] = &[
    (
        "SELECT g0, COUNT(*) AS n, SUM(c) AS t, MIN(ws) AS l, MAX(we) AS h FROM @ GROUP BY g0",
        None,
    ),
    (
        "SELECT we, COUNT(*) AS n, SUM(c) AS t, MAX(c) AS m, COUNT(DISTINCT g0) AS g FROM @ \
         GROUP BY we",
        None,
    ),
    (
        "SELECT ws, COUNT(g1) AS n, AVG(c) AS m, MIN(c) AS l FROM @ GROUP BY ws HAVING SUM(c) > 2",
        None,
    ),
    (
        "SELECT * FROM (SELECT g0, g1, ws, c, RANK() OVER (PARTITION BY ws ORDER BY c DESC) AS p \
         FROM @) AS o WHERE p <= 2",
        None,
    ),
    (
        "SELECT MAX(t) AS m, COUNT(*) AS n FROM (SELECT g0, we, SUM(c) AS t FROM @ \
         GROUP BY g0, we) AS o GROUP BY g0",
        None,
    ),
    (
        "SELECT c, MEDIAN(c) AS m, COUNT(*) AS n FROM @ GROUP BY c",
        None,
    ),
    ("SELECT DISTINCT g0, c FROM @", None),
    // Windows that are aligned to those below, and some that are not.
    (
        "SELECT window_start AS v, COUNT(*) AS n, SUM(c) AS t FROM @ \
         GROUP BY TUMBLE(ws, INTERVAL '7' SECOND)",
        Some(
            "SELECT TO_TIMESTAMP_MILLIS(v) AS v, COUNT(*) AS n, SUM(c) AS t FROM (SELECT \
             CAST(ws AS BIGINT) - CAST(ws AS BIGINT) % 7000 AS v, c FROM @) AS o GROUP BY v",
        ),
    ),
    (
        "SELECT window_end AS v, g0, MAX(c) AS m FROM @ \
         GROUP BY g0, TUMBLE(ws, INTERVAL '60' SECOND)",
        Some(
            "SELECT TO_TIMESTAMP_MILLIS(v + 60000) AS v, g0, MAX(c) AS m FROM (SELECT \
             CAST(ws AS BIGINT) - CAST(ws AS BIGINT) % 60000 AS v, g0, c FROM @) AS o \
             GROUP BY g0, v",
        ),
    ),
    // Groups of what is numbered within windows, and within keys.
    (
        "SELECT g0, COUNT(*) AS n FROM (SELECT g0, RANK() OVER (PARTITION BY ws ORDER BY c DESC) \
         AS p FROM @) AS o WHERE p = 1 GROUP BY g0",
        None,
    ),
    (
        "SELECT p, COUNT(*) AS n, SUM(c) AS t FROM (SELECT c, RANK() OVER (PARTITION BY g0, ws \
         ORDER BY c DESC) AS p FROM @) AS o GROUP BY p",
        None,
    ),
    (
        "SELECT DISTINCT g0 FROM (SELECT g0, SUM(c) OVER (PARTITION BY we) AS t FROM @) AS o \
         WHERE t > 3",
        None,
    ),
];

fn query(tape: &mut Tape) -> Query {
    let window = Window::short(tape);
    let filter = *tape.pick(FILTERS);
    let [engine, batch] = groups(window, filter, tape);
    let above = match tape.below(3) {
        0 => None,
        _ => Some(*tape.pick(ABOVE)),
    };
    let around = |above: Option<&str>, groups: String| match above {
        None => groups,
        Some(above) => above.replace('@', &format!("({groups}) AS i")),
    };
    let of_batch = above.map(|(engine, batch)| batch.unwrap_or(engine));
    let is_changelog = tape.below(2) == 1;
    let emit = if is_changelog { " EMIT CHANGES" } else { "" };
    Query {
        engine: format!("{}{emit}", around(above.map(|(engine, _)| engine), engine)),
        batch: around(of_batch, batch),
        is_changelog,
        window,
        filter,
    }
}

/// The splits as files of a new folder, read in this order.
fn written(name: &str, splits: &[&Vec<Row>]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("trefoil-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (number, rows) in splits.iter().enumerate() {
        std::fs::write(folder.join(format!("{number}.ndjson")), lines(*rows)).unwrap();
    }
    folder
}

fn declared(folder: &Path, lag_ms: i64, allowed_ms: i64, query: &str) -> Vec<trefoil::SourceFile> {
    let mut files = script(folder, COLUMNS, query);
    files[0].text = format!(
        "CREATE SOURCE r ({COLUMNS}, WATERMARK FOR ts AS ts - INTERVAL '{lag_ms}' MILLISECOND) \
         WITH (connector = 'file', path = '{}', format = 'json', splits = 'file', \
         allowed_lateness = '{allowed_ms} ms');\n{query};",
        folder.display()
    );
    files
}

/// A query over splits.
#[derive(Debug)]
struct Setup {
    name: String,
    lag_ms: i64,
    allowed_ms: i64,
    query: Query,
}

impl Setup {
    /// Compares the query over these splits on every path; `prefix`: of a single one also so many
    /// rows.
    fn check(&self, splits: &[Vec<Row>], prefix: u64) -> Result<(), String> {
        let Self { name, query, .. } = self;
        let mut splits = splits.to_vec();
        mark(&mut splits, self.lag_ms + self.allowed_ms);
        let wanted = batch(name, splits.iter().flatten(), query)?;
        let late = late(&splits, query.window, query.filter);
        let mut orders: Vec<Vec<&Vec<Row>>> = vec![splits.iter().collect()];
        if splits.len() > 1 {
            orders.push(splits.iter().rev().collect());
        }
        for (number, order) in orders.iter().enumerate() {
            let folder = written(&format!("{name}-{number}"), order);
            let compared = every_way(&self.script(&folder), query, &wanted, late);
            std::fs::remove_dir_all(folder).unwrap();
            compared.map_err(|why| format!("order {number}, {why}"))?;
        }
        if let ([rows], true) = (&splits[..], query.is_changelog) {
            let first = rows[..(prefix % (1 + rows.len() as u64)) as usize].to_vec();
            let wanted = batch(name, &first, query)?;
            let folder = written(name, &[&first]);
            let planned = plan_native(&self.script(&folder)).unwrap();
            let got = stands(&planned[0], &Config::default(), query);
            std::fs::remove_dir_all(folder).unwrap();
            same(&format!("the first {} rows", first.len()), &got?.0, &wanted)?;
        }
        Ok(())
    }

    fn script(&self, folder: &Path) -> Vec<trefoil::SourceFile> {
        declared(folder, self.lag_ms, self.allowed_ms, &self.query.engine)
    }

    /// Fewer rows over which it differs as well, and how.
    fn smaller(&self, mut splits: Vec<Vec<Row>>, prefix: u64, mut why: String) -> String {
        let mut part = splits.iter().map(Vec::len).max().unwrap_or(0);
        while part > 0 {
            for split in 0..splits.len() {
                let mut from = 0;
                while from < splits[split].len() {
                    let mut fewer = splits.clone();
                    let upto = fewer[split].len().min(from + part);
                    fewer[split].drain(from..upto);
                    match self.check(&fewer, prefix) {
                        Ok(()) => from += part,
                        Err(differs) => (splits, why) = (fewer, differs),
                    }
                }
            }
            part /= 2;
        }
        mark(&mut splits, self.lag_ms + self.allowed_ms);
        let splits: Vec<String> = splits.iter().map(lines).collect();
        let (query, splits) = (&self.query.engine, splits.join("--\n"));
        let (lag, allowed) = (self.lag_ms, self.allowed_ms);
        format!("{why}\n{query}\nlag {lag} ms, {allowed} ms allowed\n{splits}")
    }
}

/// What batch SQL gives over these rows.
fn batch<'r>(
    name: &str,
    rows: impl IntoIterator<Item = &'r Row>,
    query: &Query,
) -> Result<Rows, String> {
    let case = Case {
        name,
        columns: COLUMNS,
        lines: &lines(rows),
        query: &query.engine,
        batch: &query.batch,
        lenient: Lenient::default(),
        changes: Changes::Any,
        keyless: false,
        order: Order::Any,
    };
    let path = std::env::temp_dir().join("nothing.ndjson");
    compare::batch(&case, &path, trefoil::oracle::Constants::Known)?
}

/// The rows that stand in the end, and how many were late.
fn stands(planned: &PlannedQuery, config: &Config, query: &Query) -> Result<(Rows, u64), String> {
    let (batches, counts) = compare::counted(planned, config)?;
    let left = match query.is_changelog {
        true => collapsed(&batches)?.0,
        false => rows(&batches, Order::Any),
    };
    Ok((left, counts.rows_late))
}

fn same(label: &str, got: &Rows, wanted: &Rows) -> Result<(), String> {
    if agree(got, wanted, Order::Any) {
        return Ok(());
    }
    let difference = compare::difference(&Ok(got.clone()), &Ok(wanted.clone()));
    Err(format!("{label}\n{difference}"))
}

fn every_way(
    script: &[trefoil::SourceFile],
    query: &Query,
    wanted: &Rows,
    late: u64,
) -> Result<(), String> {
    let native = plan_native(script).map_err(|e| e.to_string())?;
    let generic = plan_generic(script).map_err(|e| e.to_string())?;
    for (kernels, planned, ways) in [
        (
            "native",
            &native[0],
            &[(1, 1), (1, 1024), (2, 7), (4, 1), (4, 1024)][..],
        ),
        ("generic", &generic[0], &[(1, 7), (2, 1024)]),
    ] {
        for &(shards, frame_rows) in ways {
            let config = Config {
                shards,
                frame_rows,
                chunk_bytes: 700,
                executor: Executor::Threads,
                ..Config::default()
            };
            let label = format!("{shards} shards, frames of {frame_rows}, {kernels}");
            let (got, counted) = stands(planned, &config, query)?;
            same(&label, &got, wanted)?;
            if counted != late {
                return Err(format!("{label}: {counted} late, not {late}"));
            }
            if frame_rows != 7 {
                continue;
            }
            if let Some((batches, lives)) = crash::run(planned, &config)? {
                let got = match query.is_changelog {
                    true => collapsed(&batches)?.0,
                    false => rows(&batches, Order::Any),
                };
                same(&format!("{label}, {lives} lives"), &got, wanted)?;
            }
        }
    }
    Ok(())
}

/// `TREFOIL_LATE_CASES` says how many, `TREFOIL_LATE_SEED` where to begin.
#[test]
fn windows_over_splits_with_late_rows() {
    let seed = crate::setting("TREFOIL_LATE_SEED", 1);
    let cases = crate::setting("TREFOIL_LATE_CASES", 60);
    let (mut differences, mut refused) = (0, 0);
    for seed in seed..seed + cases {
        // Neighbours in the generator's numbers are no neighbours in its sequence.
        let mut tape = Tape::endless(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (lag_ms, allowed_ms) = *tape.pick(&[(2000, 0), (0, 0), (10_000, 0), (1000, 4000)]);
        let splits = splits(&mut tape);
        let setup = Setup {
            name: format!("late-{seed}"),
            lag_ms,
            allowed_ms,
            query: query(&mut tape),
        };
        let prefix = tape.below(1000);
        let anywhere = std::env::temp_dir();
        let error = plan_native(&setup.script(&anywhere)).err();
        if let Some(error) = error.filter(|error| error.to_string().contains("E0301")) {
            println!("refused: {}\n  {error}", setup.query.engine);
            refused += 1;
            continue;
        }
        if let Err(difference) = setup.check(&splits, prefix) {
            let smaller = setup.smaller(splits, prefix, difference);
            eprintln!("TREFOIL_LATE_SEED={seed} TREFOIL_LATE_CASES=1\n{smaller}\n");
            differences += 1;
        }
    }
    eprintln!("{cases} cases from seed {seed}, {refused} refused, {differences} differ");
    assert_eq!(differences, 0, "of {cases}");
    assert!(refused * 10 <= cases, "most run");
}
