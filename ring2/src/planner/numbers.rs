//! Numbers of more digits than a DOUBLE has, compared with integers and DECIMALs: there they count
//! to the last digit. The tree has them as a text, marked and cast to a DECIMAL; beside anything
//! else they are the DOUBLEs that DataFusion makes of all numbers with a point.

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Between, Cast, Expr, ExprSchemable, lit};

use crate::window::marker::CAST;

/// Digits that a DOUBLE keeps, whatever they are.
pub(super) const DOUBLE_DIGITS: u8 = 15;

/// A number as it is written.
struct Written {
    value: i128,
    digits: u8,
    scale: i8,
}

impl Written {
    /// Reads digits with a point, or without.
    fn read(text: &str) -> Option<Self> {
        let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
        let value: i128 = text.replacen('.', "", 1).parse().ok()?;
        let digits = value
            .unsigned_abs()
            .checked_ilog10()
            .map_or(1, |log| log + 1);
        let scale = i8::try_from(fraction.len()).ok()?;
        let digits = u8::try_from(digits).ok()?.max(fraction.len() as u8);
        (digits <= DECIMAL128_MAX_PRECISION).then_some(Self {
            value,
            digits,
            scale,
        })
    }

    fn constant(&self) -> Expr {
        lit(ScalarValue::Decimal128(
            Some(self.value),
            self.digits,
            self.scale,
        ))
    }
}

/// Digits before and behind the point.
type Digits = (i16, i16);

/// What a value that is compared is.
enum Kind {
    /// A number of the tree's, and its text.
    Marked(Written, String),
    /// A shorter one, which is a DOUBLE so far.
    Short(Written),
    /// What is compared to the last digit.
    Exact(Digits),
    Null,
    Other,
}

impl Kind {
    fn of(expr: &Expr, schema: &DFSchema) -> Self {
        if let Some(text) = marked(expr) {
            return match Written::read(text) {
                Some(number) => Self::Marked(number, text.to_owned()),
                None => Self::Other,
            };
        }
        if let Expr::Literal(ScalarValue::Float64(Some(double)), _) = expr {
            // As many digits as say which DOUBLE it is: those that were written, if they are few.
            let number = Written::read(&double.to_string());
            return match number.filter(|number| number.digits <= DOUBLE_DIGITS) {
                Some(number) => Self::Short(number),
                None => Self::Other,
            };
        }
        use DataType as D;
        match expr.get_type(schema) {
            Ok(D::Decimal32(p, s) | D::Decimal64(p, s) | D::Decimal128(p, s)) => {
                Self::Exact((i16::from(p) - i16::from(s), i16::from(s)))
            }
            // As many as the longest has.
            Ok(of) if of.is_integer() => Self::Exact((20, 0)),
            Ok(D::Null) => Self::Null,
            _ => Self::Other,
        }
    }

    /// The digits that it needs; `None` where it is not compared to the last one.
    fn digits(&self) -> Option<Digits> {
        match self {
            Self::Marked(n, _) | Self::Short(n) => {
                Some((i16::from(n.digits) - i16::from(n.scale), i16::from(n.scale)))
            }
            Self::Exact(digits) => Some(*digits),
            Self::Null => Some((0, 0)),
            Self::Other => None,
        }
    }
}

/// The text of a number that the tree marked.
fn marked(expr: &Expr) -> Option<&str> {
    let Expr::Cast(Cast { expr, .. }) = expr else {
        return None;
    };
    let Expr::ScalarFunction(call) = expr.as_ref() else {
        return None;
    };
    match call.args.as_slice() {
        [Expr::Literal(ScalarValue::Utf8(Some(text)), _)] if call.name() == CAST => Some(text),
        _ => None,
    }
}

/// Reads the numbers among values that are compared with each other. Returns whether there is one.
fn read(values: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    if !values.iter().any(|value| marked(value).is_some()) {
        return false;
    }
    let kinds: Vec<Kind> = values.iter().map(|e| Kind::of(e, schema)).collect();
    let asks = kinds.iter().any(|kind| matches!(kind, Kind::Exact(_)));
    let all: Option<Vec<Digits>> = kinds.iter().map(Kind::digits).collect();
    let fits = all.is_some_and(|all| {
        let whole = all.iter().map(|(whole, _)| *whole).max();
        let scale = all.iter().map(|(_, scale)| *scale).max();
        let digits = whole.unwrap_or(0) + scale.unwrap_or(0);
        digits <= i16::from(DECIMAL128_MAX_PRECISION)
    });
    for (value, kind) in values.into_iter().zip(kinds) {
        match kind {
            Kind::Marked(number, _) | Kind::Short(number) if asks && fits => {
                *value = number.constant();
            }
            Kind::Marked(_, text) => {
                *value = lit(text
                    .parse::<f64>()
                    .expect("digits and a point are a number"));
            }
            Kind::Short(_) | Kind::Exact(_) | Kind::Null | Kind::Other => {}
        }
    }
    true
}

/// Reads numbers among two values that are compared. Returns whether there is one.
pub(super) fn beside(one: &mut Expr, other: &mut Expr, schema: &DFSchema) -> bool {
    read(vec![one, other], schema)
}

/// Reads numbers that one value is compared with.
pub(super) fn within(expr: &mut Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::InList(list) => {
            let mut values = vec![list.expr.as_mut()];
            values.extend(&mut list.list);
            read(values, schema)
        }
        Expr::Between(Between {
            expr, low, high, ..
        }) => read(vec![expr, low, high], schema),
        Expr::Case(Case {
            expr: Some(of),
            when_then_expr,
            ..
        }) => {
            let whens = when_then_expr.iter_mut().map(|(when, _)| when.as_mut());
            let mut values = vec![of.as_mut()];
            values.extend(whens);
            read(values, schema)
        }
        _ => false,
    }
}
