//! Rows on which an expression fails, among bad records: as these they are counted and left out, or
//! told with their place, or the first of all ends the run.

use trefoil_ring0::expr::{BinaryOp, Expr, Scalar};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::metrics::QueryCounters;
use trefoil_ring0::program::OperatorSpec;

use super::*;

fn op(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary(op, Box::new(left), Box::new(right))
}

fn number(n: i64) -> Expr {
    Expr::Literal(Scalar::I64(n))
}

/// `dividend / (n % modulus - rest)`, which fails where the remainder is that rest.
fn quotient(dividend: i64, modulus: i64, rest: i64) -> Expr {
    let remainder = op(BinaryOp::Rem, Expr::Column(0), number(modulus));
    let divisor = op(BinaryOp::Sub, remainder, number(rest));
    op(BinaryOp::Div, number(dividend), divisor)
}

/// Two stages that read one source: `SELECT 100 / (n % 5), n WHERE 10 / (n % 7 - 3) > 0`, and
/// `SELECT 60 / (n % 4 - 1)`.
fn dividing(paths: Vec<PathBuf>, bad_data: BadData) -> Program {
    let mut program = program(paths, &FileFormat::Ndjson, bad_data);
    let columns = |count: usize| {
        let field = |i: usize| Field::new(format!("c{i}"), DataType::Int64);
        Arc::new(Schema::new((0..count).map(field).collect()))
    };
    let project = |exprs: Vec<Expr>| OperatorSpec::Project {
        schema: columns(exprs.len()),
        exprs,
    };
    let condition = op(BinaryOp::Gt, quotient(10, 7, 3), number(0));
    program.stages[0].operators = vec![
        OperatorSpec::Filter(condition),
        project(vec![quotient(100, 5, 0), Expr::Column(0)]),
    ];
    program.stages.push(StageSpec {
        input: StageInput::Source(SourceId(0)),
        others: Vec::new(),
        operators: vec![project(vec![quotient(60, 4, 1)])],
        output: StageOutput::Output(OutputId(2)),
    });
    program.outputs[0].schema = columns(2);
    program.outputs.push(OutputSpec {
        schema: columns(1),
        ..program.outputs[0].clone()
    });
    program
}

/// Rows of each output and the counts of both stages.
type Outcome = ([Rows; 3], [QueryCounters; 2]);

fn run_all(program: &Program, config: &Config) -> Result<Outcome, Error> {
    let mut running = start(program, config)?;
    let mut rows = [Vec::new(), Vec::new(), Vec::new()];
    while let Some(block) = running.next_block()? {
        let frame = block.rows();
        for row in 0..frame.rows() {
            let values = frame.columns.iter().map(|c| text(c, row)).collect();
            rows[block.output().index()].push(values);
        }
        running.give_back(block);
    }
    let mut counts = [QueryCounters::default(); 2];
    for report in running.finish()? {
        for (stage, counters) in &report.inputs {
            counts[*stage].add(counters);
        }
    }
    Ok((rows, counts))
}

/// What two stages make of a row: a result, nothing, or a failure.
fn outcome(n: i64) -> [Result<Option<Vec<i64>>, ()>; 2] {
    let first = match 10i64.checked_div(n % 7 - 3) {
        None => Err(()),
        Some(quotient) if quotient <= 0 => Ok(None),
        Some(_) => match 100i64.checked_div(n % 5) {
            None => Err(()),
            Some(quotient) => Ok(Some(vec![quotient, n])),
        },
    };
    let second = 60i64.checked_div(n % 4 - 1);
    [first, second.map(|q| Some(vec![q])).ok_or(())]
}

