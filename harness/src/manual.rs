//! `trefoil completions` and `trefoil man`: what the command line says of itself.

use clap::{Command, CommandFactory};

use crate::args::Args;
use crate::failure::Failure;
use crate::output;

/// Prints what completes commands in a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "trefoil", &mut text);
    Ok(output::open(None)?.write(&text)?)
}

/// Prints the manual page of the program, or of one of its commands.
pub(crate) fn page(name: Option<&str>) -> Result<(), Failure> {
    let mut program = Args::command();
    program.build();
    let command = match name {
        None => program,
        Some(name) => named(&program, name)?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    Ok(output::open(None)?.write(&text)?)
}

fn named(program: &Command, name: &str) -> Result<Command, Failure> {
    if let Some(command) = program.find_subcommand(name) {
        return Ok(command.clone());
    }
    let names = program.get_subcommands().map(Command::get_name);
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    Err(Failure::Usage(format!(
        "there is no command {name}; known: {}",
        names.join(", ")
    )))
}
