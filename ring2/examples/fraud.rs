//! A fraud check in the path of a request: payments are appended as they come, and before the next
//! one of a card is let through its past is looked up by key. `cargo run --example fraud`

use trefoil::engine::{Received, Subscription};
use trefoil::{Engine, Result, params};

/// What may be paid with one card in all.
const LIMIT: i64 = 1_000;

/// Whether a payment is let through.
fn check(engine: &Engine, card: i64, amount: i64) -> Result<bool> {
    let paid: i64 = match engine.get("cards", &params![card])? {
        Some(row) => row.get("paid")?,
        None => 0,
    };
    Ok(paid + amount <= LIMIT)
}

/// Takes changes until a card has so many payments: then look-ups see them.
fn wait_for(changes: &mut Subscription, engine: &Engine, card: i64, payments: i64) -> Result<()> {
    loop {
        let row = engine.get("cards", &params![card])?;
        if row.map_or(Ok(0), |row| row.get::<i64>("payments"))? == payments {
            return Ok(());
        }
        if changes.next_timeout(std::time::Duration::from_secs(30))? == Received::End {
            return Ok(());
        }
    }
}

fn main() -> Result<()> {
    let engine = Engine::builder().shards(1).open()?;
    engine.execute(
        "CREATE SOURCE payments (card BIGINT NOT NULL, amount BIGINT NOT NULL)
             WITH (connector = 'channel');
         CREATE MATERIALIZED VIEW cards AS
             SELECT card, COUNT(*) AS payments, SUM(amount) AS paid
             FROM payments GROUP BY card;",
    )?;
    let mut changes = engine.subscribe("cards")?;
    let mut payments = engine.appender("payments")?;
    let mut refused = 0;
    for (number, amount) in [400, 500, 200, 100].into_iter().enumerate() {
        if !check(&engine, 7, amount)? {
            refused += 1;
            continue;
        }
        payments.append_row(&params![7, amount])?;
        payments.flush()?;
        wait_for(&mut changes, &engine, 7, number as i64 + 1 - refused)?;
    }
    println!("{refused} payment of card 7 was refused");
    assert_eq!(refused, 1);

    // Anything else about the cards is asked in SQL.
    let most = engine.query("SELECT MAX(paid) AS most FROM cards", &[])?;
    let most: i64 = trefoil::engine::rows(&most[0])
        .next()
        .expect("a row")
        .get("most")?;
    assert_eq!(most, LIMIT);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_runs() {
        super::main().unwrap();
    }
}
