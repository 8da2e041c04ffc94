//! Ring 0 alone, without SQL: rows of two threads are counted by key, and the counts come out when
//! the input ends. `cargo run --example appender -p trefoil-ring0`

use std::sync::Arc;

use arrow_schema::DataType;
use trefoil_ring0::appender::{Channel, Value};
use trefoil_ring0::column::Column;
use trefoil_ring0::error::Result;
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, ExchangeSpec, OperatorSpec, OutputSpec, Phase,
    Program, Reading, SourceKind, SourceSpec,
};
use trefoil_ring0::runtime::{Config, Runtime};
use trefoil_ring0::schema::{Field, Schema};

fn schema(names: &[&str]) -> Arc<Schema> {
    let fields = names.iter().map(|n| Field::new(*n, DataType::Int64));
    Arc::new(Schema::new(fields.collect()))
}

/// COUNT(*) by key.
fn program() -> Program {
    let (read, counted) = (schema(&["key"]), schema(&["key", "count"]));
    let mut source = SourceSpec::new("keys", Arc::clone(&read), SourceKind::Channel);
    source.reading = Reading::InOrder;
    let aggregate = AggregateSpec {
        input: Arc::clone(&read),
        keys: vec![0],
        calls: vec![AggregateCall {
            function: AggregateFunction::Count,
            argument: None,
        }],
        phase: Phase::Complete,
        window: None,
        output: Arc::clone(&counted),
    };
    Program::exchanged(
        source,
        Vec::new(),
        ExchangeSpec::hash(read, vec![0]),
        vec![OperatorSpec::Aggregate(Arc::new(aggregate))],
        OutputSpec::free(counted),
    )
}

fn main() -> Result<()> {
    let config = Config {
        shards: 2,
        ..Config::default()
    };
    let mut runtime = Runtime::open(&config)?;
    let mut channel = Channel::new("keys", schema(&["key"]), None, config.frame_rows);
    let mut running = runtime.add(&program())?;
    channel.attach(&mut running, 0, &[0])?;

    let appending: Vec<_> = (0..2)
        .map(|_| {
            let mut appender = channel.appender()?;
            Ok(std::thread::spawn(move || -> Result<()> {
                for row in 0..1_000 {
                    appender.append_row(&[Value::I64(row % 4)])?;
                }
                appender.flush()
            }))
        })
        .collect::<Result<_>>()?;
    for thread in appending {
        thread.join().expect("an appender does not panic")?;
    }
    running.control().drain();

    let mut rows = 0;
    while let Some(block) = running.next_block()? {
        let [Column::I64(keys), Column::I64(counts)] = &block.rows().columns[..] else {
            unreachable!("both columns are BIGINT")
        };
        for (key, count) in keys.values.iter().zip(&counts.values) {
            println!("{key}: {count}");
            rows += count;
        }
        running.give_back(block);
    }
    assert_eq!(rows, 2_000);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
