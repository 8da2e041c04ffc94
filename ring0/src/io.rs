//! Reading files without blocking a shard: through io_uring where the shard runs on glommio, else
//! by one reader thread for each shard. Requests and completions are plain data.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use glommio::io::BufferedFile;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::wake::Bell;

/// Requests under way at once, at most, on one shard.
const REQUESTS_MAX: usize = 64;

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
            Self::Uring(io) => {
                let done = io.state.done.borrow_mut().pop_front();
                io.in_flight -= usize::from(done.is_some());
                done
            }
            Self::Thread(io) => io.done.pop().ok(),
        }
    }

    /// Whether the executor has to be given time for a read to go on.
    pub(crate) fn needs_reactor(&self) -> bool {
        matches!(self, Self::Uring(io) if io.in_flight > 0)
    }
}

/// Wakes the shard's task, within the shard's own thread.
#[derive(Debug, Default)]
pub(crate) struct LocalEvent {
    set: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl LocalEvent {
    pub(crate) fn set(&self) {
        self.set.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until it is set, and takes it.
    pub(crate) async fn wait(&self) {
        std::future::poll_fn(|context| {
            if self.set.take() {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[derive(Debug, Default)]
struct UringState {
    done: RefCell<VecDeque<Completion>>,
    event: Rc<LocalEvent>,
}

/// Reads through io_uring.
#[derive(Debug)]
pub(crate) struct UringIo {
    state: Rc<UringState>,
    in_flight: usize,
}

impl UringIo {
    /// To be made on the executor's thread; `event` is set at each completion.
    pub(crate) fn new(event: Rc<LocalEvent>) -> Self {
        let state = UringState {
            done: RefCell::default(),
            event,
        };
        Self {
            state: Rc::new(state),
            in_flight: 0,
        }
    }

    fn submit(&mut self, request: Request) {
        assert!(self.in_flight < REQUESTS_MAX, "reads under way are bounded");
        self.in_flight += 1;
        let state = Rc::clone(&self.state);
        glommio::spawn_local(async move {
            let Request {
                tag,
                file,
                offset,
                len,
                mut buffer,
            } = request;
            let result = read_uring(&file, offset, len, &mut buffer).await;
            state.done.borrow_mut().push_back(Completion {
                tag,
                buffer,
                result,
            });
            state.event.set();
        })
        .detach();
    }
}

async fn read_uring(
    file: &File,
    mut offset: u64,
    mut len: usize,
    buffer: &mut Vec<u8>,
) -> std::io::Result<()> {
    let file = borrowed(file)?;
    let result = loop {
        if len == 0 {
            break Ok(());
        }
        match file.read_at(offset, len).await {
            Err(error) => break Err(error.into()),
            Ok(read) if read.is_empty() => break Ok(()),
            Ok(read) => {
                buffer.extend_from_slice(&read);
                offset += read.len() as u64;
                len -= read.len();
            }
        }
    };
    file.close().await?;
    result
}

/// A descriptor of its own for glommio, which closes it.
fn borrowed(file: &impl AsRawFd) -> std::io::Result<BufferedFile> {
    // SAFETY: `dup` takes no pointer; the descriptor is open while `file` lives.
    let fd = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: `fd` was just made and nobody else owns it.
    let owned = unsafe { File::from_raw_fd(fd) };
    // SAFETY: the only owner gives the descriptor away.
    Ok(unsafe { BufferedFile::from_raw_fd(owned.into_raw_fd()) })
}

/// Reads by a thread of its own.
#[derive(Debug)]
pub(crate) struct ThreadIo {
    requests: Producer<Request>,
    done: Consumer<Completion>,
    reader: Arc<Bell>,
}

impl ThreadIo {
    /// Starts the reader thread, which ends when this is dropped.
    pub(crate) fn start(shard: Arc<Bell>, name: String) -> std::io::Result<Self> {
        let (requests, mut incoming) = RingBuffer::<Request>::new(REQUESTS_MAX);
        let (mut outgoing, done) = RingBuffer::new(REQUESTS_MAX);
        let reader = Arc::new(Bell::new()?);
        let own = Arc::clone(&reader);
        std::thread::Builder::new().name(name).spawn(move || {
            loop {
                while let Ok(request) = incoming.pop() {
                    let Request {
                        tag,
                        file,
                        offset,
                        len,
                        mut buffer,
                    } = request;
                    let result = read_blocking(&file, offset, len, &mut buffer);
                    let sent = outgoing.push(Completion {
                        tag,
                        buffer,
                        result,
                    });
                    assert!(sent.is_ok(), "completions are bounded by requests");
                    shard.ring();
                }
                if incoming.is_abandoned() {
                    return;
                }
                own.announce_sleep();
                if incoming.is_empty() && !incoming.is_abandoned() {
                    own.sleep(-1);
                }
                own.awake();
            }
        })?;
        Ok(Self {
            requests,
            done,
            reader,
        })
    }

    fn submit(&mut self, request: Request) {
        let sent = self.requests.push(request);
        assert!(sent.is_ok(), "reads under way are bounded");
        self.reader.ring();
    }
}

impl Drop for ThreadIo {
    fn drop(&mut self) {
        // The ring is abandoned when its producer goes: replace it, then wake the reader.
        let (closed, _) = RingBuffer::new(1);
        drop(std::mem::replace(&mut self.requests, closed));
        self.reader.ring_always();
    }
}

fn read_blocking(
    file: &File,
    offset: u64,
    len: usize,
    buffer: &mut Vec<u8>,
) -> std::io::Result<()> {
    let start = buffer.len();
    buffer.resize(start + len, 0);
    let mut filled = start;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + (filled - start) as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                buffer.truncate(start);
                return Err(error);
            }
        }
    }
    buffer.truncate(filled);
    Ok(())
}

/// Sets `event` each time the bell's eventfd is written, until `closed` and rung once more.
pub(crate) async fn listen(
    bell: Arc<Bell>,
    event: Rc<LocalEvent>,
    closed: Rc<Cell<bool>>,
) -> std::io::Result<()> {
    let file = borrowed(&*bell)?;
    while !closed.get() {
        file.read_at(0, 8).await?;
        event.set();
    }
    file.close().await?;
    Ok(())
}
