//! Where the columns are by which a chain's rows were routed to their shard.

use super::{ChainInput, Place};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::limits::KEY_GROUPS;
use crate::program::{AggregateSpec, JoinKind, OperatorSpec, Routing, Side};
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
    /// Where the rows of a stage's inputs were routed so, behind the join that it begins with, if
    /// it does.
    pub(super) fn of(routings: &[Option<&Routing>], operators: &[OperatorSpec]) -> Self {
        let by = |port: usize| match routings.get(port) {
            Some(Some(Routing::Hash(by))) => Some(by.clone()),
            Some(_) | None => None,
        };
        let Some(OperatorSpec::Join(spec)) = operators.first() else {
            let alike = routings.iter().all(|r| *r == routings[0]);
            return Self {
                columns: by(0).filter(|_| alike),
                same: alike,
            };
        };
        // Columns of a side that may lack are NULL where the row is not of that key.
        let behind = spec.inputs[0].fields.len();
        let columns = match spec.kind {
            JoinKind::Pairs { right: false, .. }
            | JoinKind::Semi(Side::Left)
            | JoinKind::Anti(Side::Left)
            | JoinKind::Mark(Side::Left) => by(0),
            JoinKind::Pairs { left: false, .. } => {
                by(1).map(|by| by.iter().map(|column| behind + column).collect())
            }
            JoinKind::Semi(Side::Right)
            | JoinKind::Anti(Side::Right)
            | JoinKind::Mark(Side::Right) => by(1),
            JoinKind::Pairs { .. } => None,
        };
        Self {
            columns,
            same: false,
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
            | OperatorSpec::MarkFirst { .. }
            // It stands first, and was looked through at the beginning.
            | OperatorSpec::Join(_) => return,
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
            | OperatorSpec::Changing(_) => (None, false),
        };
        (self.columns, self.same) = (columns, same);
    }
}
