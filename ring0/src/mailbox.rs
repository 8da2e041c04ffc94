//! A bounded ring between two threads of the host, with a descriptor to wait on: how results go
//! from the thread that takes them to who has subscribed. Both ends may be dropped at any time.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use crate::error::{Error, Result};
use crate::runtime::Deadline;
use crate::wake::{Bell, RungAtEnd};

/// The end that things go into.
#[derive(Debug)]
pub struct Sender<T> {
    ring: Producer<T>,
    own: Arc<Bell>,
    /// Dropped last: the receiver sees that nothing comes any more.
    receiver: RungAtEnd,
}

/// The end that things come out of.
#[derive(Debug)]
pub struct Receiver<T> {
    ring: Consumer<T>,
    own: Arc<Bell>,
    /// Dropped last: the sender sees that nobody wants more.
    sender: RungAtEnd,
}

/// What a look into a mailbox gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// What came.
    Value(T),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    End,
}

/// A ring of so many places, whose sender has this bell.
pub(crate) fn mailbox<T>(places: usize, sender: Arc<Bell>) -> Result<(Sender<T>, Receiver<T>)> {
    let bell = Bell::new().map_err(|e| Error::Preflight {
        what: format!("no eventfd can be made: {e}"),
        hint: "see `ulimit -n`".to_owned(),
    })?;
    let receiver = Arc::new(bell);
    let (into, from) = RingBuffer::new(places);
    let tx = Sender {
        ring: into,
        own: Arc::clone(&sender),
        receiver: RungAtEnd(Arc::clone(&receiver)),
    };
    let rx = Receiver {
        ring: from,
        own: receiver,
        sender: RungAtEnd(sender),
    };
    Ok((tx, rx))
}

impl<T> Sender<T> {
    /// Sends where there is room; else gives it back. What nobody wants any more is gone.
    ///
    /// # Errors
    /// With what did not fit.
    pub fn try_send(&mut self, value: T) -> std::result::Result<(), T> {
        if !self.is_wanted() {
            return Ok(());
        }
        match self.ring.push(value) {
            Ok(()) => {
                self.receiver.0.ring();
                Ok(())
            }
            Err(PushError::Full(value)) => Err(value),
        }
    }

    /// Whether the other end is still there.
    pub fn is_wanted(&self) -> bool {
        !self.ring.is_abandoned()
    }

    /// Waits for room, or for the other end to go; also whoever rings this end's bell ends it.
    pub fn wait_for_room(&mut self) {
        self.own.announce_sleep();
        if self.ring.is_full() && self.is_wanted() {
            self.own.sleep(-1);
        }
        self.own.awake();
    }
}

impl<T> Receiver<T> {
    /// What came, if something did.
    pub fn try_receive(&mut self) -> Received<T> {
        // Asked first: what was sent before the end is seen then.
        let ended = self.ring.is_abandoned();
        match self.ring.pop() {
            Ok(value) => {
                self.sender.0.ring();
                Received::Value(value)
            }
            Err(_) if ended => Received::End,
            Err(_) => Received::Nothing,
        }
    }

    /// Waits for something, for ever where there is no limit.
    pub fn receive(&mut self, limit: Option<Duration>) -> Received<T> {
        let deadline = limit.map_or_else(Deadline::never, Deadline::after);
        loop {
            let received = self.try_receive();
            if !matches!(received, Received::Nothing) || deadline.is_past() {
                return received;
            }
            if self.arm() {
                self.own.sleep(deadline.left_ms());
            }
            self.own.awake();
        }
    }

    /// Has the descriptor become readable once there is something to look at. False where there is
    /// already: then it may not.
    pub fn arm(&mut self) -> bool {
        self.own.announce_sleep();
        self.ring.is_empty() && !self.ring.is_abandoned()
    }

    /// Ends what [`Self::arm`] began, and quiets the descriptor.
    pub fn disarm(&mut self) {
        self.own.awake();
        self.own.sleep(0);
    }
}

/// For who waits in poll(2); see [`Receiver::arm`].
impl<T> AsRawFd for Receiver<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.own.as_raw_fd()
    }
}
