//! Formats of files that hold columns. A file is opened on the host, where its own schema is
//! compared with the declared one; its chunks are decoded on the shards.

mod conversion;
pub mod ipc;
pub mod parquet;

pub use self::ipc::ArrowIpc;
pub use self::parquet::Parquet;
