//! What a benchmark came to: as JSON for machines, as a table for people.

mod page;

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::ser::Serializer;

use crate::failure::Failure;
use crate::machine::{Machine, commit};

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Nanoseconds,
    MessagesPerSecond,
    RowsPerSecond,
    QueriesPerSecond,
    BytesPerSecond,
    Bytes,
    Groups,
    Ratio,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::MessagesPerSecond => "messages/s",
            Self::RowsPerSecond => "records/s",
            Self::QueriesPerSecond => "queries/s",
            Self::BytesPerSecond => "bytes/s",
            Self::Bytes => "bytes",
            Self::Groups => "groups",
            Self::Ratio => "ratio",
        }
    }

    /// For people: with a prefix where the figure is large.
    fn show(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.3}"),
            Self::Nanoseconds => format!("{value:.0} ns"),
            Self::Groups => format!("{value}"),
            Self::QueriesPerSecond => format!("{value:.1} /s"),
            Self::BytesPerSecond => format!("{:.2} GB/s", value / 1e9),
            Self::Bytes => format!("{:.1} MB", value / 1e6),
            Self::MessagesPerSecond | Self::RowsPerSecond => format!("{:.1} M/s", value / 1e6),
        }
    }
}

/// One run: its figures in the order in which they were taken, and what speaks against them.
#[derive(Debug, Default)]
pub(super) struct Run {
    figures: Vec<(String, Unit, f64)>,
    /// What makes the run's figures meaningless.
    invalid: Vec<String>,
    /// What figures do not show here.
    notes: Vec<String>,
    /// How results were wrong.
    wrong: Option<String>,
    /// What shards ran on.
    executor: Option<&'static str>,
}

impl Run {
    /// Takes a figure.
    pub(super) fn add(&mut self, name: impl Into<String>, unit: Unit, value: f64) {
        self.figures.push((name.into(), unit, value));
    }

    /// A figure taken before.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        let found = self.figures.iter().find(|(n, ..)| n == name);
        found.map(|(.., value)| *value)
    }

    /// Says why the figures mean nothing.
    pub(super) fn invalid(&mut self, why: String) {
        if !self.invalid.contains(&why) {
            self.invalid.push(why);
        }
    }

    /// Says what figures do not show here, although they mean something.
    pub(super) fn note(&mut self, what: String) {
        if !self.notes.contains(&what) {
            self.notes.push(what);
        }
    }

    /// Says how results were wrong.
    pub(super) fn wrong(&mut self, how: String) {
        self.invalid(how.clone());
        self.wrong.get_or_insert(how);
    }

    /// Says what shards ran on.
    pub(super) fn executor(&mut self, name: &'static str) {
        self.executor = Some(name);
    }
}

/// A figure over all runs.
#[derive(Debug, Clone, Serialize)]
struct Metric {
    median: f64,
    min: f64,
    max: f64,
    unit: &'static str,
    #[serde(skip)]
    shown: [String; 3],
}

/// A map that keeps its order.
#[derive(Debug, Clone)]
struct Named<T>(Vec<(String, T)>);

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A benchmark's result.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema_version: u32,
    name: &'static str,
    machine: Machine,
    commit: Option<String>,
    command: String,
    quick: bool,
    executor: Option<&'static str>,
    runs: Vec<Named<f64>>,
    metrics: Named<Metric>,
    ratios: Named<f64>,
    valid: bool,
    why_invalid: Option<String>,
    notes: Vec<String>,
    #[serde(skip)]
    measures: &'static str,
    #[serde(skip)]
    wrong: Option<String>,
}

impl Report {
    /// Sums up runs, which have the same figures.
    pub(super) fn new(
        name: &'static str,
        measures: &'static str,
        quick: bool,
        runs: &[Run],
    ) -> Self {
        let mut metrics = Vec::new();
        let mut ratios = Vec::new();
        for (figure, unit, _) in runs.first().map_or(&[][..], |r| &r.figures) {
            let mut values: Vec<f64> = runs.iter().filter_map(|r| r.get(figure)).collect();
            values.sort_by(f64::total_cmp);
            let metric = Metric::of(&values, *unit);
            if *unit == Unit::Ratio {
                ratios.push((figure.clone(), metric.median));
            }
            metrics.push((figure.clone(), metric));
        }
        let mut reasons: Vec<String> = Vec::new();
        if cfg!(debug_assertions) {
            reasons.push("this binary was built without optimisation".to_owned());
        }
        reasons.extend(each(runs, |run| &run.invalid));
        let figures = |r: &Run| r.figures.iter().map(|(n, _, v)| (n.clone(), *v)).collect();
        Self {
            schema_version: 1,
            name,
            machine: Machine::here(),
            commit: commit(),
            command: command(),
            quick,
            executor: runs.iter().find_map(|r| r.executor),
            runs: runs.iter().map(|r| Named(figures(r))).collect(),
            metrics: Named(metrics),
            ratios: Named(ratios),
            valid: reasons.is_empty(),
            why_invalid: (!reasons.is_empty()).then(|| reasons.join("; ")),
            notes: each(runs, |run| &run.notes),
            measures,
            wrong: runs.iter().find_map(|r| r.wrong.clone()),
        }
    }

