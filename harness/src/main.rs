//! The binary `trefoil`: what was typed ([`args`]) becomes what is ready to run, and one match
//! runs it. Data goes to standard output, everything else to standard error.

mod args;
mod failure;
mod letters;
mod machine;

mod output;
mod stats;
mod stop;

mod run;

mod bench;
mod explain;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};
use crate::failure::Failure;

/// What is ready to run.
enum Ready {
    Run(Box<run::Job>),
    Explain(explain::Job),
    Bench(Box<bench::Job>),
}

fn main() -> ExitCode {
    let done = ready(Args::parse().command).and_then(|ready| match ready {
        Ready::Run(job) => run::run(&job),
        Ready::Explain(job) => explain::run(&job),
        Ready::Bench(job) => bench::run(&job),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.report()),
    }
}

fn ready(command: Command) -> Result<Ready, Failure> {
    Ok(match command {
        Command::Run(args) => Ready::Run(Box::new(run::Job::new(args)?)),
        Command::Explain(args) => Ready::Explain(explain::Job::new(args)?),
        Command::Bench(args) => Ready::Bench(Box::new(bench::Job::new(args)?)),
    })
}
