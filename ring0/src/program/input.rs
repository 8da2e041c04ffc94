//! What sources read, or make.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::ArrayRef;

use super::GeneratorSpec;
use crate::feed::{Feed, Listen};
use crate::format::columnar::ColumnarFormat;
use crate::format::csv::Dialect;
use crate::format::debezium::Captured;
use crate::frame::Frame;
use crate::schema::Field;

/// Kinds of sources.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// Files of records, one behind the other: one split. Chunk k of all their chunks is parsed by
    /// shard k mod shards.
    Files {
        /// The files, in order.
        paths: Vec<PathBuf>,
        /// What is in them.
        format: FileFormat,
    },
    /// Files that hold columns, one behind the other: one split. Chunk k of all their chunks is
    /// decoded by shard k mod shards.
    Columnar {
        /// The files, in order.
        paths: Vec<PathBuf>,
        /// What knows what is in them.
        format: Arc<dyn ColumnarFormat>,
    },
    /// A stream of records, read by shard 0 alone.
    Stream {
        /// Where its bytes come from.
        feed: Arc<dyn Feed>,
        /// What they are.
        format: FileFormat,
    },
    /// Streams of records that come and go while the program runs, taken by shard 0 alone. It has
    /// no end unless its program is told to drain.
    Connections {
        /// Where they come from.
        listen: Arc<dyn Listen>,
        /// What they are.
        format: FileFormat,
    },
    /// Rows that [`crate::appender::Appender`]s of this process append, taken by shard 0 alone. It
    /// has no end unless its program is told to drain.
    Channel,
    /// Records that are made: one split. Chunk k of them is made by shard k mod shards.
    Generator(GeneratorSpec),
    /// Columns in memory, shared by all shards: shard s of n reads the s-th of n equal slices. With
    /// event time that a watermark needs, and which then must not be NULL, shard 0 reads all.
    Columns {
        /// One array for each column of the source's schema but the bound, all of one length.
        arrays: Arc<[ArrayRef]>,
        /// How many times each shard reads its slice.
        repeat: usize,
    },
    /// Ready frames in memory: frame k is taken by shard k mod shards, all of it `repeat` times.
    Memory {
        /// The frames, of the source's schema.
        frames: Arc<Vec<Frame>>,
        /// How many times each is given.
        repeat: usize,
    },
}

impl SourceKind {
    /// Whether records come at their own time: who waits for results wants each at once.
    pub fn is_live(&self) -> bool {
        match self {
            Self::Stream { .. } | Self::Connections { .. } | Self::Channel => true,
            Self::Generator(made) => made.rate.is_some(),
            Self::Files { .. }
            | Self::Columnar { .. }
            | Self::Columns { .. }
            | Self::Memory { .. } => false,
        }
    }

    /// The files that it reads.
    pub fn paths(&self) -> &[PathBuf] {
        match self {
            Self::Files { paths, .. } | Self::Columnar { paths, .. } => paths,
            Self::Stream { .. }
            | Self::Connections { .. }
            | Self::Channel
            | Self::Generator(_)
            | Self::Columns { .. }
            | Self::Memory { .. } => &[],
        }
    }
}

/// What a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FileFormat {
    /// JSON objects, one a line.
    #[default]
    Ndjson,
    /// Comma-separated values, in some dialect.
    Csv {
        /// How records are divided, and fields written.
        dialect: Dialect,
        /// What says the fields' names.
        header: Header,
    },
    /// Changes of rows as Debezium writes them, one a line. The schema's last column is a
    /// changelog's.
    Debezium(Captured),
    /// Frames of records in columns, as clients of a socket send them: all columns of the source,
    /// in their order.
    Binary(Arc<[Field]>),
}

/// What says the names of the fields of CSV records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// The first record of each file. Fields that no column wants are left out.
    FirstRecord,
    /// There is none: each record has fields of these names, in this order.
    Absent(Vec<String>),
}
