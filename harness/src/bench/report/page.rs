//! Results as one page for people: tables, and plots as SVG within it. It needs no other file, no
//! network and no script.

use std::fmt::Write;

use super::{Metric, Report};

/// Lengths of plots, in pixels.
const LABEL: f64 = 190.0;
const WIDTH: f64 = 420.0;
const FIGURE: f64 = 110.0;
const ROW: f64 = 18.0;
/// Where figures of one plot differ by more, lengths are of their logarithms.
const LOG_FROM: f64 = 50.0;

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
    padding:0 1rem;color:#222;background:#fff}h1,h2,h3{font-weight:600}table{border-collapse:\
    collapse;margin:.5rem 0}td,th{padding:.1rem .8rem .1rem 0;text-align:right;\
    font-variant-numeric:tabular-nums}td:first-child,th:first-child{text-align:left;\
    font-family:ui-monospace,monospace}\
    pre{background:#f4f4f4;padding:.5rem;overflow-x:auto}.invalid{color:#a40000}.note{color:#555}\
    svg{display:block;margin:.5rem 0}svg text{font:12px ui-monospace,monospace;fill:#222}\
    summary{cursor:pointer}";

/// A text as HTML has it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c => out.push(c),
        }
    }
    out
}

/// The page.
pub(super) fn page(reports: &[Report]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>trefoil bench\
         </title><style>{STYLE}</style></head><body>\n<h1>trefoil bench</h1>\n"
    );
    if let Some(first) = reports.first() {
        let machine = &first.machine;
        let memory = machine
            .memory_kib
            .map_or_else(String::new, |kib| format!(", {} GiB of memory", kib >> 20));
        let facts = format!(
            "{}, {} cores, Linux {}{memory}; commit {}",
            machine.cpu.as_deref().unwrap_or("unknown CPU"),
            machine.cores,
            machine.kernel.as_deref().unwrap_or("unknown"),
            first.commit.as_deref().unwrap_or("unknown"),
        );
        page += &format!("<p>{}</p>\n", escaped(&facts));
        page += &format!("<pre>{}</pre>\n", escaped(&first.command));
    }
    page += "<p>A figure is the median of the runs, its line goes from the least to the \
             greatest. A ratio is the median of the ratios within each run; only ratios are \
             compared between \
             days.</p>\n";
    for report in reports {
        page += &section(report);
    }
    page + "</body></html>\n"
}

fn section(report: &Report) -> String {
    let (name, measures) = (report.name, escaped(report.measures));
    let runs = report.runs.len();
    let mut out = format!("<h2 id=\"{name}\">{name}</h2>\n<p>{measures}. {runs} runs.</p>\n");
    if let Some(why) = &report.why_invalid {
        out += &format!("<p class=\"invalid\">Invalid: {}</p>\n", escaped(why));
    }
    for note in &report.notes {
        out += &format!("<p class=\"note\">{}</p>\n", escaped(note));
    }
    let metrics = &report.metrics.0;
    let mut units: Vec<&str> = metrics.iter().map(|(_, metric)| metric.unit).collect();
    units.dedup();
    let mut seen = Vec::new();
    for unit in units {
        if seen.contains(&unit) {
            continue;
        }
        seen.push(unit);
        let of: Vec<&(String, Metric)> = metrics.iter().filter(|(_, m)| m.unit == unit).collect();
        out += &format!("<h3>{}</h3>\n{}", escaped(unit), plot(&of, unit == "ratio"));
    }
    out + &table(metrics)
}

fn table(metrics: &[(String, Metric)]) -> String {
    let mut out =
        "<details><summary>All figures</summary><table><tr><th>metric</th><th>median</th>\
                   <th>least</th><th>greatest</th></tr>\n"
            .to_owned();
    for (name, metric) in metrics {
        let cells = metric.shown.iter();
        let cells: String = cells.map(|c| format!("<td>{}</td>", escaped(c))).collect();
        out += &format!("<tr><td>{}</td>{cells}</tr>\n", escaped(name));
    }
    out + "</table></details>\n"
}

/// Where figures lie on a plot's width.
struct Scale {
    least: f64,
    greatest: f64,
    is_log: bool,
}

