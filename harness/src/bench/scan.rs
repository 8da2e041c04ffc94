//! Reads of live state: a view of many groups that an engine keeps, asked through SQL at a pinned
//! epoch (`live`) and as it stands just then (`latest`), as a table in a session of DataFusion's
//! (`table`), and beside them DataFusion's MemTable of the same rows in a session alike, in as many
//! partitions as there are shards. They take turns, query by query. The clock runs from the text
//! until the caller has added up every value of every row: a MemTable gives pointers, and so would
//! be compared to nothing.
//!
//! All answers are compared with what the rows have to be. Durable tables are not there yet.

mod data;
mod live;
mod memory;
mod points;

use std::time::Instant;

use arrow_array::RecordBatch;

use self::data::{Groups, Sum, digest, sum};
use self::live::{Live, Read};
use self::memory::Memory;
use super::Setting;
use super::data::Digest;
use super::report::{Run, Unit};
use crate::failure::Failure;

const GROUPS: usize = 1_000_000;
const QUICK_GROUPS: usize = 100_000;
/// Turns of each query in a run; one more comes before, in which rows are compared one by one.
const TURNS: usize = 9;
const QUICK_TURNS: usize = 3;
/// The view's name, and that of the MemTable.
const VIEW: &str = "totals";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Query {
    Count,
    Range,
    Projection,
    Full,
}

impl Query {
    const ALL: [Self; 4] = [Self::Count, Self::Range, Self::Projection, Self::Full];

    fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Range => "range",
            Self::Projection => "projection",
            Self::Full => "full",
        }
    }

    /// Its text over so many groups: a range is a hundredth of the keys.
    fn sql(self, groups: usize) -> String {
        let (from, to) = (groups / 3, groups / 3 + groups / 100);
        match self {
            Self::Count => format!("SELECT COUNT(*) AS n FROM {VIEW}"),
            Self::Range => format!("SELECT * FROM {VIEW} WHERE k BETWEEN {from} AND {to}"),
            Self::Projection => format!("SELECT k, total FROM {VIEW}"),
            Self::Full => format!("SELECT * FROM {VIEW}"),
        }
    }

    /// Whether rows are looked at, so that a rate says something.
    fn looks(self) -> bool {
        self != Self::Count
    }
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Live,
    Latest,
    Table,
    MemTable,
}

impl Side {
    const ALL: [Self; 4] = [Self::Live, Self::Latest, Self::Table, Self::MemTable];

    fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Latest => "latest",
            Self::Table => "table",
            Self::MemTable => "memtable",
        }
    }
}

/// What a figure is called over so many shards.
fn label(what: &str, shards: usize) -> String {
    match shards {
        1 => what.to_owned(),
        more => format!("{what},{more}"),
    }
}

/// The ratios that a run gives.
pub(super) fn ratios(setting: &Setting) -> Vec<String> {
    let of = |shards: usize| {
        let beside = |side: Side| {
            let queries = Query::ALL.iter();
            queries.map(move |query| {
                let at = label(query.name(), shards);
                format!("{}/memtable@{at}", side.name())
            })
        };
        let sides = Side::ALL.into_iter().filter(|side| *side != Side::MemTable);
        let scans = sides.flat_map(beside);
        let points = [
            format!("live/memtable@{}", label("point", shards)),
            format!("aim/get@{}", label("point", shards)),
        ];
        let gain = (shards > 1).then(|| format!("gain@full,{shards}"));
        scans.chain(points).chain(gain).collect::<Vec<_>>()
    };
    setting.shards().into_iter().flat_map(of).collect()
}

/// One run over all numbers of shards.
pub(super) fn once(setting: &Setting) -> Result<Run, Failure> {
    let usual = if setting.quick { QUICK_GROUPS } else { GROUPS };
    let groups = Groups::new(setting.rows.unwrap_or(usual));
    let mut run = Run::default();
    let mut alone = f64::NAN;
    for shards in setting.shards() {
        let config = setting.config(shards);
        let cores = config.cores.len();
        if shards > cores {
            run.invalid(format!("more shards ({shards}) than cores ({cores})"));
        }
        let live = Live::open(&config, &groups, &mut run)?;
        let memory = Memory::new(&groups, shards, &live)?;
        let rate = scans(setting, &groups, (&live, &memory, shards), &mut run)?;
        match shards {
            1 => alone = rate,
            _ => run.add(format!("gain@full,{shards}"), Unit::Ratio, rate / alone),
        }
        points::measure(setting, &groups, (&live, &memory, shards), &mut run)?;
    }
    Ok(run)
}

