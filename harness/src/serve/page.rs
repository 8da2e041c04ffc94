//! What a server says over HTTP: `/healthz`, which is well as long as every view is, and `/metrics`
//! as Prometheus reads them. Names that were once there stay.

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use tiny_http::Method;
use trefoil::Engine;
use trefoil::engine::ViewMetrics;

/// A view, as the engine's own table has it.
const JOBS: &str = "SELECT name, state, error, rows_read, rows_out, watermark, rows_bad, \
                    rows_failed, rows_late, rows_late_idle FROM trefoil.jobs ORDER BY name";

/// What is answered.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Page {
    fn text(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            kind: TEXT,
            text: text.into(),
        }
    }
}

/// What a view does.
#[derive(Debug, Clone, PartialEq)]
struct Job {
    name: String,
    state: String,
    error: Option<String>,
    rows_read: i64,
    rows_out: i64,
    rows_bad: i64,
    rows_failed: i64,
    rows_late: i64,
    rows_late_idle: i64,
    watermark_ns: Option<i64>,
}

/// The page of a path.
pub(super) fn page((engine, keeps): (&Engine, bool), method: &Method, path: &str) -> Page {
    if !matches!(method, Method::Get | Method::Head) {
        return Page::text(405, "only GET is answered\n");
    }
    let of_jobs: fn(&Engine, bool, &[Job]) -> Page = match path {
        "/healthz" => |_, _, jobs| health(jobs),
        "/metrics" => |engine, keeps, jobs| Page {
            status: 200,
            kind: PROMETHEUS,
            text: metrics(engine, jobs) + &memory(engine) + &checkpoints(engine, keeps),
        },
        _ => return Page::text(404, "there are /healthz and /metrics\n"),
    };
    match engine.query(JOBS, &[]) {
        Ok(batches) => {
            let jobs: Vec<Job> = batches.iter().flat_map(jobs).collect();
            of_jobs(engine, keeps, &jobs)
        }
        Err(error) => Page::text(500, format!("{error}\n")),
    }
}

