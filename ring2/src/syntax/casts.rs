//! Casts that are more than a change of type. A number with a point is a DOUBLE, which has 15
//! digits for sure: `CAST(12345678901234567.89 AS DECIMAL(20, 2))` is read from its text, to the
//! digit. JSON is a text that was looked at: a cast to it is a function.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator,
    Value, ValueWithSpan,
};

use crate::json::PARSE;
use crate::window;

/// Writes a cast as what it is.
pub(super) fn written(expr: &mut Expr) {
    decimal(expr);
    json(expr);
}

/// Makes `x::JSON` a call.
fn json(expr: &mut Expr) {
    let Expr::Cast {
        kind: CastKind::Cast | CastKind::DoubleColon,
        expr: text,
        data_type: DataType::JSON | DataType::JSONB,
        ..
    } = expr
    else {
        return;
    };
    let text = FunctionArgExpr::Expr(std::mem::replace(
        text.as_mut(),
        Expr::Value(Value::Null.into()),
    ));
    let mut call = window::parse(&format!("{PARSE}(0)"));
    if let Expr::Function(f) = &mut call
        && let FunctionArguments::List(list) = &mut f.args
    {
        list.args = vec![FunctionArg::Unnamed(text)];
    }
    *expr = call;
}

/// Makes a number that is cast to DECIMAL its text.
fn decimal(expr: &mut Expr) {
    let Expr::Cast {
        expr: constant,
        data_type: DataType::Decimal(_) | DataType::Numeric(_) | DataType::Dec(_),
        ..
    } = expr
    else {
        return;
    };
    let (sign, number) = match constant.as_ref() {
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: number,
        } => ("-", number.as_ref()),
        number => ("", number),
    };
    let Expr::Value(ValueWithSpan {
        value: Value::Number(digits, _),
        span,
    }) = number
    else {
        return;
    };
    // With an exponent it is no text of a DECIMAL.
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_plain && digits.len() > 15 {
        let value = Value::SingleQuotedString(format!("{sign}{digits}"));
        let span = *span;
        **constant = Expr::Value(ValueWithSpan { value, span });
    }
}
