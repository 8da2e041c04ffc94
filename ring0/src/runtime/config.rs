//! How programs are run.

use std::time::Duration;

use crate::limits::{
    CHUNK_BYTES, COMBINE_GROUPS, FRAME_ROWS_DEFAULT, IDLE_SPIN_NS_DEFAULT, RING_MESSAGES_DEFAULT,
};
use crate::preflight;

/// What a shard runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Executor {
    /// io_uring where the machine allows it, else plain threads, and says so.
    #[default]
    Auto,
    /// glommio on io_uring.
    Uring,
    /// Plain pinned threads.
    Threads,
}

/// What a shard without work does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// It looks for work for ever, and has its core alone.
    Spin,
    /// It looks for so long and then sleeps.
    SpinThenPark(Duration),
    /// It sleeps.
    Park,
}

impl Default for Idle {
    fn default() -> Self {
        Self::SpinThenPark(Duration::from_nanos(IDLE_SPIN_NS_DEFAULT))
    }
}

/// How a program is run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Number of shards.
    pub shards: usize,
    /// Cores to pin shards to, in turn; where there are fewer than shards they share.
    pub cores: Vec<usize>,
    /// What shards run on.
    pub executor: Executor,
    /// Rows of a frame.
    pub frame_rows: usize,
    /// Messages of a ring.
    pub ring_messages: usize,
    /// Bytes of the chunks of a file that shards take in turn. Results never depend on it.
    pub chunk_bytes: usize,
    /// Groups that a shard makes of rows, at most, before they cross to the owners of their keys;
    /// 0: none. Exact results never depend on it.
    pub combine_groups: usize,
    /// What an idle shard does. One that shares its core parks.
    pub idle: Idle,
    /// Most bytes of memory that the state of all programs may take, with what hosts say that they
    /// keep of results ([`Control::keep`](super::Control::keep)); without one there is no limit.
    /// Where it is more, the program that has most ends with [`Error::Memory`].
    ///
    /// [`Error::Memory`]: crate::error::Error::Memory
    pub memory_limit: Option<u64>,
    /// The time, in nanoseconds since 1970-01-01T00:00:00Z.
    pub now: fn() -> i64,
    /// Says something that the user should know while the program runs, from any thread.
    pub tell: fn(&str),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shards: 1,
            cores: preflight::allowed_cores(),
            executor: Executor::Auto,
            frame_rows: FRAME_ROWS_DEFAULT,
            ring_messages: RING_MESSAGES_DEFAULT,
            chunk_bytes: CHUNK_BYTES,
            combine_groups: COMBINE_GROUPS,
            idle: Idle::default(),
            memory_limit: None,
            now: system_time_ns,
            tell: say_on_stderr,
        }
    }
}

fn say_on_stderr(note: &str) {
    eprintln!("note: {note}");
}

#[expect(clippy::disallowed_methods, reason = "where time comes in")]
fn system_time_ns() -> i64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}
