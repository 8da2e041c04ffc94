//! The syntax tree of a script: one [`Statement`] for every form, each spelling of a thing read as
//! the same tree, and one canonical text printed back. What is only syntax is here: whether names
//! exist and clauses run is asked later.

mod calls;
mod canonical;
mod casts;
mod create;
mod cursor;
mod distinct;
mod function;
mod print;
mod printable;
mod reader;
mod spans;
mod statement;
mod types;

pub(crate) use calls::*;
pub(crate) use casts::decimal_text;
pub use function::{CreateFunction, FunctionForm};
pub(crate) use reader::Reader;
pub(crate) use statement::read;
pub use statement::{
    At, ColumnSpec, CreateIndex, CreateSink, CreateSource, CreateView, Drop, Emit, EmitQuery,
    Explain, Insert, Kind, OptionSpec, Rename, Show, SourceKind, Statement, Subscribe, ViewKind,
    Watermark,
};
pub use types::TypeName;

use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::SourceFile;
use crate::dialect::DIALECT;
use crate::error::Result;
use crate::limits::with_stack;
use crate::place::Place;

/// Whether all statements of a text end with a semicolon, so that a person who types it has come to
/// the end of one. What no further line can make right is complete, too: it is to be refused.
pub fn is_complete(text: &str) -> bool {
    match Tokenizer::new(&DIALECT, text).tokenize() {
        Ok(tokens) => {
            let mut tokens = tokens.iter().rev();
            let last = tokens.find(|t| !matches!(t, Token::Whitespace(_) | Token::EOF));
            last.is_none_or(|t| *t == Token::SemiColon)
        }
        Err(error) => !["Unterminated", "EOF"]
            .iter()
            .any(|open| error.message.contains(open)),
    }
}

/// Reads a file into statements. Names are not looked up.
///
/// # Errors
/// [`crate::Error::Sql`] for the first statement that cannot be read or is beyond a limit.
pub fn parse(file: &SourceFile) -> Result<Vec<Statement>> {
    with_stack(|| {
        let place = Place { file };
        let chunks = place.chunks()?;
        let read = chunks.iter().map(|chunk| statement::read(place, chunk));
        Ok(read.collect::<Result<Vec<_>, _>>()?)
    })
}
