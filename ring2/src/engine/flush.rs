//! FLUSH: what was appended before it stands in every view when it is done. Views are taken in the
//! order in which they were made, as one reads only those that were there before: when a view has
//! come to a barrier behind what was pushed, what it gave is carried into the lanes of those that
//! read it, and then these are asked. Sinks are not waited for.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::Engine;
use super::keeper::held_back;
use super::view::{Shared, View};
use crate::error::Result;

/// How long is waited before it is looked whether somebody holds a view back.
const LOOK: Duration = Duration::from_millis(20);

/// How long what comes by itself is waited for at a time.
const MOMENT: Duration = Duration::from_micros(100);

/// A view that goes on as long as this is there, whoever does not take its rows.
#[derive(Debug)]
pub(super) struct Hurried(Arc<Shared>);

impl Hurried {
    fn new(view: &View) -> Self {
        let shared = Arc::clone(view.shared());
        shared.hurry();
        Self(shared)
    }
}

impl Drop for Hurried {
    fn drop(&mut self) {
        self.0.hurry_no_more();
    }
}

impl Engine {
    /// Returns when all rows that were pushed before stand in every view, also in views over views,
    /// as far as these give them: what EMIT holds back it holds back here. Rows that are staged in
    /// an appender were not pushed: see [`Appender::flush`](super::Appender::flush).
    ///
    /// Views that have failed or ended before are left out. Where the caller's own thread is the
    /// shard it works.
    ///
    /// # Errors
    /// What a view fails with meanwhile; `E0612` where a subscriber takes nothing, and its view
    /// cannot go on without it.
    pub fn flush(&self) -> Result<()> {
        let mut views: Vec<(u64, Hurried)> = {
            let inner = self.lock();
            let views = inner.views.values();
            let living = views.filter(|view| !view.shared().lock().is_ended);
            living.map(|v| (v.number(), Hurried::new(v))).collect()
        };
        views.sort_by_key(|(number, _)| *number);
        for (number, view) in &views {
            // What of a view that has ended is on its way is waited for.
            while !self.is_fed(*number) {
                self.pass_time(&views)?;
                std::thread::sleep(self.look(MOMENT));
            }
            self.flush_one(&view.0, &views)?;
            view.0.failure().map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// Waits until what was pushed into a program's own lanes is in its results, as long as none of
    /// these views is held back.
    pub(super) fn flush_one(&self, shared: &Shared, views: &[(u64, Hurried)]) -> Result<()> {
        let (waiting, done) = mpsc::channel();
        shared.flush(waiting);
        loop {
            match done.recv_timeout(self.look(LOOK)) {
                Ok(error) => return Err(error),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => self.pass_time(views)?,
            }
        }
    }

    /// Whether all views that a view reads and that have ended are in its lanes.
    fn is_fed(&self, number: u64) -> bool {
        let inner = self.lock();
        let view = inner.views.values().find(|view| view.number() == number);
        view.is_none_or(View::is_fed)
    }

    /// How long is waited at a time: where this thread is the shard it has to work.
    pub(super) fn look(&self, at_most: Duration) -> Duration {
        match self.lock().runtime.is_here() {
            true => Duration::ZERO,
            false => at_most,
        }
    }

    /// Works, where this thread is the shard, or lets others do so.
    pub(super) fn rest(&self) {
        if !self.step() {
            std::thread::yield_now();
        }
    }

    fn pass_time(&self, views: &[(u64, Hurried)]) -> Result<()> {
        self.rest();
        match views.iter().any(|(_, view)| view.0.is_held_back()) {
            true => Err(held_back()),
            false => Ok(()),
        }
    }
}
