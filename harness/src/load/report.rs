//! What a run of load came to. The numbers of a run that is no measurement are not told: neither
//! where the peer failed, nor where the generator fell behind.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::pace::{SLIP_NS_MAX, Tally};
use crate::failure::Failure;
use crate::output::Target;

/// Steps of an .hgrm file in each halving of what is left.
const TICKS: u32 = 5;

/// What is told of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    schema_version: u32,
    intended: u64,
    sent: u64,
    acked: u64,
    failed: u64,
    slip_us_max: f64,
    valid: bool,
    latency_us: Latency,
}

/// Percentiles, in microseconds; none of a run that is no result.
#[derive(Debug, Default, Serialize)]
struct Latency {
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    #[serde(rename = "p99.9")]
    p999: Option<f64>,
    #[serde(rename = "p99.99")]
    p9999: Option<f64>,
    max: Option<f64>,
}

impl Latency {
    fn of(latency_ns: &Histogram<u64>) -> Self {
        let at = |p| Some(us(latency_ns.value_at_percentile(p)));
        Self {
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p999: at(99.9),
            p9999: at(99.99),
            max: Some(us(latency_ns.max())),
        }
    }
}

/// Percentiles that are not to be exceeded.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) p99: Option<Duration>,
    pub(crate) p999: Option<Duration>,
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

impl Report {
    /// What was counted of so many records that were to be sent and measured. `answered`: each has
    /// an answer of its own.
    pub(crate) fn new(intended: u64, tally: &Tally, answered: bool, peer_failed: bool) -> Self {
        let valid = tally.kept_up() && !peer_failed;
        let latency_us = match valid && tally.acked > 0 {
            true => Latency::of(&tally.latency_ns),
            false => Latency::default(),
        };
        let unanswered = match answered {
            true => tally.sent.saturating_sub(tally.acked),
            false => 0,
        };
        Self {
            schema_version: 1,
            intended,
            sent: tally.sent,
            acked: tally.acked,
            failed: intended - tally.sent + unanswered,
            slip_us_max: us(tally.slip_ns_max),
            valid,
            latency_us,
        }
    }

    /// Writes it as JSON, to a file or standard output.
    pub(crate) fn write(&self, mut target: Target) -> Result<(), Failure> {
        let text = serde_json::to_string(self).map_err(std::io::Error::from)?;
        target.write((text + "\n").as_bytes())?;
        Ok(target.finish()?)
    }

    /// What makes the run no success: first that the peer failed, then that the generator fell
    /// behind, then that a limit was missed.
    pub(crate) fn verdict(&self, tally: &Tally, limits: &Limits) -> Result<(), Failure> {
        if self.failed > 0 {
            let why = format!("the peer failed: {} records had no answer", self.failed);
            return Err(Failure::Running(why));
        }
        if !tally.kept_up() {
            let Tally { late, sent, .. } = tally;
            return Err(Failure::Invalid(format!(
                "the generator fell behind: {late} of {sent} records left more than {} us after \
                 they were due, one of them {:.0} us, and not for want of room: this is no result",
                SLIP_NS_MAX / 1000,
                self.slip_us_max
            )));
        }
        for (name, p, limit) in [("p99", 99.0, limits.p99), ("p99.9", 99.9, limits.p999)] {
            let is = Duration::from_nanos(tally.latency_ns.value_at_percentile(p));
            if let Some(limit) = limit.filter(|limit| is > *limit) {
                return Err(Failure::Threshold(format!(
                    "{name} is {is:?}, above {limit:?}"
                )));
            }
        }
        Ok(())
    }
}

/// Writes the distribution of latencies as plotters of HdrHistogram read it, in microseconds.
pub(crate) fn write_hgrm(latency_ns: &Histogram<u64>, mut target: Target) -> Result<(), Failure> {
    target.write(hgrm(latency_ns).as_bytes())?;
    Ok(target.finish()?)
}

