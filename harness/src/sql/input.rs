//! What is typed: statements, commands of the shell, and the end.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use trefoil::{Engine, SourceFile};

use super::complete::{Completion, is_whole};
use crate::failure::Failure;
use crate::say::say;

/// Where statements come from.
pub(super) enum Input {
    /// A person at a terminal.
    Typed {
        editor: Box<Editor<Completion, FileHistory>>,
        history: Option<PathBuf>,
    },
    /// A pipe or a file, and how many lines were read.
    Piped { lines: usize },
}

/// What came.
#[derive(Debug)]
pub(super) enum Typed {
    /// Nothing to run.
    Nothing,
    /// Statements, whole.
    Statements(SourceFile),
    /// A command of the shell.
    Meta(String),
    /// Nothing comes any more.
    End,
}

/// A text that stands behind so many lines of its input.
pub(super) fn file(text: String, lines: usize) -> SourceFile {
    SourceFile {
        name: "<stdin>".to_owned(),
        text: "\n".repeat(lines) + &text,
        base: PathBuf::from("."),
    }
}

/// Where what was typed is kept: below `XDG_STATE_HOME`, or below the home.
fn history_path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let state = set("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(set("HOME")?).join(".local/state")))?;
    Some(state.join("trefoil").join("sql_history"))
}

impl Input {
    /// Standard input.
    pub(super) fn open(engine: &Arc<Engine>) -> Result<Self, Failure> {
        if !io::stdin().is_terminal() {
            return Ok(Self::Piped { lines: 0 });
        }
        let failed = |e| Failure::Running(format!("cannot edit lines: {e}"));
        let config = Config::builder().auto_add_history(true).build();
        let mut editor = Editor::with_config(config).map_err(failed)?;
        editor.set_helper(Some(Completion(Arc::clone(engine))));
        let history = history_path();
        if let Some(path) = &history {
            // The first time there is none.
            _ = editor.load_history(path);
        }
        say(&"\\? says what there is, Ctrl-D quits");
        let editor = Box::new(editor);
        Ok(Self::Typed { editor, history })
    }

    /// Whether a person types.
    pub(super) fn is_typed(&self) -> bool {
        matches!(self, Self::Typed { .. })
    }

    /// Waits for what comes next.
    pub(super) fn next(&mut self) -> Result<Typed, Failure> {
        match self {
            Self::Typed { editor, .. } => match editor.readline("trefoil> ") {
                Ok(text) => Ok(typed(text, 0)),
                Err(ReadlineError::Interrupted) => Ok(Typed::Nothing),
                Err(ReadlineError::Eof) => Ok(Typed::End),
                Err(error) => Err(Failure::Running(format!("cannot read a line: {error}"))),
            },
            Self::Piped { lines } => piped(lines),
        }
    }

    /// Keeps what was typed for the next time.
    pub(super) fn close(&mut self) {
        let Self::Typed {
            editor,
            history: Some(path),
        } = self
        else {
            return;
        };
        let kept = (path.parent()).map_or(Ok(()), std::fs::create_dir_all);
        let kept = kept.map_err(ReadlineError::from);
        if let Err(error) = kept.and_then(|()| editor.save_history(path)) {
            say(&format_args!("note: the history is not kept: {error}"));
        }
    }
}

fn typed(text: String, lines: usize) -> Typed {
    match text.trim_start().starts_with('\\') {
        true => Typed::Meta(text),
        false if text.trim().is_empty() => Typed::Nothing,
        false => Typed::Statements(file(text, lines)),
    }
}

/// The next lines that are whole. At the end the last semicolon may be missing.
fn piped(lines: &mut usize) -> Result<Typed, Failure> {
    let (before, mut text) = (*lines, String::new());
    let mut stdin = io::stdin().lock();
    loop {
        let read = stdin
            .read_line(&mut text)
            .map_err(|e| Failure::Usage(format!("cannot read standard input: {e}")))?;
        if read == 0 && text.trim().is_empty() {
            return Ok(Typed::End);
        }
        *lines += 1;
        if read == 0 || is_whole(&text) {
            return Ok(typed(text, before));
        }
    }
}
