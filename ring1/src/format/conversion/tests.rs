//! Which types go into which.

use super::*;
use arrow_schema::Field as ArrowField;

#[test]
fn wider_is_fine_and_everything_else_is_refused() {
    use DataType::*;
    let list = |item: DataType| List(Arc::new(ArrowField::new("item", item, true)));
    let of = |name: &str, t: DataType| Struct(vec![ArrowField::new(name, t, true)].into());
    let ms = || Timestamp(TimeUnit::Millisecond, None);
    let dictionary = Dictionary(Box::new(Int32), Box::new(LargeUtf8));
    let fine = [
        (Int8, Int64),
        (UInt32, Int64),
        (Int32, Float64),
        (Int16, Float32),
        (Float32, Float64),
        (Int64, Decimal128(21, 2)),
        (Int64, Decimal128(19, 0)),
        (UInt64, Decimal128(20, 0)),
        (Decimal64(10, 2), Decimal128(38, 10)),
        (dictionary, Utf8),
        (Utf8View, Utf8),
        (FixedSizeBinary(16), Binary),
        (Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), ms()),
        (Timestamp(TimeUnit::Second, None), ms()),
        (Date64, Date32),
        (
            LargeList(Arc::new(ArrowField::new("e", Int16, false))),
            list(Int64),
        ),
        (of("a", Int8), of("a", Int16)),
        (Null, Utf8),
    ];
    for (from, to) in fine {
        assert!(
            conversion(&from, &to, Depth::Top).is_some(),
            "{from} to {to}"
        );
    }
    let refused = [
        (Int64, Int32),
        (UInt64, Int64),
        (Int64, UInt64),
        (Int64, Float64),
        (Float64, Float32),
        (Float64, Int64),
        (Utf8, Int64),
        (Int64, Utf8),
        (Utf8, Binary),
        (Int64, Decimal128(19, 2)),
        (Int64, Decimal128(18, 0)),
        (UInt64, Decimal128(19, 0)),
        (Decimal128(10, 3), Decimal128(10, 2)),
        (Int64, ms()),
        (ms(), Int64),
        (Date32, ms()),
        (list(Int64), Int64),
        (list(Timestamp(TimeUnit::Second, None)), list(ms())),
        (of("a", Int8), of("b", Int8)),
    ];
    for (from, to) in refused {
        assert_eq!(conversion(&from, &to, Depth::Top), None, "{from} to {to}");
    }
}

#[test]
fn values_arrive_and_those_that_do_not_fit_are_bad() {
    use arrow_array::types::{TimestampMillisecondType, TimestampNanosecondType};
    use arrow_array::{TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray};
    let seconds = TimestampSecondArray::from(vec![Some(1), None, Some(i64::MAX), Some(-1)]);
    let nanos = TimestampNanosecondArray::from(vec![1_500_000, -1, 0, i64::MAX]);
    let columns = [
        Arc::new(seconds) as ArrayRef,
        Arc::new(nanos.with_timezone("+02:00")),
    ];
    let names = ["s", "n"].into_iter().zip(columns);
    let batch = RecordBatch::try_from_iter_with_nullable(names.map(|(n, c)| (n, c, true)));
    let batch = batch.expect("columns of one length");
    let schema = Schema::new(vec![
        Field::new("n", DataType::Timestamp(TimeUnit::Millisecond, None)),
        Field::new("s", DataType::Timestamp(TimeUnit::Nanosecond, None)),
    ]);
    let columns = Columns::new(&schema, &batch.schema()).expect("timestamps");
    let rows = columns.convert(&batch).expect("rows");
    let n = rows.columns[0].as_primitive::<TimestampMillisecondType>();
    let want = vec![1, -1, 0, i64::MAX / 1_000_000];
    assert_eq!(
        *n,
        TimestampMillisecondArray::from(want),
        "cut off towards the past"
    );
    let s = rows.columns[1].as_primitive::<TimestampNanosecondType>();
    assert_eq!(s.value(0), 1_000_000_000);
    assert_eq!(s.value(3), -1_000_000_000);
    let bad: Vec<usize> = rows.bad.iter().map(|(row, _)| *row).collect();
    assert_eq!(bad, [2]);
}
