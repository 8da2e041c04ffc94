//! The files of a source as one row of chunks: all chunks of the first file, then those of the
//! second. Chunk k is shard k mod shards', whatever file it lies in.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cut::Cut;
use crate::error::{Error, Result};
use crate::program::{Reading, SourceKind, SourceSpec};
use crate::wake::Bell;

/// A file that the host has opened.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: Arc<File>,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// The files of a source, in order, and where its readers stop.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    list: Vec<OpenFile>,
    cut: Cut,
}

/// What all shards share of a source.
pub(crate) type Files = Arc<OpenFiles>;

/// Opens what a source reads, for the shards with these bells; empty for one that reads no file.
pub(crate) fn open(spec: &SourceSpec, shards: &[Arc<Bell>]) -> Result<Files> {
    let list = match &spec.kind {
        SourceKind::Files { paths, .. } => paths.iter().map(|path| open_file(spec, path)).collect(),
        SourceKind::Columns { .. } | SourceKind::Memory { .. } => Ok(Vec::new()),
    };
    let readers = match spec.reading {
        Reading::Chunks => shards,
        Reading::InOrder => &shards[..1],
    };
    let (list, cut) = (list?, Cut::new(readers));
    Ok(Arc::new(OpenFiles { list, cut }))
}

fn open_file(spec: &SourceSpec, path: &Path) -> Result<OpenFile> {
    let failed = |message: String| Error::Open {
        name: spec.name.clone(),
        path: path.to_owned(),
        message,
    };
    // Asked before it is opened: opening a pipe waits for who writes into it.
    let regular = |facts: Metadata| match facts.is_file() {
        true => Ok(facts.len()),
        false => Err(failed("it is not a regular file".to_owned())),
    };
    std::fs::metadata(path)
        .map_err(|e| failed(e.to_string()))
        .and_then(regular)?;
    let file = File::open(path).map_err(|e| failed(e.to_string()))?;
    let facts = file.metadata().map_err(|e| failed(e.to_string()))?;
    let size = regular(facts)?;
    Ok(OpenFile {
        file: Arc::new(file),
        path: path.to_owned(),
        size,
    })
}

/// Where a chunk lies: bytes `start..end` of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) file: usize,
    pub(super) start: u64,
    pub(super) end: u64,
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

/// The chunks that are one shard's, in order.
#[derive(Debug)]
pub(super) struct Chunks {
    files: Files,
    chunk_bytes: u64,
    shard: usize,
    shards: u64,
    /// The next chunk of this shard, counted over all files, and within `file`.
    number: u64,
    next: u64,
    file: usize,
    /// All chunks of all files.
    total: u64,
    /// Others know which chunk was the last: none is begun before all have said theirs.
    told: bool,
}

impl Chunks {
    pub(super) fn new(files: Files, chunk_bytes: usize, shard: usize, shards: usize) -> Self {
        let chunk_bytes = chunk_bytes as u64;
        let chunks = files.list.iter().map(|f| f.size.div_ceil(chunk_bytes));
        Self {
            total: chunks.sum(),
            files,
            chunk_bytes,
            shard,
            shards: shards as u64,
            number: shard as u64,
            next: shard as u64,
            file: 0,
            told: false,
        }
    }

    pub(super) fn file(&self, file: usize) -> &OpenFile {
        &self.files.list[file]
    }

    /// Stops where all shards do.
    pub(super) fn stop(&mut self) {
        if !self.told {
            self.told = true;
            // Before the first chunk of this shard nothing was begun here.
            let begun = (self.number + 1).saturating_sub(self.shards);
            self.files.cut.report(self.shard, begun);
        }
    }

    /// The end of the chunks that may be begun.
    fn end(&self) -> u64 {
        match self.told {
            false => self.total,
            true => self.files.cut.chunks().unwrap_or(0),
        }
    }

    /// What is left.
    pub(super) fn left(&self) -> Left {
        if self.number >= self.total {
            return Left::None;
        }
        match self.files.cut.chunks() {
            Some(chunks) if self.told && self.number >= chunks => Left::Stopped,
            Some(_) | None => Left::Some,
        }
    }

    /// The next chunk that may be begun now.
    pub(super) fn pop(&mut self) -> Option<Extent> {
        if self.number >= self.total {
            // Whoever stops later is not kept waiting.
            self.stop();
        }
        if self.number >= self.end() {
            return None;
        }
        loop {
            let size = self.files.list[self.file].size;
            let chunks = size.div_ceil(self.chunk_bytes);
            if self.next < chunks {
                break;
            }
            self.next -= chunks;
            self.file += 1;
        }
        let start = self.next * self.chunk_bytes;
        self.next += self.shards;
        self.number += self.shards;
        let size = self.files.list[self.file].size;
        Some(Extent {
            file: self.file,
            start,
            end: (start + self.chunk_bytes).min(size),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [&[u64]; 5] = [&[], &[0], &[1], &[10, 0, 0, 25, 3], &[5; 40]];

    /// The chunks of files of these sizes, for each of so many shards.
    fn chunks(sizes: &[u64], shards: usize) -> Vec<Chunks> {
        let null = Arc::new(File::open("/dev/null").expect("the null device"));
        let file = |&size| OpenFile {
            file: Arc::clone(&null),
            path: PathBuf::new(),
            size,
        };
        let bell = || Arc::new(Bell::new().expect("a descriptor"));
        let bells: Vec<_> = (0..shards).map(|_| bell()).collect();
        let files: Files = Arc::new(OpenFiles {
            list: sizes.iter().map(file).collect(),
            cut: Cut::new(&bells),
        });
        (0..shards)
            .map(|shard| Chunks::new(Arc::clone(&files), 4, shard, shards))
            .collect()
    }

    /// Every byte of every file lies in one chunk, and chunk k is shard k mod shards'.
    #[test]
    fn chunks_cover_all_files() {
        for sizes in SIZES {
            for shards in [1, 2, 3, 7] {
                let mut of = chunks(sizes, shards);
                let mut at = vec![0; sizes.len()];
                let mut file = 0;
                for k in 0.. {
                    let Some(chunk) = of[k % shards].pop() else {
                        break;
                    };
                    assert!(chunk.file >= file, "files are in order");
                    file = chunk.file;
                    assert_eq!(chunk.start, at[file]);
                    at[file] = chunk.end;
                }
                assert_eq!(at, sizes, "{shards} shards");
                assert!(of.iter_mut().all(|c| c.pop().is_none()));
                assert!(of.iter().all(|c| c.left() == Left::None));
            }
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
            let mut of = chunks(sizes, shards);
            let mut deaf: Vec<u64> = (0..shards).map(|_| random(25)).collect();
            let mut read = Vec::new();
            while of.iter().any(|c| c.left() == Left::Some) {
                let shard = random(shards as u64) as usize;
                match deaf[shard] {
                    0 => of[shard].stop(),
                    _ => deaf[shard] -= 1,
                }
                let number = of[shard].number;
                if of[shard].pop().is_some() {
                    read.push(number);
                }
            }
            read.sort_unstable();
            let first: Vec<u64> = (0..read.len() as u64).collect();
            assert_eq!(read, first, "{sizes:?}, {shards} shards");
            let all = read.len() as u64 == of[0].total;
            let stopped = of.iter().any(|c| c.left() == Left::Stopped);
            assert_eq!(stopped, !all, "an end is an end, and a stop is none");
        }
    }
}
