//! The data, and what a query over it has to give. It is that of `trefoil bench keyed` and of
//! `trefoil bench windows`, whose generator this one repeats, so that figures can be set beside
//! those. What a query has to give is found by an array with a place for each group.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, TimestampMillisecondArray};

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// Values are whole numbers below this, so that sums are exact whatever their order.
const VALUE_MAX: u64 = 1 << 20;
/// Values of windowed records are whole numbers below this.
const WINDOWED_VALUE_MAX: u64 = 1000;
/// The time of the first record, in milliseconds since 1970.
const START_MS: i64 = 1_704_067_000_000;
/// Length of the windows.
pub(crate) const WINDOW_MS: i64 = 60_000;
/// How far the watermark stays behind the greatest event time.
pub(crate) const LAG_MS: i64 = 1_000;
/// Keys of windowed records.
pub(crate) const WINDOWED_KEYS: u64 = 10_000;

/// Numbers that look random, the same each time: splitmix64 (public domain).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(SEED);
        let z = self.0;
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// Of evenly distributed bits an evenly distributed number below `end`.
fn scaled(bits: u64, end: u64) -> u64 {
    ((u128::from(bits) * u128::from(end)) >> 64) as u64
}

/// COUNT, SUM, MIN and MAX of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) count: i64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Totals {
    /// Of no records.
    pub(crate) const NONE: Self = Self {
        count: 0,
        sum: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
    };

    #[inline(always)]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.min = if value < self.min { value } else { self.min };
        self.max = if value > self.max { value } else { self.max };
    }
}

/// A sum over all groups of a result that does not depend on their order. Python's peers make the
/// same one of whole columns, hence no product is wider than its factors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Digest {
    pub(crate) groups: u64,
    pub(crate) rows: u64,
    sum: u64,
}

impl Digest {
    /// Takes a group of a keyed aggregation.
    #[inline]
    pub(crate) fn keyed(&mut self, key: i64, totals: &Totals) {
        let Totals {
            count,
            sum,
            min,
            max,
        } = *totals;
        let words = [sum, min, max].map(f64::to_bits);
        self.add(
            count,
            &[key as u64, count as u64, words[0], words[1], words[2]],
        );
    }

    /// Takes a group of a window that starts at `start`, in milliseconds.
    #[inline]
    pub(crate) fn windowed(&mut self, key: i64, start: i64, count: i64, sum: i64) {
        self.add(count, &[key, start, count, sum].map(|word| word as u64));
    }

    #[inline]
    fn add(&mut self, count: i64, words: &[u64]) {
        let group = words.iter().fold(SEED, |state, word| {
            let state = (state ^ word).wrapping_mul(SEED);
            state ^ state >> 29
        });
        self.groups += 1;
        self.rows = self.rows.wrapping_add(count as u64);
        self.sum = self.sum.wrapping_add(group);
    }

    /// Takes the groups of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.groups += other.groups;
        self.rows = self.rows.wrapping_add(other.rows);
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Query {
    /// COUNT, SUM, MIN and MAX of a DOUBLE by a BIGINT key, of which there are so many.
    Keyed(u64),
    /// COUNT and SUM of a BIGINT by a BIGINT key and a tumbling window of a minute.
    Tumbling,
}

impl Query {
    /// Its name in results.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Keyed(keys) if keys % 1_000_000 == 0 => format!("{}M", keys / 1_000_000),
            Self::Keyed(keys) if keys % 1_000 == 0 => format!("{}k", keys / 1_000),
            Self::Keyed(keys) => keys.to_string(),
            Self::Tumbling => "tumbling".to_owned(),
        }
    }
}

/// Columns in memory: keys that come evenly and in no order, and values.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// For [`Query::Keyed`].
    Keyed {
        keys: Int64Array,
        values: Float64Array,
    },
    /// For [`Query::Tumbling`]: a record a millisecond.
    Windowed {
        keys: Int64Array,
        values: Int64Array,
        times: TimestampMillisecondArray,
    },
}

impl Data {
    /// Makes the columns; the same each time.
    pub(crate) fn new(query: Query, rows: usize) -> Self {
        let mut random = Random(SEED);
        let mut bits = || (0..rows).map(|_| random.bits()).collect::<Vec<_>>();
        let of = |bits: &[u64], end| bits.iter().map(|&b| scaled(b, end) as i64).collect();
        match query {
            Query::Keyed(keys) => {
                let bits = bits();
                let values: Vec<f64> = bits.iter().map(|b| (b % VALUE_MAX) as f64).collect();
                Self::Keyed {
                    keys: Int64Array::new(of(&bits, keys), None),
                    values: values.into(),
                }
            }
            Query::Tumbling => {
                let bits = bits();
                let value = |b: &u64| (b % WINDOWED_VALUE_MAX) as i64;
                Self::Windowed {
                    keys: Int64Array::new(of(&bits, WINDOWED_KEYS), None),
                    values: bits.iter().map(value).collect::<Vec<_>>().into(),
                    times: TimestampMillisecondArray::from_iter_values(
                        (0..rows as i64).map(|n| START_MS + n),
                    ),
                }
            }
        }
    }

