//! What the events of the NEXMark benchmark hold: drawn from (seed, event, draw) by a hash, with
//! the ratios, lengths and words of the benchmark's own generators.
//!
//! Half of the bids are for a hot auction, three of four are by a hot bidder, and three of four
//! auctions by a hot seller; hot ones are one of each hundred, the latest so far. All others are of
//! those that are still of interest, and of some that are not there yet. What two columns have in
//! common they draw alike: a reserve is above its initial bid, a URL is that of its channel.

use std::ops::Range;

use super::draw::{GOLDEN, fraction, mix};
use crate::column::Column;
use crate::program::{NexmarkColumn, NexmarkSpec, NexmarkTable};

/// The time of the first event, in milliseconds: 2024-01-01.
const START_MS: i64 = 1_704_067_200_000;
/// The first number of persons and of auctions.
const FIRST_ID: u64 = 1000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;
/// One of so many is hot at a time.
const HOT_OF: u64 = 100;
/// All but one of so many bids are for a hot auction or by a hot bidder, and auctions by a hot
/// seller.
const HOT_AUCTION_RATIO: u64 = 2;
const HOT_BIDDER_RATIO: u64 = 4;
const HOT_SELLER_RATIO: u64 = 4;
/// Persons that still bid and sell, auctions that are still open, and how many numbers ahead of
/// the last one may be named.
const ACTIVE_PERSONS: u64 = 1000;
const OPEN_AUCTIONS: u64 = 100;
const LEAD: u64 = 10;
/// Half of the bids come by one of these, others by one of so many more.
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const CHANNELS: u64 = 10_000;
/// Bytes that a row has about, its `extra` filling it up.
const PERSON_BYTES: u64 = 200;
const AUCTION_BYTES: u64 = 500;
const BID_BYTES: u64 = 100;
/// A word has as many letters at least.
const LETTERS_MIN: u64 = 3;
/// Letters that all of `extra` are cut out of.
const POOL: u64 = 64 * 1024;

const FIRST_NAMES: [&str; 11] = [
    "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter",
];
const LAST_NAMES: [&str; 9] = [
    "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris",
];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];

/// What is drawn for an event: each draw has a number of its own.
#[derive(Debug, Clone, Copy)]
enum Draw {
    IsHotAuction,
    Auction,
    IsHotChannel,
    Channel,
    IsHotPerson,
    Person,
    Price,
    More,
    Length,
    Place,
    FirstName,
    LastName,
    User,
    Host,
    Card,
    City,
    State,
    Category,
    Name,
    Description,
    Expires,
    /// Of the words that are there once, and not for each event.
    Word,
}

/// A column of one of the tables.
#[derive(Debug)]
pub(super) struct Event {
    table: NexmarkTable,
    column: NexmarkColumn,
    per_s: u64,
    key: u64,
    /// Letters of `extra`; channels or their URLs: what is cut out of or picked from.
    pool: String,
    words: Vec<String>,
}

impl Event {
    pub(super) fn new(spec: &NexmarkSpec, column: NexmarkColumn, seed: u64) -> Self {
        let mut event = Self {
            table: spec.table,
            column,
            per_s: spec.events_per_s,
            key: mix(mix(seed).wrapping_add(GOLDEN)),
            pool: String::new(),
            words: Vec::new(),
        };
        match column {
            NexmarkColumn::PersonExtra | NexmarkColumn::AuctionExtra | NexmarkColumn::BidExtra => {
                let mut pool = String::with_capacity(POOL as usize);
                letters(event.random(0, Draw::Word), POOL, None, &mut pool);
                event.pool = pool;
            }
            NexmarkColumn::Channel => {
                let hot = HOT_CHANNELS.map(str::to_owned).into_iter();
                event.words = hot
                    .chain((0..CHANNELS).map(|n| format!("channel-{n}")))
                    .collect();
            }
            NexmarkColumn::Url => {
                let hot = HOT_CHANNELS.len() as u64;
                event.words = (0..hot + CHANNELS).map(|n| event.url(n, hot)).collect();
            }
            _ => {}
        }
        event
    }

    #[inline]
    fn random(&self, event: u64, draw: Draw) -> u64 {
        let key = mix(self.key.wrapping_add(draw as u64));
        mix(key.wrapping_add(event.wrapping_mul(GOLDEN)))
    }

    /// A number below `end`.
    #[inline]
    fn below(&self, event: u64, draw: Draw, end: u64) -> u64 {
        below(self.random(event, draw), end)
    }