fn jobs(batch: &RecordBatch) -> Vec<Job> {
    let text = |column: usize, row: usize| {
        let column = batch.column(column).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let number = |column: usize, row: usize| {
        let column = batch.column(column).as_primitive::<Int64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let times = batch.column(5).as_primitive::<TimestampNanosecondType>();
    let job = |row| Job {
        name: text(0, row).unwrap_or_default(),
        state: text(1, row).unwrap_or_default(),
        error: text(2, row),
        rows_read: number(3, row).unwrap_or_default(),
        rows_out: number(4, row).unwrap_or_default(),
        rows_bad: number(6, row).unwrap_or_default(),
        rows_failed: number(7, row).unwrap_or_default(),
        rows_late: number(8, row).unwrap_or_default(),
        rows_late_idle: number(9, row).unwrap_or_default(),
        watermark_ns: times.is_valid(row).then(|| times.value(row)),
    };
    (0..batch.num_rows()).map(job).collect()
}

/// Whether every view is well.
fn health(jobs: &[Job]) -> Page {
    let failed = jobs.iter().filter_map(|job| {
        let error = job.error.as_ref()?;
        Some(format!("view {} failed: {error}\n", job.name))
    });
    let failed: String = failed.collect();
    match failed.is_empty() {
        true => Page::text(200, "ok\n"),
        false => Page::text(503, failed),
    }
}

/// A metric: its name, what it says, of which kind it is, and its samples by label.
fn metric(text: &mut String, name: &str, help: &str, samples: &[(&str, &str, f64)]) {
    let kind = if name.ends_with("_total") {
        "counter"
    } else {
        "gauge"
    };
    let mut line = |line: std::fmt::Arguments<'_>| {
        writeln!(text, "{line}").expect("memory takes all text");
    };
    line(format_args!("# HELP trefoil_{name} {help}"));
    line(format_args!("# TYPE trefoil_{name} {kind}"));
    for (label, value, sample) in samples {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        line(format_args!(
            "trefoil_{name}{{{label}=\"{value}\"}} {sample}"
        ));
    }
}

/// What is said of a view, if there is something.
type OfView = fn(&Job) -> Option<f64>;

/// Metrics of views: their names, and what they say.
const OF_VIEWS: [(&str, &str, OfView); 9] = [
    (
        "view_up",
        "Whether the view runs, or has come to its end.",
        |job| Some(f64::from(u8::from(job.error.is_none()))),
    ),
    ("view_running", "Whether the view's input goes on.", |job| {
        Some(f64::from(u8::from(job.state == "running")))
    }),
    (
        "view_rows_read_total",
        "Records that the view has read.",
        |job| Some(job.rows_read as f64),
    ),
    (
        "view_rows_bad_total",
        "Records of them that are no rows, and were left out.",
        |job| Some(job.rows_bad as f64),
    ),
    (
        "view_rows_failed_total",
        "Rows on which an expression failed, and which were left out.",
        |job| Some(job.rows_failed as f64),
    ),
    (
        "view_rows_late_total",
        "Rows that were dropped as they were late for their own split's watermark.",
        |job| Some(job.rows_late as f64),
    ),
    (
        "view_rows_late_idle_total",
        "Rows that were dropped as they were late for the watermark of other splits alone.",
        |job| Some(job.rows_late_idle as f64),
    ),
    (
        "view_rows_out_total",
        "Rows of results that the view gave.",
        |job| Some(job.rows_out as f64),
    ),
    (
        "view_watermark_seconds",
        "The watermark of the view.",
        |job| job.watermark_ns.map(|ns| ns as f64 / 1e9),
    ),
];

fn metrics(engine: &Engine, jobs: &[Job]) -> String {
    let mut text = String::new();
    let version = [("version", env!("CARGO_PKG_VERSION"), 1.0)];
    metric(&mut text, "build_info", "The version that runs.", &version);
    let of_views = |of: &dyn Fn(&Job) -> Option<f64>| -> Vec<(&str, &str, f64)> {
        let sample = |job| of(job).map(|value| (&*job.name, value));
        let samples = jobs.iter().filter_map(sample);
        samples.map(|(name, value)| ("view", name, value)).collect()
    };
    for (name, help, of) in OF_VIEWS {
        metric(&mut text, name, help, &of_views(&of));
    }
    let held: Vec<_> = engine.metrics().views;
    let held = held.iter();
    let held = held.filter_map(|v| Some((v.name.as_str(), f64::from(v.held_by.as_ref()?.1))));
    let held: Vec<_> = held.map(|(name, split)| ("view", name, split)).collect();
    let help = "The number of the split that holds the watermark of the view back.";
    metric(&mut text, "view_watermark_split", help, &held);
    let channels = engine.metrics().channels;
    let of = |count: fn(&trefoil::engine::Counts) -> u64| -> Vec<(&str, &str, f64)> {
        channels
            .iter()
            .map(|(name, counts)| ("source", name.as_str(), count(counts) as f64))
            .collect()
    };
    let appended = of(|counts| counts.rows_appended);
    metric(
        &mut text,
        "source_rows_appended_total",
        "Rows of appenders.",
        &appended,
    );
    let unread = of(|counts| counts.rows_unread);
    metric(
        &mut text,
        "source_rows_unread_total",
        "Rows that no view read.",
        &unread,
    );
    text
}

/// How much memory views take.
fn memory(engine: &Engine) -> String {
    let mut text = String::new();
    let views = engine.metrics().views;
    let mut of = |name: &str, help: &str, of: &dyn Fn(&ViewMetrics) -> f64| {
        let samples = views.iter();
        let samples = samples.map(|view| ("view", view.name.as_str(), of(view)));
        metric(&mut text, name, help, &samples.collect::<Vec<_>>());
    };
    let help = "Memory of the state of the view's operators.";
    of("view_state_bytes", help, &|v| {
        (v.bytes() - v.bytes_kept) as f64
    });
    let help = "Memory of the rows that stand in the view.";
    of("view_rows_bytes", help, &|v| v.bytes_kept as f64);
    let help = "Rows that stand in the view.";
    of("view_rows", help, &|v| v.rows_kept as f64);
    text
}

/// What there is to say of checkpoints, where views are kept.
fn checkpoints(engine: &Engine, keeps: bool) -> String {
    let mut text = String::new();
    if !keeps {
        return text;
    }
    let seconds = |ns: u64| ns as f64 / 1e9;
    let views = engine.metrics().views;
    let mut of = |name: &str, help: &str, of: &dyn Fn(&ViewMetrics) -> f64| {
        let samples = views
            .iter()
            .map(|view| ("view", view.name.as_str(), of(view)));
        metric(&mut text, name, help, &samples.collect::<Vec<_>>());
    };
    let help = "Checkpoints of the view that are durable, since the start.";
    of("view_checkpoints_total", help, &|v| v.checkpoints as f64);
    let help = "Those that could not be written.";
    of("view_checkpoints_failed_total", help, &|v| {
        v.checkpoints_failed as f64
    });
    let help = "Bytes of the newest of them.";
    of("view_checkpoint_bytes", help, &|v| {
        v.checkpoint_bytes as f64
    });
    let help = "Time until the newest was durable.";
    of("view_checkpoint_seconds", help, &|v| {
        seconds(v.checkpoint_ns)
    });
    let help = "The longest that a shard waited at a barrier for one of its inputs.";
    of("view_aligned_seconds_max", help, &|v| {
        seconds(v.aligned_ns_max)
    });
    let help = "Records of sockets that the newest checkpoint holds, over all starts.";
    of("view_rows_durable", help, &|v| v.rows_durable as f64);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, error: Option<&str>) -> Job {
        Job {
            name: name.to_owned(),
            state: "running".to_owned(),
            error: error.map(str::to_owned),
            rows_read: 5,
            rows_out: 2,
            rows_bad: 0,
            rows_failed: 0,
            rows_late: 0,
            rows_late_idle: 0,
            watermark_ns: None,
        }
    }

    #[test]
    fn a_view_that_failed_makes_it_ill() {
        assert_eq!(health(&[]), Page::text(200, "ok\n"));
        assert_eq!(health(&[job("a", None)]), Page::text(200, "ok\n"));
        let ill = health(&[job("a", None), job("b", Some("a bad record"))]);
        assert_eq!(ill, Page::text(503, "view b failed: a bad record\n"));
    }

    #[test]
    fn a_label_may_hold_anything() {
        let mut text = String::new();
        metric(
            &mut text,
            "x_total",
            "Help.",
            &[("view", "a\"b\\c\nd", 1.5)],
        );
        let want = "# HELP trefoil_x_total Help.\n# TYPE trefoil_x_total counter\n\
                    trefoil_x_total{view=\"a\\\"b\\\\c\\nd\"} 1.5\n";
        assert_eq!(text, want);
    }
}
