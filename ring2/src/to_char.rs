//! `TO_CHAR` of a DATE or TIMESTAMP, with PostgreSQL's template patterns. DataFusion's function of
//! that name takes Chrono's, as `DATE_FORMAT` does here.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{Datelike, NaiveDateTime, Timelike};
use datafusion::arrow::array::{ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result as PlanResult, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

/// The function, to be registered in place of DataFusion's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ToChar {
    signature: Signature,
}

impl ToChar {
    pub(crate) fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        "to_char"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> PlanResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn coerce_types(&self, types: &[DataType]) -> PlanResult<Vec<DataType>> {
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        match types {
            [
                DataType::Date32 | DataType::Timestamp(_, None) | DataType::Null,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null,
            ] => Ok(vec![time, DataType::Utf8]),
            [_, _] => plan_err!("TO_CHAR takes a DATE or TIMESTAMP, and a pattern"),
            _ => plan_err!("TO_CHAR takes two arguments"),
        }
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let rows = call.number_rows;
        let is_scalar = |v: &ColumnarValue| matches!(v, ColumnarValue::Scalar(_));
        let scalar = call.args.iter().all(is_scalar);
        let constant = is_scalar(&call.args[1]);
        let rows = if scalar { 1 } else { rows };
        let arrays: Vec<ArrayRef> = (call.args.iter())
            .map(|arg| arg.to_array(rows))
            .collect::<PlanResult<_>>()?;
        let times = arrays[0].as_primitive::<TimestampMicrosecondType>();
        let patterns = arrays[1].as_string::<i32>();
        let mut texts = StringBuilder::with_capacity(rows, rows * 16);
        let mut items = Vec::new();
        for (row, (time, pattern)) in times.iter().zip(patterns).enumerate() {
            let (Some(time), Some(pattern)) = (time, pattern) else {
                texts.append_null();
                continue;
            };
            if row == 0 || !constant || items.is_empty() {
                items = parse(pattern);
            }
            let time = datafusion::arrow::temporal_conversions::timestamp_us_to_datetime(time)
                .ok_or_else(|| exec_datafusion_err!("a TIMESTAMP out of range in TO_CHAR"))?;
            write(&items, &time, &mut texts);
            texts.append_value("");
        }
        let texts: ArrayRef = Arc::new(texts.finish());
        match scalar {
            true => datafusion::common::ScalarValue::try_from_array(&texts, 0)
                .map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(texts)),
        }
    }
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Text(String),
    Field {
        field: Field,
        /// `FM`: neither blanks nor zeros in front.
        bare: bool,
        /// Behind a number, `th` or `TH`.
        ordinal: Option<Case>,
        case: Case,
    },
}

/// How the letters of a word are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Upper,
    Capital,
    Lower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Hour12,
    Hour24,
    Minute,
    Second,
    /// Digits of the second's fraction.
    Fraction(u32),
    SecondOfDay,
    /// `AM`, or `A.M.`.
    Meridiem(bool),
    /// Last digits of the year; 5 stands for `Y,YYY`.
    Year(u32),
    IsoYear(u32),
    Era(bool),
    Month,
    MonthName,
    MonthShort,
    Day,
    DayName,
    DayShort,
    DayOfYear,
    IsoDayOfYear,
    DayOfWeek,
    IsoDayOfWeek,
    WeekOfMonth,
    WeekOfYear,
    IsoWeek,
    Century,
    JulianDay,
    Quarter,
    Roman,
}