    /// A ratio.
    pub(super) fn ratio(&self, name: &str) -> Option<f64> {
        let found = self.ratios.0.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| *value)
    }

    /// Why the result means nothing, if it does.
    pub(super) fn why_invalid(&self) -> Option<&str> {
        self.why_invalid.as_deref()
    }

    /// How results were wrong, which is a failure and no matter of speed.
    pub(super) fn wrong_results(&self) -> Option<String> {
        let how = self.wrong.as_ref()?;
        Some(format!("{}: {how}", self.name))
    }

    fn table(&self) -> String {
        let mut lines = format!("{}: {}\n", self.name, self.measures);
        let commit = self
            .commit
            .as_deref()
            .map_or("unknown", |c| &c[..c.len().min(12)]);
        lines += &format!(
            "{}, {} cores, Linux {}, commit {commit}, {} runs\n",
            self.machine.cpu.as_deref().unwrap_or("unknown CPU"),
            self.machine.cores,
            self.machine.kernel.as_deref().unwrap_or("unknown"),
            self.runs.len()
        );
        let names = self.metrics.0.iter().map(|(name, _)| name.len());
        let width = names.max().unwrap_or(0).max("metric".len());
        let mut line = |name: &str, cells: [&str; 3]| {
            let [median, min, max] = cells;
            lines += &format!("  {name:<width$} {median:>14} {min:>14} {max:>14}\n");
        };
        line("metric", ["median", "min", "max"]);
        for (name, metric) in &self.metrics.0 {
            let [median, min, max] = &metric.shown;
            line(name, [median, min, max]);
        }
        if let Some(why) = &self.why_invalid {
            lines += &format!("INVALID: {why}\n");
        }
        for note in &self.notes {
            lines += &format!("note: {note}\n");
        }
        lines
    }
}

/// What runs say, each of it once.
fn each(runs: &[Run], of: fn(&Run) -> &Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for said in runs.iter().flat_map(of) {
        if !all.contains(said) {
            all.push(said.clone());
        }
    }
    all
}

impl Metric {
    /// Of values in order, at least one.
    fn of(values: &[f64], unit: Unit) -> Self {
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        let (min, max) = (values[0], values[values.len() - 1]);
        Self {
            median,
            min,
            max,
            unit: unit.name(),
            shown: [median, min, max].map(|value| unit.show(value)),
        }
    }
}

/// The command line, as it would be typed again.
fn command() -> String {
    let quoted = |word: String| match word.contains([' ', '>', '\'', '"', '*', '$']) {
        true => format!("'{}'", word.replace('\'', r"'\''")),
        false => word,
    };
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| quoted(word.to_string_lossy().into_owned()));
    std::iter::once("trefoil".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Writes results: tables to standard output, or JSON to a file or, as `-`, to standard output.
pub(super) fn write(reports: &[Report], json: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = json else {
        let tables: Vec<String> = reports.iter().map(Report::table).collect();
        std::io::stdout().write_all(tables.join("\n").as_bytes())?;
        return Ok(());
    };
    let text = match reports {
        [one] => serde_json::to_string_pretty(one),
        many => serde_json::to_string_pretty(many),
    };
    let refuse = |error: std::io::Error| Failure::write(path, &error);
    let text = text.map_err(|e| refuse(e.into()))? + "\n";
    if path == Path::new("-") {
        std::io::stdout().write_all(text.as_bytes())?;
        return Ok(());
    }
    std::fs::write(path, text).map_err(refuse)
}

/// Writes results as one page.
pub(super) fn write_page(reports: &[Report], path: &Path) -> Result<(), Failure> {
    std::fs::write(path, page::page(reports)).map_err(|error| Failure::write(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_its_runs() {
        let run = |value| {
            let mut run = Run::default();
            run.add("a/b@1", Unit::Ratio, value);
            run
        };
        let report = Report::new("x", "", false, &[run(3.0), run(1.0), run(2.0), run(9.0)]);
        assert_eq!(report.ratio("a/b@1"), Some(2.5));
        let metric = &report.metrics.0[0].1;
        assert_eq!((metric.min, metric.max), (1.0, 9.0));
    }
}
