//! Changelogs: applied they leave what the query gives without them, after each record.

use std::collections::HashMap;
use std::path::Path;

use datafusion::arrow::array::RecordBatch;
use trefoil::PlannedQuery;
use trefoil::oracle::Constants;
use trefoil_ring0::program::{Keep, OperatorSpec};
use trefoil_ring0::runtime::{Config, Executor};

use crate::compare::{
    Case, Cell, Changes, Order, Rows, agree, batch, cell, difference, judge, needless, plan_native,
    rows, run, script, sort,
};
use crate::crash;

/// The rows that stand when a changelog is applied, and how many came.
pub(crate) fn collapsed(batches: &[RecordBatch]) -> Result<(Rows, u64), String> {
    collapsed_by(batches, |cells| format!("{cells:?}"))
}

/// As [`collapsed`], where the last digits of numbers may differ between a row that came and the
/// same one that went: an aggregate of DataFusion's that goes on from its state computes them anew.
fn collapsed_nearly(batches: &[RecordBatch]) -> Result<(Rows, u64), String> {
    let near = |cell: &Cell| match cell {
        Cell::Number(number) => format!("{:.6e}", number + 0.0),
        other => format!("{other:?}"),
    };
    collapsed_by(batches, |cells| {
        cells.iter().map(near).collect::<Vec<_>>().join(" ")
    })
}

fn collapsed_by(
    batches: &[RecordBatch],
    name: impl Fn(&[Cell]) -> String,
) -> Result<(Rows, u64), String> {
    let mut stand: HashMap<String, Rows> = HashMap::new();
    let mut came = 0;
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut cells: Vec<Cell> = batch.columns().iter().map(|c| cell(c, row)).collect();
            let weight = match cells.remove(0) {
                Cell::Text(op) if op.starts_with('+') => 1,
                Cell::Text(op) if op.starts_with('-') => -1,
                other => return Err(format!("{other:?} is nothing that a row does")),
            };
            came += u64::from(weight > 0);
            let alike = stand.entry(name(&cells)).or_default();
            if weight > 0 {
                alike.push(cells);
                continue;
            }
            // One split, one shard a group: a row is there before it goes. Of several that are
            // nearly the same the very same goes.
            let same = alike.iter().position(|row| *row == cells);
            match (same, alike.is_empty()) {
                (Some(at), _) => drop(alike.swap_remove(at)),
                (None, false) => drop(alike.pop()),
                (None, true) => return Err(format!("{cells:?} went before it came")),
            }
        }
    }
    let mut left: Rows = stand.into_values().flatten().collect();
    sort(&mut left);
    Ok((left, came))
}

