//! The files behind a path: one file, the files of a folder in the order of their names, or those
//! that match a pattern. Names that begin with a dot are not committed yet, or nobody's business,
//! and folders in a folder are others. All else is named, so that opening what is no file says so:
//! nothing is left out because it cannot be read.

use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

/// Expands a path. What does not exist, or cannot be listed, is given back as it is, so that
/// opening it says so.
pub(crate) fn expand(path: &Path) -> Vec<PathBuf> {
    let mut files = if path.is_dir() {
        let entries = std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let Ok(entries) = entries else {
            return vec![path.to_owned()];
        };
        let files = entries.iter().map(DirEntry::path);
        files.filter(|file| is_data(file)).collect()
    } else if path.exists() {
        return vec![path.to_owned()];
    } else {
        let pattern = path.to_str().and_then(|p| glob::glob(p).ok());
        let matches = pattern.into_iter().flatten();
        let files = matches.filter_map(|file| match file {
            Ok(file) => is_data(&file).then_some(file),
            Err(unlisted) => Some(unlisted.path().to_owned()),
        });
        let files: Vec<PathBuf> = files.collect();
        if files.is_empty() {
            return vec![path.to_owned()];
        }
        files
    };
    files.sort();
    files
}

/// Whether a source declared with `path`, a folder or a pattern, would read `file` if it were
/// there. The folder of `file` is named without links.
pub fn would_read(path: &Path, file: &Path) -> bool {
    if is_hidden(file) {
        return false;
    }
    if path.is_dir() {
        return path.canonicalize().ok().as_deref() == file.parent();
    }
    if path.exists() {
        return false;
    }
    // Only folders before the first one with a wildcard can be looked up.
    let parts: Vec<_> = path.components().collect();
    let is_plain = |part: &std::path::Component<'_>| {
        let text = part.as_os_str().to_string_lossy();
        glob::Pattern::escape(&text) == text
    };
    let plain = parts.iter().take_while(|part| is_plain(part)).count();
    let folder: PathBuf = parts[..plain].iter().collect();
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => &folder,
    };
    let rest: PathBuf = parts[plain..].iter().collect();
    let (Ok(folder), Some(rest)) = (folder.canonicalize(), rest.to_str()) else {
        return false;
    };
    let Ok(below) = file.strip_prefix(folder) else {
        return false;
    };
    let options = glob::MatchOptions {
        require_literal_separator: true,
        ..glob::MatchOptions::new()
    };
    let pattern = glob::Pattern::new(rest);
    pattern.is_ok_and(|pattern| pattern.matches_path_with(below, options))
}

fn is_data(path: &Path) -> bool {
    !is_hidden(path) && !path.is_dir()
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name();
    name.is_some_and(|name| name.as_encoded_bytes().first() == Some(&b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_patterns() {
        let folder = std::env::temp_dir().join(format!("trefoil-expand-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("below")).expect("a folder");
        for name in ["b.json", "a.json", ".c.json", "d.txt"] {
            std::fs::write(folder.join(name), "").expect("a file");
        }
        let names = |path: &str| -> Vec<String> {
            let files = expand(&folder.join(path));
            let name = |f: &PathBuf| {
                f.strip_prefix(&folder)
                    .expect("below")
                    .display()
                    .to_string()
            };
            files.iter().map(name).collect()
        };
        assert_eq!(names(""), ["a.json", "b.json", "d.txt"]);
        assert_eq!(names("*.json"), ["a.json", "b.json"]);
        assert_eq!(names("?.[jt]*"), ["a.json", "b.json", "d.txt"]);
        assert_eq!(names("a.json"), ["a.json"]);
        assert_eq!(names("none.json"), ["none.json"]);
        assert_eq!(names("*.csv"), ["*.csv"]);
        assert_eq!(names("below"), Vec::<String>::new());
        // What is no file is named, so that opening it says so.
        std::os::unix::fs::symlink("none", folder.join("below/a.json")).expect("a link");
        assert_eq!(names("below"), ["below/a.json"]);
        assert_eq!(names("below/*.json"), ["below/a.json"]);
        let real = folder.canonicalize().expect("a folder");
        for (path, file, want) in [
            ("", "new.json", true),
            ("", ".new.json", false),
            ("", "below/new.json", false),
            ("below/..", "new.json", true),
            ("*.json", "new.json", true),
            ("*.json", ".new.json", false),
            ("*.json", "new.csv", false),
            ("*.json", "below/new.json", false),
            ("*/*.json", "below/new.json", true),
            ("**/*.json", "below/new.json", true),
            ("below/../*.json", "new.json", true),
            ("a.json", "a.json", false),
        ] {
            let read = would_read(&folder.join(path), &real.join(file));
            assert_eq!(read, want, "{path} and {file}");
        }
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
