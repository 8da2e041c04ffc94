//! The files behind a path: one file, the files of a folder in the order of their names, or those
//! that match a pattern. Names that begin with a dot are not committed yet, or nobody's business.

use std::path::{Path, PathBuf};

/// Expands a path. What does not exist is given back as it is, so that opening it says so.
pub(crate) fn expand(path: &Path) -> Vec<PathBuf> {
    let mut files = if path.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(is_data).collect()
    } else if path.exists() {
        return vec![path.to_owned()];
    } else {
        let pattern = path.to_str().and_then(|p| glob::glob(p).ok());
        let matches = pattern.into_iter().flatten().flatten();
        let files: Vec<PathBuf> = matches.filter(is_data).collect();
        if files.is_empty() {
            return vec![path.to_owned()];
        }
        files
    };
    files.sort();
    files
}

#[expect(clippy::ptr_arg, reason = "a filter of owned paths")]
fn is_data(path: &PathBuf) -> bool {
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().first() == Some(&b'.'));
    path.is_file() && !hidden
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
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
