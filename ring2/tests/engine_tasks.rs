//! Appenders and subscriptions in tasks of an executor that knows nothing of the engine: nothing is
//! lost, and who waits is woken.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use futures::{Stream, StreamExt};
use trefoil::datafusion::arrow::array::{AsArray, Int64Array, RecordBatch};
use trefoil::datafusion::arrow::datatypes::Int64Type;
use trefoil::engine::Idle;
use trefoil::{Engine, params};

/// An executor: a task on this thread, which sleeps until it is woken.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(task: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut task = pin!(task);
    loop {
        if let Poll::Ready(done) = task.as_mut().poll(&mut context) {
            return done;
        }
        std::thread::park();
    }
}

fn engine(shards: usize) -> Engine {
    let engine = Engine::builder().shards(shards).idle(Idle::Park);
    let engine = engine.frame_rows(8).ring_messages(2).open().unwrap();
    engine
        .execute(
            "CREATE SOURCE c (k BIGINT, v BIGINT) WITH (connector = 'channel');
             CREATE MATERIALIZED VIEW v AS SELECT v FROM c",
        )
        .unwrap();
    engine
}

fn values(batch: &RecordBatch) -> i64 {
    let column = batch.column_by_name("v").unwrap();
    column.as_primitive::<Int64Type>().iter().flatten().sum()
}

const ROWS: i64 = 20_000;

/// A task pushes, another one reads; lanes and mailboxes are full most of the time.
#[test]
fn tasks_push_and_read() {
    for shards in [1, 2] {
        let engine = engine(shards);
        let mut changes = engine.subscribe("v").unwrap().changes();
        let mut pushers = Vec::new();
        for number in 0..3 {
            let mut appender = engine.appender("c").unwrap();
            pushers.push(std::thread::spawn(move || {
                block_on(async {
                    for n in 0..ROWS / 2 {
                        appender.push(&params![number, n]).await.unwrap();
                    }
                    appender.push_flush().await.unwrap();
                    let rest = Int64Array::from_iter_values(ROWS / 2..ROWS);
                    let keys = Int64Array::from_value(number, rest.len());
                    let batch = RecordBatch::try_from_iter([
                        ("k", Arc::new(keys) as _),
                        ("v", Arc::new(rest) as _),
                    ]);
                    appender.push_batch(&batch.unwrap()).await.unwrap();
                    appender.push_flush().await.unwrap();
                });
            }));
        }
        let (mut rows, mut sum) = (0, 0);
        block_on(async {
            while rows < 3 * ROWS {
                let batch = changes.next().await.unwrap().unwrap();
                rows += batch.num_rows() as i64;
                sum += values(&batch);
            }
        });
        assert_eq!((rows, sum), (3 * ROWS, 3 * ROWS * (ROWS - 1) / 2));
        pushers
            .into_iter()
            .for_each(|pusher| pusher.join().unwrap());
        let ending = std::thread::spawn(move || block_on(async { changes.next().await }));
        engine.execute("DROP MATERIALIZED VIEW v").unwrap();
        assert!(ending.join().unwrap().is_none());
    }
}

/// A push that is dropped while it waits leaves its row out, and the next one goes on.
#[test]
fn a_push_that_is_dropped_took_nothing() {
    let engine = engine(1);
    let subscription = engine.subscribe("v").unwrap();
    let mut appender = engine.appender("c").unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut pushed = 0i64;
    // Nobody reads: in the end there is no room.
    let full = |poll: Poll<trefoil::Result<()>>| match poll {
        Poll::Ready(done) => {
            done.unwrap();
            false
        }
        Poll::Pending => true,
    };
    let mut waited = 0;
    while waited < 3 {
        let row = params![0, pushed];
        let is_full = full(pin!(appender.push(&row)).poll(&mut context));
        match is_full {
            true => waited += 1,
            false => pushed += 1,
        }
    }
    let mut changes = subscription.changes();
    let pusher = std::thread::spawn(move || {
        block_on(async {
            appender.push(&params![0, pushed]).await.unwrap();
            appender.push_flush().await.unwrap();
        });
    });
    let mut next = 0;
    block_on(async {
        while next <= pushed {
            let batch = changes.next().await.unwrap().unwrap();
            let column = batch.column_by_name("v").unwrap();
            for value in column.as_primitive::<Int64Type>().iter() {
                assert_eq!(value, Some(next), "each row once, in order");
                next += 1;
            }
        }
    });
    pusher.join().unwrap();
    let nothing = Pin::new(&mut changes).poll_next(&mut context);
    assert!(matches!(nothing, Poll::Pending));
}

/// A task that waits for room learns that its source was dropped, one that reads that its view
/// failed.
#[test]
fn who_waits_learns_of_the_end() {
    let engine = engine(1);
    engine
        .execute("CREATE MATERIALIZED VIEW w AS SELECT 10 / v AS x FROM c")
        .unwrap();
    let _kept = engine.subscribe("v").unwrap();
    let mut failing = engine.subscribe("w").unwrap().changes();
    let mut appender = engine.appender("c").unwrap();
    let reading = std::thread::spawn(move || {
        block_on(async {
            let first = failing.next().await.unwrap();
            let behind = failing.next().await;
            (first.unwrap_err().code(), behind.is_none())
        })
    });
    let pushing = std::thread::spawn(move || {
        block_on(async {
            loop {
                if let Err(error) = appender.push(&params![0, 0]).await {
                    return error.code();
                }
            }
        })
    });
    assert_eq!(reading.join().unwrap(), ("E0607", true));
    engine.execute("DROP SOURCE c CASCADE").unwrap();
    assert_eq!(pushing.join().unwrap(), "E0601");
}
