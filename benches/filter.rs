//! Filter and project, before records cross to other shards: `value < 500` with its rows copied on,
//! and `key * 2, value / 100`, each over frames in turn.

use std::hint::black_box;

use arrow_schema::DataType;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trefoil_benches::{FRAME_ROWS, KEY, VALUE, bytes, record_schema, records, schema};
use trefoil_ring0::expr::{BinaryOp, Expr, Scalar};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::kernel::{Evaluator, Projection};

const FRAMES: usize = 64;

fn binary(op: BinaryOp, column: usize, literal: Scalar) -> Expr {
    let (left, right) = (Expr::Column(column), Expr::Literal(literal));
    Expr::Binary(op, Box::new(left), Box::new(right))
}

fn benches(criterion: &mut Criterion) {
    let input = record_schema();
    let frames = records(FRAMES, 100_000);
    let mut group = criterion.benchmark_group("filter");
    group.throughput(Throughput::ElementsAndBytes {
        elements: (FRAMES * FRAME_ROWS) as u64,
        bytes: bytes(&frames),
    });

    let keep = binary(BinaryOp::Lt, VALUE, Scalar::F64(500.0));
    let mut keep = Evaluator::new(&keep, &input).expect("the types fit");
    let (mut rows, mut out) = (Vec::new(), Frame::new(&input, FRAME_ROWS));
    group.bench_function("half", |b| {
        b.iter(|| {
            for frame in &frames {
                rows.clear();
                keep.select(frame, &mut rows).expect("no row fails");
                out.clear();
                out.append_rows(frame, &rows);
                black_box(&out);
            }
        });
    });

    let exprs = [
        binary(BinaryOp::Mul, KEY, Scalar::I64(2)),
        binary(BinaryOp::Div, VALUE, Scalar::F64(100.0)),
    ];
    let output = schema(&[("k", DataType::Int64), ("v", DataType::Float64)]);
    let mut project = Projection::new(&exprs, &input).expect("the types fit");
    let mut out = Frame::new(&output, FRAME_ROWS);
    group.bench_function("project", |b| {
        b.iter(|| {
            for frame in &frames {
                project.evaluate(frame).expect("no row fails");
                out.clear();
                project.append(frame, 0..frame.rows(), &mut out);
                black_box(&out);
            }
        });
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
