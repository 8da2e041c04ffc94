//! What a shard is made of.

use super::{Among, Aside, Consumer, Late};
use crate::exchange::ExchangeReceiver;
use crate::source::{Processing, Source};

/// A source of a shard, as it is made.
#[derive(Debug)]
pub(crate) struct SourcePart {
    pub(crate) source: Source,
    pub(crate) letters: Option<Aside>,
    pub(crate) late: Late,
    /// Its clock, where rows are told by when they are read.
    pub(crate) processing: Option<Processing>,
    /// How it stands among the others.
    pub(crate) among: Among,
    pub(crate) consumers: Vec<Consumer>,
    /// It fills the side of a join that is made again.
    pub(crate) is_remade: bool,
}

/// The end of an exchange, as it is made.
#[derive(Debug)]
pub(crate) struct ExchangePart {
    pub(crate) receiver: ExchangeReceiver,
    pub(crate) consumers: Vec<Consumer>,
    pub(crate) number: u32,
}
