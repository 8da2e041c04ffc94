//! What a scan makes of its source's batches: the rows for which all filters are true, and of these
//! the columns of a projection.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::filter::batch_filter;

use super::projected;
use crate::planner;

/// Filters and a projection over the batches of one source.
#[derive(Debug)]
pub(crate) struct Shape {
    /// One behind the other: what one leaves out the next ones do not look at.
    filters: Vec<Arc<dyn PhysicalExpr>>,
    projection: Option<Vec<usize>>,
    /// The columns after projection.
    schema: SchemaRef,
}

impl Shape {
    /// Of batches of this schema.
    pub(crate) fn new(
        source: &SchemaRef,
        projection: Option<Vec<usize>>,
        filters: Vec<Expr>,
    ) -> Result<Self, DataFusionError> {
        let columns = Arc::new(DFSchema::try_from(Arc::clone(source))?);
        let filters = filters.iter().flat_map(split_conjunction);
        let filters = filters.map(|filter| planner::physical(filter.clone(), &columns));
        Ok(Self {
            filters: filters.collect::<Result<_, _>>()?,
            schema: projected(source, projection.as_deref())?,
            projection,
        })
    }

    /// The columns that come out.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether nothing of a row is looked at: it only counts.
    pub(crate) fn counts_only(&self) -> bool {
        self.filters.is_empty() && self.projection.as_ref().is_some_and(Vec::is_empty)
    }

    /// The source's columns that are looked at, some more than once.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        let filters = self.filters.iter().flat_map(collect_columns);
        let filters = filters.map(|column| column.index());
        let all = self.projection.is_none();
        let all = (0..self.schema.fields().len()).filter(move |_| all);
        let projected = self.projection.iter().flatten().copied();
        filters.chain(all).chain(projected)
    }

    /// What comes out of a batch.
    pub(crate) fn of(&self, mut batch: RecordBatch) -> Result<RecordBatch, DataFusionError> {
        for filter in &self.filters {
            batch = batch_filter(&batch, filter)?;
        }
        match &self.projection {
            Some(columns) => Ok(batch.project(columns)?),
            None => Ok(batch),
        }
    }
}

/// Whether an expression depends on nothing but the row: neither on a clock nor on other tables.
pub(crate) fn is_of_the_row(expr: &Expr) -> bool {
    use datafusion::logical_expr::Volatility;
    let depends = expr.exists(|e| {
        Ok(match e {
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
            Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::SetComparison(_)
            | Expr::ScalarSubquery(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::Placeholder(_) => true,
            _ => false,
        })
    });
    !depends.unwrap_or(true)
}
