//! What a file is that holds no text: told by its first bytes, which no text in UTF-8 begins with.

/// Any byte that is not zero, in a pattern.
const LETTER: Option<u8> = None;

/// First bytes, what they are those of, and what to do.
const KINDS: [(&[Option<u8>], &str); 6] = [
    (
        &[Some(0x1F), Some(0x8B), Some(0x08)],
        "is compressed with gzip: unpack it first",
    ),
    (
        &[Some(0x28), Some(0xB5), Some(0x2F), Some(0xFD)],
        "is compressed with zstd: unpack it first",
    ),
    (
        &[
            Some(b'B'),
            Some(b'Z'),
            Some(b'h'),
            LETTER,
            Some(0x31),
            Some(0x41),
            Some(0x59),
        ],
        "is compressed with bzip2: unpack it first",
    ),
    (
        &[Some(b'P'), Some(b'K'), Some(0x03), Some(0x04)],
        "is a zip archive: unpack it first",
    ),
    (
        &[Some(0xFF), Some(0xFE), LETTER, Some(0)],
        "is text in UTF-16, and not in UTF-8",
    ),
    (
        &[Some(0xFE), Some(0xFF), Some(0), LETTER],
        "is text in UTF-16, and not in UTF-8",
    ),
];
/// So many bytes tell.
pub(super) const KIND_BYTES: usize = 8;

/// Refuses what begins as no text does.
pub(super) fn check_text(start: &[u8]) -> Result<(), String> {
    let is = |bytes: &&[Option<u8>]| {
        let mut both = bytes.iter().zip(start);
        start.len() >= bytes.len()
            && both.all(|(want, byte)| want.map_or(*byte != 0, |want| want == *byte))
    };
    match KINDS.iter().find(|(bytes, _)| is(bytes)) {
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
        for (bytes, what) in KINDS {
            assert!(bytes.len() <= KIND_BYTES);
            let start: Vec<u8> = bytes.iter().map(|byte| byte.unwrap_or(b'1')).collect();
            assert_eq!(check_text(&start), Err(format!("it {what}")));
            let longer = [&start[..], b"\0\n"].concat();
            assert_eq!(check_text(&longer), Err(format!("it {what}")));
            let last = start.len() - 1;
            assert_eq!(check_text(&start[..last]), Ok(()));
        }
        // Bad records, as any that are not UTF-8.
        assert_eq!(check_text(b"\xFF\xFE{}"), Ok(()));
        assert_eq!(check_text(b"\xFF\xFE\0\0"), Ok(()));
    }
}
