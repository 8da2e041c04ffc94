//! Streams that come while a program runs: a listener takes them, each with a feeder of its own,
//! and hands them to the shard that parses.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::{Blocked, Feeder};
use crate::limits::LANES_MAX;
use crate::wake::{Bell, RungAtEnd};

/// Where streams come from.
pub trait Listen: Debug + Send + Sync {
    /// What it is called in messages.
    fn name(&self) -> PathBuf;

    /// Streams that there may be at once.
    fn connections_max(&self) -> usize;

    /// Bytes of a record; a longer one is bad data.
    fn record_bytes_max(&self) -> usize;

    /// Opens it, on the host.
    ///
    /// # Errors
    /// Why it cannot be opened.
    fn open(&self) -> Result<Box<dyn Listener>, String>;

    /// Whether clients say who they are, and are told what is durable.
    fn acknowledges(&self) -> bool {
        false
    }

    /// So many records of producers are durable, and no others; for those that want to be told.
    fn note_durable(&self, _producers: &[(String, u64)]) {}
}

/// An open listener.
pub trait Listener: Send {
    /// Admits streams, on a thread of its own, until nobody wants more.
    ///
    /// # Errors
    /// Why no more can come.
    fn run(self: Box<Self>, arrivals: &mut Arrivals) -> Result<(), String>;
}

/// A stream that came.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// What it is called.
    pub(crate) name: PathBuf,
    pub(crate) blocks: Blocked,
}

/// A listener's end.
#[derive(Debug)]
pub struct Arrivals {
    to: Producer<Result<Arrived, String>>,
    own: Arc<Bell>,
    tell: fn(&str),
    /// The last to be dropped.
    shard: RungAtEnd,
}

impl Arrivals {
    /// Whether somebody still wants streams.
    pub fn is_wanted(&self) -> bool {
        !self.to.is_abandoned()
    }

    /// Whether one more can be admitted now.
    pub fn has_room(&self) -> bool {
        // One place is for what the listener says at its end.
        self.to.slots() > 1
    }

    /// Admits a stream, of this name in messages, and starts its feeder.
    ///
    /// # Errors
    /// Where there is no room, no thread, or no descriptor.
    pub fn admit(&mut self, name: PathBuf, feeder: Box<dyn Feeder>) -> std::io::Result<()> {
        if !self.has_room() {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let blocks = Blocked::start(feeder, Arc::clone(&self.shard.0), self.tell)?;
        self.push(Ok(Arrived { name, blocks }));
        Ok(())
    }

    /// Says something that the user should know.
    pub fn tell(&self, note: &str) {
        (self.tell)(note);
    }

    /// Sleeps at most so long; less where no more are wanted.
    pub fn wait(&mut self, timeout_ms: i32) {
        self.own.announce_sleep();
        if self.is_wanted() {
            self.own.sleep(timeout_ms);
        }
        self.own.awake();
    }

    fn push(&mut self, what: Result<Arrived, String>) {
        match self.to.push(what) {
            Ok(()) => self.shard.0.ring(),
            Err(PushError::Full(_)) => unreachable!("there was room, and nobody else sends"),
        }
    }
}

/// The shard's end.
#[derive(Debug)]
pub(crate) struct Arriving {
    from: Consumer<Result<Arrived, String>>,
    pub(crate) name: PathBuf,
    pub(crate) connections_max: usize,
    pub(crate) record_bytes_max: usize,
    failure: Option<String>,
    /// The last to be dropped: the listener then sees that nobody wants more.
    #[expect(dead_code, reason = "what it does it does when it is dropped")]
    listener: RungAtEnd,
}

impl Arriving {
    /// Starts the listener's thread; who comes rings `shard`.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub(crate) fn start(
        listen: &dyn Listen,
        shard: Arc<Bell>,
        tell: fn(&str),
    ) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let listener = listen.open()?;
        let (to, from) = RingBuffer::new(LANES_MAX);
        let own = Arc::new(Bell::new().map_err(failed)?);
        let bell = Arc::clone(&own);
        let mut arrivals = Arrivals {
            to,
            own,
            tell,
            shard: RungAtEnd(shard),
        };
        let thread = std::thread::Builder::new().name("trefoil-listen".to_owned());
        let run = move || {
            if let Err(message) = listener.run(&mut arrivals) {
                arrivals.push(Err(message));
            }
        };
        thread.spawn(run).map_err(failed)?;
        Ok(Self {
            from,
            name: listen.name(),
            connections_max: listen.connections_max(),
            record_bytes_max: listen.record_bytes_max(),
            failure: None,
            listener: RungAtEnd(bell),
        })
    }

    /// The next stream, if one came.
    pub(crate) fn pop(&mut self) -> Option<Arrived> {
        match self.from.pop() {
            Ok(Ok(arrived)) => Some(arrived),
            Ok(Err(message)) => {
                self.failure = Some(message);
                None
            }
            Err(_) => None,
        }
    }

    /// Why no more come, where that is a failure.
    pub(crate) fn failure(&mut self) -> Option<String> {
        self.failure.take()
    }
}
