//! CASE, COALESCE and IN: three values of logic, and errors only of rows that take a branch.

use super::*;

/// A column `n` of BIGINTs.
fn rows(values: &[Option<i64>]) -> (Schema, Frame) {
    let schema = Schema::new(vec![Field::new("n", DataType::Int64)]);
    let mut frame = Frame::new(&schema, values.len());
    values
        .iter()
        .for_each(|v| push(&mut frame.columns[0], v.map(I)));
    frame.commit_rows(values.len());
    (schema, frame)
}

fn check(expr: &Expr, values: &[Option<i64>], want: Result<&[&str], (u32, &str)>) {
    let (schema, frame) = rows(values);
    let mut evaluator = Evaluator::new(expr, &schema).unwrap();
    // Twice: nothing stays from one frame to the next.
    for _ in 0..2 {
        let got = evaluator.evaluate(&frame).map(crate::column::random::texts);
        let want = want.map(|texts| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        let got = got.map_err(|e| (e.row, e.message));
        assert_eq!(
            got,
            want.map_err(|(row, e)| (row, e.to_owned())),
            "{expr:?}"
        );
    }
}

fn n() -> Box<Expr> {
    Box::new(Expr::Column(0))
}

fn int(value: i64) -> Expr {
    Expr::Literal(Scalar::I64(value))
}

fn null() -> Expr {
    Expr::Literal(Scalar::Null(DataType::Int64))
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary(op, Box::new(left), Box::new(right))
}

fn ten_by_n() -> Expr {
    binary(BinaryOp::Div, int(10), *n())
}

fn case(branches: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Expr {
    Expr::Case {
        branches,
        otherwise: otherwise.map(Box::new),
    }
}

#[test]
fn branches_are_lazy() {
    let is_zero = || binary(BinaryOp::Eq, *n(), int(0));
    let values = [Some(0), Some(5), None, Some(2)];
    let safe = case(vec![(is_zero(), int(-1))], Some(ten_by_n()));
    check(&safe, &values, Ok(&["-1", "2", "NULL", "5"]));
    let without = case(vec![(is_zero(), int(-1))], None);
    check(&without, &values, Ok(&["-1", "NULL", "NULL", "NULL"]));
    let wrong = case(vec![(is_zero(), ten_by_n())], Some(int(1)));
    check(&wrong, &values, Err((0, "division by zero")));
    // A later condition is not asked where an earlier one was true.
    let big = binary(BinaryOp::Gt, ten_by_n(), int(3));
    let two = case(vec![(is_zero(), int(-1)), (big, int(1))], Some(int(0)));
    check(&two, &values, Ok(&["-1", "0", "0", "1"]));
    // In a branch within a branch both decide.
    let inner = case(vec![(is_zero(), ten_by_n())], Some(int(7)));
    let outer = case(vec![(is_zero(), int(1))], Some(inner));
    check(&outer, &values, Ok(&["1", "7", "7", "7"]));
    // NULLIF.
    let nullif = case(vec![(is_zero(), null())], Some(*n()));
    check(&nullif, &values, Ok(&["NULL", "5", "NULL", "2"]));
    check(
        &binary(BinaryOp::Div, int(10), nullif),
        &values,
        Ok(&["NULL", "2", "NULL", "5"]),
    );
}

#[test]
fn branches_give_every_row_its_own() {
    let values: Vec<Option<i64>> = (0..1000).map(|i| (i % 7 != 3).then_some(i % 5)).collect();
    let branches = (0..4).map(|k| (binary(BinaryOp::Eq, *n(), int(k)), int(10 * k)));
    let expr = case(branches.collect(), Some(int(-1)));
    let want: Vec<String> = values
        .iter()
        .map(|v| v.filter(|v| *v < 4).map_or(-1, |v| 10 * v).to_string())
        .collect();
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    check(&expr, &values, Ok(&want));
}

#[test]
fn coalesce_takes_the_first_that_is_there() {
    let values = [Some(0), None, Some(3)];
    let first = Expr::Coalesce(vec![*n(), int(9), ten_by_n()]);
    check(&first, &values, Ok(&["0", "9", "3"]));
    check(
        &Expr::Coalesce(vec![*n(), null()]),
        &values,
        Ok(&["0", "NULL", "3"]),
    );
    check(
        &Expr::Coalesce(vec![null(), ten_by_n(), int(1)]),
        &values,
        Err((0, "division by zero")),
    );
}

#[test]
fn in_has_three_values() {
    let values = [Some(1), Some(2), None];
    let check_in = |list: Vec<Expr>, want: [&str; 3], not: [&str; 3]| {
        for (negated, want) in [(false, want), (true, not)] {
            let list = list.clone();
            let value = n();
            check(
                &Expr::InList {
                    value,
                    list,
                    negated,
                },
                &values,
                Ok(&want),
            );
        }
    };
    check_in(
        vec![int(1)],
        ["true", "false", "NULL"],
        ["false", "true", "NULL"],
    );
    check_in(
        vec![int(1), null()],
        ["true", "NULL", "NULL"],
        ["false", "NULL", "NULL"],
    );
    check_in(
        vec![null(), int(2)],
        ["NULL", "true", "NULL"],
        ["NULL", "false", "NULL"],
    );
    let self_and_more = vec![int(7), *n(), int(8)];
    check_in(
        self_and_more,
        ["true", "true", "NULL"],
        ["false", "false", "NULL"],
    );
    // An item that errs does not where one before is equal.
    let by_zero = binary(BinaryOp::Div, int(1), binary(BinaryOp::Sub, *n(), int(2)));
    let found = vec![int(2), by_zero.clone()];
    check_in(found, ["false", "true", "NULL"], ["true", "false", "NULL"]);
    let expr = Expr::InList {
        value: n(),
        list: vec![by_zero, int(2)],
        negated: false,
    };
    check(&expr, &values, Err((1, "division by zero")));
}

#[test]
fn what_does_not_fit_is_refused() {
    let (schema, _) = rows(&[None]);
    let text = || Expr::Literal(Scalar::Utf8("a".to_owned()));
    let yes = || Expr::Literal(Scalar::Bool(true));
    let like = |value: Expr, pattern: Expr| Expr::Like {
        value: Box::new(value),
        pattern: Box::new(pattern),
        negated: false,
        ignore_case: false,
    };
    let in_list = |list| Expr::InList {
        value: n(),
        list,
        negated: false,
    };
    for expr in [
        case(vec![(int(1), int(1))], None),
        case(vec![(yes(), int(1))], Some(text())),
        case(vec![], None),
        Expr::Coalesce(vec![]),
        Expr::Coalesce(vec![int(1), text()]),
        in_list(vec![]),
        in_list(vec![text()]),
        like(text(), int(1)),
        like(*n(), text()),
        Expr::Cast(n(), DataType::LargeUtf8),
        Expr::TryCast(
            n(),
            DataType::Interval(arrow_schema::IntervalUnit::MonthDayNano),
        ),
        Expr::Unary(UnaryOp::Negate, Box::new(Expr::Literal(Scalar::U8(1)))),
        binary(BinaryOp::Add, int(1), Expr::Literal(Scalar::I32(1))),
    ] {
        let made = Evaluator::new(&expr, &schema);
        assert!(matches!(made, Err(Error::Program(_))), "{expr:?}");
    }
}
