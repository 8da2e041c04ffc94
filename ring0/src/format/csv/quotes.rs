//! Where records begin in a file that is read from many places at once.
//!
//! A newline inside of quotes ends no record, so who starts in the middle of a file has to know in
//! what place of a record its first byte is. That depends on all bytes before, but of each chunk
//! only on its [`Effect`], which is found without knowing where the chunk begins:
//!
//! 1. For each chunk, on any core: [`Grammar::effect`].
//! 2. In order of the chunks, from [`Place::Begin`] at the file's start: the next chunk begins at
//!    `effect.after(place)`.
//! 3. Chunk k: [`Grammar::first_record`] is where its first record begins; from there on
//!    `parse_chunk` with `begin_before` at the chunk's end.
//!
//! This is exact for whatever bytes: the splitter that decides takes the same steps, and what is no
//! CSV ends behind the next newline. A quote that is never closed takes in the rest of the file:
//! where it would be cut off otherwise cannot be known from a chunk.

use super::dialect::{Blanks, Dialect, Terminator};

/// Where in a record a byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    /// Where a record begins.
    Begin,
    /// Where a field begins, or among the blanks before it.
    Start,
    /// In a field without quotes.
    Plain,
    /// Inside of quotes.
    Quoted,
    /// Inside of quotes, behind an escape.
    Escaped,
    /// Behind a quote that closes the field, unless another one follows.
    Closed,
    /// Behind blanks that follow the closing quote.
    Behind,
    /// Behind a carriage return that a newline has to follow.
    Return,
    /// In a comment.
    Comment,
    /// In what is no CSV, up to the end of the line.
    Bad,
}

impl Place {
    pub(super) const ALL: [Self; 10] = [
        Self::Begin,
        Self::Start,
        Self::Plain,
        Self::Quoted,
        Self::Escaped,
        Self::Closed,
        Self::Behind,
        Self::Return,
        Self::Comment,
        Self::Bad,
    ];
}

/// What a run of bytes does to the place behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// The place behind the run for each at which it may begin.
    behind: [Place; Place::ALL.len()],
}

impl Effect {
    /// The place behind the run, if it begins at `place`.
    pub fn after(self, place: Place) -> Place {
        self.behind[place as usize]
    }

    /// As a number, which is never 0.
    pub(crate) fn to_bits(self) -> u64 {
        let places = self.behind.iter().rev();
        places.fold(1, |bits, &place| bits << 4 | place as u64)
    }

    /// What [`Effect::to_bits`] gave.
    pub(crate) fn from_bits(bits: u64) -> Self {
        let place = |from: Place| Place::ALL[(bits >> (4 * from as u32) & 15) as usize];
        Self {
            behind: Place::ALL.map(place),
        }
    }
}

/// What each byte does to a place, in one dialect.
#[derive(Debug, Clone)]
pub struct Grammar {
    pub(super) dialect: Dialect,
    steps: [[Place; 256]; Place::ALL.len()],
}

impl Grammar {
    /// That of a dialect.
    pub fn new(dialect: &Dialect) -> Self {
        let mut steps = [[Place::Bad; 256]; Place::ALL.len()];
        for place in Place::ALL {
            for byte in 0..=u8::MAX {
                steps[place as usize][usize::from(byte)] = step(dialect, place, byte);
            }
        }
        Self {
            dialect: dialect.clone(),
            steps,
        }
    }

    /// The place behind a byte at `place`.
    #[inline(always)]
    pub(super) fn step(&self, place: Place, byte: u8) -> Place {
        self.steps[place as usize][usize::from(byte)]
    }

    /// Where the first record begins in `bytes`, which begin at `place`.
    pub fn first_record(&self, bytes: &[u8], mut place: Place) -> Option<usize> {
        let mut at = 0;
        while place != Place::Begin {
            at = self.next(bytes, at, &mut place)?;
        }
        Some(at)
    }

    /// What is behind the record that begins with `bytes`: the whole of them where it does not end.
    pub fn behind_record(&self, bytes: &[u8]) -> usize {
        let Some((&first, rest)) = bytes.split_first() else {
            return 0;
        };
        let place = self.step(Place::Begin, first);
        self.first_record(rest, place)
            .map_or(bytes.len(), |at| at + 1)
    }

