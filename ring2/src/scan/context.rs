//! Sessions of DataFusion for streams, with Trefoil's functions.

use datafusion::prelude::SessionContext;

use crate::limits::PARTITIONS_MAX;
use crate::planner;

/// A session that works in one partition.
pub fn create_streaming_context() -> SessionContext {
    create_partitioned_streaming_context(1)
}

/// A session that works in so many partitions: `target_partitions` of its configuration.
///
/// # Panics
/// Where that is none, or more than [`PARTITIONS_MAX`].
pub fn create_partitioned_streaming_context(partitions: usize) -> SessionContext {
    let range = 1..=PARTITIONS_MAX;
    assert!(
        range.contains(&partitions),
        "a session has 1 to {PARTITIONS_MAX} partitions, and not {partitions}"
    );
    planner::session_of(partitions)
}
