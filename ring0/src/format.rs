//! Text formats: parsing and writing.
