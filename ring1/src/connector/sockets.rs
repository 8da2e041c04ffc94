//! Sockets that listen. Each connection has a feeder, a thread that blocks in read(2), and a ring
//! of its own: where the shard does not keep up it reads no further, and the kernel holds the
//! client back. A client that is cut off, or says nothing for too long, ends its own connection
//! alone.

mod acknowledge;
mod frames;
pub mod message;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use trefoil_ring0::feed::{Arrivals, Blocks, Feeder, Listen, Listener};
use trefoil_ring0::schema::Field;

pub use self::acknowledge::Durable;
use self::acknowledge::Told;

/// Bytes that are asked for at once.
const READ_BYTES: usize = 64 * 1024;
/// Time between two looks at who wants to connect.
const LOOK_MS: i32 = 20;
/// Time between two looks at whether somebody still wants what a silent client may send.
const SILENCE: Duration = Duration::from_millis(200);

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host and a port.
    Tcp(String),
    /// A path.
    Unix(PathBuf),
}

/// A socket that takes connections, each of which brings records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sockets {
    /// Where it listens.
    pub address: Address,
    /// Connections at once; another is closed as soon as it is there.
    pub connections_max: usize,
    /// Bytes of a record; a longer one is bad data. Of frames of records, those of a message.
    pub record_bytes_max: usize,
    /// A client that sends nothing for so long is cut off.
    pub silence_max: Duration,
    /// Where clients say who they are, and are told what is durable: what is.
    pub acknowledges: Option<Arc<Durable>>,
    /// The columns of frames, where records come in these: then clients say who they are.
    pub frames: Option<Arc<[Field]>>,
}

/// A socket of either kind that listens.
#[derive(Debug)]
enum Open {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// A connection of either kind.
#[derive(Debug)]
enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listen for Sockets {
    fn name(&self) -> PathBuf {
        match &self.address {
            Address::Tcp(address) => PathBuf::from(format!("tcp://{address}")),
            Address::Unix(path) => PathBuf::from(format!("unix:{}", path.display())),
        }
    }

    fn connections_max(&self) -> usize {
        self.connections_max
    }

    fn record_bytes_max(&self) -> usize {
        self.record_bytes_max
    }

    fn open(&self) -> Result<Box<dyn Listener>, String> {
        let open = match &self.address {
            Address::Tcp(address) => TcpListener::bind(address)
                .and_then(|socket| socket.set_nonblocking(true).map(|()| Open::Tcp(socket))),
            Address::Unix(path) => bind(path).and_then(|socket| {
                socket.set_nonblocking(true)?;
                Ok(Open::Unix(socket, path.clone()))
            }),
        };
        Ok(Box::new(Listening {
            open: open.map_err(|error| error.to_string())?,
            silence_max: self.silence_max,
            acknowledges: self.acknowledges.clone(),
            frames: self.frames.clone(),
            message_bytes_max: self.record_bytes_max,
            connections_max: self.connections_max,
            count: Arc::default(),
        }))
    }

    fn acknowledges(&self) -> bool {
        self.acknowledges.is_some()
    }

    fn note_durable(&self, producers: &[(String, u64)]) {
        if let Some(durable) = &self.acknowledges {
            durable.note(producers);
        }
    }
}

/// Binds a path, also where a socket is left there to which nobody listens any more.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    let is_socket = || {
        path.metadata()
            .is_ok_and(|facts| facts.file_type().is_socket())
    };
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_socket() => {
            match UnixStream::connect(path) {
                Err(nobody) if nobody.kind() == ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                    UnixListener::bind(path)
                }
                Ok(_) | Err(_) => Err(error),
            }
        }
        bound => bound,
    }
}

struct Listening {
    open: Open,
    silence_max: Duration,
    acknowledges: Option<Arc<Durable>>,
    frames: Option<Arc<[Field]>>,
    message_bytes_max: usize,
    connections_max: usize,
    /// Connections that are open.
    count: Arc<AtomicUsize>,
}

