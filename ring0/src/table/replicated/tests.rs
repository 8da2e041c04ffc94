//! Against a search of all rows: every type as a key, alone and with others, NULLs and repetitions.

use super::*;
use crate::column::random::{Dice, frame, text, types};
use crate::schema::Field;

#[test]
fn every_type_is_found_by_its_key() {
    let mut dice = Dice(7);
    let types = types();
    for (number, t) in types.iter().enumerate() {
        let other = &types[(number * 5 + 1) % types.len()];
        let fields = [("a", t), ("b", other)].map(|(n, t)| Field::new(n, t.clone()));
        let schema = Schema::new(fields.to_vec());
        let rows = frame(&schema, &mut dice, 300, 8, 5);
        let probed = frame(&schema, &mut dice, 300, 8, 5);
        for keys in [vec![0], vec![1, 0]] {
            let key = |frame: &Frame, row: usize| {
                let valid = keys.iter().all(|&k| frame.columns[k].is_valid(row));
                let texts = keys.iter().map(|&k| text(&frame.columns[k], row));
                valid.then(|| texts.collect::<Vec<_>>())
            };
            let whole: Vec<u32> = (0..300).collect();
            let mut copy = Frame::new(&schema, 300);
            copy.append_rows(&rows, &whole);
            let table = ReplicatedTable::new("t", &schema, &keys, copy, 1 << 20).unwrap();
            let mut probe = Probe::new(&schema, &keys);
            probe.begin(&schema, &probed);
            for start in (0..300).step_by(BATCH_ROWS) {
                let count = BATCH_ROWS.min(300 - start);
                probe.take(&probed, start, count);
                for row in start..start + count {
                    let wanted = key(&probed, row);
                    let want = (0..300).filter(|&r| wanted.is_some() && key(&rows, r) == wanted);
                    let got: Vec<_> = probe.find(&table, &probed, row).collect();
                    assert_eq!(got, want.collect::<Vec<_>>(), "{t} {keys:?} row {row}");
                }
            }
        }
    }
}

#[test]
fn an_empty_table_has_no_rows_and_a_large_one_is_refused() {
    let schema = Schema::new(vec![Field::new("k", arrow_schema::DataType::Int64)]);
    let mut dice = Dice(1);
    let rows = frame(&schema, &mut dice, 10, 5, 0);
    let empty = Frame::new(&schema, 1);
    let table = ReplicatedTable::new("t", &schema, &[0], empty, 0).unwrap();
    let mut probe = Probe::new(&schema, &[0]);
    probe.begin(&schema, &rows);
    probe.take(&rows, 0, 10);
    assert_eq!(probe.find(&table, &rows, 3).count(), 0);
    let error = ReplicatedTable::new("t", &schema, &[0], rows, 79).unwrap_err();
    assert_eq!(
        error.to_string(),
        "table t has 80 bytes, and broadcast_max_bytes is 79"
    );
}
