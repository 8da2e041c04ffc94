//! Who asks meanwhile: a thread for each kind of query, which asks again as soon as it has its
//! answer, while it is told to.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use trefoil::engine::rows;
use trefoil::{Engine, params};
use trefoil_ring0::preflight::keep_thread_to;

use crate::bench::data::Random;
use crate::bench::report::{Run, Unit};
use crate::failure::Failure;

/// A query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Join,
    Point,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Full, Self::Join, Self::Point];

    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Join => "join",
            Self::Point => "point",
        }
    }

    /// How many rows it finds, of how many records: in each group that is there.
    fn sql(self) -> &'static str {
        match self {
            Self::Full => {
                "SELECT COUNT(*) AS c, SUM(n) AS s, MAX(total) AS t, MAX(k) AS k FROM totals"
            }
            Self::Join => {
                "SELECT COUNT(*) AS c, SUM(n) AS s FROM totals JOIN lasts ON totals.k = lasts.k"
            }
            Self::Point => "SELECT 1 AS c, n AS s FROM totals WHERE k = $1",
        }
    }
}

/// What who asks was told, and what came of it.
#[derive(Debug, Default)]
struct Said {
    goes: bool,
    is_over: bool,
    busy: usize,
    /// Answers, by kind.
    answers: [u64; Kind::ALL.len()],
    /// How long was asked.
    asked: Duration,
    wrong: Option<String>,
    failed: Option<Failure>,
}

/// What threads share.
#[derive(Debug, Default)]
struct Board {
    said: Mutex<Said>,
    changed: Condvar,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, said: MutexGuard<'g, Said>) -> MutexGuard<'g, Said> {
        let waited = self.changed.wait(said);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those who ask.
#[derive(Debug, Default)]
pub(super) struct Asking(Board);

impl Asking {
    /// A thread for each kind of query, on these cores, until [`Self::end`].
    pub(super) fn begin<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        engine: &'scope Engine,
        groups: u64,
        cores: &'scope [usize],
    ) {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            scope.spawn(move || {
                // Where it cannot, it may take the generator's core, which is then late.
                _ = keep_thread_to(cores);
                ask(&self.0, engine, (number, kind), groups);
            });
        }
    }

    /// Ends them.
    pub(super) fn end(&self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_all();
    }

    /// Does something while all ask; when it returns, nobody does.
    pub(super) fn while_asked(
        &self,
        work: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.0.lock().goes = true;
        self.0.changed.notify_all();
        let clock = Instant::now();
        let done = work();
        let mut said = self.0.lock();
        said.goes = false;
        while said.busy > 0 {
            said = self.0.wait(said);
        }
        said.asked += clock.elapsed();
        let failed = said.failed.take();
        done.and(failed.map_or(Ok(()), Err))
    }

    /// How many answers there were, and whether one was wrong.
    pub(super) fn report(&self, run: &mut Run) {
        let said = self.0.lock();
        for (kind, answers) in Kind::ALL.into_iter().zip(said.answers) {
            let rate = answers as f64 / said.asked.as_secs_f64();
            let name = format!("asked@{}", kind.name());
            run.add(name, Unit::QueriesPerSecond, rate);
            if answers == 0 {
                run.wrong(format!("no {} was answered", kind.name()));
            }
        }
        if let Some(wrong) = &said.wrong {
            run.wrong(wrong.clone());
        }
    }
}

fn ask(board: &Board, engine: &Engine, (number, kind): (usize, Kind), groups: u64) {
    let mut random = Random::default();
    let mut least = 0;
    loop {
        let mut said = board.lock();
        while !said.goes && !said.is_over {
            said = board.wait(said);
        }
        if said.is_over {
            return;
        }
        said.busy += 1;
        drop(said);
        let key = random.below(groups) as i64;
        let found = answer(engine, kind, key);
        let mut said = board.lock();
        said.busy -= 1;
        match found {
            Ok(found) => {
                said.answers[number] += 1;
                if let Some(wrong) = judged(kind, found, (groups, least)) {
                    said.wrong.get_or_insert(wrong);
                }
                if kind != Kind::Point {
                    least = found.map_or(least, |(_, records)| records);
                }
            }
            Err(failure) => {
                said.failed.get_or_insert(failure);
                said.goes = false;
            }
        }
        board.changed.notify_all();
    }
}

/// How many rows there are, of how many records.
fn answer(engine: &Engine, kind: Kind, key: i64) -> Result<Option<(i64, i64)>, Failure> {
    let rows_of = match kind {
        Kind::Point => engine.query(kind.sql(), &params![key])?,
        Kind::Full | Kind::Join => engine.query(kind.sql(), &[])?,
    };
    let row = rows_of.iter().flat_map(rows).next();
    let found = row.map(|row| Ok::<_, Failure>((row.get("c")?, row.get("s")?)));
    found.transpose()
}

/// What is wrong with an answer: groups that change are there all the time, and are never of fewer
/// records than they were. A join reads its views one after the other.
fn judged(kind: Kind, found: Option<(i64, i64)>, (groups, least): (u64, i64)) -> Option<String> {
    let wanted = match kind {
        Kind::Full | Kind::Join => groups as i64,
        Kind::Point => 1,
    };
    match found {
        Some((rows, records)) if rows == wanted && records >= wanted.max(least) => None,
        found => {
            let name = kind.name();
            Some(format!(
                "{name} found {found:?}, of {wanted} groups, after {least} records"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_answer_is_recognised() {
        let full = |found| judged(Kind::Full, found, (10, 15));
        assert_eq!(full(Some((10, 15))), None);
        for found in [None, Some((9, 20)), Some((11, 20)), Some((10, 14))] {
            assert!(full(found).is_some(), "{found:?}");
        }
        assert_eq!(judged(Kind::Point, Some((1, 1)), (10, 0)), None);
        assert!(judged(Kind::Point, None, (10, 0)).is_some());
    }
}