/// Patterns in capitals; of two that begin alike the longer stands first.
const PATTERNS: [(&str, Field); 52] = [
    ("SSSSS", Field::SecondOfDay),
    ("SSSS", Field::SecondOfDay),
    ("SS", Field::Second),
    ("HH24", Field::Hour24),
    ("HH12", Field::Hour12),
    ("HH", Field::Hour12),
    ("MI", Field::Minute),
    ("MS", Field::Fraction(3)),
    ("US", Field::Fraction(6)),
    ("FF1", Field::Fraction(1)),
    ("FF2", Field::Fraction(2)),
    ("FF3", Field::Fraction(3)),
    ("FF4", Field::Fraction(4)),
    ("FF5", Field::Fraction(5)),
    ("FF6", Field::Fraction(6)),
    ("A.M.", Field::Meridiem(true)),
    ("P.M.", Field::Meridiem(true)),
    ("AM", Field::Meridiem(false)),
    ("PM", Field::Meridiem(false)),
    ("Y,YYY", Field::Year(5)),
    ("YYYY", Field::Year(4)),
    ("YYY", Field::Year(3)),
    ("YY", Field::Year(2)),
    ("Y", Field::Year(1)),
    ("IYYY", Field::IsoYear(4)),
    ("IYY", Field::IsoYear(3)),
    ("IY", Field::IsoYear(2)),
    ("IDDD", Field::IsoDayOfYear),
    ("IW", Field::IsoWeek),
    ("ID", Field::IsoDayOfWeek),
    ("I", Field::IsoYear(1)),
    ("B.C.", Field::Era(true)),
    ("A.D.", Field::Era(true)),
    ("BC", Field::Era(false)),
    ("AD", Field::Era(false)),
    ("MONTH", Field::MonthName),
    ("MON", Field::MonthShort),
    ("MM", Field::Month),
    ("DAY", Field::DayName),
    ("DY", Field::DayShort),
    ("DDD", Field::DayOfYear),
    ("DD", Field::Day),
    ("D", Field::DayOfWeek),
    ("WW", Field::WeekOfYear),
    ("W", Field::WeekOfMonth),
    ("CC", Field::Century),
    ("J", Field::JulianDay),
    ("Q", Field::Quarter),
    ("RM", Field::Roman),
    // A TIMESTAMP has no zone: PostgreSQL writes nothing for these of one.
    ("TZH", Field::Fraction(0)),
    ("TZM", Field::Fraction(0)),
    ("TZ", Field::Fraction(0)),
];

