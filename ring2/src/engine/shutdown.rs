//! The end of an engine, and what it did not give.

use std::time::{Duration, Instant};

use super::Engine;
use super::view::View;

/// What becomes of what was appended, when an engine is shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// All of it that was pushed is taken, and input without an end has one: what waits for it, as
    /// windows that are open, is given.
    Input,
    /// Nothing more is taken.
    Nothing,
}

/// What an engine had not given when it was shut down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// The views that had not come to the end of their input.
    pub views: Vec<ViewLeft>,
    /// The sinks whose files did not get their names.
    pub sinks: Vec<SinkLeft>,
    /// Rows that were staged in appenders that are still there.
    pub rows_staged: u64,
    /// Rows that no view read, as there was none.
    pub rows_unread: u64,
    /// Rows that views had not taken from appenders, as far as these have looked.
    pub rows_untaken: u64,
}

/// A view that had not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewLeft {
    /// Its name.
    pub name: String,
    /// Why, where it failed.
    pub failure: Option<String>,
    /// Rows of results that a subscriber did not make room for.
    pub rows_undelivered: u64,
}

/// A sink whose file did not get its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkLeft {
    /// Its name.
    pub name: String,
    /// What it failed with; `None` where its queries had not come to their end by the deadline.
    pub failure: Option<String>,
}

/// Ends all that runs.
pub(super) fn run(engine: &Engine, drain: Drain, deadline: Duration) -> Shutdown {
    let now = Instant::now();
    // One that no clock reaches is a long one.
    let far = Duration::from_secs(365 * 24 * 3600);
    let deadline = now.checked_add(deadline).unwrap_or(now + far);
    let (mut views, sinks, is_here) = {
        let mut inner = engine.lock();
        inner
            .channels
            .values_mut()
            .for_each(|channel| channel.close());
        let views = std::mem::take(&mut inner.views);
        let sinks = std::mem::take(&mut inner.sinks);
        (views, sinks, inner.runtime.is_here())
    };
    let feeds = || sinks.values().flat_map(|sink| &sink.feeds);
    match drain {
        Drain::Input => feeds().for_each(View::drain),
        // What was given so far is in their files.
        Drain::Nothing => feeds().for_each(|feed| feed.shared().stop()),
    }
    if drain == Drain::Input {
        views.values().for_each(View::drain);
    }
    let mut report = Shutdown::default();
    for view in views.values() {
        let ended = drain == Drain::Input && ended(engine, view, is_here, deadline);
        let failure = view.shared().failure().map(|e| e.to_string());
        if !ended || failure.is_some() {
            report.views.push(ViewLeft {
                name: view.name().to_owned(),
                failure,
                rows_undelivered: 0,
            });
        }
    }
    for (name, sink) in sinks {
        let mut feeds = sink.feeds.iter();
        let ended = feeds.all(|feed| ended(engine, feed, is_here, deadline));
        let failure = match ended {
            true => sink.finish().err().map(|e| e.to_string()),
            false => sink.failure().map(|e| e.to_string()),
        };
        if !ended || failure.is_some() {
            report.sinks.push(SinkLeft { name, failure });
        }
    }
    // All are told before the first is waited for.
    views.values().for_each(View::leave);
    for view in views.values_mut() {
        view.end();
        let left = report
            .views
            .iter_mut()
            .find(|left| left.name == view.name());
        if let Some(left) = left {
            left.rows_undelivered = view.shared().undelivered();
        }
    }
    engine.step();
    let inner = engine.lock();
    for counts in inner.channels.values().map(|channel| channel.counts()) {
        report.rows_staged += counts.rows_staged;
        report.rows_unread += counts.rows_unread;
        report.rows_untaken += counts.rows_untaken;
    }
    report
}

/// Whether a view comes to its end before the deadline.
fn ended(engine: &Engine, view: &View, is_here: bool, deadline: Instant) -> bool {
    if !is_here {
        return view.shared().wait(deadline);
    }
    // Its thread takes what this one makes.
    while !view.shared().wait(Instant::now()) {
        engine.step();
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
