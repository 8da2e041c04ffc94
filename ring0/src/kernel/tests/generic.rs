//! Functions brought from outside: errors are those of the rows that are asked for, and values of
//! the other rows stay.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array};

use super::*;

/// 1000 / x, which fails as a whole where one x is 0.
#[derive(Debug, Default)]
struct Inverse {
    calls: AtomicUsize,
    /// The arguments of the first call, kept as a function that caches would.
    kept: OnceLock<Vec<ArrayRef>>,
}

impl ScalarKernel for Inverse {
    fn data_type(&self) -> &DataType {
        &DataType::Int64
    }

    fn evaluate(&self, args: &[ArrayRef], rows: usize) -> std::result::Result<ArrayRef, String> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.kept.get_or_init(|| args.to_vec());
        let x = args[0].as_primitive::<Int64Type>();
        assert_eq!(x.len(), rows);
        let inverse = |x: Option<i64>| match x {
            Some(0) => Err("no inverse of 0".to_owned()),
            x => Ok(x.map(|x| 1000 / x)),
        };
        let all = x
            .iter()
            .map(inverse)
            .collect::<std::result::Result<Int64Array, _>>();
        Ok(Arc::new(all?))
    }
}

fn inverse(arg: Expr) -> (Arc<Inverse>, Expr) {
    let kernel = Arc::new(Inverse::default());
    let call = Expr::Call {
        kernel: Generic(Arc::clone(&kernel) as Arc<dyn ScalarKernel>),
        args: vec![arg],
    };
    (kernel, call)
}

fn frame(values: &[Option<i64>]) -> (Schema, Frame) {
    let schema = Schema::new(vec![Field::new("x", DataType::Int64)]);
    let mut frame = Frame::new(&schema, values.len().max(1));
    let Column::I64(x) = &mut frame.columns[0] else {
        unreachable!()
    };
    values.iter().for_each(|v| x.push(*v));
    frame.commit_rows(values.len());
    (schema, frame)
}

fn values(column: &Column) -> Vec<Option<i64>> {
    let Column::I64(c) = column else {
        panic!("{column:?}")
    };
    (0..c.values.len()).map(|i| c.get(i)).collect()
}

#[test]
fn a_batch_without_errors_is_one_call() {
    let given: Vec<_> = (1..=1000).map(|i| (i % 7 != 0).then_some(i)).collect();
    let (schema, frame) = frame(&given);
    // Of a column, and of something computed, whose buffers are lent and come back.
    for arg in [
        Expr::Column(0),
        Expr::Unary(UnaryOp::Negate, Box::new(Expr::Column(0))),
    ] {
        let sign = if arg == Expr::Column(0) { 1 } else { -1 };
        let (kernel, call) = inverse(arg);
        let mut evaluator = Evaluator::new(&call, &schema).unwrap();
        for round in 1..=3 {
            let got = values(evaluator.evaluate(&frame).unwrap());
            let want: Vec<_> = given.iter().map(|x| x.map(|x| 1000 / (sign * x))).collect();
            assert_eq!(got, want);
            assert_eq!(kernel.calls.load(Ordering::Relaxed), round);
        }
    }
}

#[test]
fn the_first_row_that_errs_is_named_and_others_keep_their_values() {
    let mut given: Vec<_> = (1..=1000).map(Some).collect();
    for zero in [517, 518, 900] {
        given[zero] = Some(0);
    }
    let (schema, frame) = frame(&given);
    let (_, call) = inverse(Expr::Column(0));
    let mut evaluator = Evaluator::new(&call, &schema).unwrap();
    let error = evaluator.evaluate(&frame).unwrap_err();
    assert_eq!((error.row, &*error.message), (517, "no inverse of 0"));

    // CASE WHEN x = 0 THEN NULL ELSE inverse(x) END
    let zero = Expr::Binary(
        BinaryOp::Eq,
        Box::new(Expr::Column(0)),
        Box::new(Expr::Literal(Scalar::I64(0))),
    );
    let guarded = Expr::Case {
        branches: vec![(zero, Expr::Literal(Scalar::Null(DataType::Int64)))],
        otherwise: Some(Box::new(call)),
    };
    let mut evaluator = Evaluator::new(&guarded, &schema).unwrap();
    let got = values(evaluator.evaluate(&frame).unwrap());
    let want = given
        .iter()
        .map(|x| x.filter(|&x| x != 0).map(|x| 1000 / x));
    assert_eq!(got, want.collect::<Vec<_>>());
}
