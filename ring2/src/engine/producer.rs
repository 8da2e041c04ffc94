//! Producers that have a name: an engine that goes on asks them for the rows that its views have
//! not.

use std::sync::Arc;

use super::{Appender, Engine};
use crate::error::{Error, Result};

impl Engine {
    /// An appender to a source with connector = 'channel' whose rows are numbered, from 1 on: also
    /// through engines that go on from a state directory, where it is called the same. The next row
    /// is to be the one behind [`Appender::held`]; what is behind [`Appender::durable`] is to be
    /// kept, as it is asked for again after a crash. So each row is in every view once.
    ///
    /// Where views are kept it returns once a checkpoint of each of them knows the name.
    ///
    /// # Errors
    /// `E0603` where there is no such channel, or an appender of this name that has not ended;
    /// `E0605` where there were too many names, `E0615` where a checkpoint cannot be written.
    pub fn producer(&self, source: &str, name: &str) -> Result<Appender> {
        self.produce(source, name, None)
    }

    /// As [`Self::producer`], behind so many rows, which are more than all views have: those
    /// between do not come again, and are counted as missed.
    ///
    /// # Errors
    /// As [`Self::producer`]; `E0603` where all views have more rows than these.
    pub fn producer_from(&self, source: &str, name: &str, rows: u64) -> Result<Appender> {
        self.produce(source, name, Some(rows))
    }

    fn produce(&self, source: &str, name: &str, from: Option<u64>) -> Result<Appender> {
        let (appender, without) = {
            let mut inner = self.lock();
            let channel = inner.channel(source)?;
            if channel.has_producer(name) {
                let message =
                    format!("source \"{source}\" has a producer \"{name}\" that has not ended");
                return Err(Error::engine("E0603", message));
            }
            let held = channel.held(name);
            if let Some(from) = from.filter(|from| *from < held) {
                let message = format!(
                    "all views have {held} rows of producer \"{name}\", and it cannot go on behind \
                     {from}"
                );
                return Err(Error::engine("E0603", message));
            }
            let rows = channel.producer(name, from)?;
            let ledger = inner.ledgers.get(source).cloned();
            let named = ledger.map(|ledger| (ledger, name.to_owned()));
            let appender = Appender::new(rows, Arc::clone(&self.wakers), named);
            (appender, inner.without(source, name))
        };
        match self.checkpoint_of(without) {
            Ok(()) => Ok(appender),
            Err(error) => {
                // Nobody has heard of it: views go on waiting for the producer, or not, as before.
                appender.abandon();
                Err(error)
            }
        }
    }
}
