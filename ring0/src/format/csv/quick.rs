//! The quick way through a record: delimiters, quotes and ends of lines are marked 64 bytes at a
//! time, and fields are what is between marks. It accepts nothing that [`super::split`] and
//! [`Target::append`] refuse, and finds the same values; where it is in doubt it gives up.

use super::dialect::{Blanks, Dialect, Terminator};
use super::value::append_quickly;
use super::{Target, null};
use crate::format::record::Tail;
use crate::format::scan::marks;
use crate::frame::Frame;

/// The marked bytes of a chunk, one after the other.
#[derive(Debug)]
pub(super) struct Marks {
    set: [u8; 4],
    /// The 64 bytes that are looked at begin here.
    base: usize,
    /// Those of them that are marked and not taken.
    rest: u64,
    /// Whether bytes since the last [`Marks::forget_high`] were beyond ASCII, or near ones.
    high: bool,
    block_high: bool,
}

impl Marks {
    pub(super) fn new(dialect: &Dialect) -> Self {
        let quote = dialect.quote.unwrap_or(dialect.delimiter);
        let cr = match dialect.terminator {
            Terminator::LfOrCrLf => b'\r',
            Terminator::Lf => b'\n',
        };
        Self {
            set: [dialect.delimiter, quote, b'\n', cr],
            base: 0,
            rest: 0,
            high: false,
            block_high: false,
        }
    }

    /// Goes to `at`, in whatever bytes.
    pub(super) fn start(&mut self, bytes: &[u8], at: usize) {
        self.base = at;
        (self.rest, self.block_high) = marks(bytes, at, self.set);
        self.high |= self.block_high;
    }

    /// Goes on to `at`.
    #[inline(always)]
    fn seek(&mut self, bytes: &[u8], at: usize) {
        if at < self.base + 64 {
            self.rest &= u64::MAX << (at - self.base);
        } else {
            self.start(bytes, at);
        }
    }

    #[inline(always)]
    fn forget_high(&mut self) {
        self.high = self.block_high;
    }

    /// The next marked byte.
    #[inline(always)]
    fn next(&mut self, bytes: &[u8]) -> Option<usize> {
        while self.rest == 0 {
            if self.base + 64 >= bytes.len() {
                return None;
            }
            self.start(bytes, self.base + 64);
        }
        let at = self.base + self.rest.trailing_zeros() as usize;
        self.rest &= self.rest - 1;
        Some(at)
    }
}

/// A field at its place.
struct Field {
    start: usize,
    end: usize,
    quoted: bool,
    /// Whether it has quotes or escapes inside of its quotes.
    escaped: bool,
}

/// Walks over records.
#[derive(Debug)]
pub(super) struct Walker {
    pub(super) marks: Marks,
    /// A field without its escapes.
    buffer: Vec<u8>,
}

impl Walker {
    pub(super) fn new(dialect: &Dialect) -> Self {
        Self {
            marks: Marks::new(dialect),
            buffer: Vec::new(),
        }
    }

    /// Appends the record at `at`, to which the marks have come, to the columns of `frame` as row
    /// `row` and gives what is behind it; or `None`, and columns may have a value too many and
    /// marks may be taken.
    #[inline]
    pub(super) fn walk(
        &mut self,
        dialect: &Dialect,
        targets: &[Option<Target>],
        bytes: &[u8],
        at: usize,
        tail: Tail,
        frame: &mut Frame,
    ) -> Option<usize> {
        if dialect.comment.is_some() && bytes.get(at).copied() == dialect.comment {
            return None;
        }
        self.marks.forget_high();
        let (mut start, mut next) = (at, at);
        for (i, target) in targets.iter().enumerate() {
            let (field, mark) = self.field(dialect, bytes, start, tail)?;
            let is_last = i + 1 == targets.len();
            match bytes.get(mark) {
                Some(&b) if b == dialect.delimiter && !is_last => next = mark + 1,
                Some(b'\n') if is_last => next = mark + 1,
                Some(b'\r') if is_last && bytes.get(mark + 1) == Some(&b'\n') => {
                    self.marks.seek(bytes, mark + 2);
                    next = mark + 2;
                }
                None if is_last => next = mark,
                _ => return None,
            }
            // An empty line is no record.
            if i == 0 && is_last && mark == at {
                return None;
            }
            if let Some(target) = target {
                self.take(dialect, target, bytes, &field, frame)?;
            }
            start = next;
        }
        if self.marks.high {
            std::str::from_utf8(&bytes[at..next]).ok()?;
        }
        Some(next)
    }

