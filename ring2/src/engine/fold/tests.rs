//! Changelogs of all kinds against a plain count of rows: whatever is read later stays what it was.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow_ipc::reader::StreamReader;
use datafusion::arrow::array::{BooleanArray, Float64Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::util::display::array_value_to_string;

use super::*;

type Row = (i64, Option<String>, Option<i64>, f64, Option<bool>);
/// Rows as texts, and how often each stands.
type Model = BTreeMap<String, i64>;

fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("k", DataType::Int64),
        field("s", DataType::Utf8),
        field("v", DataType::Int64),
        field("d", DataType::Float64),
        field("b", DataType::Boolean),
    ]))
}

fn batch(rows: &[(&str, Row)]) -> RecordBatch {
    let rows = || rows.iter();
    let ops: ArrayRef = Arc::new(StringArray::from_iter_values(rows().map(|(op, _)| op)));
    let columns: [ArrayRef; 5] = [
        Arc::new(rows().map(|(_, r)| Some(r.0)).collect::<Int64Array>()),
        Arc::new(rows().map(|(_, r)| r.1.clone()).collect::<StringArray>()),
        Arc::new(rows().map(|(_, r)| r.2).collect::<Int64Array>()),
        Arc::new(rows().map(|(_, r)| Some(r.3)).collect::<Float64Array>()),
        Arc::new(rows().map(|(_, r)| r.4).collect::<BooleanArray>()),
    ];
    let named = ["op", "k", "s", "v", "d", "b"];
    let columns = named.into_iter().zip([ops].into_iter().chain(columns));
    RecordBatch::try_from_iter(columns).expect("a batch")
}

fn texts(batch: &RecordBatch, into: &mut Model) {
    for row in 0..batch.num_rows() {
        let values = batch.columns().iter();
        let values = values.map(|c| match c.is_null(row) {
            true => "NULL".to_owned(),
            false => array_value_to_string(c, row).expect("a value"),
        });
        let text = values.collect::<Vec<_>>().join("|");
        *into.entry(text).or_default() += 1;
    }
}

fn apply(fold: &mut Fold, shard: usize, rows: &[(&str, Row)]) {
    let changes = fold.layout().changes(&batch(rows)).expect("it fits");
    fold.apply(shard, &changes).expect("it is applied");
}

fn slices(snapshot: &Snapshot, shard: usize) -> impl Iterator<Item = Range<usize>> {
    let rows = snapshot.len(shard);
    let slices = (0..rows).step_by(BLOCK_ROWS);
    slices.map(move |from| from..rows.min(from + BLOCK_ROWS))
}

fn read(snapshot: &Snapshot) -> Model {
    let mut found = Model::new();
    for shard in 0..snapshot.shards() {
        for slice in slices(snapshot, shard) {
            let rows = snapshot.batch(shard, slice.clone()).expect("rows");
            assert_eq!(snapshot.count(shard, slice), rows.num_rows());
            texts(&rows, &mut found);
        }
    }
    found
}

fn text(row: &Row) -> String {
    let mut one = Model::new();
    let whole = batch(&[("+I", row.clone())]);
    texts(&whole.project(&[1, 2, 3, 4, 5]).expect("columns"), &mut one);
    one.into_keys().next().expect("a row")
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }

    fn row(&mut self, key: i64) -> Row {
        let some = |n: u64| n > 0;
        (
            key,
            some(self.below(4)).then(|| "ab".repeat(self.below(9) as usize)),
            some(self.below(3)).then(|| self.below(5) as i64),
            [0.0, -0.0, f64::NAN, 1.5][self.below(4) as usize],
            some(self.below(3)).then(|| self.below(2) == 1),
        )
    }
}

/// Changes of some keys: mostly updates, with deletions that come before what they delete.
fn changes(
    random: &mut Random,
    last: &mut BTreeMap<i64, Row>,
    keys: Range<u64>,
) -> Vec<(&'static str, Row)> {
    let mut all = Vec::new();
    for _ in 0..random.below(60) {
        let key = (keys.start + random.below(keys.end - keys.start)) as i64;
        let new = random.row(key);
        match (last.get(&key).cloned(), random.below(5)) {
            (Some(old), 0) => {
                all.push(("-D", old));
                last.remove(&key);
            }
            (Some(old), 1) => {
                // The new row first, and then the old one goes.
                all.extend([("+I", new.clone()), ("-D", old)]);
                last.insert(key, new);
            }
            (Some(old), 2) => {
                all.extend([
                    ("-D", new.clone()),
                    ("+I", new),
                    ("-D", old.clone()),
                    ("+I", old),
                ]);
            }
            (Some(old), _) => {
                all.extend([("-U", old), ("+U", new.clone())]);
                last.insert(key, new);
            }
            (None, _) => {
                all.push(("+I", new.clone()));
                last.insert(key, new);
            }
        }
    }
    all
}

