//! Regular joins: of changes, and of inputs without end of which nothing says when rows match no
//! more. What they keep grows with what stands.

use trefoil_ring0::expr::Expr;
use trefoil_ring0::program::{JoinKind, Keep, OperatorSpec, Program};
use trefoil_ring0::schema::Schema;

use super::join::refuse;
use super::{Lowering, Refusal};
use crate::catalog::SourceDef;
use crate::partitioning::Way;

/// What is to be known of a join whose rows are never forgotten.
const GROWS: &str = "a regular join keeps all rows of both of its sides, and grows as long as it \
                     runs: an interval of event time, or equal windows, would bound it";

/// Whether a program has a regular join that forgets nothing.
fn grows(program: &Program) -> bool {
    let regular = |operator: &OperatorSpec| match operator {
        OperatorSpec::Join(spec) => spec.keep == Keep::Changes && spec.near.is_none(),
        _ => false,
    };
    let mut operators = program.stages.iter().flat_map(|stage| &stage.operators);
    operators.any(regular)
}

/// What to warn of before a program runs over inputs without end.
pub(crate) fn warnings(program: &Program, tables: &[SourceDef]) -> Vec<String> {
    let endless = tables.iter().any(|table| !table.bounded);
    Vec::from_iter((endless && grows(program)).then(|| GROWS.to_owned()))
}

impl Lowering<'_> {
    /// Refuses a regular join whose rows would have to be taken back where results only come.
    pub(super) fn check_regular(&self, kind: JoinKind, ways: [&Way; 2]) -> Result<(), Refusal> {
        let only_comes = matches!(
            kind,
            JoinKind::Semi(_)
                | JoinKind::Pairs {
                    left: false,
                    right: false
                }
        );
        if !self.changes && !only_comes {
            return refuse("that takes rows back, of two inputs without end,");
        }
        match ways.contains(&&Way::Broadcast) {
            true => refuse("with groups under EMIT CHANGES"),
            false => Ok(()),
        }
    }

    /// No row is ever taken back: they need not say that they come.
    pub(super) fn only_come(&mut self) {
        self.weighted = false;
        let columns = self.columns.take();
        let mut schema = Schema::clone(&self.schema);
        schema.fields.pop();
        let all = (0..schema.fields.len()).map(Expr::Column).collect();
        self.project(all, schema);
        self.columns = columns;
    }
}
