//! Messages of clients that send frames, and the answers: `docs/format.md` draws every byte. Each
//! is a checksum, a length and so many bytes, the first of which says what it is.

use std::ops::Range;

use trefoil_ring0::format::binary::{ENVELOPE_BYTES, TypeCode, write_columns};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::Field;
use twox_hash::XxHash64;

/// What a connection begins with: the protocol and its version.
pub const MAGIC: [u8; 8] = *b"TRFREC\x01\x00";
/// Bytes of a producer's name at most.
pub const NAME_BYTES_MAX: usize = 255;

const HELLO: u8 = 1;
const HELD: u8 = 16;
const DURABLE: u8 = 17;
const REFUSED: u8 = 18;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It does not begin as one does.
    Protocol = 1,
    /// A message is longer than it may be.
    TooLong = 2,
    /// A checksum is wrong.
    Checksum = 3,
    /// What is in a message is none of its kind.
    Malformed = 4,
    /// The columns are not those of the source.
    Columns = 5,
    /// Records are missing.
    Gap = 6,
    /// It ended in the middle of a message, or was silent for too long.
    CutOff = 7,
}

impl Reason {
    const ALL: [Self; 7] = [
        Self::Protocol,
        Self::TooLong,
        Self::Checksum,
        Self::Malformed,
        Self::Columns,
        Self::Gap,
        Self::CutOff,
    ];
}

/// Why a connection ends, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is.
    pub reason: Reason,
    /// What is told.
    pub text: String,
}

impl Refusal {
    pub(super) fn new(reason: Reason, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { reason, text }
    }
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// So many of its records are there; it goes on behind them.
    Held(u64),
    /// So many are durable, and need not be kept.
    Durable(u64),
    /// The connection ends.
    Refused(Refusal),
}

/// Fills in what stands before the body of a message.
fn seal(message: &mut [u8]) {
    let length = u32::try_from(message.len() - ENVELOPE_BYTES).expect("it is below 4 GiB");
    message[8..ENVELOPE_BYTES].copy_from_slice(&length.to_le_bytes());
    let sum = XxHash64::oneshot(0, &message[8..]);
    message[..8].copy_from_slice(&sum.to_le_bytes());
}

/// Whether the checksum of a whole message is right.
pub(super) fn is_sound(message: &[u8]) -> bool {
    message[..8] == XxHash64::oneshot(0, &message[8..]).to_le_bytes()
}

/// All bytes of a message that is whole, with its envelope; `None` where it is not.
pub(super) fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<ENVELOPE_BYTES>()?;
    let length = u32::from_le_bytes(*head[8..].first_chunk()?);
    Some(ENVELOPE_BYTES + length as usize)
}

