//! The flags of `serve`.

use std::path::PathBuf;
use std::time::Duration;

use super::EngineArgs;
use super::setting::time;
use crate::settings::path;

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
    /// A directory for checkpoints of the views, from which the next start goes on
    #[arg(long, value_name = "DIR", value_parser = path)]
    pub(crate) state: Option<PathBuf>,
    /// Time between two checkpoints [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) checkpoint_every: Option<Duration>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}
