//! What tells whether a script is the one that a checkpoint is of.

use crate::SourceFile;
use crate::error::Result;
use crate::limits;
use crate::place::Place;
use crate::syntax;

/// The statements of a script, each in its canonical text.
///
/// # Errors
/// Where one cannot be read.
pub fn statements(files: &[SourceFile]) -> Result<Vec<String>> {
    limits::with_stack(|| {
        let mut all = Vec::new();
        for file in files {
            let place = Place { file };
            for chunk in place.chunks()? {
                all.push(syntax::read(place, &chunk)?.to_string());
            }
        }
        Ok(all)
    })
}
