//! Prints of what a run depends on: by them a run that goes on from a checkpoint notices a file
//! that is not what was read, and a script that is not what was run.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checksum;

/// Most bytes that are compared of a file's beginning.
const HEAD_BYTES: u64 = 64 << 10;
/// Most bytes that are compared in front of where reading goes on.
const TAIL_BYTES: u64 = 4 << 10;

/// Numbers of 64 bits as text: readers of JSON may keep only 53 of them.
pub(crate) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{value:016x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

/// A file of a source, and how much of it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePrint {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes it had.
    pub size: u64,
    /// Offset in bytes behind what was read: reading goes on there.
    pub read_upto: u64,
    /// How many bytes of its beginning `head_hash` is of.
    pub head_bytes: u64,
    /// Hash of its beginning.
    #[serde(with = "hex")]
    pub head_hash: u64,
    /// How many bytes in front of `read_upto` `tail_hash` is of.
    pub tail_bytes: u64,
    /// Hash of what is in front of `read_upto`.
    #[serde(with = "hex")]
    pub tail_hash: u64,
}

impl FilePrint {
    /// The print of a file that was read as far as the offset `read_upto`, in bytes.
    ///
    /// # Errors
    /// It cannot be read, or is shorter than what was read.
    pub fn of(path: &Path, read_upto: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let head_bytes = size.min(HEAD_BYTES);
        let tail_bytes = read_upto.min(TAIL_BYTES);
        Ok(Self {
            path: path.to_owned(),
            size,
            read_upto,
            head_bytes,
            head_hash: hash_of(&file, 0, head_bytes)?,
            tail_bytes,
            tail_hash: hash_of(&file, read_upto - tail_bytes, tail_bytes)?,
        })
    }

    /// Whether the file at `path` is the one that was read, so that reading can go on at
    /// `read_upto`. It may have grown.
    ///
    /// # Errors
    /// How it differs: it is not there, was truncated, or has other content.
    pub fn check(&self, path: &Path) -> Result<(), String> {
        let name = path.display();
        let failed = |error: io::Error| format!("{name} cannot be read again: {error}");
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if size < self.read_upto {
            return Err(format!(
                "{name} was truncated: {} bytes of it were read, and it has {size}",
                self.read_upto
            ));
        }
        if size < self.size {
            return Err(format!(
                "{name} was truncated: it had {} bytes, and has {size}",
                self.size
            ));
        }
        if hash_of(&file, 0, self.head_bytes).map_err(failed)? != self.head_hash {
            return Err(format!(
                "{name} was replaced: its first {} bytes are not those that were read",
                self.head_bytes
            ));
        }
        let from = self.read_upto - self.tail_bytes;
        if hash_of(&file, from, self.tail_bytes).map_err(failed)? != self.tail_hash {
            return Err(format!(
                "{name} was changed: its bytes from {from} to {} are not those that were read",
                self.read_upto
            ));
        }
        Ok(())
    }
}

fn hash_of(file: &File, from: u64, bytes: u64) -> io::Result<u64> {
    let mut content = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut content, from)?;
    Ok(checksum(&content))
}

/// A statement of a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementPrint {
    /// Its text in one canonical form.
    pub text: String,
    /// Hash of what it was lowered to, as far as state depends on it.
    #[serde(with = "hex")]
    pub hash: u64,
}

/// How the script differs from the one the checkpoint is of, in words that name the first statement
/// that does, counted from 1; `None` where it does not.
pub fn changed_statement(before: &[StatementPrint], now: &[StatementPrint]) -> Option<String> {
    let number = (0..before.len().max(now.len())).find(|&at| before.get(at) != now.get(at))?;
    let at = number + 1;
    Some(match (before.get(number), now.get(number)) {
        (Some(was), Some(is)) if was.text == is.text => {
            format!(
                "statement {at} has its text and runs in another way: {}",
                is.text
            )
        }
        (Some(was), Some(is)) => format!("statement {at} was: {}\nand is: {}", was.text, is.text),
        (Some(was), None) => format!("statement {at} is gone: {}", was.text),
        (None, Some(is)) => format!("statement {at} is new: {}", is.text),
        (None, None) => return None,
    })
}
