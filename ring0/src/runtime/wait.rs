//! Until when a thread of the host waits, and how.

use std::time::{Duration, Instant};

use crate::limits::HOST_LOOK_NS;

/// How long a thread of the host looks before it sleeps.
const LOOK: Duration = Duration::from_nanos(HOST_LOOK_NS);

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

/// How a thread waits for results: where a core is left beside the shards' it looks for them first,
/// as long as they come that soon. Who sleeps is rung for, at the cost of a system call of the
/// shard's, and wakes later.
#[derive(Debug)]
pub(crate) struct Wait {
    has_core: bool,
    /// The last wait was short.
    pays: bool,
    began: Instant,
}

impl Wait {
    pub(crate) fn new(has_core: bool) -> Self {
        Self {
            has_core,
            pays: true,
            began: now(),
        }
    }

    /// Begins a wait. Returns whether there was something soon.
    pub(crate) fn look(&mut self, deadline: Deadline, is_there: impl Fn() -> bool) -> bool {
        self.began = now();
        if !(self.has_core && self.pays) {
            return false;
        }
        while self.began.elapsed() < LOOK && !deadline.is_past() {
            if is_there() {
                return true;
            }
            (0..16).for_each(|_| std::hint::spin_loop());
        }
        false
    }

    /// Ends one that slept.
    pub(crate) fn slept(&mut self) {
        // Waking takes as long again.
        self.pays = self.began.elapsed() < 2 * LOOK;
    }
}