/// The rows of a query.
fn ask(live: &Live, memory: &Memory, side: Side, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
    match side {
        Side::Live | Side::Latest => live.query(sql),
        Side::Table => memory.query_live(sql),
        Side::MemTable => memory.query(sql),
    }
}

/// Scans of all kinds by turns. Gives the rate of full scans at a pinned epoch.
fn scans(
    setting: &Setting,
    groups: &Groups,
    (live, memory, shards): (&Live, &Memory, usize),
    run: &mut Run,
) -> Result<f64, Failure> {
    let turns = if setting.quick { QUICK_TURNS } else { TURNS };
    let mut full = f64::NAN;
    for query in Query::ALL {
        let (at, sql) = (label(query.name(), shards), query.sql(groups.len()));
        let mut seconds = [const { Vec::new() }; Side::ALL.len()];
        let mut wanted = None;
        for turn in 0..=turns {
            for (number, side) in Side::ALL.into_iter().enumerate() {
                live.read(match side {
                    Side::Latest => Read::Latest,
                    _ => Read::Pinned,
                })?;
                let clock = Instant::now();
                let rows = ask(live, memory, side, &sql)?;
                let found = sum(&rows);
                let spent = clock.elapsed().as_secs_f64();
                agree(&mut wanted, found, (side, &at), run);
                match turn {
                    0 if query == Query::Full => {
                        same_rows(digest(&rows), groups.digest(), (side, &at), run);
                    }
                    0 => {}
                    _ => seconds[number].push(spent),
                }
            }
        }
        let medians = seconds.map(median);
        let [.., memtable] = medians;
        for (side, spent) in Side::ALL.into_iter().zip(medians) {
            let name = side.name();
            let (unit, figure) = match query.looks() {
                true => (Unit::RowsPerSecond, groups.len() as f64 / spent),
                false => (Unit::Nanoseconds, spent * 1e9),
            };
            run.add(format!("{name}@{at}"), unit, figure);
            if side != Side::MemTable {
                run.add(
                    format!("{name}/memtable@{at}"),
                    Unit::Ratio,
                    memtable / spent,
                );
            }
        }
        if query == Query::Full {
            full = groups.len() as f64 / medians[0];
        }
    }
    Ok(full)
}

/// All sides have the same answer to a query, in every turn.
fn agree(wanted: &mut Option<Sum>, found: Sum, (side, at): (Side, &str), run: &mut Run) {
    let wanted = *wanted.get_or_insert(found);
    if found != wanted || found.rows == 0 {
        let name = side.name();
        run.wrong(format!("answers differ: {name}@{at} {found:?}, {wanted:?}"));
    }
}

/// All rows are there, each as it has to be.
fn same_rows(found: Digest, wanted: Digest, (side, at): (Side, &str), run: &mut Run) {
    if found != wanted {
        let name = side.name();
        run.wrong(format!("rows differ: {name}@{at} {found:?}, {wanted:?}"));
    }
}

/// The one in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array};

    use super::*;
    use crate::bench::report::Report;

    fn wrong(run: Run) -> Option<String> {
        Report::new("scan", "", true, &[run]).wrong_results()
    }

    fn numbers(of: impl IntoIterator<Item = i64>) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(of));
        RecordBatch::try_from_iter([("k", numbers)]).expect("a batch")
    }

    #[test]
    fn an_answer_that_differs_is_recognised() {
        let right = sum(&[numbers([1, 2]), numbers([3])]);
        assert_eq!(right, sum(&[numbers([3, 2, 1])]), "whatever the batches");
        for (found, is_wrong) in [
            (right, false),
            (sum(&[numbers([1, 2, 4])]), true),
            (sum(&[numbers([1, 2])]), true),
            (sum(&[numbers([1, 2, 3, 0])]), true),
        ] {
            let (mut run, mut wanted) = (Run::default(), Some(right));
            agree(&mut wanted, found, (Side::Live, "full"), &mut run);
            assert_eq!(wrong(run).is_some(), is_wrong, "{found:?}");
        }
        let mut run = Run::default();
        agree(&mut None, sum(&[]), (Side::Live, "full"), &mut run);
        assert!(wrong(run).is_some(), "no rows at all are no answer");
    }

    #[test]
    fn a_row_that_differs_is_recognised() {
        let groups = Groups::new(100);
        let rows = groups.rows(2).concat();
        let mut run = Run::default();
        let at = (Side::MemTable, "full");
        same_rows(digest(&rows), groups.digest(), at, &mut run);
        assert_eq!(wrong(run), None);
        let mut run = Run::default();
        // The same sums, and two rows that are not.
        let other = data::swapped(&rows);
        assert_eq!(sum(&rows), sum(&other));
        same_rows(digest(&other), groups.digest(), at, &mut run);
        assert!(wrong(run).is_some());
    }
}