impl Scale {
    fn of(metrics: &[&(String, Metric)]) -> Self {
        let values = || metrics.iter().flat_map(|(_, m)| [m.min, m.median, m.max]);
        let sound = || values().filter(|value| value.is_finite() && *value > 0.0);
        let least = sound().fold(f64::INFINITY, f64::min);
        let greatest = sound().fold(0.0, f64::max);
        Self {
            least: least * 0.8,
            greatest,
            is_log: greatest > LOG_FROM * least,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let share = match self.is_log {
            true => (value / self.least).ln() / (self.greatest / self.least).ln(),
            false => value / self.greatest,
        };
        match share.is_finite() {
            true => share.clamp(0.0, 1.0) * WIDTH,
            false => 0.0,
        }
    }
}

/// Bars of figures of one unit, each with its spread; ratios have a line at 1.
fn plot(metrics: &[&(String, Metric)], are_ratios: bool) -> String {
    let scale = Scale::of(metrics);
    let (width, height) = (LABEL + WIDTH + FIGURE, ROW * metrics.len() as f64 + 4.0);
    let mut out = format!("<svg width=\"{width}\" height=\"{height}\" role=\"img\">\n");
    for (number, (name, metric)) in metrics.iter().enumerate() {
        let y = number as f64 * ROW;
        let colour = colour(name);
        let bar = scale.at(metric.median);
        let [from, to] = [metric.min, metric.max].map(|v| LABEL + scale.at(v));
        let (middle, text) = (y + ROW / 2.0, y + ROW - 5.0);
        let (name, shown) = (escaped(name), escaped(&metric.shown[0]));
        let (label, figure) = (LABEL - 6.0, LABEL + WIDTH + 8.0);
        _ = writeln!(
            out,
            "<g><title>{name}: {shown}</title>\
             <text x=\"{label}\" y=\"{text:.0}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{LABEL}\" y=\"{:.0}\" width=\"{bar:.1}\" height=\"{:.0}\" \
             fill=\"{colour}\"/>\
             <path d=\"M{from:.1} {middle:.1}H{to:.1}\" stroke=\"#222\"/>\
             <text x=\"{figure}\" y=\"{text:.0}\">{shown}</text></g>",
            y + 3.0,
            ROW - 6.0,
        );
    }
    if are_ratios && scale.at(1.0) > 0.0 && scale.greatest >= 1.0 {
        let x = LABEL + scale.at(1.0);
        _ = writeln!(
            out,
            "<path d=\"M{x:.1} 0V{height}\" stroke=\"#222\" stroke-dasharray=\"3 3\"/>"
        );
    }
    out += "</svg>\n";
    if scale.is_log {
        out += "<p class=\"note\">Lengths are logarithms.</p>\n";
    }
    out
}

/// The same for all figures of one side.
fn colour(name: &str) -> &'static str {
    const COLOURS: [&str; 6] = [
        "#4c78a8", "#f58518", "#54a24b", "#b279a2", "#9d755d", "#72b7b2",
    ];
    let side = name.split(['@', '/']).next().unwrap_or_default();
    let sum = side
        .bytes()
        .fold(0, |sum: usize, byte| sum * 31 + usize::from(byte));
    COLOURS[sum % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::super::{Run, Unit};
    use super::*;

    #[test]
    fn a_page_has_all_figures_and_needs_nothing_else() {
        let mut run = Run::default();
        run.add("a<b@1", Unit::RowsPerSecond, 1e6);
        run.add("c@10", Unit::RowsPerSecond, 1e9);
        run.add("a/c@1", Unit::Ratio, f64::NAN);
        run.note("x & y".to_owned());
        run.invalid("not <enough>".to_owned());
        let page = page(&[Report::new("keyed", "some", true, &[run])]);
        for part in [
            "a&lt;b@1",
            "c@10",
            "a/c@1",
            "x &amp; y",
            "not &lt;enough&gt;",
            "1000.0 M/s",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        for part in ["a<b", "<script", "http", "url(", "@import", "NaN\"", "inf"] {
            assert!(!page.contains(part), "{part}: {page}");
        }
        assert_eq!(page.matches("<svg").count(), 2);
        assert!(page.contains("Lengths are logarithms"), "{page}");
    }
}