    /// What `bytes` do.
    pub fn effect(&self, bytes: &[u8]) -> Effect {
        let head = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        let (head, rest) = bytes.split_at(head);
        let walk = |place| {
            head.iter()
                .fold(place, |place, &byte| self.step(place, byte))
        };
        let mut behind = Place::ALL.map(walk);
        if !rest.is_empty() {
            // Behind a newline a record begins, unless it was inside of quotes.
            let [begun, quoted] = self.of_two(rest);
            behind = behind.map(|place| match place {
                Place::Begin => begun,
                Place::Quoted => quoted,
                other => unreachable!("a newline leads to {other:?}"),
            });
        }
        Effect { behind }
    }

    /// The places behind `bytes`, if they begin where a record does, and inside of quotes. As a
    /// rule both ways meet within a line or two, unless there are no quotes at all.
    fn of_two(&self, bytes: &[u8]) -> [Place; 2] {
        let (mut at, mut places, mut ahead) = (0, [Place::Begin, Place::Quoted], 1);
        // Most chunks: they are looked through once.
        if !self.has_quote(bytes) {
            let last = memchr::memrchr(b'\n', bytes).map_or(0, |newline| newline + 1);
            let line = bytes[last..].iter();
            places[0] = line.fold(places[0], |place, &byte| self.step(place, byte));
            return places;
        }
        loop {
            // The one that is behind goes where the other one has a record begin.
            let Some(record) = self.first_record(&bytes[at..], places[ahead]) else {
                return places.map(|place| self.run(&bytes[at..], place));
            };
            let behind = 1 - ahead;
            places[ahead] = Place::Begin;
            places[behind] = self.run(&bytes[at..at + record], places[behind]);
            at += record;
            if places[behind] == Place::Begin {
                return [self.run(&bytes[at..], Place::Begin); 2];
            }
            ahead = behind;
        }
    }

    /// Whether there is a byte that leads into quotes, or that is special inside of them.
    fn has_quote(&self, bytes: &[u8]) -> bool {
        self.dialect.quote.is_some_and(|quote| {
            let escape = self.dialect.escape_byte().unwrap_or(quote);
            memchr::memchr2(quote, escape, bytes).is_some()
        })
    }

    /// The place behind `bytes`, which begin at `place`.
    fn run(&self, bytes: &[u8], mut place: Place) -> Place {
        let mut at = 0;
        while at < bytes.len() {
            if place == Place::Begin {
                at = self.past_plain_lines(bytes, at);
            }
            match self.next(bytes, at, &mut place) {
                Some(next) => at = next,
                None => break,
            }
        }
        place
    }

    /// Where the last of the lines from `at` on begins that has no quote before its end: a record
    /// begins there if one does at `at`.
    fn past_plain_lines(&self, bytes: &[u8], at: usize) -> usize {
        let rest = &bytes[at..];
        let quote = self.dialect.quote.and_then(|q| memchr::memchr(q, rest));
        let lines = &rest[..quote.unwrap_or(rest.len())];
        memchr::memrchr(b'\n', lines).map_or(at, |newline| at + newline + 1)
    }

    /// Goes on from `at`: by a byte, or to what ends a stretch inside of quotes. `None` at the end.
    #[inline(always)]
    fn next(&self, bytes: &[u8], mut at: usize, place: &mut Place) -> Option<usize> {
        if let (Place::Quoted, Some(quote)) = (*place, self.dialect.quote) {
            let escape = self.dialect.escape_byte().unwrap_or(quote);
            at += memchr::memchr2(quote, escape, &bytes[at..])?;
        }
        *place = self.step(*place, *bytes.get(at)?);
        Some(at + 1)
    }
}

/// The place behind `byte`, which is at `place`.
fn step(dialect: &Dialect, place: Place, byte: u8) -> Place {
    use Place::{Bad, Begin, Behind, Closed, Comment, Escaped, Plain, Quoted, Return, Start};
    let is_quote = Some(byte) == dialect.quote;
    let is_blank = dialect.blanks == Blanks::Trim && matches!(byte, b' ' | b'\t');
    match place {
        Escaped => Quoted,
        Quoted if is_quote => Closed,
        Quoted if Some(byte) == dialect.escape_byte() => Escaped,
        Quoted => Quoted,
        _ if byte == b'\n' => Begin,
        Comment => Comment,
        Bad | Return => Bad,
        Begin if Some(byte) == dialect.comment => Comment,
        Begin | Start | Closed if is_quote => Quoted,
        _ if is_quote => Bad,
        Begin | Start if is_blank => Start,
        Closed | Behind if is_blank => Behind,
        _ if byte == b'\r' && dialect.terminator == Terminator::LfOrCrLf => Return,
        _ if byte == dialect.delimiter => Start,
        Closed | Behind => Bad,
        Begin | Start | Plain => Plain,
    }
}
