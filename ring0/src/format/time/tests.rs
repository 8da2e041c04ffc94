//! Which texts are dates and timestamps, and that they are written so that they are read back.

use super::*;
use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
use proptest::prelude::*;

fn written(value: i64, unit: TimeUnit) -> String {
    let mut out = Vec::new();
    write_timestamp(value, unit, &mut out);
    String::from_utf8(out).unwrap()
}

fn date_written(days: i32) -> String {
    let mut out = Vec::new();
    write_date(days, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn timestamps_are_read() {
    for (text, unit, want) in [
        ("1970-01-01T00:00:00Z", Second, 0),
        ("1970-01-01T00:00:00+00:00", Millisecond, 0),
        ("2023-09-18T14:00:00.12Z", Millisecond, 1_695_045_600_120),
        ("2023-09-18 14:00:00.12", Millisecond, 1_695_045_600_120),
        (
            "2023-09-18t16:00:00.12+02:00",
            Millisecond,
            1_695_045_600_120,
        ),
        (
            "2023-09-18T08:30:00.1200009-05:30",
            Microsecond,
            1_695_045_600_120_000,
        ),
        ("1970-01-01T02:00:00+02", Second, 0),
        ("1969-12-31T18:30:00.5-0530", Millisecond, 500),
        ("1969-12-31T23:59:59.9999", Millisecond, -1),
        ("1969-12-31T23:59:59.0001", Millisecond, -1000),
        ("1969-12-31T23:59:59.9999", Second, -1),
        ("1970-01-01 00:00:00.1234567899999", Nanosecond, 123_456_789),
        ("2024-02-29 00:00:00", Second, 1_709_164_800),
        ("2262-04-11T23:47:16.854775807", Nanosecond, i64::MAX),
        ("1677-09-21T00:12:43.145224192", Nanosecond, i64::MIN),
        ("0000-01-01T00:00:00", Second, -62_167_219_200),
        ("-0001-12-31T23:59:59", Second, -62_167_219_201),
        ("+10000-01-01T00:00:00", Second, 253_402_300_800),
    ] {
        assert_eq!(parse_timestamp(text, unit), Ok(want), "{text}");
    }
}

#[test]
fn what_is_no_timestamp_is_refused() {
    for text in [
        "",
        "x",
        "2023-09-18",
        "2023-09-18T",
        "2023-09-18T14:00",
        "2023-02-29T00:00:00",
        "1900-02-29T00:00:00",
        "2023-04-31T00:00:00",
        "2023-13-01T00:00:00",
        "2023-00-01T00:00:00",
        "2023-01-00T00:00:00",
        "2023-01-01T24:00:00",
        "2023-01-01T00:60:00",
        "2023-01-01T00:00:60",
        "2023-01-01T00:00:00.",
        "2023-01-01T00:00:00.Z",
        "2023-01-01T00:00:00,5",
        "2023-01-01T00:00:00ZZ",
        "2023-01-01T00:00:00+1",
        "2023-01-01T00:00:00+010",
        "2023-01-01T00:00:00+01000",
        "2023-01-01T00:00:00+01:",
        "2023-01-01T00:00:00+24:00",
        "2023-01-01T00:00:00+01:60",
        "2023-01-01T00:00:00 Z",
        " 2023-01-01T00:00:00",
        "2023-1-01T00:00:00",
        "20230-01-01T00:00:00",
        "+203-01-01T00:00:00",
        "+1000000000000-01-01T00:00:00",
        "２023-01-01T00:00:00",
        "2023-01-01T00:00:00é",
    ] {
        assert!(parse_timestamp(text, Millisecond).is_err(), "{text}");
    }
    for (text, unit) in [
        ("2262-04-11T23:47:16.854775808", Nanosecond),
        ("1677-09-21T00:12:43.145224191", Nanosecond),
        ("+999999999999-01-01T00:00:00", Second),
    ] {
        let message = parse_timestamp(text, unit).unwrap_err();
        assert_eq!(message, format!("timestamp {text:?} out of range"));
    }
    // The first of all, of which neither the days nor the day's seconds fit by themselves.
    let first = "-292277022657-01-27T08:29:52";
    assert_eq!(parse_timestamp(first, Second), Ok(i64::MIN));
}

#[test]
fn timestamps_are_written() {
    for (value, unit, want) in [
        (1_695_045_600_120, Millisecond, "2023-09-18T14:00:00.120"),
        (1_695_045_600_000, Millisecond, "2023-09-18T14:00:00"),
        (1_695_045_600, Second, "2023-09-18T14:00:00"),
        (1, Microsecond, "1970-01-01T00:00:00.000001"),
        (-1, Nanosecond, "1969-12-31T23:59:59.999999999"),
        (-62_167_219_201, Second, "-0001-12-31T23:59:59"),
        (253_402_300_800, Second, "+10000-01-01T00:00:00"),
    ] {
        assert_eq!(written(value, unit), want);
    }
}

#[test]
fn dates_follow_the_calendar() {
    for (text, want) in [
        ("1970-01-01", 0),
        ("1969-12-31", -1),
        ("2000-02-29", 11_016),
        ("2025-09-07", 20_338),
    ] {
        assert_eq!(parse_date(text), Ok(want));
        assert_eq!(date_written(want), text);
    }
    for text in [
        "",
        "2023-02-29",
        "2023-2-01",
        "2023-01-01T",
        "+9999999-01-01",
    ] {
        assert!(parse_date(text).is_err(), "{text}");
    }
    // Every day of nine centuries comes after the one before.
    let mut previous = civil_of_days(-200_000);
    for days in -199_999..130_000 {
        let (y, m, d) = civil_of_days(days);
        assert_eq!(days_of_civil(y, m, d), days);
        let (py, pm, pd) = previous;
        let next = if pd < days_in_month(py, pm) {
            (py, pm, pd + 1)
        } else if pm < 12 {
            (py, pm + 1, 1)
        } else {
            (py + 1, 1, 1)
        };
        assert_eq!((y, m, d), next);
        previous = next;
    }
}

proptest! {
    #[test]
    fn timestamps_read_back(
        value in any::<i64>(),
        small in -10_000_000_000_000i64..10_000_000_000_000,
    ) {
        for unit in [Second, Millisecond, Microsecond, Nanosecond] {
            prop_assert_eq!(parse_timestamp(&written(small, unit), unit), Ok(small));
            prop_assert_eq!(parse_timestamp(&written(value, unit), unit), Ok(value));
        }
    }

    #[test]
    fn dates_read_back(days in any::<i32>()) {
        prop_assert_eq!(parse_date(&date_written(days)), Ok(days));
    }

    #[test]
    fn the_common_layout_is_read_as_any_other(
        text in "[0-2][0-9]{3}[-0][01][0-9]-[0-3][0-9][Tt /][0-2][0-9]:[0-6][0-9]:[0-6][0-9]\
            (\\.[0-9]{0,10})?(Z|[+-][0-9]{2}:[0-9]{2}|x)?",
        at in 0usize..19, other in any::<char>(),
    ) {
        let text = text.replace(['\n', ' '], "T");
        if let Some((seconds, nanos)) = common_layout(text.as_bytes()) {
            prop_assert_eq!(any_layout(text.as_bytes()), Some((seconds.into(), nanos)));
        }
        let mut changed = text;
        changed.replace_range(at..=at, other.encode_utf8(&mut [0; 4]));
        if let Some((seconds, nanos)) = common_layout(changed.as_bytes()) {
            prop_assert_eq!(any_layout(changed.as_bytes()), Some((seconds.into(), nanos)));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+0-9T:. Z]{0,40}|\\PC{0,30}") {
        let _ = parse_timestamp(&text, Nanosecond);
        let _ = parse_date(&text);
    }
}
