//! Operators, one file each.

pub mod aggregate;
