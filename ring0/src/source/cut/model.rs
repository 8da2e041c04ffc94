//! Two readers that come to a barrier, under a model checker: whatever the order of their steps,
//! both find the same number of chunks before it, though one may be past it and at its own end
//! while the other still looks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use loom::sync::atomic::AtomicU64;
use loom::thread;

use super::{NEVER, Reader, Word, most};

impl Word for AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        Self::load(self, order)
    }

    fn store(&self, value: u64, order: Ordering) {
        Self::store(self, value, order);
    }
}

const EPOCH: u64 = 1;
/// Chunks of all files.
const TOTAL: u64 = 16;

/// Says that so many chunks are begun, looks where the barrier is, and once it is known reads all
/// that is behind it. Gives what it saw.
fn read(readers: &[Reader<AtomicU64>; 2], number: usize, begun: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    readers[number].barrier.say(begun, EPOCH);
    for _ in 0..2 {
        let Some(before) = most(readers, |reader| reader.before(EPOCH)) else {
            continue;
        };
        seen.push(before);
        readers[number].last.say(TOTAL, NEVER);
    }
    seen
}

#[test]
fn readers_agree_where_a_barrier_is() {
    loom::model(|| {
        let readers: Arc<[Reader<AtomicU64>; 2]> = Arc::default();
        let other = {
            let readers = Arc::clone(&readers);
            thread::spawn(move || read(&readers, 0, 5))
        };
        let mut seen = read(&readers, 1, 3);
        seen.extend(other.join().expect("it ends"));
        assert!(seen.iter().all(|before| *before == 5), "{seen:?}");
    });
}

/// Who was at its end before it was asked says nothing of the barrier, which is behind all it had.
#[test]
fn the_end_of_a_reader_counts_where_it_was_not_asked() {
    loom::model(|| {
        let readers: Arc<[Reader<AtomicU64>; 2]> = Arc::default();
        let other = {
            let readers = Arc::clone(&readers);
            thread::spawn(move || readers[0].last.say(TOTAL, NEVER))
        };
        let seen = read(&readers, 1, 3);
        other.join().expect("it ends");
        assert!(seen.iter().all(|before| *before == TOTAL), "{seen:?}");
    });
}
