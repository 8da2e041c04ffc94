//! The flags of `serve`.

use std::path::PathBuf;

use super::EngineArgs;

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Files of SQL: sources, as with connector = 'tcp', and materialized views over them
    #[arg(value_name = "FILE.sql", required_unless_present = "commands")]
    pub(crate) files: Vec<PathBuf>,
    /// SQL, run behind the files
    #[arg(short = 'c', value_name = "SQL", allow_hyphen_values = true)]
    pub(crate) commands: Vec<String>,
    /// Where HTTP is answered: /metrics and /healthz; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8433")]
    pub(crate) http: String,
    /// Where SQL is answered: not there yet
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Where state is kept: not there yet
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}
