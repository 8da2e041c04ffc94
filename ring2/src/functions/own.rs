//! Functions that the host brings. A statement is read and planned where these are known besides
//! DataFusion's: they are looked up by name in many places, so that they are known to the thread
//! that plans, for as long as it does, and to no other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

use super::FunctionKind;
use crate::error::{Error, Result};

/// Scalar and aggregate functions, by their names.
#[derive(Debug, Clone, Default)]
pub struct Functions {
    scalars: BTreeMap<String, Arc<ScalarUDF>>,
    aggregates: BTreeMap<String, Arc<AggregateUDF>>,
}

thread_local! {
    static KNOWN: RefCell<Arc<Functions>> = RefCell::default();
}

/// Puts back what was known before.
struct Before(Arc<Functions>);

impl Drop for Before {
    fn drop(&mut self) {
        KNOWN.replace(Arc::clone(&self.0));
    }
}

/// Those that this thread knows now.
pub(crate) fn known() -> Arc<Functions> {
    KNOWN.with_borrow(Arc::clone)
}

impl Functions {
    /// Adds a function of one row.
    ///
    /// # Errors
    /// `E0603` where its name is taken, or is none that SQL can say without quotes.
    pub fn scalar(&mut self, function: ScalarUDF) -> Result<()> {
        self.check(function.name())?;
        for alias in function.aliases() {
            self.check(alias)?;
        }
        let name = function.name().to_owned();
        self.scalars.insert(name, Arc::new(function));
        Ok(())
    }

    /// Adds a function of a group.
    ///
    /// # Errors
    /// As [`Self::scalar`].
    pub fn aggregate(&mut self, function: AggregateUDF) -> Result<()> {
        self.check(function.name())?;
        for alias in function.aliases() {
            self.check(alias)?;
        }
        let name = function.name().to_owned();
        self.aggregates.insert(name, Arc::new(function));
        Ok(())
    }

    fn check(&self, name: &str) -> Result<()> {
        let mut letters = name.chars();
        let begins = |c: char| c.is_ascii_lowercase() || c == '_';
        let is_name =
            letters.next().is_some_and(begins) && letters.all(|c| begins(c) || c.is_ascii_digit());
        let why = match () {
            () if !is_name => "a name has small letters, digits and underscores",
            () if self.kind(name).is_some() || super::kind(name).is_some() => {
                "there is a function of this name"
            }
            () => return Ok(()),
        };
        Err(Error::engine(
            "E0603",
            format!("function \"{name}\": {why}"),
        ))
    }

    /// Does some work on this thread in which these functions are known: planning a script, or
    /// asking the oracle.
    pub fn within<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        let _before = Before(KNOWN.replace(Arc::clone(self)));
        work()
    }

    /// Of what kind the function of this name is.
    pub(crate) fn kind(&self, name: &str) -> Option<FunctionKind> {
        let is = |aliases: &[String], own: &str| own == name || aliases.iter().any(|a| a == name);
        if self.scalars.values().any(|f| is(f.aliases(), f.name())) {
            return Some(FunctionKind::Scalar);
        }
        let mut aggregates = self.aggregates.values();
        let found = aggregates.any(|f| is(f.aliases(), f.name()));
        found.then_some(FunctionKind::Aggregate)
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.scalars.keys().chain(self.aggregates.keys());
        names.map(String::as_str)
    }

    /// Makes them known to a session.
    pub(crate) fn register(&self, context: &SessionContext) {
        let scalars = self.scalars.values();
        scalars.for_each(|f| context.register_udf(f.as_ref().clone()));
        let aggregates = self.aggregates.values();
        aggregates.for_each(|f| context.register_udaf(f.as_ref().clone()));
    }
}
