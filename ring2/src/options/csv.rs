//! How a source's CSV is written: its options, and which columns it can have.

use trefoil_ring0::format::csv::{Blanks, Dialect, Terminator, check_column};
use trefoil_ring0::program::{FileFormat, Header};
use trefoil_ring0::schema::physical;

use super::{get, word};
use crate::catalog::SourceDef;
use crate::error::SqlError;
use crate::place::Place;
use crate::syntax::{CreateSource, OptionSpec};

/// Options of sources with format = 'csv'.
pub(super) const OPTIONS: [&str; 8] = [
    "header",
    "delimiter",
    "quote",
    "escape",
    "comment",
    "null_string",
    "line_end",
    "blanks",
];

/// What the options say of a source's files.
pub(super) fn format(
    place: Place<'_>,
    def: &SourceDef,
    create: &CreateSource,
) -> Result<FileFormat, SqlError> {
    let options = &create.options;
    let plain = Dialect::default();
    let byte = |name| get(options, name).map(|option| byte(place, option));
    let choice = |name, known: &[&str]| {
        let option = get(options, name);
        option.map(|option| word(place, option, known)).transpose()
    };
    let dialect = Dialect {
        delimiter: match get(options, "delimiter").map(|option| (option, byte_of(option))) {
            None => plain.delimiter,
            Some((_, Some(byte))) => byte,
            Some((option, None)) => return Err(no_byte(place, option)),
        },
        quote: byte("quote").unwrap_or(Ok(plain.quote))?,
        escape: byte("escape").unwrap_or(Ok(plain.escape))?,
        comment: byte("comment").unwrap_or(Ok(plain.comment))?,
        terminator: match choice("line_end", &["any", "lf"])?.as_deref() {
            Some("lf") => Terminator::Lf,
            _ => Terminator::LfOrCrLf,
        },
        blanks: match choice("blanks", &["keep", "trim"])?.as_deref() {
            Some("trim") => Blanks::Trim,
            _ => Blanks::Keep,
        },
        null: get(options, "null_string").map_or(plain.null, |option| option.value.clone()),
    };
    if let Err(message) = dialect.check() {
        // What was said last of what is at odds.
        let at_odds = |option: &&OptionSpec| {
            OPTIONS.contains(&option.name.as_str()) && message.contains(&option.name)
        };
        let named = options.iter().rfind(at_odds);
        let at = named.map_or(create.options_at, |option| option.value_at);
        let hint = "each character has one meaning";
        return Err(place.hinted("E0104", at.0, message, hint));
    }
    check_columns(place, def, create)?;
    let header = match choice("header", &["true", "false"])?.as_deref() {
        Some("false") => Header::Absent(def.columns.iter().map(|c| c.name.clone()).collect()),
        _ => Header::FirstRecord,
    };
    Ok(FileFormat::Csv { dialect, header })
}

/// The character that an option is, or none where it is empty.
fn byte(place: Place<'_>, option: &OptionSpec) -> Result<Option<u8>, SqlError> {
    match (option.value.is_empty(), byte_of(option)) {
        (true, _) => Ok(None),
        (false, Some(byte)) => Ok(Some(byte)),
        (false, None) => Err(no_byte(place, option)),
    }
}

fn byte_of(option: &OptionSpec) -> Option<u8> {
    match option.value.as_bytes() {
        b"\\t" => Some(b'\t'),
        [byte] => Some(*byte),
        _ => None,
    }
}

fn no_byte(place: Place<'_>, option: &OptionSpec) -> SqlError {
    let message = format!("'{}' is no single ASCII character", option.value);
    let hint = match option.name.as_str() {
        "delimiter" => "delimiter = ';', or '\\t' for a tab",
        "quote" => "quote = '\"', or '' for none",
        "escape" => "escape = '\\', or '' for none",
        _ => "comment = '#', or '' for none",
    };
    place.hinted("E0104", option.value_at.0, message, hint)
}

/// Refuses columns that no text of a field stands for.
fn check_columns(place: Place<'_>, def: &SourceDef, create: &CreateSource) -> Result<(), SqlError> {
    for (column, spec) in def.columns.iter().zip(&create.columns) {
        let field = column.field(None);
        if physical(&field.data_type).is_none() {
            continue;
        }
        check_column(&field).map_err(|message| {
            let hint = "a VARCHAR takes any text";
            place.hinted("E0302", spec.type_at.0, message, hint)
        })?;
    }
    Ok(())
}
