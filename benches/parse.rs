//! Fill: text becomes columns. NDJSON whose records have one layout, which the parser foresees, and
//! CSV; all four fields of a record, and two of them as a query wants that names no others.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trefoil_benches::{FRAME_ROWS, KEY, VALUE, csv, ndjson, record_schema};
use trefoil_ring0::format::csv::{CsvParser, Dialect};
use trefoil_ring0::format::ndjson::NdjsonParser;
use trefoil_ring0::format::parser::RecordParser;
use trefoil_ring0::format::record::{Chunk, Stop, Tail};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::Schema;

/// About a chunk of a file: a megabyte.
const RECORDS: usize = 12_000;
const KEYS: u64 = 100_000;

/// Parses all of a chunk through one frame, and gives its rows.
fn parse(parser: &mut RecordParser, bytes: &[u8], frame: &mut Frame) -> usize {
    let chunk = Chunk {
        bytes,
        begin_before: bytes.len(),
        tail: Tail::End,
    };
    let (mut at, mut rows) = (0, 0);
    loop {
        frame.clear();
        let parsed = parser.parse_chunk(&chunk, at, frame);
        black_box(&*frame);
        rows += parsed.rows;
        at = parsed.at;
        match parsed.stop {
            Stop::FrameFull => {}
            Stop::ChunkDone => return rows,
            stop => panic!("{stop:?}"),
        }
    }
}

fn benches(criterion: &mut Criterion) {
    let all = record_schema();
    let two = [KEY, VALUE].map(|i| all.fields[i].clone());
    let two = Arc::new(Schema::new(two.into()));
    let names = ["at", "device", "key", "value"];
    let (json, csv) = (ndjson(RECORDS, KEYS), csv(RECORDS, KEYS));
    let mut group = criterion.benchmark_group("parse");
    for (wanted, schema) in [("all", &all), ("two", &two)] {
        let csv_parser = CsvParser::new(Arc::clone(schema), Dialect::default(), &names);
        let parsers: [(&str, &[u8], RecordParser); 2] = [
            (
                "ndjson",
                &json,
                NdjsonParser::new(Arc::clone(schema)).into(),
            ),
            ("csv", &csv, csv_parser.expect("the names are right").into()),
        ];
        for (format, bytes, mut parser) in parsers {
            let mut frame = Frame::new(schema, FRAME_ROWS);
            assert_eq!(parse(&mut parser, bytes, &mut frame), RECORDS);
            group.throughput(Throughput::ElementsAndBytes {
                elements: RECORDS as u64,
                bytes: bytes.len() as u64,
            });
            group.bench_function(format!("{format}/{wanted}"), |b| {
                b.iter(|| parse(&mut parser, black_box(bytes), &mut frame));
            });
        }
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
