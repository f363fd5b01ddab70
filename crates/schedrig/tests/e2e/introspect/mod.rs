//! The guest's kernel read from outside, against what the guest itself reads of it.

mod placement;
