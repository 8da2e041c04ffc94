//! How an idle thread sleeps and is woken. The sleeper stores `parked`, fences, looks into all of
//! its rings once more, and only then reads its eventfd; a sender pushes, fences, loads `parked`,
//! and writes the eventfd only if it is set. One of the two sees the other (both fences are
//! SeqCst), so that no wake-up is lost, and a busy receiver costs its senders no system call.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// The bell of one thread.
#[derive(Debug)]
pub(crate) struct Bell {
    parked: AtomicBool,
    fd: OwnedFd,
}

/// The eventfd, for who waits through io_uring.
impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Bell {
    /// A bell with an eventfd of its own.
    ///
    /// # Errors
    /// Where the process has no file descriptor left.
    pub(crate) fn new() -> std::io::Result<Self> {
        // SAFETY: `eventfd` takes no pointer; a result of 0 or more is a descriptor we own.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: `fd` was just made, is open, and nobody else owns it.
        Ok(Self {
            parked: AtomicBool::new(false),
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
        })
    }

    /// Says that the owner is about to sleep. It has to look at everything again after this.
    pub(crate) fn announce_sleep(&self) {
        self.parked.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that the owner is awake.
    pub(crate) fn awake(&self) {
        self.parked.store(false, Ordering::Relaxed);
    }

    /// Wakes the owner if it sleeps. What was pushed before is seen by it.
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.parked.load(Ordering::Relaxed) {
            self.ring_always();
        }
    }

    /// Writes the eventfd whatever the owner does.
    pub(crate) fn ring_always(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the eight bytes live on this stack; the descriptor is open while self lives.
        unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), 8) };
    }

    /// Sleeps until rung, at most `timeout_ms`; -1 is for ever.
    pub(crate) fn sleep(&self, timeout_ms: i32) {
        let mut poll = libc::pollfd {
            fd: self.fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd on this stack, and the length says one.
        let rung = unsafe { libc::poll(&raw mut poll, 1, timeout_ms) };
        if rung <= 0 {
            return;
        }
        let mut count = [0u8; 8];
        // SAFETY: eight bytes on this stack to be written to; poll said that there is something.
        unsafe { libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
    }
}