fn check(seed: u64, keys: Vec<usize>) {
    let mut random = Random(seed);
    let mut fold = Fold::new(schema(), true, keys.clone(), 2).expect("a fold");
    let mut last = [BTreeMap::new(), BTreeMap::new()];
    let mut model = Model::new();
    let mut kept: Vec<(Snapshot, Model)> = Vec::new();
    let mut waiting: [Option<String>; 2] = [None, None];
    for _ in 0..60 {
        let shard = random.below(2) as usize;
        // Rows are a shard's own: no other takes them away.
        let keys_of = 100 * shard as u64;
        let all = changes(&mut random, &mut last[shard], keys_of..keys_of + 40);
        // In batches that end anywhere, also between the two rows of an update.
        let mut rest = &all[..];
        while !rest.is_empty() {
            let (some, others) = rest.split_at(1 + random.below(rest.len() as u64) as usize);
            rest = others;
            apply(&mut fold, shard, some);
            if let Some(gone) = waiting[shard].take() {
                *model.entry(gone).or_default() -= 1;
            }
            for (number, (op, row)) in some.iter().enumerate() {
                match *op {
                    "-U" if number + 1 == some.len() => waiting[shard] = Some(text(row)),
                    op if op.starts_with('-') => *model.entry(text(row)).or_default() -= 1,
                    _ => *model.entry(text(row)).or_default() += 1,
                }
            }
            model.retain(|_, weight| *weight != 0);
            let stands = |model: &Model| -> Model {
                let standing = model.iter().filter(|(_, weight)| **weight > 0);
                standing
                    .map(|(row, weight)| (row.clone(), *weight))
                    .collect()
            };
            let now = fold.snapshot();
            assert_eq!(read(&now), stands(&model), "seed {seed}");
            let left = read(&fold.leaving().expect("rows"));
            let wanted: Vec<&String> = waiting.iter().flatten().collect();
            assert_eq!(left.values().sum::<i64>(), wanted.len() as i64);
            assert!(
                wanted.iter().all(|row| left.contains_key(*row)),
                "seed {seed}"
            );
            if random.below(4) == 0 {
                kept.push((now, stands(&model)));
            }
            if kept.len() > 3 {
                kept.remove(random.below(4) as usize);
            }
            for (snapshot, then) in &kept {
                assert_eq!(read(snapshot), *then, "what was read changed: seed {seed}");
            }
        }
    }
    fold.end().expect("it ends");
    gone_on(fold, keys);
}

/// Rows that are written and read again are the same, by whatever number of shards.
fn gone_on(mut fold: Fold, keys: Vec<usize>) {
    let before = fold.snapshot();
    let again = Fold::new(schema(), true, keys, 1).expect("a fold");
    let mut again = again.with_homes(Homes::One);
    for shard in 0..before.shards() {
        for slice in slices(&before, shard) {
            let bytes = before.encoded(shard, slice);
            let rows = StreamReader::try_new(&bytes[..], None).expect("a stream");
            for rows in rows {
                again.go_on(0, &rows.expect("rows")).expect("they fit");
            }
        }
    }
    assert_eq!(read(&again.snapshot()), read(&before));
}

#[test]
fn rows_that_stand_are_those_of_the_changes() {
    for seed in 0..4 {
        check(seed, vec![0]);
        check(seed + 100, Vec::new());
        check(seed + 200, vec![1, 0]);
    }
}

#[test]
fn places_are_used_again_and_keys_are_found_in_any_block() {
    let mut random = Random(7);
    let mut fold = Fold::new(schema(), true, vec![0], 1).expect("a fold");
    let count = 2 * BLOCK_ROWS as i64 + 100;
    let rows: Vec<Row> = (0..count).map(|key| random.row(key)).collect();
    let all = |op: &'static str| rows.iter().map(|row| (op, row.clone())).collect::<Vec<_>>();
    apply(&mut fold, 0, &all("+I"));
    let first = fold.snapshot();
    assert_eq!(
        (first.len(0), read(&first).values().sum::<i64>()),
        (count as usize, count)
    );
    let halved: Vec<_> = all("-D").into_iter().step_by(2).collect();
    apply(&mut fold, 0, &halved);
    let again: Vec<_> = all("+I").into_iter().step_by(2).collect();
    apply(&mut fold, 0, &again);
    assert_eq!(
        fold.snapshot().len(0),
        count as usize,
        "no place is left free"
    );
    assert_eq!(read(&fold.snapshot()), read(&first));
    for key in [0, 8191, 8192, 16_384, count - 1, count] {
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![key]));
        let found = read(&fold.probe(&[keys]).expect("a probe"));
        let wanted = rows.get(key as usize).map(text);
        assert_eq!(found.into_keys().next(), wanted, "{key}");
    }
    apply(&mut fold, 0, &all("-D"));
    assert_eq!(
        fold.snapshot().len(0),
        0,
        "nothing is left to be looked over"
    );
    assert_eq!(read(&first).values().sum::<i64>(), count);
}
