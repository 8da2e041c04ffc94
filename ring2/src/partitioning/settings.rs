//! What a session may set: `SET auto_select_strategy = false`, `SET broadcast_max_bytes = 1000`.

/// Above this size a table is not replicated to every shard, unless a setting says so.
const BROADCAST_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// What the analysis may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether the strategy is chosen by the plan. `false`: always by hash.
    pub auto_select_strategy: bool,
    /// Up to this size a table is replicated to every shard.
    pub broadcast_max_bytes: u64,
    /// How far apart times of rows may be that match in regular joins, in nanoseconds.
    pub state_ttl_ns: Option<i64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auto_select_strategy: true,
            broadcast_max_bytes: BROADCAST_BYTES_MAX,
            state_ttl_ns: None,
        }
    }
}
