//! Ratios, ranges and lengths of what is made.

use super::*;

fn column(table: NexmarkTable, column: NexmarkColumn, seed: u64) -> Event {
    let spec = NexmarkSpec {
        table,
        events_per_s: 10_000,
        columns: vec![column],
    };
    Event::new(&spec, column, seed)
}

fn numbers(table: NexmarkTable, of: NexmarkColumn, rows: Range<u64>) -> Vec<i64> {
    let column = column(table, of, 7);
    rows.map(|row| column.number(table.event_of(row))).collect()
}

fn texts(table: NexmarkTable, of: NexmarkColumn, rows: Range<u64>) -> Vec<String> {
    let column = column(table, of, 7);
    let mut text = String::new();
    rows.map(|row| column.text(table.event_of(row), &mut text).to_owned())
        .collect()
}

/// Of every prefix of the events each is of one table, and is its own row there.
#[test]
fn events_and_rows_go_together() {
    let mut rows = [0; 3];
    for event in 0..500 {
        let of: Vec<_> = (NexmarkTable::ALL.iter().zip(&rows))
            .filter(|(table, row)| table.event_of(**row) == event)
            .map(|(table, _)| *table)
            .collect();
        let [table] = of.as_slice() else {
            panic!("event {event} is of {of:?}")
        };
        rows[*table as usize] += 1;
        assert_eq!(NexmarkTable::ALL.map(|t| t.rows_of(event + 1)), rows);
    }
    assert_eq!(rows, [10, 30, 460]);
}

#[test]
fn what_is_named_is_there_or_comes_soon() {
    use NexmarkColumn::*;
    let bids = 40_000..60_000_u64;
    let bid = NexmarkTable::Bid;
    let mut hot = [0; 2];
    let named = numbers(bid, Auction, bids.clone()).into_iter();
    for ((row, auction), bidder) in bids.clone().zip(named).zip(numbers(bid, Bidder, bids)) {
        let event = bid.event_of(row);
        let last = 999 + NexmarkTable::Auction.rows_of(event) as i64;
        let is_hot = auction == last / 100 * 100;
        assert!(is_hot || (last - 100..=last + 10).contains(&auction));
        hot[0] += u32::from(is_hot);
        let last = 999 + NexmarkTable::Person.rows_of(event) as i64;
        let is_hot = bidder == last / 100 * 100 + 1;
        assert!(is_hot || (last - 999..=last + 10).contains(&bidder));
        hot[1] += u32::from(is_hot);
    }
    // Of 20,000 a half and three quarters, and those that are so by chance.
    assert!((9_800..10_400).contains(&hot[0]), "{hot:?}");
    assert!((14_700..15_400).contains(&hot[1]), "{hot:?}");
    let sellers = numbers(NexmarkTable::Auction, Seller, 30_000..40_000);
    let hot = sellers.iter().filter(|seller| *seller % 100 == 0).count();
    assert!((7_300..7_800).contains(&hot), "{hot}");
    // The first events know few, and name no number that is never there.
    let first = numbers(bid, Auction, 0..46);
    assert!(first.iter().all(|auction| (1000..=1012).contains(auction)));
    let first = numbers(bid, Bidder, 0..46);
    assert!(first.iter().all(|bidder| (1000..=1010).contains(bidder)));
}

