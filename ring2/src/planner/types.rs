//! TIME and TIMESTAMP of as many digits as a CAST says: what columns of the same name are.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, FieldRef};
use datafusion::common::Result as PlanResult;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as TypeName, TimezoneInfo};

use crate::ddl::named_type;

/// Plans types whose digits of a second are said. DataFusion knows 0, 3, 6 and 9 of TIMESTAMP, and
/// none of TIME.
#[derive(Debug)]
pub(super) struct SecondDigits;

impl TypePlanner for SecondDigits {
    fn plan_type_field(&self, name: &TypeName) -> PlanResult<Option<FieldRef>> {
        use TimezoneInfo::{None as Unsaid, WithoutTimeZone};
        let planned = match name {
            TypeName::Time(Some(digits), Unsaid | WithoutTimeZone) => {
                named_type("TIME", &[*digits])
            }
            TypeName::Timestamp(Some(digits), Unsaid | WithoutTimeZone) => {
                named_type("TIMESTAMP", &[*digits])
            }
            _ => None,
        };
        Ok(planned.map(|t| Arc::new(Field::new("", t, true))))
    }
}
