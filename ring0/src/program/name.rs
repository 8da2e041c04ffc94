//! What operators are called where people read of them.

use super::{ChangesSpec, OperatorSpec};

impl OperatorSpec {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Filter(_) | Self::FilterChanges(_) => "filter",
            Self::Project { .. } => "project",
            Self::Aggregate(_) => "aggregate",
            Self::Sessions(_) => "aggregate sessions",
            Self::Panes(_) => "aggregate hopping windows",
            Self::MarkFirst { .. } => "mark first",
            Self::DropLate(_) => "drop late",
            Self::Unnest { .. } => "unnest",
            Self::Repeat(_) => "repeat for grouping sets",
            Self::Standing(_) => "add groups without rows",
            Self::Windows(_) => "assign windows",
            Self::Sort(_) => "sort",
            Self::Latest(_) => "last of each key",
            Self::Over(_) => "over",
            Self::Join(_) => "join",
            Self::Changing(ChangesSpec::Aggregate(_)) => "aggregate changes",
            Self::Changing(_) => "changes",
            Self::Applied => "apply",
        }
    }
}
