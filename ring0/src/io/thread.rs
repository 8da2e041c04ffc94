//! Reading without io_uring: one reader thread for each shard takes requests from a ring, reads
//! with pread(2), and sends completions back on another ring.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use super::{Completion, Request};
use crate::wake::Bell;

/// Reads by a thread of its own.
#[derive(Debug)]
pub(crate) struct ThreadIo {
    requests: Producer<Request>,
    /// Requests beyond those that may be under way.
    waiting: VecDeque<Request>,
    in_flight: usize,
    in_flight_max: usize,
    done: Consumer<Completion>,
    reader: Arc<Bell>,
}

impl ThreadIo {
    /// Starts the reader thread, which ends when this is dropped. At most `requests_max` requests
    /// are under way at once; others wait.
    pub(crate) fn start(
        shard: Arc<Bell>,
        name: String,
        requests_max: usize,
    ) -> std::io::Result<Self> {
        let (requests, mut incoming) = RingBuffer::<Request>::new(requests_max);
        let (mut outgoing, done) = RingBuffer::new(requests_max);
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
            waiting: VecDeque::new(),
            in_flight: 0,
            in_flight_max: requests_max,
            done,
            reader,
        })
    }

    pub(super) fn submit(&mut self, request: Request) {
        if self.in_flight == self.in_flight_max {
            self.waiting.push_back(request);
            return;
        }
        self.in_flight += 1;
        let sent = self.requests.push(request);
        assert!(sent.is_ok(), "reads under way are bounded");
        self.reader.ring();
    }

    pub(super) fn poll(&mut self) -> Option<Completion> {
        let completion = self.done.pop().ok()?;
        self.in_flight -= 1;
        if let Some(request) = self.waiting.pop_front() {
            self.submit(request);
        }
        Some(completion)
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
