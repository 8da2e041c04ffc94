//! Engines with a state directory, and what goes on from it. What a crash leaves is a copy of the
//! directory, taken while more was under way.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod attaching;
mod producers;
mod views;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use trefoil::datafusion::arrow::util::pretty::pretty_format_batches;
use trefoil::engine::{Builder, Idle};
use trefoil::{Engine, params};

/// A folder that goes when its test does.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        // Tests of one process may run side by side under the same name.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("trefoil-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// So seldom that none comes by itself.
const NEVER: Duration = Duration::from_secs(3600);

fn builder(state: &Path, shards: usize) -> Builder {
    let builder = Engine::builder().shards(shards).idle(Idle::Park);
    builder.state_dir(state).checkpoint_every(NEVER)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => _ = fs::copy(entry.path(), to).unwrap(),
        }
    }
}

/// The rows of a view, as text, whatever their order.
fn rows(engine: &Engine, view: &str) -> Vec<String> {
    let rows = engine.query(&format!("SELECT * FROM {view}"), &params![]);
    let text = pretty_format_batches(&rows.unwrap()).unwrap().to_string();
    let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}
