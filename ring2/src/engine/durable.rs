//! What checkpoints hold of producers that have a name, view by view: what every view holds its
//! producer is not asked for again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trefoil_ring0::feed::Listen;
use trefoil_ring0::program::{Program, SourceKind};
use trefoil_ring0::snapshot::Taken;

/// A view by its number, and the number of the source in its program.
type Reading = (u64, u32);

/// Rows of producers, by their names.
type Rows = BTreeMap<String, u64>;

/// What the newest checkpoints hold of the rows of a channel.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<BTreeMap<Reading, Rows>>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Reading, Rows>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a view that goes on from a checkpoint which holds this; `None`: from none.
    pub(super) fn begin(&self, reading: Reading, taken: Option<&Taken>) {
        self.lock().insert(reading, rows(taken));
    }

    /// A checkpoint of a view is durable that holds this. The view may be gone meanwhile.
    pub(super) fn note(&self, reading: Reading, taken: Option<&Taken>) {
        if let Some(held) = self.lock().get_mut(&reading) {
            *held = rows(taken);
        }
    }

    /// There is no such view any more.
    pub(super) fn forget(&self, view: u64) {
        self.lock().retain(|(of, _), _| *of != view);
    }

    /// How many rows of a producer are in checkpoints of all views; `None` where no view is kept.
    pub(super) fn durable(&self, producer: &str) -> Option<u64> {
        let views = self.lock();
        let of = |rows: &Rows| rows.get(producer).copied().unwrap_or_default();
        views.values().map(of).min()
    }

    /// The views that have no checkpoint in which the producer stands.
    pub(super) fn without(&self, producer: &str) -> Vec<u64> {
        let views = self.lock();
        let without = views
            .iter()
            .filter(|(_, rows)| !rows.contains_key(producer));
        without.map(|((view, _), _)| *view).collect()
    }
}

fn rows(taken: Option<&Taken>) -> Rows {
    let producers = taken.iter().flat_map(|taken| &taken.producers);
    producers.cloned().collect()
}

/// The channels that a view reads, by the number of the source: where is told what is durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledgers {
    view: u64,
    of: Vec<(u32, Arc<Ledger>)>,
    /// Sockets that tell their clients.
    sockets: Vec<(u32, Arc<dyn Listen>)>,
}

impl Ledgers {
    /// Of the view of this number.
    pub(super) fn new(view: u64, of: Vec<(u32, Arc<Ledger>)>, program: &Program) -> Self {
        let sources = (0..).zip(&program.sources);
        let sockets = sources.filter_map(|(number, source)| match &source.kind {
            SourceKind::Connections { listen, .. } => Some((number, Arc::clone(listen))),
            _ => None,
        });
        let sockets = sockets.collect();
        Self { view, of, sockets }
    }

    /// The view goes on from a checkpoint that holds this of each source. Told before it starts,
    /// so that nothing which it tells itself comes sooner.
    pub(super) fn begin<'a>(&self, taken: impl Fn(u32) -> Option<&'a Taken>) {
        for (source, ledger) in &self.of {
            ledger.begin((self.view, *source), taken(*source));
        }
        self.tell_sockets(taken);
    }

    /// The view did not come about.
    pub(super) fn forget(&self) {
        let ledgers = self.of.iter();
        ledgers.for_each(|(_, ledger)| ledger.forget(self.view));
    }

    /// A checkpoint is durable that holds this of each source.
    pub(super) fn note<'a>(&self, taken: impl Fn(u32) -> Option<&'a Taken>) {
        for (source, ledger) in &self.of {
            ledger.note((self.view, *source), taken(*source));
        }
        self.tell_sockets(taken);
    }

    fn tell_sockets<'a>(&self, taken: impl Fn(u32) -> Option<&'a Taken>) {
        for (source, sockets) in &self.sockets {
            sockets.note_durable(taken(*source).map_or(&[], |taken| &taken.producers));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(producers: &[(&str, u64)]) -> Taken {
        let producers = producers
            .iter()
            .map(|(name, rows)| ((*name).to_owned(), *rows));
        Taken {
            rows: 0,
            producers: producers.collect(),
        }
    }

    #[test]
    fn durable_is_what_all_views_hold() {
        let ledger = Ledger::default();
        assert_eq!(ledger.durable("p"), None);
        ledger.begin((1, 0), None);
        ledger.note((1, 0), Some(&taken(&[("p", 7), ("q", 2)])));
        assert_eq!(ledger.durable("p"), Some(7));
        ledger.begin((2, 0), None);
        assert_eq!(ledger.durable("p"), Some(0));
        assert_eq!(ledger.without("p"), [2]);
        ledger.note((2, 0), Some(&taken(&[("p", 5)])));
        // One that reads it twice has two places.
        ledger.begin((2, 1), Some(&taken(&[("p", 4)])));
        assert_eq!(ledger.durable("p"), Some(4));
        assert_eq!(ledger.without("q"), [2, 2]);
        ledger.forget(2);
        assert_eq!(ledger.durable("p"), Some(7));
        // A checkpoint that was on its way as its view was dropped.
        ledger.note((2, 0), Some(&taken(&[("p", 5)])));
        assert_eq!(ledger.durable("p"), Some(7));
    }
}