    fn one_of<'a>(&self, event: u64, draw: Draw, words: &[&'a str]) -> &'a str {
        words[self.below(event, draw, words.len() as u64) as usize]
    }

    /// A price in cents, from 1.00 to a million: each power of ten as often.
    fn price(&self, event: u64, draw: Draw) -> i64 {
        let power = fraction(self.random(event, draw)) * 6.0;
        (10_f64.powf(power) * 100.0).round() as i64
    }

    /// Milliseconds since 1970 at which an event happens.
    fn time(&self, event: u64) -> i64 {
        let ms = u128::from(event) * 1000 / u128::from(self.per_s);
        START_MS.wrapping_add(ms as i64)
    }

    /// A person of those that are active at an event of one who sells or bids: the first of the
    /// latest hundred sells, the second one bids.
    fn person(&self, event: u64, hot_ratio: u64, hot: u64) -> u64 {
        let last = persons(event) - 1;
        if self.below(event, Draw::IsHotPerson, hot_ratio) > 0 {
            return last / HOT_OF * HOT_OF + hot;
        }
        let active = (last + 1).min(ACTIVE_PERSONS);
        last + 1 - active + self.below(event, Draw::Person, active + LEAD)
    }

    /// The auction that is bid for.
    fn auction(&self, event: u64) -> u64 {
        let last = auctions(event) - 1;
        if self.below(event, Draw::IsHotAuction, HOT_AUCTION_RATIO) > 0 {
            return last / HOT_OF * HOT_OF;
        }
        let first = last.saturating_sub(OPEN_AUCTIONS);
        first + self.below(event, Draw::Auction, last - first + 1 + LEAD)
    }

    /// When an auction ends: it is open until about as many more have begun as are open.
    fn expires(&self, event: u64) -> i64 {
        let time = self.time(event);
        // Auctions come by threes: thrice as many begin where a round does.
        let events = self.table.event_of(3 * OPEN_AUCTIONS) - self.table.event_of(0);
        let open_ms = self.time(event + events / 3) - time;
        let length = self.below(event, Draw::Expires, (open_ms as u64 * 2).max(1));
        time + 1 + length as i64
    }

    /// The whole number of an event, in a column of them.
    #[inline]
    fn number(&self, event: u64) -> i64 {
        match self.column {
            NexmarkColumn::DateTime => self.time(event),
            NexmarkColumn::PersonId => (FIRST_ID + persons(event) - 1) as i64,
            NexmarkColumn::AuctionId => (FIRST_ID + auctions(event) - 1) as i64,
            NexmarkColumn::InitialBid | NexmarkColumn::Price => self.price(event, Draw::Price),
            NexmarkColumn::Reserve => {
                self.price(event, Draw::Price) + self.price(event, Draw::More)
            }
            NexmarkColumn::Expires => self.expires(event),
            NexmarkColumn::Seller => (FIRST_ID + self.person(event, HOT_SELLER_RATIO, 0)) as i64,
            NexmarkColumn::Bidder => (FIRST_ID + self.person(event, HOT_BIDDER_RATIO, 1)) as i64,
            NexmarkColumn::Category => {
                (FIRST_CATEGORY + self.below(event, Draw::Category, CATEGORIES)) as i64
            }
            NexmarkColumn::Auction => (FIRST_ID + self.auction(event)) as i64,
            other => unreachable!("{other:?} is a text"),
        }
    }

    /// The text of an event, in a column of them; it is written to `text`, unless it is there.
    fn text<'a>(&'a self, event: u64, text: &'a mut String) -> &'a str {
        text.clear();
        match self.column {
            NexmarkColumn::Name => {
                text.push_str(self.one_of(event, Draw::FirstName, &FIRST_NAMES));
                text.push(' ');
                text.push_str(self.one_of(event, Draw::LastName, &LAST_NAMES));
            }
            NexmarkColumn::EmailAddress => {
                self.word(event, Draw::User, 7, text);
                text.push('@');
                self.word(event, Draw::Host, 5, text);
                text.push_str(".com");
            }
            NexmarkColumn::CreditCard => {
                let mut digits = self.random(event, Draw::Card);
                for place in 0..CARD_BYTES {
                    let is_space = place % 5 == 4;
                    text.push(if is_space { ' ' } else { digit(digits % 10) });
                    digits /= if is_space { 1 } else { 10 };
                }
            }
            NexmarkColumn::City => return self.one_of(event, Draw::City, &CITIES),
            NexmarkColumn::State => return self.one_of(event, Draw::State, &STATES),
            NexmarkColumn::ItemName => self.word(event, Draw::Name, 20, text),
            NexmarkColumn::Description => self.word(event, Draw::Description, 100, text),
            NexmarkColumn::Channel | NexmarkColumn::Url => return &self.words[self.channel(event)],
            NexmarkColumn::PersonExtra => {
                let words = [
                    self.one_of(event, Draw::FirstName, &FIRST_NAMES),
                    self.one_of(event, Draw::LastName, &LAST_NAMES),
                    self.one_of(event, Draw::City, &CITIES),
                    self.one_of(event, Draw::State, &STATES),
                ];
                let words: usize = words.iter().map(|word| word.len()).sum();
                let email = self.length(event, Draw::User, 7) + self.length(event, Draw::Host, 5);
                // A number, a space in the name, what is in each address, and the card.
                let others = 8 + 1 + "@.com".len() as u64 + CARD_BYTES;
                return self.extra(event, PERSON_BYTES, words as u64 + email + others);
            }
            NexmarkColumn::AuctionExtra => {
                let name = self.length(event, Draw::Name, 20);
                let description = self.length(event, Draw::Description, 100);
                return self.extra(event, AUCTION_BYTES, 6 * 8 + name + description);
            }
            NexmarkColumn::BidExtra => return self.extra(event, BID_BYTES, 4 * 8),
            other => unreachable!("{other:?} is a number"),
        }
        text
    }

    /// The number of a bid's channel, the hot ones first.
    fn channel(&self, event: u64) -> usize {
        let hot = HOT_CHANNELS.len() as u64;
        let number = match self.below(event, Draw::IsHotChannel, 2) {
            0 => self.below(event, Draw::Channel, hot),
            _ => hot + self.below(event, Draw::Channel, CHANNELS),
        };
        number as usize
    }

    /// The URL of a channel; of those that are not hot nine of ten say their own number.
    fn url(&self, channel: u64, hot: u64) -> String {
        let mut url = "https://www.nexmark.com/".to_owned();
        for part in 0..3 {
            let random = self.random(channel * 4 + part, Draw::Word);
            letters(
                random,
                LETTERS_MIN + below(mix(random), 2),
                Some('_'),
                &mut url,
            );
            url.push('/');
        }
        url.push_str("item.htm?query=1");
        if let Some(number) = channel.checked_sub(hot)
            && self.below(channel * 4 + 3, Draw::Word, 10) > 0
        {
            let id = (number as u32).reverse_bits().cast_signed().unsigned_abs();
            url.push_str(&format!("&channel_id={id}"));
        }
        url
    }

    /// How many letters a word of fewer than `end` has.
    fn length(&self, event: u64, draw: Draw, end: u64) -> u64 {
        LETTERS_MIN + below(mix(self.random(event, draw)), end - LETTERS_MIN)
    }

    /// A word, or several.
    fn word(&self, event: u64, draw: Draw, end: u64, text: &mut String) {
        let count = self.length(event, draw, end);
        letters(self.random(event, draw), count, Some(' '), text);
    }

    /// Letters that make a row have about so many bytes, of which it has some.
    fn extra(&self, event: u64, bytes: u64, has: u64) -> &str {
        let missing = bytes.saturating_sub(has);
        let around = (missing + 2) / 5;
        let length = missing - around + self.below(event, Draw::Length, (2 * around).max(1));
        let begin = self.below(event, Draw::Place, POOL - length) as usize;
        &self.pool[begin..begin + length as usize]
    }
}

