//! What tests of parsers share; and that the formats agree: the same data gives the same rows.

use std::sync::Arc;

use arrow_schema::DataType;
use proptest::prelude::*;

use super::csv::{CsvParser, Dialect, check_column};
use super::ndjson::NdjsonParser;
use super::parser::RecordParser;
use super::record::{Chunk, Stop, Tail};
use super::text::{write_csv_row, write_json_row};
use crate::column::Column;
use crate::column::random::{Dice, frame, text, types};
use crate::frame::Frame;
use crate::schema::{Field, Schema};

/// Columns with what has a point as bits, so that NaN equals itself.
pub(super) fn rows(frame: &Frame) -> (Vec<u64>, Vec<Column>) {
    let (mut bits, mut columns) = (Vec::new(), frame.columns.clone());
    columns.iter_mut().for_each(|c| take_bits(c, &mut bits));
    (bits, columns)
}

fn take_bits(column: &mut Column, bits: &mut Vec<u64>) {
    match column {
        Column::F32(c) => {
            bits.extend(c.values.iter().map(|x| u64::from(x.to_bits())));
            c.values.fill(0.0);
        }
        Column::F64(c) => {
            bits.extend(c.values.iter().map(|x| x.to_bits()));
            c.values.fill(0.0);
        }
        Column::List(c) => take_bits(&mut c.values, bits),
        Column::Struct(c) => c.fields.iter_mut().for_each(|c| take_bits(c, bits)),
        _ => {}
    }
}

/// A schema of all types that both formats can hold, each twice; the last columns are texts.
fn schema(texts: usize) -> Schema {
    let of = |t: &DataType| Field::new("c", t.clone());
    let both = types().into_iter().filter(|t| check_column(&of(t)).is_ok());
    let mut types: Vec<_> = both.collect();
    assert!(types.len() >= 20, "nearly all types");
    let is_nested = |t: &DataType| matches!(t, DataType::List(_) | DataType::Struct(_));
    assert!(types.iter().any(is_nested), "lists and structs, too");
    types.extend(types.clone());
    types.extend(vec![DataType::Utf8; texts]);
    let field = |(i, t): (usize, DataType)| Field::new(format!("c{i}"), t);
    Schema::new(types.into_iter().enumerate().map(field).collect())
}

/// The rows of a text, read as one chunk.
fn read(mut parser: RecordParser, bytes: &[u8], schema: &Schema, rows_max: usize) -> Frame {
    let mut rows = Frame::new(schema, rows_max);
    let chunk = Chunk {
        bytes,
        begin_before: bytes.len(),
        tail: Tail::End,
    };
    let parsed = parser.parse_chunk(&chunk, 0, &mut rows);
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(parsed.stop, Stop::ChunkDone, "{text}");
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// From JSON and from CSV come the rows that were written.
    #[test]
    fn the_same_rows_from_json_and_from_csv(
        seed in any::<u64>(),
        nulls in 0u64..4,
        texts in prop::collection::vec(
            prop::array::uniform3(prop::option::of(prop_oneof![
                "\\PC{0,20}",
                "[,\"\r\n\t\\x00\\\\ ;'#a]{0,12}",
            ])),
            0..30,
        ),
    ) {
        let schema = Arc::new(schema(3));
        let mut want = frame(&schema, &mut Dice(seed), texts.len(), 40, nulls);
        for (at, column) in want.columns.iter_mut().rev().take(3).enumerate() {
            if let Column::Utf8(c) = column {
                c.clear();
                texts.iter().for_each(|texts| c.push(texts[at].as_deref()));
            }
        }
        let (mut json, mut csv) = (Vec::new(), Vec::new());
        for row in 0..texts.len() {
            write_json_row(&schema, &want, row, &mut json);
            write_csv_row(&schema, &want, row, &mut csv);
            json.push(b'\n');
        }
        let names: Vec<_> = schema.fields.iter().map(|field| &field.name).collect();
        let parser = CsvParser::new(Arc::clone(&schema), Dialect::default(), &names);
        let rows_max = texts.len() + 1;
        let csv = read(parser.expect("all columns").into(), &csv, &schema, rows_max);
        let parser = NdjsonParser::new(Arc::clone(&schema));
        let json = read(parser.into(), &json, &schema, rows_max);
        assert_eq!(rows(&csv), rows(&json));
        assert_eq!(csv.rows(), texts.len());
        for (read, wanted) in csv.columns.iter().zip(&want.columns) {
            for row in 0..texts.len() {
                assert_eq!(text(read, row), text(wanted, row));
            }
        }
    }
}
