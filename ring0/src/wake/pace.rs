//! A clock for shards that sleep: a thread that rings their bells as long as somebody wants it.

use std::io;
use std::sync::{Arc, Weak};

use super::Bell;

/// Rings the bells every so many milliseconds until `wanted` is gone.
///
/// # Errors
/// Where there is no descriptor or thread left.
pub(crate) fn pace<T: Send + Sync + 'static>(
    wanted: &Arc<T>,
    every_ms: i32,
    bells: &[Arc<Bell>],
) -> io::Result<()> {
    let wanted: Weak<T> = Arc::downgrade(wanted);
    let bells = bells.to_vec();
    let clock = Bell::new()?;
    let rings = move || {
        while wanted.strong_count() > 0 {
            clock.sleep(every_ms);
            bells.iter().for_each(|bell| bell.ring());
        }
    };
    let thread = std::thread::Builder::new().name("trefoil-pace".to_owned());
    thread.spawn(rings).map(drop)
}
