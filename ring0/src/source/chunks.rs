//! The files of a source as one row of chunks: all chunks of the first file, then those of the
//! second. Chunk k is shard k mod shards', whatever file it lies in. The chunks of a file begin
//! where its records do. Positions are bytes, or numbers of records where a format says so.

use std::sync::Arc;

use super::cut::Cut;
use super::open::{Files, OpenFile};
use crate::program::Splits;
use crate::source::{Polled, Reader};

/// Where a chunk lies: positions `start..end` of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) file: usize,
    pub(super) start: u64,
    pub(super) end: u64,
    /// Its number among those of all files.
    pub(super) number: u64,
    /// That of the file's first chunk.
    pub(super) first: u64,
}

/// What is left of a shard's chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Maybe some.
    Some,
    /// None: all files were read.
    None,
    /// None that is read: the shards have stopped.
    Stopped,
}

/// The numbers of the chunks that are one shard's, in order, whatever the chunks are.
#[derive(Debug)]
pub(super) struct Numbers {
    cut: Arc<Cut>,
    shard: usize,
    shards: u64,
    /// The next chunk of this shard.
    next: u64,
    /// All chunks.
    total: u64,
    /// Others know which chunk was the last: none is begun before all have said theirs.
    told: bool,
    /// The others know that there is no other.
    told_last: bool,
    /// The barrier that this reader has not passed.
    epoch: Option<u64>,
}

/// The chunks that are one shard's, in order.
#[derive(Debug)]
pub(super) struct Chunks {
    numbers: Numbers,
    files: Arc<Vec<OpenFile>>,
    chunk_bytes: u64,
    splits: Splits,
    /// The file of the last chunk, and the number of its first one.
    file: usize,
    first: u64,
}

impl Numbers {
    pub(super) fn new(cut: &Arc<Cut>, total: u64, shard: usize, shards: usize) -> Self {
        Self {
            cut: Arc::clone(cut),
            shard,
            shards: shards as u64,
            next: shard as u64,
            total,
            told: false,
            told_last: false,
            epoch: None,
        }
    }

    /// Goes on behind so many chunks, which were read before.
    pub(super) fn begin_behind(&mut self, chunks: u64) {
        let before = self.shard as u64;
        let rounds = chunks.saturating_sub(before).div_ceil(self.shards);
        self.next = before + rounds * self.shards;
    }

    /// All chunks were read before.
    pub(super) fn go_to_end(&mut self) {
        self.begin_behind(self.total);
    }

    /// Up to the last chunk of this reader there are so many; before its first one nothing was
    /// begun here.
    fn begun(&self) -> u64 {
        (self.next + 1).saturating_sub(self.shards)
    }

    /// Is to come to a barrier.
    pub(super) fn ask(&mut self, epoch: u64) {
        assert!(self.epoch.is_none(), "one barrier is passed at a time");
        self.epoch = Some(epoch);
        if !self.told_last {
            (self.cut).report_barrier(self.shard, self.begun(), epoch);
        }
    }

    /// Of the barrier that it has come to, the epoch and the number of chunks before, once all of
    /// its own of these are begun.
    pub(super) fn at_barrier(&self) -> Option<(u64, u64)> {
        let epoch = self.epoch?;
        let chunks = self.cut.chunks_before(epoch)?;
        (self.next >= chunks.min(self.total)).then_some((epoch, chunks))
    }

    /// Goes on behind the barrier.
    pub(super) fn pass(&mut self) {
        self.epoch = None;
    }

    /// Stops where all shards do.
    pub(super) fn stop(&mut self) {
        if !self.told {
            self.told = true;
            self.cut.report(self.shard, self.begun());
        }
    }

    /// Whoever waits for this reader's last chunk is not kept waiting any more.
    fn tell_last(&mut self) {
        if !self.told_last {
            self.told_last = true;
            self.cut.report_last(self.shard, self.begun());
        }
    }

    /// The end of the chunks that may be begun.
    fn end(&self) -> u64 {
        let stop = match self.told {
            false => self.total,
            true => self.cut.chunks().unwrap_or(0),
        };
        match self.epoch {
            None => stop,
            Some(epoch) => stop.min(self.cut.chunks_before(epoch).unwrap_or(0)),
        }
    }