#[test]
fn auctions_end_behind_their_begin() {
    let auction = NexmarkTable::Auction;
    let begin = numbers(auction, NexmarkColumn::DateTime, 0..9000);
    let end = numbers(auction, NexmarkColumn::Expires, 0..9000);
    let open: Vec<i64> = end
        .iter()
        .zip(&begin)
        .map(|(end, begin)| end - begin)
        .collect();
    // A hundred auctions are 1666 events, of which ten happen in a millisecond.
    assert!(open.iter().all(|ms| (1..=334).contains(ms)));
    let mean = open.iter().sum::<i64>() as f64 / 9000.0;
    assert!((160.0..175.0).contains(&mean), "{mean}");
    assert_eq!(
        (begin[0], begin[3], begin[8999]),
        (START_MS, START_MS + 5, START_MS + 14_995)
    );
    let initial = numbers(auction, NexmarkColumn::InitialBid, 0..9000);
    let reserve = numbers(auction, NexmarkColumn::Reserve, 0..9000);
    let more = initial.iter().zip(&reserve).map(|(i, r)| r - i);
    assert!(
        more.into_iter()
            .all(|cents| (100..=100_000_000).contains(&cents))
    );
    let low = initial.iter().filter(|cents| **cents < 10_000).count();
    assert!(
        (2_850..3_150).contains(&low),
        "each power of ten is as often: {low}"
    );
}

#[test]
fn texts_are_as_long_as_they_are_to_be() {
    use NexmarkColumn::*;
    let (bid, person, auction) = (
        NexmarkTable::Bid,
        NexmarkTable::Person,
        NexmarkTable::Auction,
    );
    let lengths = |table, column, of: Range<usize>| {
        let texts = texts(table, column, 0..2000);
        let wrong = texts
            .iter()
            .find(|text| !of.contains(&text.len()) || *text != text.trim());
        assert_eq!(wrong, None, "{column:?}");
        let longest = texts.iter().map(String::len).max();
        assert_eq!(longest, Some(of.end - 1), "{column:?}");
    };
    lengths(bid, BidExtra, 54..82);
    lengths(auction, ItemName, 3..20);
    lengths(auction, Description, 3..100);
    for (table, extra, about) in [(person, PersonExtra, 200), (auction, AuctionExtra, 500)] {
        let own = table.columns().iter().map(|(_, column)| *column);
        let bytes: usize = own
            .filter(|column| column.data_type() == arrow_schema::DataType::Utf8)
            .map(|column| {
                texts(table, column, 0..2000)
                    .iter()
                    .map(String::len)
                    .sum::<usize>()
            })
            .sum();
        let numbers = if extra == PersonExtra { 8 } else { 6 * 8 };
        assert!(
            (bytes / 2000 + numbers).abs_diff(about) < 5,
            "{extra:?}: {bytes}"
        );
    }
}

#[test]
fn a_channel_has_one_url() {
    let channels = texts(NexmarkTable::Bid, NexmarkColumn::Channel, 0..40_000);
    let urls = texts(NexmarkTable::Bid, NexmarkColumn::Url, 0..40_000);
    let mut of = std::collections::HashMap::new();
    for (channel, url) in channels.iter().zip(&urls) {
        assert_eq!(*of.entry(channel).or_insert(url), url);
        let id = url.split_once("&channel_id=").map(|(_, id)| id);
        if let (Some(id), Some(number)) = (id, channel.strip_prefix("channel-")) {
            let bits = number.parse::<u32>().unwrap().reverse_bits().cast_signed();
            assert_eq!(id, bits.unsigned_abs().to_string());
        }
        assert!(id.is_none() || !HOT_CHANNELS.contains(&channel.as_str()));
    }
    let hot = channels
        .iter()
        .filter(|c| HOT_CHANNELS.contains(&c.as_str()))
        .count();
    assert!((19_500..20_500).contains(&hot), "{hot}");
    let named = of.values().filter(|url| url.contains("channel_id")).count();
    assert!(
        (of.len() * 88 / 100..of.len() * 92 / 100).contains(&named),
        "{named}"
    );
}

#[test]
fn seeds_and_columns_do_not_meet() {
    let prices = |seed| {
        let column = column(NexmarkTable::Bid, NexmarkColumn::Price, seed);
        (0..100)
            .map(|event| column.number(event))
            .collect::<Vec<_>>()
    };
    assert_eq!(prices(1), prices(1));
    assert_ne!(prices(1), prices(2));
}
