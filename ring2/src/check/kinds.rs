//! The types of expressions where they are plain to see, and what does not go together: told here,
//! at the value in question, because planning only knows the statement. What has no plain type
//! passes and is left to planning.

use datafusion::arrow::datatypes::{DataType as ArrowType, IntervalUnit};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::Checker;
use super::expr::Context;
use super::group::unnested;
use crate::answer::type_name;
use crate::error::SqlError;
use crate::syntax::arguments;

/// What a type is like, where types of one kind go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Boolean,
    Timestamp,
    List,
    Struct,
    /// Dates, times of day, intervals and bytes: planning tells what goes with them.
    Other,
}

fn kind(data_type: &ArrowType) -> Kind {
    use ArrowType as T;
    match data_type {
        t if t.is_numeric() => Kind::Number,
        T::Utf8 | T::LargeUtf8 | T::Utf8View => Kind::Text,
        T::Boolean => Kind::Boolean,
        T::Timestamp(_, _) => Kind::Timestamp,
        T::List(_) => Kind::List,
        T::Struct(_) => Kind::Struct,
        _ => Kind::Other,
    }
}

/// Whether values of these kinds compare, and can be branches of one CASE.
fn fit(a: Kind, b: Kind) -> bool {
    use Kind::{Boolean, List, Number, Other, Struct, Text, Timestamp};
    match (a, b) {
        (List, List) | (Struct, Struct) => true,
        (List | Struct, _) | (_, List | Struct) => false,
        (Boolean, Number | Timestamp) | (Number | Timestamp, Boolean) => false,
        (Number, Timestamp) | (Timestamp, Number) => false,
        (Text | Other | Number | Boolean | Timestamp, _) => true,
    }
}

/// Whether one is a text and the other never: without a CAST neither is the other.
fn apart(a: &ArrowType, b: &ArrowType) -> bool {
    use Kind::{Boolean, Number, Text, Timestamp};
    let no_text = |t| matches!(kind(t), Number | Boolean | Timestamp);
    (kind(a) == Text && no_text(b)) || (kind(b) == Text && no_text(a))
}

/// A constant in quotes: it has the type of what it stands beside.
fn untyped(expr: &Expr) -> bool {
    matches!(unnested(expr), Expr::Value(v) if matches!(v.value, Value::SingleQuotedString(_)))
}

/// The type of a CAST, where it is a plain one.
fn cast_to(data_type: &DataType) -> Option<ArrowType> {
    use datafusion::arrow::datatypes::TimeUnit;
    Some(match data_type {
        DataType::BigInt(_) | DataType::Int8(_) => ArrowType::Int64,
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => ArrowType::Int32,
        DataType::SmallInt(_) | DataType::Int2(_) => ArrowType::Int16,
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 => ArrowType::Float64,
        DataType::Varchar(_) | DataType::Text | DataType::String(_) => ArrowType::Utf8,
        DataType::Boolean | DataType::Bool => ArrowType::Boolean,
        DataType::Date => ArrowType::Date32,
        DataType::Timestamp(_, _) => ArrowType::Timestamp(TimeUnit::Microsecond, None),
        _ => return None,
    })
}