    /// The next chunk of this shard, if there is one.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// What is left. Who has stopped is asked for no barrier any more, and others that are wait for
    /// what it says.
    pub(super) fn left(&mut self) -> Left {
        if self.next >= self.total {
            return Left::None;
        }
        match self.cut.chunks() {
            Some(chunks) if self.told && self.next >= chunks => {
                self.tell_last();
                Left::Stopped
            }
            Some(_) | None => Left::Some,
        }
    }

    /// The next chunk that may be begun now.
    pub(super) fn pop(&mut self) -> Option<u64> {
        if self.next >= self.total {
            // Whoever stops later is not kept waiting.
            self.stop();
            self.tell_last();
        }
        let number = self.next;
        (number < self.end()).then(|| {
            self.next += self.shards;
            number
        })
    }
}

impl Chunks {
    pub(super) fn new(files: &Files, splits: Splits, reader: Reader) -> Self {
        let Reader { shard, shards, .. } = reader;
        let chunk_bytes = reader.chunk_bytes as u64;
        let chunks = files.open.iter().map(|file| file.chunks(chunk_bytes));
        Self {
            numbers: Numbers::new(&files.cut, chunks.sum(), shard, shards),
            files: Arc::clone(&files.open),
            chunk_bytes,
            splits,
            file: 0,
            first: 0,
        }
    }

    pub(super) fn file(&self, file: usize) -> &OpenFile {
        &self.files[file]
    }

    /// Stops where all shards do.
    pub(super) fn stop(&mut self) {
        self.numbers.stop();
    }

    /// What is left.
    pub(super) fn left(&mut self) -> Left {
        self.numbers.left()
    }

    /// The numbers of its chunks.
    pub(super) fn numbers(&mut self) -> &mut Numbers {
        &mut self.numbers
    }

    /// Goes on behind so many chunks, which were read before.
    pub(super) fn begin_behind(&mut self, chunks: u64) {
        self.numbers.begin_behind(chunks);
    }

    /// The file of this chunk, with the number of its first one and where it begins; `None` behind
    /// the last.
    pub(super) fn locate(&self, number: u64) -> Option<(usize, u64, u64)> {
        let mut first = 0;
        for (at, file) in self.files.iter().enumerate() {
            let count = file.chunks(self.chunk_bytes);
            if number < first + count {
                let (start, _) = file.bounds(number - first, self.chunk_bytes);
                return Some((at, first, start));
            }
            first += count;
        }
        None
    }

    /// Whether a split ends at the barrier that it has come to.
    pub(super) fn ends_split_at_barrier(&self) -> bool {
        let Some((_, chunks)) = self.numbers.at_barrier() else {
            return false;
        };
        let mut behind = 0;
        let ends = self.files.iter().any(|file| {
            behind += file.chunks(self.chunk_bytes);
            behind == chunks
        });
        chunks > 0 && (chunks >= self.numbers.total || ends && self.splits == Splits::Files)
    }

    /// What a source says behind a chunk, where others read chunks, too.
    pub(super) fn end_of(&self, chunk: &Extent) -> Polled {
        let last = chunk.first + self.files[chunk.file].chunks(self.chunk_bytes) - 1;
        match self.splits == Splits::Files && chunk.number == last {
            true => Polled::SplitEnd,
            false => Polled::ChunkEnd,
        }
    }

    /// The number of the split that a chunk is of.
    pub(super) fn split(&self, chunk: &Extent) -> usize {
        match self.splits {
            Splits::One => 0,
            Splits::Files => chunk.file,
        }
    }

