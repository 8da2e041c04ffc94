//! Checkpoints that SIGUSR1 asks for: each is waited for on a thread of its own, so that HTTP is
//! answered meanwhile. Where one is under way another follows, one for all that asked by then.

use std::sync::Arc;
use std::thread::JoinHandle;

use trefoil::Engine;

use crate::failure::Failure;
use crate::say::say;
use crate::stop::Stop;

/// What somebody asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    under_way: Option<JoinHandle<()>>,
    is_next: bool,
}

impl Asked {
    /// Looks whether somebody asked, and begins what can begin.
    pub(super) fn turn(&mut self, engine: &Arc<Engine>, stop: &Stop) -> Result<(), Failure> {
        self.is_next |= stop.wants_checkpoint();
        let is_busy = self.under_way.as_ref().is_some_and(|t| !t.is_finished());
        if is_busy || !std::mem::take(&mut self.is_next) {
            return Ok(());
        }
        let engine = Arc::clone(engine);
        let take = move || match engine.checkpoint() {
            Ok(()) => say(&"note: a checkpoint of all views was taken"),
            Err(error) => say(&format_args!("note: not all views are kept: {error}")),
        };
        let thread = std::thread::Builder::new().name("trefoil-asked".into());
        let started = thread.spawn(take);
        let failed = |e| Failure::Running(format!("no thread waits for a checkpoint: {e}"));
        self.under_way = Some(started.map_err(failed)?);
        Ok(())
    }

    /// Waits for what is under way.
    pub(super) fn end(self) {
        if let Some(thread) = self.under_way {
            // It has said what became of it.
            _ = thread.join();
        }
    }
}
