//! How the type of a column was declared: several declarations are one type of Arrow's, and a
//! column that is handed on as it is has the one of its source.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan};

use crate::catalog::Catalog;
use crate::json::typed::{Texts, texts};

/// The declaration of a plan's column; `None` where it is computed.
pub(super) fn declared(plan: &LogicalPlan, column: usize, catalog: &Catalog) -> Option<String> {
    match plan {
        LogicalPlan::Projection(projection) => {
            of(projection.expr.get(column)?, &projection.input, catalog)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let keys = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
            let made = match column.checked_sub(keys) {
                None => aggregate.group_expr.get(column)?,
                Some(call) => aggregate.aggr_expr.get(call)?,
            };
            of(made, &aggregate.input, catalog)
        }
        LogicalPlan::Filter(filter) => declared(&filter.input, column, catalog),
        LogicalPlan::Sort(sort) => declared(&sort.input, column, catalog),
        LogicalPlan::Limit(limit) => declared(&limit.input, column, catalog),
        LogicalPlan::SubqueryAlias(alias) => declared(&alias.input, column, catalog),
        LogicalPlan::Distinct(Distinct::All(input)) => declared(input, column, catalog),
        // What it computes stands behind its input.
        LogicalPlan::Window(window) => {
            match column.checked_sub(window.input.schema().fields().len()) {
                None => declared(&window.input, column, catalog),
                Some(call) => of(window.window_expr.get(call)?, &window.input, catalog),
            }
        }
        LogicalPlan::Join(join) => {
            let left = match join.join_type {
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => 0,
                _ => join.left.schema().fields().len(),
            };
            match column.checked_sub(left) {
                None => declared(&join.left, column, catalog),
                Some(column) if column < join.right.schema().fields().len() => {
                    declared(&join.right, column, catalog)
                }
                Some(_) => None,
            }
        }
        LogicalPlan::TableScan(scan) => {
            let field = scan.projected_schema.fields().get(column)?;
            let source = catalog.sources.get(scan.table_name.table())?;
            let column = source.columns.get(source.index_of(field.name())?)?;
            (column.data_type == *field.data_type()).then(|| column.declared.clone())
        }
        _ => None,
    }
}

/// That of what an expression makes of a plan's columns.
fn of(expr: &Expr, input: &LogicalPlan, catalog: &Catalog) -> Option<String> {
    match expr {
        Expr::Alias(alias) => of(&alias.expr, input, catalog),
        Expr::Column(column) => {
            let column = input.schema().maybe_index_of_column(column)?;
            declared(input, column, catalog)
        }
        made => {
            let is_json = |column: &Column| {
                let index = input.schema().maybe_index_of_column(column);
                let of = index.and_then(|index| declared(input, index, catalog));
                of.is_some_and(|declared| declared.starts_with("JSON"))
            };
            let type_of = made.get_type(input.schema()).ok()?;
            let lists = match &type_of {
                DataType::List(item) if item.data_type().is_string() => "[]",
                DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "",
                _ => return None,
            };
            (texts(made, &is_json) == Texts::Json).then(|| format!("JSON{lists}"))
        }
    }
}
