//! What each file has to keep to, as functions from its text to what is wrong with it.

use crate::text::{Line, is_word, split, words};

/// Most lines of a file.
pub(crate) const LINES_MAX: usize = 500;
/// Most columns of a line.
pub(crate) const COLUMNS_MAX: usize = 100;
/// Most lines of a function: a screen.
pub(crate) const FUNCTION_LINES_MAX: usize = 80;

/// A rule, by the name that exceptions use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A file has at most [`LINES_MAX`] lines.
    Length,
    /// A line has at most [`COLUMNS_MAX`] columns.
    Width,
    /// A file begins with what it is.
    Header,
    /// `foo.rs` beside `foo/`; modules are where their names say.
    Modules,
    /// Each unsafe block says why it is sound.
    Safety,
    /// No marks of unfinished work.
    Unfinished,
    /// Only two files name glommio.
    Runtime,
    /// A function has at most [`FUNCTION_LINES_MAX`] lines.
    Screen,
}

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) rule: Rule,
    /// Counted from 1; 0 where it is the whole file.
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// All that is wrong with the file at `path`, relative to the repository.
pub(crate) fn check(path: &str, text: &str) -> Vec<Problem> {
    let lines = split(text);
    let mut problems = Vec::new();
    let mut report = |rule, line, what: String| problems.push(Problem { rule, line, what });
    if lines.len() > LINES_MAX {
        let what = format!("{} lines, {LINES_MAX} at most", lines.len());
        report(Rule::Length, 0, what);
    }
    for (number, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            let what = format!("{columns} columns, {COLUMNS_MAX} at most");
            report(Rule::Width, number + 1, what);
        }
    }
    if !text.starts_with("//!") {
        report(Rule::Header, 1, "no //! says what the file is".to_owned());
    }
    if path.ends_with("/mod.rs") {
        report(
            Rule::Modules,
            0,
            "foo.rs beside foo/, not foo/mod.rs".to_owned(),
        );
    }
    let runtime = ["ring0/src/runtime", "ring0/src/io"].iter().any(|file| {
        [format!("{file}.rs"), format!("{file}/")]
            .iter()
            .any(|p| path.starts_with(p))
    });
    for (number, line) in lines.iter().enumerate() {
        if line.code.contains("#[path") {
            let what = "a module is where its name says".to_owned();
            report(Rule::Modules, number + 1, what);
        }
        if let Some(mark) = unfinished(line) {
            report(Rule::Unfinished, number + 1, format!("{mark} is left"));
        }
        if !runtime && words(&line.code).any(|w| w == "glommio") {
            let what = "only runtime and io name glommio".to_owned();
            report(Rule::Runtime, number + 1, what);
        }
        if begins_unsafe(&line.code) && !says_why(&lines, number) {
            let what = "unsafe without a // SAFETY: comment".to_owned();
            report(Rule::Safety, number + 1, what);
        }
    }
    for (first, last, name) in functions(&lines) {
        let length = last - first + 1;
        if length > FUNCTION_LINES_MAX {
            let what = format!("fn {name} has {length} lines, {FUNCTION_LINES_MAX} at most");
            report(Rule::Screen, first + 1, what);
        }
    }
    problems
}

/// A mark of unfinished work.
fn unfinished(line: &Line) -> Option<&str> {
    let macros = ["todo", "dbg", "unimplemented"];
    let called = |name: &&str| line.code.contains(&format!("{name}!"));
    let noted = |word: &&str| ["TODO", "FIXME", "XXX"].contains(word);
    macros
        .into_iter()
        .find(called)
        .or_else(|| words(&line.comment).find(noted))
}

/// Whether code uses `unsafe` at all.
pub(crate) fn uses_unsafe(text: &str) -> bool {
    split(text)
        .iter()
        .any(|line| words(&line.code).any(|w| w == "unsafe"))
}

/// Whether an unsafe block or impl begins on the line. An unsafe fn has its own section.
fn begins_unsafe(code: &str) -> bool {
    let mut words = words(code).skip_while(|w| *w != "unsafe");
    words.next().is_some() && !matches!(words.next(), Some("fn" | "extern"))
}

/// Whether a SAFETY comment stands above the statement that holds line `number`.
fn says_why(lines: &[Line], number: usize) -> bool {
    let ends = |line: &Line| {
        let code = line.code.trim_end();
        code.is_empty() && line.comment.is_empty() || code.ends_with(';') || code.ends_with('}')
    };
    let above = lines[..number].iter().rev().take_while(|line| !ends(line));
    lines[number].comment.contains("SAFETY:")
        || above
            .into_iter()
            .any(|line| line.comment.contains("SAFETY:"))
}

/// First and last line, from 0, and the name of each function with a body.
fn functions(lines: &[Line]) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let mut from = 0;
        while let Some(at) = line.code[from..].find("fn ").map(|i| from + i) {
            from = at + 3;
            let name: String = line.code[from..]
                .chars()
                .take_while(|&c| is_word(c))
                .collect();
            let alone = !line.code[..at].ends_with(is_word);
            if alone
                && !name.is_empty()
                && let Some(last) = end_of_body(lines, first, from)
            {
                found.push((first, last, name));
            }
        }
    }
    found
}

/// The line with the brace that closes the body of a function whose name begins at (`first`,
/// `from`); `None` where it has no body.
fn end_of_body(lines: &[Line], first: usize, from: usize) -> Option<usize> {
    let (mut brackets, mut braces) = (0, 0);
    for (number, line) in lines.iter().enumerate().skip(first) {
        let code = if number == first {
            &line.code[from..]
        } else {
            &line.code[..]
        };
        for c in code.chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets -= 1,
                '{' => braces += 1,
                '}' => braces -= 1,
                ';' if braces == 0 && brackets == 0 => return None,
                _ => {}
            }
            if c == '}' && braces == 0 {
                return Some(number);
            }
        }
    }
    None
}

/// Names of the modules that a file declares and does not hold.
pub(crate) fn modules(text: &str) -> Vec<String> {
    let lines = split(text);
    let declared = lines.iter().filter_map(|line| {
        let code = line.code.trim().strip_suffix(';')?;
        let at = code.rfind("mod ")?;
        let visible = at == 0 || code[..at].trim_end().starts_with("pub");
        visible.then(|| code[at + 4..].trim().to_owned())
    });
    declared.collect()
}
