//! Judges records: a pure function from evidence to verdict.
