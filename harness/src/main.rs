//! The binary `trefoil`: what was typed ([`args`]) and what is set ([`settings`]) become what is
//! ready to run, and one match runs it. Data goes to standard output, everything else to standard
//! error.

mod args;
mod failure;
mod late;
mod letters;
mod machine;
mod say;
mod settings;

mod output;
mod print;
mod progress;
mod sinks;
mod stats;
mod stop;

mod collisions;
mod run;
mod sql;
mod state;

mod bench;
mod checkpoint;
mod config;
mod doctor;
mod explain;
mod load;
mod manual;
mod serve;

use std::ffi::OsString;
use std::panic;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, ValueEnum};
use trefoil_ring1::format::panics_are_told;

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::say::Color;
use crate::settings::Settings;

fn main() -> ExitCode {
    tell_panics_once();
    match typed().and_then(run_command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.report()),
    }
}

/// Leaves out the panics that come as errors of the files over which a crate panicked.
fn tell_panics_once() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !panics_are_told() {
            told(info);
        }
    }));
}

/// What was typed becomes what is ready to run, and is run.
fn run_command(Args { color, command }: Args) -> Result<(), Failure> {
    match &command {
        Command::Completions { shell } => return manual::completions(*shell),
        Command::Man { command } => return manual::page(command.as_deref()),
        _ => {}
    }
    let mut settings = Settings::load()?;
    args::color(color, &mut settings)?.set();
    match command {
        Command::Run(args) => run::run(&run::Job::new(args, &mut settings)?),
        Command::Sql(args) => sql::run(sql::Job::new(args, &mut settings)?),
        Command::Explain(args) => explain::run(&explain::Job::new(args)?),
        Command::Bench(args) => bench::run(&bench::Job::new(args, &mut settings)?),
        Command::Load(args) => load::run(load::Job::new(*args, &mut settings)?),
        Command::Serve(args) => serve::run(serve::Job::new(args, &mut settings)?),
        Command::Checkpoint { command } => checkpoint::run(&command),
        Command::Config(args) => config::run(args, settings),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions { .. } | Command::Man { .. } => Ok(()),
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
