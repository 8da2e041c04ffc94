//! Splits of rows, and which watermark each row carries.

use std::fmt::Write as _;

use crate::tape::Tape;

/// `w`: the watermark that the row carries, which only batch SQL asks for.
pub(super) const COLUMNS: &str = "n BIGINT, k BIGINT, s VARCHAR, x BIGINT, d DOUBLE, \
                       ts TIMESTAMP(3) NOT NULL, w TIMESTAMP(3)";

/// 2025-01-01, in milliseconds; all times are of this day.
const DAY_MS: i64 = 1_735_689_600_000;

fn time(ms: i64) -> String {
    let ms = ms - DAY_MS;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "\"2025-01-01T{hour:02}:{minute:02}:{second:02}.{:03}\"",
        ms % 1000
    )
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) n: u64,
    pub(super) k: Option<u64>,
    pub(super) s: Option<&'static str>,
    pub(super) x: Option<i64>,
    pub(super) d: Option<f64>,
    pub(super) ts: i64,
    pub(super) w: Option<i64>,
}

impl Row {
    fn line(&self) -> String {
        let mut line = format!("{{\"n\":{},\"ts\":{}", self.n, time(self.ts));
        let mut add = |name: &str, value: Option<String>| {
            value
                .iter()
                .for_each(|value| write!(line, ",\"{name}\":{value}").unwrap());
        };
        add("k", self.k.map(|k| k.to_string()));
        add("s", self.s.map(|s| format!("\"{s}\"")));
        add("x", self.x.map(|x| x.to_string()));
        add("d", self.d.map(|d| d.to_string()));
        add("w", self.w.map(time));
        line.push_str("}\n");
        line
    }
}

pub(super) fn lines<'r>(rows: impl IntoIterator<Item = &'r Row>) -> String {
    rows.into_iter().map(Row::line).collect()
}

/// Splits of rows in the order in which they are read. Some have no rows, and some lie far from the
/// others.
pub(super) fn splits(tape: &mut Tape) -> Vec<Vec<Row>> {
    let disorder = *tape.pick(&[0, 1500, 20_000, 90_000]);
    let step = *tape.pick(&[700, 50, 4000]);
    let mut n = 0;
    let count = 1 + tape.below(4);
    let split = |_| {
        let begins = DAY_MS + 25_200_000 + 1000 * tape.below(90) as i64;
        let mut goes_on = begins;
        let len = *tape.pick(&[0, 3, 20, 60]);
        let row = |_| {
            goes_on += tape.below(step) as i64;
            let back = match tape.below(4) {
                0 if disorder > 0 => tape.below(disorder) as i64,
                _ => 0,
            };
            let ts = goes_on - back;
            n += 1;
            Row {
                n,
                k: [Some(tape.below(4)), None][usize::from(tape.below(9) == 8)],
                s: *tape.pick(&[Some("a"), Some("b"), None, Some("é"), Some("")]),
                x: [Some(tape.below(19) as i64 - 9), None][usize::from(tape.below(8) == 7)],
                d: [Some(tape.below(40) as f64 * 0.25), None][usize::from(tape.below(8) == 7)],
                ts,
                w: None,
            }
        };
        (0..len).map(row).collect()
    };
    (0..count).map(split).collect()
}

/// Each row gets the watermark that it carries: so much less than the greatest time before it.
pub(super) fn mark(splits: &mut [Vec<Row>], lag: i64) {
    for split in splits {
        let mut greatest = None::<i64>;
        for row in split {
            row.w = greatest.map(|greatest| greatest - lag);
            greatest = greatest.max(Some(row.ts));
        }
    }
}
