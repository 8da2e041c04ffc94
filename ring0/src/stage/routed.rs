//! Where the columns are by which a chain's rows were routed to their shard.

use super::ChainInput;
use crate::expr::Expr;
use crate::program::{AggregateSpec, OperatorSpec, Routing};

/// The columns by which rows were routed, as far as they are still there.
#[derive(Debug, Clone)]
pub(super) struct Routed {
    columns: Option<Vec<usize>>,
    /// They are where the exchange has them.
    same: bool,
}

impl Routed {
    pub(super) fn of(input: ChainInput<'_>) -> Self {
        let columns = match input {
            ChainInput::Exchange(Routing::Hash(by)) => Some(by.clone()),
            ChainInput::Exchange(_) | ChainInput::Source(..) => None,
        };
        Self {
            columns,
            same: true,
        }
    }

    /// Whether they are where the exchange has them.
    pub(super) fn is_same(&self) -> bool {
        self.same
    }

    /// Where all of them are among these columns.
    pub(super) fn among(&self, columns: &[usize]) -> Option<Vec<usize>> {
        let routed = self.columns.as_ref()?.iter();
        routed
            .map(|r| columns.iter().position(|c| c == r))
            .collect()
    }

    /// Goes behind an operator.
    pub(super) fn pass(&mut self, spec: &OperatorSpec) {
        let by_keys = |spec: &AggregateSpec| self.among(&spec.keys);
        let (columns, same) = match spec {
            OperatorSpec::Filter(_)
            | OperatorSpec::FilterChanges(_)
            | OperatorSpec::DropLate(_)
            | OperatorSpec::Windows(_)
            | OperatorSpec::Applied
            | OperatorSpec::MarkFirst { .. } => return,
            OperatorSpec::Project { exprs, .. } => {
                let column = |expr: &Expr| match expr {
                    Expr::Column(column) => *column,
                    _ => usize::MAX,
                };
                let from: Vec<usize> = exprs.iter().map(column).collect();
                let to = self.among(&from);
                let stay = to == self.columns;
                (to, self.same && stay)
            }
            OperatorSpec::Aggregate(spec) => (by_keys(spec), false),
            OperatorSpec::Sessions(spec) => (by_keys(&spec.aggregate), false),
            OperatorSpec::Panes(spec) => (by_keys(&spec.aggregate), false),
            OperatorSpec::Over(_)
            | OperatorSpec::Latest(_)
            | OperatorSpec::Sort(_)
            | OperatorSpec::Unnest { .. }
            | OperatorSpec::Repeat(_)
            | OperatorSpec::Standing(_)
            | OperatorSpec::Changing(_)
            | OperatorSpec::Join(_) => (None, false),
        };
        (self.columns, self.same) = (columns, same);
    }
}
