//! Sources of changes: rows that come and go, and replace each other by a key where there is one.
//! One shard reads them in their order. Where results are a changelog their changes go on; else
//! they are settled at once, and what goes on are the rows that stand in the end.

use std::sync::Arc;

use trefoil_ring0::changelog;
use trefoil_ring0::expr::Expr;
use trefoil_ring0::format::debezium::Captured;
use trefoil_ring0::operator::paced::PacedSpec;
use trefoil_ring0::program::{ChangesSpec, FileFormat, OperatorSpec, SourceKind};
use trefoil_ring0::schema::{Field, Schema};

use super::{Lowering, Refusal};
use crate::catalog::SourceDef;

/// The columns as they are read, with what a row does behind them; and how they are.
///
/// # Errors
/// Where the source would have to know more than the changes say.
pub(super) fn read(
    source: &SourceDef,
    keys: &[usize],
    mut fields: Vec<Field>,
    system: bool,
) -> Result<(Arc<Schema>, Captured), Refusal> {
    if system {
        let message = "a system column of a source of changes is not supported yet";
        return Err(("E0301", message.to_owned()));
    }
    let keyed = !source.primary_key.is_empty();
    let loose = |at: &usize| keyed && !keys.contains(at) && !fields[*at].nullable;
    let required: Vec<usize> = (0..fields.len()).filter(loose).collect();
    required.iter().for_each(|&at| fields[at].nullable = true);
    let schema = changelog::weighted(Schema::new(fields));
    let keys = keys.to_vec();
    Ok((schema, Captured { keys, required }))
}

/// What reads changes so.
pub(super) fn reads(kind: SourceKind, captured: Captured) -> SourceKind {
    let with = |format| match format {
        FileFormat::Debezium(_) => FileFormat::Debezium(captured),
        other => other,
    };
    match kind {
        SourceKind::Files { paths, format } => SourceKind::Files {
            paths,
            format: with(format),
        },
        SourceKind::Stream { feed, format } => SourceKind::Stream {
            feed,
            format: with(format),
        },
        other => other,
    }
}

impl Lowering<'_> {
    /// Has the rows of a source come and go by this key.
    pub(super) fn captured(&mut self, keys: Vec<usize>) {
        self.push(OperatorSpec::Changing(ChangesSpec::Captured(keys)));
        (self.grouped, self.weighted) = (true, true);
        if !self.changes {
            self.settle();
        }
    }

    /// Waits for the rows that stand in the end.
    fn settle(&mut self) {
        self.push(OperatorSpec::Changing(ChangesSpec::Paced(PacedSpec {
            keys: None,
            every_ns: None,
        })));
        self.weighted = false;
        let mut schema = Schema::clone(&self.schema);
        schema.fields.pop();
        let exprs = (0..schema.fields.len()).map(Expr::Column).collect();
        self.project(exprs, schema);
    }
}
