//! What the machine refuses: each is met with a message that says what to do. Limits and filters
//! hold for a process, so each case runs in a child, this same test binary once more.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::process::Command;
use std::sync::Arc;

use arrow_schema::DataType;
use trefoil_ring0::column::Column;
use trefoil_ring0::error::Error;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::id::{ExchangeId, OutputId, SourceId};
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, ExchangeSpec, OperatorSpec, Order, OutputSpec,
    Phase, Program, Routing, SourceKind, SourceSpec, StageInput, StageOutput, StageSpec,
};
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::{Field, Schema};

const CASE: &str = "TREFOIL_TEST_CASE";

/// Runs `test` of this binary in a child that is told which case it is.
fn child(test: &str, case: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CASE, case)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {text}");
}

/// Runs an empty program, and says on what, or why not.
fn run(executor: Executor) -> Result<(Executor, Vec<String>), String> {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64)]));
    let program = Program::chain(
        SourceSpec::new(
            "none",
            Arc::clone(&schema),
            SourceKind::Memory {
                frames: Arc::default(),
                repeat: 0,
            },
        ),
        Vec::new(),
        OutputSpec::free(schema),
    );
    let config = Config {
        executor,
        ..Config::default()
    };
    let mut running = start(&program, &config).map_err(|e| e.to_string())?;
    assert!(running.next_block().unwrap().is_none());
    let said = (running.executor(), running.notes().to_vec());
    running.finish().unwrap();
    Ok(said)
}

fn refused_with(words: &[&str]) {
    let error = run(Executor::Uring).expect_err("io_uring is not to be had here");
    let (executor, notes) = run(Executor::Auto).expect("plain threads always work");
    assert_eq!(executor, Executor::Threads);
    assert_eq!(notes.len(), 1, "said once: {notes:?}");
    for word in words {
        assert!(error.contains(word), "{word:?} in {error:?}");
        assert!(notes[0].contains(word), "{word:?} in {:?}", notes[0]);
    }
    assert_eq!(run(Executor::Threads).unwrap().0, Executor::Threads);
}

/// Sets a limit of this process, for good.
fn limit(bytes: u64, set: impl FnOnce(*const libc::rlimit) -> i32) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    assert_eq!(set(&raw const limit), 0);
}

#[test]
fn too_little_locked_memory() {
    if std::env::var_os(CASE).is_none() {
        return child("too_little_locked_memory", "memlock");
    }
    // SAFETY: it is called with a struct that lives.
    limit(64 * 1024, |to| unsafe {
        libc::setrlimit(libc::RLIMIT_MEMLOCK, to)
    });
    refused_with(&["64 KiB", "512", "ulimit -l", "--executor threads"]);
}

#[test]
fn io_uring_refused() {
    if std::env::var_os(CASE).is_none() {
        return child("io_uring_refused", "seccomp");
    }
    refuse_io_uring();
    refused_with(&["io_uring is refused", "seccomp", "--executor threads"]);
}

/// Installs a filter on this process, for good, that answers EPERM to io_uring_setup.
fn refuse_io_uring() {
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let is_setup = libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: 1,
        k: libc::SYS_io_uring_setup as u32,
    };
    let mut filter = [
        // The number of the system call is the first word of what the filter sees.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        is_setup,
        statement(libc::BPF_RET | libc::BPF_K, refuse),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: plain integers.
    let refused = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(refused, 0);
    // SAFETY: the program and its filter live on this stack while the kernel copies them. All
    // threads of the process get the filter (TSYNC).
    let set = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        )
    };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

/// So many aggregations of as many rows, each by a key, behind an exchange.
fn aggregations(count: u32) -> Program {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64)]));
    let counted = vec![schema.fields[0].clone(), Field::new("n", DataType::Int64)];
    let counted = Arc::new(Schema::new(counted));
    let mut frame = Frame::new(&schema, 100);
    let Column::I64(c) = &mut frame.columns[0] else {
        panic!("not BIGINT")
    };
    (0..100).for_each(|n| c.push(Some(n)));
    frame.commit_rows(100);
    let kind = SourceKind::Memory {
        frames: Arc::new(vec![frame]),
        repeat: 1,
    };
    let mut program = Program {
        sources: vec![SourceSpec::new("s", Arc::clone(&schema), kind)],
        ..Program::default()
    };
    let aggregate = Arc::new(AggregateSpec {
        input: Arc::clone(&schema),
        keys: vec![0],
        calls: vec![AggregateCall {
            function: AggregateFunction::Count,
            argument: None,
        }],
        phase: Phase::Complete,
        window: None,
        output: Arc::clone(&counted),
    });
    for id in 0..count {
        program.stages.push(StageSpec {
            input: StageInput::Source(SourceId(0)),
            others: Vec::new(),
            operators: Vec::new(),
            output: StageOutput::Exchange(ExchangeId(id)),
        });
        program.stages.push(StageSpec {
            input: StageInput::Exchange(ExchangeId(id)),
            others: Vec::new(),
            operators: vec![OperatorSpec::Aggregate(Arc::clone(&aggregate))],
            output: StageOutput::Output(OutputId(id)),
        });
        program.exchanges.push(ExchangeSpec {
            schema: Arc::clone(&schema),
            routing: Routing::Hash(vec![0]),
            order: Order::Free,
        });
        program.outputs.push(OutputSpec {
            order: Order::Free,
            schema: Arc::clone(&counted),
        });
    }
    program
}

/// The groups of so many aggregations at eight shards.
fn groups(count: u32) -> Result<usize, Error> {
    let config = Config {
        shards: 8,
        executor: Executor::Threads,
        ring_messages: 2,
        ..Config::default()
    };
    let mut running = start(&aggregations(count), &config)?;
    let mut groups = 0;
    while let Some(block) = running.next_block()? {
        groups += block.rows().rows();
        running.give_back(block);
    }
    running.finish()?;
    Ok(groups)
}

/// State reserves more addresses than it uses. It leaves some to others, and where there are too
/// few for all of it, it says so instead of leaving nothing to the allocator.
#[test]
fn few_addresses() {
    if std::env::var_os(CASE).is_none() {
        return child("few_addresses", "addresses");
    }
    assert_eq!(groups(50).unwrap(), 5000, "as many as anybody wants");
    // SAFETY: it is called with a struct that lives.
    limit(4 << 30, |to| unsafe {
        libc::setrlimit(libc::RLIMIT_AS, to)
    });
    assert_eq!(groups(5).unwrap(), 500);
    let Error::Preflight { what, hint } = groups(50).unwrap_err() else {
        panic!("another error")
    };
    assert!(what.contains("400 aggregations"), "{what}");
    assert!(hint.contains("ulimit -v"), "{hint}");
}

#[test]
fn io_uring_is_used_where_it_is_allowed() {
    match trefoil_ring0::preflight::check_uring() {
        Ok(()) => assert_eq!(run(Executor::Auto).unwrap(), (Executor::Uring, Vec::new())),
        Err(_) => assert_eq!(run(Executor::Auto).unwrap().0, Executor::Threads),
    }
}