impl Listener for Listening {
    fn run(self: Box<Self>, arrivals: &mut Arrivals) -> Result<(), String> {
        let here = match &self.open {
            Open::Tcp(socket) => match socket.local_addr() {
                Ok(address) => format!("tcp://{address}"),
                Err(error) => return Err(error.to_string()),
            },
            Open::Unix(_, path) => format!("unix:{}", path.display()),
        };
        arrivals.tell(&format!("listening on {here}"));
        let (mut number, mut refused, mut told) = (0_u64, 0_u64, None);
        while arrivals.is_wanted() {
            let (connection, from) = match self.open.accept() {
                Ok(accepted) => accepted,
                // Nobody, or one that went away again, or no descriptor for the moment.
                Err(error) => {
                    if error.kind() != ErrorKind::WouldBlock && told != Some(error.kind()) {
                        arrivals.tell(&format!("{here}: a connection failed: {error}"));
                        told = Some(error.kind());
                    }
                    arrivals.wait(LOOK_MS);
                    continue;
                }
            };
            number += 1;
            let name = format!("{here}#{number}{from}");
            let has_room = self.count.load(Ordering::Acquire) < self.connections_max;
            let taken = has_room && arrivals.has_room() && {
                self.count.fetch_add(1, Ordering::AcqRel);
                let reading = Reading {
                    connection,
                    name: name.clone(),
                    silence_max: self.silence_max,
                    told: self.acknowledges.clone().map(Told::new),
                    frames: self.frames.clone(),
                    message_bytes_max: self.message_bytes_max,
                    _open: OneOpen(Arc::clone(&self.count)),
                };
                arrivals
                    .admit(PathBuf::from(name), Box::new(reading))
                    .is_ok()
            };
            if !taken {
                refused += 1;
                // Each by itself would be a way to fill a log.
                if refused.is_power_of_two() {
                    let most = self.connections_max;
                    arrivals.tell(&format!(
                        "{here}: a connection was refused, as there may be {most} at once; \
                         {refused} so far"
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Open {
    fn accept(&self) -> std::io::Result<(Connection, String)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, from) = socket.accept()?;
                Ok((Connection::Tcp(stream), format!(" from {from}")))
            }
            Self::Unix(socket, _) => {
                let (stream, _) = socket.accept()?;
                Ok((Connection::Unix(stream), String::new()))
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Who comes next would find it without a listener.
            _ = std::fs::remove_file(path);
        }
    }
}

/// A connection that is open; it counts until it is dropped.
struct OneOpen(Arc<AtomicUsize>);

impl Drop for OneOpen {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

struct Reading {
    connection: Connection,
    name: String,
    silence_max: Duration,
    /// What the client was told, where it is.
    told: Option<Told>,
    /// The columns of its frames, where it sends these.
    frames: Option<Arc<[Field]>>,
    message_bytes_max: usize,
    _open: OneOpen,
}

impl Reading {
    fn prepare(&self) -> std::io::Result<()> {
        let look = match self.told {
            Some(_) => acknowledge::LOOK,
            None => SILENCE,
        };
        match &self.connection {
            Connection::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_write_timeout(Some(acknowledge::PATIENCE))?;
                stream.set_read_timeout(Some(look))
            }
            Connection::Unix(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_write_timeout(Some(acknowledge::PATIENCE))?;
                stream.set_read_timeout(Some(look))
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.connection {
            Connection::Tcp(stream) => stream.write_all(bytes),
            Connection::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.connection {
            Connection::Tcp(stream) => stream.read(bytes),
            Connection::Unix(stream) => stream.read(bytes),
        }
    }

    /// Reads to the end; why it was not one, where it was cut off.
    fn read_all(&mut self, blocks: &mut Blocks) -> Result<(), String> {
        self.prepare().map_err(|error| error.to_string())?;
        if let Some(fields) = self.frames.clone() {
            return self.read_frames(&fields, blocks);
        }
        let mut first = match self.told {
            None => Vec::new(),
            Some(_) => match self.greet(blocks)? {
                Some(rest) => rest,
                None => return Ok(()),
            },
        };
        while let Some(mut block) = blocks.buffer() {
            if first.is_empty() {
                block.resize(READ_BYTES, 0);
                let count = self.receive(&mut block, blocks)?;
                block.truncate(count);
            } else {
                std::mem::swap(&mut block, &mut first);
                first.clear();
            }
            if block.is_empty() {
                break;
            }
            blocks.send(block);
        }
        Ok(())
    }

    /// Bytes that come, none at the end, and none where nobody wants more.
    fn receive(&mut self, block: &mut [u8], blocks: &Blocks) -> Result<usize, String> {
        let waited = Instant::now();
        loop {
            self.acknowledge()?;
            match self.read(block) {
                Ok(count) => return Ok(count),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        if !blocks.is_wanted() {
                            return Ok(0);
                        }
                        if waited.elapsed() >= self.silence_max {
                            let time = self.silence_max;
                            return Err(format!("it sent nothing for {time:?}"));
                        }
                    }
                    _ => return Err(error.to_string()),
                },
            }
        }
    }
}

impl Feeder for Reading {
    fn run(mut self: Box<Self>, blocks: &mut Blocks) -> Result<(), String> {
        let read = self.read_all(blocks);
        if let Err(why) = &read {
            blocks.tell(&format!("{} was cut off: {why}", self.name));
        }
        read
    }
}
