//! What shards see, when, and where memory goes.

use arrow_schema::DataType;

use super::*;
use crate::column::Column;
use crate::frame::Frame;
use crate::schema::{Field, Schema};
use crate::table::replicated::Probe;

fn schema() -> Schema {
    let columns = ["id", "epoch"].map(|name| Field::new(name, DataType::Int64));
    Schema::new(columns.to_vec())
}

/// The ids 0..rows, each with the epoch.
fn frame(rows: i64, epoch: i64) -> Frame {
    let mut frame = Frame::new(&schema(), rows.max(1) as usize);
    for (column, value) in [0, 1].into_iter().zip([None, Some(epoch)]) {
        let Column::I64(column) = &mut frame.columns[column] else {
            unreachable!("all columns are BIGINT")
        };
        (0..rows).for_each(|id| column.push(Some(value.unwrap_or(id))));
    }
    frame.commit_rows(rows as usize);
    frame
}

fn table(rows: i64, epoch: i64) -> ReplicatedTable {
    ReplicatedTable::new("t", &schema(), &[0], frame(rows, epoch), 1 << 20).unwrap()
}

#[test]
fn a_table_comes_with_its_epoch_and_goes_back_when_it_is_replaced() {
    let (mut tables, mut shards) = replicate(&["t", "u"], 2);
    for (name, epoch) in [("t", 1), ("u", 1), ("t", 3)] {
        (tables.update_replicated_table(name, table(1, epoch), epoch as u64)).unwrap();
    }
    let shard = &mut shards[0];
    shard.enter(0);
    assert!(shard.table(0).is_none() && shard.table(1).is_none());
    shard.enter(2);
    let first = std::ptr::from_ref(shard.table(0).unwrap());
    assert!(shard.table(1).is_some());
    assert_eq!(tables.collect(), 0);
    shard.enter(3);
    assert_ne!(std::ptr::from_ref(shard.table(0).unwrap()), first);
    assert_eq!(tables.collect(), 1);
    // The second shard took none: all that was sent comes back as well.
    drop(shards);
    assert_eq!(tables.collect(), 2 + 3);
}

#[test]
fn an_update_reaches_all_shards_or_none() {
    let (mut tables, mut shards) = replicate(&["t"], 2);
    for epoch in 1..=REPLICATED_UPDATES_MAX as u64 {
        tables
            .update_replicated_table("t", table(1, 0), epoch)
            .unwrap();
    }
    shards[0].enter(9);
    let error = (tables.update_replicated_table("t", table(1, 0), 9)).unwrap_err();
    assert!(matches!(error, Error::Behind { shard: 1 }), "{error}");
    shards[1].enter(9);
    tables.update_replicated_table("t", table(2, 0), 9).unwrap();
    for shard in &mut shards {
        shard.enter(9);
        assert_eq!(shard.table(0).unwrap().rows().rows(), 2);
    }
    for (name, epoch) in [("v", 9), ("t", 8)] {
        let error = (tables.update_replicated_table(name, table(1, 0), epoch)).unwrap_err();
        assert!(matches!(error, Error::Program(_)), "{error}");
    }
}

/// Shards on threads of their own enter epoch after epoch while tables change: each sees in each
/// epoch the rows of that epoch, whole.
#[test]
fn every_shard_changes_at_the_same_epoch() {
    const EPOCHS: u64 = 200;
    let (mut tables, shards) = replicate(&["t"], 3);
    let (announce, announced): (Vec<_>, Vec<_>) = (0..shards.len())
        .map(|_| std::sync::mpsc::channel::<u64>())
        .unzip();
    let threads = shards
        .into_iter()
        .zip(announced)
        .map(|(mut shard, epochs)| {
            std::thread::spawn(move || {
                let probed = frame(50, 0);
                let mut probe = Probe::new(&schema(), &[0]);
                probe.begin(&schema(), &probed);
                probe.take(&probed, 0, 50);
                for epoch in epochs {
                    shard.enter(epoch);
                    let table = shard.table(0).expect("the first epoch has rows");
                    let Column::I64(seen) = &table.rows().columns[1] else {
                        unreachable!("all columns are BIGINT")
                    };
                    for row in 0..50 {
                        let found: Vec<_> = probe.find(table, &probed, row).collect();
                        let want = ((row as u64) < epoch % 40 + 1).then_some(row);
                        assert_eq!(found, want.into_iter().collect::<Vec<_>>(), "epoch {epoch}");
                        let right = |&row: &usize| seen.get(row) == Some(epoch as i64);
                        assert!(found.iter().all(right), "epoch {epoch}");
                    }
                }
            })
        });
    let threads: Vec<_> = threads.collect();
    for epoch in 1..=EPOCHS {
        let rows = || table(epoch as i64 % 40 + 1, epoch as i64);
        while tables.update_replicated_table("t", rows(), epoch).is_err() {
            std::thread::yield_now();
        }
        announce.iter().for_each(|shard| shard.send(epoch).unwrap());
    }
    drop(announce);
    threads.into_iter().for_each(|t| t.join().unwrap());
    tables.collect();
}
