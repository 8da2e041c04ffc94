//! Columns of every type: whatever way rows come into one, they are what they were.

use arrow_array::Array;
use proptest::prelude::*;

use super::random::{Dice, column, texts, types};
use super::*;

#[test]
fn validity_starts_without_bits_and_keeps_every_row() {
    let mut v = Validity::default();
    v.push_valid(130);
    assert!(v.bits().is_none());
    v.push(false);
    v.push_valid(70);
    v.push(false);
    assert_eq!((v.len(), v.nulls()), (202, 2));
    let nulls: Vec<_> = (0..v.len()).filter(|&i| !v.is_valid(i)).collect();
    assert_eq!(nulls, [130, 201]);
    v.clear();
    v.push(true);
    assert!(v.is_valid(0) && v.bits().is_none());
}

#[test]
fn rows_are_copied_with_their_nulls() {
    let mut from = Column::new(Physical::Utf8);
    if let Column::Utf8(c) = &mut from {
        for s in [Some("a"), None, Some("ü"), Some("")] {
            c.push(s);
        }
    }
    let mut to = Column::new(Physical::Utf8);
    to.append_rows(&from, &[3, 1, 2, 2]);
    let Column::Utf8(c) = &to else {
        panic!("a column changed its type")
    };
    let got: Vec<_> = (0..4).map(|i| c.get(i)).collect();
    assert_eq!(got, [Some(""), None, Some("ü"), Some("ü")]);
}

fn rows_of(from: &[String], rows: &[u32]) -> Vec<String> {
    rows.iter().map(|&r| from[r as usize].clone()).collect()
}

proptest! {
    #[test]
    fn rows_of_every_type_stay_what_they_were(
        seed in any::<u64>(),
        rows in 0usize..150,
        before in 0usize..70,
        nulls in 0u64..4,
    ) {
        let mut dice = Dice(seed);
        for t in types() {
            let lead = column(&t, &mut dice, before, nulls);
            let from = column(&t, &mut dice, rows, nulls);
            let all = texts(&from);

            let some: Vec<u32> = (0..rows as u32).filter(|_| dice.below(2) == 0).collect();
            let mut to = lead.clone();
            to.append_rows(&from, &some);
            prop_assert_eq!(&texts(&to)[before..], &rows_of(&all, &some)[..], "{}", t);
            to.truncate(before);
            prop_assert_eq!(texts(&to), texts(&lead), "rows taken back of {}", &t);
            prop_assert_eq!(to.string_bytes(), lead.string_bytes());

            let (a, b) = (rows / 3, rows - rows / 4);
            to.append_range(&from, a..b);
            prop_assert_eq!(&texts(&to)[before..], &all[a..b], "{}", t);

            to.clear();
            to.append_all(&from);
            prop_assert_eq!(texts(&to), &all[..]);
            prop_assert_eq!(from.empty_like(), Column::of(&t));
        }
    }

    #[test]
    fn arrays_of_every_type_come_back(
        seed in any::<u64>(),
        rows in 1usize..150,
        nulls in 0u64..4,
    ) {
        let mut dice = Dice(seed);
        for t in types() {
            let from = column(&t, &mut dice, rows, nulls);
            let array = from.to_array(&t);
            prop_assert_eq!(array.data_type(), &t);
            prop_assert_eq!(array.null_count(), from.validity().nulls());
            let (a, b) = (rows / 3, rows - rows / 4);
            let slice = array.slice(a, b - a);
            let mut to = column(&t, &mut dice, 5, nulls);
            to.append_array(&slice, 0..b - a);
            to.append_array(&array, a..rows);
            let (all, got) = (texts(&from), texts(&to));
            prop_assert_eq!(&got[5..5 + b - a], &all[a..b], "{}", t);
            prop_assert_eq!(&got[5 + b - a..], &all[a..], "{}", t);
            prop_assert_eq!(&texts(&Column::from_array(slice))[..], &all[a..b], "{}", t);
            prop_assert_eq!(texts(&Column::from_array(array)), all, "{}", t);
        }
    }
}

#[test]
fn what_a_failed_record_left_in_a_nested_column_is_taken_back() {
    let t = &types()[24];
    let mut dice = Dice(3);
    let mut got = column(t, &mut dice, 20, 1);
    let want = got.clone();
    let Column::List(lists) = &mut got else {
        panic!("a list of structs")
    };
    let Column::Struct(structs) = &mut *lists.values else {
        panic!("a list of structs")
    };
    // A list that was begun, its first struct with one member of three.
    structs.fields[0].push_null();
    got.truncate(20);
    assert_eq!(texts(&got), texts(&want));
    assert_eq!(got.string_bytes(), want.string_bytes());
    got.clear();
    assert_eq!(got, Column::of(t));
}

#[test]
fn handing_buffers_over_and_back_copies_nothing() {
    let mut numbers = Column::new(Physical::I64);
    let mut strings = Column::new(Physical::Utf8);
    let address = |column: &Column| match column {
        Column::I64(c) => c.values.as_ptr().addr(),
        Column::Utf8(c) => c.data().as_ptr().addr(),
        other => panic!("{:?}", other.physical()),
    };
    for i in 0..100 {
        match (&mut numbers, &mut strings) {
            (Column::I64(n), Column::Utf8(s)) => {
                n.push((i % 7 != 0).then_some(i));
                s.push(Some("text"));
            }
            other => panic!("{other:?}"),
        }
    }
    for (column, t) in [(numbers, DataType::Int64), (strings, DataType::Utf8)] {
        let (want, before) = (column.clone(), address(&column));
        let array = column.into_array(&t);
        let back = Column::from_array(array);
        assert_eq!((address(&back), &back), (before, &want));
        // What is still shared is copied.
        let array = back.into_array(&t);
        let shared = std::sync::Arc::clone(&array);
        let copy = Column::from_array(array);
        assert_ne!(address(&copy), before);
        assert_eq!((copy, shared.len()), (want, 100));
    }
}
