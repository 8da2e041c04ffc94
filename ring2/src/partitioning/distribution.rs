//! Where the rows of an edge are, as a proof. A distribution is a list of keys, each an expression
//! and the type in which it is compared: rows that agree in all of them are on one shard. The
//! proof is lost where the expression is no longer a column, where an outer join pads it with
//! NULLs, and by a cast that is not widening; a widening cast keeps the bytes that are hashed
//! (integers are hashed widened, timestamps in nanoseconds, decimals without trailing zeros).

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable};

/// Types whose equal values have equal hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Class {
    Integer,
    Text,
    Timestamp,
    Decimal,
    Only(DataType),
}

/// The class of a type.
pub(crate) fn class(data_type: &DataType) -> Class {
    use DataType as D;
    match data_type {
        t if t.is_integer() => Class::Integer,
        D::Utf8 | D::LargeUtf8 | D::Utf8View => Class::Text,
        D::Timestamp(_, None) => Class::Timestamp,
        D::Decimal32(..) | D::Decimal64(..) | D::Decimal128(..) | D::Decimal256(..) => {
            Class::Decimal
        }
        other => Class::Only(other.clone()),
    }
}

/// Whether every value keeps its hash under this cast.
pub(crate) fn is_widening(from: &DataType, to: &DataType) -> bool {
    use DataType as D;
    if from == to {
        return true;
    }
    match (class(from), class(to)) {
        (Class::Integer, Class::Integer) => {
            let (a, b) = (from.primitive_width(), to.primitive_width());
            match (from.is_signed_integer(), to.is_signed_integer()) {
                (true, true) | (false, false) => a <= b,
                (false, true) => a < b,
                (true, false) => false,
            }
        }
        (Class::Text, Class::Text) => true,
        (Class::Timestamp, Class::Timestamp) => match (from, to) {
            (D::Timestamp(a, _), D::Timestamp(b, _)) => fineness(*a) <= fineness(*b),
            _ => false,
        },
        (Class::Decimal, Class::Decimal) => match (digits(from), digits(to)) {
            (Some((whole, scale)), Some((whole_to, scale_to))) => {
                whole <= whole_to && scale <= scale_to
            }
            _ => false,
        },
        _ => false,
    }
}

fn fineness(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}

/// Digits before and behind the point.
fn digits(decimal: &DataType) -> Option<(i16, i16)> {
    use DataType as D;
    match decimal {
        D::Decimal32(p, s) | D::Decimal64(p, s) | D::Decimal128(p, s) | D::Decimal256(p, s) => {
            Some((i16::from(*p) - i16::from(*s), i16::from(*s)))
        }
        _ => None,
    }
}

/// An expression without the names and the widening casts around it.
pub(crate) fn core<'e>(expr: &'e Expr, schema: &DFSchema) -> &'e Expr {
    match expr {
        Expr::Alias(alias) => core(&alias.expr, schema),
        Expr::Cast(cast) => match cast.expr.get_type(schema) {
            Ok(from) if is_widening(&from, cast.field.data_type()) => core(&cast.expr, schema),
            _ => expr,
        },
        other => other,
    }
}

/// A key of a distribution.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    /// Expressions that have its value, over the edge's columns.
    pub(crate) same: Vec<Expr>,
    /// How it is compared.
    pub(crate) class: Class,
}

impl Key {
    /// The key that a grouping or join expression is; `None` for one without a type.
    pub(crate) fn of(expr: &Expr, schema: &DFSchema) -> Option<Self> {
        let core = core(expr, schema);
        Some(Self {
            class: class(&core.get_type(schema).ok()?),
            same: vec![core.clone()],
        })
    }

    /// Whether this grouping expression is the key.
    fn is(&self, grouping: &Expr, schema: &DFSchema) -> bool {
        let core = core(grouping, schema);
        self.same.contains(core) && core.get_type(schema).is_ok_and(|t| class(&t) == self.class)
    }
}

/// Where the rows of an edge are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Spread {
    /// Anywhere: as they were read, or no longer known.
    Splits,
    /// With the owner of these keys.
    Keyed(Vec<Key>),
    /// All on one shard.
    One,
}

impl Spread {
    /// Rows routed by these expressions.
    pub(crate) fn by(keys: &[Expr], schema: &DFSchema) -> Self {
        let keys: Option<Vec<Key>> = keys.iter().map(|k| Key::of(k, schema)).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Self::Keyed(keys),
            _ => Self::Splits,
        }
    }

    /// For every key, which of these expressions it is: `None` unless rows that agree in all of
    /// the expressions are proven to be on one shard. Keys must be a subset of the expressions.
    pub(crate) fn aligned(&self, grouping: &[Expr], schema: &DFSchema) -> Option<Vec<usize>> {
        match self {
            Self::Splits => None,
            Self::One => Some(Vec::new()),
            Self::Keyed(keys) => keys
                .iter()
                .map(|key| grouping.iter().position(|g| key.is(g, schema)))
                .collect(),
        }
    }

    /// The same rows under other names: what each expression is called now.
    pub(crate) fn renamed(&self, name: impl Fn(&Expr) -> Vec<Expr>) -> Self {
        let Self::Keyed(keys) = self else {
            return self.clone();
        };
        let renamed: Option<Vec<Key>> = keys
            .iter()
            .map(|key| {
                let same: Vec<Expr> = key.same.iter().flat_map(&name).collect();
                let class = key.class.clone();
                (!same.is_empty()).then_some(Key { same, class })
            })
            .collect();
        renamed.map_or(Self::Splits, Self::Keyed)
    }
}
