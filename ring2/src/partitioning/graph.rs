//! What shards do, as stages joined by exchanges: the shape that EXPLAIN shows.

use super::StrategyConfig;

/// A chain of operators on every shard, and how its records leave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stage {
    /// The operators, in order.
    pub operators: Vec<Operator>,
    /// Where its records go; `None`: they are results.
    pub exchange: Option<Exchange>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// What it does.
    pub name: String,
    /// Whether Ring 0 has a kernel of its own for it.
    pub native: bool,
    /// What it remembers.
    pub state: Option<String>,
    /// What keeps that from growing.
    pub bounded_by: Option<String>,
}

/// How records get from one stage to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The stage they go to.
    pub to: usize,
    /// Who gets which.
    pub kind: ExchangeKind,
    /// Why.
    pub reason: String,
}

/// Who gets which record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExchangeKind {
    /// The owner of its key.
    Hash(Vec<String>),
    /// One shard gets the partial result of each.
    Partials,
    /// One shard gets all.
    All,
    /// Every shard gets all.
    Broadcast,
    /// Nobody else: input is proven aligned.
    Local,
}

impl Exchange {
    /// The router that does it; `None` for a broadcast.
    pub fn router(&self) -> Option<StrategyConfig> {
        match self.kind {
            ExchangeKind::Hash(_) => Some(StrategyConfig::AlwaysHash),
            ExchangeKind::Partials | ExchangeKind::All => Some(StrategyConfig::FanIn),
            ExchangeKind::Local => Some(StrategyConfig::SmartRepartition),
            ExchangeKind::Broadcast => None,
        }
    }
}
