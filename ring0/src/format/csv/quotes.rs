//! Where records begin in a file that is read from many places at once.
//!
//! A newline inside of quotes ends no record, so who starts in the middle of a file has to know
//! whether its first byte is inside of quotes. That depends on all bytes before, but of each chunk
//! only on its [`Effect`], which is found without knowing where the chunk begins:
//!
//! 1. For each chunk, on any core: `Effect::of(dialect, bytes)`, at the speed of counting a byte.
//! 2. In order of the chunks, from [`Place::Outside`] at the file's start: the next chunk begins at
//!    `effect.after(place)`; whole runs of chunks are joined with [`Effect::then`].
//! 3. Chunk k, begun one byte early as always: `first_record(dialect, bytes, place)` is where its
//!    first record begins; from there on `parse_chunk` with `begin_before` at the chunk's end.
//!
//! This is exact for files that the parser accepts: it refuses quotes outside of quoted fields. In
//! others, what is refused is refused by any reader, but a reader that goes on behind a bad record
//! may go on elsewhere. Comments may have quotes in them: a dialect with comments is read in one
//! piece.

use super::dialect::Dialect;

/// Where a byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Outside of quotes.
    Outside,
    /// Inside of quotes.
    Inside,
    /// Inside of quotes, behind an escape.
    Escaped,
}

/// What a run of bytes does to the place behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// The places behind the run if it begins outside, inside, or escaped.
    behind: [Place; 3],
}

impl Effect {
    /// That of no bytes.
    pub const NONE: Self = Self {
        behind: [Place::Outside, Place::Inside, Place::Escaped],
    };

    /// That of `bytes`; `None` where a dialect does not allow to tell.
    pub fn of(dialect: &Dialect, bytes: &[u8]) -> Option<Self> {
        if dialect.comment.is_some() {
            return None;
        }
        let Some(quote) = dialect.quote else {
            return Some(Self::NONE);
        };
        if let Some(escape) = dialect.escape_byte() {
            let behind = Self::NONE.behind;
            let behind = behind.map(|place| follow(quote, escape, bytes, place));
            return Some(Self { behind });
        }
        if memchr::memchr_iter(quote, bytes).count().is_multiple_of(2) {
            return Some(Self::NONE);
        }
        let behind = [Place::Inside, Place::Outside, Place::Outside];
        Some(Self { behind })
    }

    /// The place behind the run, if it begins at `place`.
    pub fn after(self, place: Place) -> Place {
        self.behind[place as usize]
    }

    /// That of this run and `next` behind it.
    pub fn then(self, next: Self) -> Self {
        let behind = self.behind.map(|place| next.after(place));
        Self { behind }
    }
}

/// The place behind `bytes`, in which an escape has a meaning inside of quotes.
fn follow(quote: u8, escape: u8, bytes: &[u8], mut place: Place) -> Place {
    let mut at = 0;
    if place == Place::Escaped && !bytes.is_empty() {
        (place, at) = (Place::Inside, 1);
    }
    while let Some(length) = memchr::memchr2(quote, escape, &bytes[at..]) {
        let i = at + length;
        at = i + 1;
        place = match place {
            Place::Outside if bytes[i] == escape => Place::Outside,
            Place::Outside => Place::Inside,
            _ if bytes[i] == quote => Place::Outside,
            _ if at == bytes.len() => Place::Escaped,
            _ => {
                at += 1;
                Place::Inside
            }
        };
    }
    place
}

/// Where the first record begins behind the first newline outside of quotes; `None` where `bytes`,
/// which begin at `place`, have no such newline, or the dialect does not allow to tell.
pub fn first_record(dialect: &Dialect, bytes: &[u8], mut place: Place) -> Option<usize> {
    let mut at = 0;
    loop {
        let newline = at + memchr::memchr(b'\n', &bytes[at..])?;
        place = Effect::of(dialect, &bytes[at..newline])?.after(place);
        at = newline + 1;
        match place {
            Place::Outside => return Some(at),
            // An escaped newline is text, and what follows is inside still.
            Place::Inside | Place::Escaped => place = Place::Inside,
        }
    }
}
