//! The rules, in order: aligned input needs no exchange; keys that are not proven go by hash; what
//! has no keys is merged; windows without keys stay with their split. A source may ask for another
//! router; one that would change the answer is refused.

use datafusion::logical_expr::Expr;

use super::StrategyConfig as S;
use super::analyze::{Edge, Route, Unfit, Walk};
use super::distribution::Spread;

/// A decision for an operator that needs rows to meet.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) route: Route,
    pub(super) router: S,
    pub(super) reason: String,
}

impl Decision {
    /// The keys by which rows were together that go by others now.
    pub(super) fn before(&self, edge: &Edge) -> Option<Vec<String>> {
        match self.route {
            Route::Hash(_) => edge.home.clone(),
            Route::Stay | Route::One | Route::TwoPhase => None,
        }
    }
}

fn decided(route: Route, router: S, reason: impl Into<String>) -> Decision {
    let reason = reason.into();
    Decision {
        route,
        router,
        reason,
    }
}

/// An operator with its keys, as reasons begin.
pub(super) fn head(what: &str, keys: &[String]) -> String {
    let names = keys.join(", ");
    match what.ends_with("BY") {
        true => format!("{what} {names}"),
        false => format!("{what} by {names}"),
    }
}

impl Walk<'_> {
    fn unfit(&self, source: &str, reason: String) -> Unfit {
        Unfit {
            source: source.to_owned(),
            reason,
        }
    }

    /// For an operator with keys. `aligned`: which of its keys the input is proven aligned by.
    pub(super) fn keyed(
        &self,
        what: &str,
        keys: &[Expr],
        edge: &Edge,
        aligned: Option<&[usize]>,
    ) -> Result<Decision, Unfit> {
        let head = head(what, &Self::names(keys));
        let one = edge.spread == Spread::One;
        let proof = |by: &[usize]| match one {
            true => format!("{head}: all rows are on one shard already"),
            false => {
                let by: Vec<Expr> = by.iter().map(|&i| keys[i].clone()).collect();
                let by = Self::names(&by).join(", ");
                format!("{head}: the input is already together by {by}")
            }
        };
        let unproven = match &edge.spread {
            Spread::Keyed(before) => {
                let before: Vec<Expr> = before.iter().map(|k| k.same[0].clone()).collect();
                let before = Self::names(&before).join(", ");
                format!("{head}: the input is together by {before}, which is not among them")
            }
            Spread::Splits | Spread::One => {
                format!("{head}: nothing proves where rows of one key are")
            }
        };
        let Some((asked, source)) = &self.forced else {
            return Ok(match aligned {
                Some(by) => decided(Route::Stay, S::SmartRepartition, proof(by)),
                None => decided(Route::Hash(Vec::new()), S::AlwaysHash, unproven),
            });
        };
        match (asked, aligned) {
            (S::AlwaysHash, _) => {
                let reason = format!("{head}: hashed, as asked for");
                Ok(decided(Route::Hash(Vec::new()), S::AlwaysHash, reason))
            }
            (S::SmartRepartition, Some(by)) => {
                Ok(decided(Route::Stay, S::SmartRepartition, proof(by)))
            }
            (S::SmartRepartition, None) => Err(self.unfit(
                source,
                format!("'smart' would split groups over shards. {unproven}"),
            )),
            (S::RoundRobin, _) => Err(self.unfit(
                source,
                format!("'round_robin' would split groups over shards: {head}"),
            )),
            (S::StickyPartition, _) if self.scans == 1 => {
                let reason = format!("{head}: {source} is one split, read by one shard");
                Ok(decided(Route::Stay, S::StickyPartition, reason))
            }
            (S::StickyPartition, _) => Err(self.unfit(
                source,
                format!("'sticky' keeps splits apart, and this query reads several: {head}"),
            )),
            (S::FanIn, _) => {
                let reason = format!("{head}: all rows go to one shard, as asked for");
                Ok(decided(Route::One, S::FanIn, reason))
            }
        }
    }

    /// For an aggregation without keys.
    pub(super) fn global(&self, what: &str, edge: &Edge) -> Result<Decision, Unfit> {
        let asked = self.forced.as_ref().map(|(asked, source)| (*asked, source));
        if edge.spread == Spread::One && !matches!(asked, Some((S::AlwaysHash, _))) {
            let reason = format!("{what}: all rows are on one shard already");
            return Ok(decided(Route::TwoPhase, S::FanIn, reason));
        }
        if self.facts.changes {
            let reason = format!("{what}: under EMIT CHANGES one shard keeps the only group");
            return Ok(decided(Route::One, S::FanIn, reason));
        }
        match asked {
            Some((S::AlwaysHash, _)) => {
                let reason = format!("{what}: no key, so that one shard owns all rows");
                Ok(decided(Route::One, S::AlwaysHash, reason))
            }
            Some((S::SmartRepartition, source)) => Err(self.unfit(
                source,
                format!("'smart' would leave one result on every shard: {what}"),
            )),
            Some((router @ (S::RoundRobin | S::StickyPartition), _)) => {
                let reason = format!("{what}: shards aggregate what they read, one merges");
                Ok(decided(Route::TwoPhase, router, reason))
            }
            Some((S::FanIn, _)) | None => {
                let reason = format!(
                    "{what}: no key; shards aggregate what they read in turn, one shard merges"
                );
                Ok(decided(Route::TwoPhase, S::FanIn, reason))
            }
        }
    }

    /// For windows without other keys.
    pub(super) fn windows(&self, what: &str, edge: &Edge) -> Result<Decision, Unfit> {
        // Rows that were routed by a key are no longer where they were read, even where nothing is
        // left that says so.
        let is_as_read = edge.spread == Spread::Splits && edge.home.is_none();
        let in_split = is_as_read && self.scans == 1;
        let asked = self.forced.as_ref().map(|(asked, source)| (*asked, source));
        match asked {
            None | Some((S::StickyPartition, _)) if in_split => {
                let reason = format!(
                    "{what}: no key besides the window; rows stay with their split, in its order"
                );
                Ok(decided(Route::Stay, S::StickyPartition, reason))
            }
            Some((asked @ (S::SmartRepartition | S::RoundRobin | S::StickyPartition), source)) => {
                Err(self.unfit(
                    source,
                    format!(
                        "'{}' would split windows over shards: {what}",
                        asked.option()
                    ),
                ))
            }
            Some((S::AlwaysHash, _)) => {
                let reason = format!("{what}: no key, so that one shard owns all windows");
                Ok(decided(Route::One, S::AlwaysHash, reason))
            }
            None if edge.spread == Spread::One => {
                let reason = format!("{what}: all rows are on one shard already");
                Ok(decided(Route::Stay, S::SmartRepartition, reason))
            }
            Some((S::FanIn, _)) | None => {
                let reason =
                    format!("{what}: no key besides the window; one shard merges per window");
                Ok(decided(Route::One, S::FanIn, reason))
            }
        }
    }
}
