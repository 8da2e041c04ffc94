//! Where a stream is at a barrier, and how it goes on; and records that are numbered, as they are
//! sent again by who brings them.

use super::place::StreamPosition;
use super::{Clock, State, StreamSource, parser_of};
use crate::error::{Error, Result};
use crate::feed::Greeting;
use crate::snapshot::SourcePosition;

impl StreamSource {
    /// Where it is, behind the last frame.
    pub(in crate::source) fn at_barrier(&self) -> SourcePosition {
        let names = self.parser.as_ref().and(self.names.clone());
        let at = self.base + self.at as u64;
        SourcePosition {
            chunks: 0,
            split: self.clock.as_ref().and_then(|clock| clock.split(false)),
            stream: Some(
                self.parts
                    .position((at, &self.bytes[..self.at]), names, self.skipping),
            ),
            followed: None,
            live: None,
        }
    }

    /// Goes on from where it was, before it is polled.
    pub(in crate::source) fn go_on(
        &mut self,
        at: Option<StreamPosition>,
    ) -> Result<Option<&mut Clock>> {
        let missing = || Error::Restore(format!("source {} was no stream", self.name));
        let (base, names, skipping) = self.parts.go_on(at.ok_or_else(missing)?);
        (self.base, self.skipping) = (base, skipping);
        if let Some(names) = names {
            let parser = parser_of(&self.format, &self.schema, &names);
            self.parser = Some(parser.map_err(|message| self.unreadable(message))?);
            self.names = Some(names);
        }
        Ok(self.clock.as_mut())
    }

    /// Has no record any more.
    pub(in crate::source) fn go_to_end(&mut self) {
        self.state = State::Ended;
    }

    /// Whose records these are, if that was just said.
    pub(in crate::source) fn take_greeting(&mut self) -> Option<Greeting> {
        self.greeting.take()
    }

    /// Its records are numbered: they go on behind so many, with what is known of their time.
    pub(in crate::source) fn begin_numbered(
        &mut self,
        greeting: &Greeting,
        held: u64,
        clock: Option<Clock>,
    ) {
        self.numbered = Some(0);
        if clock.is_some() {
            self.clock = clock;
        }
        self.blocks.answer(greeting, held);
    }

    /// Records so far, where they are numbered.
    pub(in crate::source) fn numbered(&self) -> Option<u64> {
        self.numbered
    }

    /// What is known of its time, which it needs no more.
    pub(in crate::source) fn take_clock(&mut self) -> Option<Clock> {
        self.clock.take()
    }

    /// Whether it ended behind a whole record.
    pub(in crate::source) fn ended_whole(&self) -> bool {
        self.ended_whole
    }

    /// No more of them come. What had begun comes again.
    pub(super) fn end_numbered(&mut self) {
        self.ended_whole = self.at == self.bytes.len() && !self.skipping;
        self.state = State::Ended;
        self.at = self.bytes.len();
    }
}
