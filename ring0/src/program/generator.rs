//! Records that are made and not read.

mod nexmark;

pub use self::nexmark::{EVENTS_PER_S, NexmarkColumn, NexmarkSpec, NexmarkTable};

/// How records are made: row i is a function of (seed, i) alone.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratorSpec {
    /// How many; `None` without end.
    pub rows: Option<u64>,
    /// How many a second, at most: row i is not there before the program has run for i / rate.
    /// Where rows are some of the events of a benchmark, these: a row is there with its event.
    pub rate: Option<u64>,
    /// What makes one run's values differ from another's.
    pub seed: u64,
    /// What they hold.
    pub made: Made,
}

/// What is in the columns of records that are made.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// What is drawn for each column that the source reads.
    Drawn(Vec<GeneratedColumn>),
    /// A table of the NEXMark benchmark.
    Nexmark(NexmarkSpec),
}

impl GeneratorSpec {
    /// The same rows, and of their columns those with these numbers.
    #[must_use]
    pub fn reading(&self, columns: &[usize]) -> Self {
        let mut read = self.clone();
        match (&self.made, &mut read.made) {
            (Made::Drawn(all), Made::Drawn(some)) => *some = picked(all, columns),
            (Made::Nexmark(all), Made::Nexmark(some)) => {
                some.columns = picked(&all.columns, columns);
            }
            _ => unreachable!("a copy is of its own kind"),
        }
        read
    }

    /// How many rows are among the first so many that are due by the rate.
    pub(crate) fn rows_due(&self, due: u64) -> u64 {
        match &self.made {
            Made::Drawn(_) => due,
            Made::Nexmark(made) => made.table.rows_of(due),
        }
    }
}

/// Those of these numbers that there are.
fn picked<T: Clone>(all: &[T], numbers: &[usize]) -> Vec<T> {
    let some = numbers.iter().filter_map(|n| all.get(*n));
    some.cloned().collect()
}

/// How a column's values are made.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedColumn {
    /// The column's number where it was declared: its values are the same beside whatever others.
    pub number: u64,
    /// Of a thousand values so many are NULL.
    pub nulls_permille: u32,
    /// What is drawn.
    pub draw: Draw,
    /// Characters of a text, which what is drawn decides upon; 0 for its digits.
    pub length: usize,
}

/// What is drawn for a row: a number, which is then written in the column's type.
#[derive(Debug, Clone, PartialEq)]
pub enum Draw {
    /// `start + i * step`, less a number that is drawn, of up to `jitter`.
    Sequence {
        /// That of row 0.
        start: i64,
        /// From row to row.
        step: i64,
        /// How far a row may fall behind.
        jitter: u64,
    },
    /// Whole numbers, each as often.
    Uniform {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// Whole numbers `0..cardinality`, number k (k + 1)^-exponent as often as number 0.
    Zipf {
        /// How many there are.
        cardinality: u64,
        /// How much rarer each is than the one before; above 0.
        exponent: f64,
    },
    /// Numbers from `min` up to `max`, for columns of floating point.
    Between {
        /// The least.
        min: f64,
        /// Where they end.
        max: f64,
    },
}
