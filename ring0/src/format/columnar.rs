//! Formats whose files hold columns. What knows such a format lives outside of Ring 0, behind these
//! traits, and does no I/O on a shard: a decoder says which bytes it needs, the source has them
//! read, and the decoder goes on. A position in such a file is the number of a record.

use std::fmt::Debug;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::ArrayRef;

use crate::schema::Schema;

/// Whether the chunks of a source are taken in their order behind it. Where they are, who reads the
/// next one waits with its rows, so that large ones are read one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// In order.
    InOrder,
    /// As they come.
    InAnyOrder,
}

/// A format of files that hold columns.
pub trait ColumnarFormat: Debug + Send + Sync {
    /// Reads what a file says of itself and checks that it has the schema's columns; on the host,
    /// before anything runs. Which chunks it is divided into follows from the file, the schema and
    /// `taken`, whatever number of shards reads it.
    ///
    /// # Errors
    /// What is wrong with the file, without its name.
    fn open(
        &self,
        file: &Arc<File>,
        schema: &Schema,
        taken: Taken,
    ) -> Result<Arc<dyn ColumnarFile>, String>;
}

/// A file of a [`ColumnarFormat`], which all shards read.
pub trait ColumnarFile: Debug + Send + Sync {
    /// How many records are before each chunk, and, last, how many there are in all: ascending, one
    /// more than there are chunks. A chunk is what one shard decodes before the next one's turn.
    fn chunks(&self) -> &[u64];

    /// A decoder of the schema's columns, for one shard. It is asked for every `stride`-th chunk.
    fn decoder(self: Arc<Self>, stride: usize) -> Box<dyn Decoder>;
}

/// Decodes chunks of one file, on one shard.
pub trait Decoder: Debug + Send {
    /// Goes to a chunk, which lies behind those before. It was not begun, or was decoded to its
    /// end.
    fn begin(&mut self, chunk: usize);

    /// Goes on with that chunk, as far as the bytes go. A call decodes a bounded number of rows.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn decode(&mut self) -> Result<Decoded, String>;

    /// Takes the bytes that were asked for.
    fn give(&mut self, range: Range<u64>, bytes: Vec<u8>);
}

/// How far a decoder came.
#[derive(Debug)]
pub enum Decoded {
    /// It needs these bytes of the file.
    Needs(Range<u64>),
    /// The next rows.
    Rows(Rows),
    /// The chunk has no more rows.
    ChunkEnd,
}

/// Rows in Arrow's layout.
#[derive(Debug)]
pub struct Rows {
    /// How many.
    pub count: usize,
    /// An array for each column of the schema, of its type.
    pub columns: Vec<ArrayRef>,
    /// Rows that cannot be taken, in order, with the reason; what the arrays hold of them is of no
    /// meaning.
    pub bad: Vec<(usize, String)>,
}
