//! Partition analysis: for a plan, which records have to meet, hence who gets which record. It
//! walks the plan bottom-up (`analyze`) and keeps, for every edge, a proof of where
//! rows are (`distribution`); what cannot be proven aligned crosses an exchange. Lowering builds
//! just the exchanges that the walk decided on, and EXPLAIN shows them.

mod analyze;
mod ast;
mod decide;
pub(crate) mod distribution;
mod graph;
mod join;
mod names;
mod nodes;
mod over;
mod sequence;
mod settings;
mod step;
mod verdict;

use std::fmt;
use std::str::FromStr;

use datafusion::logical_expr::LogicalPlan;

use crate::catalog::SourceDef;

pub(crate) use analyze::{Analysis, Route, Way, analyze, node};
pub use ast::QueryAnalysisForPartitioning;
pub use graph::{Exchange, ExchangeKind, Operator, Stage};
pub(crate) use join::{changes_come, ends, takes_back};
pub(crate) use names::{bound, duration, text};
pub use settings::Settings;
pub use verdict::Verdict;

/// How a query's work is divided among shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionStrategy {
    /// Every shard works on the records it reads; no two have to meet.
    Passthrough {
        /// Who reads which.
        routing: RoutingStrategy,
    },
    /// Records of one key meet on the key's owner, and no other state is shared.
    FullyPartitionable {
        /// The keys, as the query names them.
        partition_keys: Vec<String>,
    },
    /// Every shard aggregates, one shard merges.
    TwoPhaseAggregation {
        /// What shards do by themselves.
        local_agg: String,
        /// What the merge does.
        merge_fn: String,
    },
    /// A table is on every shard; the stream stays where it is.
    BroadcastJoin {
        /// The table.
        replicated_table: String,
    },
    /// Records that are together by one key have to be together by another.
    RepartitionRequired {
        /// Where they are.
        from_key: Vec<String>,
        /// Where they have to go.
        to_key: Vec<String>,
    },
}

impl PartitionStrategy {
    /// Its name, as EXPLAIN prints it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Passthrough { .. } => "Passthrough",
            Self::FullyPartitionable { .. } => "FullyPartitionable",
            Self::TwoPhaseAggregation { .. } => "TwoPhaseAggregation",
            Self::BroadcastJoin { .. } => "BroadcastJoin",
            Self::RepartitionRequired { .. } => "RepartitionRequired",
        }
    }
}

/// Who reads a source's records where no keys decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutingStrategy {
    /// The shards in turn.
    RoundRobin,
    /// One shard.
    SinglePartition,
}

/// How records get to the shard that works on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StrategyConfig {
    /// By the hash of the keys, whatever is known of the input.
    AlwaysHash,
    /// Not at all: the input is proven to be where it has to be.
    SmartRepartition,
    /// By chunk, shard after shard.
    RoundRobin,
    /// Records stay with the shard of their split, in its order.
    StickyPartition,
    /// All to one shard.
    FanIn,
}

impl StrategyConfig {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::AlwaysHash,
        Self::SmartRepartition,
        Self::RoundRobin,
        Self::StickyPartition,
        Self::FanIn,
    ];

    /// Its name in `WITH (partitioning = '...')`.
    pub fn option(self) -> &'static str {
        match self {
            Self::AlwaysHash => "always_hash",
            Self::SmartRepartition => "smart",
            Self::RoundRobin => "round_robin",
            Self::StickyPartition => "sticky",
            Self::FanIn => "fan_in",
        }
    }
}

impl fmt::Display for StrategyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlwaysHash => "AlwaysHash",
            Self::SmartRepartition => "SmartRepartition",
            Self::RoundRobin => "RoundRobin",
            Self::StickyPartition => "StickyPartition",
            Self::FanIn => "FanIn",
        })
    }
}

/// A name that is none of a [`StrategyConfig`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is none of always_hash, smart, round_robin, sticky, fan_in")]
pub struct UnknownStrategy(pub String);

impl FromStr for StrategyConfig {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, UnknownStrategy> {
        let found = Self::ALL.into_iter().find(|s| {
            text.eq_ignore_ascii_case(s.option()) || text.eq_ignore_ascii_case(&s.to_string())
        });
        found.ok_or_else(|| UnknownStrategy(text.to_owned()))
    }
}

/// What the analysis knows besides the plan.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The declared tables that the plan reads.
    pub tables: &'a [SourceDef],
    /// Whether results leave as changes, record by record.
    pub changes: bool,
    /// Whether each of these is looked at, and not just what they come to.
    pub in_sequence: bool,
    /// Settings of the session.
    pub settings: &'a Settings,
    /// Names of the results, where they differ from the plan's columns.
    pub results: &'a [crate::ResultColumn],
}

/// The strategy for a plan, and why.
///
/// # Errors
/// Where `WITH (partitioning = '...')` asks for one that would change the answer.
pub fn determine_partition_strategy(
    plan: &LogicalPlan,
    facts: &Facts<'_>,
) -> Result<Verdict, String> {
    analyze(plan, facts)
        .map(|analysis| analysis.verdict)
        .map_err(|unfit| unfit.reason)
}

#[cfg(test)]
mod tests;
