//! Strings of JSON at a place in text. Where a string has an escape it is put together in a buffer
//! that its owner reuses. UTF-8 is checked string by string, and only where one is not ASCII: all
//! else that is accepted in a record is.

use std::str::from_utf8;

use crate::format::scan::json_text;

/// The string whose text begins at `at`, behind its quote, and where it ends; `None` for what is
/// none. `buffer` is for strings with escapes.
#[inline(always)]
pub(super) fn read<'a>(
    bytes: &'a [u8],
    at: usize,
    buffer: &'a mut Vec<u8>,
) -> Option<(&'a str, usize)> {
    let stretch = json_text(bytes, at)?;
    if bytes[stretch.end] != b'"' {
        return read_escaped(bytes, at, buffer);
    }
    let text = &bytes[at..stretch.end];
    let text = if stretch.ascii {
        // SAFETY: ASCII is UTF-8.
        unsafe { std::str::from_utf8_unchecked(text) }
    } else {
        from_utf8(text).ok()?
    };
    Some((text, stretch.end + 1))
}

#[inline(never)]
fn read_escaped<'a>(
    bytes: &[u8],
    mut at: usize,
    buffer: &'a mut Vec<u8>,
) -> Option<(&'a str, usize)> {
    buffer.clear();
    loop {
        let end = json_text(bytes, at)?.end;
        buffer.extend_from_slice(&bytes[at..end]);
        match bytes[end] {
            b'"' => return Some((from_utf8(buffer).ok()?, end + 1)),
            b'\\' => at = unescape(bytes, end + 1, buffer)?,
            _ => return None,
        }
    }
}

/// Appends what the escape is whose backslash is before `at`; gives where it ends.
fn unescape(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Option<usize> {
    let plain = match *bytes.get(at)? {
        b @ (b'"' | b'\\' | b'/') => b,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let (letter, end) = unicode(bytes, at + 1)?;
            out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(end);
        }
        _ => return None,
    };
    out.push(plain);
    Some(at + 1)
}

/// The letter whose first four hexadecimal digits are at `at`; one beyond 16 bits is two escapes.
fn unicode(bytes: &[u8], at: usize) -> Option<(char, usize)> {
    let first = hex(bytes, at)?;
    if !(0xd800..0xe000).contains(&first) {
        return Some((char::from_u32(first)?, at + 4));
    }
    let second = match bytes.get(at + 4..at + 6)? {
        b"\\u" => hex(bytes, at + 6)?,
        _ => return None,
    };
    if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    let code = 0x1_0000 + ((first - 0xd800) << 10 | (second - 0xdc00));
    Some((char::from_u32(code)?, at + 10))
}

fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |number, &b| {
        Some(number << 4 | char::from(b).to_digit(16)?)
    })
}

/// Where the string ends whose text begins at `at`. As serde_json does for what nobody wants, a
/// `\u` is held to four digits and no more.
#[inline(always)]
pub(super) fn skip(bytes: &[u8], at: usize) -> Option<usize> {
    let stretch = json_text(bytes, at)?;
    if bytes[stretch.end] == b'"' && stretch.ascii {
        return Some(stretch.end + 1);
    }
    skip_any(bytes, at)
}

#[inline(never)]
fn skip_any(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut ascii) = (start, true);
    loop {
        let stretch = json_text(bytes, at)?;
        ascii &= stretch.ascii;
        match bytes[stretch.end] {
            b'"' if ascii => return Some(stretch.end + 1),
            b'"' => {
                from_utf8(&bytes[start..stretch.end]).ok()?;
                return Some(stretch.end + 1);
            }
            b'\\' => match bytes.get(stretch.end + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at = stretch.end + 2,
                b'u' => {
                    hex(bytes, stretch.end + 2)?;
                    at = stretch.end + 6;
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}
