//! Connectors that bring bytes in order and at their own time: each is a feeder, a thread that
//! blocks or waits, and hands blocks to the shard that parses.

pub mod sockets;
pub mod stdin;
pub mod tail;

pub use self::sockets::{Address, Durable, Sockets, message};
pub use self::stdin::Stdin;
pub use self::tail::Tail;
