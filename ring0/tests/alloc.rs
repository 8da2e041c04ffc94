//! In steady state a shard's native path allocates nothing per record. An allocator counts what
//! the shards' threads ask for, while an aggregation, by keys or by windows, reads a short file and
//! a ten times longer one over the same groups: both have to cost the same.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::appender::{Channel, Value};
use trefoil_ring0::column::Column;
use trefoil_ring0::expr::{BinaryOp, Expr, Scalar, UnaryOp};
use trefoil_ring0::limits::CHUNK_BYTES;
use trefoil_ring0::program::{
    AggregateCall, AggregateFunction, AggregateSpec, EventTime, ExchangeSpec, FileFormat,
    OperatorSpec, Order, OutputSpec, Phase, Program, Reading, Routing, SourceKind, SourceSpec,
    WindowKey,
};
use trefoil_ring0::runtime::{Config, Executor, Runtime, start};
use trefoil_ring0::schema::{Field, Schema};

/// The system's allocator, which counts for threads that are named as shards are.
struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all is done by the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, bytes) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

fn count() {
    if !COUNTS.load(Ordering::Relaxed) {
        return;
    }
    let mut name = [0u8; 16];
    // SAFETY: the kernel writes at most 16 bytes, which live on this stack.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    // Shards are trefoil-0, trefoil-1 and so on; their readers are trefoil-io-0.
    let number = name.strip_prefix(b"trefoil-").and_then(|rest| rest.first());
    if number.is_some_and(u8::is_ascii_digit) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

const KEYS: u64 = 500;

/// Every so manyth text has an escape, where texts have any.
const ESCAPES_EVERY: u64 = 70;

/// What texts are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    Plain,
    SomeEscaped,
}

/// `rows` records of (key, name, value), every key among the first [`KEYS`]; some values are NULL.
fn file(rows: u64, texts: Texts) -> PathBuf {
    let name = format!("trefoil-alloc-{}-{texts:?}-{rows}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    for row in 0..rows {
        let key = row * 7919 % KEYS;
        let escaped = texts == Texts::SomeEscaped && row % ESCAPES_EVERY == 0;
        let name = if escaped {
            r#"an \"escaped\" näme"#
        } else {
            "a näme"
        };
        let value = if row % 50 == 49 {
            "null".to_owned()
        } else {
            format!("{}.5", row % 1000)
        };
        // One hour, whatever the number of rows.
        let second = row * 3600 / rows;
        let time = format!("1970-01-01T00:{:02}:{:02}", second / 60, second % 60);
        let line = format!(
            "\"key\":{key},\"name\":\"{name} {}\",\"value\":{value}",
            key % 7
        );
        writeln!(out, "{{{line},\"time\":\"{time}\"}}").unwrap();
    }
    out.flush().unwrap();
    path
}

fn schema(fields: &[(&str, DataType)]) -> Arc<Schema> {
    let fields = fields.iter().map(|(name, t)| Field::new(*name, t.clone()));
    Arc::new(Schema::new(fields.collect()))
}

/// Filter, projection, exchange by (key, name), aggregation, output.
fn groups(path: &Path) -> Program {
    let read = schema(&[
        ("key", DataType::Int64),
        ("name", DataType::Utf8),
        ("value", DataType::Float64),
    ]);
    let grouped = schema(&[
        ("key", DataType::Int64),
        ("name", DataType::Utf8),
        ("count", DataType::Int64),
        ("sum", DataType::Float64),
        ("max", DataType::Utf8),
    ]);
    let call = |function, argument| AggregateCall { function, argument };
    let aggregate = AggregateSpec {
        input: Arc::clone(&read),
        keys: vec![0, 1],
        calls: vec![
            call(AggregateFunction::Count, None),
            call(AggregateFunction::Sum, Some(2)),
            call(AggregateFunction::Max, Some(1)),
        ],
        phase: Phase::Complete,
        window: None,
        output: Arc::clone(&grouped),
    };
    let keep = Expr::Binary(
        BinaryOp::NotEq,
        Box::new(Expr::Column(0)),
        Box::new(Expr::Literal(Scalar::I64(3))),
    );
    let project = OperatorSpec::Project {
        exprs: vec![
            Expr::Column(0),
            Expr::Unary(UnaryOp::Upper, Box::new(Expr::Column(1))),
            Expr::Unary(UnaryOp::Negate, Box::new(Expr::Column(2))),
        ],
        schema: Arc::clone(&read),
    };
    Program::exchanged(
        SourceSpec::new(
            "rows",
            Arc::clone(&read),
            SourceKind::Files {
                paths: vec![path.to_owned()],
                format: FileFormat::Ndjson,
            },
        ),
        vec![OperatorSpec::Filter(keep), project],
        ExchangeSpec::hash(read, vec![0, 1]),
        vec![OperatorSpec::Aggregate(Arc::new(aggregate))],
        OutputSpec::free(grouped),
    )
}