fn text(text: &str, out: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("names are short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Writes what a client says first: who it is, and which columns it sends.
///
/// # Panics
/// Where a name is over 64 KiB, or a column of a type that does not go so.
pub fn write_hello(producer: &str, fields: &[Field], out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    let begin = out.len();
    out.extend_from_slice(&[0; ENVELOPE_BYTES]);
    out.extend_from_slice(&[HELLO, 0]);
    text(producer, out);
    let count = u16::try_from(fields.len()).expect("columns are fewer");
    out.extend_from_slice(&count.to_le_bytes());
    for field in fields {
        let code = TypeCode::of(&field.data_type).expect("a type that goes so");
        out.extend_from_slice(&code.0);
        text(&field.name, out);
    }
    seal(&mut out[begin..]);
}

/// Writes rows of a frame as records, the first of which has the number `first`; those of one
/// producer are numbered from 1.
///
/// # Panics
/// Where a column is a list or a struct.
pub fn write_records(frame: &Frame, rows: Range<usize>, first: u64, out: &mut Vec<u8>) {
    let begin = out.len();
    write_columns(frame, rows, first, out);
    seal(&mut out[begin..]);
}

/// Writes an answer.
pub(super) fn write_answer(answer: &Answer) -> Vec<u8> {
    let mut out = vec![0; ENVELOPE_BYTES];
    match answer {
        Answer::Held(rows) | Answer::Durable(rows) => {
            let kind = match answer {
                Answer::Held(_) => HELD,
                _ => DURABLE,
            };
            out.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
            out.extend_from_slice(&rows.to_le_bytes());
        }
        Answer::Refused(Refusal { reason, text }) => {
            out.extend_from_slice(&[REFUSED, 0]);
            out.extend_from_slice(&(*reason as u16).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
    seal(&mut out);
    out
}

/// Takes the answer that bytes begin with away from them; `None` where it is not whole yet.
///
/// # Errors
/// Where it is none.
pub fn take_answer(bytes: &mut Vec<u8>) -> Result<Option<Answer>, String> {
    let Some(end) = whole(bytes).filter(|end| *end <= bytes.len()) else {
        return Ok(None);
    };
    let message: Vec<u8> = bytes.drain(..end).collect();
    let body = &message[ENVELOPE_BYTES..];
    let number = || {
        body.get(8..16)?
            .first_chunk()
            .copied()
            .map(u64::from_le_bytes)
    };
    let answer = match (body.first(), number()) {
        _ if !is_sound(&message) => None,
        (Some(&HELD), Some(rows)) => Some(Answer::Held(rows)),
        (Some(&DURABLE), Some(rows)) => Some(Answer::Durable(rows)),
        (Some(&REFUSED), _) => refusal(body).map(Answer::Refused),
        _ => None,
    };
    answer
        .map(Some)
        .ok_or_else(|| "an answer is damaged".to_owned())
}

fn refusal(body: &[u8]) -> Option<Refusal> {
    let code = u16::from_le_bytes(*body.get(2..)?.first_chunk()?);
    let reason = Reason::ALL.into_iter().find(|r| *r as u16 == code)?;
    let text = std::str::from_utf8(&body[4..]).ok()?;
    Some(Refusal::new(reason, text))
}

/// What a client says first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello<'a> {
    pub(super) producer: &'a str,
    columns: Vec<(TypeCode, &'a str)>,
}

/// What is left to be read of a message.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().copied().map(u16::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?;
        std::str::from_utf8(self.take(length.into())?).ok()
    }
}

impl<'a> Hello<'a> {
    /// Reads the body of the first message.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        let malformed = |text: &str| Refusal::new(Reason::Malformed, text);
        let hello = Self::parse(body);
        let hello = hello.ok_or_else(|| malformed("the first message is no hello"))?;
        match hello.producer.len() {
            1..=NAME_BYTES_MAX => Ok(hello),
            _ => Err(malformed("a producer's name has 1 to 255 bytes")),
        }
    }

    fn parse(body: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(body);
        if rest.take(2)? != [HELLO, 0] {
            return None;
        }
        let producer = rest.text()?;
        let column = |rest: &mut Rest<'a>| {
            let code = *rest.take(3)?.first_chunk()?;
            Some((TypeCode(code), rest.text()?))
        };
        let count = rest.number()?;
        let columns = (0..count)
            .map(|_| column(&mut rest))
            .collect::<Option<_>>()?;
        let hello = Self { producer, columns };
        rest.0.is_empty().then_some(hello)
    }

    /// Refuses columns that are not those of a source.
    pub(super) fn check(&self, fields: &[Field]) -> Result<(), Refusal> {
        let refused = |text: String| Err(Refusal::new(Reason::Columns, text));
        let both = self.columns.iter().zip(fields).zip(1..);
        for (((code, name), field), number) in both {
            let own = TypeCode::of(&field.data_type).expect("it was checked");
            if (*name, *code) != (field.name.as_str(), own) {
                return refused(format!(
                    "column {number} is \"{name}\" {code}, and that of the source \"{}\" {own}",
                    field.name
                ));
            }
        }
        let (come, has) = (self.columns.len(), fields.len());
        if come != has {
            return refused(format!("{come} columns come, and the source has {has}"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