    /// The same but for the last value, which is one more: answers over it are wrong.
    pub(crate) fn spoiled(&self) -> Self {
        match self {
            Self::Keyed { keys, values } => {
                let mut changed = values.values().to_vec();
                if let Some(last) = changed.last_mut() {
                    *last += 1.0;
                }
                Self::Keyed {
                    keys: keys.clone(),
                    values: changed.into(),
                }
            }
            Self::Windowed {
                keys,
                values,
                times,
            } => {
                let mut changed = values.values().to_vec();
                if let Some(last) = changed.last_mut() {
                    *last += 1;
                }
                Self::Windowed {
                    keys: keys.clone(),
                    values: changed.into(),
                    times: times.clone(),
                }
            }
        }
    }

    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Keyed { keys, .. } | Self::Windowed { keys, .. } => keys.values().len(),
        }
    }

    /// Its columns.
    pub(crate) fn arrays(&self) -> Vec<ArrayRef> {
        match self {
            Self::Keyed { keys, values } => {
                vec![Arc::new(keys.clone()), Arc::new(values.clone())]
            }
            Self::Windowed {
                keys,
                values,
                times,
            } => vec![
                Arc::new(keys.clone()),
                Arc::new(values.clone()),
                Arc::new(times.clone()),
            ],
        }
    }

    /// What its query gives.
    pub(crate) fn wanted(&self) -> Digest {
        match self {
            Self::Keyed { keys, values } => {
                let most = keys
                    .values()
                    .iter()
                    .max()
                    .map_or(0, |&key| key as usize + 1);
                let mut groups = vec![Totals::NONE; most];
                for (&key, &value) in keys.values().iter().zip(values.values()) {
                    groups[key as usize].add(value);
                }
                let mut digest = Digest::default();
                let present = (0..).zip(&groups).filter(|(_, totals)| totals.count > 0);
                present.for_each(|(key, totals)| digest.keyed(key, totals));
                digest
            }
            Self::Windowed {
                keys,
                values,
                times,
            } => {
                let first = times.values().first().map_or(0, |&at| window(at));
                let last = times.values().last().map_or(0, |&at| window(at));
                let width = WINDOWED_KEYS as usize;
                let mut groups = vec![(0i64, 0i64); (last - first + 1) as usize * width];
                let records = keys.values().iter().zip(values.values());
                for ((&key, &value), &at) in records.zip(times.values()) {
                    let place = (window(at) - first) as usize * width + key as usize;
                    let (count, sum) = &mut groups[place];
                    (*count, *sum) = (*count + 1, *sum + value);
                }
                let mut digest = Digest::default();
                for (place, (count, sum)) in groups.into_iter().enumerate() {
                    let (number, key) = (place / width, place % width);
                    if count > 0 {
                        let start = (first + number as i64) * WINDOW_MS;
                        digest.windowed(key as i64, start, count, sum);
                    }
                }
                digest
            }
        }
    }
}

/// The number of the window that holds a time.
pub(crate) fn window(at_ms: i64) -> i64 {
    at_ms.div_euclid(WINDOW_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_does_not_depend_on_order_and_on_everything_else() {
        let groups = [(1, 2, 3, 4), (2, 2, 3, 4), (1, 9, 3, 4)];
        let digest = |groups: &[(i64, i64, i64, i64)]| {
            let mut digest = Digest::default();
            groups
                .iter()
                .for_each(|g| digest.windowed(g.0, g.1, g.2, g.3));
            digest
        };
        let mut turned = groups;
        turned.reverse();
        assert_eq!(digest(&groups), digest(&turned));
        for (place, change) in (0..3).flat_map(|p| (0..4).map(move |c| (p, c))) {
            let mut other = groups;
            let group = &mut other[place];
            let fields = [&mut group.0, &mut group.1, &mut group.2, &mut group.3];
            *fields.into_iter().nth(change).expect("of four") += 1;
            assert_ne!(digest(&groups), digest(&other));
        }
        let mut halves = digest(&groups[..1]);
        halves.merge(&digest(&groups[1..]));
        assert_eq!(halves, digest(&groups));
    }

    #[test]
    fn one_value_makes_another_answer() {
        for query in [Query::Keyed(100), Query::Tumbling] {
            let data = Data::new(query, 1_000);
            assert_eq!(data.wanted(), Data::new(query, 1_000).wanted());
            assert_ne!(data.wanted(), data.spoiled().wanted());
            assert_eq!(data.wanted().rows, 1_000);
        }
    }
}
