//! Frames of records in columns: which sources can have them, and which columns.

use std::sync::Arc;

use trefoil_ring0::format::binary::check_column;
use trefoil_ring0::program::FileFormat;
use trefoil_ring0::schema::Field;

use super::{get, sockets};
use crate::catalog::SourceDef;
use crate::error::SqlError;
use crate::place::Place;
use crate::syntax::CreateSource;

/// What the frames of a source hold: all of its columns, as they are declared.
pub(super) fn format(
    place: Place<'_>,
    def: &SourceDef,
    create: &CreateSource,
) -> Result<FileFormat, SqlError> {
    let refused = |name: &str, message: &str, hint: &str| match get(&create.options, name) {
        Some(option) => Err(place.hinted("E0104", option.value_at.0, message, hint)),
        None => Ok(()),
    };
    if !def.connector.as_deref().is_some_and(sockets::is_socket) {
        let message = "format 'binary' is what clients of a socket send";
        refused("format", message, "it needs connector = 'tcp' or 'unix'")?;
    }
    let message = "timestamp_unit is of no use where a TIMESTAMP is in its own unit";
    refused(
        "timestamp_unit",
        message,
        "it needs format = 'json' or 'csv'",
    )?;
    if get(&create.options, "acknowledge").is_some_and(|option| option.value == "false") {
        let message = "format 'binary' is acknowledged";
        refused("acknowledge", message, "leave acknowledge out")?;
    }
    let fields: Vec<Field> = def
        .columns
        .iter()
        .map(|column| column.field(None))
        .collect();
    for field in &fields {
        check_column(field).map_err(|message| {
            let spec = create
                .columns
                .iter()
                .find(|spec| spec.name.value == field.name);
            let at = spec.map_or(create.options_at, |spec| spec.type_at);
            let hint = "format = 'json' takes any type";
            place.hinted("E0302", at.0, message, hint)
        })?;
    }
    Ok(FileFormat::Binary(Arc::from(fields)))
}
