//! `->` and `->>`: a member or an element of a JSON text, as JSON or as text. What is found keeps
//! the digits and blanks that it was written with.

pub(crate) mod typed;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What the operators are functions called.
const JSON: &str = "json_get";
const TEXT: &str = "json_get_text";
/// What a cast to JSON is a function called.
pub(crate) const PARSE: &str = "json_parse";

/// The functions, to be registered.
pub(crate) fn all() -> impl Iterator<Item = ScalarUDF> {
    let get = [JSON, TEXT].into_iter().map(|name| {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::new_from_impl(Get { name, signature })
    });
    let of_text = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
    get.chain([ScalarUDF::new_from_impl(Parse(of_text))])
}

/// Plans the operators as their functions.
#[derive(Debug)]
pub(crate) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        _: &DFSchema,
    ) -> PlanResult<PlannerResult<RawBinaryExpr>> {
        let name = match expr.op {
            BinaryOperator::Arrow => JSON,
            BinaryOperator::LongArrow => TEXT,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let function = all().find(|f| f.name() == name).expect("it is one of both");
        Ok(PlannerResult::Planned(
            function.call(vec![expr.left, expr.right]),
        ))
    }
}

/// A text that has to be JSON.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Parse(Signature);

impl ScalarUDFImpl for Parse {
    fn name(&self) -> &str {
        PARSE
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> PlanResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, mut call: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let given = call.args.swap_remove(0);
        let texts = given.to_array(1)?;
        for text in texts.as_string::<i32>().iter().flatten() {
            if let Err(error) = read(text) {
                return exec_err!("this is no JSON: {error}");
            }
        }
        Ok(given)
    }
}

/// Whether a text is JSON.
fn read(text: &str) -> serde_json::Result<IgnoredAny> {
    serde_json::from_str(text)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Get {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Get {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> PlanResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn coerce_types(&self, types: &[DataType]) -> PlanResult<Vec<DataType>> {
        let [json, key] = types else {
            return plan_err!("{} takes JSON and a name or number", self.name);
        };
        let is_text = |t: &DataType| t.is_string() || t.is_null();
        let key = match key {
            t if is_text(t) => DataType::Utf8,
            t if t.is_integer() => DataType::Int64,
            other => return plan_err!("a member of JSON has a name or number, and no {other}"),
        };
        match is_text(json) {
            true => Ok(vec![DataType::Utf8, key]),
            false => plan_err!("-> and ->> take JSON, and no {json}"),
        }
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let scalar = (call.args.iter()).all(|v| matches!(v, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { call.number_rows };
        let arrays: Vec<ArrayRef> = (call.args.iter())
            .map(|arg| arg.to_array(rows))
            .collect::<PlanResult<_>>()?;
        let texts = arrays[0].as_string::<i32>();
        let names = arrays[1].as_string_opt::<i32>();
        let numbers = arrays[1].as_primitive_opt::<Int64Type>();
        let mut found = StringBuilder::with_capacity(rows, 0);
        for row in 0..rows {
            if texts.is_null(row) || arrays[1].is_null(row) {
                found.append_null();
                continue;
            }
            let key = match (names, numbers) {
                (Some(names), _) => Key::Name(names.value(row)),
                (None, Some(numbers)) => Key::Number(numbers.value(row)),
                (None, None) => return exec_err!("a member of JSON has a name or number"),
            };
            let value = match get(texts.value(row), key) {
                Ok(value) => value.map(RawValue::get),
                Err(error) => return exec_err!("this is no JSON: {error}"),
            };
            match (value, self.name) {
                (Some(json), JSON) => found.append_value(json),
                (Some(json), _) => found.append_option(text(json)),
                (None, _) => found.append_null(),
            }
        }
        let found: ArrayRef = Arc::new(found.finish());
        match scalar {
            true => ScalarValue::try_from_array(&found, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(found)),
        }
    }
}

/// What of a value is asked for.
#[derive(Debug, Clone, Copy)]
enum Key<'k> {
    /// A member of an object; of several of this name the last.
    Name(&'k str),
    /// An element of an array, from 0 up, or from its end where it is below 0.
    Number(i64),
}

/// A JSON value as text; `None` for NULL.
fn text(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => Some(Cow::Owned(serde_json::from_str(json).ok()?)),
        _ => Some(Cow::Borrowed(json)),
    }
}

/// The part of a JSON text; `None` where there is none.
fn get<'t>(json: &'t str, key: Key<'_>) -> serde_json::Result<Option<&'t RawValue>> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let begins = json.trim_start().as_bytes().first();
    let found = match (key, begins) {
        (Key::Name(_), Some(b'{')) => reader.deserialize_map(Part { key })?,
        (Key::Number(_), Some(b'[')) => reader.deserialize_seq(Part { key })?,
        _ => reader.deserialize_ignored_any(IgnoredAny).map(|_| None)?,
    };
    reader.end()?;
    Ok(found)
}

struct Part<'k> {
    key: Key<'k>,
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            match self.key {
                Key::Name(wanted) if wanted == name => found = Some(map.next_value()?),
                Key::Name(_) | Key::Number(_) => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all: Vec<&RawValue> = Vec::new();
        while let Some(element) = list.next_element()? {
            all.push(element);
        }
        let Key::Number(number) = self.key else {
            return Ok(None);
        };
        let at = match number < 0 {
            true => (all.len() as i64).checked_add(number),
            false => Some(number),
        };
        let at = at.and_then(|at| usize::try_from(at).ok());
        Ok(at.and_then(|at| all.get(at).copied()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Key, RawValue, get, text};

    #[test]
    fn parts_of_json() {
        let check = |json: &str, key: Key<'_>, want: Option<&str>, want_text: Option<&str>| {
            let found = get(json, key).unwrap().map(RawValue::get);
            assert_eq!(found, want, "{json} {key:?}");
            let told = found.and_then(text);
            assert_eq!(told.as_deref(), want_text, "{json} {key:?}");
        };
        let name = Key::Name;
        let number = Key::Number;
        check(r#"{"a": 1.50}"#, name("a"), Some("1.50"), Some("1.50"));
        check(r#"{"a":"x\n"}"#, name("a"), Some(r#""x\n""#), Some("x\n"));
        check(r#"{"a":null}"#, name("a"), Some("null"), None);
        check(r#"{"a":1,"a":2}"#, name("a"), Some("2"), Some("2"));
        check(r#"{"\u0061":1}"#, name("a"), Some("1"), Some("1"));
        check(r#"{"a":1}"#, name("b"), None, None);
        check(r#"{"a":1}"#, number(0), None, None);
        check(
            r#" [1, {"b": 2}, 3]"#,
            number(1),
            Some(r#"{"b": 2}"#),
            Some(r#"{"b": 2}"#),
        );
        check("[1,2,3]", number(-1), Some("3"), Some("3"));
        check("[1,2,3]", number(-4), None, None);
        check("[1,2,3]", number(3), None, None);
        check("[1,2,3]", number(i64::MIN), None, None);
        check("[1]", name("0"), None, None);
        check("12345678901234567890123", name("a"), None, None);
        for bad in ["", "{", "{} x", "[1,]", "nul"] {
            assert!(get(bad, name("a")).is_err(), "{bad}");
            assert!(get(bad, number(0)).is_err(), "{bad}");
        }
    }
}
