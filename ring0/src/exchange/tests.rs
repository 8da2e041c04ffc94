//! What a receiver gives of what lanes hold.

use super::*;
use crate::mesh::lane;
use crate::schema::Field;
use crate::wake::Bell;
use arrow_schema::DataType;

/// `None` tells the shard that it may sleep, so that it never stands for a mark that changed
/// nothing while other lanes hold more.
#[test]
fn nothing_is_left_when_polling_gives_none() {
    let schema = Schema::new(vec![Field::new("a", DataType::Int64)]);
    let bell = Arc::new(Bell::new().expect("a descriptor"));
    for lanes in 1..6usize {
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..lanes)
            .map(|_| lane(&schema, 8, 8, Arc::clone(&bell), Arc::clone(&bell)))
            .unzip();
        let mut receiver = ExchangeReceiver::new(receivers, Vec::new(), Order::Free, 1);
        // The last lane stays behind with its watermark, so that most marks change nothing.
        for (at, sender) in senders.iter_mut().enumerate() {
            for time in 0..5 {
                let mark = Mark::Watermark(if at + 1 == lanes { -1 } else { time });
                assert_eq!(sender.mark(mark), Flow::Done);
            }
            assert_eq!(sender.mark(Mark::End), Flow::Done);
        }
        let mut marks = Vec::new();
        while let Some(received) = receiver.poll() {
            match received {
                Received::Mark(mark) => marks.push(mark),
                Received::Absorbed => {}
                Received::Frame(..) => panic!("no frame was sent"),
            }
        }
        assert!(receiver.lanes.iter().all(|l| l.lane.is_empty()));
        assert!(receiver.is_ended());
        assert_eq!(marks.last(), Some(&Mark::End), "{lanes} lanes");
    }
}
