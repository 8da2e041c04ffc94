//! The same SQL over the same records, on both paths.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::arrow::util::display::array_value_to_string;
use trefoil::oracle::Constants;
use trefoil::{PlannedQuery, SourceFile, Step, convert, oracle, plan_steps_at};
use trefoil_ring0::format::ndjson::NdjsonParser;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::Schema;

use crate::changelog::compare_changes;
use crate::crash;

/// A value as it is compared: DOUBLE by size, all else by its text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Number(f64),
    Text(String),
}

pub(super) type Rows = Vec<Vec<Cell>>;

pub(super) fn cell(array: &ArrayRef, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Float64 => Cell::Number(array.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => Cell::Number(array.as_primitive::<Float32Type>().value(row).into()),
        _ => Cell::Text(array_value_to_string(array, row).unwrap()),
    }
}

pub(super) fn rows(batches: &[RecordBatch], order: Order) -> Rows {
    let mut out: Rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            out.push(batch.columns().iter().map(|c| cell(c, row)).collect());
        }
    }
    if order == Order::Any {
        sort(&mut out);
    }
    out
}

pub(super) fn sort(rows: &mut Rows) {
    rows.sort_by(|a, b| {
        let key = |cells: &[Cell]| {
            let text = |c: &Cell| match c {
                Cell::Null => (0, String::new()),
                // Sums differ in their last digits: they do not decide the order if others can.
                Cell::Number(x) => (1, format!("{:+.6e}", x + 0.0)),
                Cell::Text(t) => (2, t.clone()),
            };
            let exact: Vec<_> = cells
                .iter()
                .filter(|c| !matches!(c, Cell::Number(_)))
                .map(text)
                .collect();
            (exact, cells.iter().map(text).collect::<Vec<_>>())
        };
        key(a).cmp(&key(b))
    });
}

fn same(a: &Cell, b: &Cell) -> bool {
    match (a, b) {
        (Cell::Number(x), Cell::Number(y)) => {
            x == y
                || (x.is_nan() && y.is_nan())
                || (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1.0)
        }
        _ => a == b,
    }
}

/// Whether these are the same rows; of those in an order, in the same one.
pub(super) fn agree(engine: &Rows, batch: &Rows, order: Order) -> bool {
    let row = |(a, b): (&Vec<Cell>, &Vec<Cell>)| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
    };
    let alike = engine.len() == batch.len() && engine.iter().zip(batch).all(row);
    if alike || order == Order::Said || engine.len() != batch.len() {
        return alike;
    }
    // Numbers that differ in their last digits may have put rows into another order.
    let mut left: Vec<_> = batch.iter().collect();
    engine.iter().all(|a| {
        let found = left.iter().position(|b| row((a, b)));
        found.map(|at| left.swap_remove(at)).is_some()
    })
}

/// How a script is planned.
type Plan = fn(&[SourceFile]) -> trefoil::Result<Vec<PlannedQuery>>;

/// When all of it runs: at 2025-11-06 07:08:09.123456789.
pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_762_412_889, 123_456_789)
}

pub(super) fn plan_native(files: &[SourceFile]) -> trefoil::Result<Vec<PlannedQuery>> {
    let steps = plan_steps_at(files, now())?;
    let queries = steps.into_iter().filter_map(|step| match step {
        Step::Query(query) => Some(*query),
        Step::Analyze(_) | Step::Answer(_) => None,
    });
    Ok(queries.collect())
}

pub(super) fn plan_generic(files: &[SourceFile]) -> trefoil::Result<Vec<PlannedQuery>> {
    oracle::plan_generic(files, now())
}

fn engine(planned: &PlannedQuery, config: &Config, order: Order) -> Result<Rows, String> {
    run(planned, config).map(|(batches, _)| rows(&batches, order))
}

/// What it gives in several lives, where it has snapshots.
fn crashed(planned: &PlannedQuery, config: &Config, order: Order) -> Option<Result<Rows, String>> {
    let ran = crash::run(planned, config).transpose()?;
    Some(ran.map(|(batches, _)| rows(&batches, order)))
}

/// What became of a source's rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) rows_applied: u64,
    pub(super) rows_late: u64,
}

/// What a query gives, and how many of the source's rows were applied.
pub(super) fn run(
    planned: &PlannedQuery,
    config: &Config,
) -> Result<(Vec<RecordBatch>, u64), String> {
    let (batches, counts) = counted(planned, config)?;
    Ok((batches, counts.rows_applied))
}

