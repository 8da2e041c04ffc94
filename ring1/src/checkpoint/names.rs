//! Names of files in a state directory. A file with any other name is none of ours.

use std::path::{Path, PathBuf};

/// The file whose lock says who writes.
pub(crate) const LOCK: &str = "lock";
/// Where part files are.
const STATE: &str = "state";
const MANIFEST: &str = "manifest-";
const PART: &str = ".part";
/// What is being written begins so.
const TEMPORARY: &str = ".";

/// Digits of the largest epoch: names sort as their numbers do.
const EPOCH_DIGITS: usize = 20;
const SHARD_DIGITS: usize = 10;

pub(crate) fn state_dir(dir: &Path) -> PathBuf {
    dir.join(STATE)
}

pub(crate) fn manifest(epoch: u64) -> String {
    format!("{MANIFEST}{epoch:0EPOCH_DIGITS$}")
}

/// The name of a manifest until it is whole.
pub(crate) fn temporary_manifest(epoch: u64) -> String {
    format!("{TEMPORARY}{}", manifest(epoch))
}

pub(crate) fn part(epoch: u64, shard: u32) -> String {
    format!("{epoch:0EPOCH_DIGITS$}-{shard:0SHARD_DIGITS$}{PART}")
}

/// The epoch of a manifest's name.
pub(crate) fn epoch_of_manifest(name: &str) -> Option<u64> {
    number(name.strip_prefix(MANIFEST)?, EPOCH_DIGITS)
}

/// The epoch of the name of a manifest that was not whole yet.
pub(crate) fn epoch_of_temporary(name: &str) -> Option<u64> {
    epoch_of_manifest(name.strip_prefix(TEMPORARY)?)
}

/// Epoch and shard of a part file's name.
pub(crate) fn place_of_part(name: &str) -> Option<(u64, u32)> {
    let (epoch, shard) = name.strip_suffix(PART)?.split_once('-')?;
    let shard = number(shard, SHARD_DIGITS)?;
    Some((number(epoch, EPOCH_DIGITS)?, shard.try_into().ok()?))
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let is_ours = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    is_ours.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for epoch in [0, 1, 17, u64::MAX] {
            assert_eq!(epoch_of_manifest(&manifest(epoch)), Some(epoch));
            assert_eq!(epoch_of_temporary(&temporary_manifest(epoch)), Some(epoch));
            for shard in [0, 3, u32::MAX] {
                let name = part(epoch, shard);
                assert_eq!(place_of_part(&name), Some((epoch, shard)));
            }
        }
    }

    #[test]
    fn other_names_are_none_of_ours() {
        let manifests = [
            "manifest-1",
            "manifest-0000000000000000000x",
            "manifest-+0000000000000000001",
            "manifest-00000000000000000001~",
            "manifest-99999999999999999999",
            ".manifest-00000000000000000001",
            "Manifest-00000000000000000001",
            "",
        ];
        for name in manifests {
            assert_eq!(epoch_of_manifest(name), None, "{name}");
        }
        assert_eq!(epoch_of_temporary(&manifest(1)), None);
        let parts = [
            "00000000000000000001-0000000001.part.bak",
            "00000000000000000001-1.part",
            "1-0000000001.part",
            "00000000000000000001-9999999999.part",
            "00000000000000000001-00000000-1.part",
            "a.part",
        ];
        for name in parts {
            assert_eq!(place_of_part(name), None, "{name}");
        }
    }
}
