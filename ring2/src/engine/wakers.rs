//! Tasks that wait for room in lanes, of whatever executor: a thread waits for all of them in
//! poll(2), and wakes each when its appender's descriptor says that there may be room. It is
//! started for the first one, and ends with the last who knows of it.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use trefoil_ring0::appender::{Readiness, wait_readable};

use crate::error::{Error, Result};

/// The tasks that wait.
#[derive(Debug, Default)]
pub(super) struct Wakers(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<(Readiness, Waker)>,
    /// What ends the thread's wait; `None` before there is one.
    thread: Option<PipeWriter>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wakers {
    /// Has a task woken once this is readable, in place of who waited for it before.
    pub(super) fn wait(&self, readiness: Readiness, waker: &Waker) -> Result<()> {
        let mut state = lock(&self.0);
        state.waiting.retain(|(other, _)| *other != readiness);
        state.waiting.push((readiness, waker.clone()));
        let refused = |e| Error::engine("E0606", format!("no thread to wait for room: {e}"));
        let thread = match &mut state.thread {
            Some(thread) => thread,
            none => {
                let (heard, said) = pipe().map_err(refused)?;
                let shared = Arc::downgrade(&self.0);
                std::thread::Builder::new()
                    .name("trefoil-room".to_owned())
                    .spawn(move || {
                        let mut heard = heard;
                        while let Some(state) = shared.upgrade() {
                            let waiting = waiting(&state);
                            // Nobody is kept by who waits for him.
                            drop(state);
                            let readable = look(&mut heard, &waiting);
                            let Some(state) = shared.upgrade() else { break };
                            wake(&state, &readable);
                        }
                    })
                    .map_err(refused)?;
                none.insert(said)
            }
        };
        // A thread that is told to look twice looks twice.
        thread.write_all(&[0]).map_err(refused)
    }

    /// Nobody waits for this any more.
    pub(super) fn forget(&self, readiness: &Readiness) {
        let mut state = lock(&self.0);
        state.waiting.retain(|(other, _)| other != readiness);
    }
}

impl Drop for Wakers {
    fn drop(&mut self) {
        // The thread finds the pipe closed, and nobody there.
        lock(&self.0).thread = None;
    }
}

fn waiting(state: &Mutex<State>) -> Vec<Readiness> {
    let state = lock(state);
    state.waiting.iter().map(|(of, _)| of.clone()).collect()
}

/// Waits until some of these are readable, or somebody says that there are others.
fn look(heard: &mut PipeReader, waiting: &[Readiness]) -> Vec<Readiness> {
    let fds = waiting.iter().map(AsRawFd::as_raw_fd);
    let fds: Vec<_> = std::iter::once(heard.as_raw_fd()).chain(fds).collect();
    let readable = wait_readable(&fds);
    if readable[0] {
        // What was said is only that something was, and its end is seen by its being gone.
        _ = heard.read(&mut [0; 64]);
    }
    let readable = waiting.iter().zip(&readable[1..]);
    let readable = readable.filter(|(_, is)| **is).map(|(of, _)| of.clone());
    readable.collect()
}

/// Wakes those who wait for these.
fn wake(state: &Mutex<State>, readable: &[Readiness]) {
    let mut woken = Vec::new();
    lock(state).waiting.retain(|(of, waker)| {
        let is_readable = readable.contains(of);
        if is_readable {
            woken.push(waker.clone());
        }
        !is_readable
    });
    // Outside of the lock: what an executor does then is its own.
    woken.into_iter().for_each(Waker::wake);
}
