//! What a walk decides, step by step.

use datafusion::logical_expr::Expr;

use super::StrategyConfig;

/// What rows have to meet for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// Groups with keys.
    Group,
    /// Joins by keys.
    Join,
    /// OVER with keys.
    Over,
    /// Partial results, merged: what shards do, what the merge does.
    Merge(String, String),
    /// All rows on one shard.
    Single,
    /// Windows without keys, with the shard of their split.
    SplitWindow,
    /// A table on every shard.
    Broadcast(String),
    /// A single value on every shard.
    Scalar,
}

/// A decision.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) need: Need,
    /// The keys, as columns of the node's output where they are some.
    pub(super) keys: Vec<Expr>,
    pub(super) router: StrategyConfig,
    pub(super) reason: String,
    /// The keys by which its input was together before.
    pub(super) before: Option<Vec<String>>,
}

/// The kinds of work a plan asks for.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    pub(super) window: bool,
    pub(super) join: bool,
    pub(super) global: bool,
    pub(super) group: bool,
}