/// COUNT(*) by minute, over a watermark that closes minutes as it passes.
fn windows(path: &Path) -> Program {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let read = schema(&[("time", time.clone()), ("key", DataType::Int64)]);
    let counted = schema(&[
        ("time", time),
        ("key", DataType::Int64),
        ("count", DataType::Int64),
    ]);
    let mut program = groups(path);
    program.sources[0].schema = Arc::clone(&read);
    program.sources[0].event_time = Some(EventTime {
        column: 0,
        lag_ns: Some(1_000_000_000),
        bound: None,
    });
    let start = Expr::TumbleStart {
        time: Box::new(Expr::Column(0)),
        size: 60_000,
        offset: 0,
    };
    let keep = Expr::Binary(
        BinaryOp::NotEq,
        Box::new(Expr::Column(1)),
        Box::new(Expr::Literal(Scalar::I64(3))),
    );
    program.stages[0].operators = vec![
        OperatorSpec::Filter(keep),
        OperatorSpec::Project {
            exprs: vec![start, Expr::Column(1)],
            schema: Arc::clone(&read),
        },
    ];
    program.exchanges[0].schema = Arc::clone(&read);
    program.exchanges[0].routing = Routing::Hash(vec![1]);
    program.exchanges[0].order = Order::Chunks { bound: None };
    program.stages[1].operators = vec![OperatorSpec::Aggregate(Arc::new(AggregateSpec {
        input: read,
        keys: vec![0, 1],
        calls: vec![AggregateCall {
            function: AggregateFunction::Count,
            argument: None,
        }],
        phase: Phase::Complete,
        window: Some(WindowKey {
            key: 0,
            size_ns: 60_000_000_000,
        }),
        output: Arc::clone(&counted),
    }))];
    program.outputs[0].schema = counted;
    program
}

/// Runs it; gives the rows that were counted into groups, the shards' allocations, their sleeps.
fn run(program: &Program, shards: usize, executor: Executor) -> (i64, u64, u64) {
    let config = Config {
        shards,
        executor,
        ring_messages: RING_MESSAGES,
        ..Config::default()
    };
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    let mut running = start(program, &config).unwrap();
    let mut rows = 0;
    while let Some(block) = running.next_block().unwrap() {
        let Column::I64(counts) = &block.rows().columns[2] else {
            panic!("not BIGINT")
        };
        rows += counts.values.iter().sum::<i64>();
        running.give_back(block);
    }
    let reports = running.finish().unwrap();
    COUNTS.store(false, Ordering::Relaxed);
    let sleeps = reports.iter().map(|r| r.sleeps).sum();
    (rows, ALLOCATIONS.load(Ordering::Relaxed) - before, sleeps)
}

/// A short file and a long one of the same keys.
struct Files([(PathBuf, u64); 2]);

impl Files {
    fn new(texts: Texts) -> Self {
        Self([ROWS, 10 * ROWS].map(|rows| (file(rows, texts), rows)))
    }

    /// Chunks of the long file.
    fn reads(&self) -> u64 {
        std::fs::metadata(&self.0[1].0)
            .unwrap()
            .len()
            .div_ceil(CHUNK_BYTES as u64)
    }

    /// The allocations of a run over each, and how often shards slept in it.
    fn measure(
        &self,
        program: fn(&Path) -> Program,
        shards: usize,
        executor: Executor,
    ) -> [(u64, u64); 2] {
        self.0.each_ref().map(|(path, rows)| {
            let (counted, allocations, sleeps) = run(&program(path), shards, executor);
            assert_eq!(counted, (rows - rows / KEYS) as i64);
            assert!(allocations > 100, "allocations are counted");
            (allocations, sleeps)
        })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.0
            .iter()
            .for_each(|(path, _)| _ = std::fs::remove_file(path));
    }
}

