//! What a folder of queries comes to.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Explained;

const CATEGORIES: [&str; 5] = ["projection", "GROUP BY", "windows", "global", "join"];

/// Counts over queries.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    queries: usize,
    refused: usize,
    runnable: usize,
    categories: BTreeMap<u8, usize>,
    strategies: BTreeMap<&'static str, usize>,
}

impl Summary {
    /// Counts one.
    pub fn add(&mut self, one: &Explained) {
        self.queries += 1;
        match one {
            Ok(query) => {
                self.runnable += usize::from(query.refusal.is_none());
                *self.categories.entry(query.verdict.category).or_default() += 1;
                let strategy = query.verdict.strategy.name();
                *self.strategies.entry(strategy).or_default() += 1;
            }
            Err(_) => self.refused += 1,
        }
    }

    fn share(&self, strategies: &[&str]) -> (usize, usize) {
        let count = |s: &&str| self.strategies.get(s).copied().unwrap_or(0);
        let found: usize = strategies.iter().map(count).sum();
        let accepted = self.queries - self.refused;
        (found, (100 * found).checked_div(accepted).unwrap_or(0))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = self.queries - self.refused;
        writeln!(
            f,
            "{} queries: {accepted} accepted ({} run today), {} refused",
            self.queries, self.runnable, self.refused
        )?;
        for (number, name) in (1u8..).zip(CATEGORIES) {
            let count = self.categories.get(&number).copied().unwrap_or(0);
            writeln!(f, "  category {number} {name:<12} {count:>4}")?;
        }
        for (name, count) in &self.strategies {
            writeln!(f, "  {name:<23} {count:>4}")?;
        }
        let (full, percent) = self.share(&["FullyPartitionable"]);
        writeln!(f, "fully partitionable: {full} of {accepted} ({percent} %)")?;
        let alone = ["FullyPartitionable", "Passthrough", "BroadcastJoin"];
        let (alone, percent) = self.share(&alone);
        writeln!(
            f,
            "without a merge or a second key: {alone} of {accepted} ({percent} %)"
        )
    }
}
