//! Windows in two spellings: this SQL's, and batch SQL's, which has no windows of these kinds.

use crate::tape::Tape;

const SECOND_MS: u64 = 1000;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A window over `ts`, lengths in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    Tumble { size: u64 },
    Hop { slide: u64, size: u64, offset: u64 },
    Cumulate { step: u64, size: u64, offset: u64 },
    Session { gap: u64 },
}

/// A window, spelt out.
#[derive(Debug)]
pub(crate) struct Spelt {
    /// The key of GROUP BY.
    pub(crate) engine: String,
    /// What batch SQL groups by.
    pub(crate) batch: String,
    /// What batch SQL has in place of `FROM r` and the filter.
    pub(crate) from: String,
    /// What batch SQL has in place of `window_start` and `window_end`.
    pub(crate) bounds: [String; 2],
}

impl Window {
    /// Any but a session.
    pub(crate) fn fixed(tape: &mut Tape) -> Self {
        let offset = *tape.pick(&[0, 0, 90, 5 * HOUR]);
        match tape.below(3) {
            0 => Self::Tumble {
                size: *tape.pick(&[60, 420, HOUR, DAY]),
            },
            1 => {
                let (slide, size) =
                    *tape.pick(&[(DAY, 3 * DAY), (7 * HOUR, DAY), (DAY, DAY), (25, 60)]);
                Self::Hop {
                    slide,
                    size,
                    offset,
                }
            }
            _ => {
                let (step, size) = *tape.pick(&[(6 * HOUR, DAY), (DAY, 5 * DAY), (DAY, DAY)]);
                Self::Cumulate { step, size, offset }
            }
        }
    }

    /// A session.
    pub(crate) fn session(tape: &mut Tape) -> Self {
        let gap = *tape.pick(&[DAY, 5 * DAY, 12 * HOUR, 60]);
        Self::Session { gap }
    }

    /// Of seconds.
    pub(crate) fn short(tape: &mut Tape) -> Self {
        let offset = *tape.pick(&[0, 0, 3]);
        match tape.below(4) {
            0 => Self::Tumble {
                size: *tape.pick(&[10, 3, 60]),
            },
            1 => {
                let (slide, size) = *tape.pick(&[(5, 10), (2, 20), (3, 10), (1, 60), (10, 10)]);
                Self::Hop {
                    slide,
                    size,
                    offset,
                }
            }
            2 => {
                let (step, size) = *tape.pick(&[(5, 20), (2, 10), (10, 10), (6, 60)]);
                Self::Cumulate { step, size, offset }
            }
            _ => Self::Session {
                gap: *tape.pick(&[3, 1, 20]),
            },
        }
    }

    /// The end of the last window that holds a time, in milliseconds; of sessions there is none.
    pub(crate) fn last_end_ms(self, ms: i64) -> Option<i64> {
        let seconds = |number: u64| (number * SECOND_MS) as i64;
        let since = |length: u64, offset: u64| (ms - seconds(offset)).rem_euclid(seconds(length));
        match self {
            Self::Tumble { size } => Some(ms - since(size, 0) + seconds(size)),
            Self::Hop {
                slide,
                size,
                offset,
            } => Some(ms - since(slide, offset) + seconds(size)),
            Self::Cumulate { size, offset, .. } => Some(ms - since(size, offset) + seconds(size)),
            Self::Session { .. } => None,
        }
    }

    /// That a row with this watermark is not late, in words of batch SQL: of rows before they are
    /// in windows, and of those that a row was taken apart to.
    pub(crate) fn is_open(self, watermark: &str) -> (String, String) {
        let t = "CAST(ts AS BIGINT)";
        let ms = |seconds: u64| seconds * SECOND_MS;
        let all = "TRUE".to_owned();
        match self {
            Self::Tumble { size } => {
                let size = ms(size);
                let of_rows = format!("{t} - {t} % {size} + {size} > {watermark}");
                (of_rows, String::new())
            }
            Self::Hop { size, .. } => (all, format!(" AND z + {} > {watermark}", ms(size))),
            Self::Cumulate { .. } => (all, format!(" AND z > {watermark}")),
            Self::Session { .. } => (format!("{t} >= {watermark}"), String::new()),
        }
    }

    /// Over the records of a filter, by the columns `keys`.
    pub(crate) fn spell(self, filter: &str, keys: &[String]) -> Spelt {
        let t = "CAST(ts AS BIGINT)";
        let ms = |seconds: u64| seconds * SECOND_MS;
        let at = |text: &str| format!("TO_TIMESTAMP_MILLIS({text})");
        // The last start at or before a time.
        let start = |size: u64, offset: u64| format!("{t} - ({t} - {}) % {}", ms(offset), ms(size));
        let written = |name: &str, lengths: &[u64]| {
            let lengths = lengths.iter().map(|n| format!(", INTERVAL '{n}' SECOND"));
            format!("{name}(ts{})", lengths.collect::<String>())
        };
        // A row for each of these bounds, and those of its windows stay.
        let taken_apart = |series: &str, base: &str, keep: &str| {
            format!(
                "(SELECT *, {base} AS zb, generate_series({series}) AS zl FROM r{filter}) AS q \
                 CROSS JOIN UNNEST(zl) AS z WHERE {keep}"
            )
        };
        match self {
            Self::Tumble { size } => {
                let engine = written("TUMBLE", &[size]);
                Spelt {
                    batch: engine.clone(),
                    engine,
                    from: format!("r{filter}"),
                    bounds: ["window_start".to_owned(), "window_end".to_owned()],
                }
            }
            Self::Hop {
                slide,
                size,
                offset,
            } => {
                let (last, z) = (start(slide, offset), ms(size));
                let first = format!("{last} - {}", ms(size.div_ceil(slide) * slide));
                let series = format!("{first}, {last}, {}", ms(slide));
                Spelt {
                    engine: written("HOP", &[slide, size, offset]),
                    batch: "z".to_owned(),
                    from: taken_apart(&series, "1", &format!("z + {z} > {t}")),
                    bounds: [at("z"), at(&format!("z + {z}"))],
                }
            }
            Self::Cumulate { step, size, offset } => {
                let base = start(size, offset);
                let series = format!("{base} + {0}, {base} + {1}, {0}", ms(step), ms(size));
                Spelt {
                    engine: written("CUMULATE", &[step, size, offset]),
                    batch: "zb, z".to_owned(),
                    from: taken_apart(&series, &base, &format!("z > {t}")),
                    bounds: [at("zb"), at("z")],
                }
            }
            Self::Session { gap } => {
                let by = match keys.is_empty() {
                    true => String::new(),
                    false => format!("PARTITION BY {} ", keys.join(", ")),
                };
                let over = format!("OVER ({by}ORDER BY ts)");
                let gap_ms = ms(gap);
                Spelt {
                    engine: written("SESSION", &[gap]),
                    batch: "zi".to_owned(),
                    from: format!(
                        "(SELECT *, SUM(zn) {over} AS zi FROM (SELECT *, \
                         CASE WHEN {t} - LAG({t}) {over} < {gap_ms} THEN 0 ELSE 1 END AS zn \
                         FROM r{filter}) AS p) AS q"
                    ),
                    bounds: ["MIN(ts)".to_owned(), at(&format!("MAX({t}) + {gap_ms}"))],
                }
            }
        }
    }
}
