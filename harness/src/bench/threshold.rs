//! Thresholds: `RATIO>=X` or `RATIO<=X`. One that is missed ends with exit code 6; an invalid
//! result meets none.

use super::report::Report;
use crate::failure::Failure;

/// What a ratio has to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Threshold {
    ratio: String,
    wanted: Wanted,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wanted {
    Least(f64),
    Most(f64),
}

impl Wanted {
    /// What is wrong with a value. One that is no number meets nothing.
    fn miss(self, value: f64) -> Option<String> {
        let (is_met, what) = match self {
            Self::Least(least) => (value >= least, format!("less than {least}")),
            Self::Most(most) => (value <= most, format!("more than {most}")),
        };
        (!is_met).then_some(what)
    }
}

impl Threshold {
    /// Reads `RATIO>=X` or `RATIO<=X`, where RATIO is one of `ratios`.
    pub(super) fn parse(text: &str, ratios: &[String]) -> Result<Self, Failure> {
        let refuse = |why: String| Err(Failure::Usage(format!("--threshold {text:?}: {why}")));
        let least: fn(f64) -> Wanted = Wanted::Least;
        let signs = [(">=", least), ("<=", Wanted::Most)];
        let mut found = signs.into_iter().filter_map(|(sign, wanted)| {
            let (ratio, limit) = text.split_once(sign)?;
            Some((ratio, limit, wanted))
        });
        let Some((ratio, limit, wanted)) = found.next() else {
            return refuse("it is written RATIO>=X, as in engine/roofline@100>=0.5".to_owned());
        };
        let ratio = ratio.trim().to_owned();
        if !ratios.contains(&ratio) {
            return refuse(match ratios {
                [] => "these benchmarks give no ratio".to_owned(),
                _ => format!("no such ratio is measured; there are {}", ratios.join(", ")),
            });
        }
        match limit.trim().parse::<f64>() {
            Ok(limit) if limit.is_finite() => Ok(Self {
                ratio,
                wanted: wanted(limit),
            }),
            _ => refuse(format!("{:?} is no number", limit.trim())),
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
    let Threshold { ratio, wanted } = threshold;
    let found = reports.iter().find_map(|r| Some((r, r.ratio(ratio)?)));
    let Some((report, value)) = found else {
        return Some(format!("{ratio} was not measured"));
    };
    if let Some(what) = wanted.miss(value) {
        return Some(format!("{ratio} is {value:.3}, {what}"));
    }
    let why = report.why_invalid()?;
    Some(format!("{ratio} is {value:.3}, but invalid: {why}"))
}

#[cfg(test)]
mod tests {
    use super::super::report::{Run, Unit};
    use super::*;

    #[test]
    fn a_ratio_is_at_least_or_at_most() {
        let mut run = Run::default();
        run.add("a/b@1", Unit::Ratio, 1.5);
        run.add("none", Unit::Ratio, f64::NAN);
        let ratios = ["a/b@1".to_owned(), "none".to_owned()];
        let report = Report::new("x", "", false, &[run]);
        let missed = |text: &str| {
            let threshold = Threshold::parse(text, &ratios).expect("it is one");
            let why = miss(&threshold, std::slice::from_ref(&report));
            // What is built for tests is valid nowhere.
            why.filter(|why| !why.contains("invalid"))
        };
        for met in ["a/b@1>=1.5", "a/b@1 <= 1.5", "a/b@1>=-1"] {
            assert_eq!(missed(met), None, "{met}");
        }
        for (text, what) in [
            ("a/b@1>=1.6", "less than 1.6"),
            ("a/b@1<=1.4", "more than 1.4"),
            ("none>=0", "less than 0"),
            ("none<=0", "more than 0"),
        ] {
            let why = missed(text).expect(text);
            assert!(why.contains(what), "{why}");
        }
    }
}
