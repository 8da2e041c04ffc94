//! A socket as the peer: lines of NDJSON, or frames, from each producer on a connection of its own.
//! None is answered by itself, so that a record is answered when the socket took all of its bytes:
//! a peer that does not keep up fills the buffers between, and then shows. When all was written the
//! peer is told so, and has to close the connection: by that it says that it read to the end.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use trefoil_ring1::connector::Address;

use super::engine::Content;
use super::frames::Frames;
use super::pace::{Offered, Peer, failed};
use super::record::{Records, write_line};
use super::sleep_most_of;
use crate::failure::Failure;

/// Bytes of lines that wait for the socket.
const WAITING_BYTES: usize = 64 * 1024;
/// How long a peer may take to read what is under way, and to close the connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection.
#[derive(Debug)]
enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Calls a function that both kinds of connection have.
macro_rules! either {
    ($connection:expr, $stream:ident => $call:expr) => {
        match $connection {
            Connection::Tcp($stream) => $call,
            Connection::Unix($stream) => $call,
        }
    };
}

/// A producer.
#[derive(Debug)]
pub(crate) struct SocketPeer {
    connection: Connection,
    content: Content,
    payload_bytes: usize,
    payload: String,
    /// Records on their way into frames, where they go so.
    frames: Option<Frames>,
    /// Bytes that are still to be written: those from `at` on.
    bytes: Vec<u8>,
    at: usize,
    /// All bytes that were written, and for each record where it ends.
    written: u64,
    ends: VecDeque<(u64, u64)>,
}

fn lost(error: &std::io::Error) -> Failure {
    failed(&format!("the connection was lost: {error}"))
}

impl SocketPeer {
    /// Connects.
    pub(crate) fn connect(
        address: &Address,
        content: Content,
        payload_bytes: usize,
        frames: Option<Frames>,
    ) -> Result<Self, Failure> {
        let connected = match address {
            Address::Tcp(address) => TcpStream::connect(address).and_then(|stream| {
                stream.set_nodelay(true)?;
                Ok(Connection::Tcp(stream))
            }),
            Address::Unix(path) => UnixStream::connect(path).map(Connection::Unix),
        };
        let connection = connected.map_err(|error| failed(&format!("cannot connect: {error}")))?;
        let mut peer = Self {
            connection,
            content,
            payload_bytes,
            payload: String::new(),
            frames,
            bytes: Vec::with_capacity(2 * WAITING_BYTES),
            at: 0,
            written: 0,
            ends: VecDeque::new(),
        };
        peer.wait_long().map_err(|error| lost(&error))?;
        peer.meet()?;
        let waits = either!(&peer.connection, s => s.set_nonblocking(true));
        waits.map_err(|error| lost(&error))?;
        Ok(peer)
    }

    /// Reads and writes wait, and not for ever.
    fn wait_long(&self) -> std::io::Result<()> {
        either!(&self.connection, s => {
            s.set_nonblocking(false)?;
            s.set_write_timeout(Some(PATIENCE))?;
            s.set_read_timeout(Some(PATIENCE))
        })
    }