/// Rows of the short file: long enough that every buffer has grown to its size.
const ROWS: u64 = 40_000;
/// Messages of a ring: few, so that chance decides about few frames.
const RING_MESSAGES: usize = 4;

/// What chance may add. A lane's frame gets its memory when it is first used, by doubling: at two
/// shards the short run may have used fewer of them.
///
/// A read through io_uring is a task, a descriptor and a buffer of glommio's: a few dozen
/// allocations for each mebibyte. To sleep while a read is under way takes a task, too.
fn slack(shards: usize, executor: Executor, reads: u64, sleeps: u64) -> u64 {
    let (of_a_read, of_a_sleep) = match executor {
        Executor::Uring => (40, 8),
        Executor::Threads | Executor::Auto => (0, 0),
    };
    let lanes = if shards == 1 { 0 } else { shards * shards };
    let of_a_frame = 30;
    (20 + lanes * (RING_MESSAGES + 2) * of_a_frame) as u64 + of_a_read * reads + of_a_sleep * sleeps
}

/// The allocations of shards, and of an appender's thread, while so many rows go through a channel.
fn appended(rows: u64, shards: usize, executor: Executor) -> u64 {
    let config = Config {
        shards,
        executor,
        ring_messages: RING_MESSAGES,
        ..Config::default()
    };
    let mut program = groups(Path::new("no file"));
    program.sources[0].kind = SourceKind::Channel;
    program.sources[0].reading = Reading::InOrder;
    let schema = Arc::clone(&program.sources[0].schema);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    let mut runtime = Runtime::open(&config).unwrap();
    let mut channel = Channel::new("rows", schema, None, config.frame_rows);
    let mut running = runtime.add(&program).unwrap();
    channel.attach(&mut running, 0, &[0, 1, 2]).unwrap();
    let control = running.control();
    let mut appender = channel.appender().unwrap();
    // Named as a shard is, so that it counts, too.
    let thread = std::thread::Builder::new().name("trefoil-9".to_owned());
    let appending = thread.spawn(move || {
        for row in 0..rows {
            let key = (row * 7919 % KEYS) as i64;
            let values = [Value::I64(key), Value::Str("a name"), Value::F64(0.5)];
            appender.append_row(&values).unwrap();
            if row % 100 == 0 {
                appender.flush().unwrap();
            }
        }
    });
    appending.unwrap().join().unwrap();
    control.drain();
    let mut counted = 0;
    while let Some(block) = running.next_block().unwrap() {
        let Column::I64(counts) = &block.rows().columns[2] else {
            panic!("not BIGINT")
        };
        counted += counts.values.iter().sum::<i64>();
        running.give_back(block);
    }
    running.finish().unwrap();
    drop(runtime);
    COUNTS.store(false, Ordering::Relaxed);
    assert_eq!(counted, (rows - rows / KEYS) as i64);
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// One test, as the counter is the process's.
#[test]
fn records_cost_no_allocation() {
    let plain = Files::new(Texts::Plain);
    for executor in [Executor::Threads, Executor::Uring] {
        for shards in [1, 2] {
            for program in [groups, windows] {
                let [(few, _), (many, sleeps)] = plain.measure(program, shards, executor);
                assert!(
                    many <= few + slack(shards, executor, plain.reads(), sleeps),
                    "{executor:?}, {shards} shards: {few}, then {many}, {sleeps} sleeps"
                );
            }
        }
    }
    let some_escaped = Files::new(Texts::SomeEscaped);
    let [(few, _), (many, _)] = some_escaped.measure(groups, 1, Executor::Threads);
    assert!(
        many <= few + slack(1, Executor::Threads, 0, 0),
        "{few}, then {many}"
    );
    for executor in [Executor::Threads, Executor::Uring] {
        for shards in [1, 2] {
            let [few, many] = [ROWS, 10 * ROWS].map(|rows| appended(rows, shards, executor));
            // The lane from the appender is one more.
            let lanes = slack(shards, executor, 0, 0) + slack(2, executor, 0, 0);
            assert!(
                many <= few + lanes,
                "{executor:?}, {shards} shards: {few}, then {many} for appended rows"
            );
        }
    }
}
