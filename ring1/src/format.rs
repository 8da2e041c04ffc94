//! Formats of files that hold columns. A file is opened on the host, where its own schema is
//! compared with the declared one; its chunks are decoded on the shards.

mod conversion;
pub mod ipc;
pub mod parquet;

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

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

/// What is done where something panics.
type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// A hook for panics that are no errors of files.
fn of_others(hook: Hook) -> Hook {
    Box::new(move |info| {
        if !IS_TOLD.get() {
            hook(info);
        }
    })
}

/// Does something whose panic is told by who catches it, and by nobody before.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| panic::set_hook(of_others(panic::take_hook())));
    let before = IS_TOLD.replace(true);
    let done = work();
    IS_TOLD.set(before);
    done
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// What a crate says of a damaged file comes with the error, and not before it.
    #[test]
    fn panics_over_files_are_told_once() {
        let told = Arc::new(AtomicUsize::new(0));
        let mine = std::thread::current().id();
        let count = Arc::clone(&told);
        panic::set_hook(of_others(Box::new(move |_| {
            if std::thread::current().id() == mine {
                count.fetch_add(1, Ordering::Relaxed);
            }
        })));
        let error = guarded(|| -> Result<(), String> { panic!("offsets") });
        assert_eq!(error, Err("it is damaged: offsets".to_owned()));
        assert_eq!(told.load(Ordering::Relaxed), 0);
        assert!(catch_unwind(|| panic!("mine")).is_err());
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
