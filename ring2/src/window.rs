//! Tumbling windows: read from the syntax tree, and as two functions that DataFusion plans and the
//! oracle evaluates. Lowered queries never call them. Windows of other kinds are planned
//! (`marker`) and not yet run.

pub(crate) mod marker;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result as PlanResult, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::{Expr, Spanned};
use datafusion::sql::sqlparser::parser::Parser;
use trefoil_ring0::schema::unit_nanos;

use crate::catalog::SourceDef;
use crate::dialect::{DIALECT, Place};
use crate::error::SqlError;
use crate::interval::nanos;

/// Name of the function for a window's start: time, then size and offset in nanoseconds.
pub(crate) const START: &str = "trefoil_tumble_start";
/// Name of the function for a window's end: start, then size in nanoseconds.
pub(crate) const END: &str = "trefoil_tumble_end";

/// A tumbling window over a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// The column of the source.
    pub(crate) column: usize,
    /// Its name.
    pub(crate) name: String,
    /// Size in nanoseconds.
    pub(crate) size_ns: i64,
    /// Size in the column's unit.
    pub(crate) size: i64,
    /// Offset in the column's unit, from 0 to below the size.
    pub(crate) offset: i64,
    /// The same in nanoseconds.
    pub(crate) offset_ns: i64,
}

impl Window {
    /// The call that gives the start.
    pub(crate) fn start_expr(&self) -> Expr {
        let name = self.name.replace('"', "\"\"");
        parse(&format!(
            "{START}(\"{name}\", {}, {})",
            self.size_ns, self.offset_ns
        ))
    }

    /// The call that gives the end.
    pub(crate) fn end_expr(&self) -> Expr {
        parse(&format!("{END}({}, {})", self.start_expr(), self.size_ns))
    }
}

/// A call that this crate writes.
pub(crate) fn parse(text: &str) -> Expr {
    (Parser::new(&DIALECT).try_with_sql(text))
        .and_then(|mut p| p.parse_expr())
        .expect("a call that this file writes parses")
}

/// Reads the arguments of `TUMBLE(column, size[, offset])`.
pub(crate) fn read(
    place: Place<'_>,
    source: &SourceDef,
    whole: &Expr,
    args: &[Expr],
) -> Result<Window, SqlError> {
    let hint = "TUMBLE(ts, INTERVAL '5' MINUTE[, offset])";
    let wrong = |at: &Expr, message: &str| {
        let at = match at {
            // An interval has no place of its own before its text.
            Expr::Interval(i) => i.value.span().start,
            other => other.span().start,
        };
        place.hinted("E0401", at, message, hint)
    };
    let (time, size, offset) = match args {
        [time, size] => (time, size, None),
        [time, size, offset] => (time, size, Some(offset)),
        _ => return Err(wrong(whole, "a tumbling window takes a column and a size")),
    };
    let Expr::Identifier(ident) = time else {
        return Err(wrong(time, "the time of a window is a column"));
    };
    let Some(column) = source.index_of(&ident.value) else {
        let message = format!("column \"{}\" does not exist", ident.value);
        return Err(place.error("E0201", time.span().start, message));
    };
    let DataType::Timestamp(unit, None) = &source.columns[column].data_type else {
        return Err(wrong(time, "the time of a window is a TIMESTAMP"));
    };
    let length = |e: &Expr| match e {
        Expr::Interval(i) => nanos(i),
        _ => None,
    };
    let unit = unit_nanos(*unit);
    let size_ns = match length(size) {
        Some(ns) if ns > 0 && ns % unit == 0 => ns,
        Some(_) => {
            return Err(wrong(
                size,
                "the size is not above 0 in the column's precision",
            ));
        }
        None => return Err(wrong(size, "the size is an INTERVAL of fixed length")),
    };
    let offset_ns = match offset.map(|o| (o, length(o))) {
        None => 0,
        Some((_, Some(ns))) if ns % unit == 0 => ns.rem_euclid(size_ns),
        Some((o, _)) => return Err(wrong(o, "the offset is an INTERVAL of fixed length")),
    };
    Ok(Window {
        column,
        name: ident.value.clone(),
        size_ns,
        size: size_ns / unit,
        offset: offset_ns / unit,
        offset_ns,
    })
}

/// Both functions over Arrow arrays.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bound {
    name: &'static str,
    signature: Signature,
}

impl Bound {
    /// The start.
    pub(crate) fn start() -> Self {
        let signature = Signature::any(3, Volatility::Immutable);
        let name = START;
        Self { name, signature }
    }

    /// The end.
    pub(crate) fn end() -> Self {
        let signature = Signature::any(2, Volatility::Immutable);
        let name = END;
        Self { name, signature }
    }
}

impl ScalarUDFImpl for Bound {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        match &arguments[0] {
            time @ DataType::Timestamp(_, None) => Ok(time.clone()),
            other => plan_err!("the time of a window is a TIMESTAMP, and not {other}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let to = arrays[0].data_type().clone();
        let DataType::Timestamp(unit, None) = &to else {
            return Err(exec_datafusion_err!("a window over {to}"));
        };
        let unit_ns = unit_nanos(*unit);
        let cast = |a: &ArrayRef, t: &DataType| datafusion::arrow::compute::cast(a, t);
        let time = cast(&arrays[0], &DataType::Int64)?;
        let time = time.as_primitive::<Int64Type>();
        let size = arrays[1].as_primitive::<Int64Type>();
        let offset = arrays.get(2).map(|a| a.as_primitive::<Int64Type>());
        let values = (0..time.len()).map(|i| {
            let size = size.value(i) / unit_ns;
            time.is_valid(i).then(|| match offset {
                Some(offset) => {
                    let t = time.value(i);
                    t - (t - offset.value(i) / unit_ns).rem_euclid(size)
                }
                None => time.value(i) + size,
            })
        });
        let bounds: datafusion::arrow::array::Int64Array = values.collect();
        let bounds: ArrayRef = Arc::new(bounds);
        Ok(ColumnarValue::Array(cast(&bounds, &to)?))
    }
}