/// Whether `text` begins with `word`, which is in capitals.
fn begins(text: &str, word: &str) -> bool {
    let start = text.as_bytes().get(..word.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

fn case_of(text: &str) -> Case {
    let mut letters = text.chars().filter(char::is_ascii_alphabetic);
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if first.is_ascii_uppercase() => match second {
            second if second.is_ascii_uppercase() => Case::Upper,
            _ => Case::Capital,
        },
        (Some(first), None) if first.is_ascii_uppercase() => Case::Upper,
        _ => Case::Lower,
    }
}

/// Reads a template. What is no pattern stands for itself, as do letters within double quotes.
fn parse(template: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut plain = String::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        let bare = begins(rest, "FM");
        let behind = if bare { &rest[2..] } else { rest };
        let found = PATTERNS.iter().find(|(word, _)| begins(behind, word));
        if let Some((word, field)) = found {
            let (word, after) = behind.split_at(word.len());
            let ordinal = begins(after, "TH").then(|| case_of(&after[..2]));
            if !plain.is_empty() {
                items.push(Item::Text(std::mem::take(&mut plain)));
            }
            items.push(Item::Field {
                field: *field,
                bare,
                ordinal,
                case: case_of(word),
            });
            rest = if ordinal.is_some() {
                &after[2..]
            } else {
                after
            };
        } else if first == '"' {
            let quoted = &rest[1..];
            let end = quoted.find('"').unwrap_or(quoted.len());
            plain.push_str(&quoted[..end]);
            rest = quoted.get(end + 1..).unwrap_or_default();
        } else if bare {
            rest = behind;
        } else {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    if !plain.is_empty() {
        items.push(Item::Text(plain));
    }
    items
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const ROMAN: [&str; 12] = [
    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII",
];
/// Days from the first of the Julian count to 0000-12-31.
const JULIAN_DAY_0: i64 = 1_721_425;

/// What a field stands for.
enum Shown {
    /// A number of at least so many digits.
    Number(i64, usize),
    /// A word, filled up to this width.
    Word(&'static str, usize),
    /// As it is.
    Text(String),
}

fn shown(field: Field, time: &NaiveDateTime) -> Shown {
    use Shown::{Number, Text, Word};
    // There is no year 0: before the year 1 comes 1 BC.
    let year = |year: i32| i64::from(if year > 0 { year } else { 1 - year });
    let last = |year: i64, digits: u32| match digits {
        4 => Number(year, 4),
        5 => Text(format!("{},{:03}", year / 1000, year % 1000)),
        digits => Number(year % 10_i64.pow(digits), digits as usize),
    };
    let (week, day) = (time.iso_week(), time.weekday());
    let hour12 = (i64::from(time.hour()) + 11) % 12 + 1;
    match field {
        Field::Hour12 => Number(hour12, 2),
        Field::Hour24 => Number(time.hour().into(), 2),
        Field::Minute => Number(time.minute().into(), 2),
        Field::Second => Number(time.second().into(), 2),
        Field::Fraction(0) => Text(String::new()),
        Field::Fraction(digits) => {
            let micros = i64::from(time.nanosecond() / 1000);
            Number(micros / 10_i64.pow(6 - digits), digits as usize)
        }
        Field::SecondOfDay => Number(time.num_seconds_from_midnight().into(), 1),
        Field::Meridiem(dots) => match (time.hour() < 12, dots) {
            (true, false) => Word("AM", 0),
            (true, true) => Word("A.M.", 0),
            (false, false) => Word("PM", 0),
            (false, true) => Word("P.M.", 0),
        },
        Field::Year(digits) => last(year(time.year()), digits),
        Field::IsoYear(digits) => last(year(week.year()), digits),
        Field::Era(dots) => match (time.year() > 0, dots) {
            (true, false) => Word("AD", 0),
            (true, true) => Word("A.D.", 0),
            (false, false) => Word("BC", 0),
            (false, true) => Word("B.C.", 0),
        },
        Field::Month => Number(time.month().into(), 2),
        Field::MonthName => Word(MONTHS[time.month0() as usize], 9),
        Field::MonthShort => Word(&MONTHS[time.month0() as usize][..3], 0),
        Field::Day => Number(time.day().into(), 2),
        Field::DayName => Word(DAYS[day.num_days_from_sunday() as usize], 9),
        Field::DayShort => Word(&DAYS[day.num_days_from_sunday() as usize][..3], 0),
        Field::DayOfYear => Number(time.ordinal().into(), 3),
        Field::IsoDayOfYear => {
            let of_week = i64::from(day.number_from_monday());
            Number(i64::from(week.week0()) * 7 + of_week, 3)
        }
        Field::DayOfWeek => Number(day.number_from_sunday().into(), 1),
        Field::IsoDayOfWeek => Number(day.number_from_monday().into(), 1),
        Field::WeekOfMonth => Number(i64::from(time.day0() / 7 + 1), 1),
        Field::WeekOfYear => Number(i64::from(time.ordinal0() / 7 + 1), 2),
        Field::IsoWeek => Number(week.week().into(), 2),
        Field::Century => match i64::from(time.year()) {
            after @ 1.. => Number((after + 99) / 100, 2),
            before => Number(-(1 - before + 99) / 100, 2),
        },
        Field::JulianDay => Number(i64::from(time.num_days_from_ce()) + JULIAN_DAY_0, 1),
        Field::Quarter => Number(i64::from(time.month0() / 3 + 1), 1),
        Field::Roman => Word(ROMAN[time.month0() as usize], 4),
    }
}

/// Writes a time; a text that stops is no error, as a `StringBuilder` takes all.
fn write(items: &[Item], time: &NaiveDateTime, out: &mut StringBuilder) {
    for item in items {
        let (field, bare, ordinal, case) = match item {
            Item::Text(text) => {
                _ = out.write_str(text);
                continue;
            }
            Item::Field {
                field,
                bare,
                ordinal,
                case,
            } => (*field, *bare, *ordinal, *case),
        };
        _ = match shown(field, time) {
            Shown::Text(text) => out.write_str(&text),
            // The digits of a fraction stand where they stand.
            Shown::Number(n, digits) => match bare && !matches!(field, Field::Fraction(_)) {
                true => write!(out, "{n}"),
                false => write!(out, "{n:0digits$}"),
            }
            .and_then(|()| out.write_str(ordinal.map_or("", |case| suffix(n, case)))),
            Shown::Word(word, width) => {
                let width = if bare { 0 } else { width };
                match case {
                    Case::Capital => write!(out, "{word:width$}"),
                    Case::Upper => write!(out, "{:width$}", word.to_ascii_uppercase()),
                    Case::Lower => write!(out, "{:width$}", word.to_ascii_lowercase()),
                }
            }
        };
    }
}

fn suffix(n: i64, case: Case) -> &'static str {
    let [upper, lower] = match (n.rem_euclid(10), n.rem_euclid(100)) {
        (_, 11..=13) => ["TH", "th"],
        (1, _) => ["ST", "st"],
        (2, _) => ["ND", "nd"],
        (3, _) => ["RD", "rd"],
        _ => ["TH", "th"],
    };
    if case == Case::Upper { upper } else { lower }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    fn text(time: (i32, u32, u32, u32, u32, u32, u32), template: &str) -> String {
        let (year, month, day, hour, minute, second, micros) = time;
        let date = NaiveDate::from_ymd_opt(year, month, day).expect("a date");
        let time = date.and_hms_micro_opt(hour, minute, second, micros);
        let mut out = StringBuilder::new();
        write(&parse(template), &time.expect("a time"), &mut out);
        out.append_value("");
        out.finish().value(0).to_owned()
    }

    /// As PostgreSQL documents its patterns.
    #[test]
    fn templates() {
        let time = (2025, 3, 9, 16, 5, 7, 89_012);
        for (template, want) in [
            ("YYYY-MM-DD HH24:MI:SS.US", "2025-03-09 16:05:07.089012"),
            ("yyyy/mm/dd hh:mi am", "2025/03/09 04:05 pm"),
            ("HH12:MI:SS.MS P.M.", "04:05:07.089 P.M."),
            ("FMHH24:FMMI:FMSS", "16:5:7"),
            ("Day, DD Month YYYY", "Sunday   , 09 March     2025"),
            ("FMDay, FMDDth FMMonth YYYY", "Sunday, 9th March 2025"),
            ("DY MON dy mon Dy Mon", "SUN MAR sun mar Sun Mar"),
            ("DDD D ID W WW IW Q CC J", "068 1 7 2 10 10 1 21 2460744"),
            ("IYYY-IW-ID IDDD", "2025-10-7 070"),
            ("Y,YYY YYY YY Y", "2,025 025 25 5"),
            ("SSSS FF1 FF3", "57907 0 089"),
            ("RM|rm|FMRM", "III |iii |III"),
            ("\"week\" IW, BC", "week 10, AD"),
            ("%Y-%m", "%5-%m"),
            ("", ""),
            ("ü YYYY \"YYYY", "ü 2025 YYYY"),
        ] {
            assert_eq!(text(time, template), want, "{template}");
        }
        assert_eq!(
            text((2024, 12, 30, 0, 0, 0, 0), "IYYY-IW HH12"),
            "2025-01 12"
        );
        assert_eq!(text((2001, 1, 1, 0, 0, 0, 0), "CC"), "21");
        assert_eq!(text((2000, 1, 1, 0, 0, 0, 0), "CC"), "20");
        let ordinals = [1, 2, 3, 4, 11, 12, 13, 21, 22].map(|day| {
            let date = (2025, 1, day, 0, 0, 0, 0);
            text(date, "FMDDth")
        });
        let want = [
            "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd",
        ];
        assert_eq!(ordinals, want);
    }
}
