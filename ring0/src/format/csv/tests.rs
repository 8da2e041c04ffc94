//! What is accepted, what is refused with which words, and where records begin.

use arrow_schema::{DataType, TimeUnit};

use super::quotes::{Grammar, Place};
use super::*;
use crate::column::Column;
use crate::format::text::write_csv_row;
use crate::schema::Field;

const MILLIS: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);
const NAMES: [&str; 7] = ["s", "n", "other", "x", "b", "day", "t"];

fn schema() -> Arc<Schema> {
    let mut fields = vec![
        Field::new("b", DataType::Boolean),
        Field::new("day", DataType::Date32),
        Field::new("n", DataType::Int64),
        Field::new("t", MILLIS),
        Field::new("x", DataType::Float64),
        Field::new("s", DataType::Utf8),
    ];
    fields[2].nullable = false;
    Arc::new(Schema::new(fields))
}

/// The rows that a file becomes, written again, up to the first that is bad.
fn read(dialect: &Dialect, text: &str) -> (Vec<String>, Option<String>) {
    let schema = schema();
    let mut parser = CsvParser::new(Arc::clone(&schema), dialect.clone(), &NAMES).unwrap();
    let mut frame = Frame::new(&schema, 100);
    let parsed = parser.parse_chunk(&whole(text.as_bytes()), 0, &mut frame);
    let row = |row| {
        let mut out = Vec::new();
        write_csv_row(&schema, &frame, row, &mut out);
        String::from_utf8(out).unwrap().trim_end().to_owned()
    };
    let rows = (0..frame.rows()).map(row).collect();
    match parsed.stop {
        Stop::ChunkDone => (rows, None),
        Stop::Bad { message, .. } => (rows, Some(message)),
        stop => panic!("{stop:?}"),
    }
}

#[test]
fn records_of_every_kind() {
    let plain = Dialect::default();
    let trim = Dialect {
        blanks: Blanks::Trim,
        null: "NA".to_owned(),
        ..Dialect::default()
    };
    let escape = Dialect {
        escape: Some(b'\\'),
        comment: Some(b'#'),
        delimiter: b';',
        ..Dialect::default()
    };
    let single = Dialect {
        quote: Some(b'\''),
        delimiter: b'\t',
        terminator: Terminator::Lf,
        ..Dialect::default()
    };
    let none = Dialect {
        quote: None,
        ..Dialect::default()
    };
    let cases: [(&Dialect, &str, &[&str]); 12] = [
        (
            &plain,
            "a,1,,1.5,true,2024-02-29,2024-02-29T12:00:00.5\n",
            &["true,2024-02-29,1,2024-02-29T12:00:00.500,1.5,a"],
        ),
        (&plain, ",1,,,,,\n\"\",2,,,,,", &[",,1,,,", ",,2,,,\"\""]),
        (
            &plain,
            "\"a,\"\"b\"\"\nc\",+07,x,\"-1e2\",TRUE,\"\",\"\"\r\n\r\n\n-,-0,,NaN,False,,\r\n",
            &["true,,7,,-100.0,\"a,\"\"b\"\"\nc\"", "false,,0,,NaN,-"],
        ),
        (&plain, "", &[]),
        (&plain, "\n\r\n", &[]),
        (&plain, "ü\u{0},1,,,,,", &[",,1,,,ü\u{0}"]),
        (&plain, "#,1,,,,,", &[",,1,,,#"]),
        (
            &trim,
            " a b ,\t1 , , NA,,,\n \" c \" ,2,,,,,",
            &[",,1,,,a b", ",,2,,, c"],
        ),
        (
            &trim,
            "NA,1,,,,,\n\"NA\",2,,,,,\n,3,,,,,",
            &[",,1,,,", ",,2,,,NA", ",,3,,,\"\""],
        ),
        (
            &escape,
            "# a comment; with \" in it\n\"a\\\"b\\\\c\\d\"\"\";1;;;;;\n\\n;2;;;;;",
            &[",,1,,,\"a\"\"b\\cd\"\"\"", ",,2,,,\\n"],
        ),
        (&single, "a\"\r\t1\t'\t'\t\t\t\t\n", &[",,1,,,\"a\"\"\r\""]),
        (&none, "\"a,1,\",,,,\n", &[",,1,,,\"\"\"a\""]),
    ];
    for (dialect, text, want) in cases {
        let (rows, error) = read(dialect, text);
        assert_eq!(error, None, "{text:?}");
        let want: Vec<_> = want.iter().map(|s| s.trim().to_owned()).collect();
        let rows: Vec<_> = rows.iter().map(|s| s.trim().to_owned()).collect();
        assert_eq!(rows, want, "{text:?}");
    }
}

