//! What each record holds: a pure function of the seed and its number. Its event time is when it is
//! due, less what it is out of order by.

use std::io::Write;

use arrow_schema::TimeUnit;
use trefoil_ring0::Drawn;
use trefoil_ring0::format::time::write_timestamp;
use trefoil_ring0::program::{Draw, GeneratedColumn};

/// The event time of what is due at the beginning: 2024-01-01, so that a run's records are the same
/// on any day.
const BEGIN_NS: i64 = 1_704_067_200_000_000_000;

/// How records are made.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) seed: u64,
    /// How many keys there are.
    pub(crate) keys: u64,
    /// The exponent of Zipf's law; 0 where keys are as frequent as each other.
    pub(crate) zipf: f64,
    /// How far an event time falls behind at most.
    pub(crate) disorder_ns: u64,
    pub(crate) payload_bytes: usize,
}

/// Makes records.
#[derive(Debug)]
pub(crate) struct Records {
    key: Drawn,
    value: Drawn,
    behind: Drawn,
    payload: Drawn,
}

/// What a record holds, besides its payload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Record {
    pub(crate) seq: i64,
    pub(crate) key: i64,
    pub(crate) value: f64,
    /// Event time, in nanoseconds since the epoch.
    pub(crate) ts_ns: i64,
}

impl Records {
    pub(crate) fn new(recipe: &Recipe) -> Self {
        let drawn = |number, draw, length| {
            let column = GeneratedColumn {
                number,
                nulls_permille: 0,
                draw,
                length,
            };
            Drawn::new(&column, recipe.seed)
        };
        let keys = i64::try_from(recipe.keys).unwrap_or(i64::MAX);
        let uniform = |max| Draw::Uniform { min: 0, max };
        let key = match recipe.zipf > 0.0 {
            true => Draw::Zipf {
                cardinality: recipe.keys,
                exponent: recipe.zipf,
            },
            false => uniform(keys - 1),
        };
        let value = Draw::Between {
            min: 0.0,
            max: 100.0,
        };
        let behind = i64::try_from(recipe.disorder_ns).unwrap_or(i64::MAX);
        Self {
            key: drawn(0, key, 0),
            value: drawn(1, value, 0),
            behind: drawn(2, uniform(behind), 0),
            payload: drawn(3, uniform(i64::MAX), recipe.payload_bytes.max(1)),
        }
    }

    /// The record of this number, which is due then.
    pub(crate) fn record(&self, number: u64, due_ns: u64) -> Record {
        let due = BEGIN_NS.saturating_add_unsigned(due_ns);
        Record {
            seq: number as i64,
            key: self.key.number(number),
            value: self.value.float(number),
            ts_ns: due.saturating_sub(self.behind.number(number)),
        }
    }

    /// Writes a record's payload.
    pub(crate) fn payload(&self, number: u64, text: &mut String) {
        self.payload.text(self.payload.number(number), text);
    }
}

/// Writes a record as a line of NDJSON; without a payload where it is empty.
pub(crate) fn write_line(record: &Record, payload: &str, line: &mut Vec<u8>) {
    let Record {
        seq,
        key,
        value,
        ts_ns,
    } = record;
    let written = write!(
        line,
        "{{\"seq\":{seq},\"key\":{key},\"value\":{value},\"ts\":\""
    );
    written.expect("memory takes all bytes");
    write_timestamp(*ts_ns, TimeUnit::Nanosecond, line);
    line.push(b'"');
    if !payload.is_empty() {
        // It is of letters and digits.
        line.extend_from_slice(b",\"payload\":\"");
        line.extend_from_slice(payload.as_bytes());
        line.push(b'"');
    }
    line.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recipe() -> Recipe {
        Recipe {
            seed: 1,
            keys: 50,
            zipf: 0.0,
            disorder_ns: 0,
            payload_bytes: 0,
        }
    }

    proptest! {
        #[test]
        fn a_record_is_behind_by_the_disorder_at_most(
            seed: u64,
            disorder_ns in 0..10_000_000_000_u64,
            keys in 1..1_000_000_u64,
            zipf in prop_oneof![Just(0.0), 0.1..3.0_f64],
            number in 0..u64::from(u32::MAX),
            due_ns in 0..3_600_000_000_000_u64,
        ) {
            let recipe = Recipe { seed, disorder_ns, keys, zipf, ..recipe() };
            let record = Records::new(&recipe).record(number, due_ns);
            let behind = BEGIN_NS + due_ns as i64 - record.ts_ns;
            prop_assert!((0..=disorder_ns as i64).contains(&behind));
            prop_assert!((0..keys as i64).contains(&record.key));
            prop_assert!((0.0..100.0).contains(&record.value));
            prop_assert_eq!(record, Records::new(&recipe).record(number, due_ns));
        }
    }

    #[test]
    fn frequent_keys_are_as_frequent_as_zipf_says() {
        for zipf in [0.0, 0.8, 1.0, 1.5] {
            let records = Records::new(&Recipe { zipf, ..recipe() });
            let mut counts = [0_f64; 50];
            let all = 200_000;
            (0..all).for_each(|n| counts[records.record(n, 0).key as usize] += 1.0);
            let shares: Vec<f64> = (1..=50).map(|k| f64::from(k).powf(-zipf)).collect();
            let sum: f64 = shares.iter().sum();
            for (count, share) in counts.iter().zip(&shares) {
                let want = share / sum * all as f64;
                assert!(
                    (count - want).abs() < 5.0 * want.sqrt() + 1.0,
                    "{count} for {want}"
                );
            }
        }
    }

    #[test]
    fn disorder_is_used_up_and_seeds_differ() {
        let disorder_ns = 1_000_000;
        let records = Records::new(&Recipe {
            disorder_ns,
            ..recipe()
        });
        let behind = |n| BEGIN_NS - records.record(n, 0).ts_ns;
        let furthest = (0..1000).map(behind).max();
        assert!(furthest > Some(950_000), "{furthest:?}");
        let other = Records::new(&Recipe {
            seed: 2,
            ..recipe()
        });
        assert_ne!(other.record(5, 0).key, records.record(5, 0).key);
    }

    #[test]
    fn a_line_is_json() {
        let records = Records::new(&Recipe {
            payload_bytes: 12,
            ..recipe()
        });
        let record = records.record(7, 1_500_000_000);
        let (mut line, mut payload) = (Vec::new(), String::new());
        records.payload(7, &mut payload);
        write_line(&record, &payload, &mut line);
        let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            (&json["seq"], &json["key"]),
            (&7.into(), &record.key.into())
        );
        assert_eq!(json["value"], record.value);
        assert_eq!(json["ts"], "2024-01-01T00:00:01.500000000");
        assert_eq!(json["payload"].as_str().unwrap().len(), 12);
        line.clear();
        write_line(&record, "", &mut line);
        assert!(!String::from_utf8(line).unwrap().contains("payload"));
    }
}
