//! What is said on standard error, in colour by `--color`, `NO_COLOR` and what the stream is.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

/// When there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR says no
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// From now on.
    pub(crate) fn set(self) {
        self.choice().write_global();
    }

    fn choice(self) -> anstream::ColorChoice {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
    }

    /// For what clap prints.
    pub(crate) fn of_usage(self) -> clap::ColorChoice {
        match self {
            Self::Auto => clap::ColorChoice::Auto,
            Self::Always => clap::ColorChoice::Always,
            Self::Never => clap::ColorChoice::Never,
        }
    }
}

/// Says something of ours: the words that begin a line have their colours.
pub(crate) fn say(text: &dyn Display) {
    let text = text.to_string();
    let lines: Vec<String> = text.lines().map(colored).collect();
    say_text(&lines.join("\n"));
}

/// Says somebody's text as it is. That nobody reads it is no error.
pub(crate) fn say_text(text: &str) {
    show_line("");
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Shows a line, for people, that the next one takes the place of; an empty one takes it away.
pub(crate) fn show_line(text: &str) {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    let erase = if line.is_empty() { "" } else { "\r\x1b[K" };
    let _ = write!(io::stderr(), "{erase}{text}");
    text.clone_into(&mut line);
}

/// The line that the next one takes the place of.
static LINE: Mutex<String> = Mutex::new(String::new());

fn colored(line: &str) -> String {
    let styles = [
        ("error", AnsiColor::Red),
        ("note", AnsiColor::Cyan),
        ("hint", AnsiColor::Green),
    ];
    let begins = |(word, color): (&str, AnsiColor)| {
        let at = line.find(':')?;
        let known = line[..at].strip_prefix(word)?;
        (known.is_empty() || known.starts_with('[')).then_some((at, color))
    };
    match styles.into_iter().find_map(begins) {
        Some((at, color)) => {
            let style = Style::new().bold().fg_color(Some(color.into()));
            format!("{style}{}{style:#}{}", &line[..at], &line[at..])
        }
        None => line.to_owned(),
    }
}
