//! What tests of the binary share: a folder of their own, and the binary run in it.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "not every test needs all of it"
)]

use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder that goes when its test does.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trefoil-{name}-{}", std::process::id()));
        _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// Names of files that were begun and not given their name.
    pub(crate) fn temporary_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The binary, to be run in the folder.
pub(crate) fn trefoil(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trefoil"));
    command.current_dir(&folder.0);
    command
}

/// Runs the statements with these options.
pub(crate) fn run_script(folder: &Folder, sql: &str, options: &[&str]) -> Output {
    folder.write("q.sql", sql);
    let output = trefoil(folder)
        .args(["run", "q.sql"])
        .args(options)
        .output();
    output.unwrap()
}

/// Text that a program printed.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
