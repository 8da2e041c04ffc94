//! The one hash of keys: routing and state share it. Columns are folded one after the other over
//! canonical values (integers widened, one zero, one NaN, times in nanoseconds, decimals without
//! trailing zeros, NULL tagged, strings and lists with their length), so that equal keys hash alike
//! in every frame and on every machine. `docs/format.md` says how, with vectors.
//!
//! The mixing is that of wyhash (Wang Yi, public domain): two folded 64 x 64 -> 128 bit
//! multiplications a value, in the variant that keeps its inputs where a product is zero.

use arrow_schema::DataType;

use crate::column::{Column, Fixed, Interval, Validity};
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

/// The last `bytes.len() % 8` bytes, with zeros behind them. Without a copy of a length that nobody
/// can foresee, which costs a call.
#[inline]
fn rest(bytes: &[u8]) -> u64 {
    let (len, left) = (bytes.len(), bytes.len() % 8);
    let short = |from: usize| {
        let half = bytes[from..from + 4].first_chunk().expect("four bytes");
        u64::from(u32::from_le_bytes(*half))
    };
    match (bytes.last_chunk::<8>(), left) {
        (_, 0) => 0,
        (Some(last), left) => u64::from_le_bytes(*last) >> (64 - 8 * left),
        // The two halves overlap where there are less than eight bytes, in bytes that are the same.
        (None, 4..) => short(0) | short(len - 4) << (8 * (len - 4)),
        (None, _) => {
            let (first, middle, last) = (bytes[0], bytes[len / 2], bytes[len - 1]);
            u64::from(first)
                | u64::from(middle) << (8 * (len / 2))
                | u64::from(last) << (8 * (len - 1))
        }
    }
}

#[inline]
fn mix_bytes(bytes: &[u8], seed: u64) -> u64 {
    let mut state = seed;
    let (words, _) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        state = fold(word ^ SECRET_0, state ^ SECRET_1) ^ state.rotate_left(23);
    }
    mix(rest(bytes) ^ state, bytes.len() as u64 ^ seed)
}

/// Digits and scale without trailing zeros: what decimals of one value have in common.
fn mix_decimal(value: i128, scale: u8, seed: u64) -> u64 {
    let (mut digits, mut places) = (value, i16::from(scale));
    if digits == 0 {
        places = 0;
    }
    while digits != 0 && digits % 10 == 0 {
        // The shorter division is the faster one by far.
        digits = match i64::try_from(digits) {
            Ok(short) => i128::from(short / 10),
            Err(_) => digits / 10,
        };
        places -= 1;
    }
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&digits.to_le_bytes());
    bytes[16..].copy_from_slice(&places.to_le_bytes());
    mix_bytes(&bytes, seed)
}

fn mix_interval(value: Interval, seed: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&value.months.to_le_bytes());
    bytes[4..8].copy_from_slice(&value.days.to_le_bytes());
    bytes[8..].copy_from_slice(&value.nanoseconds.to_le_bytes());
    mix_bytes(&bytes, seed)
}

/// Nanoseconds of one unit of a type of time, 1 for other types.
fn type_nanos(data_type: &DataType) -> i64 {
    match data_type {
        DataType::Timestamp(unit, _)
        | DataType::Duration(unit)
        | DataType::Time32(unit)
        | DataType::Time64(unit) => unit_nanos(*unit),
        _ => 1,
    }
}

/// Digits behind the point of a DECIMAL.
fn type_scale(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Decimal128(_, scale) => scale.unsigned_abs(),
        other => unreachable!("{other} has no scale"),
    }
}

/// Replaces `out` by one hash for each row of `frame`, of the columns `keys`.
pub fn hash_keys(frame: &Frame, schema: &Schema, keys: &[usize], seed: u64, out: &mut Vec<u64>) {
    out.clear();
    out.resize(frame.rows(), seed);
    for &key in keys {
        fold_column(out, &frame.columns[key], &schema.fields[key].data_type);
    }
}

