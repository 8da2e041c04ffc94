//! A pricing service: trades come in, each gives a new price of its symbol, and whoever sells asks
//! for the latest. docs/embedding.md builds it step by step. `cargo run --example pricing`

use trefoil::engine::{Drain, Idle, rows};
use trefoil::{Engine, Result, params};

fn main() -> Result<()> {
    // One shard on a thread of its own, which looks for work for 50 us before it sleeps.
    let engine = Engine::builder()
        .shards(1)
        .idle(Idle::SpinThenPark(std::time::Duration::from_micros(50)))
        .open()?;
    engine.execute(
        "CREATE SOURCE trades (
             symbol VARCHAR NOT NULL, price DOUBLE, qty BIGINT
         ) WITH (connector = 'channel');

         CREATE MATERIALIZED VIEW prices AS
             SELECT symbol, SUM(price * qty) / SUM(qty) AS vwap, SUM(qty) AS volume
             FROM trades GROUP BY symbol;",
    )?;

    let changes = engine.subscribe("prices")?;
    // A subscription can be read anywhere; here a thread keeps the last price it saw.
    let watching = std::thread::spawn(move || -> Result<Option<f64>> {
        let mut last = None;
        for batch in changes {
            for row in rows(&batch?) {
                let op: String = row.get("op")?;
                if op.starts_with('+') && row.get::<String>("symbol")? == "ACME" {
                    last = row.get("vwap")?;
                }
            }
        }
        Ok(last)
    });

    let mut trades = engine.appender("trades")?;
    for n in 1..=100_i64 {
        trades.append_row(&params!["ACME", 10.0 + (n % 2) as f64, n])?;
        trades.append_row(&params!["OTHER", 99.5, 1])?;
        // Each leaves at once: somebody waits for it.
        trades.flush()?;
    }
    trades.close();

    // The input is over: what was pushed is taken, and the views come to their end.
    let left = engine.shutdown(Drain::Input, std::time::Duration::from_secs(30));
    assert!(left.views.is_empty(), "{left:?}");
    let last = watching.join().expect("the watcher does not panic")?;
    println!("ACME at {last:?}");
    assert!(last.is_some_and(|price| (10.0..=11.0).contains(&price)));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
