//! What a source says of event time: its watermark, how far that came, and who holds it back.

use super::Source;
use super::clock::Clock;

impl Source {
    /// Whether something of it is there that was not read. What is on a disk is, to its end.
    pub(crate) fn waits(&self) -> bool {
        match self {
            Self::Files(_) | Self::Columnar(_) | Self::Columns(_) | Self::Memory(_) => true,
            Self::Generator(source) => !source.is_paced(),
            Self::Stream(source) => source.waits(),
            Self::Connections(source) => source.waits(),
            Self::Channel(source) => source.waits(),
            Self::Elsewhere => false,
        }
    }

    /// The watermark behind that frame, if it moved.
    pub(crate) fn watermark(&mut self) -> Option<i64> {
        match self {
            Self::Files(source) => source.watermark(),
            Self::Columnar(source) => source.watermark(),
            Self::Stream(source) => source.watermark(),
            Self::Connections(source) => source.watermark(),
            Self::Channel(source) => source.watermark(),
            Self::Generator(source) => source.watermark(),
            Self::Columns(source) => source.watermark(),
            Self::Memory(_) | Self::Elsewhere => None,
        }
    }

    /// The greatest watermark that was reached in what is read here.
    pub(crate) fn reached(&self) -> Option<i64> {
        match self {
            Self::Files(source) => source.reached(),
            Self::Columnar(source) => source.reached(),
            Self::Stream(source) => source.reached(),
            Self::Connections(source) => source.reached(),
            Self::Channel(source) => source.reached(),
            Self::Generator(source) => source.reached(),
            Self::Columns(source) => source.reached(),
            Self::Memory(_) | Self::Elsewhere => None,
        }
    }

    /// The number of the split that holds its watermark back.
    pub(crate) fn holder(&self) -> u32 {
        let split = match self {
            Self::Files(source) => source.clock().and_then(Clock::split_in_hand),
            Self::Columnar(source) => source.clock().and_then(Clock::split_in_hand),
            Self::Connections(source) => source.holder(),
            Self::Channel(source) => source.holder(),
            Self::Stream(_)
            | Self::Generator(_)
            | Self::Columns(_)
            | Self::Memory(_)
            | Self::Elsewhere => None,
        };
        split.and_then(|s| u32::try_from(s).ok()).unwrap_or(0)
    }

    /// Of each row of the last frame the watermark of its own split, where the rows carry another
    /// one; else none.
    pub(crate) fn own_bounds(&self) -> &[i64] {
        match self {
            Self::Connections(source) => source.own_bounds(),
            Self::Channel(source) => source.own_bounds(),
            Self::Files(_)
            | Self::Columnar(_)
            | Self::Stream(_)
            | Self::Generator(_)
            | Self::Columns(_)
            | Self::Memory(_)
            | Self::Elsewhere => &[],
        }
    }
}
