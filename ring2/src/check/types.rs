//! What can be told about types before planning: operators that are not there, constants that are
//! no such type, texts compared with numbers.

use datafusion::arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, TimezoneInfo, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::Checker;
use super::expr::Context;
use super::group::unnested;
use crate::error::{SqlError, nearest};

impl Checker<'_> {
    pub(super) fn operator(&self, op: &BinaryOperator, at: Location) -> Result<(), SqlError> {
        use BinaryOperator as B;
        match op {
            B::Plus
            | B::Minus
            | B::Multiply
            | B::Divide
            | B::Modulo
            | B::StringConcat
            | B::Gt
            | B::Lt
            | B::GtEq
            | B::LtEq
            | B::Eq
            | B::NotEq
            | B::And
            | B::Or
            | B::BitwiseOr
            | B::BitwiseAnd
            | B::PGBitwiseXor
            | B::PGBitwiseShiftLeft
            | B::PGBitwiseShiftRight
            | B::PGRegexMatch
            | B::PGRegexIMatch
            | B::PGRegexNotMatch
            | B::PGRegexNotIMatch
            | B::Arrow
            | B::LongArrow => Ok(()),
            other => {
                let hint = match other {
                    B::PGExp => "POWER(a, b)",
                    B::Xor => "a <> b",
                    B::DuckIntegerDivide | B::MyIntegerDivide => "a / b of integers is whole",
                    B::Spaceship => "IS NOT DISTINCT FROM",
                    _ => "",
                };
                Err(self.place.foreign(at, &format!("operator {other}"), hint))
            }
        }
    }

    /// A column compared with a constant of another kind.
    pub(super) fn comparison(
        &self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        if !matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
            return Ok(());
        }
        for (column, constant) in [(left, right), (right, left)] {
            let (Expr::Identifier(ident), Expr::Value(value)) = (unnested(column), constant) else {
                continue;
            };
            let name = &ident.value;
            let Ok(Some(found)) = cx.scope.column(self.place, name, ident.span.start) else {
                continue;
            };
            let text = matches!(found.data_type, Some(ArrowType::Utf8 | ArrowType::Utf8View));
            let number = found.data_type.as_ref().is_some_and(ArrowType::is_numeric);
            let constant = value.value.to_string();
            let message = match &value.value {
                Value::Number(_, _) if text => {
                    format!("\"{name}\" is a text, and {constant} a number")
                }
                Value::SingleQuotedString(t) if number && t.trim().parse::<f64>().is_err() => {
                    format!("\"{name}\" is a number, and {constant} is none")
                }
                Value::Boolean(_) if text || number => {
                    format!("\"{name}\" is no BOOLEAN, and {constant} is one")
                }
                _ => continue,
            };
            let hint = match &value.value {
                Value::Number(_, _) => format!("'{constant}'"),
                _ => "compare values of one type".to_string(),
            };
            return Err(self.place.hinted("E0206", value.span.start, message, hint));
        }
        Ok(())
    }

    pub(super) fn cast_type(&self, data_type: &DataType, at: Location) -> Result<(), SqlError> {
        let what = match data_type {
            DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
                let hint = "a TIMESTAMP has no zone and is taken as UTC";
                let message = format!("type {data_type} is not supported");
                return Err(self.place.hinted("E0302", at, message, hint));
            }
            DataType::Custom(name, _) => name.to_string().to_uppercase(),
            _ => return Ok(()),
        };
        let known = [
            "BIGINT",
            "INT",
            "SMALLINT",
            "DOUBLE",
            "REAL",
            "VARCHAR",
            "TEXT",
            "BOOLEAN",
            "DATE",
            "TIMESTAMP",
            "DECIMAL",
            "BYTEA",
        ];
        let message = format!("type {what} does not exist");
        let mut error = self.place.error("E0302", at, message);
        let nearest = nearest(&what, known.into_iter()).map(|n| format!("did you mean {n}?"));
        error.hint = nearest.or(Some(
            "BIGINT, DOUBLE, VARCHAR, BOOLEAN, DATE, TIMESTAMP".into(),
        ));
        Err(error)
    }

    /// `DATE '..'` and `TIMESTAMP '..'` that are none.
    pub(super) fn typed_string(
        &self,
        data_type: &DataType,
        value: &ValueWithSpan,
    ) -> Result<(), SqlError> {
        use datafusion::arrow::compute::kernels::cast_utils::{Parser, string_to_timestamp_nanos};
        use datafusion::arrow::datatypes::Date32Type;
        let Value::SingleQuotedString(text) = &value.value else {
            return Ok(());
        };
        let (good, hint) = match data_type {
            DataType::Date => (Date32Type::parse(text).is_some(), "DATE '2025-11-06'"),
            DataType::Timestamp(_, _) => (
                string_to_timestamp_nanos(text).is_ok(),
                "TIMESTAMP '2025-11-06 10:00:00'",
            ),
            _ => return Ok(()),
        };
        match good {
            true => Ok(()),
            false => {
                let message = format!("'{text}' is no {data_type}");
                Err(self.place.hinted("E0206", value.span.start, message, hint))
            }
        }
    }
}