fn fold_column(out: &mut [u64], column: &Column, data_type: &DataType) {
    match column {
        Column::Bool(c) => fold_rows(out, &c.validity, |i, h| mix(c.values.get(i).into(), h)),
        Column::I8(c) => fold_fixed(out, c, |v| i64::from(v) as u64),
        Column::I16(c) => fold_fixed(out, c, |v| i64::from(v) as u64),
        Column::I32(c) => match type_nanos(data_type) {
            1 => fold_fixed(out, c, |v| i64::from(v) as u64),
            nanos => fold_fixed(out, c, |v| (i64::from(v) * nanos) as u64),
        },
        Column::I64(c) => match type_nanos(data_type) {
            1 => fold_fixed(out, c, |v| v as u64),
            nanos => fold_fixed(out, c, |v| v.wrapping_mul(nanos) as u64),
        },
        Column::U8(c) => fold_fixed(out, c, u64::from),
        Column::U16(c) => fold_fixed(out, c, u64::from),
        Column::U32(c) => fold_fixed(out, c, u64::from),
        Column::U64(c) => fold_fixed(out, c, |v| v),
        Column::F32(c) => fold_fixed(out, c, |v| canonical_bits(f64::from(v))),
        Column::F64(c) => fold_fixed(out, c, canonical_bits),
        Column::I128(c) => {
            let scale = type_scale(data_type);
            fold_rows(out, &c.validity, |i, h| mix_decimal(c.values[i], scale, h));
        }
        Column::Interval(c) => fold_rows(out, &c.validity, |i, h| mix_interval(c.values[i], h)),
        Column::Utf8(c) => fold_rows(out, &c.validity, |i, h| mix_bytes(c.bytes(i), h)),
        Column::Binary(c) => fold_rows(out, &c.validity, |i, h| mix_bytes(c.bytes(i), h)),
        Column::List(_) | Column::Struct(_) => {
            for (i, hash) in out.iter_mut().enumerate() {
                *hash = mix_value(column, data_type, i, *hash);
            }
        }
    }
}

/// One value, as in [`fold_column`]; a list's number of elements stands before them.
fn mix_value(column: &Column, data_type: &DataType, i: usize, seed: u64) -> u64 {
    if !column.is_valid(i) {
        return mix_null(seed);
    }
    let integer = |v: i64| mix(v.wrapping_mul(type_nanos(data_type)) as u64, seed);
    match (column, data_type) {
        (Column::Bool(c), _) => mix(c.values.get(i).into(), seed),
        (Column::I8(c), _) => integer(c.values[i].into()),
        (Column::I16(c), _) => integer(c.values[i].into()),
        (Column::I32(c), _) => integer(c.values[i].into()),
        (Column::I64(c), _) => integer(c.values[i]),
        (Column::U8(c), _) => mix(c.values[i].into(), seed),
        (Column::U16(c), _) => mix(c.values[i].into(), seed),
        (Column::U32(c), _) => mix(c.values[i].into(), seed),
        (Column::U64(c), _) => mix(c.values[i], seed),
        (Column::F32(c), _) => mix(canonical_bits(c.values[i].into()), seed),
        (Column::F64(c), _) => mix(canonical_bits(c.values[i]), seed),
        (Column::I128(c), _) => mix_decimal(c.values[i], type_scale(data_type), seed),
        (Column::Interval(c), _) => mix_interval(c.values[i], seed),
        (Column::Utf8(c), _) => mix_bytes(c.bytes(i), seed),
        (Column::Binary(c), _) => mix_bytes(c.bytes(i), seed),
        (Column::List(c), DataType::List(item)) => {
            let elements = c.range(i);
            let seed = mix(elements.len() as u64, seed);
            elements.fold(seed, |seed, e| {
                mix_value(&c.values, item.data_type(), e, seed)
            })
        }
        (Column::Struct(c), DataType::Struct(fields)) => {
            let members = c.fields.iter().zip(fields);
            members.fold(seed, |seed, (m, f)| mix_value(m, f.data_type(), i, seed))
        }
        (Column::List(_) | Column::Struct(_), other) => unreachable!("a nested {other}"),
    }
}

fn fold_fixed<T: Copy>(out: &mut [u64], column: &Fixed<T>, canonical: impl Fn(T) -> u64) {
    if column.validity.nulls() == 0 {
        for (hash, &value) in out.iter_mut().zip(&column.values) {
            *hash = mix(canonical(value), *hash);
        }
    } else {
        fold_rows(out, &column.validity, |i, h| {
            mix(canonical(column.values[i]), h)
        });
    }
}

fn fold_rows(out: &mut [u64], validity: &Validity, value: impl Fn(usize, u64) -> u64) {
    for (i, hash) in out.iter_mut().enumerate() {
        *hash = if validity.is_valid(i) {
            value(i, *hash)
        } else {
            mix_null(*hash)
        };
    }
}

#[cfg(test)]
mod tests;
