//! Operators, one file each.

pub mod aggregate;
pub(crate) mod captured;
pub(crate) mod join;
pub mod latest;
pub(crate) mod ordered;
pub mod over;
pub mod paced;
pub mod ranked;
pub(crate) mod repeat;
pub mod sort;
pub(crate) mod standing;
pub mod unnest;
pub mod windows;
