//! The thread that writes checkpoints: it takes the pieces of an epoch while the stream goes on,
//! and commits what all shards have told, with the files of sinks that were written before.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::{Draft, ManifestData, Place, SinkPrint, Store, StoreError};

/// Pieces that wait to be written, at most; whoever gives them asks before.
const PIECES_MAX: usize = 64;

/// What is to be done.
enum Order {
    Begin(u64),
    Piece(u32, Place, Vec<u8>),
    Commit(u64, Box<ManifestData>),
    Abandon,
}

/// What became of an epoch.
#[derive(Debug)]
pub enum Outcome {
    /// It is durable, and the files of its sinks have their names; and what kept older files from
    /// being removed, if something did: the next one tries again.
    Written(u64, Option<StoreError>),
    /// It is not, and why; the next one may be.
    Failed(u64, StoreError),
    /// It is not, and files of its sinks may have lost rows, which nobody has any more: nobody may
    /// go on but from the one before.
    Lost(u64, StoreError),
    /// It is durable, and files of its sinks did not get their names: nobody may go on but from it.
    Unfinished(u64, StoreError),
}

/// A store on a thread of its own. Dropping it writes what was ordered and ends it.
#[derive(Debug)]
pub struct Writer {
    orders: Option<Sender<Order>>,
    outcomes: Receiver<Outcome>,
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; `wake` is called behind each outcome, and once there is room again.
    ///
    /// # Errors
    /// There is no thread left.
    pub fn start(store: Store, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (orders, taken) = channel();
        let (tell, outcomes) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut work = Work {
            store,
            draft: None,
            failed: None,
            waiting: Arc::clone(&waiting),
        };
        let run = move || {
            for order in taken {
                // Who found no room sleeps, perhaps, and nobody else wakes him.
                let was_full = work.waiting.load(Ordering::Relaxed) >= PIECES_MAX;
                let outcome = work.take(order);
                let is_told = outcome.is_some();
                // Nobody asks any more where the other end is gone.
                _ = outcome.map(|outcome| tell.send(outcome));
                if is_told || was_full {
                    wake();
                }
            }
        };
        let thread = std::thread::Builder::new().name("trefoil-checkpoint".to_owned());
        Ok(Self {
            orders: Some(orders),
            outcomes,
            waiting,
            thread: Some(thread.spawn(run)?),
        })
    }

    fn order(&self, order: Order) {
        let orders = self.orders.as_ref().expect("taken by drop only");
        orders
            .send(order)
            .expect("the thread takes orders to its end");
    }

    /// Begins an epoch.
    pub fn begin(&self, epoch: u64) {
        self.order(Order::Begin(epoch));
    }

    /// Whether pieces are written as fast as they come: where not, they had better wait.
    pub fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < PIECES_MAX
    }

    /// A piece of the epoch that was begun.
    pub fn piece(&self, shard: u32, place: Place, bytes: Vec<u8>) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.order(Order::Piece(shard, place, bytes));
    }

    /// Commits the epoch that was begun; its outcome follows.
    pub fn commit(&self, epoch: u64, data: ManifestData) {
        self.order(Order::Commit(epoch, Box::new(data)));
    }

    /// Drops the epoch that was begun.
    pub fn abandon(&self) {
        self.order(Order::Abandon);
    }

    /// What became of an epoch, if that is known now.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcomes.try_recv().ok()
    }

    /// Waits for what becomes of an epoch.
    pub fn wait(&self) -> Option<Outcome> {
        self.outcomes.recv().ok()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was printed where it happened.
            let _ = thread.join();
        }
    }
}

/// What the thread has in hand.
struct Work {
    store: Store,
    draft: Option<Draft>,
    /// Why the epoch in hand cannot be committed any more.
    failed: Option<StoreError>,
    waiting: Arc<AtomicUsize>,
}