/// What a query gives, and what became of the source's rows.
pub(super) fn counted(
    planned: &PlannedQuery,
    config: &Config,
) -> Result<(Vec<RecordBatch>, Counts), String> {
    let program = &planned.program;
    let mut running = start(program, config).map_err(|e| e.to_string())?;
    let schema = Arc::clone(&program.outputs[0].schema);
    let mut batches = Vec::new();
    while let Some(block) = running.next_block().map_err(|e| e.to_string())? {
        batches.push(convert::record_batch(&schema, block.rows()).map_err(|e| e.to_string())?);
        running.give_back(block);
    }
    let reports = running.finish().map_err(|e| e.to_string())?;
    let sources = || reports.iter().flat_map(|r| &r.sources);
    let read: u64 = sources().map(|s| s.rows_read).sum();
    let passed: u64 = sources().map(|s| s.rows_passed).sum();
    let counters = || reports.iter().flat_map(|r| &r.inputs).map(|(_, c)| c);
    let taken: u64 = counters().map(|c| c.rows_in).sum();
    let dealt: u64 = counters()
        .map(|c| c.rows_filtered + c.rows_failed + c.rows_late + c.rows_applied)
        .sum();
    assert_eq!(
        (read, passed, dealt),
        (taken, taken, taken),
        "the ledger balances"
    );
    let counts = Counts {
        rows_applied: counters().map(|c| c.rows_applied).sum(),
        rows_late: counters().map(|c| c.rows_late).sum(),
    };
    Ok((batches, counts))
}

pub(super) fn script(data: &Path, columns: &str, query: &str) -> Vec<SourceFile> {
    // No record is late at this lag, so that batch SQL knows the answer.
    let text = format!(
        "CREATE SOURCE r ({columns}, WATERMARK FOR ts AS ts - INTERVAL '100000000' SECOND) \
         WITH (connector = 'file', path = '{}', format = 'json');\n{query};",
        data.display()
    );
    vec![SourceFile {
        name: "oracle.sql".to_owned(),
        text,
        base: PathBuf::new(),
    }]
}

/// A query, and over what it is compared.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    /// Names the file of records.
    pub(crate) name: &'a str,
    pub(crate) columns: &'a str,
    pub(crate) lines: &'a str,
    pub(crate) query: &'a str,
    /// The same for DataFusion, where that needs other words.
    pub(crate) batch: &'a str,
    /// Which path may err alone.
    pub(crate) lenient: Lenient,
    /// How many changes there are.
    pub(crate) changes: Changes,
    /// There is a group without any record.
    pub(crate) keyless: bool,
    pub(crate) order: Order,
}

/// In which order rows come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// In any.
    Any,
    /// In the one that the query says.
    Said,
}

/// How many changes EMIT CHANGES gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    /// One for each record that is applied.
    OneEach,
    /// As many as there are.
    Any,
}

/// Which path may err where the other does not. Always the engine, for what is out of range:
/// DataFusion wraps around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lenient {
    /// DataFusion, for values that nobody asks for.
    pub(crate) batch: bool,
    /// The engine, for rows that DataFusion leaves out sooner.
    pub(crate) engine: bool,
}

/// What came of a comparison without a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Both gave the same rows.
    Same,
    /// Both failed as they ran.
    Failed,
    /// The engine says that a value is out of range.
    OutOfRange,
    /// One failed that may.
    Lenient,
    /// The engine does not run it.
    Refused,
}

/// Compares a query over these lines on every path; gives the first difference.
pub(crate) fn compare(case: &Case<'_>, executors: &[Executor]) -> Result<Verdict, String> {
    // Tests of one process may run side by side under the same name.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!(
        "trefoil-{}-{number}-{}.ndjson",
        std::process::id(),
        case.name
    );
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, case.lines).unwrap();
    let compared = compare_file(case, &path, executors);
    std::fs::remove_file(path).unwrap();
    compared.map_err(|difference| format!("{}\n{difference}", case.query))
}

fn compare_file(case: &Case<'_>, path: &Path, executors: &[Executor]) -> Result<Verdict, String> {
    let files = script(path, case.columns, case.query);
    if let Err(error) = plan_native(&files) {
        println!(
            "refused: {}\n  {}",
            case.query,
            error.to_string().lines().next().unwrap_or("")
        );
        return Ok(Verdict::Refused);
    }
    let expected = match batch(case, path, Constants::Known) {
        Err(error) if error == PANICKED => return Ok(Verdict::Lenient),
        other => other?,
    };
    let mut verdict = Verdict::Refused;
    let plans: [(&str, Plan); 2] = [("native", plan_native), ("generic", plan_generic)];
    for (kernels, plan) in plans {
        let planned = match plan(&files) {
            Ok(planned) => planned,
            // DataFusion's kernels compute constants before a run, and fail there.
            Err(error) if kernels == "generic" && error.to_string().contains("E0206") => continue,
            Err(error) => return Err(format!("{kernels} kernels: {error}")),
        };
        for &executor in executors {
            for (shards, frame_rows) in [1, 2, 4]
                .into_iter()
                .flat_map(|s| [(s, 1), (s, 7), (s, 1024)])
            {
                let config = Config {
                    shards,
                    frame_rows,
                    executor,
                    // Every shard has some of it.
                    chunk_bytes: 1 + case.lines.len() / 9,
                    combine_groups: combine_groups(frame_rows),
                    ..Config::default()
                };
                let got = engine(&planned[0], &config, case.order);
                let judged = judge(&got, &expected, case);
                verdict = judged
                    .or_else(|| needless(case, path, &got))
                    .ok_or_else(|| {
                        format!(
                            "{shards} shards, frames of {frame_rows}, {executor:?}, {kernels} \
                         kernels\n{}",
                            difference(&got, &expected)
                        )
                    })?;
                if frame_rows == 7 {
                    let got = crashed(&planned[0], &config, case.order);
                    let agrees = match &got {
                        None => true,
                        Some(got) => {
                            let judged = judge(got, &expected, case);
                            judged.or_else(|| needless(case, path, got)).is_some()
                        }
                    };
                    if let (Some(got), false) = (&got, agrees) {
                        return Err(format!(
                            "across crashes, {shards} shards, {executor:?}, {kernels} kernels\n{}",
                            difference(got, &expected)
                        ));
                    }
                }
            }
        }
    }
    compare_changes(case, path, &expected)?;
    Ok(verdict)
}

