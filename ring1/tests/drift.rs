//! A source that is too far ahead of another one stays where it is, also while barriers are cut:
//! one that is cut between any two frames gives none for it, one that is cut between chunks ends
//! the chunk that it is in, and begins no other.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use arrow_array::{ArrayRef, TimestampNanosecondArray};
use arrow_schema::{DataType, TimeUnit};
use trefoil_ring0::column::Column;
use trefoil_ring0::id::{ExchangeId, OutputId, SourceId};
use trefoil_ring0::program::{
    Draw, EventTime, ExchangeSpec, GeneratedColumn, GeneratorSpec, Made, Order, OutputSpec,
    Program, Reading, Routing, SourceKind, SourceSpec, StageInput, StageOutput, StageSpec,
};
use trefoil_ring0::runtime::{Config, Executor, Next, start};
use trefoil_ring0::schema::{Field, Schema};
use trefoil_ring1::watermark::Patience;

const FRAME_ROWS: usize = 16;
/// Rows of the source behind, and how many of them are looked at: what is on its way when it ends
/// may change places with what the other one gives then.
const ROWS: i64 = 40_000;
const LOOKED_AT: usize = 30_000;
/// The first time of the source ahead.
const FAR: i64 = 1_000_000_000_000;

/// Rows one nanosecond after the other, in memory.
fn columns(start: i64, rows: i64) -> SourceKind {
    let times = TimestampNanosecondArray::from_iter_values(start..start + rows);
    SourceKind::Columns {
        arrays: Arc::new([Arc::new(times) as ArrayRef]),
        repeat: 1,
    }
}

/// The same, made by chunks.
fn made(start: i64, rows: i64) -> SourceKind {
    SourceKind::Generator(GeneratorSpec {
        rows: Some(rows as u64),
        rate: None,
        seed: 1,
        made: Made::Drawn(vec![GeneratedColumn {
            number: 0,
            nulls_permille: 0,
            draw: Draw::Sequence {
                start,
                step: 1,
                jitter: 0,
            },
            length: 0,
        }]),
    })
}

/// The rows of both, as they come.
fn program(kinds: [SourceKind; 2], is_only_compared: bool) -> Program {
    let time = DataType::Timestamp(TimeUnit::Nanosecond, None);
    let field = Field {
        nullable: false,
        ..Field::new("t", time)
    };
    let schema = Arc::new(Schema::new(vec![field]));
    let mut program = Program::default();
    for (number, kind) in (0u32..).zip(kinds) {
        program.sources.push(SourceSpec {
            event_time: Some(EventTime {
                column: 0,
                lag_ns: Some(0),
                bound: None,
            }),
            is_only_compared,
            reading: Reading::InOrder,
            policy: Some(Arc::new(Patience {
                idle_timeout_ns: None,
                max_drift_ns: Some(1_000_000),
            })),
            ..SourceSpec::new(format!("s{number}"), Arc::clone(&schema), kind)
        });
        program.exchanges.push(ExchangeSpec {
            schema: Arc::clone(&schema),
            routing: Routing::Single,
            order: Order::Free,
        });
        program.stages.push(StageSpec {
            input: StageInput::Source(SourceId(number)),
            others: Vec::new(),
            operators: Vec::new(),
            output: StageOutput::Exchange(ExchangeId(number)),
        });
    }
    program.stages.push(StageSpec {
        input: StageInput::Exchange(ExchangeId(0)),
        others: vec![StageInput::Exchange(ExchangeId(1))],
        operators: Vec::new(),
        output: StageOutput::Output(OutputId(0)),
    });
    program.outputs.push(OutputSpec {
        order: Order::Free,
        schema,
    });
    program
}

/// How many rows of the source ahead came while the other one's did, with a barrier at every
/// moment; all come in the end. And how many barriers there were by then.
fn given_ahead(program: &Program, executor: Executor, rows: usize) -> (usize, u64) {
    let config = Config {
        shards: 1,
        frame_rows: FRAME_ROWS,
        executor,
        ..Config::default()
    };
    let mut running = start(program, &config).unwrap();
    let (mut behind, mut ahead, mut epoch) = (0, 0, 1);
    let mut given = (0, 0);
    running.ask_parting(epoch);
    loop {
        match running.next_block_timeout(std::time::Duration::from_secs(60)) {
            Ok(Next::Block(block)) => {
                let Column::I64(times) = &block.rows().columns[0] else {
                    panic!("a TIMESTAMP")
                };
                for time in &times.values {
                    match *time < FAR {
                        true => behind += 1,
                        false => ahead += 1,
                    }
                    if behind == LOOKED_AT && *time < FAR {
                        given = (ahead, epoch);
                    }
                }
                running.give_back(block);
            }
            Ok(Next::Barrier(_, passed)) => {
                assert_eq!(passed, epoch);
                epoch += 1;
                running.ask_parting(epoch);
            }
            Ok(Next::End) => break,
            // Who was rung looks, and may find nothing.
            Ok(Next::Nothing) => {}
            Err(error) => panic!("{error}"),
        }
    }
    running.finish().unwrap();
    assert_eq!((behind, ahead), (ROWS as usize, rows));
    given
}

#[test]
fn who_is_ahead_answers_barriers_without_rows() {
    for executor in [Executor::Threads, Executor::Auto] {
        for is_only_compared in [false, true] {
            // The one behind is in the middle of a chunk for many turns.
            let kinds = [made(0, ROWS), columns(FAR, 50_000)];
            let program = program(kinds, is_only_compared);
            let (ahead, epochs) = given_ahead(&program, executor, 50_000);
            assert!(ahead <= FRAME_ROWS, "{ahead} rows were let through");
            assert!(epochs > 1, "there were barriers");
        }
    }
}

#[test]
fn who_is_cut_between_chunks_ends_one_chunk() {
    let rows = 200_000;
    let kinds = [columns(0, ROWS), made(FAR, rows)];
    let program = program(kinds, true);
    let (ahead, epochs) = given_ahead(&program, Executor::Threads, rows as usize);
    assert!(ahead <= 16 * 1024, "{ahead} rows were let through");
    assert!(epochs > 3, "there were barriers");
}
