//! The end of a chain: the mesh, or the host.

use super::Item;
use crate::exchange::ExchangeSender;
use crate::mesh::{Flow, LaneSender};
use crate::message::Mark;

/// The end of a chain.
#[derive(Debug)]
pub(crate) enum Sink {
    /// Into the mesh.
    Exchange(ExchangeSender),
    /// To the host.
    Output {
        /// The lane to the host.
        lane: LaneSender,
        /// The host takes chunks in order.
        ordered: bool,
        /// How many rows of the frame in hand were sent.
        next: usize,
    },
}

impl Sink {
    /// Offers an item; after `Full` the same item has to be offered again.
    pub(crate) fn offer(&mut self, item: Item<'_>) -> Flow {
        match (self, item) {
            (Self::Exchange(exchange), Item::Frame(frame)) => exchange.send(frame),
            (Self::Exchange(exchange), Item::Mark(mark)) => exchange.mark(mark),
            (Self::Output { lane, next, .. }, Item::Frame(frame)) => {
                let flow = lane.send_all(frame, next);
                if flow == Flow::Done {
                    *next = 0;
                }
                flow
            }
            (Self::Output { ordered: false, .. }, Item::Mark(Mark::ChunkEnd | Mark::SplitEnd)) => {
                Flow::Done
            }
            (Self::Output { lane, .. }, Item::Mark(mark)) => lane.mark(mark),
            (_, Item::Tick) => unreachable!("the time is told to what waits for it"),
            (_, Item::Groups(_)) => unreachable!("groups go into the aggregation behind"),
        }
    }
}
