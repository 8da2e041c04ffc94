//! Values that no column wants, at a place in text: where they end, if they are JSON.

use super::strings;
use crate::format::number;

/// Objects and arrays inside each other that are followed here, as many as a word has bits less
/// some; deeper ones are for the other parser.
const DEPTH_MAX: u32 = 60;

/// What is behind the blanks at `at`. A newline ends the record and is none.
#[inline(always)]
pub(super) fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Where the value at `at` ends.
#[inline(always)]
pub(super) fn value(bytes: &[u8], at: usize) -> Option<usize> {
    match *bytes.get(at)? {
        b'"' => strings::skip(bytes, at + 1),
        b'-' | b'0'..=b'9' => number::end(bytes, at),
        b'{' | b'[' => nested(bytes, at),
        _ => word(bytes, at),
    }
}

/// Where the `true`, `false` or `null` at `at` ends.
#[inline]
fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let words: [&[u8]; 3] = [b"true", b"false", b"null"];
    let word = words.into_iter().find(|w| rest.starts_with(w))?;
    Some(at + word.len())
}

/// Where the name of a member ends, with its colon and the blanks around.
fn name(bytes: &[u8], at: usize) -> Option<usize> {
    if *bytes.get(at)? != b'"' {
        return None;
    }
    let at = blanks(bytes, strings::skip(bytes, at + 1)?);
    (*bytes.get(at)? == b':').then(|| blanks(bytes, at + 1))
}

/// Where the object or array at `at` ends.
#[inline(never)]
fn nested(bytes: &[u8], mut at: usize) -> Option<usize> {
    // Bit d says whether what is open at depth d is an object.
    let (mut objects, mut depth) = (0u64, 0u32);
    loop {
        match *bytes.get(at)? {
            open @ (b'{' | b'[') => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return None;
                }
                let is_object = open == b'{';
                objects = objects & !(1 << depth) | u64::from(is_object) << depth;
                at = blanks(bytes, at + 1);
                // `{` and `}`, `[` and `]` are two apart.
                if *bytes.get(at)? != open + 2 {
                    if is_object {
                        at = name(bytes, at)?;
                    }
                    continue;
                }
                depth -= 1;
                at += 1;
            }
            b'"' => at = strings::skip(bytes, at + 1)?,
            b'-' | b'0'..=b'9' => at = number::end(bytes, at)?,
            _ => at = word(bytes, at)?,
        }
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = blanks(bytes, at);
            let is_object = objects >> depth & 1 == 1;
            match *bytes.get(at)? {
                b',' => {
                    at = blanks(bytes, at + 1);
                    if is_object {
                        at = name(bytes, at)?;
                    }
                    break;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            depth -= 1;
            at += 1;
        }
    }
}
