//! Where queries run: an asynchronous runtime of their own, away from the shards' cores where there
//! are others, else behind whatever else wants to run. Each query has its share of memory and no
//! more, and only so many run at once: so none of them can take what another one has.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use trefoil_ring0::preflight::{allowed_cores, give_way, keep_thread_to};

use crate::error::{Error, Result};
use crate::limits::{QUERIES_AT_ONCE, QUERY_THREADS_MAX, STACK_BYTES};

/// How long a query is waited for before it is asked whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Whether who waits for a query still wants it.
#[derive(Clone, Copy)]
pub(super) enum Still<'w> {
    /// It does.
    Wanted,
    /// As long as this says so.
    While(&'w dyn Fn() -> bool),
}

impl Still<'_> {
    pub(super) fn is_wanted(self) -> bool {
        match self {
            Self::Wanted => true,
            Self::While(wanted) => wanted(),
        }
    }

    /// How long is waited before that is asked again.
    pub(super) fn look(self) -> Duration {
        match self {
            Self::Wanted => Duration::MAX,
            Self::While(_) => LOOK,
        }
    }
}

/// What queries run on. It is started for the first of them.
#[derive(Debug)]
pub(super) struct Workers {
    cores: Cores,
    query_bytes: usize,
    places: Arc<Semaphore>,
    runtime: OnceLock<Runtime>,
}

/// The cores of its threads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cores {
    /// No shard has these.
    Free(Vec<usize>),
    /// Shards have all of them.
    Shared(Vec<usize>),
}

impl Cores {
    /// Of the allowed ones.
    fn beside(shards: &[usize], allowed: Vec<usize>) -> Self {
        let is_free = |core: &usize| !shards.contains(core);
        let free: Vec<usize> = allowed.iter().copied().filter(is_free).collect();
        match free.is_empty() {
            true => Self::Shared(allowed),
            false => Self::Free(free),
        }
    }

    fn all(&self) -> &[usize] {
        match self {
            Self::Free(cores) | Self::Shared(cores) => cores,
        }
    }

    /// Has the calling thread keep to them. What the system refuses makes it slower for others, and
    /// no answer another one.
    fn take(&self) {
        _ = keep_thread_to(self.all());
        if let Self::Shared(_) = self {
            _ = give_way();
        }
    }
}

impl Workers {
    /// For an engine whose shards are on these cores. To be made on a thread that is not pinned.
    pub(super) fn new(shards: &[usize], query_bytes: usize) -> Self {
        Self {
            cores: Cores::beside(shards, allowed_cores()),
            query_bytes,
            places: Arc::new(Semaphore::new(QUERIES_AT_ONCE)),
            runtime: OnceLock::new(),
        }
    }

    /// Threads, and so partitions of a query's work.
    pub(super) fn width(&self) -> usize {
        self.cores.all().len().clamp(1, QUERY_THREADS_MAX)
    }

    /// The memory of one query. Nothing goes to the disk instead.
    pub(super) fn environment(&self) -> Result<Arc<RuntimeEnv>> {
        let no_disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(self.query_bytes)))
            .with_disk_manager_builder(no_disk)
            .build_arc()
            .map_err(|e| Error::engine("E0606", format!("no memory for a query: {e}")))
    }

    /// Bytes that one query may take.
    pub(super) fn query_bytes(&self) -> usize {
        self.query_bytes
    }

    /// Runs a query when it is its turn, and waits for it as long as it is wanted; `None` where it
    /// is not any more: it ends behind what it is in the middle of, and nobody waits for that. The
    /// calling thread may be one of another asynchronous runtime.
    pub(super) fn run_while<T: Send + 'static>(
        &self,
        still: Still<'_>,
        query: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<Option<T>> {
        let (reply, answer) = sync_channel(1);
        let places = Arc::clone(&self.places);
        let task = self.runtime()?.spawn(async move {
            let place = places.acquire_owned().await;
            let result = query.await;
            drop(place);
            // Who asked waits for it.
            _ = reply.send(result);
        });
        let panicked =
            || Error::engine("E0609", "a query panicked: a bug, which ended no other one");
        let Still::While(_) = still else {
            let answer = answer.recv().unwrap_or_else(|_| Err(panicked()));
            return answer.map(Some);
        };
        loop {
            match answer.recv_timeout(still.look()) {
                Ok(answer) => return answer.map(Some),
                Err(RecvTimeoutError::Disconnected) => return Err(panicked()),
                Err(RecvTimeoutError::Timeout) if still.is_wanted() => {}
                Err(RecvTimeoutError::Timeout) => {
                    task.abort();
                    return Ok(None);
                }
            }
        }
    }

    fn runtime(&self) -> Result<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let cores = self.cores.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.width())
            .thread_name("trefoil-query")
            .thread_stack_size(STACK_BYTES)
            .on_thread_start(move || cores.take())
            .build()
            .map_err(|e| Error::engine("E0606", format!("no runtime for queries: {e}")))?;
        if let Err(second) = self.runtime.set(runtime) {
            second.shutdown_background();
        }
        Ok(self.runtime.get().expect("it was set"))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Within a task of another runtime nothing may be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn queries_keep_off_the_shards_cores_where_there_are_others() {
        let beside = |shards: &[usize]| Cores::beside(shards, vec![1, 2, 5]);
        assert_eq!(beside(&[1]), Cores::Free(vec![2, 5]));
        assert_eq!(beside(&[]), Cores::Free(vec![1, 2, 5]));
        assert_eq!(beside(&[5, 1, 2, 1]), Cores::Shared(vec![1, 2, 5]));
        let workers = Workers::new(&allowed_cores(), 1);
        assert_eq!(
            workers.width(),
            allowed_cores().len().min(QUERY_THREADS_MAX)
        );
    }

    #[test]
    fn threads_run_where_they_are_to() {
        let allowed = allowed_cores();
        let [first, others @ ..] = &allowed[..] else {
            unreachable!("there is a core")
        };
        let expected = match others.is_empty() {
            true => allowed.clone(),
            false => others.to_vec(),
        };
        let workers = Workers::new(&[*first], 1);
        let ran = workers.run_while(Still::Wanted, async { Ok(allowed_cores()) });
        assert_eq!(ran.expect("it runs"), Some(expected));
    }

    #[test]
    fn a_query_that_panics_ends_no_other() {
        let workers = Workers::new(&[], 1);
        for still in [Still::Wanted, Still::While(&|| true)] {
            let ended = workers.run_while::<()>(still, async { panic!("on purpose") });
            assert_eq!(ended.unwrap_err().code(), "E0609");
            let ran = workers.run_while(still, async { Ok(1) });
            assert_eq!(ran.expect("others run"), Some(1));
        }
        assert_eq!(workers.places.available_permits(), QUERIES_AT_ONCE);
    }

    #[test]
    fn a_query_that_is_not_wanted_is_given_up() {
        let workers = Workers::new(&[], 1);
        let asked = Cell::new(0);
        let wanted = || asked.replace(asked.get() + 1) < 1;
        let (held, dropped) = sync_channel::<()>(0);
        let ran = workers.run_while(Still::While(&wanted), async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok(())
        });
        assert_eq!((ran.expect("it is no error"), asked.get()), (None, 2));
        // What it held is given back.
        dropped.recv().expect_err("nothing is sent");
        while workers.places.available_permits() < QUERIES_AT_ONCE {
            std::thread::yield_now();
        }
    }
}
