//! `trefoil doctor`: what this machine allows the engine, and what to do where it is little.
//! Nothing is changed, and nothing found is an error.

use std::time::{Duration, Instant};

use trefoil::Answer;
use trefoil_ring0::preflight::{MEMLOCK_MIN_BYTES, allowed_cores, check_uring, memlock_bytes};

use crate::args::DoctorArgs;
use crate::failure::Failure;
use crate::machine::read;
use crate::output;
use crate::print::{format_for, print_answer};

/// Time over which the pauses of a core are watched.
const WATCHED: Duration = Duration::from_millis(300);
/// A pause of this length and more is counted.
const PAUSE: Duration = Duration::from_micros(10);
/// Most pauses in a second that leave p99.9 alone: a thousandth of the time, at 10 us each.
const PAUSES_MAX: f64 = 100.0;

/// What was found about one thing.
struct Finding {
    what: &'static str,
    found: String,
    /// What to do about it; `None` where all is well.
    advice: Option<String>,
}

/// Prints the findings.
pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let findings = [
        cores(),
        uring(),
        memlock(),
        isolated(),
        clock_source(),
        huge_pages(),
        timer(),
    ];
    let mut target = output::open(None)?;
    let Some(format) = args.format else {
        let lines: String = findings.iter().map(Finding::lines).collect();
        return Ok(target.write(lines.as_bytes())?);
    };
    let answer = Answer {
        sql: String::new(),
        columns: Answer::texts(&["what", "verdict", "found", "advice"]),
        rows: findings.into_iter().map(Finding::row).collect(),
    };
    print_answer(&answer, format_for(&target, Some(format))?, &mut target)
}

impl Finding {
    fn verdict(&self) -> &'static str {
        match self.advice {
            None => "ok",
            Some(_) => "could be better",
        }
    }

    fn lines(&self) -> String {
        let line = format!("{}: {}: {}\n", self.what, self.verdict(), self.found);
        let advice = self.advice.iter().map(|advice| format!("    {advice}\n"));
        line + &advice.collect::<String>()
    }

    fn row(self) -> Vec<Option<String>> {
        let verdict = self.verdict().to_owned();
        let what = self.what.to_owned();
        vec![Some(what), Some(verdict), Some(self.found), self.advice]
    }
}

fn cores() -> Finding {
    let cores = allowed_cores();
    let advice = "allow two at least, one for shards and one for all else: see taskset and cpusets";
    Finding {
        what: "cores",
        found: format!("{} are allowed: {cores:?}", cores.len()),
        advice: (cores.len() < 2).then(|| advice.to_owned()),
    }
}

fn uring() -> Finding {
    let checked = check_uring();
    Finding {
        what: "io_uring",
        found: match &checked {
            Ok(()) => "executors can start".to_owned(),
            Err(_) => "executors cannot start; shards run on plain threads".to_owned(),
        },
        advice: checked.err().map(|error| error.to_string()),
    }
}

fn memlock() -> Finding {
    let bytes = memlock_bytes();
    let needed = MEMLOCK_MIN_BYTES * allowed_cores().len() as u64;
    Finding {
        what: "memlock",
        found: match bytes {
            None => "no limit".to_owned(),
            Some(bytes) => format!("{} KiB can be locked", bytes / 1024),
        },
        advice: bytes.filter(|bytes| *bytes < needed).map(|_| {
            let kib = needed / 1024;
            format!(
                "{kib} KiB are enough for all cores: `ulimit -l {kib}`, or limits.conf (memlock)"
            )
        }),
    }
}

fn isolated() -> Finding {
    let of = |name: &str| read(&format!("/sys/devices/system/cpu/{name}"));
    let known = |text: &String| !text.is_empty() && text != "(null)";
    let isolated = of("isolated").filter(known);
    let tickless = of("nohz_full").filter(known);
    let advice = "boot with isolcpus=N nohz_full=N rcu_nocbs=N, then run with --pin N";
    Finding {
        what: "isolated cores",
        found: format!(
            "isolated: {}; without ticks: {}",
            isolated.as_deref().unwrap_or("none"),
            tickless.as_deref().unwrap_or("none")
        ),
        advice: (isolated.is_none() || tickless.is_none()).then(|| advice.to_owned()),
    }
}

fn clock_source() -> Finding {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = read(path);
    // These are read without a system call.
    let quick = [
        "tsc",
        "kvm-clock",
        "hyperv_clocksource_tsc_page",
        "arch_sys_counter",
    ];
    let is_quick = source.as_deref().is_some_and(|name| quick.contains(&name));
    Finding {
        what: "clock",
        found: source.unwrap_or_else(|| "unknown".to_owned()),
        advice: (!is_quick).then(|| {
            "reading it may be a system call: boot with clocksource=tsc tsc=reliable".to_owned()
        }),
    }
}

fn huge_pages() -> Finding {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    let modes = read(path);
    // The mode in force stands in brackets.
    let mode = modes.as_deref().and_then(|text| {
        let (_, rest) = text.split_once('[')?;
        Some(rest.split_once(']')?.0.to_owned())
    });
    let given = mode.as_deref().is_some_and(|mode| mode != "never");
    Finding {
        what: "huge pages",
        found: match mode {
            Some(mode) => format!("transparent: {mode}"),
            None => "none that are transparent".to_owned(),
        },
        advice: (!given).then(|| format!("state in large tables is slower: echo madvise > {path}")),
    }
}

/// Watches a core that does nothing but look at the clock: what it misses was taken from it.
fn timer() -> Finding {
    let begin = Instant::now();
    let (mut pauses, mut longest, mut last) = (0u32, Duration::ZERO, begin);
    while last - begin < WATCHED {
        let now = Instant::now();
        let gap = now - last;
        pauses += u32::from(gap >= PAUSE);
        longest = longest.max(gap);
        last = now;
    }
    let a_second = f64::from(pauses) / WATCHED.as_secs_f64();
    let advice = "a core is taken from its thread: isolate cores, move interrupts away \
                  (/proc/irq/*/smp_affinity); on a virtual machine, ask for dedicated ones";
    Finding {
        what: "timer noise",
        found: format!(
            "{a_second:.0} pauses a second of {} us and more, the longest of {} us",
            PAUSE.as_micros(),
            longest.as_micros()
        ),
        advice: (a_second > PAUSES_MAX).then(|| advice.to_owned()),
    }
}
