//! Canonical hashes of keys, key groups, owners.
