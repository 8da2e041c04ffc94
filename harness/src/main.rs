//! The binary `trefoil`: what was typed ([`args`]) becomes what is ready to run, and one match
//! runs it. Data goes to standard output, everything else to standard error.

mod args;
mod failure;
mod letters;
mod machine;
mod say;

mod arrow;
mod output;
mod print;
mod stats;
mod stop;
mod table;

mod run;

mod bench;
mod explain;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, ValueEnum};

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::say::Color;

/// What is ready to run.
enum Ready {
    Run(Box<run::Job>),
    Explain(explain::Job),
    Bench(Box<bench::Job>),
}

fn main() -> ExitCode {
    let done = typed().and_then(|args| {
        args.color.unwrap_or(Color::Auto).set();
        match ready(args.command)? {
            Ready::Run(job) => run::run(&job),
            Ready::Explain(job) => explain::run(&job),
            Ready::Bench(job) => bench::run(&job),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.report()),
    }
}

/// What was typed.
fn typed() -> Result<Args, Failure> {
    let color = color_of(std::env::args_os()).unwrap_or(Color::Auto);
    let matches = Args::command().color(color.of_usage()).try_get_matches();
    matches
        .and_then(|matches| Args::from_arg_matches(&matches))
        .map_err(Failure::Typed)
}

/// The colour that was asked for, looked up before anything else is: usage is in colour, too.
fn color_of(arguments: impl Iterator<Item = OsString>) -> Option<Color> {
    let texts = arguments.map(|a| a.to_string_lossy().into_owned());
    let mut rest = texts.skip_while(|a| a != "--color" && !a.starts_with("--color="));
    let found = rest.next()?;
    let value = match found.strip_prefix("--color=") {
        Some(value) => value.to_owned(),
        None => rest.next()?,
    };
    Color::from_str(&value, false).ok()
}

fn ready(command: Command) -> Result<Ready, Failure> {
    Ok(match command {
        Command::Run(args) => Ready::Run(Box::new(run::Job::new(args)?)),
        Command::Explain(args) => Ready::Explain(explain::Job::new(args)?),
        Command::Bench(args) => Ready::Bench(Box::new(bench::Job::new(args)?)),
    })
}