    /// The field at `start`, and the mark behind it.
    #[inline(always)]
    fn field(
        &mut self,
        dialect: &Dialect,
        bytes: &[u8],
        start: usize,
        tail: Tail,
    ) -> Option<(Field, usize)> {
        let at_end = (tail == Tail::End).then_some(bytes.len());
        let mark = self.marks.next(bytes).or(at_end)?;
        let found = bytes.get(mark).copied();
        if found.is_some() && found == dialect.quote {
            return if mark == start {
                self.quoted(dialect, bytes, start + 1, at_end)
            } else {
                None
            };
        }
        let mut field = Field {
            start,
            end: mark,
            quoted: false,
            escaped: false,
        };
        if dialect.blanks == Blanks::Trim {
            let text = dialect.trim(&bytes[start..mark]);
            field.start += text.as_ptr().addr() - bytes[start..].as_ptr().addr();
            field.end = field.start + text.len();
        }
        Some((field, mark))
    }

    /// The field whose text begins at `start`, behind its quote, and the mark behind it.
    #[inline(never)]
    fn quoted(
        &mut self,
        dialect: &Dialect,
        bytes: &[u8],
        start: usize,
        at_end: Option<usize>,
    ) -> Option<(Field, usize)> {
        let (quote, mut escaped, mut at) = (dialect.quote?, false, start);
        let escape = dialect.escape_byte().unwrap_or(quote);
        let end = loop {
            let i = at + memchr::memchr2(quote, escape, bytes.get(at..)?)?;
            if bytes[i] == quote && bytes.get(i + 1) != Some(&quote) {
                break i;
            }
            escaped = true;
            at = i + 2;
        };
        // Where the bytes end, another quote may follow.
        if end + 1 == bytes.len() && at_end.is_none() {
            return None;
        }
        self.marks.seek(bytes, end + 1);
        self.marks.high = true;
        let mark = self.marks.next(bytes).or(at_end)?;
        let field = Field {
            start,
            end,
            quoted: true,
            escaped,
        };
        (mark == end + 1).then_some((field, mark))
    }

    /// Appends a field to its column.
    #[inline(always)]
    fn take(
        &mut self,
        dialect: &Dialect,
        target: &Target,
        bytes: &[u8],
        field: &Field,
        frame: &mut Frame,
    ) -> Option<()> {
        let column = &mut frame.columns[target.column];
        let text = &bytes[field.start..field.end];
        if null::is(dialect, target.op, text, field.quoted) {
            if !target.nullable {
                return None;
            }
            column.push_null();
            return Some(());
        }
        if !field.quoted {
            let taken = append_quickly(target.op, bytes, field.start, field.end, column);
            return taken.then_some(());
        }
        let text = if field.escaped {
            self.buffer.clear();
            unescape(dialect, text, &mut self.buffer)?;
            &self.buffer[..]
        } else {
            text
        };
        target.append(std::str::from_utf8(text).ok()?, column).ok()
    }
}

/// Appends the text between quotes without its escapes.
fn unescape(dialect: &Dialect, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let quote = dialect.quote?;
    let escape = dialect.escape_byte().unwrap_or(quote);
    let mut at = 0;
    while let Some(length) = memchr::memchr2(quote, escape, &text[at..]) {
        out.extend_from_slice(&text[at..at + length]);
        out.push(*text.get(at + length + 1)?);
        at += length + 2;
    }
    out.extend_from_slice(&text[at..]);
    Some(())
}
