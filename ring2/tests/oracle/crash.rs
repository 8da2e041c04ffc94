//! A query that is ended again and again and goes on from its snapshots, with other shards each
//! time: what it gives before the barriers is what it gives undisturbed.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use trefoil::{PlannedQuery, convert};
use trefoil_ring0::runtime::{Config, Next, Running, start_from};
use trefoil_ring0::snapshot::{Piece, Restore, Told, refusal};

/// Shards of one life after the other.
const SHARDS: [usize; 4] = [1, 2, 4, 3];

/// What a query gives in several lives, and how many these were; `None` where it has no snapshots.
pub(super) fn run(
    planned: &PlannedQuery,
    config: &Config,
) -> Result<Option<(Vec<RecordBatch>, usize)>, String> {
    if refusal(&planned.program).is_some() {
        return Ok(None);
    }
    let mut restore = None;
    let mut batches = Vec::new();
    for life in 1.. {
        let shards = match life {
            1 => config.shards,
            _ => SHARDS[(config.shards + life) % SHARDS.len()],
        };
        let config = Config {
            shards,
            ..config.clone()
        };
        let running = start_from(&planned.program, &config, restore.as_ref());
        let mut running = running.map_err(|e| e.to_string())?;
        let (rows, snapshot) = live(planned, &mut running, life as u64)?;
        batches.extend(rows);
        match snapshot {
            Some(pieces) => restore = Some(Restore::new(shards, running.begun(), pieces)),
            None => return Ok(Some((batches, life))),
        }
    }
    unreachable!("lives are not counted to the end")
}

/// The rows before the barrier, and all that shards told of it; or all rows, where it came too
/// late.
#[expect(clippy::type_complexity, reason = "two things of one life")]
fn live(
    planned: &PlannedQuery,
    running: &mut Running,
    epoch: u64,
) -> Result<(Vec<RecordBatch>, Option<Vec<(usize, Piece)>>), String> {
    let schema = Arc::clone(&planned.program.outputs[0].schema);
    let shards = running.shards();
    running.ask_barrier(epoch);
    let (mut batches, mut pieces) = (Vec::new(), Vec::new());
    let mut done = vec![false; shards];
    let (mut is_behind, mut is_over) = (false, false);
    // Who has ended before has nothing to tell.
    while !(is_behind || is_over) || is_behind && !done.iter().all(|done| *done) {
        for shard in running.ended_shards() {
            done[shard] = true;
        }
        while let Some((shard, told)) = running.next_told() {
            match told {
                Told::Piece(piece) => pieces.push((shard, piece)),
                Told::Done(of, last) => {
                    assert_eq!(of, epoch);
                    pieces.extend(last.into_iter().map(|piece| (shard, piece)));
                    done[shard] = true;
                }
            }
        }
        let wait = std::time::Duration::from_millis(1);
        match running
            .next_block_timeout(wait)
            .map_err(|e| e.to_string())?
        {
            Next::Block(block) => {
                if !is_behind {
                    let rows = convert::record_batch(&schema, block.rows());
                    batches.push(rows.map_err(|e| e.to_string())?);
                }
                running.give_back(block);
            }
            Next::Barrier(_, of) => {
                assert_eq!(of, epoch);
                is_behind = true;
            }
            Next::Nothing => {}
            Next::End => is_over = true,
        }
    }
    Ok((batches, is_behind.then_some(pieces)))
}