type Letter = (String, String, &'static str, Option<String>);

fn check_letters(told: Rows, mut letters: Vec<Letter>) {
    // Those of one frame come in any order.
    let mut told: Vec<_> = told
        .into_iter()
        .map(|told| {
            let field = |at: usize| told[at].clone().unwrap();
            (field(1), field(2), field(3), told[4].clone())
        })
        .collect();
    told.sort();
    letters.sort();
    assert_eq!(told.len(), letters.len());
    for (told, letter) in told.iter().zip(&letters) {
        assert_eq!(
            (&told.0, &told.1, &told.3),
            (&letter.0, &letter.1, &letter.3)
        );
        assert!(told.2.contains(letter.2), "{:?} in {:?}", letter.2, told.2);
    }
}

fn check_rows(files: &[Vec<Piece>], config: &Config) {
    let folder = Folder::new();
    let content = |pieces: &Vec<Piece>| pieces.iter().flat_map(|p| p.bytes.clone()).collect();
    let contents: Vec<Vec<u8>> = files.iter().map(content).collect();
    let paths = folder.files(&contents);
    let (mut rows, mut counts) = ([Rows::new(), Rows::new()], [QueryCounters::default(); 2]);
    let mut letters = Vec::new();
    let mut first_failure = None;
    for (file, pieces) in files.iter().enumerate() {
        let (mut offset, mut line) = (0, 1);
        for Piece { bytes, what } in pieces {
            let raw = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            let mut fails = |reason: &'static str| {
                let path = paths[file].to_str().unwrap().to_owned();
                let raw = std::str::from_utf8(raw).ok().map(str::to_owned);
                letters.push((path, offset.to_string(), reason, raw));
                first_failure.get_or_insert((file, offset as u64, line, reason));
            };
            match what {
                What::Nothing => {}
                What::Bad(reason) => fails(reason),
                What::Row(n, _) => {
                    for (stage, outcome) in outcome(*n).into_iter().enumerate() {
                        let counts = &mut counts[stage];
                        counts.rows_in += 1;
                        match outcome {
                            Err(()) => {
                                counts.rows_failed += 1;
                                fails("division by zero");
                            }
                            Ok(None) => counts.rows_filtered += 1,
                            Ok(Some(values)) => {
                                counts.rows_applied += 1;
                                let text = |v: i64| Some(v.to_string());
                                rows[stage].push(values.into_iter().map(text).collect());
                            }
                        }
                    }
                }
            }
            offset += bytes.len();
            line += bytes.iter().filter(|&&b| b == b'\n').count() as u64;
        }
    }
    let run_with = |bad_data| run_all(&dividing(paths.clone(), bad_data), config);

    let ([one, told, two], got) = run_with(BadData::DeadLetters(OutputId(1))).unwrap();
    assert_eq!([one, two], rows);
    assert_eq!(got, counts);
    check_letters(told, letters);

    let ([one, none, two], got) = run_with(BadData::Skip).unwrap();
    assert_eq!(([one, two], none, got), (rows.clone(), Rows::new(), counts));

    match (run_with(BadData::Fail), first_failure) {
        (Ok(([one, _, two], got)), None) => assert_eq!(([one, two], got), (rows, counts)),
        (
            Err(Error::BadRecord {
                path,
                offset,
                line,
                message,
                ..
            }),
            Some((file, at, at_line, reason)),
        ) => {
            let want = (paths[file].clone(), at, Some(at_line));
            assert_eq!((path, offset, line), want);
            assert!(message.contains(reason), "{reason:?} in {message:?}");
        }
        (got, want) => panic!("{got:?} is not {want:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn failing_rows_are_as_bad_records(
        files in prop::collection::vec(
            prop::collection::vec((0u8..40, any::<bool>()), 0..60),
            0..4,
        ),
        shards in prop::sample::select(vec![1usize, 2, 4]),
        chunk_bytes in prop::sample::select(vec![1usize, 30, 500, 1 << 20]),
        frame_rows in prop::sample::select(vec![1usize, 7, 1024]),
        executor in prop::sample::select(vec![Executor::Threads, Executor::Uring]),
    ) {
        let config = config(shards, chunk_bytes, frame_rows, executor);
        check_rows(&lines(&files), &config);
    }
}

/// The first failing row is one of the files, wherever all those are that do not fail: a shard that
/// is ahead waits for the others' rows and not only for their records.
#[test]
fn the_first_of_all_is_told() {
    let folder = Folder::new();
    let good = "{\"n\":4,\"t\":\"2025-01-01T00:00:00\"}\n";
    let bad = "{\"n\":5,\"t\":\"2025-01-01T00:00:00\"}\n";
    let before = good.repeat(2000);
    let paths = folder.files(&[[&before, bad, &bad.repeat(3000)].concat().into()]);
    for (shards, frame_rows) in [(1, 1024), (2, 7), (4, 64)] {
        let config = config(shards, 700, frame_rows, Executor::Auto);
        let failed = run_all(&dividing(paths.clone(), BadData::Fail), &config);
        let Err(Error::BadRecord { offset, line, .. }) = failed else {
            panic!("{failed:?} is no failure")
        };
        assert_eq!((offset, line), (before.len() as u64, Some(2001)));
    }
}

/// More letters than a frame of them holds, from rows that all fail, in both stages.
#[test]
fn all_rows_fail() {
    let folder = Folder::new();
    let bad = "{\"n\":45,\"t\":\"2025-01-01T00:00:00\"}\n";
    let paths = folder.files(&[bad.repeat(20_000).into()]);
    for frame_rows in [7, 1024] {
        let config = config(2, 10_000, frame_rows, Executor::Auto);
        let program = dividing(paths.clone(), BadData::DeadLetters(OutputId(1)));
        let ([one, told, two], counts) = run_all(&program, &config).unwrap();
        assert_eq!((one.len(), two.len(), told.len()), (0, 0, 40_000));
        assert!(counts.iter().all(|c| c.rows_failed == 20_000));
        let offsets: Vec<usize> =
            (told.iter().map(|t| t[2].as_ref().unwrap().parse().unwrap())).collect();
        let want = (0..40_000).map(|i| i / 2 * bad.len());
        assert!(offsets.iter().copied().eq(want));
    }
}

fn schema_of_n() -> Schema {
    Schema::new(vec![Field::new("n", DataType::Int64)])
}

/// Rows in memory are told by their number, and have no text.
#[test]
fn rows_in_memory() {
    let column = |values: [i64; 4]| {
        let mut frame = Frame::new(&schema_of_n(), 4);
        if let Column::I64(n) = &mut frame.columns[0] {
            values.iter().for_each(|value| n.push(Some(*value)));
        }
        frame.commit_rows(4);
        frame
    };
    let frames = Arc::new(vec![column([1, 2, 3, 4]), column([6, 5, 7, 0])]);
    let both = arrow_array::Int64Array::from_iter_values([1, 2, 3, 4, 6, 5, 7, 0]);
    let kinds = [
        SourceKind::Memory { frames, repeat: 1 },
        SourceKind::Columns {
            arrays: [Arc::new(both) as arrow_array::ArrayRef].into(),
            repeat: 1,
        },
    ];
    for (kind, frame_rows) in kinds.into_iter().flat_map(|k| [(k.clone(), 1), (k, 4)]) {
        let with = |bad_data| {
            let mut program = dividing(vec![], bad_data);
            program.sources[0] = SourceSpec {
                bad_data,
                ..SourceSpec::new("m", Arc::new(schema_of_n()), kind.clone())
            };
            program.stages.remove(0);
            program
                .outputs
                .iter_mut()
                .for_each(|o| o.order = Order::Free);
            run_all(&program, &config(1, 1, frame_rows, Executor::Auto))
        };
        let ([_, told, rows], counts) = with(BadData::DeadLetters(OutputId(1))).unwrap();
        assert_eq!(
            (rows.len(), counts[0].rows_failed, counts[0].rows_applied),
            (6, 2, 6)
        );
        let told: Vec<_> = told
            .iter()
            .map(|t| [1, 2, 4].map(|at| t[at].as_deref()))
            .collect();
        assert_eq!(told, [[None, Some("0"), None], [None, Some("5"), None]]);
        assert_eq!(with(BadData::Skip).unwrap().0[2], rows);
        let message = "source m: row 1: division by zero".to_owned();
        assert_eq!(with(BadData::Fail).unwrap_err(), Error::Row { message });
    }
}
