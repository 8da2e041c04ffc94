//! Limits on what is read: a statement that would need more is refused with E0106 before anything
//! recurses over it. Nothing here runs per record.

use crate::functions;

/// Batches that a subscriber has not taken yet before its view is held back.
pub const SUBSCRIBER_BATCHES: usize = 64;
/// Batches that a view holds back for a subscriber, beyond [`SUBSCRIBER_BATCHES`], so that others
/// can read it.
pub const READ_AHEAD_BATCHES: usize = 1024;
/// Rows that a view takes before it looks at how much memory all of them take.
pub(crate) const WEIGH_ROWS: usize = 1024;
/// Batches that wait for who has subscribed in SQL, before it is told that it fell behind.
pub const SESSION_BATCHES: usize = 1024;
/// Cursors of one engine.
pub const CURSORS_MAX: usize = 256;
/// Batches that the channel of one partition holds before who sends waits, where nothing is said.
pub const BRIDGE_BATCHES: usize = 1024;
/// Partitions in which one query may work.
pub const PARTITIONS_MAX: usize = 1024;
/// Queries of one engine that run at once; others wait for their turn.
pub const QUERIES_AT_ONCE: usize = 8;
/// Bytes of memory that one query may take, where nothing is said.
pub const QUERY_BYTES: usize = 256 * 1024 * 1024;
/// Threads on which the queries of one engine run, at most.
pub const QUERY_THREADS_MAX: usize = 16;
/// Rows of a view that a scan makes columns of at once.
pub const SLICE_ROWS: usize = 8192;
/// Keys of a view that a query looks up one by one; where it names more, all rows are looked at.
pub const PROBES_MAX: usize = 4096;
/// Bytes of one file of a script.
pub const SCRIPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the tokens of one statement.
pub const STATEMENT_BYTES_MAX: usize = 512 * 1024;
/// Tokens of one statement.
pub const STATEMENT_TOKENS_MAX: usize = 100_000;
/// Statements of one file.
pub const STATEMENTS_MAX: usize = 10_000;
/// Brackets, CASEs and prefix operators inside one another.
pub const NESTING_MAX: usize = 64;
/// Tokens between two commas or brackets: bounds how deep operators can chain.
pub const RUN_TOKENS_MAX: usize = 4_000;
/// Depth of one expression as a tree: `a AND b AND c` has three levels.
pub const EXPRESSION_DEPTH_MAX: usize = 600;
/// UNION, EXCEPT and INTERSECT in one statement.
pub const SET_OPERATIONS_MAX: usize = 64;
/// Queries inside one another: planning a subquery doubles the work of what is in it.
pub const QUERY_DEPTH_MAX: usize = 12;
/// Views inside one another, each with the queries that stand in it.
pub const VIEW_DEPTH_MAX: usize = 16;
/// Names of views and of WITH that one query expands.
pub const VIEW_EXPANSIONS_MAX: usize = 256;
/// Items of one IN list.
pub const IN_LIST_MAX: usize = 10_000;
/// What the parser may recurse: a subquery takes four of its steps.
pub(crate) const PARSER_DEPTH_MAX: usize = 6 * NESTING_MAX;
/// Stack of a thread that reads and plans: pages are only taken when touched.
pub(crate) const STACK_BYTES: usize = 256 * 1024 * 1024;

const _: () = {
    assert!(EXPRESSION_DEPTH_MAX < RUN_TOKENS_MAX);
    assert!(RUN_TOKENS_MAX < STATEMENT_TOKENS_MAX);
    assert!(STATEMENT_BYTES_MAX < SCRIPT_BYTES_MAX);
};

/// Runs `work` where trees of the depths above can be walked, dropped and planned.
pub(crate) fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let functions = functions::known();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("trefoil-plan".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || functions.within(work));
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => panic!("no thread for planning could be started: {error}"),
        }
    })
}
