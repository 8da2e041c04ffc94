//! Clients that send frames of records, which they number themselves. What is damaged ends its
//! connection, and what was there before is left out, so that the shard sees whole frames of
//! records that are new.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::ops::Range;
use std::time::{Duration, Instant};

use trefoil_ring0::feed::{BLOCK_BYTES, Blocks};
use trefoil_ring0::format::binary::{ENVELOPE_BYTES, check_frame};
use trefoil_ring0::schema::Field;

use super::message::{Answer, Hello, MAGIC, Reason, Refusal, is_sound, whole, write_answer};
use super::{Connection, READ_BYTES, Reading};

/// How long a client that is refused may still send before it reads why.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a client has sent that was not looked at.
#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    at: usize,
}

impl Inbox {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// The message that is there, if it is whole.
    fn message(&mut self, most: usize) -> Result<Option<Range<usize>>, Refusal> {
        let Some(bytes) = whole(self.rest()) else {
            return Ok(None);
        };
        if bytes - ENVELOPE_BYTES > most {
            let long = bytes - ENVELOPE_BYTES;
            let text = format!("a message has {long} bytes, and may have {most}");
            return Err(Refusal::new(Reason::TooLong, text));
        }
        let Some(message) = self.rest().get(..bytes) else {
            return Ok(None);
        };
        if !is_sound(message) {
            let text = "the checksum of a message is wrong";
            return Err(Refusal::new(Reason::Checksum, text));
        }
        let range = self.at..self.at + bytes;
        self.at = range.end;
        Ok(Some(range))
    }
}

impl Reading {
    /// Reads frames to the end; tells the client why, where it is not one.
    pub(super) fn read_frames(
        &mut self,
        fields: &[Field],
        blocks: &mut Blocks,
    ) -> Result<(), String> {
        self.frames(fields, blocks).map_err(|refusal| {
            self.refuse(&refusal, blocks);
            refusal.text
        })
    }

    fn frames(&mut self, fields: &[Field], blocks: &mut Blocks) -> Result<(), Refusal> {
        let mut inbox = Inbox::default();
        let Some(held) = self.meet(fields, &mut inbox, blocks)? else {
            return Ok(());
        };
        let mut next = held + 1;
        while let Some(mut block) = blocks.buffer() {
            block.clear();
            let taken = self.fill(fields, &mut inbox, &mut next, &mut block, blocks);
            if !block.is_empty() {
                blocks.send(block);
            }
            if !taken? {
                break;
            }
        }
        Ok(())
    }

    /// Hears who it is and what it sends, and says behind which record it goes on; `None` where
    /// it has gone.
    fn meet(
        &mut self,
        fields: &[Field],
        inbox: &mut Inbox,
        blocks: &mut Blocks,
    ) -> Result<Option<u64>, Refusal> {
        loop {
            let count = inbox.rest().len().min(MAGIC.len());
            if inbox.rest()[..count] != MAGIC[..count] {
                let text = "it does not begin with TRFREC and version 1";
                return Err(Refusal::new(Reason::Protocol, text));
            }
            if count == MAGIC.len() {
                break;
            }
            if !self.more(inbox, blocks)? {
                return Ok(None);
            }
        }
        inbox.at += MAGIC.len();
        let Some(message) = self.message(inbox, blocks)? else {
            return Ok(None);
        };
        let hello = Hello::read(&inbox.bytes[message][ENVELOPE_BYTES..])?;
        hello.check(fields)?;
        match self.greet_as(hello.producer, blocks) {
            Ok(held) => Ok(held),
            Err(lost) => Err(Refusal::new(Reason::CutOff, lost)),
        }
    }

    /// The next message, waiting for it; `None` at the end.
    fn message(
        &mut self,
        inbox: &mut Inbox,
        blocks: &Blocks,
    ) -> Result<Option<Range<usize>>, Refusal> {
        loop {
            if let Some(message) = inbox.message(self.message_bytes_max)? {
                return Ok(Some(message));
            }
            if !self.more(inbox, blocks)? {
                return Ok(None);
            }
        }
    }

    /// Receives more. Returns whether there is any: where there is none, nothing had begun.
    fn more(&mut self, inbox: &mut Inbox, blocks: &Blocks) -> Result<bool, Refusal> {
        inbox.bytes.drain(..inbox.at);
        inbox.at = 0;
        let before = inbox.bytes.len();
        inbox.bytes.resize(before + READ_BYTES, 0);
        let lost = |why: String| Refusal::new(Reason::CutOff, why);
        let received = self.receive(&mut inbox.bytes[before..], blocks);
        let count = received.map_err(lost)?;
        inbox.bytes.truncate(before + count);
        match count {
            0 if before > 0 && blocks.is_wanted() => {
                Err(lost("it ended in the middle of a message".to_owned()))
            }
            0 => Ok(false),
            _ => Ok(true),
        }
    }

    /// Puts frames into a block: the next one, and those behind it that are there. Returns
    /// whether more may come.
    fn fill(
        &mut self,
        fields: &[Field],
        inbox: &mut Inbox,
        next: &mut u64,
        block: &mut Vec<u8>,
        blocks: &Blocks,
    ) -> Result<bool, Refusal> {
        while block.len() < BLOCK_BYTES {
            let message = match block.is_empty() {
                true => self.message(inbox, blocks)?,
                false => inbox.message(self.message_bytes_max)?,
            };
            let Some(message) = message else {
                return Ok(!block.is_empty());
            };
            let frame = &inbox.bytes[message];
            if let Some(skip) = judge(fields, frame, next)? {
                block.extend_from_slice(&skip.to_le_bytes());
                block.extend_from_slice(&frame[8..]);
            }
        }
        Ok(true)
    }

    /// Tells a client why its connection ends. What it is still sending is read for a while: a
    /// connection that is closed over it would take the answer with it.
    fn refuse(&mut self, refusal: &Refusal, blocks: &Blocks) {
        let answer = write_answer(&Answer::Refused(refusal.clone()));
        let told = match &mut self.connection {
            Connection::Tcp(s) => s
                .write_all(&answer)
                .and_then(|()| s.shutdown(Shutdown::Write)),
            Connection::Unix(s) => s
                .write_all(&answer)
                .and_then(|()| s.shutdown(Shutdown::Write)),
        };
        if told.is_err() {
            return;
        }
        let begun = Instant::now();
        let mut bytes = [0; 4096];
        while begun.elapsed() < FAREWELL && blocks.is_wanted() {
            let read = match &mut self.connection {
                Connection::Tcp(stream) => stream.read(&mut bytes),
                Connection::Unix(stream) => stream.read(&mut bytes),
            };
            match read {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => return,
                },
            }
        }
    }
}

/// How many records at the start of a frame were there before, `next` being the first that was
/// not; `None` where the frame has no records at all.
fn judge(fields: &[Field], frame: &[u8], next: &mut u64) -> Result<Option<u64>, Refusal> {
    let malformed = |text: String| Refusal::new(Reason::Malformed, text);
    let head = check_frame(fields, frame).map_err(malformed)?;
    let end = head.first.checked_add(head.rows as u64);
    let Some(end) = end.filter(|_| head.first > 0) else {
        return Err(malformed("records are numbered from 1".to_owned()));
    };
    if head.first > *next {
        let first = head.first;
        let text = format!("record {next} is the next one, and a frame begins with {first}");
        return Err(Refusal::new(Reason::Gap, text));
    }
    let skip = (*next - head.first).min(head.rows as u64);
    *next = end.max(*next);
    Ok((head.rows > 0).then_some(skip))
}
