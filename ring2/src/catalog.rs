//! What is declared: sources with all their columns. A type that Ring 0 cannot hold yet is kept
//! as declared and is an error only where a query names the column.

use std::collections::BTreeMap;
use std::path::PathBuf;

use datafusion::arrow::datatypes::DataType;

use crate::partitioning::StrategyConfig;

/// A declared column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    /// Its name.
    pub name: String,
    /// Its type as Arrow has it, also where Ring 0 cannot hold it.
    pub data_type: DataType,
    /// Its type as it was written.
    pub declared: String,
    /// Whether NULL can occur.
    pub nullable: bool,
}

/// A declared source or table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceDef {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<ColumnDef>,
    /// The event time's column, if it has one.
    pub event_time: Option<usize>,
    /// How far the watermark stays behind, in nanoseconds, allowed lateness included; `None`: no
    /// watermark before the end.
    pub lag_ns: Option<i64>,
    /// Columns of the primary key.
    pub primary_key: Vec<usize>,
    /// The file.
    pub path: PathBuf,
    /// Who is to get its records, where that is not left to the analysis.
    pub partitioning: Option<StrategyConfig>,
}

impl SourceDef {
    /// Index of the column with this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }
}

/// All sources by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// The sources.
    pub sources: BTreeMap<String, SourceDef>,
}
