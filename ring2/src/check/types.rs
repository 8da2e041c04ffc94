//! What can be told about types before planning: operators that are not there, constants that are
//! no such type, texts compared with numbers.

use datafusion::arrow::datatypes::DataType as ArrowType;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, ExactNumberInfo, Expr, Spanned, TimezoneInfo, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::Checker;
use super::expr::Context;
use super::group::unnested;
use crate::answer::type_name;
use crate::error::{SqlError, nearest};
use crate::place::word;

/// Parts of a time.
const FIELDS: [&str; 18] = [
    "year",
    "isoyear",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "nanosecond",
    "doy",
    "dow",
    "isodow",
    "epoch",
    "mon",
    "sec",
];

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

    /// Both sides of an operator.
    pub(super) fn operands(
        &self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
        match op {
            Eq | NotEq | Lt | LtEq | Gt | GtEq => {
                self.comparison(left, right, cx)?;
                self.compared(left, right, cx)
            }
            And | Or => {
                self.condition(left, cx)?;
                self.condition(right, cx)
            }
            BinaryOperator::Arrow | BinaryOperator::LongArrow => self.json(left, op, right, cx),
            _ => self.arithmetic(left, op, right, cx),
        }
    }

    /// `json -> name` and `json -> number`.
    fn json(
        &self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        let wrong = |expr: &Expr, what: &str, t: &ArrowType, hint: String| {
            let message = format!("{op} takes {what}, and \"{expr}\" is {}", type_name(t));
            Err(self.place.hinted("E0206", self.at(expr), message, hint))
        };
        match self.infer(left, cx) {
            Some(t @ ArrowType::Struct(_)) => {
                return wrong(left, "JSON", &t, format!("{left}[{right}]"));
            }
            Some(t) if !t.is_string() => {
                return wrong(left, "JSON", &t, "declare the column as JSON".into());
            }
            _ => {}
        }
        match self.infer(right, cx) {
            Some(t) if !t.is_string() && !t.is_integer() => {
                let hint = format!("{left} {op} 'name', or {left} {op} 0");
                wrong(right, "a name or a whole number", &t, hint)
            }
            _ => Ok(()),
        }
    }

    /// A column compared with a constant of another kind.
    fn comparison(&self, left: &Expr, right: &Expr, cx: Context<'_>) -> Result<(), SqlError> {
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

    /// A text that stands for a value of another type: a number, a date, a time.
    pub(super) fn constant(
        &self,
        value: &Expr,
        constant: &Expr,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        let Expr::Value(constant) = unnested(constant) else {
            return Ok(());
        };
        let (Value::SingleQuotedString(text), Some(data_type)) =
            (&constant.value, self.infer(value, cx))
        else {
            return Ok(());
        };
        let at = constant.span.start;
        match &data_type {
            t if t.is_numeric() && text.trim().parse::<f64>().is_err() => {
                let message = format!("\"{value}\" is a number, and '{text}' is none");
                let hint = "compare values of one type";
                Err(self.place.hinted("E0206", at, message, hint))
            }
            ArrowType::Date32 => self.temporal(text, Temporal::Date, at),
            ArrowType::Timestamp(_, _) => self.temporal(text, Temporal::Timestamp, at),
            _ => Ok(()),
        }
    }

    /// A number that DOUBLE can hold.
    pub(super) fn number(&self, number: &str, at: Location) -> Result<(), SqlError> {
        match number.parse::<f64>() {
            Ok(value) if value.is_infinite() => {
                let message = format!("{number} is beyond the numbers of DOUBLE");
                let hint = "the greatest DOUBLE is 1.7976931348623157e308";
                Err(self.place.hinted("E0206", at, message, hint))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A number that REAL cannot hold.
    pub(super) fn cast_value(&self, expr: &Expr, to: &DataType) -> Result<(), SqlError> {
        let real = matches!(to, DataType::Real | DataType::Float4 | DataType::Float(_));
        let number = match unnested(expr) {
            Expr::UnaryOp { op: _, expr } => unnested(expr),
            other => other,
        };
        match number {
            Expr::Value(value) if real => match &value.value {
                Value::Number(n, _) if n.parse::<f32>().is_ok_and(f32::is_infinite) => {
                    let message = format!("{n} is beyond the numbers of REAL");
                    let hint = format!("CAST({n} AS DOUBLE)");
                    Err(self.place.hinted("E0206", value.span.start, message, hint))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The part of a time that EXTRACT and DATE_TRUNC name.
    pub(super) fn time_field(&self, field: &str, from: Location) -> Result<(), SqlError> {
        let name = field.trim_matches('\'').to_lowercase();
        let one = name.strip_suffix('s').unwrap_or(&name);
        if FIELDS.contains(&one) || FIELDS.contains(&name.as_str()) {
            return Ok(());
        }
        let at = self.before(&name, from);
        let message = format!("a time has no field \"{name}\"");
        let hint = match nearest(one, FIELDS.into_iter()) {
            Some(n) => format!("did you mean {}?", n.to_uppercase()),
            None => "YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE, SECOND".to_string(),
        };
        Err(self.place.hinted("E0206", at, message, hint))
    }

    /// Where the type of a CAST stands: behind AS or `::`, behind what is cast.
    pub(super) fn behind(&self, expr: &Expr) -> Location {
        let end = expr.span().end;
        let is_cast =
            |t: &TokenWithSpan| t.token == Token::DoubleColon || word(t).is_some_and(|w| w == "AS");
        let mut rest = (self.chunk.tokens.iter()).skip_while(|t| t.span.start < end);
        rest.find(|t| is_cast(t));
        rest.next().map_or(self.at(expr), |t| t.span.start)
    }

    /// The last place at or before `from` where this word stands; `from` without one.
    pub(super) fn before(&self, text: &str, from: Location) -> Location {
        let is = |t: &&TokenWithSpan| {
            t.span.start <= from
                && match &t.token {
                    Token::Word(w) => w.value.eq_ignore_ascii_case(text),
                    Token::SingleQuotedString(s) => s.eq_ignore_ascii_case(text),
                    _ => false,
                }
        };
        let found = self.chunk.tokens.iter().rfind(is);
        found.map_or(from, |t| t.span.start)
    }

    /// Whether a text is a date or a time.
    fn temporal(&self, text: &str, what: Temporal, at: Location) -> Result<(), SqlError> {
        use datafusion::arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
        use datafusion::arrow::datatypes::Date32Type;
        let (good, name, hint) = match what {
            Temporal::Date => (
                Date32Type::parse(text).is_some(),
                "DATE",
                "DATE '2025-11-06'",
            ),
            Temporal::Timestamp => (
                string_to_datetime(&chrono::Utc, text).is_ok(),
                "TIMESTAMP",
                "TIMESTAMP '2025-11-06 10:00:00'",
            ),
        };
        match good {
            true => Ok(()),
            false => {
                let message = format!("'{text}' is no {name}");
                Err(self.place.hinted("E0206", at, message, hint))
            }
        }
    }

    pub(super) fn cast_type(&self, data_type: &DataType, at: Location) -> Result<(), SqlError> {
        let what = match data_type {
            DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
                let hint = "a TIMESTAMP has no zone and is taken as UTC";
                let message = format!("type {data_type} is not supported");
                return Err(self.place.hinted("E0302", at, message, hint));
            }
            DataType::Decimal(info) | DataType::Numeric(info) => return self.decimal(*info, at),
            DataType::Varchar(Some(_))
            | DataType::CharVarying(Some(_))
            | DataType::CharacterVarying(Some(_))
            | DataType::Char(_)
            | DataType::Character(_) => {
                let message = format!("type {data_type}: the length of a text is not kept");
                let hint = "VARCHAR; LEFT(x, 3) is its first characters";
                return Err(self.place.hinted("E0302", at, message, hint));
            }
            DataType::JSON | DataType::JSONB | DataType::Uuid => data_type.to_string(),
            DataType::Custom(name, _) => name.to_string().to_uppercase(),
            _ => return Ok(()),
        };
        let refused = match data_type {
            // A plain cast to it is a call.
            DataType::JSON | DataType::JSONB => {
                Some(("TRY_CAST to JSON is not there", "CAST(x AS JSON)"))
            }
            DataType::Uuid => Some(("nothing is cast to UUID", "VARCHAR")),
            _ => None,
        };
        if let Some((message, hint)) = refused {
            return Err(self.place.hinted("E0302", at, message, hint));
        }
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

    /// Digits that a DECIMAL can have.
    fn decimal(&self, info: ExactNumberInfo, at: Location) -> Result<(), SqlError> {
        let (precision, scale) = match info {
            ExactNumberInfo::None => return Ok(()),
            ExactNumberInfo::Precision(p) => (p, 0),
            ExactNumberInfo::PrecisionAndScale(p, s) => (p, s),
        };
        let (message, hint) = match i64::try_from(precision) {
            Ok(1..=38) if (0..=precision.cast_signed()).contains(&scale) => return Ok(()),
            Ok(1..=38) => (
                format!("DECIMAL({precision}, {scale}) has no {scale} digits behind the point"),
                format!("DECIMAL({precision}, 2): digits in all, and those behind the point"),
            ),
            _ => (
                format!("DECIMAL has 1 to 38 digits, not {precision}"),
                format!("DECIMAL(38, {scale})"),
            ),
        };
        Err(self.place.hinted("E0302", at, message, hint))
    }

    /// `DATE '..'` and `TIMESTAMP '..'` that are none.
    pub(super) fn typed_string(
        &self,
        data_type: &DataType,
        value: &ValueWithSpan,
    ) -> Result<(), SqlError> {
        let Value::SingleQuotedString(text) = &value.value else {
            return Ok(());
        };
        let what = match data_type {
            DataType::Date => Temporal::Date,
            DataType::Timestamp(_, _) => Temporal::Timestamp,
            _ => return Ok(()),
        };
        self.temporal(text, what, value.span.start)
    }
}

/// What a text may be read as.
enum Temporal {
    Date,
    Timestamp,
}
