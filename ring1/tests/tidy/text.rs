//! A Rust file as lines of code and of comments: what is in strings is neither.

/// One line of a file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Code; the contents of strings and character literals are blanks.
    pub(crate) code: String,
    /// What its comments say, with their marks.
    pub(crate) comment: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    /// How deep comments are nested.
    BlockComment(usize),
    Text,
    /// How many `#` close it.
    RawText(usize),
}

/// Splits a file.
pub(crate) fn split(text: &str) -> Vec<Line> {
    let chars: Vec<char> = text.chars().collect();
    let mut lines = vec![Line::default()];
    let (mut state, mut at) = (State::Code, 0);
    while at < chars.len() {
        let rest = &chars[at..];
        if rest[0] == '\n' {
            lines.push(Line::default());
            state = if state == State::LineComment {
                State::Code
            } else {
                state
            };
            at += 1;
            continue;
        }
        let line = lines.last_mut().expect("there is always a line");
        let (next, used) = step(state, rest, &line.code);
        for &c in &rest[..used] {
            let comment = |s| matches!(s, State::LineComment | State::BlockComment(_));
            let quiet = |s| matches!(s, State::Text | State::RawText(_));
            match () {
                () if comment(state) || comment(next) => line.comment.push(c),
                () if quiet(state) && quiet(next) => line.code.push(' '),
                () if state == State::Code && next == State::Code && used > 1 => {
                    line.code.push(' ');
                }
                () => line.code.push(c),
            }
        }
        (state, at) = (next, at + used);
    }
    if text.ends_with('\n') {
        lines.pop();
    }
    lines
}

/// The state behind the next character or mark, and how many characters that is. `code` is what
/// the line has so far. No step crosses the end of a line.
fn step(state: State, rest: &[char], code: &str) -> (State, usize) {
    let second = rest.get(1).copied();
    match (state, rest[0]) {
        (State::Code, '/') if second == Some('/') => (State::LineComment, 2),
        (State::Code, '/') if second == Some('*') => (State::BlockComment(1), 2),
        (State::Code, '"') => (text_begins(code), 1),
        (State::Code, '\'') => (State::Code, character(rest)),
        (State::BlockComment(depth), '/') if second == Some('*') => {
            (State::BlockComment(depth + 1), 2)
        }
        (State::BlockComment(1), '*') if second == Some('/') => (State::Code, 2),
        (State::BlockComment(depth), '*') if second == Some('/') => {
            (State::BlockComment(depth - 1), 2)
        }
        (State::Text, '\\') if second.is_some_and(|c| c != '\n') => (State::Text, 2),
        (State::Text, '"') => (State::Code, 1),
        (State::RawText(hashes), '"') => {
            let closes = (1..=hashes).all(|i| rest.get(i) == Some(&'#'));
            (if closes { State::Code } else { state }, 1)
        }
        _ => (state, 1),
    }
}

/// What kind of string a quote behind `code` begins.
fn text_begins(code: &str) -> State {
    let head = code.trim_end_matches('#');
    let word_at = head.rfind(|c: char| !is_word(c)).map_or(0, |i| i + 1);
    match head.get(word_at..) {
        Some("r" | "br" | "cr") => State::RawText(code.len() - head.len()),
        _ => State::Text,
    }
}

/// Length of the character literal or of the mark of a lifetime that `rest` begins with.
fn character(rest: &[char]) -> usize {
    let quote = |from: usize| rest.iter().skip(from).take(12).position(|&c| c == '\'');
    match (rest.get(1), rest.get(2)) {
        (Some('\\'), _) => quote(3).map_or(1, |i| i + 4),
        (_, Some('\'')) => 3,
        _ => 1,
    }
}

/// Whether a character may stand in a name.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The names and keywords of a line of code.
pub(crate) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|w| !w.is_empty())
}

#[test]
fn strings_and_comments_are_told_from_code() {
    let cases = [
        ("let a = 1; // why", "let a = 1; ", "// why"),
        (r#"f("// no \" unsafe")"#, r#"f("               ")"#, ""),
        ("a /* b /* c */ d */ e", "a  e", "/* b /* c */ d */"),
        ("let c = '\"'; // x", "let c =    ; ", "// x"),
        (
            "let c = '\\''; fn f<'a>(x: &'a str)",
            "let c =     ; fn f<'a>(x: &'a str)",
            "",
        ),
        ("let c = '\\u{1F600}';{", "let c =            ;{", ""),
        ("br#\"a\" unsafe\"#; x", "br#\"         \"#; x", ""),
    ];
    for (text, code, comment) in cases {
        let lines = split(text);
        assert_eq!(
            (&*lines[0].code, &*lines[0].comment),
            (code, comment),
            "{text}"
        );
        assert_eq!(lines.len(), 1);
    }
    let lines = split("a \"one\n// two\" b\n/* three\nfour */ c\n");
    let codes: Vec<&str> = lines.iter().map(|l| l.code.trim()).collect();
    assert_eq!(codes, ["a \"", "\" b", "", "c"]);
}
