//! Formats of files that hold columns. A file is opened on the host, where its own schema is
//! compared with the declared one; its chunks are decoded on the shards.

mod conversion;
pub mod ipc;
pub mod parquet;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use self::ipc::ArrowIpc;
pub use self::parquet::Parquet;

/// Does something with a file's bytes by a crate that panics over some that no writer writes: to
/// who reads the file that is an error of the file. What was in hand is used no more behind it.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let done = quietly(|| catch_unwind(AssertUnwindSafe(work)));
    done.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!(
            "it is damaged: {}",
            text.unwrap_or("its bytes make no sense")
        ))
    })
}

thread_local! {
    /// Whether a panic of this thread is an error of a file, and is told as such.
    static IS_TOLD: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread, now, is told as an error of a file by who reads it. A binary's
/// own panic hook may ask, to tell of it once; the engine has none.
pub fn panics_are_told() -> bool {
    IS_TOLD.get()
}

/// Does something whose panic is told by who catches it.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let before = IS_TOLD.replace(true);
    let done = work();
    IS_TOLD.set(before);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a crate says of a damaged file comes with the error, and a hook can know that.
    #[test]
    fn panics_over_files_are_told_by_their_readers() {
        let error = guarded(|| -> Result<(), String> {
            assert!(panics_are_told());
            panic!("offsets")
        });
        assert_eq!(error, Err("it is damaged: offsets".to_owned()));
        assert!(!panics_are_told());
    }
}
