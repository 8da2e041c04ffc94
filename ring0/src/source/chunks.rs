//! The files of a source as one row of chunks: all chunks of the first file, then those of the
//! second. Chunk k is shard k mod shards', whatever file it lies in. The chunks of a file begin
//! where its records do.

use std::sync::Arc;

use super::open::OpenFile;

/// Where a chunk lies: bytes `start..end` of a file.
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

/// The chunks that are one shard's, in order.
#[derive(Debug)]
pub(super) struct Chunks {
    files: Arc<Vec<OpenFile>>,
    chunk_bytes: u64,
    shards: u64,
    /// The next chunk of this shard, counted within `file`.
    next: u64,
    file: usize,
    /// The number of the file's first chunk.
    first: u64,
}

/// How many chunks a file has.
pub(super) fn count(file: &OpenFile, chunk_bytes: u64) -> u64 {
    (file.size - file.body).div_ceil(chunk_bytes)
}

impl Chunks {
    pub(super) fn new(
        files: Arc<Vec<OpenFile>>,
        chunk_bytes: usize,
        shard: usize,
        shards: usize,
    ) -> Self {
        Self {
            files,
            chunk_bytes: chunk_bytes as u64,
            shards: shards as u64,
            next: shard as u64,
            file: 0,
            first: 0,
        }
    }

    pub(super) fn file(&self, file: usize) -> &OpenFile {
        &self.files[file]
    }

    /// The next chunk.
    pub(super) fn pop(&mut self) -> Option<Extent> {
        let file = loop {
            let file = self.files.get(self.file)?;
            let chunks = count(file, self.chunk_bytes);
            if self.next < chunks {
                break file;
            }
            self.next -= chunks;
            self.first += chunks;
            self.file += 1;
        };
        let start = file.body + self.next * self.chunk_bytes;
        let extent = Extent {
            file: self.file,
            start,
            end: (start + self.chunk_bytes).min(file.size),
            number: self.first + self.next,
            first: self.first,
        };
        self.next += self.shards;
        Some(extent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte behind the headers lies in one chunk, and chunk k is shard k mod shards'.
    #[test]
    fn chunks_cover_all_files() {
        for sizes in [vec![], vec![0], vec![1], vec![10, 0, 0, 25, 3], vec![5; 40]] {
            for body in [0, 3] {
                let file = |&size: &u64| OpenFile::of_size(body.min(size), size);
                let files: Arc<Vec<_>> = Arc::new(sizes.iter().map(file).collect());
                for shards in [1, 2, 3, 7] {
                    let mut of: Vec<Chunks> = (0..shards)
                        .map(|shard| Chunks::new(Arc::clone(&files), 4, shard, shards))
                        .collect();
                    let mut at: Vec<_> = files.iter().map(|f| f.body).collect();
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
                    assert_eq!(at, sizes, "{shards} shards");
                    assert!(of.iter_mut().all(|c| c.pop().is_none()));
                }
            }
        }
    }
}
