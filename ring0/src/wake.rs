//! How an idle thread sleeps and is woken. The sleeper stores `parked`, fences, looks into all of
//! its rings once more, and only then reads its eventfd; a sender pushes, fences, loads `parked`,
//! and writes the eventfd only if it is set. One of the two sees the other (both fences are
//! SeqCst), so that no wake-up is lost, and a busy receiver costs its senders no system call.
//!
//! The protocol is written over a [`Platform`], so that the same code runs on the machine and, in
//! its tests, under a model checker that tries every order of two and three threads.

mod eventfd;
#[cfg(test)]
mod model;
mod pace;

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use eventfd::Machine;

pub(crate) use eventfd::wait_any;
pub(crate) use pace::pace;

/// What the protocol needs: a flag, a fence, and an alarm that remembers.
pub(crate) trait Platform {
    /// The flag that says that the owner is about to sleep. It starts unset.
    type Flag: std::fmt::Debug;
    /// What the owner sleeps on. Once sounded it stays so until somebody has waited for it.
    type Alarm: std::fmt::Debug;

    /// Stores, relaxed.
    fn store(flag: &Self::Flag, value: bool);
    /// Loads, relaxed.
    fn load(flag: &Self::Flag) -> bool;
    /// The fence of who goes to sleep, SeqCst.
    fn fence_of_sleeper();
    /// The fence of who wakes, SeqCst.
    fn fence_of_waker();
    /// Sounds the alarm.
    fn sound(alarm: &Self::Alarm);
    /// Waits for the alarm, at most `timeout_ms` (-1 is for ever), and quiets it.
    fn wait(alarm: &Self::Alarm, timeout_ms: i32);
}

/// The bell of one thread, on platform `P`.
#[derive(Debug)]
pub(crate) struct BellOn<P: Platform> {
    parked: P::Flag,
    alarm: P::Alarm,
}

/// The bell of one thread.
pub(crate) type Bell = BellOn<Machine>;

impl Bell {
    /// A bell with an eventfd of its own.
    ///
    /// # Errors
    /// Where the process has no file descriptor left.
    pub(crate) fn new() -> std::io::Result<Self> {
        let (parked, alarm) = eventfd::make()?;
        Ok(Self { parked, alarm })
    }
}

/// The eventfd, for who waits through io_uring.
impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.alarm.as_raw_fd()
    }
}

/// The bell of who has to look once more when the owner's end of some rings is gone. It stands
/// behind these, so that it is dropped last.
#[derive(Debug)]
pub(crate) struct RungAtEnd(pub(crate) Arc<Bell>);

impl Drop for RungAtEnd {
    fn drop(&mut self) {
        self.0.ring_always();
    }
}

impl<P: Platform> BellOn<P> {
    /// Says that the owner is about to sleep. It has to look at everything again after this.
    pub(crate) fn announce_sleep(&self) {
        P::store(&self.parked, true);
        P::fence_of_sleeper();
    }

    /// Says that the owner is awake.
    pub(crate) fn awake(&self) {
        P::store(&self.parked, false);
    }

    /// Wakes the owner if it sleeps. What was pushed before is seen by it.
    pub(crate) fn ring(&self) {
        P::fence_of_waker();
        if P::load(&self.parked) {
            self.ring_always();
        }
    }

    /// Writes the eventfd whatever the owner does.
    pub(crate) fn ring_always(&self) {
        P::sound(&self.alarm);
    }

    /// Sleeps until rung, at most `timeout_ms`; -1 is for ever.
    pub(crate) fn sleep(&self, timeout_ms: i32) {
        P::wait(&self.alarm, timeout_ms);
    }
}
