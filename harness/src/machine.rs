//! Facts about the machine and the build, without which a figure means nothing.

use std::process::Command;

use serde::Serialize;
use trefoil_ring0::preflight::allowed_cores;
use trefoil_ring0::runtime::Executor;

/// The machine a result was made on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) cpu: Option<String>,
    /// Cores allowed to this process.
    pub(crate) cores: usize,
    /// Release of the kernel.
    pub(crate) kernel: Option<String>,
    /// Memory in KiB.
    pub(crate) memory_kib: Option<u64>,
}

impl Machine {
    /// This machine.
    pub(crate) fn here() -> Self {
        Self {
            cpu: cpu(),
            cores: allowed_cores().len(),
            kernel: read("/proc/sys/kernel/osrelease"),
            memory_kib: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }
}

/// The processor's name, with the numbers that tell it apart where a host hides the name.
fn cpu() -> Option<String> {
    let of = |name| field("/proc/cpuinfo", name);
    let name = of("model name")?;
    Some(match (of("cpu family"), of("model")) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name,
    })
}

/// The commit of the working directory, if it is in a repository.
pub(crate) fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// An executor's name, as it is typed.
pub(crate) fn executor_name(executor: Executor) -> &'static str {
    match executor {
        Executor::Auto => "auto",
        Executor::Uring => "uring",
        Executor::Threads => "threads",
    }
}

/// The text of a small file, if there is one.
pub(crate) fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path)?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}
