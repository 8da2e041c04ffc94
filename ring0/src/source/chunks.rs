//! The files of a source as one row of chunks: all chunks of the first file, then those of the
//! second. Chunk k is shard k mod shards', whatever file it lies in.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::program::{SourceKind, SourceSpec};

/// A file that the host has opened.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: Arc<File>,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// The files of a source, in order.
pub(crate) type Files = Arc<Vec<OpenFile>>;

/// Opens what a source reads; empty for one that reads no file.
pub(crate) fn open(spec: &SourceSpec) -> Result<Files> {
    let files = match &spec.kind {
        SourceKind::Files { paths, .. } => paths.iter().map(|path| open_file(spec, path)).collect(),
        SourceKind::Columns { .. } | SourceKind::Memory { .. } => Ok(Vec::new()),
    };
    files.map(Arc::new)
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

/// The chunks that are one shard's, in order.
#[derive(Debug)]
pub(super) struct Chunks {
    files: Files,
    chunk_bytes: u64,
    shards: u64,
    /// The next chunk of this shard, counted within `file`.
    next: u64,
    file: usize,
}

impl Chunks {
    pub(super) fn new(files: Files, chunk_bytes: usize, shard: usize, shards: usize) -> Self {
        Self {
            files,
            chunk_bytes: chunk_bytes as u64,
            shards: shards as u64,
            next: shard as u64,
            file: 0,
        }
    }

    pub(super) fn file(&self, file: usize) -> &OpenFile {
        &self.files[file]
    }

    /// The next chunk.
    pub(super) fn pop(&mut self) -> Option<Extent> {
        loop {
            let size = self.files.get(self.file)?.size;
            let chunks = size.div_ceil(self.chunk_bytes);
            if self.next < chunks {
                break;
            }
            self.next -= chunks;
            self.file += 1;
        }
        let start = self.next * self.chunk_bytes;
        self.next += self.shards;
        let size = self.files[self.file].size;
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

    /// Every byte of every file lies in one chunk, and chunk k is shard k mod shards'.
    #[test]
    fn chunks_cover_all_files() {
        let null = Arc::new(File::open("/dev/null").expect("the null device"));
        for sizes in [vec![], vec![0], vec![1], vec![10, 0, 0, 25, 3], vec![5; 40]] {
            let file = |&size| OpenFile {
                file: Arc::clone(&null),
                path: PathBuf::new(),
                size,
            };
            let files: Files = Arc::new(sizes.iter().map(file).collect());
            for shards in [1, 2, 3, 7] {
                let mut of: Vec<Chunks> = (0..shards)
                    .map(|shard| Chunks::new(Arc::clone(&files), 4, shard, shards))
                    .collect();
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
            }
        }
    }
}
