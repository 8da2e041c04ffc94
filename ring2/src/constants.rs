//! Rows that a query states itself: SELECT without FROM, and VALUES. They are a generated source of
//! as many rows, numbered from 0: `SELECT 1` is `SELECT 1 FROM one_row`, and of VALUES each column
//! is a CASE over that number. So they are planned, typed and run as any other rows are.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    CaseWhen, Expr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, TableFactor,
    TableWithJoins, Values, VisitMut, VisitorMut, visit_expressions,
};
use trefoil_ring0::program::{Draw, GeneratedColumn, GeneratorSpec, Made};

use crate::catalog::{ColumnDef, SourceDef};
use crate::check::aggregates;
use crate::planner::tree::{function_name, parse_query};
use crate::planner::volatility;
use crate::window::parse;

/// Most rows of VALUES: each is compared with each number.
const ROWS_MAX: usize = 1_000;
/// The column of numbers. No name of a column that can be typed without quotes is like it.
const NUMBER: &str = "values(number)";

/// A source of so many numbered rows.
fn numbers(rows: usize) -> SourceDef {
    SourceDef {
        name: format!("values({rows})"),
        columns: vec![ColumnDef {
            name: NUMBER.to_owned(),
            data_type: DataType::Int64,
            declared: "BIGINT".to_owned(),
            nullable: false,
        }],
        connector: Some("generator".to_owned()),
        bounded: true,
        generator: Some(GeneratorSpec {
            rows: Some(rows as u64),
            rate: None,
            seed: 0,
            made: Made::Drawn(vec![GeneratedColumn {
                number: 0,
                nulls_permille: 0,
                draw: Draw::Sequence {
                    start: 0,
                    step: 1,
                    jitter: 0,
                },
                length: 0,
            }]),
        }),
        ..SourceDef::default()
    }
}

/// The rows of such a source; `None` for any other.
pub(crate) fn rows(source: &SourceDef, schema: &SchemaRef) -> Option<Vec<RecordBatch>> {
    let [only] = source.columns.as_slice() else {
        return None;
    };
    // Any other generator may have more rows than there is memory for.
    if only.name != NUMBER {
        return None;
    }
    let rows = source.generator.as_ref()?.rows? as i64;
    let numbers = Arc::new(Int64Array::from_iter_values(0..rows));
    let batch = RecordBatch::try_new(Arc::clone(schema), vec![numbers]);
    Some(vec![batch.expect("one column of numbers")])
}

/// Gives queries that read nothing rows to read. Gives the sources that these are; an error is the
/// number of rows that are too many.
pub(crate) fn rewrite(query: &mut Query) -> Result<Vec<SourceDef>, usize> {
    let mut reads = Reads::default();
    match query.visit(&mut reads) {
        ControlFlow::Continue(()) => Ok(reads.sources),
        ControlFlow::Break(rows) => Err(rows),
    }
}

#[derive(Default)]
struct Reads {
    sources: Vec<SourceDef>,
}

impl VisitorMut for Reads {
    type Break = usize;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<usize> {
        self.body(&mut query.body)
    }

    /// A value that is computed without rows is what it says, wherever it stands.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<usize> {
        while let Expr::Subquery(query) = expr
            && let Some(value) = value(query)
        {
            *expr = value;
        }
        ControlFlow::Continue(())
    }
}

/// The value of `SELECT value`, in parentheses; `None` of any other query. An aggregate would be of
/// the one row, and what is another value each time is computed once for all rows.
fn value(query: &Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
        select.projection.as_slice()
    else {
        return None;
    };
    let mut plain = parse_query("SELECT 0");
    if let SetExpr::Select(plain) = plain.body.as_mut() {
        plain.projection.clone_from(&select.projection);
    }
    let of_rows = |e: &Expr| match e {
        Expr::Function(call) => {
            call.over.is_some()
                || function_name(e).and_then(|name| volatility(&name))
                    != Some(Volatility::Immutable)
        }
        _ => false,
    };
    let is_plain = plain == *query && !aggregates(value);
    let found = visit_expressions(value, |e| match of_rows(e) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    (is_plain && found.is_continue()).then(|| Expr::Nested(Box::new(value.clone())))
}

impl Reads {
    fn body(&mut self, body: &mut SetExpr) -> ControlFlow<usize> {
        match body {
            SetExpr::Select(select) if select.from.is_empty() => {
                select.from = self.from(1);
                ControlFlow::Continue(())
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left)?;
                self.body(right)
            }
            SetExpr::Values(values) if values.rows.len() > ROWS_MAX => {
                ControlFlow::Break(values.rows.len())
            }
            SetExpr::Values(values) => {
                let mut select = self.select(values.rows.len());
                select.projection = columns(values);
                *body = SetExpr::Select(Box::new(select));
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// `SELECT 0 FROM` so many rows.
    fn select(&mut self, rows: usize) -> Select {
        let from = self.from(rows);
        let SetExpr::Select(mut select) = *parse_query("SELECT 0").body else {
            unreachable!("the text above is a SELECT");
        };
        select.from = from;
        *select
    }

    fn from(&mut self, rows: usize) -> Vec<TableWithJoins> {
        let source = numbers(rows);
        let mut query = parse_query("SELECT 0 FROM t");
        let SetExpr::Select(select) = query.body.as_mut() else {
            unreachable!("the text above is a SELECT");
        };
        if let TableFactor::Table { name, .. } = &mut select.from[0].relation {
            *name = ObjectName::from(vec![Ident::with_quote('"', &source.name)]);
        }
        if !self.sources.iter().any(|s| s.name == source.name) {
            self.sources.push(source);
        }
        std::mem::take(&mut select.from)
    }
}

/// The columns of VALUES, called as PostgreSQL calls them.
fn columns(values: &Values) -> Vec<SelectItem> {
    let width = values.rows.first().map_or(0, |row| row.content.len());
    let column = |at: usize| SelectItem::ExprWithAlias {
        expr: one_of(
            values
                .rows
                .iter()
                .filter_map(|row| row.content.get(at))
                .cloned()
                .collect(),
        ),
        alias: Ident::new(format!("column{}", at + 1)),
    };
    (0..width).map(column).collect()
}

/// The expression of a row's number.
fn one_of(mut each: Vec<Expr>) -> Expr {
    if each.len() == 1 {
        return each.remove(0);
    }
    let mut case = parse("CASE 0 WHEN 0 THEN 0 END");
    if let Expr::Case {
        operand,
        conditions,
        ..
    } = &mut case
    {
        *operand = Some(Box::new(Expr::Identifier(Ident::with_quote('"', NUMBER))));
        let each = each.into_iter().enumerate();
        *conditions = each
            .map(|(at, result)| CaseWhen {
                condition: parse(&at.to_string()),
                result,
            })
            .collect();
    }
    case
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn rows_are_made_of_no_generator_but_its_own() {
        let field = |name: &str| Field::new(name, DataType::Int64, false);
        let schema = |name: &str| Arc::new(Schema::new(vec![field(name)]));
        let made = rows(&numbers(3), &schema(NUMBER)).unwrap();
        assert_eq!(made[0].num_rows(), 3);
        let mut endless = numbers(usize::MAX >> 1);
        endless.columns[0].name = "id".to_owned();
        assert!(rows(&endless, &schema("id")).is_none());
    }
}
