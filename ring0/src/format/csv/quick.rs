//! The quick way through a record: delimiters, quotes and ends of lines are marked in a window of
//! the text at once, and fields are what is between marks. It accepts nothing that
//! [`super::split`] and [`Target::append`] refuse, and finds the same values; where it is in doubt
//! it gives up.

use super::dialect::{Blanks, Dialect, Terminator};
use super::value::append_quickly;
use super::{Target, null};
use crate::column::Column;
use crate::format::ndjson::Op;
use crate::format::record::Tail;
use crate::format::scan::marks::{Marks, WINDOW_BYTES};
use crate::frame::Frame;

/// The marked bytes of a chunk, one after the other: delimiters, quotes and ends of lines.
#[derive(Debug)]
pub(super) struct Cursor {
    set: [u8; 4],
    /// Those of the bytes `base..end`.
    marks: Marks,
    base: usize,
    end: usize,
    /// How many of them were taken.
    taken: usize,
}

impl Cursor {
    pub(super) fn new(dialect: &Dialect) -> Self {
        let quote = dialect.quote.unwrap_or(dialect.delimiter);
        let cr = match dialect.terminator {
            Terminator::LfOrCrLf => b'\r',
            Terminator::Lf => b'\n',
        };
        Self {
            set: [dialect.delimiter, quote, b'\n', cr],
            marks: Marks::default(),
            base: 0,
            end: 0,
            taken: 0,
        }
    }

    /// Goes to `at`, in whatever bytes.
    #[inline(never)]
    pub(super) fn start(&mut self, bytes: &[u8], at: usize) {
        let end = bytes.len().min(at + WINDOW_BYTES);
        self.marks
            .look(bytes.get(at..end).unwrap_or_default(), self.set);
        (self.base, self.end, self.taken) = (at, end, 0);
    }

    /// Goes on to `at`.
    fn seek(&mut self, bytes: &[u8], at: usize) {
        if at >= self.end {
            return self.start(bytes, at);
        }
        let rest = self.marks.places().get(self.taken..).unwrap_or_default();
        let before = |place: &&u16| self.base + usize::from(**place) < at;
        self.taken += rest.iter().take_while(before).count();
    }

    /// The next marked byte.
    #[inline(always)]
    fn next(&mut self, bytes: &[u8]) -> Option<usize> {
        loop {
            if let Some(&place) = self.marks.places().get(self.taken) {
                self.taken += 1;
                return Some(self.base + usize::from(place));
            }
            if self.end >= bytes.len() {
                return None;
            }
            self.start(bytes, self.end);
        }
    }

    /// Whether the next `count` marks are in the window, which may begin anew with the record at
    /// `at`. They are not taken.
    #[inline(always)]
    fn has_ahead(&mut self, bytes: &[u8], at: usize, count: usize) -> bool {
        let has = |cursor: &Self| cursor.marks.places().len() >= cursor.taken + count;
        if !has(self) && self.end < bytes.len() && self.base != at {
            self.start(bytes, at);
        }
        has(self)
    }

    /// Whether one of the bytes `from..to` may be beyond ASCII.
    #[inline(always)]
    fn may_be_high(&self, from: usize, to: usize) -> bool {
        let is_known = self.base <= from && to <= self.end;
        !is_known || self.marks.may_be_high(from - self.base, to - self.base)
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

/// What became of a record on the quickest way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stride {
    /// It was taken, and this is behind it.
    Taken(usize),
    /// No other way would take it; columns may have a value too many.
    Doubt,
    /// It is for another way; nothing was taken.
    Other,
}

/// Walks over records.
#[derive(Debug)]
pub(super) struct Walker {
    pub(super) marks: Cursor,
    /// A field without its escapes.
    buffer: Vec<u8>,
    /// The fields that are wanted, by their places in a record.
    wanted: Vec<(usize, Target)>,
    /// How many fields a record has.
    fields: usize,
    /// Whether a field is what is between its marks.
    is_plain: bool,
}

impl Walker {
    pub(super) fn new(dialect: &Dialect, targets: &[Option<Target>]) -> Self {
        let wanted = targets.iter().enumerate();
        let wanted = wanted.filter_map(|(place, target)| Some((place, target.clone()?)));
        Self {
            marks: Cursor::new(dialect),
            buffer: Vec::new(),
            wanted: wanted.collect(),
            fields: targets.len(),
            is_plain: dialect.blanks == Blanks::Keep,
        }
    }

    /// Appends the record at `at`, to which the marks have come, if it has no quotes and lies
    /// within a window: its fields are known before one of them is read, and what nobody wants is
    /// not looked at.
    #[inline(always)]
    fn stride(&mut self, dialect: &Dialect, bytes: &[u8], at: usize, frame: &mut Frame) -> Stride {
        if !self.marks.has_ahead(bytes, at, self.fields) {
            return Stride::Other;
        }
        let (base, ahead) = (
            self.marks.base,
            &self.marks.marks.places()[self.marks.taken..],
        );
        let place = |mark: usize| base + usize::from(ahead[mark]);
        let inner = 0..self.fields - 1;
        let wrong = inner.fold(0, |wrong, mark| {
            wrong | bytes[place(mark)] ^ dialect.delimiter
        });
        let end = place(self.fields - 1);
        let (next, marks) = match bytes[end] {
            b'\n' => (end + 1, self.fields),
            b'\r' if bytes.get(end + 1) == Some(&b'\n') => (end + 2, self.fields + 1),
            _ => return Stride::Other,
        };
        // An empty line is no record.
        if wrong != 0 || end == at || marks > ahead.len() {
            return Stride::Other;
        }
        if self.marks.may_be_high(at, next) && std::str::from_utf8(&bytes[at..next]).is_err() {
            return Stride::Doubt;
        }
        for (number, target) in &self.wanted {
            let end = place(*number);
            let start = match number {
                0 => at,
                _ => place(number - 1) + 1,
            };
            let column = &mut frame.columns[target.column];
            let text = &bytes[start..end];
            if null::is(dialect, target.op, text, false) {
                if !target.nullable {
                    return Stride::Doubt;
                }
                column.push_null();
            } else if let (Op::Varchar, Column::Utf8(column)) = (target.op, &mut *column) {
                // SAFETY: the record is valid UTF-8, and what divides it into fields is ASCII.
                column.push(Some(unsafe { std::str::from_utf8_unchecked(text) }));
            } else if !append_quickly(target.op, bytes, start, end, column) {
                return Stride::Doubt;
            }
        }
        self.marks.taken += marks;
        Stride::Taken(next)
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
        if self.is_plain {
            match self.stride(dialect, bytes, at, frame) {
                Stride::Taken(next) => return Some(next),
                Stride::Doubt => return None,
                Stride::Other => {}
            }
        }
        self.walk_fields(dialect, targets, bytes, at, tail, frame)
    }

    /// [`Walker::walk`] field by field.
    #[inline(never)]
    fn walk_fields(
        &mut self,
        dialect: &Dialect,
        targets: &[Option<Target>],
        bytes: &[u8],
        at: usize,
        tail: Tail,
        frame: &mut Frame,
    ) -> Option<usize> {
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
        if self.marks.may_be_high(at, next) {
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
