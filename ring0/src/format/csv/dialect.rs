//! How a CSV file is written.

/// What ends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminator {
    /// A newline, with or without a carriage return before it. A carriage return anywhere else
    /// outside of quotes is refused.
    LfOrCrLf,
    /// A newline; carriage returns are text.
    Lf,
}

/// What becomes of the blanks and tabs around a field, outside of its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blanks {
    /// They are part of the field.
    Keep,
    /// They are left out.
    Trim,
}

/// How records are divided, and fields written. The default is RFC 4180.
///
/// Within quotes a quote is written twice, or behind the escape where there is one; an escape
/// stands for whatever byte follows it. Outside of quotes neither means anything, and a quote is
/// refused: so the number of quotes before a byte tells whether it is inside of them
/// ([`super::quotes`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around a field that may have anything in it; `None` where fields are never quoted.
    pub quote: Option<u8>,
    /// Before a byte inside of quotes that means itself.
    pub escape: Option<u8>,
    /// A line that begins with it is left out.
    pub comment: Option<u8>,
    /// What ends a record.
    pub terminator: Terminator,
    /// What becomes of blanks around fields.
    pub blanks: Blanks,
    /// An unquoted field with this text is NULL.
    pub null: String,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            comment: None,
            terminator: Terminator::LfOrCrLf,
            blanks: Blanks::Keep,
            null: String::new(),
        }
    }
}

impl Dialect {
    /// Checks that one byte means one thing.
    ///
    /// # Errors
    /// Where two options are the same byte, or one is a letter beyond ASCII or ends lines.
    pub fn check(&self) -> Result<(), String> {
        // A quote that is its own escape is what doubling says already.
        let escape = self.escape.filter(|_| self.escape != self.quote);
        let bytes = [
            ("delimiter", Some(self.delimiter)),
            ("quote", self.quote),
            ("escape", escape),
            ("comment", self.comment),
        ];
        for (i, (name, byte)) in bytes.iter().enumerate() {
            let Some(byte) = byte else { continue };
            if !byte.is_ascii() || matches!(byte, b'\r' | b'\n') {
                return Err(format!(
                    "{name} is to be one ASCII character that ends no line"
                ));
            }
            if let Some((other, _)) = bytes[..i].iter().find(|(_, b)| *b == Some(*byte)) {
                return Err(format!("{other} and {name} are the same"));
            }
        }
        let blank = |b| matches!(b, Some(b' ' | b'\t'));
        if self.blanks == Blanks::Trim && bytes.iter().any(|(_, b)| blank(*b)) {
            return Err("blanks cannot be trimmed where one of them has a meaning".to_owned());
        }
        Ok(())
    }

    /// The escape, where it is not the quote itself.
    pub(super) fn escape_byte(&self) -> Option<u8> {
        self.escape.filter(|_| self.escape != self.quote)
    }

    /// The field without the blanks around, if they are to be left out.
    #[inline]
    pub(super) fn trim<'a>(&self, field: &'a [u8]) -> &'a [u8] {
        match self.blanks {
            Blanks::Keep => field,
            Blanks::Trim => {
                let text = |b: &u8| !matches!(b, b' ' | b'\t');
                let start = field.iter().position(text).unwrap_or(field.len());
                let end = field.iter().rposition(text).map_or(start, |i| i + 1);
                &field[start..end]
            }
        }
    }
}
