//! What was typed.

use std::path::PathBuf;

use crate::data::Query;
use crate::peers::Peer;

/// Records of a run where the machine has time.
const ROWS: usize = 1 << 24;
const QUICK_ROWS: usize = 1 << 22;
/// Records in windows.
const WINDOWED_ROWS: usize = 8_000_000;
const QUICK_WINDOWED_ROWS: usize = 2_000_000;

pub(crate) const USAGE: &str = "\
trefoil-compare [OPTION...]
  --quick            fewer records and runs
  --runs N           measured runs (5; quick: 3)
  --warmup N         runs before them (1)
  --queries LIST     of 100,10k,1M,10M,tumbling or other numbers of keys
  --peers LIST       of timely,differential,duckdb,polars,datafusion,flink; the engine always runs
  --workers LIST     numbers of workers (1,2)
  --rows N           records instead of the usual
  --json PATH        the result as JSON; - for standard output
  --spoil NAME       gives one of them data in which one value is another: it has to be told, and
                     the exit code to be 1";

/// What is ready to run.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) quick: bool,
    pub(crate) runs: usize,
    pub(crate) warmup: usize,
    pub(crate) queries: Vec<Query>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) workers: Vec<usize>,
    rows: Option<usize>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) spoil: Option<Peer>,
}

impl Args {
    /// What is wrong, if it is not this.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let mut runs = None;
        let mut args = Self {
            quick: false,
            runs: 0,
            warmup: 1,
            queries: list("100,10k,1M,10M,tumbling", query)?,
            peers: Peer::ALL.to_vec(),
            workers: vec![1, 2],
            rows: None,
            json: None,
            spoil: None,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => {
                    args.quick = true;
                    continue;
                }
                "--help" => return Err("what there is:".to_owned()),
                _ => {}
            }
            let value = words
                .next()
                .ok_or(format!("{word} is no option, or needs a value"))?;
            match word.as_str() {
                "--runs" => runs = Some(number(&value)?),
                "--warmup" => args.warmup = value.parse().map_err(|_| format!("{value}?"))?,
                "--queries" => args.queries = list(&value, query)?,
                "--peers" => {
                    args.peers = list(&value, peer)?;
                    args.peers.retain(|&peer| peer != Peer::Engine);
                    args.peers.insert(0, Peer::Engine);
                }
                "--workers" => args.workers = list(&value, number)?,
                "--rows" => args.rows = Some(number(&value)?),
                "--json" => args.json = Some(value.into()),
                "--spoil" => args.spoil = Some(peer(&value)?),
                _ => return Err(format!("there is no option {word}")),
            }
        }
        args.runs = runs.unwrap_or(if args.quick { 3 } else { 5 });
        Ok(args)
    }

    /// Records of a query.
    pub(crate) fn rows(&self, query: Query) -> usize {
        let usual = match (query, self.quick) {
            // A few records for each key at least: else most of the time goes into making groups.
            (Query::Keyed(keys), false) => ROWS.max((keys as usize * 2).next_power_of_two()),
            (Query::Keyed(keys), true) => QUICK_ROWS.max((keys as usize).next_power_of_two()),
            (Query::Tumbling, false) => WINDOWED_ROWS,
            (Query::Tumbling, true) => QUICK_WINDOWED_ROWS,
        };
        self.rows.unwrap_or(usual)
    }
}

fn list<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(one).collect()
}

/// A number above 0.
fn number(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| format!("{text} is no number above 0"))
}

fn query(text: &str) -> Result<Query, String> {
    if text == "tumbling" {
        return Ok(Query::Tumbling);
    }
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    Ok(Query::Keyed(number(digits)? as u64 * unit))
}

fn peer(name: &str) -> Result<Peer, String> {
    let found = Peer::ALL.into_iter().find(|peer| peer.name() == name);
    found.ok_or_else(|| format!("there is no {name} among those that are compared"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Args, String> {
        Args::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_understood_or_refused() {
        let args = parse("--quick --queries 7,3k,2M,tumbling --peers timely --workers 3");
        let args = args.expect("it is right");
        let keys = [7, 3_000, 2_000_000].map(Query::Keyed);
        assert_eq!(args.queries[..3], keys);
        assert_eq!(args.queries[3], Query::Tumbling);
        assert_eq!(args.peers, [Peer::Engine, Peer::Timely]);
        assert_eq!((args.runs, args.workers), (3, vec![3]));
        let wrong = [
            "--quick --slow 1",
            "--runs",
            "--runs 0",
            "--peers none",
            "--queries k",
        ];
        for text in wrong {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
