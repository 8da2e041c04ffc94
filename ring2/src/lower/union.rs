//! UNION ALL: the rows of several inputs, each a branch of its own until rows have to meet.
//! DataFusion's analyzer gives them the same types; UNION is a grouping behind it.

use std::sync::Arc;

use datafusion::logical_expr::{LogicalPlan, Union};
use trefoil_ring0::expr::Expr;
use trefoil_ring0::schema::{Field, Schema};

use super::branch::Branch;
use super::{Lowering, Refusal};
use crate::json::typed;

/// Rows at hand, put aside.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) branches: Vec<Branch>,
    pub(super) schema: Arc<Schema>,
    pub(super) columns: Vec<usize>,
    /// Of which columns watermarks close windows, and the size of these.
    pub(super) windows: Vec<Option<i64>>,
    pub(super) grouped: bool,
    pub(super) weighted: bool,
}

impl Lowering<'_> {
    /// Lowers a plan of which exactly the wanted columns are produced, in their order.
    pub(super) fn part(&mut self, plan: &LogicalPlan) -> Result<Part, Refusal> {
        self.node(plan)?;
        self.end_apart();
        let wanted = self.wanted.columns(plan);
        let produced = match &self.columns {
            Some(columns) => columns.clone(),
            None => (0..plan.schema().fields().len()).collect(),
        };
        let visible = self.visible();
        if produced != wanted || visible != wanted.len() {
            let at = |column: &usize| produced.iter().position(|p| p == column);
            let at: Vec<usize> = wanted.iter().filter_map(at).collect();
            let fields = at.iter().map(|&c| self.schema.fields[c].clone()).collect();
            let exprs = at.into_iter().map(Expr::Column).collect();
            self.project(exprs, Schema::new(fields));
        }
        self.sorted = false;
        self.columns = None;
        Ok(Part {
            // Where rows meet others no watermark of one input closes a window.
            windows: std::mem::take(&mut self.windows),
            branches: std::mem::take(&mut self.branches),
            schema: Arc::clone(&self.schema),
            columns: wanted,
            grouped: std::mem::take(&mut self.grouped),
            weighted: std::mem::take(&mut self.weighted),
        })
    }

    pub(super) fn union(&mut self, union: &Union, plan: &LogicalPlan) -> Result<(), Refusal> {
        let mut branches = Vec::new();
        let mut grouped = false;
        let mut fields: Vec<Field> = Vec::new();
        let columns = self.wanted.columns(plan);
        // JSON where all are that have a type.
        let mut json = vec![None; columns.len()];
        for input in &union.inputs {
            let part = self.part(input)?;
            for ((json, field), &column) in json.iter_mut().zip(&part.schema.fields).zip(&columns) {
                if field.json || !typed::is_untyped(input, column) {
                    *json = Some(json.unwrap_or(true) && field.json);
                }
            }
            if part.weighted {
                let message = "UNION of groups under EMIT CHANGES is not supported yet";
                return Err(("E0301", message.to_owned()));
            }
            match fields.is_empty() {
                true => fields.clone_from(&part.schema.fields),
                false => {
                    for (field, other) in fields.iter_mut().zip(&part.schema.fields) {
                        field.nullable |= other.nullable;
                    }
                }
            }
            grouped |= part.grouped;
            branches.extend(part.branches);
        }
        for ((field, &column), json) in fields.iter_mut().zip(&columns).zip(json) {
            field.json = json.unwrap_or(false);
            let name = plan.schema().field(column).name();
            field.name.clone_from(name);
        }
        self.columns = (columns.len() < plan.schema().fields().len()).then_some(columns);
        self.schema = Arc::new(Schema::new(fields));
        (self.branches, self.grouped) = (branches, grouped);
        Ok(())
    }
}
