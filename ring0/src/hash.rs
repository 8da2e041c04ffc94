//! The one hash of keys: routing and state share it. Columns are folded one after the other over
//! canonical values (integers widened, one zero, one NaN, timestamps in nanoseconds, NULL tagged,
//! strings with their length), so that equal keys hash alike in every frame and on every machine.
//!
//! The mixing is that of wyhash (Wang Yi, public domain): two folded 64 x 64 -> 128 bit
//! multiplications a value, in the variant that keeps its inputs where a product is zero.

use arrow_schema::DataType;

use crate::column::{Column, Fixed, Strings, Validity};
use crate::frame::Frame;
use crate::limits::KEY_GROUPS;
use crate::schema::{Schema, unit_nanos};

const SECRET_0: u64 = 0x2d35_8dcc_aa6c_78a5;
const SECRET_1: u64 = 0x8bb8_4b93_962e_acc9;
/// Stands for NULL: folded with another secret than values are.
const SECRET_NULL: u64 = 0x4b33_a62e_d433_d4a3;
/// Bits of the one NaN.
pub const NAN_BITS: u64 = 0x7ff8_0000_0000_0000;

const GROUP_SHIFT: u32 = 64 - KEY_GROUPS.trailing_zeros();

/// Bits of a double with one zero and one NaN.
#[inline]
pub fn canonical_bits(value: f64) -> u64 {
    if value.is_nan() {
        NAN_BITS
    } else {
        // Adding a positive zero turns -0.0 into 0.0 and changes nothing else.
        (value + 0.0).to_bits()
    }
}

/// The key group of a hash: its high bits.
#[inline]
pub fn key_group(hash: u64) -> u32 {
    (hash >> GROUP_SHIFT) as u32
}

