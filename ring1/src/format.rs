//! Formats of files that hold columns. A file is opened on the host, where its own schema is
//! compared with the declared one; its chunks are decoded on the shards.

mod conversion;
pub mod ipc;
pub mod parquet;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use self::ipc::ArrowIpc;
pub use self::parquet::Parquet;

/// Does something with a file's bytes by a crate that panics over some that no writer writes: to
/// who reads the file that is an error of the file. What was in hand is used no more behind it.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!(
            "it is damaged: {}",
            text.unwrap_or("its bytes make no sense")
        ))
    })
}
