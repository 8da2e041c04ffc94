//! Tables of inputs. A case begins with a line `== title`; then come the columns, options behind
//! WITH and a query where they are not the plain ones, and the bytes of the file. Between `‹` and
//! `›` stand bytes in hexadecimal, `n*text` for a text n times, and `join` for no newline.

/// A file, and how it is read.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) title: String,
    /// Names the folder in which it runs.
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) columns: String,
    /// Options besides connector, path and policy, each behind a comma.
    pub(crate) options: String,
    pub(crate) query: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// The cases of a table.
pub(crate) fn cases(text: &str, table: &str, format: &str) -> Vec<Case> {
    let blocks = text.strip_prefix("== ").unwrap().split("\n== ");
    let case = |(number, block): (usize, &str)| {
        let (title, block) = block.split_once('\n').unwrap();
        let (columns, mut block) = block.split_once('\n').unwrap();
        let mut options = format!(", format = '{format}'");
        if let Some(more) = block.strip_prefix("WITH ") {
            // An option's text may hold a newline.
            let end = more.find("'\n").unwrap() + 1;
            options = match &more[..end] {
                more if more.starts_with("format") => format!(", {more}"),
                more => format!("{options}, {more}"),
            };
            block = &more[end + 1..];
        }
        let mut query = None;
        if block.starts_with("SELECT ") {
            let (first, rest) = block.split_once('\n').unwrap();
            (query, block) = (Some(first.to_owned()), rest);
        }
        Case {
            title: title.to_owned(),
            name: format!("{table}-{number}"),
            path: "in".to_owned(),
            columns: columns.to_owned(),
            options,
            query,
            bytes: bytes(block),
        }
    };
    blocks.enumerate().map(case).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((plain, more)) = rest.split_once('‹') {
        out.extend_from_slice(plain.as_bytes());
        let (inside, behind) = more.split_once('›').unwrap();
        rest = behind;
        match inside.split_once('*') {
            Some((times, text)) => {
                let times: usize = times.parse().unwrap();
                out.extend_from_slice(text.repeat(times).as_bytes());
            }
            None if inside == "join" => rest = behind.strip_prefix('\n').unwrap_or(behind),
            None => {
                let byte = |digits| u8::from_str_radix(digits, 16).unwrap();
                out.extend(inside.split(' ').map(byte));
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}
