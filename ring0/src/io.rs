//! Reading files without blocking a shard: through io_uring where the shard runs on glommio, else
//! by one reader thread for each shard. Requests and completions are plain data. How a shard sleeps
//! is here too, as it has to be where reads complete.

mod thread;
mod uring;

use std::fs::File;
use std::sync::Arc;

use crate::wake::Bell;

pub(crate) use thread::ThreadIo;
pub(crate) use uring::UringIo;

/// A range of a file to read.
#[derive(Debug)]
pub(crate) struct Request {
    /// Comes back with the completion.
    pub(crate) tag: usize,
    /// The file.
    pub(crate) file: Arc<File>,
    /// Where to begin.
    pub(crate) offset: u64,
    /// How many bytes; fewer come back only at the file's end.
    pub(crate) len: usize,
    /// Takes the bytes, behind what it holds already.
    pub(crate) buffer: Vec<u8>,
}

/// A request that was carried out.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) tag: usize,
    pub(crate) buffer: Vec<u8>,
    pub(crate) result: std::io::Result<()>,
}

/// How a shard reads.
#[derive(Debug)]
pub(crate) enum Io {
    /// Through the shard's io_uring.
    Uring(UringIo),
    /// Through a reader thread.
    Thread(ThreadIo),
}

impl Io {
    pub(crate) fn submit(&mut self, request: Request) {
        match self {
            Self::Uring(io) => io.submit(request),
            Self::Thread(io) => io.submit(request),
        }
    }

    pub(crate) fn poll(&mut self) -> Option<Completion> {
        match self {
            Self::Uring(io) => io.poll(),
            Self::Thread(io) => io.poll(),
        }
    }

    /// Whether a read goes on only while the shard sleeps, so that it must not spin.
    pub(crate) fn waits_for_sleep(&self) -> bool {
        match self {
            Self::Uring(io) => io.in_flight(),
            Self::Thread(_) => false,
        }
    }

    /// Lets requests made since the last call begin, while the shard goes on.
    ///
    /// # Errors
    /// Where the bell could not be listened to.
    pub(crate) async fn hand_over(&mut self) -> std::io::Result<()> {
        match self {
            Self::Uring(io) => io.hand_over().await,
            Self::Thread(_) => Ok(()),
        }
    }

    /// Sleeps until a read is done or the shard's bell rings.
    ///
    /// # Errors
    /// Where the bell could not be listened to.
    pub(crate) async fn sleep(&mut self, bell: &Bell) -> std::io::Result<()> {
        match self {
            Self::Uring(io) => io.sleep().await,
            Self::Thread(_) => {
                bell.sleep(-1);
                Ok(())
            }
        }
    }

    /// Ends what was started.
    pub(crate) async fn close(self) {
        match self {
            Self::Uring(io) => io.close().await,
            Self::Thread(_) => {}
        }
    }
}
