//! Operators, one file each.

pub mod aggregate;
pub mod unnest;
pub mod windows;
