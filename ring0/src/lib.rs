//! Ring 0 of Trefoil: the hot path.
//!
//! One executor per pinned core, a *shard*, runs the same [`program::Program`] as every other
//! shard. Records travel in [`frame::Frame`]s: a source fills one, operators filter and project
//! it, a router hashes its keys, SPSC rings carry it to the shard that owns the key, an operator
//! updates that shard's own state, and the one emit path hands result rows out.
//!
//! What is absent: locks, contended atomics, allocation in steady state on a native path,
//! blocking calls on a shard's thread, the clock per row, Tokio and DataFusion.
//!
//! Modules stand in the order of a record's journey.

#![warn(missing_docs)]

pub mod error;
pub mod id;
pub mod limits;
pub mod schema;

pub mod changelog;
pub mod column;
pub mod frame;
pub mod message;

pub mod expr;
pub mod program;

pub mod format;

pub mod feed;
mod source;
pub use source::{Drawn, is_made};

pub mod hash;
pub mod kernel;
pub mod operator;
pub mod order;
pub mod table;

pub mod replicated;

pub mod align;
mod exchange;
mod lineage;
mod mesh;
pub mod snapshot;
mod stage;
mod tally;
mod wake;

mod build;
mod check;
mod failure;
mod io;
pub mod metrics;
pub mod output;
pub mod preflight;
mod shard;

pub mod runtime;

pub mod appender;
pub mod mailbox;