#[test]
fn bad_records_say_what_is_wrong() {
    for (record, want) in [
        ("a,,,,,,", "column n: null where null cannot be"),
        ("a,x,,,,,", "column n: expected BIGINT, found \"x\""),
        ("a,1.0,,,,,", "column n: expected BIGINT, found \"1.0\""),
        ("a, 1,,,,,", "column n: expected BIGINT, found \" 1\""),
        (
            "a,9223372036854775808,,,,,",
            "column n: \"9223372036854775808\" is out of range for BIGINT",
        ),
        (
            "a,1,,1e400,,,",
            "column x: \"1e400\" is out of range for DOUBLE",
        ),
        ("a,1,,inf,,,", "column x: expected DOUBLE, found \"inf\""),
        ("a,1,,+nan,,,", "column x: expected DOUBLE, found \"+nan\""),
        ("a,1,,0x1,,,", "column x: expected DOUBLE, found \"0x1\""),
        ("a,1,,,yes,,", "column b: expected BOOLEAN, found \"yes\""),
        (
            "a,1,,,,2023-02-29,",
            "column day: invalid date \"2023-02-29\"",
        ),
        ("a,1,,,,,now", "column t: invalid timestamp \"now\""),
        ("a", "1 field where 7 are expected"),
        ("a,1", "2 fields where 7 are expected"),
        ("a,1,,,,,,", "8 fields where 7 are expected"),
        ("a\"b,1,,,,,", "a quote inside of a field"),
        ("\"a\"b,1,,,,,", "text behind a closing quote"),
        ("\"a\" ,1,,,,,", "text behind a closing quote"),
        ("\"a,1,,,,,", "a quote that is not closed"),
        ("a\rb,1,,,,,", "a carriage return without a newline"),
    ] {
        let good = "a,1,,,,,";
        let (rows, error) = read(&Dialect::default(), &format!("{good}\n{record}\n"));
        let error = error.unwrap_or_else(|| panic!("{record}: {rows:?}"));
        assert!(error.contains(want), "{record}: {error}");
        assert_eq!(rows.len(), 1);
    }
    let schema = schema();
    let mut parser = CsvParser::new(Arc::clone(&schema), Dialect::default(), &NAMES).unwrap();
    let mut frame = Frame::new(&schema, 4);
    for record in [&b"a,1,\xff,,,,"[..], b"\xc3,1,,,,,", b"\"\xc3\",1,,,,,"] {
        let message = parser.parse_record(record, &mut frame).unwrap_err();
        assert!(message.starts_with("invalid utf-8 at byte "), "{message}");
    }
    for record in ["", "\n", "a,1,,,,,\nb,2,,,,,"] {
        let message = parser
            .parse_record(record.as_bytes(), &mut frame)
            .unwrap_err();
        assert_eq!(message, "not one record");
    }
    assert_eq!(frame.rows(), 0);
}

#[test]
fn a_header_names_the_fields() {
    let dialect = Dialect::default();
    let names = |text: &str, tail| {
        let chunk = Chunk {
            tail,
            ..whole(text.as_bytes())
        };
        header(&dialect, &chunk)
    };
    let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        names("\r\n\"a, b\",c,\r\n1,2,3", Tail::Cut),
        Ok((owned(&["a, b", "c", ""]), 13))
    );
    assert_eq!(names("a,b", Tail::Cut), Err(Stop::NeedsMore));
    assert_eq!(names("a,b", Tail::End), Ok((owned(&["a", "b"]), 3)));
    assert_eq!(names("\n", Tail::End), Err(Stop::ChunkDone));
    let bad = Stop::Bad {
        next: 5,
        message: "a quote inside of a field".to_owned(),
    };
    assert_eq!(names("a\"b,\n", Tail::End), Err(bad));
}

