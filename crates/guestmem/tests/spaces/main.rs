//! Address spaces against page tables that `testkit` wrote, and against random ones.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod cached;
mod chunks;
mod garbage;
mod model;
mod translate;
mod user;
mod writes;
