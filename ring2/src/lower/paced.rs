//! EMIT EVERY: changes are held back, and what is left of them is told from time to time. They are
//! held back right behind the last groups, by whose keys rows replace each other; where ranks or an
//! order stand above these, at the end, where no column says which row replaces which, but for what
//! a sink in upsert mode is told by.

use datafusion::logical_expr::{Aggregate, LogicalPlan};
use trefoil_ring0::operator::paced::PacedSpec;
use trefoil_ring0::program::{ChangesSpec, OperatorSpec};

use super::{Lowering, Refusal};
use crate::error::SqlError;
use crate::plan_error;
use crate::script::{Emit, Select};

/// What is refused where nothing ever changes.
const ROWS: &str = "EMIT EVERY of rows that only come is not supported yet";

/// The error for a plan that was not lowered.
pub(super) fn refused(select: &Select<'_>, refusal: Refusal) -> SqlError {
    match select.emit {
        Emit::Every(at, _) if refusal.1 == ROWS => {
            let hint = "it is about groups: without EMIT rows come at once";
            select.place.hinted(refusal.0, at, refusal.1, hint)
        }
        _ => plan_error::lowered(select, refusal),
    }
}

/// The groups whose rows are the results, but for some that are left out.
fn last_groups(plan: &LogicalPlan) -> Option<&Aggregate> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => Some(aggregate),
        LogicalPlan::Projection(projection) => last_groups(&projection.input),
        LogicalPlan::Filter(filter) => last_groups(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => last_groups(&alias.input),
        _ => None,
    }
}

impl Lowering<'_> {
    /// Has the changes of these groups wait, if they are the last ones. Their keys come first.
    pub(super) fn pace_groups(&mut self, aggregate: &Aggregate, keys: usize) {
        if last_groups(&self.query.plan) == Some(aggregate) {
            self.pace(Some((0..keys).collect()));
        }
    }

    /// Has all changes wait that do not yet.
    pub(super) fn pace_rest(&mut self) -> Result<(), Refusal> {
        match self.every_ns {
            Some(_) if !self.weighted => Err(("E0301", ROWS.to_owned())),
            Some(_) => {
                self.merge();
                let at = |column: &usize| match &self.columns {
                    Some(columns) => columns.iter().position(|c| c == column),
                    None => Some(*column),
                };
                let key = self.upsert.as_ref();
                let keys = key.map(|key| key.columns.iter().filter_map(at).collect());
                self.pace(keys);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn pace(&mut self, keys: Option<Vec<usize>>) {
        let every_ns = self.every_ns.take();
        if every_ns.is_some() {
            let paced = ChangesSpec::Paced(PacedSpec { keys, every_ns });
            self.push(OperatorSpec::Changing(paced));
        }
    }
}