impl Work {
    fn take(&mut self, order: Order) -> Option<Outcome> {
        match order {
            Order::Begin(epoch) => {
                (self.draft, self.failed) = (None, None);
                match self.store.begin(epoch) {
                    Ok(draft) => self.draft = Some(draft),
                    Err(error) => self.failed = Some(error),
                }
                None
            }
            Order::Piece(shard, place, bytes) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                if let Some(draft) = &mut self.draft
                    && let Err(error) = draft.append(shard, place, &bytes)
                {
                    self.draft = None;
                    self.failed = Some(error);
                }
                None
            }
            Order::Abandon => {
                self.draft = None;
                None
            }
            Order::Commit(epoch, data) => Some(self.commit(epoch, *data)),
        }
    }

    fn commit(&mut self, epoch: u64, data: ManifestData) -> Outcome {
        let draft = match (self.draft.take(), self.failed.take()) {
            (Some(draft), None) => draft,
            (_, Some(error)) => return Outcome::Failed(epoch, error),
            (None, None) => panic!("an epoch is begun before it is committed"),
        };
        let sinks = data.sinks.clone();
        // A second fsync may succeed over pages that the first one dropped.
        if let Err(error) = sync(&sinks) {
            return Outcome::Lost(epoch, error);
        }
        let committed = match draft.commit(data) {
            Err(error) => return Outcome::Failed(epoch, error),
            Ok(committed) => committed,
        };
        match finish_sinks(&sinks) {
            Err(error) => Outcome::Unfinished(epoch, error),
            Ok(()) => Outcome::Written(epoch, committed.not_removed),
        }
    }
}

fn failed(doing: &'static str, path: &Path, error: io::Error) -> StoreError {
    StoreError::Io {
        doing,
        path: path.to_owned(),
        error,
    }
}

/// Makes the files of sinks durable under the names they were written with.
fn sync(sinks: &[SinkPrint]) -> Result<(), StoreError> {
    let mut folders = BTreeSet::new();
    for prepared in sinks.iter().flat_map(|sink| &sink.prepared) {
        let path = &prepared.temporary;
        let synced = File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|error| failed("fsync", path, error))?;
        folders.extend(path.parent().map(Path::to_owned));
    }
    sync_folders(&folders)
}

fn sync_folders(folders: &BTreeSet<PathBuf>) -> Result<(), StoreError> {
    for folder in folders {
        let synced = File::open(folder).and_then(|file| file.sync_all());
        synced.map_err(|error| failed("fsync", folder, error))?;
    }
    Ok(())
}

