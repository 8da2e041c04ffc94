//! Producers that have a name: their rows are numbered, so that each reader is sent those that it
//! has not, whatever others have.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Appender, Channel, Outlet};
use crate::error::{Error, Result, refuse};
use crate::limits::PRODUCERS_MAX;
use crate::snapshot::Taken;

/// A producer that has a name, of which a lane is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) name: &'a Arc<str>,
    /// Rows of it that come before those of the lane.
    pub(super) begins: u64,
    /// Where it says that it has ended.
    pub(super) has_ended: &'a Arc<AtomicBool>,
}

/// What a reader has of a producer's rows.
#[derive(Debug)]
pub(super) struct Held {
    /// So many.
    pub(super) rows: u64,
    /// What the shard is told of the rows before the lane's first one.
    pub(super) before: Arc<AtomicU64>,
}

impl Outlet {
    /// What is sent from now on are the rows behind so many of the producer.
    pub(super) fn enter(&mut self, settled: u64) {
        if let Some(held) = &self.held {
            self.repeated = held.rows.saturating_sub(settled);
            held.before.store(settled.max(held.rows), Ordering::Release);
        }
    }

    /// Leaves out what the reader has of a frame of so many rows.
    pub(super) fn leave_out(&mut self, rows: usize) {
        if self.repeated > 0 {
            let left_out = self.repeated.min((rows - self.next) as u64);
            self.next += left_out as usize;
            self.repeated -= left_out;
        }
    }
}

impl Channel {
    /// Whether there is an appender of this name.
    pub fn has_producer(&self, name: &str) -> bool {
        let mut appenders = self.appenders.iter();
        appenders.any(|a| a.name.as_deref() == Some(name) && !a.lanes.is_abandoned())
    }

    /// The names of appenders that have one.
    pub fn producers(&self) -> impl Iterator<Item = &str> {
        let there = self.appenders.iter().filter(|a| !a.lanes.is_abandoned());
        there.filter_map(|a| a.name.as_deref())
    }

    /// How many rows of a producer it goes on behind: all readers have these, as far as they were
    /// sent any.
    pub fn held(&mut self, name: &str) -> u64 {
        self.forget_gone();
        let held = self.readers.iter().filter_map(|r| r.held.get(name));
        match self.names.get(name) {
            Some(counters) => counters.settled.load(Ordering::Acquire),
            None => held.copied().min().unwrap_or_default(),
        }
    }

    /// A new appender of a producer that has a name, whose rows are numbered. It goes on behind the
    /// rows that all readers have; `from`: behind so many, where those between do not come again.
    ///
    /// # Errors
    /// As [`Channel::appender`]; [`Error::Program`] where there is one of this name, or where
    /// readers have more rows than `from` says, [`Error::TooMany`] where there were too many names.
    pub fn producer(&mut self, name: &str, from: Option<u64>) -> Result<Appender> {
        if self.has_producer(name) {
            return refuse(format!(
                "channel {}: there is a producer {name} already",
                self.name
            ));
        }
        let held = self.held(name);
        let begins = from.unwrap_or(held);
        if begins < held {
            return refuse(format!(
                "channel {}: all readers have {held} rows of producer {name}, and it is to go on \
                 behind {begins}",
                self.name
            ));
        }
        if self.names.len() == PRODUCERS_MAX && !self.names.contains_key(name) {
            return Err(Error::TooMany {
                what: "producers that have names",
                most: PRODUCERS_MAX,
            });
        }
        let name: Arc<str> = name.into();
        let appender = self.open(Some(&name), begins)?;
        let missed = self.readers.iter().map(|reader| {
            let has = reader.held.get(&*name).copied();
            begins - has.unwrap_or(begins).max(held).min(begins)
        });
        self.past.rows_missed += missed.sum::<u64>();
        self.names.insert(name, Arc::clone(&appender.counters));
        Ok(appender)
    }

    /// What a reader begins with that goes on: these rows of producers it has.
    pub(super) fn held_by(taken: Option<&Taken>) -> HashMap<String, u64> {
        let producers = taken.iter().flat_map(|taken| &taken.producers);
        producers.cloned().collect()
    }
}
