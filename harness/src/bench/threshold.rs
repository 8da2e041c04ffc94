//! Thresholds: `RATIO>=X`. One that is missed ends with exit code 6; an invalid result meets none.

use super::report::Report;
use crate::failure::Failure;

/// The least that a ratio has to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Threshold {
    ratio: String,
    least: f64,
}

impl Threshold {
    /// Reads `RATIO>=X`, where RATIO is one of `ratios`.
    pub(super) fn parse(text: &str, ratios: &[String]) -> Result<Self, Failure> {
        let refuse = |why: String| Err(Failure::Usage(format!("--threshold {text:?}: {why}")));
        let Some((ratio, least)) = text.split_once(">=") else {
            return refuse("it is written RATIO>=X, as in engine/roofline@100>=0.5".to_owned());
        };
        let ratio = ratio.trim().to_owned();
        if !ratios.contains(&ratio) {
            return refuse(match ratios {
                [] => "these benchmarks give no ratio".to_owned(),
                _ => format!("no such ratio is measured; there are {}", ratios.join(", ")),
            });
        }
        match least.trim().parse::<f64>() {
            Ok(least) if least.is_finite() => Ok(Self { ratio, least }),
            _ => refuse(format!("{:?} is no number", least.trim())),
        }
    }
}

/// Checks all thresholds.
pub(super) fn check(thresholds: &[Threshold], reports: &[Report]) -> Result<(), Failure> {
    let missed: Vec<String> = thresholds
        .iter()
        .filter_map(|threshold| miss(threshold, reports))
        .collect();
    match missed.is_empty() {
        true => Ok(()),
        false => Err(Failure::Threshold(missed.join("; "))),
    }
}

fn miss(threshold: &Threshold, reports: &[Report]) -> Option<String> {
    let Threshold { ratio, least } = threshold;
    let found = reports.iter().find_map(|r| Some((r, r.ratio(ratio)?)));
    let Some((report, value)) = found else {
        return Some(format!("{ratio} was not measured"));
    };
    // Written so that a ratio that is no number meets nothing.
    if !matches!(value.partial_cmp(least), Some(order) if order.is_ge()) {
        return Some(format!("{ratio} is {value:.3}, less than {least}"));
    }
    let why = report.why_invalid()?;
    Some(format!("{ratio} is {value:.3}, but invalid: {why}"))
}
