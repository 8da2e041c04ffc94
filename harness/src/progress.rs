//! How far a run is, on standard error where a person looks at it: records, records a second, the
//! watermark and how far it is behind the clock. Shards are asked, and answer between two turns:
//! what nobody asks costs them nothing.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow_schema::TimeUnit;
use trefoil_ring0::format::time::write_timestamp;
use trefoil_ring0::runtime::{Control, Reached};

use crate::say::show_line;

/// How often it is shown.
const PERIOD: Duration = Duration::from_millis(480);
/// How long shards have for their answers; who is later is shown as he was before.
const ANSWER: Duration = Duration::from_millis(20);

/// A run's progress, shown until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins, where standard error is a terminal that can take a line away.
    pub(crate) fn begin(control: Control) -> Option<Self> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if dumb || !std::io::stderr().is_terminal() {
            return None;
        }
        let (ended, end) = channel();
        let show = move || {
            let (begin, mut before) = (Instant::now(), None);
            let goes_on = |time| end.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            while goes_on(PERIOD) {
                control.ask();
                if !goes_on(ANSWER) {
                    break;
                }
                let (at, reached) = (begin.elapsed(), control.reached());
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                let now_ns = since.map_or(0, |d| d.as_nanos() as i128);
                show_line(&line(reached, rate(before, (at, reached)), now_ns));
                before = Some((at, reached));
            }
            show_line("");
        };
        let thread = std::thread::Builder::new().name("trefoil-progress".into());
        Some(Self {
            ended: Some(ended),
            thread: Some(thread.spawn(show).ok()?),
        })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ended.take();
        if let Some(thread) = self.thread.take() {
            // It shows a line and has no result.
            let _ = thread.join();
        }
    }
}

type Sample = (Duration, Reached);

/// Records a second between two samples, or from the beginning on.
fn rate(before: Option<Sample>, (at, reached): Sample) -> f64 {
    let (since, rows) = before.map_or((Duration::ZERO, 0), |(at, reached)| (at, reached.rows_read));
    let rows = reached.rows_read.saturating_sub(rows);
    rows as f64 / (at - since).as_secs_f64().max(f64::MIN_POSITIVE)
}

fn line(reached: Reached, rate: f64, now_ns: i128) -> String {
    let mut text = format!(
        "{} records, {} records/s",
        grouped(reached.rows_read),
        grouped(rate as u64)
    );
    if let Some(watermark) = reached.watermark {
        let mut time = Vec::new();
        write_timestamp(watermark / 1_000_000_000, TimeUnit::Second, &mut time);
        let behind = (now_ns - i128::from(watermark)).max(0) / 1_000_000_000;
        let behind = Duration::from_secs(u64::try_from(behind).unwrap_or(u64::MAX));
        let behind = humantime::format_duration(behind).to_string();
        // Who looks at days does not look at seconds, and the line has one screen's width.
        let behind: Vec<&str> = behind.split(' ').take(2).collect();
        text += &format!(
            ", watermark {}, lag {}",
            String::from_utf8_lossy(&time),
            behind.join(" ")
        );
    }
    text
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let reached = |rows_read, watermark| Reached {
            rows_read,
            rows_bad: 0,
            rows_failed: 0,
            rows_late: 0,
            rows_late_idle: 0,
            watermark,
            held_by: None,
        };
        let second = 1_000_000_000;
        for (reached, rate, want) in [
            (reached(0, None), 0.0, "0 records, 0 records/s"),
            (
                reached(1_234_567, None),
                98_765.4,
                "1,234,567 records, 98,765 records/s",
            ),
            (
                reached(999, Some(1_695_045_600 * second + 5)),
                1000.0,
                "999 records, 1,000 records/s, watermark 2023-09-18T14:00:00, lag 1h 1s",
            ),
        ] {
            let now = (1_695_045_600 + 3601) * i128::from(second) + 5;
            assert_eq!(line(reached, rate, now), want);
        }
        let at = |seconds, rows| (Duration::from_secs(seconds), reached(rows, None));
        assert_eq!(rate(None, at(2, 100)), 50.0);
        assert_eq!(rate(Some(at(2, 100)), at(4, 500)), 200.0);
    }
}
