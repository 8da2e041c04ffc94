//! Kernels: expressions over columns.
