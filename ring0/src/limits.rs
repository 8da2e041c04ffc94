//! Every limit of Ring 0, and how they relate.

/// Rows of a frame when nothing else is said.
pub const FRAME_ROWS_DEFAULT: usize = 1024;
/// Most rows of a frame.
pub const FRAME_ROWS_MAX: usize = 65_536;
/// A frame that holds this many bytes of strings is full, whatever its rows.
pub const FRAME_BYTES: usize = 256 * 1024;
/// Most bytes of one record; a longer one is bad data.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages of one ring of a lane when nothing else is said.
pub const RING_MESSAGES_DEFAULT: usize = 64;
/// Fewest messages of a ring with which programs still make progress.
pub const RING_MESSAGES_MIN: usize = 2;
/// Messages of all rings from one shard in an exchange: between many shards each is shorter.
pub const RING_MESSAGES_OF_SHARD: usize = 4096;
/// Number of key groups: the unit of ownership and of rescaling.
pub const KEY_GROUPS: usize = 1024;
/// Most shards: each owns at least one key group.
pub const SHARDS_MAX: usize = KEY_GROUPS;
/// Bytes of a file that one shard parses before the next chunk.
pub const CHUNK_BYTES: usize = 1024 * 1024;
/// Groups that a shard makes of rows before they cross an exchange, when nothing else is said: as
/// many as lie in the second cache.
pub const COMBINE_GROUPS: usize = 16_384;
/// Rows of a group below which it does not pay to make one.
pub const COMBINE_REPEAT: u64 = 2;
/// Where it does not pay: rows that cross as they are before it is looked again, for each group
/// that was made.
pub const COMBINE_PASS: u64 = 32;
/// Bytes of one page of state.
pub const PAGE_BYTES: usize = 64 * 1024;
/// Pages of an operator that are copied while it hands its state on, before its rows wait for that.
pub const FROZEN_PAGES_MAX: usize = 16 * 1024;
/// Pages that are made again as they were for one slice of what is handed on.
pub const FROZEN_IMAGES_MAX: usize = 16;
/// How long an idle shard looks for work before it parks, in nanoseconds, when nothing else is
/// said.
pub const IDLE_SPIN_NS_DEFAULT: u64 = 100_000;
/// How long the host looks for results before it sleeps, where it has a core for that.
pub const HOST_LOOK_NS: u64 = 50_000;
/// Turns without work between two looks at the clock.
pub const IDLE_TURNS: u32 = 64;
/// Programs that one shard runs at once, those that were dropped and are not gone yet included.
pub const PROGRAMS_MAX: usize = 256;
/// Reads of files that one shard has under way at once, where a thread carries them out.
pub const READS_MAX: usize = 256;
/// Lanes of appenders that a source, or an appender, has not taken yet.
pub const LANES_MAX: usize = 256;
/// Names of producers of a channel, which stand in each snapshot.
pub const PRODUCERS_MAX: usize = 4096;
/// Places of an appender's ring that are kept for its end: what is staged in the lane, what is left
/// of the frame in hand, which is at most two frames more, and the marks.
pub const LANE_RESERVE: usize = 6;
/// Updates of replicated tables that a shard may not have taken yet.
pub const REPLICATED_UPDATES_MAX: usize = 4;
/// Bytes by which state of a shard grows before all programs are looked at for a limit.
pub const WEIGH_BYTES: u64 = 256 * 1024;
/// Turns after which they are looked at in any case.
pub const WEIGH_TURNS: u32 = 16;
/// Times at which sleeping shards look whether changes that wait are to be told of, in the time
/// between two tellings.
pub const PACE_PARTS: i64 = 4;
/// Most milliseconds between two such looks.
pub const PACE_MS_MAX: i64 = 50;

/// Milliseconds between two looks at the clock, where something happens after so much time.
pub(crate) fn pace_ms(every_ns: i64) -> i64 {
    (every_ns / 1_000_000 / PACE_PARTS).clamp(1, PACE_MS_MAX)
}
/// Deepest nesting of an expression.
pub const EXPR_DEPTH_MAX: usize = 256;
/// Lists and structs inside each other.
pub const TYPE_DEPTH_MAX: usize = 16;
/// Most digits of a DECIMAL, which 128 bits hold.
pub const DECIMAL_DIGITS_MAX: u8 = 38;

const _: () = assert!(FRAME_ROWS_DEFAULT <= FRAME_ROWS_MAX);
const _: () = assert!(RING_MESSAGES_OF_SHARD / SHARDS_MAX >= RING_MESSAGES_MIN);
const _: () = assert!(KEY_GROUPS.is_power_of_two());
const _: () = assert!(PAGE_BYTES.is_power_of_two());
// Offsets of strings are 32 bits wide: a full frame plus one greatest record has to fit.
const _: () = assert!(FRAME_BYTES + RECORD_BYTES_MAX < i32::MAX as usize);
