//! Operators, one file each.

pub mod aggregate;
pub mod over;
pub mod sort;
pub mod unnest;
pub mod windows;
