//! What a shard says of itself: how far it is, while it runs, and at the end what it counted.

use super::{Shard, SourceSlot};
use crate::metrics::{OperatorCounters, QueryCounters, SourceCounters};
use crate::runtime::{Holder, Reached};
use crate::stage::{Chain, Sink};

/// What a shard counted.
#[derive(Debug, Clone, Default)]
pub struct ShardReport {
    /// For each source of the program.
    pub sources: Vec<SourceCounters>,
    /// For each stage of the program that reads a source: stage and counts, also of what became of
    /// its rows behind exchanges; where an exchange has several readers, in the first of them.
    pub inputs: Vec<(usize, QueryCounters)>,
    /// For each stage that sends into an exchange: stage and rows that crossed each lane, groups
    /// that rows were combined to included.
    pub crossed: Vec<(usize, Vec<u64>)>,
    /// For each stage whose rows are combined to groups before they cross: stage and such rows.
    pub combined: Vec<(usize, u64)>,
    /// For each operator of the program that this shard has.
    pub operators: Vec<OperatorCounters>,
    /// Rows of results that left.
    pub rows_out: u64,
    /// How often the shard went to sleep for want of work.
    pub sleeps: u64,
    /// Whether a source was stopped before its end.
    pub stopped: bool,
}

impl ShardReport {
    /// With the stages' numbers in the program, given those of the chains' first stages.
    pub(crate) fn renumbered(mut self, stages: &[usize]) -> Self {
        let inputs = self.inputs.iter_mut().map(|(stage, _)| stage);
        let crossed = self.crossed.iter_mut().map(|(stage, _)| stage);
        let combined = self.combined.iter_mut().map(|(stage, _)| stage);
        let all = inputs.chain(crossed).chain(combined);
        all.for_each(|s| *s = stages[*s]);
        self
    }
}

impl Shard {
    /// How far the sources here are: the least watermark of those that have one. Rows that were
    /// dropped behind an exchange are counted where that was.
    pub(crate) fn reached(&self) -> Reached {
        let counters = self.sources.iter().map(|slot| slot.source.counters());
        let mut all = SourceCounters::default();
        counters.for_each(|counters| all.add(&counters));
        let mut dropped = QueryCounters::default();
        let ports = self.chains.iter().flat_map(|chain| chain.ports.iter());
        ports.for_each(|port| dropped.add(&port.counters));
        let watermark = |slot: &SourceSlot| match &slot.processing {
            Some(clock) => clock.reached(),
            None => slot.source.reached().filter(|_| slot.among.tells()),
        };
        let least = self.sources.iter().enumerate();
        let least = least.filter_map(|(source, slot)| Some((watermark(slot)?, source)));
        let least = least.min();
        Reached {
            rows_read: all.rows_read,
            rows_bad: all.rows_bad,
            rows_failed: dropped.rows_failed,
            rows_late: dropped.rows_late,
            rows_late_idle: dropped.rows_late_idle,
            watermark: least.map(|(watermark, _)| watermark),
            held_by: least.map(|(_, source)| Holder {
                source,
                split: self.sources[source].source.holder(),
            }),
        }
    }

    /// What its operators did, and what they hold.
    pub(crate) fn operators(&self) -> impl Iterator<Item = OperatorCounters> + '_ {
        self.chains.iter().flat_map(Chain::operators)
    }

    /// Bytes of the state of all operators.
    pub(crate) fn state_bytes(&self) -> u64 {
        self.chains.iter().map(Chain::state_bytes).sum()
    }

    /// The operator that has most state: its stage, its name and how much that is.
    pub(crate) fn largest_state(&self) -> Option<(u32, &'static str, u64)> {
        let largest = self.chains.iter().filter_map(Chain::largest_state);
        largest.max_by_key(|(.., bytes)| *bytes)
    }

    pub(crate) fn report(&self) -> ShardReport {
        let mut report = ShardReport {
            sources: self.sources.iter().map(|s| s.source.counters()).collect(),
            sleeps: self.sleeps,
            stopped: self.stopped,
            ..ShardReport::default()
        };
        for (stage, chain) in self.chains.iter().enumerate() {
            for port in chain.ports.iter() {
                match report.inputs.iter_mut().find(|(s, _)| *s == port.origin) {
                    Some((_, counters)) => counters.add(&port.counters),
                    None => report.inputs.push((port.origin, port.counters)),
                }
            }
            report.operators.extend(chain.operators());
            match &chain.sink {
                Sink::Exchange(exchange) => {
                    report.crossed.push((stage, exchange.rows_crossed()));
                    let combined = exchange.rows_combined();
                    report.combined.extend(combined.map(|rows| (stage, rows)));
                }
                Sink::Output { lane, .. } => report.rows_out += lane.rows,
            }
        }
        report
    }
}
