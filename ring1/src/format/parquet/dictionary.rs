//! What a dictionary's page says of itself, before it is decoded: the crate makes room for as many
//! values as the page says it has, which a damaged one may say to be billions.

use parquet::basic::Type;
use parquet::file::metadata::ColumnChunkMetaData;

/// The page's kind in its header that is a dictionary's.
const DICTIONARY: i64 = 2;
/// Structs within structs of a header; it has statistics in its data pages at most.
const DEPTH_MAX: usize = 8;

/// Refuses a column that begins with a dictionary which says to have more values than its bytes
/// hold. A header that ends too soon, or has what is not known here, is for the crate to tell of;
/// but it reads numbers of any length.
///
/// # Errors
/// How many values the dictionary says to have, in how many bytes; or that a number is none.
pub(super) fn check(column: &ColumnChunkMetaData, bytes: &[u8]) -> Result<(), String> {
    let damaged = |what: String| {
        let path = column.column_path();
        Err(format!("it is damaged: column {path} begins with {what}"))
    };
    let mut thrift = Compact {
        bytes,
        is_endless: false,
    };
    let Some(Page { values, size }) = dictionary(&mut thrift) else {
        return match thrift.is_endless {
            true => damaged("a page whose header has a number without an end".to_owned()),
            false => Ok(()),
        };
    };
    let description = column.column_descr();
    let least = match description.physical_type() {
        Type::BOOLEAN => return Ok(()),
        Type::INT32 | Type::FLOAT => 4,
        Type::INT64 | Type::DOUBLE => 8,
        Type::INT96 => 12,
        // Each begins with its length.
        Type::BYTE_ARRAY => 4,
        Type::FIXED_LEN_BYTE_ARRAY => i64::from(description.type_length().max(1)),
    };
    let fits = values >= 0 && values.checked_mul(least).is_some_and(|least| least <= size);
    match fits {
        true => Ok(()),
        false => damaged(format!("a dictionary of {values} values in {size} bytes")),
    }
}

/// A dictionary's page.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    values: i64,
    /// Bytes of the values, when they are not compressed.
    size: i64,
}

/// The header of the page that begins here, if it is a dictionary's.
fn dictionary(thrift: &mut Compact<'_>) -> Option<Page> {
    let (mut kind, mut size, mut values) = (None, None, None);
    let mut field = 0;
    while let Some(of) = thrift.field(&mut field)? {
        match (field, of) {
            (1, Kind::Integer) => kind = Some(thrift.integer()?),
            (2, Kind::Integer) => size = Some(thrift.integer()?),
            (7, Kind::Struct) => {
                let mut inner = 0;
                while let Some(of) = thrift.field(&mut inner)? {
                    match (inner, of) {
                        (1, Kind::Integer) => values = Some(thrift.integer()?),
                        _ => thrift.skip(of, DEPTH_MAX)?,
                    }
                }
            }
            _ => thrift.skip(of, DEPTH_MAX)?,
        }
    }
    // Both have 32 bits: the crate takes the lowest of what is there.
    let [values, size] = [values?, size?].map(|number| i64::from(number as i32));
    (kind? == DICTIONARY).then_some(Page { values, size })
}

/// Kinds of values in Thrift's compact protocol, as far as headers have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is in the field's own byte.
    Boolean,
    Byte,
    Integer,
    Double,
    Bytes,
    Struct,
}

/// Bytes in Thrift's compact protocol.
#[derive(Debug)]
struct Compact<'b> {
    bytes: &'b [u8],
    /// A number was longer than one can be.
    is_endless: bool,
}

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        self.is_endless = true;
        None
    }

    /// Signs alternate: 0, -1, 1, -2 ..
    fn integer(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// The next field of a struct: its kind, and its number behind the one before. The inner `None`
    /// is the struct's end.
    fn field(&mut self, number: &mut i64) -> Option<Option<Kind>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *number = match byte >> 4 {
            0 => self.integer()?,
            delta => number.checked_add(i64::from(delta))?,
        };
        Some(Some(match byte & 0x0f {
            1 | 2 => Kind::Boolean,
            3 => Kind::Byte,
            4..=6 => Kind::Integer,
            7 => Kind::Double,
            8 => Kind::Bytes,
            12 => Kind::Struct,
            _ => return None,
        }))
    }

    fn skip(&mut self, kind: Kind, depth: usize) -> Option<()> {
        match kind {
            Kind::Boolean => {}
            Kind::Byte => _ = self.byte()?,
            Kind::Integer => _ = self.number()?,
            Kind::Double => self.bytes = self.bytes.get(8..)?,
            Kind::Bytes => {
                let length = usize::try_from(self.number()?).ok()?;
                self.bytes = self.bytes.get(length..)?;
            }
            Kind::Struct => {
                let depth = depth.checked_sub(1)?;
                let mut field = 0;
                while let Some(kind) = self.field(&mut field)? {
                    self.skip(kind, depth)?;
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary(bytes: &[u8]) -> Option<Page> {
        let mut thrift = Compact {
            bytes,
            is_endless: false,
        };
        super::dictionary(&mut thrift)
    }

    #[test]
    fn numbers_end() {
        let numbers = |bytes: &[u8]| {
            let mut thrift = Compact {
                bytes,
                is_endless: false,
            };
            (thrift.number(), thrift.is_endless)
        };
        assert_eq!(numbers(&[0xff; 9]), (None, false));
        assert_eq!(numbers(&[0xff; 10]), (None, true));
        let most = [&[0xff_u8; 9][..], &[1]].concat();
        assert_eq!(numbers(&most), (Some(u64::MAX), false));
    }

    /// The crate keeps the lowest bits of a number that has too many.
    #[test]
    fn counts_have_32_bits() {
        let count = (1_u64 << 33) + 2 * 913_066_131;
        let varint: Vec<u8> = (0..5)
            .map(|i| (count >> (7 * i)) as u8 & 0x7f | if i < 4 { 0x80 } else { 0 })
            .collect();
        let header = [
            &[0x15, 4, 0x15, 32, 0x15, 24, 0x4c, 0x15][..],
            &varint,
            &[0, 0],
        ]
        .concat();
        let values = dictionary(&header).map(|page| page.values);
        assert_eq!(values, Some(913_066_131));
    }

    #[test]
    fn headers_of_dictionaries() {
        // Kind 2, 16 bytes, 12 compressed; a dictionary of 2 values in encoding 0, sorted.
        let header = [
            0x15, 4, 0x15, 32, 0x15, 24, 0x4c, 0x15, 4, 0x15, 0, 0x11, 0, 0,
        ];
        let page = Page {
            values: 2,
            size: 16,
        };
        assert_eq!(dictionary(&header), Some(page));
        for length in 0..header.len() {
            assert_eq!(dictionary(&header[..length]), None, "{length} bytes");
        }
        // One of data has its own fields, some of them in structs.
        let data = [
            0x15, 0, 0x15, 32, 0x15, 24, 0x2c, 0x15, 4, 0x15, 0, 0x15, 6, 0x15, 6, 0x1c, 0x18, 1,
            7, 0, 0, 0,
        ];
        assert_eq!(dictionary(&data), None);
        assert_eq!(dictionary(&[0x1c; 64]), None);
        assert_eq!(dictionary(&[0xf5; 64]), None);
    }
}
