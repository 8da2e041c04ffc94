//! Groups that are handed on as they were at a barrier, while rows change them, windows close and
//! tables grow.

use arrow_array::RecordBatch;

use super::*;
use crate::limits::PAGE_BYTES;
use crate::snapshot::frame_of;

/// Rows of state as texts, in an order, each with what is known of its batch.
pub(in crate::operator::aggregate) fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let mut texts: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            let known: BTreeMap<_, _> = batch.schema_ref().metadata().iter().collect();
            let known = format!("{known:?}");
            let types = batch.columns().iter().map(|c| c.data_type().clone());
            let schema = Schema::new(types.map(|t| Field::new("x", t)).collect());
            let frame = frame_of(&schema, batch.columns(), batch.num_rows());
            let rows = rows_of(&[frame]).into_iter();
            rows.map(move |row| format!("{known} {row:?}"))
        })
        .collect();
    texts.sort();
    texts
}

fn saved(aggregate: &mut Aggregate) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    while let Some(rows) = aggregate.save().expect("save") {
        batches.push(rows);
    }
    batches
}

struct Setting {
    keys: Vec<usize>,
    windows: bool,
    distinct: u64,
    /// Rows before each barrier, and frames of so many behind it, between two slices.
    rows: usize,
    frame_rows: usize,
    paces: Vec<usize>,
}

/// Freezes groups several times, and hands them on between frames.
fn check_frozen(seed: u64, setting: &Setting) {
    let mut random = Random(seed);
    let (types, calls) = (schema(), calls());
    let window = setting.windows.then(|| WindowKey {
        key: setting.keys.iter().position(|&k| k == 5).expect("a window"),
        size_ns: 1_000_000_000,
    });
    let keys = &setting.keys;
    let phase = Phase::Complete;
    let made = || {
        let spec = spec(
            types.clone(),
            keys.clone(),
            &calls,
            phase,
            window,
            &types,
            keys,
        );
        Aggregate::new(spec, 0, KEY_GROUPS as u32, Addresses::shared_by(2)).expect("new")
    };
    let (mut frozen, mut other) = (made(), made());
    let (mut got, mut wanted) = (Vec::new(), Vec::new());
    for (life, &pace) in setting.paces.iter().enumerate() {
        let frame = frame(&mut random, setting.rows, setting.distinct, 0);
        run(&mut frozen, std::slice::from_ref(&frame));
        run(&mut other, &[frame]);
        let before = texts(&saved(&mut other));
        frozen.freeze().expect("freeze");
        let mut batches = Vec::new();
        loop {
            for _ in 0..pace {
                let (rows, distinct) = (setting.frame_rows, setting.distinct);
                let frame = super::model::frame(&mut random, rows, distinct, 0);
                run(&mut frozen, std::slice::from_ref(&frame));
                run(&mut other, &[frame]);
            }
            // Windows close meanwhile.
            if setting.windows && batches.len() == life % 3 {
                let upto = Some(life as i64 * 1_000_000_000);
                got.extend(emitted(&mut frozen, upto, 70));
                wanted.extend(emitted(&mut other, upto, 70));
            }
            match frozen.shared().save_frozen().expect("save") {
                Some(rows) => {
                    assert!(rows.num_rows() <= crate::snapshot::FROZEN_ROWS);
                    batches.push(rows);
                }
                None => break,
            }
        }
        assert!(!frozen.shared().is_frozen(), "all was handed on");
        assert_eq!(texts(&batches), before);
        // Nothing is kept for it: values that are longer than a slot may lie in other places.
        let most = other.pages() + setting.distinct as usize * 200 / PAGE_BYTES + 8;
        assert!(frozen.pages() <= 2 * most, "{} pages", frozen.pages());
        assert_eq!(texts(&saved(&mut frozen)), texts(&saved(&mut other)));
    }
    got.extend(emitted(&mut frozen, None, 100));
    wanted.extend(emitted(&mut other, None, 100));
    let sorted = |frames: &[Frame]| {
        let mut rows: Vec<String> = rows_of(frames).iter().map(|r| format!("{r:?}")).collect();
        rows.sort();
        rows
    };
    assert_eq!(sorted(&got), sorted(&wanted));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn groups_are_handed_on_as_they_were(
        seed in any::<u64>(),
        keys in prop::sample::subsequence(vec![0, 1, 2, 3, 5], 0..=3),
        windows in any::<bool>(),
        distinct in prop_oneof![1u64..50, 1u64..5000],
        rows in 0usize..4000,
        frame_rows in prop_oneof![1usize..4, 1usize..600],
        paces in prop::collection::vec(0usize..4, 1..4),
    ) {
        let windows = windows && keys.contains(&5);
        check_frozen(seed, &Setting { keys, windows, distinct, rows, frame_rows, paces });
    }
}

/// Tables of many pages, which are divided while they are handed on.
#[test]
fn pages_are_divided_meanwhile() {
    for keys in [vec![0], vec![2, 0]] {
        let setting = Setting {
            keys,
            windows: false,
            distinct: 1_000_000,
            rows: 6_000,
            frame_rows: 400,
            paces: vec![1, 3],
        };
        check_frozen(11, &setting);
    }
}

/// What is copied is bounded: who is told so has to hand on before it changes more.
#[test]
fn copies_are_counted() {
    let types = Schema::new(vec![Field::new("k", DataType::Int64)]);
    let calls = [call(F::Count, None)];
    let s = spec(
        types.clone(),
        vec![0],
        &calls,
        Phase::Complete,
        None,
        &types,
        &[0],
    );
    let mut aggregate =
        Aggregate::new(s, 0, KEY_GROUPS as u32, Addresses::shared_by(1)).expect("new");
    let mut frame = Frame::new(&types, 20_000);
    let Column::I64(c) = &mut frame.columns[0] else {
        panic!("not BIGINT")
    };
    (0..20_000).for_each(|k| c.push(Some(k)));
    frame.commit_rows(20_000);
    run(&mut aggregate, std::slice::from_ref(&frame));
    let pages = aggregate.pages();
    aggregate.freeze().expect("freeze");
    assert_eq!(aggregate.pages(), pages, "nothing is copied yet");
    let mut few = Frame::new(&types, 10);
    let Column::I64(c) = &mut few.columns[0] else {
        panic!("not BIGINT")
    };
    (0..10).for_each(|k| c.push(Some(k * 1_000)));
    few.commit_rows(10);
    run(&mut aggregate, &[few]);
    assert_eq!(aggregate.pages(), pages + 1, "parts of many pages in one");
    run(&mut aggregate, &[frame]);
    let copies = aggregate.pages() - pages;
    assert!(copies > pages / 2 && copies <= pages, "{copies} of {pages}");
    let mut rows = 0;
    while let Some(batch) = aggregate.shared().save_frozen().expect("save") {
        rows += batch.num_rows();
    }
    assert_eq!((rows, aggregate.pages()), (20_000, pages));
}
