//! Partitioned scans: each row that is sent reaches the query once, whoever sends it, and nobody
//! waits for who does not take part.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::future::Future;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use proptest::prelude::*;
use trefoil::scan::{
    BridgeSendError, BridgeSender, BridgeTrySendError, SnapshotProvider, SourceSnapshotProvider,
};
use trefoil::{
    ChannelStreamSource, StreamSource, StreamingScanExec, StreamingTableProvider,
    create_partitioned_streaming_context, create_streaming_context,
};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("producer", DataType::Int64, false),
        Field::new("n", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
    ]))
}

/// Rows `from..to` of a producer; of each seventh `n` is NULL.
fn rows(producer: i64, numbers: std::ops::Range<i64>) -> RecordBatch {
    let producers: Int64Array = numbers.clone().map(|_| producer).collect();
    let ns: Int64Array = numbers.clone().map(|n| (n % 7 != 6).then_some(n)).collect();
    let names: StringArray = numbers.map(|n| Some(format!("row {n}"))).collect();
    let columns = vec![
        Arc::new(producers) as _,
        Arc::new(ns) as _,
        Arc::new(names) as _,
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn column(batches: &[RecordBatch], name: &str) -> Vec<Option<i64>> {
    let columns = batches.iter().map(|b| b.column_by_name(name).unwrap());
    let values = columns.map(|c| c.as_primitive::<Int64Type>().iter().collect::<Vec<_>>());
    values.flatten().collect()
}

async fn query(
    source: &Arc<ChannelStreamSource>,
    sql: &str,
) -> Result<Vec<RecordBatch>, DataFusionError> {
    let context = create_partitioned_streaming_context(source.num_partitions());
    let table = StreamingTableProvider::new("t", Arc::clone(source) as _);
    context.register_table("t", Arc::new(table))?;
    context.sql(sql).await?.collect().await
}

fn message<T: std::fmt::Debug>(result: Result<T, DataFusionError>) -> String {
    result.unwrap_err().strip_backtrace()
}

#[test]
fn senders_reach_their_partitions_and_a_query_has_each_row_once_and_in_order() {
    const BATCHES: i64 = 40;
    for partitions in [1, 2, 4, 8] {
        let source = ChannelStreamSource::with_partitions_and_capacity(schema(), partitions, 2);
        let source = Arc::new(source);
        let found = block_on(async {
            for sender in source.take_senders() {
                tokio::spawn(async move {
                    let producer = sender.partition() as i64;
                    for batch in 0..BATCHES {
                        let numbers = batch * 5..(batch + 1) * 5;
                        sender.send(rows(producer, numbers)).await.unwrap();
                    }
                });
            }
            query(&source, "SELECT name, producer FROM t")
                .await
                .unwrap()
        });
        let producers = column(&found, "producer");
        let names = found.iter().flat_map(|b| {
            let names = b.column_by_name("name").unwrap().as_string::<i32>();
            names
                .iter()
                .map(|n| n.unwrap().to_owned())
                .collect::<Vec<_>>()
        });
        let found: Vec<_> = producers.into_iter().zip(names).collect();
        for producer in 0..partitions as i64 {
            let of_it = found.iter().filter(|(p, _)| *p == Some(producer));
            let of_it: Vec<&str> = of_it.map(|(_, name)| name.as_str()).collect();
            let sent: Vec<String> = (0..BATCHES * 5).map(|n| format!("row {n}")).collect();
            assert_eq!(of_it, sent, "producer {producer} of {partitions}");
        }
        assert_eq!(found.len(), partitions * 5 * BATCHES as usize);
    }
}

#[test]
fn a_partition_has_the_stream_of_its_number() {
    let source = ChannelStreamSource::with_partitions(schema(), 3);
    block_on(async {
        for sender in source.take_senders() {
            let partition = sender.partition() as i64;
            sender.send(rows(partition, 0..2)).await.unwrap();
        }
        let scan = StreamingScanExec::try_new(Arc::new(source), None, vec![]).unwrap();
        let partitioning = &scan.properties().partitioning;
        assert!(matches!(partitioning, Partitioning::UnknownPartitioning(3)));
        for partition in [2, 0, 1] {
            let stream = scan.execute(partition, Arc::new(TaskContext::default()));
            let batches: Vec<RecordBatch> = stream.unwrap().map(Result::unwrap).collect().await;
            assert_eq!(column(&batches, "producer"), [Some(partition as i64); 2]);
        }
    });
}

#[test]
fn one_partition_is_the_default() {
    #[derive(Debug)]
    struct Fixed;
    impl StreamSource for Fixed {
        fn schema(&self) -> SchemaRef {
            schema()
        }

        fn stream(
            &self,
            _: usize,
            _: Option<Vec<usize>>,
            _: Vec<Expr>,
        ) -> Result<datafusion::execution::SendableRecordBatchStream, DataFusionError> {
            unreachable!("nobody scans")
        }
    }
    assert_eq!(Fixed.num_partitions(), 1);
    assert_eq!(Fixed.supports_filters(&[lit(true)]), [false]);
    assert_eq!(ChannelStreamSource::new(schema()).num_partitions(), 1);
    let partitions =
        |context: datafusion::prelude::SessionContext| context.state().config().target_partitions();
    assert_eq!(partitions(create_streaming_context()), 1);
    assert_eq!(partitions(create_partitioned_streaming_context(5)), 5);
}

#[test]
fn what_is_out_of_range_is_told_how_many_there_are() {
    for (partitions, there_are) in [(1, "there is 1 partition"), (3, "there are 3 partitions")] {
        let source = Arc::new(ChannelStreamSource::with_partitions(schema(), partitions));
        let told = format!("partition {partitions} is out of range: {there_are}");
        assert!(message(source.take_sender(partitions)).ends_with(&told));
        let stream = source.stream(partitions, None, vec![]).map(drop);
        assert!(message(stream).ends_with(&told));
        let scan = StreamingScanExec::try_new(Arc::clone(&source) as _, None, vec![]).unwrap();
        let stream = scan.execute(partitions, Arc::new(TaskContext::default()));
        assert!(message(stream.map(drop)).ends_with(&told));
        // And those that are there are as good as before.
        assert!(source.stream(partitions - 1, None, vec![]).is_ok());
    }
    let source = Arc::new(ChannelStreamSource::new(schema()));
    assert!(source.stream(0, Some(vec![3]), vec![]).is_err());
    assert!(StreamingScanExec::try_new(source, Some(vec![3]), vec![]).is_err());
}

#[test]
fn senders_and_streams_are_taken_once() {
    let source = ChannelStreamSource::with_partitions(schema(), 3);
    assert_eq!(source.take_sender(1).unwrap().partition(), 1);
    let again = message(source.take_sender(1));
    assert!(
        again.ends_with("the sender of partition 1 was taken before"),
        "{again}"
    );
    let others: Vec<usize> = source
        .take_senders()
        .iter()
        .map(BridgeSender::partition)
        .collect();
    assert_eq!(others, [0, 2]);
    assert!(source.take_senders().is_empty());
    assert!(source.stream(2, None, vec![]).is_ok());
    let again = message(source.stream(2, None, vec![]).map(drop));
    assert!(
        again.contains("the stream of partition 2 was taken before"),
        "{again}"
    );
}

#[test]
fn a_consumer_that_is_dropped_frees_its_producer() {
    let source = Arc::new(ChannelStreamSource::with_partitions_and_capacity(
        schema(),
        2,
        1,
    ));
    block_on(async {
        let senders = source.take_senders();
        let producers: Vec<_> = senders
            .into_iter()
            .map(|sender| {
                // They send for ever, and so end only where they are told to.
                tokio::spawn(async move {
                    loop {
                        if let Err(error) = sender.send(rows(0, 0..10)).await {
                            return (error, sender.is_closed());
                        }
                    }
                })
            })
            .collect();
        let found = query(&source, "SELECT n FROM t LIMIT 25").await.unwrap();
        assert_eq!(column(&found, "n").len(), 25);
        for producer in producers {
            let (error, closed) = producer.await.unwrap();
            assert!(matches!(error, BridgeSendError::ReceiverDropped) && closed);
        }
    });
}

#[test]
fn a_channel_holds_so_many_batches_and_no_more() {
    let source = Arc::new(ChannelStreamSource::with_capacity(schema(), 3));
    let sender = source.take_sender(0).unwrap();
    for n in 0..3 {
        sender.try_send(rows(0, n..n + 1)).unwrap();
    }
    assert!(matches!(
        sender.try_send(rows(0, 9..10)),
        Err(BridgeTrySendError::Full)
    ));
    block_on(async {
        let mut stream = source.stream(0, Some(vec![1]), vec![]).unwrap();
        assert_eq!(
            column(&[stream.next().await.unwrap().unwrap()], "n"),
            [Some(0)]
        );
        sender.try_send(rows(0, 3..4)).unwrap();
        drop(stream);
    });
    let sent = sender.try_send(rows(0, 4..5));
    assert!(matches!(sent, Err(BridgeTrySendError::ReceiverDropped)));
}

#[test]
fn a_slow_partition_stops_no_other() {
    let source = Arc::new(ChannelStreamSource::with_partitions_and_capacity(
        schema(),
        3,
        1,
    ));
    block_on(async {
        let mut senders = source.take_senders().into_iter();
        // It sends nothing until all that the others sent has come out.
        let slow = senders.next().unwrap();
        for sender in senders {
            tokio::spawn(async move {
                for n in 0..50 {
                    sender.send(rows(1, n * 7..n * 7 + 6)).await.unwrap();
                }
            });
        }
        let context = create_partitioned_streaming_context(3);
        let table = StreamingTableProvider::new("t", Arc::clone(&source) as _);
        context.register_table("t", Arc::new(table)).unwrap();
        let frame = context.sql("SELECT n FROM t WHERE n >= 0").await.unwrap();
        let mut results = frame.execute_stream().await.unwrap();
        let mut count = 0;
        while count < 2 * 50 * 6 {
            count += results.next().await.unwrap().unwrap().num_rows();
        }
        slow.send(rows(0, 0..4)).await.unwrap();
        drop(slow);
        let rest: Vec<RecordBatch> = results.map(Result::unwrap).collect().await;
        assert_eq!(column(&rest, "n").len(), 4);
    });
}

#[test]
fn reset_ends_the_old_streams_and_begins_anew() {
    let source = ChannelStreamSource::with_partitions(schema(), 2);
    block_on(async {
        let old = source.take_senders();
        let taken = source.stream(0, None, vec![]).unwrap();
        for sender in &old {
            sender.send(rows(7, 0..3)).await.unwrap();
        }
        let new = source.reset();
        // What was sent before is given, though the old sender is still there.
        let batches: Vec<RecordBatch> = taken.map(Result::unwrap).collect().await;
        assert_eq!(column(&batches, "producer"), [Some(7); 3]);
        for sender in &old {
            assert!(sender.is_closed());
            let sent = sender.send(rows(7, 0..1)).await;
            assert!(matches!(sent, Err(BridgeSendError::ReceiverDropped)));
        }
        assert_eq!(
            new.iter().map(BridgeSender::partition).collect::<Vec<_>>(),
            [0, 1]
        );
        assert!(source.take_sender(0).is_err(), "the new senders were given");
        for sender in new {
            sender.send(rows(8, 0..2)).await.unwrap();
        }
        for partition in 0..2 {
            let stream = source.stream(partition, None, vec![]).unwrap();
            let batches: Vec<RecordBatch> = stream.map(Result::unwrap).collect().await;
            assert_eq!(column(&batches, "producer"), [Some(8); 2]);
        }
    });
}

#[test]
fn a_stream_that_waits_is_ended_by_reset() {
    let source = Arc::new(ChannelStreamSource::new(schema()));
    block_on(async {
        let sender = source.take_sender(0).unwrap();
        let mut stream = source.stream(0, None, vec![]).unwrap();
        sender.send(rows(1, 0..1)).await.unwrap();
        assert!(stream.next().await.is_some());
        let waiting = tokio::spawn(async move { stream.next().await.is_none() });
        drop(source.reset());
        assert!(waiting.await.unwrap());
    });
}

#[test]
fn an_error_that_is_sent_ends_the_query() {
    let source = Arc::new(ChannelStreamSource::new(schema()));
    block_on(async {
        let sender = source.take_sender(0).unwrap();
        sender.send(rows(1, 0..1)).await.unwrap();
        let error = DataFusionError::Execution("the peer has gone".to_owned());
        sender.send_error(error).await.unwrap();
        let failed = query(&source, "SELECT * FROM t").await;
        assert!(message(failed).ends_with("the peer has gone"));
        assert!(sender.is_closed());
    });
}

#[test]
fn a_batch_of_other_columns_is_refused() {
    let source = ChannelStreamSource::new(schema());
    let sender = source.take_sender(0).unwrap();
    let other = rows(0, 0..3).project(&[0, 1]).unwrap();
    assert!(matches!(
        sender.try_send(other),
        Err(BridgeTrySendError::Columns(_))
    ));
    // A NULL where there is to be none: DataFusion was told otherwise.
    let nulls = rows(0, 0..7).project(&[1, 1, 2]).unwrap();
    assert!(matches!(
        sender.try_send(nulls),
        Err(BridgeTrySendError::Columns(_))
    ));
    // Other names, the same columns.
    let renamed = rows(0, 0..3).project(&[0, 0, 2]).unwrap();
    sender.try_send(renamed).unwrap();
}

#[test]
fn snapshots_are_dealt_to_the_partitions_of_the_session() {
    #[derive(Debug)]
    struct Seven;
    impl SnapshotProvider for Seven {
        fn schema(&self) -> SchemaRef {
            schema()
        }

        fn snapshot(&self) -> Result<Vec<RecordBatch>, DataFusionError> {
            Ok((0..7).map(|n| rows(n, 0..3)).collect())
        }
    }
    for partitions in [1, 2, 3, 10] {
        let context = create_partitioned_streaming_context(partitions);
        let table = SourceSnapshotProvider::new(Arc::new(Seven));
        context.register_table("seven", Arc::new(table)).unwrap();
        let dealt = block_on(async {
            let frame = context.sql("SELECT producer FROM seven").await.unwrap();
            frame.collect_partitioned().await.unwrap()
        });
        let found: Vec<Vec<Option<i64>>> = dealt.iter().map(|b| column(b, "producer")).collect();
        let of = |partition| (partition..7).step_by(partitions);
        let expected = (0..partitions).map(|p| of(p).flat_map(|n| [Some(n as i64); 3]).collect());
        assert_eq!(found, expected.collect::<Vec<Vec<_>>>());
    }
}

type Keeps = fn(i64) -> bool;

/// Filters, and which rows of [`rows`] they keep.
fn filters() -> Vec<(Expr, Keeps)> {
    fn known(n: i64) -> bool {
        n % 7 != 6
    }
    vec![
        (col("n").gt(lit(20i64)), |n| known(n) && n > 20),
        // Of another type than the column.
        (col("n").lt_eq(lit(60i32)), |n| known(n) && n <= 60),
        ((col("n") % lit(3i64)).eq(lit(0i64)), |n| {
            known(n) && n % 3 == 0
        }),
        (col("n").is_null(), |n| !known(n)),
        (col("name").like(lit("%5%")), |n| {
            n.to_string().contains('5')
        }),
        (
            col("n").gt(lit(90i64)).or(col("name").eq(lit("row 6"))),
            |n| (known(n) && n > 90) || n == 6,
        ),
        (lit(true), |_| true),
        (lit(false), |_| false),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn projection_and_filters_are_honoured_exactly(
        projection in proptest::option::of(proptest::collection::vec(0usize..3, 0..5)),
        chosen in proptest::collection::vec(0usize..8, 0..4),
        cuts in proptest::collection::btree_set(1i64..100, 0..6),
    ) {
        let source = ChannelStreamSource::new(schema());
        let sender = source.take_sender(0).unwrap();
        let mut from = 0;
        for to in cuts.into_iter().chain([100]) {
            sender.try_send(rows(3, from..to)).unwrap();
            from = to;
        }
        drop(sender);
        let all = filters();
        let exprs: Vec<Expr> = chosen.iter().map(|f| all[*f].0.clone()).collect();
        prop_assert!(source.supports_filters(&exprs).iter().all(|exactly| *exactly));
        let stream = source.stream(0, projection.clone(), exprs).unwrap();
        let found_schema = stream.schema();
        let found: Vec<RecordBatch> = block_on(stream.map(Result::unwrap).collect());

        let kept: Int64Array = (0..100).filter(|n| chosen.iter().all(|f| all[*f].1(*n))).collect();
        let whole = rows(3, 0..100);
        let whole = datafusion::arrow::compute::take_record_batch(&whole, &kept).unwrap();
        let expected = match &projection {
            Some(columns) => whole.project(columns).unwrap(),
            None => whole,
        };
        prop_assert_eq!(&found_schema, &expected.schema());
        let found = datafusion::arrow::compute::concat_batches(&found_schema, &found).unwrap();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn what_a_source_filters_is_not_filtered_again() {
    let source = Arc::new(ChannelStreamSource::new(schema()));
    let context = create_streaming_context();
    let table = StreamingTableProvider::new("t", Arc::clone(&source) as _);
    context.register_table("t", Arc::new(table)).unwrap();
    let plan = |sql: &'static str| {
        let context = &context;
        block_on(async move {
            let plan = context
                .sql(sql)
                .await
                .unwrap()
                .create_physical_plan()
                .await
                .unwrap();
            let shown = datafusion::physical_plan::displayable(plan.as_ref());
            shown.indent(false).to_string()
        })
    };
    let exact = plan("SELECT name FROM t WHERE n > 3 AND producer = 1");
    assert!(!exact.contains("FilterExec"), "{exact}");
    assert!(exact.contains("projection=[name], filters=[n > Int64(3), producer = Int64(1)]"));
    let volatile = plan("SELECT name FROM t WHERE random() > 0.5");
    assert!(volatile.contains("FilterExec"), "{volatile}");
    // Without an end there is no total: refused, and not waited for.
    let total = block_on(query(&source, "SELECT COUNT(*) FROM t"));
    assert!(total.is_err());
}
