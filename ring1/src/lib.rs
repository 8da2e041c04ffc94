//! Ring 1 of Trefoil: what lives beside the shards, on threads of its own or on the host, and knows
//! neither DataFusion nor Tokio. It has what is durable of a run ([`checkpoint`]); streams of
//! bytes; the formats of files that hold columns, whose decoders run on the shards (Ring 0's
//! `ColumnarFormat`) and read nothing by themselves; and what decides about splits that are idle
//! or ahead.

#![warn(missing_docs)]

pub mod checkpoint;
pub mod connector;
pub mod format;
pub mod watermark;
