//! How results are printed where nothing is said.

use trefoil::Answer;

use crate::args::Format;
use crate::failure::Failure;
use crate::output::Target;

/// The format for a target: a table where a person looks at it.
pub(crate) fn format_for(target: &Target, asked: Option<Format>) -> Result<Format, Failure> {
    match (asked, target.is_terminal()) {
        (Some(Format::Arrow), true) => Err(Failure::Usage(
            "--format arrow is not for a terminal; name a file with --output".to_owned(),
        )),
        (Some(format), _) => Ok(format),
        (None, true) => Ok(Format::Table),
        (None, false) => Ok(Format::Ndjson),
    }
}

/// Prints rows that are known.
pub(crate) fn print_answer(
    answer: &Answer,
    format: Format,
    target: &mut Target,
) -> Result<(), Failure> {
    Ok(trefoil::output::print_answer(
        answer,
        format.into(),
        target,
    )?)
}
