//! The streams of the NEXMark benchmark: an auction house, as events that go round the tables. Of
//! fifty events the first is a new person, the next three are new auctions, and all others bids; so
//! the number of an event follows from that of a row in its table, and the other way round.

use arrow_schema::{DataType, TimeUnit};

/// Events of one round.
const ROUND: u64 = 50;
/// Of these are persons, then auctions, then bids.
const PERSONS: u64 = 1;
const AUCTIONS: u64 = 3;
/// Events a second of event time, where no rate is asked for.
pub const EVENTS_PER_S: u64 = 10_000;

/// What is made of the events of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct NexmarkSpec {
    /// Which kind.
    pub table: NexmarkTable,
    /// Events of all kinds in a second of event time.
    pub events_per_s: u64,
    /// For each column that the source reads, which it is.
    pub columns: Vec<NexmarkColumn>,
}

/// A kind of events, and the table of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NexmarkTable {
    /// Who sells and bids.
    Person,
    /// What is sold.
    Auction,
    /// What is bid.
    Bid,
}

impl NexmarkTable {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Person, Self::Auction, Self::Bid];

    /// As it is called in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Auction => "auction",
            Self::Bid => "bid",
        }
    }

    /// Where its events begin in a round, and how many there are.
    fn share(self) -> (u64, u64) {
        match self {
            Self::Person => (0, PERSONS),
            Self::Auction => (PERSONS, AUCTIONS),
            Self::Bid => (PERSONS + AUCTIONS, ROUND - PERSONS - AUCTIONS),
        }
    }

    /// How many of so many events are of this kind.
    ///
    /// ```
    /// use trefoil_ring0::program::NexmarkTable::{Auction, Bid, Person};
    ///
    /// assert_eq!([Person, Auction, Bid].map(|t| t.rows_of(103)), [3, 8, 92]);
    /// assert_eq!((Auction.event_of(7), Auction.rows_of(102), Auction.rows_of(103)), (102, 7, 8));
    /// ```
    pub fn rows_of(self, events: u64) -> u64 {
        let (begin, count) = self.share();
        let begun = (events % ROUND).saturating_sub(begin).min(count);
        events / ROUND * count + begun
    }

    /// The number of the event that row number `row` of the table is.
    pub fn event_of(self, row: u64) -> u64 {
        let (begin, count) = self.share();
        (row / count).saturating_mul(ROUND) + begin + row % count
    }

    /// Its columns, in order.
    pub fn columns(self) -> &'static [(&'static str, NexmarkColumn)] {
        use NexmarkColumn::*;
        match self {
            Self::Person => &[
                ("id", PersonId),
                ("name", Name),
                ("email_address", EmailAddress),
                ("credit_card", CreditCard),
                ("city", City),
                ("state", State),
                ("date_time", DateTime),
                ("extra", PersonExtra),
            ],
            Self::Auction => &[
                ("id", AuctionId),
                ("item_name", ItemName),
                ("description", Description),
                ("initial_bid", InitialBid),
                ("reserve", Reserve),
                ("date_time", DateTime),
                ("expires", Expires),
                ("seller", Seller),
                ("category", Category),
                ("extra", AuctionExtra),
            ],
            Self::Bid => &[
                ("auction", Auction),
                ("bidder", Bidder),
                ("price", Price),
                ("channel", Channel),
                ("url", Url),
                ("date_time", DateTime),
                ("extra", BidExtra),
            ],
        }
    }
}

/// A column of one of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what the benchmark calls them")]
pub enum NexmarkColumn {
    DateTime,
    PersonId,
    Name,
    EmailAddress,
    CreditCard,
    City,
    State,
    PersonExtra,
    AuctionId,
    ItemName,
    Description,
    InitialBid,
    Reserve,
    Expires,
    Seller,
    Category,
    AuctionExtra,
    Auction,
    Bidder,
    Price,
    Channel,
    Url,
    BidExtra,
}

impl NexmarkColumn {
    /// Its type. No value is NULL.
    pub fn data_type(self) -> DataType {
        match self {
            Self::DateTime | Self::Expires => DataType::Timestamp(TimeUnit::Millisecond, None),
            Self::PersonId
            | Self::AuctionId
            | Self::InitialBid
            | Self::Reserve
            | Self::Seller
            | Self::Category
            | Self::Auction
            | Self::Bidder
            | Self::Price => DataType::Int64,
            Self::Name
            | Self::EmailAddress
            | Self::CreditCard
            | Self::City
            | Self::State
            | Self::PersonExtra
            | Self::ItemName
            | Self::Description
            | Self::AuctionExtra
            | Self::Channel
            | Self::Url
            | Self::BidExtra => DataType::Utf8,
        }
    }
}
