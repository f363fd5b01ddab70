//! Coordinates one run: sees a Machine, makes a record.