/// The changelog of a query, applied, leaves what the query gives without it. How many rows come is
/// the same however it runs; without HAVING there is one for each record of a group.
pub(super) fn compare_changes(
    case: &Case<'_>,
    path: &Path,
    expected: &Result<Rows, String>,
) -> Result<(), String> {
    let query = format!("{} EMIT CHANGES", case.query);
    // What stands has no order.
    let case = &Case {
        order: Order::Any,
        ..*case
    };
    let mut expected = expected.clone();
    expected.iter_mut().for_each(sort);
    let expected = &expected;
    let Ok(planned) = plan_native(&script(path, case.columns, &query)) else {
        return Ok(());
    };
    let mut all: Option<u64> = None;
    // Where results change what is computed from them, shards take turns, and so do the sources of
    // a union: how many changes there are is the same on one shard that reads one.
    let changing = is_changing(&planned[0]);
    let sources = planned[0].program.sources.len();
    for (shards, frame_rows) in [(1, 1024), (1, 1), (2, 7), (4, 1)] {
        let config = Config {
            shards,
            frame_rows,
            executor: Executor::Threads,
            chunk_bytes: 1 + case.lines.len() / 9,
            ..Config::default()
        };
        let label = format!("EMIT CHANGES, {shards} shards, frames of {frame_rows}");
        let ran = run(&planned[0], &config);
        let (got, counted) = match ran {
            Ok((batches, applied)) => {
                let (left, came) = collapsed(&batches).map_err(|e| format!("{label}: {e}"))?;
                (Ok(left), Some((came, applied)))
            }
            Err(error) => (Err(error), None),
        };
        let judged = judge(&got, expected, case);
        if judged.or_else(|| needless(case, path, &got)).is_none() {
            return Err(format!("{label}\n{}", difference(&got, expected)));
        }
        let Some((came, applied)) = counted else {
            continue;
        };
        if (!changing || shards * sources == 1) && *all.get_or_insert(came) != came {
            return Err(format!("{label}: {came} came, not {all:?}"));
        }
        if frame_rows == 7
            && let Some((batches, lives)) = crash::run(&planned[0], &config)?
        {
            let label = format!("{label}, {lives} lives");
            let (left, again) = collapsed_nearly(&batches).map_err(|e| format!("{label}: {e}"))?;
            let left = Ok(left);
            if judge(&left, expected, case).is_none() {
                return Err(format!("{label}\n{}", difference(&left, expected)));
            }
            if !changing && again != came {
                return Err(format!("{label}: {again} came, not {came}"));
            }
        }
        if case.changes == Changes::OneEach && came != applied.max(u64::from(case.keyless)) {
            return Err(format!("{label}: {came} came of {applied} records"));
        }
    }
    Ok(())
}

/// Whether something is computed from results that change.
fn is_changing(planned: &PlannedQuery) -> bool {
    let mut operators = planned.program.stages.iter().flat_map(|s| &s.operators);
    operators.any(|o| match o {
        OperatorSpec::Join(spec) => spec.keep == Keep::Changes,
        OperatorSpec::Changing(_) => true,
        _ => false,
    })
}

/// On one shard the changes that the first n records give are the first of those that all give,
/// where they are read once, and applied they leave what batch SQL gives over these n.
pub(crate) fn compare_prefixes(case: &Case<'_>) -> Result<(), String> {
    let query = format!("{} EMIT CHANGES", case.query);
    let records: Vec<&str> = case.lines.lines().collect();
    let mut before: Rows = Vec::new();
    for count in 1..=records.len() {
        let name = format!(
            "trefoil-{}-{}-{count}.ndjson",
            std::process::id(),
            case.name
        );
        let path = std::env::temp_dir().join(name);
        let lines: String = records[..count].iter().map(|l| format!("{l}\n")).collect();
        std::fs::write(&path, &lines).unwrap();
        let prefix = Case {
            lines: &lines,
            ..*case
        };
        let given = changes(&prefix, &path, &query);
        let expected = batch(&prefix, &path, Constants::Known);
        std::fs::remove_file(&path).unwrap();
        let label = |what: String| format!("{query}\n{count} records: {what}\n{lines}");
        let (given, left, once) = given.map_err(label)?;
        let begins = |given: &Rows| agree(&given[..before.len()].to_vec(), &before, Order::Said);
        if once && (given.len() < before.len() || !begins(&given)) {
            return Err(label(format!("{before:?} do not begin {given:?}")));
        }
        let (left, expected) = (Ok(left), expected.map_err(label)?);
        if judge(&left, &expected, &prefix).is_none() {
            return Err(label(difference(&left, &expected)));
        }
        before = given;
    }
    Ok(())
}

/// The changes in order, what they leave, and whether they come of one source: several take turns.
fn changes(case: &Case<'_>, path: &Path, query: &str) -> Result<(Rows, Rows, bool), String> {
    let planned = plan_native(&script(path, case.columns, query)).map_err(|e| e.to_string())?;
    let config = Config {
        shards: 1,
        frame_rows: 1,
        executor: Executor::Threads,
        ..Config::default()
    };
    let (batches, _) = run(&planned[0], &config)?;
    let (left, _) = collapsed(&batches)?;
    let once = planned[0].program.sources.len() == 1;
    Ok((rows(&batches, Order::Said), left, once))
}
