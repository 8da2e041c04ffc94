//! Until when a thread of the host waits.

use std::time::{Duration, Instant};

/// The end of a wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of the host waits, and no shard"
)]
fn now() -> Instant {
    Instant::now()
}

impl Deadline {
    /// It waits for ever.
    pub(crate) fn never() -> Self {
        Self(None)
    }

    /// It waits so long.
    pub(crate) fn after(timeout: Duration) -> Self {
        // One that no clock reaches is none.
        Self(now().checked_add(timeout))
    }

    /// Whether it is over.
    pub(crate) fn is_past(self) -> bool {
        self.0.is_some_and(|end| now() >= end)
    }

    /// What is left of it for poll(2): -1 is for ever.
    pub(crate) fn left_ms(self) -> i32 {
        let Some(end) = self.0 else { return -1 };
        let left = end.saturating_duration_since(now());
        // Rounded up, as it would spin at its end.
        let ms = left.as_nanos().div_ceil(1_000_000);
        i32::try_from(ms).unwrap_or(i32::MAX)
    }
}