/// Bytes of a credit card: four times four digits.
const CARD_BYTES: u64 = 19;

fn digit(number: u64) -> char {
    char::from(b'0' + number as u8)
}

/// Letters, and for one of thirteen, where there is one, what stands between words; no space
/// stands at an end.
fn letters(random: u64, count: u64, between: Option<char>, text: &mut String) {
    let mut bits = 0;
    for place in 0..count {
        // Sixteen bits for each letter.
        if place % 4 == 0 {
            bits = mix(random.wrapping_add(GOLDEN.wrapping_mul(place + 1)));
        }
        let drawn = bits & 0xffff;
        bits >>= 16;
        let is_end = place == 0 || place + 1 == count;
        text.push(match between {
            Some(mark) if drawn % 13 == 0 && !(is_end && mark == ' ') => mark,
            _ => char::from(b'a' + (drawn / 13 % 26) as u8),
        });
    }
}

/// A number below `end`, from 64 bits.
fn below(random: u64, end: u64) -> u64 {
    ((u128::from(random) * u128::from(end)) >> 64) as u64
}

/// Persons and auctions that there are behind an event, which is one of them or comes later in its
/// round than one.
fn persons(event: u64) -> u64 {
    NexmarkTable::Person.rows_of(event + 1)
}

fn auctions(event: u64) -> u64 {
    NexmarkTable::Auction.rows_of(event + 1)
}

/// Appends rows of the table to a column.
pub(super) fn append(column: &Event, rows: Range<u64>, to: &mut Column) {
    let events = rows.clone().map(|row| column.table.event_of(row));
    match to {
        Column::I64(to) => {
            to.validity.push_valid((rows.end - rows.start) as usize);
            to.values.extend(events.map(|event| column.number(event)));
        }
        Column::Utf8(to) => {
            let mut text = String::new();
            events.for_each(|event| to.push(Some(column.text(event, &mut text))));
        }
        other => panic!("no column of {:?} in the benchmark", other.physical()),
    }
}

#[cfg(test)]
mod tests;
