//! What can go wrong before a query runs: a refused statement, shown with its place in the text
//! as the Rust compiler shows its errors. Codes are stable; docs/errors.md explains each.

use std::fmt;

macro_rules! codes {
    ($($code:ident $title:literal),+ $(,)?) => {
        /// The codes of refusals.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $code,)+
        }

        impl Code {
            /// All codes, in order.
            pub const ALL: &'static [Self] = &[$(Self::$code),+];

            /// Its name, such as `E0201`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$code => stringify!($code),)+
                }
            }

            /// What it means, in a few words.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$code => $title,)+
                }
            }
        }
    };
}

codes! {
    E0101 "unexpected token",
    E0102 "text that cannot be read",
    E0103 "unknown option",
    E0104 "bad or missing option",
    E0105 "bad definition",
    E0106 "statement beyond a limit",
    E0201 "unknown column",
    E0202 "unknown relation",
    E0203 "neither grouped nor aggregated",
    E0204 "unknown function",
    E0205 "name defined twice",
    E0206 "types that do not fit",
    E0207 "aggregate or window where none may stand",
    E0208 "ambiguous name",
    E0209 "wrong number of columns or arguments",
    E0210 "still in use",
    E0211 "wrong kind of relation",
    E0212 "unknown or bad setting",
    E0213 "bad interval",
    E0214 "a clock where it may not stand",
    E0301 "not runnable yet",
    E0302 "type not supported",
    E0303 "not part of this SQL",
    E0401 "bad window",
    E0402 "can never emit as asked",
    E0403 "bad join",
    E0404 "no order on unbounded input",
    E0501 "partitioning that does not fit",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A refused statement and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    /// Stable code, such as `E0201`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    /// The text of that line.
    pub source_line: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "error[{}]: {}", self.code, self.message)?;
        writeln!(f, "{margin}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.source_line)?;
        let before = usize::try_from(self.column.saturating_sub(1)).unwrap_or(0);
        let pad: String = (self.source_line.chars())
            .chain(std::iter::repeat(' '))
            .take(before)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "{margin} | {pad}^")?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlError {}

/// Errors of Ring 2.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A statement was refused.
    #[error(transparent)]
    Sql(Box<SqlError>),
    /// Running failed.
    #[error(transparent)]
    Ring0(#[from] trefoil_ring0::error::Error),
    /// The engine cannot do what it was asked for.
    #[error("{message}")]
    Engine {
        /// Stable code, such as `E0603`.
        code: &'static str,
        /// What is wrong.
        message: String,
    },
    /// DataFusion failed where it only serves as the oracle of tests.
    #[error("batch query failed: {0}")]
    Batch(String),
}

impl Error {
    /// Its stable code. docs/errors.md explains those of statements, docs/embedding.md others.
    pub fn code(&self) -> &'static str {
        use trefoil_ring0::error::Error as Running;
        match self {
            Self::Sql(error) => error.code,
            Self::Engine { code, .. } => code,
            Self::Batch(_) => "E0608",
            Self::Ring0(error) => match error {
                Running::Ended { .. } => "E0601",
                Running::Append { .. } => "E0602",
                Running::ShardPanicked { .. } => "E0604",
                Running::TooMany { .. } | Running::Broadcast { .. } => "E0605",
                Running::Preflight { .. } => "E0606",
                Running::Open { .. }
                | Running::Read { .. }
                | Running::BadRecord { .. }
                | Running::BadRow { .. }
                | Running::Row { .. } => "E0607",
                Running::Restore(_) => "E0610",
                Running::Memory { .. } => "E0616",
                Running::Behind { .. } | Running::Program(_) => "E0609",
            },
        }
    }

    pub(crate) fn engine(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Engine { code, message }
    }
}

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Self {
        Self::Sql(Box::new(error))
    }
}

/// Result with Ring 2's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The known word nearest to `word`, where it is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).max(1);
    known
        .map(|k| (distance(word, k), k))
        .filter(|(d, k)| *d <= most && *d < word.chars().count().max(k.chars().count()))
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// The hint of a word that is unknown: the one that may be meant, else those that there are.
pub(crate) fn meant<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    const MOST: usize = 12;
    let known: Vec<&str> = known.collect();
    if let Some(found) = nearest(word, known.iter().copied()) {
        return Some(format!("did you mean \"{found}\"?"));
    }
    let mut seen = std::collections::HashSet::new();
    // Columns that every source has are named by those who know them.
    let shown = known.into_iter().filter(|name| !name.starts_with('_'));
    let each: Vec<&str> = shown.filter(|n| seen.insert(*n)).collect();
    let shown = each[..each.len().min(MOST)].join(", ");
    match each.len() {
        0 => None,
        n if n > MOST => Some(format!("known: {shown}, ..")),
        _ => Some(format!("known: {shown}")),
    }
}

/// Number of edits between two words: of one character, or two neighbours exchanged.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(row[j - 1] + 1).min(above[j] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}
