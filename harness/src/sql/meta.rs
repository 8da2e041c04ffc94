//! Commands of the shell itself: a line that begins with a backslash.

use trefoil::engine::rows;
use trefoil::{Answer, Engine};

use crate::failure::Failure;

/// What they are.
pub(super) const HELP: &str = "\\d         what there is
\\d NAME    the columns of NAME
\\timing    say how long statements take, or no longer; \\timing on, \\timing off
\\q         quit, as Ctrl-D does
\\?         this
A statement ends with a semicolon. Ctrl-C ends a query, or drops what is typed.";

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meta {
    Quit,
    Help,
    /// On or off; `None` is the other one.
    Timing(Option<bool>),
    Relations,
    Columns(String),
}

impl Meta {
    /// Reads a line.
    pub(super) fn read(text: &str) -> Result<Self, Failure> {
        let text = text.trim().trim_end_matches(';').trim_end();
        let (command, rest) = match text.split_once(char::is_whitespace) {
            Some((command, rest)) => (command, rest.trim()),
            None => (text, ""),
        };
        let wrong = || Failure::Usage(format!("there is no command {text}; \\? says which are"));
        Ok(match (command, rest) {
            ("\\q" | "\\quit", "") => Self::Quit,
            ("\\?" | "\\h" | "\\help", "") => Self::Help,
            ("\\timing", "") => Self::Timing(None),
            ("\\timing", "on") => Self::Timing(Some(true)),
            ("\\timing", "off") => Self::Timing(Some(false)),
            ("\\d", "") => Self::Relations,
            ("\\d", name) => Self::Columns(named(name)),
            _ => return Err(wrong()),
        })
    }
}

/// A name as SQL reads it: small, unless it is quoted.
fn named(text: &str) -> String {
    let quoted = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    quoted.map_or_else(|| text.to_lowercase(), |name| name.replace("\"\"", "\""))
}

/// What is declared, of all kinds.
pub(super) fn relations(engine: &Engine) -> Result<Answer, Failure> {
    let mut found = Vec::new();
    for (shown, kind) in [
        ("SHOW SOURCES", Some("source")),
        ("SHOW TABLES", Some("table")),
        ("SHOW VIEWS", None),
        ("SHOW SINKS", Some("sink")),
    ] {
        for row in engine.execute(shown)?.iter().flat_map(rows) {
            let kind = match kind {
                Some(kind) => kind.to_owned(),
                None => row.get::<String>("kind")?.to_lowercase(),
            };
            found.push(vec![Some(row.get::<String>("name")?), Some(kind)]);
        }
    }
    found.sort();
    Ok(Answer {
        sql: "\\d".to_owned(),
        columns: Answer::texts(&["name", "kind"]),
        rows: found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        let read = |text: &str| Meta::read(text).ok();
        assert_eq!(read("\\q;"), Some(Meta::Quit));
        assert_eq!(read("  \\timing  off "), Some(Meta::Timing(Some(false))));
        assert_eq!(read("\\timing maybe"), None);
        assert_eq!(read("\\d Trades"), Some(Meta::Columns("trades".to_owned())));
        let quoted = Meta::Columns("My \" name".to_owned());
        assert_eq!(read("\\d \"My \"\" name\""), Some(quoted));
        assert_eq!(read("\\dt"), None);
    }
}
