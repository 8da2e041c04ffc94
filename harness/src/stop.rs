//! What ends a run before its input does: the first SIGINT or SIGTERM lets what was read go its
//! way, the second ends the process at once. Signals are taken by a thread of their own, so that
//! the second one is heard while a write waits for its reader. With a state directory SIGUSR1 asks
//! for a checkpoint.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use trefoil_ring0::runtime::Control;

use crate::failure::Failure;
use crate::output::abandon;
use crate::say::say;

/// Whether the run is to stop, and what stops the query that runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    asked: bool,
    running: Option<Control>,
    /// What runs is only woken.
    wakes: bool,
    /// Somebody wants a checkpoint.
    checkpoint: bool,
}

fn deaf(error: std::io::Error) -> Failure {
    Failure::Running(format!("cannot listen to signals: {error}"))
}

impl State {
    fn carry_out(&self) {
        match &self.running {
            Some(running) if self.wakes => running.wake_host(),
            Some(running) => running.stop(),
            None => {}
        }
    }
}

impl Stop {
    /// A stop that signals ask for.
    pub(crate) fn by_signals() -> Result<Self, Failure> {
        let stop = Self::default();
        let asked = stop.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(deaf)?;
        let listen = move || {
            for (number, _) in signals.forever().enumerate() {
                if number == 0 {
                    asked.ask();
                    say(&"note: stopping; a second signal ends it at once");
                } else {
                    let why = Failure::Running("stopped at once; results are not whole".into());
                    abandon(|| why.report());
                }
            }
        };
        let thread = std::thread::Builder::new().name("trefoil-signals".into());
        thread.spawn(listen).map_err(deaf)?;
        Ok(stop)
    }

    /// Asks for it when this time is over.
    pub(crate) fn after(&self, time: Duration) -> Result<(), Failure> {
        let stop = self.clone();
        let wait = move || {
            std::thread::sleep(time);
            stop.ask();
            say(&"note: stopping; the time of --for is over");
        };
        let thread = std::thread::Builder::new().name("trefoil-timer".into());
        let started = thread.spawn(wait);
        let failed = |e| Failure::Running(format!("cannot wait for the end of --for: {e}"));
        started.map(|_| ()).map_err(failed)
    }

    /// Asks for it.
    pub(crate) fn ask(&self) {
        let mut state = self.lock();
        state.asked = true;
        state.carry_out();
    }

    /// Whether somebody asked.
    pub(crate) fn is_asked(&self) -> bool {
        self.lock().asked
    }

    /// From now on this is what runs; it stops at once where somebody has asked already.
    pub(crate) fn runs(&self, control: Control) {
        let mut state = self.lock();
        state.running = Some(control);
        if state.asked {
            state.carry_out();
        }
    }

    /// From now on what runs looks itself whether somebody asked, and takes a checkpoint first.
    /// SIGUSR1 asks for one, behind which it goes on.
    pub(crate) fn takes_checkpoints(&self) -> Result<(), Failure> {
        self.lock().wakes = true;
        let stop = self.clone();
        let mut signals = Signals::new([SIGUSR1]).map_err(deaf)?;
        let listen = move || signals.forever().for_each(|_| stop.ask_checkpoint());
        let thread = std::thread::Builder::new().name("trefoil-asked".into());
        thread.spawn(listen).map(|_| ()).map_err(deaf)
    }

    fn ask_checkpoint(&self) {
        let mut state = self.lock();
        state.checkpoint = true;
        if let Some(running) = &state.running {
            running.wake_host();
        }
    }

    /// Whether somebody wants a checkpoint, since that was asked last.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        std::mem::take(&mut self.lock().checkpoint)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
