//! Where a stream is in what it is read from, so that it can be read on from there: by the bytes of
//! the file in hand, which is known again by its beginning.

use serde::{Deserialize, Serialize};

use crate::feed::FeedPlace;

/// Bytes that a file is known by.
const HEAD_BYTES: usize = 512;
/// Bytes before a place that it is known by.
const BEFORE_BYTES: usize = 64;

/// Where a stream goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamPosition {
    /// Bytes of the stream before it.
    at: u64,
    /// Where it goes on in the file that is read.
    file: FeedPlace,
    /// The names of its fields, once they are known.
    names: Option<Vec<String>>,
    /// The record in hand is too long, and left out up to its end.
    skipping: bool,
}

impl StreamPosition {
    /// Where its feed goes on.
    pub(crate) fn feed(&self) -> &FeedPlace {
        &self.file
    }
}

/// A file that the stream is made of.
#[derive(Debug, Default)]
struct Part {
    /// Where it begins in the stream.
    start: u64,
    head: Vec<u8>,
}

/// The files that a stream is made of, from the one in hand on.
#[derive(Debug)]
pub(super) struct Parts {
    parts: Vec<Part>,
    /// The last bytes that were read.
    before: Vec<u8>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            parts: vec![Part::default()],
            before: Vec::new(),
        }
    }
}

impl Parts {
    /// Bytes came, which stand at `at` in the stream.
    pub(super) fn note(&mut self, at: u64, bytes: &[u8]) {
        let part = self.parts.last_mut().expect("there is one at least");
        if part.head.len() < HEAD_BYTES && at == part.start + part.head.len() as u64 {
            let more = bytes.len().min(HEAD_BYTES - part.head.len());
            part.head.extend_from_slice(&bytes[..more]);
        }
    }

    /// Bytes were read that are not kept.
    pub(super) fn leave(&mut self, bytes: &[u8]) {
        let last = &bytes[bytes.len().saturating_sub(BEFORE_BYTES)..];
        self.before.extend_from_slice(last);
        let more = self.before.len().saturating_sub(BEFORE_BYTES);
        self.before.drain(..more);
    }

    /// Another file begins at this byte of the stream.
    pub(super) fn begin(&mut self, start: u64) {
        let head = Vec::new();
        self.parts.push(Part { start, head });
    }

    /// Where the file behind the one in hand begins.
    pub(super) fn next(&self) -> Option<u64> {
        Some(self.parts.get(1)?.start)
    }

    /// Where the one in hand begins.
    pub(super) fn start(&self) -> u64 {
        self.parts[0].start
    }

    /// Goes to the next one, where the one in hand was read up to its end. Returns whether it did.
    pub(super) fn pass(&mut self, at: u64) -> bool {
        let passed = self.next().is_some_and(|next| next <= at);
        if passed {
            self.parts.remove(0);
        }
        passed
    }

    /// Where the stream is at this byte of it, behind `bytes` that are kept.
    pub(super) fn position(
        &self,
        (at, bytes): (u64, &[u8]),
        names: Option<Vec<String>>,
        skipping: bool,
    ) -> StreamPosition {
        let part = &self.parts[0];
        let behind = at - part.start;
        let known = part
            .head
            .len()
            .min(usize::try_from(behind).unwrap_or(usize::MAX));
        let kept = &bytes[bytes.len().saturating_sub(BEFORE_BYTES)..];
        let before = [&self.before, kept].concat();
        let of_file = BEFORE_BYTES.min(usize::try_from(behind).unwrap_or(usize::MAX));
        let file = FeedPlace {
            at: behind,
            head: part.head[..known].to_vec(),
            before: before[before.len().saturating_sub(of_file)..].to_vec(),
        };
        StreamPosition {
            at,
            file,
            names,
            skipping,
        }
    }

    /// Goes on from there. Gives the bytes of the stream before it, the names of its fields, and
    /// whether the rest of a record is to be left out.
    pub(super) fn go_on(&mut self, from: StreamPosition) -> (u64, Option<Vec<String>>, bool) {
        let (start, head) = (from.at - from.file.at, from.file.head);
        self.parts = vec![Part { start, head }];
        self.before = from.file.before;
        (from.at, from.names, from.skipping)
    }
}
