//! What a file is that holds no text: told by its first bytes, which no text in UTF-8 begins with.

/// First bytes, what they are those of, and what to do.
const KINDS: [(&[u8], &str); 6] = [
    (b"\x1F\x8B", "is compressed with gzip: unpack it first"),
    (
        b"\x28\xB5\x2F\xFD",
        "is compressed with zstd: unpack it first",
    ),
    (
        b"BZh9\x31\x41\x59\x26",
        "is compressed with bzip2: unpack it first",
    ),
    (b"PK\x03\x04", "is a zip archive: unpack it first"),
    (b"\xFF\xFE", "is text in UTF-16, and not in UTF-8"),
    (b"\xFE\xFF", "is text in UTF-16, and not in UTF-8"),
];
/// So many bytes tell.
pub(super) const KIND_BYTES: usize = 8;

/// Refuses what begins as no text does.
pub(super) fn check_text(start: &[u8]) -> Result<(), String> {
    match KINDS.iter().find(|(bytes, _)| start.starts_with(bytes)) {
        Some((_, what)) => Err(format!("it {what}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_text_and_what_is_not() {
        for text in ["", "{", "BZh", "BZh9,a\n", "PK,n\n", "\u{feff}{}", "\u{1f}"] {
            assert_eq!(check_text(text.as_bytes()), Ok(()), "{text:?}");
        }
        for (start, _) in KINDS {
            assert!(start.len() <= KIND_BYTES);
            assert!(check_text(start).is_err());
            assert!(check_text(&[start, b"\0\n"].concat()).is_err());
            assert_eq!(check_text(&start[..1]), Ok(()), "one byte tells nothing");
        }
    }
}
