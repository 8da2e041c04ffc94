//! Ring 2 of Trefoil: SQL. A script is split and read ([`dialect`], `script`), its sources go into
//! the [`catalog`], its queries are resolved and refused by place (`resolve`), typed by DataFusion
//! (`planner`), and lowered to Ring 0's programs (`lower`). Nothing here runs per record.

#![warn(missing_docs)]
// A refusal is made once and ends planning: its size costs nothing.
#![allow(clippy::result_large_err)]

pub mod error;

pub mod dialect;
mod interval;

pub mod catalog;
mod ddl;
mod script;

mod resolve;
mod select;
mod syntax;
mod window;

mod planner;

pub mod partitioning;

mod lower;
mod lower_expr;

pub mod explain;

pub mod convert;
pub mod oracle;

use std::path::PathBuf;

use trefoil_ring0::program::Program;

pub use error::{Error, Result, SqlError};
pub use explain::{Explanation, explain_script};

/// A file of a script.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its name, for errors.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What relative paths in it are relative to.
    pub base: PathBuf,
}

/// A query that can run.
#[derive(Debug, Clone)]
pub struct PlannedQuery {
    /// Its text, without the semicolon.
    pub sql: String,
    /// What every shard runs; one source, one output.
    pub program: Program,
    /// How the output's columns are printed, in order.
    pub columns: Vec<ResultColumn>,
}

/// A result as it is printed, of one column of the output or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultColumn {
    /// One column.
    Plain {
        /// Its name.
        name: String,
        /// The output's column.
        index: usize,
    },
    /// A window, printed as `{"start": .., "end": ..}`.
    Window {
        /// Its name.
        name: String,
        /// The output's column with the start.
        start: usize,
        /// The output's column with the end.
        end: usize,
    },
}

/// Reads a script and plans its queries.
///
/// # Errors
/// [`Error::Sql`] for the first statement that is refused; then nothing runs.
pub fn plan_script(files: &[SourceFile]) -> Result<Vec<PlannedQuery>> {
    let mut planned = Vec::new();
    for select in script::read(files)? {
        let plan = planner::plan_select(&select)?;
        let analysis = explain::analysis(&select, &plan)?;
        let program = lower::lower_planned(&select, &plan, &analysis)?;
        planned.push(PlannedQuery {
            sql: select.sql,
            program,
            columns: plan.results,
        });
    }
    Ok(planned)
}
