//! Messages are the bytes that are documented, and what is damaged is none.

use std::fmt::Write;

use arrow_schema::DataType;
use trefoil_ring0::column::Column;
use trefoil_ring0::schema::Schema;

use super::*;

fn fields() -> Vec<Field> {
    vec![
        Field::new("n", DataType::Int64),
        Field::new("k", DataType::Utf8),
    ]
}

fn hello(producer: &str, fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_hello(producer, fields, &mut bytes);
    bytes
}

/// The bytes that `docs/format.md` shows are those that are written.
#[test]
fn a_session_is_as_it_is_documented() {
    let mut frame = Frame::new(&Schema::new(fields()), 2);
    for (number, text) in [(1, Some("ab")), (2, None)] {
        for column in &mut frame.columns {
            match column {
                Column::I64(c) => c.push(Some(number)),
                Column::Utf8(c) => c.push(text),
                other => panic!("no column of {:?}", other.physical()),
            }
        }
        frame.commit_rows(1);
    }
    let mut records = Vec::new();
    write_records(&frame, 0..2, 1, &mut records);
    let page = include_str!("../../../../../docs/format.md");
    for (who, bytes) in [
        ("client, 8 bytes and the hello", hello("p", &fields())),
        ("client, records", records),
        ("server, held", write_answer(&Answer::Held(0))),
    ] {
        let mut want = who.to_owned();
        for (at, byte) in bytes.iter().enumerate() {
            if at % 32 == 0 {
                want.push('\n');
            }
            write!(want, "{byte:02x}").unwrap();
        }
        assert!(page.contains(&format!("{want}\n")), "{want}");
    }
}

#[test]
fn answers_are_read_again_however_they_come() {
    let answers = [
        Answer::Held(0),
        Answer::Durable(u64::MAX),
        Answer::Refused(Refusal::new(Reason::Gap, "gr\u{fc}n")),
        Answer::Refused(Refusal::new(Reason::Protocol, "")),
        Answer::Durable(7),
    ];
    let bytes: Vec<u8> = answers.iter().flat_map(write_answer).collect();
    for step in [1, 5, 1000] {
        let (mut heard, mut got) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(step) {
            heard.extend_from_slice(piece);
            while let Some(answer) = take_answer(&mut heard).unwrap() {
                got.push(answer);
            }
        }
        assert_eq!((&got[..], heard.len()), (&answers[..], 0));
    }
    for at in (0..8).chain(ENVELOPE_BYTES..28) {
        let mut damaged = write_answer(&answers[0]);
        damaged[at] ^= 1;
        assert!(take_answer(&mut damaged).is_err(), "byte {at}");
    }
}

#[test]
fn columns_are_compared_one_by_one() {
    let source = fields();
    let named = |name: &str, t| Field::new(name, t);
    let decimal = |p, s| named("n", DataType::Decimal128(p, s));
    for (sent, why) in [
        (fields(), ""),
        (
            fields()[..1].to_vec(),
            "1 columns come, and the source has 2",
        ),
        (
            [fields(), fields()].concat(),
            "4 columns come, and the source has 2",
        ),
        (
            vec![named("k", DataType::Utf8), named("n", DataType::Int64)],
            "column 1 is \"k\" VARCHAR, and that of the source \"n\" BIGINT",
        ),
        (
            vec![decimal(10, 2)],
            "column 1 is \"n\" DECIMAL(10, 2), and that of the source \"n\" BIGINT",
        ),
    ] {
        let bytes = hello("somebody", &sent);
        let body = &bytes[MAGIC.len() + ENVELOPE_BYTES..];
        let read = Hello::read(body).unwrap();
        assert_eq!(read.producer, "somebody");
        let told = read
            .check(&source)
            .map_or_else(|refusal| refusal.text, |()| String::new());
        assert_eq!(told, why);
        for end in 0..body.len() {
            assert!(Hello::read(&body[..end]).is_err(), "{end} bytes");
        }
    }
}
