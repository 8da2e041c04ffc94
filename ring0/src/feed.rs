//! Streams of bytes from outside: what blocks, or waits for more to be written, runs on a thread of
//! its own, a feeder, and hands blocks of bytes to the one shard that parses them. Blocks travel in
//! a ring, and empty buffers come home in another one, so that a slow shard holds the feeder back.
//! Where streams come and go while the program runs, a listener has a thread, too.

mod greeting;
mod listen;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use rtrb::{Consumer, Producer, PushError, RingBuffer};
use serde::{Deserialize, Serialize};

pub(crate) use self::greeting::Greeting;
pub use self::listen::{Arrivals, Listen, Listener};
pub(crate) use self::listen::{Arrived, Arriving};

use crate::wake::{Bell, RungAtEnd};

/// Bytes that a block holds as a rule.
pub const BLOCK_BYTES: usize = 256 * 1024;
/// Blocks under way, empty and full ones.
const BLOCKS: usize = 4;

/// Where the bytes of a stream come from.
pub trait Feed: Debug + Send + Sync {
    /// What the stream is called in messages.
    fn name(&self) -> PathBuf;

    /// Opens it, on the host.
    ///
    /// # Errors
    /// Why it cannot be opened.
    fn open(&self) -> Result<Box<dyn Feeder>, String>;

    /// Whether it can be read on from a place that it came to in a run before.
    fn goes_on(&self) -> bool {
        false
    }

    /// Opens it at such a place.
    ///
    /// # Errors
    /// Why it cannot be read on from there.
    fn open_at(&self, _place: &FeedPlace) -> Result<Box<dyn Feeder>, String> {
        Err("it cannot be read again".to_owned())
    }
}

/// A place in what a feed reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedPlace {
    /// Bytes before it, in the file that is read by now.
    pub at: u64,
    /// The first bytes of that file, as many as are known.
    pub head: Vec<u8>,
    /// Those right before the place.
    pub before: Vec<u8>,
}

/// An open stream.
pub trait Feeder: Send {
    /// Sends the stream's blocks, on a thread of its own, until it ends or nobody wants more.
    ///
    /// # Errors
    /// Why it cannot be read on.
    fn run(self: Box<Self>, blocks: &mut Blocks) -> Result<(), String>;
}

/// What comes from a feeder.
#[derive(Debug)]
enum Fed {
    Bytes(Vec<u8>),
    /// What follows is of another file, of which these are the first bytes, if it has any.
    Begin(Vec<u8>),
    /// Whose records follow.
    Greeting(Greeting),
    Failed(String),
}

/// A feeder's end of the rings.
#[derive(Debug)]
pub struct Blocks {
    full: Producer<Fed>,
    empty: Consumer<Vec<u8>>,
    own: Arc<Bell>,
    tell: fn(&str),
    /// The last to be dropped: the shard then sees that nothing comes any more.
    shard: RungAtEnd,
}

impl Blocks {
    /// Whether somebody still wants blocks.
    pub fn is_wanted(&self) -> bool {
        !self.full.is_abandoned()
    }

    /// An empty buffer for the next block; waits until there is one. `None` when no more are
    /// wanted.
    pub fn buffer(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Ok(buffer) = self.empty.pop() {
                return Some(buffer);
            }
            self.own.announce_sleep();
            if self.is_wanted() && self.empty.is_empty() {
                self.own.sleep(-1);
            }
            self.own.awake();
            if !self.is_wanted() {
                return None;
            }
        }
    }

    /// Sends a block, which has bytes.
    pub fn send(&mut self, block: Vec<u8>) {
        self.push(Fed::Bytes(block));
    }

    /// Sends the first block of another file, which may have no bytes yet: what was before is
    /// complete.
    pub fn begin(&mut self, block: Vec<u8>) {
        self.push(Fed::Begin(block));
    }

    /// Says something that the user should know.
    pub fn tell(&self, note: &str) {
        (self.tell)(note);
    }

    /// Sleeps at most so long; less where buffers come back or no more are wanted.
    pub fn wait(&mut self, timeout_ms: i32) {
        self.own.announce_sleep();
        if self.is_wanted() {
            self.own.sleep(timeout_ms);
        }
        self.own.awake();
    }

    fn push(&mut self, fed: Fed) {
        match self.full.push(fed) {
            Ok(()) => self.shard.0.ring(),
            Err(PushError::Full(_)) => unreachable!("there are as many buffers as places"),
        }
    }
}

/// The end of the rings at the shard that parses.
#[derive(Debug)]
pub(crate) struct Blocked {
    full: Consumer<Fed>,
    empty: Producer<Vec<u8>>,
    /// The last to be dropped: the feeder then sees that nobody wants more.
    feeder: RungAtEnd,
}

/// What a poll of a stream gives.
#[derive(Debug)]
pub(crate) enum Block {
    Bytes(Vec<u8>),
    /// The first bytes of another file.
    Begin(Vec<u8>),
    /// Whose records follow, who waits to be told how many there are.
    Greeting(Greeting),
    /// Nothing yet.
    Pending,
    End,
    Failed(String),
}

impl Blocked {
    /// Starts the feeder's thread; what it sends rings `shard`.
    ///
    /// # Errors
    /// Where there is no thread, or no descriptor for its bell.
    pub(crate) fn start(
        feeder: Box<dyn Feeder>,
        shard: Arc<Bell>,
        tell: fn(&str),
    ) -> std::io::Result<Self> {
        // One more, for what the feeder says at its end.
        let (full, from_feeder) = RingBuffer::new(BLOCKS + 1);
        let (mut empty, to_feeder) = RingBuffer::new(BLOCKS);
        for _ in 0..BLOCKS {
            let pushed = empty.push(Vec::new());
            assert!(pushed.is_ok(), "there is a place for each buffer");
        }
        let own = Arc::new(Bell::new()?);
        let bell = Arc::clone(&own);
        let mut blocks = Blocks {
            full,
            empty: to_feeder,
            own,
            tell,
            shard: RungAtEnd(shard),
        };
        std::thread::Builder::new()
            .name("trefoil-feed".to_owned())
            .spawn(move || {
                if let Err(message) = feeder.run(&mut blocks) {
                    blocks.push(Fed::Failed(message));
                }
            })?;
        Ok(Self {
            full: from_feeder,
            empty,
            feeder: RungAtEnd(bell),
        })
    }

    /// Whether there is something that was not taken.
    pub(crate) fn waits(&self) -> bool {
        !self.full.is_empty()
    }

    /// The next block.
    pub(crate) fn poll(&mut self) -> Block {
        // Asked first: what was sent before its end is seen then.
        let ended = self.full.is_abandoned();
        match self.full.pop() {
            Ok(Fed::Bytes(bytes)) => Block::Bytes(bytes),
            Ok(Fed::Begin(bytes)) => Block::Begin(bytes),
            Ok(Fed::Greeting(greeting)) => Block::Greeting(greeting),
            Ok(Fed::Failed(message)) => Block::Failed(message),
            Err(_) if ended => Block::End,
            Err(_) => Block::Pending,
        }
    }

    /// Sends a buffer home.
    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        // A feeder that has ended wants none.
        if self.empty.push(buffer).is_ok() {
            self.feeder.0.ring();
        }
    }
}