    /// The next chunk that may be begun now.
    pub(super) fn pop(&mut self) -> Option<Extent> {
        let number = self.numbers.pop()?;
        let file = loop {
            let file = self.files.get(self.file)?;
            let behind = self.first + file.chunks(self.chunk_bytes);
            if number < behind {
                break file;
            }
            self.first = behind;
            self.file += 1;
        };
        let (start, end) = file.bounds(number - self.first, self.chunk_bytes);
        Some(Extent {
            file: self.file,
            start,
            end,
            number,
            first: self.first,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wake::Bell;

    const SIZES: [&[u64]; 5] = [&[], &[0], &[1], &[10, 0, 0, 25, 3], &[5; 40]];

    /// The chunks of files of these sizes behind a header, for each of so many shards.
    fn chunks(sizes: &[u64], body: u64, shards: usize) -> Vec<Chunks> {
        let bell = || Arc::new(Bell::new().expect("a descriptor"));
        let bells: Vec<_> = (0..shards).map(|_| bell()).collect();
        let file = |&size: &u64| OpenFile::of_size(body.min(size), size);
        let files = Files::new(sizes.iter().map(file).collect(), 0, &bells, &bells);
        (0..shards)
            .map(|shard| {
                let reader = Reader {
                    shard,
                    shards,
                    frame_rows: 1,
                    chunk_bytes: 4,
                    now: || 0,
                    begun: 0,
                };
                Chunks::new(&files, Splits::One, reader)
            })
            .collect()
    }

    /// Every byte behind the headers lies in one chunk, and chunk k is shard k mod shards'.
    #[test]
    fn chunks_cover_all_files() {
        for (sizes, body) in SIZES.iter().flat_map(|sizes| [(sizes, 0), (sizes, 3)]) {
            for shards in [1, 2, 3, 7] {
                let mut of = chunks(sizes, body, shards);
                let mut at: Vec<_> = sizes.iter().map(|&size| body.min(size)).collect();
                let (mut file, mut first) = (0, 0);
                for k in 0.. {
                    let Some(chunk) = of[k % shards].pop() else {
                        break;
                    };
                    assert!(chunk.file >= file, "files are in order");
                    if chunk.file > file || k == 0 {
                        first = k as u64;
                    }
                    file = chunk.file;
                    assert_eq!(chunk.start, at[file]);
                    assert_eq!((chunk.number, chunk.first), (k as u64, first));
                    at[file] = chunk.end;
                }
                assert_eq!(&at, sizes, "{shards} shards");
                assert!(of.iter_mut().all(|c| c.pop().is_none()));
                assert!(of.iter_mut().all(|c| c.left() == Left::None));
            }
        }
    }

    /// A shard that is asked for a barrier when another one has stopped and ended comes to it, and
    /// then to its own end.
    #[test]
    fn who_has_stopped_holds_up_no_barrier() {
        for ahead in 0..3 {
            let mut of = chunks(&[40], 0, 2);
            let [first, second] = &mut of[..] else {
                panic!("there are two shards")
            };
            (0..ahead).for_each(|_| assert!(first.pop().is_some()));
            assert!(second.pop().is_some());
            first.stop();
            second.stop();
            while first.pop().is_some() {}
            assert_eq!(first.left(), Left::Stopped);
            second.numbers().ask(1);
            while second.pop().is_some() {}
            assert!(second.numbers.at_barrier().is_some(), "{ahead} chunks");
            second.numbers().pass();
            while second.pop().is_some() {}
            assert_eq!(second.left(), Left::Stopped);
        }
    }

    /// However far each shard is when it hears that it is to stop: all stop, and what they read
    /// are the first chunks.
    #[test]
    fn shards_stop_together() {
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        for case in 0..2000 {
            let (sizes, shards) = (SIZES[case % 5], 1 + case / 5 % 4);
            let mut of = chunks(sizes, 0, shards);
            let mut deaf: Vec<u64> = (0..shards).map(|_| random(25)).collect();
            let mut read = Vec::new();
            while of.iter_mut().any(|c| c.left() == Left::Some) {
                let shard = random(shards as u64) as usize;
                match deaf[shard] {
                    0 => of[shard].stop(),
                    _ => deaf[shard] -= 1,
                }
                let number = of[shard].numbers.next;
                if of[shard].pop().is_some() {
                    read.push(number);
                }
            }
            read.sort_unstable();
            let first: Vec<u64> = (0..read.len() as u64).collect();
            assert_eq!(read, first, "{sizes:?}, {shards} shards");
            let all = read.len() as u64 == of[0].numbers.total;
            let stopped = of.iter_mut().any(|c| c.left() == Left::Stopped);
            assert_eq!(stopped, !all, "an end is an end, and a stop is none");
        }
    }
}
