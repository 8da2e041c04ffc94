//! LIKE and ILIKE. A pattern becomes parts of plain text between `%`s, once as long as it stays the
//! same from row to row; each part is found where it first fits.

use crate::column::{Bools, Column, Strings};

/// The operation and the pattern that it last saw.
#[derive(Debug)]
pub(super) struct Like {
    negated: bool,
    ignore_case: bool,
    pattern: Pattern,
    /// One value in small letters.
    folded: String,
}

/// A pattern in parts.
#[derive(Debug, Default)]
struct Pattern {
    text: Option<String>,
    /// Between the `%`s, of which there is one less.
    parts: Vec<Vec<Piece>>,
    /// All parts as texts, where no piece is `_`.
    plain: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    This(char),
    /// `_`
    One,
}

impl Like {
    pub(super) fn new(negated: bool, ignore_case: bool) -> Self {
        Self {
            negated,
            ignore_case,
            pattern: Pattern::default(),
            folded: String::new(),
        }
    }

    /// Replaces `out` by whether each value is like its pattern.
    pub(super) fn run(&mut self, value: &Column, pattern: &Column, out: &mut Bools) {
        let (Column::Utf8(values), Column::Utf8(patterns)) = (value, pattern) else {
            unreachable!("types are checked before")
        };
        let rows = values.validity.len();
        out.validity.fill_both(&values.validity, &patterns.validity);
        out.values.fill_words(rows, |w| {
            let mut word = 0;
            for i in w * 64..rows.min(w * 64 + 64) {
                word |= u64::from(self.is_like(values, patterns, i)) << (i % 64);
            }
            word
        });
    }

    /// False where either is NULL.
    fn is_like(&mut self, values: &Strings, patterns: &Strings, i: usize) -> bool {
        let (Some(value), Some(pattern)) = (values.get(i), patterns.get(i)) else {
            return false;
        };
        self.pattern.set(pattern, self.ignore_case);
        let value = match self.ignore_case {
            true => {
                self.folded.clear();
                self.folded
                    .extend(value.chars().flat_map(char::to_lowercase));
                &self.folded
            }
            false => value,
        };
        self.pattern.matches(value) != self.negated
    }
}

impl Pattern {
    fn set(&mut self, text: &str, ignore_case: bool) {
        if self.text.as_deref() == Some(text) {
            return;
        }
        let folded = match ignore_case {
            true => text.chars().flat_map(char::to_lowercase).collect(),
            false => text.to_owned(),
        };
        let mut chars = folded.chars().peekable();
        // `None` is a `%`.
        let mut pieces = Vec::new();
        while let Some(c) = chars.next() {
            pieces.push(match (c, chars.peek()) {
                ('\\', Some(&next @ ('%' | '_' | '\\'))) => {
                    chars.next();
                    Some(Piece::This(next))
                }
                ('%', _) => None,
                ('_', _) => Some(Piece::One),
                (c, _) => Some(Piece::This(c)),
            });
        }
        let parts = pieces.split(Option::is_none);
        let parts: Vec<Vec<Piece>> = parts
            .map(|part| part.iter().copied().flatten().collect())
            .collect();
        let plain = |part: &Vec<Piece>| part.iter().map(|p| p.this()).collect();
        self.plain = parts.iter().map(plain).collect();
        self.parts = parts;
        self.text = Some(text.to_owned());
    }

    fn matches(&self, value: &str) -> bool {
        match &self.plain {
            Some(parts) => matches_plain(parts, value),
            None => matches_pieces(&self.parts, value),
        }
    }
}

impl Piece {
    fn this(self) -> Option<char> {
        match self {
            Self::This(c) => Some(c),
            Self::One => None,
        }
    }

    fn fits(self, c: char) -> bool {
        match self {
            Self::This(this) => this == c,
            Self::One => true,
        }
    }
}

/// The first part stands at the start, the last at the end, each other where it first fits.
fn matches_plain(parts: &[String], value: &str) -> bool {
    let [first, middle @ .., last] = parts else {
        return parts.first().is_some_and(|only| only == value);
    };
    let Some(mut rest) = value.strip_prefix(first.as_str()) else {
        return false;
    };
    for part in middle {
        let Some(at) = memchr::memmem::find(rest.as_bytes(), part.as_bytes()) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last.as_str())
}

fn matches_pieces(parts: &[Vec<Piece>], value: &str) -> bool {
    let [first, middle @ .., last] = parts else {
        return parts
            .first()
            .is_some_and(|only| starts(only, value) == Some(""));
    };
    let Some(mut rest) = starts(first, value) else {
        return false;
    };
    'parts: for part in middle {
        let mut from = rest.chars();
        loop {
            if let Some(behind) = starts(part, from.as_str()) {
                rest = behind;
                continue 'parts;
            }
            if from.next().is_none() {
                return false;
            }
        }
    }
    let mut back = rest.chars();
    last.iter()
        .rev()
        .all(|p| back.next_back().is_some_and(|c| p.fits(c)))
}

/// What follows the part at the start of `value`.
fn starts<'a>(part: &[Piece], value: &'a str) -> Option<&'a str> {
    let mut chars = value.chars();
    let fits = part.iter().all(|p| chars.next().is_some_and(|c| p.fits(c)));
    fits.then_some(chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_patterns() {
        let check = |value: &str, pattern: &str, ignore_case: bool, want: bool| {
            let mut one = Pattern::default();
            one.set(pattern, ignore_case);
            assert_eq!(one.matches(value), want, "{value} LIKE {pattern}");
        };
        for (value, pattern, want) in [
            ("", "", true),
            ("", "%", true),
            ("", "_", false),
            ("a", "", false),
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "%d%", false),
            ("abc", "a_c", true),
            ("aßc", "a_c", true),
            ("abc", "a__c", false),
            ("abab", "%ab", true),
            ("aba", "%ab", false),
            ("aXbXc", "a%b%c", true),
            ("ab", "ab%ab", false),
            ("abcabc", "%b_a%", true),
            ("mississippi", "%s_s%_p%", true),
            ("mississippi", "%iss%iss%ppi", true),
            ("50%", "50\\%", true),
            ("501", "50\\%", false),
            ("a_c", "a\\_c", true),
            ("a\\c", "a\\\\c", true),
            ("a\\c", "a\\c", true),
            ("a\\", "a\\", true),
            ("a%b", "%\\%%", true),
            ("A", "a", false),
            ("line\nfeed", "line%feed", true),
        ] {
            check(value, pattern, false, want);
        }
        check("ä", "Ä%", true, true);
        check("ä", "Ä%", false, false);
        let mut ilike = Like::new(false, true);
        let column = |text: &str| {
            let mut strings = Strings::default();
            strings.push(Some(text));
            Column::Utf8(strings)
        };
        let mut out = Bools::default();
        ilike.run(&column("äÖ"), &column("Ä_"), &mut out);
        assert!(out.values.get(0));
    }
}
