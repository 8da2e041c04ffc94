//! Columns that are computed from the others of their row. A query is planned over a table that has
//! all columns; then the table's scan gives way to a projection of what is read. So a generated
//! column is an expression like any other, and nobody below the plan knows of it.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DataFusionError, Result as PlanResult, TableReference};
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement as PlanStatement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, SelectItem, SetExpr, Statement, TableFactor,
};

use super::tree::parse_query;
use super::{Select, SqlError, ready, refused, register, session, tree};
use crate::catalog::{Catalog, ColumnDef, SourceDef};
use crate::place::{Chunk, Place};
use crate::script::Emit;
use crate::settings::Settings;
use crate::window::parse;

/// A table with all its columns.
#[derive(Debug)]
pub(super) struct Computed {
    name: String,
    plan: LogicalPlan,
}

/// Checks the generated columns of a definition, whose place and text these are.
///
/// # Errors
/// Where one cannot be computed.
pub(crate) fn check(
    place: Place<'_>,
    chunk: &Chunk,
    sql: String,
    def: &SourceDef,
) -> Result<(), SqlError> {
    let select = Select {
        place,
        chunk: chunk.clone(),
        sql,
        query: query(def, &[]),
        emit: Emit::Default,
        catalog: Catalog::default(),
        target: None,
        settings: Settings::default().of_analysis(),
    };
    Computed::new(&select, def, super::arrow_schema(def), vec![]).map(|_| ())
}

/// `SELECT a, CAST(expr AS type) AS g, .. FROM table`, and columns of every source behind them.
fn query(def: &SourceDef, system: &[String]) -> Query {
    let mut query = parse_query("SELECT 0 FROM t");
    let SetExpr::Select(select) = query.body.as_mut() else {
        unreachable!("the text above is a SELECT");
    };
    if let TableFactor::Table { name, .. } = &mut select.from[0].relation {
        *name = ObjectName::from(vec![Ident::with_quote('"', &def.name)]);
    }
    let column =
        |name: &str| SelectItem::UnnamedExpr(Expr::Identifier(Ident::with_quote('"', name)));
    let one = |c: &ColumnDef| match def.generated.iter().find(|g| g.column.name == c.name) {
        None => column(&c.name),
        Some(generated) => SelectItem::ExprWithAlias {
            expr: of_type(&generated.expr, c),
            alias: Ident::with_quote('"', &c.name),
        },
    };
    let declared = def.declared().into_iter().map(one);
    select.projection = declared
        .chain(system.iter().map(|name| column(name)))
        .collect();
    query
}

/// The expression in the type that is declared. JSON is a text as it is.
fn of_type(expr: &Expr, column: &ColumnDef) -> Expr {
    if column.is_json() {
        return expr.clone();
    }
    let mut cast = parse(&format!("CAST(0 AS {})", column.declared));
    if let Expr::Cast { expr: of, .. } = &mut cast {
        **of = expr.clone();
    }
    cast
}

impl Computed {
    /// The table over rows of what is read of it.
    ///
    /// # Errors
    /// Where a column cannot be computed.
    pub(super) fn new(
        select: &Select<'_>,
        def: &SourceDef,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Self, SqlError> {
        let system = schema.fields()[def.columns.len()..].iter();
        let system: Vec<String> = system.map(|field| field.name().clone()).collect();
        let read = SourceDef {
            generated: Vec::new(),
            ..def.clone()
        };
        let mut catalog = Catalog::default();
        catalog.sources.insert(def.name.clone(), read);
        let inner = Select {
            query: query(def, &system),
            catalog,
            emit: Emit::Default,
            target: None,
            ..select.clone()
        };
        let written = tree::rewrite(&inner)?;
        let plan = projection(def, &written.query, schema, batches);
        Ok(Self {
            name: def.name.clone(),
            plan: plan.map_err(|error| refused(&inner, &error))?,
        })
    }

    /// All its columns.
    pub(super) fn schema(&self) -> SchemaRef {
        self.plan.schema().inner().clone()
    }
}

fn projection(
    def: &SourceDef,
    query: &Query,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
) -> PlanResult<LogicalPlan> {
    let context = session();
    register(&context, &def.name, schema, batches)?;
    let statement = Statement::Query(Box::new(query.clone()));
    let statement = PlanStatement::Statement(Box::new(statement));
    let LogicalPlan::Projection(made) = ready(context.state().statement_to_plan(statement))? else {
        let message = format!("a column of {} is no expression over its row", def.name);
        return Err(DataFusionError::Plan(message));
    };
    // All columns are of the table, those that are computed as well.
    let declared = def.declared().into_iter().map(|c| c.name.as_str());
    let names = declared.map(Some).chain(std::iter::repeat(None));
    let owned = made
        .expr
        .iter()
        .zip(names)
        .map(|(expr, name)| match (expr, name) {
            (PlanExpr::Column(Column { .. }), _) | (_, None) => expr.clone(),
            (expr, Some(name)) => {
                let relation = Some(TableReference::bare(def.name.as_str()));
                expr.clone().unalias().alias_qualified(relation, name)
            }
        });
    LogicalPlanBuilder::from(made.input.as_ref().clone())
        .project(owned.collect::<Vec<_>>())?
        .build()
}

/// The plan with these tables as what they are computed from.
pub(super) fn put(plan: LogicalPlan, computed: &[Computed]) -> PlanResult<LogicalPlan> {
    if computed.is_empty() {
        return Ok(plan);
    }
    let put = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else {
            return Ok(Transformed::no(node));
        };
        let name = scan.table_name.table();
        match computed.iter().find(|table| table.name == name) {
            Some(table) => Ok(Transformed::yes(table.plan.clone())),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(put.data)
}