/// What there is to say of DataFusion where it panics.
const PANICKED: &str = "DataFusion panicked";

/// What DataFusion gives.
pub(super) fn batch(
    case: &Case<'_>,
    path: &Path,
    constants: Constants,
) -> Result<Result<Rows, String>, String> {
    let files = &script(path, case.columns, case.batch);
    let schema = oracle::source_schema(files, "r").map_err(|e| e.to_string())?;
    let schema: Schema = schema.unwrap();
    let mut parser = NdjsonParser::new(Arc::new(schema.clone()));
    let mut frame = Frame::new(&schema, 65_536);
    for line in case.lines.lines() {
        let parsed = parser.parse_record(line.as_bytes(), &mut frame);
        parsed.map_err(|e| format!("{line}: {e:?}"))?;
    }
    let tables = [("r".to_owned(), schema, vec![frame])];
    let ran = || oracle::batch(files, &tables, now(), constants);
    // LAST_VALUE over no rows does, where its order is constant.
    let expected = catch_unwind(AssertUnwindSafe(ran)).map_err(|_| PANICKED.to_owned())?;
    Ok(expected
        .map(|r| rows(&r[0].batches, case.order))
        .map_err(|e| e.to_string()))
}

/// What DataFusion does not compute, as a constant that is NULL makes it needless, fails here, and
/// there if it does not know that constant.
pub(super) fn needless(
    case: &Case<'_>,
    path: &Path,
    got: &Result<Rows, String>,
) -> Option<Verdict> {
    let kind = |error: &str| {
        let error = error.to_lowercase();
        ["by zero", "overflow"]
            .into_iter()
            .find(|kind| error.contains(kind))
    };
    let failed = kind(got.as_ref().err()?)?;
    let whole = batch(case, path, Constants::Opaque).ok()?;
    let alike = whole.err().and_then(|error| kind(&error)) == Some(failed);
    alike.then_some(Verdict::Lenient)
}

pub(super) fn judge(
    got: &Result<Rows, String>,
    expected: &Result<Rows, String>,
    case: &Case<'_>,
) -> Option<Verdict> {
    match (got, expected) {
        (Ok(got), Ok(expected)) => agree(got, expected, case.order).then_some(Verdict::Same),
        (Err(_), Err(error)) => (!error.starts_with("error[")).then_some(Verdict::Failed),
        (Err(error), Ok(_)) if is_out_of_range(error) => Some(Verdict::OutOfRange),
        (Err(_), Ok(_)) => case.lenient.engine.then_some(Verdict::Lenient),
        // DataFusion computes constants also where there is no row for them.
        (Ok(_), Err(_)) if case.lines.is_empty() => Some(Verdict::Lenient),
        (Ok(_), Err(_)) => case.lenient.batch.then_some(Verdict::Lenient),
    }
}

/// In this engine's words, and in those of its generic kernels.
fn is_out_of_range(error: &str) -> bool {
    [
        "out of range",
        "exceeds the representable",
        "Can't cast value",
    ]
    .iter()
    .any(|words| error.contains(words))
}

pub(super) fn difference(got: &Result<Rows, String>, expected: &Result<Rows, String>) -> String {
    match (got, expected) {
        (Ok(a), Ok(b)) => (a.iter().zip(b))
            .find(|(a, b)| !agree(&vec![a.to_vec()], &vec![b.to_vec()], Order::Said))
            .map_or_else(
                || format!("engine {} rows, batch {}", a.len(), b.len()),
                |(a, b)| format!("engine {a:?}\nbatch  {b:?}"),
            ),
        _ => {
            let told = |side: &Result<Rows, String>| match side {
                Ok(rows) => format!("{} rows, first {:?}", rows.len(), rows.first()),
                Err(error) => error.clone(),
            };
            format!("engine {}\nbatch  {}", told(got), told(expected))
        }
    }
}

/// Groups that rows are combined to before they cross: so few that they leave again and again, so
/// few that it does not pay, and all.
fn combine_groups(frame_rows: usize) -> usize {
    match frame_rows {
        1 => 1,
        7 => 4,
        _ => Config::default().combine_groups,
    }
}
