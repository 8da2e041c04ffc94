//! Waiting for room in lanes without being a thread that does: a descriptor that says when there
//! may be some, for poll(2) and event loops.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use super::{Appender, Pushed};
use crate::wake::{Bell, wait_any};

/// What becomes readable when a lane of an appender may have room; see [`Appender::arm`]. It may
/// outlive its appender.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<Bell>);

impl PartialEq for Readiness {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl AsRawFd for Readiness {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Appender {
    /// What to wait for.
    pub fn readiness(&self) -> Readiness {
        Readiness(Arc::clone(&self.bell))
    }

    /// Sends what is staged, as far as there is room, and, where there is not enough, has the
    /// descriptor become readable once there may be.
    pub fn arm(&mut self) -> Pushed {
        self.bell.announce_sleep();
        let pushed = self.try_flush();
        if pushed == Pushed::Done {
            self.bell.awake();
        }
        pushed
    }

    /// Ends what [`Self::arm`] began, and quiets the descriptor.
    pub fn disarm(&mut self) {
        self.bell.awake();
        self.bell.sleep(0);
    }
}

/// Waits until one of these descriptors is readable, or gone; says which are.
pub fn wait_readable(fds: &[RawFd]) -> Vec<bool> {
    wait_any(fds)
}
