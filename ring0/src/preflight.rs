//! What the machine allows, asked before any shard starts: cores, locked memory, io_uring. What
//! is refused is an error that says what to do.

use crate::error::{Error, Result};

/// Locked memory that one executor needs at least, in bytes.
pub const MEMLOCK_MIN_BYTES: u64 = 512 * 1024;

/// The cores on which this process may run, in order.
pub fn allowed_cores() -> Vec<usize> {
    // SAFETY: a cpu_set_t is plain bits, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set lives on this stack and its size is passed.
    let failed = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if failed != 0 {
        return vec![0];
    }
    let bits = 8 * size_of::<libc::cpu_set_t>();
    // SAFETY: `core` is below the number of bits of the set.
    (0..bits)
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .collect()
}

/// Pins the calling thread to a core.
///
/// # Errors
/// Where the core is not allowed.
pub fn pin_thread(core: usize) -> std::io::Result<()> {
    keep_thread_to(&[core])
}

/// Lets the calling thread run on these cores only.
///
/// # Errors
/// Where one of them is no core, or none is allowed.
pub fn keep_thread_to(cores: &[usize]) -> std::io::Result<()> {
    // SAFETY: as above, all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &core in cores {
        if core >= 8 * size_of::<libc::cpu_set_t>() {
            return Err(std::io::Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: `core` is below the number of bits of the set.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: the set lives on this stack and its size is passed.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Has the calling thread give way to all others, for good.
///
/// # Errors
/// Where the system does not allow it.
pub fn give_way() -> std::io::Result<()> {
    // SAFETY: it takes numbers; on Linux 0 is the calling thread.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Checks that each named core may be used.
///
/// # Errors
/// Naming the first that may not, and those that may.
pub fn check_cores(named: &[usize]) -> Result<()> {
    let allowed = allowed_cores();
    match named.iter().find(|core| !allowed.contains(core)) {
        None => Ok(()),
        Some(core) => Err(Error::Preflight {
            what: format!("core {core} is not allowed to this process"),
            hint: format!("allowed are {allowed:?}: name some of these with --pin"),
        }),
    }
}

/// A limit of this process, the greatest number where there is none.
fn limit(get: impl FnOnce(*mut libc::rlimit) -> i32) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    match get(&raw mut limit) {
        0 => limit.rlim_cur,
        _ => u64::MAX,
    }
}

/// Memory that this process may lock, in bytes; `None` where there is no limit.
pub fn memlock_bytes() -> Option<u64> {
    // SAFETY: it is called with a struct that lives.
    let bytes = limit(|to| unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, to) });
    (bytes != libc::RLIM_INFINITY).then_some(bytes)
}

/// Bytes of addresses that this process may have.
pub fn addresses_max() -> u64 {
    // SAFETY: it is called with a struct that lives.
    limit(|to| unsafe { libc::getrlimit(libc::RLIMIT_AS, to) })
}

/// Checks that io_uring executors can start.
///
/// # Errors
/// With what is in the way and how to clear it.
pub fn check_uring() -> Result<()> {
    let threads = "or run with --executor threads";
    if let Some(bytes) = memlock_bytes().filter(|bytes| *bytes < MEMLOCK_MIN_BYTES) {
        return Err(Error::Preflight {
            what: format!(
                "too little locked memory for io_uring: {} KiB are allowed, {} are needed",
                bytes / 1024,
                MEMLOCK_MIN_BYTES / 1024
            ),
            hint: format!("raise it with `ulimit -l` or in limits.conf (memlock), {threads}"),
        });
    }
    // io_uring_params is 120 bytes, all zero for the defaults.
    let mut params = [0u8; 120];
    // SAFETY: the kernel reads and writes the 120 bytes on this stack and nothing else.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 2u32, params.as_mut_ptr()) };
    if fd < 0 {
        let error = std::io::Error::last_os_error();
        return Err(Error::Preflight {
            what: format!("io_uring is refused: {error}"),
            hint: format!(
                "allow io_uring_setup in the container's seccomp profile and see that \
                 kernel.io_uring_disabled is 0, {threads}"
            ),
        });
    }
    // SAFETY: the descriptor was just made and nobody else has it.
    unsafe { libc::close(fd as i32) };
    Ok(())
}
