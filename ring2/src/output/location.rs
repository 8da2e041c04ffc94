//! Where a path leads, through links: to a file that is replaced when a new one is whole, or to
//! what keeps its name: a device, a pipe, a descriptor of this process.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Links behind each other, as the kernel follows them.
const LINKS_MAX: usize = 40;

/// What stands behind a path.
#[derive(Debug)]
pub enum Location {
    /// Standard output, named as a file.
    Stdout,
    /// Standard error, named as a file.
    Stderr,
    /// A device, a pipe, another descriptor, a folder.
    Direct,
    /// A file, which may not be there yet.
    File(FileLocation),
}

/// A file.
#[derive(Debug)]
pub struct FileLocation {
    links: Vec<PathBuf>,
    file: PathBuf,
    /// Device and number, where it is there.
    inode: Option<(u64, u64)>,
}

impl Location {
    /// Follows the links of a path.
    pub fn of(path: &Path) -> io::Result<Self> {
        let (stdout, stderr) = (descriptor(1), descriptor(2));
        let mut links = Vec::new();
        let mut file = in_real_folder(path)?;
        while links.len() < LINKS_MAX {
            if file == stdout {
                return Ok(Self::Stdout);
            }
            if file == stderr {
                return Ok(Self::Stderr);
            }
            // What such links lead to has no name, or one that was given for this process only.
            if file.starts_with("/proc") {
                return Ok(Self::Direct);
            }
            let inode = match file.symlink_metadata() {
                Ok(metadata) if metadata.is_symlink() => {
                    let target = file.with_file_name(file.read_link()?);
                    links.push(std::mem::replace(&mut file, in_real_folder(&target)?));
                    continue;
                }
                Ok(metadata) if !metadata.is_file() => return Ok(Self::Direct),
                Ok(metadata) => Some((metadata.dev(), metadata.ino())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            return Ok(Self::File(FileLocation { links, file, inode }));
        }
        Err(io::Error::from_raw_os_error(libc::ELOOP))
    }
}

impl FileLocation {
    /// The file itself, its folder named without links.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The file and all links to it that were followed.
    pub fn names(&self) -> impl Iterator<Item = &Path> {
        self.links.iter().chain([&self.file]).map(PathBuf::as_path)
    }

    /// Whether both are one file.
    pub fn is_same(&self, other: &Self) -> bool {
        self.file == other.file || (self.inode.is_some() && self.inode == other.inode)
    }
}

fn descriptor(number: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{number}", std::process::id()))
}

/// The path with its folder named without links.
fn in_real_folder(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return path.canonicalize();
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    Ok(folder.canonicalize()?.join(name))
}
