//! Clients that say who they are: their records are numbered, so that one that comes back is told
//! behind which it goes on, and meanwhile up to which they are durable. Its first line is
//! `{"producer":"NAME"}`, and what it is told are lines, too: `{"held":N}`, `{"durable":N}`. Where
//! records come in frames, all of it is messages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use trefoil_ring0::feed::Blocks;

use super::Reading;
use super::message::{Answer, write_answer};

/// Time between two looks at what is durable.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// How long a client may not take what it is told.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of the first line at most.
const GREETING_BYTES: usize = 1024;

/// How many records of each producer are durable.
#[derive(Debug, Default)]
pub struct Durable(Mutex<BTreeMap<String, u64>>);

/// What has become durable is not what a socket is.
impl PartialEq for Durable {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Durable {}

impl Durable {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many are, and no others.
    pub(super) fn note(&self, producers: &[(String, u64)]) {
        *self.lock() = producers.iter().cloned().collect();
    }

    fn of(&self, producer: &str) -> u64 {
        self.lock().get(producer).copied().unwrap_or_default()
    }
}

/// What a client says first.
#[derive(Debug, Deserialize)]
struct Greeting {
    producer: String,
}

/// What a client was told.
#[derive(Debug)]
pub(super) struct Told {
    durable: Arc<Durable>,
    /// Who it is, once it has said so.
    producer: Option<String>,
    upto: u64,
}

impl Told {
    /// Nothing yet.
    pub(super) fn new(durable: Arc<Durable>) -> Self {
        Self {
            durable,
            producer: None,
            upto: 0,
        }
    }

    /// What is durable that it was not told.
    fn more(&mut self) -> Option<u64> {
        let now = self.durable.of(self.producer.as_ref()?);
        let is_more = now > self.upto;
        self.upto = self.upto.max(now);
        is_more.then_some(now)
    }
}

impl Reading {
    /// Hears who it is, and says behind which record it goes on. Gives what came behind that line;
    /// `None` where it ends before.
    pub(super) fn greet(&mut self, blocks: &mut Blocks) -> Result<Option<Vec<u8>>, String> {
        let mut line = Vec::new();
        let end = loop {
            if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                break end;
            }
            if line.len() >= GREETING_BYTES {
                return Err(format!("its first line is over {GREETING_BYTES} bytes"));
            }
            let mut bytes = [0; GREETING_BYTES];
            match self.receive(&mut bytes, blocks)? {
                0 => return Ok(None),
                count => line.extend_from_slice(&bytes[..count]),
            }
        };
        let rest = line.split_off(end + 1);
        let Greeting { producer } = serde_json::from_slice(&line)
            .map_err(|error| format!("its first line is not {{\"producer\":\"NAME\"}}: {error}"))?;
        let held = self.greet_as(&producer, blocks)?;
        Ok(held.map(|_| rest))
    }

    /// Says behind which record a producer goes on; `None` where nobody wants more.
    pub(super) fn greet_as(
        &mut self,
        producer: &str,
        blocks: &mut Blocks,
    ) -> Result<Option<u64>, String> {
        let Some(held) = blocks.greet(producer) else {
            return Ok(None);
        };
        if let Some(told) = &mut self.told {
            told.producer = Some(producer.to_owned());
        }
        self.tell(&Answer::Held(held))?;
        Ok(Some(held))
    }

    /// Tells what has become durable.
    pub(super) fn acknowledge(&mut self) -> Result<(), String> {
        match self.told.as_mut().and_then(Told::more) {
            Some(rows) => self.tell(&Answer::Durable(rows)),
            None => Ok(()),
        }
    }

    fn tell(&mut self, answer: &Answer) -> Result<(), String> {
        let line = |what: &str, rows: &u64| format!("{{\"{what}\":{rows}}}\n").into_bytes();
        let told = self.write(&match answer {
            _ if self.frames.is_some() => write_answer(answer),
            Answer::Held(rows) => line("held", rows),
            Answer::Durable(rows) => line("durable", rows),
            Answer::Refused(_) => unreachable!("clients that send lines are not told why"),
        });
        told.map_err(|error| format!("it does not take what it is told: {error}"))
    }
}
