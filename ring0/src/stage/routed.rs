//! Where the columns are by which a chain's rows were routed to their shard.

use super::{ChainInput, Place};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::limits::KEY_GROUPS;
use crate::program::{AggregateSpec, OperatorSpec, Routing};
use crate::snapshot::Owned;

/// The columns by which rows were routed, as far as they are still there.
#[derive(Debug, Clone)]
pub(super) struct Routed {
    columns: Option<Vec<usize>>,
    /// They are where the exchange has them.
    same: bool,
}

/// Which rows of state a shard owns; `None` where their columns do not say it.
#[derive(Debug)]
pub(super) struct Owner(Option<Owned>);

impl Owner {
    /// Which of some rows are taken up: those of the same shard as before or of another one, or of
    /// whichever, where there are more shards than before or fewer.
    ///
    /// # Errors
    /// [`Error::Restore`] where nothing says which.
    pub(super) fn of(&self, same_shard: Option<bool>) -> Result<&Owned> {
        match (&self.0, same_shard) {
            (Some(owned), _) => Ok(owned),
            (None, Some(true)) => Ok(&Owned::All),
            (None, Some(false)) => Ok(&Owned::None),
            (None, None) => {
                let message = "what stays where its rows were read goes on with as many shards as \
                               before only";
                Err(Error::Restore(message.to_owned()))
            }
        }
    }
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

    /// Which rows of state a shard owns, by these of their columns.
    pub(super) fn owner(&self, columns: &[usize], input: ChainInput<'_>, place: Place) -> Owner {
        Owner(match self.among(columns) {
            _ if place.shard > 0 && input.is_single() => Some(Owned::None),
            // There is no other, or none that gets rows.
            _ if input.is_single() || place.groups == KEY_GROUPS as u32 => Some(Owned::All),
            Some(by) => Some(Owned::Routed {
                by,
                first: place.first_group,
                groups: place.groups,
            }),
            None => None,
        })
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