fn hgrm(latency_ns: &Histogram<u64>) -> String {
    use std::fmt::Write;
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    let mut line = |value: f64, quantile: f64, total: u64| {
        let rest = 1.0 / (1.0 - quantile);
        let written = match rest.is_finite() {
            true => writeln!(text, "{value:12.3} {quantile:2.12} {total:10} {rest:14.2}"),
            false => writeln!(text, "{value:12.3} {quantile:2.12} {total:10}"),
        };
        written.expect("memory takes all bytes");
    };
    for step in latency_ns.iter_quantiles(TICKS) {
        total += step.count_since_last_iteration();
        line(
            us(step.value_iterated_to()),
            step.quantile_iterated_to(),
            total,
        );
    }
    let (mean, deviation) = (latency_ns.mean() / 1000.0, latency_ns.stdev() / 1000.0);
    let max = us(latency_ns.max());
    let buckets = latency_ns.buckets();
    text + &format!(
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n\
         #[Max     = {max:12.3}, Total count    = {total:12}]\n\
         #[Buckets = {buckets:12}, SubBuckets     = {:12}]\n",
        latency_ns.distinct_values() / usize::from(buckets).max(1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(sent: u64, acked: u64, late: u64) -> Tally {
        let mut tally = Tally::new().unwrap();
        (tally.sent, tally.acked, tally.late) = (sent, acked, late);
        tally.slip_ns_max = 2_500_000;
        (0..acked).for_each(|n| tally.latency_ns.saturating_record(10_000 + n));
        tally
    }

    fn code(intended: u64, tally: &Tally, limits: &Limits) -> u8 {
        let report = Report::new(intended, tally, true, false);
        report
            .verdict(tally, limits)
            .map_or_else(|f| f.report(), |()| 0)
    }

    #[test]
    fn a_run_that_is_no_result_tells_no_latency() {
        let none = Limits::default();
        let good = tally(1000, 1000, 10);
        let json = serde_json::to_value(Report::new(1000, &good, true, false)).unwrap();
        assert_eq!(json["latency_us"]["p50"], 10.503);
        assert_eq!(
            (&json["slip_us_max"], &json["valid"]),
            (&2500.0.into(), &true.into())
        );
        assert_eq!(code(1000, &good, &none), 0);
        let behind = tally(1000, 1000, 11);
        let report = Report::new(1000, &behind, true, false);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            (&json["valid"], &json["acked"]),
            (&false.into(), &1000.into())
        );
        assert!(
            json["latency_us"]
                .as_object()
                .unwrap()
                .values()
                .all(|v| v.is_null())
        );
        assert_eq!(code(1000, &behind, &none), 7);
        // Whoever fell behind: records without an answer are worse.
        assert_eq!(code(1001, &behind, &none), 1);
        assert_eq!(code(1000, &tally(1000, 999, 0), &none), 1);
        let json = serde_json::to_value(Report::new(1000, &good, true, true)).unwrap();
        assert_eq!(json["valid"], false);
        assert!(json["latency_us"]["max"].is_null());
    }

    #[test]
    fn limits_are_of_the_percentile_that_they_name() {
        let good = tally(1000, 1000, 0);
        let limits = |p99: u64, p999: u64| Limits {
            p99: Some(Duration::from_nanos(p99)),
            p999: Some(Duration::from_nanos(p999)),
        };
        assert_eq!(code(1000, &good, &limits(20_000, 20_000)), 0);
        assert_eq!(code(1000, &good, &limits(10_000, 20_000)), 6);
        assert_eq!(code(1000, &good, &limits(20_000, 10_000)), 6);
        // A run that is no result misses no limit.
        assert_eq!(code(1000, &tally(1000, 1000, 500), &limits(1, 1)), 7);
    }

    #[test]
    fn a_distribution_is_written_to_its_end() {
        let text = hgrm(&tally(1000, 1000, 0).latency_ns);
        assert!(text.contains("Value     Percentile"), "{text}");
        assert!(text.contains("1.000000000000       1000\n"), "{text}");
        assert!(text.contains("Total count    =         1000]"), "{text}");
    }
}
