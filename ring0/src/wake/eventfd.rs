//! What the wake protocol runs on: the processor's atomics, and an eventfd for each thread.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

use super::Platform;

/// The machine itself.
#[derive(Debug)]
pub(crate) enum Machine {}

/// An unset flag and a silent eventfd.
pub(super) fn make() -> std::io::Result<(AtomicBool, OwnedFd)> {
    // SAFETY: `eventfd` takes no pointer; a result of 0 or more is a descriptor we own.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: `fd` was just made, is open, and nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok((AtomicBool::new(false), fd))
}

/// Waits until one of these descriptors is readable, or gone; says which are.
pub(crate) fn wait_any(fds: &[RawFd]) -> Vec<bool> {
    let poll = |&fd: &RawFd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let mut polls: Vec<libc::pollfd> = fds.iter().map(poll).collect();
    // SAFETY: the pointer and the length are those of the vector, which nobody else refers to.
    unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, -1) };
    polls.iter().map(|poll| poll.revents != 0).collect()
}

impl Platform for Machine {
    type Flag = AtomicBool;
    type Alarm = OwnedFd;

    fn store(flag: &AtomicBool, value: bool) {
        flag.store(value, Ordering::Relaxed);
    }

    fn load(flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }

    fn fence_of_sleeper() {
        fence(Ordering::SeqCst);
    }

    fn fence_of_waker() {
        fence(Ordering::SeqCst);
    }

    fn sound(alarm: &OwnedFd) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the eight bytes live on this stack; the descriptor is open while it is owned.
        unsafe { libc::write(alarm.as_raw_fd(), one.as_ptr().cast(), 8) };
    }

    fn wait(alarm: &OwnedFd, timeout_ms: i32) {
        let mut poll = libc::pollfd {
            fd: alarm.as_raw_fd(),
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
        unsafe { libc::read(alarm.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
    }
}