impl Checker<'_> {
    /// The type of an expression, where it is plain to see.
    pub(super) fn infer(&self, expr: &Expr, cx: Context<'_>) -> Option<ArrowType> {
        use BinaryOperator as B;
        let found = match unnested(expr) {
            Expr::Identifier(i) => cx.scope.column(self.place, &i.value, i.span.start),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [relation, column] => cx.scope.qualified(self.place, &relation.value, column),
                _ => return None,
            },
            Expr::Value(value) => {
                return match &value.value {
                    Value::Number(n, _) if n.parse::<i64>().is_ok() => Some(ArrowType::Int64),
                    Value::Number(_, _) => Some(ArrowType::Float64),
                    Value::SingleQuotedString(_) => Some(ArrowType::Utf8),
                    Value::Boolean(_) => Some(ArrowType::Boolean),
                    _ => None,
                };
            }
            Expr::TypedString(typed) => return cast_to(&typed.data_type),
            Expr::Cast { data_type, .. } => return cast_to(data_type),
            Expr::Interval(_) => return Some(ArrowType::Interval(IntervalUnit::MonthDayNano)),
            Expr::Extract { .. } => return Some(ArrowType::Int32),
            Expr::Function(f) if f.name.to_string() == "count" => return Some(ArrowType::Int64),
            Expr::Function(f) if ["min", "max"].contains(&f.name.to_string().as_str()) => {
                return match arguments(f).as_slice() {
                    [of] => self.infer(of, cx),
                    _ => None,
                };
            }
            Expr::UnaryOp { op, expr } => {
                return match op {
                    UnaryOperator::Not => Some(ArrowType::Boolean),
                    UnaryOperator::Plus | UnaryOperator::Minus => self.infer(expr, cx),
                    _ => None,
                };
            }
            Expr::BinaryOp { left, op, right } => {
                return match op {
                    B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq | B::And | B::Or => {
                        Some(ArrowType::Boolean)
                    }
                    B::Plus | B::Minus | B::Multiply | B::Divide | B::Modulo => {
                        match (self.infer(left, cx)?, self.infer(right, cx)?) {
                            (ArrowType::Int64, ArrowType::Int64) => Some(ArrowType::Int64),
                            (a, b) if a.is_numeric() && b.is_numeric() => {
                                let double = [a, b].contains(&ArrowType::Float64);
                                double.then_some(ArrowType::Float64)
                            }
                            _ => None,
                        }
                    }
                    _ => None,
                };
            }
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::Exists { .. } => return Some(ArrowType::Boolean),
            _ => return None,
        };
        found.ok().flatten().and_then(|f| f.data_type)
    }

    /// Where an expression begins: a tree does not know where EXTRACT and CAST stand.
    fn head(&self, expr: &Expr) -> Location {
        let at = self.at(expr);
        match unnested(expr) {
            Expr::Extract { .. } => self.before("EXTRACT", at),
            Expr::Cast { kind, .. } => match kind {
                CastKind::Cast => self.before("CAST", at),
                CastKind::TryCast | CastKind::SafeCast => self.before("TRY_CAST", at),
                CastKind::DoubleColon => at,
            },
            Expr::BinaryOp { left, .. } => self.head(left),
            _ => at,
        }
    }

    /// What WHERE, HAVING, FILTER, WHEN, AND, OR and NOT ask has to be BOOLEAN.
    pub(super) fn condition(&self, expr: &Expr, cx: Context<'_>) -> Result<(), SqlError> {
        let Some(data_type) = self.infer(expr, cx) else {
            return Ok(());
        };
        let hint = match (kind(&data_type), unnested(expr)) {
            (Kind::Boolean, _) => return Ok(()),
            (Kind::Number, _) => format!("{} <> 0", unnested(expr)),
            (_, Expr::Value(_)) => "TRUE or FALSE".to_string(),
            (_, other) => format!("{other} IS NOT NULL"),
        };
        let message = format!(
            "a condition is BOOLEAN, and this is {}",
            type_name(&data_type)
        );
        Err(self.place.hinted("E0206", self.head(expr), message, hint))
    }

    /// Walks what has to be a condition.
    pub(super) fn asked(&mut self, expr: &Expr, cx: Context<'_>) -> Result<(), SqlError> {
        self.walk(expr, cx)?;
        self.condition(expr, cx)
    }

    /// Two values that are compared.
    pub(super) fn compared(
        &self,
        left: &Expr,
        right: &Expr,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        for (value, constant) in [(left, right), (right, left)] {
            self.constant(value, constant, cx)?;
        }
        let (Some(a), Some(b)) = (self.infer(left, cx), self.infer(right, cx)) else {
            return Ok(());
        };
        let apart = apart(&a, &b) && !untyped(left) && !untyped(right);
        if fit(kind(&a), kind(&b)) && !apart {
            return Ok(());
        }
        let hint = match (kind(&a), kind(&b)) {
            (Kind::Text, _) if apart => format!("CAST({left} AS {})", type_name(&b)),
            (_, Kind::Text) if apart => format!("CAST({right} AS {})", type_name(&a)),
            (Kind::List, _) => format!("{right} = ANY({left})"),
            (_, Kind::List) => format!("{left} = ANY({right})"),
            (Kind::Struct, _) => format!("compare a field: {left}.name"),
            (Kind::Timestamp, Kind::Number) => "TIMESTAMP '2025-11-06 10:00:00'".to_string(),
            _ => "compare values of one type".to_string(),
        };
        let message = format!("{} does not compare with {}", type_name(&a), type_name(&b));
        Err(self.place.hinted("E0206", self.head(right), message, hint))
    }

    /// Columns that become one.
    pub(super) fn united(
        &self,
        word: &str,
        at: Location,
        name: &str,
        one: Option<&ArrowType>,
        other: Option<&ArrowType>,
    ) -> Result<(), SqlError> {
        let (Some(one), Some(other)) = (one, other) else {
            return Ok(());
        };
        if fit(kind(one), kind(other)) && !dated(one, other) && !apart(one, other) {
            return Ok(());
        }
        let (one, other) = (type_name(one), type_name(other));
        let message = format!("{word}: \"{name}\" is {other}, the column before it is {one}");
        let hint = "both sides have the same types: CAST, or NULL";
        Err(self.place.hinted("E0206", at, message, hint))
    }

    /// Branches of one CASE: the first that does not go with one before.
    pub(super) fn branches<'e>(
        &self,
        results: impl Iterator<Item = &'e Expr>,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        let mut first: Option<(ArrowType, bool)> = None;
        for result in results {
            let Some(next) = self.infer(result, cx) else {
                continue;
            };
            let Some((first, constant)) = &first else {
                first = Some((next, untyped(result)));
                continue;
            };
            // A constant in quotes may be a time, and is no number.
            let constant = *constant || untyped(result);
            let timed = constant && [kind(first), kind(&next)].contains(&Kind::Timestamp);
            let go = fit(kind(first), kind(&next)) && (timed || !apart(first, &next));
            if !go || dated(first, &next) {
                let (first, next) = (type_name(first), type_name(&next));
                let message = format!("this branch of CASE is {next}, one before is {first}");
                let hint = "all branches of a CASE have one type: CAST, or NULL";
                return Err(self.place.hinted("E0206", self.head(result), message, hint));
            }
        }
        Ok(())
    }

    /// Values that are computed with.
    pub(super) fn arithmetic(
        &self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        use BinaryOperator as B;
        if !matches!(op, B::Plus | B::Minus | B::Multiply | B::Divide | B::Modulo) {
            return Ok(());
        }
        let (Some(a), Some(b)) = (self.infer(left, cx), self.infer(right, cx)) else {
            return Ok(());
        };
        use Kind::{Boolean, List, Number, Struct, Text, Timestamp};
        let hint = match (kind(&a), kind(&b)) {
            (Text, Text) if *op == B::Plus => format!("{left} || {right}"),
            (Text, Number) => format!("CAST({left} AS {}) {op} {right}", type_name(&b)),
            (Number, Text) => format!("{left} {op} CAST({right} AS {})", type_name(&a)),
            (Timestamp, Number) => format!("{left} {op} INTERVAL '5' SECOND"),
            (Timestamp, Timestamp) if *op != B::Minus => format!("{left} - {right}"),
            (Boolean, Number | Boolean) => format!("CAST({left} AS BIGINT)"),
            (Number, Boolean) => format!("CAST({right} AS BIGINT)"),
            (Text, Text) => format!("CAST({left} AS DOUBLE)"),
            (List | Struct, _) | (_, List | Struct) => "take one value out of it".to_string(),
            _ => return Ok(()),
        };
        let message = format!(
            "operator {op} does not take {} and {}",
            type_name(&a),
            type_name(&b)
        );
        Err(self.place.hinted("E0206", self.head(left), message, hint))
    }

    /// LIKE compares texts.
    pub(super) fn like(&self, side: &Expr, cx: Context<'_>) -> Result<(), SqlError> {
        match self.infer(side, cx) {
            Some(t) if !matches!(kind(&t), Kind::Text) && t != ArrowType::Binary => {
                let hint = match unnested(side) {
                    Expr::Value(value) => format!("'{value}'"),
                    other => format!("CAST({other} AS VARCHAR)"),
                };
                let message = format!("LIKE takes VARCHAR, not {}", type_name(&t));
                Err(self.place.hinted("E0206", self.head(side), message, hint))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// `value[index]`: elements of lists by number, fields by name.
    pub(super) fn subscript(
        &self,
        root: &Expr,
        index: &Expr,
        cx: Context<'_>,
    ) -> Result<(), SqlError> {
        let Some(data_type) = self.infer(root, cx) else {
            return Ok(());
        };
        let by = self.infer(index, cx).map(|t| (kind(&t), t));
        let name = match unnested(index) {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(name) => Some(name.as_str()),
                _ => None,
            },
            _ => None,
        };
        let at = self.at(index);
        match (&data_type, by) {
            (ArrowType::List(_), Some((k, t))) if k != Kind::Number || t.is_floating() => {
                let message = format!("elements of a list are numbered, and {index} is no number");
                let message = match k {
                    Kind::Number => format!("elements of a list have whole numbers, not {index}"),
                    _ => message,
                };
                let hint = format!("{root}[1] is the first");
                Err(self.place.hinted("E0206", at, message, hint))
            }
            (ArrowType::Struct(fields), _) => match name {
                Some(name) => self.field(&root.to_string(), fields, name, at),
                None => Ok(()),
            },
            (ArrowType::List(_), _) => Ok(()),
            _ => {
                let message = format!("\"{root}\" is {}, no list", type_name(&data_type));
                let hint = match (kind(&data_type), name) {
                    (Kind::Text, Some(name)) => format!("{root} ->> '{name}'"),
                    (Kind::Text, None) => format!("SUBSTR({root}, {index}, 1)"),
                    _ => "lists are declared: tags VARCHAR[]".to_string(),
                };
                Err(self.place.hinted("E0206", self.at(root), message, hint))
            }
        }
    }

    /// A field that a STRUCT has to have.
    pub(super) fn field(
        &self,
        column: &str,
        fields: &datafusion::arrow::datatypes::Fields,
        field: &str,
        at: Location,
    ) -> Result<(), SqlError> {
        if fields.iter().any(|f| f.name() == field) {
            return Ok(());
        }
        let message = format!("column \"{column}\" has no field \"{field}\"");
        let known: Vec<_> = fields.iter().map(|f| f.name().as_str()).collect();
        let hint = match crate::error::nearest(field, known.iter().copied()) {
            Some(n) => format!("did you mean \"{n}\"?"),
            None => format!("it has: {}", known.join(", ")),
        };
        Err(self.place.hinted("E0201", at, message, hint))
    }
}

/// A BOOLEAN beside a date: no branch of CASE can be either.
fn dated(a: &ArrowType, b: &ArrowType) -> bool {
    let date = |t: &ArrowType| *t == ArrowType::Date32;
    let boolean = |t: &ArrowType| *t == ArrowType::Boolean;
    (date(a) && boolean(b)) || (boolean(a) && date(b))
}