/// Gives the files of sinks their names, those that have not got them: the second step of a commit,
/// and the first one of whoever goes on from it.
///
/// # Errors
/// [`StoreError::Io`] where a file has neither name, or cannot be renamed.
pub fn finish_sinks(sinks: &[SinkPrint]) -> Result<(), StoreError> {
    let mut folders = BTreeSet::new();
    for prepared in sinks.iter().flat_map(|sink| &sink.prepared) {
        // What is under the other name by then is of somebody else.
        if prepared.name.exists() {
            continue;
        }
        match fs::rename(&prepared.temporary, &prepared.name) {
            Ok(()) => folders.extend(prepared.name.parent().map(Path::to_owned)),
            Err(error) => return Err(failed("rename", &prepared.temporary, error)),
        }
    }
    sync_folders(&folders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::any::Any;

    use crate::checkpoint::Prepared;
    use crate::checkpoint::disk::{Disk, Incoming, LocalDisk, Outgoing};

    fn data(sinks: Vec<SinkPrint>) -> ManifestData {
        ManifestData {
            created_ns: 0,
            shards: 1,
            seed: 0,
            chunk_bytes: 1,
            step: 0,
            fingerprint: Vec::new(),
            sources: Vec::new(),
            sinks,
            counters: serde_json::Value::Null,
        }
    }

    fn sink(folder: &Path, [temporary, name]: [&Path; 2]) -> SinkPrint {
        SinkPrint {
            name: "o".to_owned(),
            path: folder.to_owned(),
            prepared: vec![Prepared {
                temporary: temporary.to_owned(),
                name: name.to_owned(),
                bytes: 3,
            }],
        }
    }

    /// Rows of which nobody knows whether they are on the disk are in no checkpoint.
    #[test]
    fn what_cannot_be_made_durable_is_lost() {
        let dir = std::env::temp_dir().join(format!("trefoil-{}-lost", std::process::id()));
        let writer = Writer::start(Store::open(&dir).expect("a folder"), || {}).expect("a thread");
        let names = [".part-1-0.json", "part-1-0.json"].map(|name| dir.join(name));
        writer.begin(1);
        writer.commit(
            1,
            data(vec![sink(&dir, names.each_ref().map(PathBuf::as_path))]),
        );
        match writer.wait() {
            Some(Outcome::Lost(1, error)) => {
                assert!(error.to_string().contains("fsync"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        drop(writer);
        let store = Store::open(&dir).expect("it is free");
        assert!(store.newest().expect("it is read").is_none());
        drop(store);
        fs::remove_dir_all(dir).expect("it is there");
    }

    /// A disk that removes nothing.
    #[derive(Debug)]
    struct Stuck;

    impl Disk for Stuck {
        fn make_dir(&self, dir: &Path) -> io::Result<()> {
            LocalDisk.make_dir(dir)
        }

        fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
            LocalDisk.lock(path)
        }

        fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
            LocalDisk.list(dir)
        }

        fn create(&self, path: &Path) -> io::Result<Box<dyn Outgoing>> {
            LocalDisk.create(path)
        }

        fn open(&self, path: &Path) -> io::Result<Box<dyn Incoming>> {
            LocalDisk.open(path)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            LocalDisk.rename(from, to)
        }

        fn remove(&self, _: &Path) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }

        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            LocalDisk.sync_dir(dir)
        }
    }

    /// What cannot be removed is no reason to go back, and is told.
    #[test]
    fn files_that_stay_are_told() {
        let dir = std::env::temp_dir().join(format!("trefoil-{}-stay", std::process::id()));
        let store = Store::open_on(Arc::new(Stuck), &dir).expect("a folder");
        let writer = Writer::start(store, || {}).expect("a thread");
        let mut told = Vec::new();
        for epoch in 1..=4 {
            writer.begin(epoch);
            writer.commit(epoch, data(Vec::new()));
            match writer.wait() {
                Some(Outcome::Written(of, why)) if of == epoch => told.push(why.is_some()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told.last(), Some(&true), "{told:?}");
        drop(writer);
        fs::remove_dir_all(dir).expect("it is there");
    }

    /// Who waits for room sleeps until he is woken.
    #[test]
    fn who_found_no_room_is_woken() {
        let dir = std::env::temp_dir().join(format!("trefoil-{}-room", std::process::id()));
        let store = Store::open(&dir).expect("a folder");
        let (woken, wakes) = channel();
        let (go_on, waits) = channel();
        let wake = move || {
            woken.send(()).expect("the test listens");
            // The test has gone on for good.
            _ = waits.recv();
        };
        let writer = Writer::start(store, wake).expect("a thread");
        // The thread is held where it tells of this one.
        writer.begin(1);
        writer.commit(1, data(Vec::new()));
        wakes.recv().expect("it is woken for the outcome");
        for _ in 0..PIECES_MAX {
            assert!(writer.has_room());
            let place = Place {
                kind: 1,
                number: 0,
                level: 0,
            };
            writer.piece(0, place, Vec::new());
        }
        assert!(!writer.has_room());
        go_on.send(()).expect("the thread waits");
        wakes.recv().expect("it is woken for room");
        drop(go_on);
        drop(writer);
        fs::remove_dir_all(dir).expect("it is there");
    }

    /// A file that has its name keeps it, whatever a later run calls its own.
    #[test]
    fn files_of_sinks_get_their_names_once() {
        let folder = std::env::temp_dir().join(format!("trefoil-{}-names", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let [temporary, name] = [".part-1-0.json", "part-1-0.json"].map(|name| folder.join(name));
        let sinks = [sink(&folder, [&temporary, &name])];
        fs::write(&temporary, "one").expect("a file");
        finish_sinks(&sinks).expect("the first time");
        fs::write(&temporary, "two").expect("another file");
        finish_sinks(&sinks).expect("again");
        assert_eq!(fs::read_to_string(&name).expect("it has its name"), "one");
        fs::remove_file(&name).expect("it is there");
        fs::remove_file(&temporary).expect("it is there");
        assert!(finish_sinks(&sinks).is_err(), "neither is there");
        fs::remove_dir(folder).expect("it is empty");
    }
}
