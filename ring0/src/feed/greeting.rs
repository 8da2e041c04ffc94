//! Streams whose records are numbered: a feeder says whose they are, and is told how many of these
//! were taken, so that what comes next is the one behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Blocked, Blocks, Fed};

/// Before it was said.
const UNKNOWN: u64 = u64::MAX;
/// Time between two looks at whether it was.
const LOOK_MS: i32 = 20;

/// Whose records a stream brings.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) producer: Arc<str>,
    held: Arc<AtomicU64>,
}

impl Blocks {
    /// Says whose records come, before the first block, and waits until it is known how many of
    /// them were taken. `None` when no more are wanted.
    pub fn greet(&mut self, producer: &str) -> Option<u64> {
        let held = Arc::new(AtomicU64::new(UNKNOWN));
        self.push(Fed::Greeting(Greeting {
            producer: producer.into(),
            held: Arc::clone(&held),
        }));
        loop {
            match held.load(Ordering::Acquire) {
                UNKNOWN if !self.is_wanted() => return None,
                UNKNOWN => self.wait(LOOK_MS),
                held => return Some(held),
            }
        }
    }
}

impl Blocked {
    /// Says how many records were taken.
    pub(crate) fn answer(&self, greeting: &Greeting, held: u64) {
        greeting.held.store(held, Ordering::Release);
        self.feeder.0.ring();
    }
}