/// The shard, of `shards`, that owns a hash.
#[inline]
pub fn owner(hash: u64, shards: usize) -> usize {
    key_group(hash) as usize * shards / KEY_GROUPS
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[inline]
fn mix(value: u64, seed: u64) -> u64 {
    let a = value ^ SECRET_0;
    let b = seed ^ SECRET_1;
    let product = u128::from(a) * u128::from(b);
    fold(
        a ^ product as u64 ^ SECRET_0,
        b ^ (product >> 64) as u64 ^ SECRET_1,
    )
}

#[inline]
fn mix_null(seed: u64) -> u64 {
    mix(SECRET_NULL, seed.rotate_left(32) ^ SECRET_NULL)
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    let mut padded = [0; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(padded)
}

fn mix_bytes(bytes: &[u8], seed: u64) -> u64 {
    let mut state = seed;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        state = fold(word(chunk) ^ SECRET_0, state ^ SECRET_1) ^ state.rotate_left(23);
    }
    mix(word(chunks.remainder()) ^ state, bytes.len() as u64 ^ seed)
}

/// Replaces `out` by one hash for each row of `frame`, of the columns `keys`.
pub fn hash_keys(frame: &Frame, schema: &Schema, keys: &[usize], seed: u64, out: &mut Vec<u64>) {
    out.clear();
    out.resize(frame.rows(), seed);
    for &key in keys {
        match &frame.columns[key] {
            Column::Bool(c) => fold_rows(out, &c.validity, |i| u64::from(c.values.get(i))),
            Column::I32(c) => fold_fixed(out, c, |v| i64::from(v) as u64),
            Column::I64(c) => match schema.fields[key].data_type {
                DataType::Timestamp(unit, _) => {
                    let nanos = unit_nanos(unit);
                    fold_fixed(out, c, |v| v.wrapping_mul(nanos) as u64);
                }
                _ => fold_fixed(out, c, |v| v as u64),
            },
            Column::F64(c) => fold_fixed(out, c, canonical_bits),
            Column::Utf8(c) => fold_strings(out, c),
        }
    }
}

fn fold_fixed<T: Copy>(out: &mut [u64], column: &Fixed<T>, canonical: impl Fn(T) -> u64) {
    if column.validity.nulls() == 0 {
        for (hash, &value) in out.iter_mut().zip(&column.values) {
            *hash = mix(canonical(value), *hash);
        }
    } else {
        fold_rows(out, &column.validity, |i| canonical(column.values[i]));
    }
}

fn fold_rows(out: &mut [u64], validity: &Validity, canonical: impl Fn(usize) -> u64) {
    for (i, hash) in out.iter_mut().enumerate() {
        *hash = if validity.is_valid(i) {
            mix(canonical(i), *hash)
        } else {
            mix_null(*hash)
        };
    }
}

fn fold_strings(out: &mut [u64], column: &Strings) {
    for (i, hash) in out.iter_mut().enumerate() {
        *hash = if column.validity.is_valid(i) {
            mix_bytes(column.bytes(i), *hash)
        } else {
            mix_null(*hash)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Field;
    use arrow_schema::TimeUnit;
    use proptest::prelude::*;

    type Row = (Option<i64>, Option<f64>, Option<String>);

    fn hashes(rows: &[Row]) -> Vec<u64> {
        let schema = Schema::new(vec![
            Field::new("i", DataType::Int64),
            Field::new("f", DataType::Float64),
            Field::new("s", DataType::Utf8),
        ]);
        let mut frame = Frame::new(&schema, rows.len().max(1));
        for (i, f, s) in rows {
            let [Column::I64(a), Column::F64(b), Column::Utf8(c)] = &mut frame.columns[..] else {
                panic!("columns of another type")
            };
            a.push(*i);
            b.push(*f);
            c.push(s.as_deref());
        }
        frame.commit_rows(rows.len());
        let mut out = Vec::new();
        hash_keys(&frame, &schema, &[0, 1, 2], 7, &mut out);
        out
    }

    #[test]
    fn vectors_are_pinned() {
        let text = |s: &str| Some(s.to_owned());
        let rows = [
            (Some(0), Some(0.0), text("")),
            (Some(1), Some(-0.0), text("a")),
            (None, None, None),
            (Some(-1), Some(f64::NAN), text("twelve bytes")),
        ];
        assert_eq!(hashes(&rows), PINNED);
    }

    const PINNED: [u64; 4] = [
        8_194_558_813_822_689_384,
        11_509_337_150_047_812_249,
        6_679_892_221_688_835_340,
        12_632_387_335_307_330_498,
    ];

    #[test]
    fn units_of_time_do_not_matter() {
        let mut all = Vec::new();
        for (unit, value) in [(TimeUnit::Second, 5), (TimeUnit::Microsecond, 5_000_000)] {
            let schema = Schema::new(vec![Field::new("t", DataType::Timestamp(unit, None))]);
            let mut frame = Frame::new(&schema, 1);
            if let Column::I64(c) = &mut frame.columns[0] {
                c.push(Some(value));
            }
            frame.commit_rows(1);
            let mut out = Vec::new();
            hash_keys(&frame, &schema, &[0], 1, &mut out);
            all.push(out);
        }
        assert_eq!(all[0], all[1]);
    }

    #[test]
    fn shards_get_even_shares() {
        for stride in [1i64, 64, 1 << 20, 1 << 40] {
            for shards in [1, 3, 8, 64] {
                let rows: Vec<Row> = (0..20_000)
                    .map(|i: i64| (Some(i.wrapping_mul(stride)), None, None))
                    .collect();
                let mut counts = vec![0usize; shards];
                for hash in hashes(&rows) {
                    counts[owner(hash, shards)] += 1;
                }
                let even = rows.len() / shards;
                assert!(
                    counts.iter().all(|&c| c > even / 2 && c < even * 2),
                    "{counts:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn equal_keys_hash_alike(
            row in any::<Row>(),
            before in prop::collection::vec(any::<Row>(), 0..9),
        ) {
            let alone = hashes(std::slice::from_ref(&row));
            let mut other = row.clone();
            other.1 = other.1.map(|f| if f.is_nan() || f == 0.0 { -f } else { f });
            let mut rows = before;
            rows.push(other);
            let last = hashes(&rows).last().copied();
            prop_assert_eq!(last, alone.first().copied());
        }
    }
}
