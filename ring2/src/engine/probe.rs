//! The keys that filters name: `key = value` and `key IN (..)` for each column of a view's key. A
//! row for which the filters are true has one of them, so that no other needs to be looked at.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;

use super::fold::Layout;
use crate::limits::PROBES_MAX;

/// The keys, as an array for each column; `None` where there may be others, or too many.
pub(super) fn keys_named(
    filters: &[Expr],
    layout: &Layout,
) -> Result<Option<Vec<ArrayRef>>, DataFusionError> {
    let conjuncts: Vec<&Expr> = filters.iter().flat_map(split_conjunction).collect();
    let mut named: Vec<Vec<ScalarValue>> = Vec::new();
    for key in layout.keys() {
        let field = layout.schema().field(*key);
        let found = conjuncts.iter().find_map(|filter| {
            let values = values_of(filter, field.name())?;
            // What is equal is the same bytes only within a type, and not for floating point.
            let same = |v: &ScalarValue| {
                let data_type = v.data_type();
                data_type == *field.data_type() && !data_type.is_floating() && !v.is_null()
            };
            values.iter().all(same).then_some(values)
        });
        match found {
            Some(values) => named.push(values),
            None => return Ok(None),
        }
    }
    let count = named.iter().try_fold(1usize, |n, v| n.checked_mul(v.len()));
    let Some(count) = count.filter(|n| (1..=PROBES_MAX).contains(n)) else {
        return Ok(None);
    };
    let mut arrays = Vec::with_capacity(named.len());
    // Each value of a column stands with each of the columns behind it.
    let mut behind = count;
    for values in named {
        behind /= values.len();
        let column = (0..count).map(|row| values[row / behind % values.len()].clone());
        arrays.push(ScalarValue::iter_to_array(column)?);
    }
    Ok(Some(arrays))
}

/// The values of which the column has one where the filter is true.
fn values_of(filter: &Expr, column: &str) -> Option<Vec<ScalarValue>> {
    let is_it = |expr: &Expr| matches!(expr, Expr::Column(c) if c.name == column);
    let literal = |expr: &Expr| match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Eq if is_it(left) => Some(vec![literal(right)?]),
            Operator::Eq if is_it(right) => Some(vec![literal(left)?]),
            Operator::Or => {
                let mut values = values_of(left, column)?;
                values.append(&mut values_of(right, column)?);
                Some(values)
            }
            _ => None,
        },
        Expr::InList(list) if is_it(&list.expr) && !list.negated => {
            list.list.iter().map(literal).collect()
        }
        _ => None,
    }
}