    /// Says who it is, and hears behind which record it goes on.
    fn meet(&mut self) -> Result<(), Failure> {
        let Some(frames) = &mut self.frames else {
            return Ok(());
        };
        let hello = frames.hello();
        either!(&mut self.connection, s => s.write_all(&hello)).map_err(|error| lost(&error))?;
        let mut bytes = [0; 256];
        loop {
            match either!(&mut self.connection, s => s.read(&mut bytes)) {
                Ok(0) => return Err(failed("it closed the connection at once")),
                Ok(count) if frames.hear(&bytes[..count])? => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(&error)),
            }
        }
    }

    /// Hears what the server says, if anything: why it takes no more, for example.
    fn hear(&mut self) -> Result<(), Failure> {
        let Some(frames) = &mut self.frames else {
            return Ok(());
        };
        let mut bytes = [0; 4096];
        match either!(&mut self.connection, s => s.read(&mut bytes)) {
            Ok(count @ 1..) => frames.hear(&bytes[..count]).map(drop),
            // That it has closed is found out by writing.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Why nothing goes any more, as the server says it if it does.
    fn lost(&mut self, failure: Failure) -> Failure {
        self.hear().err().unwrap_or(failure)
    }

    /// Writes what the socket takes now.
    fn write(&mut self) -> Result<(), Failure> {
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            match either!(&mut self.connection, s => s.write(rest)) {
                Ok(0) => return Err(self.lost(failed("it takes nothing any more"))),
                Ok(count) => {
                    self.at += count;
                    self.written += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(self.lost(lost(&error))),
            }
        }
        self.bytes.clear();
        self.at = 0;
        Ok(())
    }

    fn put(&mut self, records: &Records, number: u64, due_ns: u64) {
        self.payload.clear();
        if self.payload_bytes > 0 {
            records.payload(number, &mut self.payload);
        }
        let record = records.record(number, due_ns);
        match &mut self.frames {
            None => {
                write_line(&record, &self.payload, &mut self.bytes);
                self.ends.push_back((self.end(), number));
            }
            Some(frames) => {
                frames.push(number, &record, &self.payload);
                if frames.is_full() {
                    self.write_frame();
                }
            }
        }
    }

    /// Bytes of all that was written, and is to be.
    fn end(&self) -> u64 {
        self.written + (self.bytes.len() - self.at) as u64
    }

    /// Writes the records that wait for a frame.
    fn write_frame(&mut self) {
        let end = self.end();
        if let Some(frames) = &mut self.frames {
            frames.write(&mut self.bytes, end, &mut self.ends);
        }
    }

    /// Waits until the peer has closed the connection.
    fn closed(&mut self) -> std::io::Result<Result<(), Failure>> {
        either!(&self.connection, s => s.shutdown(Shutdown::Write))?;
        let mut bytes = [0; 256];
        loop {
            match either!(&mut self.connection, s => s.read(&mut bytes))? {
                0 => return Ok(Ok(())),
                count => {
                    let frames = self.frames.as_mut();
                    if let Some(Err(why)) = frames.map(|frames| frames.hear(&bytes[..count])) {
                        return Ok(Err(why));
                    }
                }
            }
        }
    }
}

impl Peer for SocketPeer {
    fn offer(&mut self, number: u64, due_ns: u64) -> Result<Offered, Failure> {
        if self.bytes.len() - self.at >= WAITING_BYTES {
            self.write()?;
            if !self.bytes.is_empty() {
                return Ok(Offered::Full);
            }
        }
        match &self.content {
            Content::Made(records) => {
                let records = Arc::clone(records);
                self.put(&records, number, due_ns);
            }
            Content::Read(replay) => {
                self.bytes.extend_from_slice(replay.line(number).as_bytes());
                self.bytes.push(b'\n');
                self.ends.push_back((self.end(), number));
            }
        }
        Ok(Offered::Taken)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.write_frame();
        if !self.bytes.is_empty() {
            self.hear()?;
        }
        self.write()
    }

    fn answers(&mut self, take: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        while let Some((_, number)) = self.ends.pop_front_if(|(end, _)| *end <= self.written) {
            take(number);
        }
        Ok(())
    }

    fn rest(&mut self, ns: u64) {
        match self.bytes.is_empty() {
            true => sleep_most_of(ns),
            false => std::hint::spin_loop(),
        }
    }

    fn finish(&mut self, take: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        self.wait_long().map_err(|error| lost(&error))?;
        self.write_frame();
        self.write()?;
        if !self.bytes.is_empty() {
            return Err(failed("it took nothing for 30 seconds"));
        }
        self.answers(take)?;
        let closed = self.closed().map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                failed("it did not close the connection within 30 seconds of the end")
            }
            _ => lost(&error),
        });
        closed?
    }
}