#[test]
fn columns_are_found_by_name() {
    let open = |names: &[&str], dialect: Dialect| {
        CsvParser::new(schema(), dialect, names).map_err(|e| e.to_string())
    };
    let refused = |names: &[&str], dialect| open(names, dialect).unwrap_err();
    assert!(open(&NAMES, Dialect::default()).is_ok());
    let message = refused(&NAMES[1..], Dialect::default());
    assert_eq!(
        message,
        "column s: not among the file's columns (n, other, x, b, day, t)"
    );
    let odd = ["n", " s", "", "\0\0"];
    assert!(refused(&odd, Dialect::default()).ends_with(r#"columns (n, " s", "", "\0\0")"#));
    let many = ["x"; 1000];
    let message = refused(&many, Dialect::default());
    assert!(message.ends_with("x, x, and 980 more)") && message.len() < 200);
    let mut twice = NAMES.to_vec();
    twice.push("x");
    assert!(refused(&twice, Dialect::default()).contains("column x: the file has two"));
    twice.pop();
    twice.push("other");
    assert!(open(&twice, Dialect::default()).is_ok());
    let same = Dialect {
        delimiter: b'"',
        ..Dialect::default()
    };
    assert_eq!(refused(&NAMES, same), "delimiter and quote are the same");
    let wide = Dialect {
        delimiter: 0xfc,
        ..Dialect::default()
    };
    assert!(refused(&NAMES, wide).contains("ASCII"));
}

#[test]
fn values_of_the_other_types() {
    use DataType::*;
    let check = |t: DataType, text: &str, want: Result<&str, &str>| {
        let schema = Arc::new(Schema::new(vec![Field::new("v", t)]));
        let mut parser =
            CsvParser::new(Arc::clone(&schema), Dialect::default(), &["w", "v"]).unwrap();
        // Between quotes only the parser that decides looks at it.
        for line in [format!(",{text}"), format!(",\"{text}\"")] {
            let mut frame = Frame::new(&schema, 4);
            let got = parser.parse_record(line.as_bytes(), &mut frame).map(|()| {
                let mut out = Vec::new();
                write_csv_row(&schema, &frame, 0, &mut out);
                String::from_utf8(out).unwrap().trim_end().to_owned()
            });
            let want = want
                .map(str::to_owned)
                .map_err(|e| format!("column v: {e}"));
            assert_eq!(got, want, "{line}");
        }
    };
    check(Int8, "-128", Ok("-128"));
    check(Int8, "128", Err("\"128\" is out of range for TINYINT"));
    check(UInt8, "-0", Ok("0"));
    check(
        UInt8,
        "-1",
        Err("\"-1\" is out of range for TINYINT UNSIGNED"),
    );
    check(Int16, "+7", Ok("7"));
    check(Int32, "1.5", Err("expected INTEGER, found \"1.5\""));
    check(UInt64, "18446744073709551615", Ok("18446744073709551615"));
    check(Float32, "0.1", Ok("0.1"));
    check(Float32, "-Infinity", Ok("-Infinity"));
    check(Float32, "3.4028235e38", Ok("3.4028235e38"));
    check(
        Float32,
        "-3.5e38",
        Err("\"-3.5e38\" is out of range for FLOAT"),
    );
    check(Float32, "x", Err("expected FLOAT, found \"x\""));
    check(Decimal128(10, 2), "-12.345", Ok("-12.35"));
    check(Decimal128(10, 2), ".5", Ok("0.50"));
    check(Decimal128(10, 2), " 5", Err("invalid decimal \" 5\""));
    check(
        Decimal128(3, 2),
        "10",
        Err("\"10\" is out of range for DECIMAL(3, 2)"),
    );
    check(Time32(TimeUnit::Second), "14:00:59.9", Ok("14:00:59"));
    check(
        Time64(TimeUnit::Microsecond),
        "24:00",
        Err("invalid time \"24:00\""),
    );

    let field = Field::new("v", Duration(TimeUnit::Second));
    let schema = Arc::new(Schema::new(vec![field]));
    let refused = CsvParser::new(schema, Dialect::default(), &["v"]).unwrap_err();
    assert_eq!(refused, "column v: a length of time is not read from csv");
}

#[test]
fn a_record_that_is_too_long_is_refused() {
    use crate::limits::RECORD_BYTES_MAX;
    let schema = schema();
    let mut parser = CsvParser::new(Arc::clone(&schema), Dialect::default(), &NAMES).unwrap();
    let mut frame = Frame::new(&schema, 4);
    let record = |length: usize, quote: &str| {
        let pad = "x".repeat(length - 7 - 2 * quote.len());
        format!("{quote}{pad}{quote},1,,,,,\n")
    };
    for quote in ["", "\""] {
        let text = record(RECORD_BYTES_MAX, quote) + &record(RECORD_BYTES_MAX + 1, quote);
        frame.clear();
        let parsed = parser.parse_chunk(&whole(text.as_bytes()), 0, &mut frame);
        assert_eq!((parsed.rows, parsed.stop), (1, Stop::FrameFull));
        frame.clear();
        let parsed = parser.parse_chunk(&whole(text.as_bytes()), parsed.at, &mut frame);
        let (next, message) = (text.len(), crate::format::record::too_long());
        assert_eq!((parsed.rows, parsed.stop), (0, Stop::Bad { next, message }));
    }
    // So is what has no end, and what would be refused for another reason.
    for text in ["\"\n", "a\"", "#"] {
        let dialect = Dialect {
            comment: Some(b'#'),
            ..Dialect::default()
        };
        let mut parser = CsvParser::new(Arc::clone(&schema), dialect, &NAMES).unwrap();
        let text = text.to_owned() + &"x".repeat(RECORD_BYTES_MAX);
        let parsed = parser.parse_chunk(&whole(text.as_bytes()), 0, &mut frame);
        let (next, message) = (text.len(), crate::format::record::too_long());
        assert_eq!(parsed.stop, Stop::Bad { next, message });
    }
}

/// What follows is read on behind the quote that closes, or the line of what is no CSV.
#[test]
fn a_quote_too_many_is_the_loss_of_a_record() {
    let schema = schema();
    let mut parser = CsvParser::new(Arc::clone(&schema), Dialect::default(), &NAMES).unwrap();
    let good = "g,1,,,,,\n";
    for (bad, rows) in [
        ("\"a,1,,,,,\n\"b\",1,,,,,\n", 4),
        ("a\",1,,,,,\n", 4),
        ("\"a\"\"\n,\"1,,,,,\n", 4),
        ("\"a,1,,,,,\n", 1),
    ] {
        let text = good.to_owned() + bad + &good.repeat(3);
        let mut frame = Frame::new(&schema, 10);
        let chunk = whole(text.as_bytes());
        let parsed = parser.parse_chunk(&chunk, 0, &mut frame);
        let Stop::Bad { next, .. } = parsed.stop else {
            panic!("{bad:?}: {parsed:?}")
        };
        let parsed = parser.parse_chunk(&chunk, next, &mut frame);
        assert_eq!(
            (frame.rows(), parsed.stop),
            (rows, Stop::ChunkDone),
            "{bad:?}"
        );
    }
}

#[test]
fn where_records_begin() {
    let escape = Grammar::new(&Dialect {
        escape: Some(b'\\'),
        ..Dialect::default()
    });
    for (text, place, want) in [
        ("x\ny", Place::Plain, Some(2)),
        ("x\ny", Place::Begin, Some(0)),
        ("x\n\"\ny\nz", Place::Quoted, Some(4)),
        ("x\n\"y\nz", Place::Quoted, Some(5)),
        ("\"x\n\"\ny", Place::Escaped, Some(5)),
        ("x\ny", Place::Quoted, None),
        ("x", Place::Plain, None),
    ] {
        assert_eq!(
            escape.first_record(text.as_bytes(), place),
            want,
            "{text:?}"
        );
        let place = escape.effect(text.as_bytes()).after(place);
        assert!(want.is_some() || place != Place::Begin);
    }
    assert_eq!(escape.behind_record(b""), 0);
    assert_eq!(escape.behind_record(b"\n\n"), 1);
    assert_eq!(escape.behind_record(b"\"\n\",\"x\n"), 7);
}

/// The quick way takes what it is for.
#[test]
fn plain_files_take_the_quick_way() {
    let schema = schema();
    let mut parser = CsvParser::new(Arc::clone(&schema), Dialect::default(), &NAMES).unwrap();
    let mut frame = Frame::new(&schema, 100);
    let text = "a,1,x,1.5,true,2024-02-29,2024-02-29 12:00:00\r\n\
        \"b,\n\"\"\",-5,ü,,,,\nc,1,\"\",-1e-5,false,\"2024-02-29\",";
    let chunk = whole(text.as_bytes());
    let mut at = 0;
    parser.begin(&chunk, at);
    for row in 0..3 {
        at = parser.quick(&chunk, at, &mut frame, row).unwrap();
        frame.commit_rows(1);
    }
    assert_eq!(at, text.len());
    let Column::Utf8(c) = &frame.columns[5] else {
        panic!("VARCHAR")
    };
    assert_eq!(c.get(1), Some("b,\n\""));
}
