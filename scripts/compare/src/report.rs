//! What a comparison came to, as JSON in the form of `trefoil bench` and as a table.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Serialize;
use serde::ser::Serializer;
use trefoil_ring0::preflight::allowed_cores;

/// One run: its figures in the order in which they were taken. Those that have a slash in their
/// name are ratios, the others records a second.
#[derive(Debug, Default)]
pub(crate) struct Run {
    figures: Vec<(String, f64)>,
}

impl Run {
    pub(crate) fn add(&mut self, name: String, value: f64) {
        self.figures.push((name, value));
    }
}

impl Serialize for Run {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.figures.iter().map(|(name, value)| (name, value)))
    }
}

/// A figure over all runs.
#[derive(Debug, Serialize)]
struct Metric {
    median: f64,
    min: f64,
    max: f64,
    unit: &'static str,
}

impl Metric {
    /// Of one value at least.
    fn of(mut values: Vec<f64>, unit: &'static str) -> Self {
        values.sort_by(f64::total_cmp);
        let (middle, last) = (values.len() / 2, values.len() - 1);
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Self {
            median,
            min: values[0],
            max: values[last],
            unit,
        }
    }
}

/// A map that keeps its order.
#[derive(Debug)]
struct Named<T>(Vec<(String, T)>);

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Facts without which a figure means nothing.
#[derive(Debug, Serialize)]
struct Machine {
    cpu: Option<String>,
    cores: usize,
    kernel: Option<String>,
    memory_kib: Option<u64>,
}

impl Machine {
    fn here() -> Self {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        let of = |name| field("/proc/cpuinfo", name);
        let numbers = of("cpu family").zip(of("model"));
        let cpu = of("model name").map(|name| match numbers {
            Some((family, model)) => format!("{name} (family {family}, model {model})"),
            None => name,
        });
        Self {
            cpu,
            cores: allowed_cores().len(),
            kernel: kernel.map(|text| text.trim().to_owned()),
            memory_kib: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

fn commit() -> Option<String> {
    let git = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let text = String::from_utf8(git.ok()?.stdout).ok()?;
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// A comparison's result.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    schema_version: u32,
    name: &'static str,
    machine: Machine,
    commit: Option<String>,
    command: String,
    quick: bool,
    runs: Vec<Run>,
    metrics: Named<Metric>,
    ratios: Named<f64>,
    valid: bool,
    why_invalid: Option<String>,
    notes: Vec<String>,
}

impl Report {
    /// Sums up runs, which have the same figures. `invalid` says what makes them meaningless,
    /// `notes` what they do not show.
    pub(crate) fn new(
        quick: bool,
        runs: Vec<Run>,
        mut invalid: Vec<String>,
        notes: Vec<String>,
    ) -> Self {
        if cfg!(debug_assertions) {
            invalid.push("this binary was built without optimisation".to_owned());
        }
        let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (name, value) in runs.iter().flat_map(|run| &run.figures) {
            values.entry(name).or_default().push(*value);
        }
        let (mut metrics, mut ratios) = (Vec::new(), Vec::new());
        // Each name once, where the first run that has it has it.
        for (name, _) in runs.iter().flat_map(|run| &run.figures) {
            let Some(values) = values.remove(name.as_str()) else {
                continue;
            };
            let is_ratio = name.contains('/');
            let unit = if is_ratio { "ratio" } else { "records/s" };
            let metric = Metric::of(values, unit);
            if is_ratio {
                ratios.push((name.clone(), metric.median));
            }
            metrics.push((name.clone(), metric));
        }
        Self {
            schema_version: 1,
            name: "compare",
            machine: Machine::here(),
            commit: commit(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            quick,
            runs,
            metrics: Named(metrics),
            ratios: Named(ratios),
            valid: invalid.is_empty(),
            why_invalid: (!invalid.is_empty()).then(|| invalid.join("; ")),
            notes,
        }
    }

    /// For machines.
    pub(crate) fn json(&self) -> Result<String, String> {
        let text = serde_json::to_string_pretty(self);
        text.map(|text| text + "\n")
            .map_err(|error| error.to_string())
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let names = self.metrics.0.iter().map(|(name, _)| name.len());
        let width = names.max().unwrap_or(0).max("metric".len());
        let mut lines = format!(
            "{:<width$} {:>11} {:>11} {:>11}\n",
            "metric", "median", "min", "max"
        );
        for (name, metric) in &self.metrics.0 {
            let show = |value: f64| match metric.unit {
                "ratio" => format!("{value:.2}"),
                _ => format!("{:.1} M/s", value / 1e6),
            };
            let [median, min, max] = [metric.median, metric.min, metric.max].map(show);
            lines += &format!("{name:<width$} {median:>11} {min:>11} {max:>11}\n");
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

#[test]
fn a_ratio_is_the_median_of_its_runs() {
    let run = |value| Run {
        figures: vec![("a@1".to_owned(), 1.0), ("a/b@1".to_owned(), value)],
    };
    let runs = [3.0, 1.0, 2.0, 9.0].map(run).into();
    let report = Report::new(false, runs, vec!["busy".to_owned()], Vec::new());
    assert_eq!(report.ratios.0, [("a/b@1".to_owned(), 2.5)]);
    let metric = &report.metrics.0[1].1;
    assert_eq!((metric.min, metric.max, metric.unit), (1.0, 9.0, "ratio"));
    assert!(!report.valid && report.table().contains("INVALID: busy"));
}
